"""Further elementwise functions, composed of the primitives: logaddexp, hypot, lerp, nan_to_num, isclose, ..."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from twinflow.core import as_dtype, finfo, get_default_dtype
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.ops import _binary as B
from twinflow.ops import _math as M
from twinflow.ops import _unary as U
from twinflow.ops._create import tensor
from twinflow.ops._declare import call
from twinflow.ops._promote import as_inexact, convert, is_inexact, is_number, promote, to_tensor_arg
from twinflow.ops._sort import searchsorted, sort
from twinflow.tensor import Tensor, apply, array_of

# other names of functions of `_math`
absolute = M.abs
arccos, arccosh, arcsin, arcsinh, arctan, arctanh = M.acos, M.acosh, M.asin, M.asinh, M.atan, M.atanh
arctan2 = M.atan2
divide, multiply, subtract, negative = M.div, M.mul, M.sub, M.neg
greater, greater_equal, less, less_equal, not_equal = M.gt, M.ge, M.lt, M.le, M.ne
fix = M.trunc
clip = M.clamp

gcd = M.binary(B.gcd)


def _real_or_by_log(prim: Any, base: float) -> M.Fn:
    def fn(input: Tensor) -> Tensor:
        x = as_inexact(input, prim.name)
        return M.log(x) * (1 / math.log(base)) if x._data.dtype.kind == "c" else apply(prim, x)

    fn.__name__ = fn.__qualname__ = prim.name
    fn.__doc__ = prim.doc
    return fn


log2 = _real_or_by_log(U.log2, 2.0)
log10 = _real_or_by_log(U.log10, 10.0)


def exp2(input: Tensor) -> Tensor:
    """2 to the power x."""
    x = as_inexact(input, "exp2")
    return M.exp(x * math.log(2)) if x._data.dtype.kind == "c" else apply(U.exp2, x)


def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
    if to_tensor_arg(input, "positive")._data.dtype.kind == "b":
        raise DTypeError("positive: bool tensors have no sign")
    return input


def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """other - alpha · input."""
    return M.sub(other, input, alpha=alpha)


def float_power(input: Any, exponent: Any) -> Tensor:
    """input to the power exponent, computed in float64 or complex128."""

    def wide(x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        return convert(x, as_dtype("complex128" if x._data.dtype.kind == "c" else "float64"))

    a, b = wide(input), wide(exponent)
    if not isinstance(a, Tensor):
        a = tensor(a, dtype="complex128" if isinstance(a, builtins.complex) else "float64")
    return M.pow(a, b)


def logaddexp(input: Tensor, other: Tensor) -> Tensor:
    """log(e^a + e^b), without overflow."""
    x, y = promote("logaddexp", input, other, inexact=True)
    same = M.eq(x, y) & M.isinf(x)  # ∞ - ∞ is no number, but the result is ∞
    gap = call("where", same, 0.0, M.sub(x, y))
    # log(e^a + e^b) = max + log1p(e^-|a - b|), written so that the gradient is the softmax of (a, b)
    first = M.gt(call("real", gap) if gap.dtype.is_complex else gap, 0.0)
    high = call("where", first, x, y)
    return high + M.log1p(M.exp(call("where", first, -gap, gap)))


def logaddexp2(input: Tensor, other: Tensor) -> Tensor:
    """log2(2^a + 2^b), without overflow."""
    ln2 = math.log(2)
    x, y = promote("logaddexp2", input, other, inexact=True)
    return logaddexp(M.mul(x, ln2), M.mul(y, ln2)) * (1 / ln2)


def hypot(input: Tensor, other: Tensor) -> Tensor:
    """√(a² + b²), without overflow: the larger of the two is taken out first."""
    x, y = promote("hypot", input, other, inexact=True)
    if x.dtype.is_complex:
        raise DTypeError(f"hypot: real sides are needed, not {x.dtype.name}; take .abs()")
    scale = M.maximum(M.abs(x), M.abs(y)).detach()
    scale = call("where", M.eq(scale, 0.0) | M.isinf(scale), 1.0, scale)
    x, y = M.div(x, scale), M.div(y, scale)
    return M.sqrt(M.add(M.mul(x, x), M.mul(y, y))) * scale


def copysign(input: Tensor, other: Any) -> Tensor:
    """|a| with the sign of b, which may be that of -0.0."""
    x, y = promote("copysign", input, other, inexact=True)
    if is_number(y):
        size = M.abs(x)
        return M.neg(size) if math.copysign(1.0, y) < 0 else size
    size = M.abs(x if isinstance(x, Tensor) else tensor(x, dtype=y.dtype))
    return call("where", M.signbit(y), M.neg(size), size)


def fmax(input: Tensor, other: Tensor) -> Tensor:
    """The larger of a and b; of a number and NaN the number."""
    x, y = promote("fmax", input, other)
    return M.where(M.isnan(y), x, M.where(M.isnan(x), y, M.maximum(x, y))) if is_inexact(x) else M.maximum(x, y)


def fmin(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of a and b; of a number and NaN the number."""
    x, y = promote("fmin", input, other)
    return M.where(M.isnan(y), x, M.where(M.isnan(x), y, M.minimum(x, y))) if is_inexact(x) else M.minimum(x, y)


def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 where x < 0, 1 where x > 0, and `values` where x = 0."""
    x, v = promote("heaviside", input, values)
    step = convert(M.gt(x, 0), x.dtype)
    return M.where(M.isnan(x) if is_inexact(x) else M.ne(x, x), x, M.where(M.eq(x, 0), v, step))


def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """input + weight · (end - input)."""
    return M.add(input, M.mul(M.sub(end, input), weight))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value · tensor1 · tensor2."""
    return M.add(input, M.mul(tensor1, tensor2), alpha=value)


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """input + value · tensor1 / tensor2."""
    return M.add(input, M.true_divide(tensor1, tensor2), alpha=value)


def nan_to_num(input: Tensor, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """NaN and the infinities replaced: by 0 and the largest and smallest number of the type unless said otherwise."""
    x = to_tensor_arg(input, "nan_to_num")
    if not is_inexact(x):
        return x.clone()
    if x._data.dtype.kind == "c":
        return M.complex(nan_to_num(M.real(x), nan, posinf, neginf), nan_to_num(M.imag(x), nan, posinf, neginf))
    top = finfo(x.dtype).max
    y = call("where", M.isnan(x), float(0.0 if nan is None else nan), x)
    y = call("where", M.eq(x, math.inf), top if posinf is None else float(posinf), y)
    return call("where", M.eq(x, -math.inf), -top if neginf is None else float(neginf), y)


def frac(input: Tensor) -> Tensor:
    """The part behind the point, with the sign of x."""
    return M.sub(input, M.trunc(input))


def deg2rad(input: Tensor) -> Tensor:
    """Degrees as radians."""
    return M.mul(as_inexact(input, "deg2rad"), math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Radians as degrees."""
    return M.mul(as_inexact(input, "rad2deg"), 180 / math.pi)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)), the inverse of sigmoid; with `eps`, x is first limited to [eps, 1 - eps]."""
    x = as_inexact(input, "logit")
    if eps is not None:
        x = M.clamp(x, eps, 1 - eps)
    return M.log(M.div(x, M.sub(1.0, x)))


def xlogy(input: Any, other: Any) -> Tensor:
    """x · log(y), and 0 where x is 0 (unless y is NaN)."""
    x, y = promote("xlogy", input, other, inexact=True)
    y = y if isinstance(y, Tensor) else tensor(y, dtype=x.dtype)
    x = x if isinstance(x, Tensor) else tensor(x, dtype=y.dtype)
    zero = M.eq(x, 0.0) & M.eq(y, y)
    return call("where", zero, 0.0, M.mul(x, M.log(call("where", zero, 1.0, y))))


def sinc(input: Tensor) -> Tensor:
    """sin(πx) / (πx), and 1 at 0."""
    x = M.mul(as_inexact(input, "sinc"), math.pi)
    zero = M.eq(x, 0.0)
    safe = call("where", zero, 1.0, x)
    return call("where", zero, 1.0, M.div(M.sin(safe), safe))


def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Each element, or `min` if it is smaller."""
    return M.clamp(input, min=min)


def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Each element, or `max` if it is larger."""
    return M.clamp(input, max=max)


def lcm(input: Tensor, other: Tensor) -> Tensor:
    """The least common multiple, not negative; 0 if either is 0."""
    x, y = promote("lcm", input, other)
    d = apply(B.gcd, x, y)
    return M.abs(M.mul(M.floor_divide(x, M.where(M.eq(d, 0), 1, d)), y))


def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """input · 2^other."""
    power = other if is_inexact(other) else convert(other, get_default_dtype())
    return M.mul(input, exp2(power))


class MantissaExponent(NamedTuple):
    """What `frexp` returns."""

    mantissa: Tensor
    exponent: Tensor


def frexp(input: Tensor) -> MantissaExponent:
    """(mantissa in (-1, -½] or [½, 1), exponent int32) with input = mantissa · 2^exponent."""
    x = to_tensor_arg(input, "frexp")
    if x._data.dtype.kind not in "fV":
        raise DTypeError(f"frexp: floating numbers have a mantissa and an exponent, not {x.dtype.name}")
    regular = M.isfinite(x) & M.ne(x, 0.0)
    wide = convert(M.abs(call("where", regular, x, 1.0)).detach(), as_dtype("float64"))
    e = M.floor(apply(U.log2, wide)) + 1.0
    # the logarithm may round up to the next whole number
    e = M.where(M.ge(M.mul(wide, apply(U.exp2, -e)), 1.0), e + 1.0, e)
    e = M.where(M.lt(M.mul(wide, apply(U.exp2, -e)), 0.5), e - 1.0, e)
    e = call("where", regular, e, 0.0)
    half = M.floor(e * 0.5)  # in two steps, so that neither power overflows
    mantissa = convert(M.mul(M.mul(convert(x, wide.dtype), apply(U.exp2, -half)), apply(U.exp2, half - e)), x.dtype)
    return MantissaExponent(mantissa, convert(e, as_dtype("int32")))


# -- tests ------------------------------------------------------------------------------------------------------


def isposinf(input: Tensor) -> Tensor:
    """Whether x is +∞."""
    return M.eq(to_tensor_arg(input, "isposinf"), math.inf) if is_inexact(input) else M.ne(input, input)


def isneginf(input: Tensor) -> Tensor:
    """Whether x is -∞."""
    return M.eq(to_tensor_arg(input, "isneginf"), -math.inf) if is_inexact(input) else M.ne(input, input)


def isreal(input: Tensor) -> Tensor:
    """Whether the imaginary part is 0."""
    if input._data.dtype.kind == "c":
        return M.eq(M.imag(input), 0)
    return call("full", shape=tuple(input._data.shape), value=True, dtype=as_dtype("bool"))


def isclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |a - b| ≤ atol + rtol · |b|; equal infinities are close, NaN only with equal_nan."""
    a, b = to_tensor_arg(input, "isclose"), to_tensor_arg(other, "isclose", "other")
    if a.dtype is not b.dtype:
        raise DTypeError(f"isclose: the tensors are of types {a.dtype.name} and {b.dtype.name}; convert one")
    if rtol < 0 or atol < 0:
        raise ArgumentError(f"isclose: tolerances must not be negative, but rtol={rtol} and atol={atol} were given")
    close = M.eq(a, b)
    if not is_inexact(a):
        a, b = convert(a, as_dtype("float64")), convert(b, as_dtype("float64"))
    elif equal_nan:
        close = close | (M.isnan(a) & M.isnan(b))
    gap = M.abs(M.sub(a, b))
    return close | (M.isfinite(gap) & M.le(gap, M.add(M.mul(M.abs(b), float(rtol)), float(atol))))


def allclose(input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether `isclose` holds everywhere."""
    return builtins.bool(array_of(isclose(input, other, rtol, atol, equal_nan), "allclose").all())


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal."""
    a, b = to_tensor_arg(input, "equal"), to_tensor_arg(other, "equal", "other")
    if tuple(a.shape) != tuple(b.shape):
        return False
    return builtins.bool(array_of(M.eq(a, b), "equal").all())


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among `test_elements`."""
    e, among = (x if isinstance(x, Tensor) else tensor(x) for x in (elements, test_elements))
    e, among = promote("isin", e, among)
    among = among.reshape(-1)
    n = among._data.shape[0]
    shape = tuple(e._data.shape)
    if n == 0:
        found = call("full", shape=shape, value=False, dtype=as_dtype("bool"))
    elif e._data.dtype.kind == "c":
        found = call("gt", convert(M.eq(e.reshape(-1, 1), among), as_dtype("int64")).sum(1), 0).reshape(shape)
    else:
        ordered = apply(sort, among, axis=0, descending=False)[0]
        flat = e.reshape(-1)
        at = M.clamp(apply(searchsorted, ordered, flat, right=False), max=n - 1)
        found = M.eq(call("take", ordered, at, axis=0), flat).reshape(shape)
    return M.logical_not(found) if invert else found


# -- complex numbers --------------------------------------------------------------------------------------------


def angle(input: Tensor) -> Tensor:
    """The angle of a complex number; 0 or π for real ones, by their sign."""
    x = as_inexact(input, "angle")
    if x._data.dtype.kind == "c":
        a, b = M.real(x), M.imag(x)
        zero = M.eq(a, 0.0) & M.eq(b, 0.0)  # the derivative there is taken as 0
        return call("where", zero, M.atan2(b, a).detach(), M.atan2(b, call("where", zero, 1.0, a)))
    flat = call("where", M.lt(x, 0.0), math.pi, x * 0.0)
    return call("where", M.isnan(x), x, flat)


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs · (cos angle + i sin angle)."""
    return M.complex(M.mul(abs, M.cos(angle)), M.mul(abs, M.sin(angle)))


def view_as_real(input: Tensor) -> Tensor:
    """Real and imaginary parts along a new last axis (a copy: writing to it does not change `input`)."""
    x = to_tensor_arg(input, "view_as_real")
    if x._data.dtype.kind != "c":
        raise DTypeError(f"view_as_real: a complex tensor is needed, not {x.dtype.name}")
    return call("concat", M.real(x).unsqueeze(-1), M.imag(x).unsqueeze(-1), axis=x.ndim)


def view_as_complex(input: Tensor) -> Tensor:
    """Pairs along the last axis as complex numbers (a copy)."""
    x = to_tensor_arg(input, "view_as_complex")
    if not x.ndim or x._data.shape[-1] != 2:
        raise ShapeError(f"view_as_complex: the last axis holds pairs, but the shape is {tuple(x.shape)}")
    return M.complex(x.select(-1, 0), x.select(-1, 1))


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugation is always carried out at once."""
    return input


resolve_neg = resolve_conj


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element differs from zero."""
    return builtins.bool(to_tensor_arg(input, "is_nonzero"))


def is_floating_point(input: Tensor) -> bool:
    """Whether the type is floating."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the type is complex."""
    return input.dtype.is_complex


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return tuple(input.shape) == tuple(other.shape)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return int(np.prod(input._data.shape))


def is_signed(input: Tensor) -> bool:
    """Whether the type has negative numbers."""
    return input.dtype.is_signed
