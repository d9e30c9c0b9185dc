"""The derivative of a 3×3 convolution by its weights, with 16 multiplications where a sum over positions takes 36.

    dw = Gᵀ [ Σ_blocks (Bᵀ x B) ⊙ (A dy Aᵀ) ] G

For each of the 16 places this is a matrix product [channels, blocks] · [blocks, filters]; see `_winograd`.
"""

from __future__ import annotations

from math import prod

from twinflow.compiler.contraction._conv_spec import ConvSpec
from twinflow.compiler.contraction._filters import FilterSum
from twinflow.compiler.contraction._kernel import Kernel, phase_function, round_up, slot, worker_space, write_entry
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._plan import GRAIN_FLOPS, choose_tile, split_cols, split_rows
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._tile import At, Axis, Epilogue, Tile, Tiles
from twinflow.compiler.contraction._vectors import load, store
from twinflow.compiler.contraction._winograd import NBYTES, Change, Sums, along_both, dividing

PARTS_NBYTES = 8 << 20


class WinogradWeight:
    """The kernel. Where filters are small, chunks are parts of the images, each with sums of its own, added in order;
    where they are large, images are changed first and chunks are the 16 places."""

    def __init__(self, module: Module, machine: Machine, spec: ConvSpec, name: str, epilogue: Epilogue | None) -> None:
        self.module, self.machine, self.spec, self.name, self.epilogue = module, machine, spec, name, epilogue
        self.lanes = machine.lanes("float")
        self.tiles = Tiles(module, machine, name, None)
        self.deep, self.wide, self.batch = spec.channels, spec.filters, spec.batch or 0
        self._plan()

    def _plan(self) -> None:
        spec, l2 = self.spec, self.machine.l2_nbytes
        high, along = (-(-n // 2) for n in spec.out_size)
        self.along, self.all_lines = along, self.batch * high
        blocks = self.all_lines * along
        place = self.deep * self.wide
        flops = 2.0 * 16 * blocks * place
        wanted = max(1, min(16, int(flops / GRAIN_FLOPS)))
        most = max(8, min(128, l2 // 2 // (16 * (self.deep + self.wide) * NBYTES)))
        self.lines = dividing(self.all_lines, along, most)  # of blocks, at once
        steps = self.all_lines // self.lines
        parts = max(1, min(steps, wanted, PARTS_NBYTES // (16 * place * NBYTES)))
        whole = 16 * blocks * (self.deep + self.wide)
        self.shared = whole < 2 * max(parts, min(wanted, 4)) * 16 * place
        if self.shared:
            self.lines, steps, parts = self.all_lines, 1, 1
        self.steps = -(-steps // parts)  # how many times a chunk does so
        self.all_steps, self.parts = steps, -(-steps // self.steps)
        self.blocks = self.lines * along
        choice = choose_tile(self.machine, self.deep, self.wide, self.lanes)
        self.tile_rows, self.tile_cols = choice.rows, choice.vectors * self.lanes
        # a line of the cache more keeps the 16 matrices from competing for the same places of it
        steps_of = [self.blocks * n + self.lanes for n in (self.deep, self.wide)]
        before = [p[0] for p in spec.padding]
        self.image = Change(spec.size, high, along, tuple(before), self.deep, steps_of[0])
        self.grads = Change(spec.out_size, high, along, (0, 0), self.wide, steps_of[1], results=True)
        self.sums_step = place + self.lanes
        nbytes = [round_up(16 * step * NBYTES, 64) for step in steps_of]
        self.taps_at = round_up(self.parts * 16 * self.sums_step * NBYTES, 64)
        self.changed_at = self.taps_at + (round_up(9 * place * NBYTES, 64) if spec.filters_first else 0)
        self.shared_nbytes = self.changed_at + (sum(nbytes) if self.shared else 0)
        self.zeros_nbytes = max(self.deep, self.wide) * NBYTES
        self.worker_nbytes = self.zeros_nbytes + (0 if self.shared else sum(nbytes))
        self.grads_from = nbytes[0]  # behind the changed images
        self.change_lines = dividing(self.all_lines, along, 64)

    # -- code

    def emit(self) -> Kernel:
        """Write it and say how to call it."""
        self.image.write(self.module, f"{self.name}.image", self.lanes)
        self.grads.write(self.module, f"{self.name}.grads", self.lanes)
        phases: list[tuple[str, Value]] = []
        if self.shared:
            phases.append((self._emit_change(), self.all_lines // self.change_lines))
        phases.append((self._emit_work(), 16 if self.shared else self.parts))
        phases += self._emit_taps()
        done = write_entry(self.module, self.name, phases)
        return Kernel(self.name, done, self.spec.flops, self.shared_nbytes, self.worker_nbytes)

    def _change(self, f: Function, image: str, grads: str, first: Value, lines: Value) -> None:
        """Change some lines of both images."""
        zeros = worker_space(f, self.shared_nbytes, self.worker_nbytes)
        f.loop(
            0, self.zeros_nbytes // NBYTES, self.lanes,
            lambda c, _: store(f, "float", "zeroinitializer", f.shift(zeros, c, "float"), self.lanes),
        )  # fmt: skip
        for which, source, target in (("image", "a", image), ("grads", "b", grads)):
            operands = [("ptr", slot(f, source)), ("ptr", target), ("ptr", zeros), ("i64", first), ("i64", lines)]
            f.call(f"{self.name}.{which}", operands)

    def _emit_change(self) -> str:
        name = f"{self.name}.change"
        f = phase_function(self.module, name)
        first = f.mul("%chunk", self.change_lines)
        image = f.shift(slot(f, "workspace"), self.changed_at, "i8")
        grads = f.shift(image, self.grads_from, "i8")
        blocks = f.mul(first, self.along)
        image = f.shift(image, f.mul(blocks, self.deep), "float")
        grads = f.shift(grads, f.mul(blocks, self.wide), "float")
        self._change(f, image, grads, first, self.change_lines)
        return name

    def _emit_work(self) -> str:
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        if self.shared:
            image = f.shift(slot(f, "workspace"), self.changed_at, "i8")
            self._place(f, image, f.shift(image, self.grads_from, "i8"), slot(f, "workspace"), "%chunk", 0)
            return name
        sums = f.shift(slot(f, "workspace"), f.mul("%chunk", 16 * self.sums_step), "float")
        image = f.shift(worker_space(f, self.shared_nbytes, self.worker_nbytes), self.zeros_nbytes, "i8")
        grads = f.shift(image, self.grads_from, "i8")
        start = f.mul("%chunk", self.steps)

        def step(number: Value, _: list[str]) -> None:
            self._change(f, image, grads, f.mul(number, self.lines), self.lines)
            again = f.op(f"zext i1 {f.op(f'icmp ne i64 {number}, {start}')} to i64")
            f.loop(0, 16, 1, lambda k, _: self._place(f, image, grads, sums, k, again))

        f.loop(start, f.min(f.add(start, self.steps), self.all_steps), 1, step)
        return name

    def _place(self, f: Function, image: str, grads: str, sums: str, k: Value, again: Value) -> None:
        """The product of one place."""
        image = f.shift(image, f.mul(k, self.image.step), "float")
        grads = f.shift(grads, f.mul(k, self.grads.step), "float")
        sums = f.shift(sums, f.mul(k, self.sums_step), "float")

        def cols(width: int, j: Value, _: bool) -> None:
            def rows(height: int, i: Value, _: bool) -> None:
                tile = Tile(
                    rows=tuple(range(height)), c_rows=tuple(r * self.wide for r in range(height)),
                    indices=tuple(range(height)), vectors=width // self.lanes,
                    reduce=(Axis(self.blocks, self.deep, self.wide),), cols=width,
                    accumulate=None if self.steps > 1 else False,
                )  # fmt: skip
                at = f.shift(sums, f.add(f.mul(i, self.wide), j), "float")
                a, b = f.shift(image, i, "float"), f.shift(grads, j, "float")
                self.tiles.get(tile).call(f, a=a, b=b, c=at, accumulate=again)

            split_rows(self.deep, self.tile_rows).walk(f, 0, self.deep, rows)

        split_cols(self.wide, self.tile_cols).walk(f, 0, self.wide, cols)

    def _emit_taps(self) -> list[tuple[str, Value]]:
        """The parts added, first to last, and changed back; then filters in the user's order, where he has them so."""
        spec, lanes = self.spec, self.lanes
        name = f"{self.name}.taps"
        done = Function(self.module, f"{name}_of", [("ptr", x) for x in ("ctx", "sums", "to")] + [("i64", "channel")])
        vectors = Sums(done, lanes)

        def some(o: Value, _: list[str]) -> None:
            at = done.shift("%sums", done.add(done.mul("%channel", self.wide), o), "float")

            def loaded(part: Value) -> list[str]:
                here = done.shift(at, done.mul(part, 16 * self.sums_step), "float")
                return [load(done, "float", done.shift(here, k * self.sums_step, "float"), lanes) for k in range(16)]

            def add(part: Value, u: list[str]) -> list[str]:
                return [vectors.add(a, b) for a, b in zip(u, loaded(part))]

            u = done.loop(1, self.parts, 1, add, [(vectors.kind, x) for x in loaded(0)])
            dw = along_both([u[k : k + 4] for k in range(0, 16, 4)], vectors.taps)
            for t in range(9):
                value = dw[t // 3][t % 3]
                row = done.add("%channel", t * self.deep)
                to = done.shift("%to", done.add(done.mul(row, self.wide), o), "float")
                if not spec.filters_first:
                    if spec.accumulate:
                        value = vectors.add(value, load(done, "float", to, lanes))
                    if self.epilogue:
                        place = At(done, self.machine, "float", lanes, row, o, 0, None, False)
                        value = self.epilogue(done, value, place)
                store(done, "float", value, to, lanes)

        done.loop(0, self.wide, lanes, some)
        f = phase_function(self.module, name)
        space = slot(f, "workspace")
        to = f.shift(space, self.taps_at, "i8") if spec.filters_first else slot(f, "c")
        each = max(1, min(self.deep, (1 << 15) // self.wide))
        start = f.mul("%chunk", each)

        def channel(c: Value, _: list[str]) -> None:
            f.call(f"{name}_of", [("ptr", "%ctx"), ("ptr", space), ("ptr", to), ("i64", c)])

        f.loop(start, f.min(f.add(start, each), self.deep), 1, channel)
        phases: list[tuple[str, Value]] = [(name, -(-self.deep // each))]
        return [*phases, self._emit_turned()] if spec.filters_first else phases

    def _emit_turned(self) -> tuple[str, Value]:
        name = f"{self.name}.turned"
        taps = prod(self.spec.kernel)
        total = FilterSum(
            self.module, self.machine, f"{self.name}.sum", self.spec, self.epilogue, taps=taps, rows=self.deep, parts=1,
            part=0, step=self.wide,
        )  # fmt: skip
        f = phase_function(self.module, name)
        group = max(1, min(4, (1 << 16) // (taps * self.deep * self.lanes))) * self.lanes
        first = f.mul("%chunk", group)
        source = f.shift(slot(f, "workspace"), self.taps_at, "i8")
        total.call(f, source, slot(f, "c"), first, f.min(f.add(first, group), self.wide))
        return name, -(-self.wide // group)
