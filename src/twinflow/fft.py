"""Discrete Fourier transforms: the functions of `torch.fft`.

`norm` says where the factor 1/n stands: "backward" on the inverse transforms, "forward" on the others, "ortho" as 1/√n
on both.
"""

from __future__ import annotations

import math
from typing import Any

from twinflow.core import as_dtype, as_int, get_default_dtype, normalize_axes
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import call, roll
from twinflow.ops._create import finish_new
from twinflow.ops._declare import conjugate
from twinflow.ops._keywords import add_keywords
from twinflow.ops._promote import convert, is_inexact, to_tensor_arg
from twinflow.tensor import Tensor

_NORMS = (None, "backward", "ortho", "forward")


def _scaled(op: str, y: Tensor, n: int, norm: str | None, inverse: bool) -> Tensor:
    if norm not in _NORMS:
        raise ArgumentError(f"fft.{op}: norm is 'backward', 'ortho' or 'forward', not {norm!r}")
    if norm == "ortho":
        return y * (1 / math.sqrt(n))
    return y * (1 / n) if (norm == "forward") != inverse else y


def _resized(op: str, x: Tensor, axis: int, n: int) -> Tensor:
    """The axis cut to n elements, or filled up with zeros."""
    shape = x._data.shape
    if n < 1:
        raise ArgumentError(f"fft.{op}: a transform needs at least 1 element, but n = {n}")
    if shape[axis] > n:
        return x.narrow(axis, 0, n)
    if shape[axis] == n:
        return x
    zeros = (0,) * len(shape)
    high = (*zeros[:axis], n - shape[axis], *zeros[axis + 1 :])
    return call("pad", x, low=zeros, high=high, interior=zeros, value=0)


def _complex(x: Tensor) -> Tensor:
    return x if x._data.dtype.kind == "c" else convert(_floating(x), _floating(x).dtype.to_complex())


def _floating(x: Tensor) -> Tensor:
    return x if is_inexact(x) else convert(x, get_default_dtype())


def _plan(op: str, input: Tensor, s: Any, dim: Any) -> tuple[Tensor, list[int], list[int]]:
    """(x, axes, lengths): a length of -1 or None keeps the axis as it is."""
    x = to_tensor_arg(input, f"fft.{op}")
    s = (s,) if isinstance(s, int) else s
    if dim is None:
        axes = list(range(x.ndim)) if s is None else list(range(x.ndim - len(s), x.ndim))
    else:
        axes = list(normalize_axes(dim if isinstance(dim, (tuple, list)) else (dim,), x.ndim, f"fft.{op}"))
    if not axes and x.ndim == 0:
        raise ShapeError(f"fft.{op}: a 0-dimensional tensor has no axis to transform")
    sizes = [None] * len(axes) if s is None else list(s)
    if len(sizes) != len(axes):
        raise ArgumentError(f"fft.{op}: {len(sizes)} lengths for {len(axes)} axes")
    lengths = [
        x._data.shape[a] if k in (None, -1) else as_int(k, f"fft.{op}: each length") for a, k in zip(axes, sizes)
    ]
    return x, axes, lengths


def _full(op: str, input: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool) -> Tensor:
    x, axes, lengths = _plan(op, input, s, dim)
    y = _complex(x)
    for a, n in zip(axes, lengths):
        y = call("fft", _resized(op, y, a, n), axis=a, inverse=inverse)
    return _scaled(op, y, math.prod(lengths), norm, inverse)


def _to_half(op: str, input: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool) -> Tensor:
    """Real numbers to half of their transform: rfft, and with `inverse` its conjugate, ihfft."""
    x, axes, lengths = _plan(op, input, s, dim)
    if x._data.dtype.kind == "c":
        raise ArgumentError(f"fft.{op}: real numbers are needed, not {x.dtype.name}; fft takes complex ones")
    y = call("rfft", _resized(op, _floating(x), axes[-1], lengths[-1]), axis=axes[-1])
    for a, n in zip(axes[:-1], lengths[:-1]):
        y = call("fft", _resized(op, y, a, n), axis=a, inverse=False)
    return _scaled(op, conjugate(y) if inverse else y, math.prod(lengths), norm, inverse)


def _from_half(op: str, input: Tensor, s: Any, dim: Any, norm: str | None, inverse: bool) -> Tensor:
    """Half of a transform to real numbers: irfft, and without `inverse` that of the conjugate, hfft."""
    x, axes, lengths = _plan(op, input, s, dim)
    if s is None or (s if isinstance(s, int) else list(s)[-1]) in (None, -1):
        lengths[-1] = 2 * (x._data.shape[axes[-1]] - 1)
    y = _complex(x) if inverse else conjugate(_complex(x))
    for a, n in zip(axes[:-1], lengths[:-1]):
        y = call("fft", _resized(op, y, a, n), axis=a, inverse=True)
    if lengths[-1] < 1:
        raise ArgumentError(f"fft.{op}: a transform needs at least 1 element, but n = {lengths[-1]}")
    y = call("irfft", _resized(op, y, axes[-1], lengths[-1] // 2 + 1), axis=axes[-1], n=lengths[-1])
    return _scaled(op, y, math.prod(lengths), norm, inverse)


def _one(n: Any) -> Any:
    return None if n is None else (n,)


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """y[k] = Σₜ x[t] exp(-2πi kt/n) along an axis, cut or filled up with zeros to n elements.

    >>> import twinflow
    >>> twinflow.fft.fft(twinflow.tensor([1.0, 0.0, 0.0])).real
    tensor([1., 1., 1.])
    """
    return _full("fft", input, _one(n), dim, norm, False)


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft`: x[t] = 1/n Σₖ y[k] exp(2πi kt/n)."""
    return _full("ifft", input, _one(n), dim, norm, True)


def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fft` along several axes (all of them unless named), with lengths s."""
    return _full("fftn", input, s, dim, norm, False)


def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _full("ifftn", input, s, dim, norm, True)


def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`fft` along the last two axes."""
    return _full("fft2", input, s, dim, norm, False)


def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `fft2`."""
    return _full("ifft2", input, s, dim, norm, True)


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The first n//2 + 1 values of the transform of real numbers; the others are their mirror images."""
    return _to_half("rfft", input, _one(n), dim, norm, False)


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft`: n real numbers (2 · (extent - 1) unless given)."""
    return _from_half("irfft", input, _one(n), dim, norm, True)


def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`fftn` of real numbers; the last axis keeps n//2 + 1 values."""
    return _to_half("rfftn", input, s, dim, norm, False)


def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`."""
    return _from_half("irfftn", input, s, dim, norm, True)


def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`rfft` along the last two axes."""
    return _to_half("rfft2", input, s, dim, norm, False)


def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `rfft2`."""
    return _from_half("irfft2", input, s, dim, norm, True)


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The transform, which is real, of a Hermitian signal of which the first half is given."""
    return _from_half("hfft", input, _one(n), dim, norm, False)


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`."""
    return _to_half("ihfft", input, _one(n), dim, norm, True)


def hfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """`hfft` along several axes, of which the last is the halved one."""
    return _from_half("hfftn", input, s, dim, norm, False)


def ihfftn(input: Tensor, s: Any = None, dim: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `hfftn`."""
    return _to_half("ihfftn", input, s, dim, norm, True)


def hfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """`hfft` along the last two axes."""
    return _from_half("hfft2", input, s, dim, norm, False)


def ihfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `hfft2`."""
    return _to_half("ihfft2", input, s, dim, norm, True)


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequency of each value of `fft`, for samples at distance d: 0, 1, ..., then the negative ones, over n·d."""
    k = call("iota", n=as_int(n, "fftfreq: n"), dtype=as_dtype("float64"))
    k = call("where", k < (n + 1) // 2, k, k - float(n)) * (1 / (n * d))
    return finish_new(convert(k, as_dtype(dtype or get_default_dtype())), requires_grad, device)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The frequency of each value of `rfft`, for samples at distance d."""
    k = call("iota", n=as_int(n, "rfftfreq: n") // 2 + 1, dtype=as_dtype("float64")) * (1 / (n * d))
    return finish_new(convert(k, as_dtype(dtype or get_default_dtype())), requires_grad, device)


def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Rolled so that the frequency 0 stands in the middle of the axes."""
    axes = normalize_axes(dim, input.ndim, "fftshift")
    return roll(input, [input._data.shape[a] // 2 for a in axes], list(axes))


def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    axes = normalize_axes(dim, input.ndim, "ifftshift")
    return roll(input, [-(input._data.shape[a] // 2) for a in axes], list(axes))


add_keywords(
    globals(),
    "fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 hfft2 ihfft2 fftn ifftn rfftn irfftn hfftn ihfftn fftfreq rfftfreq",
)
