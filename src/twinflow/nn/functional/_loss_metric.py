"""Losses on distances between embeddings, and connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError
from twinflow.nn.functional._arguments import tensors
from twinflow.nn.functional._distance import pairwise_distance
from twinflow.nn.functional._loss_checks import label_error, reduce, same_shape
from twinflow.ops import as_tensor, call, cat, exp, full, log, maximum, minimum, scan, sqrt, sum, where
from twinflow.ops._autocast import in_float32
from twinflow.tensor import SPECIAL, Tensor


@in_float32
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cos(x₁, x₂) where t = 1, max(0, cos(x₁, x₂) - margin) where t = -1."""
    op = "cosine_embedding_loss"
    same_shape(op, input1, input2, "input2")
    if tuple(target.shape) != tuple(input1.shape[:-1]):
        raise ShapeError(
            f"{op}: inputs of shape {tuple(input1.shape)} need targets of shape {tuple(input1.shape[:-1])}, but "
            f"{tuple(target.shape)} was given"
        )
    eps = 1e-12
    size = (sum(input1 * input1, -1) + eps) * (sum(input2 * input2, -1) + eps)
    cos = sum(input1 * input2, -1) / sqrt(size)
    loss = where(target == 1, 1.0 - cos, 0.0) + where(target == -1, (cos - margin).relu(), 0.0)
    return reduce(op, loss, reduction)


@in_float32
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin), d the p-norm distance; with `swap`, the smaller of d(a, n) and d(p, n)."""
    return _triplet(
        "triplet_margin_loss",
        anchor,
        positive,
        negative,
        lambda a, b: pairwise_distance(a, b, p, eps),
        margin,
        swap,
        reduction,
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with a distance of one's own."""
    return _triplet(
        "triplet_margin_with_distance_loss",
        anchor,
        positive,
        negative,
        distance_function or pairwise_distance,
        margin,
        swap,
        reduction,
    )


def _triplet(
    op: str, a: Tensor, p: Tensor, n: Tensor, distance: Any, margin: float, swap: bool, reduction: str
) -> Tensor:
    if margin <= 0:
        raise ArgumentError(f"{op}: margin must be positive, but {margin} was given")
    same_shape(op, a, p, "positive")
    same_shape(op, a, n, "negative")
    to_negative = distance(a, n)
    if swap:
        to_negative = minimum(to_negative, distance(p, n))
    return reduce(op, (distance(a, p) - to_negative + margin).relu(), reduction)


_NEVER = -1e30  # the log-probability of the impossible: finite, so that its gradient is 0 and not NaN


@in_float32
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of a label sequence, summed over all its alignments with the frames.

    Args:
        log_probs: [T, N, C] or [T, C], logarithms of the probabilities of each frame.
        targets: labels [N, S], or those of all examples one after the other [ΣS]; none is `blank`.
        input_lengths, target_lengths: how many frames and labels of each example count: N numbers.
        reduction: "mean" divides each loss by its number of labels first.
        zero_infinity: 0 instead of infinity where the labels do not fit into the frames.
    Source: Graves et al., "Connectionist Temporal Classification", ICML 2006.
    """
    op = "ctc_loss"
    tensors(op, log_probs=log_probs, targets=targets)
    single = log_probs.ndim == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.ndim == 1 else targets
    if log_probs.ndim != 3:
        raise ShapeError(f"{op}: log_probs must be [T, N, C] or [T, C], but its shape is {tuple(log_probs.shape)}")
    frames, n, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"{op}: blank {blank} is not one of the {classes} classes")
    in_len = _lengths(op, input_lengths, n, "input_lengths", frames)
    out_len = _lengths(op, target_lengths, n, "target_lengths", None)
    labels = _rows(op, targets, out_len, n)
    s = labels.shape[1]
    counted = call("iota", n=s, dtype=out_len.dtype) < out_len.unsqueeze(1)
    labels = where(counted, labels, blank)  # whatever a row is filled up with
    rows = 2 * s + 1
    # blanks around all labels: [blank, l1, blank, l2, ..., blank]
    blanks = full((n, s, 1), blank, dtype="int64")
    extended = cat([cat([blanks, labels.unsqueeze(2)], 2).reshape(n, 2 * s), full((n, 1), blank, dtype="int64")], 1)
    skips = extended != blank
    if rows > 2:
        same = cat([full((n, 2), True, dtype="bool"), extended[:, 2:] == extended[:, :-2]], 1)
        skips = skips & ~same
    try:
        emitted = call("gather", log_probs, extended.unsqueeze(0).expand(frames, n, rows), axis=2)  # [T, N, rows]
    except IndexOutOfRange as error:
        raise IndexOutOfRange(f"{op}: {label_error(labels, classes)}") from error
    emitted = maximum(emitted, _NEVER)
    counts = call("iota", n=frames, dtype=in_len.dtype).unsqueeze(1) < in_len  # [T, N]
    wall = full((n, 2), _NEVER, dtype=log_probs.dtype)

    def frame(alpha: Tensor, x: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        here, active = x
        one = cat([wall[:, :1], alpha[:, :-1]], 1)
        two = where(skips, cat([wall, alpha[:, :-2]], 1) if rows > 2 else _NEVER, _NEVER)
        return where(active.unsqueeze(1), _log_add(alpha, one, two) + here, alpha), None

    # before the first frame all is at the first blank, from where both the first blank and the first label follow
    place = call("iota", n=rows, dtype=extended.dtype).unsqueeze(0).expand(n, rows)
    begin = where(place < 1, full((), 0.0, dtype=log_probs.dtype), _NEVER)
    alpha, _ = scan(frame, begin, (emitted, counts))
    last = (out_len * 2).unsqueeze(1)
    end = call("gather", alpha, last, axis=1).squeeze(1)
    before = where(out_len > 0, call("gather", alpha, (last - 1).clamp(0), axis=1).squeeze(1), _NEVER)
    loss = -_log_add(end, before, before * 0.0 + _NEVER)
    impossible = loss > -_NEVER * 1e-3
    loss = where(impossible, 0.0 if zero_infinity else float("inf"), loss)
    if reduction == "mean":
        loss = loss / out_len.clamp(1).to(dtype=loss.dtype)
    if single:
        loss = loss.squeeze(0)
    return reduce(op, loss, reduction)


def _log_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    top = maximum(maximum(a, b), c).detach()
    return log(exp(a - top) + exp(b - top) + exp(c - top)) + top


def _lengths(op: str, value: Any, n: int, name: str, most: int | None) -> Tensor:
    t = as_tensor(value if isinstance(value, Tensor) else np.asarray(value, np.int64)).long().reshape(-1)
    if t.shape[0] != n:
        raise ShapeError(f"{op}: {name} needs {n} numbers, one for each example, but has {t.shape[0]}")
    if most is not None and not SPECIAL.count and t._data.size and int(t._data.max()) > most:
        raise ArgumentError(f"{op}: {name} says {int(t._data.max())}, but there are only {most} frames")
    return t


def _rows(op: str, targets: Tensor, lengths: Tensor, n: int) -> Tensor:
    """The labels as [N, S]; those beyond each row's length are never reached."""
    targets = targets.long()
    if targets.ndim == 2:
        return targets
    total = targets.shape[0]
    most = total if SPECIAL.count else int(lengths._data.max(initial=0))
    if not SPECIAL.count and int(lengths._data.sum()) != total:
        raise ShapeError(f"{op}: target_lengths add up to {int(lengths._data.sum())}, but targets has {total} labels")
    start = lengths.cumsum(0) - lengths
    index = (start.unsqueeze(1) + call("iota", n=most, dtype=targets.dtype)).clamp(0, max(total - 1, 0))
    return call("take", targets, index, axis=0) if most else targets.reshape(n, 0)
