"""Convolutions forward and by the image: the building block slides over the image, no patches are copied.

Both are one loop nest: results along a line are the rows of a tile, the taps of the filter are axes of its
reduction. A derivative by the image with stride s is s passes (an axis) of convolutions without stride.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod

from twinflow.compiler.contraction._conv_narrow import Narrow, is_narrow
from twinflow.compiler.contraction._conv_spec import ConvSpec, Line, data_lines, forward_lines
from twinflow.compiler.contraction._conv_weight import emit_weight
from twinflow.compiler.contraction._copy import Copies, Extent, copy_region
from twinflow.compiler.contraction._filters import FilterPack
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
from twinflow.compiler.contraction._pack import Pack
from twinflow.compiler.contraction._plan import GRAIN_FLOPS, Split, choose_tile, split_cols, split_rows
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value
from twinflow.compiler.contraction._tile import Axis, Epilogue, Tile, Tiles, merge_axes
from twinflow.compiler.contraction._winograd import Winograd, pays
from twinflow.compiler.contraction._winograd_weight import WinogradWeight


def emit_conv(
    module: Module, machine: Machine, spec: ConvSpec, *, name: str, epilogue: Epilogue | None = None
) -> Kernel:
    """Write a convolution or a derivative of one into `module` and say how to call it.

    Args:
        module, machine: where to and what for.
        spec: what to compute.
        name: symbol of the entry and prefix of all others.
        epilogue: applied to every vector of finished sums while it is in registers.

    Source: Georganas et al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures", SC 2018.
    """
    if len(spec.size) == 1:
        spec = replace(
            spec, size=(1, *spec.size), kernel=(1, *spec.kernel), stride=(1, *spec.stride),
            padding=((0, 0), *spec.padding), dilation=(1, *spec.dilation),
        )  # fmt: skip
    result = {"forward": (*spec.out_size, spec.filters), "data": (*spec.size, spec.channels)}
    result["weight"] = (*spec.kernel, spec.channels // spec.groups, spec.filters)
    if 0 in result[spec.kind] or (spec.batch == 0 and spec.kind != "weight"):
        return Kernel(name, write_entry(module, name, []), 0, 0, 0)
    if is_narrow(machine, spec):
        return Narrow(module, machine, spec, name, epilogue).emit()
    if pays(machine, spec):
        scheme = WinogradWeight if spec.kind == "weight" else Winograd
        return scheme(module, machine, spec, name, epilogue).emit()
    if spec.kind == "weight":
        return emit_weight(module, machine, spec, name, epilogue)
    return _Slide(module, machine, spec, name, epilogue).emit()


class _Slide:
    def __init__(self, module: Module, machine: Machine, spec: ConvSpec, name: str, epilogue: Epilogue | None) -> None:
        self.module, self.machine, self.spec, self.name = module, machine, spec, name
        forward = spec.kind == "forward"
        self.passes = forward_lines(spec) if forward else data_lines(spec)
        self.size, self.out = (spec.size, spec.out_size) if forward else (spec.out_size, spec.size)
        self.source_channels, self.out_channels = (spec.channels, spec.filters)[:: 1 if forward else -1]
        self.groups = 1 if spec.depthwise else spec.groups
        self.deep, self.wide = self.source_channels // self.groups, self.out_channels // self.groups
        self.w_rows = 1 if spec.depthwise else self.deep  # of one tap
        self.kind = SCALAR[spec.dtype]
        self.sum_type = "double" if spec.dtype == "float64" else "float"
        self.narrow = self.kind != self.sum_type
        self.lanes = machine.lanes(self.sum_type)
        self.tiles = Tiles(module, machine, name, epilogue)
        self.taps = prod(spec.kernel)
        # steps in w [*kernel, channels / groups, filters] of the reduction and of the result's columns
        self.w_deep, self.w_wide = (spec.filters, 1) if forward else (1, spec.filters)
        if spec.depthwise:
            self.w_deep, self.w_wide = 0, 1
        self.w_tap = (spec.channels // spec.groups) * spec.filters
        self._plan()

    # -- decisions

    def _plan(self) -> None:
        axes, nbytes = len(self.size), NBYTES[self.sum_type]
        lines = [[p[d] for p in self.passes] for d in range(axes)]
        self.low = [min(x.low for x in at) for at in lines]
        self.high = [max(x.high for x in at) for at in lines]
        ends = [max((x.count - 1) * x.source_step + x.high for x in at) for at in lines]
        self.copied = self.narrow or min(self.low) < 0 or any(e >= n for e, n in zip(ends, self.size))
        self.region = [e - low + 1 for e, low in zip(ends, self.low)] if self.copied else list(self.size)
        self.counts = [max(x.count for x in at) for at in lines]
        self.padded = round_up(self.wide, self.lanes)
        self.weights_nbytes = self.groups * self.taps * self.w_rows * self.padded * nbytes
        self._plan_tile()
        positions = prod(self.counts) * len(self.passes)
        flops = 2.0 * self.spec.flops_row * prod(self.spec.out_size)
        batch = 256 if self.spec.batch is None else self.spec.batch
        # lines of the first axis in a block: its source should stay in half of the L2 cache
        step = lines[0][0].source_step
        cell = prod(self.region[1:]) * self.source_channels * nbytes
        room = max(1, self.machine.l2_nbytes // 2 // max(1, cell))
        self.block = max(1, min(self.counts[0], (room - (self.high[0] - self.low[0])) // step))
        wanted = max(1, min(32, int(batch * flops / GRAIN_FLOPS)))
        panels = -(-self.wide // self.tile_cols)
        # weights that exceed the L2 cache are divided among chunks by columns: a panel is read once, for many images
        columns_first = self.weights_nbytes > self.machine.l2_nbytes // 2
        parts = min(panels, wanted) if columns_first else 1
        rows_wanted = wanted // parts
        if batch < rows_wanted:
            self.block = min(self.block, -(-self.counts[0] // -(-rows_wanted // batch)))
        self.block = min(round_up(self.block, self.group), round_up(self.counts[0], self.group))
        self.blocks = -(-self.counts[0] // self.block)
        rows = (min(self.block, self.counts[0]) - 1) * step + self.high[0] - self.low[0] + 1
        # images in a chunk: enough work, and enough rows for each panel of weights
        self.images = 1
        if self.blocks == 1:
            images = float(batch) if columns_first else max(GRAIN_FLOPS / max(1.0, flops), 128 / positions)
            limit = self.machine.l2_nbytes // max(1, rows * cell) if self.copied else 1 << 20
            self.images = int(max(1, min(images, limit, -(-batch // min(rows_wanted, batch or 1)))))
        self.chunks = None if self.spec.batch is None else -(-self.spec.batch // self.images) * self.blocks
        self.col_blocks = max(parts, min(panels, wanted // self.chunks)) if self.chunks else parts
        self.col_block = round_up(-(-self.wide // self.col_blocks), self.tile_cols)
        self.col_blocks = -(-self.wide // self.col_block)
        # an image that several chunks want is copied once for all of them
        self.copied_once = self.copied and self.col_blocks > 1 and self.spec.batch is not None
        self.region_cells = (
            (self.region[0] if self.copied_once else rows) * prod(self.region[1:]) * self.source_channels
        )
        far = self.spec.filters * NBYTES[self.kind] >= 1024 and self.wide > self.tile_cols
        busy = batch * positions >= 64
        self.packed = self.spec.filters_first or (
            not self.spec.depthwise and (self.narrow or self.w_wide != 1 or (far and busy))
        )
        self.copies_at = round_up(self.weights_nbytes, 64) if self.packed else 0
        copies_nbytes = round_up(self.region_cells * nbytes, 64)
        self.shared_nbytes = self.copies_at + (batch * copies_nbytes if self.copied_once else 0)
        self.worker_nbytes = self.images * copies_nbytes if self.copied and not self.copied_once else 0

    def _plan_tile(self) -> None:
        """A tile's rows: a piece of one line, or several short lines whole."""
        high, wide = self.counts[-2], self.counts[-1]
        depth = self.taps * self.w_rows
        deep = depth if depth * 4 * self.machine.vector_nbytes > self.machine.l2_nbytes // 8 else None
        piece = choose_tile(self.machine, wide, self.wide, self.lanes, depth=deep, again=True)
        self.group, self.width, vectors = 1, piece.rows, piece.vectors
        if wide <= 14 and all(p[-1].count == wide for p in self.passes):
            several = choose_tile(self.machine, high * wide, self.wide, self.lanes, wide, deep, again=True)
            if several.cycles < piece.cycles * high and self.machine.fits(several.rows, several.vectors):
                self.group, self.width, vectors = several.rows // wide, wide, several.vectors
        self.tile_cols = vectors * self.lanes
        self.cols = split_cols(self.wide, self.tile_cols)

    # -- code

    def emit(self) -> Kernel:
        self.copies = Copies(self.module, self.machine, self.name, self.kind, self.sum_type)
        phases: list[tuple[str, Value]] = []
        if self.packed:
            phases.append((self._emit_pack(), self.groups * -(-self.wide // self.tile_cols)))
        if self.copied_once:
            phases.append((self._emit_copy(), self.spec.batch or 0))
        work = self._emit_work()

        def chunks(f: Function) -> Value:
            batch = slot(f, "batch") if self.spec.batch is None else self.spec.batch
            return f.mul(f.ceil_div(batch, self.images), self.blocks * self.col_blocks)

        done = write_entry(self.module, self.name, [*phases, (work, chunks)])
        return Kernel(self.name, done, self.spec.flops, self.shared_nbytes, self.worker_nbytes)

    def _emit_pack(self) -> str:
        """The weights as panels [group][columns of a tile][tap][deep][column]."""
        name = f"{self.name}.pack"
        f = phase_function(self.module, name)
        panels = -(-self.wide // self.tile_cols)
        group, panel = f.div("%chunk", panels), f.rem("%chunk", panels)
        weights, target = slot(f, "b"), slot(f, "workspace")
        pack = self._pack_first(f, group) if self.spec.filters_first else self._pack_last(f, group)

        def panel_of(width: int, j: Value, _: bool) -> None:
            to = f.mul(f.add(f.mul(group, self.padded), j), self.taps * self.w_rows)
            pack(width, j, weights, f.shift(target, to, self.sum_type))

        start = f.mul(panel, self.tile_cols)
        self.cols.walk(f, start, f.min(f.add(start, self.tile_cols), self.wide), panel_of)
        return name

    def _pack_first(self, f: Function, group: Value) -> Callable[[int, Value, str, str], None]:
        """Packs `width` columns from column j of weights in the user's order."""
        spec = self.spec
        packing = FilterPack(self.module, self.machine, f"{self.name}.pack_w", spec, self.taps, self.w_rows)
        row = spec.channels // spec.groups * self.taps
        step = row if spec.kind == "forward" else self.taps  # of depthwise filters both are the same

        def pack(width: int, j: Value, weights: str, into: str) -> None:
            first = f.add(f.mul(group, spec.filters // self.groups * row), f.mul(j, step))
            packing.call(f, f.shift(weights, first, self.kind), into, round_up(width, self.lanes), width)

        return pack

    def _pack_last(self, f: Function, group: Value) -> Callable[[int, Value, str, str], None]:
        """The same from weights [*kernel, channels, filters]."""
        packing = Pack(
            self.module,
            self.machine,
            f"{self.name}.pack_w",
            self.w_wide,
            self.w_deep,
            self.kind,
            self.sum_type,
            whole=True,
        )

        def pack(width: int, j: Value, weights: str, into: str) -> None:
            wide = round_up(width, self.lanes)
            first = f.add(f.mul(group, self.spec.filters // self.groups), f.mul(j, self.w_wide))
            source = f.shift(weights, first, self.kind)
            if self.w_wide == 1:  # taps and channels are one axis
                packing.call(f, source, into, self.taps * self.deep, wide, width)
                return

            def tap(t: Value, _: list[str]) -> None:
                here = f.shift(into, f.mul(t, self.deep * wide), self.sum_type)
                packing.call(f, f.shift(source, f.mul(t, self.w_tap), self.kind), here, self.deep, wide, width)

            f.loop(0, self.taps, 1, tap)

        return pack

    def _copy(self, f: Function, x: str, n: Value, to: str, lines: Extent) -> None:
        """Copy image `n`, or some lines of it, with what stands around it."""
        axes = [lines, *(Extent(a, n, s) for a, n, s in zip(self.low[1:], self.region[1:], self.size[1:]))]
        source = f.shift(x, f.mul(n, prod(self.size) * self.source_channels), self.kind)
        copy_region(f, self.copies, source, to, axes, self.source_channels)

    def _emit_copy(self) -> str:
        name = f"{self.name}.copy_in"
        f = phase_function(self.module, name)
        space = f.shift(slot(f, "workspace"), self.copies_at, "i8")
        to = f.shift(space, f.mul("%chunk", self.region_cells), self.sum_type)
        self._copy(f, slot(f, "a"), "%chunk", to, Extent(self.low[0], self.region[0], self.size[0]))
        return name

    def _emit_work(self) -> str:
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        batch = slot(f, "batch") if self.spec.batch is None else self.spec.batch
        x, w, y = slot(f, "a"), slot(f, "b"), slot(f, "c")
        index: Value = "%chunk"
        col_block, index = f.rem(index, self.col_blocks), f.div(index, self.col_blocks)
        block, index = f.rem(index, self.blocks), f.div(index, self.blocks)
        n0 = f.mul(index, self.images)
        n1 = f.min(f.add(n0, self.images), batch)
        q0 = f.mul(block, self.block)
        space = ""
        image = prod(self.size) * self.source_channels
        if self.copied_once:
            space = f.shift(slot(f, "workspace"), self.copies_at, "i8")
        elif self.copied:
            space = worker_space(f, self.shared_nbytes, self.worker_nbytes)
            step = self.passes[0][0].source_step
            lines = f.min(self.block, f.sub(self.counts[0], q0))
            first = Extent(
                f.add(f.mul(q0, step), self.low[0]),
                f.add(f.mul(f.sub(lines, 1), step), self.high[0] - self.low[0] + 1),
                self.size[0],
            )

            def copy(n: Value, _: list[str]) -> None:
                self._copy(f, x, n, f.shift(space, f.mul(f.sub(n, n0), self.region_cells), self.sum_type), first)

            f.loop(n0, n1, 1, copy)
        j0 = f.mul(col_block, self.col_block)
        j1 = f.min(f.add(j0, self.col_block), self.wide)

        def group(g: Value, _: list[str]) -> None:
            def cols(width: int, j: Value, _: bool) -> None:
                if self.packed:
                    at = f.mul(f.add(f.mul(g, self.padded), j), self.taps * self.w_rows)
                    weights = f.shift(slot(f, "workspace"), at, self.sum_type)
                else:
                    weights = f.shift(w, f.add(f.mul(g, self.wide), f.mul(j, self.w_wide)), self.kind)
                col = f.add(f.mul(g, self.wide), j)

                def images(n: Value, _: list[str]) -> None:
                    if self.copied:
                        place = n if self.copied_once else f.sub(n, n0)
                        source = f.shift(space, f.mul(place, self.region_cells), self.sum_type)
                    else:
                        source = f.shift(x, f.mul(n, image), self.kind)
                    channel = f.add(f.mul(g, self.deep), j if self.spec.depthwise else 0)
                    source = f.shift(source, channel, self._a_type())
                    for one in self.passes:
                        self._pass(f, one, source, weights, y, n, q0, col, width)

                f.loop(n0, n1, 1, images)

            self.cols.walk(f, j0, j1, cols)

        f.loop(0, self.groups, 1, group)
        return name

    def _a_type(self) -> str:
        return self.sum_type if self.copied else self.kind

    def _pass(
        self, f: Function, lines: tuple[Line, ...], source: str, weights: str, y: str, n: Value, q0: Value,
        col: Value, width: int,
    ) -> None:  # fmt: skip
        """All tiles of one pass over one block of an image, for one panel of columns."""
        axes = len(lines)
        step_in = [prod(self.region[d + 1 :]) * self.source_channels for d in range(axes)]
        step_out = [prod(self.out[d + 1 :]) for d in range(axes)]
        origin = [line.base - (low if self.copied else 0) for line, low in zip(lines, self.low)]
        a_start: Value = sum(o * s for o, s in zip(origin, step_in))
        row_start: Value = sum(line.first * s for line, s in zip(lines, step_out))
        row_start = f.add(f.mul(n, prod(self.out)), row_start)
        if self.copied and not self.copied_once:  # the block's source begins at its own first line
            a_start = f.sub(a_start, f.mul(q0, lines[0].source_step * step_in[0]))
        kernel = self.spec.kernel
        tap_start = sum(
            line.kernel_first * prod(kernel[d + 1 :]) for d, line in enumerate(lines)
        )  # of the taps of this pass, the first
        b_width = round_up(width, self.lanes) if self.packed else 0
        b_tap = self.w_rows * b_width if self.packed else self.w_tap
        weights = f.shift(weights, tap_start * b_tap, self.sum_type if self.packed else self.kind)

        def call(group: int, across: int, a: Value, row: Value) -> None:
            tile = self._tile(lines, group, across, width, step_in, step_out, b_tap, b_width)
            at = f.add(f.mul(row, self.out_channels), col)
            self.tiles.get(tile).call(
                f, a=f.shift(source, a, self._a_type()), b=weights, c=f.shift(y, at, self.kind), ctx="%ctx",
                row=row, col=col, batch=n,
                **{f"n{d}": line.taps for d, line in enumerate(lines)},
            )  # fmt: skip

        def walk(d: int, a: Value, row: Value) -> None:
            line = lines[d]

            def into(q: Value) -> tuple[Value, Value]:
                return f.add(a, f.mul(q, line.source_step * step_in[d])), f.add(row, f.mul(q, line.step * step_out[d]))

            start: Value = q0 if d == 0 else 0
            stop = f.max(q0, f.min(f.add(q0, self.block), line.count)) if d == 0 else line.count
            if d == axes - 1:
                split_rows(line.count, self.width).walk(f, 0, line.count, lambda r, q, _: call(1, r, *into(q)))
            elif d == axes - 2 and self.group > 1:
                rest = line.count % self.group
                split = Split(line.count, self.group, (rest,) if rest else ())
                split.walk(f, start, stop, lambda g, q, _: call(g, self.width, *into(q)))
            else:
                f.loop(start, stop, 1, lambda q, _: walk(d + 1, *into(q)))

        walk(0, a_start, row_start)

    def _tile(
        self, lines: tuple[Line, ...], group: int, across: int, width: int, step_in: list[int], step_out: list[int],
        b_tap: int, b_width: int,
    ) -> Tile:  # fmt: skip
        up, along = lines[-2], lines[-1]
        places = [(g, q) for g in range(group) for q in range(across)]
        rows = tuple(g * up.source_step * step_in[-2] + q * along.source_step * step_in[-1] for g, q in places)
        indices = tuple(g * up.step * step_out[-2] + q * along.step for g, q in places)
        kernel = self.spec.kernel
        several = len(self.passes) > 1  # passes differ in how many taps they have: one tile serves all
        reduce = [
            Axis(
                None if several else line.taps,
                line.tap_step * step_in[d],
                line.kernel_step * prod(kernel[d + 1 :]) * b_tap,
            )
            for d, line in enumerate(lines)
        ]
        if not self.spec.depthwise:
            reduce.append(Axis(self.deep, 1, b_width if self.packed else self.w_deep))
        return Tile(
            rows=rows, c_rows=tuple(i * self.out_channels for i in indices), indices=indices,
            vectors=-(-width // self.lanes), reduce=merge_axes(reduce), cols=width,
            form="lanes" if self.spec.depthwise else "broadcast", padded=self.packed,
            accumulate=self.spec.accumulate, a_type=self._a_type(),
            b_type=self.sum_type if self.packed else self.kind, c_type=self.kind, sum_type=self.sum_type,
        )  # fmt: skip
