"""A two-layer network on digits, corrected: as printed, `trainloader` is never defined.

The model takes rows of 784 numbers, so a loader of images [N, 1, 28, 28] needs `flatten(1)` as well.
"""

from sklearn.datasets import load_digits

import twinflow as torch
import twinflow.nn as nn
import twinflow.optim as optim
from twinflow.utils.data import DataLoader, TensorDataset


# 定义模型
class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = torch.relu(self.fc1(x))
        x = self.fc2(x)
        return x


# The 1,797 digits of scikit-learn, 8 x 8 pixels with values up to 16, enlarged to 28 x 28 and laid out as 784 numbers
digits = load_digits()
images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16
images = nn.functional.interpolate(images, size=(28, 28), mode="bilinear").flatten(1)
trainloader = DataLoader(TensorDataset(images, torch.from_numpy(digits.target)), batch_size=32, shuffle=True)

# 创建模型实例
net = Net()

# 定义损失函数和优化器
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=0.01)

# 训练模型
for epoch in range(10):
    for i, data in enumerate(trainloader, 0):
        inputs, labels = data
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()

correct = (net(images).argmax(1) == torch.from_numpy(digits.target)).float().mean()
print(f"{correct.item():.1%} of the digits it was trained on")
