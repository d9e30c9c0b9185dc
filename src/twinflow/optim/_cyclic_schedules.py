"""Schedules that step after each batch and may move the momentum too: cycles, and one cycle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.optim._optimizer import Optimizer, ParamGroup
from twinflow.optim._schedule import LRScheduler, per_group, whole, write


class CyclicLR(LRScheduler):
    """η goes up and down between base_lr and max_lr, batch by batch; momentum the other way.

    Args:
        base_lr, max_lr: the bounds, one each or one for each group.
        step_size_up, step_size_down: batches of the two halves of a cycle.
        mode: "triangular"; "triangular2" halves the height each cycle; "exp_range" multiplies it with gamma^batch.
        scale_fn, scale_mode: another height: of the "cycle" number or of "iterations".
        cycle_momentum, base_momentum, max_momentum: whether and how momentum (or β₁) moves.
    Source: Smith 2017, arXiv:1506.01186.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: Any,
        max_lr: Any,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.8,
        max_momentum: Any = 0.9,
        last_epoch: int = -1,
    ) -> None:
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ArgumentError(f"CyclicLR: mode is 'triangular', 'triangular2' or 'exp_range', not {mode!r}")
        if scale_mode not in ("cycle", "iterations"):
            raise ArgumentError(f"CyclicLR: scale_mode is 'cycle' or 'iterations', not {scale_mode!r}")
        down = step_size_up if step_size_down is None else step_size_down
        self.max_lrs = per_group(max_lr, optimizer, "CyclicLR")
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._momentum_key = _momentum_key("CyclicLR", optimizer)
            self.base_momentums = per_group(base_momentum, optimizer, "CyclicLR")
            self.max_momentums = per_group(max_momentum, optimizer, "CyclicLR")
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, per_group(base_lr, optimizer, "CyclicLR")):
                write(group, "lr", rate)
        super().__init__(optimizer, last_epoch)

    def _scale(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        return 1.0 if self.mode == "triangular" else 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else self.gamma**x

    def get_lr(self) -> list[float]:
        """The triangle, scaled; sets the momentum on the way."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
                _set_momentum(group, self._momentum_key, high - (high - low) * height)
        return [base + (top - base) * height for base, top in zip(self.base_lrs, self.max_lrs)]


def _momentum_key(name: str, optimizer: Optimizer) -> str:
    for key in ("betas", "momentum"):
        if key in optimizer.defaults:
            return key
    raise ArgumentError(f"{name}: {type(optimizer).__name__} has no momentum to cycle; pass cycle_momentum=False")


def _set_momentum(group: ParamGroup, key: str, value: float) -> None:
    group[key] = (value, *group[key][1:]) if key == "betas" else value


class OneCycleLR(LRScheduler):
    """One cycle over the whole training, batch by batch: up to max_lr, then down to almost nothing.

    Args:
        max_lr: the peak, one or one for each group.
        total_steps, or epochs and steps_per_epoch: how many batches there will be.
        pct_start: which part of them goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum, base_momentum, max_momentum: whether and between what momentum (or β₁) moves, the other way.
        div_factor: max_lr / the first rate; final_div_factor: the first rate / the last.
        three_phase: down to the first rate, then to the last, instead of down in one go.
    Raises: ArgumentError when `step` is called after the last batch.
    Source: Smith and Topin 2018, arXiv:1708.07120.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: Any,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: Any = 0.85,
        max_momentum: Any = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
            total_steps = whole("OneCycleLR", "epochs", epochs) * whole(
                "OneCycleLR", "steps_per_epoch", steps_per_epoch
            )
        self.total_steps = whole("OneCycleLR", "total_steps", total_steps)
        if not 0 <= pct_start <= 1:
            raise ArgumentError(f"OneCycleLR: pct_start must be between 0 and 1, but {pct_start!r} was given")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycleLR: anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}")
        self.anneal_strategy, self.cycle_momentum = anneal_strategy, cycle_momentum
        n, up = self.total_steps, pct_start * total_steps
        # each phase: the batch it ends with, and between which of the three levels it leads
        if three_phase:
            self._phases = [(up - 1, "initial", "max"), (2 * up - 2, "max", "initial"), (n - 1, "initial", "min")]
        else:
            self._phases = [(up - 1, "initial", "max"), (n - 1, "max", "min")]
        tops = per_group(max_lr, optimizer, "OneCycleLR")
        self._levels = [{"initial": t / div_factor, "max": t, "min": t / div_factor / final_div_factor} for t in tops]
        if last_epoch == -1:
            for group, level in zip(optimizer.param_groups, self._levels):
                write(group, "lr", level["initial"])
        if cycle_momentum:
            self._momentum_key = _momentum_key("OneCycleLR", optimizer)
            lows = per_group(base_momentum, optimizer, "OneCycleLR")
            highs = per_group(max_momentum, optimizer, "OneCycleLR")
            self._momenta = [{"initial": high, "max": low, "min": high} for low, high in zip(lows, highs)]
        super().__init__(optimizer, last_epoch)

    def _between(self, a: float, b: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return (b - a) * part + a
        return b + (a - b) / 2 * (1 + math.cos(math.pi * part))

    def get_lr(self) -> list[float]:
        """The curve; sets the momentum on the way."""
        t = self.last_epoch
        if t > self.total_steps:
            raise ArgumentError(f"OneCycleLR: step {t} of a schedule of {self.total_steps} steps")
        start = 0.0
        for end, a, b in self._phases:
            if t <= end or (end, a, b) == self._phases[-1]:
                break
            start = end
        part = (t - start) / (end - start) if end != start else 1.0
        if self.cycle_momentum:
            for group, level in zip(self.optimizer.param_groups, self._momenta):
                _set_momentum(group, self._momentum_key, self._between(level[a], level[b], part))
        return [self._between(level[a], level[b], part) for level in self._levels]
