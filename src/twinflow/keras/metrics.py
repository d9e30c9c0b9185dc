"""Metrics by Keras's names: numbers kept over the batches of an epoch, as tensors, so that compiled steps update them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import initializers, losses
from twinflow.keras._masking import get_mask
from twinflow.keras._registry import Registry, snake_case
from twinflow.keras._variable import Variable, to_tensor
from twinflow.ops import mean, sqrt, where
from twinflow.ops import sum as total
from twinflow.tensor import Tensor, no_grad

_REGISTRY = Registry("metric")


class Metric:
    """Base: `update_state` takes a batch, `result` gives the number so far, `reset_state` begins anew."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._state: list[Variable] = []

    def add_variable(self, shape: Any = (), initializer: Any = "zeros", name: str | None = None) -> Variable:
        """A number (or several) that is kept."""
        v = Variable(initializers.get(initializer)(shape, "float32"), trainable=False, name=name)
        self._state.append(v)
        return v

    add_weight = add_variable

    @property
    def variables(self) -> list[Variable]:
        """What is kept."""
        return list(self._state)

    def reset_state(self) -> None:
        """Begin anew."""
        with no_grad():
            for v in self._state:
                v.zero_()

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch."""
        raise ArgumentError(f"{type(self).__name__} has no update_state method")

    def result(self) -> Any:
        """The number so far."""
        raise ArgumentError(f"{type(self).__name__} has no result method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch, and give the number so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return where(b == 0, 0.0, a / where(b == 0, 1.0, b))


def masked_weight(mask: Tensor | None, sample_weight: Any) -> Any:
    """Weights of examples and a mask of their elements as one."""
    if mask is None:
        return sample_weight
    m = mask.float()
    if sample_weight is None:
        return m
    w = to_tensor(sample_weight).float()
    if w.ndim == m.ndim + 1 and w.shape[-1] == 1:
        w = w.squeeze(-1)
    return m * w.reshape(*w.shape, *(1,) * (m.ndim - w.ndim))


def samplewise(name: str, v: Tensor, sample_weight: Any, over: Any) -> tuple[Tensor, Tensor | None]:
    """(weighted values, weights) of each example, what lies behind the weights' axes put together by `over`, as Keras does."""
    w = None
    if sample_weight is not None:
        w = to_tensor(sample_weight).detach().float()
        if w.ndim == v.ndim + 1 and w.shape[-1] == 1:
            w = w.squeeze(-1)
        if w.ndim > v.ndim or tuple(w.shape) != tuple(v.shape[: w.ndim]):
            raise ShapeError(f"{name}: sample_weight of shape {tuple(w.shape)} for values of shape {tuple(v.shape)}")
        if v.ndim > w.ndim:
            v = over(v, tuple(range(w.ndim, v.ndim)))
        v = v * w
        if w.ndim > 1:
            w = over(w, tuple(range(1, w.ndim)))
    return (over(v, tuple(range(1, v.ndim))) if v.ndim > 1 else v), w


@_REGISTRY.add()
class Mean(Metric):
    """The (weighted) mean of numbers."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take numbers."""
        with no_grad():
            v, w = samplewise(self.name, to_tensor(values).detach().float(), sample_weight, mean)
            self.total.add_(v.sum())
            self.count.add_(float(v.numel()) if w is None else w.sum())

    def result(self) -> Tensor:
        """Total / count."""
        return _ratio(self.total, self.count)


@_REGISTRY.add()
class Sum(Mean):
    """The (weighted) sum of numbers."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take numbers."""
        with no_grad():
            v, _ = samplewise(self.name, to_tensor(values).detach().float(), sample_weight, total)
            self.total.add_(v.sum())

    def result(self) -> Tensor:
        """The total."""
        return self.total * 1


class MeanMetricWrapper(Mean):
    """The mean of a function of targets and predictions."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **options: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", "metric"), dtype)
        self._fn, self._options = fn, options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch; elements that a mask of the predictions leaves out do not count."""
        with no_grad():
            p = to_tensor(y_pred)
            values = self._fn(to_tensor(y_true), p.detach(), **self._options)
            super().update_state(values, masked_weight(get_mask(p), sample_weight))


def _from_loss(cls: Any, *names: str) -> Any:
    """A metric that is the mean of a loss."""

    class LossMetric(MeanMetricWrapper):
        def __init__(self, name: str | None = None, dtype: Any = None, **options: Any) -> None:
            self._loss_options = options
            super().__init__(cls(**options).call, name or snake_case(cls.__name__), dtype)

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name, **self._loss_options}

    LossMetric.__name__ = LossMetric.__qualname__ = cls.__name__
    LossMetric.__doc__ = f"The mean of the loss {cls.__name__}."
    return _REGISTRY.add(*names)(LossMetric)


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
LogCoshError = _from_loss(losses.LogCosh, "logcosh")


@_REGISTRY.add()
class RootMeanSquaredError(Mean):
    """√ mean((t - p)²)."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch."""
        t, p = losses.align(self.name, y_true, y_pred)
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
    t, p = losses.align("binary_accuracy", y_true, y_pred)
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
    t, p = losses.align("accuracy", y_true, y_pred)
    hits = (t == p).float()
    return hits.mean(-1) if hits.ndim > 1 else hits


def _wrapped(fn: Callable[..., Tensor], cls: str, options: tuple[str, ...] = ()) -> Any:
    class FunctionMetric(MeanMetricWrapper):
        def __init__(self, *args: Any, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
            given = {**dict(zip(options, args)), **kwargs}
            if given.keys() - set(options):
                raise ArgumentError(f"{cls}: there is no argument {', '.join(sorted(given.keys() - set(options)))}")
            super().__init__(fn, name or snake_case(cls), dtype, **given)

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name, **self._options}

    FunctionMetric.__name__ = FunctionMetric.__qualname__ = cls
    FunctionMetric.__doc__ = f"The mean of `{fn.__name__}`."
    return _REGISTRY.add()(FunctionMetric)


Accuracy = _wrapped(accuracy, "Accuracy")
BinaryAccuracy = _wrapped(binary_accuracy, "BinaryAccuracy", ("threshold",))
CategoricalAccuracy = _wrapped(categorical_accuracy, "CategoricalAccuracy")
SparseCategoricalAccuracy = _wrapped(sparse_categorical_accuracy, "SparseCategoricalAccuracy")
TopKCategoricalAccuracy = _wrapped(top_k_categorical_accuracy, "TopKCategoricalAccuracy", ("k",))
SparseTopKCategoricalAccuracy = _wrapped(sparse_top_k_categorical_accuracy, "SparseTopKCategoricalAccuracy", ("k",))


class _Counts(Metric):
    """Positives and negatives at a threshold."""

    def __init__(self, threshold: float = 0.5, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.threshold = threshold
        self.hits = self.add_variable(name="true_positives")
        self.positives = self.add_variable(name="positives")
        self.found = self.add_variable(name="found")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        t, p = losses.align(self.name, y_true, y_pred)
        with no_grad():
            positive, found = (t > 0.5).float(), (p.detach() > self.threshold).float()
            if sample_weight is not None:
                w = to_tensor(sample_weight).float()
                w = w.reshape(*w.shape, *(1,) * (t.ndim - w.ndim))
                positive, found = positive * w, found * (w != 0).float()
            self.hits.add_((positive * found).sum())
            self.positives.add_(positive.sum())
            self.found.add_(found.sum() if sample_weight is None else (found * w).sum())

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name, "threshold": self.threshold}


@_REGISTRY.add()
class Precision(_Counts):
    """Which part of what was found is right."""

    def result(self) -> Tensor:
        """Hits / found."""
        return _ratio(self.hits, self.found)


@_REGISTRY.add()
class Recall(_Counts):
    """Which part of the positives was found."""

    def result(self) -> Tensor:
        """Hits / positives."""
        return _ratio(self.hits, self.positives)


def get(identifier: Any) -> Any:
    """A metric from a name, a configuration, an object, or a function of targets and predictions."""
    if isinstance(identifier, Metric):
        return identifier
    if callable(identifier) and not isinstance(identifier, type):
        return MeanMetricWrapper(identifier)
    metric = _REGISTRY.get(identifier)
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
