"""Picking one element of each row by comparison instead of by address: it fuses with what made the row."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype
from twinflow.graph._ir import Graph, Node, Operand
from twinflow.graph._primitive import find_primitive
from twinflow.graph.passes._fold import splat
from twinflow.graph.passes._simplify import rule

_MAX_ROW = 1 << 16  # beyond this a row is not worth reading for one element


def _add(new: Graph, node: Node, op: str, *operands: Operand, **params: Any) -> Node:
    return new.add(find_primitive(op), operands, params, line=node.line)


def _hits(new: Graph, node: Node, index: Operand, shape: tuple[int, ...], axis: int) -> Node | None:
    """position along `axis` == index, if there is one index for each row of `shape`; else None."""
    one = tuple(1 if i == axis else n for i, n in enumerate(shape))
    if not isinstance(index, Node) or index.aval.shape != one or shape[axis] > _MAX_ROW:
        return None
    n = shape[axis]
    at = _add(new, node, "iota", n=n, dtype=index.aval.dtype)
    at = _add(new, node, "reshape", at, shape=tuple(n if i == axis else 1 for i in range(len(shape))))
    return _add(new, node, "eq", at, index)


@rule("gather")
def gather_of_one(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """gather(x, one index a row)  →  Σ where(position == index, x, 0): the cross-entropy of a class label."""
    x, index = inputs
    axis = node.params["axis"]
    if not isinstance(x, Node) or x.aval.ndim == 0 or x.aval.dtype.category != 2 or axis != x.aval.ndim - 1:
        return None
    hits = _hits(new, node, index, x.aval.shape, axis)
    if hits is None:
        return None
    return _add(new, node, "sum", _add(new, node, "where", hits, x, 0.0), axes=(axis,), keepdim=True)


@rule("scatter_add")
def scatter_of_one(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """scatter_add(0, one index a row, v)  →  where(position == index, v, 0): its gradient."""
    x, index, v = inputs
    if not isinstance(x, Node) or x.aval.ndim == 0 or splat(x) != 0 or x.aval.dtype is as_dtype("bool"):
        return None
    hits = _hits(new, node, index, x.aval.shape, node.params["axis"])
    if hits is None:
        return None
    zero = 0.0 if x.aval.dtype.category >= 2 else 0
    return _add(new, node, "where", hits, v, zero)
