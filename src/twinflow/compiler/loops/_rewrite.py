"""Rewriting loop kernels: axes written in terms of others, expressions replaced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from twinflow.compiler.loops._ir import (
    Apply,
    Axis,
    Const,
    Coordinate,
    Expr,
    Index,
    Kernel,
    Load,
    Reduce,
    Store,
    Sym,
    walk,
)

Terms = tuple[tuple[Axis, int], ...]


@dataclass(frozen=True)
class Substitution:
    """What to change in a kernel.

    Args:
        values: what an axis becomes in indices and coordinates, a sum of factor·axis; empty: the number 0.
        loops: what it becomes where axes are listed to loop over; None: nothing.
        expressions: what takes the place of an expression, by the id of the old one.
    """

    values: Mapping[Axis, Terms] = field(default_factory=dict)
    loops: Mapping[Axis, Axis | None] = field(default_factory=dict)
    expressions: Mapping[int, Expr] = field(default_factory=dict)

    def axes(self, old: Sequence[Axis]) -> tuple[Axis, ...]:
        """A list of axes after the change."""
        return tuple(new for a in old if (new := self.loops.get(a, a)) is not None)

    def index(self, old: Index, made: Mapping[int, Expr]) -> Index:
        """An index after the change."""
        parts: list[tuple[Axis, int | Sym]] = []
        for axis, stride in old.terms:
            parts += [(a, stride * factor) for a, factor in self.values.get(axis, ((axis, 1),))]
        gathered = tuple((made[id(e)], stride) for e, stride in old.gathered)
        merged = Index.of(old.offset, *parts)
        return Index(merged.terms, merged.offset, gathered)

    def coordinate(self, e: Coordinate) -> Expr:
        """The value of an axis after the change."""
        if e.axis not in self.values:
            return e
        total: Expr = Const(0, e.dtype)
        for k, (axis, factor) in enumerate(self.values[e.axis]):
            term: Expr = Coordinate(axis, e.dtype)
            if factor != 1:
                term = Apply("mul", term, Const(factor, e.dtype))
            total = Apply("add", total, term) if k else term
        return total

    def apply(self, roots: Sequence[Expr]) -> dict[int, Expr]:
        """The new expression of every one below the roots, by the id of the old; what does not change is kept."""
        made: dict[int, Expr] = {}
        for e in walk(roots):
            if id(e) in self.expressions:
                made[id(e)] = self.expressions[id(e)]
                continue
            same = all(made[id(o)] is o for o in e.operands)
            match e:
                case Coordinate():
                    made[id(e)] = self.coordinate(e)
                case Load() if not same or any(a in self.values for a, _ in e.index.terms):
                    mask = None if e.mask is None else made[id(e.mask)]
                    made[id(e)] = Load(e.buffer, self.index(e.index, made), mask, e.other)
                case Apply() if not same:
                    made[id(e)] = Apply(e.function, *(made[id(a)] for a in e.args), to=e.to)
                case Reduce() if not same or any(a in self.loops for a in e.axes):
                    made[id(e)] = Reduce(e.op, made[id(e.value)], self.axes(e.axes))
                case _:
                    made[id(e)] = e
        return made

    def kernel(self, kernel: Kernel) -> Kernel:
        """A whole kernel after the change."""
        made = self.apply([o for s in kernel.stores for o in s.operands])
        stores = tuple(
            Store(
                s.buffer,
                self.index(s.index, made),
                made[id(s.value)],
                self.axes(s.axes),
                s.combine,
                None if s.mask is None else made[id(s.mask)],
            )
            for s in kernel.stores
        )
        return replace(kernel, axes=self.axes(kernel.axes), stores=stores, serial=self.axes(kernel.serial))
