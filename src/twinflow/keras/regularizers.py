"""Penalties on weights, added to the loss."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._registry import Registry, deserializer
from twinflow.keras._registry import serialize as serialize
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.ops import eye, matmul
from twinflow.tensor import Tensor

_REGISTRY = Registry("regularizer")


class Regularizer:
    """Base: calling it with a weight gives the penalty."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, x)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Regularizer:
        """The inverse of `get_config`."""
        return cls(**config)


@_REGISTRY.add("l1_l2")
class L1L2(Regularizer):
    """l1 · Σ|w| + l2 · Σw²."""

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = float(l1), float(l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        x = to_tensor(x)
        return x.abs().sum() * self.l1 + (x * x).sum() * self.l2


@_REGISTRY.add("l1")
class L1(Regularizer):
    """l1 · Σ|w|."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = float(l1)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        x = to_tensor(x)
        return x.abs().sum() * self.l1


@_REGISTRY.add("l2")
class L2(Regularizer):
    """l2 · Σw²."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = float(l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        x = to_tensor(x)
        return (x * x).sum() * self.l2


@_REGISTRY.add("orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """factor · the mean of |cos| between different rows (or columns) of a matrix. Source: Brock et al., arXiv:1609.07093."""

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        if mode not in ("rows", "columns"):
            raise ArgumentError(f"OrthogonalRegularizer: mode is 'rows' or 'columns', not {mode!r}")
        self.factor, self.mode = float(factor), mode

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        x = to_tensor(x)
        if x.ndim != 2:
            raise ShapeError(f"OrthogonalRegularizer: a matrix is needed, but the weight has shape {tuple(x.shape)}")
        rows = F.normalize(x if self.mode == "rows" else x.mT, dim=1)
        n = rows.shape[0]
        products = matmul(rows, rows.mT) * (1.0 - eye(n))
        return products.abs().sum() * (self.factor * 0.5 / (n * (n - 1) / 2.0 + 1e-7))


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
deserialize = deserializer(_REGISTRY)


def get(identifier: Any) -> Any:
    """A regularizer from a name, a configuration, an object or a function; None stays None."""
    return None if identifier is None else _REGISTRY.get(identifier)
