"""Losses on numbers and probabilities, and on classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._activation import log1p_exp
from twinflow.nn.functional._loss_checks import (
    choose,
    class_labels,
    floating_target,
    label_error,
    reduce,
    same_shape,
)
from twinflow.ops import amax, call, clamp, exp, label_entropy, log, mean, square, sum, where
from twinflow.ops._autocast import in_float32
from twinflow.ops._squared_error import squared_error
from twinflow.tensor import SPECIAL, Tensor


@in_float32
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|x - t|, averaged."""
    same_shape("l1_loss", input, target)
    return _weighted("l1_loss", (input - target).abs(), weight, reduction)


@in_float32
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(x - t)², averaged.

    Raises: ShapeError if the shapes differ: (n, 1) against (n,) would give n² differences.
    """
    same_shape("mse_loss", input, target)
    if weight is None and (reduction == "mean" or reduction == "sum"):
        return squared_error(input, target, reduction == "mean")
    return _weighted("mse_loss", square(input - target), weight, reduction)


def _weighted(op: str, loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduce(op, loss, reduction)
    same_shape(op, loss, weight, "weight")
    loss = loss * weight
    return sum(loss) / sum(weight) if reduction == "mean" else reduce(op, loss, reduction)


@in_float32
def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """½ d² / β where |d| < β, |d| - ½ β elsewhere."""
    same_shape("smooth_l1_loss", input, target)
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, but {beta} was given")
    d = (input - target).abs()
    if beta == 0:
        return reduce("smooth_l1_loss", d, reduction)
    return reduce("smooth_l1_loss", where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta), reduction)


@in_float32
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """½ d² where |d| ≤ δ, δ (|d| - ½ δ) elsewhere."""
    same_shape("huber_loss", input, target)
    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be positive, but {delta} was given")
    d = (input - target).abs()
    return _weighted("huber_loss", where(d <= delta, d * d * 0.5, (d - 0.5 * delta) * delta), weight, reduction)


# -- classes ----------------------------------------------------------------------------------------------------


@in_float32
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-w[t] · x[t], where x are log-probabilities; the mean is weighted by w.

    Args:
        input: [N, C], [C] or [N, C, ...] of log-probabilities.
        target: class labels, whole numbers in [0, C), in the shape of the input without its class axis.
        weight: one number for each class.
        ignore_index: positions with this label count for nothing.
    """
    axis = class_labels("nll_loss", input, target)
    return _negative("nll_loss", input, target, axis, weight, ignore_index, reduction)


def _negative(
    op: str, x: Tensor, t: Tensor, axis: int, weight: Tensor | None, ignore_index: int, reduction: str
) -> Tensor:
    """-w[t] x[t], reduced with weights."""
    n = x.shape[axis]
    if weight is not None and tuple(weight.shape) != (n,):
        raise ShapeError(f"{op}: weight of shape {tuple(weight.shape)} for {n} classes")
    kept: Tensor | None = None
    # labels are looked at only where this costs nothing; a trace always carries the mask
    if 0 <= ignore_index < n or not _is_concrete(t) or bool((t._data == ignore_index).any()):
        kept = t != ignore_index
        t = where(kept, t, 0)
    loss = -choose(op, x, t, axis)
    w: Tensor | None = None
    if weight is not None:
        w = call("take", weight, t.long(), axis=0)
    if kept is not None:
        mask = kept.to(dtype=x.dtype)
        loss = where(kept, loss, 0.0)
        w = mask if w is None else w * mask
    if w is None:
        return reduce(op, loss, reduction)
    loss = loss * w
    return sum(loss) / sum(w) if reduction == "mean" else reduce(op, loss, reduction)


def _is_concrete(t: Tensor) -> bool:
    return not SPECIAL.count and type(t._data) is np.ndarray


@in_float32
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-Σ_c p[c] log softmax(x)[c], where p is 1 at the label, or the target itself if that has probabilities.

    Args:
        input: logits [N, C], [C] or [N, C, ...]: the network's outputs, without softmax.
        target: labels in [0, C), in the shape of the input without its class axis; or probabilities in its shape.
        weight: one number for each class; the mean over labels is weighted.
        ignore_index: positions with this label count for nothing.
        label_smoothing: how much of each label's probability is spread over all classes, in [0, 1].
    Raises: IndexOutOfRange for a label outside the classes; DTypeError for floating labels; ShapeError.

    >>> import twinflow
    >>> cross_entropy(twinflow.zeros(2, 4), twinflow.tensor([1, 3]))
    tensor(1.3863)
    """
    op = "cross_entropy"
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"{op}: label_smoothing must lie in [0, 1], but {label_smoothing} was given")
    if (
        isinstance(target, Tensor)
        and isinstance(input, Tensor)
        and target._data.dtype.kind in "fV"
        and target._data.shape == input._data.shape
        and input._data.shape
    ):
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    axis = class_labels(op, input, target)
    if label_smoothing == 0.0 and weight is None and ignore_index < 0:
        found = label_entropy(input, target, reduction)
        if found is not None:
            return found
    z = input - amax(input, axis, True).detach()
    log_total = log(sum(exp(z), axis, True))
    if label_smoothing == 0.0 and weight is None and _is_concrete(target) and _plain(target, ignore_index):
        # the common case without the whole matrix of log-probabilities
        return reduce(op, log_total.squeeze(axis) - choose(op, z, target, axis), reduction)
    log_p = z - log_total
    hard = _negative(op, log_p, target, axis, weight, ignore_index, reduction)
    if label_smoothing == 0.0:
        return hard
    n = input.shape[axis]
    shape = [n if i == axis else 1 for i in range(input.ndim)]
    spread = -sum(log_p if weight is None else log_p * weight.reshape(shape), axis)
    kept = target != ignore_index
    spread = where(kept, spread, 0.0)
    if reduction == "mean":
        count = kept.to(dtype=input.dtype)
        if weight is not None:
            count = count * call("take", weight, where(kept, target, 0).long(), axis=0)
        spread = sum(spread) / sum(count)
    else:
        spread = reduce(op, spread, reduction)
    return hard * (1.0 - label_smoothing) + spread * (label_smoothing / n)


def _plain(target: Tensor, ignore_index: int) -> bool:
    """Whether no label is to be ignored."""
    return not bool((target._data == ignore_index).any())


def _soft_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    axis = 0 if input.ndim == 1 else 1
    n = input.shape[axis]
    log_p = input.log_softmax(axis)
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / n
    if weight is not None:
        log_p = log_p * weight.reshape([n if i == axis else 1 for i in range(input.ndim)])
    loss = -sum(log_p * target, axis)
    return reduce("cross_entropy", loss, reduction)


# -- probabilities ----------------------------------------------------------------------------------------------


@in_float32
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-(t log x + (1 - t) log(1 - x)) of probabilities x; logarithms are cut off at -100.

    Raises: ArgumentError if an x lies outside [0, 1] (use binary_cross_entropy_with_logits for network outputs).
    """
    op = "binary_cross_entropy"
    same_shape(op, input, target)
    floating_target(op, target)
    if _is_concrete(input) and input._data.size:
        low, high = float(input._data.min()), float(input._data.max())
        if low < 0 or high > 1:
            raise ArgumentError(
                f"{op}: inputs are probabilities in [0, 1], but they reach from {low:g} to {high:g}; apply sigmoid, or use "
                "binary_cross_entropy_with_logits"
            )
    loss = -(target * clamp(log(input), -100.0) + (1.0 - target) * clamp((-input).log1p(), -100.0))
    return reduce(op, loss if weight is None else loss * weight, reduction)


@in_float32
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of sigmoid(x), without overflow: (1 - t) x + (1 + (w₊ - 1) t) log(1 + e^-x).

    Args:
        input: logits.
        target: probabilities of the same shape.
        weight: factors that broadcast to the loss.
        pos_weight: how much positive examples count, for each class.
    """
    op = "binary_cross_entropy_with_logits"
    same_shape(op, input, target)
    floating_target(op, target)
    if pos_weight is None:
        loss = log1p_exp(input) - target * input
    else:
        loss = (1.0 - target) * input + (target * (pos_weight - 1.0) + 1.0) * log1p_exp(-input)
    return reduce(op, loss if weight is None else loss * weight, reduction)


@in_float32
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """t (log t - x), where x are log-probabilities; "batchmean" divides the sum by the batch size, as the divergence is
    defined.

    Args:
        input: log-probabilities.
        target: probabilities, or their logarithms with `log_target`.
    """
    op = "kl_div"
    same_shape(op, input, target)
    if log_target:
        loss = exp(target) * (target - input)
    else:
        # 0 log 0 is 0, and no gradient is lost there; a negative "probability" gives NaN
        loss = where(target == 0, 0.0, target * log(where(target == 0, 1.0, target))) - target * input
    if reduction == "batchmean":
        return sum(loss) / float(input.shape[0] if input.ndim else 1)
    return reduce(op, loss, reduction)


@in_float32
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts: eˣ - t x, or x - t log x without `log_input`; `full` adds Stirling's
    approximation of log t!."""
    op = "poisson_nll_loss"
    same_shape(op, input, target)
    loss = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        safe = where(target > 1, target, 2)
        stirling = target * log(safe) - target + log(safe * (2 * math.pi)) * 0.5
        loss = loss + where(target > 1, stirling, 0.0)
    return reduce(op, loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """½ (log v + (x - t)² / v), with v = max(var, eps); `full` adds ½ log 2π.

    Args:
        var: variances: a number, the shape of the input, or that shape with the last axis 1 or missing.
    """
    op = "gaussian_nll_loss"
    same_shape(op, input, target)
    if isinstance(var, Tensor):
        shape, have = tuple(input.shape), tuple(var.shape)
        if have == shape[:-1] and have != shape:
            var = var.unsqueeze(-1)
        elif have not in (shape, (*shape[:-1], 1)):
            raise ShapeError(f"{op}: var of shape {have} does not fit an input of shape {shape}")
        if _is_concrete(var) and bool((var._data < 0).any()):
            raise ArgumentError(f"{op}: var has negative elements, and variances have none")
        # the floor does not stop the gradient, as in the original
        v = var + (clamp(var, eps) - var).detach()
        loss = (log(v) + (input - target) ** 2 / v) * 0.5
    else:
        if var < 0:
            raise ArgumentError(f"{op}: var is negative: {var}")
        v = max(float(var), eps)
        loss = ((input - target) ** 2 * (1 / v) + math.log(v)) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce(op, loss, reduction)


# -- margins ----------------------------------------------------------------------------------------------------


@in_float32
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where t = 1, max(0, margin - x) where t = -1."""
    op = "hinge_embedding_loss"
    same_shape(op, input, target)
    loss = where(target == 1, input, 0.0) + where(target == -1, (margin - input).relu(), 0.0)
    return reduce(op, loss, reduction)


@in_float32
def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + e^(-t x)), t = ±1."""
    same_shape("soft_margin_loss", input, target)
    return reduce("soft_margin_loss", log1p_exp(-(target * input)), reduction)


@in_float32
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -t (x₁ - x₂) + margin): t = 1 wants x₁ larger, t = -1 wants x₂ larger."""
    op = "margin_ranking_loss"
    same_shape(op, input1, input2, "input2")
    same_shape(op, input1, target)
    return reduce(op, (margin - target * (input1 - input2)).relu(), reduction)


@in_float32
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Σ_{j≠t} w[t] max(0, margin - x[t] + x[j])^p / C, p 1 or 2."""
    op = "multi_margin_loss"
    if p not in (1, 2):
        raise ArgumentError(f"{op}: p is 1 or 2, not {p}")
    axis = class_labels(op, input, target)
    n = input.shape[axis]
    gap = (margin - choose(op, input, target, axis).unsqueeze(axis) + input).relu()
    gap = gap * gap if p == 2 else gap
    classes = call("iota", n=n, dtype=target.dtype)
    others = where(classes == target.unsqueeze(axis), 0.0, gap)
    loss = sum(others, axis) / (n * 1.0)
    if weight is not None:
        loss = loss * call("take", weight, target.long(), axis=0)
    return reduce(op, loss, reduction)


@in_float32
def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Σ_{j in labels} Σ_{i not in labels} max(0, 1 - (x[j] - x[i])) / C.

    Args:
        input: [N, C] or [C].
        target: labels of the same shape; those of a row end before the first -1.
    """
    op = "multilabel_margin_loss"
    same_shape(op, input, target)
    single = input.ndim == 1
    x, t = (input.unsqueeze(0), target.unsqueeze(0)) if single else (input, target)
    n = x.shape[1]
    if _is_concrete(t) and t._data.size and (int(t._data.max()) >= n or int(t._data.min()) < -1):
        raise ArgumentError(f"{op}: {label_error(t, n)}; -1 ends a row's labels")
    valid = (t >= 0).long().cumprod(1)  # [N, J]
    classes = call("iota", n=n, dtype=t.dtype)
    is_label = ((t.unsqueeze(2) == classes) & (valid.unsqueeze(2) == 1)).any(1)  # [N, C]
    at = call("gather", x, where(valid == 1, t, 0).long(), axis=1)  # [N, J]
    gap = (1.0 - at.unsqueeze(2) + x.unsqueeze(1)).relu()  # [N, J, C]
    counts = (valid.unsqueeze(2) == 1) & ~is_label.unsqueeze(1)
    loss = sum(where(counts, gap, 0.0), (1, 2)) / (n * 1.0)
    return reduce(op, loss.squeeze(0) if single else loss, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of sigmoid(x), averaged over the classes (the last axis)."""
    op = "multilabel_soft_margin_loss"
    same_shape(op, input, target)
    loss = log1p_exp(input) - target * input
    loss = loss if weight is None else loss * weight
    return reduce(op, mean(loss, -1), reduction)
