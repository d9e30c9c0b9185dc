"""x Wᵀ + b: composed of primitives, and in plain evaluation one operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.graph import Aval
from twinflow.ops._composite import Composite
from twinflow.ops._contract import matmul as matmul_row
from twinflow.ops._contract import product, swap_last
from twinflow.ops._declare import F32, F64, call
from twinflow.ops._native import Native
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
    result: Tensor = apply(affine_row, x, w, b)
    return result


_PRODUCTS = 1 << 16  # from which on one compiled pass, bias included, beats NumPy's two


def _pays(x: Any, w: Any, *_: Any, **_params: Any) -> bool:
    return bool(x.size * w.shape[0] >= _PRODUCTS)


def _compose(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """For x [rows, in]."""
    y: Tensor = product(x, swap_last(w)) + b
    return y


def _np_compose(x: Any, w: Any, b: Any) -> Any:
    y = x.dot(w.T)
    return np.add(y, b, y)


def _compose_back(g: Tensor, x: Tensor, *w: Tensor, to_bias: bool) -> tuple[Tensor, ...]:
    """The gradients by the weight, the input if the weight is given, and the bias if asked, for g [rows, out], x [rows, in]."""
    found = [product(swap_last(g), x)]
    if w:
        found.append(product(g, w[0]))
    if to_bias:
        found.append(sum_to(g, (g._data.shape[1],)))
    return tuple(found)


def _np_back(g: Any, x: Any, *w: Any, to_bias: bool) -> tuple[Any, ...]:
    found = [g.T.dot(x)]
    if w:
        found.append(g.dot(w[0]))
    if to_bias:
        found.append(_add_reduce(g, 0))
    return tuple(found)


def _pays_back(g: Any, x: Any, *_: Any, **_params: Any) -> bool:
    return bool(g.size * x.shape[1] >= _PRODUCTS)


_rows_back = Native("linear_backward", _np_back, _compose_back, _pays_back, batched=2, exact=True)


def _flat(x: Any) -> Any:
    """All axes but the last as one."""
    return x if x.ndim == 2 else x.reshape(-1, x.shape[-1])


def _back(wanted: Any, g: Any, _y: Any, x: Any, w: Any, _b: Any) -> Any:
    to_x = to_w = to_b = None
    rows = _flat(g)
    if wanted[1]:
        given = (rows, _flat(x), w) if wanted[0] else (rows, _flat(x))
        to_w, *found = _rows_back(*given, to_bias=wanted[2])
        if wanted[0]:
            to_x = found[0]
        if wanted[2]:
            to_b = found[-1]
    else:  # the weight learns nothing, so the input was not kept
        to_x = matmul_row.run(rows, w) if wanted[0] else None
        to_b = _add_reduce(rows, 0) if wanted[2] else None
    return to_x if to_x is None or x.ndim == 2 else to_x.reshape(x.shape), to_w, to_b


def _rows(x: Tensor) -> Tensor:
    """All axes but the last as one."""
    shape = x._data.shape
    return x if len(shape) == 2 else call("reshape", x, shape=(x._data.size // shape[-1], shape[-1]))


affine_row = Composite(
    "linear",
    _compose,
    _pays,
    reference=_np_compose,
    exact=True,
    out=lambda x, w, b: Aval((*x.shape[:-1], w.shape[0]), x.dtype),
    vjp=(
        lambda g, _y, _x, w, _b: product(g, w),
        lambda g, _y, x, _w, _b: product(swap_last(_rows(g)), _rows(x)),
        lambda g, _y, _x, _w, _b: sum_to(g, tuple(_b.shape)),
    ),
    back=_back,
)
_run_rows = affine_row.run


def _run(x: Any, w: Any, b: Any) -> Any:
    y = _run_rows(_flat(x), w, b)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], w.shape[0])


affine_row.run = _run
