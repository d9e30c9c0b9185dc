"""Mixtures of distributions of one kind."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.distributions._discrete import Categorical
from twinflow.distributions._distribution import Distribution
from twinflow.ops import gather
from twinflow.tensor import Tensor


class MixtureSameFamily(Distribution):
    """One of k components, which `mixture_distribution` chooses: p(x) = Σ_k w_k p_k(x).

    Args:
        mixture_distribution: the weights, a `Categorical`.
        component_distribution: the components along the last axis of its batch.

    >>> import twinflow
    >>> from twinflow.distributions import Categorical, MixtureSameFamily, Normal
    >>> weights = Categorical(twinflow.tensor([0.5, 0.5]))
    >>> MixtureSameFamily(weights, Normal(twinflow.tensor([-1.0, 1.0]), 1.0)).log_prob(0.0)
    tensor(-1.4189)
    """

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ArgumentError(
                f"MixtureSameFamily: the weights are a Categorical, not {type(mixture_distribution).__name__}"
            )
        batch = component_distribution.batch_shape
        k = mixture_distribution.probs.shape[-1]
        if not batch or batch[-1] != k:
            raise ShapeError(
                f"MixtureSameFamily: the last axis of the components' batch {tuple(batch)} must have one place for each of the "
                f"{k} weights"
            )
        self.mixture_distribution, self.component_distribution = mixture_distribution, component_distribution
        super().__init__(batch[:-1], component_distribution.event_shape, validate_args)

    def _weighted(self, values: Tensor) -> Tensor:
        """The sum over components of values of shape batch + (k,) + event, with their weights."""
        events = len(self.event_shape)
        w = self.mixture_distribution.probs.reshape(*self.mixture_distribution.probs.shape, *(1,) * events)
        return (w * values).sum(-1 - events)

    @property
    def mean(self) -> Tensor:
        return self._weighted(self.component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        means = self.component_distribution.mean
        apart = (means - self.mean.unsqueeze(-1 - len(self.event_shape))) ** 2
        return self._weighted(self.component_distribution.variance + apart)

    def _among_components(self, value: Any) -> Tensor:
        return self._value(value).unsqueeze(-1 - len(self.event_shape))

    def log_prob(self, value: Any) -> Tensor:
        each = self.component_distribution.log_prob(self._among_components(value))
        return (each + self.mixture_distribution.logits).logsumexp(-1)

    def cdf(self, value: Any) -> Tensor:
        return (self.component_distribution.cdf(self._among_components(value)) * self.mixture_distribution.probs).sum(
            -1
        )

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        lead = shape[: len(shape) - len(self.batch_shape) - len(self.event_shape)]
        events = tuple(self.event_shape)
        chosen = self.mixture_distribution.sample(lead).expand((*lead, *self.batch_shape))
        chosen = chosen.reshape(*chosen.shape, 1, *(1,) * len(events)).expand((*chosen.shape, 1, *events))
        axis = -1 - len(events)
        return gather(self.component_distribution.sample(lead), axis, chosen).squeeze(axis)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution!r}, {self.component_distribution!r})"
