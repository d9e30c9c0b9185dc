"""Elementwise primitives of one operand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, DType
from twinflow.graph import Primitive, find_primitive
from twinflow.ops._declare import (
    BOOL,
    COMPLEX,
    FLOATS,
    INTS,
    NUMBERS,
    call,
    conjugate,
    elementwise,
    to_bool,
    via_float32,
)
from twinflow.ops._native import Native
from twinflow.tensor import STOP_GRADIENT, Tensor, apply

_STEP = "piecewise constant: the derivative is 0 wherever it exists"


_ZEROS = {dtype: np.zeros((), dtype) for dtype in FROM_NUMPY}  # arrays combine faster than scalars


def _zero(g: Tensor, _y: Any, _x: Any) -> Tensor:
    return g * 0.0


def _np_sigmoid(x: Any) -> Any:
    if x.dtype.kind == "c":
        return 1 / (1 + np.exp(-x))
    e = np.exp(-np.abs(x))
    return (np.where(x >= 0, 1, e) / (1 + e)).astype(x.dtype, copy=False)


def _map_float64(fn: Any) -> Any:
    """A scalar function of `math`, over an array."""
    vector = np.vectorize(fn, otypes=[np.float64])

    def run(x: Any) -> Any:
        return vector(np.asarray(x, np.float64)).astype(x.dtype) if x.size else np.zeros_like(x)

    return run


def _erfinv_scalar(y: float) -> float:
    if not -1 <= y <= 1:
        return math.nan
    if abs(y) == 1:
        return math.copysign(math.inf, y)
    # Winitzki's approximation as the start, then Halley's method on erf(x) - y = 0
    w = math.log1p(-y * y)
    t = 2 / (math.pi * 0.147) + w / 2
    x = math.copysign(math.sqrt(math.sqrt(t * t - w / 0.147) - t), y)
    for _ in range(4):
        err = math.erf(x) - y if abs(y) < 0.9 else ((1 - abs(y)) - math.erfc(abs(x))) * math.copysign(1, y)
        slope = 2 / math.sqrt(math.pi) * math.exp(-x * x)
        if slope == 0 or err == 0:
            break
        step = err / slope
        x -= step / (1 + x * step)
    return x


def _lgamma_scalar(x: float) -> float:
    if math.isnan(x):
        return x
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    return math.lgamma(x)


def _digamma_scalar(x: float) -> float:
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == 0:
        return math.copysign(math.inf, -x)
    if x < 0 and x == math.floor(x):
        return math.nan
    if x < 0.5:  # reflection
        # tan(πx) has period 1; of x itself, πx would round away what is left beside a whole number
        return _digamma_scalar(1 - x) - math.pi / math.tan(math.pi * (x - round(x)))
    shift = 0.0
    while x < 10:
        shift -= 1 / x
        x += 1
    i = 1 / (x * x)
    # the asymptotic series, Abramowitz and Stegun 6.3.18
    series = i * (1 / 12 - i * (1 / 120 - i * (1 / 252 - i * (1 / 240 - i * (1 / 132 - i * 691 / 32760)))))
    return shift + math.log(x) - 0.5 / x - series


def _real_of(dtype: DType) -> DType:
    return dtype.to_real()


neg = elementwise("neg", np.negative, (lambda g, _y, _x: -g,), ranges=[(-3, 3)], kinds=NUMBERS, doc="-x.")
abs_: Primitive = elementwise(
    "abs",
    np.absolute,
    (lambda g, _y, x: g * apply(sign, x),),
    ranges=[(-3, 3)],
    kinds=NUMBERS,
    result=_real_of,
    jvp=lambda t, _y, x: (
        call("real", t[0] * conjugate(apply(sign, x))) if x._data.dtype.kind == "c" else t[0] * apply(sign, x)
    ),
    doc="|x|; for complex numbers the modulus. The derivative at 0 is taken as 0.",
)


def _np_sign(x: Any) -> Any:
    if x.dtype.kind == "c":
        r = np.absolute(x)
        return np.where(r == 0, 0, x / np.where(r == 0, 1, r)).astype(x.dtype)
    return np.sign(x)


def _sign_vjp(g: Tensor, y: Tensor, x: Tensor) -> Tensor:
    if x._data.dtype.kind != "c":
        return g * 0.0
    r = apply(abs_, x)  # d(x/|x|): the part of g across the direction of x, over |x|
    along = y * call("complex", apply(real, g * conjugate(y)), apply(real, g) * 0.0)
    return (g - along) / call("complex", r, r * 0.0)


sign: Primitive = elementwise(
    "sign",
    _np_sign,
    (_sign_vjp,),
    ranges=[(0.2, 3)],
    kinds=NUMBERS,
    jvp=lambda t, y, x: _sign_vjp(t[0], y, x),  # the projection is symmetric
    doc="-1, 0 or 1; x/|x| for complex numbers.",
)
floor: Primitive = elementwise(
    "floor", np.floor, (_zero,), ranges=[(-3.4, 3.4)], kinds=FLOATS, doc="The largest whole number ≤ x."
)
ceil = elementwise("ceil", np.ceil, (_zero,), ranges=[(-3.4, 3.4)], kinds=FLOATS, doc="The smallest whole number ≥ x.")
round_: Primitive = elementwise(
    "round",
    np.rint,
    (_zero,),
    ranges=[(-3.4, 3.4)],
    kinds=FLOATS,
    doc="The nearest whole number; halves go to the even one.",
)
trunc = elementwise("trunc", np.trunc, (_zero,), ranges=[(-3.4, 3.4)], kinds=FLOATS, doc="x without its fraction.")
square: Primitive = elementwise(
    "square",
    np.square,
    (lambda g, _y, x: g * conjugate(x * 2.0),),
    ranges=[(-3, 3)],
    kinds=NUMBERS,
    doc="x².",
    scalar=lambda s, x: s.mul(x, x),
)
sqrt: Primitive = elementwise(
    "sqrt",
    np.sqrt,
    (lambda g, y, _x: g / conjugate(y * 2.0),),
    ranges=[(0.1, 4)],
    doc="√x. NaN where x < 0; the derivative is unbounded at 0.",
)
rsqrt: Primitive = elementwise(
    "rsqrt",
    via_float32(lambda x: (1 / np.sqrt(x)).astype(x.dtype)),
    (lambda g, y, x: g * conjugate(y / x) * -0.5,),
    ranges=[(0.1, 4)],
    doc="1/√x.",
)
exp = elementwise("exp", np.exp, (lambda g, y, _x: g * conjugate(y),), ranges=[(-3, 3)], doc="e to the power x.")
expm1 = elementwise(
    "expm1", np.expm1, (lambda g, y, _x: g * conjugate(y + 1.0),), ranges=[(-2, 2)], doc="e^x - 1, exact near 0."
)
log = elementwise("log", np.log, (lambda g, _y, x: g / conjugate(x),), ranges=[(0.1, 5)], doc="The natural logarithm.")
log1p = elementwise(
    "log1p", np.log1p, (lambda g, _y, x: g / conjugate(x + 1.0),), ranges=[(-0.8, 3)], doc="log(1 + x), exact near 0."
)
exp2 = elementwise(
    "exp2",
    np.exp2,
    (lambda g, y, _x: g * (y * math.log(2)),),
    ranges=[(-3, 3)],
    kinds=FLOATS,
    doc="2 to the power x, exact at whole numbers.",
)
log2 = elementwise(
    "log2",
    np.log2,
    (lambda g, _y, x: g / (x * math.log(2)),),
    ranges=[(0.1, 5)],
    kinds=FLOATS,
    doc="The logarithm to base 2, exact at powers of 2.",
)
log10 = elementwise(
    "log10",
    np.log10,
    (lambda g, _y, x: g / (x * math.log(10)),),
    ranges=[(0.1, 5)],
    kinds=FLOATS,
    doc="The logarithm to base 10, exact at powers of 10.",
)
sin: Primitive = elementwise(
    "sin", np.sin, (lambda g, _y, x: g * conjugate(apply(cos, x)),), ranges=[(-4, 4)], doc="Sine of x in radians."
)
cos: Primitive = elementwise(
    "cos", np.cos, (lambda g, _y, x: -(g * conjugate(apply(sin, x))),), ranges=[(-4, 4)], doc="Cosine of x in radians."
)
tan: Primitive = elementwise(
    "tan", np.tan, (lambda g, y, _x: g * conjugate(y * y + 1.0),), ranges=[(-1.2, 1.2)], doc="Tangent of x in radians."
)
asin: Primitive = elementwise(
    "asin",
    np.arcsin,
    (lambda g, _y, x: g * conjugate(apply(rsqrt, 1.0 - x * x)),),
    ranges=[(-0.9, 0.9)],
    kinds=FLOATS + COMPLEX,
    doc="Inverse sine.",
)
acos: Primitive = elementwise(
    "acos",
    np.arccos,
    (lambda g, _y, x: -(g * conjugate(apply(rsqrt, 1.0 - x * x))),),
    ranges=[(-0.9, 0.9)],
    doc="Inverse cosine.",
)
atan: Primitive = elementwise(
    "atan", np.arctan, (lambda g, _y, x: g / conjugate(x * x + 1.0),), ranges=[(-0.6, 0.6)], doc="Inverse tangent."
)
sinh: Primitive = elementwise(
    "sinh", np.sinh, (lambda g, _y, x: g * conjugate(apply(cosh, x)),), ranges=[(-2, 2)], doc="Hyperbolic sine."
)
cosh: Primitive = elementwise(
    "cosh", np.cosh, (lambda g, _y, x: g * conjugate(apply(sinh, x)),), ranges=[(-2, 2)], doc="Hyperbolic cosine."
)
tanh: Primitive = elementwise(
    "tanh", np.tanh, (lambda g, y, _x: g * conjugate(1.0 - y * y),), ranges=[(-3, 3)], doc="Hyperbolic tangent."
)
asinh: Primitive = elementwise(
    "asinh",
    np.arcsinh,
    (lambda g, _y, x: g * conjugate(apply(rsqrt, x * x + 1.0)),),
    ranges=[(-0.8, 0.8)],
    doc="Inverse hyperbolic sine.",
)
acosh: Primitive = elementwise(
    "acosh",
    np.arccosh,
    (lambda g, _y, x: g * conjugate(apply(rsqrt, x - 1.0) * apply(rsqrt, x + 1.0)),),
    ranges=[(1.2, 3)],
    doc="Inverse hyperbolic cosine.",
)
atanh: Primitive = elementwise(
    "atanh",
    np.arctanh,
    (lambda g, _y, x: g / conjugate(1.0 - x * x),),
    ranges=[(-0.8, 0.8)],
    doc="Inverse hyperbolic tangent.",
)
erf: Primitive = elementwise(
    "erf",
    _map_float64(math.erf),
    (lambda g, _y, x: g * apply(exp, -(x * x)) * (2 / math.sqrt(math.pi)),),
    ranges=[(-2, 2)],
    kinds=FLOATS,
    doc="The error function, 2/√π ∫₀ˣ exp(-t²) dt.",
)
erfc: Primitive = elementwise(
    "erfc",
    _map_float64(math.erfc),
    (lambda g, _y, x: g * apply(exp, -(x * x)) * (-2 / math.sqrt(math.pi)),),
    ranges=[(-2, 2)],
    kinds=FLOATS,
    doc="1 - erf(x), exact for large x.",
)
erfinv: Primitive = elementwise(
    "erfinv",
    _map_float64(_erfinv_scalar),
    (lambda g, y, _x: g * apply(exp, y * y) * (math.sqrt(math.pi) / 2),),
    ranges=[(-0.9, 0.9)],
    kinds=FLOATS,
    doc="The inverse of erf on (-1, 1).",
)
lgamma: Primitive = elementwise(
    "lgamma",
    _map_float64(_lgamma_scalar),
    (lambda g, _y, x: g * apply(digamma, x),),
    ranges=[(0.3, 5)],
    kinds=FLOATS,
    doc="log|Γ(x)|.",
)


def _trigamma(x: Tensor) -> Tensor:
    """ψ'(x) for x > 0: recurrence up to 8, then the asymptotic series (Abramowitz and Stegun 6.4.12)."""
    total = x * 0.0
    for _ in range(8):
        total = total + 1.0 / (x * x)
        x = x + 1.0
    i = 1.0 / (x * x)
    tail = i * (1 / 6 - i * (1 / 30 - i * (1 / 42 - i * (1 / 30 - i * (5 / 66)))))
    return total + 1.0 / x + i * 0.5 + tail / x


def _digamma_vjp(g: Tensor, _y: Any, x: Tensor) -> Tensor:
    reflected = call("where", x < 0.5, 1.0 - x, x)
    s = math.pi * apply(rsqrt, call("where", x < 0.5, apply(sin, x * math.pi), 1.0 + x * 0.0) ** 2)
    return g * call("where", x < 0.5, s * s - _trigamma(reflected), _trigamma(reflected))


digamma: Primitive = elementwise(
    "digamma",
    _map_float64(_digamma_scalar),
    (_digamma_vjp,),
    ranges=[(0.3, 5)],
    kinds=FLOATS,
    doc="ψ(x), the derivative of log Γ(x).",
)
sigmoid: Primitive = elementwise(
    "sigmoid",
    via_float32(_np_sigmoid),
    (lambda g, y, _x: g * conjugate(y * (1.0 - y)),),
    ranges=[(-4, 4)],
    doc="1 / (1 + e^-x), without overflow.",
)


def _relu_rule(g: Any, y: Any) -> Any:
    return call("where", y > 0, g, 0.0)


_relu_back = Native(
    "relu_backward",
    lambda g, y: find_primitive("where").ref(y > 0, g, 0.0),
    _relu_rule,
    1 << 12,  # elements, from which on one pass beats NumPy's two
    batched=2,
    flat=True,
)
relu: Primitive = elementwise(
    "relu",
    lambda x: np.maximum(x, _ZEROS[x.dtype]),
    (lambda g, y, _x: _relu_rule(g, y),),
    back=lambda _wanted, g, y, _x: (_relu_back(g, y),),
    ranges=[(-3, 3)],
    kinds=FLOATS + INTS,
    scalar=lambda s, x: s.max(x, 0),
    doc="max(x, 0). The derivative at 0 is 0.",
)
isnan: Primitive = elementwise(
    "isnan",
    np.isnan,
    None,
    ranges=[(-3, 3)],
    kinds=FLOATS + COMPLEX,
    result=to_bool,
    doc="Whether x is not a number.",
    why=_STEP,
)
isinf: Primitive = elementwise(
    "isinf",
    np.isinf,
    None,
    ranges=[(-3, 3)],
    kinds=FLOATS + COMPLEX,
    result=to_bool,
    doc="Whether x is infinite.",
    why=_STEP,
)
signbit: Primitive = elementwise(
    "signbit",
    np.signbit,
    None,
    ranges=[(-3, 3)],
    kinds=FLOATS,
    result=to_bool,
    doc="Whether the sign bit is set (true for -0.0).",
    why=_STEP,
)
invert: Primitive = elementwise(
    "invert",
    np.invert,
    None,
    ranges=[(0, 9)],
    kinds=INTS + BOOL,
    doc="Bitwise not; logical not of booleans.",
    why="defined on integers",
)
conj: Primitive = elementwise(
    "conj", np.conj, (lambda g, _y, _x: conjugate(g),), ranges=[(-3, 3)], kinds=COMPLEX, doc="The complex conjugate."
)
real: Primitive = elementwise(
    "real",
    lambda x: x.real.copy(),
    (lambda g, _y, _x: call("complex", g, g * 0.0),),
    ranges=[(-3, 3)],
    kinds=COMPLEX,
    result=_real_of,
    jvp="linear",
    doc="The real part.",
)
imag: Primitive = elementwise(
    "imag",
    lambda x: x.imag.copy(),
    (lambda g, _y, _x: call("complex", g * 0.0, g),),
    ranges=[(-3, 3)],
    kinds=COMPLEX,
    result=_real_of,
    jvp="linear",
    doc="The imaginary part.",
)
copy: Primitive = elementwise(
    "copy",
    lambda x: x.copy(),
    (lambda g, _y, _x: g,),
    ranges=[(-3, 3)],
    kinds=NUMBERS + BOOL,
    doc="The same values in new memory.",
)
stop_gradient: Primitive = elementwise(
    "stop_gradient",
    lambda x: x.copy(),
    None,
    ranges=[(-3, 3)],
    kinds=NUMBERS + BOOL,
    scalar="copy",
    doc="The same values, as a constant for differentiation: detach() and no_grad inside loop bodies and branches.",
    why="it stands where differentiation ends",
)
STOP_GRADIENT.append(stop_gradient)
