"""Permutes that bring another axis to the end: transposes, with a kernel of their own."""

from __future__ import annotations

from dataclasses import dataclass

from twinflow.compiler.contraction import SLOT, TransposeSpec, emit_transpose
from twinflow.core import Dim
from twinflow.graph import Node
from twinflow.lower._launch import Argument, Launch, Modules
from twinflow.lower._strided import strided

DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class TransposeSource:
    """A transpose."""

    spec: TransposeSpec
    chunked = False

    @property
    def key(self) -> str:
        """Its specification."""
        return repr(self.spec)

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of contractions."""
        emit_transpose(modules.products, modules.machine, self.spec, name=symbol)


def transpose_spec(node: Node, source: Node) -> tuple[TransposeSpec, int] | None:
    """A permute as a transpose of what lies in the memory of `source`, and where that begins; None if it is none."""
    found = strided(node, {source})
    if found is None or found.base is not source or node.aval.dtype.name not in DTYPES:
        return None
    if any(isinstance(n, Dim) for n in (*found.shape, *source.aval.shape)):
        return None  # its kernels are written for numbers
    axes: list[tuple[int, int]] = []  # (extent, step), with those joined that are one in memory
    for n, step in zip(found.shape, found.strides):
        if n == 1:
            continue
        if axes and axes[-1][1] == step * n:
            axes[-1] = axes[-1][0] * n, step
        else:
            axes.append((n, step))
    if len(axes) == 2:
        axes.insert(0, (1, 0))
    if len(axes) != 3 or axes[1][1] != 1 or axes[2][1] < axes[1][0]:
        return None
    (batch, batch_step), (cols, _), (rows, row_step) = axes
    return TransposeSpec(batch, rows, cols, batch_step, row_step, node.aval.dtype.name), found.offset


def transpose_launch(node: Node, source: Node) -> Launch:
    """The launch of a permute that is a transpose."""
    made = transpose_spec(node, source)
    if made is None:
        raise TypeError(f"lower: {node!r} was planned as a transpose")
    spec, offset = made
    nbytes = offset * node.aval.dtype.itemsize
    return Launch(TransposeSource(spec), [Argument(SLOT["a"], source, nbytes), Argument(SLOT["c"], node)])
