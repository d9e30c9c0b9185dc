"""The discrete Fourier transform along one axis, without normalisation: complex, real to half-complex, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import DTypeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._declare import call, calls, want
from twinflow.ops._shape import to_front
from twinflow.tensor import Tensor, apply


def _need(op: str, x: Aval, axis: int, types: tuple[str, str]) -> None:
    want(0 <= axis < x.ndim, "the axis is one of the operand's", op, x=x)
    want(x.shape[axis] > 0, f"axis {axis} is not empty", op, x=x)
    if x.dtype.name not in types:
        raise DTypeError(f"{op}: the operand is {' or '.join(types)}, not {x.dtype.name}; convert with .to(...)")


_COMPLEX = ("complex64", "complex128")
_REAL = ("float32", "float64")


def _strict(fn: Any, types: tuple[str, str]) -> Any:
    """`fn` without the conversions that NumPy makes: the shape rule names the wrong type."""

    def run(x: Any, **params: Any) -> Any:
        if x.dtype.name not in types:
            raise TypeError(x.dtype.name)
        return fn(x, **params)

    return run


def _fft_out(x: Aval, *, axis: int, inverse: bool) -> Aval:
    _need("fft", x, axis, _COMPLEX)
    return x


fft: Primitive = Primitive(
    "fft",
    out=_fft_out,
    ref=_strict(
        lambda x, *, axis, inverse: np.fft.ifft(x, axis=axis, norm="forward") if inverse else np.fft.fft(x, axis=axis),
        _COMPLEX,
    ),
    vjp=(lambda g, _y, _x, *, axis, inverse: apply(fft, g, axis=axis, inverse=not inverse),),
    jvp="linear",
    batch=lambda args, axes, *, axis, inverse: (
        apply(fft, to_front(args[0], axes[0]), axis=axis + 1, inverse=inverse),
        0,
    ),
    lower=Named("fft"),
    samples=calls(
        (((4,),), {"axis": 0, "inverse": False}),
        (((2, 3),), {"axis": 0, "inverse": True}),
        (((2, 5),), {"axis": 1, "inverse": False}),
        kinds=_COMPLEX,
    ),
    bad=lambda rng: [
        Sample((np.ones(3),), {"axis": 0, "inverse": False}),
        Sample((np.ones((0,), np.complex64),), {"axis": 0, "inverse": False}),
    ],
    doc="y[k] = Σ x[t] exp(∓2πi kt/n) along an axis; + with `inverse`.",
    ulp=64,
)


def _weights(n: int, axis: int, ndim: int, inner: float, like: Any) -> Tensor:
    """1 for the frequencies that are their own mirror image (0, and n/2 if n is even), `inner` for the others."""
    w = np.full(n // 2 + 1, inner)
    w[0] = 1
    if n % 2 == 0:
        w[-1] = 1
    shape = tuple(w.size if i == axis else 1 for i in range(ndim))
    return call("constant", value=w.reshape(shape).astype(like.np))


def _rfft_out(x: Aval, *, axis: int) -> Aval:
    _need("rfft", x, axis, _REAL)
    shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
    return Aval(shape, x.dtype.to_complex())


def _rfft_vjp(g: Tensor, _y: Any, _x: Any, *, axis: int) -> Tensor:
    n = _x.shape[axis]
    return apply(irfft, g * _weights(n, axis, len(_x.shape), 0.5, g.dtype), axis=axis, n=n)


rfft: Primitive = Primitive(
    "rfft",
    out=_rfft_out,
    ref=_strict(lambda x, *, axis: np.fft.rfft(x, axis=axis), _REAL),
    vjp=(_rfft_vjp,),
    jvp="linear",
    batch=lambda args, axes, *, axis: (apply(rfft, to_front(args[0], axes[0]), axis=axis + 1), 0),
    lower=Named("rfft"),
    samples=calls((((4,),), {"axis": 0}), (((3, 2),), {"axis": 0}), (((2, 5),), {"axis": 1}), kinds=_REAL),
    bad=lambda rng: [Sample((np.ones(3, np.complex64),), {"axis": 0})],
    doc="The first n//2 + 1 values of the transform of real numbers; the others are their mirror images.",
    ulp=64,
)


def _irfft_out(x: Aval, *, axis: int, n: int) -> Aval:
    _need("irfft", x, axis, _COMPLEX)
    want(x.shape[axis] == n // 2 + 1, f"axis {axis} has {n // 2 + 1} elements, for n = {n}", "irfft", x=x)
    return Aval((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype.to_real())


def _irfft_vjp(g: Tensor, _y: Any, _x: Any, *, axis: int, n: int) -> Tensor:
    return apply(rfft, g, axis=axis) * _weights(n, axis, len(_x.shape), 2.0, _x.dtype)


irfft: Primitive = Primitive(
    "irfft",
    out=_irfft_out,
    ref=_strict(lambda x, *, axis, n: np.fft.irfft(x, n, axis=axis, norm="forward"), _COMPLEX),
    vjp=(_irfft_vjp,),
    jvp="linear",
    batch=lambda args, axes, *, axis, n: (apply(irfft, to_front(args[0], axes[0]), axis=axis + 1, n=n), 0),
    lower=Named("irfft"),
    samples=calls(
        (((3,),), {"axis": 0, "n": 4}),
        (((2, 3),), {"axis": 1, "n": 5}),
        (((2, 2),), {"axis": 0, "n": 2}),
        kinds=_COMPLEX,
    ),
    bad=lambda rng: [Sample((np.ones(3, np.complex64),), {"axis": 0, "n": 8})],
    doc="n real numbers from the first n//2 + 1 values of their transform, inverse and without normalisation.",
    ulp=64,
)
