"""The base of schedules, and what they share."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.optim._optimizer import Optimizer, ParamGroup
from twinflow.tensor import Tensor, after_call


def write(group: ParamGroup, key: str, value: float) -> None:
    """Set a number of a group; a rate that is a tensor keeps its identity."""
    old = group[key]
    if isinstance(old, Tensor):
        old.fill_(value)
    else:
        group[key] = value


def per_group(value: Any, optimizer: Optimizer, name: str) -> list[Any]:
    """One value for each group: those given, or the one for all."""
    if not isinstance(value, (list, tuple)):
        return [value] * len(optimizer.param_groups)
    if len(value) != len(optimizer.param_groups):
        raise ArgumentError(f"{name}: {len(value)} values for {len(optimizer.param_groups)} parameter groups")
    return list(value)


def whole(name: str, key: str, value: Any, least: int = 1) -> int:
    """`value`, which must be a whole number of at least `least`."""
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
            write(group, "lr", rate)
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
