"""`fit` per batch beside Keras on TensorFlow and on JAX, in one run.

    python -m benchmarks.keras [--peers PYTHON] [--rounds N] [--only TEXT] [--threads N]

Each framework has a process of its own, which trains the same models from the same weights on the same batches; they take turns,
and the others are stopped meanwhile. The first epoch's losses must agree. The ratio is to the faster of the two; the limit is
what issue 4 asks for. For the MLP that is about the floor of its arithmetic: docs/from-keras.md has the numbers.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from statistics import median
from typing import Any

import numpy as np

from .harness import ROOT, environment, find_peers_python

NAMES = ("twinflow", "tensorflow", "jax")
LIMITS = {"linear regression": 0.02, "MLP": 0.1, "MNIST CNN": 0.5, "LSTM": 0.4}


def linear(keras: Any) -> tuple[Any, ...]:
    """The articles' linear regression."""
    x = np.linspace(-1, 1, 1024, dtype="float32").reshape(-1, 1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    return model, x, 2 * x + 1, keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError(), 32, 20


def mlp(keras: Any) -> tuple[Any, ...]:
    """The articles' network for digits, 784-128-10 with gradient descent."""
    k, rng = keras.layers, np.random.default_rng(0)
    model = keras.Sequential([keras.Input((784,)), k.Dense(128, activation="relu"), k.Dense(10)])
    x, y = rng.normal(size=(3200, 784)).astype("float32"), rng.integers(0, 10, 3200)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return model, x, y, keras.optimizers.SGD(0.01), loss, 32, 4


def cnn(keras: Any) -> tuple[Any, ...]:
    """The articles' network for MNIST."""
    k, rng = keras.layers, np.random.default_rng(0)
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), k.Conv2D(32, (3, 3), activation="relu"), k.MaxPooling2D((2, 2)), k.Flatten(),
         k.Dense(128, activation="relu"), k.Dense(10, activation="softmax")]
    )  # fmt: skip
    x, y = rng.uniform(size=(640, 28, 28, 1)).astype("float32"), rng.integers(0, 10, 640)
    return model, x, y, keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", 64, 2


def lstm(keras: Any) -> tuple[Any, ...]:
    """The articles' LSTM."""
    k, rng = keras.layers, np.random.default_rng(0)
    model = keras.Sequential([keras.Input((10, 1)), k.LSTM(50, activation="relu"), k.Dense(1)])
    x, y = rng.uniform(size=(500, 10, 1)).astype("float32"), rng.uniform(size=(500, 1)).astype("float32")
    return model, x, y, keras.optimizers.Adam(0.001), "mean_squared_error", 10, 4


PROGRAMS = dict(zip(LIMITS, (linear, mlp, cnn, lstm)))


def worker(name: str) -> None:
    """Answer one line of JSON for each line of JSON: make a model, or train it."""
    if name == "twinflow":
        from twinflow import keras
    else:
        import keras
    made: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        title = request["title"]
        if title not in made:
            model, x, y, optimizer, loss, batch, epochs = PROGRAMS[title](keras)
            rng = np.random.default_rng(1)
            model.set_weights([rng.uniform(-0.05, 0.05, w.shape).astype("float32") for w in model.get_weights()])
            model.compile(optimizer=optimizer, loss=loss)
            options = {"batch_size": batch, "shuffle": False, "verbose": 0}
            first = model.fit(x, y, **options).history["loss"][0]
            made[title] = model, x, y, {**options, "epochs": epochs}, epochs * -(-len(x) // batch)
            answer = {"loss": float(first)}
        else:
            model, x, y, options, steps = made[title]
            started = time.perf_counter()
            model.fit(x, y, **options)
            answer = {"time_s": (time.perf_counter() - started) / steps}
        print(json.dumps(answer), file=sys.stderr, flush=True)


class Peer:
    """A framework's process, which is stopped while others have their turn."""

    def __init__(self, name: str, python: str, threads: int) -> None:
        env = {
            **environment(threads),
            "KERAS_BACKEND": "tensorflow" if name == "twinflow" else name,
            "PYTHONWARNINGS": "ignore",
        }
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.keras", "--worker", name], cwd=ROOT, env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ask(self, title: str) -> dict[str, float]:
        """Let it run until it answered."""
        process = self.process
        assert process.stdin and process.stderr
        process.send_signal(signal.SIGCONT)
        process.stdin.write(json.dumps({"title": title}) + "\n")
        process.stdin.flush()
        said = []
        for line in process.stderr:
            if line.startswith("{"):
                process.send_signal(signal.SIGSTOP)
                found: dict[str, float] = json.loads(line)
                return found
            said.append(line)
        raise SystemExit("".join(said[-20:]))

    def close(self) -> None:
        """End it."""
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()


def main() -> int:
    """Parse the options, measure, and print the table; returns how many rows exceed their limits."""
    parser = argparse.ArgumentParser(description="fit per batch beside Keras on TensorFlow and on JAX.")
    parser.add_argument("--peers", default=find_peers_python(), help="a Python that has Keras, TensorFlow and JAX")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", metavar="TEXT", help="only programs whose title contains TEXT")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--worker", choices=NAMES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        worker(options.worker)
        return 0
    peers = {n: Peer(n, sys.executable if n == "twinflow" else options.peers, options.threads) for n in NAMES}
    print("| fit, time per batch | twinflow | Keras on TensorFlow | Keras on JAX | ratio to the faster | limit |")
    print("|---|---|---|---|---|---|")
    exceeded = 0
    try:
        for title in (t for t in PROGRAMS if options.only.lower() in t.lower()):
            losses = {n: p.ask(title)["loss"] for n, p in peers.items()}
            if not np.allclose(list(losses.values()), losses["twinflow"], rtol=1e-3):
                raise SystemExit(f"{title}: the first epoch's losses differ: {losses}")
            for p in peers.values():
                p.ask(title)  # warm
            times: dict[str, list[float]] = {n: [] for n in NAMES}
            for _ in range(options.rounds):
                for n, p in peers.items():
                    times[n].append(p.ask(title)["time_s"])
            us = {n: median(t) * 1e6 for n, t in times.items()}
            ratio = us["twinflow"] / min(us["tensorflow"], us["jax"])
            exceeded += ratio > LIMITS[title]
            cells = " | ".join(f"{us[n]:.1f} µs" for n in NAMES)
            print(f"| {title} | {cells} | {ratio:.3f} | {LIMITS[title]} |", flush=True)
    finally:
        for p in peers.values():
            p.close()
    return exceeded


if __name__ == "__main__":
    sys.exit(main())
