"""Sums over the steps of a scan, taken after the loop.

The gradient of a weight is a sum over steps of products Aₜ·Bₜ. Added up step by step, each of them reads and writes the whole sum; one
product of the stacked factors, [a, T·n] · [T·n, b], does the same arithmetic at the speed of a large product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

from twinflow.graph import Graph, Node
from twinflow.ops._body import replay
from twinflow.ops._declare import call
from twinflow.tensor import Tensor

_LINEAR = frozenset(["add", "permute", "reshape", "pad", "slice", "neg"])
"""What the sum over steps passes through: f(Σ xₜ) = Σ f(xₜ)."""


def _turned(x: Any) -> tuple[Any, bool]:
    """A matrix behind transpositions, and whether it is transposed."""
    flipped = False
    while isinstance(x, Node) and x.op == "permute" and tuple(x.params["axes"]) == (1, 0):
        x, flipped = x.inputs[0], not flipped
    return x, flipped


def _leaves(root: Node) -> list[Node] | None:
    """The matrix products and reductions that `root` is a linear function of; None if it depends on anything else."""
    found: dict[Node, None] = {}
    stack: list[Any] = [root]
    while stack:
        x = stack.pop()
        if not isinstance(x, Node):
            return None
        if x.op in _LINEAR and x.params.get("value", 0) == 0:
            stack += x.inputs
        elif (x.op == "matmul" and x.aval.ndim == 2) or x.op == "sum":
            found[x] = None
        else:
            return None
    return list(found)


class DeferredSums:
    """Which gradients of a backward step are summed after the loop, and how.

    Args:
        graph: the backward step.
        gradients: the nodes to sum over the steps, by constant operand.
        constant: whether a node is the same in every step (then there is nothing to stack).

    Attributes:
        factors: the nodes whose values at every step are needed.
    """

    def __init__(self, graph: Graph, gradients: dict[int, Node], constant: Callable[[Node], bool]) -> None:
        self.graph = graph
        self.roots: dict[int, Node] = {}
        self.factors: list[Node] = []
        leaves = {k: _leaves(g) for k, g in gradients.items()}
        products = {k: found for k, found in leaves.items() if found and any(x.op == "matmul" for x in found)}
        sums = {k: found for k, found in leaves.items() if found and k not in products}
        for k, found in (*products.items(), *sums.items()):
            needed = {f for leaf in found for f in self._factors(leaf)}
            bound = max((f.aval.size for f in self.factors), default=0)
            small = all(f.aval.size <= bound for f in needed if not self._of_product(f, found))
            if small and not any(constant(f) or f.aval.dtype != gradients[k].aval.dtype for f in needed):
                self.roots[k] = gradients[k]
                self.factors += [f for f in needed if f not in self.factors]

    @staticmethod
    def _factors(leaf: Node) -> list[Node]:
        if leaf.op == "sum":
            return [leaf.inputs[0]]
        return [_turned(x)[0] for x in leaf.inputs]

    @staticmethod
    def _of_product(factor: Node, leaves: Iterable[Node]) -> bool:
        return any(leaf.op == "matmul" and factor in DeferredSums._factors(leaf) for leaf in leaves)

    def __contains__(self, k: int) -> bool:
        return k in self.roots

    def totals(self, stacked: dict[Node, Tensor]) -> dict[int, Tensor]:
        """The sums, by constant operand, from the stacked values [T, ...] of all factors."""
        leaves = list({leaf: None for root in self.roots.values() for leaf in _leaves(root) or ()})
        values = [self._total(leaf, stacked) for leaf in leaves]
        found = replay(self.graph, values, list(self.roots.values()), inputs=leaves)
        return dict(zip(self.roots, found))

    def _total(self, leaf: Node, stacked: dict[Node, Tensor]) -> Tensor:
        if leaf.op == "sum":
            whole = stacked[leaf.inputs[0]]
            n = len(leaf.inputs[0].aval.shape)
            axes = tuple(a % n + 1 for a in leaf.params["axes"])
            return call("sum", whole, **{**leaf.params, "axes": (0, *axes)})
        (a, a_turned), (b, b_turned) = (_turned(x) for x in leaf.inputs)
        left = _joined(stacked[a], 0 if a_turned else 1)
        right = _joined(stacked[b], 1 if b_turned else 0)
        return call("matmul", call("permute", left, axes=(1, 0)), right)


def _joined(x: Tensor, axis: int) -> Tensor:
    """[T, n, c] (axis 0) or [T, c, n] (axis 1) as [T·n, c]: the steps one below the other."""
    if axis == 1:
        x = call("permute", x, axes=(0, 2, 1))
    length, n, c = x._data.shape
    return call("reshape", x, shape=(prod((length, n)), c))
