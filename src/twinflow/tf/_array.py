"""Making, arranging and choosing elements, by the names that stand in `tf` itself."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow import ops
from twinflow.autograph import RANGES
from twinflow.core import DType, as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor, is_tracing
from twinflow.tf._functions import named
from twinflow.tf._shapes import known_int, shape_list

_PLAIN = {"bfloat16": "float32"}  # NumPy has no number of this type


# -- making ------------------------------------------------------------------------------------------------------


@named
def constant(value: Any, dtype: Any = None, shape: Any = None) -> Tensor:
    """A tensor of these values. Python's floats become float32, its ints int32.

    >>> from twinflow import tf
    >>> tf.constant([1.0, 2.0])
    tensor([1., 2.])
    """
    t = to_tensor(value, dtype)
    if is_tracing() and not isinstance(value, Tensor) and t.numel() == 1 and not t.dtype.is_complex:
        number = np.asarray(t._data).reshape(()).astype(_PLAIN.get(t.dtype.name, t.dtype.np)).item()
        t = ops.full(tuple(t.shape), number, dtype=t.dtype)  # known to what is derived from it
    else:
        t = t.detach().clone()
    if shape is None:
        return t
    return t.expand(shape_list(shape)).clone() if t.numel() == 1 else t.reshape(shape_list(shape))


@named
def zeros(shape: Any, dtype: Any = "float32") -> Tensor:
    """Zeros."""
    return ops.zeros(shape_list(shape), dtype=as_dtype(dtype))


@named
def ones(shape: Any, dtype: Any = "float32") -> Tensor:
    """Ones."""
    return ops.ones(shape_list(shape), dtype=as_dtype(dtype))


@named
def fill(dims: Any, value: Any) -> Tensor:
    """One value everywhere."""
    return ops.zeros(shape_list(dims), dtype=to_tensor(value).dtype) + value


def _dtype(dtype: Any) -> DType | None:
    return None if dtype is None else as_dtype(dtype)


@named
def zeros_like(input: Any, dtype: Any = None) -> Tensor:
    """Zeros in the shape and type of a tensor."""
    return ops.zeros_like(to_tensor(input), dtype=_dtype(dtype))


@named
def ones_like(input: Any, dtype: Any = None) -> Tensor:
    """Ones in the shape and type of a tensor."""
    return ops.ones_like(to_tensor(input), dtype=_dtype(dtype))


@named
def eye(num_rows: int, num_columns: int | None = None, batch_shape: Any = None, dtype: Any = "float32") -> Tensor:
    """Ones on the diagonal, the same for all of a batch."""
    n = known_int(num_rows)
    one = ops.eye(n, n if num_columns is None else known_int(num_columns), dtype=as_dtype(dtype))
    return one if batch_shape is None else one.expand(*shape_list(batch_shape), *one.shape).clone()


@named
def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None) -> Tensor:
    """start, start + delta, ... below limit; range(n) begins at 0. Whole numbers give int32."""
    parts = [_number(v) for v in (start, limit, delta) if v is not None]
    if limit is None:
        parts = [0, parts[0], parts[1]]
    whole = builtins.all(isinstance(v, int) for v in parts)
    return ops.arange(*parts, dtype=as_dtype(dtype) if dtype is not None else as_dtype("int32" if whole else "float32"))


RANGES.append(range)  # `for i in tf.range(n)` may go along a range whose bounds are not known yet


def _number(v: Any) -> Any:
    if isinstance(v, Tensor):
        return float(v._data) if v.dtype.is_floating_point else known_int(v)
    return v.item() if isinstance(v, (np.generic, np.ndarray)) else v


@named
def linspace(start: Any, stop: Any, num: int, axis: int = 0) -> Tensor:
    """`num` numbers from start to stop, both included; between tensors, along a new axis."""
    first, last, n = to_tensor(start), to_tensor(stop), known_int(num)
    if not first.dtype.is_floating_point:
        first, last = first.to(dtype="float64"), last.to(dtype="float64")
    if first.ndim == last.ndim == 0:
        return ops.linspace(_number(start), _number(stop), n, dtype=first.dtype)
    steps = ops.linspace(0.0, 1.0, n, dtype=first.dtype)
    return (first.unsqueeze(-1) + (last - first).unsqueeze(-1) * steps).movedim(-1, axis)


@named
def one_hot(
    indices: Any, depth: int, on_value: Any = 1.0, off_value: Any = 0.0, axis: int = -1, dtype: Any = "float32"
) -> Tensor:
    """`on_value` at the place of each index along a new axis of `depth`; indices outside give only `off_value`."""
    t, n = to_tensor(indices), known_int(depth)
    at = axis if axis >= 0 else t.ndim + 1 + axis
    places = ops.arange(n, dtype=t.dtype).reshape((n,) + (1,) * (t.ndim - at))
    hit = t.unsqueeze(at) == places
    out = hit.to(dtype=as_dtype(dtype))
    return out if on_value == 1 and off_value == 0 else out * (on_value - off_value) + off_value


@named
def sequence_mask(lengths: Any, maxlen: int | None = None, dtype: Any = "bool") -> Tensor:
    """True at the first `length` places of each row."""
    t = to_tensor(lengths)
    n = known_int(maxlen) if maxlen is not None else int(t.max())
    return (ops.arange(n, dtype=t.dtype) < t.unsqueeze(-1)).to(dtype=as_dtype(dtype))


# -- arranging ---------------------------------------------------------------------------------------------------


@named
def reshape(tensor: Any, shape: Any) -> Tensor:
    """The same elements in another shape; -1 stands for what is left."""
    return to_tensor(tensor).reshape(shape_list(shape))


@named
def transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Tensor:
    """The axes in another order, reversed if none is given."""
    t = to_tensor(a)
    t = ops.permute(t, tuple(reversed(builtins.range(t.ndim))) if perm is None else shape_list(perm))
    return ops.conj(t) if conjugate else t


@named
def concat(values: Any, axis: int) -> Tensor:
    """Tensors one after the other along an axis."""
    return ops.concat(_alike(values), known_int(axis))


@named
def stack(values: Any, axis: int = 0) -> Tensor:
    """Tensors beside each other along a new axis."""
    return ops.stack(_alike(values), axis)


def _alike(values: Any) -> list[Tensor]:
    """Tensors of one type: numbers take that of the first tensor."""
    given = list(values)
    first = next((v.dtype for v in given if isinstance(v, Tensor)), None)
    return [v if isinstance(v, Tensor) else to_tensor(v, first) for v in given]


@named
def unstack(value: Any, num: int | None = None, axis: int = 0) -> Any:
    """The slices along an axis, as a list."""
    parts = list(ops.unbind(to_tensor(value), axis))
    if num is not None and num != len(parts):
        raise ArgumentError(f"tf.unstack: axis {axis} has {len(parts)} slices, not {num}")
    return parts


@named
def split(value: Any, num_or_size_splits: Any, axis: int = 0) -> Any:
    """Pieces along an axis: so many of equal size, or of the sizes listed."""
    t = to_tensor(value)
    n = int(t.shape[axis])
    if isinstance(num_or_size_splits, int):
        if n % num_or_size_splits:
            raise ShapeError(
                f"tf.split: axis {axis} of {tuple(t.shape)} does not divide into {num_or_size_splits} equal pieces"
            )
        return list(ops.split(t, n // num_or_size_splits, axis))
    sizes = list(shape_list(num_or_size_splits))
    if -1 in sizes:
        sizes[sizes.index(-1)] = n - sum(s for s in sizes if s != -1)
    return list(ops.split(t, sizes, axis))


@named
def squeeze(input: Any, axis: Any = None) -> Tensor:
    """Without axes of extent 1: all of them, or those named."""
    t = to_tensor(input)
    if axis is None:
        return ops.squeeze(t)
    axes = [axis] if isinstance(axis, int) else list(axis)
    for a in axes:
        if t.shape[a] != 1:
            raise ShapeError(f"tf.squeeze: axis {a} of {tuple(t.shape)} has the extent {t.shape[a]}, not 1")
    return ops.squeeze(t, tuple(axes)) if axes else ops.squeeze(t)


@named
def expand_dims(input: Any, axis: int) -> Tensor:
    """With a further axis of extent 1."""
    return ops.unsqueeze(to_tensor(input), known_int(axis))


@named
def tile(input: Any, multiples: Any) -> Tensor:
    """The tensor laid side by side so many times along each axis."""
    return ops.tile(to_tensor(input), shape_list(multiples))


@named
def repeat(input: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each slice along an axis (each element) so many times."""
    times = repeats if isinstance(repeats, int) else to_tensor(repeats).to(dtype="int64")
    return ops.repeat_interleave(to_tensor(input), times, axis)


@named
def broadcast_to(input: Any, shape: Any) -> Tensor:
    """The tensor repeated to a shape."""
    return ops.broadcast_to(to_tensor(input), shape_list(shape))


@named
def pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Tensor:
    """The tensor with further elements around it: [before, after] for each axis; mode CONSTANT, REFLECT or SYMMETRIC."""
    t = to_tensor(tensor)
    rows = [shape_list(row) for row in paddings]
    if mode.upper() == "CONSTANT":
        return F.pad(t, [n for row in reversed(rows) for n in row], "constant", constant_values)
    skip = {"REFLECT": 1, "SYMMETRIC": 0}.get(mode.upper())
    if skip is None:
        raise ArgumentError(f"tf.pad: mode is CONSTANT, REFLECT or SYMMETRIC, not {mode!r}")
    for axis, (low, high) in enumerate(rows):
        n = int(t.shape[axis])
        if low > n - skip or high > n - skip:
            raise ShapeError(f"tf.pad: {mode} of {(low, high)} at axis {axis} needs more than its {n} elements")
        order = [
            *builtins.range(low - 1 + skip, skip - 1, -1),
            *builtins.range(n),
            *builtins.range(n - 1 - skip, n - 1 - skip - high, -1),
        ]
        t = ops.index_select(t, axis, ops.tensor(order))
    return t


@named
def reverse(tensor: Any, axis: Any) -> Tensor:
    """The order along axes turned around."""
    return ops.flip(to_tensor(tensor), shape_list(axis))


@named
def roll(input: Any, shift: Any, axis: Any) -> Tensor:
    """Elements shifted along axes; those that leave at one end come in at the other."""
    return ops.roll(to_tensor(input), shift, axis)


@named
def meshgrid(*args: Any, indexing: str = "xy") -> Any:
    """The coordinates of a grid from those along its axes."""
    return list(ops.meshgrid(*[to_tensor(x) for x in args], indexing=indexing))


@named
def identity(input: Any) -> Tensor:
    """A tensor with the same value."""
    return ops.clone(to_tensor(input))


@named
def stop_gradient(input: Any) -> Tensor:
    """The value as a constant: gradients end here."""
    return to_tensor(input).detach()


@named
def ensure_shape(x: Any, shape: Any) -> Tensor:
    """The tensor itself. Raises: ShapeError if it does not have this shape, in which None stands for any extent."""
    t = to_tensor(x)
    want = list(shape)
    if len(want) != t.ndim or builtins.any(w is not None and w != n for w, n in zip(want, t.shape)):
        raise ShapeError(f"tf.ensure_shape: the shape is {tuple(t.shape)}, not {tuple(want)}")
    return ops.clone(t)


# -- choosing ----------------------------------------------------------------------------------------------------


@named
def slice(input_: Any, begin: Any, size: Any) -> Tensor:
    """From `begin`, `size` elements along each axis; -1 means all that follow."""
    t = to_tensor(input_)
    where_ = tuple(builtins.slice(b, None if s == -1 else b + s) for b, s in zip(shape_list(begin), shape_list(size)))
    return t[where_]


@named
def strided_slice(input_: Any, begin: Any, end: Any, strides: Any = None) -> Tensor:
    """Elements from `begin` up to `end` in steps, along the first axes."""
    first, last = shape_list(begin), shape_list(end)
    steps = (1,) * len(first) if strides is None else shape_list(strides)
    return to_tensor(input_)[tuple(builtins.slice(*part) for part in zip(first, last, steps))]


def _plain_index(index: Any) -> Any:
    if isinstance(index, tuple):
        return tuple(_plain_index(i) for i in index)
    if isinstance(index, builtins.slice):
        return builtins.slice(*[None if v is None else known_int(v) for v in (index.start, index.stop, index.step)])
    return index


def getitem(x: Any, index: Any) -> Tensor:
    """x[index]."""
    return to_tensor(x)[_plain_index(index)]


@named
def gather(params: Any, indices: Any, axis: int = 0, batch_dims: int = 0) -> Tensor:
    """The slices along an axis that the indices name; with `batch_dims`, row by row."""
    t, i = to_tensor(params), to_tensor(indices).to(dtype="int64")
    axis = axis % t.ndim
    if batch_dims == 0:
        flat = ops.index_select(t, axis, i.reshape(-1))
        return flat.reshape((*t.shape[:axis], *i.shape, *t.shape[axis + 1 :]))
    if batch_dims != 1 or axis != 1 or i.ndim != 2:
        raise ArgumentError("tf.gather: batch_dims is 0, or 1 with axis=1 and two axes of indices")
    rows = ops.arange(int(t.shape[0])).unsqueeze(1)
    return t[rows, i]


@named
def gather_nd(params: Any, indices: Any, batch_dims: int = 0) -> Tensor:
    """The elements (or slices) whose places stand along the last axis of the indices; for each of a batch its own."""
    t, i = to_tensor(params), to_tensor(indices).to(dtype="int64")
    places = [
        ops.arange(int(t.shape[k])).reshape(-1, *(1,) * (i.ndim - 2 - k)) for k in builtins.range(known_int(batch_dims))
    ]
    return t[(*places, *ops.unbind(i, -1))]


@named
def scatter_nd(indices: Any, updates: Any, shape: Any) -> Tensor:
    """Zeros with updates added at the places along the last axis of the indices."""
    u = to_tensor(updates)
    return tensor_scatter_nd_add(ops.zeros(shape_list(shape), dtype=u.dtype), indices, u)


def _put(tensor: Any, indices: Any, updates: Any, add: bool) -> Tensor:
    i = to_tensor(indices).to(dtype="int64")
    return ops.index_put(to_tensor(tensor), tuple(ops.unbind(i, -1)), to_tensor(updates), accumulate=add)


@named
def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any) -> Tensor:
    """A tensor with updates added at places."""
    return _put(tensor, indices, updates, True)


@named
def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any) -> Tensor:
    """A tensor with updates in the place of elements."""
    return _put(tensor, indices, updates, False)


@named
def boolean_mask(tensor: Any, mask: Any, axis: int | None = None) -> Tensor:
    """The elements (or slices) where the mask holds, which stands for the axes from `axis` on; how many there are depends on values,
    so it cannot be traced."""
    t, m = to_tensor(tensor), to_tensor(mask)
    if not axis:
        return t[m]
    return t[(*(builtins.slice(None) for _ in builtins.range(axis % t.ndim)), m)]


@named
def where(condition: Any, x: Any = None, y: Any = None) -> Tensor:
    """x where the condition holds and y elsewhere; with the condition alone, the places where it holds."""
    c = to_tensor(condition)
    if x is None and y is None:
        return ops.argwhere(c)
    if x is None or y is None:
        raise ArgumentError("tf.where: give both x and y, or neither")
    numbers = (bool, int, float)
    return ops.where(
        c,
        x if isinstance(x, numbers) and not isinstance(y, numbers) else to_tensor(x),
        y if isinstance(y, numbers) else to_tensor(y),
    )


@named
def sort(values: Any, axis: int = -1, direction: str = "ASCENDING") -> Tensor:
    """The elements in order along an axis."""
    return ops.sort(to_tensor(values), axis, _descends(direction))[0]


@named
def argsort(values: Any, axis: int = -1, direction: str = "ASCENDING", stable: bool = False) -> Tensor:
    """The places of the elements in order along an axis."""
    return ops.argsort(to_tensor(values), axis, _descends(direction), stable=stable).to(dtype="int32")


def _descends(direction: str) -> bool:
    if direction not in ("ASCENDING", "DESCENDING"):
        raise ArgumentError(f"tf.sort: direction is ASCENDING or DESCENDING, not {direction!r}")
    return direction == "DESCENDING"


@named
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    """Where values would be put into a sorted sequence."""
    return ops.searchsorted(to_tensor(sorted_sequence), to_tensor(values), right=side == "right").to(dtype="int32")


@named
def shape(input: Any, out_type: Any = "int32") -> Tensor:
    """The extents, as a tensor; in a traced function one whose value is known, for shapes and ranges."""
    x = to_tensor(input)
    if is_tracing() and x.ndim:
        return ops.stack([ops.full((), int(n), dtype=as_dtype(out_type)) for n in x.shape])
    return ops.tensor([int(n) for n in x.shape], dtype=as_dtype(out_type))


@named
def size(input: Any, out_type: Any = "int32") -> Tensor:
    """The number of elements, as a tensor."""
    return ops.tensor(int(to_tensor(input).numel()), dtype=as_dtype(out_type))


@named
def rank(input: Any) -> Tensor:
    """The number of axes, as a tensor."""
    return ops.tensor(to_tensor(input).ndim, dtype=as_dtype("int32"))


def map_fn(fn: Callable[[Any], Any], elems: Any) -> Any:
    """`fn` on each slice along the leading axis; the results stacked."""
    return ops.map(fn, elems)


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None) -> Any:
    """`a = fn(a, x)` for each slice x along the leading axis, from `initializer` or the first slice."""
    return _fold(fn, elems, initializer, False)[0]


def scan(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, reverse: bool = False) -> Any:
    """The values that `foldl` takes on the way, stacked; from the end with `reverse`."""
    first, results = _fold(fn, elems, initializer, reverse)
    if initializer is not None:
        return results
    start = to_tensor(elems)[-1:] if reverse else to_tensor(elems)[:1]
    del first
    return ops.concat([results, start] if reverse else [start, results], 0)


def _fold(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any, reverse: bool) -> Any:
    if initializer is None:
        t = to_tensor(elems)
        initializer, elems = (t[-1], t[:-1]) if reverse else (t[0], t[1:])

    def step(a: Any, x: Any) -> Any:
        new = fn(a, x)
        return new, new

    return ops.scan(step, initializer, elems, reverse=reverse)
