"""Transposes: rows and columns change places, block by block in registers.

    y[n, c, r] = x[n, r, c]

Loops that gather one side, or scatter the other, take several cycles for each element; turning blocks takes less than one.
"""

from __future__ import annotations

from dataclasses import dataclass

from twinflow.compiler.contraction._kernel import SCALAR, Kernel, phase_function, round_up, slot, write_entry
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._pack import Pack
from twinflow.compiler.contraction._text import Module, Value

CHUNK = 1 << 14  # elements of a chunk: some microseconds


@dataclass(frozen=True)
class TransposeSpec:
    """A transpose of each of `batch` matrices.

    Args:
        batch: how many matrices there are.
        rows, cols: extents of x; y [batch, cols, rows] is contiguous.
        batch_step, row_step: elements of x from one matrix, and one row, to the next; columns lie side by side.
        dtype: element type of both.
    """

    batch: int
    rows: int
    cols: int
    batch_step: int
    row_step: int
    dtype: str = "float32"


def emit_transpose(module: Module, machine: Machine, spec: TransposeSpec, *, name: str) -> Kernel:
    """Write a transpose into `module` and say how to call it: x is operand a, y is c."""
    kind = SCALAR[spec.dtype]
    turn = Pack(module, machine, f"{name}.turn", spec.row_step, 1, kind, kind, whole=False)
    lanes = machine.lanes(kind)
    # blocks of a matrix: whole lines of y as long as there are enough rows
    wide = min(spec.cols, round_up(max(1, CHUNK // min(spec.rows, 4 * lanes)), lanes))
    high = min(spec.rows, round_up(max(1, CHUNK // wide), lanes))
    across, down = -(-spec.cols // wide), -(-spec.rows // high)
    matrices = max(1, CHUNK // (spec.rows * spec.cols))
    work = f"{name}.work"
    f = phase_function(module, work)
    block, index = f.rem("%chunk", across * down), f.div("%chunk", across * down)
    row, col = f.mul(f.rem(block, down), high), f.mul(f.div(block, down), wide)
    x, y = slot(f, "a"), slot(f, "c")

    def matrix(n: Value, _: list[str]) -> None:
        source = f.add(f.add(f.mul(n, spec.batch_step), f.mul(row, spec.row_step)), col)
        target = f.add(f.add(f.mul(n, spec.rows * spec.cols), f.mul(col, spec.rows)), row)
        some = f.min(wide, f.sub(spec.cols, col)), f.min(high, f.sub(spec.rows, row))
        turn.call(f, f.shift(x, source, kind), f.shift(y, target, kind), some[0], spec.rows, some[1])

    first = f.mul(index, matrices)
    f.loop(first, f.min(f.add(first, matrices), spec.batch), 1, matrix)
    done = write_entry(module, name, [(work, -(-spec.batch // matrices) * across * down)])
    return Kernel(name, done, 0, 0, 0)
