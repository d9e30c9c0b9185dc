"""Checks of large products by their factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core import Dim
from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import find_primitive

_LEAST = 1 << 14  # elements of a product from which on reading it costs more than another kernel
_GAIN = 1.5  # a product has at least so many times the elements of its factors


def bound_products(graph: Graph) -> Graph:
    """all(|a · b| < ∞)  →  true where every |a| and |b| is below √(h / 4k), h the largest number, and only else by the product.

    Where a product is larger than its factors, as the gradient of a weight is, less is read, and nothing waits for the product:
    an update in its epilogue needs no second place for the new weights. k products of such factors come to less than h in any
    order, so the answer is the same.
    """

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        product = _checked_product(node, inputs)
        return None if product is None else _by_factors(new, node, product)

    return rebuild(graph, replace)


def _checked_product(node: Node, inputs: tuple[Operand, ...]) -> Node | None:
    """The product whose every element `node` asks to be finite, if its factors answer that for less."""
    x: Any = inputs[0] if inputs else None
    if node.op != "amin" or not isinstance(x, Node) or len(node.params["axes"]) != x.aval.ndim or node.aval.shape != ():
        return None
    if x.op != "lt" or x.inputs[1] != math.inf or not isinstance(x.inputs[0], Node) or x.inputs[0].op != "abs":
        return None
    product = x.inputs[0].inputs[0]
    while product.op in ("permute", "reshape"):
        product = product.inputs[0]
    if product.op != "matmul" or product.aval.dtype.name not in ("float32", "float64") or product.aval.size < _LEAST:
        return None
    a, b = product.inputs
    if any(isinstance(n, Dim) for f in (a, b) for n in f.aval.shape):
        return None  # the limit would be a number in the code for each size
    return product if product.aval.size >= _GAIN * (a.aval.size + b.aval.size) else None


def _by_factors(new: Graph, node: Node, product: Node) -> Node:
    def add(graph: Graph, op: str, *operands: Operand, **params: Any) -> Node:
        return graph.add(find_primitive(op), operands, params, line=node.line)

    def every(graph: Graph, x: Node, limit: float) -> Node:
        below = add(graph, "lt", add(graph, "abs", x), limit)  # which no comparison with NaN is
        return add(graph, "amin", below, axes=tuple(range(x.aval.ndim)), keepdim=False)

    given = product.inputs
    held = [x.inputs[0] if x.op == "permute" else x for x in given]  # as they lie in memory
    limit = math.sqrt(float(np.finfo(product.aval.dtype.np).max) / 4 / max(1, given[0].aval.shape[-1]))
    small = add(new, "bitwise_and", *(every(new, x, limit) for x in held))

    known, asked = Graph("small"), Graph("product")
    for branch in (known, asked):
        for x in held:
            branch.add_input(x.aval)
    known.outputs = [add(known, "full", shape=(), value=True, dtype=node.aval.dtype)]
    factors = [add(asked, "permute", y, **x.params) if x.op == "permute" else y for x, y in zip(given, asked.inputs)]
    asked.outputs = [every(asked, add(asked, "matmul", *factors), math.inf)]
    choice = add(new, "cond", small, *held, on_true=known, on_false=asked)
    return add(new, "pick", choice, index=0)
