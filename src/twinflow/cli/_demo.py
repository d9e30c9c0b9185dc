"""`twinflow demo`: a convolutional network learns handwritten digits, from data to picture."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from twinflow import metrics, nn, optim
from twinflow.core.errors import ArgumentError, missing_extra
from twinflow.data import MNIST, DataLoader, Digits, ImageArrays
from twinflow.ops import manual_seed
from twinflow.optim.lr_scheduler import OneCycleLR
from twinflow.tensor import Tensor, no_grad
from twinflow.train import Callback, Trainer, TrainModule
from twinflow.utils import load, save


class DigitNet(nn.Module):
    """Two convolutions and two linear layers: images [N, 1, side, side] to scores [N, 10].

    Batch normalisation lets it learn at a high rate, dropout keeps it from learning by heart; large images are pooled once more.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 24, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(24)
        self.conv2 = nn.Conv2d(24, 48, 3, stride=2, padding=1)
        self.norm2 = nn.BatchNorm2d(48)
        half = -(-side // 2)
        self.pool = nn.MaxPool2d(2) if half > 8 else nn.Identity()
        self.drop = nn.Dropout(0.25)
        self.hidden = nn.Linear(48 * (half // 2 if half > 8 else half) ** 2, 96)
        self.out = nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Scores of the ten digits."""
        x = self.norm1(self.conv1(x)).relu()  # [N, 24, side, side]
        x = self.norm2(self.conv2(x)).relu()  # [N, 48, side/2, side/2]
        x = self.drop(self.pool(x).flatten(1))
        scores: Tensor = self.out(self.hidden(x).relu())
        return scores


class History(Callback):
    """Keeps each epoch's numbers for the picture."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, module: TrainModule) -> None:
        """One entry an epoch."""
        self.epochs.append(dict(trainer.metrics))


def demo(options: argparse.Namespace) -> None:
    """Train, judge, save, load and draw."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("the picture of the demo", "matplotlib", "plot") from None
    if not options.lr > 0:
        raise ArgumentError(f"--lr must be positive, but {options.lr} was given")
    manual_seed(options.seed)
    known: ImageArrays
    unseen: ImageArrays
    if options.data:
        known, unseen, what = MNIST(options.data), MNIST(options.data, train=False), "MNIST"
        epochs, size = options.epochs or 4, options.batch_size or 128
    else:
        known, unseen, what = Digits(), Digits(train=False), "scikit-learn's handwritten digits"
        epochs, size = options.epochs or 12, options.batch_size or 32
    if size > len(known):
        raise ArgumentError(f"--batch-size {size} is more than the {len(known)} images there are")
    side = int(known[0][0].shape[-1])
    print(f"{what}: {len(known):,} images of {side} x {side} to learn from, {len(unseen):,} held out")

    model = DigitNet(side)
    print(f"a network with {sum(p.numel() for p in model.parameters()):,} parameters")
    learn, judge = DataLoader(known, size, shuffle=True, drop_last=True), DataLoader(unseen, 360)
    optimizer = optim.Adam(model.parameters(), lr=options.lr)
    module = DemoModule(model, optimizer, OneCycleLR(optimizer, options.lr, total_steps=epochs * len(learn)))
    history = History()
    trainer = Trainer(max_epochs=epochs, callbacks=[history], compile=not options.eager)
    started = time.perf_counter()
    trainer.fit(module, learn, judge)
    print(f"trained in {time.perf_counter() - started:.1f} s")

    out = Path(options.out)
    path = out / "digits.safetensors"
    save(model.state_dict(), path)
    again = DigitNet(side)
    again.load_state_dict(load(path))
    scores, labels = predict(again, unseen)
    right = scores.argmax(1) == labels
    print(f"saved to {path} and loaded back")
    print(f"test accuracy {right.mean():.2%}: {int(right.sum()):,} of {len(labels):,} held-out digits")

    picture = out / "digits.png"
    figure = Figure(figsize=(13, 7.4), layout="constrained")
    draw(figure, history.epochs, unseen, scores, labels, f"{what}: test accuracy {right.mean():.2%}")
    figure.savefig(picture, dpi=110)
    print(f"picture: {picture}")


class DemoModule(TrainModule):
    """How the demo learns from a batch and judges one."""

    def __init__(self, model: DigitNet, optimizer: optim.Optimizer, schedule: OneCycleLR) -> None:
        super().__init__()
        self.model = model
        self.loss = nn.CrossEntropyLoss()
        self.accuracy = metrics.Accuracy()
        self.made = {"optimizer": optimizer, "scheduler": schedule, "interval": "step"}

    def training_step(self, batch: Any, batch_idx: Any) -> Tensor:
        """Cross-entropy of the true digits."""
        images, labels = batch
        scores = self.model(images)
        loss: Tensor = self.loss(scores, labels)
        self.log("loss", loss, prog_bar=True)
        self.accuracy.update(scores.detach(), labels)
        self.log("accuracy", self.accuracy, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: Any) -> None:
        """The same on digits the network does not learn from."""
        images, labels = batch
        scores = self.model(images)
        self.log("test_loss", self.loss(scores, labels))
        self.accuracy.update(scores, labels)
        self.log("test_accuracy", self.accuracy)

    def configure_optimizers(self) -> Any:
        """Adam, with one cycle of the rate."""
        return self.made


def predict(model: nn.Module, data: ImageArrays) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Scores [N, 10] and labels [N] of a data set."""
    model.eval()
    with no_grad():
        parts = [(model(images).numpy(), labels.numpy()) for images, labels in DataLoader(data, 512)]
    return np.concatenate([s for s, _ in parts]), np.concatenate([y for _, y in parts])


def draw(figure: Any, epochs: list[dict[str, float]], data: ImageArrays, scores: Any, labels: Any, title: str) -> None:
    """Learning curves, confusion matrix, and the least certain predictions beside some ordinary ones."""
    figure.suptitle(title, fontsize=15)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 0.8])
    axes = top.subplots(1, 3)
    x = np.arange(1, len(epochs) + 1)
    for axis, name, log in ((axes[0], "loss", True), (axes[1], "accuracy", False)):
        axis.plot(x, [e[name] for e in epochs], label="learned from", color="#4477aa")
        axis.plot(x, [e[f"test_{name}"] for e in epochs], label="held out", color="#ee6677")
        axis.set(xlabel="epoch", title=name, yscale="log" if log else "linear")
        axis.grid(alpha=0.3)
        axis.legend()

    predicted = scores.argmax(1)
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (labels, predicted), 1)
    axis = axes[2]
    axis.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
    for i, j in zip(*np.nonzero(counts)):
        axis.text(j, i, counts[i, j], ha="center", va="center", fontsize=8, color="white" if i == j else "#aa3344")
    axis.set(xlabel="predicted", ylabel="true", title="confusion matrix", xticks=range(10), yticks=range(10))

    probability = np.exp(scores - scores.max(1, keepdims=True))
    probability /= probability.sum(1, keepdims=True)
    sure = probability.max(1)
    wrong = np.flatnonzero(predicted != labels)
    rows = np.concatenate([wrong[np.argsort(-sure[wrong])], np.argsort(sure)])
    hard = list(dict.fromkeys(rows.tolist()))[:14]  # mistakes first, then what it was least sure of
    shown = [*hard, *[i for i in range(len(labels)) if i not in hard][:14]]
    bottom.suptitle(
        "hardest (first row) and ordinary (second row) held-out digits: prediction and its probability; mistakes in red",
        fontsize=11,
    )
    for k, axis in enumerate(bottom.subplots(2, 14).flat):
        axis.axis("off")
        if k >= len(shown):
            continue
        i = shown[k]
        axis.imshow(data[i][0].numpy()[0], cmap="gray_r")
        good = predicted[i] == labels[i]
        text = f"{predicted[i]}  {sure[i]:.0%}" if good else f"{predicted[i]}  {sure[i]:.0%}\ntrue {labels[i]}"
        axis.set_title(text, fontsize=9, color="black" if good else "#cc2233")
