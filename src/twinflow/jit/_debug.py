"""`twinflow.debug(step)`: replay a compiled step operation by operation and say where it goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinflow.core import format_location
from twinflow.core.errors import ArgumentError
from twinflow.graph import Node, interpret
from twinflow.jit._compile import Compiled


@dataclass
class Finding:
    """An operation that made something wrong.

    Attributes:
        kind: "not finite" (its inputs were finite, its result is not) or "differs" (the kernel's result is not the
            reference's, beyond rounding).
        op: the primitive.
        line: the user's line.
        detail: what was found, with the ranges of the inputs.
    """

    kind: str
    op: str
    line: str
    detail: str

    def __str__(self) -> str:
        where = f"\n  at {self.line}" if self.line else ""
        return f"{self.kind}: {self.op}: {self.detail}{where}"


@dataclass
class Replay:
    """What a replay found, in the order of the operations. `result` is what the step returned."""

    findings: list[Finding] = field(default_factory=list)
    operations: int = 0
    result: Any = None

    @property
    def first(self) -> Finding | None:
        """The first finding, or None if all is well."""
        return self.findings[0] if self.findings else None

    def __str__(self) -> str:
        if not self.findings:
            return f"{self.operations} operations replayed: every result finite, every kernel equal to its reference"
        more = (
            f"\n({len(self.findings) - 1} further findings follow from it or stand beside it)"
            if self.findings[1:]
            else ""
        )
        return f"{self.findings[0]}{more}"


def _range(x: Any) -> str:
    a = np.asarray(x)
    if a.size == 0:
        return f"{a.dtype}{list(a.shape)}, empty"
    wide = a.astype(np.float64) if a.dtype.kind in "fVbiu" else np.abs(a)
    finite = wide[np.isfinite(wide)]
    low_high = f"from {finite.min():.6g} to {finite.max():.6g}" if finite.size else "no finite element"
    bad = int(a.size - finite.size)
    return f"{a.dtype}{list(a.shape)} {low_high}" + (f", {bad} not finite" if bad else "")


class _Watcher:
    """Runs the interpreter beside the native program and compares each value the program stores."""

    def __init__(self, replay: Replay, rtol: float, atol: float) -> None:
        self.replay = replay
        self.rtol, self.atol = rtol, atol
        self.values: dict[Node, Any] = {}

    def begin(self, graph: Any, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        self.values = {}

        def watch(node: Node, value: Any) -> None:
            self.replay.operations += 1
            self.values[node] = value
            self._check_finite(node, value)

        inputs = [np.array(a) for a in arrays]
        self.values.update(zip(graph.graph.inputs, inputs))
        interpret(graph.graph, inputs, watch=watch)

    def _check_finite(self, node: Node, value: Any) -> None:
        if isinstance(value, tuple) or value.dtype.kind not in "fcV" or np.all(np.isfinite(value)):
            return
        operands = [self.values[x] if isinstance(x, Node) else x for x in node.inputs]
        arrays = [x for x in operands if isinstance(x, np.ndarray) and x.dtype.kind in "fcV"]
        if all(np.all(np.isfinite(x)) for x in arrays):
            given = "; ".join(f"operand {k}: {_range(x)}" for k, x in enumerate(operands))
            detail = f"the result is {_range(value)}; {given}"
            self.replay.findings.append(Finding("not finite", node.op, format_location(node.line), detail))

    def record(self, graph: Any, k: int, step: Any, start_ns: int, end_ns: int) -> None:
        for node in step.writes if step is not None else ():
            want, got = self.values.get(node), graph.memory_of(node)
            if want is None or got is None or isinstance(want, tuple) or not step.symbols:
                continue
            close = np.allclose(got.astype(want.dtype), want, self.rtol, self.atol, equal_nan=True)
            if not close and step.launches and k == _last_record(graph, step):
                gap = np.nanmax(np.abs(got.astype(np.float64) - want.astype(np.float64)))
                detail = f"the kernel's result is {_range(got)}, the reference's {_range(want)}, up to {gap:.3g} apart"
                self.replay.findings.append(Finding("differs", node.op, format_location(node.line), detail))

    def end(self, graph: Any) -> None:
        """Nothing is left to do."""


def _last_record(graph: Any, step: Any) -> int:
    return max(k for k, s in enumerate(graph.record_steps) if s is step)


def debug(fn: Callable[..., Any], *, rtol: float = 1e-3, atol: float = 1e-5) -> Callable[..., Replay]:
    """A function that runs `fn` once as a compiled step, with the interpreter beside it, and returns a `Replay`.

    The first operation whose result is not finite although its inputs were, and the first kernel whose result differs
    from its reference by more than rtol·|reference| + atol, are named with the user's line and the ranges of the inputs.
    State is updated as by an ordinary call.

    >>> import twinflow
    >>> replay = twinflow.debug(lambda x: twinflow.log(x).sum())(twinflow.tensor([1.0, -1.0]))
    >>> replay.first.op
    'log'
    """
    compiled = fn if isinstance(fn, Compiled) else Compiled(fn)
    if not callable(fn):
        raise ArgumentError(f"debug: a function is needed, not {type(fn).__name__}")

    def run(*args: Any, **kwargs: Any) -> Replay:
        # imported here because programs that never compile should not pay for the compiler
        from twinflow.lower import OBSERVERS

        replay = Replay()
        watcher = _Watcher(replay, rtol, atol)
        OBSERVERS.append(watcher)
        try:
            replay.result = compiled(*args, **kwargs)
        finally:
            OBSERVERS.remove(watcher)
        return replay

    return run
