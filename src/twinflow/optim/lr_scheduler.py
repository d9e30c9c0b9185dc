"""Schedules of the learning rate. Call `scheduler.step()` after each epoch (or each batch, for some) of `optimizer.step()`.

`step()` may stand inside a compiled step: it then happens at the end of each call, and the new rate is an input of the
next. Each schedule multiplies what the optimizer has, so several can act on one optimizer.
"""

from __future__ import annotations

import bisect
import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.optim._optimizer import Optimizer, ParamGroup
from twinflow.tensor import Tensor, after_call


def _write(group: ParamGroup, key: str, value: float) -> None:
    """Set a number of a group; a rate that is a tensor keeps its identity."""
    old = group[key]
    if isinstance(old, Tensor):
        old.fill_(value)
    else:
        group[key] = value


def _per_group(value: Any, optimizer: Optimizer, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        return [value] * len(optimizer.param_groups)
    if len(value) != len(optimizer.param_groups):
        raise ArgumentError(f"{name}: {len(value)} values for {len(optimizer.param_groups)} parameter groups")
    return list(value)


def _whole(name: str, key: str, value: Any, least: int = 1) -> int:
    if not isinstance(value, int) or value < least:
        raise ArgumentError(f"{name}: {key} must be a whole number of at least {least}, but {value!r} was given")
    return value


class LRScheduler:
    """Base of schedules: a subclass gives `get_lr()`, the rates of the groups for `self.last_epoch`.

    Args:
        optimizer: whose rates to set; the first are set at once.
        last_epoch: the epoch that was last before a restart; -1 to begin.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(f"{type(self).__name__}: an optimizer is needed, not {type(optimizer).__name__}")
        self.optimizer = optimizer
        for k, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", float(group["lr"]))
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__}: to go on after epoch {last_epoch}, group {k} of the optimizer needs 'initial_lr'; load its state first"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._initial = True
        self._advance(None)
        self._initial = False

    def get_lr(self) -> list[float]:
        """The rate of each group in this epoch, from its rate in the last."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def closed_form(self) -> list[float] | None:
        """The rate of each group from the epoch alone, or None where it depends on the way there."""
        return None

    def get_last_lr(self) -> list[float]:
        """The rates that were set last."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch, or to a given one; within a compiled step, at the end of each call."""
        if not after_call(lambda: self._advance(epoch)):
            self._advance(epoch)

    def _advance(self, epoch: int | None) -> None:
        if not self._initial and self.last_epoch == 0 and epoch is None and not self.optimizer._stepped:
            warnings.warn(
                f"{type(self).__name__}.step() was called before optimizer.step(): the first rate of the schedule is skipped",
                stacklevel=3,
            )
        if epoch is None:
            self.last_epoch += 1
            rates = self.get_lr()
        else:
            self.last_epoch = epoch
            closed = self.closed_form()
            rates = self.get_lr() if closed is None else closed
        self._set(rates)

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates):
            _write(group, "lr", rate)
        self._last_lr = [float(rate) for rate in rates]

    def _rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, and functions."""
        return {k: v for k, v in self.__dict__.items() if k not in ("optimizer", "_initial") and not _has_functions(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        if "last_epoch" not in state_dict:
            raise CheckpointError(
                f"{type(self).__name__}.load_state_dict: this is no state of a schedule: it has no 'last_epoch'"
            )
        self.__dict__.update({k: v for k, v in state_dict.items() if k in self.__dict__})


def _has_functions(value: Any) -> bool:
    return callable(value) or (
        isinstance(value, (list, tuple)) and any(callable(v) or isinstance(v, LRScheduler) for v in value)
    )


class LambdaLR(LRScheduler):
    """η = η₀ · f(epoch), with one function, or one for each group.

    >>> import twinflow
    >>> optimizer = twinflow.optim.SGD([twinflow.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = twinflow.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
    >>> optimizer.step(); schedule.step(); schedule.get_last_lr()
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.lr_lambdas = _per_group(lr_lambda, optimizer, type(self).__name__)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """η₀ · f(epoch)."""
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs)]


class MultiplicativeLR(LambdaLR):
    """η ← η · f(epoch)."""

    def get_lr(self) -> list[float]:
        """The last rate times f(epoch)."""
        rates = self._rates()
        return rates if self._initial else [rate * f(self.last_epoch) for f, rate in zip(self.lr_lambdas, rates)]


class StepLR(LRScheduler):
    """η ← η · γ after every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = _whole("StepLR", "step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The last rate, times γ at the end of a stage."""
        due = not self._initial and self.last_epoch % self.step_size == 0
        return [rate * self.gamma if due else rate for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """η₀ · γ^⌊epoch / step_size⌋."""
        return [base * self.gamma ** (self.last_epoch // self.step_size) for base in self.base_lrs]


class MultiStepLR(LRScheduler):
    """η ← η · γ at each of the milestones."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The last rate, times γ for each milestone that is this epoch."""
        factor = 1.0 if self._initial else self.gamma ** Counter(self.milestones)[self.last_epoch]
        return [rate * factor for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """η₀ · γ^(milestones passed)."""
        return [base * self.gamma ** bisect.bisect_right(self.milestones, self.last_epoch) for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """η = factor · η₀ during the first `total_iters` epochs, then η₀."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ArgumentError(f"ConstantLR: factor must be between 0 and 1, but {factor!r} was given")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The factor comes at the start and goes at the end."""
        change = self.factor if self._initial else 1 / self.factor if self.last_epoch == self.total_iters else 1.0
        return [rate * change for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """η₀, times the factor before the end."""
        return [base * (self.factor if self.last_epoch < self.total_iters else 1.0) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """η rises (or falls) in a line from start_factor · η₀ to end_factor · η₀ over `total_iters` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1:
            raise ArgumentError(f"LinearLR: start_factor must be above 0 and at most 1, but {start_factor!r} was given")
        if not 0 <= end_factor <= 1:
            raise ArgumentError(f"LinearLR: end_factor must be between 0 and 1, but {end_factor!r} was given")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The last rate, one step further along the line."""
        if self._initial:
            return [rate * self.start_factor for rate in self._rates()]
        if self.last_epoch > self.total_iters:
            return self._rates()
        rise = self.end_factor - self.start_factor
        change = 1 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)
        return [rate * change for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """η₀ · (start + (end − start) · min(epoch, total) / total)."""
        part = min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * (self.start_factor + (self.end_factor - self.start_factor) * part) for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """η ← η · γ after each epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The last rate times γ."""
        return [rate if self._initial else rate * self.gamma for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """η₀ · γ^epoch."""
        return [base * self.gamma**self.last_epoch for base in self.base_lrs]


class PolynomialLR(LRScheduler):
    """η = η₀ · (1 − min(epoch, total) / total)^power."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = _whole("PolynomialLR", "total_iters", total_iters), power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The last rate, one step further along the curve."""
        if self._initial or self.last_epoch > self.total_iters:
            return self._rates()
        now, before = 1 - self.last_epoch / self.total_iters, 1 - (self.last_epoch - 1) / self.total_iters
        return [rate * (now / before) ** self.power for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """The curve itself."""
        left = 1 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [base * left**self.power for base in self.base_lrs]


class CosineAnnealingLR(LRScheduler):
    """η = η_min + ½ (η₀ − η_min) (1 + cos(π · epoch / T_max)), without restarts.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = _whole("CosineAnnealingLR", "T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The last rate, one step further along the curve."""
        if self._initial:
            return self._rates()
        t, n = self.last_epoch, self.T_max
        if (t - 1 - n) % (2 * n) == 0:  # the curve stood at its lowest point, where no factor leads up
            up = (1 - math.cos(math.pi / n)) / 2
            return [rate + (base - self.eta_min) * up for rate, base in zip(self._rates(), self.base_lrs)]
        factor = (1 + math.cos(math.pi * t / n)) / (1 + math.cos(math.pi * (t - 1) / n))
        return [factor * (rate - self.eta_min) + self.eta_min for rate in self._rates()]

    def closed_form(self) -> list[float]:
        """The curve itself."""
        part = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Cosine annealing that starts again after T_0 epochs, then T_0·T_mult, and so on. `step` takes fractions of epochs.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = _whole("CosineAnnealingWarmRestarts", "T_0", T_0)
        self.T_mult = _whole("CosineAnnealingWarmRestarts", "T_mult", T_mult)
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The curve of the cycle that the epoch lies in."""
        t, length = float(self.last_epoch), float(self.T_0)
        if self.T_mult == 1:
            t %= length
        else:
            n = int(math.log(t / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            t -= self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            length *= self.T_mult**n
        part = (1 + math.cos(math.pi * t / length)) / 2
        return [self.eta_min + (base - self.eta_min) * part for base in self.base_lrs]


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
            _write(group, "lr", group["initial_lr"])
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
        self.min_lrs = _per_group(min_lr, optimizer, "ReduceLROnPlateau")
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
        self.max_lrs = _per_group(max_lr, optimizer, "CyclicLR")
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._momentum_key = _momentum_key("CyclicLR", optimizer)
            self.base_momentums = _per_group(base_momentum, optimizer, "CyclicLR")
            self.max_momentums = _per_group(max_momentum, optimizer, "CyclicLR")
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, _per_group(base_lr, optimizer, "CyclicLR")):
                _write(group, "lr", rate)
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
            total_steps = _whole("OneCycleLR", "epochs", epochs) * _whole(
                "OneCycleLR", "steps_per_epoch", steps_per_epoch
            )
        self.total_steps = _whole("OneCycleLR", "total_steps", total_steps)
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
        tops = _per_group(max_lr, optimizer, "OneCycleLR")
        self._levels = [{"initial": t / div_factor, "max": t, "min": t / div_factor / final_div_factor} for t in tops]
        if last_epoch == -1:
            for group, level in zip(optimizer.param_groups, self._levels):
                _write(group, "lr", level["initial"])
        if cycle_momentum:
            self._momentum_key = _momentum_key("OneCycleLR", optimizer)
            lows = _per_group(base_momentum, optimizer, "OneCycleLR")
            highs = _per_group(max_momentum, optimizer, "OneCycleLR")
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
