"""Merging equal nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import TreeDef
from twinflow.graph._ir import Graph, Node, Operand, rebuild


def static_key(value: Any) -> Any:
    """A hashable stand-in for a static parameter; equal keys mean equal parameters."""
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes()) if value.nbytes <= 4096 else id(value)
    if isinstance(value, (Graph, TreeDef)):
        return id(value)
    if isinstance(value, dict):
        return tuple((k, static_key(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(static_key, value))
    # -0.0 == 0.0 and 1 == True == 1.0, but they are different constants
    return (type(value).__name__, repr(value)) if isinstance(value, (bool, int, float, complex)) else value


def node_key(node: Node, inputs: tuple[Operand, ...]) -> Any:
    """Equal for nodes that compute the same value from the same operands."""
    operands = tuple(x if isinstance(x, Node) else static_key(x) for x in inputs)
    return (node.op, operands, static_key(node.params))


def merge_common(graph: Graph) -> Graph:
    """a = f(x); b = f(x)  →  a = f(x); b = a. The first of equal nodes stays, with its line."""
    seen: dict[Any, Operand] = {}

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        key = node_key(node, inputs)
        if key in seen:
            return seen[key]
        prim = node.prim
        if prim is None:
            return None
        made = new.add(prim, inputs, node.params, aval=node.aval, line=node.line)
        seen[key] = made
        return made

    return rebuild(graph, replace)


def drop_dead(graph: Graph) -> Graph:
    """Nodes that no result needs  →  nothing."""
    return rebuild(graph, lambda new, node, inputs: None)
