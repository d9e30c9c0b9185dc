"""The meaning of a graph: its nodes run one by one on the primitives' references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import format_location, silently
from twinflow.core.errors import TwinflowError
from twinflow.graph._ir import Graph, Node
from twinflow.graph._primitive import Aval


def interpret(
    graph: Graph, arrays: Sequence[np.ndarray[Any, Any]], *, watch: Callable[[Node, Any], None] | None = None
) -> list[Any]:
    """The values of `graph.results` for these inputs. `watch(node, value)` sees every value as it is made.

    A value is dropped after its last use, so that memory stays near what the graph needs.
    """
    values: dict[Node, Any] = dict(zip(graph.inputs, arrays))
    last: dict[Node, Node] = {}
    for node in graph.nodes:
        for x in node.inputs:
            if isinstance(x, Node):
                last[x] = node
    keep = {r for r in graph.results if isinstance(r, Node)}
    for node in graph.nodes:
        operands = [values[x] if isinstance(x, Node) else x for x in node.inputs]
        values[node] = value = run_node(node, operands)
        if watch is not None:
            watch(node, value)
        for x in node.inputs:
            if isinstance(x, Node) and last[x] is node and x not in keep:
                values.pop(x, None)
    return [values[r] if isinstance(r, Node) else r for r in graph.results]


def run_node(node: Node, operands: Sequence[Any]) -> Any:
    """One node on its primitive's reference; the result has exactly the type that the shape rule says."""
    if node.prim is None:
        raise TwinflowError(f"interpret: {node!r} is an input without a value")
    try:
        value = silently(node.prim.ref, *operands, **node.params)
    except TwinflowError as error:  # the same, at the line of the node instead of the line that runs the graph
        message = str(error).split("\n  at ")[0]
        raise type(error)(message, line=format_location(node.line)) from error
    except Exception as error:
        raise TwinflowError(f"{node.op}: {error}", line=format_location(node.line)) from error
    if isinstance(node.aval, Aval):
        return np.asarray(value, node.aval.dtype.np)
    return tuple(np.asarray(v, a.dtype.np) for v, a in zip(value, node.aval))


def constant_value(node: Node, limit: int = 1024) -> np.ndarray[Any, Any] | None:
    """The elements of a node that depends on no input; None for any other, and for one of more than `limit` elements."""
    values: dict[Node, Any] = {}
    stack = [node]
    while stack:
        n = stack[-1]
        if n.prim is None or not isinstance(n.aval, Aval) or n.aval.size > limit:
            return None
        missing = [x for x in n.inputs if isinstance(x, Node) and x not in values]
        if missing:
            stack += missing
        else:
            values[n] = run_node(n, [values[x] if isinstance(x, Node) else x for x in n.inputs])
            stack.pop()
    found: np.ndarray[Any, Any] = values[node]
    return found
