"""Metrics that add up over many runs: `tf.metrics`. Each gives (value, update_op) and keeps its counts in local variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.tf.compat.v1._control import control_dependencies
from twinflow.tf.compat.v1._control import name_scope as _scope
from twinflow.tf.compat.v1._deferred import convert_to_tensor
from twinflow.tf.compat.v1._functions import (
    abs,
    cast,
    divide_no_nan,
    equal,
    greater,
    less,
    logical_and,
    logical_not,
    matmul,
    multiply,
    not_equal,
    one_hot,
    ones_like,
    reduce_sum,
    reshape,
    sqrt,
    square,
    subtract,
    transpose,
)
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._variables import Variable, assign_add

_F32 = np.float32


def _total(name: str) -> Variable:
    keys = [GraphKeys.LOCAL_VARIABLES, GraphKeys.METRIC_VARIABLES]
    return Variable(np.zeros((), _F32), trainable=False, collections=keys, name=name)


def _ratio(
    name: str | None, default: str, parts: Any, counts: Any, collections: Any, updates: Any, finish: Any = None
) -> Any:
    """(total / count, the operation that adds parts and counts and gives the same): the mean over everything seen."""
    with _scope(name or default):
        total, count = _total("total"), _total("count")

        def value(a: Any, b: Any) -> Any:
            found = divide_no_nan(a, b)
            return found if finish is None else finish(found)

        result = value(total, count)
        add = [
            assign_add(total, reduce_sum(cast(parts, "float32"))),
            assign_add(count, reduce_sum(cast(counts, "float32"))),
        ]
        with control_dependencies(add):
            update = value(total.read_value(), count.read_value())
    graph = get_default_graph()
    for key in collections or ():
        graph.add_to_collection(key, result)
    for key in updates or ():
        graph.add_to_collection(key, update)
    return result, update


def _weighted(values: Any, weights: Any) -> Any:
    x = cast(values, "float32")
    w = ones_like(x) if weights is None else multiply(ones_like(x), cast(weights, "float32"))
    return multiply(x, w), w


def mean(
    values: Any,
    weights: Any = None,
    metrics_collections: Any = None,
    updates_collections: Any = None,
    name: str | None = None,
) -> Any:
    """The mean of all values seen."""
    x, w = _weighted(convert_to_tensor(values), weights)
    return _ratio(name, "mean", x, w, metrics_collections, updates_collections)


def accuracy(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None, updates_collections: Any = None,
             name: str | None = None) -> Any:  # fmt: skip
    """How often predictions equal labels."""
    y, p = convert_to_tensor(labels), convert_to_tensor(predictions)
    if p.dtype is not y.dtype:
        p = cast(p, y.dtype)
    if y.shape.rank != p.shape.rank and y.shape.rank is not None and p.shape.rank is not None:
        y, p = reshape(y, [-1]), reshape(p, [-1])
    x, w = _weighted(equal(p, y), weights)
    return _ratio(name, "accuracy", x, w, metrics_collections, updates_collections)


def mean_squared_error(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                       updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The mean of (predictions - labels)²."""
    x, w = _weighted(square(subtract(predictions, labels)), weights)
    return _ratio(name, "mean_squared_error", x, w, metrics_collections, updates_collections)


def root_mean_squared_error(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                            updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The root of the mean of (predictions - labels)²."""
    x, w = _weighted(square(subtract(predictions, labels)), weights)
    return _ratio(name, "root_mean_squared_error", x, w, metrics_collections, updates_collections, sqrt)


def mean_absolute_error(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                        updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The mean of |predictions - labels|."""
    x, w = _weighted(abs(subtract(predictions, labels)), weights)
    return _ratio(name, "mean_absolute_error", x, w, metrics_collections, updates_collections)


def precision(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None, updates_collections: Any = None,
              name: str | None = None) -> Any:  # fmt: skip
    """The part of positive predictions that are right."""
    y, p = cast(labels, "bool"), cast(predictions, "bool")
    hit, w = _weighted(logical_and(y, p), weights)
    return _ratio(name, "precision", hit, multiply(cast(p, "float32"), w), metrics_collections, updates_collections)


def recall(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None, updates_collections: Any = None,
           name: str | None = None) -> Any:  # fmt: skip
    """The part of positive labels that were found."""
    y, p = cast(labels, "bool"), cast(predictions, "bool")
    hit, w = _weighted(logical_and(y, p), weights)
    return _ratio(name, "recall", hit, multiply(cast(y, "float32"), w), metrics_collections, updates_collections)


def _count(name: str, values: Any, weights: Any, metrics_collections: Any, updates_collections: Any) -> Any:
    with _scope(name):
        total = _total("count")
        update = assign_add(total, reduce_sum(_weighted(values, weights)[0]))
    graph = get_default_graph()
    for key in metrics_collections or ():
        graph.add_to_collection(key, total)
    for key in updates_collections or ():
        graph.add_to_collection(key, update)
    return total, update


def true_positives(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                   updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """How many positive predictions are right."""
    hit = logical_and(cast(labels, "bool"), cast(predictions, "bool"))
    return _count(name or "true_positives", hit, weights, metrics_collections, updates_collections)


def false_positives(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                    updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """How many positive predictions are wrong."""
    hit = logical_and(logical_not(cast(labels, "bool")), cast(predictions, "bool"))
    return _count(name or "false_positives", hit, weights, metrics_collections, updates_collections)


def false_negatives(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                    updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """How many negative predictions are wrong."""
    hit = logical_and(cast(labels, "bool"), logical_not(cast(predictions, "bool")))
    return _count(name or "false_negatives", hit, weights, metrics_collections, updates_collections)


def true_negatives(labels: Any, predictions: Any, weights: Any = None, metrics_collections: Any = None,
                   updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """How many negative predictions are right."""
    hit = logical_and(logical_not(cast(labels, "bool")), logical_not(cast(predictions, "bool")))
    return _count(name or "true_negatives", hit, weights, metrics_collections, updates_collections)


def mean_cosine_distance(labels: Any, predictions: Any, dim: int, weights: Any = None, metrics_collections: Any = None,
                         updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The mean of 1 - Σ labels · predictions along an axis, of vectors of length 1."""
    x, w = _weighted(1.0 - reduce_sum(multiply(predictions, labels), dim, keepdims=True), weights)
    return _ratio(name, "mean_cosine_distance", x, w, metrics_collections, updates_collections)


def mean_relative_error(labels: Any, predictions: Any, normalizer: Any, weights: Any = None, metrics_collections: Any = None,
                        updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The mean of |predictions - labels| / normalizer, 0 where that is 0."""
    x, w = _weighted(divide_no_nan(abs(subtract(predictions, labels)), normalizer), weights)
    return _ratio(name, "mean_relative_error", x, w, metrics_collections, updates_collections)


def percentage_below(values: Any, threshold: Any, weights: Any = None, metrics_collections: Any = None, updates_collections: Any = None,
                     name: str | None = None) -> Any:  # fmt: skip
    """How often values are below a threshold."""
    x, w = _weighted(less(values, threshold), weights)
    return _ratio(name, "percentage_below", x, w, metrics_collections, updates_collections)


def _table(name: str, shape: Any) -> Variable:
    keys = [GraphKeys.LOCAL_VARIABLES, GraphKeys.METRIC_VARIABLES]
    return Variable(np.zeros(shape, _F32), trainable=False, collections=keys, name=name)


def _collected(result: Any, update: Any, collections: Any, updates: Any) -> Any:
    graph = get_default_graph()
    for key in collections or ():
        graph.add_to_collection(key, result)
    for key in updates or ():
        graph.add_to_collection(key, update)
    return result, update


def mean_tensor(values: Any, weights: Any = None, metrics_collections: Any = None, updates_collections: Any = None,
                name: str | None = None) -> Any:  # fmt: skip
    """The mean of all values seen, element by element."""
    x, w = _weighted(convert_to_tensor(values), weights)
    with _scope(name or "mean"):
        total, count = _table("total_tensor", x.shape.as_list()), _table("count_tensor", x.shape.as_list())
        result = divide_no_nan(total, count)
        with control_dependencies([assign_add(total, x), assign_add(count, w)]):
            update = divide_no_nan(total.read_value(), count.read_value())
    return _collected(result, update, metrics_collections, updates_collections)


def _per_class(
    name: str, n: int, labels: Any, predictions: Any, weights: Any, finish: Any, collections: Any, updates: Any
) -> Any:
    """(a number from the table of labels and predictions, the operation that adds to the table and gives the table)."""
    with _scope(name):
        table = _table("total_confusion_matrix", [n, n])
        rows = one_hot(reshape(cast(labels, "int64"), [-1]), n)
        columns = one_hot(reshape(cast(predictions, "int64"), [-1]), n)
        if weights is not None:
            rows = multiply(rows, reshape(cast(weights, "float32"), [-1, 1]))
        result = finish(table)
        update = assign_add(table, matmul(transpose(rows), columns))
    return _collected(result, update, collections, updates)


def _diagonal(table: Any) -> Any:
    n = table.shape.as_list()[0]
    return reduce_sum(multiply(table, np.eye(n, dtype=_F32)), 1)


def mean_iou(labels: Any, predictions: Any, num_classes: int, weights: Any = None, metrics_collections: Any = None,
             updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The mean over classes of intersection over union; the second result adds to the table of labels and predictions."""

    def finish(table: Any) -> Any:
        hits = _diagonal(table)
        union = reduce_sum(table, 0) + reduce_sum(table, 1) - hits
        present = cast(not_equal(union, 0.0), "float32")
        return divide_no_nan(reduce_sum(divide_no_nan(hits, union)), reduce_sum(present))

    return _per_class(
        name or "mean_iou", num_classes, labels, predictions, weights, finish, metrics_collections, updates_collections
    )


def mean_per_class_accuracy(labels: Any, predictions: Any, num_classes: int, weights: Any = None, metrics_collections: Any = None,
                            updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The mean over classes of the part of a class's labels that are predicted right."""

    def finish(table: Any) -> Any:
        return reduce_sum(divide_no_nan(_diagonal(table), reduce_sum(table, 1))) / float(num_classes)

    name = name or "mean_accuracy"
    return _per_class(name, num_classes, labels, predictions, weights, finish, metrics_collections, updates_collections)


def _at_thresholds(name: str, thresholds: Any, labels: Any, predictions: Any, weights: Any) -> Any:
    """Variables of true positives, false positives, false negatives and true negatives at each threshold, and what adds to them."""
    limits = np.asarray(thresholds, _F32).reshape(-1, 1)
    y = reshape(cast(labels, "bool"), [1, -1])
    above = greater(reshape(cast(predictions, "float32"), [1, -1]), limits)
    w = None if weights is None else reshape(cast(weights, "float32"), [1, -1])
    tables, updates = [], []
    kinds = {"true_positives": (y, above), "false_positives": (logical_not(y), above),
             "false_negatives": (y, logical_not(above)), "true_negatives": (logical_not(y), logical_not(above))}  # fmt: skip
    for kind, (truth, guess) in kinds.items():
        table = _table(kind, [len(limits)])
        hits = cast(logical_and(truth, guess), "float32")
        tables.append(table)
        updates.append(assign_add(table, reduce_sum(hits if w is None else multiply(hits, w), 1)))
    return tables, updates


def _from_thresholds(name: str, thresholds: Any, labels: Any, predictions: Any, weights: Any, finish: Any, collections: Any,
                     updates: Any) -> Any:  # fmt: skip
    with _scope(name):
        tables, adds = _at_thresholds(name, thresholds, labels, predictions, weights)
        result = finish(*tables)
        with control_dependencies(adds):
            update = finish(*[t.read_value() for t in tables])
    return _collected(result, update, collections, updates)


def precision_at_thresholds(labels: Any, predictions: Any, thresholds: Any, weights: Any = None, metrics_collections: Any = None,
                            updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The part of predictions above each threshold that are right."""
    return _from_thresholds(name or "precision_at_thresholds", thresholds, labels, predictions, weights,
                            lambda tp, fp, fn, tn: tp / (tp + fp + 1e-7), metrics_collections, updates_collections)  # fmt: skip


def recall_at_thresholds(labels: Any, predictions: Any, thresholds: Any, weights: Any = None, metrics_collections: Any = None,
                         updates_collections: Any = None, name: str | None = None) -> Any:  # fmt: skip
    """The part of positive labels whose prediction is above each threshold."""
    return _from_thresholds(name or "recall_at_thresholds", thresholds, labels, predictions, weights,
                            lambda tp, fp, fn, tn: tp / (tp + fn + 1e-7), metrics_collections, updates_collections)  # fmt: skip


def auc(labels: Any, predictions: Any, weights: Any = None, num_thresholds: int = 200, metrics_collections: Any = None,
        updates_collections: Any = None, curve: str = "ROC", name: str | None = None, summation_method: str = "trapezoidal") -> Any:  # fmt: skip
    """The area under the curve of true against false positive rates ("ROC"), or precision against recall ("PR"), by trapezoids
    between `num_thresholds` thresholds."""
    if curve not in ("ROC", "PR") or summation_method != "trapezoidal":
        raise ArgumentError(
            f"tf.metrics.auc: curve is 'ROC' or 'PR' and summation_method 'trapezoidal', not {curve!r}, {summation_method!r}"
        )
    inner = [(k + 1) / (num_thresholds - 1) for k in range(num_thresholds - 2)]

    def finish(tp: Any, fp: Any, fn: Any, tn: Any) -> Any:
        recall_ = (tp + 1e-6) / (tp + fn + 1e-6)
        x, y = (fp / (fp + tn + 1e-6), recall_) if curve == "ROC" else (recall_, (tp + 1e-6) / (tp + fp + 1e-6))
        return reduce_sum((x[:-1] - x[1:]) * (y[:-1] + y[1:]) / 2.0)

    return _from_thresholds(name or "auc", [-1e-7, *inner, 1.0 + 1e-7], labels, predictions, weights, finish, metrics_collections,
                            updates_collections)  # fmt: skip
