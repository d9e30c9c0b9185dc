"""The scalar that a node is, at a position: how fused kernels get their bodies.

`Body.value(node, positions)` gives the loop IR's expression for one element. Nodes that have a buffer are loads; elementwise
nodes are applications of the scalar table; structural nodes rearrange positions; reductions inside the same kernel are
`Reduce` over the kernel's inner axes.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

from twinflow.compiler.loops import Apply, Axis, Buffer, Const, Expr, Load, Reduce
from twinflow.compiler.scalar import FUNCTIONS
from twinflow.core import is_symbolic
from twinflow.graph import Node
from twinflow.graph.lowering import Elementwise
from twinflow.lower._index import ZERO, Position, along, as_index, linear, number, reshaped, row_major

# primitives whose name in the scalar table differs
_NAMES = {
    "maximum": "max",
    "minimum": "min",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
    "invert": "not",
    "floor_divide": "floor_div",
    "where": "select",
}
_REDUCE = {"sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "argmax": "argmax", "argmin": "argmin"}
REDUCTIONS = frozenset(_REDUCE)
STRUCTURAL = frozenset(
    [
        "reshape",
        "permute",
        "expand",
        "slice",
        "slice_update",
        "pad",
        "concat",
        "full",
        "iota",
        "cast",
        "diagonal",
        "take",
        "gather",
        "random_bits",
    ]
)
NARROW = ("float16", "bfloat16")  # computed with as float32, rounded by a cast where a value gets its type
_MAX_DEPTH = 64

Positions = tuple[Position, ...]


def value_dtype(dtype: str) -> str:
    """The type that elements of `dtype` have in registers."""
    return "float32" if dtype in NARROW else dtype


def scalar_name(node: Node) -> Any:
    """The scalar function (a name, or a function that composes) of an elementwise node, or None if the table has none."""
    prim = node.prim
    if prim is None or not isinstance(prim.lower, Elementwise):
        return None
    name = prim.lower.scalar
    if callable(name):
        return name
    name = _NAMES.get(name, name)
    return name if name in FUNCTIONS or name == "copy" else None


def is_heavy(node: Node) -> bool:
    """Whether a node's scalar function takes many instructions."""
    name = scalar_name(node)
    return node.op == "random_bits" or (isinstance(name, str) and name in FUNCTIONS and FUNCTIONS[name].heavy)


def is_inlinable(node: Node) -> bool:
    """Whether a node's elements can be computed inside a loop kernel from those of its operands."""
    if node.prim is None or type(node.aval) is tuple:
        return False
    avals = [node.aval] + [x.aval for x in node.inputs if isinstance(x, Node)]
    if any(type(a) is tuple or a.dtype.is_complex for a in avals):
        return False
    if node.op in STRUCTURAL or node.op in REDUCTIONS:
        return not (node.op in ("argmax", "argmin") and node.inputs[0].aval.ndim == 0)
    name = scalar_name(node)
    if name is None:
        return False
    if callable(name) or name == "copy":
        return True
    if node.op == "pow" and node.aval.dtype.name.startswith("int") and not isinstance(node.inputs[1], Node):
        return bool(node.inputs[1] >= 0)  # the reference raises the error
    operands = [x for x in node.inputs if isinstance(x, Node)]
    kinds = FUNCTIONS[name].dtypes
    checked = operands[1:] if node.op == "where" else operands
    return all(value_dtype(x.aval.dtype.name) in kinds for x in checked)


class Buffers(Protocol):
    """Says which nodes are loaded from memory."""

    def get(self, node: Node) -> Buffer | None:
        """The node's buffer, or None if it is computed."""


class Scalars:
    """What a row's composed lowering receives: `s.mul(x, y)` is the scalar table's function."""

    def __getattr__(self, name: str) -> Any:
        def scalar(*args: Any) -> Expr:
            dtype = [a.dtype for a in args if isinstance(a, Expr)][-1]
            return Apply(_NAMES.get(name, name), *(a if isinstance(a, Expr) else Const(a, dtype) for a in args))

        return scalar


class Body:
    """Builds the expressions of one kernel.

    Args:
        buffers: the nodes that are loaded rather than computed, with their buffers.
        reduced: for each reduction computed in this kernel, the kernel axes it folds, by position along its operand.
    """

    def __init__(self, buffers: Buffers, reduced: dict[Node, dict[int, Axis]]) -> None:
        self.buffers = buffers
        self.reduced = reduced
        self._memo: dict[Any, Expr] = {}
        self._keep: list[Any] = []

    def value(self, node: Any, at: Positions, dtype: str = "float32", mask: Expr | None = None) -> Expr:
        """The element of `node` (or the number) at a position; `dtype` is what a number takes. Where `mask` is false
        nothing is read, and the value does not matter."""
        if not isinstance(node, Node):
            return Const(node, value_dtype(dtype))
        key = (node, tuple(p.key for p in at), id(mask))
        found = self._memo.get(key)
        if found is None:
            found = self._memo[key] = self._compute(node, at, mask)
            self._keep.append((at, mask))
        return found

    def _compute(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        buffer = self.buffers.get(node)
        if buffer is not None:
            return Load(buffer, as_index(linear(at, row_major(node.aval.shape))), mask)
        if node.op in _REDUCE:
            return self._reduce(node, at, mask)
        if node.op in STRUCTURAL:
            return getattr(self, "_" + node.op)(node, at, mask)
        return self._elementwise(node, at, mask)

    # -- elementwise -------------------------------------------------------------------------------------------

    def _operand(self, node: Node, x: Any, at: Positions, mask: Expr | None, dtype: str) -> Expr:
        if not isinstance(x, Node):
            return Const(x, value_dtype(dtype))
        lead = len(at) - x.aval.ndim
        inner = tuple(ZERO if n == 1 else p for n, p in zip(x.aval.shape, at[lead:]))
        return self.value(x, inner, dtype, mask)

    def _elementwise(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        name = scalar_name(node)
        typed = [x for x in (node.inputs[1:] if node.op == "where" else node.inputs) if isinstance(x, Node)]
        dtype = typed[0].aval.dtype.name
        args = [self._operand(node, x, at, mask, dtype) for x in node.inputs]
        if node.op == "where" and not isinstance(node.inputs[0], Node):
            args[0] = Const(bool(node.inputs[0]), "bool")
        if name == "copy":
            return args[0]
        e: Expr = name(Scalars(), *args) if callable(name) else Apply(name, *args)
        return self._rounded(e, node.aval.dtype.name)

    def _rounded(self, e: Expr, dtype: str) -> Expr:
        """16-bit results are rounded where they are made, as in eager evaluation."""
        return Apply("cast", e, to=dtype) if dtype in NARROW else e

    def _cast(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x = self.value(node.inputs[0], at, mask=mask)
        to = node.aval.dtype.name
        return x if x.dtype == to else Apply("cast", x, to=to)

    # -- reductions --------------------------------------------------------------------------------------------

    def _reduce(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x = node.inputs[0]
        folded = self.reduced[node]
        axes = reduced_axes(node)
        inner: list[Position] = []
        outer = iter(at)
        for i in range(x.aval.ndim):
            if i in axes:
                if node.params["keepdim"]:
                    next(outer)
                inner.append(along(folded[i]) if i in folded else ZERO)
            else:
                inner.append(next(outer))
        e = self.value(x, tuple(inner))
        over = [folded[i] for i in sorted(folded)]
        dtype = node.aval.dtype.name
        if not over:
            return Const(0, "int64") if node.op in ("argmax", "argmin") else e
        if e.dtype == "bool":
            if node.op in ("amax", "amin"):
                return Reduce("any" if node.op == "amax" else "all", e, over)
            e = Apply("cast", e, to="uint8")
        return self._rounded(Reduce(_REDUCE[node.op], e, over), dtype)

    # -- structural --------------------------------------------------------------------------------------------

    def _reshape(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x = node.inputs[0]
        buffer = self.buffers.get(x)
        if buffer is not None:  # the same memory under another shape
            return Load(buffer, as_index(linear(at, row_major(node.aval.shape))), mask)
        return self.value(x, reshaped(at, x.aval.shape, node.aval.shape), mask=mask)

    def _permute(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        inner = [ZERO] * len(at)
        for i, a in enumerate(node.params["axes"]):
            inner[a] = at[i]
        return self.value(node.inputs[0], tuple(inner), mask=mask)

    def _expand(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        return self._operand(node, node.inputs[0], at, mask, node.aval.dtype.name)

    def _slice(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        inner = tuple(p.scaled(s).plus(a) for p, a, s in zip(at, node.params["starts"], node.params["steps"]))
        return self.value(node.inputs[0], inner, mask=mask)

    def _diagonal(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        k = node.params["offset"]
        return self.value(node.inputs[0], (*at[:-1], at[-1].plus(max(-k, 0)), at[-1].plus(max(k, 0))), mask=mask)

    def inside(self, at: Positions, low: Any, n: Any, step: Any) -> tuple[Positions, Expr | None]:
        """Positions inside a strided window, and the condition that they are in it (None: always)."""
        inner: list[Position] = []
        holds: Expr | None = None

        def also(e: Expr) -> None:
            nonlocal holds
            holds = e if holds is None else Apply("and", holds, e)

        for p, a, count, s in zip(at, low, n, step):
            moved = p.plus(-a)
            whole = moved.as_expr()
            if s == 1:
                inner.append(moved)
            else:
                q = Apply("floor_div", whole, Const(s, "int64"))
                inner.append(Position((), 0, ((q, 1),)))
                also(Apply("eq", Apply("mul", q, Const(s, "int64")), whole))
            first, last = _bounds(moved)
            if first is None or first < 0:
                also(Apply("ge", whole, Const(0, "int64")))
            if last is None or last > (count - 1) * s:
                also(Apply("le", whole, number((count - 1) * s)))
        return tuple(inner), holds

    def guarded(self, x: Node, at: Positions, holds: Expr | None, mask: Expr | None, other: Expr) -> Expr:
        """The element at a position where a condition holds, else another value."""
        if holds is None:
            return self.value(x, at, mask=mask)
        both = holds if mask is None else Apply("and", mask, holds)
        return Apply("select", holds, self.value(x, at, mask=both), other)

    def _pad(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x = node.inputs[0]
        p = node.params
        other = Const(p["value"], value_dtype(node.aval.dtype.name))
        if x.aval.size == 0:
            return other
        inner, holds = self.inside(at, p["low"], x.aval.shape, tuple(i + 1 for i in p["interior"]))
        return self.guarded(x, inner, holds, mask, other)

    def _slice_update(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x, v = node.inputs
        if v.aval.size == 0:
            return self.value(x, at, mask=mask)
        p = node.params
        low, n, steps = list(p["starts"]), v.aval.shape, list(p["steps"])
        backwards = [i for i, s in enumerate(steps) if s < 0]
        for i in backwards:
            low[i], steps[i] = low[i] + steps[i] * (n[i] - 1), -steps[i]
        inner, holds = self.inside(at, low, n, steps)
        inner = tuple(q.scaled(-1).plus(n[i] - 1) if i in backwards else q for i, q in enumerate(inner))
        return self.guarded(v, inner, holds, mask, self.value(x, at, mask=mask))

    def _concat(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        axis = node.params["axis"]
        e: Expr | None = None
        end = node.aval.shape[axis]
        for x in reversed(node.inputs):
            n = x.aval.shape[axis]
            if n == 0:
                continue
            start = end - n
            inner = (*at[:axis], at[axis].plus(-start), *at[axis + 1 :])
            if e is None and start == 0:
                return self.value(x, inner, mask=mask)
            whole = at[axis].as_expr()
            here = Apply("ge", whole, number(start))
            if end < node.aval.shape[axis]:
                here = Apply("and", here, Apply("lt", whole, number(end)))
            both = here if mask is None else Apply("and", mask, here)
            value = self.value(x, inner, mask=both)
            e = value if e is None else Apply("select", here, value, e)
            end = start
        return e if e is not None else Const(0, value_dtype(node.aval.dtype.name))

    def _full(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        value, dtype = node.params["value"], value_dtype(node.aval.dtype.name)
        if node.aval.dtype.name == "bool":
            value = bool(value)
        elif node.aval.dtype.category == 1:
            value = int(value)
        elif isinstance(value, (bool, int)) and not math.isinf(float(value)):
            value = float(value)
        return self._rounded(Const(value, dtype), node.aval.dtype.name)

    def _iota(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        e = at[0].as_expr()
        to = node.aval.dtype.name
        return e if to == "int64" else Apply("cast", e, to=to)

    def _random_bits(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        state = node.inputs[0]
        key, block = (Apply("cast", self.value(state, (Position((), i),)), to="uint64") for i in (0, 1))
        element = Apply("cast", linear(at, row_major(node.aval.shape)).as_expr(), to="uint64")
        counted = Apply("add", Apply("mul", block, Const(4, "uint64")), element)
        return Apply("random_bits", key, Const(0, "uint64"), counted)

    # -- indexed -----------------------------------------------------------------------------------------------

    def _take(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x, index = node.inputs
        axis, k = node.params["axis"], index.aval.ndim
        p, good = found_place(self.value(index, at[axis : axis + k], mask=mask), x.aval.shape[axis], mask)
        return self.value(x, (*at[:axis], p, *at[axis + k :]), mask=good)

    def _gather(self, node: Node, at: Positions, mask: Expr | None) -> Expr:
        x, index = node.inputs
        axis = node.params["axis"]
        p, good = found_place(self.value(index, at, mask=mask), x.aval.shape[axis], mask)
        return self.value(x, (*at[:axis], p, *at[axis + 1 :]), mask=good)


def found_place(index: Expr, n: int, mask: Expr | None) -> tuple[Position, Expr]:
    """An index operand as a position, and the condition that it lies in range: memory outside is never touched."""
    wide = index if index.dtype == "int64" else Apply("cast", index, to="int64")
    count = Apply("cast", number(n), to="uint64") if is_symbolic(n) else Const(n, "uint64")
    good = Apply("lt", Apply("cast", wide, to="uint64"), count)
    return Position((), 0, ((wide, 1),)), good if mask is None else Apply("and", mask, good)


def combined(how: str, x: Expr, y: Expr) -> Expr:
    """Two values as one: by sum, prod, max or min."""
    return Apply({"sum": "add", "prod": "mul"}.get(how, how), x, y)


def reduced_axes(node: Node) -> tuple[int, ...]:
    """The operand axes that a reduction folds."""
    return (node.params["axis"],) if "axis" in node.params else tuple(node.params["axes"])


def _bounds(p: Position) -> tuple[int | None, int | None]:
    """The least and greatest value of a position, if its axes have known extents."""
    if p.computed:
        return None, None
    low = high = p.offset
    for a, s in p.terms:
        if not isinstance(a.extent, int):
            return None, None
        reach = s * (a.extent - 1)
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high
