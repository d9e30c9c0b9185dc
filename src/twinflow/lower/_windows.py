"""Kernels of folds over sliding windows: max_pool and its gradient, window_sum.

Small windows are written out tap by tap, larger ones are reductions over axes of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

from twinflow.compiler.loops import Apply, Axis, Const, Expr, Kernel, Load, Reduce, Store
from twinflow.graph import Node
from twinflow.lower._index import ZERO, Position, along, as_index, linear, row_major
from twinflow.lower._indexed import launch, space
from twinflow.lower._kernels import KernelBuffers
from twinflow.lower._launch import Launch
from twinflow.lower._values import NARROW, Body, Positions, value_dtype

_TAPS = 32  # windows up to this size are written out


class _Window:
    """The windows of one node over its operand: kernel axes over results, and where each tap lies."""

    def __init__(self, node: Node, results: tuple[int, ...], extents: tuple[int, ...]) -> None:
        p = node.params
        self.kernel, self.stride, self.padding, self.dilation = p["kernel"], p["stride"], p["padding"], p["dilation"]
        self.n = len(self.kernel)
        self.extents = extents
        self.axes, self.at = space(results)
        self.lead, self.place = self.at[: -self.n], self.at[-self.n :]
        self.low = tuple(a for a, _ in self.padding)

    @property
    def small(self) -> bool:
        """Whether to write out the taps."""
        return prod(self.kernel) <= _TAPS

    def taps(self) -> Iterator[Positions]:
        """Where each tap lies in the padded operand, in row-major order."""
        for tap in product(*(range(k) for k in self.kernel)):
            yield self._tap([Position((), k) for k in tap])

    def loop(self) -> tuple[tuple[Axis, ...], Positions]:
        """Axes over the taps, and where the tap of these axes lies."""
        axes = tuple(Axis(f"k{i}", k) for i, k in enumerate(self.kernel))
        return axes, self._tap([along(a) for a in axes])

    def _tap(self, tap: Sequence[Position]) -> Positions:
        return tuple(w.scaled(s).plus(k.scaled(d)) for w, s, k, d in zip(self.place, self.stride, tap, self.dilation))

    def inside(self, body: Body, at: Positions) -> tuple[Positions, Expr | None]:
        """A tap's place in the operand, and the condition that it is not in the padding."""
        return body.inside(at, self.low, self.extents, (1,) * self.n)

    def value(self, body: Body, x: Node, at: Positions, outside: Expr) -> tuple[Expr, Expr | None]:
        """The operand's element at a tap, or `outside` in the padding; and the condition that it is inside."""
        inner, holds = self.inside(body, at)
        lead = tuple(ZERO if n == 1 else p for n, p in zip(x.aval.shape, self.lead))
        return body.guarded(x, (*lead, *inner), holds, None, outside), holds


def max_pool_launches(node: Node, results: Sequence[Node | None], buffers: KernelBuffers) -> list[Launch]:
    """The largest element of each window, and its place; the first of equals, and NaN before all."""
    x = node.inputs[0]
    shape, _ = node.aval
    window = _Window(node, shape.shape, x.aval.shape[-len(node.params["kernel"]) :])
    body = Body(buffers, {})
    dtype = value_dtype(shape.dtype.name)
    floating = dtype.startswith("float")
    bits = 8 * shape.dtype.itemsize
    low = float("-inf") if floating else 0 if dtype.startswith("u") else -(1 << (bits - 1))
    lowest = Const(low, dtype)
    if window.small:
        best, place = _largest_tap(window, body, x, lowest, floating)
    else:
        best, place = _largest_of_loop(window, body, x, lowest)
    index = as_index(linear(window.at, row_major(shape.shape)))
    values = (best, place)
    stores = tuple(Store(buffers.output(r), index, v) for r, v in zip(results, values) if r is not None)
    return [launch(Kernel("k", tuple(window.axes), stores), buffers)]


def _flat(window: _Window, inner: Positions) -> Expr:
    return linear(inner, row_major(window.extents)).as_expr()


def _largest_tap(window: _Window, body: Body, x: Node, lowest: Expr, floating: bool) -> tuple[Expr, Expr]:
    best: Expr = lowest
    place: Expr = Const(-1, "int64")
    sure = False  # whether a tap so far was inside for every window
    for k, at in enumerate(window.taps()):
        value, holds = window.value(body, x, at, lowest)
        inner, _ = window.inside(body, at)
        flat = _flat(window, inner)
        if k == 0 and holds is None:
            best, place, sure = value, flat, True
            continue
        better: Expr = Apply("gt", value, best)
        if floating:
            better = Apply("or", better, Apply("and", Apply("isnan", value), Apply("not", Apply("isnan", best))))
        if not sure:
            better = Apply("or", better, Apply("lt", place, Const(0, "int64")))
        if holds is not None:
            better = Apply("and", better, holds)
        sure = sure or holds is None
        best, place = Apply("select", better, value, best), Apply("select", better, flat, place)
    return best, place


def _largest_of_loop(window: _Window, body: Body, x: Node, lowest: Expr) -> tuple[Expr, Expr]:
    axes, at = window.loop()
    value, _ = window.value(body, x, at, lowest)
    best = Reduce("max", value, axes)
    tap: Expr = Reduce("argmax", value, axes)
    # where all is the least value the place found may be in the padding: then it is the window's first place outside it
    found: Expr | None = None
    inside: Expr | None = None
    first: Expr | None = None
    steps = row_major(tuple(window.kernel))
    flat = row_major(window.extents)
    for i, (w, s, d, low, n) in enumerate(
        zip(window.place, window.stride, window.dilation, window.low, window.extents)
    ):
        k = _binary("remainder", _binary("floor_div", tap, steps[i]), window.kernel[i])
        start = w.scaled(s).plus(-low).as_expr()
        here = Apply("add", start, _binary("mul", k, d))
        ok = Apply("and", Apply("ge", here, Const(0, "int64")), Apply("lt", here, Const(n, "int64")))
        inside = ok if inside is None else Apply("and", inside, ok)
        begin = Apply("max", start, Apply("remainder", start, Const(d, "int64")))
        found, first = _plus(found, _binary("mul", here, flat[i])), _plus(first, _binary("mul", begin, flat[i]))
    if inside is None or found is None or first is None:
        return best, tap
    return best, Apply("select", inside, found, first)


def _binary(function: str, x: Expr, n: int) -> Expr:
    return Apply(function, x, Const(n, "int64"))


def _plus(total: Expr | None, x: Expr) -> Expr:
    return x if total is None else Apply("add", total, x)


def max_pool_input_launches(node: Node, buffers: KernelBuffers) -> list[Launch]:
    """Each gradient added at the place that its window chose."""
    g, chosen = node.inputs
    shape: tuple[int, ...] = tuple(node.params["shape"])
    window = _Window(node, g.aval.shape, shape)
    rows = prod(node.aval.shape) // max(1, prod(shape))
    apart = all(s > d * (k - 1) for s, d, k in zip(window.stride, window.dilation, window.kernel))
    body = Body(buffers, {})
    if not apart and window.small:
        return [_gathered(node, window, body, buffers)]
    dtype = node.aval.dtype.name
    wide = not apart and dtype in NARROW  # 16 bits would round every sum
    out = buffers.scratch(node.aval.size, "float32") if wide else buffers.output(node)
    flat = Axis("i", node.aval.size)
    here = as_index(along(flat))
    clear = launch(Kernel("k", (flat,), (Store(out, here, Const(0, value_dtype(dtype))),)), buffers)
    # windows apart choose different places, others take turns
    row = linear(window.lead, row_major(node.aval.shape[: -window.n]) or ()) if rows > 1 else ZERO
    serial = () if apart else tuple(a for p in window.place for a, _ in p.terms)
    index = body.value(chosen, window.at)
    where = row.scaled(prod(shape)).plus(Position((), 0, ((index, 1),)))
    store = Store(out, as_index(where), body.value(g, window.at), (), None if apart else "sum")
    add = launch(Kernel("k", tuple(window.axes), (store,), serial), buffers)
    if not wide:
        return [clear, add]
    rounded = Store(buffers.output(node), here, Apply("cast", Load(out, here), to=dtype))
    return [clear, add, launch(Kernel("k", (flat,), (rounded,)), buffers)]


def _gathered(node: Node, window: _Window, body: Body, buffers: KernelBuffers) -> Launch:
    """Windows that overlap: each element asks the windows it lies in whether they chose it."""
    g, chosen = node.inputs
    axes, at = space(node.aval.shape)
    lead, place = at[: -window.n], at[-window.n :]
    here = linear(place, row_major(window.extents)).as_expr()
    zero = Const(0, value_dtype(node.aval.dtype.name))
    total: Expr | None = None
    for tap in product(*(range(k) for k in window.kernel)):
        # the window w that has this element at the tap: stride·w + dilation·tap - padding = place
        low = tuple(k * d - p for k, d, p in zip(tap, window.dilation, window.low))
        inner, holds = body.inside(place, low, g.aval.shape[-window.n :], window.stride)
        index = body.guarded(chosen, (*lead, *inner), holds, None, Const(-1, "int64"))
        value = body.guarded(g, (*lead, *inner), holds, None, zero)
        part = Apply("select", Apply("eq", index, here), value, zero)
        total = part if total is None else Apply("add", total, part)
    store = Store(buffers.output(node), as_index(linear(at, row_major(node.aval.shape))), total or zero)
    return launch(Kernel("k", tuple(axes), (store,)), buffers)


def window_sum_launches(node: Node, buffers: KernelBuffers) -> list[Launch]:
    """The sum of each window."""
    x = node.inputs[0]
    window = _Window(node, node.aval.shape, x.aval.shape[-len(node.params["kernel"]) :])
    body = Body(buffers, {})
    zero = Const(0, value_dtype(node.aval.dtype.name))
    total: Expr | None = None
    if window.small:
        for at in window.taps():
            value, _ = window.value(body, x, at, zero)
            total = value if total is None else Apply("add", total, value)
    else:
        axes, at = window.loop()
        total = Reduce("sum", window.value(body, x, at, zero)[0], axes)
    index = as_index(linear(window.at, row_major(node.aval.shape)))
    return [launch(Kernel("k", tuple(window.axes), (Store(buffers.output(node), index, total or zero),)), buffers)]
