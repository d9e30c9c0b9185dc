"""Functions of `keras.ops` that make, reduce, rearrange and look up, with NumPy's names and arguments."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from twinflow import ops as O
from twinflow.core import as_dtype, normalize_axis
from twinflow.core.errors import ArgumentError
from twinflow.keras._symbolic import KerasTensor
from twinflow.keras._variable import to_tensor
from twinflow.keras.ops._function import number, op, reduction
from twinflow.tensor import Tensor

# -- making ------------------------------------------------------------------------------------------------------


def _type(dtype: Any) -> Any:
    return None if dtype is None else as_dtype(dtype)


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    """A tensor of numbers, arrays or tensors; a symbolic tensor as it is."""
    if sparse or ragged:
        raise ArgumentError("convert_to_tensor: there are no sparse or ragged tensors")
    return x if isinstance(x, KerasTensor) else to_tensor(x, dtype)


def array(x: Any, dtype: Any = None) -> Any:
    """The same as `convert_to_tensor`."""
    return convert_to_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray[Any, Any]:
    """A tensor as an array."""
    return np.array(to_tensor(x).detach())


def is_tensor(x: Any) -> bool:
    """Whether it is a tensor (or a symbolic one)."""
    return isinstance(x, (Tensor, KerasTensor))


def _shape(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def zeros(shape: Any, dtype: Any = None) -> Tensor:
    """0 everywhere."""
    return O.zeros(_shape(shape), dtype=_type(dtype))


def ones(shape: Any, dtype: Any = None) -> Tensor:
    """1 everywhere."""
    return O.ones(_shape(shape), dtype=_type(dtype))


def empty(shape: Any, dtype: Any = None) -> Tensor:
    """Elements of no particular value (0)."""
    return zeros(shape, dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value everywhere."""
    return to_tensor(fill_value, dtype).expand(_shape(shape)) * 1


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """1 on the k-th diagonal."""
    return to_tensor(np.eye(N, M, k, np.float32), dtype)


def identity(n: int, dtype: Any = None) -> Tensor:
    """1 on the diagonal."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Tensor:
    """1 on and below the k-th diagonal."""
    return to_tensor(np.tri(N, M, k, np.float32), dtype)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Tensor:
    """start, start + step, ... before stop."""
    first, last = (0, start) if stop is None else (start, stop)
    return O.arange(first, last, 1 if step is None else step, dtype=_type(dtype))


def _spaced(fn: Any, start: Any, stop: Any, num: int, endpoint: bool, dtype: Any, axis: int, **options: Any) -> Tensor:
    return to_tensor(fn(np.asarray(start), np.asarray(stop), num, endpoint=endpoint, axis=axis, **options), dtype)


def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None, axis: int = 0
) -> Any:
    """num numbers evenly from start to stop."""
    y = _spaced(np.linspace, start, stop, num, endpoint, dtype, axis)
    if not retstep:
        return y
    return y, to_tensor((np.asarray(stop) - np.asarray(start)) / (num - 1 if endpoint else num))


def logspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, base: float = 10, dtype: Any = None, axis: int = 0
) -> Tensor:
    """Powers of a base with evenly spaced exponents."""
    return _spaced(np.logspace, start, stop, num, endpoint, dtype, axis, base=base)


def geomspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0) -> Tensor:
    """num numbers with a constant ratio from start to stop."""
    return _spaced(np.geomspace, start, stop, num, endpoint, dtype, axis)


def _window(name: str, fn: Any) -> Any:
    def window(x: int) -> Tensor:
        return to_tensor(fn(int(x)))

    window.__name__ = name
    window.__doc__ = f"The {name} window of a length."
    return window


bartlett, blackman = _window("bartlett", np.bartlett), _window("blackman", np.blackman)
hamming, hanning = _window("hamming", np.hamming), _window("hanning", np.hanning)


def kaiser(x: int, beta: float) -> Tensor:
    """The Kaiser window of a length."""
    return to_tensor(np.kaiser(int(x), beta))


@op
def zeros_like(x: Any, dtype: Any = None) -> Tensor:
    """0 in the shape of x."""
    return O.zeros_like(to_tensor(x), dtype=_type(dtype))


@op
def ones_like(x: Any, dtype: Any = None) -> Tensor:
    """1 in the shape of x."""
    return O.ones_like(to_tensor(x), dtype=_type(dtype))


@op
def empty_like(x: Any, dtype: Any = None) -> Tensor:
    """Elements of no particular value (0) in the shape of x."""
    return O.zeros_like(to_tensor(x), dtype=_type(dtype))


@op
def full_like(x: Any, fill_value: Any, dtype: Any = None) -> Tensor:
    """One value in the shape of x."""
    return O.full_like(to_tensor(x), fill_value, dtype=_type(dtype))


@op
def copy(x: Any) -> Tensor:
    """The same elements in memory of their own."""
    return to_tensor(x).clone()


def shape(x: Any) -> Any:
    """The extents; None where a symbolic tensor's are not known."""
    return tuple(x.shape) if isinstance(x, (Tensor, KerasTensor)) else np.shape(x)


def ndim(x: Any) -> int:
    """The number of axes."""
    return len(shape(x))


def size(x: Any) -> Any:
    """The number of elements."""
    return math.prod(shape(x))


def dtype(x: Any) -> str:
    """The name of the type."""
    return x.dtype if isinstance(x, KerasTensor) else str(to_tensor(x).dtype.name)


# -- reducing ----------------------------------------------------------------------------------------------------

amax, amin = reduction("amax", O.amax), reduction("amin", O.amin)
all, any = reduction("all", O.all), reduction("any", O.any)
sum, mean = reduction("sum", O.sum), reduction("mean", O.mean)
var, std = reduction("var", O.var, correction=0), reduction("std", O.std, correction=0)
nansum, nanmean = reduction("nansum", O.nansum), reduction("nanmean", O.nanmean)
logsumexp = reduction("logsumexp", O.logsumexp)


def _with_initial(name: str, fn: Any, join: Any) -> Any:
    def call(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Tensor:
        y = fn(x, axis, keepdims)
        return y if initial is None else join(y, to_tensor(initial).to(dtype=y.dtype))

    call.__name__ = name
    call.__doc__ = f"The {name} over `axis`, and `initial`."
    return op(call)


max, min = _with_initial("max", amax, O.maximum), _with_initial("min", amin, O.minimum)


def _flat(x: Any, axis: Any) -> tuple[Tensor, int]:
    """(x, axis), with None for all elements in a row."""
    t = to_tensor(x)
    return (t.reshape(-1), 0) if axis is None else (t, axis)


def _kept(y: Tensor, x: Any, axis: Any, keepdims: bool) -> Tensor:
    """Put back the axes of extent 1 that reducing all elements in a row took away."""
    return y.reshape((1,) * to_tensor(x).ndim) if keepdims and axis is None else y


def _over_one(name: str, fn: Any) -> Any:
    def call(x: Any, axis: int | None = None, keepdims: bool = False) -> Tensor:
        t, at = _flat(x, axis)
        return _kept(fn(t, at, keepdims and axis is not None), x, axis, keepdims)

    call.__name__ = name
    call.__doc__ = f"{name} over one axis, or over all elements."
    return op(call)


argmax, argmin = _over_one("argmax", O.argmax), _over_one("argmin", O.argmin)


def _filled(t: Tensor, value: float) -> Tensor:
    return O.where(O.isnan(t), value, t)


nanargmax = _over_one("nanargmax", lambda t, a, k: O.argmax(_filled(t, -math.inf), a, k))
nanargmin = _over_one("nanargmin", lambda t, a, k: O.argmin(_filled(t, math.inf), a, k))


def _ignoring_nan(name: str, fn: Any, value: float) -> Any:
    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        return fn(_filled(to_tensor(x), value), axis, keepdims)

    call.__name__ = name
    call.__doc__ = f"`{name.removeprefix('nan')}` of the elements that are not NaN."
    return op(call)


@op
def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Tensor:
    """The product over `axis`."""
    t = to_tensor(x, dtype)
    over = range(t.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    for a in sorted((normalize_axis(a, t.ndim, "prod") for a in over), reverse=True):
        t = O.prod(t, a, keepdim=keepdims)
    return t


nanmax, nanmin = _ignoring_nan("nanmax", amax, -math.inf), _ignoring_nan("nanmin", amin, math.inf)
nanprod = _ignoring_nan("nanprod", prod, 1.0)


@op
def nanvar(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The variance of the elements that are not NaN."""
    t = to_tensor(x)
    d = t - nanmean(t, axis, True)
    return nanmean(d * d, axis, keepdims)


@op
def nanstd(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The deviation of the elements that are not NaN."""
    return O.sqrt(nanvar(x, axis, keepdims))


def _quantile(fn: Any, x: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Tensor:
    t = to_tensor(x)
    over = sorted(normalize_axis(a, t.ndim, "quantile") for a in (range(t.ndim) if axis is None else [axis] if isinstance(axis, int) else axis))  # fmt: skip
    rest = [a for a in range(t.ndim) if a not in over]
    flat = t.permute(*rest, *over).reshape(*(t.shape[a] for a in rest), -1)
    places = to_tensor(q).to(dtype=t.dtype)
    y: Tensor = fn(flat, places, -1, interpolation=method)
    if not keepdims:
        return y
    return y.reshape(*places.shape, *(1 if a in over else t.shape[a] for a in range(t.ndim)))


@op
def quantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The q-quantiles (q in [0, 1])."""
    return _quantile(O.quantile, x, q, axis, method, keepdims)


@op
def nanquantile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The q-quantiles of the elements that are not NaN."""
    return _quantile(O.nanquantile, x, q, axis, method, keepdims)


@op
def percentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The q-quantiles (q in [0, 100])."""
    return _quantile(O.quantile, x, to_tensor(q).float() / 100.0, axis, method, keepdims)


@op
def nanpercentile(x: Any, q: Any, axis: Any = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The q-quantiles (q in [0, 100]) of the elements that are not NaN."""
    return _quantile(O.nanquantile, x, to_tensor(q).float() / 100.0, axis, method, keepdims)


@op
def median(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The middle element, or the mean of the two in the middle."""
    return _quantile(O.quantile, x, 0.5, axis, "linear", keepdims)


@op
def nanmedian(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The median of the elements that are not NaN."""
    return _quantile(O.nanquantile, x, 0.5, axis, "linear", keepdims)


@op
def average(x: Any, axis: Any = None, weights: Any = None) -> Tensor:
    """The weighted mean."""
    t = to_tensor(x)
    if weights is None:
        return mean(t, axis)
    w = to_tensor(weights).to(dtype=t.dtype)
    if w.ndim != t.ndim and isinstance(axis, int):
        at = normalize_axis(axis, t.ndim, "average")
        w = w.reshape(*(t.shape[a] if a == at else 1 for a in range(t.ndim)))
    return sum(t * w, axis) / sum(w.expand(tuple(t.shape)), axis)


@op
def count_nonzero(x: Any, axis: Any = None) -> Tensor:
    """How many elements are not 0."""
    return O.count_nonzero(to_tensor(x), axis)


@op
def ptp(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element minus the smallest."""
    return amax(x, axis, keepdims) - amin(x, axis, keepdims)


@op
def moments(x: Any, axes: Any, keepdims: bool = False, synchronized: bool = False) -> Any:
    """(mean, variance)."""
    if synchronized:
        raise ArgumentError("moments: synchronized=True is not supported; there is one device")
    return mean(x, axes, keepdims), var(x, axes, keepdims)


def _running(name: str, fn: Any, fill: float | None) -> Any:
    def call(x: Any, axis: int | None = None, dtype: Any = None) -> Tensor:
        t, at = _flat(x, axis)
        result: Tensor = fn(t if fill is None else _filled(t, fill), at, dtype=_type(dtype))
        return result

    call.__name__ = name
    call.__doc__ = f"{name} along an axis, or over all elements in a row."
    return op(call)


cumsum, cumprod = _running("cumsum", O.cumsum, None), _running("cumprod", O.cumprod, None)
nancumsum, nancumprod = _running("nancumsum", O.cumsum, 0.0), _running("nancumprod", O.cumprod, 1.0)

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
