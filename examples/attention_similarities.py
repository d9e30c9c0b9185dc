"""Attention as a look-up: an unknown digit attends to known ones, and takes over their labels.

The query is an unknown digit, the keys are known digits, the values their labels (one-hot):

    p(label | x) = Σ_j softmax_j(τ · s(W x, W x_j)) · label_j

W and the temperature τ are trained, once for each similarity s: dot product, cosine, and negative Euclidean distance.

Reaches: at least 95 % of 360 unseen digits with each similarity (--small: 90 %). Writes attention_similarities.png: some
unseen digits, the known digits they attend to most, and the weights.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import twinflow as tf
from twinflow import nn
from twinflow.nn.functional import SIMILARITIES, similarity_attention


class LookUp(nn.Module):
    """The formula above."""

    def __init__(self, similarity: str, n_features: int = 16) -> None:
        super().__init__()
        self.project = nn.Linear(64, n_features, bias=False)
        self.log_temperature = nn.Parameter(tf.tensor(1.0))
        self.similarity = SIMILARITIES[similarity]

    def forward(self, x, known, labels, mask=None):
        def score(q, k):
            return self.log_temperature.exp() * self.similarity(q, k)

        return similarity_attention(self.project(x), self.project(known), labels, score, mask)


def train(similarity: str, x: np.ndarray, labels: np.ndarray, n_updates: int) -> LookUp:
    """Train on known digits: each looks up its label among a sample of others."""
    tf.manual_seed(0)
    rng = np.random.default_rng(0)
    model = LookUp(similarity)
    optimizer = tf.optim.Adam(model.parameters(), lr=0.01)

    @tf.compile
    def step(query, query_label, known, known_labels):
        optimizer.zero_grad()
        p, _ = model(query, known, known_labels)
        loss = nn.functional.nll_loss((p + 1e-6).log(), query_label)
        loss.backward()
        optimizer.step()
        return loss

    one_hot = np.eye(10, dtype=np.float32)[labels]
    for _ in range(n_updates):
        order = rng.permutation(len(x))
        a, b = order[:64], order[64:320]
        step(tf.tensor(x[a]), tf.tensor(labels[a]), tf.tensor(x[b]), tf.tensor(one_hot[b]))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="a few seconds, with a lower number to reach")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for the picture")
    options = parser.parse_args()
    n_updates, goal = (100, 0.90) if options.small else (500, 0.95)
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    order = np.random.default_rng(1).permutation(len(pixels))
    held_out, known = order[:360], order[360:]
    one_hot = tf.tensor(np.eye(10, dtype=np.float32)[labels[known]])
    reached = {}
    n_shown, n_keys = 3, 6
    figure, axes = plt.subplots(3 * n_shown, n_keys + 1, figsize=(n_keys + 3, 3 * n_shown + 1))
    for row, name in enumerate(SIMILARITIES):
        model = train(name, pixels[known], labels[known], n_updates)
        with tf.no_grad():
            p, weights = model(tf.tensor(pixels[held_out]), tf.tensor(pixels[known]), one_hot)
        reached[name] = float((p.numpy().argmax(-1) == labels[held_out]).mean())
        temperature = model.log_temperature.exp().item()
        print(f"{name:9}: {reached[name]:.1%} of {len(held_out)} unseen digits, temperature {temperature:.1f}")
        for i in range(n_shown):
            line = axes[row * n_shown + i]
            line[0].imshow(pixels[held_out[i]].reshape(8, 8), cmap="gray_r")
            line[0].set_ylabel(name, rotation=0, ha="right")
            best = weights.numpy()[i].argsort()[::-1][:n_keys]
            for axis, j in zip(line[1:], best, strict=True):
                axis.imshow(pixels[known[j]].reshape(8, 8), cmap="Blues")
                axis.set_title(f"{weights.numpy()[i, j]:.2f}", fontsize=7, pad=1)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.suptitle("An unseen digit (left), and the known digits it attends to", y=0.93)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "attention_similarities.png", dpi=120, bbox_inches="tight")
    print(f"picture: {options.out / 'attention_similarities.png'}")
    worst = min(reached, key=lambda k: reached[k])
    if reached[worst] < goal:
        raise SystemExit(f"{worst} finds {reached[worst]:.1%}, which is below the {goal:.0%} it should reach")


if __name__ == "__main__":
    main()
