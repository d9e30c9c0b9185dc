"""Gaussian elimination with partial pivoting, a matrix to a chunk; and substitution, some columns to a chunk.

Columns are eliminated a panel at a time; a row below then takes the products of the whole panel in one pass, while the
panel's rows stay in the first cache. Source: Golub and Van Loan, "Matrix Computations", 3.2.11 and 3.4. Complex numbers are
pairs: of f·u, each lane takes the real part of f times itself and the imaginary part times its neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twinflow.compiler._builder import ITEMSIZE, REGISTER, Builder, Module, Value

_PANEL = {1: 8, 2: 4}  # columns, by the parts of a number: their factors stay in registers


@dataclass
class Rows:
    """Rows of numbers of one or two parts in memory, with what is done to them.

    Attributes:
        base: address of the first row.
        width: numbers in a row.
    """

    b: Builder
    dtype: str
    parts: int
    base: Value
    width: Value

    def at(self, row: Value, column: Value) -> Value:
        """The address of a number."""
        b = self.b
        place = b.mul(b.add(b.mul(row, self.width), column), b.const(self.parts, "int64"))
        return b.address(self.base, place, ITEMSIZE[self.dtype])

    def number(self, row: Value, column: Value) -> list[Value]:
        """The parts of a number."""
        p = self.at(row, column)
        return [self.part(p, k) for k in range(self.parts)]

    def part(self, p: Value, k: int) -> Value:
        """A part of the number at an address."""
        return self.b.load(self.b.address(p, self.b.const(k, "int64"), ITEMSIZE[self.dtype]), self.dtype)

    def put(self, number: Sequence[Value], row: Value, column: Value) -> None:
        """Store a number."""
        p = self.at(row, column)
        for k, x in enumerate(number):
            self.b.store(x, self.b.address(p, self.b.const(k, "int64"), ITEMSIZE[self.dtype]))

    def lanes(self) -> int:
        """Numbers' parts in a vector."""
        return max(self.b.target.vector_bytes // ITEMSIZE[self.dtype], self.parts)

    def pieces(self, start: Value, stop: Value, body: Callable[[Value, int], None]) -> None:
        """`body(column, lanes)` for the columns of a row, vectors first and then number by number."""
        b, step = self.b, self.lanes() // self.parts
        many = b.sub(stop, start)
        whole = b.sub(many, b.binary("srem", many, b.const(step, "int64")))
        middle = b.add(start, whole)
        each(b, start, middle, lambda j: body(j, self.lanes()), step)
        each(b, middle, stop, lambda j: body(j, self.parts))

    def swap(self, one: Value, other: Value, start: Value, stop: Value) -> None:
        """Exchange two rows between two columns."""

        def body(j: Value, lanes: int) -> None:
            p, q = self.at(one, j), self.at(other, j)
            x, y = self.b.load(p, self.dtype, lanes), self.b.load(q, self.dtype, lanes)
            self.b.store(y, p)
            self.b.store(x, q)

        self.pieces(start, stop, body)

    def subtract(
        self, row: Value, below: Sequence[Value], start: Value, stop: Value, matrix: Rows | None = None
    ) -> None:
        """row -= Σ factor[k] · (row k) between two columns, for each k in `below`; the factors are those of the row
        itself, or of the same one of a matrix."""
        factors = [(matrix or self).number(row, k) for k in below]

        def body(j: Value, lanes: int) -> None:
            b, p = self.b, self.at(row, j)
            x = b.load(p, self.dtype, lanes)
            for factor, k in zip(factors, below):
                u = b.load(self.at(k, j), self.dtype, lanes)
                x = b.fma(b.fneg(b.splat(factor[0], lanes)), u, x)
                if self.parts == 2:
                    turned = b.shuffle(u, [lane ^ 1 for lane in range(lanes)])
                    x = b.fma(b.fmul(b.splat(factor[1], lanes), self.signs(lanes)), turned, x)
            b.store(x, p)

        self.pieces(start, stop, body)

    def signs(self, lanes: int) -> Value:
        """1 in the lanes of real parts, -1 in the others."""
        texts = [f"{REGISTER[self.dtype]} {s}.0" for s in (1, -1) * (lanes // 2)]
        return Value(f"<{', '.join(texts)}>", self.dtype, lanes)


def each(b: Builder, start: Value, stop: Value, body: Callable[[Value], None], step: int = 1) -> None:
    """A loop that carries nothing."""

    def turn(i: Value, _: list[Value]) -> list[Value]:
        body(i)
        return []

    b.loop(start, stop, step, [], turn)


def size(b: Builder, z: Sequence[Value]) -> Value:
    """|z| without overflow."""
    if len(z) == 1:
        return b.fabs(z[0])
    x, y = b.fabs(z[0]), b.fabs(z[1])
    wide = b.fcmp("ogt", x, y)
    big, small = b.select(wide, x, y), b.select(wide, y, x)
    zero = b.like(0, big)
    ratio = b.select(b.fcmp("oeq", big, zero), zero, b.fdiv(small, big))
    return b.fmul(big, b.sqrt(b.fma(ratio, ratio, b.like(1, big))))


def divide(b: Builder, z: Sequence[Value], by: Sequence[Value]) -> list[Value]:
    """z / by: Smith, "Algorithm 116", CACM 5, 1962."""
    if len(z) == 1:
        return [b.fdiv(z[0], by[0])]
    wide = b.fcmp("oge", b.fabs(by[0]), b.fabs(by[1]))
    big, small = b.select(wide, by[0], by[1]), b.select(wide, by[1], by[0])
    ratio = b.fdiv(small, big)
    below = b.fadd(big, b.fmul(small, ratio))
    first, second = b.select(wide, z[0], z[1]), b.select(wide, z[1], z[0])
    re = b.fdiv(b.fadd(first, b.fmul(second, ratio)), below)
    im = b.fdiv(b.fsub(second, b.fmul(first, ratio)), below)
    return [re, b.select(wide, im, b.fneg(im))]


def emit_lu(module: Module, name: str, dtype: str, parts: int) -> str:
    """Add a kernel that factors matrices of numbers of one or two `parts`. Returns its name.

    Its arguments are the matrices, their factors, the pivots and the order of the rows (int64; all three written), and
    as numbers how many matrices there are and their rows and columns. Form: `void name(ptr args, i64 chunk, i64 worker)`,
    with `name.nchunks`.
    """
    module.declarations["llvm.memcpy.p0.p0.i64"] = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
    module.define(name, "ptr %args, i64 %chunk, i64 %worker", lambda b: _factor(b, dtype, parts))
    module.functions[f"{name}.nchunks"] = (
        f"define i64 @{name}.nchunks(ptr %args) nounwind {{\n  %p = getelementptr i64, ptr %args, i64 4\n"
        "  %n = load i64, ptr %p\n  ret i64 %n\n}\n"
    )
    return name


def _factor(b: Builder, dtype: str, parts: int) -> None:
    zero, one = b.const(0, "int64"), b.const(1, "int64")
    args, chunk = Value("%args", "ptr"), Value("%chunk", "int64")
    words = [b.address(args, b.const(k, "int64"), 8) for k in range(7)]
    source, target, pivots, order = (b.load(w, "ptr") for w in words[:4])
    m, n = (b.load(w, "int64") for w in words[5:])
    least = b.select(b.icmp("slt", m, n), m, n)
    nbytes = b.mul(b.mul(m, n), b.const(parts * ITEMSIZE[dtype], "int64"))
    skip = b.mul(chunk, nbytes)
    source, target = b.address(source, skip, 1), b.address(target, skip, 1)
    pivots, order = b.address(pivots, b.mul(chunk, least), 8), b.address(order, b.mul(chunk, m), 8)
    b.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target.text}, ptr {source.text}, i64 {nbytes.text}, i1 false)")
    rows = Rows(b, dtype, parts, target, n)
    each(b, zero, m, lambda i: b.store(i, b.address(order, i, 8)))

    def panel(first: Value) -> None:
        width = _PANEL[parts]
        after = b.add(first, b.const(width, "int64"))
        end = b.select(b.icmp("slt", after, least), after, least)
        each(b, first, end, lambda k: _column(rows, k, end, m, pivots, order))
        # its own rows to the right, one after the other; then those below, which need all of it
        each(b, first, end, lambda k: each(b, b.add(k, one), end, lambda i: rows.subtract(i, [k], end, n)))
        columns = [b.add(first, b.const(k, "int64")) for k in range(width)]
        # a panel that is not whole is the last one, and has nothing to its right or nothing below
        more = b.icmp("slt", end, least)
        b.when(more, lambda: each(b, end, m, lambda i: rows.subtract(i, columns, end, n)))

    each(b, zero, least, panel, _PANEL[parts])
    b.do("ret void")


def _column(rows: Rows, k: Value, end: Value, m: Value, pivots: Value, order: Value) -> None:
    """Eliminate column k from the columns of its panel, which ends at `end`."""
    b = rows.b
    one = b.const(1, "int64")

    def search(i: Value, best: list[Value]) -> list[Value]:
        v = size(b, rows.number(i, k))
        # the first one of the largest; NaN counts as larger, as NumPy has it
        better = b.and_(b.fcmp("ugt", v, best[0]), b.fcmp("ord", best[0], best[0]))
        return [b.select(better, v, best[0]), b.select(better, i, best[1])]

    _, pivot = b.loop(k, m, 1, [b.const(-1, rows.dtype), k], search, runs=True)
    b.store(pivot, b.address(pivots, k, 8))

    def exchange() -> None:
        rows.swap(k, pivot, b.const(0, "int64"), rows.width)
        p, q = b.address(order, k, 8), b.address(order, pivot, 8)
        x, y = b.load(p, "int64"), b.load(q, "int64")
        b.store(y, p)
        b.store(x, q)

    b.when(b.icmp("ne", pivot, k), exchange)
    top = rows.number(k, k)
    none = b.fcmp("oeq", size(b, top), b.like(0, top[0]))
    top = [b.select(none, b.like(1 - part, x), x) for part, x in enumerate(top)]

    def row(i: Value) -> None:
        rows.put(divide(b, rows.number(i, k), top), i, k)
        rows.subtract(i, [k], b.add(k, one), end)

    each(b, b.add(k, one), m, row)


COLUMNS = 64
"""Columns of the right side that a chunk of a substitution takes."""


def emit_substitution(module: Module, name: str, dtype: str, parts: int, *, upper: bool, unit: bool) -> str:
    """Add a kernel that solves T X = B, T the upper or lower triangle of each matrix (with ones on its diagonal if `unit`).
    Returns its name.

    Its arguments are the matrices, the right sides and the solutions (written), and as numbers how many chunks there are,
    how many of them share a matrix (columns / COLUMNS, rounded up), the rows, and the columns of a right side. Form: `void
    name(ptr args, i64 chunk, i64 worker)`, with `name.nchunks`.
    """
    module.define(name, "ptr %args, i64 %chunk, i64 %worker", lambda b: _substitute(b, dtype, parts, upper, unit))
    module.functions[f"{name}.nchunks"] = (
        f"define i64 @{name}.nchunks(ptr %args) nounwind {{\n  %p = getelementptr i64, ptr %args, i64 3\n"
        "  %n = load i64, ptr %p\n  ret i64 %n\n}\n"
    )
    return name


def _substitute(b: Builder, dtype: str, parts: int, upper: bool, unit: bool) -> None:
    zero, one, wide = (b.const(v, "int64") for v in (0, 1, _PANEL[parts]))
    words = [b.address(Value("%args", "ptr"), b.const(k, "int64"), 8) for k in range(7)]
    bases = [b.load(w, "ptr") for w in words[:3]]
    share, n, columns = (b.load(w, "int64") for w in words[4:])
    which = b.binary("sdiv", Value("%chunk", "int64"), share)
    number = b.const(parts * ITEMSIZE[dtype], "int64")
    widths = [n, columns, columns]
    matrix, right, x = (
        Rows(b, dtype, parts, b.address(base, b.mul(which, b.mul(b.mul(n, width), number)), 1), width)
        for base, width in zip(bases, widths)
    )
    start = b.mul(b.sub(Value("%chunk", "int64"), b.mul(which, share)), b.const(COLUMNS, "int64"))
    after = b.add(start, b.const(COLUMNS, "int64"))
    stop = b.select(b.icmp("slt", after, columns), after, columns)

    def row(turn: Value) -> None:
        i = b.sub(b.sub(n, one), turn) if upper else turn
        x.pieces(start, stop, lambda j, lanes: b.store(b.load(right.at(i, j), dtype, lanes), x.at(i, j)))
        first, end = (b.add(i, one), n) if upper else (zero, i)
        many = b.sub(end, first)
        middle = b.add(first, b.sub(many, b.binary("srem", many, wide)))

        def panel(k: Value) -> None:
            x.subtract(i, [b.add(k, b.const(p, "int64")) for p in range(_PANEL[parts])], start, stop, matrix)

        each(b, first, middle, panel, _PANEL[parts])
        each(b, middle, end, lambda k: x.subtract(i, [k], start, stop, matrix))
        if not unit:
            top = matrix.number(i, i)
            each(b, start, stop, lambda j: x.put(divide(b, x.number(i, j), top), i, j))

    each(b, zero, n, row)
    b.do("ret void")
