"""The Kullback-Leibler divergence KL(p ‖ q) = E_p[log p - log q] of pairs of distributions, in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twinflow import linalg
from twinflow.core.errors import TwinflowError
from twinflow.distributions import _continuous as C
from twinflow.distributions import _discrete as D
from twinflow.distributions._distribution import Distribution, Independent, sum_last
from twinflow.nn.functional import softplus
from twinflow.ops import digamma, lgamma, log, where, xlogy
from twinflow.tensor import Tensor

_RULES: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[[Any, Any], Tensor]], Callable[[Any, Any], Tensor]]:
    """Give the formula for a pair of classes: `@register_kl(MyNormal, Normal)`."""

    def put(rule: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        _RULES[type_p, type_q] = rule
        return rule

    return put


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q). Raises: TwinflowError for a pair without a formula.

    >>> from twinflow.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    fits = [(a, b) for a, b in _RULES if isinstance(p, a) and isinstance(q, b)]
    if not fits:
        raise TwinflowError(
            f"kl_divergence: there is no formula for {type(p).__name__} and {type(q).__name__}; estimate it as the mean of "
            "p.log_prob(x) - q.log_prob(x) over x = p.sample(), or give one with register_kl"
        )
    nearest = min(fits, key=lambda pair: type(p).__mro__.index(pair[0]) + type(q).__mro__.index(pair[1]))
    return _RULES[nearest](p, q)


@register_kl(C.Normal, C.Normal)
def _normal(p: C.Normal, q: C.Normal) -> Tensor:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - log(ratio))


@register_kl(C.MultivariateNormal, C.MultivariateNormal)
def _multivariate_normal(p: C.MultivariateNormal, q: C.MultivariateNormal) -> Tensor:
    a = linalg.solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    d = linalg.solve_triangular(q.scale_tril, (q.loc - p.loc).unsqueeze(-1), upper=False)
    half = q._half_log_det() - p._half_log_det()
    return half + 0.5 * ((a**2).sum((-2, -1)) + (d**2).sum((-2, -1)) - p.loc.shape[-1])


@register_kl(C.Uniform, C.Uniform)
def _uniform(p: C.Uniform, q: C.Uniform) -> Tensor:
    inside = (q.low <= p.low) & (q.high >= p.high)
    return where(inside, log((q.high - q.low) / (p.high - p.low)), math.inf)


@register_kl(C.Exponential, C.Exponential)
def _exponential(p: C.Exponential, q: C.Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - log(ratio)


@register_kl(C.Laplace, C.Laplace)
def _laplace(p: C.Laplace, q: C.Laplace) -> Tensor:
    ratio, d = p.scale / q.scale, (p.loc - q.loc).abs()
    return -log(ratio) + d / q.scale + ratio * (-d / p.scale).exp() - 1


@register_kl(C.Gamma, C.Gamma)
def _gamma(p: C.Gamma, q: C.Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    return b * log(p.rate / q.rate) + lgamma(b) - lgamma(a) + (a - b) * digamma(a) + (q.rate - p.rate) * a / p.rate


@register_kl(C.Beta, C.Beta)
def _beta(p: C.Beta, q: C.Beta) -> Tensor:
    def log_norm(d: C.Beta) -> Tensor:
        return lgamma(d.concentration1) + lgamma(d.concentration0) - lgamma(d.concentration1 + d.concentration0)

    a, b = p.concentration1 - q.concentration1, p.concentration0 - q.concentration0
    total = p.concentration1 + p.concentration0
    return (
        log_norm(q)
        - log_norm(p)
        + a * digamma(p.concentration1)
        + b * digamma(p.concentration0)
        - (a + b) * digamma(total)
    )


@register_kl(C.Dirichlet, C.Dirichlet)
def _dirichlet(p: C.Dirichlet, q: C.Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    norm = lgamma(total) - lgamma(b.sum(-1)) + (lgamma(b) - lgamma(a)).sum(-1)
    return norm + ((a - b) * (digamma(a) - digamma(total).unsqueeze(-1))).sum(-1)


@register_kl(D.Bernoulli, D.Bernoulli)
def _bernoulli(p: D.Bernoulli, q: D.Bernoulli) -> Tensor:
    return p.probs * (softplus(-q.logits) - softplus(-p.logits)) + (1 - p.probs) * (
        softplus(q.logits) - softplus(p.logits)
    )


@register_kl(D.Categorical, D.Categorical)
def _categorical(p: D.Categorical, q: D.Categorical) -> Tensor:
    terms = where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits))
    return where((q.probs == 0) & (p.probs > 0), math.inf, terms).sum(-1)


@register_kl(D.Geometric, D.Geometric)
def _geometric(p: D.Geometric, q: D.Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() * p.mean - log(q.probs)


@register_kl(D.Poisson, D.Poisson)
def _poisson(p: D.Poisson, q: D.Poisson) -> Tensor:
    return xlogy(p.rate, p.rate / q.rate) - (p.rate - q.rate)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.n != q.n:
        raise TwinflowError(f"kl_divergence: events of {p.n} and {q.n} axes")
    return sum_last(kl_divergence(p.base_dist, q.base_dist), p.n)
