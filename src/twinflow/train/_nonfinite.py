"""Finding the operation that made the first NaN or infinity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import format_location
from twinflow.graph import Graph, Node, interpret
from twinflow.jit import compile


class _Found(Exception):
    def __init__(self, node: Node, value: Any, operands: list[Any]) -> None:
        super().__init__()
        self.node, self.value, self.operands = node, value, operands


def _bad(value: Any) -> str:
    for v in value if isinstance(value, tuple) else (value,):
        a = np.asarray(v)
        if a.dtype.kind in "fc" and not np.isfinite(a).all():
            return "NaN" if np.isnan(a).any() else "infinite values"
        if a.dtype.kind == "V" and not np.isfinite(a.astype(np.float32)).all():
            return "NaN" if np.isnan(a.astype(np.float32)).any() else "infinite values"
    return ""


def first_nonfinite(fn: Callable[..., Any], *args: Any) -> str:
    """Run `fn` operation by operation and describe the first that makes NaN or infinity; empty if none does.

    Nothing that `fn` does to parameters or state is kept.
    """

    def watching(graph: Graph) -> Callable[[list[Any]], list[Any]]:
        def run(arrays: list[Any]) -> list[Any]:
            for node, array in zip(graph.inputs, arrays):
                if _bad(array):
                    raise _Found(node, array, [])

            def watch(node: Node, value: Any) -> None:
                if _bad(value):
                    raise _Found(node, value, [x for x in node.inputs])

            interpret(graph, [np.array(a) for a in arrays], watch=watch)
            return [np.zeros(node.aval.shape, node.aval.dtype.np) for node in graph.outputs]

        return run

    try:
        compile(fn, backend=watching)(*args)
    except _Found as found:
        return _describe(found)
    return ""


def _describe(found: _Found) -> str:
    node = found.node
    kind = _bad(found.value)
    if node.prim is None:
        return (
            f"{kind} in an input of the step ({node.aval!r}): the data, or a parameter, held it before the step began"
        )
    where = format_location(node.line)
    operands = ", ".join(repr(x.aval) if isinstance(x, Node) else repr(x) for x in found.operands)
    return f"the first operation to give {kind} is {node.op}({operands})" + (f"\n  at {where}" if where else "")
