"""softmax and its logarithm: composed of primitives, and in plain evaluation one operation each."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.ops._composite import Composite
from twinflow.ops._declare import call
from twinflow.ops._native import Native
from twinflow.tensor import Tensor

_LARGE = 1 << 14  # elements: below, NumPy takes less than 0.1 ms, and a program for each new shape would not pay


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


def _compose_softmax(x: Tensor, *, axis: int) -> Tensor:
    e: Tensor = call("exp", _shifted(x, axis))
    return e / _total(e, axis)


def _np_softmax(x: Any, *, axis: int) -> Any:
    e = _shifted_array(x, axis)
    np.exp(e, e)
    return np.divide(e, row_sums(e, axis), e)


def _compose_log_softmax(x: Tensor, *, axis: int) -> Tensor:
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


_SIZES = ({0: "n0", 1: "n1"},) * 2  # of rows, whose number and length vary in texts: one kernel for all


def _over_rows(run: Any) -> Any:
    """The same along the last axis of anything, seen as rows of a matrix."""

    def over(*arrays: Any, axis: int) -> Any:
        x = arrays[0]
        if axis != x.ndim - 1 or axis == 1:
            return run(*arrays, axis=axis)
        return run(*[a.reshape(-1, x.shape[-1]) for a in arrays], axis=1).reshape(x.shape)

    return over


def _made(name: str, compose: Any, reference: Any, rule: Any, np_rule: Any) -> Composite:
    back = _over_rows(Native(f"{name}_backward", np_rule, rule, _LARGE, sizes=_SIZES))
    made = Composite(
        name,
        compose,
        _LARGE,
        reference=reference,
        vjp=(lambda g, y, _x, *, axis: rule(g, y, axis=axis),),
        back=lambda _wanted, g, y, _x, *, axis: (back(g, y, axis=axis),),
        sizes=_SIZES,
    )
    made.run = _over_rows(made.run)
    return made


softmax_row = _made("softmax", _compose_softmax, _np_softmax, _back, _np_back)
_log_softmax = _made("log_softmax", _compose_log_softmax, _np_log_softmax, _log_back, _np_log_back)


def softmax_of(x: Tensor, axis: int) -> Tensor:
    """exp(x) / Σ exp(x) along an axis."""
    result: Tensor = softmax_row(x, axis=axis)
    return result


def log_softmax_of(x: Tensor, axis: int) -> Tensor:
    """x - log Σ exp(x) along an axis."""
    result: Tensor = _log_softmax(x, axis=axis)
    return result
