"""What every framework's programs share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Program:
    """A function called once per step, or per `steps_a_call` steps, on arguments prepared beforehand."""

    call: Callable[..., Any]
    arguments: list[tuple[Any, ...]]
    sync: Callable[[Any], None]
    to_numpy: Callable[[Any], np.ndarray]
    steps_a_call: int = 1

    def step(self, i: int) -> Any:
        return self.call(*self.arguments[i % len(self.arguments)])

    def check(self, i: int) -> list[float]:
        """A few numbers of step `i`'s result: the first sixteen, and their mean size, which sees all."""
        result = np.asarray(self.to_numpy(self.step(i)), np.float64)
        return [*result.ravel()[:16].tolist(), float(np.abs(result).mean())]


@dataclass
class Loop(Program):
    """Steps in a loop of the framework's own: a call goes through many batches and gives the loss of each."""

    compared: tuple[Any, ...] = ()  # the arguments of a call that makes just the steps that are compared

    def check(self, i: int) -> list[float]:
        if i == 0:
            self.losses = np.asarray(self.to_numpy(self.call(*self.compared)), np.float64)
        return [float(self.losses[i]), float(abs(self.losses[i]))]


def with_batch(x: np.ndarray, batch: int) -> np.ndarray:
    """`x` repeated or cut along its first axis to `batch` rows."""
    return np.ascontiguousarray(np.resize(x, (batch, *x.shape[1:])))
