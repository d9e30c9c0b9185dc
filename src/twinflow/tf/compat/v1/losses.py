"""Losses of static graphs: `tf.losses`. Each joins the collection LOSSES."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.tf.compat.v1 import _nn as nn
from twinflow.tf.compat.v1._deferred import convert_to_tensor
from twinflow.tf.compat.v1._functions import (
    abs,
    add_n,
    cast,
    log,
    maximum,
    minimum,
    multiply,
    not_equal,
    ones_like,
    reduce_mean,
    reduce_sum,
    reshape,
    square,
    subtract,
)
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph


class Reduction:
    """How one number is made of a loss's elements."""

    NONE = "none"
    SUM = "weighted_sum"
    MEAN = "weighted_mean"
    SUM_OVER_BATCH_SIZE = "weighted_sum_over_batch_size"
    SUM_BY_NONZERO_WEIGHTS = "weighted_sum_by_nonzero_weights"


def compute_weighted_loss(
    losses: Any,
    weights: Any = 1.0,
    scope: str | None = None,
    loss_collection: str | None = GraphKeys.LOSSES,
    reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS,
) -> Any:
    """The losses times weights, as one number: by default the sum over the number of elements whose weight is not 0."""
    x = convert_to_tensor(losses)
    plain = isinstance(weights, (int, float))
    w = weights if plain else cast(weights, x.dtype)
    weighted = x if plain and weights == 1.0 else multiply(x, w)
    if reduction == Reduction.NONE:
        result = weighted
    elif reduction == Reduction.SUM:
        result = reduce_sum(weighted)
    elif reduction == Reduction.SUM_OVER_BATCH_SIZE or (reduction == Reduction.SUM_BY_NONZERO_WEIGHTS and plain):
        result = reduce_mean(weighted)
    elif reduction == Reduction.MEAN:
        result = reduce_sum(weighted) / reduce_sum(multiply(ones_like(x), w))
    elif reduction == Reduction.SUM_BY_NONZERO_WEIGHTS:
        present = cast(not_equal(multiply(ones_like(x), w), 0.0), x.dtype)
        result = reduce_sum(weighted) / maximum(reduce_sum(present), 1.0)
    else:
        raise ArgumentError(f"tf.losses: {reduction!r} is no reduction; choose one of tf.losses.Reduction")
    if loss_collection:
        get_default_graph().add_to_collection(loss_collection, result)
    return result


def _pair(op: str, labels: Any, predictions: Any) -> Any:
    if labels is None or predictions is None:
        raise ArgumentError(f"tf.losses.{op}: labels and predictions are needed")
    p = convert_to_tensor(predictions)
    y = (
        cast(labels, p.dtype)
        if not hasattr(labels, "dtype") or labels.dtype is not p.dtype
        else convert_to_tensor(labels)
    )
    if not p.shape.is_compatible_with(y.shape):
        raise ShapeError(f"tf.losses.{op}: labels of shape {y.shape} for predictions of shape {p.shape}")
    return y, p


def mean_squared_error(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                       loss_collection: str | None = GraphKeys.LOSSES, reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """(predictions - labels)²."""
    y, p = _pair("mean_squared_error", labels, predictions)
    return compute_weighted_loss(square(subtract(p, y)), weights, scope, loss_collection, reduction)


def absolute_difference(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                        loss_collection: str | None = GraphKeys.LOSSES, reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """|predictions - labels|."""
    y, p = _pair("absolute_difference", labels, predictions)
    return compute_weighted_loss(abs(subtract(p, y)), weights, scope, loss_collection, reduction)


def huber_loss(labels: Any, predictions: Any, weights: Any = 1.0, delta: float = 1.0, scope: str | None = None,
               loss_collection: str | None = GraphKeys.LOSSES, reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """e² / 2 for |e| ≤ δ, δ|e| - δ² / 2 beyond."""
    y, p = _pair("huber_loss", labels, predictions)
    e = abs(subtract(p, y))
    near = minimum(e, delta)
    return compute_weighted_loss(square(near) * 0.5 + (e - near) * delta, weights, scope, loss_collection, reduction)


def log_loss(labels: Any, predictions: Any, weights: Any = 1.0, epsilon: float = 1e-7, scope: str | None = None,
             loss_collection: str | None = GraphKeys.LOSSES, reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """-(t log(p + ε) + (1 - t) log(1 - p + ε))."""
    y, p = _pair("log_loss", labels, predictions)
    values = -(y * log(p + epsilon)) - (1.0 - y) * log(1.0 - p + epsilon)
    return compute_weighted_loss(values, weights, scope, loss_collection, reduction)


def hinge_loss(labels: Any, logits: Any, weights: Any = 1.0, scope: str | None = None,
               loss_collection: str | None = GraphKeys.LOSSES, reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """max(0, 1 - (2t - 1) x) for labels t of 0 and 1."""
    y, x = _pair("hinge_loss", labels, logits)
    return compute_weighted_loss(maximum(1.0 - (y * 2.0 - 1.0) * x, 0.0), weights, scope, loss_collection, reduction)


def softmax_cross_entropy(onehot_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: float = 0.0,
                          scope: str | None = None, loss_collection: str | None = GraphKeys.LOSSES,
                          reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """-Σ labels · log softmax(logits)."""
    y, x = _pair("softmax_cross_entropy", onehot_labels, logits)
    if label_smoothing:
        n = x.shape.dims[-1]
        if n is None:
            raise ShapeError("tf.losses.softmax_cross_entropy: label_smoothing needs a known number of classes")
        y = y * (1.0 - label_smoothing) + label_smoothing / n
    values = nn.softmax_cross_entropy_with_logits_v2(y, x)
    return compute_weighted_loss(values, weights, scope, loss_collection, reduction)


def sparse_softmax_cross_entropy(labels: Any, logits: Any, weights: Any = 1.0, scope: str | None = None,
                                 loss_collection: str | None = GraphKeys.LOSSES,
                                 reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """-log softmax(logits)[label]."""
    values = nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    return compute_weighted_loss(values, weights, scope, loss_collection, reduction)


def sigmoid_cross_entropy(multi_class_labels: Any, logits: Any, weights: Any = 1.0, label_smoothing: float = 0.0,
                          scope: str | None = None, loss_collection: str | None = GraphKeys.LOSSES,
                          reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS) -> Any:  # fmt: skip
    """-(t log σ(x) + (1 - t) log(1 - σ(x)))."""
    y, x = _pair("sigmoid_cross_entropy", multi_class_labels, logits)
    if label_smoothing:
        y = y * (1.0 - label_smoothing) + 0.5 * label_smoothing
    values = nn.sigmoid_cross_entropy_with_logits(labels=y, logits=x)
    return compute_weighted_loss(values, weights, scope, loss_collection, reduction)


def add_loss(loss: Any, loss_collection: str = GraphKeys.LOSSES) -> None:
    """Put a loss of one's own into the collection."""
    get_default_graph().add_to_collection(loss_collection, loss)


def get_losses(scope: str | None = None, loss_collection: str = GraphKeys.LOSSES) -> list[Any]:
    """The losses made so far."""
    return get_default_graph().get_collection(loss_collection, scope)


def get_regularization_losses(scope: str | None = None) -> list[Any]:
    """The penalties on variables."""
    return get_default_graph().get_collection(GraphKeys.REGULARIZATION_LOSSES, scope)


def get_regularization_loss(scope: str | None = None) -> Any:
    """Their sum, 0 if there are none."""
    found = get_regularization_losses(scope)
    return add_n(found) if found else convert_to_tensor(0.0)


def get_total_loss(add_regularization_losses: bool = True, name: str = "total_loss") -> Any:
    """The sum of all losses, with the penalties."""
    found = get_losses() + (get_regularization_losses() if add_regularization_losses else [])
    if not found:
        raise ArgumentError("tf.losses.get_total_loss: no loss has been made in this graph")
    return add_n(found, name=name)


def cosine_distance(labels: Any, predictions: Any, axis: Any = None, weights: Any = 1.0, scope: str | None = None,
                    loss_collection: str | None = GraphKeys.LOSSES, reduction: str = Reduction.SUM_BY_NONZERO_WEIGHTS, dim: Any = None) -> Any:  # fmt: skip
    """1 - Σ labels · predictions along an axis, of vectors of length 1."""
    y, p = _pair("cosine_distance", labels, predictions)
    values = 1.0 - reduce_sum(multiply(p, y), dim if axis is None else axis, keepdims=True)
    return compute_weighted_loss(values, weights, scope, loss_collection, reduction)


def mean_pairwise_squared_error(labels: Any, predictions: Any, weights: Any = 1.0, scope: str | None = None,
                                loss_collection: str | None = GraphKeys.LOSSES) -> Any:  # fmt: skip
    """The mean over all pairs of elements of an example of ((pᵢ - pⱼ) - (yᵢ - yⱼ))², summed over the examples."""
    y, p = _pair("mean_pairwise_squared_error", labels, predictions)
    if p.shape.rank is None or None in p.shape.as_list()[1:]:
        raise ShapeError("tf.losses.mean_pairwise_squared_error: the shape of an example must be known")
    n = math.prod(p.shape.as_list()[1:])
    e = reshape(subtract(p, y), [-1, n])
    pairs = (reduce_sum(square(e), 1) * float(n) - square(reduce_sum(e, 1))) * (2.0 / max(n * (n - 1), 1))
    w = weights if isinstance(weights, (int, float)) else reshape(cast(weights, p.dtype), [-1])
    return compute_weighted_loss(pairs, w, scope, loss_collection, Reduction.SUM)
