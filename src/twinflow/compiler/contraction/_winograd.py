"""Convolutions of 3×3 filters with 16 multiplications for every 2×2 results instead of 36.

Over one axis, two results of three taps come from four products:

    y = Aᵀ[(G w) ⊙ (Bᵀ x)],  Bᵀ = [1  0 −1  0    G = [1   0   0    Aᵀ = [1 1  1  0
                                    0  1  1  0         ½   ½   ½          0 1 −1 −1]
                                    0 −1  1  0         ½  −½   ½
                                    0  1  0 −1]        0   0   1]

and over two axes the same along each. Images and filters are changed by B and G; for each of the 16 places the building
block multiplies a matrix [blocks of 2×2 results, channels] with one [channels, filters]; A changes the products back.
The rounding errors are a few times those of the sum itself, and a NaN or infinity reaches all results of its blocks.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinflow.compiler.contraction._conv_spec import ConvSpec
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
from twinflow.compiler.contraction._plan import GRAIN_FLOPS, choose_tile, split_cols, split_rows
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._tile import At, Axis, Epilogue, Tile, Tiles
from twinflow.compiler.contraction._vectors import load, store

NBYTES = 4
FEW_COLS = 2
"""Vectors of filters that a worker takes at a time where blocks are few."""


class Sums:
    """Sums and differences of vectors in a function."""

    def __init__(self, f: Function, lanes: int) -> None:
        self.f, self.kind, self.lanes = f, f"<{lanes} x float>", lanes

    def add(self, a: str, b: str) -> str:
        """The sum a + b."""
        return self.f.op(f"fadd {self.kind} {a}, {b}")

    def sub(self, a: str, b: str) -> str:
        """The difference a − b."""
        return self.f.op(f"fsub {self.kind} {a}, {b}")

    def half(self, a: str) -> str:
        """The half of a."""
        return self.f.op(f"fmul {self.kind} {a}, splat (float 5.0e-01)")

    def image(self, d: Sequence[str]) -> list[str]:
        """Bᵀ d."""
        return [self.sub(d[0], d[2]), self.add(d[1], d[2]), self.sub(d[2], d[1]), self.sub(d[1], d[3])]

    def filters(self, w: Sequence[str]) -> list[str]:
        """G w."""
        outer, inner = self.half(self.add(w[0], w[2])), self.half(w[1])
        return [w[0], self.add(outer, inner), self.sub(outer, inner), w[2]]

    def gradient(self, d: Sequence[str]) -> list[str]:
        """A d."""
        return [d[0], self.add(d[0], d[1]), self.sub(d[0], d[1]), self.f.op(f"fneg {self.kind} {d[1]}")]

    def taps(self, u: Sequence[str]) -> list[str]:
        """Gᵀ u."""
        inner = self.half(self.add(u[1], u[2]))
        return [self.add(u[0], inner), self.half(self.sub(u[1], u[2])), self.add(inner, u[3])]

    def result(self, m: Sequence[str]) -> list[str]:
        """Aᵀ m."""
        return [self.add(self.add(m[0], m[1]), m[2]), self.sub(self.sub(m[1], m[2]), m[3])]


def along_both(grid: Sequence[Sequence[str]], rule: Callable[[Sequence[str]], list[str]]) -> list[list[str]]:
    """A change along the rows of a grid, then along its columns."""
    rows = [rule(row) for row in grid]
    columns = [rule([row[k] for row in rows]) for k in range(len(rows[0]))]
    return [[column[k] for column in columns] for k in range(len(columns[0]))]


def pays(machine: Machine, spec: ConvSpec) -> bool:
    """Whether a convolution or a derivative of one can be made so, and is faster for it."""
    if len(spec.size) != 2 or spec.kernel != (3, 3) or spec.dtype != "float32":
        return False
    if spec.stride != (1, 1) or spec.dilation != (1, 1) or spec.groups != 1 or not spec.batch:
        return False
    lanes = machine.lanes("float")
    deep, wide = spec.channels, spec.filters
    if deep % lanes or wide % lanes or min(deep, wide) < 32:
        return False
    high, along = spec.size if spec.kind == "data" else spec.out_size
    across = -(-along // 2)
    lines = spec.batch * -(-high // 2)
    if dividing(lines, across, 64) * across < 8:
        return False
    # in vectors of operations: products, changes of image, result and filters; and products, packing
    vector = lanes * 2
    changes = (50 * deep + 60 * wide) * lines * across + 200 * deep * wide
    ours = 1.15 * lines * across * 16 * deep * wide / vector + changes / lanes
    theirs = spec.batch * high * along * 9 * deep * wide / vector + 9 * deep * wide
    return ours < 0.85 * theirs


def dividing(lines: int, blocks: int, most: int) -> int:
    """The largest number of lines of blocks that divides all of them, and has no more than so many blocks."""
    return max((n for n in range(1, lines + 1) if lines % n == 0 and n * blocks <= most), default=1)


@dataclass(frozen=True)
class Change:
    """How an image becomes 16 matrices [blocks of 2×2 results, channels].

    Args:
        size: of the image; what lies outside is zero.
        high, along: blocks of an image in each direction.
        before: how far in front of its results a block begins.
        channels: of the image.
        step: elements from one matrix to the next.
        results: whether blocks are of results, 2×2 and changed by A, instead of 4×4 and changed by Bᵀ.
    """

    size: tuple[int, ...]
    high: int
    along: int
    before: tuple[int, ...]
    channels: int
    step: int
    results: bool = False

    def write(self, module: Module, name: str, lanes: int) -> None:
        """Write ``void name(ptr image, ptr target, ptr zeros, i64 first, i64 lines)`` for some lines of blocks."""
        params = [("ptr", "x"), ("ptr", "target"), ("ptr", "zeros"), ("i64", "first"), ("i64", "lines")]
        f = Function(module, name, params)
        sums = Sums(f, lanes)
        high, along = self.size
        taps = 2 if self.results else 4
        rule = sums.gradient if self.results else sums.image

        def block(index: Value, _: list[str]) -> None:
            line, bx = f.add("%first", f.div(index, self.along)), f.rem(index, self.along)
            n, by = f.div(line, self.high), f.rem(line, self.high)
            image = f.shift("%x", f.mul(n, high * along * self.channels), "float")
            ys = [f.add(f.mul(by, 2), k - self.before[0]) for k in range(taps)]
            xs = [f.add(f.mul(bx, 2), k - self.before[1]) for k in range(taps)]
            inside_y = [f.op(f"icmp ult i64 {y}, {high}") for y in ys]
            inside_x = [f.op(f"icmp ult i64 {x}, {along}") for x in xs]
            places = []
            for y, in_y in zip(ys, inside_y):
                for x, in_x in zip(xs, inside_x):
                    there = f.shift(image, f.mul(f.add(f.mul(y, along), x), self.channels), "float")
                    both = f.op(f"and i1 {in_y}, {in_x}")
                    places.append(f.op(f"select i1 {both}, ptr {there}, ptr %zeros"))
            to = f.shift("%target", f.mul(index, self.channels), "float")

            def some(c: Value, _: list[str]) -> None:
                d = [load(f, "float", f.shift(p, c, "float"), lanes) for p in places]
                changed = along_both([d[k : k + taps] for k in range(0, taps * taps, taps)], rule)
                for n in range(16):
                    there = f.shift(to, f.add(c, n * self.step), "float")
                    store(f, "float", changed[n // 4][n % 4], there, lanes)

            f.loop(0, self.channels, lanes, some)

        f.loop(0, f.mul("%lines", self.along), 1, block)


class Winograd:
    """The kernel of a convolution forward or by the image; by the image it is one with the filters turned by 180°."""

    def __init__(self, module: Module, machine: Machine, spec: ConvSpec, name: str, epilogue: Epilogue | None) -> None:
        self.module, self.machine, self.spec, self.name, self.epilogue = module, machine, spec, name, epilogue
        self.lanes = machine.lanes("float")
        self.tiles = Tiles(module, machine, name, None)
        forward = spec.kind == "forward"
        self.size, self.out = (spec.size, spec.out_size) if forward else (spec.out_size, spec.size)
        self.deep, self.wide = (spec.channels, spec.filters)[:: 1 if forward else -1]
        self.before = [p[0] if forward else 2 - p[0] for p in spec.padding]
        self.batch = spec.batch or 0
        # steps in w of taps, channels and filters
        if spec.filters_first:
            self.w_tap, steps = 1, (9, spec.channels * 9)
        else:
            self.w_tap, steps = spec.channels * spec.filters, (spec.filters, 1)
        self.w_deep, self.w_wide = steps if forward else steps[::-1]
        self._plan()

    def _plan(self) -> None:
        l2 = self.machine.l2_nbytes
        self.high, self.along = (-(-n // 2) for n in self.out)  # blocks of 2×2 results in an image
        lines = self.batch * self.high
        weights = 16 * self.deep * self.wide * NBYTES
        flops = 2.0 * 16 * lines * self.along * self.deep * self.wide
        wanted = max(1, min(32, int(flops / GRAIN_FLOPS)))
        # filters that exceed the L2 cache are divided among chunks by columns, which then share the changed image
        self.shared = weights > l2 // 2
        # else each worker changes all filters for itself, or, where that takes longer, the images
        self.few = not self.shared and lines * self.along < 2 * self.wide and self.wide > FEW_COLS * self.lanes
        most = 64 if self.shared or self.few else max(8, l2 // 4 // (16 * self.deep * NBYTES))
        # where each panel of filters is read by one chunk, that changes it in memory of its own, near the core
        self.own_filters = self.shared and lines * self.along <= 4 * most
        wide = min(self.wide, max(self.lanes, l2 // 2 // (16 * self.deep * NBYTES) // self.lanes * self.lanes))
        block = FEW_COLS * self.lanes if self.few else wide if self.own_filters else self.wide
        choice = choose_tile(self.machine, 64, block, self.lanes, depth=self.deep, again=True)
        self.tile_cols = choice.vectors * self.lanes
        self.cols = split_cols(self.wide, self.tile_cols)
        self.panels = -(-self.wide // self.tile_cols)
        if not self.shared and not self.few:
            most = min(most, max(8, lines * self.along // wanted))
        self.lines = dividing(lines, self.along, most)  # lines of blocks at once
        self.blocks = self.lines * self.along
        self.rows = min(choice.rows, self.blocks)
        self.all_steps = lines // self.lines
        groups = min(self.all_steps, max(1, wanted // self.panels)) if self.shared and not self.own_filters else 1
        self.steps = -(-self.all_steps // groups)  # how many times a chunk does so, where filters are divided
        self.groups = -(-self.all_steps // self.steps)
        self.image_lines = dividing(lines, self.along, 64)  # changed at once where that is shared
        whole = self.shared or self.few
        # a line of the cache more keeps the 16 matrices from competing for the same places of it
        self.image_step = (lines * self.along if whole else self.blocks) * self.deep + self.lanes
        self.change = Change(self.size, self.high, self.along, tuple(self.before), self.deep, self.image_step)
        self.result_step = self.blocks * self.tile_cols + self.lanes
        self.image_at = 0 if self.own_filters else weights
        image = round_up(16 * self.image_step * NBYTES, 64)
        self.shared_nbytes = self.image_at + image if self.shared else COUNTER_NBYTES
        self.zeros_at = 16 * self.result_step * NBYTES
        self.filters_at = self.zeros_at + self.deep * NBYTES
        filters = 16 * self.deep * NBYTES * (self.tile_cols if self.few or self.own_filters else self.wide)
        self.own_image_at = self.filters_at + (0 if self.shared and not self.own_filters else filters)
        self.worker_nbytes = self.own_image_at + (0 if self.shared else image)

    # -- code

    def emit(self) -> Kernel:
        """Write it and say how to call it."""
        self._write_filters()
        self.change.write(self.module, f"{self.name}.image", self.lanes)
        self._write_result()
        phases: list[tuple[str, Value | Callable[[Function], Value]]] = []
        if self.shared and not self.own_filters:
            phases.append((self._emit_filters(), self.panels))
        if self.shared:
            phases.append((self._emit_image(), self.batch * self.high // self.image_lines))
            phases.append((self._emit_divided(), self.groups * self.panels))
        else:
            parts = self.panels if self.few else self.all_steps
            phases.append((self._emit_own(parts), lambda f: sharers(f, parts)))
        done = write_entry(self.module, self.name, phases)
        return Kernel(self.name, done, self.spec.flops, self.shared_nbytes, self.worker_nbytes)

    def _write_filters(self) -> None:
        """u[place][c][p] = (G w Gᵀ)[place], for one panel of columns p."""
        f = Function(self.module, f"{self.name}.filters", [("ptr", "source"), ("ptr", "target"), ("i64", "width")])
        sums = Sums(f, self.lanes)
        taps = range(9) if self.spec.kind == "forward" else range(8, -1, -1)

        def some(p: Value, _: list[str]) -> None:
            def channel(c: Value, _: list[str]) -> None:
                here = f.shift("%source", f.add(f.mul(p, self.w_wide), f.mul(c, self.w_deep)), "float")
                w = [load(f, "float", f.shift(here, t * self.w_tap, "float"), self.lanes, self.w_wide) for t in taps]
                changed = along_both([w[0:3], w[3:6], w[6:9]], sums.filters)
                to = f.shift("%target", f.add(f.mul(c, "%width"), p), "float")
                step = f.mul("%width", self.deep)
                for n in range(16):
                    store(f, "float", changed[n // 4][n % 4], f.shift(to, f.mul(step, n), "float"), self.lanes)

            f.loop(0, self.deep, 1, channel)

        f.loop(0, "%width", self.lanes, some)

    def _write_result(self) -> None:
        """y[block] = finish( (Aᵀ m A) (+ y) ), for one panel of columns."""
        params = [("ptr", "ctx"), ("ptr", "m"), ("ptr", "y"), ("i64", "first"), ("i64", "col"), ("i64", "width")]
        f = Function(self.module, f"{self.name}.result", params)
        sums, lanes = Sums(f, self.lanes), self.lanes
        space = f.op(f"alloca [4 x {sums.kind}], align {self.machine.vector_nbytes}")
        high, along = self.out

        def block(index: Value, _: list[str]) -> None:
            line, bx = f.add("%first", f.div(index, self.along)), f.rem(index, self.along)
            n, by = f.div(line, self.high), f.rem(line, self.high)
            corner = f.add(f.mul(f.add(f.mul(n, high), f.mul(by, 2)), along), f.mul(bx, 2))

            def some(v: Value, _: list[str]) -> None:
                at = f.shift("%m", f.add(f.mul(index, self.tile_cols), v), "float")
                m = [load(f, "float", f.shift(at, k * self.result_step, "float"), lanes) for k in range(16)]
                y = along_both([m[k : k + 4] for k in range(0, 16, 4)], sums.result)
                for k in range(4):
                    store(f, "float", y[k // 2][k % 2], f.shift(space, k, sums.kind), lanes)

                def place(k: Value, _: list[str]) -> None:
                    down, right = f.div(k, 2), f.rem(k, 2)
                    row = f.add(corner, f.add(f.mul(down, along), right))
                    col = f.add("%col", v)

                    def finish() -> None:
                        value = load(f, "float", f.shift(space, k, sums.kind), lanes)
                        to = f.shift("%y", f.add(f.mul(row, self.wide), col), "float")
                        if self.spec.accumulate:
                            value = sums.add(value, load(f, "float", to, lanes))
                        if self.epilogue:
                            here = At(f, self.machine, "float", lanes, row, col, n, None, False)
                            value = self.epilogue(f, value, here)
                        store(f, "float", value, to, lanes)

                    if high % 2 == along % 2 == 0:
                        finish()
                        return
                    in_y = f.op(f"icmp slt i64 {f.add(f.mul(by, 2), down)}, {high}")
                    in_x = f.op(f"icmp slt i64 {f.add(f.mul(bx, 2), right)}, {along}")
                    f.when(f.op(f"and i1 {in_y}, {in_x}"), finish)

                f.loop(0, 4, 1, place)

            f.loop(0, "%width", lanes, some)

        f.loop(0, self.blocks, 1, block)

    def _change_filters(self, f: Function, target: str, width: int, j: Value) -> None:
        source = f.shift(slot(f, "b"), f.mul(j, self.w_wide), "float")
        f.call(f"{self.name}.filters", [("ptr", source), ("ptr", target), ("i64", width)])

    def _emit_filters(self) -> str:
        name = f"{self.name}.filters_of"
        f = phase_function(self.module, name)

        def panel(width: int, j: Value, _: bool) -> None:
            self._change_filters(f, f.shift(slot(f, "workspace"), f.mul(j, 16 * self.deep), "float"), width, j)

        start = f.mul("%chunk", self.tile_cols)
        self.cols.walk(f, start, f.min(f.add(start, self.tile_cols), self.wide), panel)
        return name

    def _change_image(self, f: Function, target: str, first: Value, lines: Value) -> None:
        zeros = f.shift(worker_space(f, self.shared_nbytes, self.worker_nbytes), self.zeros_at, "i8")
        f.loop(
            0, self.deep, self.lanes,
            lambda c, _: store(f, "float", "zeroinitializer", f.shift(zeros, c, "float"), self.lanes),
        )  # fmt: skip
        operands = [("ptr", slot(f, "a")), ("ptr", target), ("ptr", zeros), ("i64", first), ("i64", lines)]
        f.call(f"{self.name}.image", operands)

    def _emit_image(self) -> str:
        name = f"{self.name}.image_of"
        f = phase_function(self.module, name)
        first = f.mul("%chunk", self.image_lines)
        space = f.shift(slot(f, "workspace"), self.image_at, "i8")
        self._change_image(f, f.shift(space, f.mul(first, self.along * self.deep), "float"), first, self.image_lines)
        return name

    def _emit_own(self, parts: int) -> str:
        """The work of workers that change either the images or the filters for themselves."""
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        own = worker_space(f, self.shared_nbytes, self.worker_nbytes)
        filters, image = f.shift(own, self.filters_at, "i8"), f.shift(own, self.own_image_at, "i8")

        def filters_of(j: Value) -> str:
            return f.shift(filters, f.mul(j, 16 * self.deep), "float")

        def change_filters() -> None:
            self.cols.walk(f, 0, self.wide, lambda width, j, _: self._change_filters(f, filters_of(j), width, j))

        def step(number: Value) -> None:
            self._change_image(f, image, f.mul(number, self.lines), self.lines)
            self.cols.walk(
                f, 0, self.wide, lambda width, j, _: self._products(f, own, image, filters_of(j), width, j, number)
            )

        def columns(index: Value) -> None:
            j = f.mul(index, self.tile_cols)
            self.cols.walk(f, j, f.min(f.add(j, self.tile_cols), self.wide), panel)

        def panel(width: int, j: Value, _: bool) -> None:
            self._change_filters(f, filters, width, j)

            def multiply(number: Value, _: list[str]) -> None:
                here = f.shift(image, f.mul(number, self.blocks * self.deep), "float")
                self._products(f, own, here, filters, width, j, number)

            f.loop(0, self.all_steps, 1, multiply)

        if self.few:
            share_out(f, parts, lambda: self._change_image(f, image, 0, self.batch * self.high), columns)
        else:
            share_out(f, parts, change_filters, step)
        return name

    def _emit_divided(self) -> str:
        """The work of chunks that each multiply some of the changed image by a panel of filters."""
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        block, group = f.rem("%chunk", self.panels), f.div("%chunk", self.panels)
        own = worker_space(f, self.shared_nbytes, self.worker_nbytes)
        weights = slot(f, "workspace")
        j0 = f.mul(block, self.tile_cols)
        start = f.mul(group, self.steps)
        stop = f.min(f.add(start, self.steps), self.all_steps)

        def panel(width: int, j: Value, _: bool) -> None:
            if self.own_filters:
                filters = f.shift(own, self.filters_at, "i8")
                self._change_filters(f, filters, width, j)
            else:
                filters = f.shift(weights, f.mul(j, 16 * self.deep), "float")

            def multiply(number: Value, _: list[str]) -> None:
                image = f.shift(weights, self.image_at, "i8")
                image = f.shift(image, f.mul(number, self.blocks * self.deep), "float")
                self._products(f, own, image, filters, width, j, number)

            f.loop(start, stop, 1, multiply)

        self.cols.walk(f, j0, f.min(f.add(j0, self.tile_cols), self.wide), panel)
        return name

    def _products(
        self, f: Function, own: str, image: str, filters: str, width: int, j: Value, number: Value
    ) -> None:  # fmt: skip
        """The results of step `number` in the columns of a panel."""

        def place(k: Value, _: list[str]) -> None:
            def rows(height: int, i: Value, _: bool) -> None:
                self.tiles.get(self._tile(height, width)).call(
                    f,
                    a=f.shift(image, f.add(f.mul(k, self.image_step), f.mul(i, self.deep)), "float"),
                    b=f.shift(filters, f.mul(k, self.deep * width), "float"),
                    c=f.shift(own, f.add(f.mul(k, self.result_step), f.mul(i, self.tile_cols)), "float"),
                )

            split_rows(self.blocks, self.rows).walk(f, 0, self.blocks, rows)

        f.loop(0, 16, 1, place)
        first = f.mul(number, self.lines)
        operands = [("ptr", "%ctx"), ("ptr", own), ("ptr", slot(f, "c")), ("i64", first), ("i64", j)]
        f.call(f"{self.name}.result", [*operands, ("i64", width)])

    def _tile(self, height: int, width: int) -> Tile:
        rows = tuple(range(height))
        return Tile(
            rows=tuple(r * self.deep for r in rows), c_rows=tuple(r * self.tile_cols for r in rows), indices=rows,
            vectors=width // self.lanes, reduce=(Axis(self.deep, 1, width),), cols=width, padded=True,
        )  # fmt: skip
