"""Times of the kernels of all programs in this process, for profiles."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from twinflow.runtime._driver import NativeProgram
from twinflow.runtime._timing import Timer

if TYPE_CHECKING:
    from twinflow.lower._native import NativeGraph
    from twinflow.lower._steps import Step

PROGRAMS: weakref.WeakSet[NativeGraph] = weakref.WeakSet()
"""The programs that Python calls; those nested in them are reached through them."""


class Timed(NamedTuple):
    """One record of a program: what it belongs to (None: the copy of a result), where its program's records lie, its calls
    and their time, which of the events are its own, as (start, end) in nanoseconds."""

    step: Step | None
    program: int
    calls: int
    ns: float
    events: list[tuple[float, float]]


class Timing:
    """Times from `start` to `stop`."""

    def __init__(self) -> None:
        self._timer = Timer()

    def start(self) -> None:
        """Begin."""
        for graph in list(PROGRAMS):
            for program in _nested(graph.program):
                program.records["time"] = program.records["calls"] = 0
        self._timer.start()

    def stop(self) -> list[Timed]:
        """What has run since."""
        self._timer.stop()
        rate = self._timer.ns_per_tick
        events: dict[int, list[tuple[float, float]]] = {}
        for record, start, end in self._timer.events().tolist():
            events.setdefault(record, []).append((start * rate, end * rate))
        found = []
        for graph in list(PROGRAMS):
            program = graph.program
            if any(p.records["calls"].any() for p in _nested(program)):
                graph.look_inside()
                found += list(_timed(program, graph, rate, events))
        return found


def _nested(program: NativeProgram) -> Iterator[NativeProgram]:
    yield program
    for part in program.parts:
        yield from _nested(part)


def _ticks(program: NativeProgram) -> int:
    return int(program.records["time"].sum())


def _timed(program: NativeProgram, graph: Any, rate: float, events: Any) -> Iterator[Timed]:
    """The records of a program that ran, then those of its nested programs. A loop's own time is what these leave of it."""
    parts = iter(program.parts)
    address = program.records.__array_interface__["data"][0]
    for k, record in enumerate(program.records):
        step = graph.record_steps[k] if k < len(graph.record_steps) else None
        ticks, inner = int(record["time"]), []
        if step is not None and step.control is not None and k == _last_record(graph.record_steps, step):
            inner = [(next(parts), part) for part in step.control.parts]
            ticks = max(ticks - sum(_ticks(p) for p, _ in inner), 0)
        if record["calls"]:
            where = address + k * program.records.itemsize
            yield Timed(step, address, int(record["calls"]), ticks * rate, events.get(where, []))
        for nested, part in inner:
            yield from _timed(nested, part, rate, events)


def _last_record(steps: list[Any], step: Any) -> int:
    """Where the record of a control step that runs its nested programs stands: after those that copy what it begins with."""
    return int(np.flatnonzero([s is step for s in steps])[-1])
