"""x Wᵀ + b: composed of primitives, and in plain evaluation one operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.graph import Aval
from twinflow.ops._contract import matmul as matmul_row
from twinflow.ops._contract import product, swap_last
from twinflow.ops._declare import F32, F64, call
from twinflow.ops._native import Fused
from twinflow.ops._products import matmul
from twinflow.tensor import SPECIAL, Tensor, apply, sum_to

_add_reduce: Any = np.add.reduce


def affine(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """x Wᵀ + b over the last axis, for x [..., in], w [out, in] or [in], and b [out]."""
    if b is not None:
        one = affine_in_one(x, w, b)
        if one is not None:
            return one
    y = matmul(x, w.mT if w.ndim > 1 else w)
    return y if b is None else y + b


def affine_in_one(x: Any, w: Any, b: Any) -> Tensor | None:
    """The same as one operation, with one entry on the tape and no transposed view of the weight; None where that cannot be,
    be it because something is wrong with the operands.
    """
    if SPECIAL.count or not (isinstance(x, Tensor) and isinstance(w, Tensor) and isinstance(b, Tensor)):
        return None
    data, weight, bias = x._data, w._data, b._data
    d = data.dtype
    if (d is not F32 and d is not F64) or weight.dtype is not d or bias.dtype is not d or weight.ndim != 2:
        return None
    shape, (n_out, n_in) = data.shape, weight.shape
    if len(shape) < 2 or shape[-1] != n_in or bias.shape != (n_out,) or not data.size:
        return None
    result: Tensor = apply(_affine, x, w, b)
    return result


def _multiply(a: Any, b: Any) -> Any:
    return a.dot(b) if a.size < 4096 else matmul_row.run(a, b)  # `dot` starts faster


def _run(x: Any, w: Any, b: Any) -> Any:
    if x.ndim == 2:
        y = x.dot(w.T) if x.size < 4096 else matmul_row.run(x, w.T)  # `dot` starts faster
    else:
        y = _multiply(x.reshape(-1, w.shape[1]), w.T).reshape(*x.shape[:-1], w.shape[0])
    return np.add(y, b, y)


def _back(wanted: Any, g: Any, _y: Any, x: Any, w: Any, _b: Any) -> Any:
    to_x = to_w = to_b = None
    g2 = g if g.ndim == 2 else g.reshape(-1, g.shape[-1])
    if wanted[0]:
        to_x = _multiply(g2, w)
        if g.ndim != 2:
            to_x = to_x.reshape(*g.shape[:-1], w.shape[1])
    if wanted[1]:
        to_w = _multiply(g2.T, x if x.ndim == 2 else x.reshape(-1, x.shape[-1]))
    if wanted[2]:
        to_b = _add_reduce(g2, 0)
    return to_x, to_w, to_b


def _rows(x: Tensor) -> Tensor:
    """All axes but the last as one."""
    shape = x._data.shape
    return x if len(shape) == 2 else call("reshape", x, shape=(x._data.size // shape[-1], shape[-1]))


_affine = Fused(
    "linear",
    out=lambda x, w, b: Aval((*x.shape[:-1], w.shape[0]), x.dtype),
    run=_run,
    vjp=(
        lambda g, _y, _x, w, _b: product(g, w),
        lambda g, _y, x, _w, _b: product(swap_last(_rows(g)), _rows(x)),
        lambda g, _y, _x, _w, _b: sum_to(g, tuple(_b.shape)),
    ),
    back=_back,
)
