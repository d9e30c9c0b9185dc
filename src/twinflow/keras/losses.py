"""Losses by Keras's names: each gives one number for every example, and their (weighted) mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._loss import EPSILON, REGISTRY, align, declare, rows
from twinflow.keras._loss import Loss as Loss
from twinflow.keras._loss import LossFunctionWrapper as LossFunctionWrapper
from twinflow.keras._masking import set_mask
from twinflow.keras._registry import deserializer, snake_case
from twinflow.keras._registry import serialize as serialize
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.ops import eye, full, log, logsumexp, matmul, where
from twinflow.tensor import SPECIAL, Tensor


@declare("mse", "MSE")
class MeanSquaredError(Loss):
    """mean((t - p)²) of each example.

    >>> from twinflow import keras
    >>> keras.losses.MeanSquaredError()([[0.0, 1.0]], [[0.5, 0.5]])
    tensor(0.2500)
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.mse_loss` of each example."""
        t, p = align(self.name, y_true, y_pred)
        return rows(F.mse_loss(p, t, "none"))


@declare("mae", "MAE")
class MeanAbsoluteError(Loss):
    """mean(|t - p|) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.l1_loss` of each example."""
        t, p = align(self.name, y_true, y_pred)
        return rows(F.l1_loss(p, t, "none"))


@declare("mape", "MAPE")
class MeanAbsolutePercentageError(Loss):
    """100 · mean(|t - p| / |t|) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The error relative to the target."""
        t, p = align(self.name, y_true, y_pred)
        return rows((t - p).abs() / t.abs().clamp(min=EPSILON)) * 100.0


@declare("msle", "MSLE")
class MeanSquaredLogarithmicError(Loss):
    """mean((log(1 + t) - log(1 + p))²) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The squared error of logarithms."""
        t, p = align(self.name, y_true, y_pred)
        d = t.clamp(min=EPSILON).log1p() - p.clamp(min=EPSILON).log1p()
        return rows(d * d)


@declare()
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
        return rows(F.huber_loss(p, t, "none", self.delta))


@declare("logcosh")
class LogCosh(Loss):
    """mean(log cosh(p - t)) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """d + softplus(-2d) - log 2."""
        t, p = align(self.name, y_true, y_pred)
        d = p - t
        return rows(d + F.softplus(-2.0 * d) - 0.6931471805599453)


def signed(t: Tensor) -> Tensor:
    """Targets 0 and 1 as -1 and 1; others as they are."""
    return where(((t == 0) | (t == 1)).all(), 2.0 * t - 1.0, t)


@declare()
class Hinge(Loss):
    """mean(max(1 - t p, 0)); targets 0 and 1 count as -1 and 1."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The hinge of each example."""
        t, p = align(self.name, y_true, y_pred)
        return rows((1.0 - signed(t) * p).relu())


@declare()
class SquaredHinge(Loss):
    """mean(max(1 - t p, 0)²); targets 0 and 1 count as -1 and 1."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The squared hinge of each example."""
        t, p = align(self.name, y_true, y_pred)
        d = (1.0 - signed(t) * p).relu()
        return rows(d * d)


@declare()
class CategoricalHinge(Loss):
    """max(the largest wrong prediction - the right one + 1, 0), for one-hot targets."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The hinge of each example."""
        t, p = align(self.name, y_true, y_pred)
        return (((1.0 - t) * p).amax(-1) - (t * p).sum(-1) + 1.0).relu()


@declare("kld", "KLD", "kullback_leibler_divergence")
class KLDivergence(Loss):
    """Σ t log(t / p) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The divergence from p to t."""
        t, p = align(self.name, y_true, y_pred)
        t, p = t.clamp(EPSILON, 1.0), p.clamp(EPSILON, 1.0)
        return (t * log(t / p)).sum(-1)


@declare()
class Poisson(Loss):
    """mean(p - t log p) of each example."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.poisson_nll_loss` of rates."""
        t, p = align(self.name, y_true, y_pred)
        return rows(F.poisson_nll_loss(p, t, log_input=False, eps=EPSILON, reduction="none"))


@declare()
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


@declare("bce", "BCE")
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
            return rows(F.binary_cross_entropy_with_logits(p, t, reduction="none"))
        return rows(F.binary_cross_entropy(p.clamp(EPSILON, 1.0 - EPSILON), t, reduction="none"))


def _log_probabilities(p: Tensor, from_logits: bool) -> Tensor:
    """Logarithms of probabilities over the last axis, from logits or from probabilities (which are normalised, as Keras
    does, and kept off 0)."""
    if from_logits:
        return p.log_softmax(-1)
    return log((p / p.sum(-1, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON))


@declare()
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


@declare()
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
        values = values.reshape(tuple(t.shape))
        if self.ignore_class is not None:
            set_mask(values, t != self.ignore_class)
        return values


class _Focal(Loss):
    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.alpha, self.gamma, self.from_logits, self.label_smoothing = alpha, gamma, from_logits, label_smoothing


@declare()
class BinaryFocalCrossentropy(_Focal):
    """Binary cross-entropy times (1 - p of the true class)^γ, so that easy examples count less.

    Args:
        apply_class_balancing: multiply by α for the class 1 and by 1 - α for the class 0.
        alpha, gamma: α and γ.
        from_logits, label_smoothing: as for `BinaryCrossentropy`.
    Source: Lin et al., arXiv:1708.02002.
    """

    def __init__(self, apply_class_balancing: bool = False, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.apply_class_balancing = apply_class_balancing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each example."""
        t, p = align(self.name, y_true, y_pred)
        check_targets(self.name, t)
        if self.label_smoothing:
            t = t * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        if self.from_logits:
            p = p.sigmoid()
        values = F.binary_cross_entropy(p.clamp(EPSILON, 1.0 - EPSILON), t, reduction="none")
        values = values * (1.0 - (t * p + (1.0 - t) * (1.0 - p))) ** self.gamma
        if self.apply_class_balancing:
            values = values * (t * self.alpha + (1.0 - t) * (1.0 - self.alpha))
        return rows(values)


@declare()
class CategoricalFocalCrossentropy(_Focal):
    """-Σ α (1 - p)^γ t log p over the classes. Source: Lin et al., arXiv:1708.02002."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each example."""
        t, p = align(self.name, y_true, y_pred)
        if self.label_smoothing:
            t = t * (1.0 - self.label_smoothing) + self.label_smoothing / t.shape[-1]
        if self.from_logits:
            p = p.softmax(-1)
        p = (p / p.sum(-1, keepdim=True)).clamp(EPSILON, 1.0 - EPSILON)
        return -((1.0 - p) ** self.gamma * self.alpha * t * log(p)).sum(-1)


@declare()
class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 - p^q) / q with the probability p of the label: between cross-entropy and absolute error, for noisy labels.

    Source: Zhang and Sabuncu, arXiv:1805.07836.
    """

    def __init__(self, q: float = 0.5, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(reduction, name)
        if not 0 < q < 1:
            raise ArgumentError(f"CategoricalGeneralizedCrossEntropy: q is in (0, 1), not {q!r}")
        self.q = q

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each example, whose target is a whole number."""
        t = y_true.squeeze(-1) if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true
        p = y_pred.gather(-1, t.long().unsqueeze(-1)).squeeze(-1)
        return (1.0 - p**self.q) / self.q


@declare()
class Tversky(Loss):
    """1 - overlap / (overlap + α · missed + β · superfluous), over all axes (or `axis`).

    Source: Salehi, Erdogmus and Gholipour, arXiv:1706.05721.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        axis: Any = None,
    ) -> None:
        super().__init__(reduction, name)
        self.alpha, self.beta, self.axis = alpha, beta, axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number, or one for each place that `axis` leaves."""
        t, p = align(self.name, y_true, y_pred)
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        both = (t * p).sum(axis)
        missed, extra = ((1.0 - p) * t).sum(axis), (p * (1.0 - t)).sum(axis)
        return 1.0 - both / (both + missed * self.alpha + extra * self.beta + EPSILON)


@declare()
class Dice(Loss):
    """1 - 2 · overlap / (Σ t + Σ p), over all axes (or `axis`)."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str | None = None, axis: Any = None
    ) -> None:
        super().__init__(reduction, name)
        self.axis = axis

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number, or one for each place that `axis` leaves."""
        t, p = align(self.name, y_true, y_pred)
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        return 1.0 - 2.0 * (t * p).sum(axis) / (t.sum(axis) + p.sum(axis) + EPSILON)


@declare()
class Circle(Loss):
    """Pulls vectors of one label together and pushes those of others apart; predictions are vectors of length 1.

    Args:
        gamma: the scale.
        margin: how near is near enough.
        remove_diagonal: whether a vector is not compared with itself.
    Source: Sun et al., arXiv:2002.10857.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction, name)
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each example against all others of the batch; targets are whole numbers."""
        labels = y_true.reshape(-1, 1)
        if labels.shape[0] != y_pred.shape[0]:
            raise ShapeError(
                f"{self.name}: predictions of shape {tuple(y_pred.shape)} need one label each, but targets have {tuple(y_true.shape)}"
            )
        far = (1.0 - matmul(y_pred, y_pred.mT)).relu()
        same = labels == labels.mT
        near = same & (eye(labels.shape[0]) == 0) if self.remove_diagonal else same
        m, scale, never = self.margin, self.gamma, float("-inf")
        pull = where(near, -scale * (m + far).relu() * (m - far), never)
        push = where(same, never, scale * (1.0 + m - far).relu() * (1.0 - m - far))
        values = F.softplus(logsumexp(pull, 1) + logsumexp(push, 1))
        set_mask(values, values > 0)  # the mean is over examples that are not right yet
        return values


@declare()
class CTC(Loss):
    """Connectionist temporal classification: the label sequence [N, S] (0 behind its end) against logits [N, T, classes].

    Class 0 is the blank. Source: Graves et al. 2006.
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """`nn.functional.ctc_loss` of each sequence."""
        if y_true.ndim != 2 or y_pred.ndim != 3:
            raise ShapeError(
                f"{self.name}: targets are [N, S] and predictions [N, T, classes], but the shapes are {tuple(y_true.shape)} and "
                f"{tuple(y_pred.shape)}"
            )
        n, t = y_pred.shape[:2]
        lengths = (y_true != 0).sum(-1).long()
        steps = full((n,), t, dtype="int64")
        logs = y_pred.log_softmax(-1).transpose(0, 1)
        return F.ctc_loss(logs, y_true.long(), steps, lengths, blank=0, reduction="none")


def get(identifier: Any) -> Any:
    """A loss from a name, a configuration, an object, or a function of targets and predictions; None stays None."""
    if identifier is None or isinstance(identifier, Loss):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return LossFunctionWrapper(identifier)
    return REGISTRY.get(identifier)


def _function(cls: Any) -> Callable[..., Tensor]:
    names = [n for n in inspect.signature(cls).parameters if n not in ("reduction", "name", "dtype", "kwargs")]

    def fn(y_true: Any, y_pred: Any, *args: Any, **options: Any) -> Tensor:
        if len(args) > len(names):
            raise TypeError(
                f"{fn.__name__}() takes {2 + len(names)} positional arguments but {2 + len(args)} were given"
            )
        return cls(**dict(zip(names, args)), **options).call(to_tensor(y_true), to_tensor(y_pred))

    fn.__name__ = snake_case(cls.__name__)
    fn.__doc__ = f"The loss of each example: `{cls.__name__}` without the mean."
    return fn


deserialize = deserializer(REGISTRY)
mean_squared_error = mse = _function(MeanSquaredError)
mean_absolute_error = mae = _function(MeanAbsoluteError)
mean_absolute_percentage_error = mape = _function(MeanAbsolutePercentageError)
mean_squared_logarithmic_error = msle = _function(MeanSquaredLogarithmicError)
binary_crossentropy = _function(BinaryCrossentropy)
binary_focal_crossentropy = _function(BinaryFocalCrossentropy)
categorical_crossentropy = _function(CategoricalCrossentropy)
categorical_focal_crossentropy = _function(CategoricalFocalCrossentropy)
categorical_generalized_cross_entropy = _function(CategoricalGeneralizedCrossEntropy)
sparse_categorical_crossentropy = _function(SparseCategoricalCrossentropy)
huber = _function(Huber)
hinge = _function(Hinge)
squared_hinge = _function(SquaredHinge)
categorical_hinge = _function(CategoricalHinge)
kl_divergence = _function(KLDivergence)
poisson = _function(Poisson)
log_cosh = _function(LogCosh)
cosine_similarity = _function(CosineSimilarity)
dice, tversky, circle, ctc = _function(Dice), _function(Tversky), _function(Circle), _function(CTC)
