"""From a traced graph to one whose every node has kernels: rows that are composed of others, and all passes."""

from __future__ import annotations

from typing import Any

from twinflow.graph import Graph, Node, rebuild
from twinflow.graph.passes import optimize
from twinflow.lower._exact import exact_product, needs_digits
from twinflow.lower._factors import ROWS
from twinflow.lower._site import Site
from twinflow.runtime._library import find_loop


def expand_rows(graph: Graph) -> Graph:
    """Factorisations and their like as calls of NumPy's loops, products of whole numbers as those of floating-point ones.

    Without its loop a row stays as it is, and runs on its reference.
    """
    if not any(n.op in ROWS or needs_digits(n) for n in graph.nodes):
        return graph

    def replace(new: Graph, node: Node, inputs: tuple[Any, ...]) -> Any:
        if node.op == "pick" and isinstance(inputs[0], tuple):
            return inputs[0][node.params["index"]]
        compose, loop = ROWS.get(node.op, (None, None))
        if compose is not None and (loop is None or find_loop(loop) is not None):
            return compose(Site(new, node), *inputs, **node.params)
        if needs_digits(node):
            return exact_product(Site(new, node), node, *inputs)
        return None

    return rebuild(graph, replace)


def prepared(graph: Graph) -> Graph:
    """The graph after all passes, ready to be lowered."""
    return optimize(expand_rows(graph))
