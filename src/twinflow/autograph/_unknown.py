"""What a traced function does not know yet: tensors, and ranges between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinflow import ops
from twinflow.core.errors import ArgumentError
from twinflow.graph import Node, constant_value
from twinflow.tensor import Tensor, is_tracing


def unknown(x: Any) -> bool:
    """Whether the value is a tensor of a function that is being traced."""
    return isinstance(x, Tensor) and is_tracing()


@dataclass(frozen=True)
class Slices:
    """A container of tensors to go along together."""

    parts: Any


@dataclass(frozen=True)
class Runs:
    """Containers of tensors to go along one after the other."""

    parts: list[Any]


def runs_of(x: Any) -> list[Any] | None:
    """What a traced loop goes along instead of an object that makes its elements when the graph runs, such as a data set."""
    made = getattr(x, "traced_runs", None) if is_tracing() else None
    return None if made is None else made()


@dataclass(frozen=True)
class Range:
    """start, start + delta, ... up to limit, where tensors are among them."""

    start: Any
    limit: Any
    delta: Any

    def holds(self, i: Tensor) -> Tensor:
        """Whether the range has not ended at i."""
        if isinstance(self.delta, Tensor):
            return ops.where(self.delta > 0, i < self.limit, i > self.limit)
        return i < self.limit if self.delta > 0 else i > self.limit


def known_number(x: Any) -> Any:
    """The number that a tensor of a traced function is whatever it is called with, or None; what is no such tensor is itself."""
    if not unknown(x):
        return x
    value = constant_value(x._data) if isinstance(x._data, Node) else None
    return None if value is None or value.size != 1 else value.item()


def make_range(*bounds: Any, dtype: Any = None) -> Range | None:
    """The range of these arguments of `range`, None if all of them are known numbers."""
    if all(known_number(b) is not None for b in bounds):
        return None
    if not 1 <= len(bounds) <= 3:
        raise ArgumentError(f"range: it takes 1 to 3 arguments, not {len(bounds)}")
    start, limit, delta = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1)[:3]
    kind = dtype or next(b.dtype for b in bounds if unknown(b))
    first = start if isinstance(start, Tensor) else ops.full((), start, dtype=kind)
    return Range(first.to(dtype=kind), limit, delta)
