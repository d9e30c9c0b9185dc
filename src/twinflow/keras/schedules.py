"""Learning rates as functions of the step: `keras.optimizers.schedules`."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._registry import Registry

_REGISTRY = Registry("schedule")


class LearningRateSchedule:
    """Base: calling it with the number of steps so far gives the learning rate."""

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        raise ArgumentError(f"{type(self).__name__} has no __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


@_REGISTRY.add()
class ExponentialDecay(LearningRateSchedule):
    """η · rate^(step / decay_steps), the exponent cut to a whole number with `staircase`."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        if decay_steps <= 0:
            raise ArgumentError(f"ExponentialDecay: decay_steps must be positive, but {decay_steps} was given")
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        p = step / self.decay_steps
        return float(self.initial_learning_rate * self.decay_rate ** (math.floor(p) if self.staircase else p))


@_REGISTRY.add()
class CosineDecay(LearningRateSchedule):
    """Half a cosine from η down to α·η, after an optional linear warm-up."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        if decay_steps <= 0:
            raise ArgumentError(f"CosineDecay: decay_steps must be positive, but {decay_steps} was given")
        self.initial_learning_rate, self.decay_steps, self.alpha = initial_learning_rate, decay_steps, alpha
        self.name, self.warmup_target, self.warmup_steps = name, warmup_target, warmup_steps

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * step / self.warmup_steps
            top, step = self.warmup_target, step - self.warmup_steps
        p = min(step, self.decay_steps) / self.decay_steps
        return float(top * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * p)) + self.alpha))


@_REGISTRY.add()
class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[k]` up to and with step `boundaries[k]`, and the last value after."""

    def __init__(self, boundaries: Any, values: Any, name: str = "PiecewiseConstant") -> None:
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay: {len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, but there are {len(self.values)}"
            )

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        return float(self.values[sum(step > b for b in self.boundaries)])


@_REGISTRY.add()
class InverseTimeDecay(LearningRateSchedule):
    """η / (1 + rate · step / decay_steps)."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.decay_rate, self.staircase, self.name = decay_rate, staircase, name

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        p = step / self.decay_steps
        return float(self.initial_learning_rate / (1 + self.decay_rate * (math.floor(p) if self.staircase else p)))


def deserialize(config: dict[str, Any]) -> Any:
    """The schedule of a configuration."""
    return _REGISTRY.deserialize(config)
