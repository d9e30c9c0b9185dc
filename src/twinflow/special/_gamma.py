"""The gamma function's relatives and entropies."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core import as_int
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.graph import Primitive
from twinflow.ops import call, digamma, log, log1p, mul, where
from twinflow.ops import lgamma as gammaln
from twinflow.ops import pow as pow_
from twinflow.ops._create import tensor
from twinflow.ops._gamma import gammainc as _gammainc
from twinflow.ops._gamma import gammaincc as _gammaincc
from twinflow.ops._promote import as_inexact, promote
from twinflow.tensor import Tensor, apply, is_grad_enabled

psi = digamma

# B₂ⱼ / (2j)! of the Euler-Maclaurin formula
_BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600, -3617 / 10670622842880000,
)  # fmt: skip


def zeta(input: Any, other: Any) -> Tensor:
    """Hurwitz's zeta function Σₖ (q + k)^-s, k = 0, 1, ..., for s > 1, by the Euler-Maclaurin formula."""
    s, q = promote("zeta", input, other, inexact=True)
    like = s if isinstance(s, Tensor) else q
    s, q = (v if isinstance(v, Tensor) else tensor(v, dtype=like.dtype) for v in (s, q))
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
    total = where(s == 1.0, math.inf, total)
    return where(s < 1.0, math.nan, total)


def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of digamma: (-1)^(n+1) n! ζ(n + 1, x)."""
    k = as_int(n, "polygamma: n")
    if k < 0:
        raise ArgumentError(f"polygamma: n must not be negative, but {k} was given")
    x = as_inexact(input, "polygamma")
    if k == 0:
        return digamma(x)
    return zeta(float(k + 1), x) * (float(math.factorial(k)) * (1.0 if k % 2 else -1.0))


def multigammaln(input: Tensor, p: int) -> Tensor:
    """log of the multivariate gamma function of dimension p, for x > (p - 1)/2."""
    k = as_int(p, "multigammaln: p")
    if k < 1:
        raise ArgumentError(f"multigammaln: p must be at least 1, but {k} was given")
    x = as_inexact(input, "multigammaln")
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
    x = as_inexact(input, "entr")
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
