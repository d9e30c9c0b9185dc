"""Reductions on tensors, with PyTorch's arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinflow.core import as_dtype, normalize_axes, normalize_axis, numel, quiet, reduced_shape, silently
from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange
from twinflow.ops import _reduce as R
from twinflow.ops._autocast import in_float32
from twinflow.ops._declare import call
from twinflow.ops._math import as_bool, maximum, minimum, number_array, sqrt, true_divide
from twinflow.ops._promote import F32, F64, as_inexact, convert, is_inexact, to_tensor_arg
from twinflow.ops._shape import reshape
from twinflow.ops._softmax import log_softmax_of, softmax_of, softmax_row
from twinflow.tensor import SPECIAL, Tensor, apply, result_of, wrap
from twinflow.tensor._door import Door


class ValuesIndices(NamedTuple):
    """The pair that max, min, sort, topk, ... return: `.values` and `.indices`."""

    values: Tensor
    indices: Tensor


def _integral_up(x: Tensor, dtype: Any) -> Tensor:
    """Sums and products of bools and integers are int64 unless another type is asked for."""
    if dtype is not None:
        return convert(x, as_dtype(dtype))
    return x if is_inexact(x) else convert(x, as_dtype("int64"))


def _sum_over(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    if not SPECIAL.count and dtype is None and isinstance(input, Tensor):
        a = input._data
        if a.dtype is F32 or a.dtype is F64:
            return _sum(input, a, _axes(dim, a.ndim, "sum"), keepdim)
    x = _integral_up(to_tensor_arg(input, "sum"), dtype)
    return apply(R.sum_, x, axes=_axes(dim, x.ndim, "sum"), keepdim=keepdim)


def _axes(dim: Any, ndim: int, op: str) -> tuple[int, ...]:
    """The axes that a reduction's `dim` names; None and () name all."""
    if dim is None:
        return _ALL_AXES[ndim] if ndim < len(_ALL_AXES) else tuple(range(ndim))
    if type(dim) is int and 0 <= dim < ndim:
        return (dim,)
    return normalize_axes(dim if dim != () else None, ndim, op)


_ALL_AXES = tuple([tuple(range(n)) for n in range(8)])
_sum_door = Door(
    _sum_over, "sum", R.sum_, run=R.add_reduce, params=tuple([{"axes": axes, "keepdim": False} for axes in _ALL_AXES])
)


def sum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The sum of the elements, over all axes or those named.

    >>> import twinflow
    >>> twinflow.sum(twinflow.ones(2, 3), dim=1)
    tensor([3., 3.])
    """
    if dim is None and not keepdim and dtype is None:
        return _sum_door.call(input)
    return _sum_over(input, dim, keepdim, dtype=dtype)


_sum_door.serves(sum)


def _sum(x: Tensor, a: Any, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    """The sum over resolved axes in plain evaluation."""
    if a.dtype is not F32 and a.dtype is not F64:
        return apply(R.sum_, x, axes=axes, keepdim=keepdim)
    result: Tensor = result_of(R.sum_, x, _reduced(a, axes, keepdim), {"axes": axes, "keepdim": keepdim})
    return result


_LARGE = 1 << 16  # elements from which on the compiled sum is asked; it has a threshold of its own


def _reduced(a: Any, axes: tuple[int, ...], keepdim: bool) -> Any:
    if a.size >= _LARGE:
        return silently(R.sum_.run, a, axes=axes, keepdim=keepdim)
    try:
        if len(axes) != a.ndim or keepdim:
            return quiet(R.add_reduce, a, axes, None, None, keepdim)
        # with a place for it: else NumPy gives a scalar, and making an array of that costs as much again
        return quiet(R.add_reduce, a, None, None, np.empty((), a.dtype))
    except RuntimeError:
        return silently(R.sum_.ref, a, axes=axes, keepdim=keepdim)


@in_float32
def prod(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The product of the elements, over all axes or those named."""
    x = _integral_up(to_tensor_arg(input, "prod"), dtype)
    return apply(R.prod, x, axes=normalize_axes(dim, x.ndim, "prod"), keepdim=keepdim)


def _need_inexact(x: Tensor, op: str, dtype: Any) -> Tensor:
    if dtype is not None:
        x = convert(x, as_dtype(dtype))
    if not is_inexact(x):
        raise DTypeError(
            f"{op}: the {op} of {x.dtype.name} elements is not of their type; use .float() first, or dtype="
        )
    return x


def mean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """The average of the elements, over all axes or those named."""
    if not SPECIAL.count and dtype is None and isinstance(input, Tensor):
        m, data = input._info, input._data
        if (data.dtype is F32 or data.dtype is F64) and data.size and not (m is not None and m.requires_grad):
            out = _reduced(data, _axes(dim, data.ndim, "mean"), keepdim)
            return wrap(np.divide(out, number_array(data.size // out.size, data.dtype), out))
    x = _need_inexact(to_tensor_arg(input, "mean"), "mean", dtype)
    shape = x._data.shape
    axes = _axes(dim, len(shape), "mean")
    n = 1
    for a in axes:
        n *= shape[a]
    if SPECIAL.count:
        return true_divide(apply(R.sum_, x, axes=axes, keepdim=keepdim), n)
    return true_divide(_sum(x, x._data, axes, keepdim), n)


def var(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """Σ (x - mean)² / (n - correction), over all axes or those named; correction 1 unless said otherwise."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    x = _need_inexact(to_tensor_arg(input, "var"), "var", None)
    axes = _axes(dim, x.ndim, "var")
    n = numel([x._data.shape[a] for a in axes])
    centred = x - mean(x, axes, True)
    square = centred * centred if x._data.dtype.kind != "c" else call("real", centred * call("conj", centred))
    total = apply(R.sum_, square, axes=axes, keepdim=keepdim)
    return call("div", total, max0(n - correction) * 1.0)


def max0(n: Any) -> Any:
    """n, or 0 if it is negative: too few elements give NaN, as 0/0."""
    return n if n > 0 else 0


def std(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> Tensor:
    """The square root of `var`."""
    return sqrt(var(input, dim, unbiased, keepdim, correction=correction))


def var_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """(var, mean)."""
    return var(input, dim, unbiased, keepdim, correction=correction), mean(
        input, dim if not isinstance(dim, bool) else None, keepdim
    )


def std_mean(
    input: Tensor, dim: Any = None, unbiased: bool | None = None, keepdim: bool = False, *, correction: Any = None
) -> tuple[Tensor, Tensor]:
    """(std, mean)."""
    return std(input, dim, unbiased, keepdim, correction=correction), mean(
        input, dim if not isinstance(dim, bool) else None, keepdim
    )


def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The largest element; equal ones share the gradient."""
    x = to_tensor_arg(input, "amax")
    return apply(R.amax, x, axes=_axes(dim, x.ndim, "amax"), keepdim=keepdim)


def amin(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """The smallest element; equal ones share the gradient."""
    x = to_tensor_arg(input, "amin")
    return apply(R.amin, x, axes=_axes(dim, x.ndim, "amin"), keepdim=keepdim)


def _arg(prim: Any, input: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    x = to_tensor_arg(input, prim.name)
    if x._data.dtype.kind == "b":
        x = convert(x, as_dtype("uint8"))
    if dim is None:
        flat = apply(reshape, x, shape=(x._data.size,))
        if not x._data.size:
            raise IndexOutOfRange(f"{prim.name}: an empty tensor has no extreme element")
        y = apply(prim, flat, axis=0, keepdim=False)
        return apply(reshape, y, shape=(1,) * x.ndim) if keepdim else y
    axis = normalize_axis(dim, x.ndim, prim.name)
    if x.ndim == 0:
        return call("full", shape=(), value=0, dtype=as_dtype("int64"))
    return apply(prim, x, axis=axis, keepdim=keepdim)


def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the largest element, of the flattened tensor or along an axis."""
    return _arg(R.argmax, input, dim, keepdim)


def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the smallest element, of the flattened tensor or along an axis."""
    return _arg(R.argmin, input, dim, keepdim)


def _extreme(input: Tensor, dim: int, keepdim: bool, arg: Any) -> ValuesIndices:
    index = arg(input, dim, True)
    if input.ndim == 0:
        return ValuesIndices(apply(reshape, input, shape=()), index)
    axis = normalize_axis(dim, input.ndim, arg.__name__)
    values = call("gather", input, index, axis=axis)
    if not keepdim:
        shape = tuple(s for i, s in enumerate(input._data.shape) if i != axis)
        values, index = apply(reshape, values, shape=shape), apply(reshape, index, shape=shape)
    return ValuesIndices(values, index)


def max(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The largest element of all; along an axis (values, indices); of two tensors, elementwise."""
    x = to_tensor_arg(input, "max")
    if isinstance(dim, Tensor) or other is not None:
        return maximum(x, dim if other is None else other)
    if dim is None:
        return amax(x)
    return _extreme(x, dim, keepdim, argmax)


def min(input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Tensor | None = None) -> Any:
    """The smallest element of all; along an axis (values, indices); of two tensors, elementwise."""
    x = to_tensor_arg(input, "min")
    if isinstance(dim, Tensor) or other is not None:
        return minimum(x, dim if other is None else other)
    if dim is None:
        return amin(x)
    return _extreme(x, dim, keepdim, argmin)


def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether an element differs from zero."""
    return _quantified("any", R.amax, as_bool(input, "any"), dim, keepdim)


def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Whether every element differs from zero."""
    return _quantified("all", R.amin, as_bool(input, "all"), dim, keepdim)


def _quantified(name: str, extreme: Any, x: Tensor, dim: Any, keepdim: bool) -> Tensor:
    """The largest or smallest truth value; of no elements, false is the largest and true the smallest."""
    shape = tuple(x._data.shape)
    axes = normalize_axes(dim, x.ndim, name)
    if 0 in [shape[a] for a in axes]:
        return call("full", shape=reduced_shape(shape, axes, keepdim), value=extreme is R.amin, dtype=as_dtype("bool"))
    return apply(extreme, x, axes=axes, keepdim=keepdim)


def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running sums along an axis."""
    x = _integral_up(input, dtype)
    return x if x.ndim == 0 else apply(R.cumsum, x, axis=normalize_axis(dim, x.ndim, "cumsum"))


def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    """Running products along an axis."""
    x = _integral_up(input, dtype)
    return x if x.ndim == 0 else apply(R.cumprod, x, axis=normalize_axis(dim, x.ndim, "cumprod"))


def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log Σ exp(x), without overflow: the largest element is taken out first."""
    x = as_inexact(input, "logsumexp")
    axes = normalize_axes(dim, x.ndim, "logsumexp")
    if not numel(tuple(x._data.shape[i] for i in axes)):
        return apply(R.sum_, x, axes=axes, keepdim=keepdim) - float("inf")  # the logarithm of an empty sum
    top = amax(call("real", x) if x.dtype.is_complex else x, axes, True).detach()
    top = call("where", call("eq", call("abs", top), float("inf")), 0.0, top)
    total = apply(R.sum_, call("exp", x - top), axes=axes, keepdim=True)
    y = call("log", total) + top
    if keepdim:
        return y
    return apply(reshape, y, shape=tuple(s for i, s in enumerate(x._data.shape) if i not in axes))


def _softmax_over(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    if dim is None:
        raise ArgumentError("softmax: name the axis over which probabilities add up to 1, for example dim=-1")
    x = _need_inexact(to_tensor_arg(input, "softmax"), "softmax", dtype)
    if not x.ndim:
        return softmax_of(x.reshape(1), 0).reshape(())
    return softmax_of(x, normalize_axis(dim, x.ndim, "softmax"))


_softmax_door = Door(_softmax_over, "softmax", softmax_row, run=np.exp, params={"axis": 1})


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """exp(x) / Σ exp(x) along an axis, without overflow."""
    return _softmax_door.call(input, dim) if dtype is None else _softmax_over(input, dim, dtype=dtype)


_softmax_door.serves(softmax)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """x - log Σ exp(x) along an axis, without overflow."""
    if dim is None:
        raise ArgumentError("log_softmax: name the axis over which probabilities add up to 1, for example dim=-1")
    x = _need_inexact(to_tensor_arg(input, "log_softmax"), "log_softmax", dtype)
    if not x.ndim:
        return log_softmax_of(x.reshape(1), 0).reshape(())
    return log_softmax_of(x, normalize_axis(dim, x.ndim, "log_softmax"))
