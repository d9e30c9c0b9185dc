"""Matrix products of any size, orientation and batch: loops, packing and threads around the building block."""

from __future__ import annotations

from dataclasses import replace
from math import gcd, prod

from twinflow.compiler.contraction._amx import AmxMatmul, suits_amx
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
from twinflow.compiler.contraction._matmul_spec import MatmulSpec
from twinflow.compiler.contraction._pack import Pack
from twinflow.compiler.contraction._plan import (
    CUT,
    OFTEN,
    PACKED,
    READ,
    SELDOM,
    Split,
    choose_blocks,
    choose_depth,
    choose_parts,
    choose_tile,
    cut_depth,
    pays_to_cut,
    split_cols,
    split_rows,
)
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value
from twinflow.compiler.contraction._tile import Axis, Epilogue, Tile, Tiles

PART_DEPTH = 256
"""Depth of a block where the reduction is cut into parts: blocks of A and B stay in the L2 cache beside a block of C."""

NEAR_NBYTES = 512
"""Rows of A, stored the other way round, that are so short are read as they lie."""

EARLY = 24
"""Such rows are asked for so many indices of the reduction before they are needed."""

SOON = 16
"""What a part of a cut reduction reads of A, it asks for so many indices before."""

SHORT_RUN = 256
"""Rows of A up to so long are asked for by the tile before."""


def emit_matmul(
    module: Module, machine: Machine, spec: MatmulSpec, *, name: str, epilogue: Epilogue | None = None
) -> Kernel:
    """Write a matrix product into `module` and say how to call it.

    Args:
        module, machine: where to and what for.
        spec: what to compute.
        name: symbol of the entry and prefix of all others.
        epilogue: applied to every vector of finished sums while it is in registers.

    Source: Van Zee and van de Geijn, "BLIS", ACM TOMS 2015, for the loops around the building block.
    """
    if 0 in (spec.m, spec.n, *spec.batch):
        return Kernel(name, write_entry(module, name, []), 0, 0, 0)
    if suits_amx(machine, spec):
        return AmxMatmul(module, machine, spec, name, epilogue).emit()
    return _Matmul(module, machine, spec, name, epilogue).emit()


class _Matmul:
    """One product, oriented so that C is contiguous along its columns where it can be."""

    def __init__(
        self, module: Module, machine: Machine, spec: MatmulSpec, name: str, epilogue: Epilogue | None
    ) -> None:
        self.module, self.machine, self.spec, self.name = module, machine, spec, name
        self.a_type = self.b_type = SCALAR[spec.dtype]
        self.c_type = SCALAR[spec.out_dtype or spec.dtype]
        self.sum_type = "double" if spec.dtype == "float64" else "float"
        self.lanes = machine.lanes(self.sum_type)
        self.m, self.n, self.k = spec.m, spec.n, spec.k
        self.a, self.b, self.c = spec.a_strides, spec.b_strides, spec.c_strides
        self.batches = [spec.a_batch, spec.b_batch, spec.c_batch]
        self.swapped = spec.n == 1 or (spec.c_strides[0] == 1 and spec.c_strides[1] != 1 and spec.m != 1)
        if self.swapped:  # Cᵀ = Bᵀ·Aᵀ
            self.m, self.n = self.n, self.m
            self.a, self.b, self.c = (self.b[1], self.b[0]), (self.a[1], self.a[0]), (self.c[1], self.c[0])
            self.batches[0], self.batches[1] = self.batches[1], self.batches[0]
        self.tiles = Tiles(module, machine, name, epilogue)
        self._plan()

    # -- decisions

    def _plan(self) -> None:
        m, n, k, lanes = self.m, self.n, self.k, self.lanes
        nbytes = NBYTES[self.sum_type]
        narrow = self.a_type in ("half", "bfloat")
        self.dot = self._along_reduction()
        self.parts = 1 if self.dot or self.spec.batch else choose_parts(m, n, k)
        cut = not self.dot and self.parts == 1 and pays_to_cut(m, n, k)
        if self.dot:
            few = m is not None and m <= 8
            self.tile_rows = max(1, m or 1) if few else 4
            wide = {1: 8, 2: 6, 3: 5, 4: 4}.get(self.tile_rows, 3) if few else 6
            self.tile_cols = max(1, min(lanes, n or lanes, wide))
            if self.machine.registers <= 16:
                self.tile_rows = min(self.tile_rows, 4)
                self.tile_cols = min(self.tile_cols, 3 if self.tile_rows <= 3 else 2)
        else:
            loads = OFTEN if cut else SELDOM
            choice = choose_tile(self.machine, m, n, lanes, depth=CUT if cut else self._depth(True), loads=loads)
            self.tile_rows, self.tile_cols = choice.rows, choice.vectors * lanes
        self.rows, self.cols = split_rows(m, self.tile_rows), split_cols(n, self.tile_cols)
        many_rows, many_cols = m is None or m >= 3 * self.tile_rows, n is None or n >= 2 * self.tile_cols
        deep = k is None or k >= 32
        row_nbytes = self.b[0] * NBYTES[self.b_type]
        far_b = self.parts > 1 or row_nbytes >= 2048 or (row_nbytes >= 1024 and row_nbytes % 1024 == 0)
        often = m is None or m >= 256 or (m >= 96 and (k is None or k >= 1024))
        self.pack_b = not self.dot and (
            (self.b[1] != 1 and (m is None or m > 2)) or (many_rows and deep and (narrow or (far_b and often)))
        )
        # else packing an element of A takes longer than what is saved
        reused = n is None or n >= 256 or (n >= 96 and (k is None or k >= 1024))
        near_a = self.parts > 1 and self.a[0] == 1 and self.a[1] * NBYTES[self.a_type] <= NEAR_NBYTES
        scattered = self.a[1] != 1 and (k is None or k >= 1024) and not near_a
        wanted = narrow or (reused and (scattered or self._rows_collide()))
        self.pack_a = not self.dot and many_cols and deep and (m is None or m > 1) and wanted
        in_order = self.dot or ((self.pack_b or m == 1) and (self.pack_a or self.a[1] == 1))
        b_cost = PACKED if cut or (self.pack_b and self.b[1] != 1) else READ
        depth = cut_depth(self.machine, k or 0, self.tile_cols * nbytes) if cut else self._depth(in_order)
        self.blocks = choose_blocks(
            self.machine,
            m,
            n,
            k,
            depth,
            self.tile_rows,
            self.tile_cols,
            self.parts,
            b_cost,
            self.pack_b,
            nbytes if cut else 0,
        )
        if not cut and self.c_type in ("half", "bfloat") and k is not None and self.parts == 1:
            self.blocks = replace(self.blocks, depth=max(1, k))  # never rounded in between
        near = self.machine.l2_nbytes // 4 // (self.blocks.depth * nbytes)
        self.near_rows = self.blocks.rows if cut else max(1, near // self.tile_rows) * self.tile_rows
        self.row_blocks = None if m is None else -(-m // self.blocks.rows)
        self.col_blocks = None if n is None else -(-n // self.blocks.cols)
        # B that lies as it is needed is packed by the first tiles that multiply it, which costs next to nothing
        last_rows = 0 if m is None else (m - 1) % self.blocks.rows + 1
        self.copy_b = self.pack_b and self.b[1] == 1 and last_rows >= self.tile_rows
        self._plan_batch()
        if k is None and m and n and not self.spec.batch and not self.dot and m * n <= 1 << 16:
            self.parts = 16 if (self.row_blocks or 1) * (self.col_blocks or 1) <= 4 else 1
        self.single = k is not None and k <= self.blocks.depth and self.parts == 1
        self.resume = cut and not self.single
        whole_a = m is not None and k is not None and all(s == 0 for s in self.batches[0])
        self.share_a = self.pack_a and whole_a and self.col_blocks != 1 and self.parts == 1
        self._plan_workspace(nbytes)

    def _depth(self, in_order: bool) -> int:
        return PART_DEPTH if self.parts > 1 else choose_depth(self.machine, self.k, in_order)

    def _along_reduction(self) -> bool:
        """Whether to run along the reduction with vectors, of both operands as they are.

        With few rows, packing B takes longer than what is saved: measured, up to 32 rows, or 64 of a long reduction.
        """
        m, k = self.m, self.k
        if m is None or self.a[1] != 1 or self.b[0] != 1 or self.b[1] == 1:
            return False
        if m <= 8:
            return k is None or k >= self.lanes
        full = self.machine.registers > 16 and self.a_type == self.sum_type
        return full and k is not None and k >= (512 if m <= 32 else 1024) and m <= 64

    def _rows_collide(self) -> bool:
        """Whether what a tile reads of A at a time would not stay in the first-level cache.

        Rows a multiple of 4096 bytes apart compete for one set of the cache, which holds 8 to 12 of them. A stored the
        other way round is read some elements a row, each row in another page.
        """
        nbytes = NBYTES[self.a_type]
        if self.a[1] == 1:
            return gcd(self.a[0] * nbytes, 4096) == 4096
        return self.a[1] * nbytes >= 4096 or (self.a[1] * nbytes >= 1024 and self.a[1] * nbytes % 1024 == 0)

    def _plan_batch(self) -> None:
        batch = self.spec.batch
        self.fixed_batch = prod(x for x in batch if x is not None)
        self.open_batch = None in batch
        work = 2.0 * (self.m or 256) * (self.n or 256) * (self.k or 256)
        self.group = 1
        if self.row_blocks == 1 and self.col_blocks == 1 and batch:
            limit = max(1, self.fixed_batch) if not self.open_batch else 1 << 20
            self.group = int(max(1, min(limit, 4e6 // max(1.0, work))))

    def _plan_workspace(self, nbytes: int) -> None:
        blocks, depth = self.blocks, self.blocks.depth
        padded = 0 if self.n is None else round_up(self.n, self.lanes)
        self.shared_nbytes = 0
        if self.share_a and self.k is not None:
            self.shared_nbytes = round_up(self.k * (self.m or 0) * nbytes, 64)
        self.parts_at = self.shared_nbytes
        if self.parts > 1:
            self.shared_nbytes += round_up(self.parts * (self.m or 0) * padded * nbytes, 64)
        rows = min(blocks.rows, self.near_rows) if self.m is None else min(blocks.rows, self.near_rows, self.m)
        cols = blocks.cols if self.n is None else min(blocks.cols, padded)
        self.a_nbytes = round_up(rows * depth * nbytes, 64) if self.pack_a and not self.share_a else 0
        self.b_nbytes = round_up(cols * depth * nbytes, 64) if self.pack_b else 0
        sums = min(blocks.rows, self.m or 0) * cols * nbytes if self.resume else 0
        self.worker_nbytes = self.a_nbytes + self.b_nbytes + round_up(sums, 64)

    # -- code

    def emit(self) -> Kernel:
        phases: list[tuple[str, Value]] = []
        self.packs: dict[str, Pack] = {}
        if self.share_a:
            phases.append(self._emit_pack_phase())
        work = self._emit_compute()

        def chunks(f: Function) -> Value:
            rows = (
                self.row_blocks if self.row_blocks is not None else f.ceil_div(self._extent(f, "m"), self.blocks.rows)
            )
            cols = (
                self.col_blocks if self.col_blocks is not None else f.ceil_div(self._extent(f, "n"), self.blocks.cols)
            )
            groups = f.ceil_div(self._batch(f), self.group)
            return f.mul(f.mul(f.mul(groups, self.parts), rows), cols)

        every = [*phases, (work, chunks)]
        if self.parts > 1:
            every.append(self._emit_reduce())
        done = write_entry(self.module, self.name, every)
        return Kernel(self.name, done, self.spec.flops, self.shared_nbytes, self.worker_nbytes)

    def _extent(self, f: Function, name: str) -> Value:
        """An extent in the kernel's own orientation, read from the context if it is open."""
        known = {"m": self.m, "n": self.n, "k": self.k}[name]
        if known is not None:
            return known
        return slot(f, {"m": "n", "n": "m"}.get(name, name) if self.swapped else name)

    def _batch(self, f: Function) -> Value:
        return f.mul(slot(f, "batch"), self.fixed_batch) if self.open_batch else self.fixed_batch

    def _operands(self, f: Function) -> tuple[str, str, str]:
        a, b = slot(f, "a"), slot(f, "b")
        return (b, a, slot(f, "c")) if self.swapped else (a, b, slot(f, "c"))

    def _pack(self, which: str) -> Pack:
        """The packing function of an operand; it is written when it is first asked for."""
        if which not in self.packs:
            step, kind = (self.a, self.a_type) if which == "a" else (self.b[::-1], self.b_type)
            self.packs[which] = Pack(
                self.module, self.machine, f"{self.name}.pack_{which}", step[0], step[1], kind, self.sum_type,
                whole=which == "b",
            )  # fmt: skip
        return self.packs[which]

    def _emit_pack_phase(self) -> tuple[str, Value]:
        """All of A, in panels as high as a tile: [k][height], one depth block after the other."""
        name = f"{self.name}.pack"
        f = phase_function(self.module, name)
        a, _, _ = self._operands(f)
        m = self.m or 0
        target = slot(f, "workspace")

        panels = -(-m // self.rows.size)
        group = max(1, min(panels, (1 << 16) // max(1, (self.k or 0) * self.rows.size)))
        start = f.mul("%chunk", group * self.rows.size)
        rows = (start, f.min(f.add(start, group * self.rows.size), m))

        def block(p: Value, _: list[str]) -> None:
            depth = f.min(self.blocks.depth, f.sub(self.k or 0, p))
            to = f.shift(target, f.add(f.mul(p, m), f.mul(start, depth)), self.sum_type)
            self._pack_rows(f, f.shift(a, f.mul(p, self.a[1]), self.a_type), to, rows, depth)

        f.loop(0, self.k or 0, self.blocks.depth, block)
        return name, -(-panels // group)

    def _emit_compute(self) -> str:
        name = f"{self.name}.work"
        f = phase_function(self.module, name)
        a, b, c = self._operands(f)
        m, n, k = self._extent(f, "m"), self._extent(f, "n"), self._extent(f, "k")
        rows = self.row_blocks if self.row_blocks is not None else f.ceil_div(m, self.blocks.rows)
        cols = self.col_blocks if self.col_blocks is not None else f.ceil_div(n, self.blocks.cols)
        index: Value = "%chunk"
        j_block, index = f.rem(index, cols), f.div(index, cols)
        i_block, index = f.rem(index, rows), f.div(index, rows)
        i0, j0 = f.mul(i_block, self.blocks.rows), f.mul(j_block, self.blocks.cols)
        i1, j1 = f.min(f.add(i0, self.blocks.rows), m), f.min(f.add(j0, self.blocks.cols), n)
        space = worker_space(f, self.shared_nbytes, self.worker_nbytes) if self.worker_nbytes else ""
        if self.parts > 1:
            step = 8
            length = f.mul(f.ceil_div(f.ceil_div(k, self.parts), step), step)
            start = f.min(f.mul(index, length), k)
            stop = f.min(f.add(start, length), k)
            at = f.mul(index, (self.m or 0) * round_up(self.n or 0, self.lanes))
            c = f.shift(f.shift(slot(f, "workspace"), self.parts_at, "i8"), at, self.sum_type)
            self._block(f, a, b, c, (i0, i1), (j0, j1), (start, stop), 0, space)
            return name
        first = f.mul(index, self.group)
        last = f.min(f.add(first, self.group), self._batch(f))

        def item(number: Value, _: list[str]) -> None:
            at = [a, b, c]
            rest = number
            for axis in reversed(range(len(self.spec.batch))):
                extent = self.spec.batch[axis]
                here = rest if extent is None or axis == 0 else f.rem(rest, extent)
                rest = rest if extent is None or axis == 0 else f.div(rest, extent)
                for o, kind in enumerate((self.a_type, self.b_type, self.c_type)):
                    at[o] = f.shift(at[o], f.mul(here, self.batches[o][axis]), kind)
            self._block(f, at[0], at[1], at[2], (i0, i1), (j0, j1), (0, k), number, space)

        f.loop(first, last, 1, item)
        return name

    def _block(
        self, f: Function, a: str, b: str, c: str, i: tuple[Value, Value], j: tuple[Value, Value],
        k: tuple[Value, Value], batch: Value, space: str,
    ) -> None:  # fmt: skip
        """One block of C: for each depth block pack what must be packed, then call the tiles."""
        depth = self.blocks.depth

        def passes(p: Value, _: list[str]) -> None:
            deep: Value = (self.k or 0) if self.single else f.max(0, f.min(depth, f.sub(k[1], p)))
            own_b = f.shift(space, self.a_nbytes, "i8") if self.pack_b else ""
            if own_b and not self.copy_b:
                self._pack_cols(f, f.shift(b, f.mul(p, self.b[0]), self.b_type), own_b, j, deep)

            def near(at: Value, _: list[str], first: bool = False) -> None:
                """Rows of A that stay in the L2 cache while the panels of B pass by."""
                rows = (at, f.min(f.add(at, self.near_rows), i[1]))
                if self.pack_a and not self.share_a:
                    self._pack_rows(f, f.shift(a, f.mul(p, self.a[1]), self.a_type), space, rows, deep)
                self._tiles(f, a, b, c, rows, j, k, p, deep, batch, space, own_b, first)

            near(i[0], [], True)
            if self.near_rows < self.blocks.rows:
                f.loop(f.add(i[0], self.near_rows), i[1], self.near_rows, near)

        # an empty reduction still has to write C, so there is always one pass
        stop = k[1] if isinstance(k[1], int) and isinstance(k[0], int) and k[1] > k[0] else f.max(k[1], f.add(k[0], 1))
        f.loop(k[0], stop, depth, passes)

    def _pack_rows(self, f: Function, a: str, target: str, i: tuple[Value, Value], deep: Value) -> None:
        """Pack rows i of A; if it is contiguous along them, some indices of the reduction for all panels at a time."""

        def some(k: Value, _: list[str]) -> None:
            def panel(height: int, at: Value, _: bool) -> None:
                source = f.shift(a, f.add(f.mul(at, self.a[0]), f.mul(k, self.a[1])), self.a_type)
                to = f.shift(target, f.add(f.mul(f.sub(at, i[0]), deep), f.mul(k, height)), self.sum_type)
                self._pack("a").call(f, source, to, f.min(step, f.sub(deep, k)), height, height)

            self.rows.walk(f, i[0], i[1], panel)

        step: Value = 32 if self.a[0] == 1 else deep
        if step == deep:
            some(0, [])
        else:
            f.loop(0, deep, step, some)

    def _pack_cols(self, f: Function, b: str, space: str, j: tuple[Value, Value], deep: Value) -> None:
        def panel(width: int, at: Value, reaches: bool) -> None:
            source = f.shift(b, f.mul(at, self.b[1]), self.b_type)
            target = f.shift(space, f.mul(f.sub(at, j[0]), deep), self.sum_type)
            valid = f.sub(j[1], at) if reaches else width
            self._pack("b").call(f, source, target, deep, round_up(width, self.lanes), valid)

        self.cols.walk(f, j[0], j[1], panel)

    def _tiles(
        self, f: Function, a: str, b: str, c: str, i: tuple[Value, Value], j: tuple[Value, Value],
        k: tuple[Value, Value], p: Value, deep: Value, batch: Value, space: str, own_b: str, first: bool,
    ) -> None:  # fmt: skip
        """The tiles of rows i and columns j, for one depth block.

        The `first` rows of all pack B in passing, if it can be.
        """
        flag = ""
        last = ""
        if not self.single:
            if self.resume or not self.spec.accumulate or self.parts > 1:
                flag = f.op(f"zext i1 {f.op(f'icmp ne i64 {p}, {k[0]}')} to i64")
            last = f.op(f"zext i1 {f.op(f'icmp sge i64 {f.add(p, self.blocks.depth)}, {k[1]}')} to i64")
        c_row = round_up(self.n or 0, self.lanes) if self.parts > 1 else self.c[0]
        c_col = 1 if self.parts > 1 else self.c[1]
        c_type = self.sum_type if self.parts > 1 else self.c_type

        def cols(width: int, col: Value, reaches: bool) -> None:
            given = f.shift(b, f.add(f.mul(p, self.b[0]), f.mul(col, self.b[1])), self.b_type)
            packed = f.shift(own_b, f.mul(f.sub(col, j[0]), deep), self.sum_type) if own_b else ""

            def rows(height: int, row: Value, copy: bool = False) -> None:
                if self.share_a:
                    place = f.add(f.mul(p, self.m or 0), f.mul(row, deep))
                    left = f.shift(slot(f, "workspace"), place, self.sum_type)
                elif self.pack_a:
                    left = f.shift(space, f.mul(f.sub(row, i[0]), deep), self.sum_type)
                else:
                    left = f.shift(a, f.add(f.mul(row, self.a[0]), f.mul(p, self.a[1])), self.a_type)
                at = f.shift(c, f.add(f.mul(row, c_row), f.mul(col, c_col)), c_type)
                tile = self._tile(height, width, reaches, c_row, c_col, c_type, copy)
                self.tiles.get(tile).call(
                    f, a=left, b=given if copy or not own_b else packed, copy=packed, c=at, ctx="%ctx", row=row,
                    col=col, batch=batch, n0=deep, cols=f.sub(j[1], col) if reaches else width, accumulate=flag,
                    finish=last, resume=flag, sums=self._sums(f, space, i, j, row, col, width) if self.resume else "",
                )  # fmt: skip

            start = i[0]
            if first and self.copy_b:
                rows(self.rows.size, i[0], copy=True)
                start = f.add(i[0], self.rows.size)
            self.rows.walk(f, start, i[1], lambda height, row, _: rows(height, row))

        self.cols.walk(f, j[0], j[1], cols)

    def _sums(
        self, f: Function, space: str, i: tuple[Value, Value], j: tuple[Value, Value], row: Value, col: Value, width: int
    ) -> str:  # fmt: skip
        """Where the sums of a tile wait for the next part of the reduction: tile after tile, panel after panel."""
        before = f.mul(f.sub(col, j[0]), f.sub(i[1], i[0]))
        at = f.add(before, f.mul(f.sub(row, i[0]), round_up(width, self.lanes)))
        return f.shift(f.shift(space, self.a_nbytes + self.b_nbytes, "i8"), at, self.sum_type)

    def _tile(self, height: int, width: int, reaches: bool, c_row: int, c_col: int, c_type: str, copy: bool) -> Tile:
        a_row, a_k = (1, height) if self.pack_a else self.a
        step = round_up(width, self.lanes)
        packed = self.pack_b and not copy
        b_k, b_col = (step, 1) if packed else self.b
        split = self.parts > 1
        accumulate: bool | None = self.spec.accumulate and not split
        if not self.single and not accumulate and not self.resume:
            accumulate = None
        finish: bool | None = False if split else (True if self.single else None)
        return Tile(
            rows=tuple(r * a_row for r in range(height)),
            c_rows=tuple(r * c_row for r in range(height)),
            indices=tuple(range(height)),
            vectors=width if self.dot else -(-width // self.lanes),
            reduce=(Axis(self._even_depth(), a_k, b_k),),
            cols=None if reaches else width,
            form="dot" if self.dot else "broadcast",
            b_lane=b_col, c_lane=c_col, padded=packed, copy_step=step if copy else 0,
            accumulate=accumulate, finish=finish, resume=self.resume, transposed=self.swapped,
            ahead=self._ahead(height), near=self.resume,
            a_type=self.sum_type if self.pack_a else self.a_type,
            b_type=self.sum_type if packed else self.b_type, c_type=c_type, sum_type=self.sum_type,
        )  # fmt: skip

    def _even_depth(self) -> int | None:
        """The depth of each part of the reduction, if they are known to be the same."""
        if self.single:
            return self.k
        return self.blocks.depth if self.resume and (self.k or 0) % self.blocks.depth == 0 else None

    def _ahead(self, height: int) -> int:
        """How far ahead a tile asks for A: for what the next tile reads, or what this one reads some hundred cycles later.

        Measured: rows that a tile reads in long runs need none of this, since the processor sees what comes.
        """
        if self.dot:
            return 0
        if self.resume:
            return SOON * (height if self.pack_a else self.a[1])
        if self.pack_a:
            return height * self.blocks.depth
        if self.a[1] == 1:
            return height * self.a[0] if self.k is not None and self.k <= SHORT_RUN else 0
        return EARLY * self.a[1] if self.parts > 1 and self.a[0] == 1 else 0

    def _emit_reduce(self) -> tuple[str, Value]:
        """Add the parts of a split reduction, first to last, and finish C."""
        name = f"{self.name}.reduce"
        f = phase_function(self.module, name)
        m, n = self.m or 0, self.n or 0
        padded = round_up(n, self.lanes)
        group = max(1, min(m, (1 << 16) // (self.parts * padded)))
        parts = f.shift(slot(f, "workspace"), self.parts_at, "i8")
        c = slot(f, "c")
        i0 = f.mul("%chunk", group)

        def cols(width: int, col: Value, _: bool) -> None:
            def row(i: Value, _: list[str]) -> None:
                tile = Tile(
                    rows=(0,), c_rows=(0,), indices=(0,), vectors=-(-width // self.lanes),
                    reduce=(Axis(self.parts, m * padded, 0),), cols=width, form="sum", c_lane=self.c[1],
                    accumulate=self.spec.accumulate, transposed=self.swapped, a_type=self.sum_type,
                    b_type=self.sum_type, c_type=self.c_type, sum_type=self.sum_type,
                )  # fmt: skip
                left = f.shift(parts, f.add(f.mul(i, padded), col), self.sum_type)
                at = f.shift(c, f.add(f.mul(i, self.c[0]), f.mul(col, self.c[1])), self.c_type)
                self.tiles.get(tile).call(f, a=left, b=left, c=at, ctx="%ctx", row=i, col=col, batch=0)

            f.loop(i0, f.min(f.add(i0, group), m), 1, row)

        wide: Split = split_cols(n, 4 * self.lanes)
        wide.walk(f, 0, n, cols)
        return name, -(-m // group)
