"""A table of a model: the output shape, parameters and arithmetic of each module."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from twinflow.core import as_dtype, tree_leaves
from twinflow.graph import Aval, Node
from twinflow.nn._module import Module
from twinflow.ops import zeros
from twinflow.tensor import Tensor, Tracer, no_grad


@dataclass
class SummaryRow:
    """One module: where it stands, what it gave, what it has and what it costs (with everything inside it)."""

    path: str
    kind: str
    depth: int
    output: str
    parameters: int
    trainable: int
    flops: int


@dataclass
class Summary:
    """What `summary` returns; printing it gives the table."""

    rows: list[SummaryRow] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    buffers: int = 0
    nbytes: int = 0
    flops: int = 0

    def __str__(self) -> str:
        heads = ("layer", "output shape", "parameters", "flops")
        body = [
            (
                "  " * r.depth + (f"{r.path.rpartition('.')[2]}: " if r.path else "") + r.kind,
                r.output,
                f"{r.parameters:,}",
                f"{r.flops:,}",
            )
            for r in self.rows
        ]
        widths = [max(len(row[i]) for row in (heads, *body)) for i in range(4)]
        line = "─" * (sum(widths) + 6)

        def text(row: tuple[str, ...]) -> str:
            return "  ".join(
                (row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2].rjust(widths[2]), row[3].rjust(widths[3]))
            )

        return "\n".join(
            [
                text(heads), line, *map(text, body), line,
                f"parameters: {self.parameters:,} ({self.trainable:,} trained), buffers: {self.buffers:,}; "
                f"{self.nbytes / 2**20:.2f} MiB",
                f"flops: {self.flops:,} for this input (a multiply-add counts 2)",
            ]
        )  # fmt: skip

    __repr__ = __str__


def _flops(node: Node) -> int:
    """Arithmetic of one operation: 2 for each multiply-add of products and convolutions, 1 for each element of the rest."""
    if node.prim is None:
        return 0
    avals = [x.aval if isinstance(x, Node) else None for x in node.inputs]
    out = node.aval
    if node.op == "matmul":
        return 2 * out.size * avals[0].shape[-1]  # type: ignore[union-attr]
    if node.op == "conv":
        return 2 * out.size * prod(avals[1].shape[1:])  # type: ignore[union-attr]
    if node.op == "conv_input":
        return 2 * avals[0].size * prod(avals[1].shape[1:])  # type: ignore[union-attr]
    if node.op in ("max_pool", "window_sum"):
        first = out if isinstance(out, Aval) else out[0]
        return first.size * prod(node.params["kernel"])
    if node.op in ("sum", "prod", "amax", "amin", "argmax", "argmin", "cumsum", "cumprod"):
        return avals[0].size  # type: ignore[union-attr]
    if node.prim.elementwise and isinstance(out, Aval) and (out.dtype.is_floating_point or out.dtype.is_complex):
        return out.size
    return 0


def _describe(output: Any) -> str:
    shapes = [str(list(t.shape)) for t in tree_leaves(output) if isinstance(t, Tensor)]
    return ", ".join(shapes) or type(output).__name__


def summary(
    model: Module,
    input_size: Any = None,
    *,
    input_data: Any = None,
    dtype: Any = None,
    depth: int | None = None,
) -> Summary:
    """Run a model on an example without computing anything, and list its modules.

    Args:
        model: the model; its state does not change.
        input_size: the shape of the input with the batch axis, or a list of shapes for several inputs.
        input_data: the inputs themselves (a tensor or a tuple of them) instead of their shapes.
        dtype: the type of the inputs that are made from shapes; int64 for models that begin with an embedding.
        depth: how many levels of modules are listed; all unless given.
    Returns: a Summary, whose fields are numbers and whose text is the table.

    >>> from twinflow import nn
    >>> s = summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (1, 4))
    >>> s.parameters
    58
    """
    if input_data is None:
        shapes = [input_size] if input_size and isinstance(input_size[0], int) else list(input_size or ())
        inputs = tuple(zeros(tuple(s), dtype=as_dtype(dtype or "float32")) for s in shapes)
    else:
        inputs = input_data if isinstance(input_data, tuple) else (input_data,)
    names = {id(m): path for path, m in model.named_modules()}
    result = Summary()
    handles = []
    open_rows: list[tuple[SummaryRow, int]] = []
    training = {m: m.training for m in model.modules()}

    with Tracer("summary") as tracer, no_grad():
        nodes = tracer.graph.nodes

        def enter(module: Module, args: Any) -> None:
            path = names[id(module)]
            own = list(module.parameters())
            row = SummaryRow(
                path,
                type(module).__name__,
                len(open_rows),
                "",
                sum(p.numel() for p in own),
                sum(p.numel() for p in own if p.requires_grad),
                0,
            )
            if depth is None or len(open_rows) <= depth:
                result.rows.append(row)
            open_rows.append((row, len(nodes)))

        def leave(module: Module, args: Any, output: Any) -> None:
            row, start = open_rows.pop()
            row.output = _describe(output)
            row.flops = sum(map(_flops, nodes[start:]))

        try:
            for m in model.modules():
                handles += [m.register_forward_pre_hook(enter), m.register_forward_hook(leave)]
            model(*inputs)
        finally:
            for h in handles:
                h.remove()
            for m, mode in training.items():
                m.training = mode
        result.flops = sum(map(_flops, nodes))
    parameters = list(model.parameters())
    result.parameters = sum(p.numel() for p in parameters)
    result.trainable = sum(p.numel() for p in parameters if p.requires_grad)
    result.buffers = sum(b.numel() for b in model.buffers())
    result.nbytes = sum(t.numel() * t.dtype.itemsize for t in [*parameters, *model.buffers()])
    return result
