"""Bessel functions of orders 0 and 1: Chebyshev series near the origin, and of the slowly varying part beyond."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from twinflow.ops import abs as abs_
from twinflow.ops import call, cos, exp, log, sin, sqrt
from twinflow.ops._promote import as_real
from twinflow.special import _coefficients as K
from twinflow.tensor import Tensor

_PI = math.pi


def series(coefficients: Sequence[float], u: Tensor) -> Tensor:
    """Σ cₖ Tₖ(2u - 1) for u in [0, 1], by Clenshaw's recurrence ("A note on the summation of Chebyshev series", 1955)."""
    x2 = u * 4.0 - 2.0
    high: Any = 0.0
    now: Any = coefficients[-1] + u * 0.0
    for c in reversed(coefficients[1:-1]):
        now, high = x2 * now - high + c, now
    return x2 * now * 0.5 - high + coefficients[0]


def _pick(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return call("where", condition, a, b)


def _modified(op: str, x: Tensor, small: Sequence[float], large: Sequence[float], odd: bool, scaled: bool) -> Tensor:
    x = as_real(x, op)
    size = abs_(x)
    near = size <= 8.0
    inside = series(small, _pick(near, size, size * 0.0) * 0.125)
    far = _pick(near, size * 0.0 + 8.0, size)
    outside = series(large, 8.0 / far) / sqrt(far)
    y = _pick(near, inside * x if odd else inside, outside * (call("sign", x)) if odd else outside)
    y = _pick(x == x, y, x)
    return y if scaled else y * exp(size)


def i0(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 0."""
    return _modified("i0", input, K.I0_SMALL, K.I0_LARGE, False, False)


def i0e(input: Tensor) -> Tensor:
    """e^-|x| · i0(x), which does not overflow."""
    return _modified("i0e", input, K.I0_SMALL, K.I0_LARGE, False, True)


def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind of order 1."""
    return _modified("i1", input, K.I1_SMALL, K.I1_LARGE, True, False)


def i1e(input: Tensor) -> Tensor:
    """e^-|x| · i1(x), which does not overflow."""
    return _modified("i1e", input, K.I1_SMALL, K.I1_LARGE, True, True)


modified_bessel_i0, modified_bessel_i1 = i0, i1


def _second(op: str, x: Tensor, order: int, scaled: bool) -> Tensor:
    x = as_real(x, op)
    small, large = ((K.K0_SMALL, K.K0_LARGE), (K.K1_SMALL, K.K1_LARGE))[order]
    near = x <= 2.0
    positive = x > 0.0
    inner = _pick(near & positive, x, x * 0.0 + 1.0)
    half = inner * 0.5
    if order == 0:
        inside = series(small, half * half) - log(half) * i0(inner)
    else:
        inside = series(small, half * half) / inner + log(half) * i1(inner)
    inside = inside * exp(inner) if scaled else inside
    far = _pick(near, x * 0.0 + 2.0, x)
    outside = series(large, 2.0 / far) / sqrt(far)
    outside = outside if scaled else outside * exp(-far)
    y = _pick(near, inside, outside)
    y = _pick(x == 0.0, x * 0.0 + math.inf, y)
    return _pick(x < 0.0, x * math.nan, y)


def modified_bessel_k0(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind of order 0, for x > 0."""
    return _second("modified_bessel_k0", input, 0, False)


def modified_bessel_k1(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind of order 1, for x > 0."""
    return _second("modified_bessel_k1", input, 1, False)


def scaled_modified_bessel_k0(x: Tensor) -> Tensor:
    """e^x · modified_bessel_k0(x)."""
    return _second("scaled_modified_bessel_k0", x, 0, True)


def scaled_modified_bessel_k1(x: Tensor) -> Tensor:
    """e^x · modified_bessel_k1(x)."""
    return _second("scaled_modified_bessel_k1", x, 1, True)


def _waves(far: Tensor, order: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(P, Q / x, cos χ, sin χ) of the oscillating part beyond 8, with the amplitude in the first two."""
    u = 8.0 / far
    u = u * u
    p, q = ((K.P0, K.Q0), (K.P1, K.Q1))[order]
    chi = far - (2 * order + 1) * _PI / 4
    amplitude = sqrt(2 / _PI / far)
    return series(p, u) * amplitude, series(q, u) / far * amplitude, cos(chi), sin(chi)


def _first_kind(op: str, x: Tensor, order: int) -> Tensor:
    x = as_real(x, op)
    size = abs_(x)
    near = size <= 8.0
    inner = _pick(near, x, x * 0.0) * 0.125
    inside = series((K.J0_SMALL, K.J1_SMALL)[order], inner * inner)
    inside = inside if order == 0 else inside * x
    far = _pick(near, size * 0.0 + 8.0, size)
    p, q, c, s = _waves(far, order)
    outside = p * c - q * s
    outside = outside if order == 0 else outside * call("sign", x)
    y = _pick(near, inside, outside)
    y = call("where", size == math.inf, 0.0, y)
    return _pick(x == x, y, x)


def bessel_j0(input: Tensor) -> Tensor:
    """The Bessel function of the first kind of order 0."""
    return _first_kind("bessel_j0", input, 0)


def bessel_j1(input: Tensor) -> Tensor:
    """The Bessel function of the first kind of order 1."""
    return _first_kind("bessel_j1", input, 1)


def _second_kind(op: str, x: Tensor, order: int) -> Tensor:
    x = as_real(x, op)
    near = x <= 8.0
    inner = _pick(near & (x > 0.0), x, x * 0.0 + 1.0)
    u = inner * 0.125
    rest = series((K.Y0_SMALL, K.Y1_SMALL)[order], u * u)
    if order == 0:
        inside = rest + log(inner) * bessel_j0(inner) * (2 / _PI)
    else:
        inside = rest * inner + (log(inner) * bessel_j1(inner) - 1.0 / inner) * (2 / _PI)
    far = _pick(near, x * 0.0 + 8.0, x)
    p, q, c, s = _waves(far, order)
    y = _pick(near, inside, p * s + q * c)
    y = _pick(x == 0.0, x * 0.0 - math.inf, y)
    return _pick(x < 0.0, x * math.nan, y)


def bessel_y0(input: Tensor) -> Tensor:
    """The Bessel function of the second kind of order 0, for x > 0."""
    return _second_kind("bessel_y0", input, 0)


def bessel_y1(input: Tensor) -> Tensor:
    """The Bessel function of the second kind of order 1, for x > 0."""
    return _second_kind("bessel_y1", input, 1)


def spherical_bessel_j0(x: Tensor) -> Tensor:
    """sin(x) / x, and 1 at 0."""
    x = as_real(x, "spherical_bessel_j0")
    zero = x == 0.0
    safe = _pick(zero, x * 0.0 + 1.0, x)
    return _pick(zero, x * 0.0 + 1.0, sin(safe) / safe)
