"""Data sets inside traced functions: their elements are arguments of the graph, made anew before each call.

A function that goes along a data set says so when it is traced, by an exception. Whoever called it then takes the elements out of the
data set, as one tensor with the elements along its first axis for each run of equal shapes, and traces it again with these.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from twinflow.core import tree_unflatten
from twinflow.core.errors import ArgumentError, DataError, TraceError
from twinflow.tensor import current_tracer, wrap
from twinflow.tf.data._rows import Rows, grouped
from twinflow.tf.data._stages import Stage

_AT_ONCE = 256  # elements that are made together
_MOST_BYTES = 1 << 31  # of all elements: they are held in memory while the function runs
_MOST_RUNS = 16  # each is a loop of its own in the graph


class Needed(Exception):
    """A function that is being traced goes along `source`: all of it, or one element further."""

    def __init__(self, source: Any, whole: bool) -> None:
        self.source, self.whole = source, whole


@dataclass
class Walk:
    """What a traced function may go along, in the order in which it does."""

    given: list[Any]
    at: int = 0

    def take(self, source: Any, whole: bool) -> Any:
        """What stands for `source` in the graph. Raises: Needed if it is not given yet."""
        if self.at == len(self.given):
            raise Needed(source, whole)
        self.at += 1
        return self.given[self.at - 1]


_ACTIVE = threading.local()


@contextmanager
def walking(given: list[Any] | None = None) -> Iterator[None]:
    """Within it, traced functions go along what is given; by default along what is given to the function around them."""
    before = getattr(_ACTIVE, "walk", None)
    _ACTIVE.walk = Walk(given or []) if given is not None or before is None else before
    try:
        yield
    finally:
        _ACTIVE.walk = before


def traced_elements(source: Any, *, whole: bool) -> Any:
    """All elements of a data set as tensors of the graph, a list with one entry for each run of equal shapes; or its next element.

    Raises: TraceError outside `tf.function`, and inside a loop or branch of its graph.
    """
    walk, tracer = getattr(_ACTIVE, "walk", None), current_tracer()
    if walk is None:
        raise TraceError(
            "going along a data set cannot be done while a function is traced; its elements would be frozen into the graph: loop in a "
            "tf.function, or outside, and give it one batch at a time"
        )
    if tracer is not None and tracer.body:
        raise TraceError(
            "a data set cannot be gone along inside a loop or branch on tensors, because its elements are made before the graph runs: make the "
            "outer loop one of Python (`for epoch in range(3)`), or go along `ds.take(n)` or `ds.repeat(n)` in one loop"
        )
    return walk.take(source, whole)


def all_elements(stage: Stage, length: int, waiting: Rows | None = None) -> list[Any]:
    """The elements that wait and those still to come, as `traced_elements` describes them. Raises: DataError if they do not fit a graph."""
    if length == -1:
        raise DataError(
            "tf.function: the data set that it goes along has no end; cut it with ds.take(n), or loop outside the function"
        )
    parts = [waiting] if waiting is not None and waiting.n else []
    nbytes = 0
    while (rows := stage.next(_AT_ONCE)) is not None:
        if any(c.dtype.kind == "O" for c in rows.columns):
            raise DataError("tf.function: the data set that it goes along has strings or objects; map them to numbers")
        parts.append(rows)
        nbytes += sum(c.nbytes for c in rows.columns)
        if nbytes > _MOST_BYTES:
            raise DataError(
                "tf.function: the data set that it goes along has more than 2 GiB, and a graph holds all elements at once; loop outside the "
                "function, and give it one batch at a time"
            )
    runs = grouped(parts)
    if len(runs) > _MOST_RUNS:
        shapes = ", ".join(str(r.columns[0].shape[1:]) for r in runs[:3])
        raise DataError(
            f"tf.function: the elements of the data set that it goes along change their shape {len(runs) - 1} times ({shapes}, ...), and each "
            "change is a loop of its own in the graph: pad them to one shape, or loop outside the function"
        )
    return [tree_unflatten([wrap(c) for c in r.columns], r.tree) for r in runs]


@dataclass
class Source:
    """A data set, or iterator, that a function goes along: an argument, by its place, or an object that the function holds."""

    whole: bool
    at: int | None
    held: Any

    @classmethod
    def of(cls, need: Needed, leaves: list[Any]) -> Source:
        """Where the function found it. Raises: ArgumentError if it made it from one of its arguments, maybe."""
        source = need.source
        at = next((k for k, x in enumerate(leaves) if x is source), None)
        if at is None and getattr(source, "made_in_trace", False) and any(is_data(x) for x in leaves):
            raise ArgumentError(
                "tf.function: it goes along a data set that it makes itself; make it outside (ds.take(5), ds.batch(32), ...) and give it as the "
                "argument"
            )
        return cls(need.whole, at, None if at is not None else source)

    def elements(self, leaves: list[Any]) -> Any:
        """What a call with these arguments goes along."""
        source = self.held if self.at is None else leaves[self.at]
        return source.walk_elements() if self.whole else source.get_next()


def is_data(x: Any) -> bool:
    """Whether it is a data set or the iterator of one."""
    return hasattr(x, "walk_elements")
