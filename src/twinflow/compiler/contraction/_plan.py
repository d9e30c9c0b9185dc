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


OPEN_ROWS = 1 << 8
"""The same for rows when blocks are chosen: small enough that a batch of some dozens gives work to several threads, which then
share the columns, and large enough that B is not packed anew for every few rows."""


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


SELDOM, OFTEN = 0.04, 0.2
"""What a load costs in cycles, beside what else a tile does: where operands lie in the first-level cache, more matters little."""


@cache
def choose_tile(
    machine: Machine, rows: int | None, cols: int | None, lanes: int, step: int = 1, depth: int | None = None,
    *, again: bool = False, loads: float = SELDOM,
) -> TileChoice:  # fmt: skip
    """The register tile that takes the fewest cycles for a rows × cols block; its rows are a multiple of `step`.

    Per index of the reduction a tile costs the largest of: its multiply-adds and its loads (two a cycle each), and
    the four cycles of latency of a sum; loads cost a little beside. What remains at the edges costs as much as the smaller
    tiles there. Where the `depth` of the reduction is given, a panel of B that leaves no room in the first-level cache costs more
    if there are further rows, in this block or `again` in others.
    """
    m, n = OPEN_EXTENT if rows is None else rows, OPEN_EXTENT if cols is None else cols

    def cycles(r: int, v: int, high: int) -> float:
        beside = loads * (r + v)  # fewer leave more to the other thread of a core
        if depth is None:
            return max(r * v / 2, (r + v) / 2, 2.0) + 0.5 + beside
        if (again or m > high) and v * machine.vector_nbytes * depth > machine.l1_nbytes * 3 // 4:
            beside += 0.2 * v
        # measured: tiles of one vector, which load more often than they multiply, run at 1.3 cycles for two loads
        return max(r * v / 2, 0.65 * (r + v), 2.0) + 0.5 + beside

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
                        cost += count * across * cycles(height, width, r)
            best = min(best, (cost, r, v))
    return TileChoice(best[1], best[2], best[0])


CUT = 128
"""About how deep the parts of a cut reduction are."""

LONG = 384
WIDE = 256
"""A reduction is cut from so deep on, where C has so many rows and columns."""


def pays_to_cut(m: int | None, n: int | None, k: int | None) -> bool:
    """Whether to cut the reduction such that a panel of B stays in the first-level cache, and the sums in the second's.

    Each panel of B is read for many tiles of rows, and a block of C is visited for each part of the reduction.
    """
    return m is not None and n is not None and k is not None and min(m, n) >= WIDE and k >= LONG


def cut_depth(machine: Machine, k: int, row_nbytes: int) -> int:
    """The depth of the parts: a panel of B, whose rows have so many bytes, takes two thirds of the first-level cache."""
    most = max(64, machine.l1_nbytes * 2 // 3 // row_nbytes)
    return round_up(-(-k // -(-k // most)), 16)


@dataclass(frozen=True)
class Blocks:
    """Block sizes of a matrix product.

    Args:
        rows, cols: of a block of C, which is one chunk of work.
        depth: of the reduction, between two visits of C.
    """

    rows: int
    cols: int
    depth: int


GRAIN_FLOPS = 4e6
"""A chunk should do about this much, some 30 µs of one core: large against handing it out, small against the whole."""

MOST_CHUNKS = 24
"""Enough for a dozen cores; more would read a block of A anew for every narrow strip of C."""

PACKED = 20
READ = 8
HANDED = 60_000
"""Packing an element, reading one from far, and handing out a chunk, each in multiply-adds of the time it takes."""


def choose_parts(m: int | None, n: int | None, k: int | None) -> int:
    """Into how many parts a reduction is cut, so that each chunk reads A and B once, as they lie; the parts are added.

    That is a gain where A and B are large against C, as they are for the gradient of a weight.
    """
    if k is None or m is None or n is None or k < 1024 or k < 2 * max(m, n):
        return 1
    return max(1, min(16, k // 512, int(2.0 * m * n * k / GRAIN_FLOPS)))


WHOLE_DEPTH = 512
"""A reduction up to so deep is never cut between visits of C."""


def choose_depth(machine: Machine, k: int | None, packed: bool = True) -> int:
    """The depth of a block: all of the reduction, or equal parts of it.

    C is visited once for each, so they are as deep as blocks of A and B may be that stay in the L2 cache together. Of
    operands that are not `packed`, each index of the reduction is another line, far from the one before.
    """
    most = max(256, min(1024, machine.l2_nbytes // 2048)) if packed else 256
    if k is None:
        return most
    if k <= WHOLE_DEPTH:
        return max(1, k)
    if k <= most * 5 // 4:
        return max(1, k)
    return round_up(-(-k // -(-k // most)), 8)


@cache
def choose_blocks(
    machine: Machine, m: int | None, n: int | None, k: int | None, depth: int, tile_rows: int, tile_cols: int,
    parts: int, b_cost: int, own_b: bool, sum_nbytes: int = 0,
) -> Blocks:  # fmt: skip
    """Blocks of C such that several threads have equal work, and little is packed and read more than once.

    They depend on shapes and processor only, never on the number of threads: neither do the results. There are fewer for a
    reduction that is itself cut into `parts`. `b_cost` is what an element of B costs, `own_b` whether a worker packs it, and
    `sum_nbytes` what each sum takes of the L2 cache if they wait there for the next part of the reduction, else 0.
    """
    deep = k if k is not None else OPEN_EXTENT
    if m is None:
        m = OPEN_ROWS
    if n is None:
        row_blocks = max(1, -(-m // round_up(384, tile_rows)))
        return Blocks(round_up(-(-m // row_blocks), tile_rows), tile_cols * 8, depth)
    panels, tiles = -(-n // tile_cols), -(-m // tile_rows)
    # what a worker packs of B for itself should fill at most a quarter of its L2 cache
    most_panels = max(1, machine.l2_nbytes // 4 // (4 * tile_cols * depth)) if own_b else panels
    work = m * n * deep + READ * deep * (m + n)
    deep = -(-deep // parts)
    # halves of some 8 µs are worth handing out, because the other core mostly still watches for work
    least = 2 if work >= GRAIN_FLOPS / 4 else 1
    most = max(1, max(least, min(MOST_CHUNKS, int(work / (GRAIN_FLOPS / 4)))) // parts)
    most = max(most, 2 * -(-m * n * sum_nbytes // (machine.l2_nbytes // 4)))
    best = (float("inf"), tiles, panels)
    for across in range(1, panels + 1):
        for high in range(1, min(tiles, max(1, most // across)) + 1):
            r, c = -(-tiles // high), -(-panels // across)
            if c > most_panels and across < panels:
                continue
            if r * tile_rows * c * tile_cols * sum_nbytes > machine.l2_nbytes // 4:
                continue
            chunks = -(-tiles // r) * -(-panels // c) * parts
            if (
                -(-tiles // r) != high
                or -(-panels // c) != across
                or chunks > parts * max(most, -(-panels // most_panels))
            ):
                continue
            rows, cols = min(m, r * tile_rows), min(n, c * tile_cols)
            each = rows * cols * deep + deep * (cols * b_cost + rows * READ) + HANDED
            # what 1, 2, 4 and 8 threads would take, and not do
            cost = sum(threads * -(-chunks // threads) * each for threads in (1, 2, 4, 8) if threads <= most * parts)
            best = min(best, (float(cost), r, c))
    return Blocks(best[1] * tile_rows, best[2] * tile_cols, depth)
