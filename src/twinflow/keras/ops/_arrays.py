"""Functions of `keras.ops` that make, reduce, rearrange and look up, with NumPy's names and arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow import ops as O
from twinflow.core import as_dtype, normalize_axis
from twinflow.core.errors import ArgumentError
from twinflow.keras._symbolic import KerasTensor
from twinflow.keras._variable import to_tensor
from twinflow.keras.ops._function import op, reduction
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
