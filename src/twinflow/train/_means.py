"""Weighted means over an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twinflow.metrics import Metric


class Means:
    """Weighted means of numbers, and metrics that keep their own state, over an epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._metrics: dict[str, Any] = {}

    def add(self, name: str, value: Any, weight: float) -> float | None:
        """Take one batch's value into account; returns it as a number, unless it is a metric of the whole epoch."""
        if isinstance(value, Metric):
            self._metrics[name] = value
            return None
        x = float(value)
        total = self._sums.setdefault(name, [0.0, 0.0])
        total[0] += x * weight
        total[1] += weight
        return x

    def result(self) -> dict[str, float]:
        """The means."""
        found = {k: total / max(weight, 1e-30) for k, (total, weight) in self._sums.items()}
        return {**found, **{k: float(m.compute()) for k, m in self._metrics.items()}}

    def finish(self) -> dict[str, float]:
        """The means, after which metrics begin anew."""
        found = self.result()
        for metric in self._metrics.values():
            metric.reset()
        return found

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {
            "sums": {k: list(v) for k, v in self._sums.items()},
            "metrics": {k: m.state_dict() for k, m in self._metrics.items()},
        }

    def load_state_dict(self, state: dict[str, Any], metrics: Mapping[str, Any]) -> None:
        """Go on from these sums."""
        self._sums = {k: list(v) for k, v in state["sums"].items()}
        for name, saved in state["metrics"].items():
            if name in metrics:
                self._metrics[name] = metrics[name]
                metrics[name].load_state_dict(saved)
