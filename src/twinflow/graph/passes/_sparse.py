"""Updates that touch few rows: the gradient of an embedding is zero except at the rows that were looked up."""

from __future__ import annotations

from typing import Any

from twinflow.graph._ir import Graph, Node, Operand
from twinflow.graph._primitive import find_primitive
from twinflow.graph.passes._fold import splat
from twinflow.graph.passes._simplify import rule

_ADDING = ("put_add", "scatter_add")


def _scaled(x: Operand) -> tuple[Node, list[Any]] | None:
    """(rows added to zeros, the factors it is multiplied by), if `x` is a product of such with single numbers."""
    factors: list[Any] = []
    while isinstance(x, Node) and x.op == "mul":
        a, b = x.inputs
        if _is_single(b):
            x, factor = a, b
        elif _is_single(a):
            x, factor = b, a
        else:
            return None
        factors.append(factor)
    if not isinstance(x, Node) or x.op not in _ADDING or splat(x.inputs[0]) != 0 or not x.aval.dtype.is_floating_point:
        return None
    return x, factors


def _is_single(x: Operand) -> bool:
    return not isinstance(x, Node) or x.aval.shape == ()


@rule("add", "sub")
def update_rows(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """w ± c · put_add(0, index, v)  →  put_add(w, index, ± c · v) for an input w: gradient descent on an embedding touches
    the rows of the batch only."""
    w, x = inputs
    found = _scaled(x)
    if found is None or not isinstance(w, Node) or w.prim is not None or w.aval != node.aval:
        return None  # what is computed (a moment that decays) goes through all rows anyway: once, with the update in it
    rows, factors = found
    _, index, value = rows.inputs
    if index.aval.size >= w.aval.shape[rows.params["axis"]] or splat(w) is not None:
        return None  # most rows are touched: the loop over all of them has the other work in it too

    def add(op: str, *operands: Operand, **params: Any) -> Node:
        return new.add(find_primitive(op), operands, params, line=node.line)

    for factor in factors:
        value = add("mul", value, factor)
    if node.op == "sub":
        value = add("neg", value)
    return add(rows.op, w, index, value, axis=rows.params["axis"])
