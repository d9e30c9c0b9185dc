"""Operations with kernels of their own, written as loop kernels: which these are, and how each is launched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from twinflow.compiler.loops import Apply, Axis, Const, Expr, Kernel, Reduce, Store
from twinflow.graph import Node
from twinflow.lower._index import ZERO, Position, along, as_index, linear, row_major
from twinflow.lower._indexed import indexed_launches, launch, running_launches, space
from twinflow.lower._kernels import KernelBuffers
from twinflow.lower._launch import Launch
from twinflow.lower._sorting import searchsorted_launches, sort_launches
from twinflow.lower._values import Body
from twinflow.lower._windows import max_pool_input_launches, max_pool_launches, window_sum_launches

Single = Callable[[Node, KernelBuffers], list[Launch]]
Several = Callable[[Node, Sequence[Node | None], KernelBuffers], list[Launch]]


def product_launches(node: Node, buffers: KernelBuffers) -> list[Launch]:
    """A matrix product of types the contraction kernel does not take: sums over the inner axis."""
    a, b = node.inputs
    shape = node.aval.shape
    dtype = node.aval.dtype.name
    axes, at = space(shape)
    body = Body(buffers, {})
    index = as_index(linear(at, row_major(shape)))
    depth = a.aval.shape[-1]
    inner = Axis("k", depth)

    def operand(x: Node, row: Position, col: Position) -> Expr:
        lead = at[len(shape) - x.aval.ndim : -2]
        return body.value(x, (*(ZERO if n == 1 else p for n, p in zip(x.aval.shape, lead)), row, col))

    value: Expr = Const(0, dtype)
    if depth:
        terms = Apply("mul", operand(a, at[-2], along(inner)), operand(b, along(inner), at[-1]))
        value = Reduce("sum", terms, (inner,))
    return [launch(Kernel("k", tuple(axes), (Store(buffers.output(node), index, value),)), buffers)]


SINGLE: dict[str, Single] = {
    "put_add": indexed_launches,
    "scatter": indexed_launches,
    "scatter_add": indexed_launches,
    "scatter_fold": indexed_launches,
    "cumsum": running_launches,
    "cumprod": running_launches,
    "cummax": running_launches,
    "cummin": running_launches,
    "max_pool_input": max_pool_input_launches,
    "window_sum": window_sum_launches,
    "searchsorted": searchsorted_launches,
    "matmul": product_launches,
}
SEVERAL: dict[str, Several] = {"max_pool": max_pool_launches, "sort": sort_launches}


def named_launches(node: Node, results: Sequence[Node | None], buffers: KernelBuffers) -> list[Launch] | None:
    """The launches of a node with loop kernels of its own, given the nodes its results go to (None: nobody wants it).

    None if it has none, or not for these types.
    """
    avals = [x.aval for x in (*node.inputs, *results) if isinstance(x, Node)]
    if any(a.dtype.is_complex for a in avals) or (node.op == "matmul" and node.aval.dtype.name == "bool"):
        return None
    if all(r is None or prod(r.aval.shape) == 0 for r in results):
        return []
    if node.op in SINGLE:
        return SINGLE[node.op](node, buffers)
    if node.op in SEVERAL:
        return SEVERAL[node.op](node, results, buffers)
    return None
