"""A graph as a native program: kernels emitted and loaded, memory planned, argument blocks filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinflow.core import format_location
from twinflow.core.errors import OutOfMemory
from twinflow.graph import Aval, Graph, Node
from twinflow.lower._checks import Check
from twinflow.lower._code import Code
from twinflow.lower._control import Frame
from twinflow.lower._faults import Faults
from twinflow.lower._fuse import Fuser, Plan
from twinflow.lower._launch import Scratch
from twinflow.lower._library import LibraryCall
from twinflow.lower._memory import Request, in_units, plan_memory
from twinflow.lower._reference import reference_call
from twinflow.lower._steps import Step, build_steps
from twinflow.runtime import address_of, aligned_empty, available_memory, get_num_threads
from twinflow.runtime._driver import CHUNKED, COPY, FOREIGN, GUARD, WHOLE, NativeProgram
from twinflow.runtime._image import Image
from twinflow.runtime._library import HEAD

_LARGE_ARENA = 1 << 28  # bytes from which on it is worth asking how much memory is free


@dataclass
class Place:
    """Where a node's elements lie: in the arena, in an array of the caller's (`io`), or in an array of the program's own."""

    kind: str  # "arena", "io" or "own"
    at: int = 0  # offset in the arena, or number in the io table
    array: np.ndarray[Any, Any] | None = None
    undefined: bool = False  # whether that array is written before it is read


class Lowering:
    """How a graph becomes a program: its steps, where values lie, and the image.

    Args:
        graph: after its passes; the last outputs are the flags of `checks`.
        faults: where it is noted what goes wrong in a run.
        lower: makes native graphs of nested ones.

    Attributes:
        steps: the kernel calls, in order.
        threads: how many may take part in a run.
        results: (number in the io table, Aval) of each output, those of index checks last; (-1, value) for a constant.
        written: numbers of the inputs that a run writes.
        image: the program, to be linked with `arena` and `parts`; `keep` must live as long as it.
    """

    def __init__(self, graph: Graph, checks: Sequence[Check], faults: Faults, lower: Callable[[Graph], Any]) -> None:
        self.graph, self.checks, self.faults = graph, checks, faults
        self.written = {i for i, node in enumerate(graph.inputs) if node in graph.writes}
        self.threads = get_num_threads()
        plan = Fuser(graph, has_own_kernel).plan()
        steps = build_steps(graph, plan, lower)
        self.flags = list(
            dict.fromkeys(f for f in graph.outputs[len(graph.outputs) - len(checks) :] if isinstance(f, Node))
        )
        self.steps, self.n_before_guards = _checks_first(steps, self.flags)
        self.code = Code()
        for step in self.steps:
            step.symbols = [self.code.add(launch.source) for launch in step.launches]
        self.code.load()
        self._place(plan)
        self._write()

    # -- memory ------------------------------------------------------------------------------------------------

    def _place(self, plan: Plan) -> None:
        graph = self.graph
        self.places: dict[Node, Place] = {n: Place("io", i) for i, n in enumerate(graph.inputs)}
        n_io = len(graph.inputs)
        made = {n: i for i, s in enumerate(self.steps) for n in s.writes}
        last = dict(made)
        for i, s in enumerate(self.steps):
            for n in s.reads:
                last[n] = max(last.get(n, -1), i)
        for node in graph.nodes:
            if node.op == "constant":
                self.places[node] = Place("own", array=np.ascontiguousarray(node.params["value"]))
            elif node in plan.stored and node not in made and isinstance(node.aval, Aval) and node.aval.size == 0:
                self.places[node] = Place("own", array=np.zeros(node.aval.shape, node.aval.dtype.np))
        for n in graph.results:  # an old value that is itself a result is read after the last step
            if isinstance(n, Node) and n.prim is None:
                last[n] = len(self.steps)
        # results: outputs in arrays of their own, writes directly into the state they replace where that is safe
        self.copies: list[tuple[Node, Any]] = []  # (written input, value) that must be copied after the last step
        for target, value in graph.writes.items():
            direct = (
                isinstance(value, Node)
                and value in made
                and value not in self.places
                and last.get(target, -1) <= made[value]
                and self.steps[made[value]].may_overwrite(target, value)
                and made[value] >= self.n_before_guards  # a step that is stopped has written nothing
            )
            if direct:
                self.places[value] = self.places[target]
            else:
                self.copies.append((target, value))
        self.outputs: list[tuple[int, Aval, Any]] = []  # (io number, aval, the node if it must be copied from)
        for value in graph.outputs:
            aval = value.aval if isinstance(value, Node) else None
            if aval is None:
                self.outputs.append((-1, Aval((), graph.inputs[0].aval.dtype), value))
                continue
            if value in made and value not in self.places:
                self.places[value] = Place("io", n_io)
                self.outputs.append((n_io, aval, None))
            else:
                self.outputs.append((n_io, aval, value))
            n_io += 1
        end = len(self.steps)
        copied = {v for _, v in self.copies} | {v for _, _, v in self.outputs if isinstance(v, Node)}
        requests: dict[Any, Request] = {}
        for node, first in made.items():
            if node not in self.places:
                until = end if node in copied else last[node]
                requests[node] = Request(node, node.aval.size * node.aval.dtype.itemsize, first, until)
        shared = self._overwrite(requests)
        for i, step in enumerate(self.steps):
            for scratch in step.scratch:
                requests[scratch] = Request(scratch, scratch.nbytes, i, i)
            for launch, symbol in zip(step.launches, step.symbols):
                if launch.workspace is not None:
                    need = self.code.workspace_nbytes(symbol, get_num_threads())
                    requests[id(launch)] = Request(launch, need, i, i)
        self.arena_nbytes = plan_memory(list(requests.values()))
        self.offsets = {key: r.offset for key, r in requests.items()}
        for node, owner in shared.items():
            self.offsets[node] = self.offsets[owner]
        for node in made:
            if node not in self.places:
                self.places[node] = Place("arena", self.offsets[node])
        self.arena = self._allocate(list(requests.values()))
        self.n_io = n_io
        self.results = [(io, aval if io >= 0 else value) for io, aval, value in self.outputs]

    def _allocate(self, requests: list[Request]) -> np.ndarray[Any, Any]:
        """The arena; an error that names its largest buffers if the machine has no such memory."""
        there = available_memory() if self.arena_nbytes > _LARGE_ARENA else None
        try:
            if there is not None and self.arena_nbytes > there:
                raise MemoryError
            return aligned_empty(max(self.arena_nbytes, 64), np.uint8)
        except MemoryError:
            rows = [
                f"  {in_units(r.nbytes)} {r.key!r} = {r.key.op} {r.key.aval!r}  {format_location(r.key.line)}".rstrip()
                for r in sorted(requests, key=lambda r: -r.nbytes)
                if isinstance(r.key, Node)
            ]
            raise OutOfMemory(
                f"compile: {self.graph.name} needs {in_units(self.arena_nbytes)} for intermediate values"
                + (f", and {in_units(there)} are free" if there is not None else "")
                + ". Use smaller batches, or utils.checkpoint, which keeps less for the backward pass. The largest buffers:\n"
                + "\n".join(rows[:5])
            ) from None

    def _overwrite(self, requests: dict[Any, Request]) -> dict[Node, Node]:
        """Results that take the memory of an operand which dies where they are made: {result: whose memory it is}."""
        owner: dict[Node, Node] = {}
        for i, step in enumerate(self.steps):
            dying = [x for x in step.reads if x in requests or x in owner]
            dying = [x for x in dying if requests[owner.get(x, x)].last == i]
            for node in step.writes:
                if node not in requests:
                    continue
                for x in dying:
                    memory = requests[owner.get(x, x)]
                    if memory.nbytes == requests[node].nbytes and step.may_overwrite(x, node):
                        memory.last = requests.pop(node).last
                        owner[node] = owner.get(x, x)
                        dying.remove(x)
                        break
        return owner

    # -- the image -----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        image = Image()
        image.n_io, image.arena_nbytes = self.n_io, self.arena_nbytes
        image.symbols = self.code.symbols
        self.record_steps: list[Step | None] = []  # what each record belongs to, for profiles
        self.parts = parts = list[NativeProgram]()
        self._references: list[tuple[slice, list[Any]]] = []  # words, and where the callback looks for them
        self.keep: list[Any] = [self.code]

        def record(kind: int, function: str, block: int, count: int, step: Step | None) -> None:
            image.record(kind, function, block, count)
            self.record_steps.append(step)

        def guards() -> None:
            for flag in self.flags:
                record(GUARD, "", self._block(image, [(flag, 0)]), 0, None)

        def alarm_guard(step: Step) -> None:
            block = image.block(1)
            image.alarm(block)
            record(GUARD, "", block, 0, step)

        for i, step in enumerate(self.steps):
            if i == self.n_before_guards:
                guards()
            if step.given is not None:
                record(WHOLE, "@alarm", self._alarm_block(image, *step.given), 0, step)
                alarm_guard(step)
            for launch, symbol in zip(step.launches, step.symbols):
                if launch.copies is not None and self._is_same_memory(*launch.copies):
                    continue
                block = image.block(launch.slots)
                for a in launch.arguments:
                    self._fill(image, block + a.slot, a.of, a.offset)
                if launch.workspace is not None:
                    image.arena(block + launch.workspace, self.offsets[id(launch)])
                if launch.source.chunked:
                    sizes = np.zeros(launch.slots, np.uint64)
                    for a in launch.arguments:
                        sizes[a.slot] = a.of if isinstance(a.of, int) else 0
                    record(CHUNKED, symbol, block, self.code.chunks(symbol, address_of(sizes)), step)
                else:
                    record(WHOLE, symbol, block, 0, step)
            if step.control is not None:
                for target, source in step.control.copies:
                    record(*self._copy(image, target, source), step)
                first = len(parts)
                for part in step.control.parts:
                    parts.append(part.program)
                    image.parts.append((part.image, part.program.repeat, part.program.io_step.tolist()))
                block = image.block(step.control.n_slots)
                for k, slot in enumerate(step.control.slots):
                    if isinstance(slot, Frame):
                        image.frame(block + k, first + slot.part)
                    else:
                        self._fill(image, block + k, *(slot if isinstance(slot, tuple) else (slot,)))
                record(WHOLE, step.control.function, block, 0, step)
            elif step.library is not None:
                if step.library.copy is not None:
                    record(*self._copy(image, *step.library.copy), step)
                record(CHUNKED, "@library", self._library_block(image, step.library), step.library.chunks, step)
            elif step.moves:
                record(*self._copy(image, step.writes[0], step.reads[0]), step)
            elif not step.launches:
                block = self._block(image, [(x, 0) for x in step.reads + step.writes])
                where: list[Any] = []
                callback, image.callbacks[f"reference{block}"] = reference_call(step, where, self.faults.errors)
                self._references.append((slice(block, block + len(step.reads + step.writes)), where))
                self.keep.append(callback)
                record(FOREIGN, f"reference{block}", block, 0, step)
            if step.may_fail and (step.library is not None or step.control is not None):
                alarm_guard(step)
        if self.n_before_guards == len(self.steps):  # what is copied into state comes after them
            guards()
        for io, aval, value in self.outputs:
            if isinstance(value, Node):
                out = Node(self.graph, None, (), {}, aval)
                self.places[out] = Place("io", io)
                image.record(*self._copy(image, out, value))
        for target, value in self._staged(image):
            image.record(*self._copy(image, target, value))
        self.image = image

    def connect(self, words: np.ndarray[Any, Any]) -> None:
        """Tell references where their argument blocks lie, once the image is linked."""
        for block, where in self._references:
            where.append(words[block])

    def _fill(self, image: Image, word: int, of: Node | Scratch | int, offset: int = 0) -> None:
        """A word of an argument block: a number, or the address of a node's memory, or of scratch, from a byte on."""
        if isinstance(of, int):
            image.number(word, of)
        elif isinstance(of, Scratch):
            image.arena(word, self.offsets[of] + offset)
        else:
            place = self.places[of]
            if place.array is not None:
                image.array(word, place.array, offset, undefined=place.undefined)
            elif place.kind == "io":
                image.argument(word, place.at, offset)
            else:
                image.arena(word, place.at + offset)

    def _block(self, image: Image, of: Sequence[tuple[Node, int]]) -> int:
        block = image.block(max(len(of), 1))
        for k, (node, offset) in enumerate(of):
            self._fill(image, block + k, node, offset)
        return block

    def _alarm_block(self, image: Image, flag: Node, check: Check) -> int:
        block = image.block(3)
        image.alarm(block)
        image.number(block + 1, self.faults.add(check))
        self._fill(image, block + 2, flag)
        return block

    def _library_block(self, image: Image, call: LibraryCall) -> int:
        """What `tf_library` reads (see `runtime._library.HEAD`)."""
        head, tail = call.words
        block = image.block(call.n_slots)
        image.loop(block, call.loop)
        for k, number in enumerate(head):
            image.number(block + 2 + k, number)
        if call.failure is not None:
            image.alarm(block + 8)
            image.number(block + 9, self.faults.add(call.failure))
        for k, node in enumerate(call.operands):
            self._fill(image, block + HEAD + k, node)
        for k, number in enumerate(tail):
            image.number(block + HEAD + len(call.operands) + k, number)
        return block

    def _is_same_memory(self, a: Node, b: Node) -> bool:
        x, y = self.places[a], self.places[b]
        return x is y or (x.kind == y.kind == "arena" and x.at == y.at)

    def _staged(self, image: Image) -> list[tuple[Node, Any]]:
        """The final copies of state; a state's old value that another state receives is set aside first."""
        out = []
        for target, value in self.copies:
            if isinstance(value, Node) and value is not target and value in self.graph.writes:
                kept = Node(self.graph, None, (), {}, value.aval)
                self.places[kept] = Place(
                    "own", array=aligned_empty(value.aval.shape, value.aval.dtype.np), undefined=True
                )
                image.record(*self._copy(image, kept, value))
                value = kept
            out.append((target, value))
        return out

    def _copy(self, image: Image, target: Node, value: Any) -> tuple[int, str, int, int]:
        if not isinstance(value, Node):
            node = Node(self.graph, None, (), {}, target.aval)
            self.places[node] = Place("own", array=np.full(target.aval.shape, value, target.aval.dtype.np))
            value = node
        block = self._block(image, [(target, 0), (value, 0)])
        return (COPY, "", block, target.aval.size * target.aval.dtype.itemsize)


def _checks_first(steps: list[Step], flags: list[Node]) -> tuple[list[Step], int]:
    """The steps with those in front that may fail or that the flags of checks need, and how many these are: a program that
    meets a wrong index, or a matrix that has no factors, ends before it updates anything."""
    wanted: set[Node] = set(flags)
    needed = [False] * len(steps)
    for i in range(len(steps) - 1, -1, -1):
        if steps[i].may_fail or not wanted.isdisjoint(steps[i].writes):
            needed[i] = True
            wanted.update(steps[i].reads)
    front = [s for s, n in zip(steps, needed) if n]
    return front + [s for s, n in zip(steps, needed) if not n], len(front)


def has_own_kernel(node: Node) -> bool:
    """Whether a node is not part of a fused group."""
    return node.op in ("matmul", "constant")
