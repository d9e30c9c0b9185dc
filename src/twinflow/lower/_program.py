"""A graph as a native program: kernels emitted and loaded, memory planned, argument blocks filled in."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from sys import getrefcount
from typing import Any

import numpy as np

from twinflow.compiler.contraction import SLOT, Machine, emit_matmul
from twinflow.compiler.contraction import Kernel as ContractionKernel
from twinflow.compiler.contraction import Module as ContractionModule
from twinflow.compiler.loops import Module as LoopModule
from twinflow.compiler.loops import Target, emit
from twinflow.core import log, log_enabled
from twinflow.core.errors import TwinflowError
from twinflow.graph import Aval, Graph, Node
from twinflow.graph.passes import optimize
from twinflow.lower._checks import Check, add_index_checks
from twinflow.lower._fuse import Fuser, Group, Plan
from twinflow.lower._kernels import LoopCall, MatmulCall, loop_call, matmul_call
from twinflow.lower._memory import Request, plan_memory
from twinflow.runtime import (
    Executable,
    address_of,
    aligned_empty,
    cache_nbytes,
    engine,
    get_num_threads,
    host_processor,
)
from twinflow.runtime._driver import CHUNKED, COPY, PATCH, RECORD, WHOLE, NativeProgram

_SPARES = 2  # a gradient and the one it replaces
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


@dataclass
class Place:
    """Where a node's elements lie: in the arena, in an array of the caller's (`io`), or in an array of the program's own."""

    kind: str  # "arena", "io" or "own"
    at: int = 0  # offset in the arena, or number in the io table
    array: np.ndarray[Any, Any] | None = None


@dataclass
class Step:
    """One kernel call: what it reads and writes, and how it is called."""

    reads: list[Node]
    writes: list[Node]
    call: LoopCall | MatmulCall | Node
    name: str = ""
    compiled: Any = None
    nodes: list[Node] = field(default_factory=list)

    @property
    def interpreted(self) -> bool:
        """Whether the step runs on the reference because no kernel expresses it."""
        return isinstance(self.call, Node)


class NativeGraph:
    """An executable graph: call it with the input arrays; it returns the outputs and writes state in place.

    Attributes:
        steps: the kernel calls, in order.
        arena_nbytes: memory for intermediate values.
    """

    def __init__(self, graph: Graph, checks: Sequence[Check] = ()) -> None:
        self.graph = graph
        self.checks = checks  # the last outputs are their flags
        plan = Fuser(graph, _has_own_kernel).plan()
        self.steps = _steps(graph, plan)
        self._code = _Code()
        self._keep: list[Any] = []
        self._errors: list[BaseException] = []
        for step in self.steps:
            step.compiled = self._code.add(step)
        self._code.load()
        self._place(plan)
        self._link()

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
        # results: outputs in arrays of their own, writes directly into the state they replace where that is safe
        self.copies: list[tuple[Node, Any]] = []  # (written input, value) that must be copied after the last step
        for target, value in graph.writes.items():
            direct = (
                isinstance(value, Node)
                and value in made
                and value not in self.places
                and last.get(target, -1) <= made[value]
                and self._reads_in_step(made[value], target, value)
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
        requests = []
        for node, first in made.items():
            if node not in self.places:
                until = end if node in copied else last[node]
                requests.append(Request(node, node.aval.size * node.aval.dtype.itemsize, first, until))
        scratch = []
        for i, step in enumerate(self.steps):
            if isinstance(step.call, MatmulCall):
                need = step.compiled.kernel.workspace_nbytes(get_num_threads())
                scratch.append(Request(("workspace", i), need, i, i))
        self.arena_nbytes = plan_memory(requests + scratch)
        self.workspaces = {r.key: r.offset for r in scratch}
        for r in requests:
            self.places[r.key] = Place("arena", r.offset)  # type: ignore[index]
        self.arena = aligned_empty(max(self.arena_nbytes, 64), np.uint8)
        self.n_io = n_io

    def _reads_in_step(self, index: int, target: Node, value: Node) -> bool:
        """Whether the step may overwrite `target` while computing `value`: it must read it only at the element written."""
        step = self.steps[index]
        if target not in step.reads:
            return True
        if not isinstance(step.call, LoopCall):
            return False
        return _same_place_only(step.call, target, value)

    # -- linking -----------------------------------------------------------------------------------------------

    def _link(self) -> None:
        records, patches = [], []
        base = address_of(self.arena)

        def fill(block: np.ndarray[Any, Any], slot: int, node: Node, offset: int = 0) -> None:
            place = self.places[node]
            if place.kind == "io":
                patches.append((place.at, address_of(block) + 8 * slot, offset, 0))
            elif place.kind == "arena":
                block[slot] = base + place.at + offset
            else:
                block[slot] = address_of(place.array) + offset  # type: ignore[arg-type]

        for i, step in enumerate(self.steps):
            call = step.call
            if isinstance(call, LoopCall):
                block = np.zeros(max(len(call.arguments), 1), np.uint64)
                for k, node in enumerate(call.arguments):
                    fill(block, k, node)
                count = step.compiled.chunks(address_of(block))
                records.append((CHUNKED, step.compiled.address, address_of(block), count))
            elif isinstance(call, MatmulCall):
                block = np.zeros(16, np.uint64)
                size = call.node.aval.dtype.itemsize
                fill(block, SLOT["a"], call.a.base, call.a.offset * size)
                fill(block, SLOT["b"], call.b.base, call.b.offset * size)
                fill(block, SLOT["c"], call.node)
                block[SLOT["workspace"]] = base + self.workspaces[("workspace", i)]
                records.append((WHOLE, step.compiled.address, address_of(block), 0))
            else:
                n_in = len([x for x in call.inputs if isinstance(x, Node)])
                outs = step.writes
                block = np.zeros(max(n_in + len(outs), 1), np.uint64)
                for k, node in enumerate([x for x in call.inputs if isinstance(x, Node)] + outs):
                    fill(block, k, node)
                callback = self._reference(call, block, outs)
                self._keep.append(callback)
                address = ctypes.cast(callback, ctypes.c_void_p).value
                records.append((WHOLE, address, address_of(block), 0))
            self._keep.append(block)
        for target, value in self.copies:
            records.append(self._copy(fill, target, value))
        for io, aval, value in self.outputs:
            if isinstance(value, Node):
                out = Node(self.graph, None, (), {}, aval)
                self.places[out] = Place("io", io)
                records.append(self._copy(fill, out, value))
        rows = np.zeros(len(records), RECORD)
        for k, r in enumerate(records):
            rows[k]["kind"], rows[k]["function"], rows[k]["arguments"], rows[k]["count"] = r
        fixes = np.zeros(len(patches), PATCH)
        for k, p in enumerate(patches):
            fixes[k] = p
        self._bound: list[Any] = [None] * self.n_io
        self._spare: list[list[tuple[Any, int]]] = [[] for _ in range(self.n_io)]
        self._outputs = [(io, aval if io >= 0 else value) for io, aval, value in self.outputs]
        self.program = NativeProgram(rows, fixes, self.n_io, [self._keep, self._code, self.arena, self.places])

    def _copy(self, fill: Any, target: Node, value: Any) -> tuple[int, int, int, int]:
        if not isinstance(value, Node):
            node = Node(self.graph, None, (), {}, target.aval)
            self.places[node] = Place("own", array=np.full(target.aval.shape, value, target.aval.dtype.np))
            value = node
        block = np.zeros(2, np.uint64)
        fill(block, 0, target)
        fill(block, 1, value)
        self._keep.append(block)
        return (COPY, 0, address_of(block), target.aval.size * target.aval.dtype.itemsize)

    def _reference(self, node: Node, block: np.ndarray[Any, Any], outs: list[Node]) -> Any:
        """A callback that runs a node on its primitive's reference."""
        prim = node.prim
        if prim is None:
            raise TwinflowError("lower: an input has nothing to run")
        views = [(x.aval.shape, x.aval.dtype.np) for x in node.inputs if isinstance(x, Node)]
        targets = [(o.aval.shape, o.aval.dtype.np) for o in outs]

        def run(arguments: Any, pool: Any) -> None:
            if self._errors:
                return
            try:
                addresses = block.tolist()
                arrays = iter([_at(a, s, d) for a, (s, d) in zip(addresses, views)])
                operands = [next(arrays) if isinstance(x, Node) else x for x in node.inputs]
                result = prim.ref(*operands, **node.params)
                results = (result,) if prim.n_out == 1 else result
                for a, (s, d), value in zip(addresses[len(views) :], targets, results):
                    _at(a, s, d)[...] = value
            except BaseException as error:
                self._errors.append(error)

        return _CALLBACK(run)

    # -- running -----------------------------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[Any]:
        """The graph's outputs (in new arrays); writes go into the input arrays themselves."""
        program = self.program
        io, bound = program.io, self._bound
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
        results: list[Any] = []
        for number, out in self._outputs:
            if number < 0:
                results.append(out)
                continue
            # an array of an earlier call serves again once nobody else holds it: the three references are the spare
            # table's, the loop's and the call's
            for array, address in self._spare[number]:  # noqa: B007 - the address found is used below
                if getrefcount(array) <= 3:
                    break
            else:
                array = aligned_empty(out.shape, out.dtype.np)
                address = address_of(array)
                if len(self._spare[number]) < _SPARES:
                    self._spare[number].append((array, address))
            io[number] = address
            results.append(array)
        program.run()
        if self._errors:
            error = self._errors.pop()
            self._errors.clear()
            raise error
        if self.checks:
            flags = results[len(results) - len(self.checks) :]
            for check, flag in zip(self.checks, flags):
                if flag:
                    raise check.error()
            del results[len(results) - len(self.checks) :]
        for i, original in fixed or ():
            if self.graph.inputs[i] in self.graph.writes:
                original[...] = bound[i]
            bound[i] = None
        return results

    def describe(self) -> str:
        """One line a kernel: what it computes and how."""
        rows = []
        for s in self.steps:
            how = "reference" if s.interpreted else "matmul" if isinstance(s.call, MatmulCall) else "loop"
            rows.append(f"{how:9s} {s.name:12s} {', '.join(f'{n!r}={n.op}' for n in s.nodes)}")
        return "\n".join(rows)


def _at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    n = int(np.prod(shape)) * dtype.itemsize
    if not n:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_char * n).from_address(address)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)


def _has_own_kernel(node: Node) -> bool:
    return node.op in ("matmul", "constant")


def _steps(graph: Graph, plan: Plan) -> list[Step]:
    steps: list[Step] = []
    for item in plan.order:
        if isinstance(item, Group):
            stored = [m for m in item.members if m in plan.stored]
            if not stored or all(m.aval.size == 0 for m in stored):
                continue
            item.members.sort(key=lambda n: n.id)
            call = loop_call(item, plan.stored, "k")
            outs = set(call.nodes)
            steps.append(Step([a for a in call.arguments if a not in outs], call.nodes, call, nodes=list(item.members)))
        elif item.op == "constant" or item.op == "pick":
            continue
        else:
            product = matmul_call(item, plan.stored) if item.op == "matmul" else None
            if product is not None:
                steps.append(Step([product.a.base, product.b.base], [item], product, nodes=[item]))
                continue
            reads = [x for x in item.inputs if isinstance(x, Node)]
            outs_list = [item] if isinstance(item.aval, Aval) else _picks(graph, item)
            steps.append(Step(reads, outs_list, item, nodes=[item]))
    return steps


def _picks(graph: Graph, node: Node) -> list[Node]:
    """The nodes that hold the results of one with several, in order; results nobody picks get a node too."""
    found: dict[int, Node] = {}
    for n in graph.nodes:
        if n.op == "pick" and n.inputs[0] is node:
            found[n.params["index"]] = n
    return [found.get(i) or Node(graph, None, (), {}, aval) for i, aval in enumerate(node.aval)]


def _same_place_only(call: LoopCall, target: Node, value: Node) -> bool:
    """Whether a kernel reads `target` only at the index where it stores `value`, and nothing stored later reads it."""
    from twinflow.compiler.loops import Load, walk

    kernel = call.kernel
    buffer = next(b for b, n in zip(kernel.buffers, call.arguments) if n is target)
    store = next(s for s, n in zip(kernel.stores, call.nodes) if n is value)
    index = (frozenset(store.index.terms), store.index.offset)
    for s in kernel.stores:
        for e in walk(s.operands):
            if isinstance(e, Load) and e.buffer is buffer:
                if e.index.gathered or (frozenset(e.index.terms), e.index.offset) != index or e.mask is not None:
                    return False
        if s.axes != store.axes and any(isinstance(e, Load) and e.buffer is buffer for e in walk(s.operands)):
            return False
    return not store.axes or True


# -- code -------------------------------------------------------------------------------------------------------


@dataclass
class CompiledStep:
    """The entry of a step's kernel."""

    symbol: str
    code: _Code
    kernel: ContractionKernel | None = None

    @property
    def address(self) -> int:
        """Where its function lies."""
        return self.code.executable.address(self.symbol)

    def chunks(self, arguments: int) -> int:
        """How many chunks a loop kernel has for these arguments."""
        call = self.code.executable.function(f"{self.symbol}.nchunks", ctypes.c_void_p, restype=ctypes.c_int64)
        return int(call(arguments))


class _Code:
    """The modules of one program: each distinct kernel is emitted once."""

    executable: Any

    def __init__(self) -> None:
        processor = host_processor()
        self.target = Target.from_features(processor.features, processor.arch)
        self.machine = Machine(
            vector_nbytes=processor.vector_nbytes,
            registers=processor.vector_registers,
            fma=processor.has_fma,
            memory_operands=processor.has_avx512,
            l1_nbytes=cache_nbytes(1),
            l2_nbytes=cache_nbytes(2),
        )
        self.loops = LoopModule(self.target)
        self.products = ContractionModule()
        self._known: dict[str, Any] = {}
        self._parts: list[Executable] = []

    def add(self, step: Step) -> CompiledStep | None:
        """Emit the kernel of a step, or find the one that is already there."""
        call = step.call
        if isinstance(call, LoopCall):
            text = str(call.kernel)
            name = "k" + hashlib.sha256(text.encode()).hexdigest()[:12]
            step.name = name[:9]
            if text not in self._known:
                kernel = type(call.kernel)(name, call.kernel.axes, call.kernel.stores, call.kernel.serial)
                emit(self.loops, kernel)
                self._known[text] = CompiledStep(name, self)
        elif isinstance(call, MatmulCall):
            text = repr(call.spec)
            step.name = "matmul"
            if text not in self._known:
                name = f"m{len(self._known)}"
                kernel_info = emit_matmul(self.products, self.machine, call.spec, name=name)
                self._known[text] = CompiledStep(name, self, kernel_info)
        else:
            step.name = call.op
            return None
        found: CompiledStep = self._known[text]
        return found

    def load(self) -> None:
        """Compile what was emitted and find its addresses."""
        texts = [
            str(m)
            for m, used in (
                (self.loops, self.loops.functions),
                (self.products, any(isinstance(k, CompiledStep) and k.kernel for k in self._known.values())),
            )
            if used
        ]
        self._parts = [engine().compile(t) for t in texts]
        self.executable = _Joined(self._parts)


class _Joined:
    """Several executables as one table of names."""

    def __init__(self, parts: list[Executable]) -> None:
        self._by_name = {n: p for p in parts for n in p.names}

    def address(self, name: str) -> int:
        return self._by_name[name].address(name)

    def function(self, name: str, *argtypes: Any, restype: Any = None) -> Any:
        return self._by_name[name].function(name, *argtypes, restype=restype)


def compile_graph(graph: Graph) -> NativeGraph:
    """A graph as a native program: index checks, passes, kernels."""
    checked, checks = add_index_checks(graph)
    native = NativeGraph(optimize(checked), checks)
    if log_enabled("compile"):
        slow = sorted({s.name for s in native.steps if s.interpreted})
        log(
            "compile",
            f"{graph.name}: {len(native.steps)} kernels, arena {native.arena_nbytes} bytes"
            + (f"; on their references: {', '.join(slow)}" if slow else ""),
        )
    return native
