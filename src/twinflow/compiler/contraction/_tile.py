"""The building block: a batch-reduce matrix multiply on a register tile.

C[i, j] = finish( Σ_{r…} A[i, r…] · B[r…, j]  (+ C[i, j]) )

for a few rows i and a few vectors of columns j whose sums stay in registers. The reduction runs over any number of
axes, each with its own step in A and B: one axis is a matrix product, (kh, kw, c) a convolution, (n, h, w) its
derivative by the weights. Every kernel of this package is loops around calls of such tiles.

Source: Georganas et al., "High-Performance Deep Learning via a Single Building Block", IPDPS 2020.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Literal, TypeAlias

from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value, suffix, vector
from twinflow.compiler.contraction._vectors import (
    Mask,
    convert,
    iota,
    load,
    load_scalar,
    prefetch,
    splat,
    store,
    tail_mask,
)

LONG_EPILOGUE = 150  # instructions for all vectors of a tile; longer ones are written once, in a loop over rows
POINTERS = ("a", "b", "c", "copy", "ctx", "sums")
LINE_NBYTES = 64
OPEN_DEPTH = 256  # what an extent of the reduction that is only known at run time is taken for
COPIED_EARLY = 32  # rows of B that are copied lie far apart, so nobody else asks for them: some hundred cycles early
OPERANDS = 8
"""Slots of a kernel's context in front of the operands of its epilogue: a, b, c, workspace, m, n, k, batch."""


@dataclass(frozen=True)
class Axis:
    """One axis of the reduction: its extent (None: given at run time) and its step in A and in B, in elements."""

    count: int | None
    a: int
    b: int


def merge_axes(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The same reduction with as few axes as its steps allow.

    >>> merge_axes([Axis(3, 8, 128), Axis(8, 1, 16)])
    (Axis(count=24, a=1, b=16),)
    """
    out: list[Axis] = []
    for axis in axes:
        last = out[-1] if out else None
        if axis.count == 1 and len(axes) > 1:
            continue
        inner = axis.count
        if last and inner and last.count is not None and last.a == inner * axis.a and last.b == inner * axis.b:
            out[-1] = Axis(last.count * inner, axis.a, axis.b)
        else:
            out.append(axis)
    return tuple(out) or (Axis(1, 0, 0),)


@dataclass(frozen=True)
class Tile:
    """One specialisation of the building block.

    Args:
        rows: where each row begins in A, in elements from the tile's pointer.
        c_rows: where each row begins in C.
        indices: the number of each row, from that of the tile, as the epilogue sees it.
        vectors: vectors of columns (form "dot": columns).
        reduce: axes of the reduction, outermost first.
        cols: columns that exist; None: given at run time.
        form: "broadcast" multiplies a vector of B by one element of A; "lanes" multiplies vectors of both (columns
            are channels that do not mix: depthwise); "dot" runs along the last axis with vectors, for few rows and
            operands that are contiguous there; "sum" adds vectors of A and has no B.
        b_lane, c_lane: step between columns in B and C.
        padded: B may be read beyond `cols` (it was packed).
        accumulate: add to what C holds; None: decided at run time.
        finish: apply the epilogue; None: decided at run time.
        resume: the reduction is cut, and this is one part of it, as said at run time: `resume` asks to go on from the sums
            that the part before has put into memory of their own, `finish` to write C instead of putting them there again.
        transposed: a row of the tile is a column of the product as its user wrote it.
        ahead: what lies so many elements after what is read of A is asked for early; 0: nothing is.
        near: it is asked for into the first-level cache, else into the second.
        copy_step: vectors of B are stored as they are read, so many elements from one index of the reduction to the
            next; 0: they are not.
    """

    rows: tuple[int, ...]
    c_rows: tuple[int, ...]
    indices: tuple[int, ...]
    vectors: int
    reduce: tuple[Axis, ...]
    cols: int | None
    form: Literal["broadcast", "lanes", "dot", "sum"] = "broadcast"
    b_lane: int = 1
    c_lane: int = 1
    padded: bool = False
    accumulate: bool | None = False
    finish: bool | None = True
    resume: bool = False
    transposed: bool = False
    ahead: int = 0
    near: bool = False
    copy_step: int = 0
    a_type: str = "float"
    b_type: str = "float"
    c_type: str = "float"
    sum_type: str = "float"


def _even(steps: Sequence[int]) -> bool:
    return all(b - a == steps[1] - steps[0] for a, b in itertools.pairwise(steps))


class At:
    """Where in C a vector of an epilogue lies, and access to the epilogue's operands there.

    Attributes:
        f: the function being written; an epilogue appends its instructions to it.
        lanes, scalar: the vector's type: `<lanes x scalar>`.
        row, col, batch: indices of lane 0, in the user's terms.
        down: whether the lanes are consecutive rows instead of consecutive columns.
    """

    def __init__(
        self, f: Function, machine: Machine, scalar: str, lanes: int, row: Value, col: Value, batch: Value,
        mask: Mask, down: bool,
    ) -> None:  # fmt: skip
        self.f, self.machine, self.scalar, self.lanes = f, machine, scalar, lanes
        self.row, self.col, self.batch, self.mask, self.down = row, col, batch, mask, down

    def operand(self, n: int) -> str:
        """The pointer in slot `n` of the epilogue's operands."""
        return self.f.op(f"load ptr, ptr {self.f.shift('%ctx', OPERANDS + n, 'ptr')}, align 8")

    def load(self, pointer: str, scalar: str, row: int, col: int, batch: int = 0) -> str:
        """Load elements [batch, row, col] of an array with these strides, one a lane, as `<lanes x scalar>`.

        A bias of columns has strides (0, 1), a bias of rows (1, 0), a residual those of C.
        """
        f = self.f
        offset = f.add(f.add(f.mul(self.row, row), f.mul(self.col, col)), f.mul(self.batch, batch))
        value = load(f, scalar, f.shift(pointer, offset, scalar), self.lanes, row if self.down else col, self.mask)
        return convert(f, value, scalar, self.scalar, self.lanes, half=self.machine.half)

    def rows(self) -> str:
        """The row number of every lane, `<lanes x i32>`."""
        return self._index(self.row, self.down)

    def cols(self) -> str:
        """The column number of every lane, `<lanes x i32>`."""
        return self._index(self.col, not self.down)

    def _index(self, first: Value, runs: bool) -> str:
        low = str(first) if isinstance(first, int) else self.f.op(f"trunc i64 {first} to i32")
        all_equal = splat(self.f, "i32", low, self.lanes)
        return self.f.op(f"add <{self.lanes} x i32> {all_equal}, {iota('i32', self.lanes)}") if runs else all_equal


Epilogue: TypeAlias = Callable[[Function, str, At], str]
"""Writes what is done to a vector of sums before it is stored: (function, value, place) -> value."""


@dataclass
class TileFunction:
    """An emitted tile and how to call it."""

    tile: Tile
    name: str
    params: tuple[str, ...]

    def call(self, f: Function, **values: Value) -> None:
        """Call the tile with the parameters it has, out of those named."""
        f.call(self.name, [("ptr" if name in POINTERS else "i64", values[name]) for name in self.params])


@dataclass
class Tiles:
    """The tiles of one kernel: each distinct one is emitted once."""

    module: Module
    machine: Machine
    prefix: str
    epilogue: Epilogue | None = None
    _made: dict[Tile, TileFunction] = field(default_factory=dict)

    def get(self, tile: Tile) -> TileFunction:
        """The function of a tile."""
        made = self._made.get(tile)
        if made is None:
            name = f"{self.prefix}.tile{len(self._made)}"
            made = self._made[tile] = _Writer(self.module, self.machine, tile, self.epilogue, name).write()
        return made


class _Writer:
    def __init__(self, module: Module, machine: Machine, tile: Tile, epilogue: Epilogue | None, name: str) -> None:
        params = ["a", "b", "c", *(["copy"] if tile.copy_step else [])]
        if epilogue and tile.finish is not False:
            params += ["ctx", "row", "col", "batch"]
        params += ["cols"] * (tile.cols is None)
        params += ["accumulate"] * (tile.accumulate is None) + ["finish"] * (tile.finish is None)
        params += ["sums", "resume"] * tile.resume
        params += [f"n{level}" for level, axis in enumerate(tile.reduce) if axis.count is None]
        kinds = [("ptr" if p in POINTERS else "i64", p) for p in params]
        self.f = Function(module, name, kinds)
        self.tile, self.machine, self.epilogue = tile, machine, epilogue
        self.done = TileFunction(tile, name, tuple(params))
        self.lanes = machine.lanes(tile.sum_type)
        self.kind = vector(tile.sum_type, self.lanes)
        self.cols: Value = "%cols" if tile.cols is None else tile.cols
        sums = len(tile.rows) * tile.vectors
        self.copies = max(1, -(-8 // sums))  # 4 cycles of latency, 2 multiply-adds a cycle: 8 sums must be under way
        self.unroll = max(2, min(8, 32 // sums), self.copies)
        self._lines = range(0, tile.vectors, max(1, LINE_NBYTES // machine.vector_nbytes))
        self._strips = tile.ahead > 0 and tile.reduce[-1].a <= len(tile.rows)
        strips = self._strips and (tile.reduce[-1].count or OPEN_DEPTH) * NBYTES[tile.a_type] // LINE_NBYTES
        # lines of C are asked for strip by strip, where there are enough of them
        self._spread = strips >= 4 and tile.c_lane == 1 and len(tile.rows) > 1 and _even(tile.c_rows)
        self.masks: list[Mask] = [None] * tile.vectors
        if tile.form != "dot" and not (tile.cols is not None and tile.cols >= tile.vectors * self.lanes):
            self.masks = [tail_mask(self.f, self.cols, v * self.lanes, self.lanes) for v in range(tile.vectors)]

    def write(self) -> TileFunction:
        tile, f = self.tile, self.f
        self._prefetch_c()
        count = len(tile.rows) * tile.vectors
        start = ["zeroinitializer"] * count
        if tile.resume:
            wanted = f.op("icmp ne i64 %resume, 0")
            start = f.choose(wanted, lambda: [self._kept(n) for n in range(count)], start, self.kind)
        start += ["zeroinitializer"] * (count * (self.copies - 1))
        sums = self._reduce(0, ["%a", "%b", "%copy"] if tile.copy_step else ["%a", "%b"], start)
        for copy in range(1, self.copies):
            sums[:count] = [
                f.op(f"fadd {self.kind} {x}, {y}")
                for x, y in zip(sums[:count], sums[copy * count : (copy + 1) * count])
            ]
        rows = [sums[r * tile.vectors : (r + 1) * tile.vectors] for r in range(len(tile.rows))]
        if tile.resume:
            whole, part = f.op("icmp ne i64 %finish, 0"), f.op("icmp eq i64 %finish, 0")
            f.when(whole, lambda: self._finish(rows))
            f.when(part, lambda: self._keep(sums[:count]))
        else:
            self._finish(rows)
        return self.done

    def _kept(self, n: int) -> str:
        """Vector `n` of the sums that the part of the reduction before this one has kept."""
        nbytes = self.machine.vector_nbytes
        return self.f.op(f"load {self.kind}, ptr {self.f.shift('%sums', n, self.kind)}, align {nbytes}")

    def _keep(self, sums: Sequence[str]) -> None:
        f, nbytes = self.f, self.machine.vector_nbytes
        for n, value in enumerate(sums):
            f.do(f"store {self.kind} {value}, ptr {f.shift('%sums', n, self.kind)}, align {nbytes}")

    def _prefetch_c(self) -> None:
        """Ask for the lines of C early: they arrive while the sums are made."""
        tile = self.tile
        if tile.c_lane != 1 or tile.form in ("dot", "sum") or self._spread:
            return
        for r in range(len(tile.rows)):
            for v in self._lines:
                prefetch(self.f, self._c(r, v), write=True)
        self._prefetch_streams()

    def _prefetch_streams(self) -> None:
        """The same for what the epilogue updates beside C: a weight that its gradient's product updates."""
        f, tile = self.f, self.tile
        for slot, steps, kind in getattr(self.epilogue, "updated", ()) if tile.finish else ():
            base = f.op(f"load ptr, ptr {f.shift('%ctx', OPERANDS + slot, 'ptr')}, align 8")
            for index in tile.indices:
                for v in self._lines:
                    row, col = f.add("%row", index), f.add("%col", v * self.lanes)
                    if tile.transposed:
                        row, col = col, row
                    at = f.add(f.mul(row, steps.row), f.mul(col, steps.col))
                    place = f.add(f.add(at, f.mul("%batch", steps.batch)), steps.offset)
                    prefetch(f, f.shift(base, place, kind), write=True)

    # -- the sums

    def _reduce(self, level: int, at: Sequence[str], sums: list[str]) -> list[str]:
        """Sum over the axes from `level` on; `at` points into A, B and the copy of B."""
        axis = self.tile.reduce[level]
        count: Value = f"%n{level}" if axis.count is None else axis.count
        if level == len(self.tile.reduce) - 1:
            return self._innermost(axis, count, at, sums)

        work = len(self.tile.rows) * self.tile.vectors * prod(x.count or 99 for x in self.tile.reduce[level:])
        if axis.count is not None and work <= 300:  # few enough to write out: a 3×3 filter over one channel
            for n in range(axis.count):
                sums = self._reduce(level + 1, self._moved(at, axis, n), sums)
            return sums

        def body(_: Value, at: Sequence[str], sums: list[str]) -> list[str]:
            return self._reduce(level + 1, at, sums)

        return self._loop(axis, 0, count, 1, body, at, sums)[1]

    def _moved(self, at: Sequence[str], axis: Axis, n: int) -> list[str]:
        """Where the `n`-th index of an axis lies."""
        tile = self.tile
        steps = ((axis.a, tile.a_type), (axis.b, tile.b_type), (tile.copy_step, tile.sum_type))
        return [self.f.shift(pointer, n * step, kind) for pointer, (step, kind) in zip(at, steps)]

    def _loop(
        self, axis: Axis, start: Value, stop: Value, step: int,
        body: Callable[[Value, Sequence[str], list[str]], list[str]], at: Sequence[str], sums: list[str],
    ) -> tuple[list[str], list[str]]:  # fmt: skip
        """A loop along an axis; what follows it continues with the pointers and sums that it gives."""

        def around(index: Value, carried: list[str]) -> list[str]:
            here = carried[: len(at)]
            return [*self._moved(here, axis, step), *body(index, here, carried[len(at) :])]

        carried = [*(("ptr", pointer) for pointer in at), *((self.kind, s) for s in sums)]
        after = self.f.loop(start, stop, step, around, carried)
        return after[: len(at)], after[len(at) :]

    def _innermost(self, axis: Axis, count: Value, at: Sequence[str], sums: list[str]) -> list[str]:
        tile, f = self.tile, self.f
        line = LINE_NBYTES // NBYTES[tile.a_type]
        if not self._strips or (isinstance(count, int) and count < 2 * line):
            return self._strip(axis, count, at, sums)

        def strip(index: Value, at: Sequence[str], sums: list[str]) -> list[str]:
            self._ask_early(axis, at[0], f.div(index, line), f.div(count, line))
            return self._strip(axis, line, at, sums)

        rest = f.rem(count, line)
        at, sums = self._loop(axis, 0, f.sub(count, rest), line, strip, at, sums)
        return self._strip(axis, rest, at, sums)

    def _strip(self, axis: Axis, count: Value, at: Sequence[str], sums: list[str]) -> list[str]:
        """Some indices of the innermost axis, or all."""
        f = self.f
        width = self.lanes if self.tile.form == "dot" else 1
        unroll = self.unroll
        if isinstance(count, int) and count // width <= 2 * unroll:
            unroll = max(1, count // width)
        if isinstance(count, int):  # a whole number of rounds needs no second copy of the body
            rounds = count // width
            unroll = next((u for u in range(unroll, self.copies - 1, -1) if rounds % u == 0), unroll)

        def steps(n: int) -> Callable[[Value, Sequence[str], list[str]], list[str]]:
            def body(_: Value, at: Sequence[str], now: list[str]) -> list[str]:
                for u in range(n):
                    now = self._step(self._moved(at, axis, u * width), now, u % self.copies, None)
                return now

            return body

        whole = f.sub(count, f.rem(count, unroll * width))
        at, sums = self._loop(axis, 0, whole, unroll * width, steps(unroll), at, sums)
        if unroll > 1:
            if isinstance(count, int) and isinstance(whole, int):
                left = (count - whole) // width
                sums = steps(left)(0, at, sums)
                at = self._moved(at, axis, left * width)
            else:
                single = f.sub(count, f.rem(count, width))
                at, sums = self._loop(axis, whole, single, width, steps(1), at, sums)
        if self.tile.form == "dot":
            mask = tail_mask(f, f.rem(count, width), 0, self.lanes)
            if mask != 0:
                sums = self._step(at, sums, 0, mask)
        return sums

    def _ask_early(self, axis: Axis, a: str, strip: Value, strips: Value) -> None:
        """Ask for what lies `ahead` of a strip of A, and for a part of C.

        All at once, the lines of a tile would hold up those that are multiplied next: few can be under way.
        """
        f, tile = self.f, self.tile
        line = LINE_NBYTES // NBYTES[tile.a_type]
        for n in sorted({(row + k * axis.a) // line for row in tile.rows for k in range(line)}):
            prefetch(f, f.shift(a, n * line + tile.ahead, tile.a_type), near=tile.near)
        if not self._spread:
            return
        rows = len(tile.rows)
        some = -(-rows // max(1, strips // 2)) if isinstance(strips, int) else 2
        late = f.max(0, f.sub(strips, -(-2 * rows // some)))  # not so early that they are gone again
        first = f.mul(f.max(0, f.sub(strip, late)), some)
        target, step = self._written()
        for r in range(some):
            row = f.shift(target, f.mul(f.min(f.add(first, r), rows - 1), step), "i8")
            for v in self._lines:
                prefetch(f, f.shift(row, v * self.lanes * NBYTES[tile.c_type], "i8"), write=True)

    def _written(self) -> tuple[str, Value]:
        """What is asked for early to be written, and bytes from row to row: C, or the sums of the tile after this one."""
        f, tile = self.f, self.tile
        step = (tile.c_rows[1] - tile.c_rows[0]) * NBYTES[tile.c_type]
        if not tile.resume:
            return "%c", step
        width = tile.vectors * self.machine.vector_nbytes
        whole = f.op("icmp ne i64 %finish, 0")
        after = f.shift("%sums", len(tile.rows) * width, "i8")
        return f.op(f"select i1 {whole}, ptr %c, ptr {after}"), f.op(f"select i1 {whole}, i64 {step}, i64 {width}")

    def _step(self, at: Sequence[str], sums: list[str], copy: int, mask: Mask) -> list[str]:
        """Add one index of the innermost axis (form "dot": one vector of indices) to one copy of the sums."""
        f, tile, lanes, half = self.f, self.tile, self.lanes, self.machine.half
        now = list(sums)
        if tile.ahead and not self._strips:  # each index of the reduction is another line
            prefetch(f, f.shift(at[0], tile.ahead, tile.a_type))
        right = []
        for v in range(tile.vectors if tile.form != "sum" else 0):
            if tile.form == "dot":
                offset, stride, keep = v * tile.b_lane, 1, mask
            else:
                offset, stride = v * lanes * tile.b_lane, tile.b_lane
                keep = None if tile.padded else self.masks[v]
            if tile.copy_step:
                early = offset + COPIED_EARLY * tile.reduce[-1].b
                prefetch(f, f.shift(at[1], early, tile.b_type))
            value = load(f, tile.b_type, f.shift(at[1], offset, tile.b_type), lanes, stride, keep)
            right.append(convert(f, value, tile.b_type, tile.sum_type, lanes, half=half))
            if tile.copy_step:
                store(f, tile.sum_type, right[-1], f.shift(at[2], v * lanes, tile.sum_type), lanes)
        fma = f"llvm.fmuladd.{suffix(tile.sum_type, lanes)}"
        f.module.declare(fma, self.kind, f"{self.kind}, {self.kind}, {self.kind}")
        for r, row in enumerate(tile.rows):
            left = self._left(at[0], row, mask)
            for v in range(tile.vectors):
                if tile.form in ("lanes", "sum") and v:
                    left = self._left(at[0], row + v * lanes, self.masks[v])
                n = (copy * len(tile.rows) + r) * tile.vectors + v
                if tile.form == "sum":
                    now[n] = f.op(f"fadd {self.kind} {now[n]}, {left}")
                    continue
                now[n] = f.op(
                    f"call {self.kind} @{fma}({self.kind} {left}, {self.kind} {right[v]}, {self.kind} {now[n]})"
                )
        return now

    def _left(self, a: str, offset: int, mask: Mask) -> str:
        f, tile, half = self.f, self.tile, self.machine.half
        pointer = f.shift(a, offset, tile.a_type)
        if tile.form == "broadcast":
            value = convert(f, load_scalar(f, tile.a_type, pointer), tile.a_type, tile.sum_type, 0, half=half)
            return splat(f, tile.sum_type, value, self.lanes)
        if tile.form in ("lanes", "sum") and mask is None:
            mask = self.masks[0]
        value = load(f, tile.a_type, pointer, self.lanes, 1, mask)
        return convert(f, value, tile.a_type, tile.sum_type, self.lanes, half=half)

    # -- what follows the sums

    def _finish(self, sums: list[list[str]]) -> None:
        """Add C, apply the epilogue, store: everything is loaded before anything is stored."""
        f, tile = self.f, self.tile
        if tile.form == "dot":
            mask = tail_mask(f, self.cols, 0, self.lanes)
            rows, masks = [[self._gather_sums(row)] for row in sums], [mask]
        else:
            rows, masks = sums, self.masks
        at = [(r, v) for r in range(len(rows)) for v in range(len(masks))]
        flat = [value for row in rows for value in row]
        if self._rolled(len(at)):
            self._finish_rows(flat, masks)
            return
        if tile.accumulate is None:
            wanted = f.op("icmp ne i64 %accumulate, 0")
            flat = f.choose(wanted, lambda: self._add_c(flat, at, masks), flat, self.kind)
        elif tile.accumulate:
            flat = self._add_c(flat, at, masks)
        if self.epilogue and tile.finish is None and not tile.resume:
            wanted = f.op("icmp ne i64 %finish, 0")
            before = flat
            flat = f.choose(wanted, lambda: self._epilogue(before, at, masks), before, self.kind)
        elif self.epilogue and tile.finish is not False:
            flat = self._epilogue(flat, at, masks)
        for value, (r, v) in zip(flat, at):
            out = convert(f, value, tile.sum_type, tile.c_type, self.lanes, half=self.machine.half)
            store(f, tile.c_type, out, self._c(r, v), self.lanes, tile.c_lane, masks[v])

    def _rolled(self, vectors: int) -> bool:
        """Whether to write the epilogue once for all rows, in a loop: it is long, and rows lie at equal steps."""
        tile = self.tile
        weight = getattr(self.epilogue, "weight", 0)
        if tile.form == "dot" or tile.finish is False or len(tile.rows) < 2 or weight * vectors <= LONG_EPILOGUE:
            return False
        return all(_even(x) for x in (tile.c_rows, tile.indices))

    def _finish_rows(self, flat: list[str], masks: Sequence[Mask]) -> None:
        """The same in a loop over rows, the sums waiting on the stack."""
        f, tile, nbytes = self.f, self.tile, self.machine.vector_nbytes
        space = f.op(f"alloca [{len(flat)} x {self.kind}], align {nbytes}")
        for n, value in enumerate(flat):
            f.do(f"store {self.kind} {value}, ptr {f.shift(space, n, self.kind)}, align {nbytes}")
        c_step, index_step = tile.c_rows[1] - tile.c_rows[0], tile.indices[1] - tile.indices[0]

        def row(r: Value, _: list[str]) -> None:
            c = f.shift("%c", f.add(f.mul(r, c_step), tile.c_rows[0]), tile.c_type)
            index = f.add("%row", f.add(f.mul(r, index_step), tile.indices[0]))
            source = f.shift(space, f.mul(r, len(masks)), self.kind)
            for v, mask in enumerate(masks):
                value = f.op(f"load {self.kind}, ptr {f.shift(source, v, self.kind)}, align {nbytes}")
                here = f.shift(c, v * self.lanes * tile.c_lane, tile.c_type)
                self._finish_vector(value, here, index, v, mask)

        f.loop(0, len(tile.rows), 1, row)

    def _finish_vector(self, value: str, c: str, row: Value, v: int, mask: Mask) -> None:
        f, tile, half = self.f, self.tile, self.machine.half

        def added(value: str) -> str:
            old = load(f, tile.c_type, c, self.lanes, tile.c_lane, mask)
            return f.op(
                f"fadd {self.kind} {value}, {convert(f, old, tile.c_type, tile.sum_type, self.lanes, half=half)}"
            )

        before = value
        if tile.accumulate is None:
            wanted = f.op("icmp ne i64 %accumulate, 0")
            value = f.choose(wanted, lambda: [added(before)], [before], self.kind)[0]
        elif tile.accumulate:
            value = added(value)
        sums = value
        if tile.finish is None and not tile.resume:
            wanted = f.op("icmp ne i64 %finish, 0")
            value = f.choose(wanted, lambda: [self._at(sums, row, v, mask)], [sums], self.kind)[0]
        else:
            value = self._at(value, row, v, mask)
        out = convert(f, value, tile.sum_type, tile.c_type, self.lanes, half=half)
        store(f, tile.c_type, out, c, self.lanes, tile.c_lane, mask)

    def _c(self, row: int, v: int) -> str:
        tile = self.tile
        return self.f.shift("%c", tile.c_rows[row] + v * self.lanes * tile.c_lane, tile.c_type)

    def _add_c(self, flat: Sequence[str], at: Sequence[tuple[int, int]], masks: Sequence[Mask]) -> list[str]:
        f, tile = self.f, self.tile
        out = []
        for value, (r, v) in zip(flat, at):
            old = load(f, tile.c_type, self._c(r, v), self.lanes, tile.c_lane, masks[v])
            old = convert(f, old, tile.c_type, tile.sum_type, self.lanes, half=self.machine.half)
            out.append(f.op(f"fadd {self.kind} {value}, {old}"))
        return out

    def _epilogue(self, flat: Sequence[str], at: Sequence[tuple[int, int]], masks: Sequence[Mask]) -> list[str]:
        f, tile = self.f, self.tile
        return [self._at(value, f.add("%row", tile.indices[r]), v, masks[v]) for value, (r, v) in zip(flat, at)]

    def _at(self, value: str, row: Value, v: int, mask: Mask) -> str:
        """One vector of sums after the epilogue."""
        f, tile = self.f, self.tile
        col = f.add("%col", v * self.lanes)
        if tile.transposed:
            row, col = col, row
        place = At(f, self.machine, tile.sum_type, self.lanes, row, col, "%batch", mask, tile.transposed)
        return self.epilogue(f, value, place) if self.epilogue else value

    def _gather_sums(self, row: Sequence[str]) -> str:
        """One vector whose lane n is the sum over the lanes of ``row[n]``."""
        f, scalar = self.f, self.tile.sum_type
        name = f"llvm.vector.reduce.fadd.{suffix(scalar, self.lanes)}"
        f.module.declare(name, scalar, f"{scalar}, {self.kind}")
        out = "zeroinitializer"
        for n, value in enumerate(row):
            total = f.op(f"call reassoc {scalar} @{name}({scalar} -0.0, {self.kind} {value})")
            out = f.op(f"insertelement {self.kind} {out}, {scalar} {total}, i64 {n}")
        return out
