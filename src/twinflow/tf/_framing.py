"""Overlapping parts of signals, which stand in `tf.signal`."""

from __future__ import annotations

from typing import Any

from twinflow import ops
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._functions import named


@named
def frame(
    signal: Any, frame_length: int, frame_step: int, pad_end: bool = False, pad_value: float = 0, axis: int = -1
) -> Tensor:
    """Overlapping parts along an axis: [..., n] becomes [..., frames, frame_length]."""
    x = to_tensor(signal).movedim(axis, -1)
    n = int(x.shape[-1])
    count = -(-n // frame_step) if pad_end else max(0, 1 + (n - frame_length) // frame_step)
    missing = (count - 1) * frame_step + frame_length - n
    if pad_end and missing > 0:
        x = F.pad(x, [0, missing], "constant", pad_value)
    at = ops.arange(count).unsqueeze(1) * frame_step + ops.arange(frame_length)
    found = ops.index_select(x, -1, at.reshape(-1)).reshape(*x.shape[:-1], count, frame_length)
    return found if axis in (-1, x.ndim - 1) else found.movedim((-2, -1), (axis % x.ndim, axis % x.ndim + 1))


@named
def overlap_and_add(signal: Any, frame_step: int) -> Tensor:
    """The inverse of `frame`: frames [..., count, length] added where they overlap."""
    x = to_tensor(signal)
    count, size = int(x.shape[-2]), int(x.shape[-1])
    n = (count - 1) * frame_step + size
    at = (ops.arange(count).unsqueeze(1) * frame_step + ops.arange(size)).reshape(-1)
    flat = x.reshape(-1, count * size)
    out = ops.index_add(ops.zeros((int(flat.shape[0]), n), dtype=x.dtype), 1, at, flat)
    return out.reshape(*x.shape[:-2], n)
