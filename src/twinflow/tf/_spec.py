"""`tf.TensorSpec`: what a function says of an argument."""

from __future__ import annotations

from typing import Any

from twinflow.core import DType, as_dtype
from twinflow.keras._variable import to_tensor
from twinflow.tf._shapes import TensorShape


class TensorSpec:
    """The shape (None for extents that vary) and type of an argument.

    >>> from twinflow import tf
    >>> tf.TensorSpec([None, 3], tf.float32)
    TensorSpec(shape=(?, 3), dtype=float32, name=None)
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, shape: Any = None, dtype: Any = "float32", name: str | None = None) -> None:
        self.shape = TensorShape(shape)
        self.dtype: DType = as_dtype(dtype)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: Any, name: str | None = None) -> TensorSpec:
        """The shape and type of a tensor."""
        t = to_tensor(tensor)
        return cls(tuple(t.shape), t.dtype, name)

    def is_compatible_with(self, value: Any) -> bool:
        """Whether a tensor (or another specification) has this shape and type."""
        shape = value.shape if isinstance(value, TensorSpec) else tuple(value.shape)
        return value.dtype is self.dtype and self.shape.is_compatible_with(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and self.shape == other.shape and self.dtype is other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype.name))

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype.name}, name={self.name!r})"
