"""The normal distribution and what belongs to it."""

from __future__ import annotations

import math

from twinflow.ops import call, erfc, erfinv, exp, log, log1p, sqrt
from twinflow.ops._promote import as_real
from twinflow.special import _coefficients as K
from twinflow.special._bessel import series
from twinflow.tensor import Tensor

_SQRT2 = math.sqrt(2)


def erfcx(input: Tensor) -> Tensor:
    """e^(x²) · erfc(x), which does not vanish for large x."""
    x = as_real(input, "erfcx")
    size = call("abs", x)
    t = 4.0 / (size + 4.0)
    right = t * series(K.ERFCX, t)
    negative = x < 0.0
    inner = call("where", negative, x, 0.0)
    y = call("where", negative, exp(inner * inner) * 2.0 - right, right)
    return call("where", x == x, y, x)


def ndtr(input: Tensor) -> Tensor:
    """The probability that a standard normal number is at most x."""
    return erfc(as_real(input, "ndtr") * (-1 / _SQRT2)) * 0.5


def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, which does not vanish for very negative x."""
    x = as_real(input, "log_ndtr")
    low = x < -1.0
    left = call("where", low, x, -1.0)
    right = call("where", low, 0.0, x)
    tail = log(erfcx(left * (-1 / _SQRT2)) * 0.5) - left * left * 0.5
    return call("where", low, tail, log1p(erfc(right * (1 / _SQRT2)) * -0.5))


def _lower_tail(p: Tensor) -> Tensor:
    """x < 0 with ndtr(x) = p, by Newton's method on log ndtr; the last steps carry the derivatives."""
    target = log(p)
    start = target.detach() * -2.0
    x = -sqrt(start - log(start * math.pi * 2.0 + 1.0))
    for k in range(6):
        if k < 4:
            x, aim = x.detach(), target.detach()
        else:
            aim = target
        value = log_ndtr(x)
        slope = exp(x * x * -0.5 - value) * (1 / math.sqrt(2 * math.pi))
        x = x - (value - aim) / slope
    return x


def ndtri(input: Tensor) -> Tensor:
    """The x with ndtr(x) = p: the quantiles of the standard normal distribution."""
    p = as_real(input, "ndtri")
    centre = (p > 0.1) & (p < 0.9)
    middle = erfinv(call("where", centre, p * 2.0 - 1.0, 0.0)) * _SQRT2
    upper = p > 0.5
    small = call("where", upper, 1.0 - p, p)
    inside = (small > 0.0) & (small <= 0.5)
    tail = _lower_tail(call("where", inside & ~centre, small, 0.05))
    y = call("where", centre, middle, call("where", upper, -tail, tail))
    y = call("where", p == 0.0, -math.inf, y)
    y = call("where", p == 1.0, math.inf, y)
    return call("where", (p >= 0.0) & (p <= 1.0), y, math.nan)
