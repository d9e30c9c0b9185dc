"""Losses by Keras's names: each gives one number for every example, and their (weighted) mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._masking import as_weights, get_mask
from twinflow.keras._registry import Registry, snake_case
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.ops import log, where
from twinflow.tensor import SPECIAL, Tensor

_REGISTRY = Registry("loss")
_EPSILON = 1e-7


def align(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as floating tensors of one rank: a missing or superfluous last axis of extent 1 is added or removed.

    Raises: ShapeError if they would only broadcast.
    """
    p = to_tensor(y_pred)
    t = to_tensor(y_true).to(dtype=p.dtype)
    if t.ndim == p.ndim - 1 and p.shape[-1] == 1:
        t = t.unsqueeze(-1)
    elif p.ndim == t.ndim - 1 and t.shape[-1] == 1:
        t = t.squeeze(-1)
    if tuple(t.shape) != tuple(p.shape):
        raise ShapeError(
            f"{name}: the targets have shape {tuple(t.shape)}, but the model gives {tuple(p.shape)}; its last layer needs as many units as "
            "the targets have columns (for labels that are whole numbers, use a sparse loss)"
        )
    return t, p


def _rows(x: Tensor) -> Tensor:
    """The mean over the last axis."""
    return x.mean(-1) if x.ndim > 1 else x


class Loss:
    """Base: `call(y_true, y_pred)` gives one number for each example, and calling the loss their mean.

    Args:
        reduction: 'sum_over_batch_size' (the mean), 'sum', or None for the numbers themselves.
        name: how it is called.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in ("sum_over_batch_size", "mean", "sum", "none", None):
            raise ArgumentError(
                f"{type(self).__name__}: reduction is 'sum_over_batch_size', 'mean', 'sum' or None, not {reduction!r}"
            )
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number for each example."""
        raise ArgumentError(f"{type(self).__name__} has no call method: define call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The losses, weighted and reduced; elements that a mask of the predictions leaves out do not count."""
        p = to_tensor(y_pred)
        return reduce(self.name, self.call(to_tensor(y_true), p), sample_weight, self.reduction, get_mask(p))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The inverse of `get_config`."""
        return cls(**config)


def reduce(name: str, values: Tensor, sample_weight: Any, reduction: str | None, mask: Tensor | None = None) -> Tensor:
    """The losses of all examples as one number. Weights multiply them; the mean still divides by their count, but with a mask
    by the count of those that it leaves."""
    if mask is not None:
        mean = reduction in ("mean", "sum_over_batch_size")
        values = values * as_weights(mask, values, mean).reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim))
    if sample_weight is not None:
        w = to_tensor(sample_weight).to(dtype=values.dtype)
        if w.ndim == values.ndim + 1 and w.shape[-1] == 1:
            w = w.squeeze(-1)
        if w.ndim > values.ndim or tuple(w.shape) != tuple(values.shape[: w.ndim]):
            raise ShapeError(
                f"{name}: sample_weight has shape {tuple(w.shape)}, but there are losses of shape {tuple(values.shape)}"
            )
        values = values * w.reshape(*w.shape, *(1,) * (values.ndim - w.ndim))
    if reduction in (None, "none"):
        return values
    return values.sum() if reduction == "sum" else values.mean()


class LossFunctionWrapper(Loss):
    """A function of targets and predictions as a loss."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction, name or getattr(fn, "__name__", "loss"))
        self.fn, self.options = fn, kwargs

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The function's result."""
        result: Tensor = self.fn(y_true, y_pred, **self.options)
        return result


def _declare(*names: str) -> Callable[[type], type]:
    return _REGISTRY.add(*names)


@_declare("mse", "MSE")
class MeanSquaredError(Loss):
    """mean((t - p)²) of each example.

    >>> from twinflow import keras
    >>> keras.losses.MeanSquaredError()([[0.0, 1.0]], [[0.5, 0.5]])
    tensor(0.2500)
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.mse_loss` of each example."""
        t, p = align(self.name, y_true, y_pred)
        return _rows(F.mse_loss(p, t, "none"))


@_declare("mae", "MAE")
class MeanAbsoluteError(Loss):
    """mean(|t - p|) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.l1_loss` of each example."""
        t, p = align(self.name, y_true, y_pred)
        return _rows(F.l1_loss(p, t, "none"))


@_declare("mape", "MAPE")
class MeanAbsolutePercentageError(Loss):
    """100 · mean(|t - p| / |t|) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The error relative to the target."""
        t, p = align(self.name, y_true, y_pred)
        return _rows((t - p).abs() / t.abs().clamp(min=_EPSILON)) * 100.0


@_declare("msle", "MSLE")
class MeanSquaredLogarithmicError(Loss):
    """mean((log(1 + t) - log(1 + p))²) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The squared error of logarithms."""
        t, p = align(self.name, y_true, y_pred)
        d = t.clamp(min=_EPSILON).log1p() - p.clamp(min=_EPSILON).log1p()
        return _rows(d * d)


@_declare()
class Huber(Loss):
    """Squared error for small differences, absolute for those beyond delta."""

    def __init__(
        self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str | None = None
    ) -> None:
        super().__init__(reduction, name or "huber_loss")
        self.delta = delta

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.huber_loss` of each example."""
        t, p = align(self.name, y_true, y_pred)
        return _rows(F.huber_loss(p, t, "none", self.delta))


@_declare("logcosh")
class LogCosh(Loss):
    """mean(log cosh(p - t)) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """d + softplus(-2d) - log 2."""
        t, p = align(self.name, y_true, y_pred)
        d = p - t
        return _rows(d + F.softplus(-2.0 * d) - 0.6931471805599453)


@_declare()
class Hinge(Loss):
    """mean(max(1 - t p, 0)); targets 0 and 1 count as -1 and 1."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The hinge of each example."""
        t, p = align(self.name, y_true, y_pred)
        is_binary = ((t == 0) | (t == 1)).all()
        t = where(is_binary, 2.0 * t - 1.0, t)
        return _rows((1.0 - t * p).relu())


@_declare("kld", "KLD", "kullback_leibler_divergence")
class KLDivergence(Loss):
    """Σ t log(t / p) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The divergence from p to t."""
        t, p = align(self.name, y_true, y_pred)
        t, p = t.clamp(_EPSILON, 1.0), p.clamp(_EPSILON, 1.0)
        return (t * log(t / p)).sum(-1)


@_declare()
class Poisson(Loss):
    """mean(p - t log p) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.poisson_nll_loss` of rates."""
        t, p = align(self.name, y_true, y_pred)
        return _rows(F.poisson_nll_loss(p, t, log_input=False, eps=_EPSILON, reduction="none"))


@_declare()
class CosineSimilarity(Loss):
    """-cos of the angle between targets and predictions."""

    def __init__(self, axis: int = -1, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(reduction, name)
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """-Σ t̂ p̂ with vectors of length 1."""
        t, p = align(self.name, y_true, y_pred)
        return -(F.normalize(t, dim=self.axis) * F.normalize(p, dim=self.axis)).sum(self.axis)


def _concrete(x: Tensor) -> bool:
    return not SPECIAL.count and int(x.numel()) > 0


def check_targets(name: str, t: Tensor) -> None:
    """Raise if a probability lies outside [0, 1]; values are only known outside a trace."""
    if _concrete(t):
        low, high = float(t.min()), float(t.max())
        if low < 0 or high > 1:
            raise ArgumentError(
                f"{name}: targets are probabilities in [0, 1], but they reach from {low:g} to {high:g}; scale them, or use a loss for "
                "numbers such as MeanSquaredError"
            )


@_declare("bce", "BCE")
class BinaryCrossentropy(Loss):
    """-(t log p + (1 - t) log(1 - p)), the mean over the last axis of each example.

    Args:
        from_logits: whether predictions are logits, without sigmoid.
        label_smoothing: how far targets are moved towards 1/2.
    Raises: ArgumentError for targets outside [0, 1].
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.binary_cross_entropy`, of probabilities kept off 0 and 1 by 1e-7."""
        t, p = align(self.name, y_true, y_pred)
        check_targets(self.name, t)
        if self.label_smoothing:
            t = t * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            return _rows(F.binary_cross_entropy_with_logits(p, t, reduction="none"))
        return _rows(F.binary_cross_entropy(p.clamp(_EPSILON, 1.0 - _EPSILON), t, reduction="none"))


def _log_probabilities(p: Tensor, from_logits: bool) -> Tensor:
    """Logarithms of probabilities over the last axis, from logits or from probabilities (which are normalised, as Keras
    does, and kept off 0)."""
    if from_logits:
        return p.log_softmax(-1)
    return log((p / p.sum(-1, keepdim=True)).clamp(_EPSILON, 1.0 - _EPSILON))


@_declare()
class CategoricalCrossentropy(Loss):
    """-Σ t log p over the classes; targets are one-hot or probabilities.

    Args:
        from_logits: whether predictions are logits, without softmax.
        label_smoothing: how far targets are moved towards 1 / classes.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing = from_logits, label_smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The cross-entropy of each example."""
        if tuple(y_true.shape) != tuple(y_pred.shape):
            raise ShapeError(
                f"{self.name}: targets are one-hot, in the shape of the predictions {tuple(y_pred.shape)}, but have {tuple(y_true.shape)}; "
                "for labels that are whole numbers use sparse_categorical_crossentropy, or keras.utils.to_categorical"
            )
        t = y_true.to(dtype=y_pred.dtype)
        if self.label_smoothing:
            t = t * (1.0 - self.label_smoothing) + self.label_smoothing / t.shape[-1]
        return -(t * _log_probabilities(y_pred, self.from_logits)).sum(-1)


@_declare()
class SparseCategoricalCrossentropy(Loss):
    """-log p[t] for labels t that are whole numbers.

    Args:
        from_logits: whether predictions are logits, without softmax.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.ignore_class = from_logits, ignore_class

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.nll_loss` (or cross_entropy) of each example."""
        t = y_true
        if t.ndim == y_pred.ndim and t.shape[-1] == 1:
            t = t.squeeze(-1)
        if tuple(t.shape) != tuple(y_pred.shape[:-1]):
            raise ShapeError(
                f"{self.name}: predictions of shape {tuple(y_pred.shape)} need one label for each of {tuple(y_pred.shape[:-1])}, but the "
                f"targets have shape {tuple(y_true.shape)}; for one-hot targets use categorical_crossentropy"
            )
        if t.dtype.is_floating_point and _concrete(t) and bool((t != t.floor()).any()):
            raise ArgumentError(
                f"{self.name}: labels are whole numbers from 0 to {int(y_pred.shape[-1]) - 1}, but the targets have fractions; use a loss "
                "for numbers such as MeanSquaredError"
            )
        t = t.long() if t.dtype.name != "int64" else t
        ignored = -100 if self.ignore_class is None else self.ignore_class
        n = y_pred.shape[-1]
        flat = y_pred.reshape(-1, n)
        labels = t.reshape(-1)
        if self.from_logits:
            values = F.cross_entropy(flat, labels, ignore_index=ignored, reduction="none")
        else:
            values = F.nll_loss(_log_probabilities(flat, False), labels, ignore_index=ignored, reduction="none")
        return values.reshape(tuple(t.shape))


def get(identifier: Any) -> Any:
    """A loss from a name, a configuration, an object, or a function of targets and predictions; None stays None."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return LossFunctionWrapper(identifier)
    return _REGISTRY.get(identifier)


def _function(cls: Any) -> Callable[..., Tensor]:
    def fn(y_true: Any, y_pred: Any, **options: Any) -> Tensor:
        return cls(**options).call(to_tensor(y_true), to_tensor(y_pred))

    fn.__name__ = snake_case(cls.__name__)
    fn.__doc__ = f"The loss of each example: `{cls.__name__}` without the mean."
    return fn


mean_squared_error = _function(MeanSquaredError)
mean_absolute_error = _function(MeanAbsoluteError)
binary_crossentropy = _function(BinaryCrossentropy)
categorical_crossentropy = _function(CategoricalCrossentropy)
sparse_categorical_crossentropy = _function(SparseCategoricalCrossentropy)
huber = _function(Huber)
hinge = _function(Hinge)
kl_divergence = _function(KLDivergence)
