"""Metrics of right and wrong decisions at thresholds: counts, precision, recall, and curves of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._loss import align
from twinflow.keras._metric import REGISTRY, Metric, ratio
from twinflow.keras._registry import snake_case, unique_name
from twinflow.keras._variable import Variable, to_tensor
from twinflow.ops import log, maximum, minimum, tensor, where
from twinflow.tensor import Tensor, no_grad, paused_tracing

_EPSILON = 1e-7


class _Decisions(Metric):
    """Weights of true and false positives and negatives at each threshold."""

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name or unique_name(snake_case(type(self).__name__)), dtype)  # numbered, as in Keras
        self.thresholds, self.top_k, self.class_id = thresholds, top_k, class_id
        if thresholds is None:
            found = [0.5 if top_k is None else float("-inf")]
        else:
            found = [float(v) for v in (thresholds if isinstance(thresholds, (list, tuple)) else [thresholds])]
            if not found or any(not 0 <= v <= 1 for v in found):
                raise ArgumentError(f"{type(self).__name__}: thresholds lie in [0, 1], not {thresholds!r}")
        self._start(found)

    def _start(self, thresholds: list[float], labels: int | None = None) -> None:
        self._levels = np.array(thresholds, np.float32)
        shape = (len(thresholds),) if labels is None else (len(thresholds), labels)
        self.true_positives = self.add_variable(shape, name="true_positives")
        self.false_positives = self.add_variable(shape, name="false_positives")
        self.true_negatives = self.add_variable(shape, name="true_negatives")
        self.false_negatives = self.add_variable(shape, name="false_negatives")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        t, p = align(self.name, y_true, y_pred)
        with no_grad():
            w = self._weights(t, sample_weight)
            t, p = t.detach(), p.detach()
            if self.top_k is not None:
                least = p.topk(self.top_k, -1)[0][..., -1:]
                p = where(p >= least, p, float("-inf"))
            if self.class_id is not None:
                if not 0 <= self.class_id < t.shape[-1]:
                    raise ArgumentError(f"{self.name}: class_id={self.class_id}, but there are {t.shape[-1]} classes")
                t, p = t[..., self.class_id], p[..., self.class_id]
                w = (
                    w
                    if w is None or w.shape[-1] == 1 or w.ndim < t.ndim + 1
                    else w[..., self.class_id : self.class_id + 1]
                )
                w = None if w is None else w.squeeze(-1)
            self._count(
                t.reshape(1, -1), p.reshape(1, -1), None if w is None else w.expand(tuple(t.shape)).reshape(1, -1)
            )

    @staticmethod
    def _weights(t: Tensor, sample_weight: Any) -> Tensor | None:
        if sample_weight is None:
            return None
        w = to_tensor(sample_weight).detach().float()
        return w.reshape(*w.shape, *(1,) * (t.ndim - w.ndim))

    def _count(self, t: Tensor, p: Tensor, w: Tensor | None) -> None:
        """Add [1, n] (or [1, n, labels]) to the counts, the sums over n."""
        levels = tensor(self._levels).reshape(-1, *(1,) * (p.ndim - 1))
        found, right = (p > levels).float(), (t != 0).float()
        wrong, rest = 1.0 - right, 1.0 - found
        if w is not None:
            right, wrong = right * w, wrong * w
        self.true_positives.add_((found * right).sum(1))
        self.false_positives.add_((found * wrong).sum(1))
        self.false_negatives.add_((rest * right).sum(1))
        self.true_negatives.add_((rest * wrong).sum(1))

    def _one(self, values: Tensor) -> Tensor:
        """A number for one threshold, a vector for several."""
        return values[0] if len(self._levels) == 1 else values

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        found = {"name": self.name, "thresholds": self.thresholds}
        return {**found, "top_k": self.top_k, "class_id": self.class_id}


@REGISTRY.add()
class Precision(_Decisions):
    """Which part of what was found is right.

    Args:
        thresholds: from where on a prediction counts as found; 0.5 if not given. Several give several numbers.
        top_k: count only the k largest predictions of each example.
        class_id: look at this class alone.
    """

    def result(self) -> Tensor:
        """True positives / all found."""
        return self._one(ratio(self.true_positives, self.true_positives + self.false_positives))


@REGISTRY.add()
class Recall(_Decisions):
    """Which part of the positives was found. Arguments as for `Precision`."""

    def result(self) -> Tensor:
        """True positives / all positives."""
        return self._one(ratio(self.true_positives, self.true_positives + self.false_negatives))


class _Count(_Decisions):
    _which = ""

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def result(self) -> Tensor:
        """The count."""
        counts: Variable = getattr(self, self._which)
        return self._one(counts * 1.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name, "thresholds": self.thresholds}


@REGISTRY.add()
class TruePositives(_Count):
    """How many positives were found."""

    _which = "true_positives"


@REGISTRY.add()
class FalsePositives(_Count):
    """How many negatives were found."""

    _which = "false_positives"


@REGISTRY.add()
class TrueNegatives(_Count):
    """How many negatives were left."""

    _which = "true_negatives"


@REGISTRY.add()
class FalseNegatives(_Count):
    """How many positives were missed."""

    _which = "false_negatives"


def _grid(n: int) -> list[float]:
    return [(k + 1) / (n - 1) for k in range(n - 2)]


@REGISTRY.add("AUC", "auc")
class AUC(_Decisions):
    """The area under a curve over thresholds.

    Args:
        num_thresholds: how many thresholds, evenly in [0, 1].
        curve: 'ROC' (recall over false positive rate) or 'PR' (precision over recall).
        summation_method: 'interpolation', 'minoring' or 'majoring'.
        thresholds: own thresholds inside (0, 1) instead.
        multi_label: an area for each column, and their mean; `num_labels` says how many columns.
        label_weights: the weights of that mean.
        from_logits: whether predictions are logits.
    Source: for 'PR' with interpolation, Davis and Goadrich 2006.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        Metric.__init__(self, name or unique_name("auc"), dtype)
        if curve not in ("ROC", "PR"):
            raise ArgumentError(f"AUC: curve is 'ROC' or 'PR', not {curve!r}")
        if summation_method not in ("interpolation", "minoring", "majoring"):
            raise ArgumentError(
                f"AUC: summation_method is 'interpolation', 'minoring' or 'majoring', not {summation_method!r}"
            )
        if thresholds is None and num_thresholds < 2:
            raise ArgumentError(f"AUC: num_thresholds must be at least 2, but {num_thresholds!r} was given")
        self.num_thresholds, self.curve, self.summation_method = num_thresholds, curve, summation_method
        self.thresholds, self.multi_label, self.num_labels = thresholds, multi_label, num_labels
        self.label_weights, self.from_logits = label_weights, from_logits
        self.top_k = self.class_id = None
        inner = _grid(num_thresholds) if thresholds is None else sorted(float(v) for v in thresholds)
        self._all = [-_EPSILON, *inner, 1 + _EPSILON]
        if not multi_label or num_labels is not None:
            self._start(self._all, num_labels if multi_label else None)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch."""
        p = to_tensor(y_pred).detach()
        p = p.sigmoid() if self.from_logits else p
        if not self.multi_label:
            super().update_state(y_true, p, sample_weight)
            return
        t, p = align(self.name, y_true, p)
        if t.ndim != 2:
            raise ShapeError(f"{self.name}: with multi_label, data is [N, labels], but its shape is {tuple(t.shape)}")
        if not self._state:
            with paused_tracing():
                self._start(self._all, int(t.shape[1]))
        with no_grad():
            w = self._weights(t, sample_weight)
            self._count(t.unsqueeze(0), p.unsqueeze(0), None if w is None else w.expand(tuple(t.shape)).unsqueeze(0))

    def result(self) -> Tensor:
        """The area (with multi_label, the mean of areas)."""
        tp, fp, tn, fn = self.true_positives, self.false_positives, self.true_negatives, self.false_negatives
        recall = ratio(tp, tp + fn)
        if self.curve == "PR" and self.summation_method == "interpolation":
            found = tp + fp
            dtp, d = tp[:-1] - tp[1:], found[:-1] - found[1:]
            slope = ratio(dtp, d.clamp(min=0))
            both = (found[:-1] > 0) & (found[1:] > 0)
            growth = where(both, found[:-1] / where(both, found[1:], 1.0), 1.0)
            part = slope * (dtp + (tp[1:] - slope * found[1:]) * log(growth))
            areas = ratio(part, (tp[1:] + fn[1:]).clamp(min=0)).sum(0)
        else:
            x, y = (ratio(fp, fp + tn), recall) if self.curve == "ROC" else (recall, ratio(tp, tp + fp))
            a, b = y[:-1], y[1:]
            heights = {"interpolation": (a + b) / 2, "minoring": minimum(a, b), "majoring": maximum(a, b)}
            areas = ((x[:-1] - x[1:]) * heights[self.summation_method]).sum(0)
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return areas.mean()
        w = to_tensor(self.label_weights).float()
        return (areas * w).sum() / w.sum()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        names = ("name", "num_thresholds", "curve", "summation_method", "thresholds", "multi_label", "num_labels",
                 "label_weights", "from_logits")  # fmt: skip
        return {n: getattr(self, n) for n in names}


class _At(_Decisions):
    """The largest of one rate among the thresholds where another is at least a value."""

    _value = ""

    def __init__(
        self,
        value: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        Metric.__init__(self, name, dtype)
        if not 0 <= value <= 1:
            raise ArgumentError(f"{type(self).__name__}: {self._value} is in [0, 1], not {value!r}")
        if num_thresholds < 1:
            raise ArgumentError(f"{type(self).__name__}: num_thresholds must be positive, not {num_thresholds!r}")
        self.value, self.num_thresholds, self.class_id, self.top_k = value, num_thresholds, class_id, None
        self._start([0.5] if num_thresholds == 1 else [0.0, *_grid(num_thresholds), 1.0])

    def _rates(self) -> tuple[Tensor, Tensor]:
        """(what is constrained, what is looked for)."""
        raise NotImplementedError(f"{type(self).__name__} must define _rates(self)")

    def result(self) -> Tensor:
        """The largest rate, 0 if the other is never large enough."""
        constrained, wanted = self._rates()
        return where(constrained >= self.value, wanted, 0.0).max()

    @property
    def _sensitivity(self) -> Tensor:
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def _specificity(self) -> Tensor:
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)

    @property
    def _precision(self) -> Tensor:
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        found = {"name": self.name, self._value: self.value}
        return {**found, "num_thresholds": self.num_thresholds, "class_id": self.class_id}


@REGISTRY.add()
class SensitivityAtSpecificity(_At):
    """The best sensitivity with at least a given specificity."""

    _value = "specificity"

    def __init__(self, specificity: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(specificity, *args, **kwargs)

    def _rates(self) -> tuple[Tensor, Tensor]:
        return self._specificity, self._sensitivity


@REGISTRY.add()
class SpecificityAtSensitivity(_At):
    """The best specificity with at least a given sensitivity."""

    _value = "sensitivity"

    def __init__(self, sensitivity: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(sensitivity, *args, **kwargs)

    def _rates(self) -> tuple[Tensor, Tensor]:
        return self._sensitivity, self._specificity


@REGISTRY.add()
class PrecisionAtRecall(_At):
    """The best precision with at least a given recall."""

    _value = "recall"

    def __init__(self, recall: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(recall, *args, **kwargs)

    def _rates(self) -> tuple[Tensor, Tensor]:
        return self._sensitivity, self._precision


@REGISTRY.add()
class RecallAtPrecision(_At):
    """The best recall with at least a given precision."""

    _value = "precision"

    def __init__(self, precision: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(precision, *args, **kwargs)

    def _rates(self) -> tuple[Tensor, Tensor]:
        return self._precision, self._sensitivity
