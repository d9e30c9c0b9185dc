"""Elementwise functions on tensors: promotion, then the primitive."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import quiet, silently
from twinflow.core.errors import DTypeError
from twinflow.graph import Primitive
from twinflow.ops import _binary as B
from twinflow.ops import _unary as U
from twinflow.ops._promote import F32, F64, as_inexact, is_number, promote, to_tensor_arg
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, is_plain, record_binary, record_unary, update, wrap
from twinflow.tensor._door import METHODS, Door
from twinflow.tensor._tensor import _new

Fn = Callable[..., Tensor]


def _named(fn: Any, name: str, prim: Primitive) -> Any:
    fn.__name__ = fn.__qualname__ = name
    fn.__doc__ = prim.doc + (f"\n\nNo gradient: {prim.why}." if prim.vjp is None else "")
    return fn


_NONE: dict[str, Any] = {}

COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")

# Fast paths: in plain evaluation float32 and float64 go straight to NumPy. Everything else (and every error) takes the
# way through `promote` and `apply`, which knows all types and says what is wrong.
_NUMBERS: dict[np.dtype[Any], dict[float, np.ndarray[Any, Any]]] = {F32: {}, F64: {}}


def number_array(x: float, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A number as an array without axes: NumPy combines it with an array in half the time that a Python float takes."""
    known = _NUMBERS[dtype]
    found = known.get(x)
    if found is None:
        found = silently(np.array, x, dtype)
        if x:  # 0.0 and -0.0 are one key
            if len(known) >= 256:
                known.clear()
            known[x] = found
    return found


def unary(prim: Primitive, *, inexact: bool = True, counts: bool = False, name: str = "") -> Fn:
    """The public function of a one-operand primitive; `inexact` converts integers to the default floating type, `counts` bool to
    int64."""
    op, recorded = name or prim.name, prim.vjp is not None

    def python(input: Tensor) -> Tensor:
        if isinstance(input, Tensor):
            if not SPECIAL.count:
                a = input._data
                d = a.dtype
                if d is F32 or d is F64:
                    try:
                        out = quiet(prim.run, a)
                    except RuntimeError:
                        return apply(prim, input)
                    t: Tensor = _new(Tensor)
                    t._data = out if type(out) is np.ndarray else np.asarray(out)
                    m = input._info
                    t._info = None
                    if m is not None and recorded and m.requires_grad and MODE.grad:
                        record_unary(prim, input, _NONE, t)
                    return t
            if counts and input._data.dtype.kind == "b":
                return apply(prim, input.to(dtype="int64"))
            if not inexact or input._data.dtype.kind in "fcV":
                return apply(prim, input)
        return apply(prim, as_inexact(input, op) if inexact else to_tensor_arg(input, op))

    run, extra = _MAXIMA if prim is U.relu else (prim.run, None)
    door = Door(_named(python, op, prim), "unary", prim, run=run, extra=extra)

    def fn(input: Tensor) -> Tensor:
        return door.call(input)

    return door.serves(_named(fn, op, prim))


_MAXIMA = np.maximum, (np.zeros((), F32), np.zeros((), F64))  # relu's `run`, without a function of ours


def binary(prim: Primitive, ufunc: Any = None, *, inexact: bool = False, name: str = "", loop: str = "") -> Fn:
    """The public function of a two-operand primitive; `ufunc` computes it for float32 and float64, and so does `loop` of
    the native ways where nothing is broadcast."""
    op, recorded = name or prim.name, prim.vjp is not None

    def slow(input: Any, other: Any) -> Tensor:
        return apply(prim, *promote(op, input, other, inexact=inexact))

    def python(input: Any, other: Any) -> Tensor:
        if SPECIAL.count:
            return slow(input, other)
        wanted = False
        if isinstance(input, Tensor):
            a = input._data
            d = a.dtype
            if d is not F32 and d is not F64:
                return slow(input, other)
            m = input._info
            if m is not None and m.requires_grad:
                wanted = True
            if isinstance(other, Tensor):
                b = other._data
                if b.dtype is not d:
                    return slow(input, other)
                m = other._info
                if m is not None and m.requires_grad:
                    wanted = True
            elif type(other) is float or type(other) is int:
                other = float(other)
                b = number_array(other, d)
            else:
                return slow(input, other)
        elif isinstance(other, Tensor) and (type(input) is float or type(input) is int):
            b = other._data
            d = b.dtype
            if d is not F32 and d is not F64:
                return slow(input, other)
            m = other._info
            if m is not None and m.requires_grad:
                wanted = True
            input = float(input)
            a = number_array(input, d)
        else:
            return slow(input, other)
        try:
            out = quiet(ufunc, a, b)
        except (ValueError, TypeError, RuntimeError):
            return slow(input, other)  # which says what is wrong
        t: Tensor = _new(Tensor)
        t._data = out if type(out) is np.ndarray else np.asarray(out)
        t._info = None
        if wanted and recorded and MODE.grad:
            record_binary(prim, input, other, _NONE, t)
        return t

    if ufunc is None:
        return _named(slow, op, prim)
    result = np.dtype(np.bool_) if loop in COMPARISONS else None
    door = Door(_named(python, op, prim), "binary", prim, run=ufunc, loop=loop, result=result, n=2)

    def fn(input: Any, other: Any) -> Tensor:
        return door.call(input, other)

    return door.serves(_named(fn, op, prim))


_add = binary(B.add, np.add, loop="add")
_sub = binary(B.sub, np.subtract, loop="sub")
mul = binary(B.mul, np.multiply, loop="mul")
true_divide = binary(B.div, np.true_divide, inexact=True, name="div", loop="div")
maximum = binary(B.maximum, np.maximum)
minimum = binary(B.minimum, np.minimum)
floor_divide = binary(B.floor_divide, np.floor_divide)
remainder = binary(B.remainder, np.remainder)
fmod = binary(B.fmod, np.fmod)
atan2 = binary(B.atan2, np.arctan2, inexact=True)
eq = binary(B.eq, np.equal, loop="eq")
ne = binary(B.ne, np.not_equal, loop="ne")
lt = binary(B.lt, np.less, loop="lt")
le = binary(B.le, np.less_equal, loop="le")
gt = binary(B.gt, np.greater, loop="gt")
ge = binary(B.ge, np.greater_equal, loop="ge")
bitwise_and = binary(B.bitwise_and)
bitwise_or = binary(B.bitwise_or)
bitwise_xor = binary(B.bitwise_xor)
bitwise_left_shift = binary(B.shift_left, name="bitwise_left_shift")
bitwise_right_shift = binary(B.shift_right, name="bitwise_right_shift")
nextafter = binary(B.nextafter)

neg = unary(U.neg, inexact=False)
sqrt = unary(U.sqrt)
rsqrt = unary(U.rsqrt)
exp = unary(U.exp)
expm1 = unary(U.expm1)
log = unary(U.log)
log1p = unary(U.log1p)
sin = unary(U.sin)
cos = unary(U.cos)
tan = unary(U.tan)
asin = unary(U.asin)
acos = unary(U.acos)
atan = unary(U.atan)
sinh = unary(U.sinh)
cosh = unary(U.cosh)
tanh = unary(U.tanh)
asinh = unary(U.asinh)
acosh = unary(U.acosh)
atanh = unary(U.atanh)
erf = unary(U.erf)
erfc = unary(U.erfc)
erfinv = unary(U.erfinv)
lgamma = unary(U.lgamma)
digamma = unary(U.digamma)
sigmoid = unary(U.sigmoid)
relu = unary(U.relu, inexact=False)
bitwise_not = unary(U.invert, inexact=False, name="bitwise_not")


def add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input + alpha · other."""
    return _add(input, other if alpha == 1 else mul(other, alpha))


def sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    """input - alpha · other."""
    for x in (input, other):
        if isinstance(x, Tensor) and x._data.dtype.kind == "b":
            raise DTypeError("sub: bool tensors have no difference; use ^ (exclusive or), or ~ for not")
    return _sub(input, other if alpha == 1 else mul(other, alpha))


for _door_of, _also in ((_add, add), (_sub, sub)):  # what is special about these comes with `alpha` or with bools
    METHODS[_door_of][0].serves(_also)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """input / other; with rounding_mode "floor" or "trunc", rounded that way and of the operands' type."""
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        a, b = promote("div", input, other)
        if a.dtype.is_floating_point:
            return trunc(true_divide(a, b))
        return floor_divide(sub(a, fmod(a, b)), b)  # exact, where a quotient of floating-point numbers is not
    raise DTypeError(f"div: rounding_mode is None, 'floor' or 'trunc', not {rounding_mode!r}")


def pow(input: Any, exponent: Any) -> Tensor:
    """input to the power exponent. Small constant exponents become products and roots."""
    if isinstance(input, Tensor) and is_number(exponent) and not isinstance(exponent, builtins.complex):
        if exponent == 2:
            return square(input)
        if exponent == 1:
            return apply(U.copy, input)
        if input._data.dtype.kind in "fV":
            if exponent == 0.5:
                return sqrt(input)
            if exponent == -1:
                return true_divide(1.0, input)
            if exponent == -0.5:
                return rsqrt(input)
            if exponent == 3:
                return mul(mul(input, input), input)
    return apply(B.pow_, *promote("pow", input, exponent))


square = unary(U.square, inexact=False, counts=True)


def reciprocal(input: Tensor) -> Tensor:
    """1 / x."""
    return true_divide(1.0, input)


def _rounding(prim: Primitive, name: str) -> Fn:
    def fn(input: Tensor) -> Tensor:
        t = to_tensor_arg(input, name)
        return apply(prim, t) if t._data.dtype.kind in "fcV" else apply(U.copy, t)

    return _named(fn, name, prim)


floor = _rounding(U.floor, "floor")
ceil = _rounding(U.ceil, "ceil")
trunc = _rounding(U.trunc, "trunc")
_round0 = _rounding(U.round_, "round")


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest number with so many decimals; halves go to the even neighbour."""
    if decimals == 0:
        return _round0(input)
    scale = 10.0**decimals
    return _round0(input * scale) / scale


def abs(input: Tensor) -> Tensor:
    """|x|; the modulus of complex numbers."""
    t = to_tensor_arg(input, "abs")
    return apply(U.abs_, t) if t._data.dtype.kind != "b" else t


def sign(input: Tensor) -> Tensor:
    """-1, 0 or 1 by the sign of x."""
    t = to_tensor_arg(input, "sign")
    if t._data.dtype.kind == "c":
        raise DTypeError("sign: complex numbers have no sign; sgn gives x/|x|")
    return apply(U.sign, t) if t._data.dtype.kind != "b" else t


def sgn(input: Tensor) -> Tensor:
    """The sign; x/|x| for complex numbers."""
    t = to_tensor_arg(input, "sgn")
    return t if t._data.dtype.kind == "b" else apply(U.sign, t)


def _float_test(prim: Primitive, name: str, otherwise: bool) -> Fn:
    def fn(input: Tensor) -> Tensor:
        t = to_tensor_arg(input, name)
        if t._data.dtype.kind in "fcV":
            return apply(prim, t)
        return ne(t, t) if not otherwise else eq(t, t)

    return _named(fn, name, prim)


isnan = _float_test(U.isnan, "isnan", False)
isinf = _float_test(U.isinf, "isinf", False)


def isfinite(input: Tensor) -> Tensor:
    """Whether x is neither infinite nor NaN."""
    t = to_tensor_arg(input, "isfinite")
    if t._data.dtype.kind not in "fcV":
        return eq(t, t)
    if t._data.dtype.kind == "c":
        return bitwise_not(bitwise_or(isnan(t), isinf(t)))
    return lt(abs(t), float("inf"))  # which no comparison with NaN is


def as_bool(x: Any, op: str) -> Tensor:
    """Truth of each element: different from zero."""
    t = to_tensor_arg(x, op)
    return t if t._data.dtype.kind == "b" else ne(t, 0)


def bool_of(x: Any, op: str, what: str) -> Tensor:
    """A condition or mask, which is bool: numbers in its place are nearly always the wrong tensor."""
    t = to_tensor_arg(x, op, what)
    if t._data.dtype.kind != "b":
        raise DTypeError(
            f"{op}: the {what} is a bool tensor, not {t.dtype.name}; compare it with something, as in x != 0"
        )
    return t


def logical_not(input: Tensor) -> Tensor:
    """True where x is zero."""
    return bitwise_not(as_bool(input, "logical_not"))


def logical_and(input: Tensor, other: Tensor) -> Tensor:
    """True where both are different from zero."""
    return bitwise_and(as_bool(input, "logical_and"), as_bool(other, "logical_and"))


def logical_or(input: Tensor, other: Tensor) -> Tensor:
    """True where either is different from zero."""
    return bitwise_or(as_bool(input, "logical_or"), as_bool(other, "logical_or"))


def logical_xor(input: Tensor, other: Tensor) -> Tensor:
    """True where exactly one is different from zero."""
    return bitwise_xor(as_bool(input, "logical_xor"), as_bool(other, "logical_xor"))


def _where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    c = to_tensor_arg(condition, "where", "condition")
    if not SPECIAL.count and isinstance(input, Tensor) and isinstance(other, Tensor):
        a, b = input._data, other._data
        if c._data.dtype.kind == "b" and a.dtype is b.dtype and a.shape == b.shape == c._data.shape:
            if is_plain(input) and is_plain(other):
                return wrap(np.where(c._data, a, b))
    if input is None and other is None:
        return c.nonzero(as_tuple=True)
    x, y = promote("where", input, other)
    return apply(B.where, bool_of(c, "where", "condition"), x, y)


_where_door = Door(_where, "where", B.where, n=3)


def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """`input` where the condition holds and `other` elsewhere; with the condition alone, the positions where it holds."""
    return _where_door.call(condition, input, other)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limit each element to [min, max]; either bound may be a number, a tensor or None."""
    if min is None and max is None:
        raise DTypeError("clamp: at least one of min and max must be given")
    x = to_tensor_arg(input, "clamp")
    # composed of comparisons so that the gradient is 1 inside and at the bounds, as PyTorch's is
    if min is not None:
        x2, low = promote("clamp", x, min)
        x = apply(B.where, lt(x2, low), low, x2)
    if max is not None:
        x2, high = promote("clamp", x, max)
        x = apply(B.where, gt(x2, high), high, x2)
    return x


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """real + i·imag."""
    return apply(B.complex_, real, imag)


def conj(input: Tensor) -> Tensor:
    """The complex conjugate; real tensors are returned as they are."""
    return apply(U.conj, input) if input._data.dtype.kind == "c" else input


def real(input: Tensor) -> Tensor:
    """The real part; real tensors are returned as they are."""
    return apply(U.real, input) if input._data.dtype.kind == "c" else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor."""
    if input._data.dtype.kind != "c":
        raise DTypeError(f"imag: {input.dtype.name} tensors have no imaginary part")
    return apply(U.imag, input)


def signbit(input: Tensor) -> Tensor:
    """Whether the sign bit is set: true for -0.0 too."""
    return apply(U.signbit, input) if input._data.dtype.kind in "fV" else lt(input, 0)


# -- in place ---------------------------------------------------------------------------------------------------


def inplace(fn: Fn, name: str, ufunc: Any = None) -> Any:
    """The in-place form of a function: `x.add_(y)` writes the result of `add(x, y)` into `x`."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if ufunc is not None and not SPECIAL.count and not kwargs and len(args) == 1:
            # the hot path of optimizers: plain memory, nothing recorded
            m, other = self._meta, args[0]
            a = self._data
            silent = not MODE.grad  # then even a leaf that requires gradients may be written
            d = a.dtype
            if (d is F32 or d is F64) and (
                m is None or (not m.inference and (silent or not (m.requires_grad or m.base is not None)))
            ):
                if isinstance(other, Tensor):
                    n = other._info
                    b = other._data if silent or n is None or not n.requires_grad else None
                    fits = b is not None and b.dtype is d and b.shape == a.shape
                else:
                    fits = type(other) is float or type(other) is int
                    b = number_array(float(other), d) if fits else None
                if fits and a.flags.writeable:
                    silently(ufunc, a, b, a)
                    if m is not None:
                        m.version[0] += 1
                    return self
        return update(self, lambda old: fn(old, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{fn.__name__}` in place: writes the result into this tensor and returns it."
    return method
