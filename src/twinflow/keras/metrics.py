"""Metrics by Keras's names: means of losses and of other functions of targets and predictions, and those of other modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras import losses
from twinflow.keras._confusion import AUC as AUC
from twinflow.keras._confusion import FalseNegatives as FalseNegatives
from twinflow.keras._confusion import FalsePositives as FalsePositives
from twinflow.keras._confusion import Precision as Precision
from twinflow.keras._confusion import PrecisionAtRecall as PrecisionAtRecall
from twinflow.keras._confusion import Recall as Recall
from twinflow.keras._confusion import RecallAtPrecision as RecallAtPrecision
from twinflow.keras._confusion import SensitivityAtSpecificity as SensitivityAtSpecificity
from twinflow.keras._confusion import SpecificityAtSensitivity as SpecificityAtSensitivity
from twinflow.keras._confusion import TrueNegatives as TrueNegatives
from twinflow.keras._confusion import TruePositives as TruePositives
from twinflow.keras._loss import align
from twinflow.keras._metric import REGISTRY
from twinflow.keras._metric import Mean as Mean
from twinflow.keras._metric import MeanMetricWrapper as MeanMetricWrapper
from twinflow.keras._metric import Metric as Metric
from twinflow.keras._metric import Sum as Sum
from twinflow.keras._overlap import BinaryIoU as BinaryIoU
from twinflow.keras._overlap import F1Score as F1Score
from twinflow.keras._overlap import FBetaScore as FBetaScore
from twinflow.keras._overlap import IoU as IoU
from twinflow.keras._overlap import MeanIoU as MeanIoU
from twinflow.keras._overlap import OneHotIoU as OneHotIoU
from twinflow.keras._overlap import OneHotMeanIoU as OneHotMeanIoU
from twinflow.keras._overlap import R2Score as R2Score
from twinflow.keras._registry import deserializer, snake_case
from twinflow.keras._registry import serialize as serialize
from twinflow.keras.losses import binary_crossentropy as binary_crossentropy
from twinflow.keras.losses import binary_focal_crossentropy as binary_focal_crossentropy
from twinflow.keras.losses import categorical_crossentropy as categorical_crossentropy
from twinflow.keras.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from twinflow.keras.losses import categorical_hinge as categorical_hinge
from twinflow.keras.losses import hinge as hinge
from twinflow.keras.losses import huber as huber
from twinflow.keras.losses import kl_divergence as kl_divergence
from twinflow.keras.losses import log_cosh as log_cosh
from twinflow.keras.losses import mean_absolute_error as mean_absolute_error
from twinflow.keras.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from twinflow.keras.losses import mean_squared_error as mean_squared_error
from twinflow.keras.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from twinflow.keras.losses import poisson as poisson
from twinflow.keras.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from twinflow.keras.losses import squared_hinge as squared_hinge
from twinflow.ops import sqrt
from twinflow.tensor import Tensor


def _from_loss(cls: Any, *names: str) -> Any:
    """A metric that is the mean of a loss."""

    class LossMetric(MeanMetricWrapper):
        def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
            self._loss_options = options
            super().__init__(cls(**options).call, name or snake_case(cls.__name__), dtype)

        def get_config(self) -> dict[str, Any]:
            """The arguments that make it again."""
            return {"name": self.name, **self._loss_options}

    LossMetric.__name__ = LossMetric.__qualname__ = cls.__name__
    LossMetric.__doc__ = f"The mean of the loss {cls.__name__}."
    return REGISTRY.add(*names)(LossMetric)


MeanSquaredError = _from_loss(losses.MeanSquaredError, "mse", "MSE")
MeanAbsoluteError = _from_loss(losses.MeanAbsoluteError, "mae", "MAE")
MeanAbsolutePercentageError = _from_loss(losses.MeanAbsolutePercentageError, "mape", "MAPE")
MeanSquaredLogarithmicError = _from_loss(losses.MeanSquaredLogarithmicError, "msle", "MSLE")
BinaryCrossentropy = _from_loss(losses.BinaryCrossentropy, "bce")
CategoricalCrossentropy = _from_loss(losses.CategoricalCrossentropy)
SparseCategoricalCrossentropy = _from_loss(losses.SparseCategoricalCrossentropy)
KLDivergence = _from_loss(losses.KLDivergence, "kld")
Poisson = _from_loss(losses.Poisson)
Hinge = _from_loss(losses.Hinge)
SquaredHinge = _from_loss(losses.SquaredHinge)
CategoricalHinge = _from_loss(losses.CategoricalHinge)
LogCoshError = _from_loss(losses.LogCosh, "logcosh", "LogCoshError", "log_cosh_error")


@REGISTRY.add()
class RootMeanSquaredError(Mean):
    """√ mean((t - p)²)."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch."""
        t, p = align(self.name, y_true, y_pred)
        super().update_state((t - p.detach()) ** 2, sample_weight)

    def result(self) -> Tensor:
        """The root of the mean."""
        return sqrt(super().result())


def _labels(y: Tensor, y_pred: Tensor) -> Tensor:
    return y.squeeze(-1) if y.ndim == y_pred.ndim and y.shape[-1] == 1 else y


def sparse_categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is the label's, for labels that are whole numbers."""
    return (y_pred.argmax(-1) == _labels(y_true, y_pred).long()).float()


def categorical_accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where the largest prediction is the label's, for one-hot labels."""
    return (y_pred.argmax(-1) == y_true.argmax(-1)).float()


def binary_accuracy(y_true: Tensor, y_pred: Tensor, threshold: float = 0.5) -> Tensor:
    """How many of an example's predictions lie on the target's side of the threshold."""
    t, p = align("binary_accuracy", y_true, y_pred)
    hits = ((p > threshold) == (t > 0.5)).float()
    return hits.mean(-1) if hits.ndim > 1 else hits


def top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the label is among the k largest predictions, for one-hot labels."""
    return sparse_top_k_categorical_accuracy(y_true.argmax(-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Tensor, y_pred: Tensor, k: int = 5) -> Tensor:
    """1 where the label is among the k largest predictions."""
    t = _labels(y_true, y_pred).long().unsqueeze(-1)
    own = y_pred.gather(-1, t)
    return ((y_pred > own).float().sum(-1) < k).float()


def accuracy(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """1 where target and prediction are equal."""
    t, p = align("accuracy", y_true, y_pred)
    hits = (t == p).float()
    return hits.mean(-1) if hits.ndim > 1 else hits


def _cosine(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The cosine of the angle between target and prediction."""
    return -losses.CosineSimilarity(axis).call(y_true, y_pred)


def _centred(y_true: Tensor, y_pred: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(t, p, and what remains of them without their means)."""
    t, p = align("correlation", y_true, y_pred)
    return t, p, t - t.mean(axis, keepdim=True), p - p.mean(axis, keepdim=True)


def pearson_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """The correlation of targets and predictions along an axis."""
    _, _, a, b = _centred(y_true, y_pred, axis)
    return (a * b).sum(axis) / sqrt((a * a).sum(axis) * (b * b).sum(axis) + 1e-7)


def concordance_correlation(y_true: Tensor, y_pred: Tensor, axis: int = -1) -> Tensor:
    """2 · covariance / (both variances + (difference of means)²). Source: Lin 1989, Biometrics 45."""
    t, p, a, b = _centred(y_true, y_pred, axis)
    d = t.mean(axis) - p.mean(axis)
    return 2.0 * (a * b).mean(axis) / ((a * a).mean(axis) + (b * b).mean(axis) + d * d + 1e-7)


def _wrapped(fn: Callable[..., Tensor], cls: str, options: tuple[str, ...] = ()) -> Any:
    class FunctionMetric(MeanMetricWrapper):
        def __init__(self, *args: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
            given = {**dict(zip(options, args)), **kwargs}
            if given.keys() - set(options):
                raise ArgumentError(f"{cls}: there is no argument {', '.join(sorted(given.keys() - set(options)))}")
            super().__init__(fn, name or snake_case(cls), dtype, **given)

        def get_config(self) -> dict[str, Any]:
            """The arguments that make it again."""
            return {"name": self.name, **self._options}

    FunctionMetric.__name__ = FunctionMetric.__qualname__ = cls
    FunctionMetric.__doc__ = f"The mean of `{fn.__name__}`."
    return REGISTRY.add()(FunctionMetric)


Accuracy = _wrapped(accuracy, "Accuracy")
BinaryAccuracy = _wrapped(binary_accuracy, "BinaryAccuracy", ("threshold",))
CategoricalAccuracy = _wrapped(categorical_accuracy, "CategoricalAccuracy")
SparseCategoricalAccuracy = _wrapped(sparse_categorical_accuracy, "SparseCategoricalAccuracy")
TopKCategoricalAccuracy = _wrapped(top_k_categorical_accuracy, "TopKCategoricalAccuracy", ("k",))
CosineSimilarity = _wrapped(_cosine, "CosineSimilarity", ("axis",))
PearsonCorrelation = _wrapped(pearson_correlation, "PearsonCorrelation", ("axis",))
ConcordanceCorrelation = _wrapped(concordance_correlation, "ConcordanceCorrelation", ("axis",))
SparseTopKCategoricalAccuracy = _wrapped(sparse_top_k_categorical_accuracy, "SparseTopKCategoricalAccuracy", ("k",))


deserialize = deserializer(REGISTRY)


def get(identifier: Any) -> Any:
    """A metric from a name, a configuration, an object, or a function of targets and predictions."""
    if isinstance(identifier, Metric):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    metric = REGISTRY.get(identifier)
    if isinstance(identifier, str):
        metric.name = identifier
    return metric


def for_model(identifier: Any, y_true_shape: Any, y_pred_shape: Any) -> Metric:
    """The metric of a name for a model's output; "accuracy" is chosen by the shapes, as Keras does."""
    if identifier in ("accuracy", "acc"):
        if y_pred_shape[-1] == 1 or len(y_pred_shape) == 1:
            kind: Any = BinaryAccuracy
        elif len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
            kind = SparseCategoricalAccuracy
        else:
            kind = CategoricalAccuracy
        metric: Metric = kind(name=identifier)
        return metric
    if identifier in ("crossentropy", "ce"):
        raise ArgumentError(
            "keras.metrics: write 'binary_crossentropy', 'categorical_crossentropy' or the sparse one instead of 'crossentropy'"
        )
    found: Metric = get(identifier)
    return found
