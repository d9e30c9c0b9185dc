"""A native program ready for calls: just lowered, or found on the disk, in which case nothing is lowered, and the compiler is not
even imported, unless somebody wants to look inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import numpy as np

from twinflow.core import log, log_enabled
from twinflow.graph import Aval, Graph, Node
from twinflow.graph.passes import bound_products
from twinflow.lower._checks import Check, add_checks
from twinflow.lower._faults import Faults
from twinflow.lower._kept import Kept, find, keep, program_key
from twinflow.lower._loaded import LoadedCode
from twinflow.lower._prepare import prepared
from twinflow.lower._reference import array_at
from twinflow.lower._timing import PROGRAMS
from twinflow.runtime import UNUSED, address_of, aligned_empty, get_num_threads, pool
from twinflow.runtime._driver import GUARD, NativeProgram, control_address
from twinflow.runtime._image import Image

if TYPE_CHECKING:
    from twinflow.lower._program import Lowering
    from twinflow.lower._steps import Step

_LOWERED = ("code", "copies", "flags", "graph", "offsets", "outputs", "places", "record_steps", "steps")
_SPARES = 2  # results that are kept to serve again: a loss and the one it replaces


class Observer(Protocol):
    """Watches native programs run: see `OBSERVERS`."""

    def begin(self, graph: NativeGraph, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        """A run begins."""

    def record(self, graph: NativeGraph, k: int, step: Step | None, start_ns: int, end_ns: int) -> None:
        """Record k has run; it belongs to a step, or is a copy of a result (None)."""

    def end(self, graph: NativeGraph) -> None:
        """All records have run."""


OBSERVERS: list[Observer] = []
"""While there is an observer, programs run record by record; each run costs some microseconds more per kernel."""


class NativeGraph:
    """An executable graph: call it with the input arrays; it returns the outputs and writes state in place.

    Attributes:
        lowering: how it came about, with its `graph`, `steps` and the rest, which can be read here too; None as long as nobody
            wanted to know, if the program comes from the disk.
        arena: memory for intermediate values.
        observers: `OBSERVERS`.
        written: numbers of the inputs that a run writes.
        image: the program before it was linked.
        threads: how many may take part in a run.
        results: (number in the io table, Aval) of each output, those of index checks last; (-1, value) for a constant.
        faults: what went wrong in the latest run, here or in a nested program; `errors` are those of references.
        may_fail: whether the alarm can be raised.
    """

    def __init__(self, graph: Graph, checks: Sequence[Check] = (), faults: Faults | None = None) -> None:
        self._take_faults(faults)
        self._lowered: Callable[[], tuple[Graph, Sequence[Check]]] = lambda: (graph, checks)
        self._build()

    def _take_faults(self, faults: Faults | None, kept: list[Check] | None = None) -> None:
        self._is_part = faults is not None
        self.faults = Faults(checks=kept or []) if faults is None else faults
        self.errors, self.raised = self.faults.errors, self.faults.raised

    @classmethod
    def of_kept(cls, kept: Kept, lowered: Callable[[], tuple[Graph, Sequence[Check]]]) -> NativeGraph:
        """A program from the disk. `lowered` gives its graph and checks when somebody wants to look inside."""
        native = cls.__new__(cls)
        native._take_faults(None, kept.alarms)
        native._lowered, native.lowering = lowered, None
        native.threads, native.checks = get_num_threads(), kept.checks
        native.results, native.written = kept.results, kept.written
        try:
            arena = aligned_empty(max(kept.image.arena_nbytes, 64), np.uint8)
        except MemoryError:
            native._build()  # which says what needs so much
            return native
        native._link(kept.image, kept.code, arena, _linked_parts(kept.image, kept.code, native.faults), kept.code)
        return native

    def again(self) -> NativeGraph:
        """The same program with memory of its own, so that both can run at the same time."""
        other = type(self).__new__(type(self))
        other._take_faults(self.faults)
        other._lowered, other.lowering = self._lowered, self.lowering
        other.threads, other.checks, other.results, other.written = (
            self.threads,
            self.checks,
            self.results,
            self.written,
        )
        image = self.image.again()
        arena = aligned_empty(max(image.arena_nbytes, 64), np.uint8)
        other._link(image, self.code, arena, _linked_parts(image, self.code, self.faults), self.program)
        return other

    def __getattr__(self, name: str) -> Any:
        if name not in _LOWERED:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.look_inside()
        return getattr(self.lowering, name)

    def look_inside(self) -> None:
        """Lower a program that came from the disk, so that its steps can be read."""
        if self.lowering is None:
            self._build()

    def _build(self) -> None:
        # imported here because programs that were compiled before should not pay for the compiler
        from twinflow.lower._program import Lowering

        graph, checks = self._lowered()
        if not self._is_part:
            self.faults.checks.clear()  # what an earlier program said by its alarm
        made = Lowering(graph, checks, self.faults, lambda nested: NativeGraph(nested, faults=self.faults))
        self.lowering: Lowering | None = made
        self.threads, self.checks, self.results, self.written = made.threads, checks, made.results, made.written
        self._link(made.image, made.code, made.arena, made.parts, made.keep)
        made.connect(self._words)

    def _link(
        self, image: Image, code: LoadedCode, arena: np.ndarray[Any, Any], parts: list[NativeProgram], keep: Any
    ) -> None:
        self.image, self.arena, self.arena_nbytes, self.n_io = image, arena, image.arena_nbytes, image.n_io
        self.program, self._words = image.link(_address_in(code), arena, self.faults.alarm, parts, keep)
        self.may_fail = bool(self.faults.checks)
        self.observers = OBSERVERS
        self.bound: list[Any] = [None] * self.n_io  # the arrays whose addresses stand in the io table
        self.spares: list[list[np.ndarray[Any, Any]]] = [[] for _ in range(self.n_io)]
        self._places = [(number, out, self.spares[number]) for number, out in self.results]
        self.pool = pool()

    # -- running -----------------------------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[Any]:
        """The graph's outputs (in new arrays); writes go into the input arrays themselves."""
        self.prepare()
        program = self.program
        io, bound = program.io, self.bound
        fixed = None
        for i, a in enumerate(arrays):
            if a is bound[i]:
                continue
            if not a.flags.c_contiguous:
                if fixed is None:
                    fixed = []
                fixed.append((i, a))
                a = np.ascontiguousarray(a)
            bound[i] = a
            io[i] = address_of(a)
        results = [out if number < 0 else self.place_result(number, out) for number, out in self.results]
        if OBSERVERS:
            self._run_observed(arrays)
        else:
            program.run()
        if self.errors or self.raised[0]:
            self.raise_error()
        if self.checks:
            self._check(results)
        for i, original in fixed or ():
            if i in self.written:
                original[...] = bound[i]
            bound[i] = None
        return results

    def _check(self, results: list[Any]) -> None:
        """Raise the error of an index that was outside; else take the flags, which nobody sees, from the results."""
        for check, flag in zip(self.checks, results[-len(self.checks) :]):
            if flag:
                raise check.error()
        del results[-len(self.checks) :]

    def prepare(self) -> None:
        """Before a call: kernels have memory to work in for each thread, so with more threads the program is linked anew."""
        if get_num_threads() > self.threads or (OBSERVERS and self.lowering is None):
            self._build()

    def place_result(self, number: int, aval: Aval) -> np.ndarray[Any, Any]:
        """An array for the result with this number in the io table: one of an earlier call once nobody else holds it."""
        spares = self.spares[number]
        for k in range(len(spares)):
            if getrefcount(spares[k]) == UNUSED:
                array = spares[k]
                break
        else:
            array = aligned_empty(aval.shape, aval.dtype.np)
            if len(spares) < _SPARES:
                spares.append(array)
        self.program.io[number] = address_of(array)
        return array

    def raise_error(self) -> NoReturn:
        """Raise what went wrong in the latest run."""
        raise self.faults.take()

    def run_once(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[Any]:
        """The same as a call, for programs of eager operations, which write no state: nothing is remembered of the arrays,
        because they hardly come again. A program is run either by calls or by this.
        """
        if not self.pool.started or OBSERVERS:
            self.prepare()
            _ = self.pool.address
        program = self.program
        io = program.io
        copies = []
        for i, a in enumerate(arrays):
            if not a.flags.c_contiguous:
                a = np.ascontiguousarray(a)
                copies.append(a)
            io[i] = address_of(a)
        results = []
        for number, out, spares in self._places:
            if number < 0:
                results.append(out)
            elif spares and getrefcount(spares[0]) == UNUSED:
                io[number] = address_of(spares[0])
                results.append(spares[0])
            else:
                results.append(self.place_result(number, out))
        if OBSERVERS:
            self._run_observed(arrays)
        else:
            program.enter(program.frame)
        if self.errors or (self.may_fail and self.raised[0]):
            self.raise_error()
        if self.checks:
            self._check(results)
        return results

    def _run_observed(self, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        """Record by record, so that observers see the time of each and the values it made."""
        observers = list(OBSERVERS)
        for o in observers:
            o.begin(self, arrays)
        for k in range(len(self.program.records)):
            start = perf_counter_ns()
            self.program.run_record(k)
            end = perf_counter_ns()
            step = self.record_steps[k] if k < len(self.record_steps) else None
            for o in observers:
                o.record(self, k, step, start, end)
            guards = self.program.records[k]["kind"] == GUARD
            if guards and (self.raised[0] or any(_holds(self.memory_of(f)) for f in self.flags)):
                break
        for o in observers:
            o.end(self)

    def memory_of(self, node: Node) -> np.ndarray[Any, Any] | None:
        """The memory of a node during a run, as an array; None for nodes that are never stored."""
        place = self.places.get(node)
        if place is None or not isinstance(node.aval, Aval):
            return None
        if place.array is not None:
            return place.array.reshape(node.aval.shape)
        address = int(self.program.io[place.at]) if place.kind == "io" else address_of(self.arena) + place.at
        return array_at(address, node.aval.shape, node.aval.dtype.np)

    def memory_plan(self) -> str:
        """The arena and the values in it, by offset; and the memory of the program's own constants."""
        rows = []
        for node, place in self.places.items():
            if place.kind == "arena" and isinstance(node.aval, Aval):
                rows.append(
                    (place.at, node.aval.size * node.aval.dtype.itemsize, f"{node!r} = {node.op} {node.aval!r}")
                )
        own = sum(p.array.nbytes for p in self.places.values() if p.array is not None)
        head = f"arena {self.arena_nbytes} bytes, constants {own} bytes"
        return "\n".join([head, *(f"{at:>12} +{n:<12} {what}" for at, n, what in sorted(rows))])

    def describe(self) -> str:
        """One line a kernel: what it computes and how."""
        rows = []
        for s in self.steps:
            how = "reference" if s.interpreted else s.name
            name = s.symbols[0][:9] if s.symbols else s.name
            rows.append(f"{how:9s} {name:12s} {', '.join(f'{n!r}={n.op}' for n in s.nodes)}")
            if s.control is not None:
                texts = dict.fromkeys(part.describe() for part in s.control.parts)  # parts of rows are alike
                rows += ["    " + line for text in texts for line in text.split("\n")]
        return "\n".join(rows)


def _address_in(code: LoadedCode) -> Callable[[str], int]:
    """Where functions lie, by the names that images have for them."""
    return lambda name: control_address(name[1:]) if name.startswith("@") else code.address(name)


def _linked_parts(image: Image, code: LoadedCode, faults: Faults) -> list[NativeProgram]:
    """The nested programs of an image, each with an arena of its own."""
    parts = []
    for part, repeat, io_step in image.parts:
        arena = aligned_empty(max(part.arena_nbytes, 64), np.uint8)
        program, _ = part.link(_address_in(code), arena, faults.alarm, _linked_parts(part, code, faults), code)
        program.set_repeat(repeat)
        program.io_step[: len(io_step)] = io_step
        parts.append(program)
    return parts


def _holds(flag: np.ndarray[Any, Any] | None) -> bool:
    return flag is not None and bool(flag)


def compile_graph(graph: Graph) -> NativeGraph:
    """A graph as a native program: index checks, passes, kernels."""

    def lowered() -> tuple[Graph, Sequence[Check]]:
        checked, checks = add_checks(graph)
        return prepared(bound_products(checked)), checks

    key = program_key(graph)
    kept = find(key, graph) if key is not None else None
    if kept is not None:
        log("compile", f"{graph.name}: from the cache, arena {kept.image.arena_nbytes} bytes")
        native = NativeGraph.of_kept(kept, lowered)
        PROGRAMS.add(native)
        return native
    native = NativeGraph(*lowered())
    PROGRAMS.add(native)
    if key is not None:
        keep(key, graph, native)
    if log_enabled("compile"):
        slow = sorted({s.name for s in native.steps if s.interpreted})
        log(
            "compile",
            f"{graph.name}: {len(native.steps)} kernels, arena {native.arena_nbytes} bytes"
            + (f"; on their references: {', '.join(slow)}" if slow else ""),
        )
    return native
