"""Metrics of overlap for several classes, F scores, and the coefficient of determination."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._loss import align
from twinflow.keras._metric import REGISTRY, Metric, ratio
from twinflow.keras._registry import snake_case, unique_name
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.ops import matmul, where
from twinflow.tensor import Tensor, no_grad, paused_tracing


class _Matrix(Metric):
    """How often each class [row] was taken for each [column], and from it the overlap of classes."""

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any = None,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name or unique_name(snake_case(type(self).__name__)), dtype)  # numbered, as in Keras
        self.num_classes, self.ignore_class, self.axis = num_classes, ignore_class, axis
        self.target_class_ids = list(range(num_classes)) if target_class_ids is None else list(target_class_ids)
        if any(not 0 <= c < num_classes for c in self.target_class_ids):
            raise ArgumentError(
                f"{type(self).__name__}: target_class_ids lie in [0, {num_classes - 1}], not {target_class_ids!r}"
            )
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def _classes(self, y: Tensor, sparse: bool) -> Tensor:
        return (y if sparse else y.argmax(self.axis)).reshape(-1).long()

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        with no_grad():
            t = self._classes(to_tensor(y_true).detach(), self.sparse_y_true)
            p = self._classes(to_tensor(y_pred).detach(), self.sparse_y_pred)
            if t.shape != p.shape:
                raise ShapeError(f"{self.name}: {t.shape[0]} targets, but {p.shape[0]} predictions")
            w = t * 0.0 + 1.0
            if sample_weight is not None:
                given = to_tensor(sample_weight).detach().float()
                w = given.reshape(-1).repeat_interleave(t.shape[0] // given.numel())
            if self.ignore_class is not None:
                kept = t != self.ignore_class
                w, t = where(kept, w, 0.0), where(kept, t, 0)
            rows = F.one_hot(t, self.num_classes).float() * w.unsqueeze(-1)
            self.total_cm.add_(matmul(rows.mT, F.one_hot(p, self.num_classes).float()))

    def result(self) -> Tensor:
        """The mean over classes of true positives / (true + false positives + false negatives)."""
        cm = self.total_cm
        hits = cm.diagonal()
        union = cm.sum(0) + cm.sum(1) - hits
        ids = self.target_class_ids
        hits, union = hits[ids], union[ids]
        present = (union > 0).float()
        return ratio(ratio(hits, union).sum(), present.sum())

    _names: tuple[str, ...] = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name, **{n: getattr(self, n) for n in self._names}}


@REGISTRY.add("IoU", "iou")
class IoU(_Matrix):
    """Intersection over union of the classes `target_class_ids`, for targets and predictions that are classes.

    Args:
        num_classes: how many there are.
        target_class_ids: whose overlaps are averaged.
        ignore_class: a target that does not count.
        sparse_y_true, sparse_y_pred: False for one-hot targets or scores, of which the largest along `axis` counts.
    """

    _names = (*_Matrix._names, "target_class_ids")


@REGISTRY.add("MeanIoU", "mean_iou", "mean_io_u")
class MeanIoU(_Matrix):
    """Intersection over union, the mean over all classes. Arguments as for `IoU`."""

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(num_classes, None, name, dtype, **kwargs)


@REGISTRY.add("OneHotIoU", "one_hot_iou")
class OneHotIoU(IoU):
    """`IoU` for one-hot targets and scores."""

    def __init__(
        self, num_classes: int, target_class_ids: Any, name: str | None = None, dtype: Any = None,
        ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    _names: tuple[str, ...] = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")


@REGISTRY.add("OneHotMeanIoU", "one_hot_mean_iou")
class OneHotMeanIoU(OneHotIoU):
    """`MeanIoU` for one-hot targets and scores."""

    def __init__(self, num_classes: int, name: str | None = None, dtype: Any = None, **kwargs: Any) -> None:
        super().__init__(num_classes, None, name, dtype, **kwargs)

    _names = ("num_classes", "ignore_class", "sparse_y_pred", "axis")


@REGISTRY.add("BinaryIoU", "binary_iou")
class BinaryIoU(_Matrix):
    """`IoU` of the two classes below and above a threshold."""

    def __init__(
        self, target_class_ids: Any = (0, 1), threshold: float = 0.5, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        super().update_state(y_true, to_tensor(y_pred).detach() >= self.threshold, sample_weight)

    _names = ("target_class_ids", "threshold")


@REGISTRY.add("FBetaScore", "fbeta_score")
class FBetaScore(Metric):
    """(1 + β²) · precision · recall / (β² · precision + recall), for each class.

    Args:
        average: None for a number for each class, 'micro' (over all decisions), 'macro' (the mean) or 'weighted' (by how
            frequent classes are).
        beta: how much more recall counts.
        threshold: from where on a class counts as found; without one, it is the class with the largest prediction.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or "fbeta_score", dtype)
        if average not in (None, "micro", "macro", "weighted"):
            raise ArgumentError(
                f"{type(self).__name__}: average is None, 'micro', 'macro' or 'weighted', not {average!r}"
            )
        if beta <= 0:
            raise ArgumentError(f"{type(self).__name__}: beta must be positive, but {beta!r} was given")
        self.average, self.beta, self.threshold = average, float(beta), threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch [N, classes]."""
        t, p = align(self.name, y_true, y_pred)
        if t.ndim != 2:
            raise ShapeError(f"{self.name}: targets are [N, classes], but their shape is {tuple(t.shape)}")
        if not self._state:
            with paused_tracing():
                shape = () if self.average == "micro" else (int(t.shape[1]),)
                self._sums = [self.add_variable(shape, name=n) for n in ("hits", "extra", "missed", "positives")]
        with no_grad():
            p = p.detach()
            if self.threshold is None:
                found = ((p >= p.amax(-1, keepdim=True)) & (p.abs() > 1e-9)).float()
            else:
                found = (p > self.threshold).float()
            w = 1.0 if sample_weight is None else to_tensor(sample_weight).detach().float().reshape(-1, 1)
            over: Any = None if self.average == "micro" else 0
            parts = (found * t, found * (1.0 - t), (1.0 - found) * t, t)
            for v, part in zip(self._sums, parts):
                v.add_((part * w).sum(over))

    def result(self) -> Tensor:
        """The score, or one for each class."""
        hits, extra, missed, positives = self._sums
        precision, recall = ratio(hits, hits + extra), ratio(hits, hits + missed)
        b = self.beta**2
        scores = ratio(precision * recall, precision * b + recall) * (1 + b)
        if self.average == "weighted":
            return (scores * ratio(positives, positives.sum())).sum()
        return scores.mean() if self.average == "macro" else scores

    _names: tuple[str, ...] = ("average", "beta", "threshold")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name, **{n: getattr(self, n) for n in self._names}}


@REGISTRY.add("F1Score", "f1_score")
class F1Score(FBetaScore):
    """2 · precision · recall / (precision + recall). Arguments as for `FBetaScore`."""

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(average, 1.0, threshold, name or "f1_score", dtype)

    _names = ("average", "threshold")


@REGISTRY.add("R2Score", "r2_score")
class R2Score(Metric):
    """1 - Σ (t - p)² / Σ (t - mean)²: which part of the variance is explained.

    Args:
        class_aggregation: of several columns: 'uniform_average', 'variance_weighted_average', or None for one each.
        num_regressors: corrects for so many independent variables.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or "r2_score", dtype)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ArgumentError(
                f"R2Score: class_aggregation is 'uniform_average', 'variance_weighted_average' or None, not {class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ArgumentError(f"R2Score: num_regressors must not be negative, but {num_regressors} was given")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch [N, columns]."""
        t, p = align(self.name, y_true, y_pred)
        if t.ndim == 1:
            t, p = t.unsqueeze(-1), p.unsqueeze(-1)
        if not self._state:
            with paused_tracing():
                n = (int(t.shape[1]),)
                self._sums = [self.add_variable(n, name=k) for k in ("squares", "total", "residual", "count")]
                self._examples = self.add_variable((), name="num_samples")
        with no_grad():
            p = p.detach()
            w = t * 0.0 + 1.0
            if sample_weight is not None:
                given = to_tensor(sample_weight).detach().float()
                w = w * given.reshape(*given.shape, *(1,) * (t.ndim - given.ndim))
            for v, part in zip(self._sums, (t * t * w, t * w, (t - p) ** 2 * w, w)):
                v.add_(part.sum(0))
            self._examples.add_(float(t.numel()))

    def result(self) -> Tensor:
        """The coefficient."""
        squares, total, residual, count = self._sums
        spread = squares - total * ratio(total, count)
        scores = 1.0 - ratio(residual, spread)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = ratio((scores * spread).sum(), spread.sum())
        if not self.num_regressors:
            return scores
        n = self._examples
        return 1.0 - ratio((1.0 - scores) * (n - 1.0), n - self.num_regressors - 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        found = {"name": self.name, "class_aggregation": self.class_aggregation}
        return {**found, "num_regressors": self.num_regressors}
