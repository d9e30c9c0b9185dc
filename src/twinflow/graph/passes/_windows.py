"""Pooling as elementwise operations on strided slices, one for each tap of the window, which fuse like any others."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import TwinflowError
from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import find_primitive
from twinflow.graph.passes._simplify import rule

_MOST_TAPS = 16  # larger windows have loop kernels of their own
_NO_TAP = 255
_MOST_STEPS = 8  # elementwise operations computed anew for each tap, rather than stored before


def expand_windows(graph: Graph) -> Graph:
    """max_pool(x)  →  the larger of x[..., 0::s], x[..., 1::s], …, with the number of the tap;  max_pool_input and
    window_sum likewise."""
    if not any(n.op in ("max_pool", "max_pool_input", "window_sum") for n in graph.nodes):
        return graph
    return rebuild(graph, _Windows(graph).replace)


@rule("where")
def mask_before_unpooling(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """where(r > 0, max_pool_input(g, index of max_pool(r)), 0)  →  max_pool_input(where(max_pool(r) > 0, g, 0), index).

    The derivative of relu before pooling: what was chosen is the pooled value, so the mask may be taken after pooling."""
    mask, x, other = inputs
    if not (_is(mask, "gt") and _is(x, "max_pool_input") and _zero(other) and _zero(mask.inputs[1])):
        return None
    g, index = x.inputs
    if not (_is(index, "pick") and index.inputs[0].op == "max_pool" and index.inputs[0].inputs[0] is mask.inputs[0]):
        return None
    pooled = _make(new, node, "pick", (index.inputs[0],), index=0)
    chosen = _make(new, node, "gt", (pooled, mask.inputs[1]))
    if not isinstance(g, Node) or g.aval != pooled.aval:
        return None
    return _make(new, node, "max_pool_input", (_make(new, node, "where", (chosen, g, 0.0)), index), **x.params)


@rule("sum")
def sum_of_unpooled(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
    """Σ max_pool_input(g, index) over at least the window's axes  →  Σ g: each value lands somewhere."""
    x = inputs[0]
    if not _is(x, "max_pool_input"):
        return None
    n = len(x.params["kernel"])
    if not set(range(x.aval.ndim - n, x.aval.ndim)) <= set(node.params["axes"]):
        return None
    return _make(new, node, "sum", (x.inputs[0],), **node.params)


def _is(x: Operand, op: str) -> bool:
    return isinstance(x, Node) and x.op == op


def _zero(x: Operand) -> bool:
    if isinstance(x, Node):
        return x.op == "full" and x.params["value"] == 0
    return bool(x == 0)


def _make(new: Graph, node: Node, op: str, inputs: tuple[Operand, ...], **params: Any) -> Node:
    return new.add(find_primitive(op), inputs, params, line=node.line)


class _Window:
    """The parameters of a window over the last axes of a shape."""

    def __init__(self, shape: tuple[int, ...], p: dict[str, Any]) -> None:
        self.kernel, self.stride, self.padding, self.dilation = (
            p[k] for k in ("kernel", "stride", "padding", "dilation")
        )
        n = len(self.kernel)
        self.lead, self.size = shape[: len(shape) - n], shape[len(shape) - n :]
        self.space = tuple(
            (m + sum(q) - d * (k - 1) - 1) // s + 1
            for m, q, d, k, s in zip(self.size, self.padding, self.dilation, self.kernel, self.stride)
        )
        self.taps = list(product(*(range(k) for k in self.kernel)))
        self.padded = any(map(any, self.padding))
        self.apart = not self.padded and all(
            d * (k - 1) < s for d, k, s in zip(self.dilation, self.kernel, self.stride)
        )

    def slice_of(self, at: tuple[int, ...]) -> dict[str, Any]:
        """The slice of the padded operand that a tap sees in all windows."""
        first = tuple(k * d for k, d in zip(at, self.dilation))
        stop = tuple(a + (m - 1) * s + 1 for a, m, s in zip(first, self.space, self.stride))
        n = len(self.lead)
        return {"starts": (0,) * n + first, "stops": self.lead + stop, "steps": (1,) * n + self.stride}

    @property
    def key(self) -> Any:
        return self.kernel, self.stride, self.padding, self.dilation, self.size


class _Windows:
    def __init__(self, graph: Graph) -> None:
        self.users = graph.users()
        self.results = {x for x in graph.results if isinstance(x, Node)}
        self.pooled: dict[Node, tuple[Node, Node, _Window]] = {}  # by the max_pool in the new graph
        self.old: dict[Node, Node] = {}  # the node that one of the new graph stands for
        self.tap_of: dict[Node, tuple[Node, _Window]] = {}  # by the index in the new graph

    def replace(self, new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        made: Operand | None = None
        self.new, self.node = new, node
        if node.op == "pick" and inputs[0].op == "max_pool":
            made = self._pick(node, inputs[0])
        elif node.op == "max_pool_input":
            made = self._max_input(*inputs)
        elif node.op == "window_sum":
            made = self._sum(inputs[0])
        else:
            prim = node.prim
            if prim is None:
                raise TwinflowError(f"expand_windows: input {node!r} stands among the computed nodes")
            made = new.add(prim, inputs, node.params, aval=node.aval, line=node.line)
        if isinstance(made, Node):
            self.old.setdefault(made, node)
        return made

    def _do(self, op: str, *inputs: Operand, **params: Any) -> Node:
        return _make(self.new, self.node, op, inputs, **params)

    # -- taps ------------------------------------------------------------------------------------------------------

    def _seen(self, x: Node, w: _Window, pad: Any) -> list[Node]:
        """For each tap, the elements it sees in all windows."""
        if w.padded:
            zero = (0,) * len(w.lead)
            low, high = (zero + tuple(q[i] for q in w.padding) for i in (0, 1))
            x = self._do("pad", x, low=low, high=high, interior=(0,) * x.aval.ndim, value=pad)
            return [self._do("slice", x, **w.slice_of(t)) for t in w.taps]
        return [self._sliced(x, w.slice_of(t), _MOST_STEPS if w.apart else 0)[0] for t in w.taps]

    def _sliced(self, x: Node, params: dict[str, Any], steps: int) -> tuple[Node, int]:
        """A slice of x. Elementwise operations that only this window reads are applied to slices instead, so that their
        result is never stored; at most `steps` of them, and how many remain."""
        old = self.old.get(x)
        elementwise = x.prim is not None and x.prim.elementwise
        if not steps or not elementwise or old is None or old in self.results or len(set(self.users[old])) != 1:
            return self._do("slice", x, **params), steps
        steps -= 1
        operands = []
        for y in x.inputs:
            if isinstance(y, Node) and y.aval.ndim:
                if y.aval.shape == x.aval.shape:
                    y, steps = self._sliced(y, params, steps)
                elif any(n != 1 for n in y.aval.shape[-len(params["starts"]) :]) and self._cut(y, params):
                    return self._do("slice", x, **params), 0
            operands.append(y)
        return self._do(x.op, *operands, **x.params), steps

    def _cut(self, y: Node, params: dict[str, Any]) -> bool:
        """Whether a slice of a result takes other than all of this (broadcast) operand."""
        n = y.aval.ndim
        shapes = zip(y.aval.shape, params["starts"][-n:], params["stops"][-n:], params["steps"][-n:])
        return any(m != 1 and (a, b, s) != (0, m, 1) for m, a, b, s in shapes)

    # -- max ---------------------------------------------------------------------------------------------------------

    def _pick(self, node: Node, pool: Node) -> Operand | None:
        if pool not in self.pooled:
            w = _Window(pool.inputs[0].aval.shape, pool.params)
            if len(w.taps) > _MOST_TAPS:
                return self._again(node, pool)
            self.pooled[pool] = (*self._max(pool.inputs[0], w), w)
        y, tap, w = self.pooled[pool]
        if node.params["index"] == 0:
            return y
        index = self._index(tap, w)
        self.tap_of[index] = tap, w
        return index

    def _again(self, node: Node, *inputs: Operand) -> Node:
        return self._do(node.op, *inputs, **node.params)

    def _max(self, x: Node, w: _Window) -> tuple[Node, Node]:
        """The largest element of each window, and the number of its tap. A NaN beats numbers; the first of equals wins."""
        inexact = x.aval.dtype.is_floating_point
        lowest = -np.inf if inexact else int(np.iinfo(x.aval.dtype.np).min)
        seen = self._seen(x, w, lowest)
        kind = as_dtype("uint8")
        best, out = seen[0], seen[0].aval.shape
        tap: Node | None = None
        inside = self._inside(w) if w.padded else None
        found = inside[0] if inside else None
        for t, v in enumerate(seen[1:], 1):
            if inexact:  # not at most the best: greater, or one of them is NaN
                beats = self._do("bitwise_and", self._do("invert", self._do("le", v, best)), self._do("eq", best, best))
            else:
                beats = self._do("gt", v, best)
            if inside is not None and found is not None:
                first = self._do("bitwise_or", beats, self._do("invert", found))
                beats = self._do("bitwise_and", inside[t], first)
                found = self._do("bitwise_or", found, inside[t])
            best = self._do("where", beats, v, best)
            here = self._do("full", shape=(), value=t, dtype=kind)
            before = tap if tap is not None else self._do("full", shape=out, value=0, dtype=kind)
            tap = self._do("where", beats, here, before)
        return best, tap if tap is not None else self._do("full", shape=out, value=0, dtype=kind)

    def _inside(self, w: _Window) -> list[Node]:
        """For each tap, whether it lies in the operand and not in its padding."""
        n = len(w.lead)
        true = self._do("full", shape=(1,) * n + w.size, value=True, dtype=as_dtype("bool"))
        low, high = ((0,) * n + tuple(q[i] for q in w.padding) for i in (0, 1))
        padded = self._do("pad", true, low=low, high=high, interior=(0,) * (n + len(w.size)), value=False)
        made = []
        for t in w.taps:
            p = w.slice_of(t)
            made.append(self._do("slice", padded, **p | {"stops": (1,) * n + p["stops"][n:]}))
        return made

    def _grid(self, w: _Window, axis: int, step: int, offset: int) -> Node:
        """step·i + offset along one axis of the windows, as int64 that broadcasts."""
        m = w.space[axis]
        at = self._do("iota", n=m, dtype=as_dtype("int64"))
        if step != 1:
            at = self._do("mul", at, step)
        if offset:
            at = self._do("add", at, offset)
        return self._do("reshape", at, shape=tuple(m if i == axis else 1 for i in range(len(w.space))))

    def _index(self, tap: Node, w: _Window) -> Node:
        """Where the chosen elements lie among the operand's last axes, flattened."""
        tap = self._do("cast", tap, dtype=as_dtype("int64"))
        total: Node | None = None
        below = prod(w.kernel)
        for axis, (k, s, q, d) in enumerate(zip(w.kernel, w.stride, w.padding, w.dilation)):
            below //= k
            along = self._do("floor_divide", tap, below) if below != 1 else tap
            along = self._do("remainder", along, k)
            if d != 1:
                along = self._do("mul", along, d)
            at = self._do("add", along, self._grid(w, axis, s, -q[0]))
            rest = prod(w.size[axis + 1 :])
            at = at if rest == 1 else self._do("mul", at, rest)
            total = at if total is None else self._do("add", total, at)
        return total if total is not None else tap

    def _hit(self, index: Node, w: _Window, t: int) -> Node:
        """Whether a window chose this tap."""
        known = self.tap_of.get(index)
        if known is not None and known[1].key == w.key:
            return self._do("eq", known[0], self._do("full", shape=(), value=t, dtype=as_dtype("uint8")))
        place: Node | None = None
        for axis, (k, s, q, d) in enumerate(zip(w.taps[t], w.stride, w.padding, w.dilation)):
            rest = prod(w.size[axis + 1 :])
            at = self._grid(w, axis, s * rest, (k * d - q[0]) * rest)
            place = at if place is None else self._do("add", place, at)
        return self._do("eq", index, place)

    def _max_input(self, g: Node, index: Node) -> Node:
        shape = self.node.params["shape"]
        w = _Window((*g.aval.shape[: g.aval.ndim - len(shape)], *shape), self.node.params)
        if len(w.taps) > _MOST_TAPS:
            return self._again(self.node, g, index)
        if w.apart and index not in self.tap_of:  # in a program of its own the gradient goes where the index says
            return self._again(self.node, g, index)
        if w.apart and all(d == 1 for d in w.dilation):
            return self._beside(g, index, w)
        parts = [self._do("where", self._hit(index, w, t), g, 0) for t in range(len(w.taps))]
        spread = [self._spread(self._widened(x), w, at) for x, at in zip(parts, w.taps)]
        return self._narrowed(self._added(spread), g)

    def _beside(self, g: Node, index: Node, w: _Window) -> Node:
        """For windows that do not overlap: [..., M, s] of each axis, 0 but where the tap is the chosen one."""
        shape = w.lead + tuple(n for m in w.space for n in (m, 1))
        known = self.tap_of.get(index)
        if known is not None and known[1].key == w.key:
            number = np.full(w.stride, _NO_TAP, np.uint8)
            number[tuple(slice(k) for k in w.kernel)] = np.arange(len(w.taps)).reshape(w.kernel)
            places = number.reshape([n for s in w.stride for n in (1, s)])
            mine = self._do("reshape", known[0], shape=shape)
        else:
            flat = np.arange(prod(w.size)).reshape(w.size)
            for axis, (m, s, n) in enumerate(zip(w.space, w.stride, w.size)):
                flat = flat.take(np.minimum(np.arange(m * s), n - 1), axis)  # what hangs over is cut off below
            places = flat.reshape([n for m, s in zip(w.space, w.stride) for n in (m, s)])
            mine = self._do("reshape", index, shape=shape)
        hit = self._do("eq", mine, self._do("constant", value=places))
        x = self._do("where", hit, self._do("reshape", g, shape=shape), 0)
        x = self._do("reshape", x, shape=w.lead + tuple(m * s for m, s in zip(w.space, w.stride)))
        for axis, n in enumerate(w.size, len(w.lead)):
            x = self._resize(x, axis, 0, n - x.aval.shape[axis])
        return x

    def _resize(self, x: Node, axis: int, low: int, high: int, interior: int = 0) -> Node:
        """Zeros before, after and between the elements along an axis; negative amounts cut off."""
        rank = range(x.aval.ndim)

        def only(v: int) -> tuple[int, ...]:
            return tuple(v if i == axis else 0 for i in rank)

        if low > 0 or high > 0 or interior:
            x = self._do("pad", x, low=only(max(low, 0)), high=only(max(high, 0)), interior=only(interior), value=0)
        if low < 0 or high < 0:
            stop = x.aval.shape[axis] - max(-high, 0)
            stops = tuple(stop if i == axis else m for i, m in enumerate(x.aval.shape))
            x = self._do("slice", x, starts=only(max(-low, 0)), stops=stops, steps=(1,) * len(rank))
        return x

    def _spread(self, x: Node, w: _Window, tap: tuple[int, ...]) -> Node:
        """Values of windows put where one tap of each lies in the operand."""
        for axis, (k, d, q, s, n) in enumerate(zip(tap, w.dilation, w.padding, w.stride, w.size)):
            low = k * d - q[0]
            high = n - (low + (w.space[axis] - 1) * s + 1)
            x = self._resize(x, len(w.lead) + axis, low, high, s - 1)
        return x

    # -- sum ---------------------------------------------------------------------------------------------------------

    def _added(self, parts: list[Node]) -> Node:
        total, *rest = parts
        for v in rest:
            total = self._do("add", total, v)
        return total

    def _widened(self, x: Node) -> Node:
        """16-bit floats are added in float32."""
        narrow = x.aval.dtype.is_floating_point and x.aval.dtype.itemsize == 2
        return self._do("cast", x, dtype=as_dtype("float32")) if narrow else x

    def _narrowed(self, total: Node, x: Node) -> Node:
        return total if total.aval.dtype is x.aval.dtype else self._do("cast", total, dtype=x.aval.dtype)

    def _sum(self, x: Node) -> Node:
        w = _Window(x.aval.shape, self.node.params)
        if len(w.taps) <= _MOST_TAPS:
            return self._narrowed(self._added([self._widened(v) for v in self._seen(x, w, 0)]), x)
        return self._again(self.node, x)
