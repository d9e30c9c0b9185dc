"""What an emitted kernel looks like from outside: its entry, its phases, its workspace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from twinflow.compiler.contraction._text import Function, Module, Value

SLOT: Final = {"a": 0, "b": 1, "c": 2, "workspace": 3, "m": 4, "n": 5, "k": 6, "batch": 7}
"""Slots (8 bytes each) at the start of a kernel's context; operands of the epilogue follow from slot 8."""

SCALAR: Final = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "bfloat"}
"""LLVM's names of the element types."""


@dataclass(frozen=True)
class Phase:
    """A part of a kernel whose chunks may run at the same time; phases follow one another.

    Args:
        function: symbol of ``void (ptr ctx, i64 chunk, i64 worker)``.
        chunks: number of chunks, fixed by the shapes alone; None: computed by the entry at run time.
    """

    function: str
    chunks: int | None


@dataclass(frozen=True)
class Kernel:
    """An emitted kernel.

    ``void name(ptr ctx, ptr pool)`` runs it whole. `ctx` is an array of 8-byte slots (`SLOT`, then the epilogue's
    operands); extents that the specification left open are read from theirs. `pool` is null (everything runs
    here) or points to a structure whose first field is the address of
    ``void parallel(ptr pool, ptr function, ptr ctx, i64 chunks)``.

    Args:
        name: symbol of the entry.
        phases: its parts.
        flops: floating-point operations, None when an extent is open.
        shared_nbytes, worker_nbytes: workspace, once and for every worker.
    """

    name: str
    phases: tuple[Phase, ...]
    flops: int | None
    shared_nbytes: int
    worker_nbytes: int

    def workspace_nbytes(self, workers: int) -> int:
        """Bytes, aligned to 64, that slot "workspace" must point to when `workers` threads take part."""
        return self.shared_nbytes + workers * self.worker_nbytes


def round_up(n: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least n."""
    return -(-n // multiple) * multiple


def slot(f: Function, name: str) -> str:
    """Load a slot of the context: a pointer or an integer."""
    kind = "ptr" if SLOT[name] < SLOT["m"] else "i64"
    return f.op(f"load {kind}, ptr {f.shift('%ctx', SLOT[name], 'ptr')}, align 8")


def worker_space(f: Function, shared_nbytes: int, worker_nbytes: int) -> str:
    """The workspace of the worker that runs a chunk."""
    return f.shift(slot(f, "workspace"), f.add(f.mul("%worker", worker_nbytes), shared_nbytes), "i8")


def phase_function(module: Module, name: str) -> Function:
    """Start the function of a phase."""
    return Function(module, name, [("ptr", "ctx"), ("i64", "chunk"), ("i64", "worker")], quick=True)


COUNTER_NBYTES = 64
"""Room at the start of the workspace for the counter of `share_out`, a line of the cache of its own."""

MOST_SHARERS = 16
"""Chunks that `share_out` begins at most: so many workers prepare for themselves."""


def sharers(f: Function, parts: int) -> int:
    """In an entry: reset the counter of `share_out`. Returns how many chunks share the parts."""
    f.do(f"store i64 0, ptr {slot(f, 'workspace')}, align 8")
    return min(parts, MOST_SHARERS)


def share_out(f: Function, parts: int, prepare: Callable[[], None], body: Callable[[Value], None]) -> None:
    """In a chunk: prepare in the worker's space, then run ``body(part)`` for parts as long as any are left.

    So each worker prepares once, for itself: reading what another core has just written takes longer than computing it again.
    A chunk that finds nothing left returns at once.
    """
    counter = slot(f, "workspace")

    def some() -> None:
        prepare()
        f.share(counter, parts, body)

    taken = f.op(f"load atomic i64, ptr {counter} monotonic, align 8")
    f.when(f.op(f"icmp slt i64 {taken}, {parts}"), some)


def write_entry(
    module: Module, name: str, phases: Sequence[tuple[str, Value | Callable[[Function], Value]]]
) -> tuple[Phase, ...]:
    """Write ``void name(ptr ctx, ptr pool)``, which runs (function, number of chunks) one after the other."""
    f = Function(module, name, [("ptr", "ctx"), ("ptr", "pool")], internal=False, quick=True)
    done = []
    for function, count in phases:
        chunks = count(f) if callable(count) else count
        done.append(Phase(function, chunks if isinstance(chunks, int) else None))

        def serial(function: str = function, chunks: Value = chunks) -> None:
            def body(i: Value, _: list[str]) -> None:
                f.call(function, [("ptr", "%ctx"), ("i64", i), ("i64", 0)])

            f.loop(0, chunks, 1, body)

        def parallel(function: str = function, chunks: Value = chunks) -> None:
            run = f.op("load ptr, ptr %pool, align 8")
            f.do(f"call void {run}(ptr %pool, ptr @{function}, ptr %ctx, i64 {chunks})")

        if chunks == 0:
            continue
        if chunks == 1:
            serial()
            continue
        alone = f.op("icmp eq ptr %pool, null")
        together = f.op("icmp ne ptr %pool, null")
        f.when(alone, serial)
        f.when(together, parallel)
    return tuple(done)
