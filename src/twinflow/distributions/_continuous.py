"""Distributions of real numbers and vectors. Formulas: Johnson, Kotz and Balakrishnan, "Continuous Univariate Distributions"."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from twinflow import linalg
from twinflow.core.errors import ArgumentError
from twinflow.distributions._distribution import POSITIVE, REAL, Distribution
from twinflow.ops import (
    atan,
    digamma,
    erf,
    erfinv,
    full_like,
    lgamma,
    log,
    log1p,
    ones_like,
    rand,
    randn,
    tan,
    where,
    xlogy,
    zeros,
)
from twinflow.special import gammainc
from twinflow.tensor import Tensor

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_EULER = 0.57721566490153286


class LocationScale(Distribution):
    """Distributions of loc + scale z, for a z that has no parameters."""

    constraints: ClassVar[dict[str, Any]] = {"loc": REAL, "scale": POSITIVE}
    has_rsample = True
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self._parameters(loc=loc, scale=scale)
        super().__init__(self.loc.shape, (), validate_args)


class Normal(LocationScale):
    """exp(-(x - loc)² / (2 scale²)) / (scale √(2π)).

    >>> from twinflow.distributions import Normal
    >>> Normal(0.0, 1.0).log_prob(0.0)
    tensor(-0.9189)
    """

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale**2

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * randn(shape, dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Tensor:
        z = (self._value(value) - self.loc) / self.scale
        return -0.5 * z * z - log(self.scale) - _HALF_LOG_2PI

    def cdf(self, value: Any) -> Tensor:
        return 0.5 * (1 + erf((self._value(value) - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * erfinv(2 * self._value(value) - 1) * math.sqrt(2)

    def entropy(self) -> Tensor:
        return 0.5 + _HALF_LOG_2PI + log(self.scale)


class LogNormal(Normal):
    """exp of a normal value."""

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Tensor:
        s = self.scale**2
        return s.expm1() * (2 * self.loc + s).exp()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return super()._draw(shape).exp()

    def log_prob(self, value: Any) -> Tensor:
        y = log(self._value(value))
        return super().log_prob(y) - y

    def cdf(self, value: Any) -> Tensor:
        return super().cdf(log(self._value(value)))

    def icdf(self, value: Any) -> Tensor:
        return super().icdf(value).exp()

    def entropy(self) -> Tensor:
        return super().entropy() + self.loc


class HalfNormal(Distribution):
    """|x| of a normal x around 0."""

    constraints: ClassVar[dict[str, Any]] = {"scale": POSITIVE}
    has_rsample = True
    scale: Tensor

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        self._parameters(scale=scale)
        super().__init__(self.scale.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (1 - 2 / math.pi)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return (self.scale * randn(shape, dtype=self.scale.dtype)).abs()

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        inside = math.log(2) - _HALF_LOG_2PI - log(self.scale) - 0.5 * (x / self.scale) ** 2
        return where(x >= 0, inside, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return erf(self._value(value) / (self.scale * math.sqrt(2)))

    def icdf(self, value: Any) -> Tensor:
        return self.scale * math.sqrt(2) * erfinv(self._value(value))

    def entropy(self) -> Tensor:
        return 0.5 + _HALF_LOG_2PI + log(self.scale) - math.log(2)


class Uniform(Distribution):
    """1 / (high - low) on [low, high)."""

    constraints: ClassVar[dict[str, Any]] = {"low": REAL, "high": REAL}
    has_rsample = True
    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self._parameters(low=low, high=high)
        super().__init__(self.low.shape, (), validate_args)
        if validate_args is not False and bool((self.low >= self.high).any()):
            raise ArgumentError("Uniform: low must be less than high")

    @property
    def mean(self) -> Tensor:
        return (self.low + self.high) / 2

    @property
    def variance(self) -> Tensor:
        return (self.high - self.low) ** 2 / 12

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.low + (self.high - self.low) * rand(shape, dtype=self.low.dtype)

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        return where((x >= self.low) & (x < self.high), -log(self.high - self.low), -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return ((self._value(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Any) -> Tensor:
        return self.low + self._value(value) * (self.high - self.low)

    def entropy(self) -> Tensor:
        return log(self.high - self.low)


class Exponential(Distribution):
    """rate exp(-rate x)."""

    constraints: ClassVar[dict[str, Any]] = {"rate": POSITIVE}
    has_rsample = True
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._parameters(rate=rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return 1 / self.rate

    @property
    def variance(self) -> Tensor:
        return 1 / self.rate**2

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return -log1p(-rand(shape, dtype=self.rate.dtype)) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        return where(x >= 0, log(self.rate) - self.rate * x, -math.inf)

    def cdf(self, value: Any) -> Tensor:
        return -(-self.rate * self._value(value)).expm1()

    def icdf(self, value: Any) -> Tensor:
        return -log1p(-self._value(value)) / self.rate

    def entropy(self) -> Tensor:
        return 1 - log(self.rate)


class Laplace(LocationScale):
    """exp(-|x - loc| / scale) / (2 scale)."""

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return 2 * self.scale**2

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        u = rand(shape, dtype=self.loc.dtype) - 0.5
        return self.loc - self.scale * u.sign() * log1p(-2 * u.abs())

    def log_prob(self, value: Any) -> Tensor:
        return -log(2 * self.scale) - (self._value(value) - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Tensor:
        x = self._value(value) - self.loc
        return 0.5 - 0.5 * x.sign() * (-x.abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Tensor:
        t = self._value(value) - 0.5
        return self.loc - self.scale * t.sign() * log1p(-2 * t.abs())

    def entropy(self) -> Tensor:
        return 1 + log(2 * self.scale)


class Cauchy(LocationScale):
    """1 / (π scale (1 + ((x - loc) / scale)²)); it has neither mean nor variance."""

    @property
    def mean(self) -> Tensor:
        return full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        return full_like(self.loc, math.inf)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.loc + self.scale * tan(math.pi * (rand(shape, dtype=self.loc.dtype) - 0.5))

    def log_prob(self, value: Any) -> Tensor:
        return -math.log(math.pi) - log(self.scale) - log1p(((self._value(value) - self.loc) / self.scale) ** 2)

    def cdf(self, value: Any) -> Tensor:
        return atan((self._value(value) - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value: Any) -> Tensor:
        return self.loc + self.scale * tan(math.pi * (self._value(value) - 0.5))

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + log(self.scale)


class Gumbel(LocationScale):
    """exp(-(z + exp(-z))) / scale with z = (x - loc) / scale: the largest of many."""

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def variance(self) -> Tensor:
        return self.scale**2 * (math.pi**2 / 6)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        e = -log1p(-rand(shape, dtype=self.loc.dtype))  # exponential, 0 with probability 2⁻²⁴
        return self.loc - self.scale * log(e.clamp_min(1e-38))

    def log_prob(self, value: Any) -> Tensor:
        z = (self._value(value) - self.loc) / self.scale
        return -(z + (-z).exp()) - log(self.scale)

    def cdf(self, value: Any) -> Tensor:
        return (-(-(self._value(value) - self.loc) / self.scale).exp()).exp()

    def icdf(self, value: Any) -> Tensor:
        return self.loc - self.scale * log(-log(self._value(value)))

    def entropy(self) -> Tensor:
        return log(self.scale) + (1 + _EULER)


class Gamma(Distribution):
    """rate^a x^(a-1) exp(-rate x) / Γ(a), with a = concentration.

    Samples: Marsaglia and Tsang, "A simple method for generating gamma variables", ACM TOMS 26, 2000.
    """

    constraints: ClassVar[dict[str, Any]] = {"concentration": POSITIVE, "rate": POSITIVE}
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self._parameters(concentration=concentration, rate=rate)
        super().__init__(self.concentration.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate**2

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return standard_gamma(self.concentration.expand(shape)) / self.rate

    def log_prob(self, value: Any) -> Tensor:
        a, x = self.concentration, self._value(value)
        return xlogy(a, self.rate) + xlogy(a - 1, x) - self.rate * x - lgamma(a)

    def cdf(self, value: Any) -> Tensor:
        return gammainc(self.concentration, self.rate * self._value(value))

    def entropy(self) -> Tensor:
        a = self.concentration
        return a - log(self.rate) + lgamma(a) + (1 - a) * digamma(a)


def standard_gamma(a: Tensor) -> Tensor:
    """Gamma values of rate 1: proposals are drawn again until all are accepted, 8 rounds at a time.

    A proposal is accepted with a probability above 0.95, so 8 rounds leave fewer than 1 in 10¹⁰.
    """
    small = a < 1
    d = where(small, a + 1, a) - 1 / 3
    c = 1 / (9 * d).sqrt()
    result, done = zeros(a.shape, dtype=a.dtype), zeros(a.shape, dtype="bool")
    for _ in range(8):
        x = randn(a.shape, dtype=a.dtype)
        u = rand(a.shape, dtype=a.dtype)
        v = (1 + c * x) ** 3
        fits = (v > 0) & (log1p(-u) < 0.5 * x * x + d - d * v + d * log(where(v > 0, v, ones_like(v))))
        result = where(~done & fits, d * v, result)
        done = done | fits
    result = where(done, result, d)
    boost = (-log1p(-rand(a.shape, dtype=a.dtype))).neg() / a  # log of a uniform number, over a
    return where(small, result * boost.exp(), result)


class Chi2(Gamma):
    """The sum of `df` squared normal values: a gamma distribution of concentration df/2 and rate 1/2."""

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (df,) = self._parameters(df=df)
        super().__init__(df / 2, full_like(df, 0.5), validate_args)


class Beta(Distribution):
    """x^(a-1) (1-x)^(b-1) / B(a, b) on (0, 1)."""

    constraints: ClassVar[dict[str, Any]] = {"concentration1": POSITIVE, "concentration0": POSITIVE}
    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self._parameters(concentration1=concentration1, concentration0=concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        return a * b / ((a + b) ** 2 * (a + b + 1))

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        x, y = standard_gamma(self.concentration1.expand(shape)), standard_gamma(self.concentration0.expand(shape))
        return x / (x + y)

    def log_prob(self, value: Any) -> Tensor:
        a, b, x = self.concentration1, self.concentration0, self._value(value)
        return xlogy(a - 1, x) + xlogy(b - 1, 1 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        total = a + b
        return (
            lgamma(a)
            + lgamma(b)
            - lgamma(total)
            - (a - 1) * digamma(a)
            - (b - 1) * digamma(b)
            + (total - 2) * digamma(total)
        )


class Dirichlet(Distribution):
    """Π x_i^(a_i - 1) / B(a): vectors of positive numbers of sum 1."""

    constraints: ClassVar[dict[str, Any]] = {"concentration": POSITIVE}
    concentration: Tensor

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self._parameters(concentration=concentration)
        if not self.concentration.ndim:
            raise ArgumentError("Dirichlet: concentration must be a vector, or a batch of vectors")
        super().__init__(self.concentration.shape[:-1], self.concentration.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Tensor:
        total, m = self.concentration.sum(-1, keepdim=True), self.mean
        return m * (1 - m) / (total + 1)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        x = standard_gamma(self.concentration.expand(shape))
        return x / x.sum(-1, keepdim=True)

    def log_prob(self, value: Any) -> Tensor:
        a = self.concentration
        return xlogy(a - 1, self._value(value)).sum(-1) + lgamma(a.sum(-1)) - lgamma(a).sum(-1)

    def entropy(self) -> Tensor:
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        return lgamma(a).sum(-1) - lgamma(total) - (k - total) * digamma(total) - ((a - 1) * digamma(a)).sum(-1)


class StudentT(Distribution):
    """Γ((df+1)/2) / (Γ(df/2) √(π df) scale) (1 + z²/df)^(-(df+1)/2) with z = (x - loc) / scale."""

    constraints: ClassVar[dict[str, Any]] = {"df": POSITIVE, "loc": REAL, "scale": POSITIVE}
    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self._parameters(df=df, loc=loc, scale=scale)
        super().__init__(self.df.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        wide = where(self.df > 1, full_like(self.df, math.inf), math.nan)
        return where(self.df > 2, self.scale**2 * self.df / (self.df - 2), wide)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        z = randn(shape, dtype=self.df.dtype)
        half = 0.5 * self.df
        return self.loc + self.scale * z * (half / standard_gamma(half.expand(shape))).sqrt()

    def log_prob(self, value: Any) -> Tensor:
        z = (self._value(value) - self.loc) / self.scale
        norm = (
            log(self.scale)
            + 0.5 * log(self.df)
            + 0.5 * math.log(math.pi)
            + lgamma(0.5 * self.df)
            - lgamma(0.5 * (self.df + 1))
        )
        return -0.5 * (self.df + 1) * log1p(z**2 / self.df) - norm

    def entropy(self) -> Tensor:
        half, more = 0.5 * self.df, 0.5 * (self.df + 1)
        beta = lgamma(half) + math.lgamma(0.5) - lgamma(more)
        return log(self.scale) + more * (digamma(more) - digamma(half)) + 0.5 * log(self.df) + beta


class MultivariateNormal(Distribution):
    """Normal vectors of mean `loc` and one of covariance_matrix, precision_matrix or scale_tril (its Cholesky factor).

    Raises: ArgumentError unless exactly one of the three is given, LinAlgError if it is not positive-definite.
    """

    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ArgumentError(
                "MultivariateNormal: give exactly one of covariance_matrix, precision_matrix and scale_tril"
            )
        if covariance_matrix is not None:
            lower = linalg.cholesky(covariance_matrix)
        elif precision_matrix is not None:
            lower = linalg.cholesky(linalg.inv(precision_matrix))
        else:
            lower = given[0]
        n = lower.shape[-1]
        zero = zeros((*lower.shape[:-2], n), dtype=lower.dtype)
        self.loc = zero + loc
        self.scale_tril = lower.expand((*self.loc.shape[:-1], n, n))
        super().__init__(self.loc.shape[:-1], (n,), validate_args)

    @property
    def covariance_matrix(self) -> Tensor:
        """E[(x - loc)(x - loc)ᵀ]."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance matrix."""
        return linalg.inv(self.covariance_matrix)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.scale_tril**2).sum(-1)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        z = randn(shape, dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ z.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Tensor:
        d = (self._value(value) - self.loc).unsqueeze(-1)
        lower = self.scale_tril.expand((*d.shape[:-2], *self.scale_tril.shape[-2:]))
        z = linalg.solve_triangular(lower, d, upper=False).squeeze(-1)
        return -0.5 * (z**2).sum(-1) - self._half_log_det() - d.shape[-2] * _HALF_LOG_2PI

    def entropy(self) -> Tensor:
        return self._half_log_det() + self.scale_tril.shape[-1] * (0.5 + _HALF_LOG_2PI)

    def _half_log_det(self) -> Tensor:
        return log(self.scale_tril.diagonal(dim1=-2, dim2=-1)).sum(-1)

    def __repr__(self) -> str:
        return f"MultivariateNormal(loc: {self.loc.shape}, scale_tril: {self.scale_tril.shape})"
