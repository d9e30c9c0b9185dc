"""Linear regression, softmax regression and multi-layer perceptrons: stacks of dense layers with ReLU between them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.frameworks import jax_layers as jl

from ._base import Arrays, Contraction, Workload, labels, linear


@dataclass
class MLP(Workload):
    widths: tuple[int, ...] = ()

    def layer_names(self) -> list[str]:
        return [str(2 * i) for i in range(len(self.widths) - 1)]  # nn.Sequential counts the ReLUs too

    def parameters(self, rng: np.random.Generator) -> Arrays:
        made: Arrays = {}
        for name, n_in, n_out in zip(self.layer_names(), self.widths, self.widths[1:]):
            made |= linear(rng, name, n_in, n_out)
        return made

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=(batch, self.widths[0])).astype(np.float32)
        if self.loss == "mse":
            return x, (2 * x + 1 + rng.normal(size=x.shape)).astype(np.float32)
        return x, labels(rng, batch, self.widths[-1])

    def contractions(self, batch: int) -> list[Contraction]:
        pairs = zip(self.widths, self.widths[1:])
        return [Contraction(batch, n_out, n_in, learned_input=i > 0) for i, (n_in, n_out) in enumerate(pairs)]

    def torch_model(self, torch: Any) -> Any:
        nn = torch.nn
        layers = []
        for n_in, n_out in zip(self.widths, self.widths[1:]):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        first, *rest = self.layer_names()
        x = jl.dense(p, first, x)
        for name in rest:
            x = jl.dense(p, name, jl.relu(x))
        return x, state

    def keras_model(self, keras: Any) -> Any:
        layers: list[Any] = [keras.Input((self.widths[0],))]
        for name, width in zip(self.layer_names(), self.widths[1:]):
            last = name == self.layer_names()[-1]
            layers.append(keras.layers.Dense(width, activation=None if last else "relu", name=name))
        return keras.Sequential(layers)


@dataclass
class ScalarRegression(MLP):
    """y = W·x + b with two scalars made by hand, as the second article writes it: no layer, [100] samples."""

    def parameters(self, rng: np.random.Generator) -> Arrays:
        return {"W": np.array(0.1, np.float32), "b": np.array(0.1, np.float32)}

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = super().data(rng, batch)
        return x[:, 0].copy(), y[:, 0].copy()

    def torch_model(self, torch: Any) -> Any:
        nn = torch.nn

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.W = nn.Parameter(torch.tensor(0.1))
                self.b = nn.Parameter(torch.tensor(0.1))

            def forward(self, x: Any) -> Any:
                return self.W * x + self.b

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        return p["W"] * x + p["b"], state

    def keras_model(self, keras: Any) -> Any:
        raise NotImplementedError("the article's Keras has no model for this one")


SCALAR = ScalarRegression("scalar", "linear regression with two scalars", 100, "mse", "sgd", 0.01, widths=(1, 1))
WORKLOADS = [
    MLP("linear", "linear regression of the articles", 100, "mse", "sgd", 0.1, limit=0.4, widths=(1, 1)),
    MLP(
        "linear-many",
        "linear regression, twinflow 999 steps a call, per step",
        100,
        "mse",
        "sgd",
        0.1,
        limit=0.05,
        steps_a_call=999,
        widths=(1, 1),
    ),
    MLP(
        "softmax",
        "softmax regression 784-10, batch 100, SGD",
        100,
        optimizer="sgd",
        lr=0.01,
        limit=0.5,
        widths=(784, 10),
    ),
    MLP("mlp-sgd", "MLP 784-128-10, batch 64, SGD", 64, optimizer="sgd", lr=0.01, limit=0.5, widths=(784, 128, 10)),
    MLP("mlp-adam", "MLP 784-128-10, batch 64, Adam", 64, limit=0.5, widths=(784, 128, 10)),
    MLP("mlp-wide", "MLP 1024-1024-1024-10, batch 256, Adam", 256, limit=0.8, widths=(1024, 1024, 1024, 10)),
]
