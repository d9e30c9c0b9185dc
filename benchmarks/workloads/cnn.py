"""Convolutional networks for 28x28 grey and 32x32 colour images, and ResNet-18 with the stem used for 32x32 images.

Source of ResNet-18: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.frameworks import jax_layers as jl

from ._base import Arrays, Contraction, Workload, batch_norm, conv, flattened_last, images, labels, linear


@dataclass
class MnistCNN(Workload):
    def parameters(self, rng: np.random.Generator) -> Arrays:
        return conv(rng, "conv", 1, 32, 3) | linear(rng, "fc1", 32 * 13 * 13, 128) | linear(rng, "fc2", 128, 10)

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        return images(rng, batch, 1, 28), labels(rng, batch)

    def contractions(self, batch: int) -> list[Contraction]:
        return [
            Contraction(batch * 26 * 26, 32, 9, learned_input=False),
            Contraction(batch, 128, 32 * 13 * 13),
            Contraction(batch, 10, 128),
        ]

    def channels_last(self, arrays: Arrays) -> Arrays:
        return arrays | {"fc1.weight": flattened_last(arrays["fc1.weight"], 32, 13, 13)}

    def torch_model(self, torch: Any) -> Any:
        nn = torch.nn

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.conv = nn.Conv2d(1, 32, 3)
                self.fc1 = nn.Linear(32 * 13 * 13, 128)
                self.fc2 = nn.Linear(128, 10)

            def forward(self, x: Any) -> Any:
                x = nn.functional.max_pool2d(torch.relu(self.conv(x)), 2)
                x = torch.relu(self.fc1(torch.flatten(x, 1)))
                return self.fc2(x)

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        x = jl.max_pool(jl.relu(jl.conv(p, "conv", x, padding=0)), 2)
        x = jl.relu(jl.dense(p, "fc1", x.reshape(len(x), -1)))
        return jl.dense(p, "fc2", x), state

    def keras_model(self, keras: Any) -> Any:
        layers = keras.layers
        return keras.Sequential(
            [
                keras.Input((28, 28, 1)),
                layers.Conv2D(32, 3, activation="relu", name="conv"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(128, activation="relu", name="fc1"),
                layers.Dense(10, name="fc2"),
            ]
        )


@dataclass
class CifarCNN(Workload):
    channels: tuple[int, ...] = (3, 32, 64, 128)

    def parameters(self, rng: np.random.Generator) -> Arrays:
        made: Arrays = {}
        for i, (c_in, c_out) in enumerate(zip(self.channels, self.channels[1:]), 1):
            made |= conv(rng, f"conv{i}", c_in, c_out, 3) | batch_norm(f"bn{i}", c_out)
        return made | linear(rng, "fc", self.channels[-1] * 4 * 4, 10)

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        return images(rng, batch, 3, 32), labels(rng, batch)

    def contractions(self, batch: int) -> list[Contraction]:
        pairs = enumerate(zip(self.channels, self.channels[1:]))
        convs = [Contraction(batch * (32 >> i) ** 2, b, a * 9, learned_input=i > 0) for i, (a, b) in pairs]
        return [*convs, Contraction(batch, 10, self.channels[-1] * 16)]

    def channels_last(self, arrays: Arrays) -> Arrays:
        return arrays | {"fc.weight": flattened_last(arrays["fc.weight"], self.channels[-1], 4, 4)}

    def torch_model(self, torch: Any) -> Any:
        nn = torch.nn

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
                self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64)
                self.conv3, self.bn3 = nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128)
                self.pool = nn.MaxPool2d(2)
                self.fc = nn.Linear(128 * 4 * 4, 10)

            def forward(self, x: Any) -> Any:
                x = self.pool(torch.relu(self.bn1(self.conv1(x))))
                x = self.pool(torch.relu(self.bn2(self.conv2(x))))
                x = self.pool(torch.relu(self.bn3(self.conv3(x))))
                return self.fc(torch.flatten(x, 1))

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        new: dict[str, Any] = {}
        for i in range(1, len(self.channels)):
            x = jl.batch_norm(p, state, new, f"bn{i}", jl.conv(p, f"conv{i}", x, padding=1), train)
            x = jl.max_pool(jl.relu(x), 2)
        return jl.dense(p, "fc", x.reshape(len(x), -1)), new

    def keras_model(self, keras: Any) -> Any:
        layers = keras.layers
        made: list[Any] = [keras.Input((32, 32, 3))]
        for i, width in enumerate(self.channels[1:], 1):
            made += [
                layers.Conv2D(width, 3, padding="same", name=f"conv{i}"),
                layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"bn{i}"),
                layers.ReLU(),
                layers.MaxPooling2D(2),
            ]
        return keras.Sequential([*made, layers.Flatten(), layers.Dense(10, name="fc")])


@dataclass
class ResNet18(Workload):
    """Stages of two basic blocks each; the first block of a later stage halves the image and has a 1x1 shortcut."""

    stages: tuple[int, ...] = (64, 128, 256, 512)

    def blocks(self) -> list[tuple[str, int, int, int]]:
        """Name, input channels, output channels and stride of each block."""
        made, c_in = [], self.stages[0]
        for i, c_out in enumerate(self.stages, 1):
            for j in range(2):
                made.append((f"layer{i}.{j}", c_in, c_out, 2 if i > 1 and j == 0 else 1))
                c_in = c_out
        return made

    def parameters(self, rng: np.random.Generator) -> Arrays:
        made = conv(rng, "conv1", 3, self.stages[0], 3, bias=False) | batch_norm("bn1", self.stages[0])
        for name, c_in, c_out, stride in self.blocks():
            made |= conv(rng, f"{name}.conv1", c_in, c_out, 3, bias=False) | batch_norm(f"{name}.bn1", c_out)
            made |= conv(rng, f"{name}.conv2", c_out, c_out, 3, bias=False) | batch_norm(f"{name}.bn2", c_out)
            if stride != 1:
                made |= conv(rng, f"{name}.down.0", c_in, c_out, 1, bias=False) | batch_norm(f"{name}.down.1", c_out)
        return made | linear(rng, "fc", self.stages[-1], 10)

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        return images(rng, batch, 3, 32), labels(rng, batch)

    def contractions(self, batch: int) -> list[Contraction]:
        made, size = [Contraction(batch * 32 * 32, self.stages[0], 27, learned_input=False)], 32
        for _, c_in, c_out, stride in self.blocks():
            size //= stride
            rows = batch * size * size
            made += [Contraction(rows, c_out, c_in * 9), Contraction(rows, c_out, c_out * 9)]
            made += [Contraction(rows, c_out, c_in)] * (stride != 1)
        return [*made, Contraction(batch, 10, self.stages[-1])]

    def torch_model(self, torch: Any) -> Any:
        nn = torch.nn

        class Block(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self, c_in: int, c_out: int, stride: int) -> None:
                super().__init__()
                self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
                self.bn1 = nn.BatchNorm2d(c_out)
                self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
                self.bn2 = nn.BatchNorm2d(c_out)
                self.down = None
                if stride != 1:
                    shortcut = nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)
                    self.down = nn.Sequential(shortcut, nn.BatchNorm2d(c_out))

            def forward(self, x: Any) -> Any:
                y = torch.relu(self.bn1(self.conv1(x)))
                y = self.bn2(self.conv2(y))
                return torch.relu(y + (x if self.down is None else self.down(x)))

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
                self.bn1 = nn.BatchNorm2d(64)
                self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
                self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
                self.layer3 = nn.Sequential(Block(128, 256, 2), Block(256, 256, 1))
                self.layer4 = nn.Sequential(Block(256, 512, 2), Block(512, 512, 1))
                self.fc = nn.Linear(512, 10)

            def forward(self, x: Any) -> Any:
                x = torch.relu(self.bn1(self.conv1(x)))
                x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
                return self.fc(x.mean(dim=(2, 3)))

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        new: dict[str, Any] = {}

        def conv_norm(conv_name: str, norm_name: str, x: Any, stride: int = 1, padding: int = 1) -> Any:
            y = jl.conv(p, conv_name, x, padding=padding, stride=stride)
            return jl.batch_norm(p, state, new, norm_name, y, train)

        x = jl.relu(conv_norm("conv1", "bn1", x))
        for name, _, _, stride in self.blocks():
            y = jl.relu(conv_norm(f"{name}.conv1", f"{name}.bn1", x, stride))
            y = conv_norm(f"{name}.conv2", f"{name}.bn2", y)
            x = jl.relu(y + (x if stride == 1 else conv_norm(f"{name}.down.0", f"{name}.down.1", x, stride, 0)))
        return jl.dense(p, "fc", x.mean((1, 2))), new

    def keras_model(self, keras: Any) -> Any:
        layers = keras.layers

        def conv_norm(prefix: str, conv_name: str, norm_name: str, x: Any, width: int, size: int, stride: int) -> Any:
            if stride == 2 and size == 3:  # "same" would pad on one side only; PyTorch's padding is symmetric
                x, padding = layers.ZeroPadding2D(1)(x), "valid"
            else:
                padding = "same"
            name = f"{prefix}{conv_name}".replace(".", "_")
            x = layers.Conv2D(width, size, strides=stride, padding=padding, use_bias=False, name=name)(x)
            name = f"{prefix}{norm_name}".replace(".", "_")
            return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)

        x = images = keras.Input((32, 32, 3))
        x = layers.ReLU()(conv_norm("", "conv1", "bn1", x, 64, 3, 1))
        for name, _, c_out, stride in self.blocks():
            y = layers.ReLU()(conv_norm(f"{name}.", "conv1", "bn1", x, c_out, 3, stride))
            y = conv_norm(f"{name}.", "conv2", "bn2", y, c_out, 3, 1)
            shortcut = x if stride == 1 else conv_norm(f"{name}.", "down.0", "down.1", x, c_out, 1, stride)
            x = layers.ReLU()(layers.Add()([y, shortcut]))
        x = layers.Dense(10, name="fc")(layers.GlobalAveragePooling2D()(x))
        return keras.Model(images, x)


WORKLOADS = [
    MnistCNN("mnist-cnn", "MNIST CNN (conv 32, pool, dense 128), batch 128, Adam", 128, limit=0.5),
    CifarCNN("cifar-cnn", "CIFAR-shaped CNN with batch norm (32-64-128), batch 64, Adam", 64, limit=0.7),
    ResNet18(
        "resnet18", "ResNet-18 on 32x32, batch 16, SGD with momentum", 16, optimizer="momentum", lr=1e-2, limit=0.85
    ),
]
