"""Matrix products written where they are wanted."""

from __future__ import annotations

from typing import Any

from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import find_primitive


def transpose_products(graph: Graph) -> Graph:
    """(a · b)ᵀ  →  bᵀ · aᵀ, where nothing else reads a · b: the gradient of a weight stored [out, in] is then written in the
    order of the weight, and its update can follow in the same kernel."""
    users = graph.users()
    results = {id(r) for r in graph.results}
    rewritten: set[int] = set()
    for node in graph.nodes:
        x = node.inputs[0] if node.inputs else None
        if node.op == "permute" and isinstance(x, Node) and x.op == "matmul" and id(x) not in results:
            if node.params["axes"] == _last_two(x.aval.ndim) and len(users[x]) == 1:
                rewritten.add(id(node))
    if not rewritten:
        return graph

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        if id(node) not in rewritten:
            return None

        def turned(x: Any) -> Node:
            axes = _last_two(x.aval.ndim)
            if x.op == "permute" and x.params["axes"] == axes and isinstance(x.inputs[0], Node):
                return x.inputs[0]
            return new.add(find_primitive("permute"), (x,), {"axes": axes}, line=node.line)

        a, b = inputs[0].inputs
        return new.add(find_primitive("matmul"), (turned(b), turned(a)), {}, line=inputs[0].line)

    return rebuild(graph, replace)


def _last_two(n: int) -> tuple[int, ...]:
    return (*range(n - 2), n - 1, n - 2)
