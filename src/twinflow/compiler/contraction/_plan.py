"""Choosing register tiles and block sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from twinflow.compiler.contraction._kernel import round_up
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import Function, Value

OPEN_EXTENT = 1 << 10
"""What an extent that is only known at run time is taken for when tiles are chosen."""


@dataclass(frozen=True)
class Split:
    """How an extent is cut: whole pieces of `size`, then what remains in smaller ones.

    Args:
        extent: the extent; None: known at run time.
        size: size of a whole piece.
        tails: sizes tried for the remainder, descending; the last divides whatever remains.
    """

    extent: int | None
    size: int
    tails: tuple[int, ...]

    def walk(self, f: Function, start: Value, stop: Value, body: Callable[[int, Value, bool], None]) -> None:
        """Write loops that call ``body(size, index, open)`` over [start, stop); start is a multiple of `size`.

        The piece is `open` when it may reach beyond `stop`: the last one of columns whose extent is open.
        """
        sizes = (self.size, *self.tails)
        at = start
        for n, size in enumerate(sizes):
            left = f.sub(stop, at)
            end = f.sub(stop, f.rem(left, size)) if n < len(sizes) - 1 else stop

            def step(i: Value, _: list[str], size: int = size, reaches: bool = n > 0 and size == self.size) -> None:
                body(size, i, reaches)

            if isinstance(at, int) and isinstance(end, int) and at == end:
                continue
            f.loop(at, end, size, step)
            at = end


def split_rows(extent: int | None, size: int) -> Split:
    """Pieces of rows: a tile of exactly the remaining rows, or tiles of 4 and 1 when the extent is open."""
    if extent is None:
        return Split(None, size, tuple(t for t in (4, 1) if t < size))
    rest = extent % size
    return Split(extent, size, (rest,) if rest else ())


def split_cols(extent: int | None, size: int) -> Split:
    """Pieces of columns: what remains fits into one masked tile."""
    if extent is None:
        return Split(None, size, (size,))
    rest = extent % size
    return Split(extent, size, (rest,) if rest else ())


@dataclass(frozen=True)
class TileChoice:
    """Rows and vectors of a register tile, and what the whole block then costs in cycles per index of the reduction."""

    rows: int
    vectors: int
    cycles: float


@cache
def choose_tile(machine: Machine, rows: int | None, cols: int | None, lanes: int, step: int = 1) -> TileChoice:
    """The register tile that takes the fewest cycles for a rows × cols block; its rows are a multiple of `step`.

    Per index of the reduction a tile costs the largest of: its multiply-adds and its loads (two a cycle each), and
    the four cycles of latency of a sum; loads cost a little beside. What remains at the edges costs as much as the smaller tiles there.
    """
    m, n = OPEN_EXTENT if rows is None else rows, OPEN_EXTENT if cols is None else cols

    def cycles(r: int, v: int) -> float:
        loads = 0.04 * (r + v)  # fewer leave more to the other thread of a core
        return max(r * v / 2, (r + v) / 2, 2.0) + 0.5 + loads

    best = (float("inf"), step, 1)
    for v in range(1, min(8, -(-n // lanes)) + 1):
        for r in range(step, min(28, m) + 1, step):
            if not machine.fits(r, v):
                break
            v_rest = -(-(n % (v * lanes)) // lanes)
            cost = 0.0
            for count, height in ((m // r, r), (1 if m % r else 0, m % r)):
                for across, width in ((n // (v * lanes), v), (1 if v_rest else 0, v_rest)):
                    if count and across:
                        cost += count * across * cycles(height, width)
            best = min(best, (cost, r, v))
    return TileChoice(best[1], best[2], best[0])


@dataclass(frozen=True)
class Blocks:
    """Block sizes of a matrix product, and the number of blocks where it is known."""

    rows: int
    cols: int
    depth: int


GRAIN_FLOPS = 4e6
"""A chunk should do about this much, some 30 µs of one core: large against handing it out, small against the whole."""

MOST_CHUNKS = 24
"""Enough for a dozen cores; more would read a block of A anew for every narrow strip of C."""

MOST_DEPTH = 256
"""Panels of B this deep stay in the first-level cache while the rows of A pass by."""


def choose_blocks(
    machine: Machine, m: int | None, n: int | None, k: int | None, tile_rows: int, tile_cols: int, nbytes: int
) -> Blocks:
    """Blocks whose depth keeps a panel of B near the core, whose rows keep A's block in half of the L2 cache.

    They depend on shapes and processor only, never on the number of threads: neither do the results.
    """
    depth = MOST_DEPTH if k is None else k
    if depth > 2 * MOST_DEPTH:
        depth = round_up(-(-depth // -(-depth // MOST_DEPTH)), 8)
    most_rows = max(tile_rows, machine.l2_nbytes // 2 // (max(1, depth) * nbytes) // tile_rows * tile_rows)
    most_rows = min(most_rows, round_up(384, tile_rows))
    wide = n if n is not None else 1024
    deep = k if k is not None else OPEN_EXTENT
    if m is None:
        want = int(GRAIN_FLOPS / (2.0 * max(1, wide) * max(1, deep)))
        rows = max(tile_rows, min(most_rows, round_up(max(1, want), tile_rows)))
        return Blocks(rows, round_up(max(1, wide), tile_cols), max(1, depth))
    wanted = max(1, min(MOST_CHUNKS, int(2.0 * m * wide * deep / GRAIN_FLOPS)))
    row_blocks = max(1, -(-m // most_rows))
    if n is None:
        return Blocks(round_up(-(-m // row_blocks), tile_rows), tile_cols * 8, max(1, depth))
    col_blocks = max(1, min(-(-wanted // row_blocks), -(-wide // (4 * tile_cols))))
    row_blocks = max(row_blocks, min(wanted // col_blocks, -(-m // (4 * tile_rows))))
    rows = round_up(max(1, -(-m // row_blocks)), tile_rows)
    return Blocks(rows, round_up(max(1, -(-wide // col_blocks)), tile_cols), max(1, depth))
