"""Expressions of Keras's names, one per line of values.txt: `tools/keras_goldens.py` keeps what Keras gives, the test compares."""

from pathlib import Path

import numpy as np

LINES = [
    line
    for line in (Path(__file__).parent / "values.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def environment(keras):
    rng = np.random.default_rng(7)
    one_hot = np.eye(4, dtype="float32")[[0, 2, 1, 3, 3, 0]]
    scores = rng.uniform(0.05, 1, (6, 4)).astype("float32")
    env = {
        "keras": keras, "np": np, "T": rng.normal(size=(6, 4)).astype("float32"), "P": rng.normal(size=(6, 4)).astype("float32"),
        "B": (rng.uniform(size=(6, 4)) > 0.5).astype("float32"), "H": one_hot, "L": np.array([0, 2, 1, 3, 3, 0]),
        "S": scores / scores.sum(-1, keepdims=True), "U": scores, "W": np.linspace(0.5, 2, 6).astype("float32"),
        "A": rng.normal(size=(3, 3)).astype("float32"), "C": rng.normal(size=(2, 5, 6, 3)).astype("float32"),
        "I": np.array([[3, 1, 2], [0, 5, 4]]), "V": np.array([1.5, -2.0, 0.25, 3.0], "float32"),
        "N": np.array([1.0, np.nan, 3.0, -2.0], "float32"), "Q": (lambda a: a @ a.T + np.eye(3, dtype="float32"))(rng.normal(size=(3, 3)).astype("float32")),
    }  # fmt: skip
    for name in (
        "losses",
        "metrics",
        "ops",
        "activations",
        "constraints",
        "initializers",
        "regularizers",
        "optimizers",
        "utils",
    ):
        env[name] = getattr(keras, name)

    def metric(name, *batches, **options):
        m = getattr(keras.metrics, name)(**options)
        for b in batches:
            m.update_state(*b)
        return m.result()

    def loss(name, t, p, w=None, **options):
        each = getattr(keras.losses, name)(reduction=None, **options)(t, p)
        return [each, getattr(keras.losses, name)(**options)(t, p, w)]

    def layer(made, x, **options):
        return made(x, **options)

    return {**env, "metric": metric, "loss": loss, "layer": layer}


def leaves(value):
    if isinstance(value, dict):
        return [x for k in value for x in leaves(value[k])]
    if isinstance(value, (list, tuple)):
        return [x for v in value for x in leaves(v)]
    if hasattr(value, "detach"):
        value = value.detach()
    return [np.asarray(value)]


def evaluate(keras, line):
    """[[shape, numbers], ...] of an expression."""
    found = []
    for a in leaves(eval(line, environment(keras))):  # the expressions are those of values.txt
        if a.dtype.kind in "OSU":
            found.append([list(a.shape), a.astype(str).ravel().tolist()])
            continue
        a = np.stack([a.real, a.imag], -1) if a.dtype.kind == "c" else a
        found.append([list(a.shape), [float(f"{float(v):.6g}") for v in a.astype("float64").ravel()]])
    return found
