"""Penalties on weights, added to the loss."""

from __future__ import annotations

from typing import Any

from twinflow.keras._registry import Registry
from twinflow.tensor import Tensor

_REGISTRY = Registry("regularizer")


class Regularizer:
    """Base: calling it with a weight gives the penalty."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        raise NotImplementedError

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
        return x.abs().sum() * self.l1 + (x * x).sum() * self.l2


@_REGISTRY.add("l1")
class L1(Regularizer):
    """l1 · Σ|w|."""

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = float(l1)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        return x.abs().sum() * self.l1


@_REGISTRY.add("l2")
class L2(Regularizer):
    """l2 · Σw²."""

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = float(l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty."""
        return (x * x).sum() * self.l2


l1, l2, l1_l2 = L1, L2, L1L2


def get(identifier: Any) -> Any:
    """A regularizer from a name, a configuration, an object or a function; None stays None."""
    return None if identifier is None else _REGISTRY.get(identifier)
