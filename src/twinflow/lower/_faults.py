"""What can go wrong while a program runs: exceptions of references, and the alarm, which native code raises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinflow.lower._checks import Check


@dataclass
class Faults:
    """The faults of a program and its nested programs, which share them.

    Attributes:
        errors: what references raised in the latest run.
        checks: what it means when the alarm is raised, by its number from 1 on.
        alarm: the memory of the alarm: a byte that guards read, and 8 bytes after it the number.
        raised: `raised[0]` is not 0 once the alarm was raised.
    """

    errors: list[BaseException] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    alarm: np.ndarray[Any, Any] = field(default_factory=lambda: np.zeros(2, np.int64))
    raised: memoryview = field(init=False)

    def __post_init__(self) -> None:
        self.raised = memoryview(self.alarm)  # type: ignore[arg-type] # an array is a buffer

    def add(self, check: Check) -> int:
        """The number under which the alarm tells that this check failed."""
        self.checks.append(check)
        return len(self.checks)

    def take(self) -> BaseException:
        """The error of the latest run, which is forgotten here."""
        if self.errors:
            error = self.errors[0]
            self.errors.clear()
            return error
        check = self.checks[self.alarm[1] - 1]
        self.alarm[:] = 0
        return check.error()
