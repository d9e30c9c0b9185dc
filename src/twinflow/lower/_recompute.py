"""Values that are computed anew wherever they are read, because that is cheaper than storing them once.

x - mean, say, costs as much to read as x and the mean do; if x has memory anyway, what reads x - mean may as well read x.
"""

from __future__ import annotations

from collections.abc import Callable

from twinflow.graph import Node

_CHEAP = frozenset(
    "add sub mul neg abs square relu maximum minimum where eq ne lt le gt ge bitwise_and bitwise_or bitwise_xor invert"
    " copy stop_gradient".split()
)
_MOST_STEPS = 6  # operations in a row that are done anew for each reader
_SMALL = 8  # an operand that is so many times smaller stays in the cache


def find_recomputed(
    nodes: list[Node],
    stored: set[Node],
    candidates: Callable[[Node], bool],
    units: Callable[[Node], list[Node]],
    readers: Callable[[Node], tuple[int, set[Node]]],
) -> set[Node]:
    """The stored nodes that need no memory: cheap functions of stored values, where reading those again costs less.

    Args:
        nodes: all nodes, operands first.
        stored: those that would have memory.
        candidates: whether a node may go without.
        units: what a node reads, through rearrangements that cost nothing.
        readers: how many other kernels read a node, and what its own kernel reads or makes besides for others.
    """
    steps: dict[Node, int] = {}  # of recomputed nodes
    base: dict[Node, set[Node]] = {}
    for node in nodes:
        if node not in stored or node.op not in _CHEAP or not candidates(node):
            continue
        bases: set[Node] = set()
        count = 1
        for x in units(node):
            if x in steps:
                count += steps[x]
                bases |= base[x]
            elif x not in stored and x.prim is not None:
                count = _MOST_STEPS + 1  # computed elsewhere and not stored: a reduction's operand, a product's sums
            elif x.aval.size * _SMALL > node.aval.size:
                bases.add(x)
        if count > _MOST_STEPS:
            continue
        times, at_hand = readers(node)
        again = times * _nbytes(bases)
        once = _nbytes(bases - at_hand) + (2 + times) * _nbytes({node})  # a store reads the line first
        if again < once:
            steps[node], base[node] = count, bases
    return set(steps)


def _nbytes(nodes: set[Node]) -> int:
    return sum(x.aval.dtype.itemsize * x.aval.size for x in nodes)
