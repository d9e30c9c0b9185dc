"""Sums in which values without their mean occur."""

from __future__ import annotations

from typing import Any

from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import find_primitive
from twinflow.graph.passes._fold import splat

_MOST_STEPS = 12


def sum_centred(graph: Graph) -> Graph:
    """sum(a · g + b · (x - mean(x)))  →  a · sum(g), where a and b do not change along the summed axes.

    The derivative by the mean in a batch norm is such a sum: without the rule it takes a pass over all activations that
    gives no more than the derivative by the bias does. Sums along the last axes are left alone: they stay in a row's kernel.
    """

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        x = inputs[0] if inputs else None
        if node.op != "sum" or not isinstance(x, Node) or not x.aval.dtype.is_floating_point:
            return None
        axes = node.params["axes"]
        if not axes or axes == tuple(range(x.aval.ndim - len(axes), x.aval.ndim)):
            return None
        found = _Terms(new, node, axes)
        if not found.read(x, []) or not found.centred:
            return None
        return found.total(x)

    return rebuild(graph, replace)


class _Terms:
    """A sum's operand as terms: (factors that do not change along its axes, what is left to be summed)."""

    def __init__(self, new: Graph, node: Node, axes: tuple[int, ...]) -> None:
        self.new, self.node, self.axes = new, node, axes
        self.terms: list[tuple[list[Any], Node]] = []
        self.centred = 0
        self.steps = 0

    def read(self, x: Node, factors: list[Any]) -> bool:
        """Split `x`; False if it is too long."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            return False
        if self._is_centred(x):
            self.centred += 1
            return True
        if x.op not in ("neg", "add", "sub", "mul"):
            self.terms.append((factors, x))
            return True
        whole = [y for y in x.inputs if isinstance(y, Node) and y.aval.shape == x.aval.shape]
        if x.op == "neg":
            return self.read(whole[0], [*factors, -1.0])
        if x.op in ("add", "sub") and len(whole) == 2:
            return self.read(whole[0], factors) and self.read(whole[1], [*factors, -1.0] if x.op == "sub" else factors)
        if x.op == "mul":
            a, b = x.inputs
            for y, factor in ((a, b), (b, a)):
                kept = self._unchanging(factor)
                if kept is not None and isinstance(y, Node) and y.aval.shape == x.aval.shape:
                    return self.read(y, [*factors, kept])
        self.terms.append((factors, x))
        return True

    def _unchanging(self, x: Operand) -> Any:
        """`x` with extent 1 along the axes (or a number), if it does not change along them."""
        if not isinstance(x, Node):
            return x
        if splat(x) is not None and x.op == "full":
            return splat(x)
        if x.op == "expand" and isinstance(x.inputs[0], Node):
            inner = x.inputs[0]
            return self._unchanging(inner) if inner.aval.ndim == x.aval.ndim else None
        ndim = self.node.inputs[0].aval.ndim
        return x if x.aval.ndim == ndim and all(x.aval.shape[a] == 1 for a in self.axes) else None

    def _is_centred(self, x: Node) -> bool:
        """Whether `x` is y - sum(y) / n over these axes."""
        if x.op != "sub":
            return False
        y, mean = x.inputs
        if not (isinstance(y, Node) and isinstance(mean, Node) and y.aval.shape == x.aval.shape):
            return False
        if mean.op == "expand" and isinstance(mean.inputs[0], Node):
            mean = mean.inputs[0]
        if mean.op != "div" or not isinstance(mean.inputs[0], Node):
            return False
        total, count = mean.inputs
        n = 1
        for a in self.axes:
            n *= y.aval.shape[a]
        return (
            total.op == "sum" and total.inputs[0] is y and total.params["axes"] == self.axes
            and total.params["keepdim"] and splat(count) == n
        )  # fmt: skip

    def total(self, x: Node) -> Node:
        """The sum of the terms."""
        line = self.node.line
        kept = tuple(1 if a in self.axes else n for a, n in enumerate(x.aval.shape))
        result: Node | None = None

        def add(op: str, *inputs: Any, **params: Any) -> Node:
            return self.new.add(find_primitive(op), inputs, params, line=line)

        for factors, term in self.terms:
            part = add("sum", term, axes=self.axes, keepdim=True)
            for factor in factors:
                part = add("neg", part) if isinstance(factor, float) and factor == -1.0 else add("mul", part, factor)
            result = part if result is None else add("add", result, part)
        if result is None:
            result = add("full", shape=kept, value=0.0, dtype=x.aval.dtype)
        wanted = self.node.aval.shape
        return result if result.aval.shape == wanted else add("reshape", result, shape=wanted)
