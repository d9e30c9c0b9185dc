"""Distributions of counts, classes and yes or no, by probabilities or logits."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.distributions._distribution import NONNEGATIVE, PROBABILITY, REAL, Distribution
from twinflow.nn.functional import gumbel_softmax, one_hot, softplus
from twinflow.ops import (
    arange,
    as_tensor,
    bernoulli,
    binomial,
    gather,
    lgamma,
    log,
    log1p,
    log_softmax,
    multinomial,
    poisson,
    rand,
    softmax,
    where,
    xlogy,
)
from twinflow.tensor import Tensor


def _one_of(name: str, probs: Any, logits: Any) -> None:
    if (probs is None) == (logits is None):
        raise ArgumentError(f"{name}: give either probs or logits")


class _Binary(Distribution):
    """A probability, or its logit log(p / (1 - p)): whichever is not given is computed."""

    constraints: ClassVar[dict[str, Any]] = {"given_probs": PROBABILITY, "given_logits": REAL}

    def _set(self, probs: Any, logits: Any, **others: Any) -> None:
        _one_of(type(self).__name__, probs, logits)
        self.given_probs: Tensor | None = None
        self.given_logits: Tensor | None = None
        if probs is not None:
            self._parameters(given_probs=probs, **others)
        else:
            self._parameters(given_logits=logits, **others)

    @property
    def probs(self) -> Tensor:
        """The probability."""
        return self.given_probs if self.given_probs is not None else self._logit().sigmoid()

    @property
    def logits(self) -> Tensor:
        """log(p / (1 - p))."""
        if self.given_logits is not None:
            return self.given_logits
        p = (
            self.probs.clamp(1e-7, 1 - 1e-7)
            if self.probs.dtype.name != "float64"
            else self.probs.clamp(1e-15, 1 - 1e-15)
        )
        return log(p) - log1p(-p)

    def _logit(self) -> Tensor:
        if self.given_logits is None:
            raise ArgumentError(f"{type(self).__name__}: neither probs nor logits are set")
        return self.given_logits

    def __repr__(self) -> str:
        kind = "probs" if self.given_probs is not None else "logits"
        return f"{type(self).__name__}({kind}: {self.batch_shape})"


class Bernoulli(_Binary):
    """1 with probability p, else 0.

    >>> from twinflow.distributions import Bernoulli
    >>> Bernoulli(probs=0.25).log_prob(1.0).exp()
    tensor(0.2500)
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._set(probs, logits)
        super().__init__(self.probs.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return bernoulli(self.probs.expand(shape))

    def log_prob(self, value: Any) -> Tensor:
        x, z = self._value(value), self.logits
        return x * z - softplus(z)

    def entropy(self) -> Tensor:
        return softplus(self.logits) - self.probs * self.logits


class Geometric(_Binary):
    """The number of failures before the first success: (1 - p)^k p."""

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._set(probs, logits)
        super().__init__(self.probs.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return (log1p(-rand(shape, dtype=self.probs.dtype)) / log1p(-self.probs)).floor()

    def log_prob(self, value: Any) -> Tensor:
        return xlogy(self._value(value), 1 - self.probs) + log(self.probs)

    def entropy(self) -> Tensor:
        p = self.probs
        return -(xlogy(1 - p, 1 - p) + xlogy(p, p)) / p


class Binomial(_Binary):
    """Successes among `total_count` trials."""

    constraints: ClassVar[dict[str, Any]] = {**_Binary.constraints, "total_count": NONNEGATIVE}
    total_count: Tensor

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._set(probs, logits, total_count=total_count)
        super().__init__(self.total_count.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Tensor:
        k, n, z = self._value(value), self.total_count, self.logits
        ways = lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
        return ways + k * z - n * softplus(z)


class Poisson(Distribution):
    """rate^k exp(-rate) / k!."""

    constraints: ClassVar[dict[str, Any]] = {"rate": NONNEGATIVE}
    rate: Tensor

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        self._parameters(rate=rate)
        super().__init__(self.rate.shape, (), validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def variance(self) -> Tensor:
        return self.rate

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return poisson(self.rate.expand(shape))

    def log_prob(self, value: Any) -> Tensor:
        k = self._value(value)
        return xlogy(k, self.rate) - self.rate - lgamma(k + 1)


class Categorical(Distribution):
    """Class numbers in proportion to `probs` along the last axis, or to exp(`logits`).

    >>> import twinflow
    >>> from twinflow.distributions import Categorical
    >>> Categorical(probs=twinflow.tensor([1.0, 3.0])).log_prob(twinflow.tensor(1)).exp()
    tensor(0.7500)
    """

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        _one_of(type(self).__name__, probs, logits)
        given = as_tensor(probs if probs is not None else logits)
        if not given.ndim:
            raise ShapeError(f"{type(self).__name__}: probs and logits have an axis of classes; a number has none")
        self.logits: Tensor
        self.probs: Tensor
        if probs is not None:
            self._weights = given
            self.probs = given / given.sum(-1, keepdim=True)
            self.logits = log(self.probs.clamp_min(1e-38))
        else:
            self.logits = log_softmax(given, -1)
            self.probs = softmax(given, -1)
            self._weights = self.probs
        self._shape(given, validate_args)

    constraints: ClassVar[dict[str, Any]] = {"_weights": NONNEGATIVE}

    def _shape(self, given: Tensor, validate_args: bool | None) -> None:
        super().__init__(given.shape[:-1], (), validate_args)

    @property
    def param_shape(self) -> Any:
        """The shape of probs and logits."""
        return self.probs.shape

    @property
    def mean(self) -> Tensor:
        return self.probs[..., 0] * math.nan

    @property
    def variance(self) -> Tensor:
        return self.probs[..., 0] * math.nan

    @property
    def mode(self) -> Tensor:
        """The most likely class."""
        return self.probs.argmax(-1)

    def _classes(self, shape: tuple[int, ...]) -> Tensor:
        """Class numbers of this shape, whose last axes are the batch."""
        k = self.probs.shape[-1]
        n = math.prod(shape[: len(shape) - len(self.batch_shape)])
        drawn = multinomial(self.probs.reshape(-1, k), max(n, 1), True)[:, :n]
        return drawn.T.reshape(shape)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self._classes(shape)

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value).long()
        shape = (self.logits[..., 0] * 0 + x * 0.0).shape
        logits = self.logits.expand((*shape, self.logits.shape[-1]))
        return gather(logits, -1, x.expand(shape).unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Tensor:
        return -(self.logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All classes, along a first axis."""
        k, batch = self.probs.shape[-1], tuple(self.batch_shape)
        values = arange(k).reshape(k, *([1] * len(batch)))
        return values.expand((k, *batch)) if expand else values

    def __repr__(self) -> str:
        return f"{type(self).__name__}(probs: {self.probs.shape})"


class OneHotCategorical(Categorical):
    """A class as a vector with a single 1."""

    def _shape(self, given: Tensor, validate_args: bool | None) -> None:
        Distribution.__init__(self, given.shape[:-1], given.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.probs

    @property
    def variance(self) -> Tensor:
        return self.probs * (1 - self.probs)

    @property
    def mode(self) -> Tensor:
        return one_hot(self.probs.argmax(-1), self.probs.shape[-1]).to(self.probs.dtype)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return one_hot(self._classes(shape[:-1]), shape[-1]).to(self.probs.dtype)

    def log_prob(self, value: Any) -> Tensor:
        return (self._value(value) * self.logits).sum(-1)


class RelaxedOneHotCategorical(OneHotCategorical):
    """A differentiable stand-in for a one-hot class: softmax((logits + Gumbel noise) / temperature).

    Source: Jang, Gu and Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017.
    """

    has_rsample = True

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.temperature = float(temperature)
        if self.temperature <= 0:
            raise ArgumentError(f"RelaxedOneHotCategorical: temperature must be positive, not {temperature}")
        super().__init__(probs, logits, validate_args)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return gumbel_softmax(self.logits.expand(shape), tau=self.temperature)

    def log_prob(self, value: Any) -> Tensor:
        t, k, x = self.temperature, self.probs.shape[-1], self._value(value)
        score = self.logits - t * log(x)
        return (
            math.lgamma(k)
            + (k - 1) * math.log(t)
            + (score - score.logsumexp(-1, keepdim=True)).sum(-1)
            - log(x).sum(-1)
        )


class Multinomial(Distribution):
    """How often each class comes among `total_count` draws."""

    constraints: ClassVar[dict[str, Any]] = {"probs": NONNEGATIVE}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self.total_count = int(total_count)
        if self.total_count < 0:
            raise ArgumentError(f"Multinomial: total_count must not be negative, not {total_count}")
        self._one = Categorical(probs, logits, validate_args)
        self.probs, self.logits = self._one.probs, self._one.logits
        super().__init__(self.probs.shape[:-1], self.probs.shape[-1:], validate_args)

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        classes = self._one._classes((self.total_count, *shape[:-1]))
        return one_hot(classes, shape[-1]).to(self.probs.dtype).sum(0)

    def log_prob(self, value: Any) -> Tensor:
        x = self._value(value)
        ways = lgamma(x.sum(-1) + 1) - lgamma(x + 1).sum(-1)
        return ways + where(x == 0, 0.0, x * self.logits).sum(-1)
