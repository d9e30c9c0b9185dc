"""Sizes that stand for a dimension: numbers that remember which runtime size they are a multiple of.

While a function is traced for a batch size that was seen with another value before, that size is a `Dim`: an int with its
present value, known to be `scale` times the dimension called `name`. Everything computes with the value; kernels are
written for the name, so that they serve every value. Arithmetic that keeps the proportion gives a Dim; any other gives
a plain int, which only means that a kernel is specialised to it. So a trace is always exact for its sizes.
"""

from __future__ import annotations

from math import prod
from typing import Any


class Dim(int):
    """`value`, known to be `scale` times the dimension `name`.

    >>> n = Dim(32, "n0")
    >>> (n * 28).scale, type(n + 1).__name__, (n * 28) // 28 == n
    (28, 'DimCount', True)
    """

    name: str
    scale: int

    def __new__(cls, value: int, name: str, scale: int = 1) -> Dim:
        self = int.__new__(cls, value)
        self.name = name
        self.scale = scale
        return self

    def __mul__(self, other: Any) -> Any:
        if type(other) is int:
            if other == 1:
                return self
            return Dim(int(self) * other, self.name, self.scale * other) if other else 0
        if isinstance(other, Dim):
            name = ".".join(sorted((*self.name.split("."), *other.name.split("."))))
            return Dim(int(self) * int(other), name, self.scale * other.scale)
        if isinstance(other, float):
            return DimFloat(int(self) * float(other))
        return int(self) * (int(other) if isinstance(other, int) else other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return DimFloat(int(self) / other) if isinstance(other, (int, float)) else int(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        return DimFloat(other / int(self)) if isinstance(other, (int, float)) else other / int(self)

    def __floordiv__(self, other: Any) -> Any:
        if type(other) is int and other and self.scale % other == 0:
            return Dim(int(self) // other, self.name, self.scale // other)
        return int(self) // int(other) if isinstance(other, int) else int(self) // other

    def __mod__(self, other: Any) -> Any:
        if type(other) is int and other and self.scale % other == 0:
            return 0
        return int(self) % int(other) if isinstance(other, int) else int(self) % other

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Dim):
            return _sum(int(self) + int(other), self.name, self.scale, 0, other)
        if isinstance(other, int):
            return DimCount(self, self.name, self.scale) + other
        return int(self) + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + -1 * other if isinstance(other, int) else int(self) - other

    def __rsub__(self, other: Any) -> Any:
        return -1 * self + other if isinstance(other, int) else other - int(self)

    def __neg__(self) -> int:
        return Dim(-int(self), self.name, -self.scale)

    def __repr__(self) -> str:
        return int.__repr__(self)

    __str__ = __repr__


def _sum(value: int, name: str, scale: int, offset: int, other: Any) -> Any:
    """scale·name + offset, and another size added: what it is, if that is known."""
    if isinstance(other, (Dim, DimCount)):
        if other.name != name or not name:
            return DimCount(value)
        scale += other.scale
        offset += other.offset if isinstance(other, DimCount) else 0
    else:
        offset += other
    if not name or not scale:
        return DimCount(value) if not name else value
    return Dim(value, name, scale) if not offset else DimCount(value, name, scale, offset)


class DimCount(int):
    """A whole number that follows a dimension in another way than in proportion, such as n - 1. As an extent it counts as
    a plain number; as a factor it is read anew for every size.

    Where `name` is given it is known to be scale·name + offset, so that (n - 1) + 1 is n again.

    >>> n = Dim(32, "n0")
    >>> (n - 1).offset, type(n - 1 + 1).__name__
    (-1, 'Dim')
    """

    name: str
    scale: int
    offset: int

    def __new__(cls, value: int, name: str = "", scale: int = 0, offset: int = 0) -> DimCount:
        self = int.__new__(cls, value)
        self.name, self.scale, self.offset = name, scale, offset
        return self

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, int):
            return int(self) + other
        return _sum(int(self) + int(other), self.name, self.scale, self.offset, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self + -1 * other if isinstance(other, int) else int(self) - other

    def __rsub__(self, other: Any) -> Any:
        return -1 * self + other if isinstance(other, int) else other - int(self)

    def __neg__(self) -> Any:
        return self * -1

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, float):
            return DimFloat(int(self) * float(other))
        if type(other) is not int:
            return int(self) * other
        return DimCount(int(self) * other, self.name, self.scale * other, self.offset * other) if other else 0

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return DimFloat(int(self) / other) if isinstance(other, (int, float)) else int(self) / other

    def __rtruediv__(self, other: Any) -> Any:
        return DimFloat(other / int(self)) if isinstance(other, (int, float)) else other / int(self)


class DimFloat(float):
    """A floating number that follows a dimension: the count in a mean."""

    def __mul__(self, other: Any) -> Any:
        return DimFloat(float(self) * other) if isinstance(other, (int, float)) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return DimFloat(float(self) / other) if isinstance(other, (int, float)) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return DimFloat(other / float(self)) if isinstance(other, (int, float)) else NotImplemented

    def __neg__(self) -> Any:
        return DimFloat(-float(self))


class Sizes(dict[str, int]):
    """The present values of dimensions by name; that of a product of dimensions, "n0.n1", follows from those of its parts."""

    def __missing__(self, name: str) -> int:
        parts = name.split(".")
        if len(parts) == 1:
            raise KeyError(name)
        return prod(self[part] for part in parts)


def is_symbolic(value: Any) -> bool:
    """Whether a number follows a dimension."""
    return isinstance(value, (Dim, DimCount, DimFloat))
