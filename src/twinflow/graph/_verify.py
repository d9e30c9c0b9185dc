"""Our own invariants, checked after every pass in tests."""

from __future__ import annotations

from twinflow.core import format_location
from twinflow.core.errors import TwinflowError
from twinflow.graph._ir import Graph, Node


def verify(graph: Graph) -> None:
    """Raise if a node reads what is not yet made, lies in another graph, or has another aval than its rule gives."""
    seen: set[Node] = set(graph.inputs)
    for node in graph.nodes:
        where = f"{node!r} = {node.op} ({format_location(node.line)})"
        for x in node.inputs:
            if isinstance(x, Node) and x not in seen:
                raise TwinflowError(f"verify: {where} reads {x!r}, which is not made before it in this graph")
        if node.prim is None:
            raise TwinflowError(f"verify: {where} stands among the computed nodes but has no primitive")
        aval = node.prim.out(*(x.aval if isinstance(x, Node) else x for x in node.inputs), **node.params)
        if aval != node.aval:
            raise TwinflowError(f"verify: {where} is {node.aval!r}, but its rule gives {aval!r}")
        seen.add(node)
    for r in graph.results:
        if isinstance(r, Node) and r not in seen:
            raise TwinflowError(f"verify: result {r!r} is not made in this graph")
    for target, value in graph.writes.items():
        if target not in seen or target.prim is not None:
            raise TwinflowError(f"verify: {target!r} is written but is not an input")
        if isinstance(value, Node) and value.aval != target.aval:
            raise TwinflowError(f"verify: {target!r}: {target.aval!r} is overwritten by {value.aval!r}")
