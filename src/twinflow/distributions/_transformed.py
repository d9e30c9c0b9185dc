"""A distribution seen through invertible functions."""

from __future__ import annotations

from typing import Any

from twinflow.distributions._distribution import Distribution, sum_last
from twinflow.distributions._transforms import ComposeTransform, Transform
from twinflow.tensor import Tensor


class TransformedDistribution(Distribution):
    """The distribution of f(x) for x of `base_distribution`: log p(y) = log p(x) - log |dy/dx|.

    >>> from twinflow.distributions import Normal, TransformedDistribution, transforms
    >>> TransformedDistribution(Normal(0.0, 1.0), [transforms.ExpTransform()]).log_prob(1.0)
    tensor(-0.9189)
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | list[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.base_dist = base_distribution
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        self._all = ComposeTransform(self.transforms)
        self.has_rsample = base_distribution.has_rsample
        super().__init__(base_distribution.batch_shape, base_distribution.event_shape, validate_args)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self._all(self.base_dist._draw(shape))

    def log_prob(self, value: Any) -> Tensor:
        y = self._value(value)
        x = self._all.inv(y)
        return self.base_dist.log_prob(x) - sum_last(self._all.log_abs_det_jacobian(x, y), len(self.event_shape))

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist!r}, {[type(t).__name__ for t in self.transforms]})"
