"""Schedules that look at others, or at a metric: chained, one after another, and on a plateau."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from typing import Any

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.optim._optimizer import Optimizer
from twinflow.optim._schedule import LRScheduler, per_group, write


class ChainedScheduler(LRScheduler):
    """Several schedules that all act in each step; their factors multiply."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        _check_shared("ChainedScheduler", schedulers, optimizer)
        self._schedulers = list(schedulers)
        self.optimizer = schedulers[0].optimizer
        self.last_epoch = schedulers[0].last_epoch
        self._initial = False
        self._last_lr = self._rates()

    def _advance(self, epoch: int | None) -> None:
        for scheduler in self._schedulers:
            scheduler._advance(epoch)
        self.last_epoch = self._schedulers[0].last_epoch
        self._last_lr = self._rates()

    def state_dict(self) -> dict[str, Any]:
        """The states of all."""
        return {**super().state_dict(), "_schedulers": [s.state_dict() for s in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        states = state_dict.get("_schedulers", [])
        if len(states) != len(self._schedulers):
            raise CheckpointError(
                f"{type(self).__name__}.load_state_dict: {len(states)} schedules were saved, but there are {len(self._schedulers)}"
            )
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "_schedulers"})
        for scheduler, state in zip(self._schedulers, states):
            scheduler.load_state_dict(state)


def _check_shared(name: str, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> None:
    if not schedulers:
        raise ArgumentError(f"{name}: at least one schedule is needed")
    for k, scheduler in enumerate(schedulers):
        if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
            raise ArgumentError(f"{name}: schedule {k} belongs to another optimizer")


class SequentialLR(ChainedScheduler):
    """Schedules one after another: schedule k begins anew at milestone k − 1."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        _check_shared("SequentialLR", schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1 or list(milestones) != sorted(milestones):
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} ascending milestones, not {list(milestones)!r}"
            )
        self._schedulers, self.optimizer, self._initial = list(schedulers), optimizer, False
        self.milestones = list(milestones)
        self.last_epoch = 0
        for group in optimizer.param_groups:  # undo what the others set when they were made
            write(group, "lr", group["initial_lr"])
        first = self._schedulers[0]
        first._initial, first.last_epoch = True, -1
        first._advance(None)
        first._initial = False
        self._last_lr = self._rates()

    def _advance(self, epoch: int | None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        which = bisect.bisect_right(self.milestones, self.last_epoch)
        start = self.milestones[which - 1] if which else 0
        scheduler = self._schedulers[which]
        scheduler._advance(0 if which and self.last_epoch == start else None if epoch is None else epoch - start)
        self._last_lr = self._rates()


class ReduceLROnPlateau(LRScheduler):
    """η ← η · factor when a quantity has not improved for more than `patience` calls of `step(metrics)`.

    Args:
        mode: "min" if smaller is better, or "max".
        factor: below 1.
        patience: calls without improvement that are let pass.
        threshold, threshold_mode: by how much better counts, "rel" to the best value or "abs".
        cooldown: calls after a reduction that do not count.
        min_lr: the least rate, or one for each group.
        eps: smaller changes of the rate are not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: Any = 0,
        eps: float = 1e-8,
    ) -> None:
        if not 0 < factor < 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor must lie between 0 and 1, but {factor!r} was given")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ArgumentError(
                f"ReduceLROnPlateau: mode is 'min' or 'max', threshold_mode 'rel' or 'abs', not {mode!r} and {threshold_mode!r}"
            )
        self.optimizer, self._initial, self.last_epoch = optimizer, False, 0
        self.mode, self.factor, self.patience = mode, factor, patience
        self.threshold, self.threshold_mode, self.cooldown, self.eps = threshold, threshold_mode, cooldown, eps
        self.min_lrs = per_group(min_lr, optimizer, "ReduceLROnPlateau")
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = self.cooldown_counter = 0
        self._last_lr = self._rates()

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]  # this schedule depends on a value
        """Take note of the quantity; call it outside of compiled steps, whose values are not known while they are traced."""
        value = float(metrics)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._better(value):
            self.best, self.num_bad_epochs = value, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            old = self._rates()
            new = [max(rate * self.factor, least) for rate, least in zip(old, self.min_lrs)]
            self._set([n if o - n > self.eps else o for o, n in zip(old, new)])
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._rates()

    def _better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        margin = (
            self.threshold * (abs(self.best) if math.isfinite(self.best) else 0)
            if self.threshold_mode == "rel"
            else self.threshold
        )
        return value < self.best - margin if sign < 0 else value > self.best + margin
