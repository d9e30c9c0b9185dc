"""Elementwise functions of `keras.ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow import ops as O
from twinflow import special as S
from twinflow.core import as_dtype
from twinflow.keras._variable import to_tensor
from twinflow.keras.ops._function import number, op, same
from twinflow.tensor import Tensor

abs = same("abs", O.abs)
absolute = same("absolute", O.abs)
fabs = same("fabs", O.abs)
add = same("add", O.add)
angle = same("angle", O.angle)
arccos, arccosh = same("arccos", O.arccos), same("arccosh", O.arccosh)
arcsin, arcsinh = same("arcsin", O.arcsin), same("arcsinh", O.arcsinh)
arctan, arctanh, arctan2 = same("arctan", O.arctan), same("arctanh", O.arctanh), same("arctan2", O.arctan2)
bitwise_and, bitwise_or = same("bitwise_and", O.bitwise_and), same("bitwise_or", O.bitwise_or)
bitwise_xor, bitwise_not = same("bitwise_xor", O.bitwise_xor), same("bitwise_not", O.bitwise_not)
bitwise_invert = same("bitwise_invert", O.bitwise_not)
bitwise_left_shift, left_shift = (
    same("bitwise_left_shift", O.bitwise_left_shift),
    same("left_shift", O.bitwise_left_shift),
)
bitwise_right_shift = same("bitwise_right_shift", O.bitwise_right_shift)
right_shift = same("right_shift", O.bitwise_right_shift)
ceil, floor, trunc = same("ceil", O.ceil), same("floor", O.floor), same("trunc", O.trunc)
conj, conjugate = same("conj", O.conj), same("conjugate", O.conj)
cos, cosh, sin, sinh = same("cos", O.cos), same("cosh", O.cosh), same("sin", O.sin), same("sinh", O.sinh)
deg2rad, rad2deg = same("deg2rad", O.deg2rad), same("rad2deg", O.rad2deg)
divide, true_divide = same("divide", O.true_divide), same("true_divide", O.true_divide)
equal, not_equal = same("equal", O.eq), same("not_equal", O.ne)
erf, erfc, erfinv = same("erf", O.erf), same("erfc", O.erfc), same("erfinv", O.erfinv)
exp, exp2, expm1 = same("exp", O.exp), same("exp2", O.exp2), same("expm1", O.expm1)
floor_divide = same("floor_divide", O.floor_divide)
fmax, fmin, fmod = same("fmax", O.fmax), same("fmin", O.fmin), same("fmod", O.fmod)
gcd, lcm = same("gcd", O.gcd), same("lcm", O.lcm)
greater, greater_equal = same("greater", O.gt), same("greater_equal", O.ge)
less, less_equal = same("less", O.lt), same("less_equal", O.le)
heaviside = same("heaviside", O.heaviside)
hypot = same("hypot", O.hypot)
i0 = same("i0", S.i0)
real = same("real", O.real)
isfinite, isinf, isnan = same("isfinite", O.isfinite), same("isinf", O.isinf), same("isnan", O.isnan)
isneginf, isposinf, isreal = same("isneginf", O.isneginf), same("isposinf", O.isposinf), same("isreal", O.isreal)
ldexp = same("ldexp", O.ldexp)
log, log10, log1p, log2 = same("log", O.log), same("log10", O.log10), same("log1p", O.log1p), same("log2", O.log2)
logaddexp, logaddexp2 = same("logaddexp", O.logaddexp), same("logaddexp2", O.logaddexp2)
logical_and, logical_or = same("logical_and", O.logical_and), same("logical_or", O.logical_or)
logical_xor, logical_not = same("logical_xor", O.logical_xor), same("logical_not", O.logical_not)
maximum, minimum = same("maximum", O.maximum), same("minimum", O.minimum)
mod = same("mod", O.remainder)
multiply, subtract, negative = same("multiply", O.mul), same("subtract", O.sub), same("negative", O.neg)
nextafter = same("nextafter", O.nextafter)
polar = same("polar", O.polar)
power = same("power", O.pow)
reciprocal, rsqrt, sqrt, square = same("reciprocal", O.reciprocal), same("rsqrt", O.rsqrt), same("sqrt", O.sqrt), same("square", O.square)  # fmt: skip
sign, signbit, sinc = same("sign", O.sign), same("signbit", O.signbit), same("sinc", O.sinc)
tan, tanh = same("tan", O.tan), same("tanh", O.tanh)
view_as_complex, view_as_real = same("view_as_complex", O.view_as_complex), same("view_as_real", O.view_as_real)


@op
def imag(x: Any) -> Tensor:
    """The imaginary part; 0 for real numbers."""
    t = to_tensor(x)
    return O.imag(t) if t.is_complex() else O.zeros_like(t)


@op
def cbrt(x: Any) -> Tensor:
    """The cube root."""
    t = to_tensor(x)
    return t.sign() * t.abs() ** (1.0 / 3.0)


@op
def clip(x: Any, x_min: Any, x_max: Any) -> Tensor:
    """x cut to [x_min, x_max]; either may be None."""
    return to_tensor(x).clamp(x_min, x_max)


@op
def divide_no_nan(x1: Any, x2: Any) -> Tensor:
    """x1 / x2, and 0 where x2 is 0."""
    a, b = to_tensor(x1), to_tensor(x2)
    return O.where(b == 0, 0.0, a / O.where(b == 0, 1.0, b))


@op
def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """|x1 - x2| ≤ atol + rtol |x2|."""
    return O.isclose(to_tensor(x1), to_tensor(x2), rtol, atol, equal_nan)


@op
def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether all elements are close."""
    return O.isclose(to_tensor(x1), to_tensor(x2), rtol, atol, equal_nan).all()


@op
def nan_to_num(x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """Numbers in place of NaN and infinities."""
    return O.nan_to_num(to_tensor(x), nan, posinf, neginf)


@op
def round_(x: Any, decimals: int = 0) -> Tensor:
    """The nearest multiple of 10^-decimals, halves to even."""
    return O.round(to_tensor(x), decimals=decimals)


@op
def where(condition: Any, x1: Any = None, x2: Any = None) -> Any:
    """x1 where the condition holds, else x2; alone, the places where it holds."""
    c = to_tensor(condition).bool()
    if x1 is None and x2 is None:
        return tuple(O.nonzero(c, as_tuple=True))
    return O.where(c, number(x1), number(x2))


@op
def cast(x: Any, dtype: Any) -> Tensor:
    """x in another type."""
    return to_tensor(x).to(dtype=as_dtype(dtype))


@op
def saturate_cast(x: Any, dtype: Any) -> Tensor:
    """x in another type, cut to the range of that type."""
    t, wanted = to_tensor(x), as_dtype(dtype)
    if not wanted.is_floating_point and wanted.name != "bool":
        info = np.iinfo(wanted.np)
        t = t.clamp(float(info.min) if t.dtype.is_floating_point else info.min, float(info.max) if t.dtype.is_floating_point else info.max)  # fmt: skip
    return t.to(dtype=wanted)


@op
def stop_gradient(variable: Any) -> Tensor:
    """The same value, a constant for derivatives."""
    return to_tensor(variable).detach()


round = round_
