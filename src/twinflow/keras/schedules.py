"""Learning rates as functions of the step: `keras.optimizers.schedules`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._registry import Registry, deserializer
from twinflow.keras._registry import serialize as serialize
from twinflow.ops import ceil, cos, floor, from_numpy, log, where
from twinflow.tensor import Tensor, no_grad, paused_tracing

_REGISTRY = Registry("schedule")


class LearningRateSchedule:
    """Base: calling it with the number of steps so far, a whole number or a tensor of one, gives the learning rate.

    `fit` computes the rates of many steps in one native call if `__call__` can be traced, that is if it uses operators and `keras.ops`
    on the step; one that branches in Python on the step is called for each step.
    """

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step."""
        raise ArgumentError(f"{type(self).__name__} has no __call__(step)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


class _Formula(LearningRateSchedule):
    """A schedule that states its rate as a formula of a float64 tensor."""

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step: a float for a number, a tensor for a tensor."""
        if isinstance(step, Tensor):
            return self._rate(step.double())
        with paused_tracing(), no_grad():
            return float(self._rate(from_numpy(np.array(float(step)))))

    def _rate(self, step: Tensor) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _rate(step)")


@_REGISTRY.add()
class ExponentialDecay(_Formula):
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

    def _rate(self, step: Tensor) -> Any:
        p = step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate ** (floor(p) if self.staircase else p)


@_REGISTRY.add()
class CosineDecay(_Formula):
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

    def _rate(self, step: Tensor) -> Any:
        first, top = self.initial_learning_rate, self.warmup_target
        if top is None:
            return self._decay(first, step)
        rising = first + (top - first) * step / max(self.warmup_steps, 1)
        return where(step < self.warmup_steps, rising, self._decay(top, step - self.warmup_steps))

    def _decay(self, top: float, step: Tensor) -> Tensor:
        p = step.clamp(max=self.decay_steps) / self.decay_steps
        return top * ((1 - self.alpha) * 0.5 * (1 + cos(math.pi * p)) + self.alpha)


@_REGISTRY.add()
class PiecewiseConstantDecay(_Formula):
    """`values[k]` up to and with step `boundaries[k]`, and the last value after."""

    def __init__(self, boundaries: Any, values: Any, name: str = "PiecewiseConstant") -> None:
        self.boundaries, self.values, self.name = list(boundaries), list(values), name
        if len(self.values) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"PiecewiseConstantDecay: {len(self.boundaries)} boundaries need {len(self.boundaries) + 1} values, but there are {len(self.values)}"
            )

    def _rate(self, step: Tensor) -> Any:
        rate = step * 0 + self.values[0]
        for boundary, value in zip(self.boundaries, self.values[1:]):
            rate = where(step > boundary, value, rate)
        return rate


@_REGISTRY.add()
class InverseTimeDecay(_Formula):
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

    def _rate(self, step: Tensor) -> Any:
        p = step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * (floor(p) if self.staircase else p))


@_REGISTRY.add()
class PolynomialDecay(_Formula):
    """(η - end) · (1 - step / decay_steps)^power + end; with `cycle`, beginning anew with ever longer decay_steps."""

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        if decay_steps <= 0:
            raise ArgumentError(f"PolynomialDecay: decay_steps must be positive, but {decay_steps} was given")
        self.initial_learning_rate, self.decay_steps = initial_learning_rate, decay_steps
        self.end_learning_rate, self.power, self.cycle, self.name = end_learning_rate, power, cycle, name

    def _rate(self, step: Tensor) -> Any:
        if self.cycle:
            p = 1 - step / (self.decay_steps * ceil(step / self.decay_steps).clamp(min=1))
        else:
            p = 1 - step.clamp(max=self.decay_steps) / self.decay_steps
        return (self.initial_learning_rate - self.end_learning_rate) * p**self.power + self.end_learning_rate


@_REGISTRY.add()
class CosineDecayRestarts(_Formula):
    """Half a cosine from η down to α·η over first_decay_steps, again and again: each t_mul as long and m_mul as high.

    Source: Loshchilov and Hutter, arXiv:1608.03983.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        if first_decay_steps <= 0:
            raise ArgumentError(
                f"CosineDecayRestarts: first_decay_steps must be positive, but {first_decay_steps} was given"
            )
        self.initial_learning_rate, self.first_decay_steps = initial_learning_rate, first_decay_steps
        self.t_mul, self.m_mul, self.alpha, self.name = t_mul, m_mul, alpha, name

    def _rate(self, step: Tensor) -> Any:
        part = step / self.first_decay_steps
        if self.t_mul == 1.0:
            k = floor(part)
            part = part - k
        else:
            k = floor(log(1.0 - part * (1.0 - self.t_mul)) / math.log(self.t_mul) + 1e-9)
            part = (part - (1.0 - self.t_mul**k) / (1.0 - self.t_mul)) / self.t_mul**k
        height = 0.5 * self.m_mul**k * (1.0 + cos(math.pi * part))
        return self.initial_learning_rate * ((1 - self.alpha) * height + self.alpha)


deserialize = deserializer(_REGISTRY)
