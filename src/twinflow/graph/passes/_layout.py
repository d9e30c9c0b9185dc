"""Layouts: which order the axes of each value have in memory.

Graphs have the channels second, as the front ends' users write them; the kernels of convolutions want them last. Each
value whose making prefers another order is kept in that order, and what follows works in it too, so that axes are
permuted only where a value enters or leaves a run of such operations.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twinflow.core import matching_axes
from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import Aval, find_primitive

Order = tuple[int, ...]
CONVOLUTIONS = ("conv", "conv_input", "conv_weight")
_FLOATS = ("float32", "float64", "bfloat16", "float16")


def choose_layouts(graph: Graph) -> Graph:
    """conv(x, w)  →  permute(conv_last(permute(x), w)), the outer permute moved down past operations that work in any
    order: elementwise ones, reductions, padding, slices and reshapes that keep axes apart. Filters stay as they are, in
    the user's order or, where they are kept as [*K, C, O], in that."""
    if not any(n.op in CONVOLUTIONS for n in graph.nodes):
        return graph
    layouts = _Layouts(graph)
    made = rebuild(graph, layouts.replace)
    made.outputs = [layouts.plain(x) for x in made.outputs]
    made.writes = {k: layouts.plain(v) for k, v in made.writes.items()}
    return made


def _inverse(order: Order) -> Order:
    out = [0] * len(order)
    for i, a in enumerate(order):
        out[a] = i
    return tuple(out)


def _moved(values: Any, order: Order) -> tuple[Any, ...]:
    return tuple(values[a] for a in order)


def _last(n: int) -> Order:
    return (0, *range(2, n), 1)


class _Layouts:
    """What is known while a graph is rebuilt. A node of the new graph that stands for a value in another order than the
    user's has an entry in `order`: its axis j is the value's axis order[j]."""

    def __init__(self, graph: Graph) -> None:
        self.users = graph.users()  # of the old graph
        self.order: dict[Node, Order] = {}
        self.made: dict[tuple[Node, Order], Node] = {}

    # -- values in an order --------------------------------------------------------------------------------------

    def order_of(self, x: Operand) -> Order:
        found = self.order.get(x) if isinstance(x, Node) else None
        return tuple(range(x.aval.ndim)) if found is None else found

    def shape_of(self, x: Node) -> tuple[int, ...]:
        """The value's shape as the user sees it."""
        return _moved(x.aval.shape, _inverse(self.order_of(x)))

    def plain(self, x: Operand) -> Operand:
        """The value in the user's order."""
        return self.ordered(x, tuple(range(x.aval.ndim))) if isinstance(x, Node) and x in self.order else x

    def ordered(self, x: Operand, order: Order) -> Operand:
        """The value with its axes in this order."""
        have = self.order_of(x)
        if have == order:
            return x
        key = (x, order)
        if key not in self.made:
            axes = _moved(_inverse(have), order)
            self.made[key] = _add(x.graph, x, "permute", (x,), {"axes": axes})
        return self.made[key]

    def _keep(self, made: Node, order: Order) -> Node:
        if order != tuple(range(len(order))):
            self.order[made] = order
        return made

    # -- rules -----------------------------------------------------------------------------------------------------

    def replace(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        if node.op in CONVOLUTIONS and node.aval.dtype.name in _FLOATS:
            return self._convolution(new, node, inputs)
        if not any(isinstance(x, Node) and x in self.order for x in inputs):
            return None
        prim = node.prim
        rule = getattr(self, "_" + node.op, None)
        if prim is not None and prim.elementwise:
            rule = self._elementwise
        elif node.op in ("sum", "prod", "amax", "amin", "argmax", "argmin"):
            rule = self._reduction
        made = rule(new, node, inputs) if rule is not None else None
        if made is not None or prim is None:
            return made
        return new.add(prim, tuple(self.plain(x) for x in inputs), node.params, aval=node.aval, line=node.line)

    def _convolution(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Node:
        p = dict(node.params)
        n = node.aval.ndim
        image, filters = _last(n), (*range(2, n), 1, 0)
        a, b = inputs
        crops = [tuple(max(-q, 0) for q in pair) for pair in p["padding"]]
        size = self.shape_of(a)[2:] if node.op != "conv_input" else p["shape"]
        a = self.ordered(a, image)
        if any(map(any, crops)):  # negative padding cuts off: the kernels do not know it
            p["padding"] = tuple(tuple(max(q, 0) for q in pair) for pair in p["padding"])
            starts = (0, *(low for low, _ in crops), 0)
            if node.op == "conv_input":
                p["shape"] = tuple(s - low - high for s, (low, high) in zip(size, crops))
            else:
                stops = (a.aval.shape[0], *(s - high for s, (_, high) in zip(size, crops)), a.aval.shape[-1])
                a = _add(new, node, "slice", (a,), {"starts": starts, "stops": stops, "steps": (1,) * n})
        p["filters_first"] = self._filters_first(node, b, filters)
        if node.op == "conv_weight":
            b = self.ordered(b, image)
        else:
            b = self.plain(b) if p["filters_first"] else self.ordered(b, filters)
        y = _add(new, node, node.op + "_last", (a, b), p)
        if any(map(any, crops)) and node.op == "conv_input":
            around = {"low": starts, "high": (0, *(high for _, high in crops), 0), "interior": (0,) * n, "value": 0}
            y = _add(new, node, "pad", (y,), around)
        if node.op == "conv_weight":
            return y if p["filters_first"] else _add(new, node, "permute", (y,), {"axes": _inverse(filters)})
        return self._keep(y, image)

    def _filters_first(self, node: Node, b: Operand, filters: Order) -> bool:
        """Whether filters are best left as [O, C, *K]: kernels rearrange them as they read or write them. Not where they
        are kept as [*K, C, O] and turned around for the user."""
        if node.op == "conv_weight":
            turned = [u.op == "permute" and u.params["axes"] == filters for u in self.users[node]]
            return not turned or not all(turned)
        return not (isinstance(b, Node) and b.op == "permute" and b.params["axes"] == _inverse(filters))

    def _elementwise(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        n = node.aval.ndim
        # the order of the largest operand that has one of its own
        ordered = [x for x in inputs if isinstance(x, Node) and x in self.order and x.aval.ndim == n]
        if not ordered:
            return None
        order = self.order[max(ordered, key=lambda x: x.aval.size)]
        operands = []
        for x in inputs:
            if isinstance(x, Node) and x.aval.ndim:
                x = self.plain(x) if x.aval.ndim < n else x
                if x.aval.ndim < n:
                    shape = (1,) * (n - x.aval.ndim) + x.aval.shape
                    x = _add(new, node, "reshape", (x,), {"shape": shape})
                x = self.ordered(x, order)
            operands.append(x)
        return self._keep(_again(new, node, tuple(operands), node.params), order)

    def _cast(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        return self._keep(_again(new, node, inputs, node.params), self.order[inputs[0]])

    def _reduction(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        x, p = inputs[0], dict(node.params)
        order = self.order[x]
        place = _inverse(order)
        folded = (p["axis"],) if "axis" in p else p["axes"]
        if "axis" in p:
            p["axis"] = place[p["axis"]]
        else:
            p["axes"] = tuple(sorted(place[a] for a in p["axes"]))
        if not p["keepdim"]:
            kept = [a for a in range(len(order)) if a not in folded]
            order = tuple(kept.index(a) for a in order if a not in folded)
        made = _again(new, node, (x,), p)
        return self._keep(made, order)

    def _permute(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        x = inputs[0]
        order = _moved(_inverse(node.params["axes"]), self.order[x])
        return self._keep(_again(new, node, (x,), {"axes": tuple(range(len(order)))}), order)

    def _expand(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        x, shape = inputs[0], node.params["shape"]
        lead = len(shape) - x.aval.ndim
        order = (*range(lead), *(a + lead for a in self.order[x]))
        return self._keep(_again(new, node, (x,), {"shape": _moved(shape, order)}), order)

    def _slice(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        order = self.order[inputs[0]]
        p = {k: _moved(v, order) for k, v in node.params.items()}
        return self._keep(_again(new, node, inputs, p), order)

    def _pad(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        order = self.order[inputs[0]]
        p = {k: v if k == "value" else _moved(v, order) for k, v in node.params.items()}
        return self._keep(_again(new, node, inputs, p), order)

    def _slice_update(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        order = self.order_of(inputs[0])
        p = {k: _moved(v, order) for k, v in node.params.items()}
        return self._keep(_again(new, node, tuple(self.ordered(x, order) for x in inputs), p), order)

    def _concat(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand:
        order = next(self.order[x] for x in inputs if x in self.order)
        p = {"axis": _inverse(order)[node.params["axis"]]}
        return self._keep(_again(new, node, tuple(self.ordered(x, order) for x in inputs), p), order)

    def _reshape(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        """Axes that are joined must be neighbours in memory; then the new axes stand where the old ones did."""
        x, shape = inputs[0], node.params["shape"]
        order = self.order[x]
        runs = matching_axes(self.shape_of(x), shape)
        if runs is None:
            return None
        place = _inverse(order)
        old = self.shape_of(x)
        pieces: list[tuple[int, list[int]]] = []
        for a, b in runs:
            where = [place[k] for k in a if old[k] != 1]
            between = [old[order[k]] != 1 for i, j in pairwise(where) for k in range(i + 1, j)]
            if any(j < i for i, j in pairwise(where)) or any(between):
                return None
            pieces.append(
                (where[0] if where else pieces[-1][0] if pieces else -1, b)
            )  # a new axis: behind the one before
        result = tuple(k for _, b in sorted(pieces, key=lambda piece: piece[0]) for k in b)
        return self._keep(_again(new, node, (x,), {"shape": _moved(shape, result)}), result)


def _add(new: Graph, node: Node, op: str, inputs: tuple[Operand, ...], params: dict[str, Any]) -> Node:
    return new.add(find_primitive(op), inputs, params, line=node.line)


def _again(new: Graph, node: Node, inputs: tuple[Operand, ...], params: dict[str, Any]) -> Node:
    """The node's operation on other operands."""
    made = _add(new, node, node.op, inputs, params)
    if not isinstance(made.aval, Aval):
        raise TypeError(f"choose_layouts: {node.op} has several results")
    return made
