"""Where an element of a node is found: one affine (or computed) position per axis.

A `Position` is offset + Σ coefficient·axis + Σ coefficient·expression, for one axis of a node, in terms of a kernel's
loop axes. Structural primitives only rearrange positions, so they cost nothing inside a fused kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from twinflow.compiler.loops import Apply, Axis, Const, Coordinate, Expr, Index, Size, Sym
from twinflow.core import Dim, DimCount, matching_axes


@dataclass(frozen=True)
class Position:
    """The place along one axis of a node."""

    terms: tuple[tuple[Axis, int], ...] = ()
    offset: int = 0
    computed: tuple[tuple[Expr, int], ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal positions."""
        return (tuple((id(a), s) for a, s in self.terms), self.offset, tuple((id(e), s) for e, s in self.computed))

    def scaled(self, factor: int) -> Position:
        """factor · this."""
        if factor == 1:
            return self
        return Position(
            tuple((a, s * factor) for a, s in self.terms if factor),
            self.offset * factor,
            tuple((e, s * factor) for e, s in self.computed if factor),
        )

    def plus(self, other: Position | int) -> Position:
        """This + another position, or a number."""
        if isinstance(other, int):
            return Position(self.terms, self.offset + other, self.computed)
        terms: dict[Axis, int] = {}
        for a, s in (*self.terms, *other.terms):
            terms[a] = terms.get(a, 0) + s
        return Position(
            tuple((a, s) for a, s in terms.items() if s), self.offset + other.offset, self.computed + other.computed
        )

    def as_expr(self) -> Expr:
        """The position as an int64 expression."""
        total: Expr | None = number(self.offset) if self.offset else None
        for what, s in (*((Coordinate(a), s) for a, s in self.terms), *self.computed):
            e = what if s == 1 else Apply("mul", what, number(s))
            total = e if total is None else Apply("add", total, e)
        return total if total is not None else Const(0, "int64")


ZERO = Position()


def along(axis: Axis) -> Position:
    """The position that is the axis itself."""
    return Position(((axis, 1),))


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Steps between neighbours of a contiguous array, in elements."""
    steps = [1] * len(shape)
    for i in range(len(shape) - 2, -1, -1):
        steps[i] = steps[i + 1] * shape[i + 1]
    return tuple(steps)


def linear(positions: tuple[Position, ...], strides: tuple[int, ...], offset: int = 0) -> Position:
    """The position in memory: Σ stride·position."""
    total = Position((), offset)
    for p, s in zip(positions, strides):
        total = total.plus(p.scaled(s))
    return total


def symbol(n: int) -> int | Sym:
    """An extent or step as the loop IR has it: a named dimension becomes a symbol."""
    return Sym(n.name, n.scale) if isinstance(n, Dim) else n


def number(n: int) -> Expr:
    """A whole number as an expression; one that follows a named dimension is read when the kernel runs."""
    if isinstance(n, Dim):
        return Size(Sym(n.name, n.scale))
    if isinstance(n, DimCount) and n.name:
        return Apply("add", Size(Sym(n.name, n.scale)), Const(n.offset, "int64"))
    return Const(int(n), "int64")


def as_index(p: Position) -> Index:
    """A position in memory as the loop IR's index."""
    terms, computed = tuple((a, symbol(s)) for a, s in p.terms), tuple((e, symbol(s)) for e, s in p.computed)
    if isinstance(p.offset, Dim | DimCount) and p.offset.name:
        rest = p.offset.offset if isinstance(p.offset, DimCount) else 0
        return Index(terms, rest, (*computed, (Size(Sym(p.offset.name, p.offset.scale)), 1)))
    return Index(terms, int(p.offset), computed)


def split_needed(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether finding an old position from a new one takes a division: a new axis covers several old ones."""
    runs = matching_axes(old, new)
    if runs is None:
        return False
    for a, b in runs:
        wide = [k for k in a if old[k] != 1]
        if len(wide) > 1 and [old[k] for k in wide] != [new[k] for k in b if new[k] != 1]:
            return True
    return False


def reshaped(positions: tuple[Position, ...], old: tuple[int, ...], new: tuple[int, ...]) -> tuple[Position, ...]:
    """Positions in `old` of the element at `positions` in `new`, where both hold the same elements in row-major order."""
    runs = matching_axes(old, new)
    if runs is None:
        return (ZERO,) * len(old)
    out = [ZERO] * len(old)
    for a, b in runs:
        wide_old = [k for k in a if old[k] != 1]
        wide_new = [k for k in b if new[k] != 1]
        if [old[k] for k in wide_old] == [new[k] for k in wide_new]:
            for i, j in zip(wide_old, wide_new):
                out[i] = positions[j]
            continue
        whole = linear(tuple(positions[k] for k in b), row_major(tuple(new[k] for k in b)))
        if len(wide_old) == 1:
            out[wide_old[0]] = whole
            continue
        rest = whole.as_expr()
        steps = row_major(tuple(old[k] for k in wide_old))
        for n, (k, step) in enumerate(zip(wide_old, steps)):
            e = rest if step == 1 else Apply("floor_div", rest, number(step))
            if n:
                e = Apply("remainder", e, number(old[k]))
            out[k] = Position((), 0, ((e, 1),))
    return tuple(out)
