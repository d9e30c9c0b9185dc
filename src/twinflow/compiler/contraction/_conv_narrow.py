"""Convolutions forward of few positions by large filters: one image through the last layers of a network.

Filters are read once, as users keep them: [filters, channels, *kernel]. The tile's rows are filters, its columns the
positions, whose patches are copied into columns first:

    y[p, o] = Σ_k w[o, k] · columns[k, p],   k = (channel, tap).

Packing the filters, as other convolutions do, would cost more than the sums.
"""

from __future__ import annotations

from math import prod

from twinflow.compiler.contraction._conv_spec import ConvSpec, forward_lines
from twinflow.compiler.contraction._kernel import Kernel, phase_function, round_up, slot, write_entry
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._plan import split_rows
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._tile import Axis, Epilogue, Tile, Tiles
from twinflow.compiler.contraction._vectors import load, store

NBYTES = 4
LARGE = 1 << 18  # bytes of filters; smaller ones are packed in no time
MOST_VECTORS = 4
MOST_ROWS = 16  # filters that are read side by side
CHUNK = 32  # filters, or channels, of a chunk


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
        self.rows = max(fitting, default=1)
        self.chunk = round_up(CHUNK, self.rows)

    def emit(self) -> Kernel:
        """Write it and say how to call it."""
        spec = self.spec
        self._write_columns()
        phases: list[tuple[str, Value]] = [
            (self._emit_columns(), -(-spec.channels // CHUNK)),
            (self._emit_work(), -(-spec.filters // self.chunk)),
        ]
        done = write_entry(self.module, self.name, phases)
        return Kernel(self.name, done, spec.flops, round_up(self.depth * self.padded * NBYTES, 64), 0)

    def _write_columns(self) -> None:
        """columns[k, p] for channels [first, last)."""
        spec, lanes = self.spec, self.lanes
        params = [("ptr", "x"), ("ptr", "columns"), ("i64", "first"), ("i64", "last")]
        f = Function(self.module, f"{self.name}.columns", params)
        (lines,) = forward_lines(spec)
        steps_in = [prod(spec.size[d + 1 :]) * spec.channels for d in range(len(lines))]
        row = self.taps * self.padded  # of one channel
        if self.padded != self.positions:  # what is multiplied must be a number even if it is not used
            start = f.shift("%columns", f.mul("%first", row), "float")
            count = f.mul(f.sub("%last", "%first"), row)
            f.loop(
                0, count, lanes, lambda i, _: store(f, "float", "zeroinitializer", f.shift(start, i, "float"), lanes)
            )

        def position(p: Value, _: list[str]) -> None:
            n = f.div(p, prod(spec.out_size))
            image = f.shift("%x", f.mul(n, prod(spec.size) * spec.channels), "float")
            q = [
                f.rem(f.div(p, prod(spec.out_size[d + 1 :])), spec.out_size[d]) for d in range(len(lines))
            ]  # of the result

            def tap(t: Value, _: list[str]) -> None:
                offset: Value = 0
                inside = "true"
                for d, line in enumerate(lines):
                    k = f.rem(f.div(t, prod(spec.kernel[d + 1 :])), spec.kernel[d])
                    at = f.add(f.add(f.mul(q[d], line.source_step), f.mul(k, line.tap_step)), line.base)
                    offset = f.add(offset, f.mul(at, steps_in[d]))
                    within = f.op(f"icmp ult i64 {at}, {spec.size[d]}")
                    inside = f.op(f"and i1 {inside}, {within}")
                source = f.shift(image, offset, "float")
                target = f.shift("%columns", f.add(f.mul(t, self.padded), p), "float")

                def some(c: Value, mask: int | None, exists: bool) -> None:
                    value = "zeroinitializer"
                    if exists:
                        value = load(f, "float", f.shift(source, c, "float"), lanes, mask=mask)
                    store(f, "float", value, f.shift(target, f.mul(c, row), "float"), lanes, row, mask)

                def copy(exists: bool) -> None:
                    whole = f.sub("%last", f.rem(f.sub("%last", "%first"), lanes))
                    f.loop("%first", whole, lanes, lambda c, _: some(c, None, exists))
                    rest = spec.channels % lanes
                    if rest:  # in the last chunk alone: chunks are whole vectors
                        f.when(f.op(f"icmp slt i64 {whole}, %last"), lambda: some(whole, rest, exists))

                f.when(inside, lambda: copy(True))
                f.when(f.op(f"xor i1 {inside}, true"), lambda: copy(False))

            f.loop(0, self.taps, 1, tap)

        f.loop(0, self.positions, 1, position)

    def _emit_columns(self) -> str:
        name = f"{self.name}.columns_of"
        f = phase_function(self.module, name)
        first = f.mul("%chunk", CHUNK)
        last = f.min(f.add(first, CHUNK), self.spec.channels)
        operands = [("ptr", slot(f, "a")), ("ptr", slot(f, "workspace")), ("i64", first), ("i64", last)]
        f.call(f"{self.name}.columns", operands)
        return name

    def _emit_work(self) -> str:
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        filters = self.spec.filters
        w, columns, y = slot(f, "b"), slot(f, "workspace"), slot(f, "c")

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

        start = f.mul("%chunk", self.chunk)
        split_rows(filters, self.rows).walk(f, start, f.min(f.add(start, self.chunk), filters), rows)
        return name
