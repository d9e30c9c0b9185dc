"""A graph's text that does not depend on the order in which the graph was written down, or on names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.graph._ir import Graph, Node
from twinflow.graph._text import to_text


def canonical_text(graph: Graph, *, written: Callable[[Node], bool] | None = None) -> str:
    """The text of a graph, numbered from its ends backwards.

    Two programs that compute the same in the same way have the same canonical text, whatever the order of their lines
    and arguments. Values that are written back are results too, ordered by the shapes of what they write.

    Args:
        written: which inputs' new values count. With it the outputs do not: it asks what a step does to its weights.
    """
    writes = sorted(graph.writes.items(), key=lambda w: repr(w[0].aval))
    writes = [(k, v) for k, v in writes if written is None or written(k)]
    outputs = graph.outputs if written is None else []
    order = _order([*outputs, *(v for _, v in writes), *(k for k, _ in writes)])
    new = Graph("canonical")
    new.sizes = graph.sizes
    table: dict[Node, Any] = {n: new.add_input(n.aval) for n in order if n.prim is None}
    for node in order:
        if node.prim is not None:
            inputs = tuple(table[x] if isinstance(x, Node) else x for x in node.inputs)
            table[node] = new.add(node.prim, inputs, node.params, aval=node.aval, line=node.line)
    new.outputs = [table[x] if isinstance(x, Node) else x for x in outputs]
    new.writes = {table[k]: table[v] if isinstance(v, Node) else v for k, v in writes}
    return to_text(new)


def _order(ends: list[Any]) -> list[Node]:
    """The nodes that the ends need, each after its operands, operands from left to right."""
    found: dict[Node, None] = {}
    stack: list[tuple[Any, bool]] = [(e, False) for e in reversed(ends)]
    while stack:
        node, done = stack.pop()
        if not isinstance(node, Node) or node in found:
            continue
        if done or not node.inputs:
            found[node] = None
        else:
            stack.append((node, True))
            stack.extend((x, False) for x in reversed(node.inputs))
    return list(found)
