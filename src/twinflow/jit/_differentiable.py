"""Compiled functions on the tape: the derivative of a whole traced function, as a second graph.

If results of a traced function require gradients, the way back is traced too. What it reads of the forward values becomes
further outputs of the forward graph; `backward()` outside then runs the second graph, compiled like the first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twinflow.autodiff import record_rule
from twinflow.core import is_symbolic
from twinflow.core.errors import GradientError
from twinflow.graph import Aval, Graph, Node
from twinflow.ops import call, replay
from twinflow.tensor import MODE, GradNode, Tensor, Tracer, edge_to, payload, run_backward, wrap


class WayBack:
    """How gradients of a program's results become gradients of its inputs."""

    def __init__(
        self, graph: Graph, inputs: list[Node], reached: list[int], residuals: list[Node], outputs: list[int]
    ) -> None:
        self.graph = _without_names(graph)
        self.inputs = inputs  # the forward graph's inputs that have gradients
        self.residuals = residuals  # nodes of the forward graph, in the order of the first inputs of `graph`
        self.outputs = outputs  # which tensor results have gradients
        self.reached = reached  # which of these inputs a gradient reaches, in the order of the results of `graph`
        self.compiled: Any = None  # runs `graph`


def way_back(tracer: Tracer, results: Sequence[Tensor], received: Sequence[Tensor]) -> WayBack | None:
    """The way back from the results of the function being traced, or None if none of them requires gradients."""
    if not MODE.grad:
        return None
    outputs = [k for k, t in enumerate(results) if t.requires_grad and not _is_freed(t)]
    if not outputs:
        return None
    sources = [t for t in received if t.requires_grad]
    sources += [t for t, _ in tracer.captured if t.requires_grad]
    sources = list({id(t): t for t in sources}.values())
    nodes = [tracer.node_of(t) if id(t) not in tracer.written else None for t in sources]
    pairs = [(t, n) for t, n in zip(sources, nodes) if isinstance(n, Node) and n.prim is None]
    if not pairs:
        return None
    roots = [results[k] for k in outputs]
    with Tracer("backward") as back:
        cotangents = [wrap(back.graph.add_input(tracer.node_of(r).aval)) for r in roots]
        found = run_backward(roots, cotangents, inputs=[t for t, _ in pairs], accumulate=False, stop_at_inputs=True)
        reached = [k for k, g in enumerate(found) if g is not None]
        back.graph.outputs = [back.node_of(g) for g in found if g is not None]
    residuals = [tracer.node_of(t) for t, _ in back.captured]
    kept = [node for _, node in back.captured]
    back.graph.inputs = [*kept, *(n for n in back.graph.inputs if n not in set(kept))]
    if not reached:
        return None
    return WayBack(back.graph, [n for _, n in pairs], reached, residuals, outputs)


def _without_names(graph: Graph) -> Graph:
    """The graph with numbers in the place of named dimensions: it is compiled by itself, where the names mean nothing."""

    def plain(value: Any) -> Any:
        if is_symbolic(value):
            return float(value) if isinstance(value, float) else int(value)
        if type(value) is tuple:
            return tuple(plain(v) for v in value)
        return _without_names(value) if isinstance(value, Graph) else value

    new = Graph(graph.name)
    table: dict[Any, Any] = {}
    for node in graph.inputs:
        table[node] = new.add_input(Aval(plain(node.aval.shape), node.aval.dtype), node.name)
    for node in graph.nodes:
        params = {k: plain(v) for k, v in node.params.items()}
        inputs = tuple(table[x] if isinstance(x, Node) else plain(x) for x in node.inputs)
        if node.prim is not None:
            table[node] = new.add(node.prim, inputs, params, line=node.line)
    new.outputs = [table[x] if isinstance(x, Node) else x for x in graph.outputs]
    return new


def _is_freed(t: Tensor) -> bool:
    """Whether a backward pass inside the function has already freed what leads to `t`."""
    edge = edge_to(t)
    stack = [] if edge is None else [edge]
    seen: set[int] = set()
    while stack:
        target, index = stack.pop()
        if index == -1 or id(target) in seen or not isinstance(target, GradNode):
            continue
        seen.add(id(target))
        if target.args is None:
            return True
        stack += [e for e in target.edges if e is not None]
    return False


def record_call(
    name: str,
    way: WayBack,
    inputs: Sequence[Tensor],
    kept: Sequence[Tensor],
    results: Sequence[Tensor],
    again: Callable[[], list[Tensor]],
    read: Sequence[Tensor],
) -> None:
    """Put one call of a compiled function on the tape.

    Args:
        kept: the residuals of this call.
        again: gives the results anew, from operations that are on the tape: where derivatives of derivatives are wanted,
            the derivative is taken through these.
        read: what `again` reads.
    """
    outputs = [results[k] for k in way.outputs]
    specs = [(tuple(t.shape), t.dtype) for t in outputs]
    needed = [*kept, *read]
    versions = [t._version for t in needed]
    run: Callable[..., Any] = way.compiled

    def backward(gradients: tuple[Tensor | None, ...]) -> list[Tensor | None]:
        twice = MODE.grad
        for k, (t, version) in enumerate(zip(needed, versions)):
            if t._version != version and (twice or k < len(kept)):
                raise GradientError(
                    f"{name}: a tensor of shape {tuple(t.shape)} that the compiled function read was overwritten in place before "
                    "backward; call backward first, or clone() it"
                )
        filled = [
            call("full", shape=shape, value=0, dtype=dtype) if g is None else g
            for g, (shape, dtype) in zip(gradients, specs)
        ]
        if twice:
            roots = [t for k, t in enumerate(again()) if k in way.outputs]
            return run_backward(
                roots,
                filled,
                inputs=inputs,
                retain_graph=True,
                create_graph=True,
                accumulate=False,
                stop_at_inputs=True,
            )
        grads: list[Tensor | None] = [None] * len(inputs)
        for k, g in zip(way.reached, run(*[wrap(payload(t)) for t in kept], *filled)):
            grads[k] = g
        return grads

    record_rule(name, inputs, outputs, backward)


def runner(graph: Graph) -> Callable[..., Any]:
    """The graph as a function of tensors, to be compiled or traced as part of something else."""
    return lambda *tensors: tuple(replay(graph, tensors))
