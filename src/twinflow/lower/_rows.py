"""Loops over batches: where each row of the carries depends on its own row alone, parts of the rows run through the whole loop by
themselves, each on one core. So the cores need not wait for each other in every step.
"""

from __future__ import annotations

from math import prod
from typing import Any

from twinflow.core import Dim
from twinflow.graph import Graph, Node
from twinflow.lower._values import REDUCTIONS, is_heavy, is_inlinable, reduced_axes
from twinflow.runtime import cache_nbytes

_MOST_PARTS = 8
_FEW_ROWS = 16  # with fewer, a product loads its weights more often than it multiplies
_SOME_STEPS = 16  # what a length that varies is taken for
_PART_NS = 20_000  # a part that takes less is not worth waking another core for


def parts_of_rows(body: Graph, n_const: int, length: int) -> list[int]:
    """How many rows of a loop's body each part takes; one part where rows depend on each other.

    It depends on shapes and the processor only, never on the number of threads: neither do the results.
    """
    rows = _rows(body, n_const)
    if isinstance(rows, Dim) or rows < 2:
        return [rows]
    weights = sum(x.aval.size * x.aval.dtype.itemsize for x in body.inputs[:n_const])
    if weights > cache_nbytes(2) or body_of_rows(body, n_const, rows) is None:
        return [rows]  # weights that do not stay in a core's own cache are better shared step by step
    steps = _SOME_STEPS if isinstance(length, Dim) else length
    parts = min(_MOST_PARTS, max(2, rows // _FEW_ROWS), int(steps * _step_ns(body) / _PART_NS), rows)
    if parts < 2:
        return [rows]
    return [rows * (k + 1) // parts - rows * k // parts for k in range(parts)]


def _rows(body: Graph, n_const: int) -> int:
    """The extent that the carries and the slices of scanned operands begin with; 0 if there is none."""
    extents = {x.aval.shape[0] if x.aval.shape else 0 for x in body.inputs[n_const:]}
    return extents.pop() if len(extents) == 1 else 0


def _step_ns(body: Graph) -> float:
    """About how long a step takes on one core."""
    total = 0.0
    for node in body.nodes:
        if node.op == "matmul":
            total += 2 * node.aval.size * node.inputs[0].aval.shape[-1] / 60
        else:
            total += node.aval.size * (1.0 if is_heavy(node) else 0.1)
    return total


def body_of_rows(body: Graph, n_const: int, rows: int) -> Graph | None:
    """The body for so many rows instead of all; None if a row of a result depends on other rows.

    Constant operands are what all rows have in common. All other values have the rows along their first axis.
    """
    whole = _rows(body, n_const)
    new = Graph(body.name)
    new.sizes = body.sizes
    table: dict[Node, Any] = {}
    split: set[Node] = set()  # values that have rows
    for k, x in enumerate(body.inputs):
        if k < n_const:
            table[x] = new.add_input(x.aval, x.name)
        else:
            table[x] = new.add_input(x.aval._replace(shape=(rows, *x.aval.shape[1:])), x.name)
            split.add(x)
        table[x].line = x.line
    for node in body.nodes:
        prim, params = node.prim, node.params
        inputs = tuple(table[x] if isinstance(x, Node) else x for x in node.inputs)
        aval = node.aval
        if any(x in split for x in node.inputs if isinstance(x, Node)):
            changed = _params_of_rows(node, split, whole, rows)
            if prim is None or changed is None:
                return None
            params, aval = changed, None
            split.add(node)
        assert prim is not None  # noqa: S101 - computed nodes have one
        table[node] = new.add(prim, inputs, params, aval=aval, line=node.line)
        if node in split and table[node].aval.shape != (rows, *node.aval.shape[1:]):
            return None
    if not all(x in split for x in body.outputs):
        return None
    new.outputs = [table[x] for x in body.outputs]
    return new


def _params_of_rows(node: Node, split: set[Node], whole: int, rows: int) -> dict[str, Any] | None:
    """The parameters of a node for so many rows; None if it mixes rows, or is not known to keep them apart."""
    p, shape = node.params, getattr(node.aval, "shape", ())
    operands = [x for x in node.inputs if isinstance(x, Node)]
    if not shape or shape[0] != whole or any(x in split and x.aval.shape[0] != whole for x in operands):
        return None
    if node.op == "matmul":
        return p if _product_keeps_rows(node, split) else None
    if not is_inlinable(node):
        return None
    if (node.prim is not None and node.prim.elementwise) or node.op == "cast":
        common = [len(x.aval.shape) < len(shape) or x.aval.shape[0] == 1 for x in operands if x not in split]
        apart = [len(x.aval.shape) == len(shape) for x in operands if x in split]
        return p if all(common) and all(apart) else None
    if node.op in REDUCTIONS:
        return p if 0 not in reduced_axes(node) else None
    if not all(x in split for x in operands):
        return None
    first = operands[0]
    if node.op == "reshape" or (node.op == "expand" and first.aval.ndim == len(shape)):
        return {**p, "shape": (rows, *shape[1:])}
    if node.op == "slice" and (p["starts"][0], p["stops"][0], p["steps"][0]) == (0, whole, 1):
        return {**p, "stops": (rows, *p["stops"][1:])}
    if node.op == "pad" and not (p["low"][0] or p["high"][0] or p["interior"][0]):
        return p
    if (node.op == "permute" and p["axes"][0] == 0) or (node.op == "concat" and p["axis"] != 0):
        return p
    return None


def _product_keeps_rows(node: Node, split: set[Node]) -> bool:
    a, b = node.inputs
    n = node.aval.ndim
    if b not in split:
        return a.aval.ndim == n and (b.aval.ndim < max(n, 3) or b.aval.shape[0] == 1)
    if b.aval.ndim != n or n < 3:
        return False
    return a.aval.ndim == n if a in split else a.aval.ndim < n or a.aval.shape[0] == 1


def row_nbytes(x: Node, axis: int) -> int:
    """Bytes from one row to the next, for values with the rows along `axis`."""
    return prod(x.aval.shape[axis + 1 :]) * x.aval.dtype.itemsize
