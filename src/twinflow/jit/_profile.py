"""`twinflow.profile()`: where the time of compiled steps goes, kernel by kernel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twinflow.core import format_location
from twinflow.graph import Node

_TRIVIAL = frozenset(
    ["reshape", "permute", "expand", "slice", "pad", "concat", "copy", "cast", "full", "iota", "constant"]
)
_PARTIAL = frozenset(
    ["take", "gather", "put_add", "scatter", "scatter_add"]
)  # they touch a part of their first operand


@dataclass
class KernelTime:
    """What a profile knows of one kernel.

    Attributes:
        name: the kind of kernel, and its symbol.
        ops: the primitives it computes.
        line: the user's line of the last of them.
        calls, total_ns: how often it ran, and for how long in all.
        flops: floating-point operations a call (a multiply-add counts 2; every elementwise function counts 1).
        nbytes: bytes read and written a call, each operand and result once; of tables, the rows that are touched.
    """

    name: str
    ops: str
    line: str
    flops: int
    nbytes: int
    calls: int = 0
    total_ns: float = 0

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
    if node.op in _PARTIAL:
        return int(_part(node).aval.size)
    return max(int(node.aval.size), *[int(x.aval.size) for x in node.inputs if isinstance(x, Node)], 0)


def _nbytes(node: Node) -> int:
    return int(node.aval.size) * int(node.aval.dtype.itemsize) if type(node.aval) is not tuple else 0


def _part(node: Node) -> Node:
    """What passes between memory and an operation that touches a part of its first operand: the result, or the updates."""
    return node if node.op in ("take", "gather") else node.inputs[2]


def _read_nbytes(step: Any, node: Node) -> int:
    users = [n for n in step.nodes if node in n.inputs]
    if users and all(n.op in _PARTIAL and n.inputs[0] is node for n in users):
        return min(sum(_nbytes(_part(n)) for n in users), _nbytes(node))
    return _nbytes(node)


def _written_nbytes(node: Node) -> int:
    return _nbytes(_part(node)) if node.op in ("put_add", "scatter", "scatter_add") else _nbytes(node)


class profile:
    """Measure every kernel of the compiled programs that run within, those in the bodies of loops and those of large eager
    operations included.

    The programs run as they always do and note the times themselves, which takes them some hundredths of a microsecond a kernel.

    >>> import twinflow
    >>> f = twinflow.compile(lambda x: twinflow.softmax(x @ x, 1))
    >>> with twinflow.profile() as p:
    ...     _ = f(twinflow.ones(32, 32))
    >>> len(p.kernels)
    2
    """

    def __init__(self) -> None:
        self._kernels: list[KernelTime] = []
        self._events: list[tuple[str, float, float]] = []
        self._limits: Any = None

    def __enter__(self) -> profile:
        # imported here because programs that never compile should not pay for the compiler
        from twinflow.lower import Timing

        self._timing = Timing()
        self._timing.start()
        return self

    def __exit__(self, *exc: object) -> None:
        of_step: dict[int, KernelTime] = {}
        counted: dict[tuple[int, int], int] = {}
        for step, program, calls, ns, events in self._timing.stop():
            known = of_step.get(id(step)) if step is not None else None
            if known is None:  # else: another record of the same step
                known = of_step[id(step)] = _describe(step)
                self._kernels.append(known)
            # records of one program run together, as where a loop's carries are copied first; parts of rows count each
            before = counted.get((id(known), program), 0)
            counted[id(known), program] = max(before, calls)
            known.calls += max(calls - before, 0)
            known.total_ns += ns
            self._events += [(known.name, start, end) for start, end in events]

    # -- results -----------------------------------------------------------------------------------------------

    @property
    def kernels(self) -> list[KernelTime]:
        """What was measured, the slowest first."""
        return sorted(self._kernels, key=lambda k: -k.total_ns)

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
        """Write the events (the first 100,000) for a browser's trace viewer (chrome://tracing, Perfetto)."""
        events = [
            {"name": name, "ph": "X", "ts": start / 1e3, "dur": (end - start) / 1e3, "pid": 0, "tid": 0}
            for name, start, end in sorted(self._events, key=lambda e: e[1])
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
    nbytes = sum(_read_nbytes(step, n) for n in set(step.reads) - set(step.writes)) + sum(
        map(_written_nbytes, set(step.writes))
    )
    return KernelTime(name, shown, line, sum(map(_node_flops, step.nodes)), nbytes)
