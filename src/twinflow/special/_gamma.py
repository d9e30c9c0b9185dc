"""The gamma function's relatives and entropies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core import as_int
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.graph import Primitive
from twinflow.ops import call, digamma, floor, log, log1p, mul, tan, where
from twinflow.ops import lgamma as gammaln
from twinflow.ops import pow as pow_
from twinflow.ops import round as round_
from twinflow.ops._create import tensor
from twinflow.ops._gamma import gammainc as _gammainc
from twinflow.ops._gamma import gammaincc as _gammaincc
from twinflow.ops._promote import as_real, promote
from twinflow.tensor import Tensor, apply, is_grad_enabled

psi = digamma

# B₂ⱼ / (2j)! of the Euler-Maclaurin formula
_BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600, -3617 / 10670622842880000,
)  # fmt: skip


def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function Σₖ (q + k)^-s, k = 0, 1, ..., for s > 1 and q > 0, by the Euler-Maclaurin formula: infinite where
    q is 0, -1, ..., NaN for other q below 0."""
    s, q = promote("zeta", input, other, inexact=True)
    like = s if isinstance(s, Tensor) else q
    s, q = (v if isinstance(v, Tensor) else tensor(v, dtype=like.dtype) for v in (s, q))
    if like.dtype.itemsize == 2:  # the terms would overflow
        return zeta(s.float(), q.float()).to(dtype=like.dtype)
    n = 10
    total: Any = 0.0
    for k in range(n):
        total = total + pow_(q + float(k), -s)
    w = q + float(n)
    power = pow_(w, -s)
    total = total + power * w / (s - 1.0) + power * 0.5
    factor, step = s, power / w
    for j, b in enumerate(_BERNOULLI):
        total = total + factor * step * b
        factor = factor * (s + float(2 * j + 1)) * (s + float(2 * j + 2))
        step = step / (w * w)
    total = where(q > 0, total, where(q == floor(q), math.inf, math.nan))
    total = where(s == 1.0, math.inf, total)
    return where(s < 1.0, math.nan, total)


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma: (-1)^(n+1) n! ζ(n + 1, x), and for x < 0 that of ψ(1 - x) - π cot πx."""
    k = as_int(n, "polygamma: n")
    if k < 0:
        raise ArgumentError(f"polygamma: n must not be negative, but {k} was given")
    x = as_real(input, "polygamma")
    if k == 0:
        return digamma(x)
    sign = 1.0 if k % 2 else -1.0
    below = x < 0
    found = zeta(float(k + 1), where(below, 1.0 - x, x)) * (float(math.factorial(k)) * sign)
    reflected = -sign * found - _cotangent(k, where(below, x, 0.5))
    return where(below, where(x == floor(x), sign * math.inf, reflected), found)


def _cotangent(k: int, x: Tensor) -> Tensor:
    """The k-th derivative of π cot πx: a polynomial in c = cot πx, since c' = -π(1 + c²)."""
    p = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(k):
        p = p.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    c = 1.0 / tan((x - round_(x)) * math.pi)
    total: Any = 0.0
    for coefficient in reversed(p.coef.tolist()):
        total = total * c + coefficient
    return total * math.pi ** (k + 1)


def multigammaln(input: Tensor, p: int) -> Tensor:
    """log of the multivariate gamma function of dimension p, for x > (p - 1)/2."""
    k = as_int(p, "multigammaln: p")
    if k < 1:
        raise ArgumentError(f"multigammaln: p must be at least 1, but {k} was given")
    x = as_real(input, "multigammaln")
    total: Any = k * (k - 1) / 4 * math.log(math.pi)
    for j in range(k):
        total = gammaln(x - j / 2) + total
    return total


mvlgamma = multigammaln


def _incomplete(prim: Primitive, a: Any, x: Any) -> Tensor:
    if isinstance(a, Tensor) and a.requires_grad and is_grad_enabled():
        raise GradientError(f"{prim.name}: the derivative by the first operand is not known; detach() it")
    return apply(prim, *promote(prim.name, a, x, inexact=True))


def gammainc(input: Tensor, other: Tensor) -> Tensor:
    """The regularised lower incomplete gamma function of (a, x). Differentiable in x."""
    return _incomplete(_gammainc, input, other)


def gammaincc(input: Tensor, other: Tensor) -> Tensor:
    """The regularised upper incomplete gamma function of (a, x). Differentiable in x."""
    return _incomplete(_gammaincc, input, other)


def entr(input: Tensor) -> Tensor:
    """-x log x for x > 0, 0 at 0, and -∞ below."""
    x = as_real(input, "entr")
    positive = x > 0.0
    safe = call("where", positive, x, 1.0)
    y = call("where", positive, -(safe * log(safe)), call("where", x == 0.0, 0.0, -math.inf + x * 0.0))
    return call("where", x == x, y, x)


def xlog1py(input: Any, other: Any) -> Tensor:
    """x · log(1 + y), and 0 where x is 0 (unless y is NaN)."""
    x, y = promote("xlog1py", input, other, inexact=True)
    like = x if isinstance(x, Tensor) else y
    x, y = (v if isinstance(v, Tensor) else tensor(v, dtype=like.dtype) for v in (x, y))
    zero = (x == 0.0) & (y == y)
    return call("where", zero, 0.0, mul(x, log1p(call("where", zero, 0.0, y))))
