"""Reading and writing elements chosen by masks and index tensors: gather, scatter, index_select, masked_select, ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype, as_int, broadcast_shapes, normalize_axis, numel
from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.ops import _gather as rows
from twinflow.ops import _index
from twinflow.ops._declare import call
from twinflow.ops._math import as_bool, bool_of, where
from twinflow.ops._promote import convert, to_tensor_arg
from twinflow.ops._shape import expand, reshape, slice_, slice_update
from twinflow.tensor import SPECIAL, Tensor, apply, array_of, wrap

_SIZE = "(the size of the result depends on the values)"


def _int64(index: Any, op: str) -> Tensor:
    i = to_tensor_arg(index, op, "index")
    if i._data.dtype.kind not in "iu":
        raise DTypeError(f"{op}: the index holds whole numbers, not {i.dtype.name}")
    return convert(i, as_dtype("int64"))


def _wrapped(index: Tensor, n: int, op: str) -> Tensor:
    """Negative indices counted from the end; checked here where the values are known."""
    data = index._data
    if isinstance(data, np.ndarray) and not SPECIAL.count and data.size:
        low, high = int(data.min()), int(data.max())
        if low < -n or high >= n:
            raise IndexOutOfRange(f"{op}: index {low if low < -n else high} is outside [{-n}, {n - 1}]")
        if low >= 0:
            return index
    return where(index < 0, index + n, index)


# -- positions and masks ----------------------------------------------------------------------------------------


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where the elements differ from zero: int64 [count, ndim], or one vector for each axis."""
    data = array_of(to_tensor_arg(input, "nonzero"), f"nonzero {_SIZE}; where(condition, a, b) keeps the shape")
    if as_tuple:
        return tuple(wrap(a) for a in (data.reshape(1) if data.ndim == 0 else data).nonzero())
    return wrap(np.argwhere(data))


def argwhere(input: Tensor) -> Tensor:
    """Where the elements differ from zero: int64 [count, ndim]."""
    return nonzero(input)


def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """How many elements differ from zero, of all or along axes."""
    return convert(as_bool(input, "count_nonzero"), as_dtype("int64")).sum(dim)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds, as a vector."""
    x, m = to_tensor_arg(input, "masked_select"), bool_of(mask, "masked_select", "mask")
    shape = broadcast_shapes(tuple(x._data.shape), tuple(m._data.shape), op="masked_select")
    found = array_of(m, f"masked_select {_SIZE}; where(mask, a, b) keeps the shape")
    flat = wrap(np.flatnonzero(np.broadcast_to(found, shape)))
    return apply(rows.take, apply(reshape, apply(expand, x, shape=shape), shape=(numel(shape),)), flat, axis=0)


def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """`input` with the elements where the mask holds replaced, in order, by those of `source`."""
    x, m = to_tensor_arg(input, "masked_scatter"), bool_of(mask, "masked_scatter", "mask")
    if source.dtype is not x.dtype:
        raise DTypeError(f"masked_scatter: source is {source.dtype.name}, but the tensor is {x.dtype.name}")
    shape = broadcast_shapes(tuple(x._data.shape), tuple(m._data.shape), op="masked_scatter")
    x, m = apply(expand, x, shape=shape), apply(expand, m, shape=shape)
    n = numel(shape)
    flat = apply(reshape, m, shape=(n,))
    rank = call("cumsum", convert(flat, as_dtype("int64")), axis=0) - 1 if n else convert(flat, as_dtype("int64"))
    size = source._data.size
    if not SPECIAL.count and n and int(rank._data[-1]) >= size:
        raise ShapeError(f"masked_scatter: the mask holds {int(rank._data[-1]) + 1} times, but source has {size}")
    if not size:
        return x.clone()
    taken = apply(rows.take, apply(reshape, source, shape=(size,)), rank.clamp(0, size - 1), axis=0)
    return call("where", m, apply(reshape, taken, shape=shape), x)


# -- along one axis ---------------------------------------------------------------------------------------------


def _vector(index: Any, op: str) -> Tensor:
    i = _int64(index, op)
    if i.ndim > 1:
        raise ShapeError(f"{op}: the index is a vector, not of shape {tuple(i.shape)}")
    return i if i.ndim else apply(reshape, i, shape=(1,))


def _axis_of(x: Tensor, dim: int, op: str) -> tuple[Tensor, int]:
    """(x with at least one axis, the axis)."""
    axis = normalize_axis(dim, x.ndim, op)
    return (x if x.ndim else apply(reshape, x, shape=(1,))), axis


def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Whole slices along an axis: those that the index vector names.

    >>> import twinflow
    >>> twinflow.index_select(twinflow.tensor([[1, 2, 3], [4, 5, 6]]), 1, twinflow.tensor([2, 0]))
    tensor([[3, 1],
            [6, 4]])
    """
    x, axis = _axis_of(to_tensor_arg(input, "index_select"), dim, "index_select")
    y = apply(rows.take, x, _vector(index, "index_select"), axis=axis)
    return y if input.ndim else y.reshape(())


def _slices_of(op: str, x: Tensor, axis: int, index: Tensor, source: Any) -> Tensor:
    """`source` as the slices that the index names."""
    shape = (*x._data.shape[:axis], index._data.shape[0], *x._data.shape[axis + 1 :])
    s = to_tensor_arg(source, op, "source")
    if s.dtype is not x.dtype:
        raise DTypeError(f"{op}: source is {s.dtype.name}, but the tensor is {x.dtype.name}; convert one with .to(...)")
    if s.ndim == 0 and numel(shape) == 1:
        s = apply(reshape, s, shape=shape)
    if tuple(s._data.shape) != shape:
        raise ShapeError(f"{op}: source has shape {tuple(s.shape)}, but the {shape[axis]} slices named have {shape}")
    return s


def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """`input` with slices added along an axis; repeated indices accumulate."""
    x, axis = _axis_of(to_tensor_arg(input, "index_add"), dim, "index_add")
    i = _vector(index, "index_add")
    s = _slices_of("index_add", x, axis, i, source)
    y = apply(rows.put_add, x, i, s if alpha == 1 else s * alpha, axis=axis)
    return y if input.ndim else y.reshape(())


def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """`input` with slices replaced along an axis; of repeated indices the last wins."""
    x, axis = _axis_of(to_tensor_arg(input, "index_copy"), dim, "index_copy")
    i = _vector(index, "index_copy")
    y = _index.put(x, i, _slices_of("index_copy", x, axis, i, source), axis)
    return y if input.ndim else y.reshape(())


def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """`input` with one value in the slices named along an axis."""
    x, axis = _axis_of(to_tensor_arg(input, "index_fill"), dim, "index_fill")
    i = _vector(index, "index_fill")
    shape = (*x._data.shape[:axis], i._data.shape[0], *x._data.shape[axis + 1 :])
    v = value if isinstance(value, Tensor) else call("full", shape=(), value=value, dtype=x.dtype)
    if v.ndim:
        raise ShapeError(f"index_fill: the value is a number or a 0-dimensional tensor, not {tuple(v.shape)}")
    y = _index.put(x, i, apply(expand, convert(v, x.dtype), shape=shape), axis)
    return y if input.ndim else y.reshape(())


def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """Elements by an index of the same number of axes, which broadcasts against `input`; flattened without dim."""
    x, i = to_tensor_arg(input, "take_along_dim"), _int64(indices, "take_along_dim")
    if dim is None:
        x, i, dim = apply(reshape, x, shape=(x._data.size,)), apply(reshape, i, shape=(i._data.size,)), 0
    axis = normalize_axis(dim, x.ndim, "take_along_dim")
    if x.ndim != i.ndim:
        raise ShapeError(f"take_along_dim: tensor and index have {x.ndim} and {i.ndim} axes")
    xs, js = list(x._data.shape), list(i._data.shape)
    n = xs[axis]
    xs[axis] = js[axis] = 1
    common = list(broadcast_shapes(tuple(xs), tuple(js), op="take_along_dim"))
    x = apply(expand, x, shape=(*common[:axis], n, *common[axis + 1 :]))
    i = apply(expand, i, shape=(*common[:axis], i._data.shape[axis], *common[axis + 1 :]))
    return apply(rows.gather, x, _wrapped(i, n, "take_along_dim"), axis=axis)


def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """y[i, j] = x[index[i, j], j] along axis 0, and so on: one index per element of the result."""
    x = to_tensor_arg(input, "gather")
    return apply(rows.gather, x, _int64(index, "gather"), axis=normalize_axis(dim, x.ndim, "gather"))


_REDUCE = {"add": "sum", "multiply": "prod"}


def _scatter_source(op: str, x: Tensor, index: Tensor, src: Any) -> Tensor:
    """`src` cut to the index's shape; a number is spread over it."""
    if not isinstance(src, Tensor):
        return call("full", shape=tuple(index._data.shape), value=src, dtype=x.dtype)
    if src.dtype is not x.dtype:
        raise DTypeError(f"{op}: src is {src.dtype.name}, but the tensor is {x.dtype.name}; convert one with .to(...)")
    have, need = tuple(src._data.shape), tuple(index._data.shape)
    if len(have) != len(need) or any(a < b for a, b in zip(have, need)):
        raise ShapeError(f"{op}: src of shape {have} does not cover the index of shape {need}")
    if have == need:
        return src
    return apply(slice_, src, starts=(0,) * len(need), stops=need, steps=(1,) * len(need))


def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """`input` with y[index[i, j], j] = src[i, j] along axis 0, and so on; of repeated indices the last wins.

    Args:
        src: a tensor at least as large as the index, or a number (also as `value`).
        reduce: "add" or "multiply" combine with what is there.
    """
    x, i = to_tensor_arg(input, "scatter"), _int64(index, "scatter")
    axis = normalize_axis(dim, x.ndim, "scatter")
    if (src is None) == (value is None):
        raise ArgumentError("scatter: give either src or value")
    v = _scatter_source("scatter", x, i, src if src is not None else value)
    if reduce is None:
        return apply(rows.scatter, x, i, v, axis=axis)
    if reduce not in _REDUCE:
        raise ArgumentError(f"scatter: reduce is 'add' or 'multiply', not {reduce!r}; scatter_reduce has more")
    return scatter_reduce(x, axis, i, v, _REDUCE[reduce])


def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """`input` with y[index[i, j], j] += src[i, j] along axis 0, and so on; repeated indices accumulate."""
    x, i = to_tensor_arg(input, "scatter_add"), _int64(index, "scatter_add")
    axis = normalize_axis(dim, x.ndim, "scatter_add")
    return apply(rows.scatter_add, x, i, _scatter_source("scatter_add", x, i, src), axis=axis)


_IDENTITY = {"sum": 0, "prod": 1, "mean": 0}


def _identity(reduce: str, x: Tensor) -> Any:
    if reduce in _IDENTITY:
        return _IDENTITY[reduce]
    if x._data.dtype.kind in "fV":
        return float("-inf") if reduce == "amax" else float("inf")
    info = np.iinfo(x._data.dtype)
    return int(info.min if reduce == "amax" else info.max)


def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Elements of `src` combined into the places that the index names: sum, prod, mean, amax or amin.

    Args:
        include_self: combine with what is there; otherwise places that the index names start afresh.
    """
    x, i = to_tensor_arg(input, "scatter_reduce"), _int64(index, "scatter_reduce")
    axis = normalize_axis(dim, x.ndim, "scatter_reduce")
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ArgumentError(f"scatter_reduce: reduce is sum, prod, mean, amax or amin, not {reduce!r}")
    v = _scatter_source("scatter_reduce", x, i, src)
    int64 = as_dtype("int64")
    zero = call("full", shape=tuple(x._data.shape), value=0, dtype=int64)
    one = call("full", shape=tuple(i._data.shape), value=1, dtype=int64)
    start = x
    count = apply(rows.scatter_add, zero, i, one, axis=axis) if reduce == "mean" or not include_self else zero
    if not include_self:
        start = where(count > 0, _identity(reduce, x), x)
    if reduce in ("sum", "mean"):
        y = apply(rows.scatter_add, start, i, v, axis=axis)
    else:
        combine = {"prod": "prod", "amax": "max", "amin": "min"}[reduce]
        y = apply(rows.scatter_fold, start, i, v, axis=axis, combine=combine)
    if reduce != "mean":
        return y
    n = (count + 1 if include_self else count).clamp(min=1)
    return y / n if x._data.dtype.kind in "fcV" else call("floor_divide", y, convert(n, y.dtype))


def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Slices of `source` combined into the slices that the index names: prod, mean, amax or amin."""
    x, axis = _axis_of(to_tensor_arg(input, "index_reduce"), dim, "index_reduce")
    i = _vector(index, "index_reduce")
    s = _slices_of("index_reduce", x, axis, i, source)
    shape = [1] * x.ndim
    shape[axis] = i._data.shape[0]
    spread = apply(expand, apply(reshape, i, shape=tuple(shape)), shape=tuple(s._data.shape))
    return scatter_reduce(x, axis, spread, s, reduce, include_self=include_self)


# -- by flat position, and by index tensors ---------------------------------------------------------------------


def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements by their position in the flattened tensor, in the index's shape."""
    x = to_tensor_arg(input, "take")
    flat = apply(reshape, x, shape=(x._data.size,))
    return apply(rows.take, flat, _wrapped(_int64(index, "take"), x._data.size, "take"), axis=0)


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with elements replaced (or added to) by their position in the flattened tensor."""
    x, i = to_tensor_arg(input, "put"), _int64(index, "put")
    if i._data.size != source._data.size:
        raise ShapeError(f"put: {i._data.size} positions for {source._data.size} values")
    n = x._data.size
    flat, at = apply(reshape, x, shape=(n,)), apply(reshape, _wrapped(i, n, "put"), shape=(i._data.size,))
    v = apply(reshape, source, shape=(source._data.size,))
    y = apply(rows.put_add, flat, at, v, axis=0) if accumulate else _index.put(flat, at, v, 0)
    return apply(reshape, y, shape=tuple(x._data.shape))


def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """`input` with input[indices] = values, or += for repeated indices too if `accumulate`."""
    x = to_tensor_arg(input, "index_put")
    index = tuple(slice(None) if i is None else i for i in indices)
    if not accumulate:
        y = x.clone()
        y[index] = values
        return y
    positions = call("iota", n=x._data.size, dtype=as_dtype("int64"))
    at = apply(reshape, positions, shape=tuple(x._data.shape))[index]
    v = apply(expand, values, shape=tuple(at._data.shape))
    return put(x, at, v, accumulate=True)


# -- one position or slice --------------------------------------------------------------------------------------


def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one position of an axis, which vanishes: a view."""
    x = to_tensor_arg(input, "select")
    if not x.ndim:
        raise IndexOutOfRange("select: a 0-dimensional tensor has no axis to select from")
    axis = normalize_axis(dim, x.ndim, "select")
    n, i = x._data.shape[axis], as_int(index, "select: the index")
    if not -n <= i < n:
        raise IndexOutOfRange(f"select: index {i} is outside axis {axis} of extent {n}")
    return x.narrow(axis, i % n, 1).squeeze(axis)


def _bounds(x: Tensor, axis: int, start: int | None, end: int | None, step: int) -> dict[str, Any]:
    shape = x._data.shape
    a, b, s = slice(start, end, step).indices(shape[axis])
    starts, stops, steps = [0] * len(shape), list(shape), [1] * len(shape)
    starts[axis], stops[axis], steps[axis] = a, max(a, b), s
    return {"starts": tuple(starts), "stops": tuple(stops), "steps": tuple(steps)}


def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """`input` with a slice of an axis replaced by `src`."""
    x = to_tensor_arg(input, "slice_scatter")
    if step <= 0:
        raise ArgumentError(f"slice_scatter: step must be positive, not {step}")
    where_to = _bounds(x, normalize_axis(dim, x.ndim, "slice_scatter"), start, end, step)
    return apply(slice_update, x, convert(src, x.dtype), **where_to)


def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """`input` with the slice at one position of an axis replaced by `src`."""
    x = to_tensor_arg(input, "select_scatter")
    axis = normalize_axis(dim, x.ndim, "select_scatter")
    n, i = x._data.shape[axis], as_int(index, "select_scatter: the index")
    if not -n <= i < n:
        raise IndexOutOfRange(f"select_scatter: index {i} is outside axis {axis} of extent {n}")
    return slice_scatter(x, src.unsqueeze(axis), axis, i % n, i % n + 1)


def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """`input` with a diagonal of two axes replaced by `src`."""
    x = to_tensor_arg(input, "diagonal_scatter")
    y = x.clone()
    view = y.diagonal(offset, dim1, dim2)
    if tuple(view.shape) != tuple(src.shape):
        raise ShapeError(f"diagonal_scatter: src has shape {tuple(src.shape)}, the diagonal {tuple(view.shape)}")
    view.copy_(src)
    return y
