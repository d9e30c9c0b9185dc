"""Updates that touch few rows: the gradient of an embedding is zero except at the rows that were looked up."""

from __future__ import annotations

from typing import Any

from twinflow.core import Dim, as_dtype
from twinflow.graph._ir import Graph, Node, Operand, rebuild
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


_MOST = 4  # at most one row of so many is added to
_LARGE = 1 << 14  # elements from which on reading and writing zeros is worth avoiding


def look_up_rows(graph: Graph) -> Graph:
    """put_add(0, index, v), where only elementwise nodes read it  →  take(rows, slot): the few rows that are not zero, and for
    each row of the whole which one it is. An optimizer's update of an embedding then reads no gradient for the other rows."""
    users, results = graph.users(), {r for r in graph.results if isinstance(r, Node)}
    chosen = {
        n
        for n in graph.nodes
        if n.op == "put_add"
        and _few_rows(n)
        and n not in results
        and all(u.prim is not None and u.prim.elementwise for u in users[n])
    }
    if not chosen:
        return graph
    return rebuild(graph, lambda new, node, inputs: _looked_up(new, node, inputs) if node in chosen else None)


def _few_rows(node: Node) -> bool:
    zeros, index, value = node.inputs
    if not isinstance(index, Node) or not isinstance(value, Node) or splat(zeros) != 0 or node.params["axis"] != 0:
        return False
    if any(isinstance(n, Dim) for n in (*index.aval.shape, *node.aval.shape)):
        return False  # one more than a size that changes would be a kernel for each size
    return (
        node.aval.size >= _LARGE and index.aval.size * _MOST <= node.aval.shape[0] and node.aval.dtype.is_floating_point
    )


def _looked_up(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Node:
    index, value = inputs[1:]
    n_rows, *rest = node.aval.shape
    n = node.inputs[1].aval.size
    place = as_dtype("int64")

    def add(op: str, *operands: Operand, **params: Any) -> Node:
        return new.add(find_primitive(op), operands, params, line=node.line)

    index = add("reshape", index, shape=(n,))
    numbers = add("slice", add("iota", n=n + 1, dtype=place), starts=(1,), stops=(n + 1,), steps=(1,))
    slot = add("scatter", add("full", shape=(n_rows,), value=0, dtype=place), index, numbers, axis=0)
    rows = add("full", shape=(n + 1, *rest), value=0, dtype=node.aval.dtype)  # row 0 stays zero, for all the others
    value = add("reshape", value, shape=(n, *rest))
    return add("take", add("put_add", rows, add("take", slot, index, axis=0), value, axis=0), slot, axis=0)
