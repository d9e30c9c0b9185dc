"""Orthogonal polynomials, by their three-term recurrences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.ops import tensor, trunc, where
from twinflow.ops._promote import as_real
from twinflow.tensor import Tensor, array_of


def _evaluate(op: str, input: Any, n: Any, first: Callable[[Tensor], Tensor], step: Callable[..., Tensor]) -> Tensor:
    """pₙ(x) with p₀ = 1, p₁ = first(x) and pₖ₊₁ = step(k, x, pₖ, pₖ₋₁); n is a number, or a tensor of them."""
    x = as_real(tensor(input) if isinstance(input, (int, float)) else input, op)
    degree = trunc(n) if isinstance(n, Tensor) else None
    top = int(array_of(n, f"{op} (the degree must be known)").max()) if isinstance(n, Tensor) else int(n)
    before, now = x * 0.0 + 1.0, first(x)
    found = before if top >= 0 else x * 0.0
    for k in range(1, top + 1):
        if degree is not None:
            found = where(degree >= k, now, found)
        else:
            found = now
        before, now = now, step(k, x, now, before)
    return found if degree is None else where(degree < 0, 0.0, found + x * 0.0)


def _twice(_k: int, x: Tensor, p: Tensor, q: Tensor) -> Tensor:
    return x * 2.0 * p - q


def chebyshev_polynomial_t(input: Tensor, n: Any) -> Tensor:
    """The Chebyshev polynomial of the first kind, cos(n arccos x)."""
    return _evaluate("chebyshev_polynomial_t", input, n, lambda x: x, _twice)


def chebyshev_polynomial_u(input: Tensor, n: Any) -> Tensor:
    """The Chebyshev polynomial of the second kind."""
    return _evaluate("chebyshev_polynomial_u", input, n, lambda x: x * 2.0, _twice)


def chebyshev_polynomial_v(input: Tensor, n: Any) -> Tensor:
    """The Chebyshev polynomial of the third kind."""
    return _evaluate("chebyshev_polynomial_v", input, n, lambda x: x * 2.0 - 1.0, _twice)


def chebyshev_polynomial_w(input: Tensor, n: Any) -> Tensor:
    """The Chebyshev polynomial of the fourth kind."""
    return _evaluate("chebyshev_polynomial_w", input, n, lambda x: x * 2.0 + 1.0, _twice)


def hermite_polynomial_h(input: Tensor, n: Any) -> Tensor:
    """The physicists' Hermite polynomial."""
    return _evaluate(
        "hermite_polynomial_h", input, n, lambda x: x * 2.0, lambda k, x, p, q: (x * p - q * float(k)) * 2.0
    )


def hermite_polynomial_he(input: Tensor, n: Any) -> Tensor:
    """The probabilists' Hermite polynomial."""
    return _evaluate("hermite_polynomial_he", input, n, lambda x: x, lambda k, x, p, q: x * p - q * float(k))


def laguerre_polynomial_l(input: Tensor, n: Any) -> Tensor:
    """The Laguerre polynomial."""
    return _evaluate(
        "laguerre_polynomial_l", input, n, lambda x: 1.0 - x,
        lambda k, x, p, q: ((2 * k + 1 - x) * p - q * float(k)) / float(k + 1),
    )  # fmt: skip


def legendre_polynomial_p(input: Tensor, n: Any) -> Tensor:
    """The Legendre polynomial."""
    return _evaluate(
        "legendre_polynomial_p", input, n, lambda x: x, lambda k, x, p, q: (x * p * float(2 * k + 1) - q * float(k)) / float(k + 1)
    )  # fmt: skip
