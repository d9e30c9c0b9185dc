"""Graphs inside graphs: tracing the body of a loop or branch, and running it again on tensors.

A body sees tensors of the surrounding program: these become extra operands of the control-flow primitive. What it
writes in place (parameters, statistics, generators) becomes a result, written back after the primitive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from twinflow.core import DType, format_location
from twinflow.core.errors import ShapeError, TraceError
from twinflow.graph import Aval, Graph, Node, live_nodes
from twinflow.ops._create import tensor
from twinflow.ops._declare import call
from twinflow.ops._shape import pick
from twinflow.tensor import MODE, Tensor, Tracer, apply, assign, host_scalar, operand_aval, set_grad_enabled, wrap


def leaf_tensor(x: Any, what: str) -> Tensor:
    """A leaf of a carry or operand as a tensor."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, (bool, int, float, complex, np.generic, np.ndarray)):
        return tensor(x)
    raise ShapeError(f"{what}: leaves are tensors and numbers, not {type(x).__name__}")


class Body:
    """A traced body: its graph, the outer tensors it reads (in the order of its last inputs), and those it writes."""

    def __init__(self, name: str, fn: Callable[..., Sequence[Tensor]], operands: Sequence[Any]) -> None:
        """Trace `fn` on values like `operands` (tensors or Avals); it returns a flat list of tensors."""
        avals = [operand_aval(x) for x in operands]
        with Tracer(name, body=True) as tracer:
            inputs = [wrap(tracer.graph.add_input(a)) for a in avals]
            outs = fn(*inputs)
            tracer.graph.outputs = [tracer.node_of(_tensor(x)) for x in outs]
            final = {key: tracer.values[key] for key in tracer.written}
        if tracer.after_call:
            raise TraceError(
                f"{name}: the body asks for a Python effect after each step (such as a schedule's step()), which only the whole "
                "function can have; take it out of the body"
            )
        outer = MODE.tracer
        if outer is not None:
            outer.guards += tracer.guards
        self.graph = tracer.graph
        self.name = name
        self.n_in = len(avals)
        self.written: list[Tensor] = list(tracer.written.values())
        self.written_nodes: list[Any] = [final[id(t)] for t in self.written]
        node_of = {id(t): node for t, node in tracer.captured}
        written_ids = {id(t) for t in self.written}
        self.written_inputs: list[Node] = [node_of[id(t)] for t in self.written]
        pairs = [(t, node) for t, node in tracer.captured if id(t) not in written_ids]
        for s in tracer.scalars:
            pairs.append((host_scalar(s.read, s.node.aval.dtype, s.node.name), s.node))
        self.captured: list[Tensor] = [_tensor(t) for t, _ in pairs]
        self.captured_inputs: list[Node] = [node for _, node in pairs]

    def align(self, tensors: Sequence[Tensor]) -> list[Node]:
        """The inputs that stand for these outer tensors, made where the body does not read one."""
        known = {
            id(t): n for t, n in zip((*self.captured, *self.written), (*self.captured_inputs, *self.written_inputs))
        }
        return [known[id(t)] if id(t) in known else self.graph.add_input(operand_aval(t)) for t in tensors]

    def final(self, t: Tensor) -> Any:
        """The node that a written tensor ends as."""
        return self.written_nodes[[id(w) for w in self.written].index(id(t))]

    @property
    def inputs(self) -> list[Node]:
        """The inputs that stand for the operands."""
        return self.graph.inputs[: self.n_in]


def union(*groups: Sequence[Tensor]) -> list[Tensor]:
    """The tensors of all groups, each once."""
    return list({id(t): t for group in groups for t in group}.values())


def write_back(tensors: Sequence[Tensor], values: Sequence[Tensor], op: str) -> None:
    """What the body wrote in place is written by the whole."""
    for t, value in zip(tensors, values):
        with set_grad_enabled(MODE.grad and not (t.is_leaf and t.requires_grad)):
            assign(t, value, op)


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else tensor(x)


def replay(
    graph: Graph,
    operands: Sequence[Tensor],
    roots: Sequence[Any] | None = None,
    *,
    inputs: Sequence[Node] | None = None,
) -> list[Tensor]:
    """The values of `roots` (default: the outputs), the graph's operations applied to tensors one by one.

    `inputs` are the nodes that the operands stand for: the graph's inputs, unless others are named.
    """
    wanted = graph.outputs if roots is None else roots
    values: dict[Node, Any] = dict(zip(graph.inputs if inputs is None else inputs, operands))
    todo: list[Any] = live_nodes(graph, wanted, values)
    for node in todo:
        args = [values[x] if isinstance(x, Node) else x for x in node.inputs]
        values[node] = args[0][node.params["index"]] if node.prim is pick else apply(node.prim, *args, **node.params)
    return [values[r] if isinstance(r, Node) else tensor(r) for r in wanted]


def constant_nodes(graph: Graph, constants: set[Node]) -> set[Node]:
    """Nodes whose operands are all constants, and these themselves."""
    known = set(constants)
    for node in graph.nodes:
        if node.inputs and all(x in known for x in node.inputs if isinstance(x, Node)):
            known.add(node)
    return known


def subgraph(name: str, fn: Callable[..., Sequence[Tensor]], avals: Iterable[Aval]) -> Graph:
    """The graph of `fn` on inputs of these avals; it must not read anything else."""
    with Tracer(name) as tracer:
        outs = fn(*[wrap(tracer.graph.add_input(a)) for a in avals])
        tracer.graph.outputs = [tracer.node_of(x) for x in outs]
    if tracer.captured:
        raise TraceError(f"{name}: the graph reads a tensor from outside")
    return tracer.graph


def zeros_of(aval: Aval) -> Tensor:
    """Zeros of this shape and type."""
    return call("full", shape=aval.shape, value=0, dtype=aval.dtype)


def differentiable(dtype: DType) -> bool:
    """Whether values of this type have derivatives."""
    return dtype.is_floating_point or dtype.is_complex


def describe_mismatch(op: str, what: str, now: Aval, then: Aval, node: Any) -> str:
    """The sentence for a carry whose type changes in the body."""
    where = format_location(node.line) if isinstance(node, Node) and node.prim is not None else ""
    made = f" (made at {where})" if where else ""
    return (
        f"{op}: {what} enters the body as {now!r} and leaves it as {then!r}{made}; it must keep its shape and type. "
        "Convert the result, or begin with a value of that type"
    )
