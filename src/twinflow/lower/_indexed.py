"""Kernels of operations that write through an index: put_add, scatter, scatter_add, scatter_fold; and running folds.

Each is a copy of its first operand and a loop that combines values into the copy. Places may coincide along the axes of
the index, which therefore run in order within one chunk; the other axes are shared by lanes and threads.
"""

from __future__ import annotations

from twinflow.compiler.loops import Apply, Axis, Const, Coordinate, Kernel, Load, Store
from twinflow.graph import Node
from twinflow.lower._index import ZERO, Position, along, as_index, linear, row_major, symbol
from twinflow.lower._kernels import KernelBuffers
from twinflow.lower._launch import Launch, loop_launch
from twinflow.lower._values import NARROW, Body, Positions, combined, found_place

COMBINE = {"put_add": "sum", "scatter_add": "sum", "scatter": None}
RUNNING = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min"}


def space(shape: tuple[int, ...], stem: str = "i") -> tuple[list[Axis], Positions]:
    """An axis for each extent other than 1, and the position of each axis of the shape."""
    axes: list[Axis] = []
    at: list[Position] = []
    for n in shape:
        if n == 1:
            at.append(ZERO)
            continue
        axes.append(Axis(f"{stem}{len(axes)}", symbol(n)))
        at.append(along(axes[-1]))
    return axes, tuple(at)


def launch(kernel: Kernel, buffers: KernelBuffers) -> Launch:
    """A kernel on the memory of its buffers."""
    return loop_launch(kernel, [buffers.node_of(b) for b in kernel.buffers])


def copy_launch(node: Node, buffers: KernelBuffers) -> Launch:
    """The first operand of a node, copied to its result."""
    axes, at = space(node.aval.shape)
    index = as_index(linear(at, row_major(node.aval.shape)))
    x = node.inputs[0]
    value = Body(buffers, {}).value(x, at)
    made = launch(Kernel("k", tuple(axes), (Store(buffers.output(node), index, value),)), buffers)
    if isinstance(value, Load) and buffers.get(x) is not None:
        made.copies = (x, node)
    return made


def indexed_launches(node: Node, buffers: KernelBuffers) -> list[Launch]:
    """The kernels of put_add, scatter, scatter_add and scatter_fold."""
    x, index, v = node.inputs
    body = Body(buffers, {})
    if x.aval.ndim == 0:  # one element, which the index always means
        how = node.params.get("combine", COMBINE.get(node.op))
        value = body.value(v, ())
        if how is not None:
            value = combined(how, body.value(x, ()), value)
        return [launch(Kernel("k", (), (Store(buffers.output(node), as_index(ZERO), value),)), buffers)]
    launches = [copy_launch(node, buffers)]
    if v.aval.size == 0:
        return launches
    axis, shape = node.params["axis"], v.aval.shape
    axes, at = space(shape)
    taken = index.aval.ndim if node.op == "put_add" else 1
    serial = tuple(a for p in at[axis : axis + taken] for a, _ in p.terms)
    where = at[axis : axis + taken] if node.op == "put_add" else at
    place, good = found_place(body.value(index, where), x.aval.shape[axis], None)
    target = (*at[:axis], place, *at[axis + taken :])
    store = Store(
        buffers.output(node),
        as_index(linear(target, row_major(x.aval.shape))),
        body.value(v, at),
        (),
        node.params.get("combine", COMBINE.get(node.op)),
        good,
    )
    return [*launches, launch(Kernel("k", tuple(axes), (store,), serial), buffers)]


def running_launches(node: Node, buffers: KernelBuffers) -> list[Launch]:
    """The kernel of cumsum, cumprod, cummax and cummin: each element from the one before it."""
    x, shape = node.inputs[0], node.aval.shape
    axes, at = space(shape)
    body = Body(buffers, {})
    value = body.value(x, at)
    steps = row_major(shape)
    index = as_index(linear(at, steps))
    dtype = node.aval.dtype.name
    out = buffers.output(node)
    run = out if dtype not in NARROW else buffers.scratch(node.aval.size, "float32")  # 16 bits would round every sum
    serial: tuple[Axis, ...] = ()
    if shape and shape[node.params["axis"]] > 1:
        axis = node.params["axis"]
        (here, _), *_ = at[axis].terms
        serial = (here,)
        later = Apply("gt", Coordinate(here), Const(0, "int64"))
        before = Load(run, as_index(linear(at, steps).plus(-steps[axis])), later)
        value = Apply("select", later, Apply(RUNNING[node.op], before, value), value)
    made = [Store(run, index, value)]
    if run is not out:
        made.append(Store(out, index, Apply("cast", value, to=dtype)))
    return [launch(Kernel("k", tuple(axes), tuple(made), serial), buffers)]
