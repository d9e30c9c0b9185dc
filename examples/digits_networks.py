"""Softmax regression, a multi-layer perceptron and a convolutional network read the same handwritten digits.

    softmax regression  p = softmax(W x + b)
    MLP                 p = softmax(W₂ relu(W₁ x + b₁) + b₂)
    CNN                 two rounds of convolution, relu and max pooling, then a linear layer

All three minimise the cross-entropy −mean log p[label] with Adam, on the 1,797 digits of 8 × 8 pixels.

Reaches, on 360 digits not seen before: 94 %, 96 % and 98 % (--small: 90 %, 92 % and 94 %). Writes digits_networks.png:
accuracy by epoch, what softmax regression has learned about each digit, and what the CNN gets wrong.
"""

import argparse
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import twinflow as tf
from twinflow import nn
from twinflow.data import DataLoader, TensorDataset


def make_models() -> dict[str, nn.Module]:
    """The three networks; each takes images [N, 1, 8, 8]."""
    return {
        "softmax regression": nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
        "MLP": nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)),
        "CNN": nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(256, 10),
        ),
    }  # fmt: skip


def predict(model: nn.Module, images: tf.Tensor) -> np.ndarray:
    with tf.no_grad():
        return model(images).argmax(1).numpy()


def train(model: nn.Module, loader: DataLoader, unseen: tf.Tensor, labels: np.ndarray, n_epochs: int) -> list[float]:
    """Train, and return the accuracy on unseen digits after each epoch."""
    criterion = nn.CrossEntropyLoss()
    optimizer = tf.optim.Adam(model.parameters(), lr=0.003)

    @tf.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    reached = []
    for _ in range(n_epochs):
        for x, y in loader:
            step(x, y)
        reached.append(float((predict(model, unseen) == labels).mean()))
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a few seconds, with a lower number to reach")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
    options = parser.parse_args()
    n_epochs, goals = (6, (0.90, 0.92, 0.94)) if options.small else (40, (0.94, 0.96, 0.98))

    digits = load_digits()
    images = tf.tensor(digits.images[:, None] / 16, dtype=tf.float32)
    order = np.random.default_rng(0).permutation(len(images))
    known, unseen = order[:-360], order[-360:]
    tf.manual_seed(0)
    seen = TensorDataset(images[known], tf.tensor(digits.target[known]))
    loader = DataLoader(seen, batch_size=32, shuffle=True, drop_last=True)
    models = make_models()
    curves = {}
    for name, model in models.items():
        started = time.perf_counter()
        curves[name] = train(model, loader, images[unseen], digits.target[unseen], n_epochs)
        n = sum(p.numel() for p in model.parameters())
        print(f"{name:18}: {curves[name][-1]:.1%} with {n:,} parameters, {time.perf_counter() - started:.1f} s")

    figure = plt.figure(figsize=(11, 7), layout="constrained")
    grid = figure.add_gridspec(4, 10)
    axis = figure.add_subplot(grid[:2, :])
    for name, curve in curves.items():
        axis.plot(range(1, n_epochs + 1), curve, label=f"{name} ({curve[-1]:.1%})")
    axis.set(xlabel="epoch", ylabel="accuracy, unseen digits", ylim=(0.85, 1))
    axis.legend(loc="lower right")
    weight = models["softmax regression"][1].weight.detach().numpy()
    row = figure.add_subplot(grid[2, :], frameon=False, xticks=[], yticks=[])
    row.set_title(
        "what softmax regression looks for: blue pixels speak for a digit, red ones against it", fontsize=10, pad=18
    )
    for k in range(10):
        axis = figure.add_subplot(grid[2, k], xticks=[], yticks=[])
        axis.imshow(weight[k].reshape(8, 8), cmap="RdBu", vmin=-1.5, vmax=1.5)
        axis.set_title(f"{k}", fontsize=8)
    guesses = predict(models["CNN"], images[unseen])
    wrong = np.flatnonzero(guesses != digits.target[unseen])[:10]
    row = figure.add_subplot(grid[3, :], frameon=False, xticks=[], yticks=[])
    row.set_title("what the CNN gets wrong", fontsize=10, pad=18)
    for k, i in enumerate(wrong):
        axis = figure.add_subplot(grid[3, k], xticks=[], yticks=[])
        axis.imshow(images[unseen[i], 0].numpy(), cmap="gray_r")
        axis.set_title(f"is {digits.target[unseen[i]]}, read as {guesses[i]}", fontsize=8)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "digits_networks.png", dpi=120, bbox_inches="tight")
    print(f"picture: {options.out / 'digits_networks.png'}")
    for (name, curve), goal in zip(curves.items(), goals, strict=True):
        if curve[-1] < goal:
            raise SystemExit(f"{name} reads {curve[-1]:.1%}, which is below the {goal:.0%} it should reach")


if __name__ == "__main__":
    main()
