"""Convolutions forward of few positions by large filters: one image through the last layers of a network.

Filters are read once, as users keep them: [filters, channels, *kernel]. The tile's rows are filters, its columns the
positions, whose patches are copied into columns first, line by line from channels that were set apart:

    y[p, o] = Σ_k w[o, k] · columns[k, p],   k = (channel, tap).

Packing the filters, as other convolutions do, would cost more than the sums. Each worker makes the columns for itself, which
takes it less time than to read what another core has just written.
"""

from __future__ import annotations

from math import prod

from twinflow.compiler.contraction._conv_spec import ConvSpec, forward_lines
from twinflow.compiler.contraction._kernel import (
    COUNTER_NBYTES,
    Kernel,
    phase_function,
    round_up,
    share_out,
    sharers,
    slot,
    worker_space,
    write_entry,
)
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._pack import Pack
from twinflow.compiler.contraction._plan import split_rows
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._tile import Axis, Epilogue, Tile, Tiles
from twinflow.compiler.contraction._vectors import lanes_where, load, store, tail_mask

NBYTES = 4
LARGE = 1 << 18  # bytes of filters; smaller ones are packed in no time
MOST_VECTORS = 4
MOST_ROWS = 16
CHANNELS = 32  # whose planes lie side by side while columns are made of them


def is_narrow(machine: Machine, spec: ConvSpec) -> bool:
    """Whether a convolution is best made so."""
    if (
        spec.kind != "forward"
        or not spec.filters_first
        or spec.groups != 1
        or spec.dtype != "float32"
        or not spec.batch
    ):
        return False
    positions = spec.batch * prod(spec.out_size)
    return spec.flops_row * NBYTES >= LARGE and positions <= MOST_VECTORS * machine.lanes("float")


class Narrow:
    """The kernel."""

    def __init__(self, module: Module, machine: Machine, spec: ConvSpec, name: str, epilogue: Epilogue | None) -> None:
        self.module, self.machine, self.spec, self.name = module, machine, spec, name
        self.lanes = machine.lanes("float")
        self.tiles = Tiles(module, machine, name, epilogue)
        self.taps = prod(spec.kernel)
        self.depth = spec.channels * self.taps
        self.positions = (spec.batch or 0) * prod(spec.out_size)
        self.padded = round_up(self.positions, self.lanes)
        self.wide = min(self.padded, 2 * self.lanes)  # columns of a tile: wider ones would have too few rows
        fitting = [r for r in range(1, MOST_ROWS + 1) if machine.fits(r, self.wide // self.lanes)]
        most = max(fitting, default=1)
        self.rows = -(-spec.filters // -(-spec.filters // most))  # of a tile, which is a chunk: all about as high
        self.lines = prod(spec.out_size[:-1])  # of an image of the result
        self.plane = prod(spec.size)  # elements of a channel of an image
        self.channel = self.taps * self.padded  # of the columns
        self.shared_nbytes = COUNTER_NBYTES
        self.columns_nbytes = round_up(self.depth * self.padded * NBYTES, 64)
        self.worker_nbytes = self.columns_nbytes + round_up(min(CHANNELS, spec.channels) * self.plane * NBYTES, 64)

    def emit(self) -> Kernel:
        """Write it and say how to call it."""
        self._write_columns()
        panels = -(-self.spec.filters // self.rows)
        done = write_entry(self.module, self.name, [(self._emit_work(), lambda f: sharers(f, panels))])
        return Kernel(self.name, done, self.spec.flops, self.shared_nbytes, self.worker_nbytes)

    def _write_columns(self) -> None:
        """columns[k, p] for channels [first, last): each line of the result is copied from one of the image, a channel at
        a time, from planes [channel, *size] that lie in the worker's space."""
        spec, lanes = self.spec, self.lanes
        params = [("ptr", "x"), ("ptr", "columns"), ("ptr", "planes"), ("i64", "first"), ("i64", "last")]
        f = Function(self.module, f"{self.name}.columns", params)
        turn = Pack(self.module, self.machine, f"{self.name}.planes", spec.channels, 1, "float", "float", whole=False)
        count = f.sub("%last", "%first")
        if self.padded != self.positions:  # what is multiplied must be a number even if it is not used
            end = f.shift("%columns", f.add(f.mul("%first", self.channel), self.padded - lanes), "float")
            f.loop(
                0, f.mul(count, self.channel), self.padded,
                lambda k, _: store(f, "float", "zeroinitializer", f.shift(end, k, "float"), lanes),
            )  # fmt: skip

        def image(n: Value, _: list[str]) -> None:
            source = f.shift("%x", f.add(f.mul(n, self.plane * spec.channels), "%first"), "float")
            turn.call(f, source, "%planes", count, self.plane, self.plane)
            f.loop(0, self.taps // spec.kernel[-1], 1, lambda t, _: lines(n, t))

        def lines(n: Value, t: Value) -> None:
            """All lines, as they are seen by the taps that differ from tap `t` in the last axis only."""
            f.loop(0, self.lines, 1, lambda q, _: self._copy_line(f, t, q, f.add(f.mul(n, self.lines), q)))

        f.loop(0, spec.batch or 0, 1, image)

    def _copy_line(self, f: Function, t: Value, q: Value, to_line: Value) -> None:
        """Line q of the result as the row `t` of taps sees it."""
        spec = self.spec
        (axes,) = forward_lines(spec)
        source_line: Value = 0
        inside = "true"
        for d, axis in enumerate(axes[:-1]):
            at_q = f.rem(f.div(q, prod(spec.out_size[d + 1 : -1])), spec.out_size[d])
            at_t = f.rem(f.div(t, prod(spec.kernel[d + 1 : -1])), spec.kernel[d])
            at = f.add(f.add(f.mul(at_q, axis.source_step), f.mul(at_t, axis.tap_step)), axis.base)
            inside = f.op(f"and i1 {inside}, {f.op(f'icmp ult i64 {at}, {spec.size[d]}')}")
            source_line = f.add(f.mul(source_line, spec.size[d]), at)
        source = f.shift("%planes", f.mul(source_line, spec.size[-1]), "float")
        first = f.add(f.mul("%first", self.channel), f.mul(to_line, spec.out_size[-1]))
        first = f.add(first, f.mul(t, spec.kernel[-1] * self.padded))
        target = f.shift("%columns", first, "float")
        f.when(inside, lambda: self._each_channel(f, source, target, True))
        f.when(f.op(f"xor i1 {inside}, true"), lambda: self._each_channel(f, source, target, False))

    def _each_channel(self, f: Function, source: str, target: str, exists: bool) -> None:
        """Copy a line (or zeros, where none `exists`) to the taps along it, for each channel."""
        spec = self.spec
        axis = forward_lines(spec)[0][-1]
        wide = spec.out_size[-1]
        lanes = min(self.lanes, 1 << (wide - 1).bit_length())

        def piece(c: Value, tap: int, at: int) -> None:
            start = axis.base + axis.tap_step * tap + axis.source_step * at
            there = [0 <= start + axis.source_step * i < spec.size[-1] for i in range(min(lanes, wide - at))]
            value = "zeroinitializer"
            if exists and any(there):
                place = f.shift(source, f.add(f.mul(c, self.plane), start), "float")
                value = load(f, "float", place, lanes, axis.source_step, lanes_where(there, lanes))
            to = f.shift(target, f.add(f.mul(c, self.channel), tap * self.padded + at), "float")
            store(f, "float", value, to, lanes, mask=tail_mask(f, wide, at, lanes))

        def channel(c: Value, _: list[str]) -> None:
            for tap in range(spec.kernel[-1]):
                for at in range(0, wide, lanes):
                    piece(c, tap, at)

        f.loop(0, f.sub("%last", "%first"), 1, channel)

    def _make_columns(self, f: Function, columns: str) -> None:
        planes = f.shift(columns, self.columns_nbytes, "i8")

        def some(first: Value, _: list[str]) -> None:
            last = f.min(f.add(first, CHANNELS), self.spec.channels)
            operands = [("ptr", slot(f, "a")), ("ptr", columns), ("ptr", planes), ("i64", first), ("i64", last)]
            f.call(f"{self.name}.columns", operands)

        f.loop(0, self.spec.channels, CHANNELS, some)

    def _emit_work(self) -> str:
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        filters = self.spec.filters
        w, y = slot(f, "b"), slot(f, "c")
        columns = worker_space(f, self.shared_nbytes, self.worker_nbytes)

        def rows(height: int, o: Value, _: bool) -> None:
            made = tuple(range(height))
            for p in range(0, self.positions, self.wide):
                cols = min(self.wide, self.positions - p)
                tile = Tile(
                    rows=tuple(r * self.depth for r in made), c_rows=made, indices=made, vectors=-(-cols // self.lanes),
                    reduce=(Axis(self.depth, 1, self.padded),), cols=cols, c_lane=filters, padded=True,
                    accumulate=self.spec.accumulate, transposed=True,
                )  # fmt: skip
                to = f.shift(y, f.add(f.mul(p, filters), o), "float")
                self.tiles.get(tile).call(
                    f, a=f.shift(w, f.mul(o, self.depth), "float"), b=f.shift(columns, p, "float"), c=to, ctx="%ctx",
                    row=o, col=p, batch=0,
                )  # fmt: skip

        def panel(index: Value) -> None:
            start = f.mul(index, self.rows)
            split_rows(filters, self.rows).walk(f, start, f.min(f.add(start, self.rows), filters), rows)

        share_out(f, -(-filters // self.rows), lambda: self._make_columns(f, columns), panel)
        return name
