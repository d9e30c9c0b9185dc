"""Exponentials, logarithms, powers and what follows from them directly. Branch-free; the sources are the formulas here.

float32 functions are computed in float32 where training needs them fast and through float64 elsewhere.
"""

import math
from collections.abc import Callable

from twinflow.compiler._builder import Builder, Value
from twinflow.compiler.scalar import _coefficients as c
from twinflow.compiler.scalar._basic import BITS_OF, FRACTION_BITS, isnan, trunc

LN2 = math.log(2.0)
LOG2E = 1.0 / LN2
# ln 2 in two parts, the first with enough trailing zeros that n·LN2_HIGH is exact for every exponent n
LN2_HIGH = {"float32": 0.693359375, "float64": float.fromhex("0x1.62e42fee00000p-1")}
LN2_LOW = {"float32": -2.12194440054690583e-4, "float64": 1.90821492927058770002e-10}
BIAS = {"float32": 127, "float64": 1023}


def polynomial(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    """Σ c_k x^k by Horner's rule."""
    value = b.like(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        value = b.fma(value, x, b.like(coefficient, x))
    return value


def estrin(b: Builder, x: Value, coefficients: tuple[float, ...]) -> Value:
    """Σ c_k x^k with a short chain of dependences."""
    level = [b.like(value, x) for value in coefficients]
    power = x
    while len(level) > 1:
        paired = [b.fma(level[k + 1], power, level[k]) for k in range(0, len(level) - 1, 2)]
        level = paired + level[len(level) - len(level) % 2 :]
        if len(level) > 1:
            power = b.fmul(power, power)
    return level[0]


def via_float64(function: Callable[..., Value]) -> Callable[..., Value]:
    """Compute a float32 function in float64: correct but for the last rounding, at a quarter of the speed."""

    def wrapped(b: Builder, *args: Value) -> Value:
        if args[0].dtype == "float64":
            return function(b, *args)
        wide = [b.convert("fpext", a, "float64") for a in args]
        return b.convert("fptrunc", function(b, *wide), "float32")

    wrapped.__doc__ = function.__doc__
    return wrapped


def nearest(b: Builder, x: Value) -> tuple[Value, Value]:
    """The nearest integer of a moderate x as a float, and its bits in the low end of an integer. Never traps."""
    shift = 1.5 * 2.0 ** FRACTION_BITS[x.dtype]
    shifted = b.fadd(x, b.like(shift, x))
    return b.fsub(shifted, b.like(shift, x)), b.convert("bitcast", shifted, BITS_OF[x.dtype])


def power_of_two(b: Builder, n: Value, dtype: str) -> Value:
    """2^n for an integer n (given by `nearest`: only its low bits count) in the range of normal numbers."""
    biased = b.add(n, b.like(BIAS[dtype], n))
    return b.convert("bitcast", b.shl(biased, b.like(FRACTION_BITS[dtype], n)), dtype)


def clamp(b: Builder, x: Value, low: float, high: float) -> Value:
    """x within bounds; NaN stays NaN."""
    least, most = b.like(low, x), b.like(high, x)
    x = b.select(b.fcmp("olt", x, least), least, x)
    return b.select(b.fcmp("ogt", x, most), most, x)


def scale(b: Builder, x: Value, n: Value, number: Value) -> Value:
    """x·2^n, which may overflow or be subnormal; n and its bits by `nearest`, |n| < 2·bias."""
    if b.target.scalef and x.lanes > 1:
        return _scalef(b, x, number)
    # in two steps, for 2^n itself may be out of range;
    # keep the low half of the integer: the rest is the shift constant's own bits
    spare = b.like(32 - 12 if x.dtype == "float32" else 64 - 16, n)
    whole = b.ashr(b.shl(n, spare), spare)
    half = b.ashr(whole, b.like(1, n))
    return b.fmul(b.fmul(x, power_of_two(b, half, x.dtype)), power_of_two(b, b.sub(whole, half), x.dtype))


def _scalef(b: Builder, x: Value, n: Value) -> Value:
    """AVX-512's instruction for x·2^n, on pieces of its own size."""
    bits = 32 if x.dtype == "float32" else 64
    width = min(512, max(128, x.lanes * bits))
    lanes = width // bits
    if x.lanes < lanes:
        wide = [*range(x.lanes), *[0] * (lanes - x.lanes)]
        return b.shuffle(_scalef(b, b.shuffle(x, wide), b.shuffle(n, wide)), range(x.lanes))
    if x.lanes > lanes:
        half = x.lanes // 2
        low, high = range(half), range(half, x.lanes)
        parts = [_scalef(b, b.shuffle(x, part), b.shuffle(n, part)) for part in (low, high)]
        picks = ", ".join(f"i32 {i}" for i in range(x.lanes))
        text = f"shufflevector {parts[0].type} {parts[0].text}, {parts[1].type} {parts[1].text}"
        return b.emit(f"{text}, <{x.lanes} x i32> <{picks}>", x.dtype, x.lanes)
    name = f"llvm.x86.avx512.mask.scalef.{'ps' if bits == 32 else 'pd'}.{width}"
    every = Value("-1", "uint16" if lanes == 16 else "uint8")
    rounding = ("i32 4",) if width == 512 else ()
    return b.call(name, x.dtype, lanes, x, n, x, every, immediates=rounding)


EXP_RANGE = {"float32": (-104.0, 89.0), "float64": (-746.0, 710.0)}


def _reduce_exp(b: Builder, x: Value) -> tuple[Value, Value, Value]:
    """x = n·ln 2 + r with |r| <= ln2/2: r, n as a float, n as an integer."""
    n, bits = nearest(b, b.fmul(x, b.like(LOG2E, x)))
    r = b.fma(n, b.like(-LN2_HIGH[x.dtype], x), x)
    return b.fma(n, b.like(-LN2_LOW[x.dtype], x), r), n, bits


def _exp_tail(b: Builder, r: Value) -> Value:
    """e^r - 1 for |r| <= ln2/2."""
    table = c.EXP_32 if r.dtype == "float32" else c.EXP_64
    return b.fma(b.fmul(r, r), estrin(b, r, table), r)


def exp(b: Builder, x: Value) -> Value:
    """e^x."""
    # arithmetic that ends below the normal numbers takes many times as long: results known to be 0, those of masked scores
    # in a softmax above all, are computed as those of 0 and replaced
    low, high = EXP_RANGE[x.dtype]
    vanishes = b.fcmp("olt", x, b.like(low, x))
    x = b.select(vanishes, b.like(0, x), x)
    x = b.select(b.fcmp("ogt", x, b.like(high, x)), b.like(high, x), x)
    r, number, n = _reduce_exp(b, x)
    value = scale(b, b.fadd(_exp_tail(b, r), b.like(1, x)), n, number)
    return b.select(vanishes, b.like(0, x), value)


def exp2(b: Builder, x: Value) -> Value:
    """2^x."""
    low, high = (-151.0, 129.0) if x.dtype == "float32" else (-1077.0, 1025.0)
    return exp2_within(b, clamp(b, x, low, high))


def exp2_within(b: Builder, x: Value) -> Value:
    """2^x for an x that is known to be within exp2's bounds."""
    n, bits = nearest(b, x)
    r = b.fmul(b.fsub(x, n), b.like(LN2, x))
    return scale(b, b.fadd(_exp_tail(b, r), b.like(1, x)), bits, n)


def expm1(b: Builder, x: Value) -> Value:
    """e^x - 1, accurate near 0."""
    # below the lower bound the result rounds to -1
    low = -18.0 if x.dtype == "float32" else -38.0
    bounded = clamp(b, x, low, EXP_RANGE[x.dtype][1])
    r, _, bits = _reduce_exp(b, bounded)
    p = _exp_tail(b, r)
    # 2^n·p + (2^n - 1), all halved: 2^n itself may overflow where the result does not
    half = power_of_two(b, b.sub(bits, b.like(1, bits)), x.dtype)
    value = b.fma(half, p, b.fsub(half, b.like(0.5, x)))
    value = b.fadd(value, value)
    return b.select(b.fcmp("oeq", b.like(0, x), x), x, value)


def _frexp(b: Builder, x: Value) -> tuple[Value, Value]:
    """x = m·2^e for positive finite x, subnormal or not, with √½ <= m < √2: m and e as floats."""
    bits = BITS_OF[x.dtype]
    fraction = FRACTION_BITS[x.dtype]
    smallest, up = (2.0**-126, 25) if x.dtype == "float32" else (2.0**-1022, 54)
    subnormal = b.fcmp("olt", x, b.like(smallest, x))
    x = b.select(subnormal, b.fmul(x, b.like(2.0**up, x)), x)
    word = b.convert("bitcast", x, bits)
    # subtracting the bits of √½ makes the exponent field step where the significand passes √2
    root = 0x3F3504F3 if x.dtype == "float32" else 0x3FE6A09E667F3BCD
    over = b.sub(word, b.like(root, word))
    exponent = b.ashr(over, b.like(fraction, word))
    e = b.convert("sitofp", exponent, x.dtype)
    e = b.fsub(e, b.select(subnormal, b.like(up, x), b.like(0, x)))
    m = b.convert("bitcast", b.sub(word, b.shl(exponent, b.like(fraction, word))), x.dtype)
    return m, e


def _log1p_small(b: Builder, f: Value) -> tuple[Value, Value]:
    """log(1 + f) = f + rest for √½ <= 1 + f < √2: f itself and the rest."""
    square = b.fmul(f, f)
    if f.dtype == "float32":
        tail = b.fmul(b.fmul(square, f), estrin(b, f, c.LOG_32))
        return f, b.fma(square, b.like(-0.5, f), tail)
    s = b.fdiv(f, b.fadd(f, b.like(2, f)))
    z = b.fmul(s, s)
    series = b.fmul(z, estrin(b, z, c.LOG_64))
    # 2s = f - s·f and s·f = f²/2 - s·f²/2: this way round nothing cancels
    half = b.fmul(square, b.like(0.5, f))
    return f, b.fsub(b.fmul(s, b.fadd(half, series)), half)


def _special_log(b: Builder, x: Value, value: Value) -> Value:
    """What a logarithm is at 0, below 0, at infinity and at NaN."""
    inf = b.like(math.inf, x)
    value = b.select(b.fcmp("olt", x, inf), value, x)  # infinity and NaN
    value = b.select(b.fcmp("oeq", x, b.like(0, x)), b.like(-math.inf, x), value)
    return b.select(b.fcmp("olt", x, b.like(0, x)), b.like(math.nan, x), value)


def log(b: Builder, x: Value) -> Value:
    """Natural logarithm; -inf at 0, NaN below."""
    m, e = _frexp(b, x)
    f, rest = _log1p_small(b, b.fsub(m, b.like(1, x)))
    rest = b.fma(e, b.like(LN2_LOW[x.dtype], x), rest)
    return _special_log(b, x, b.fma(e, b.like(LN2_HIGH[x.dtype], x), b.fadd(f, rest)))


def _scaled_log(b: Builder, x: Value, factor: float, per_two: float) -> Value:
    """log(x)·factor, with log(2)·factor = per_two, rounded as if the product had more digits."""
    m, e = _frexp(b, x)
    f, rest = _log1p_small(b, b.fsub(m, b.like(1, x)))
    # split f and the factor so that the leading product is exact
    word = b.convert("bitcast", f, BITS_OF[x.dtype])
    cut = -(1 << 12) if x.dtype == "float32" else -(1 << 27)
    high = b.convert("bitcast", b.and_(word, b.like(cut, word)), x.dtype)
    low = b.fadd(b.fsub(f, high), rest)
    size = 2.0**11 if x.dtype == "float32" else 2.0**25
    factor_high = round(factor * size) / size
    factor_low = factor - factor_high
    sum_low = b.fma(b.fadd(high, low), b.like(factor_low, x), b.fmul(low, b.like(factor_high, x)))
    per_high = round(per_two * size) / size
    leading = b.fmul(high, b.like(factor_high, x))
    sum_low = b.fma(e, b.like(per_two - per_high, x), sum_low)
    big = b.fmul(e, b.like(per_high, x))
    total = b.fadd(big, leading)
    lost = b.fsub(leading, b.fsub(total, big))  # exact unless |big| < |leading|, and then e is 0
    return _special_log(b, x, b.fadd(total, b.fadd(sum_low, lost)))


def log2(b: Builder, x: Value) -> Value:
    """Logarithm to base 2."""
    return _scaled_log(b, x, LOG2E, 1.0)


def log10(b: Builder, x: Value) -> Value:
    """Logarithm to base 10."""
    return _scaled_log(b, x, 1 / math.log(10.0), math.log10(2.0))


def log1p(b: Builder, x: Value) -> Value:
    """log(1 + x), accurate near 0."""
    one = b.like(1, x)
    u = b.fadd(one, x)
    m, e = _frexp(b, u)
    # what rounding 1 + x lost, brought to the scale of m
    lost = b.select(b.fcmp("ogt", x, one), b.fsub(one, b.fsub(u, x)), b.fsub(x, b.fsub(u, one)))
    # f = m - 1; where no power of two was taken out it is x itself, exactly
    f = b.select(b.fcmp("oeq", e, b.like(0, x)), x, b.fsub(m, one))
    lost = b.select(b.fcmp("oeq", e, b.like(0, x)), b.like(0, x), b.fdiv(lost, u))
    f, rest = _log1p_small(b, f)
    rest = b.fma(e, b.like(LN2_LOW[x.dtype], x), b.fadd(rest, lost))
    value = b.fma(e, b.like(LN2_HIGH[x.dtype], x), b.fadd(f, rest))
    value = _special_log(b, u, value)
    return b.select(b.fcmp("oeq", x, b.like(0, x)), x, value)


def sigmoid(b: Builder, x: Value) -> Value:
    """1 / (1 + e^-x), without overflow on either side."""
    one, low = b.like(1, x), b.like(EXP_RANGE[x.dtype][0], x)  # e^low rounds to 0
    size = b.fneg(b.fabs(x))
    r, number, n = _reduce_exp(b, b.select(b.fcmp("olt", size, low), low, size))
    e = scale(b, b.fadd(_exp_tail(b, r), one), n, number)
    return b.fdiv(b.select(b.fcmp("olt", x, b.like(0, x)), e, one), b.fadd(one, e))


def tanh(b: Builder, x: Value) -> Value:
    """Hyperbolic tangent."""
    size = b.fabs(x)
    one, two = b.like(1, x), b.like(2, x)
    if x.dtype == "float32":
        # (1 - e) / (1 + e) with e = e^(-2|x|) = s·(1 + p), s a power of two: either side is rounded once
        low = b.like(-20, x)  # below, the result rounds to 1
        doubled = b.fmul(size, b.like(-2, x))
        r, _, bits = _reduce_exp(b, b.select(b.fcmp("olt", doubled, low), low, doubled))
        p, s = _exp_tail(b, r), power_of_two(b, bits, x.dtype)
        above = b.fma(b.fneg(s), p, b.fsub(one, s))
        return b.copysign(b.fdiv(above, b.fma(s, p, b.fadd(one, s))), x)
    bounded = clamp(b, size, 0.0, 40.0)
    e = expm1(b, b.fadd(bounded, bounded))
    small = b.fdiv(e, b.fadd(e, two))
    large = b.fsub(one, b.fdiv(two, b.fadd(e, two)))
    return b.copysign(b.select(b.fcmp("olt", size, one), small, large), x)


@via_float64
def sinh(b: Builder, x: Value) -> Value:
    """Hyperbolic sine."""
    size = b.fabs(x)
    one, half = b.like(1, x), b.like(0.5, x)
    e = expm1(b, size)
    small = b.fmul(half, b.fadd(e, b.fdiv(e, b.fadd(e, one))))
    root = exp(b, b.fmul(size, half))  # e^x may overflow where the result does not
    large = b.fmul(b.fmul(half, root), root)
    value = b.select(b.fcmp("ogt", size, b.like(700, x)), large, small)
    return b.select(isnan(b, x), x, b.copysign(value, x))


@via_float64
def cosh(b: Builder, x: Value) -> Value:
    """Hyperbolic cosine."""
    size = b.fabs(x)
    half = b.like(0.5, x)
    e = exp(b, size)
    small = b.fmul(half, b.fadd(e, b.fdiv(b.like(1, x), e)))
    root = exp(b, b.fmul(size, half))
    return b.select(b.fcmp("ogt", size, b.like(700, x)), b.fmul(b.fmul(half, root), root), small)


@via_float64
def asinh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic sine: log1p(x + x² / (1 + √(x² + 1)))."""
    size = b.fabs(x)
    one = b.like(1, x)
    square = b.fmul(size, size)
    inner = b.fadd(size, b.fdiv(square, b.fadd(one, b.sqrt(b.fadd(square, one)))))
    huge = b.fcmp("ogt", size, b.like(1e18, x))  # there 1 no longer counts: log(2x)
    value = log1p(b, b.select(huge, size, inner))
    value = b.select(huge, b.fadd(value, b.like(LN2, x)), value)
    return b.copysign(value, x)


@via_float64
def acosh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic cosine: log1p(t + √(2t + t²)), t = x - 1; NaN below 1."""
    t = b.fsub(x, b.like(1, x))
    huge = b.fcmp("ogt", x, b.like(1e10, x))
    inner = b.fadd(t, b.sqrt(b.fma(t, t, b.fadd(t, t))))
    value = log1p(b, b.select(huge, t, inner))
    value = b.select(huge, b.fadd(value, b.like(LN2, x)), value)
    return b.select(b.fcmp("olt", t, b.like(0, x)), b.like(math.nan, x), value)


@via_float64
def atanh(b: Builder, x: Value) -> Value:
    """Inverse hyperbolic tangent: ½·log1p(2x / (1 - x)); NaN beyond 1."""
    size = b.fabs(x)
    value = log1p(b, b.fdiv(b.fadd(size, size), b.fsub(b.like(1, x), size)))
    value = b.select(b.fcmp("ogt", size, b.like(1, x)), b.like(math.nan, x), value)
    return b.copysign(b.fmul(b.like(0.5, x), value), x)


# Sums and products in two parts (Dekker 1971): what the rounding of the first part lost is the second.


def two_product(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """x·y exactly, as a sum of two."""
    p = b.fmul(x, y)
    if b.target.fma:
        return p, b.fma(x, y, b.fneg(p))
    (xh, xl), (yh, yl) = split(b, x), split(b, y)
    rest = b.fsub(b.fmul(xh, yh), p)
    rest = b.fadd(b.fadd(b.fadd(rest, b.fmul(xh, yl)), b.fmul(xl, yh)), b.fmul(xl, yl))
    return p, rest


def split(b: Builder, x: Value) -> tuple[Value, Value]:
    """A float64 as a sum of two with half the digits each."""
    word = b.convert("bitcast", x, BITS_OF[x.dtype])
    high = b.convert("bitcast", b.and_(word, b.like(-(1 << 27), word)), x.dtype)
    return high, b.fsub(x, high)


def fast_two_sum(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y exactly, as a sum of two, for |x| >= |y|."""
    s = b.fadd(x, y)
    return s, b.fsub(y, b.fsub(s, x))


def _log_two_parts(b: Builder, x: Value) -> tuple[Value, Value]:
    """log of a positive float64 to about 68 bits: log m = 2s + ⅔s³ + s⁵·R(s²) with s = (m-1)/(m+1) in two parts."""
    m, e = _frexp(b, x)
    one = b.like(1, x)
    f = b.fsub(m, one)
    g, g_low = fast_two_sum(b, b.like(2, x), f)
    s = b.fdiv(f, g)
    p, p_low = two_product(b, s, g)
    s_low = b.fdiv(b.fsub(b.fsub(b.fsub(f, p), p_low), b.fmul(s, g_low)), g)
    z, z_low = two_product(b, s, s)
    z_low = b.fma(b.fadd(s, s), s_low, z_low)
    # ⅔ + z·R(z), of which only the constant needs two parts
    third, third_low = 2 / 3, float.fromhex("0x1.5555555555555p-55")
    tail = b.fmul(z, estrin(b, z, c.LOG_TAIL_64))
    k, k_low = fast_two_sum(b, b.like(third, x), tail)
    k_low = b.fadd(k_low, b.like(third_low, x))
    cube, cube_low = two_product(b, z, s)
    cube_low = b.fadd(b.fma(z, s_low, b.fmul(z_low, s)), cube_low)
    term, term_low = two_product(b, cube, k)
    term_low = b.fadd(b.fma(cube, k_low, b.fmul(cube_low, k)), term_low)
    hi, lo = fast_two_sum(b, b.fadd(s, s), term)
    lo = b.fadd(lo, b.fadd(b.fadd(s_low, s_low), term_low))
    top, top_low = fast_two_sum(b, b.fmul(e, b.like(LN2_HIGH["float64"], x)), hi)
    zero = b.fcmp("oeq", e, b.like(0, x))
    top, top_low = b.select(zero, hi, top), b.select(zero, b.like(0, x), top_low)
    lo = b.fadd(b.fma(e, b.like(LN2_LOW["float64"], x), lo), top_low)
    return fast_two_sum(b, top, lo)


@via_float64
def pow_(b: Builder, x: Value, y: Value) -> Value:
    """x^y as IEEE 754 defines it: x^0 = 1^y = 1 even for NaN; NaN for negative x unless y is an integer."""
    one = b.like(1, x)
    zero, inf = b.like(0, x), b.like(math.inf, x)
    size = b.fabs(x)
    hi, lo = _log_two_parts(b, size)
    p, p_low = two_product(b, hi, y)
    p_low = b.fma(lo, y, p_low)
    bounded = clamp(b, p, *EXP_RANGE["float64"])
    p_low = b.select(b.fcmp("oeq", bounded, p), p_low, zero)  # beyond the range, or not finite: no correction
    r, number, n = _reduce_exp(b, bounded)
    value = scale(b, b.fadd(_exp_tail(b, b.fadd(r, p_low)), one), n, number)
    # integers, and odd ones: halving an odd integer leaves a fraction
    whole = b.fcmp("oeq", trunc(b, y), y)
    half = b.fmul(y, b.like(0.5, x))
    odd = b.and_(whole, b.fcmp("une", trunc(b, half), half))
    # zero and infinity, where the logarithm above means nothing
    grows = b.fcmp("ogt", y, zero)
    value = b.select(b.fcmp("oeq", size, zero), b.select(grows, zero, inf), value)
    value = b.select(b.fcmp("oeq", size, inf), b.select(grows, inf, zero), value)
    infinite = b.fcmp("oeq", b.fabs(y), inf)
    towards = b.select(b.xor(b.fcmp("ogt", size, one), grows), zero, inf)
    towards = b.select(b.fcmp("oeq", size, one), one, towards)
    value = b.select(infinite, towards, value)
    word = b.convert("bitcast", x, "int64")
    negative = b.icmp("slt", word, b.like(0, word))
    value = b.select(b.and_(negative, odd), b.fneg(value), value)
    below = b.and_(b.fcmp("olt", x, zero), b.fcmp("one", size, inf))
    value = b.select(b.and_(below, b.not_(whole)), b.like(math.nan, x), value)
    value = b.select(b.fcmp("uno", x, y), b.like(math.nan, x), value)
    certain = b.or_(b.fcmp("oeq", x, one), b.fcmp("oeq", y, zero))
    return b.select(certain, one, value)
