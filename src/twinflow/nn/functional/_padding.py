"""Padding: constants, reflections, copies of the edge, or the other end."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._arguments import ints, tensors
from twinflow.ops import call, tensor
from twinflow.tensor import Tensor


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """Surround the last axes.

    Args:
        pad: (before, after) for the last axis, then for the one before it, and so on; negative amounts crop.
        mode: "constant" (with `value`, 0 unless named), "reflect" (without the edge), "replicate" (the edge) or
            "circular" (the other end).
    Raises: ArgumentError for an odd number of amounts; ShapeError if there is too little to reflect.
    """
    tensors("pad", input=input)
    amounts = ints(pad, len(tuple(pad)), "pad", "pad") if len(tuple(pad)) else ()
    if len(amounts) % 2 or len(amounts) // 2 > input.ndim:
        raise ArgumentError(
            f"pad: two amounts for each axis, last axis first, are needed; {len(amounts)} were given for shape {tuple(input.shape)}"
        )
    n = input.ndim
    low, high = [0] * n, [0] * n
    for i in range(len(amounts) // 2):
        low[n - 1 - i], high[n - 1 - i] = amounts[2 * i], amounts[2 * i + 1]
    for axis, (a, b) in enumerate(zip(low, high)):
        if input.shape[axis] + a + b < 0:
            raise ShapeError(f"pad: {a} and {b} crop more than axis {axis} of shape {tuple(input.shape)} has")
    if mode == "constant":
        return _constant(input, low, high, 0.0 if value is None else value)
    if mode not in _INDEX:
        raise ArgumentError(f"pad: mode is 'constant', {', '.join(map(repr, _INDEX))}, not {mode!r}")
    if value is not None and value != 0:
        raise ArgumentError(f"pad: value belongs to mode='constant', not to {mode!r}")
    for axis, (a, b) in enumerate(zip(low, high)):
        if a or b:
            extent = input.shape[axis]
            most = {"reflect": extent - 1, "circular": extent, "replicate": max(a, b) if extent else -1}[mode]
            if max(a, b) > most:
                raise ShapeError(
                    f"pad: {mode} padding of {a} and {b} along axis {axis} needs more elements than the {extent} there are"
                )
            index = _INDEX[mode](np.arange(-a, extent + b), extent)
            input = call("take", input, tensor(index, dtype="int64"), axis=axis)
    return input


def _constant(x: Tensor, low: list[int], high: list[int], value: float) -> Tensor:
    crop = tuple(slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, x.shape))
    if any(a < 0 for a in low + high):
        x = x[crop]
    low, high = [max(a, 0) for a in low], [max(b, 0) for b in high]
    if not any(low + high):
        return x
    if x.dtype.category < 2:
        value = int(value)
    return call("pad", x, low=tuple(low), high=tuple(high), interior=(0,) * x.ndim, value=value)


def _reflect(i: Any, n: int) -> Any:
    i = np.abs(i)
    return np.where(i >= n, 2 * (n - 1) - i, i)


_INDEX: dict[str, Any] = {
    "reflect": _reflect,
    "replicate": lambda i, n: np.clip(i, 0, n - 1),
    "circular": lambda i, n: i % n,
}
