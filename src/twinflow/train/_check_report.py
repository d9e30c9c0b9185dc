"""What `check` finds, and how its parts look at tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinflow.tensor import Tensor

_SIGNS = {"error": "✗", "warning": "!", "ok": "✓"}
_PARTS = ("data", "structure", "loss", "optimizer")


@dataclass(frozen=True)
class CheckFinding:
    """One thing that was looked at: which part, how grave ("error", "warning", "ok"), what was seen, and what to do."""

    part: str
    level: str
    what: str
    advice: str = ""


@dataclass
class CheckReport:
    """What `check` returns; printing it gives the list."""

    findings: list[CheckFinding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether there is neither error nor warning."""
        return not self.errors and not self.warnings

    @property
    def errors(self) -> list[CheckFinding]:
        """What keeps the model from learning."""
        return [f for f in self.findings if f.level == "error"]

    @property
    def warnings(self) -> list[CheckFinding]:
        """What may keep it from learning well."""
        return [f for f in self.findings if f.level == "warning"]

    def add(self, part: str, level: str, what: str, advice: str = "") -> None:
        """Append a finding."""
        self.findings.append(CheckFinding(part, level, what, advice))

    def __str__(self) -> str:
        counts = ((len(self.errors), "error"), (len(self.warnings), "warning"))
        lines = ["check: " + ", ".join(f"{n} {what}{'s' * (n != 1)}" for n, what in counts)]
        for part in _PARTS:
            found = [f for f in self.findings if f.part == part]
            lines += [part] * bool(found)
            for f in found:
                lines.append(f"  {_SIGNS[f.level]} " + f.what.replace("\n", "\n    "))
                lines += [f"    → {f.advice}"] * bool(f.advice)
        return "\n".join(lines)

    __repr__ = __str__


def array_of(t: Tensor) -> np.ndarray[Any, Any]:
    """The values, in a type that NumPy's functions take."""
    a = t.detach().numpy()
    return a.astype(np.float32) if a.dtype.kind == "V" else a


def is_finite(t: Tensor) -> bool:
    """Whether no element is NaN or infinite."""
    a = array_of(t)
    return a.dtype.kind not in "fc" or bool(np.isfinite(a).all())


def described(t: Tensor) -> str:
    """Type and shape."""
    return f"{t.dtype.name}{list(t.shape)}"
