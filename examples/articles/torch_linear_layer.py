"""Linear regression with nn.Linear, as printed; only the imports differ."""

import twinflow as torch
import twinflow.nn as nn
import twinflow.optim as optim


# 创建一个线性回归模型
class LinearRegressionModel(nn.Module):
    def __init__(self):
        super(LinearRegressionModel, self).__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


# 创建一个数据集
x = torch.randn(100, 1)
y = 2 * x + 1 + torch.randn(100, 1)

# 创建一个模型
model = LinearRegressionModel()

# 编译模型
optimizer = optim.SGD(model.parameters(), lr=0.1)
criterion = nn.MSELoss()

# 训练模型
for epoch in range(100):
    optimizer.zero_grad()
    outputs = model(x)
    loss = criterion(outputs, y)
    loss.backward()
    optimizer.step()

# 预测
y_pred = model(x)
