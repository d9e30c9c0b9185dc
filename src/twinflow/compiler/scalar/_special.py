"""Error functions and the gamma family."""

import math

from twinflow.compiler._builder import Builder, Value
from twinflow.compiler.scalar import _coefficients as c
from twinflow.compiler.scalar._basic import floor, reciprocal, round_
from twinflow.compiler.scalar._exp_log import (
    estrin,
    exp,
    exp2_within,
    log,
    polynomial,
    sigmoid,
    two_product,
    via_float64,
)
from twinflow.compiler.scalar._trig import _sin_cos_small


def erf(b: Builder, x: Value) -> Value:
    """Error function, 2/√π ∫₀ˣ e^(-t²) dt."""
    size = b.fabs(x)
    one = b.like(1, x)
    z = b.fmul(x, x)
    if x.dtype == "float32":
        small = b.fma(size, estrin(b, z, c.ERF_32), size)
        bounded = b.select(b.fcmp("ogt", size, b.like(4, x)), b.like(4, x), size)  # erf(4) rounds to 1
        large = b.fsub(one, exp(b, estrin(b, bounded, c.ERFC_LOG_32)))
        return b.copysign(b.select(b.fcmp("olt", size, b.like(0.9, x)), small, large), x)
    small = b.fma(size, estrin(b, z, c.ERF_64), size)
    large = b.fsub(one, _erfc_positive(b, size))
    return b.copysign(b.select(b.fcmp("olt", size, b.like(0.75, x)), small, large), x)


def _normal_share(b: Builder, x: Value) -> Value:
    """The normal distribution function: half of 1 + erf(x / √2).

    In float32 the share beyond |x| is a power of two with a polynomial in the exponent: fewer instructions than erf.
    """
    half = b.like(0.5, x)
    if x.dtype == "float32":
        size, most = b.fabs(x), b.like(5.7, x)  # what is beyond rounds to 0 beside 1
        far = b.fcmp("ogt", size, most)
        beyond = exp2_within(b, estrin(b, b.select(far, most, size), c.NORMAL_LOG2_32))
        beyond = b.select(far, b.like(0, x), beyond)
        return b.select(b.fcmp("olt", x, b.like(0, x)), beyond, b.fsub(b.like(1, x), beyond))
    return b.fma(half, erf(b, b.fmul(x, b.like(math.sqrt(0.5), x))), half)


def gelu(b: Builder, x: Value) -> Value:
    """x·Φ(x), Φ the normal distribution function."""
    return b.fmul(x, _normal_share(b, x))


def gelu_slope(b: Builder, x: Value) -> Value:
    """The derivative of gelu, Φ(x) + x·e^(-x²/2) / √(2π)."""
    density = exp(b, b.fmul(b.fmul(x, x), b.like(-0.5, x)))
    return b.fma(b.fmul(x, density), b.like(1 / math.sqrt(2 * math.pi), x), _normal_share(b, x))


def silu(b: Builder, x: Value) -> Value:
    """x·sigmoid(x)."""
    return b.fmul(x, sigmoid(b, x))


def silu_slope(b: Builder, x: Value) -> Value:
    """The derivative of silu, s·(1 + x·(1 - s)) with s = sigmoid(x)."""
    one, s = b.like(1, x), sigmoid(b, x)
    return b.fmul(s, b.fma(x, b.fsub(one, s), one))


def _erfc_positive(b: Builder, x: Value) -> Value:
    """erfc of a float64 x >= 0.74: e^(-x²)·P((x - k)/(x + k)) / (1 + 2x)."""
    x = b.select(b.fcmp("ogt", x, b.like(28, x)), b.like(28, x), x)  # where it has long underflowed to 0
    k = b.like(3.75, x)
    one = b.like(1, x)
    p = polynomial(b, b.fdiv(b.fsub(x, k), b.fadd(x, k)), c.ERFC_64)
    square, low = two_product(b, x, x)
    e = exp(b, b.fneg(square))
    e = b.fma(b.fneg(low), e, e)  # e^(-low) = 1 - low: the digits that x² lost
    return b.fdiv(b.fmul(e, p), b.fma(b.like(2, x), x, one))


@via_float64
def erfc(b: Builder, x: Value) -> Value:
    """1 - erf(x), accurate where it is small."""
    one = b.like(1, x)
    size = b.fabs(x)
    z = b.fmul(x, x)
    small = b.fsub(one, b.fma(x, estrin(b, z, c.ERF_64), x))
    tail = _erfc_positive(b, size)
    large = b.select(b.fcmp("olt", x, b.like(0, x)), b.fsub(b.like(2, x), tail), tail)
    return b.select(b.fcmp("olt", size, b.like(0.75, x)), small, large)


@via_float64
def erfinv(b: Builder, x: Value) -> Value:
    """The inverse of erf; ±inf at ±1, NaN beyond. Winitzki's formula, made exact by three steps of Halley's method."""
    size = b.fabs(x)
    one = b.like(1, x)
    q = b.fsub(one, size)  # exact from ½ up, where its digits count
    logarithm = log(b, b.fmul(q, b.fadd(one, size)))
    a = 0.147
    t = b.fma(logarithm, b.like(0.5, x), b.like(2 / (math.pi * a), x))
    inner = b.fsub(b.fmul(t, t), b.fmul(logarithm, b.like(1 / a, x)))
    inner = b.fsub(b.sqrt(inner), t)
    y = b.sqrt(b.select(b.fcmp("ogt", inner, b.like(0, x)), inner, b.like(0, x)))
    for _ in range(3):
        z = b.fmul(y, y)
        central = b.fcmp("olt", y, b.like(0.75, x))
        near = b.fsub(b.fma(y, estrin(b, z, c.ERF_64), y), size)
        far = b.fsub(q, _erfc_positive(b, y))
        slope = b.fmul(b.like(2 / math.sqrt(math.pi), x), exp(b, b.fneg(z)))
        step = b.fdiv(b.select(central, near, far), slope)
        y = b.fsub(y, b.fdiv(step, b.fma(y, step, one)))
    tiny = b.fmul(size, b.like(math.sqrt(math.pi) / 2, x))
    y = b.select(b.fcmp("olt", size, b.like(1e-8, x)), tiny, y)
    y = b.select(b.fcmp("oeq", size, one), b.like(math.inf, x), y)
    y = b.select(b.fcmp("ogt", size, one), b.like(math.nan, x), y)
    y = b.select(b.fcmp("uno", x, x), x, y)
    return b.copysign(y, x)


def _lgamma_positive(b: Builder, x: Value) -> Value:
    """log Γ of a float64 x > 0: the recurrence to [1.5, 2.5] below 8, Stirling's series above."""
    one, zero = b.like(1, x), b.like(0, x)
    below = b.fcmp("olt", x, b.like(8, x))
    # x = y + n with y in [1.5, 2.5]: Γ(x) = Γ(y)·y(y+1)…(x-1) or Γ(y) / (x(x+1)…(y-1))
    bounded = b.select(below, x, b.like(2, x))
    whole = round_(b, bounded)
    n = b.fsub(whole, b.like(2, x))
    e = b.fsub(bounded, whole)  # y - 2, exactly
    product = one
    for k in range(6):
        factor = b.fsub(bounded, b.like(k + 1, x))
        product = b.select(b.fcmp("ogt", n, b.like(k + 0.5, x)), b.fmul(product, factor), product)
    ratio = one
    for k in range(2):
        factor = b.fadd(bounded, b.like(k, x))
        ratio = b.select(b.fcmp("olt", n, b.like(-k - 0.5, x)), b.fmul(ratio, factor), ratio)
    up = b.fcmp("ogt", n, zero)
    logarithm = log(b, b.select(below, b.select(up, product, ratio), x))
    series = b.fmul(e, estrin(b, e, c.LGAMMA_64))
    small = b.select(up, b.fadd(series, logarithm), b.fsub(series, logarithm))
    inverse = reciprocal(b, b.select(below, b.like(8, x), x))
    tail = b.fmul(inverse, estrin(b, b.fmul(inverse, inverse), c.STIRLING_64))
    half_log_two_pi = b.like(0.5 * math.log(2 * math.pi), x)
    large = b.fma(
        b.fsub(x, b.like(0.5, x)), b.fsub(logarithm, one), b.fadd(b.fadd(tail, half_log_two_pi), b.like(-0.5, x))
    )
    large = b.select(b.fcmp("oeq", x, b.like(math.inf, x)), x, large)
    return b.select(below, small, large)


def _sin_pi(b: Builder, x: Value) -> tuple[Value, Value]:
    """sin πx and cos πx of the distance of x >= 0 from the nearest integer: both up to sign."""
    r = b.fsub(x, round_(b, x))
    angle = b.fmul(b.fabs(r), b.like(math.pi, x))
    far = b.fcmp("ogt", angle, b.like(math.pi / 4, x))
    folded = b.select(far, b.fsub(b.like(math.pi / 2, x), angle), angle)
    s, k = _sin_cos_small(b, folded)
    return b.select(far, k, s), b.select(far, s, k)


@via_float64
def lgamma(b: Builder, x: Value) -> Value:
    """log |Γ(x)|; +inf at 0 and the negative integers. Below ½ by reflection: Γ(x)·Γ(1 - x) = π / sin πx.

    Error: 4 ulp for x > 0; for x < 0, where zeros lie, an absolute error of a few units of 1.
    """
    negative = b.fcmp("olt", x, b.like(0, x))
    size = b.fabs(x)
    value = _lgamma_positive(b, b.select(negative, b.fadd(size, b.like(1, x)), x))
    sine, _ = _sin_pi(b, size)
    reflected = b.fsub(log(b, b.fdiv(b.like(math.pi, x), b.fmul(sine, b.like(1, x)))), value)
    value = b.select(negative, reflected, value)
    pole = b.and_(b.fcmp("ole", x, b.like(0, x)), b.fcmp("oeq", floor(b, x), x))
    infinite = b.or_(pole, b.fcmp("oeq", size, b.like(math.inf, x)))
    return b.select(infinite, b.like(math.inf, x), value)


@via_float64
def digamma(b: Builder, x: Value) -> Value:
    """ψ(x) = Γ′(x)/Γ(x); ∓inf at ±0, NaN at the negative integers. Below 0 by ψ(1 - x) - π/tan πx.

    Error: a few units of the larger of 1 and the result.
    """
    one, zero = b.like(1, x), b.like(0, x)
    negative = b.fcmp("olt", x, zero)
    size = b.fabs(x)
    y = b.select(negative, b.fadd(size, one), size)
    # ψ(y) = ψ(y + 8) - Σ 1/(y + k), the sum as one fraction
    below = b.fcmp("olt", y, b.like(8, x))
    bounded = b.select(below, y, b.like(8, x))
    numerator, denominator = zero, one
    for k in range(1, 8):
        factor = b.fadd(bounded, b.like(k, x))
        numerator = b.fma(numerator, factor, denominator)
        denominator = b.fmul(denominator, factor)
    total = b.fadd(b.fdiv(one, bounded), b.fdiv(numerator, denominator))  # 1/y alone: it may be huge
    z = b.select(below, b.fadd(bounded, b.like(8, x)), y)
    inverse = reciprocal(b, z)
    square = b.fmul(inverse, inverse)
    series = b.fmul(square, estrin(b, square, c.DIGAMMA_64))
    value = b.fsub(log(b, z), b.fma(inverse, b.like(0.5, x), series))
    value = b.select(below, b.fsub(value, total), value)
    sine, cosine = _sin_pi(b, size)
    r = b.fsub(size, round_(b, size))
    cotangent = b.copysign(b.fdiv(b.fmul(b.like(math.pi, x), cosine), sine), r)  # of |x|
    value = b.select(negative, b.fadd(value, cotangent), value)
    pole = b.and_(negative, b.fcmp("oeq", floor(b, x), x))
    value = b.select(pole, b.like(math.nan, x), value)
    value = b.select(b.fcmp("oeq", x, zero), b.copysign(b.like(math.inf, x), b.fneg(x)), value)
    return b.select(b.fcmp("oeq", x, b.like(-math.inf, x)), b.like(math.nan, x), value)
