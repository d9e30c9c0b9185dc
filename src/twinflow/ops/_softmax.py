"""softmax and its logarithm: composed of primitives, and in plain evaluation one operation each."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.graph import Aval
from twinflow.ops._declare import F32, F64, call
from twinflow.ops._native import Fused, Native
from twinflow.tensor import SPECIAL, Tensor, apply

_LARGE = 1 << 16  # elements: below, NumPy takes less than 0.2 ms, and a program for each new shape would not pay


def _same(x: Aval, **_: Any) -> Aval:
    return x


def _total(x: Tensor, axis: int) -> Tensor:
    total: Tensor = call("sum", x, axes=(axis,), keepdim=True)
    return total


def _shifted(x: Tensor, axis: int) -> Tensor:
    if not x._data.shape[axis]:
        return x  # no elements, hence none that is largest
    z: Tensor = x - call("amax", x, axes=(axis,), keepdim=True).detach()
    return z


_add_reduce: Any = np.add.reduce
_max_reduce: Any = np.maximum.reduce
_ONES: dict[tuple[int, str], Any] = {}  # columns of ones, by their length and type


def row_sums(x: Any, axis: int) -> Any:
    """The sums along an axis, which is kept with extent 1. Over rows of a matrix a product with ones starts faster."""
    shape = x.shape
    if axis != 1 or len(shape) != 2 or shape[1] > 1024:
        return _add_reduce(x, axis, None, None, True)
    key = shape[1], x.dtype.char
    ones = _ONES.get(key)
    if ones is None:
        ones = _ONES[key] = np.ones((shape[1], 1), x.dtype)
    return x.dot(ones)


def _shifted_array(x: Any, axis: int) -> Any:
    return x - _max_reduce(x, axis, None, None, True)


def _softmax(x: Tensor, *, axis: int) -> Tensor:
    e: Tensor = call("exp", _shifted(x, axis))
    return e / _total(e, axis)


def _np_softmax(x: Any, *, axis: int) -> Any:
    e = _shifted_array(x, axis)
    np.exp(e, e)
    return np.divide(e, row_sums(e, axis), e)


def _log_softmax(x: Tensor, *, axis: int) -> Tensor:
    z = _shifted(x, axis)
    return z - call("log", _total(call("exp", z), axis))


def _np_log_softmax(x: Any, *, axis: int) -> Any:
    z = _shifted_array(x, axis)
    z -= np.log(row_sums(np.exp(z), axis))
    return z


def _back(g: Tensor, y: Tensor, *, axis: int) -> Tensor:
    return (g - _total(g * y, axis)) * y


def _np_back(g: Any, y: Any, *, axis: int) -> Any:
    d = g * y
    d -= y * row_sums(d, axis)
    return d


def _log_back(g: Tensor, y: Tensor, *, axis: int) -> Tensor:
    return g - _total(g, axis) * call("exp", y)


def _np_log_back(g: Any, y: Any, *, axis: int) -> Any:
    p = np.exp(y)
    p *= row_sums(g, axis)
    return np.subtract(g, p, p)


def only_computes(*operands: Tensor) -> bool:
    """Whether these are of one type, float32 or float64, and nothing traces or transforms operations: then a function may
    be one operation."""
    if SPECIAL.count:
        return False
    d = operands[0]._data.dtype
    if d is not F32 and d is not F64:
        return False
    for x in operands:
        if x._data.dtype is not d:
            return False
    return True


def _row(name: str, run: Native, rule: Any, back: Native) -> Fused:
    return Fused(
        name,
        out=_same,
        run=run,
        vjp=(lambda g, y, _x, *, axis: rule(g, y, axis=axis),),
        back=lambda _wanted, g, y, _x, *, axis: (back(g, y, axis=axis),),
    )


_softmax_row = _row(
    "softmax",
    Native("softmax", _np_softmax, _softmax, _LARGE),
    _back,
    Native("softmax_backward", _np_back, _back, _LARGE, batched=2),
)
_log_softmax_row = _row(
    "log_softmax",
    Native("log_softmax", _np_log_softmax, _log_softmax, _LARGE),
    _log_back,
    Native("log_softmax_backward", _np_log_back, _log_back, _LARGE, batched=2),
)


def softmax_of(x: Tensor, axis: int) -> Tensor:
    """exp(x) / Σ exp(x) along an axis."""
    result: Tensor = apply(_softmax_row, x, axis=axis) if only_computes(x) and x._data.size else _softmax(x, axis=axis)
    return result


def log_softmax_of(x: Tensor, axis: int) -> Tensor:
    """x - log Σ exp(x) along an axis."""
    result: Tensor = (
        apply(_log_softmax_row, x, axis=axis) if only_computes(x) and x._data.size else _log_softmax(x, axis=axis)
    )
    return result
