"""Sorting, ranking and searching, with PyTorch's arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinflow.core import as_dtype, as_int, normalize_axis
from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError
from twinflow.ops import _sort as rows
from twinflow.ops._autocast import in_float32
from twinflow.ops._declare import call
from twinflow.ops._math import isnan, logical_not, where
from twinflow.ops._promote import convert, is_inexact, promote, to_tensor_arg
from twinflow.ops._reductions import ValuesIndices
from twinflow.ops._shape import reshape
from twinflow.tensor import Tensor, apply, array_of, wrap


def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """The elements in order along an axis, and where each one stood.

    The order of equal elements is kept whether `stable` is asked for or not. NaN counts as the largest.

    >>> import twinflow
    >>> twinflow.sort(twinflow.tensor([2.0, 3.0, 1.0])).indices
    tensor([2, 0, 1])
    """
    x = to_tensor_arg(input, "sort")
    axis = normalize_axis(dim, x.ndim, "sort")
    if x.ndim == 0:
        return ValuesIndices(x.clone(), call("full", shape=(), value=0, dtype=as_dtype("int64")))
    return ValuesIndices(*apply(rows.sort, x, axis=axis, descending=bool(descending)))


def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that put an axis in order."""
    return sort(input, dim, descending).indices


def msort(input: Tensor) -> Tensor:
    """The elements in order along the first axis."""
    return sort(input, 0).values


def _front(pair: ValuesIndices, axis: int, start: int, stop: int) -> ValuesIndices:
    return ValuesIndices(*(part.narrow(axis, start, stop - start) for part in pair))


def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """The k largest (or smallest) elements along an axis and their indices, in order.

    Raises: ArgumentError if the axis has fewer than k elements.
    """
    x = to_tensor_arg(input, "topk")
    axis, k = normalize_axis(dim, x.ndim, "topk"), as_int(k, "topk: k")
    n = x._data.shape[axis] if x.ndim else 1
    if not 0 <= k <= n:
        raise ArgumentError(f"topk: k = {k} does not lie between 0 and the {n} elements of axis {axis}")
    pair = sort(x, axis, largest)
    return _front(pair, axis, 0, k) if x.ndim else pair


def _at(pair: ValuesIndices, axis: int, position: int, keepdim: bool) -> ValuesIndices:
    one = _front(pair, axis, position, position + 1)
    return one if keepdim else ValuesIndices(one.values.squeeze(axis), one.indices.squeeze(axis))


def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The k-th smallest element along an axis (k counts from 1) and its index."""
    x = to_tensor_arg(input, "kthvalue")
    axis, k = normalize_axis(dim, x.ndim, "kthvalue"), as_int(k, "kthvalue: k")
    n = x._data.shape[axis] if x.ndim else 1
    if not 1 <= k <= n:
        raise ArgumentError(f"kthvalue: k = {k} does not lie between 1 and the {n} elements of axis {axis}")
    pair = sort(x, axis)
    return _at(pair, axis, k - 1, keepdim) if x.ndim else pair


def _median(op: str, input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    x = to_tensor_arg(input, op)
    if dim is None:
        if not x._data.size:
            return call("full", shape=(), value=float("nan"), dtype=x.dtype)
        flat = apply(reshape, x, shape=(x._data.size,))
        return _median(op, flat, 0, False, skip_nan).values
    axis = normalize_axis(dim, x.ndim, op)
    if x.ndim == 0:
        return sort(x)
    n = x._data.shape[axis]
    if n == 0:
        raise IndexOutOfRange(f"{op}: axis {axis} of shape {tuple(x.shape)} is empty")
    pair = sort(x, axis)
    if not is_inexact(x):
        return _at(pair, axis, (n - 1) // 2, keepdim)
    # NaN sorts last: with k of them, the others' lower median stands at (n - k - 1) // 2
    missing = call("sum", convert(isnan(x), as_dtype("int64")), axes=(axis,), keepdim=True)
    if skip_nan:
        at = call("floor_divide", call("maximum", call("sub", n - 1, missing), 0), 2)
    else:  # PyTorch gives the first NaN if there is one
        at = where(missing > 0, call("sub", n, missing), (n - 1) // 2)
    found = ValuesIndices(*(call("gather", part, at, axis=axis) for part in pair))
    return found if keepdim else ValuesIndices(found.values.squeeze(axis), found.indices.squeeze(axis))


def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element, the lower one of two: of all elements, or (values, indices) along an axis."""
    return _median("median", input, dim, keepdim, False)


def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element of those that are numbers."""
    return _median("nanmedian", input, dim, keepdim, True)


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(
    op: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Tensor:
    x = to_tensor_arg(input, op)
    if interpolation not in _INTERPOLATIONS:
        raise ArgumentError(f"{op}: interpolation is one of {', '.join(_INTERPOLATIONS)}, not {interpolation!r}")
    if not is_inexact(x):
        raise ArgumentError(f"{op}: quantiles of {x.dtype.name} elements are not of their type; use .float() first")
    level = q if isinstance(q, Tensor) else call("full", shape=(), value=float(q), dtype=x.dtype)
    if level.ndim > 1:
        raise ShapeError(f"{op}: q is a number or a vector, not of shape {tuple(level.shape)}")
    if isinstance(q, (int, float)) and not 0 <= q <= 1:
        raise ArgumentError(f"{op}: q = {q} does not lie between 0 and 1")
    ndim = x.ndim
    if dim is None:
        axis = 0
        x = apply(reshape, x, shape=(x._data.size,))
    else:
        axis = normalize_axis(dim, ndim, op)
        x = x.reshape(1) if ndim == 0 else x
    n = x._data.shape[axis]
    if n == 0:
        raise ArgumentError(f"{op}: there is no quantile of nothing: the shape is {tuple(input.shape)}")
    ordered = sort(x, axis).values.movedim(axis, -1)  # [..., n]
    missing = isnan(ordered)
    count = call("sum", convert(logical_not(missing), x.dtype), axes=(ordered.ndim - 1,), keepdim=True)
    last = (count - 1.0).clamp(min=0.0) if skip_nan else float(n - 1)
    rank = last * convert(level, x.dtype).reshape(-1)  # [..., levels]
    if not isinstance(rank, Tensor) or rank.ndim < ordered.ndim:
        rank = rank.expand(*ordered._data.shape[:-1], rank._data.shape[-1])
    low = {"higher": rank.ceil(), "nearest": rank.round()}.get(interpolation, rank.floor())
    high = low if interpolation in ("lower", "higher", "nearest") else rank.ceil()
    int64 = as_dtype("int64")
    below = call("gather", ordered, convert(low.detach(), int64), axis=ordered.ndim - 1)
    y = below
    if high is not low:
        above = call("gather", ordered, convert(high.detach(), int64), axis=ordered.ndim - 1)
        y = below + (above - below) * (0.5 if interpolation == "midpoint" else rank - low)
        if interpolation == "midpoint":
            y = where(low == high, below, y)
    bad = (count == 0) if skip_nan else (count < float(n))
    y = where(bad, float("nan"), y)  # [..., levels]
    if keepdim:
        y = y.unsqueeze(-2)
        y = y.reshape((1,) * ndim + (y._data.shape[-1],)) if dim is None else y.movedim(-2, axis)
    y = y.movedim(-1, 0)
    y = y if level.ndim else y.squeeze(0)
    return y.reshape(()) if ndim == 0 and not level.ndim else y


@in_float32
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles: with the elements in order, what stands at position q · (n - 1).

    Between two elements `interpolation` decides: linear, lower, higher, midpoint or nearest. NaN if an element is.
    A vector of levels gives a new first axis.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@in_float32
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The q-quantiles of the elements that are numbers."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """The most frequent element along an axis (the smallest of several) and its last index."""
    x = to_tensor_arg(input, "mode")
    if x.ndim == 0:
        return sort(x)
    axis = normalize_axis(dim, x.ndim, "mode")
    n = x._data.shape[axis]
    if n == 0:
        raise IndexOutOfRange(f"mode: axis {axis} of shape {tuple(x.shape)} is empty")
    ordered, order = (part.movedim(axis, -1) for part in sort(x, axis))
    same = ordered.unsqueeze(-1) == ordered.unsqueeze(-2)
    count = call("sum", convert(same, as_dtype("int64")), axes=(ordered.ndim,), keepdim=False)
    first = count.argmax(-1, keepdim=True)
    last = first + call("gather", count, first, axis=count.ndim - 1) - 1  # the run's last element stands there
    values, index = (call("gather", part, last, axis=part.ndim - 1).movedim(-1, axis) for part in (ordered, order))
    return ValuesIndices(values, index) if keepdim else ValuesIndices(values.squeeze(axis), index.squeeze(axis))


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each value would have to be inserted to keep the last axis of `sorted_sequence` in order.

    Left: before equal elements; right (right=True or side="right"): after them. A vector serves values of any shape,
    otherwise the axes before the last agree.
    """
    rows_in = to_tensor_arg(sorted_sequence, "searchsorted", "sorted_sequence")
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError(f"searchsorted: side is 'left' or 'right' and agrees with right={right}, not {side!r}")
    if sorter is not None:
        rows_in = call("gather", rows_in, sorter, axis=rows_in.ndim - 1)
    r, v = promote("searchsorted", rows_in, input if isinstance(input, Tensor) else wrap(np.asarray(input)))
    shape = tuple(v._data.shape)
    if r.ndim == 1:
        v = apply(reshape, v, shape=(v._data.size,))
    elif shape[:-1] != tuple(r._data.shape[:-1]) or not shape:
        raise ShapeError(
            f"searchsorted: rows of shape {tuple(r.shape)} need values whose axes before the last agree, not {shape}"
        )
    y = apply(reshape, apply(rows.searchsorted, r, v, right=bool(right or side == "right")), shape=shape)
    return convert(y, as_dtype("int32")) if out_int32 else y


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The number of the bucket between `boundaries` (in increasing order) that each value falls into."""
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: boundaries are a vector, not of shape {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# -- results whose size depends on the values -------------------------------------------------------------------

_SIZE = "(the size of the result depends on the values)"


class UniqueResult(NamedTuple):
    """What `unique` finds: the elements, where each input element stands among them, and how often each occurs."""

    output: Tensor
    inverse_indices: Tensor
    counts: Tensor


def _choose(found: UniqueResult, inverse: bool, counts: bool) -> Any:
    parts = (found.output, *((found.inverse_indices,) if inverse else ()), *((found.counts,) if counts else ()))
    return parts if len(parts) > 1 else parts[0]


def unique(
    input: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The different elements in order, or the different slices along an axis.

    With return_inverse also where each element stands among them, with return_counts how often each occurs.
    """
    data = array_of(to_tensor_arg(input, "unique"), f"unique {_SIZE}")
    axis = None if dim is None else normalize_axis(dim, input.ndim, "unique")
    values, inverse, counts = np.unique(data, return_inverse=True, return_counts=True, axis=axis, equal_nan=False)
    shape = data.shape if axis is None else (data.shape[axis],)
    found = UniqueResult(wrap(values), wrap(inverse.reshape(shape)), wrap(counts.astype(np.int64)))
    return _choose(found, return_inverse, return_counts)


def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices along an axis) without repetitions of the one before."""
    data = array_of(to_tensor_arg(input, "unique_consecutive"), f"unique_consecutive {_SIZE}")
    axis = 0 if dim is None else normalize_axis(dim, input.ndim, "unique_consecutive")
    shape = data.shape if dim is None else (data.shape[axis],)
    lines = data.reshape(-1) if dim is None else np.moveaxis(data, axis, 0)
    n = lines.shape[0]
    new = np.ones(n, bool)
    new[1:] = (lines[1:] != lines[:-1]).reshape(max(n - 1, 0), -1).any(1)
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, n))
    values = lines[starts] if dim is None else np.moveaxis(lines[starts], 0, axis)
    inverse = (np.cumsum(new) - 1).reshape(shape)
    return _choose(UniqueResult(wrap(values), wrap(inverse), wrap(counts)), return_inverse, return_counts)


def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 on occurs in a vector; with weights, the sum of the weights."""
    x = to_tensor_arg(input, "bincount")
    if x.ndim != 1 or x._data.dtype.kind not in "iu":
        raise ShapeError(f"bincount: a vector of whole numbers is needed, not {x.dtype.name}{list(x.shape)}")
    if as_int(minlength, "bincount: minlength") < 0:
        raise ArgumentError(f"bincount: minlength must not be negative, but {minlength} was given")
    data = array_of(x, f"bincount {_SIZE}; scatter_add onto zeros of a known size does the same")
    if data.size and int(data.min()) < 0:
        raise ArgumentError(f"bincount: the numbers must not be negative, but {int(data.min())} is among them")
    n = max(int(data.max()) + 1 if data.size else 0, minlength)
    counting = weights is None
    each = call("full", shape=data.shape, value=1, dtype=as_dtype("int64")) if weights is None else weights
    if tuple(each.shape) != data.shape:
        raise ShapeError(f"bincount: weights of shape {tuple(each.shape)} for {data.size} numbers")
    if not counting and each.dtype.name != "float32":
        each = convert(each, as_dtype("float64"))
    zero = call("full", shape=(n,), value=0, dtype=each.dtype)
    return call("scatter_add", zero, convert(x, as_dtype("int64")), each, axis=0)


def _count_into(x: Tensor, weights: Tensor, at: Tensor, inside: Tensor, bins: int) -> Tensor:
    """Weights added up by bin; one more bin takes what lies outside."""
    where_to = where(inside, at, bins)
    zero = call("full", shape=(bins + 1,), value=0, dtype=weights.dtype)
    return call("scatter_add", zero, where_to, weights, axis=0).narrow(0, 0, bins)


def _equal_bins(x: Tensor, low: Any, high: Any, bins: int) -> tuple[Tensor, Tensor]:
    """(bin of each element, whether it lies inside) for equal bins from low to high; the last bin is closed."""
    inside = (x >= low) & (x <= high)
    at = convert(((where(inside, x, low) - low) * (bins / (high - low))).floor(), as_dtype("int64"))
    return at.clamp(max=bins - 1), inside


def histc(input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Tensor:
    """How many elements fall into each of `bins` equal intervals from min to max (both 0: of the elements)."""
    x = to_tensor_arg(input, "histc")
    x = apply(reshape, x.detach(), shape=(x._data.size,))
    if as_int(bins, "histc: bins") <= 0:
        raise ArgumentError(f"histc: the number of bins must be positive, not {bins}")
    if max < min:
        raise ArgumentError(f"histc: max = {max} lies below min = {min}")
    low, high = min, max
    if min == max and x._data.size:
        low, high = (x.amin(), x.amax()) if min == 0 else (min, max)
        if isinstance(low, Tensor):
            same = low == high
            low, high = where(same, low - 1, low), where(same, high + 1, high)
        else:
            low, high = low - 1, high + 1
    elif min == max:
        low, high = 0, 1
    at, inside = _equal_bins(x, low, high, bins)
    return _count_into(x, call("full", shape=tuple(x._data.shape), value=1, dtype=x.dtype), at, inside, bins)


class Histogram(NamedTuple):
    """Counts (or densities) and the edges of the bins."""

    hist: Tensor
    bin_edges: Tensor


def histogram(
    input: Tensor, bins: Any = 100, *, range: Any = None, weight: Tensor | None = None, density: bool = False
) -> Histogram:
    """(hist, bin_edges): how many elements, or how much weight, falls into each bin.

    Args:
        bins: the number of equal bins, or their edges in increasing order. Bins are open on the right, but the last.
        range: (low, high) of the bins; the extremes of the elements if not given.
        density: divide by the total and the width of each bin.
    """
    x = to_tensor_arg(input, "histogram")
    x = apply(reshape, x, shape=(x._data.size,))
    w = call("full", shape=tuple(x._data.shape), value=1, dtype=x.dtype) if weight is None else weight.reshape(-1)
    if isinstance(bins, Tensor):
        edges = bins
        n = edges._data.shape[0] - 1
        at = searchsorted(edges, x, right=True) - 1
        at = where(x == edges[n], n - 1, at)
        inside = (at >= 0) & (at < n)
    else:
        n = as_int(bins, "histogram: bins")
        low, high = range if range is not None else (x.amin(), x.amax())
        if not isinstance(low, Tensor) and low == high:
            low, high = low - 0.5, high + 0.5
        elif isinstance(low, Tensor):
            same = low == high
            low, high = where(same, low - 0.5, low), where(same, high + 0.5, high)
        steps = call("iota", n=n + 1, dtype=x.dtype)
        edges = steps * ((high - low) / n) + low
        at, inside = _equal_bins(x, low, high, n)
    hist = _count_into(x, w, at, inside, n)
    if density:
        hist = hist / (edges[1:] - edges[:-1]) / hist.sum()
    return Histogram(hist, edges)
