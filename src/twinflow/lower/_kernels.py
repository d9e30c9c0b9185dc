"""From groups and single nodes to kernels of the compiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from twinflow.compiler import ITEMSIZE
from twinflow.compiler.contraction import OPERANDS, SLOT, FusedEpilogue, MatmulSpec
from twinflow.compiler.loops import Axis, Buffer, Kernel, Module, Store
from twinflow.core import Dim
from twinflow.graph import Node
from twinflow.lower._conv import ConvSource
from twinflow.lower._fuse import PRODUCT_DTYPES, Group
from twinflow.lower._index import ZERO, along, as_index, linear, row_major, symbol
from twinflow.lower._launch import WORKSPACE, Argument, Launch, ProductSource, Scratch
from twinflow.lower._strided import Strided, strided
from twinflow.lower._values import REDUCTIONS, Body, reduced_axes


@dataclass
class LoopCall:
    """A loop kernel and the nodes whose buffers are its arguments, in order."""

    kernel: Kernel
    arguments: list[Node]
    nodes: list[Node]  # what it computes, for names and profiles


def loop_call(group: Group, stored: set[Node], name: str) -> LoopCall:
    """The loop kernel of a group: stores of the members that need memory."""
    inner = set(group.inner or ())
    axes = [Axis(f"i{k}", symbol(n)) for k, n in enumerate(group.dims)]
    outer_axes = tuple(a for k, a in enumerate(axes) if k not in inner)
    inner_axes = tuple(a for k, a in enumerate(axes) if k in inner)
    members = set(group.members)
    reduced = {m: _folded(m, axes, inner) for m in group.members if m.op in REDUCTIONS}
    buffers = KernelBuffers(stored, members)
    body = Body(buffers, reduced)
    stores = []
    order: list[Node] = []
    for m in group.members:
        if m not in stored:
            continue
        shape = m.aval.shape
        if m in group.joined:
            pieces = _joined(body, m, buffers.output(m), axes)
            stores += pieces
            order += [m] * len(pieces)
            continue
        full = m.op not in REDUCTIONS and len([s for s in shape if s != 1]) == len(group.dims) and bool(inner)
        run = axes if not inner or full else list(outer_axes)
        left = iter(run)
        at = tuple(ZERO if s == 1 else along(next(left)) for s in shape)
        value = body.value(m, at)
        target = buffers.output(m)
        stores.append(Store(target, as_index(linear(at, row_major(shape))), value, inner_axes if full else ()))
        order.append(m)
    kernel = Kernel(name, outer_axes, tuple(stores))
    return LoopCall(kernel, [n for b in kernel.buffers if isinstance(n := buffers.node_of(b), Node)], order)


def _joined(body: Body, node: Node, target: Buffer, axes: list[Axis]) -> list[Store]:
    """The stores of a concatenation's pieces, each into its place."""
    axis, start = node.params["axis"], 0
    stores = []
    for x in node.inputs:
        left = iter(axes)
        at = tuple(ZERO if s == 1 else along(next(left)) for s in x.aval.shape)
        moved = (*at[:axis], at[axis].plus(start), *at[axis + 1 :])
        stores.append(Store(target, as_index(linear(moved, row_major(node.aval.shape))), body.value(x, at), ()))
        start += x.aval.shape[axis]
    return stores


def _folded(node: Node, axes: list[Axis], inner: set[int]) -> dict[int, Axis]:
    """For a reduction: the kernel axis that runs along each folded axis of its operand."""
    shape = node.inputs[0].aval.shape
    over = reduced_axes(node)
    out: dict[int, Axis] = {}
    k = 0
    for i, n in enumerate(shape):
        if n == 1:
            continue
        if i in over:
            out[i] = axes[k]
        k += 1
    return out


class KernelBuffers:
    """The buffers of a kernel, made when first asked for. The group's own members are computed, not loaded."""

    def __init__(self, stored: set[Node], members: set[Node]) -> None:
        self._stored = stored
        self._members = members
        self._in: dict[Node, Buffer] = {}
        self._out: dict[Node, Buffer] = {}
        self._of: dict[Buffer, Node | Scratch] = {}

    def get(self, node: Node) -> Buffer | None:
        """The buffer that a node is loaded from, or None if it is computed here."""
        if node in self._members or not (node.prim is None or node in self._stored):
            return None
        if node not in self._in:
            self._in[node] = self._made(f"x{len(self._in)}", node.aval.dtype.name, node)
        return self._in[node]

    def output(self, node: Node) -> Buffer:
        """The buffer that a member is stored to."""
        if node not in self._out:
            self._out[node] = self._made(f"o{len(self._out)}", node.aval.dtype.name, node)
        return self._out[node]

    def scratch(self, count: int, dtype: str) -> Buffer:
        """A buffer for so many values that nobody else sees."""
        return self._made(f"s{len(self._of)}", dtype, Scratch(count * ITEMSIZE[dtype]))

    def _made(self, name: str, dtype: str, of: Node | Scratch) -> Buffer:
        buffer = Buffer(name, dtype)
        self._of[buffer] = of
        return buffer

    def node_of(self, buffer: Buffer) -> Node | Scratch:
        """Whose memory a buffer is."""
        return self._of[buffer]

    @property
    def read(self) -> list[Node]:
        """The nodes that are loaded."""
        return list(self._in)


# -- matrix products --------------------------------------------------------------------------------------------


@dataclass
class MatmulCall:
    """A matrix product: its specification and where its operands lie."""

    spec: MatmulSpec
    a: Strided
    b: Strided
    node: Node


def matmul_call(node: Node, stored: set[Node]) -> MatmulCall | None:
    """The contraction kernel of a matmul node; None if an operand cannot be walked with steps, or for types it does not
    take."""
    a, b = (strided(x, stored) for x in node.inputs)
    dtype = node.aval.dtype.name
    if a is None or b is None or dtype not in PRODUCT_DTYPES:
        return None
    out = node.aval.shape
    batch = out[:-2]
    m, n, k = out[-2], out[-1], a.shape[-1]
    c_steps = row_major(out)
    a_batch, b_batch = _batch_steps(a, batch), _batch_steps(b, batch)
    dims = [(size, sa, sb, sc) for size, sa, sb, sc in zip(batch, a_batch, b_batch, c_steps[:-2]) if size != 1]
    a_m = a.strides[-2] if m != 1 else 0
    # batches of rows over one right-hand matrix are more rows
    while dims and dims[-1][2] == 0 and (m == 1 or (dims[-1][1] == a_m * m and dims[-1][3] == c_steps[-2] * m)):
        size, sa, _, sc = dims.pop()
        if m == 1:
            a_m, c_m = sa, sc
            c_steps = (*c_steps[:-2], c_m, c_steps[-1])
        m *= size
    spec = MatmulSpec(
        m, n, k,
        (a_m, a.strides[-1]),
        (b.strides[-2], b.strides[-1]),
        (c_steps[-2], c_steps[-1]),
        tuple(d[0] for d in dims),
        tuple(d[1] for d in dims),
        tuple(d[2] for d in dims),
        tuple(d[3] for d in dims),
        dtype,
    )  # fmt: skip
    return MatmulCall(spec, a, b, node)


def product_launch(call: MatmulCall) -> Launch:
    """The launch of a matrix product. Extents that are named dimensions stay open: their values are arguments."""
    size = call.node.aval.dtype.itemsize
    spec = call.spec
    opened: dict[str, Any] = {k: None for k in ("m", "n", "k") if isinstance(getattr(spec, k), Dim)}
    extents = [Argument(SLOT[k], int(getattr(spec, k))) for k in opened]
    if spec.batch and isinstance(spec.batch[0], Dim):
        opened["batch"] = (None, *spec.batch[1:])
        extents.append(Argument(SLOT["batch"], int(spec.batch[0])))
    spec = replace(spec, **opened)
    arguments = [
        Argument(SLOT["a"], call.a.base, call.a.offset * size),
        Argument(SLOT["b"], call.b.base, call.b.offset * size),
        Argument(SLOT["c"], call.node),
        *extents,
    ]
    return Launch(ProductSource(spec), arguments, WORKSPACE)


def fused_launch(
    plain: Launch, node: Node, loop: LoopCall, module: Module, kept: bool, states: set[Node]
) -> Launch | None:
    """The launch of a product or convolution with an elementwise kernel over its result as epilogue; None if that cannot
    be.

    Args:
        plain: the launch without; `node` is its result.
        kept: whether the product itself is stored.
        states: nodes that overwrite a state. Where C holds partial sums on the way, no state may be C.
    """
    source = plain.source
    if not isinstance(source, ProductSource | ConvSource):
        return None
    kernel, where = loop.kernel, dict(zip(loop.kernel.buffers, loop.arguments))
    sums = next(b for b, n in where.items() if n is node)
    once = isinstance(source, ProductSource) and source.spec.stores_once
    if not kept:
        sixty_four = node.aval.dtype.name == "float64"
        mine = [
            s
            for s in kernel.stores
            if s.buffer.dtype in PRODUCT_DTYPES
            and (s.buffer.dtype == "float64") is sixty_four
            and (once or where[s.buffer] not in states)
        ]
        if not mine:
            return None
        kernel = replace(kernel, stores=(mine[0], *(s for s in kernel.stores if s is not mine[0])))
    axes = iter(kernel.axes)
    of = [next(axes) if n != 1 else None for n in node.aval.shape]
    batch, rest = [a for a in of[:-2] if a is not None], [a for a in of[-2:-1] if a is not None]
    split = len(source.spec.batch) if isinstance(source, ProductSource) else 0
    rows, cols = (*batch[split:], *rest), tuple(a for a in of[-1:] if a is not None)
    fused = FusedEpilogue(kernel, sums, rows, cols, tuple(batch[:split]), module, kept)
    if not fused.fits():
        return None
    c = node if kept else where[kernel.stores[0].buffer]
    if isinstance(source, ProductSource):
        spec = replace(source.spec, out_dtype=c.aval.dtype.name)
        source = ProductSource(spec, fused)
    elif c.aval.dtype is node.aval.dtype:
        source = ConvSource(source.spec, fused)
    else:
        return None
    arguments = [Argument(a.slot, c) if a.slot == SLOT["c"] else a for a in plain.arguments]
    arguments += [Argument(OPERANDS + k, where[b]) for k, b in enumerate(fused.operands)]
    return Launch(source, arguments, WORKSPACE)


def _batch_steps(x: Strided, batch: tuple[int, ...]) -> tuple[int, ...]:
    own, steps = x.shape[:-2], x.strides[:-2]
    lead = len(batch) - len(own)
    return (0,) * lead + tuple(0 if n == 1 else s for n, s in zip(own, steps))
