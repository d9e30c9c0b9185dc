"""Metrics that add up over many runs: `tf.metrics`. Each gives (value, update_op) and keeps its counts in local variables."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.tf.compat.v1._control import control_dependencies
from twinflow.tf.compat.v1._control import name_scope as _scope
from twinflow.tf.compat.v1._deferred import convert_to_tensor
from twinflow.tf.compat.v1._functions import (
    abs,
    cast,
    divide_no_nan,
    equal,
    logical_and,
    logical_not,
    multiply,
    ones_like,
    reduce_sum,
    reshape,
    sqrt,
    square,
    subtract,
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
