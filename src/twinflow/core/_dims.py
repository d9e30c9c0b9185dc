"""Sizes that stand for a dimension: numbers that remember which runtime size they are a multiple of.

While a function is traced for a batch size that was seen with another value before, that size is a `Dim`: an int with its
present value, known to be `scale` times the dimension called `name`. Everything computes with the value; kernels are
written for the name, so that they serve every value. Arithmetic that keeps the proportion gives a Dim; any other gives
a plain int, which only means that a kernel is specialised to it. So a trace is always exact for its sizes.
"""

from __future__ import annotations

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
        if isinstance(other, float):
            return DimFloat(int(self) * float(other))
        return int(self) * (int(other) if isinstance(other, int) else other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return DimFloat(int(self) / other)

    def __rtruediv__(self, other: Any) -> Any:
        return DimFloat(other / int(self))

    def __floordiv__(self, other: Any) -> Any:
        if type(other) is int and other and self.scale % other == 0:
            return Dim(int(self) // other, self.name, self.scale // other)
        return int(self) // int(other) if isinstance(other, int) else int(self) // other

    def __mod__(self, other: Any) -> Any:
        if type(other) is int and other and self.scale % other == 0:
            return 0
        return int(self) % int(other) if isinstance(other, int) else int(self) % other

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Dim) and other.name == self.name:
            return Dim(int(self) + int(other), self.name, self.scale + other.scale)
        if isinstance(other, int):
            return self if other == 0 else DimCount(int(self) + int(other))
        return int(self) + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        if isinstance(other, int):
            return self if other == 0 else DimCount(int(self) - int(other))
        return int(self) - other

    def __neg__(self) -> int:
        return -int(self)

    def __repr__(self) -> str:
        return int.__repr__(self)

    __str__ = __repr__


class DimCount(int):
    """A whole number that follows a dimension in another way than in proportion, such as n - 1. As an extent it counts as
    a plain number; as a factor it is read anew for every size."""

    def __mul__(self, other: Any) -> Any:
        return DimFloat(int(self) * float(other)) if isinstance(other, float) else int(self) * other

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return DimFloat(int(self) / other)

    def __rtruediv__(self, other: Any) -> Any:
        return DimFloat(other / int(self))


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


def is_symbolic(value: Any) -> bool:
    """Whether a number follows a dimension."""
    return isinstance(value, (Dim, DimCount, DimFloat))
