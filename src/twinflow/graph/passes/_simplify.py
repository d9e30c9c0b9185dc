"""Rewriting nodes into cheaper ones with the same value. Each rule is documented as before → after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import Aval, find_primitive
from twinflow.graph.passes._fold import splat

Rule = Callable[[Graph, Node, tuple[Operand, ...]], Operand | None]
RULES: dict[str, list[Rule]] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Register a rewrite for nodes of these primitives."""

    def register(fn: Rule) -> Rule:
        for op in ops:
            RULES.setdefault(op, []).append(fn)
        return fn

    return register


def _make(new: Graph, node: Node, op: str, inputs: tuple[Operand, ...], **params: Any) -> Node:
    return new.add(find_primitive(op), inputs, params, line=node.line)


def _same_aval(x: Operand, node: Node) -> bool:
    return isinstance(x, Node) and x.aval == node.aval


@rule("mul", "div", "pow")
def times_one(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """x · 1, 1 · x, x / 1, x^1  →  x."""
    a, b = inputs
    if splat(b) == 1 and _same_aval(a, node):
        return a
    if node.op == "mul" and splat(a) == 1 and _same_aval(b, node):
        return b
    return None


@rule("sub", "add")
def plus_zero(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """x - 0  →  x; in integers also x + 0. (x + 0.0 turns -0.0 into 0.0, which differs in a division, so it only counts as
    x where the zero is negative or the type has no signed zero.)"""
    a, b = inputs
    if node.op == "sub":
        return a if splat(b) == 0 and str(splat(b)) != "-0.0" and _same_aval(a, node) else None
    if node.aval.dtype.is_floating_point or node.aval.dtype.is_complex:
        return None
    if splat(b) == 0 and _same_aval(a, node):
        return a
    return b if splat(a) == 0 and _same_aval(b, node) else None


@rule("neg")
def neg_neg(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """-(-x)  →  x."""
    x = inputs[0]
    return x.inputs[0] if isinstance(x, Node) and x.op == "neg" and isinstance(x.inputs[0], Node) else None


@rule("add", "sub")
def add_neg(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """a + (-b)  →  a - b;  a - (-b)  →  a + b."""
    a, b = inputs
    if isinstance(b, Node) and b.op == "neg":
        return _make(new, node, "sub" if node.op == "add" else "add", (a, b.inputs[0]))
    return None


@rule("stop_gradient")
def no_more_gradients(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """stop_gradient(x)  →  x: a graph comes to the passes when nobody will differentiate it any more."""
    return inputs[0]


@rule("pick")
def derivative_by_hand(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """custom_vjp(x, ...)[0]  →  x, for the same reason."""
    x = inputs[0]
    return x.inputs[node.params["index"]] if isinstance(x, Node) and x.op == "custom_vjp" else None


@rule("reshape", "expand", "cast", "slice", "permute", "copy", "sum")
def nothing_changes(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """A structural operation that changes neither shape, type nor order  →  its operand."""
    x = inputs[0]
    if not _same_aval(x, node):
        return None
    if node.op == "permute" and node.params["axes"] != tuple(range(len(node.params["axes"]))):
        return None
    if node.op == "slice" and any(s != 1 for s in node.params["steps"]):
        return None
    if node.op == "sum" and node.params["axes"] and any(node_extent(x, a) != 1 for a in node.params["axes"]):
        return None
    return x


def node_extent(x: Operand, axis: int) -> int:
    """The extent of an axis of an operand."""
    return int(x.aval.shape[axis])


@rule("reshape")
def reshape_reshape(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """reshape(reshape(x))  →  reshape(x)."""
    x = inputs[0]
    if isinstance(x, Node) and x.op == "reshape":
        return _or_same(new, node, "reshape", x.inputs[0], shape=node.params["shape"])
    return None


@rule("permute")
def permute_of_ones(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """permute(x), where only axes of extent 1 pass others  →  reshape(x)."""
    x = inputs[0]
    wide = [a for a in node.params["axes"] if node_extent(x, a) != 1]
    return _or_same(new, node, "reshape", x, shape=node.aval.shape) if wide == sorted(wide) else None


@rule("permute")
def permute_permute(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """permute(permute(x))  →  permute(x)."""
    x = inputs[0]
    if isinstance(x, Node) and x.op == "permute":
        axes = tuple(x.params["axes"][a] for a in node.params["axes"])
        if axes == tuple(range(len(axes))):
            return x.inputs[0]
        return _make(new, node, "permute", (x.inputs[0],), axes=axes)
    return None


@rule("add")
def add_of_pads(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """pad(a) + pad(b) + ..., zeros but for pieces side by side along one axis  →  concat(a, b, ...).

    This is what the parts of an array give back as its gradient. (A -0.0 in a piece stays one.)"""
    terms: list[Operand] = []
    stack: list[Operand] = [*inputs]
    while stack:
        x = stack.pop()
        if isinstance(x, Node) and x.op == "add" and _same_aval(x, node):
            stack += x.inputs
        elif isinstance(x, Node) and x.op == "pad" and _same_aval(x, node):
            terms.append(x)
        else:
            return None
    moved = {i for x in terms for i, p in enumerate(zip(x.params["low"], x.params["high"])) if p != (0, 0)}
    if len(moved) != 1 or any(x.params["value"] != 0 or any(x.params["interior"]) for x in terms):
        return None
    axis = moved.pop()
    terms.sort(key=lambda x: int(x.params["low"][axis]))
    end = 0
    for x in terms:
        if x.params["low"][axis] != end:
            return None
        end += node_extent(x.inputs[0], axis)
    if end != node.aval.shape[axis]:
        return None
    return _make(new, node, "concat", tuple(x.inputs[0] for x in terms), axis=axis)


@rule("reshape")
def reshape_of_pieces(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """reshape(concat(a, b, ...)) or reshape(pad(a)) that joins the one axis they lengthen with the next  →
    concat(reshape(a), reshape(b), ...), pad(reshape(a))."""
    x = inputs[0]
    if not (isinstance(x, Node) and x.op in ("concat", "pad")):
        return None
    p, old = x.params, x.aval.shape
    if x.op == "concat":
        axes = [p["axis"]]
    else:
        axes = [i for i, n in enumerate(x.inputs[0].aval.shape) if n != old[i]]
    if len(axes) != 1 or axes[0] + 1 >= len(old) or (x.op == "pad" and any(p["interior"])):
        return None
    axis = axes[0]
    after = old[axis + 1]

    def joined(shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:axis], shape[axis] * after, *shape[axis + 2 :])

    if node.aval.shape != joined(old):
        return None
    pieces = tuple(_flat(new, node, y, joined(y.aval.shape)) for y in x.inputs)
    if x.op == "concat":
        return _make(new, node, "concat", pieces, axis=axis)
    return _make(
        new, node, "pad", pieces, low=joined(p["low"]), high=joined(p["high"]), interior=joined(p["interior"]),
        value=p["value"],
    )  # fmt: skip


@rule("expand")
def expand_expand(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """expand(expand(x))  →  expand(x)."""
    x = inputs[0]
    if isinstance(x, Node) and x.op == "expand":
        return _make(new, node, "expand", (x.inputs[0],), shape=node.params["shape"])
    return None


@rule("sum")
def sum_of_ones(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """A sum over axes of extent 1  →  reshape."""
    x = inputs[0]
    if isinstance(x, Node) and all(node_extent(x, a) == 1 for a in node.params["axes"]):
        return _or_same(new, node, "reshape", x, shape=node.aval.shape)
    return None


@rule("cast")
def cast_cast(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """cast(cast(x, wide), dtype)  →  cast(x, dtype) where the first cast loses nothing."""
    x = inputs[0]
    if isinstance(x, Node) and x.op == "cast" and isinstance(x.inputs[0], Node):
        source, middle = x.inputs[0].aval.dtype, x.aval.dtype
        widens = source.category == 2 == middle.category and source.itemsize < middle.itemsize
        if widens or (source.name == "bool" and middle.category in (1, 2)):
            return _or_same(new, node, "cast", x.inputs[0], dtype=node.params["dtype"])
    return None


@rule("log")
def log_of_softmax(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """log(exp(a) / b)  →  a - log(b): the logarithm of a softmax, without the underflow between."""
    x = inputs[0]
    if not (isinstance(x, Node) and x.op == "div"):
        return None
    top, bottom = x.inputs
    if not (isinstance(top, Node) and top.op == "exp" and isinstance(bottom, Node)):
        return None
    return _make(new, node, "sub", (top.inputs[0], _make(new, node, "log", (bottom,))))


@rule("where")
def where_known(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """where(true, a, b)  →  a;  where(false, a, b)  →  b;  where(c, a, a)  →  a."""
    c, a, b = inputs
    if splat(c) is not None:
        chosen = a if splat(c) else b
        return chosen if _same_aval(chosen, node) else None
    return a if a is b and _same_aval(a, node) else None


def _or_same(new: Graph, node: Node, op: str, x: Operand, **params: Any) -> Operand:
    """`op` of `x`, or `x` itself if that is what it would give."""
    aval: Aval = node.aval
    if isinstance(x, Node) and x.aval == aval:
        return x
    return _make(new, node, op, (x,), **params)


def _flat(new: Graph, node: Node, x: Node, shape: tuple[int, ...]) -> Node:
    """x in another shape, through a reshape that it may be itself."""
    if x.op == "reshape" and x.inputs[0].aval.shape == shape:
        return x.inputs[0]
    return x if x.aval.shape == shape else _make(new, node, "reshape", (x,), shape=shape)


@rule("pick")
def _row_of_unstacked(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """unstack(x)[k]  →  the slice of x."""
    stack = inputs[0]
    if not isinstance(stack, Node) or stack.op != "unstack":
        return None
    x, axis, k = stack.inputs[0], stack.params["axis"], node.params["index"]
    if not isinstance(x, Node):
        return None
    starts, stops = [0] * x.ndim, list(x.aval.shape)
    starts[axis], stops[axis] = k, k + 1
    row = _make(new, node, "slice", (x,), starts=tuple(starts), stops=tuple(stops), steps=(1,) * x.ndim)
    return _make(new, node, "reshape", (row,), shape=node.aval.shape)


def simplify(graph: Graph) -> Graph:
    """All rules, applied to each node until none fits."""

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        current, operands = node, inputs
        for _ in range(16):  # chains of rules are short; the bound only guards against a pair that undo each other
            for fn in RULES.get(current.op, ()):
                made = fn(new, current, operands)
                if made is not None:
                    break
            else:
                break
            if not isinstance(made, Node) or made.prim is None or made.op not in RULES or made in inputs:
                return made
            if made.graph is not new or made is not new.nodes[-1]:
                return made
            current, operands = made, made.inputs
        return None if current is node else current

    return rebuild(graph, replace)
