"""What all distributions share: shapes, checks of their parameters, sampling with and without gradients."""

from __future__ import annotations

from typing import Any, ClassVar

from twinflow.core import broadcast_shapes
from twinflow.core.errors import ArgumentError, ShapeError, TwinflowError
from twinflow.ops import as_tensor
from twinflow.tensor import SPECIAL, Size, Tensor, no_grad

# What a parameter must be: a name for messages, and the test.
POSITIVE = ("positive", lambda v: v > 0)
NONNEGATIVE = ("not negative", lambda v: v >= 0)
PROBABILITY = ("between 0 and 1", lambda v: (v >= 0) & (v <= 1))
REAL = ("a finite number", lambda v: v.isfinite())
SIMPLEX = ("not negative and of sum 1", lambda v: (v >= 0) & ((v.sum(-1, keepdim=True) - 1).abs() < 1e-5))


class Distribution:
    """A probability distribution over a batch: `batch_shape` many, each of values of `event_shape`.

    A subclass names its parameters in `constraints`, and defines `_draw(shape)` and `log_prob(value)`; one whose draws
    are differentiable says `has_rsample = True`.
    """

    constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False
    event_dims = 0

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not False and not SPECIAL.count:
            for name, (what, test) in self.constraints.items():
                value = getattr(self, name, None)
                if value is not None and not bool(test(value.detach()).all()):
                    raise ArgumentError(f"{type(self).__name__}: {name} must be {what}, but it is {value.detach()!r}")

    def _parameters(self, **values: Any) -> tuple[Tensor, ...]:
        """The parameters as tensors of one shape and type, kept under their names."""
        tensors = [as_tensor(v) for v in values.values()]
        tensors = [t if t.is_floating_point() or t.is_complex() else t.float() for t in tensors]
        shape: tuple[int, ...] = ()
        for t in tensors:
            shape = broadcast_shapes(shape, tuple(t.shape), op=type(self).__name__)
        found = tuple(t.expand(shape) for t in tensors)
        for name, t in zip(values, found):
            setattr(self, name, t)
        return found

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one value."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The expected value."""
        raise self._lacks("mean")

    @property
    def variance(self) -> Tensor:
        """The expected squared distance from the mean."""
        raise self._lacks("variance")

    @property
    def stddev(self) -> Tensor:
        """√variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Values of shape sample_shape + batch_shape + event_shape, without gradients."""
        with no_grad():
            return self._draw(self._extended(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """The same as a function of the parameters and of independent noise: gradients flow to the parameters."""
        if not self.has_rsample:
            raise self._lacks("differentiable sample (rsample); use sample, and log_prob for a score-function gradient")
        return self._draw(self._extended(sample_shape))

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density (or probability) at `value`."""
        raise self._lacks("density")

    def cdf(self, value: Any) -> Tensor:
        """The probability of values up to `value`."""
        raise self._lacks("cdf in closed form")

    def icdf(self, value: Any) -> Tensor:
        """The value whose cdf is `value`."""
        raise self._lacks("icdf in closed form")

    def entropy(self) -> Tensor:
        """E[-log_prob]."""
        raise self._lacks("entropy in closed form")

    def perplexity(self) -> Tensor:
        """exp(entropy)."""
        return self.entropy().exp()

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        raise self._lacks("way to sample")

    def _extended(self, sample_shape: Any) -> tuple[int, ...]:
        lead = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return (*lead, *self._batch_shape, *self._event_shape)

    def _value(self, value: Any) -> Tensor:
        """`value` as a tensor that fits the distribution."""
        t = as_tensor(value)
        full = (*self._batch_shape, *self._event_shape)
        try:
            broadcast_shapes(tuple(t.shape), full, op="log_prob")
        except ShapeError:
            raise ShapeError(
                f"{type(self).__name__}: a value of shape {tuple(t.shape)} does not fit batch shape {tuple(self._batch_shape)} and "
                f"event shape {tuple(self._event_shape)}"
            ) from None
        return t

    def _lacks(self, what: str) -> TwinflowError:
        return TwinflowError(f"{type(self).__name__}: there is no {what}")

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{name}: {p if p.numel() == 1 else p.shape}"
            for name in self.constraints
            if (p := getattr(self, name, None)) is not None
        )
        return f"{type(self).__name__}({parts})"


class Independent(Distribution):
    """The last `reinterpreted_batch_ndims` axes of a batch of distributions as one event: log-probabilities are added.

    >>> import twinflow
    >>> from twinflow.distributions import Independent, Normal
    >>> Independent(Normal(twinflow.zeros(3, 2), 1.0), 1).log_prob(twinflow.zeros(3, 2)).shape
    twinflow.Size([3])
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        n, shape = reinterpreted_batch_ndims, base_distribution.batch_shape
        if not 0 <= n <= len(shape):
            raise ArgumentError(f"Independent: the batch shape {tuple(shape)} has no {n} axes to make an event of")
        self.base_dist, self.n = base_distribution, n
        at = len(shape) - n
        super().__init__(shape[:at], (*shape[at:], *base_distribution.event_shape), validate_args)
        self.has_rsample = base_distribution.has_rsample

    @property
    def mean(self) -> Tensor:
        return self.base_dist.mean

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        return self.base_dist._draw(shape)

    def log_prob(self, value: Any) -> Tensor:
        return sum_last(self.base_dist.log_prob(value), self.n)

    def entropy(self) -> Tensor:
        return sum_last(self.base_dist.entropy(), self.n)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.n})"


def sum_last(x: Tensor, n: int) -> Tensor:
    """The sum over the last n axes."""
    return x.sum(tuple(range(-n, 0))) if n else x
