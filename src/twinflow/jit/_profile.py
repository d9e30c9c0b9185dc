"""`twinflow.profile()`: where the time of compiled steps goes, kernel by kernel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twinflow.core import format_location
from twinflow.graph import Node

_TRIVIAL = frozenset(
    ["reshape", "permute", "expand", "slice", "pad", "concat", "copy", "cast", "full", "iota", "constant"]
)


@dataclass
class KernelTime:
    """What a profile knows of one kernel.

    Attributes:
        name: the kind of kernel, and its symbol.
        ops: the primitives it computes.
        line: the user's line of the last of them.
        calls, total_ns: how often it ran, and for how long in all.
        flops: floating-point operations a call (a multiply-add counts 2; every elementwise function counts 1).
        nbytes: bytes read and written a call, each operand and result once.
    """

    name: str
    ops: str
    line: str
    flops: int
    nbytes: int
    calls: int = 0
    total_ns: int = 0

    @property
    def gflops(self) -> float:
        """10⁹ floating-point operations a second."""
        return self.flops * self.calls / max(self.total_ns, 1)

    @property
    def gbytes(self) -> float:
        """10⁹ bytes a second."""
        return self.nbytes * self.calls / max(self.total_ns, 1)


def _node_flops(node: Node) -> int:
    if node.op in _TRIVIAL or type(node.aval) is tuple:
        return 0
    if node.op == "matmul":
        return 2 * int(node.aval.size) * int(node.inputs[0].aval.shape[-1])
    if node.op in ("conv_last", "conv_input_last", "conv_weight_last"):  # y [N, *S, O]
        x, w = node.inputs[0].aval, node.inputs[1].aval
        y, filters = {"conv_last": (node.aval, w), "conv_input_last": (x, w)}.get(node.op, (w, node.aval))
        return 2 * int(y.size) * int(filters.size) // int(y.shape[-1])
    return max(int(node.aval.size), *[int(x.aval.size) for x in node.inputs if isinstance(x, Node)], 0)


def _nbytes(node: Node) -> int:
    return int(node.aval.size) * int(node.aval.dtype.itemsize) if type(node.aval) is not tuple else 0


class profile:
    """Measure every kernel of the compiled functions called within.

    Each kernel runs and is timed by itself, so a step takes some microseconds longer for each of its kernels than it does
    without a profile. Eager operations are not measured.

    >>> import twinflow
    >>> f = twinflow.compile(lambda x: twinflow.softmax(x @ x, 1))
    >>> with twinflow.profile() as p:
    ...     _ = f(twinflow.ones(32, 32))
    >>> len(p.kernels)
    2
    """

    def __init__(self) -> None:
        self._kernels: dict[tuple[int, int], KernelTime] = {}
        self._events: list[tuple[str, int, int]] = []
        self._alive: list[Any] = []
        self._limits: Any = None

    def __enter__(self) -> profile:
        # imported here because programs that never compile should not pay for the compiler
        from twinflow.lower import OBSERVERS

        OBSERVERS.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        from twinflow.lower import OBSERVERS

        OBSERVERS.remove(self)

    # -- as an observer of native programs ----------------------------------------------------------------------

    def begin(self, graph: Any, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        """A run begins."""
        self._alive.append(graph)

    def record(self, graph: Any, k: int, step: Any, start_ns: int, end_ns: int) -> None:
        """One kernel has run."""
        key = (id(graph), id(step) if step is not None else -1 - k)
        known = self._kernels.get(key)
        if known is None:
            known = self._kernels[key] = _describe(step)
        known.calls += 1
        known.total_ns += end_ns - start_ns
        self._events.append((known.name, start_ns, end_ns))

    def end(self, graph: Any) -> None:
        """The run has ended."""

    # -- results -----------------------------------------------------------------------------------------------

    @property
    def kernels(self) -> list[KernelTime]:
        """What was measured, the slowest first."""
        return sorted(self._kernels.values(), key=lambda k: -k.total_ns)

    def table(self, rows: int = 30) -> str:
        """The slowest kernels as text, with their share of what this machine can do (measured on the first call)."""
        if self._limits is None:
            from twinflow.runtime import measure_limits

            self._limits = measure_limits()
        total = sum(k.total_ns for k in self.kernels) or 1
        lines = [f"{'time':>10} {'share':>6} {'calls':>6} {'GFLOP/s':>8} {'GB/s':>7} {'of peak':>8}  kernel"]
        for k in self.kernels[:rows]:
            peak = max(k.gflops * 1e9 / self._limits.all_flops, k.gbytes * 1e9 / self._limits.all_read_nbytes_per_s)
            where = f"    {k.line}" if k.line else ""
            lines.append(
                f"{k.total_ns / 1e3 / k.calls:8.1f}us {k.total_ns / total:6.1%} {k.calls:6d} {k.gflops:8.1f} {k.gbytes:7.1f} "
                f"{peak:8.1%}  {k.name}: {k.ops}{where}"
            )
        return "\n".join(lines)

    __str__ = table

    def export_chrome_trace(self, path: str | Path) -> None:
        """Write the events for a browser's trace viewer (chrome://tracing, Perfetto)."""
        events = [
            {"name": name, "ph": "X", "ts": start / 1e3, "dur": (end - start) / 1e3, "pid": 0, "tid": 0}
            for name, start, end in self._events
        ]
        Path(path).write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}))


def _describe(step: Any) -> KernelTime:
    if step is None:
        return KernelTime("copy", "a result", "", 0, 0)
    symbol = f" {step.symbols[0][:9]}" if step.symbols else ""
    ops = [n.op for n in step.nodes if n.op not in _TRIVIAL] or [n.op for n in step.nodes]
    shown = ", ".join(ops[:6]) + (f", ... {len(ops)} in all" if len(ops) > 6 else "")
    name = ("reference " if step.interpreted else "") + step.name + symbol
    line = format_location(step.nodes[-1].line)
    return KernelTime(
        name, shown, line, sum(_node_flops(n) for n in step.nodes), sum(_nbytes(n) for n in {*step.reads, *step.writes})
    )
