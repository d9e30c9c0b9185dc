"""A generative adversarial network learns to draw digits.

A generator G turns noise z ~ N(0, 1) into images; a discriminator D says how likely an image is a real one:

    D climbs on   mean log D(x) + mean log(1 − D(G(z)))
    G climbs on   mean log D(G(z))

(Goodfellow et al. 2014, arXiv:1406.2661; the second line is the paper's form without vanishing gradients). Adam with
β₁ = 0.5, and labels of 0.9 for real images, keep the game in balance.

Reaches: a classifier that was trained on real digits is at least 80 % sure about the median drawing, and finds all ten
digits among 500 (--small: 40 % sure, and three digits). Writes gan_digits.png: drawings as training goes on, beside
real digits.
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

N_NOISE = 32


def make_generator() -> nn.Module:
    """Noise to images, values in [−1, 1]."""
    return nn.Sequential(
        nn.Linear(N_NOISE, 128), nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 256), nn.BatchNorm1d(256), nn.ReLU(),
        nn.Linear(256, 64), nn.Tanh(),
    )  # fmt: skip


def make_discriminator() -> nn.Module:
    """Images to the logit of being real."""
    return nn.Sequential(
        nn.Linear(64, 256), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Linear(256, 128), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Linear(128, 1),
    )  # fmt: skip


def train_classifier(x: tf.Tensor, labels: np.ndarray) -> nn.Module:
    """A judge that knows real digits."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = tf.optim.Adam(model.parameters(), lr=0.01)
    y = tf.tensor(labels)

    @tf.compile
    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    for _ in range(100):
        step()
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a few seconds, with a lower number to reach")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
    options = parser.parse_args()
    n_updates, sure_goal, digits_goal = (600, 0.4, 3) if options.small else (8000, 0.8, 10)

    tf.manual_seed(0)
    rng = np.random.default_rng(0)
    digits = load_digits()
    real = tf.tensor(digits.data / 8 - 1, dtype=tf.float32)
    generator, discriminator = make_generator(), make_discriminator()
    g_optimizer = tf.optim.Adam(generator.parameters(), lr=0.0005, betas=(0.5, 0.999))
    d_optimizer = tf.optim.Adam(discriminator.parameters(), lr=0.0005, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()

    @tf.compile
    def step(x, noise):
        drawn = generator(noise)
        d_optimizer.zero_grad()
        on_real, on_drawn = discriminator(x), discriminator(drawn.detach())
        d_loss = criterion(on_real, tf.full_like(on_real, 0.9)) + criterion(on_drawn, tf.zeros_like(on_drawn))
        d_loss.backward()
        d_optimizer.step()
        g_optimizer.zero_grad()
        judged = discriminator(drawn)
        g_loss = criterion(judged, tf.ones_like(judged))
        g_loss.backward()
        g_optimizer.step()
        return d_loss, g_loss

    def draw(noise: tf.Tensor) -> tf.Tensor:
        generator.eval()
        with tf.no_grad():
            images = generator(noise)
        generator.train()
        return images

    shown = tf.randn(10, N_NOISE)
    history = {0: draw(shown).numpy()}
    started = time.perf_counter()
    for update in range(1, n_updates + 1):
        d_loss, g_loss = step(real[rng.integers(0, len(real), 64)], tf.randn(64, N_NOISE))
        if update in (n_updates // 16, n_updates // 4, n_updates):
            history[update] = draw(shown).numpy()
            print(
                f"update {update:5}: discriminator {d_loss.item():.3f}, generator {g_loss.item():.3f}, "
                f"{time.perf_counter() - started:.0f} s"
            )

    classifier = train_classifier(real, digits.target)
    with tf.no_grad():
        p = classifier(draw(tf.randn(500, N_NOISE))).softmax(1).numpy()
    sure = float(np.median(p.max(1)))
    kinds = len(set(p.argmax(1)))
    print(f"the classifier is {sure:.0%} sure about the median drawing, and sees {kinds} digits among 500")

    rows = [*((f"update {k}", v) for k, v in history.items()), ("real", real[rng.integers(0, len(real), 10)].numpy())]
    figure, axes = plt.subplots(len(rows), 10, figsize=(10, len(rows) + 0.4))
    for line, (name, images) in zip(axes, rows, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for axis, image in zip(line, images, strict=True):
            axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=-1, vmax=1)
            axis.set(xticks=[], yticks=[])
    figure.suptitle("The same ten points of noise, drawn as training goes on", y=0.95)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "gan_digits.png", dpi=120, bbox_inches="tight")
    print(f"picture: {options.out / 'gan_digits.png'}")
    if sure < sure_goal or kinds < digits_goal:
        raise SystemExit(f"that is below the {sure_goal:.0%} and {digits_goal} digits it should reach")


if __name__ == "__main__":
    main()
