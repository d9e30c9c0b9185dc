"""Kernels of sort and searchsorted.

Sorting is by keys: unsigned integers in the order of the values (NaN last; complemented for descending order), sorted
together with their places by a stable kernel of its own, a row to a chunk. The values are then fetched by their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinflow.compiler import emit_sort
from twinflow.compiler.loops import Apply, Buffer, Const, Expr, Kernel, Load, Store
from twinflow.graph import Node
from twinflow.lower._index import Position, as_index, linear, row_major
from twinflow.lower._indexed import launch, space
from twinflow.lower._kernels import KernelBuffers
from twinflow.lower._launch import Argument, Launch, Modules
from twinflow.lower._values import NARROW, Body


@dataclass(frozen=True)
class SortSource:
    """The kernel that sorts rows of keys with their places."""

    rows: int
    n: int
    key: str = ""
    chunked = True

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of loop kernels."""
        emit_sort(modules.loops, symbol, self.rows, self.n)


def sort_launches(node: Node, results: Sequence[Node | None], buffers: KernelBuffers) -> list[Launch]:
    """(values, places) of a stable sort along an axis."""
    x = node.inputs[0]
    axis, shape = node.params["axis"], x.aval.shape
    n, size = shape[axis], x.aval.size
    axes, at = space(shape)
    moved = (*at[:axis], *at[axis + 1 :], at[axis])
    order = as_index(linear(moved, row_major((*shape[:axis], *shape[axis + 1 :], n))))
    keys, places, *spare = (buffers.scratch(size, "uint64") for _ in range(4))
    value = Body(buffers, {}).value(x, at)
    key = _key(value, x.aval.dtype.name, node.params["descending"])
    first = launch(Kernel("k", tuple(axes), (Store(keys, order, key),)), buffers)
    source = SortSource(size // n, n, f"sort {size // n} rows of {n}")
    sort = Launch(source, [Argument(k, buffers.node_of(b)) for k, b in enumerate((keys, places, *spare))])
    return [first, sort, _fetch(node, results, buffers, places)]


def _fetch(node: Node, results: Sequence[Node | None], buffers: KernelBuffers, places: Buffer) -> Launch:
    x = node.inputs[0]
    axis, shape = node.params["axis"], x.aval.shape
    axes, at = space(shape)
    moved = (*at[:axis], *at[axis + 1 :], at[axis])
    order = as_index(linear(moved, row_major((*shape[:axis], *shape[axis + 1 :], shape[axis]))))
    place: Expr = Apply("cast", Load(places, order), to="int64")
    index = as_index(linear(at, row_major(shape)))
    value = Body(buffers, {}).value(x, (*at[:axis], Position((), 0, ((place, 1),)), *at[axis + 1 :]))
    stores = [Store(buffers.output(r), index, v) for r, v in zip(results, (value, place)) if r is not None]
    return launch(Kernel("k", tuple(axes), tuple(stores)), buffers)


def _key(value: Expr, dtype: str, descending: bool) -> Expr:
    """An unsigned integer in the order of the values; equal for values that count as equal."""
    e = value
    if dtype in NARROW or dtype.startswith("float"):
        wide = Apply("cast", e, to="float64")
        e = Apply("order", wide)
    elif dtype == "bool" or dtype.startswith("u"):
        e = Apply("cast", e, to="uint64")
    else:
        wide = Apply("cast", e, to="int64")
        e = Apply("xor", Apply("cast", wide, to="uint64"), Const(1 << 63, "uint64"))
    return Apply("not", e) if descending else e


def searchsorted_launches(node: Node, buffers: KernelBuffers) -> list[Launch]:
    """Binary search, its steps written out: each value's number of elements that come before it."""
    rows, v = node.inputs
    n = rows.aval.shape[-1]
    axes, at = space(v.aval.shape)
    body = Body(buffers, {})
    value = body.value(v, at)
    found: Expr = Const(0, "int64")
    step = 1 << max(0, n.bit_length() - 1)
    while step and n:
        reach = Apply("add", found, Const(step, "int64"))
        fits = Apply("le", reach, Const(n, "int64"))
        before = Apply("sub", reach, Const(1, "int64"))
        element = body.value(rows, (*at[:-1], Position((), 0, ((before, 1),))), mask=fits)
        goes = Apply("and", fits, _precedes(element, value, node.params["right"]))
        found = Apply("select", goes, reach, found)
        step //= 2
    index = as_index(linear(at, row_major(v.aval.shape)))
    return [launch(Kernel("k", tuple(axes), (Store(buffers.output(node), index, found),)), buffers)]


def _precedes(x: Expr, v: Expr, right: bool) -> Expr:
    """x < v (right: x <= v), where NaN comes after all numbers."""
    if not v.dtype.startswith("float"):
        return Apply("le" if right else "lt", x, v)
    if right:  # not v < x
        later = Apply("or", Apply("lt", v, x), Apply("and", Apply("isnan", x), Apply("not", Apply("isnan", v))))
        return Apply("not", later)
    return Apply("or", Apply("lt", x, v), Apply("and", Apply("isnan", v), Apply("not", Apply("isnan", x))))
