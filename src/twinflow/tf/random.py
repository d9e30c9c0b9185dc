"""Random tensors: `tf.random`."""

from __future__ import annotations

from typing import Any

from twinflow import ops
from twinflow.core import as_dtype, as_shape
from twinflow.tensor import Tensor


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32") -> Tensor:
    """Normal numbers."""
    return ops.randn(as_shape(shape), dtype=as_dtype(dtype)) * stddev + mean


def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = "float32") -> Tensor:
    """Uniform numbers in [minval, maxval)."""
    return ops.rand(as_shape(shape), dtype=as_dtype(dtype)) * (maxval - minval) + minval


def set_seed(seed: int) -> None:
    """Begin the random numbers at a seed."""
    ops.manual_seed(seed)
