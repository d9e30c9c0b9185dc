"""Metrics of classification: all but AUROC follow from counts of true and predicted classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.metrics._metric import Metric
from twinflow.ops import arange
from twinflow.tensor import Tensor, array_of, is_tracing, wrap


def class_labels(
    op: str, prediction: Tensor, target: Tensor, num_classes: int | None, threshold: float
) -> tuple[Tensor, Tensor]:
    """Predicted and true classes, flat int64: of scores [N, C, ...] by the largest, of labels, of binary scores by a threshold."""
    if target.dtype.is_floating_point:
        raise DTypeError(
            f"{op}: targets are class labels, whole numbers, not {target.dtype.name}; convert with .long()"
        )
    p, t = tuple(prediction.shape), tuple(target.shape)
    if prediction.dtype.is_floating_point:
        if len(p) == len(t) + 1 and p[:1] + p[2:] == t:
            prediction = prediction.argmax(1)
        elif p == t:
            if num_classes is not None and num_classes > 2:
                raise ShapeError(f"{op}: scores of {num_classes} classes need a shape [N, {num_classes}, ...], not {p}")
            prediction = prediction > threshold
        else:
            raise ShapeError(
                f"{op}: predictions of shape {p} for targets of shape {t}; give scores [N, C, ...] or labels [N, ...]"
            )
    elif p != t:
        raise ShapeError(f"{op}: predicted labels of shape {p} for targets of shape {t}")
    return prediction.reshape(-1).long(), target.reshape(-1).long()


class ConfusionMatrix(Metric):
    """How often class i (row) was taken for class j (column): counts [C, C].

    Predictions are scores [N, C, ...], labels [N, ...], or binary scores [N] above a threshold.

    Args:
        num_classes: C.
        threshold: of binary scores.
        ignore_index: a target that does not count.

    >>> import twinflow
    >>> m = twinflow.metrics.ConfusionMatrix(2)
    >>> m.update(twinflow.tensor([0, 1, 1]), twinflow.tensor([0, 1, 0]))
    >>> m.compute().tolist()
    [[1, 1], [0, 1]]
    """

    def __init__(self, num_classes: int, *, threshold: float = 0.5, ignore_index: int | None = None) -> None:
        super().__init__()
        if not isinstance(num_classes, int) or num_classes < 2:
            raise ArgumentError(
                f"{type(self).__name__}: num_classes must be a whole number of at least 2, but {num_classes!r} was given"
            )
        self.num_classes, self.threshold, self.ignore_index = num_classes, threshold, ignore_index
        self._add_state("counts", (num_classes, num_classes), "int64")

    def _update(self, prediction: Tensor, target: Tensor) -> None:
        op, c = type(self).__name__, self.num_classes
        predicted, true = class_labels(op, prediction, target, c, self.threshold)
        if not is_tracing():
            if tuple(prediction.shape[1:2]) != (c,) and prediction.ndim == target.ndim + 1:
                raise ShapeError(f"{op}: scores of {prediction.shape[1]} classes, but num_classes is {c}")
            for name, labels in (("predicted", predicted), ("true", true)):
                a = array_of(labels, op)
                a = a[a != self.ignore_index] if self.ignore_index is not None and name == "true" else a
                if a.size and not 0 <= a.min() <= a.max() < c:
                    raise IndexOutOfRange(
                        f"{op}: {name} label {a.min() if a.min() < 0 else a.max()} among classes 0 to {c - 1}"
                    )
        # products of indicators, so that the count is traced like any other operation; float32 counts 2^24 per batch
        classes = arange(c)
        rows = true.unsqueeze(1) == classes
        if self.ignore_index is not None:
            rows = rows & (true != self.ignore_index).unsqueeze(1)
        columns = predicted.unsqueeze(1) == classes
        self._state["counts"].add_((rows.float().t() @ columns.float()).long())

    def compute(self) -> Any:
        """The counts."""
        return self._state["counts"].clone()

    def _counts(self) -> np.ndarray[Any, Any]:
        counts = array_of(self._state["counts"], "compute()").astype(np.float64)
        self._want_any(counts.sum())
        return counts


class _FromCounts(ConfusionMatrix):
    """A number per class from the confusion matrix, averaged.

    Args:
        num_classes: C; 2 for binary labels.
        average: "macro" (mean over classes that occur), "micro" (all decisions together), "weighted" (by how often a class
            is true), "binary" (class 1 alone), or "none" (a tensor [C]).
        threshold, ignore_index: as for ConfusionMatrix.
    """

    _default_average = "macro"

    def __init__(
        self,
        num_classes: int = 2,
        average: str | None = None,
        *,
        threshold: float = 0.5,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(num_classes, threshold=threshold, ignore_index=ignore_index)
        self.average = average if average is not None else "binary" if num_classes == 2 else self._default_average
        if self.average not in ("macro", "micro", "weighted", "binary", "none"):
            raise ArgumentError(
                f"{type(self).__name__}: average is macro, micro, weighted, binary or none, not {average!r}"
            )
        if self.average == "binary" and num_classes != 2:
            raise ArgumentError(f"{type(self).__name__}: average='binary' needs two classes, not {num_classes}")

    def _score(self, hit: Any, false: Any, missed: Any) -> Any:
        """The score from counts of true positives, false positives and false negatives."""
        raise NotImplementedError(f"{type(self).__name__} must define _score(self, hit, false, missed)")

    def compute(self) -> Any:
        """The score: a Python number, or a tensor of one per class."""
        counts = self._counts()
        hit = counts.diagonal()
        false, missed = counts.sum(0) - hit, counts.sum(1) - hit
        if self.average == "micro":
            return float(self._score(hit.sum(), false.sum(), missed.sum()))
        scores = self._score(hit, false, missed)
        if self.average == "none":
            return wrap(scores.astype(np.float32))
        if self.average == "binary":
            return float(scores[1])
        weights = counts.sum(1) if self.average == "weighted" else (hit + false + missed > 0).astype(float)
        return float((scores * weights).sum() / weights.sum())


def _ratio(a: Any, b: Any) -> Any:
    """a / b, and 0 where nothing was counted."""
    return np.divide(a, b, out=np.zeros_like(np.asarray(a, np.float64)), where=np.asarray(b) != 0)


class Precision(_FromCounts):
    """TP / (TP + FP): how many of those taken for a class belong to it. Options: see F1Score."""

    def _score(self, hit: Any, false: Any, missed: Any) -> Any:
        return _ratio(hit, hit + false)


class Recall(_FromCounts):
    """TP / (TP + FN): how many of a class were found. Options: see F1Score."""

    def _score(self, hit: Any, false: Any, missed: Any) -> Any:
        return _ratio(hit, hit + missed)


class F1Score(_FromCounts):
    """2·TP / (2·TP + FP + FN): the harmonic mean of precision and recall.

    Args:
        num_classes: C; 2 for binary labels or scores.
        average: "macro" (mean over classes that occur), "micro" (all decisions together), "weighted" (by how often a class
            is true), "binary" (class 1 alone; the default for two classes), or "none" (a tensor [C]).
        threshold, ignore_index: as for ConfusionMatrix.
    """

    def _score(self, hit: Any, false: Any, missed: Any) -> Any:
        return _ratio(2 * hit, 2 * hit + false + missed)


class IoU(_FromCounts):
    """TP / (TP + FP + FN), the Jaccard index: intersection over union of predicted and true places. Options: see F1Score."""

    def __init__(
        self,
        num_classes: int = 2,
        average: str | None = "macro",
        *,
        threshold: float = 0.5,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__(num_classes, average, threshold=threshold, ignore_index=ignore_index)

    def _score(self, hit: Any, false: Any, missed: Any) -> Any:
        return _ratio(hit, hit + false + missed)


class Accuracy(Metric):
    """The part of predictions that are right.

    Args:
        top_k: scores [N, C] count as right if the true class is among the k largest.
        threshold: of binary scores [N].
        ignore_index: a target that does not count.

    >>> import twinflow
    >>> m = twinflow.metrics.Accuracy()
    >>> m(twinflow.tensor([[0.1, 0.9], [0.8, 0.2]]), twinflow.tensor([1, 1]))
    0.5
    """

    def __init__(self, top_k: int = 1, *, threshold: float = 0.5, ignore_index: int | None = None) -> None:
        super().__init__()
        if not isinstance(top_k, int) or top_k < 1:
            raise ArgumentError(f"Accuracy: top_k must be a whole number of at least 1, but {top_k!r} was given")
        self.top_k, self.threshold, self.ignore_index = top_k, threshold, ignore_index
        self._add_state("right", dtype="int64")
        self._add_state("total", dtype="int64")

    def _update(self, prediction: Tensor, target: Tensor) -> None:
        predicted, true = class_labels("Accuracy", prediction, target, None, self.threshold)
        if self.top_k > 1:
            if prediction.ndim != 2:
                raise ShapeError(f"Accuracy: top_k={self.top_k} needs scores [N, C], not {tuple(prediction.shape)}")
            own = prediction.gather(1, true.unsqueeze(1))
            right = (prediction > own).sum(1) < self.top_k
        else:
            right = predicted == true
        if self.ignore_index is not None:
            counted = true != self.ignore_index
            right = right & counted
            self._state["total"].add_(counted.sum())
        else:
            self._state["total"].add_(true.numel())
        self._state["right"].add_(right.sum())

    def compute(self) -> float:
        """The part."""
        total = self._state["total"].item()
        self._want_any(total)
        return float(self._state["right"].item() / total)


class AUROC(Metric):
    """The area under the receiver operating characteristic: how likely a positive scores above a negative (ties count half).

    Scores are [N] with targets 0 and 1. All scores are kept, so `update` cannot stand inside a compiled step.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve".
    """

    def __init__(self) -> None:
        super().__init__()
        self._scores: list[np.ndarray[Any, Any]] = []
        self._labels: list[np.ndarray[Any, Any]] = []

    def _alone(self) -> AUROC:
        return AUROC()

    def _merge(self, other: AUROC) -> None:
        self._scores += other._scores
        self._labels += other._labels

    def _update(self, prediction: Tensor, target: Tensor) -> None:
        scores, labels = array_of(prediction, "AUROC"), array_of(target, "AUROC")
        if scores.shape != labels.shape or scores.ndim != 1:
            raise ShapeError(f"AUROC: scores and targets are both [N], not {scores.shape} and {labels.shape}")
        if labels.size and not np.isin(labels, (0, 1)).all():
            raise IndexOutOfRange("AUROC: targets are 0 or 1")
        self._scores.append(scores.astype(np.float64))
        self._labels.append(labels.astype(bool))

    def reset(self) -> None:
        """Begin anew."""
        self._scores, self._labels = [], []

    def compute(self) -> float:
        """The area. Raises: DataError unless there were positives and negatives."""
        scores = np.concatenate([np.zeros(0), *self._scores])
        labels = np.concatenate([np.zeros(0, bool), *self._labels])
        positives, negatives = int(labels.sum()), int((~labels).sum())
        self._want_any(positives * negatives)
        order = np.argsort(scores, kind="stable")
        _, start, count = np.unique(scores[order], return_index=True, return_counts=True)
        ranks = np.empty(len(scores))
        ranks[order] = np.repeat(start + (count + 1) / 2, count)  # ties share their mean rank
        return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))

    def state_dict(self) -> dict[str, Any]:
        """The scores so far."""
        return {"scores": list(self._scores), "labels": list(self._labels)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from these scores."""
        self._scores, self._labels = list(state_dict["scores"]), list(state_dict["labels"])
