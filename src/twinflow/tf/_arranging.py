"""Blocks, partitions and places: rarer functions that stand in `tf` itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow import ops
from twinflow.core import as_dtype, broadcast_shapes
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor, is_tracing, refuse_tracing
from twinflow.tf._array import identity, pad, shape
from twinflow.tf._extras import unique
from twinflow.tf._functions import named
from twinflow.tf._shapes import TensorShape, known_int, shape_list


def _rows(value: Any, n: int) -> list[tuple[int, ...]]:
    rows = [shape_list(r) for r in (value.tolist() if isinstance(value, (Tensor, np.ndarray)) else value)]
    if len(rows) != n:
        raise ShapeError(f"blocks of {n} axes need {n} pairs of numbers, not {len(rows)}")
    return rows


@named
def space_to_batch(input: Any, block_shape: Any, paddings: Any) -> Tensor:
    """Blocks of the axes behind the first laid into the batch: [N, s·b, ...] -> [N·b, s, ...], padded first."""
    block = shape_list(block_shape)
    x = to_tensor(input)
    x = pad(x, [(0, 0), *_rows(paddings, len(block)), *[(0, 0)] * (x.ndim - 1 - len(block))])
    n, rest = int(x.shape[0]), tuple(x.shape[1 + len(block) :])
    split: list[int] = []
    for s, b in zip(x.shape[1:], block):
        if s % b:
            raise ShapeError(f"tf.space_to_batch: the extent {s} does not divide into blocks of {b}")
        split += [s // b, b]
    y = x.reshape(n, *split, *rest)
    inner = [2 * k + 2 for k, _ in enumerate(block)]
    outer = [2 * k + 1 for k, _ in enumerate(block)]
    y = y.permute(*inner, 0, *outer, *[2 * len(block) + 1 + k for k, _ in enumerate(rest)])
    return y.reshape(n * int(np.prod(block)), *[split[2 * k] for k, _ in enumerate(block)], *rest)


@named
def batch_to_space(input: Any, block_shape: Any, crops: Any) -> Tensor:
    """The inverse of `space_to_batch`, without the `crops` at both ends."""
    block = shape_list(block_shape)
    x = to_tensor(input)
    m = len(block)
    n = int(x.shape[0]) // int(np.prod(block))
    if n * int(np.prod(block)) != x.shape[0]:
        raise ShapeError(f"tf.batch_to_space: a batch of {x.shape[0]} does not divide into blocks of {block}")
    inner, rest = tuple(x.shape[1 : 1 + m]), tuple(x.shape[1 + m :])
    y = x.reshape(*block, n, *inner, *rest)
    order = [m]
    for k, _ in enumerate(block):
        order += [m + 1 + k, k]
    y = y.permute(*order, *[2 * m + 1 + k for k, _ in enumerate(rest)])
    y = y.reshape(n, *[s * b for s, b in zip(inner, block)], *rest)
    for axis, (low, high) in enumerate(_rows(crops, m), 1):
        y = ops.narrow(y, axis, low, int(y.shape[axis]) - low - high)
    return y


space_to_batch_nd = space_to_batch


@named
def dynamic_partition(data: Any, partitions: Any, num_partitions: int) -> list[Tensor]:
    """The slices of each part in a list. How many there are depends on values, so it cannot be traced."""
    refuse_tracing("tf.dynamic_partition", "the shapes of its results depend on values; use tf.where or a mask")
    x, p = to_tensor(data), to_tensor(partitions)
    return [x[p == k] for k in np.arange(num_partitions).tolist()]


@named
def dynamic_stitch(indices: Any, data: Any) -> Tensor:
    """Slices put at the places that the indices name; a later one wins."""
    at = [to_tensor(i).to(dtype="int64") for i in indices]
    x = [to_tensor(d) for d in data]
    flat = [d.reshape(-1, *d.shape[i.ndim :]) for i, d in zip(at, x)]
    places = ops.concat([i.reshape(-1) for i in at], 0)
    refuse_tracing("tf.dynamic_stitch", "the shape of its result depends on values; use tf.scatter_nd")
    out = ops.zeros((int(places.max()) + 1, *flat[0].shape[1:]), dtype=flat[0].dtype)
    for i, d in zip(at, flat):
        out = ops.index_put(out, (i.reshape(-1),), d)
    return out


@named
def unravel_index(indices: Any, dims: Any) -> Tensor:
    """The places along each axis, [axes, ...], of places in the flattened tensor."""
    t = to_tensor(indices)
    return ops.stack([i.to(dtype=t.dtype) for i in ops.unravel_index(t.to(dtype="int64"), shape_list(dims))])


@named
def unique_with_counts(x: Any, out_idx: Any = "int32") -> Any:
    """(the different elements, the place of each element among them, how often each occurs)."""
    values, places = unique(x, out_idx)
    n = int(values.shape[0])
    return values, places, ops.bincount(places.to(dtype="int64"), minlength=n).to(dtype=as_dtype(out_idx))


@named
def histogram_fixed_width_bins(values: Any, value_range: Any, nbins: int = 100, dtype: Any = "int32") -> Tensor:
    """Which of equal intervals each element falls into; those outside fall into the first or last."""
    t = to_tensor(values)
    low, high = (float(v) for v in to_tensor(value_range).tolist())
    n = known_int(nbins)
    return ops.clamp(ops.floor((t - low) / (high - low) * n), 0, n - 1).to(dtype=as_dtype(dtype))


@named
def histogram_fixed_width(values: Any, value_range: Any, nbins: int = 100, dtype: Any = "int32") -> Tensor:
    """How many elements fall into each of equal intervals."""
    bins = histogram_fixed_width_bins(values, value_range, nbins, "int64").reshape(-1)
    ones = ops.ones(bins.shape, dtype=as_dtype(dtype))
    return ops.index_add(ops.zeros((known_int(nbins),), dtype=as_dtype(dtype)), 0, bins, ones)


def _scatter_extreme(tensor: Any, indices: Any, updates: Any, reduce: str) -> Tensor:
    t, i, u = to_tensor(tensor), to_tensor(indices).to(dtype="int64"), to_tensor(updates)
    k = int(i.shape[-1])
    inner = int(np.prod(t.shape[k:])) if t.ndim > k else 1
    strides = [int(np.prod(t.shape[a + 1 : k])) for a in np.arange(k).tolist()]
    rows = ops.sum(i * ops.tensor(strides), -1).reshape(-1, 1)
    flat = t.reshape(-1, inner)
    places = rows.expand(rows.shape[0], inner)
    return ops.scatter_reduce(flat, 0, places, u.reshape(-1, inner), reduce).reshape(tuple(t.shape))


@named
def tensor_scatter_nd_max(tensor: Any, indices: Any, updates: Any) -> Tensor:
    """A tensor with the larger of element and update at places."""
    return _scatter_extreme(tensor, indices, updates, "amax")


@named
def tensor_scatter_nd_min(tensor: Any, indices: Any, updates: Any) -> Tensor:
    """A tensor with the smaller of element and update at places."""
    return _scatter_extreme(tensor, indices, updates, "amin")


@named
def bitcast(input: Any, type: Any) -> Tensor:
    """The same bits as another type of the same size. Values must be known."""
    refuse_tracing("tf.bitcast", "do it outside the function")
    t, kind = to_tensor(input), as_dtype(type)
    if t.dtype.np.itemsize != kind.np.itemsize:
        raise ArgumentError(f"tf.bitcast: {t.dtype.name} and {kind.name} are of different sizes")
    return to_tensor(np.asarray(t.detach()._data).view(kind.np), kind)


@named
def broadcast_dynamic_shape(shape_x: Any, shape_y: Any) -> Tensor:
    """The shape that two shapes broadcast to, as a tensor."""
    return ops.tensor(broadcast_shapes(shape_list(shape_x), shape_list(shape_y)), dtype="int32")


def broadcast_static_shape(shape_x: Any, shape_y: Any) -> TensorShape:
    """The shape that two shapes broadcast to."""
    return TensorShape(broadcast_shapes(shape_list(shape_x), shape_list(shape_y)))


@named
def shape_n(input: Any, out_type: Any = "int32") -> list[Tensor]:
    """The extents of several tensors."""
    return [shape(x, out_type) for x in input]


@named
def identity_n(input: Any) -> list[Tensor]:
    """Tensors with the same values."""
    return [identity(x) for x in input]


@named
def invert_permutation(x: Any) -> Tensor:
    """The order that undoes another order."""
    t = to_tensor(x)
    return ops.argsort(t).to(dtype=t.dtype)


def get_static_value(tensor: Any, partial: bool = False) -> Any:
    """The elements as an array, None while a function is traced."""
    if isinstance(tensor, Tensor):
        return None if is_tracing() else np.array(tensor.detach()._data)
    return np.asarray(tensor)
