"""Resizing along an axis by a kernel: each new element is a weighted mean of the old ones around its centre."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.ops._create import tensor
from twinflow.ops._products import matmul
from twinflow.tensor import Tensor

Array = np.ndarray[Any, Any]


def cubic_kernel(b: float, c: float) -> Callable[[Array], Array]:
    """Mitchell and Netravali 1988, "Reconstruction filters in computer graphics". Keys' cubic convolution has b = 0 and c = -a."""

    def kernel(x: Array) -> Array:
        near = ((12 - 9 * b - 6 * c) * x - 18 + 12 * b + 6 * c) * x * x + 6 - 2 * b
        far = (((-b - 6 * c) * x + 6 * b + 30 * c) * x - 12 * b - 48 * c) * x + 8 * b + 24 * c
        return np.where(x < 1, near, far) / 6

    return kernel


def _lanczos(radius: int) -> Callable[[Array], Array]:
    return lambda x: np.sinc(x) * np.sinc(x / radius)


# How far from its centre a kernel reaches, and its value at a distance.
KERNELS: dict[str, tuple[float, Callable[[Array], Array]]] = {
    "triangle": (1.0, lambda x: 1 - x),
    "cubic": (2.0, cubic_kernel(0, 0.5)),
    "mitchell": (2.0, cubic_kernel(1 / 3, 1 / 3)),
    "lanczos3": (3.0, _lanczos(3)),
    "lanczos5": (5.0, _lanczos(5)),
    "gaussian": (1.5, lambda x: np.exp(-2 * x * x)),
}


def resampling_weights(
    old: int, new: int, kernel: str, *, antialias: bool = False, ratio: float | None = None
) -> Array:
    """[new, old], each row summing to 1.

    Args:
        kernel: "triangle" (linear interpolation), "cubic", "mitchell", "lanczos3", "lanczos5", "gaussian"; or "area", the mean of
            what a new element covers.
        antialias: when shrinking, widen the kernel to what a new element covers.
        ratio: old elements to a new one, if not old / new.
    """
    ratio = old / new if ratio is None else ratio
    if kernel == "area":
        ends = np.arange(new + 1) * ratio
        covered = np.minimum(ends[1:, None], np.arange(1, old + 1)) - np.maximum(ends[:-1, None], np.arange(old))
        w = np.maximum(covered, 0.0)
    elif kernel in KERNELS:
        radius, value = KERNELS[kernel]
        width = max(ratio, 1.0) if antialias else 1.0
        away = np.abs(np.arange(old) + 0.5 - (np.arange(new)[:, None] + 0.5) * ratio) / width
        w = np.where(away < radius, value(np.minimum(away, radius)), 0.0)
    else:
        raise ArgumentError(f"resample: kernel is one of {', '.join([*KERNELS, 'area'])}, not {kernel!r}")
    return w / w.sum(1, keepdims=True)


def resample(x: Tensor, axis: int, weights: Array) -> Tensor:
    """y[..., i, ...] = Σ_k weights[i, k] · x[..., k, ...] along an axis."""
    return matmul(x.movedim(axis, -1), tensor(weights.T, dtype=x.dtype)).movedim(-1, axis)
