"""Linear models and networks of dense layers as estimators."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, DataError
from twinflow.tf.compat import v1
from twinflow.tf.estimator._estimator import Estimator, EstimatorSpec, ModeKeys
from twinflow.tf.feature_column import Column, _Categorical

_OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "Adagrad": lambda rate: v1.train.AdagradOptimizer(rate),
    "Adam": lambda rate: v1.train.AdamOptimizer(rate),
    "Ftrl": lambda rate: v1.train.FtrlOptimizer(rate),
    "RMSProp": lambda rate: v1.train.RMSPropOptimizer(rate),
    "SGD": lambda rate: v1.train.GradientDescentOptimizer(rate),
}


def _optimizer(kind: str, given: Any, rate: float) -> Any:
    if callable(given):
        given = given()
    if isinstance(given, str):
        if given not in _OPTIMIZERS:
            raise ArgumentError(
                f"tf.estimator.{kind}: optimizer is one of {', '.join(_OPTIMIZERS)}, or an object, not {given!r}"
            )
        return _OPTIMIZERS[given](rate)
    if not isinstance(given, v1.train.Optimizer):
        raise ArgumentError(
            f"tf.estimator.{kind}: optimizer is a name, an optimizer of tf.compat.v1.train, or a function that makes one, not {type(given).__name__}"
        )
    return given


# -- heads -------------------------------------------------------------------------------------------------------------


class _Classes:
    """A head of classes: one logit for two of them, otherwise one each."""

    def __init__(self, n_classes: int, vocabulary: list[Any] | None) -> None:
        if n_classes < 2:
            raise ArgumentError(f"tf.estimator: n_classes is at least 2, not {n_classes}")
        if vocabulary is not None and len(vocabulary) != n_classes:
            raise ArgumentError(f"tf.estimator: label_vocabulary has {len(vocabulary)} labels for {n_classes} classes")
        self.n, self.vocabulary = n_classes, vocabulary
        self.units = 1 if n_classes == 2 else n_classes

    def labels(self, y: Any) -> Any:
        """Labels as class numbers. Raises: DataError for one outside the classes."""
        array = np.asarray(y)
        if self.vocabulary is not None:
            place = {w: i for i, w in enumerate(self.vocabulary)}
            words = [w.decode() if isinstance(w, bytes) else w for w in array.reshape(-1).tolist()]
            unknown = [w for w in words if w not in place]
            if unknown:
                raise DataError(f"tf.estimator: the label {unknown[0]!r} is not in label_vocabulary")
            return np.array([place[w] for w in words], np.int64)
        if array.dtype.kind not in "biuf":
            raise DataError(f"tf.estimator: labels are {array.dtype}; give label_vocabulary=[...] for words")
        found = array.reshape(-1).astype(np.int64)
        if found.size and (found.min() < 0 or found.max() >= self.n):
            bad = found[(found < 0) | (found >= self.n)][0]
            raise DataError(
                f"tf.estimator: the label {bad} lies outside the {self.n} classes 0 to {self.n - 1}; set n_classes"
            )
        return found

    def spec(self, mode: str, logits: Any, labels: Any, weights: Any, minimize: Any) -> EstimatorSpec:
        """Predictions, loss and metrics."""
        if self.units == 1:
            one = v1.nn.sigmoid(logits)
            probabilities = v1.concat([1.0 - one, one], 1)
            predictions = {"logits": logits, "logistic": one, "probabilities": probabilities}
        else:
            probabilities = v1.nn.softmax(logits)
            predictions = {"logits": logits, "probabilities": probabilities}
        classes = v1.argmax(probabilities, 1)
        predictions["class_ids"] = v1.expand_dims(classes, 1)
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions)
        if self.units == 1:
            target = v1.reshape(v1.cast(labels, v1.float32), [-1, 1])
            losses = v1.reshape(v1.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits), [-1])
        else:
            losses = v1.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        loss = v1.losses.compute_weighted_loss(losses, weights)
        metrics = None
        if mode == ModeKeys.EVAL:
            metrics = {"accuracy": v1.metrics.accuracy(labels, classes), "average_loss": v1.metrics.mean(losses)}
            if self.units == 1:
                metrics["precision"] = v1.metrics.precision(labels, classes)
                metrics["recall"] = v1.metrics.recall(labels, classes)
        return EstimatorSpec(mode, predictions, loss, minimize(loss) if mode == ModeKeys.TRAIN else None, metrics)


class _Numbers:
    """A head of numbers under the squared error."""

    def __init__(self, dimension: int) -> None:
        self.units = dimension

    def labels(self, y: Any) -> Any:
        """Labels as a matrix."""
        array = np.asarray(y, np.float32)
        return array.reshape(len(array), self.units)

    def spec(self, mode: str, logits: Any, labels: Any, weights: Any, minimize: Any) -> EstimatorSpec:
        """Predictions, loss and metrics."""
        predictions = {"predictions": logits}
        if mode == ModeKeys.PREDICT:
            return EstimatorSpec(mode, predictions)
        losses = v1.reduce_mean(v1.square(logits - labels), axis=1)
        loss = v1.losses.compute_weighted_loss(losses, weights)
        metrics = None
        if mode == ModeKeys.EVAL:
            metrics = {
                "average_loss": v1.metrics.mean(losses),
                "prediction/mean": v1.metrics.mean(logits),
                "label/mean": v1.metrics.mean(labels),
            }
        return EstimatorSpec(mode, predictions, loss, minimize(loss) if mode == ModeKeys.TRAIN else None, metrics)


class _Canned(Estimator):
    """An estimator over feature columns."""

    def __init__(
        self,
        columns: Any,
        head: Any,
        optimizer: Any,
        rate: float,
        model_dir: Any,
        config: Any,
        weight_column: str | None,
    ) -> None:
        kind = type(self).__name__
        self._columns = list(columns)
        if not self._columns:
            raise ArgumentError(f"tf.estimator.{kind}: there are no feature_columns")
        for c in self._columns:
            if not isinstance(c, Column):
                raise ArgumentError(
                    f"tf.estimator.{kind}: {c!r} is no column; use tf.feature_column.numeric_column('name') and its like"
                )
        self._head, self._weight_column = head, weight_column

        def model_fn(features: Any, labels: Any, mode: str) -> EstimatorSpec:
            def minimize(loss: Any) -> Any:
                step = v1.train.get_or_create_global_step()
                return _optimizer(kind, optimizer, rate).minimize(loss, global_step=step)

            logits = self._logits(features, mode)
            weights = 1.0 if weight_column is None else v1.cast(v1.reshape(features["weights"], [-1]), v1.float32)
            spec: EstimatorSpec = head.spec(mode, logits, labels, weights, minimize)
            return spec

        super().__init__(model_fn, model_dir, config)

    def _logits(self, features: Any, mode: str) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _logits(self, features, mode)")

    def _prepare(self, features: Any) -> Any:
        if not isinstance(features, dict):
            raise DataError(
                f"tf.estimator.{type(self).__name__}: features are a dict {{name: array}}, not {type(features).__name__}"
            )
        fed = {f"c{k}": c.prepare(features) for k, c in enumerate(self._columns)}
        if self._weight_column is not None and self._weight_column in features:
            fed["weights"] = np.asarray(features[self._weight_column], np.float32)
        return fed

    def train(self, input_fn: Any, steps: Any = None, max_steps: Any = None, hooks: Any = None) -> Estimator:
        """Train until the data end, for `steps` more steps, or up to the global step `max_steps`."""
        return super().train(self._labelled(input_fn), steps, max_steps, hooks)

    def evaluate(
        self, input_fn: Any, steps: Any = None, checkpoint_path: Any = None, name: Any = None
    ) -> dict[str, Any]:
        """The loss's mean over batches and the metrics, with the global step."""
        return super().evaluate(self._labelled(input_fn), steps, checkpoint_path, name)

    def _labelled(self, input_fn: Any) -> Any:
        """The input function with labels as the head wants them."""

        def wrapped() -> Any:
            made = input_fn()
            if isinstance(made, tuple) and len(made) == 2:
                return made[0], self._head.labels(_plain(made[1]))
            return ((x, self._head.labels(_plain(y))) for x, y in made)

        return wrapped


def _plain(y: Any) -> Any:
    return y.detach().numpy() if hasattr(y, "detach") else y


def _linear_logits(columns: list[Column], features: Any, units: int) -> Any:
    with v1.variable_scope("linear/linear_model"):
        total = v1.get_variable("bias_weights", [units], initializer=v1.zeros_initializer())
        for k, c in enumerate(columns):
            x = features[f"c{k}"]
            if isinstance(c, _Categorical):
                total = total + c.linear(x, units, f"c{k}_{c.feed_name()}")
            else:
                dense = c.dense(x)
                width = dense.shape.as_list()[1]
                weights = v1.get_variable(
                    f"c{k}_{c.feed_name()}/weights", [width, units], initializer=v1.zeros_initializer()
                )
                total = total + v1.matmul(dense, weights)
        return total


class _Linear(_Canned):
    def __init__(
        self, columns: Any, head: Any, optimizer: Any, model_dir: Any, config: Any, weight_column: Any
    ) -> None:
        rate = min(0.2, 1 / math.sqrt(max(1, len(list(columns)))))
        super().__init__(columns, head, optimizer, rate, model_dir, config, weight_column)

    def _logits(self, features: Any, mode: str) -> Any:
        return _linear_logits(self._columns, features, self._head.units)


class LinearClassifier(_Linear):
    """Classes by a linear function of feature columns.

    Args:
        feature_columns: columns of `tf.feature_column`.
        n_classes: how many classes.
        label_vocabulary: the labels, if they are words.
        optimizer: a name, an optimizer of `tf.compat.v1.train`, or a function that makes one.
        weight_column: the feature with the weights of examples.
    """

    def __init__(
        self,
        feature_columns: Any,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: str | None = None,
        label_vocabulary: Any = None,
        optimizer: Any = "Ftrl",
        config: Any = None,
    ) -> None:
        super().__init__(
            feature_columns, _Classes(n_classes, label_vocabulary), optimizer, model_dir, config, weight_column
        )


class LinearRegressor(_Linear):
    """Numbers by a linear function of feature columns. Arguments as for `LinearClassifier`."""

    def __init__(
        self,
        feature_columns: Any,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: str | None = None,
        optimizer: Any = "Ftrl",
        config: Any = None,
    ) -> None:
        super().__init__(feature_columns, _Numbers(label_dimension), optimizer, model_dir, config, weight_column)


class _Dense(_Canned):
    def __init__(
        self, hidden_units: Any, columns: Any, head: Any, optimizer: Any, activation: Any, dropout: Any, model_dir: Any, config: Any,
        weight_column: Any,
    ) -> None:  # fmt: skip
        self._hidden, self._activation, self._dropout = list(hidden_units), activation, dropout
        super().__init__(columns, head, optimizer, 0.05, model_dir, config, weight_column)

    def _logits(self, features: Any, mode: str) -> Any:
        with v1.variable_scope("dnn"):
            x = v1.concat([c.dense(features[f"c{k}"]) for k, c in enumerate(self._columns)], 1)
            for k, units in enumerate(self._hidden):
                x = v1.layers.dense(x, units, self._activation, name=f"hiddenlayer_{k}")
                if self._dropout and mode == ModeKeys.TRAIN:
                    x = v1.layers.dropout(x, self._dropout, training=True)
            return v1.layers.dense(x, self._head.units, name="logits")


class DNNClassifier(_Dense):
    """Classes by a network of dense layers over feature columns.

    Args:
        hidden_units: the units of each hidden layer.
        activation_fn: a function of `tf.compat.v1.nn`.
        dropout: the part of hidden units that is dropped in training.
        others as for `LinearClassifier`.
    """

    def __init__(
        self,
        hidden_units: Any,
        feature_columns: Any,
        model_dir: str | None = None,
        n_classes: int = 2,
        weight_column: str | None = None,
        label_vocabulary: Any = None,
        optimizer: Any = "Adagrad",
        activation_fn: Any = v1.nn.relu,
        dropout: float | None = None,
        config: Any = None,
    ) -> None:
        head = _Classes(n_classes, label_vocabulary)
        super().__init__(
            hidden_units, feature_columns, head, optimizer, activation_fn, dropout, model_dir, config, weight_column
        )


class DNNRegressor(_Dense):
    """Numbers by a network of dense layers over feature columns. Arguments as for `DNNClassifier`."""

    def __init__(
        self,
        hidden_units: Any,
        feature_columns: Any,
        model_dir: str | None = None,
        label_dimension: int = 1,
        weight_column: str | None = None,
        optimizer: Any = "Adagrad",
        activation_fn: Any = v1.nn.relu,
        dropout: float | None = None,
        config: Any = None,
    ) -> None:
        head = _Numbers(label_dimension)
        super().__init__(
            hidden_units, feature_columns, head, optimizer, activation_fn, dropout, model_dir, config, weight_column
        )
