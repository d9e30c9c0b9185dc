"""From a plan to steps: for each group or single node, the launches that compute it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from twinflow.compiler.contraction import SLOT
from twinflow.compiler.loops import Apply, Buffer, Const, Kernel, Module, Split, Store, Target, split_reductions
from twinflow.graph import Aval, Graph, Node
from twinflow.lower._attention import ATTENTION, attention_launch, launch_reads
from twinflow.lower._checks import Check
from twinflow.lower._control import CONTROL, ControlCall, control_call
from twinflow.lower._conv import CONVOLUTIONS, conv_launch
from twinflow.lower._elimination import lu_launch, substitution_launch
from twinflow.lower._fuse import Group, Plan, below_reshapes
from twinflow.lower._index import ZERO, as_index
from twinflow.lower._kernels import KernelBuffers, LoopCall, fused_launch, loop_call, matmul_call, product_launch
from twinflow.lower._launch import Launch, ProductSource, Scratch, loop_launch
from twinflow.lower._library import LibraryCall, library_call
from twinflow.lower._named import named_launches
from twinflow.lower._transpose import transpose_launch
from twinflow.lower._values import REDUCTIONS, Body


@dataclass
class Step:
    """What computes some nodes: launches run one after the other, or a primitive's reference.

    Attributes:
        reads, writes: nodes whose memory it reads and writes.
        nodes: what it computes, those that are never stored included.
        control: nested programs, for scan, cond and while_loop.
        library: a call of a loop of NumPy's.
        given: a condition that must hold before the step runs, and what it means if it does not.
        operands: what a product multiplies; `writes` begins with its C.
        epilogue: what a product does to its sums, as a loop nest.
        moves: it only copies the memory of its operand, whose bits are the result.
        loop: the kernel as one loop nest, before its reductions were split; None for others.
    """

    reads: list[Node]
    writes: list[Node]
    launches: list[Launch]
    nodes: list[Node]
    name: str
    loop: LoopCall | None = None
    control: ControlCall | None = None
    library: LibraryCall | None = None
    given: tuple[Node, Check] | None = None
    epilogue: LoopCall | None = None
    operands: tuple[Node, ...] = ()
    moves: bool = False
    symbols: list[str] = field(default_factory=list)  # of the launches, once compiled

    @property
    def interpreted(self) -> bool:
        """Whether the step, or a part of it, runs on the reference because no kernel expresses it."""
        if self.control is not None:
            return any(s.interpreted for part in self.control.parts for s in part.steps)
        return not self.launches and not self.moves and self.library is None

    @property
    def may_fail(self) -> bool:
        """Whether the alarm may be raised while it runs."""
        if self.control is not None:
            return any(s.may_fail for part in self.control.parts for s in part.steps)
        return self.given is not None or (self.library is not None and self.library.failure is not None)

    def may_overwrite(self, old: Node, new: Node) -> bool:
        """Whether `new` may be written where `old` lies: the step reads that only at the element it writes."""
        if old not in self.reads:
            return True
        if self.launches and self.launches[0].copies == (old, new):
            return sum(a.of is old for launch in self.launches for a in launch.arguments) == 1  # nothing else reads it
        call = self.loop or self.epilogue
        if call is None or old not in call.arguments or new not in call.nodes:
            return False  # what a product stores itself, beside its epilogue, is not the loop's
        if self.epilogue is not None:
            if old in self.operands:
                return False  # tiles are read again when others have been written
            source = self.launches[0].source
            once = isinstance(source, ProductSource) and source.spec.stores_once
            if new is self.writes[0] and not once:
                return False  # C holds partial sums on the way
        return _same_place_only(call, old, new)

    @property
    def scratch(self) -> list[Scratch]:
        """The memory it needs while it runs, but for what compiled kernels ask for."""
        return list(dict.fromkeys(a.of for k in self.launches for a in k.arguments if isinstance(a.of, Scratch)))


def _same_place_only(call: LoopCall, target: Node, value: Node) -> bool:
    """Whether a kernel reads `target` only at the index where it stores `value`, and nothing stored later reads it."""
    kernel = call.kernel
    buffer = next(b for b, n in zip(kernel.buffers, call.arguments) if n is target)
    store = next(s for s, n in zip(kernel.stores, call.nodes) if n is value)
    index = (frozenset(store.index.terms), store.index.offset)
    for s, loads in zip(kernel.stores, kernel.loads):
        for e in loads:
            if e.buffer is buffer:
                if e.index.gathered or (frozenset(e.index.terms), e.index.offset) != index or e.mask is not None:
                    return False
                if s.axes != store.axes:
                    return False
    return True


def build_steps(graph: Graph, plan: Plan, lower: Callable[[Graph], Any]) -> list[Step]:
    """The steps of a graph in order; `lower` makes native graphs of nested ones."""
    steps: list[Step] = []
    for item in plan.order:
        if isinstance(item, Group) and item.product is not None:
            steps += _product_steps(graph, item, plan)
            continue
        step = _group_step(graph, item, plan) if isinstance(item, Group) else _node_step(graph, item, plan, lower)
        if step is not None:
            steps.append(step)
    return steps


def _group_step(graph: Graph, group: Group, plan: Plan) -> Step | None:
    stored = [m for m in group.members if m in plan.stored]
    if not stored or all(m.aval.size == 0 for m in stored):
        return None
    group.members.sort(key=lambda n: n.id)
    return _loop_step(loop_call(group, plan.stored, "k"), list(group.members), graph.sizes)


def _product_steps(graph: Graph, group: Group, plan: Plan) -> list[Step]:
    """A product and the elementwise group that consumes it: one kernel, or two if the group cannot be its epilogue."""
    node = group.product
    if node is None:
        raise TypeError("lower: a group without a product")
    kept = node in plan.stored
    plan.stored.add(node)  # for the group it is memory
    members = sorted((m for m in group.members if m is not node), key=lambda n: n.id)
    name = "matmul" if node.op == "matmul" else "conv"
    operands, plain = _contraction(node, plan)
    alone = Step([*operands], [node], [plain], [node], name)
    if not any(m in plan.stored for m in members):
        return [alone]  # whoever reads the group computes it anew from the product
    loop = loop_call(replace(group, members=members), plan.stored, "k")
    launch = fused_launch(plain, node, loop, Module(Target()), kept, set(graph.writes.values()))
    if launch is None:
        return [alone, _loop_step(loop, members, graph.sizes)]
    c = next(a.of for a in launch.arguments if a.slot == SLOT["c"])
    made = [*([node] if kept else []), *(n for n in loop.nodes if n is c), *(n for n in loop.nodes if n is not c)]
    if not kept:
        plan.stored.discard(node)
    reads = [a for a in loop.arguments if a not in made and a is not node]
    return [Step([*operands, *reads], made, [launch], [node, *members], name, epilogue=loop, operands=operands)]


def _contraction(node: Node, plan: Plan) -> tuple[tuple[Node, Node], Launch]:
    """What a product or convolution multiplies, and its launch."""
    if node.op in CONVOLUTIONS:
        a, b = (below_reshapes(x) for x in node.inputs)
        return (a, b), conv_launch(node, a, b)
    product = matmul_call(node, plan.stored)
    if product is None:
        raise TypeError(f"lower: {node!r} was planned as a product of strided operands")
    return (product.a.base, product.b.base), product_launch(product)


def _loop_step(call: LoopCall, nodes: list[Node], sizes: dict[str, int]) -> Step:
    """A loop kernel, its large reductions split among threads."""
    folds = any(n.op in REDUCTIONS for n in nodes)
    split = split_reductions(call.kernel) if folds else Split((call.kernel,), {})
    where: dict[Buffer, Node | Scratch] = dict(zip(call.kernel.buffers, call.arguments))
    for buffer, count in split.partial.items():
        total = count if isinstance(count, int) else count.value(sizes)
        where[buffer] = Scratch(total * 8)
    launches = [loop_launch(k, [where[b] for b in k.buffers]) for k in split.kernels]
    outs = dict.fromkeys(call.nodes)
    return Step([a for a in call.arguments if a not in outs], list(outs), launches, nodes, "loop", call)


def _node_step(graph: Graph, node: Node, plan: Plan, lower: Callable[[Graph], Any]) -> Step | None:
    if node.op in ("constant", "pick"):
        return None
    product = matmul_call(node, plan.stored) if node.op == "matmul" else None
    if product is not None:
        return Step([product.a.base, product.b.base], [node], [product_launch(product)], [node], "matmul")
    if node.op in CONVOLUTIONS and node.aval.size:
        a, b = (below_reshapes(x) for x in node.inputs)
        return Step([a, b], [node], [conv_launch(node, a, b)], [node], "conv")
    if node.op == "permute":
        source = below_reshapes(node.inputs[0])
        return Step([source], [node], [transpose_launch(node, source)], [node], "transpose")
    reads = [x for x in node.inputs if isinstance(x, Node)]
    outs = [node] if isinstance(node.aval, Aval) else _picks(graph, node)
    if node.op in CONTROL:
        control = control_call(node, outs, lower)
        return Step(reads, [*outs, *control.scratch], [], [node], node.op, control=control)
    if node.op == "library":
        return _library_step(node, reads, outs)
    if node.op == "lu":
        return Step(reads, outs, [lu_launch(node, outs)], [node], "lu") if any(r.aval.size for r in outs) else None
    if node.op == "substitution":
        return _substitution_step(node, reads) if node.aval.size else None
    if node.op == "check":
        return _check_step(node, outs, plan)
    if node.op in ATTENTION:
        launch = attention_launch(node, outs, plan.stored)
        if launch is not None:
            return Step(launch_reads(launch, outs), outs, [launch], [node], node.op)
    if node.op == "bitcast":
        return Step(reads, outs, [], [node], node.op, moves=True) if node.aval.size else None
    buffers = KernelBuffers(plan.stored, set())
    wanted = [r if r.prim is not None else None for r in outs]  # results nobody picks stand for themselves
    launches = named_launches(node, wanted, buffers)
    if launches is None:
        return Step(reads, outs, [], [node], node.op)
    if not launches:
        return None
    return Step(buffers.read, [r for r in wanted if r is not None], launches, [node], node.op)


def _library_step(node: Node, reads: list[Node], outs: list[Node]) -> Step | None:
    if all(r.aval.size == 0 for r in outs):
        return None
    call = library_call(node, outs)
    given = None if call.given is None or call.failure is None else (call.given, call.failure)
    return Step(reads, outs, [], [node], call.loop.partition(":")[0], library=call, given=given)


def _substitution_step(node: Node, reads: list[Node]) -> Step:
    given = (reads[2], Check("linalg", 0, node.line, node.params["failure"])) if len(reads) > 2 else None
    return Step(reads, [node], [substitution_launch(node)], [node], "substitution", given=given)


def _check_step(node: Node, outs: list[Node], plan: Plan) -> Step:
    """A condition that is looked at where it stands, in its order among other effects: a counter is increased."""
    counter, holds = node.inputs
    buffers = KernelBuffers(plan.stored, set())
    more = Apply("add", Body(buffers, {}).value(counter, ()), Const(1, "int64"))
    kernel = Kernel("k", (), (Store(buffers.output(node), as_index(ZERO), more),))
    launches = [loop_launch(kernel, [buffers.node_of(b) for b in kernel.buffers])]
    given = (holds, Check("check", 0, node.line, node.params["message"]))
    return Step([counter, holds], outs, launches, [node], "check", given=given)


def _picks(graph: Graph, node: Node) -> list[Node]:
    """The nodes that hold the results of one with several, in order; results nobody picks get a node too."""
    found: dict[int, Node] = {}
    for n in graph.nodes:
        if n.op == "pick" and n.inputs[0] is node:
            found[n.params["index"]] = n
    return [found.get(i) or Node(graph, None, (), {}, aval) for i, aval in enumerate(node.aval)]
