"""Linear regression on NumPy arrays, corrected: as printed, `X_train` and `y_train` are never defined.

It also asks for gradients of the inputs, which nothing uses, and which fails for whole numbers. Labels of shape (n,) beside
outputs of shape (n, 1) would broadcast to n x n differences; twinflow's losses refuse that.
"""

import numpy as np

import twinflow as torch
import twinflow.nn as nn


# 定义模型
class LinearRegression(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


# Points near y = 3x + 2, as columns: (n, 1) like the model's outputs, in the model's float32
rng = np.random.default_rng(0)
X_train = rng.standard_normal((100, 1), dtype=np.float32)
y_train = 3 * X_train + 2 + 0.1 * rng.standard_normal((100, 1), dtype=np.float32)

# 训练模型
model = LinearRegression()
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

for epoch in range(1000):
    inputs = torch.from_numpy(X_train)  # no gradient of the inputs is used
    labels = torch.from_numpy(y_train)

    optimizer.zero_grad()
    outputs = model(inputs)
    loss = criterion(outputs, labels)
    loss.backward()
    optimizer.step()

    if epoch % 100 == 0:
        print(f"Epoch {epoch}, Loss: {loss.item()}")

print(f"Weight: {model.linear.weight.item()}, Bias: {model.linear.bias.item()}")
