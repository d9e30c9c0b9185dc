"""Metrics of regression and of language models."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.metrics._metric import Metric
from twinflow.ops import log_softmax, where
from twinflow.tensor import Tensor


def _pair(op: str, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    if tuple(prediction.shape) != tuple(target.shape):
        raise ShapeError(
            f"{op}: predictions of shape {tuple(prediction.shape)} for targets of shape {tuple(target.shape)}; they would broadcast "
            "against each other, so make them equal, for example with .squeeze(1) or .unsqueeze(1)"
        )
    return prediction.double(), target.double()


class _MeanError(Metric):
    def __init__(self) -> None:
        super().__init__()
        self._add_state("sum")
        self._add_state("count")

    def _error(self, difference: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _error(self, difference)")

    def _update(self, prediction: Tensor, target: Tensor) -> None:
        p, t = _pair(type(self).__name__, prediction, target)
        self._state["sum"].add_(self._error(p - t).sum())
        self._state["count"].add_(float(p.numel()))

    def compute(self) -> float:
        """The mean."""
        self._want_any(self._state["count"].item())
        return float(self._state["sum"].item() / self._state["count"].item())


class MSE(_MeanError):
    """Mean squared error, Σ(ŷ − y)² / N.

    Args:
        squared: False gives its root.

    >>> import twinflow
    >>> twinflow.metrics.MSE()(twinflow.tensor([1.0, 2.0]), twinflow.tensor([1.0, 4.0]))
    2.0
    """

    def __init__(self, squared: bool = True) -> None:
        super().__init__()
        self.squared = squared

    def _error(self, difference: Tensor) -> Tensor:
        return difference * difference

    def compute(self) -> float:
        """The mean, or its root."""
        found = super().compute()
        return found if self.squared else math.sqrt(found)


class MAE(_MeanError):
    """Mean absolute error, Σ|ŷ − y| / N."""

    def _error(self, difference: Tensor) -> Tensor:
        return difference.abs()


class R2(Metric):
    """The part of the targets' variance that is explained: 1 − Σ(ŷ − y)² / Σ(y − ȳ)²."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("errors", "shift", "sum", "squares", "count"):
            self._add_state(name)

    def _update(self, prediction: Tensor, target: Tensor) -> None:
        p, t = _pair("R2", prediction, target)
        s = self._state
        # sums of y − y₁, with y₁ the first target ever seen, keep their digits where y is large
        shift = where(s["count"] == 0, t.reshape(-1)[0], s["shift"]) if t.numel() else s["shift"].clone()
        s["shift"].copy_(shift)
        s["errors"].add_(((p - t) * (p - t)).sum())
        s["sum"].add_((t - shift).sum())
        s["squares"].add_(((t - shift) * (t - shift)).sum())
        s["count"].add_(float(p.numel()))

    def _merge(self, other: R2) -> None:
        # the sums of the other, about its own shift, are moved to this one's
        s, o = self._state, other._state
        if s["count"].item() == 0:
            super()._merge(other)
            return
        d = o["shift"] - s["shift"]
        s["errors"].add_(o["errors"])
        s["squares"].add_(o["squares"] + d * o["sum"] * 2.0 + d * d * o["count"])
        s["sum"].add_(o["sum"] + d * o["count"])
        s["count"].add_(o["count"])

    def compute(self) -> float:
        """The part; 1 is perfect, 0 no better than the mean. Raises: DataError for fewer than two targets."""
        s: dict[str, Any] = {k: v.item() for k, v in self._state.items()}
        self._want_any(s["count"] > 1)
        spread = s["squares"] - s["sum"] ** 2 / s["count"]
        if spread <= 0:
            return 1.0 if s["errors"] == 0 else -math.inf
        return float(1 - s["errors"] / spread)


class Perplexity(Metric):
    """exp of the mean negative log-likelihood of the true tokens: scores [N, ..., C] before softmax, tokens [N, ...].

    Args:
        ignore_index: a token that does not count, such as padding.
    """

    def __init__(self, ignore_index: int | None = None) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self._add_state("sum")
        self._add_state("count")

    def _update(self, prediction: Tensor, target: Tensor) -> None:
        if tuple(prediction.shape[:-1]) != tuple(target.shape):
            raise ShapeError(
                f"Perplexity: scores {tuple(prediction.shape)} are not those of tokens {tuple(target.shape)}, [N, ..., C] and [N, ...]"
            )
        logs = log_softmax(prediction.double(), -1)
        tokens = target.long()
        counted = (tokens == tokens) if self.ignore_index is None else tokens != self.ignore_index
        own = logs.gather(-1, where(counted, tokens, 0).unsqueeze(-1)).squeeze(-1)
        self._state["sum"].add_(where(counted, -own, 0.0).sum())
        self._state["count"].add_(counted.sum().double())

    def compute(self) -> float:
        """The perplexity."""
        self._want_any(self._state["count"].item())
        mean = self._state["sum"].item() / self._state["count"].item()
        return math.exp(mean) if mean < 700 else math.inf
