"""Matrix factorisation: a rating is the inner product of a user's and an item's vector."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._base import Arrays, Contraction, Workload


@dataclass
class Factorisation(Workload):
    rows: int = 10_000
    width: int = 64

    def parameters(self, rng: np.random.Generator) -> Arrays:
        shape = (self.rows, self.width)
        return {f"{name}.weight": (0.3 * rng.normal(size=shape)).astype(np.float32) for name in ("users", "items")}

    def data(self, rng: np.random.Generator, batch: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.integers(0, self.rows, (batch, 2)), rng.uniform(1, 5, batch).astype(np.float32)

    def contractions(self, batch: int) -> list[Contraction]:
        return [Contraction(batch, 1, self.width)]

    def floor_nbytes(self, arrays: Arrays, batch: int, train: bool) -> float:
        if train and self.optimizer == "adam":  # moments decay everywhere, touched or not
            return super().floor_nbytes(arrays, batch, train)
        return 2 * batch * self.width * 4 * (2 if train else 1)  # only the rows of the batch

    def torch_model(self, torch: Any) -> Any:
        nn, spec = torch.nn, self

        class Net(nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.users = nn.Embedding(spec.rows, spec.width)
                self.items = nn.Embedding(spec.rows, spec.width)

            def forward(self, pairs: Any) -> Any:
                return (self.users(pairs[:, 0]) * self.items(pairs[:, 1])).sum(dim=1)

        return Net()

    def jax_model(self, p: Any, state: Any, x: Any, train: bool) -> tuple[Any, Any]:
        return (p["users.weight"][x[:, 0]] * p["items.weight"][x[:, 1]]).sum(1), state

    def keras_model(self, keras: Any) -> Any:
        layers = keras.layers
        pairs = keras.Input((2,), dtype="int32")
        u = layers.Embedding(self.rows, self.width, name="users")(pairs[:, 0])
        v = layers.Embedding(self.rows, self.width, name="items")(pairs[:, 1])
        return keras.Model(pairs, keras.ops.sum(u * v, axis=1))


TABLES = frozenset({"users.weight", "items.weight"})
WORKLOADS = [
    Factorisation(
        "factorisation-sgd",
        "matrix factorisation, 10k x 10k, d 64, batch 1024, SGD",
        1024,
        "mse",
        "sgd",
        0.1,
        limit=0.3,
        tables=TABLES,
    ),
    Factorisation(
        "factorisation-adam",
        "matrix factorisation, 10k x 10k, d 64, batch 1024, Adam",
        1024,
        "mse",
        limit=0.3,
        tables=TABLES,
    ),
]
