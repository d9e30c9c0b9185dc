"""Functions of `keras.ops` that rearrange elements and look them up, with NumPy's names and arguments."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from twinflow import ops as O
from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.keras.ops._arrays import _flat, _shape
from twinflow.keras.ops._function import number, op
from twinflow.tensor import Tensor

# -- rearranging -------------------------------------------------------------------------------------------------


@op
def reshape(x: Any, newshape: Any) -> Tensor:
    """The same elements in another shape; one extent may be -1."""
    return to_tensor(x).reshape(*_shape(newshape))


@op
def transpose(x: Any, axes: Any = None) -> Tensor:
    """The axes in another order; reversed without `axes`."""
    t = to_tensor(x)
    return t.permute(*(reversed(range(t.ndim)) if axes is None else axes))


@op
def expand_dims(x: Any, axis: Any) -> Tensor:
    """New axes of extent 1."""
    t = to_tensor(x)
    places = [axis] if isinstance(axis, int) else list(axis)
    for a in sorted(normalize_axis(a, t.ndim + len(places), "expand_dims") for a in places):
        t = t.unsqueeze(a)
    return t


@op
def squeeze(x: Any, axis: Any = None) -> Tensor:
    """Without axes of extent 1."""
    t = to_tensor(x)
    if axis is None:
        return t.squeeze()
    places = [normalize_axis(a, t.ndim, "squeeze") for a in ([axis] if isinstance(axis, int) else axis)]
    wrong = [a for a in places if t.shape[a] != 1]
    if wrong:
        raise ArgumentError(f"squeeze: axis {wrong[0]} has extent {t.shape[wrong[0]]}, not 1 (shape {tuple(t.shape)})")
    return t.reshape(*(n for a, n in enumerate(t.shape) if a not in places))


@op
def concatenate(xs: Any, axis: int = 0) -> Tensor:
    """Tensors side by side along an axis."""
    return O.cat([to_tensor(x) for x in xs], axis)


@op
def stack(x: Any, axis: int = 0) -> Tensor:
    """Tensors along a new axis."""
    return O.stack([to_tensor(t) for t in x], axis)


@op
def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The slices along an axis."""
    t = to_tensor(x)
    if num is not None and num != t.shape[axis]:
        raise ArgumentError(f"unstack: num={num}, but axis {axis} has extent {t.shape[axis]}")
    return [O.select(t, axis, k) for k in range(t.shape[axis])]


@op
def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Equal parts, or parts that end at the given places."""
    t = to_tensor(x)
    if isinstance(indices_or_sections, int) and t.shape[axis] % indices_or_sections:
        raise ArgumentError(
            f"split: an axis of extent {t.shape[axis]} has no {indices_or_sections} equal parts; array_split makes unequal ones"
        )
    return list(O.tensor_split(t, indices_or_sections, axis))


@op
def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Parts that are as equal as possible."""
    return list(O.tensor_split(to_tensor(x), indices_or_sections, axis))


def _split_along(name: str, axis: int) -> Any:
    def call(x: Any, indices_or_sections: Any) -> list[Tensor]:
        return split(x, indices_or_sections, axis)

    call.__name__ = name
    call.__doc__ = f"`split` along axis {axis}."
    return op(call)


vsplit, hsplit, dsplit = _split_along("vsplit", 0), _split_along("hsplit", 1), _split_along("dsplit", 2)


def _of_list(name: str, fn: Any) -> Any:
    def call(xs: Any) -> Tensor:
        result: Tensor = fn([to_tensor(x) for x in xs])
        return result

    call.__name__ = name
    call.__doc__ = f"NumPy's {name} of several tensors."
    return op(call)


hstack, vstack, dstack = _of_list("hstack", O.hstack), _of_list("vstack", O.vstack), _of_list("dstack", O.dstack)


@op
def append(x1: Any, x2: Any, axis: int | None = None) -> Tensor:
    """Two tensors side by side; all elements in a row without an axis."""
    (a, at), (b, _) = _flat(x1, axis), _flat(x2, axis)
    return O.cat([a, b], at)


@op
def flip(x: Any, axis: Any = None) -> Tensor:
    """Reversed along `axis`, or along all."""
    t = to_tensor(x)
    return O.flip(t, dims=tuple(range(t.ndim)) if axis is None else [axis] if isinstance(axis, int) else list(axis))


@op
def roll(x: Any, shift: Any, axis: Any = None) -> Tensor:
    """Moved along `axis`, what falls off coming in on the other side."""
    return O.roll(to_tensor(x), shift, axis)


@op
def repeat(x: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Each element (or slice) several times."""
    t, at = _flat(x, axis)
    return O.repeat_interleave(t, repeats if isinstance(repeats, int) else to_tensor(repeats), at)


@op
def tile(x: Any, repeats: Any) -> Tensor:
    """The whole several times along each axis."""
    return O.tile(to_tensor(x), _shape(repeats))


@op
def moveaxis(x: Any, source: Any, destination: Any) -> Tensor:
    """Axes at other places."""
    return O.movedim(to_tensor(x), source, destination)


@op
def swapaxes(x: Any, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    return O.transpose(to_tensor(x), axis1, axis2)


@op
def broadcast_to(x: Any, shape: Any) -> Tensor:
    """Repeated to a shape without copying."""
    return to_tensor(x).expand(_shape(shape))


@op
def ravel(x: Any) -> Tensor:
    """All elements in a row."""
    return to_tensor(x).reshape(-1)


@op
def rot90(array: Any, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """Turned by k right angles."""
    return O.rot90(to_tensor(array), k, axes)


@op
def fliplr(x: Any) -> Tensor:
    """Reversed along axis 1."""
    return O.flip(to_tensor(x), dims=[1])


@op
def flipud(x: Any) -> Tensor:
    """Reversed along axis 0."""
    return O.flip(to_tensor(x), dims=[0])


@op
def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Tensor:
    """Elements around: constants, or (with 'reflect', 'symmetric', 'edge', 'wrap') the input's own."""
    t = to_tensor(x)
    width = np.broadcast_to(np.asarray(pad_width), (t.ndim, 2)).tolist()
    if mode == "constant":
        low, high = zip(*width)
        value = 0 if constant_values is None else constant_values
        result: Tensor = O.call("pad", t, low=tuple(low), high=tuple(high), interior=(0,) * t.ndim, value=value)
        return result
    for axis, (a, b) in enumerate(width):
        if a or b:
            places = np.pad(np.arange(t.shape[axis]), (a, b), mode=mode)  # type: ignore[call-overload]
            t = O.index_select(t, axis, to_tensor(places))
    return t


@op
def diag(x: Any, k: int = 0) -> Tensor:
    """The k-th diagonal of a matrix, or a matrix with it."""
    return O.diag(to_tensor(x), k)


@op
def diagflat(x: Any, k: int = 0) -> Tensor:
    """A matrix with all elements on its k-th diagonal."""
    return O.diagflat(to_tensor(x), k)


@op
def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """A diagonal of two axes."""
    return O.diagonal(to_tensor(x), offset, axis1, axis2)


@op
def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of a diagonal."""
    return O.diagonal(to_tensor(x), offset, axis1, axis2).sum(-1)


@op
def tril(x: Any, k: int = 0) -> Tensor:
    """0 above the k-th diagonal."""
    return O.tril(to_tensor(x), k)


@op
def triu(x: Any, k: int = 0) -> Tensor:
    """0 below the k-th diagonal."""
    return O.triu(to_tensor(x), k)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Tensor]:
    """Coordinates of a grid."""
    return list(O.meshgrid(*[to_tensor(t) for t in x], indexing=indexing))


# -- looking up --------------------------------------------------------------------------------------------------


@op
def take(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """The slices of these numbers along an axis."""
    t, at = _flat(x, axis)
    i = to_tensor(indices).long()
    at = normalize_axis(at, t.ndim, "take")
    i = O.where(i < 0, i + t.shape[at], i)
    y = O.index_select(t, at, i.reshape(-1))
    return y.reshape(*t.shape[:at], *i.shape, *t.shape[at + 1 :])


@op
def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Tensor:
    """For each place the element of this number along an axis."""
    (t, at), (i, _) = _flat(x, axis), _flat(indices, axis)
    i = i.long()
    return O.gather(t, at, O.where(i < 0, i + t.shape[at], i))


@op
def get_item(x: Any, key: Any) -> Tensor:
    """x[key]."""
    return to_tensor(x)[key]


@op
def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """A block of a shape from a place on; -1 for all the rest of an axis."""
    t = to_tensor(inputs)
    starts = [int(s) for s in np.asarray(start_indices)]
    return t[tuple(builtins.slice(s, None if n == -1 else s + n) for s, n in zip(starts, _shape(shape)))]


@op
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """x with a block replaced from a place on."""
    y, u = to_tensor(inputs).clone(), to_tensor(updates)
    starts = [int(s) for s in np.asarray(start_indices)]
    y[tuple(builtins.slice(s, s + n) for s, n in zip(starts, u.shape))] = u.to(dtype=y.dtype)
    return y


def _flat_index(indices: Tensor, extents: Any) -> Tensor:
    flat = indices[..., 0]
    for k in range(1, indices.shape[-1]):
        flat = flat * int(extents[k]) + indices[..., k]
    return flat.long()


@op
def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Values added up at their places in zeros."""
    i, v, extents = to_tensor(indices), to_tensor(values), _shape(shape)
    return scatter_update(O.zeros(extents, dtype=v.dtype), i, v, "add")


@op
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Tensor:
    """x with values at places [..., k] replaced, or put together with `reduction` 'add', 'max', 'min' or 'mul'."""
    t, i, u = to_tensor(inputs), to_tensor(indices), to_tensor(updates)
    k = i.shape[-1]
    rest = tuple(t.shape[k:])
    rows = t.reshape(math.prod(t.shape[:k]), *rest)
    flat = _flat_index(i, t.shape).reshape(-1)
    u = u.to(dtype=t.dtype).reshape(flat.shape[0], *rest)
    names = {"add": "sum", "max": "amax", "min": "amin", "mul": "prod"}
    if reduction is not None and reduction not in names:
        raise ArgumentError(f"scatter_update: reduction is None, 'add', 'max', 'min' or 'mul', not {reduction!r}")
    index = flat.reshape(-1, *(1,) * len(rest)).expand(tuple(u.shape))
    if reduction is None:
        return O.scatter(rows, 0, index, u).reshape(tuple(t.shape))
    return O.scatter_reduce(rows, 0, index, u, names[reduction]).reshape(tuple(t.shape))


def _segments(name: str, how: str, start: float) -> Any:
    def call(data: Any, segment_ids: Any, num_segments: int | None = None, sorted: bool = False) -> Tensor:
        t, ids = to_tensor(data), to_tensor(segment_ids).long()
        n = int(ids.max()) + 1 if num_segments is None else num_segments
        base = O.full((n, *t.shape[1:]), start, dtype=t.dtype)
        index = ids.reshape(-1, *(1,) * (t.ndim - 1)).expand(tuple(t.shape))
        return O.scatter_reduce(base, 0, index, t, how)

    call.__name__ = name
    call.__doc__ = "Rows of the same segment put together; `num_segments` is needed in compiled functions."
    return op(call)


segment_sum, segment_prod = _segments("segment_sum", "sum", 0), _segments("segment_prod", "prod", 1)
segment_max, segment_min = _segments("segment_max", "amax", -math.inf), _segments("segment_min", "amin", math.inf)


@op
def nonzero(x: Any) -> Any:
    """The places of the elements that are not 0, one tensor for each axis."""
    return tuple(O.nonzero(to_tensor(x), as_tuple=True))


@op
def unique(
    x: Any, sorted: bool = True, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False,
    axis: int | None = None,
) -> Any:  # fmt: skip
    """Each element once, in order."""
    if return_index:
        raise ArgumentError("unique: return_index=True is not supported; ask for return_inverse")
    return O.unique(to_tensor(x), sorted, return_inverse, return_counts, axis)


@op
def unravel_index(indices: Any, shape: Any) -> Any:
    """The places of flat indices, one tensor for each axis."""
    return tuple(O.unravel_index(to_tensor(indices), _shape(shape)))


@op
def sort(x: Any, axis: int | None = -1) -> Tensor:
    """In order along an axis."""
    t, at = _flat(x, axis)
    return O.sort(t, at)[0]


@op
def argsort(x: Any, axis: int | None = -1) -> Tensor:
    """The places of the elements in order."""
    t, at = _flat(x, axis)
    return O.argsort(t, at, stable=True)


@op
def argpartition(x: Any, kth: int, axis: int | None = -1) -> Tensor:
    """Places such that the kth stands where sorting would put it, with smaller elements before."""
    t, at = _flat(x, axis)
    return O.argsort(t, at, stable=True)


@op
def top_k(x: Any, k: int, sorted: bool = True) -> Any:
    """(values, places) of the k largest along the last axis."""
    return tuple(O.topk(to_tensor(x), k, -1, True, sorted))


@op
def in_top_k(targets: Any, predictions: Any, k: int) -> Tensor:
    """Whether each target is among the k largest predictions."""
    p, t = to_tensor(predictions), to_tensor(targets).long()
    own = O.gather(p, -1, t.unsqueeze(-1))
    return (p > own).float().sum(-1) < k


@op
def searchsorted(sorted_sequence: Any, values: Any, side: str = "left") -> Tensor:
    """Where values would stand in a sorted sequence."""
    return O.searchsorted(to_tensor(sorted_sequence), to_tensor(values), side=side)


@op
def digitize(x: Any, bins: Any) -> Tensor:
    """The number of each element's bin."""
    return O.bucketize(to_tensor(x), to_tensor(bins), right=True)


@op
def isin(x1: Any, x2: Any, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element of x1 is in x2."""
    return O.isin(to_tensor(x1), to_tensor(x2), assume_unique=assume_unique, invert=invert)


@op
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    """For each place the choice of the first condition that holds."""
    y: Any = number(default)
    for c, x in zip(reversed(list(condlist)), reversed(list(choicelist))):
        y = O.where(to_tensor(c).bool(), number(x), y)
    found: Tensor = y
    return found


@op
def bincount(x: Any, weights: Any = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each whole number occurs."""
    if sparse:
        raise ArgumentError("bincount: there are no sparse tensors")
    return O.bincount(to_tensor(x), None if weights is None else to_tensor(weights), minlength)


@op
def histogram(x: Any, bins: Any = 10, range: Any = None) -> Any:
    """(counts, edges)."""
    t = to_tensor(x).reshape(-1).float()
    return tuple(O.histogram(t, bins if isinstance(bins, int) else to_tensor(bins), range=range))


@op
def diff(a: Any, n: int = 1, axis: int = -1) -> Tensor:
    """Differences of neighbours."""
    return O.diff(to_tensor(a), n, axis)


@op
def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral by trapezoids."""
    return O.trapezoid(to_tensor(y), None if x is None else to_tensor(x), dx=None if x is not None else dx, dim=axis)


@op
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """Powers of each element."""
    return O.vander(to_tensor(x), N, increasing=increasing)
