"""The derivative of a convolution by its weights.

dw[t, c, o] = Σ_{n, q} x[n, stride·q + dilation·t − padding, c] · dy[n, q, o]: rows of a tile are pairs (t, c),
its reduction runs over images and positions. Images are divided into a fixed number of parts, each with sums of its
own, which are added in order: the result does not depend on who computed which part. Where dw is large, fewer parts
and blocks of its rows and columns make the chunks.
"""

from __future__ import annotations

from itertools import product
from math import prod

from twinflow.compiler.contraction._conv_spec import ConvSpec, forward_lines
from twinflow.compiler.contraction._copy import Copies, Extent, copy_region
from twinflow.compiler.contraction._filters import FilterSum
from twinflow.compiler.contraction._kernel import (
    SCALAR,
    Kernel,
    phase_function,
    round_up,
    slot,
    worker_space,
    write_entry,
)
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._plan import GRAIN_FLOPS, choose_tile, split_cols, split_rows
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value
from twinflow.compiler.contraction._tile import Axis, Epilogue, Tile, Tiles, merge_axes

MOST_PARTS = 16
PARTS_NBYTES = 16 << 20


def emit_weight(module: Module, machine: Machine, spec: ConvSpec, name: str, epilogue: Epilogue | None) -> Kernel:
    """Write the derivative of a convolution by its weights; arguments as in `emit_conv`."""
    return _Weight(module, machine, spec, name, epilogue).emit()


class _Weight:
    def __init__(self, module: Module, machine: Machine, spec: ConvSpec, name: str, epilogue: Epilogue | None) -> None:
        self.module, self.machine, self.spec, self.name = module, machine, spec, name
        self.kind = SCALAR[spec.dtype]
        self.sum_type = "double" if spec.dtype == "float64" else "float"
        self.narrow = self.kind != self.sum_type
        self.lanes = machine.lanes(self.sum_type)
        self.groups = 1 if spec.depthwise else spec.groups
        self.deep, self.wide = spec.channels // spec.groups, spec.filters // self.groups
        self.lines = forward_lines(spec)[0]
        self.tiles = Tiles(module, machine, name, epilogue)
        self._plan()

    # -- decisions

    def _plan(self) -> None:
        spec, nbytes = self.spec, NBYTES[self.sum_type]
        ends = [(x.count - 1) * x.source_step + x.high for x in self.lines]
        padded = min(x.low for x in self.lines) < 0 or any(e >= n for e, n in zip(ends, spec.size))
        self.copied = padded or self.narrow
        self.low = [x.low for x in self.lines] if self.copied else [0] * len(ends)
        self.region = [e - low + 1 for e, low in zip(ends, self.low)] if self.copied else list(spec.size)
        self.step_in = [prod(self.region[d + 1 :]) * spec.channels for d in range(len(ends))]
        self.region_cells = prod(self.region) * spec.channels
        self.positions = prod(spec.out_size)
        self._plan_rows()
        batch = 256 if spec.batch is None else spec.batch
        self.dw_rows = prod(spec.kernel) * self.deep
        total = self.dw_rows * round_up(spec.filters, self.lanes)
        flops = 2.0 * spec.flops_row * self.positions
        wanted = max(1, min(32, int(batch * flops / GRAIN_FLOPS)))
        panels = -(-self.wide // self.tile_cols)
        lines = 1 if self.table else len(self.starts)

        def divided(parts: int) -> tuple[float, int, int, int]:
            """Bytes to and from far memory with so many parts, and how they and blocks of dw make chunks."""
            cols = max(1, min(panels, wanted // parts))
            rows = max(1, min(lines, wanted // (parts * cols)))
            moved = (
                2 * parts * total
                + cols * rows * batch * self.region_cells
                + rows * batch * self.positions * spec.filters
            )
            idle = max(1.0, min(wanted, 16) / (parts * cols * rows))
            return moved * nbytes * idle, parts, cols, rows

        most = max(1, min(MOST_PARTS, wanted, batch, PARTS_NBYTES // max(1, total * nbytes)))
        _, self.parts, self.col_blocks, self.row_blocks = min(map(divided, range(1, most + 1)))
        # sums that are rounded once, or turned around, must be kept apart from the result
        self.apart = self.parts > 1 or self.narrow or spec.filters_first
        self.col_block = round_up(-(-self.wide // self.col_blocks), self.tile_cols)
        self.col_blocks = -(-self.wide // self.col_block)
        self.row_block = -(-lines // self.row_blocks)
        self.row_blocks = -(-lines // self.row_block)
        # an image that several chunks want is copied once for all of them
        self.copied_once = self.copied and self.col_blocks * self.row_blocks > 1 and spec.batch is not None
        # images summed at once: a long reduction, yet its source stays in half of the L2 cache
        cells = (self.region_cells if self.copied else prod(spec.size) * spec.channels) + self.positions * spec.filters
        room = self.machine.l2_nbytes // 2 // max(1, cells * nbytes)
        self.images = max(1, min(room, -(-768 // self.positions), -(-batch // self.parts) or 1))
        self.step_part = total
        self.shared_nbytes = round_up(self.parts * total * nbytes, 64) if self.apart else 0
        self.copies_at = self.shared_nbytes
        if self.copied_once:
            self.shared_nbytes += round_up(batch * self.region_cells * nbytes, 64)
        own = self.copied and not self.copied_once
        self.y_at = round_up(self.images * self.region_cells * nbytes, 64) if own else 0
        dy_nbytes = round_up(self.images * self.positions * spec.filters * nbytes, 64) if self.narrow else 0
        self.worker_nbytes = self.y_at + dy_nbytes

    def _plan_rows(self) -> None:
        """Runs of (t, c) that are evenly spaced in the image, or for short runs a table of all rows."""
        spec = self.spec
        steps = [(k, line.tap_step * step) for k, line, step in zip(spec.kernel, self.lines, self.step_in)]
        run = self.deep
        if self.groups == 1 and not spec.depthwise and spec.dilation[-1] == 1:
            run *= spec.kernel[-1]  # the taps of a line follow one another as its pixels do
            steps = steps[:-1]
        where = [sum(t * step for t, (_, step) in zip(tap, steps)) for tap in product(*(range(k) for k, _ in steps))]
        self.steps = steps
        self.run, self.starts = run, where
        offsets = [start + c for start in where for c in range(run)]
        self.table = run < 6
        rows = len(offsets) if self.table else run
        choice = choose_tile(self.machine, rows, self.wide, self.lanes)
        self.tile_rows, self.tile_cols = choice.rows, choice.vectors * self.lanes
        self.cols = split_cols(self.wide, self.tile_cols)
        self.offsets = offsets

    # -- code

    def emit(self) -> Kernel:
        self.copies = Copies(self.module, self.machine, self.name, self.kind, self.sum_type)
        phases: list[tuple[str, Value]] = []
        if self.copied_once:
            phases.append((self._emit_copy(), self.spec.batch or 0))
        phases.append((self._emit_work(), self.parts * self.row_blocks * self.col_blocks))
        if self.apart:
            phases.append(self._emit_reduce())
        done = write_entry(self.module, self.name, phases)
        return Kernel(self.name, done, self.spec.flops, self.shared_nbytes, self.worker_nbytes)

    def _copy(self, f: Function, x: str, to: str) -> None:
        """Copy an image with what stands around it."""
        axes = [Extent(low, n, size) for low, n, size in zip(self.low, self.region, self.spec.size)]
        copy_region(f, self.copies, x, to, axes, self.spec.channels)

    def _emit_copy(self) -> str:
        name = f"{self.name}.copy_in"
        f = phase_function(self.module, name)
        space = f.shift(slot(f, "workspace"), self.copies_at, "i8")
        x = f.shift(slot(f, "a"), f.mul("%chunk", prod(self.spec.size) * self.spec.channels), self.kind)
        self._copy(f, x, f.shift(space, f.mul("%chunk", self.region_cells), self.sum_type))
        return name

    def _emit_work(self) -> str:
        spec = self.spec
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        batch = slot(f, "batch") if spec.batch is None else spec.batch
        x, dy = slot(f, "a"), slot(f, "b")
        col_block, part = f.rem("%chunk", self.col_blocks), f.div("%chunk", self.col_blocks)
        row_block, part = f.rem(part, self.row_blocks), f.div(part, self.row_blocks)
        length = f.ceil_div(batch, self.parts)
        first = f.min(f.mul(part, length), batch)
        last = f.min(f.add(first, length), batch)
        if self.apart:
            target = f.shift(slot(f, "workspace"), f.mul(part, self.step_part), self.sum_type)
        else:
            target = slot(f, "c")
        space = worker_space(f, self.shared_nbytes, self.worker_nbytes) if self.worker_nbytes else ""
        if self.copied_once:
            copies = f.shift(slot(f, "workspace"), self.copies_at, "i8")
        j0 = f.mul(col_block, self.col_block)
        j1 = f.min(f.add(j0, self.col_block), self.wide)
        line0 = f.mul(row_block, self.row_block)
        lines = line0, f.min(f.add(line0, self.row_block), len(self.starts))
        image, grads = prod(spec.size) * spec.channels, self.positions * spec.filters

        def some(n0: Value, _: list[str]) -> None:
            count = f.max(0, f.min(self.images, f.sub(last, n0)))
            left, right = f.shift(x, f.mul(n0, image), self.kind), f.shift(dy, f.mul(n0, grads), self.kind)
            if self.copied_once:
                left = f.shift(copies, f.mul(n0, self.region_cells), self.sum_type)
            elif self.copied:

                def copy(n: Value, _: list[str], left: str = left) -> None:
                    to = f.shift(space, f.mul(n, self.region_cells), self.sum_type)
                    self._copy(f, f.shift(left, f.mul(n, image), self.kind), to)

                f.loop(0, count, 1, copy)
                left = space
            if self.narrow:
                wide = f.shift(space, self.y_at, "i8")
                self.copies.copy(f, right, wide, f.mul(count, grads))
                right = wide
            again = f.op(f"zext i1 {f.op(f'icmp ne i64 {n0}, {first}')} to i64")
            done = f.op(f"zext i1 {f.op(f'icmp sge i64 {f.add(n0, self.images)}, {last}')} to i64")
            flags = {"n0": count, "accumulate": again, "finish": done}
            self._tiles(f, left, right, target, flags, j0, j1, lines)

        # a part without images still has to clear its sums, so there is always one round
        f.loop(first, f.max(last, f.add(first, 1)), self.images, some)
        return name

    def _tiles(
        self, f: Function, x: str, dy: str, target: str, flags: dict[str, Value], j0: Value, j1: Value,
        lines: tuple[Value, Value],
    ) -> None:  # fmt: skip
        spec = self.spec
        step = round_up(spec.filters, self.lanes) if self.apart else spec.filters

        def group(g: Value, _: list[str]) -> None:
            def cols(width: int, j: Value, _: bool) -> None:
                col = f.add(f.mul(g, self.wide), j)
                right = f.shift(dy, col, self.sum_type)
                source = f.shift(x, f.add(f.mul(g, self.deep), j if spec.depthwise else 0), self.sum_type)

                def call(rows: tuple[int, ...], a: Value, row: Value) -> None:
                    tile = self._tile(rows, width, step)
                    at = f.shift(target, f.add(f.mul(row, step), col), self.sum_type)
                    self.tiles.get(tile).call(
                        f, a=f.shift(source, a, self.sum_type), b=right, c=at, ctx="%ctx", row=row, col=col, batch=0,
                        **flags,
                    )  # fmt: skip

                if self.table:
                    for first in range(0, len(self.offsets), self.tile_rows):
                        part = self.offsets[first : first + self.tile_rows]
                        call(tuple(o - part[0] for o in part), part[0], first)
                    return

                def line(number: Value, _: list[str]) -> None:
                    start: Value = 0
                    left = number
                    for k, step in reversed(self.steps):
                        start = f.add(start, f.mul(f.rem(left, k), step))
                        left = f.div(left, k)

                    def piece(height: int, i: Value, _: bool) -> None:
                        call(tuple(range(height)), f.add(start, i), f.add(f.mul(number, self.run), i))

                    split_rows(self.run, self.tile_rows).walk(f, 0, self.run, piece)

                f.loop(*lines, 1, line)

            self.cols.walk(f, j0, j1, cols)

        f.loop(0, self.groups, 1, group)

    def _tile(self, rows: tuple[int, ...], width: int, step: int) -> Tile:
        spec = self.spec
        image = self.region_cells if self.copied else prod(spec.size) * spec.channels
        positions = [
            Axis(line.count, line.source_step * self.step_in[d], prod(spec.out_size[d + 1 :]) * spec.filters)
            for d, line in enumerate(self.lines)
        ]
        direct = not self.apart
        return Tile(
            rows=rows, c_rows=tuple(r * step for r in range(len(rows))), indices=tuple(range(len(rows))),
            vectors=-(-width // self.lanes),
            reduce=(Axis(None, image, self.positions * spec.filters), *merge_axes(positions)),
            cols=width, form="lanes" if spec.depthwise else "broadcast",
            accumulate=True if direct and spec.accumulate else None, finish=None if direct else False,
            a_type=self.sum_type, b_type=self.sum_type, c_type=self.sum_type, sum_type=self.sum_type,
        )  # fmt: skip

    def _emit_reduce(self) -> tuple[str, Value]:
        """Add the parts, first to last, and finish dw."""
        name = f"{self.name}.reduce"
        f = phase_function(self.module, name)
        filters = self.spec.filters
        step = round_up(filters, self.lanes)
        if self.spec.filters_first:
            return name, self._turned(f, step)
        group = max(1, min(self.dw_rows, (1 << 16) // (self.parts * step)))
        parts, c = slot(f, "workspace"), slot(f, "c")
        i0 = f.mul("%chunk", group)

        def cols(width: int, col: Value, _: bool) -> None:
            def row(i: Value, _: list[str]) -> None:
                tile = Tile(
                    rows=(0,), c_rows=(0,), indices=(0,), vectors=-(-width // self.lanes),
                    reduce=(Axis(self.parts, self.step_part, 0),), cols=width, form="sum",
                    accumulate=self.spec.accumulate, a_type=self.sum_type, b_type=self.sum_type, c_type=self.kind,
                    sum_type=self.sum_type,
                )  # fmt: skip
                left = f.shift(parts, f.add(f.mul(i, step), col), self.sum_type)
                at = f.shift(c, f.add(f.mul(i, filters), col), self.kind)
                self.tiles.get(tile).call(f, a=left, b=left, c=at, ctx="%ctx", row=i, col=col, batch=0)

            f.loop(i0, f.min(f.add(i0, group), self.dw_rows), 1, row)

        split_cols(filters, 4 * self.lanes).walk(f, 0, filters, cols)
        return name, -(-self.dw_rows // group)

    def _turned(self, f: Function, step: int) -> int:
        """The same into filters in the user's order; gives the number of chunks."""
        taps, filters = prod(self.spec.kernel), self.spec.filters
        total = FilterSum(
            self.module, self.machine, f"{self.name}.sum", self.spec, self.tiles.epilogue, taps=taps, rows=self.deep, parts=self.parts,
            part=self.step_part, step=step,
        )  # fmt: skip
        group = max(1, min(4, (1 << 16) // (self.parts * self.dw_rows * self.lanes))) * self.lanes
        o0 = f.mul("%chunk", group)
        total.call(f, slot(f, "workspace"), slot(f, "c"), o0, f.min(f.add(o0, group), filters))
        return -(-filters // group)
