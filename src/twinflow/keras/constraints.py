"""Constraints: what a weight is projected on after each step of the optimizer."""

from __future__ import annotations

from typing import Any

from twinflow.keras._registry import Registry, deserializer
from twinflow.keras._registry import serialize as serialize
from twinflow.keras._variable import to_tensor
from twinflow.ops import sqrt
from twinflow.tensor import Tensor

_REGISTRY = Registry("constraint")
_EPSILON = 1e-7


class Constraint:
    """Base: calling it with a weight gives the weight as it may be."""

    def __call__(self, w: Tensor) -> Tensor:
        """The projected weight."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, w)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


def _length(w: Tensor, axis: Any) -> Tensor:
    return sqrt((w * w).sum(axis, keepdim=True))


@_REGISTRY.add("max_norm")
class MaxNorm(Constraint):
    """Vectors along `axis` are at most `max_value` long.

    >>> from twinflow import keras
    >>> keras.constraints.MaxNorm(1.0)(keras.ops.convert_to_tensor([[3.0], [4.0]]))
    tensor([[0.6000],
            [0.8000]])
    """

    def __init__(self, max_value: float = 2, axis: Any = 0) -> None:
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: Tensor) -> Tensor:
        """w · min(|w|, max) / |w|."""
        w = to_tensor(w)
        norm = _length(w, self.axis)
        return w * (norm.clamp(0, self.max_value) / (norm + _EPSILON))


@_REGISTRY.add("nonneg", "non_neg")
class NonNeg(Constraint):
    """Negative elements become 0."""

    def __call__(self, w: Tensor) -> Tensor:
        """max(w, 0)."""
        w = to_tensor(w)
        return w.relu()


@_REGISTRY.add("unit_norm")
class UnitNorm(Constraint):
    """Vectors along `axis` have length 1."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: Tensor) -> Tensor:
        """w / |w|."""
        w = to_tensor(w)
        return w / (_length(w, self.axis) + _EPSILON)


@_REGISTRY.add("min_max_norm")
class MinMaxNorm(Constraint):
    """Lengths of vectors along `axis` are moved into [min_value, max_value]: by the part `rate` of the way."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: Tensor) -> Tensor:
        """w · wanted / |w|."""
        w = to_tensor(w)
        norm = _length(w, self.axis)
        wanted = self.rate * norm.clamp(self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (wanted / (norm + _EPSILON))


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
deserialize = deserializer(_REGISTRY)


def get(identifier: Any) -> Any:
    """A constraint from a name, a configuration, an object or a function; None stays None."""
    return None if identifier is None else _REGISTRY.get(identifier)
