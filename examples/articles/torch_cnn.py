"""A small CNN, corrected in three places.

As printed, the images have their channels in axis 2 of 4, the targets are random numbers of shape (32, 32, 32) where labels
are meant, and `view(-1, 32 * 8 * 8)` makes 128 rows of 32 images, because one pooling leaves 16 x 16 pixels and not 8 x 8.
"""

import twinflow as torch
import twinflow.nn as nn
import twinflow.nn.functional as F

# 生成数据
x = torch.randn(32, 3, 32, 32, dtype=torch.float32)  # 32 images with 3 channels of 32 x 32 pixels: [N, C, H, W]
y = torch.randint(0, 32, (32,))  # one of 32 classes for each image, a whole number


# 定义模型
class CNN(nn.Module):
    def __init__(self):
        super(CNN, self).__init__()
        self.conv = nn.Conv2d(3, 32, kernel_size=3, stride=1, padding=1)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2, padding=0)
        self.fc = nn.Linear(32 * 16 * 16, 64)  # one pooling halves 32 x 32 to 16 x 16
        self.out = nn.Linear(64, 32)

    def forward(self, x):
        x = self.pool(F.relu(self.conv(x)))
        x = x.flatten(1)  # view(-1, 32 * 8 * 8) cut each image into 4 rows
        x = F.relu(self.fc(x))
        x = self.out(x)
        return x


model = CNN()

# 定义损失函数
criterion = nn.CrossEntropyLoss()

# 定义优化器
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)

# 训练模型
model.train()
for i in range(10):
    optimizer.zero_grad()
    y_pred = model(x)
    loss = criterion(y_pred, y)
    loss.backward()
    optimizer.step()
    print("Epoch:", i, "Loss:", loss.item())
