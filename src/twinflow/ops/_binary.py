"""Elementwise primitives of two and three operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import broadcast_shapes
from twinflow.core.errors import DTypeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.ops._declare import (
    BF16,
    BOOL,
    FLOATS,
    INTS,
    NUMBERS,
    call,
    common,
    conjugate,
    elementwise,
    keep_type,
    to_bool,
    uniform,
    want,
)
from twinflow.tensor import Tensor, apply

_STEP = "piecewise constant: the derivative is 0 wherever it exists"
_INT = "defined on integers"
_REAL = FLOATS + INTS


add: Primitive = elementwise(
    "add",
    keep_type(np.add),
    (lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g),
    ranges=[(-3, 3)] * 2,
    kinds=NUMBERS + BOOL,
    doc="a + b.",
)
sub: Primitive = elementwise(
    "sub",
    keep_type(np.subtract),
    (lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: -g),
    ranges=[(0, 3), (-3, 0)],
    kinds=NUMBERS,
    doc="a - b.",
)
mul: Primitive = elementwise(
    "mul",
    keep_type(np.multiply),
    (lambda g, _y, _a, b: g * conjugate(b), lambda g, _y, a, _b: g * conjugate(a)),
    ranges=[(-3, 3)] * 2,
    kinds=NUMBERS + BOOL,
    doc="a · b.",
)
div: Primitive = elementwise(
    "div",
    keep_type(np.true_divide),
    (lambda g, _y, _a, b: g / conjugate(b), lambda g, y, _a, b: -(g * conjugate(y / b))),
    ranges=[(-3, 3), (0.5, 3)],
    doc="a / b.",
)


def _int_safe(fn: Any) -> Any:
    """Integer division by zero gives 0 in NumPy with a note; the note is not ours to show."""

    def run(a: Any, b: Any) -> Any:
        return fn(a, b)

    return keep_type(run)


floor_divide: Primitive = elementwise(
    "floor_divide",
    _int_safe(np.floor_divide),
    (lambda g, _y, _a, _b: g * 0.0, lambda g, _y, _a, _b: g * 0.0),
    ranges=[(-7.3, 7.3), (1.1, 3.3)],
    kinds=_REAL,
    doc="⌊a / b⌋.",
)
remainder: Primitive = elementwise(
    "remainder",
    _int_safe(np.remainder),
    (lambda g, _y, _a, _b: g, lambda g, _y, a, b: -(g * apply(floor_divide, a, b))),
    ranges=[(-7.3, 7.3), (1.1, 3.3)],
    kinds=_REAL,
    doc="a - b·⌊a / b⌋: the remainder with the divisor's sign.",
)
fmod: Primitive = elementwise(
    "fmod",
    _int_safe(np.fmod),
    (lambda g, _y, _a, _b: g, lambda g, _y, a, b: -(g * call("trunc", a / b))),
    ranges=[(-7.3, 7.3), (1.1, 3.3)],
    kinds=_REAL,
    doc="a - b·trunc(a / b): the remainder with the dividend's sign.",
)


def _pow_wrt_base(g: Tensor, _y: Any, a: Any, b: Any) -> Tensor:
    # where the exponent is 0 the derivative is 0 even at a = 0
    if isinstance(b, Tensor):
        return apply(where, b == 0, 0.0, g * conjugate(b * apply(pow_, a, b - 1.0)))
    return g * conjugate(apply(pow_, a, b - 1.0) * b) if b != 0 else g * 0.0


def _pow_wrt_exponent(g: Tensor, y: Tensor, a: Any, b: Tensor) -> Tensor:
    if not isinstance(a, Tensor):
        return g * conjugate(y) * float(np.log(a)) if a != 0 else apply(where, b >= 0, 0.0, g * y)
    return apply(where, a == 0, 0.0, g * conjugate(y * call("log", apply(where, a == 0, 1.0, a))))


def _np_pow(a: Any, b: Any) -> Any:
    kind = (a if isinstance(a, np.ndarray) else b).dtype.kind
    if kind in "iu" and np.any(np.asarray(b) < 0):
        raise DTypeError("pow: integers to negative integer powers are not whole; convert to a floating type")
    return np.power(a, b)


pow_: Primitive = elementwise(
    "pow",
    keep_type(_np_pow),
    (_pow_wrt_base, _pow_wrt_exponent),
    ranges=[(0.3, 3), (0, 2)],
    kinds=NUMBERS,
    doc="a to the power b.",
    ulp=16,
)
atan2 = elementwise(
    "atan2",
    keep_type(np.arctan2),
    (lambda g, _y, a, b: g * b / (a * a + b * b), lambda g, _y, a, b: -(g * a / (a * a + b * b))),
    ranges=[(0.4, 3), (-3, 3)],
    kinds=FLOATS,
    doc="The angle of the point (b, a).",
)


def _share(first: Any, g: Tensor, y: Tensor, x: Any, other: Any) -> Tensor:
    """The whole gradient where `x` is the chosen operand, half of it at a tie."""
    mine = apply(where, apply(eq, x, y), g, 0.0)
    return apply(where, apply(eq, x, other), mine * 0.5, mine)


maximum: Primitive = elementwise(
    "maximum",
    keep_type(np.maximum),
    (lambda g, y, a, b: _share(0, g, y, a, b), lambda g, y, a, b: _share(1, g, y, b, a)),
    ranges=[(-3, 3)] * 2,
    kinds=_REAL + BOOL,
    doc="The larger of a and b; NaN if either is. At a tie each side gets half of the gradient.",
)
minimum: Primitive = elementwise(
    "minimum",
    keep_type(np.minimum),
    (lambda g, y, a, b: _share(0, g, y, a, b), lambda g, y, a, b: _share(1, g, y, b, a)),
    ranges=[(-3, 3)] * 2,
    kinds=_REAL + BOOL,
    doc="The smaller of a and b; NaN if either is. At a tie each side gets half of the gradient.",
)


def _compare(name: str, fn: Any, sign: str, kinds: Any = _REAL + BOOL) -> Any:
    return elementwise(
        name, fn, None, ranges=[(-2, 2)] * 2, kinds=kinds, result=to_bool, doc=f"Whether a {sign} b.", why=_STEP
    )


eq = _compare("eq", np.equal, "=", NUMBERS + BOOL)
ne = _compare("ne", np.not_equal, "≠", NUMBERS + BOOL)
lt = _compare("lt", np.less, "<")
le = _compare("le", np.less_equal, "≤")
gt = _compare("gt", np.greater, ">")
ge = _compare("ge", np.greater_equal, "≥")

bitwise_and: Primitive = elementwise(
    "bitwise_and",
    np.bitwise_and,
    None,
    ranges=[(0, 9)] * 2,
    kinds=INTS + BOOL,
    doc="Bitwise and; logical and of booleans.",
    why=_INT,
)
bitwise_or: Primitive = elementwise(
    "bitwise_or",
    np.bitwise_or,
    None,
    ranges=[(0, 9)] * 2,
    kinds=INTS + BOOL,
    doc="Bitwise or; logical or of booleans.",
    why=_INT,
)
bitwise_xor: Primitive = elementwise(
    "bitwise_xor", np.bitwise_xor, None, ranges=[(0, 9)] * 2, kinds=INTS + BOOL, doc="Bitwise exclusive or.", why=_INT
)
shift_left: Primitive = elementwise(
    "shift_left", np.left_shift, None, ranges=[(0, 9), (0, 3)], kinds=INTS, doc="a · 2^b, on bits.", why=_INT
)
shift_right: Primitive = elementwise(
    "shift_right",
    np.right_shift,
    None,
    ranges=[(0, 99), (0, 3)],
    kinds=INTS,
    doc="⌊a / 2^b⌋, on bits; the sign is kept.",
    why=_INT,
)
gcd: Primitive = elementwise(
    "gcd",
    np.gcd,
    None,
    ranges=[(-30, 30)] * 2,
    kinds=INTS,
    doc="The greatest common divisor, not negative.",
    why=_INT,
)
nextafter: Primitive = elementwise(
    "nextafter",
    np.nextafter,
    None,
    ranges=[(-3, 3)] * 2,
    kinds=("float32", "float64"),
    doc="The next representable number after a towards b.",
    why=_STEP,
)


def _complex_out(*avals: Any) -> Aval:
    a = common("complex", avals)
    if a.dtype.name not in ("float32", "float64"):
        raise DTypeError(f"complex: both parts must be float32 or float64, not {a.dtype.name}")
    return Aval(a.shape, a.dtype.to_complex())


def _np_complex(a: Any, b: Any) -> Any:
    out = np.empty(np.broadcast_shapes(np.shape(a), np.shape(b)), np.result_type(a.dtype, np.complex64))
    out.real, out.imag = a, b
    return out


complex_: Primitive = elementwise(
    "complex",
    _np_complex,
    (lambda g, _y, _a, _b: call("real", g), lambda g, _y, _a, _b: call("imag", g)),
    ranges=[(-3, 3)] * 2,
    kinds=("float32", "float64"),
    out=_complex_out,
    jvp="linear",
    doc="a + ib.",
)


def _where_out(cond: Any, a: Any, b: Any) -> Aval:
    want(
        not isinstance(cond, Aval) or cond.dtype.name == "bool",
        "the condition is a bool tensor",
        "where",
        condition=cond,
    )
    tensors = [x for x in (a, b) if isinstance(x, Aval)]
    if len(tensors) == 2 and tensors[0].dtype is not tensors[1].dtype:
        raise DTypeError(f"where: the two values have different types {a!r} and {b!r}")
    shapes = [x.shape for x in (cond, a, b) if isinstance(x, Aval)]
    return Aval(broadcast_shapes(*shapes, op="where"), tensors[0].dtype)


def _np_where(cond: Any, a: Any, b: Any) -> Any:
    dtype = a.dtype if isinstance(a, np.ndarray) else b.dtype
    if dtype == BF16 or dtype == np.float16:
        a, b = np.asarray(a, dtype), np.asarray(b, dtype)
    elif cond.size >= _LONG and dtype in _BITS:
        found = _by_bits(cond, a, b, _BITS[dtype])
        if found is not None:
            return found.view(dtype)
    return np.where(cond, a, b)


_LONG = 1024  # elements from which on masking bits is quicker than `np.where`, which branches for each
_BITS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}


def _by_bits(cond: Any, a: Any, b: Any, bits: Any) -> Any:
    """`np.where` of floats beside a number 0, or of two arrays of the condition's shape; None for others."""
    mask = cond.view(np.int8)  # 0 or 1; as 0 or -1 it has no bit set, or all
    if not isinstance(b, np.ndarray):
        return np.negative(mask) & a.view(bits) if b == 0 and not np.signbit(b) else None
    if not isinstance(a, np.ndarray):
        return np.subtract(mask, _ONE) & b.view(bits) if a == 0 and not np.signbit(a) else None
    if not a.shape == b.shape == cond.shape:
        return None
    other = b.view(bits)
    out = a.view(bits) ^ other
    out &= np.negative(mask)
    out ^= other
    return out


_ONE = np.int8(1)


def _where_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((rng.integers(0, 2, s.args[0].shape).astype(bool), *s.args), {})
        for s in uniform((-3, 3), (-3, 3), kinds=NUMBERS + BOOL)(rng)
    ]


where: Primitive = elementwise(
    "where",
    _np_where,
    (None, lambda g, _y, c, _a, _b: apply(where, c, g, 0.0), lambda g, _y, c, _a, _b: apply(where, c, 0.0, g)),
    ranges=[(0, 1), (-3, 3), (-3, 3)],
    out=_where_out,
    samples=_where_samples,
    scalar="select",
    doc="a where the condition holds, b elsewhere.",
)
