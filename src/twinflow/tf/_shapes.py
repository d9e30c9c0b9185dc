"""Shapes with unknown extents, as TensorFlow has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.graph import Node, constant_value
from twinflow.tensor import Tensor


class Dimension(int):
    """A known extent of a static shape: an int with TensorFlow 1's `value`."""

    @property
    def value(self) -> int:
        """The extent."""
        return int(self)


class UnknownDimension:
    """An extent that is known when the graph runs."""

    value = None

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, UnknownDimension)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> str:
        return "?"

    def __index__(self) -> int:
        raise ShapeError("this extent is not known before the graph runs; use tf.shape(x)[i] for its value at run time")

    __int__ = __index__


class TensorShape:
    """A shape that may be unknown in part: extents are ints or None, and a rank may be unknown altogether.

    >>> from twinflow import tf
    >>> tf.TensorShape([None, 3]).as_list()
    [None, 3]
    """

    __slots__ = ("_dims",)

    def __init__(self, dims: Any = None) -> None:
        if isinstance(dims, TensorShape):
            self._dims: tuple[int | None, ...] | None = dims._dims
        elif dims is None:
            self._dims = None
        else:
            given = (dims,) if isinstance(dims, int) else dims
            self._dims = tuple(None if d is None or d == -1 or d != d else _extent(d) for d in given)

    @property
    def dims(self) -> tuple[int | None, ...] | None:
        """The extents, None if not even their number is known."""
        return self._dims

    @property
    def rank(self) -> int | None:
        """The number of axes, if it is known."""
        return None if self._dims is None else len(self._dims)

    ndims = rank

    def is_fully_defined(self) -> bool:
        """Whether every extent is known."""
        return self._dims is not None and None not in self._dims

    def as_list(self) -> list[int | None]:
        """The extents as a list. Raises: ShapeError if the rank is unknown."""
        if self._dims is None:
            raise ShapeError("as_list() of a shape whose number of axes is unknown")
        return list(self._dims)

    def num_elements(self) -> int | None:
        """The number of elements, if it is known."""
        if self._dims is None or None in self._dims:
            return None
        n = 1
        for d in self._dims:
            n *= d or 0
        return n

    def is_compatible_with(self, other: Any) -> bool:
        """Whether some shape is of both kinds."""
        a, b = self._dims, TensorShape(other)._dims
        if a is None or b is None:
            return True
        return len(a) == len(b) and all(x is None or y is None or x == y for x, y in zip(a, b))

    def assert_is_compatible_with(self, other: Any) -> None:
        """Raises: ShapeError unless `is_compatible_with`."""
        if not self.is_compatible_with(other):
            raise ShapeError(f"the shapes {self} and {TensorShape(other)} are incompatible")

    def merge_with(self, other: Any) -> TensorShape:
        """What is known from both. Raises: ShapeError if they contradict each other."""
        self.assert_is_compatible_with(other)
        a, b = self._dims, TensorShape(other)._dims
        if a is None or b is None:
            return TensorShape(b if a is None else a)
        return TensorShape([y if x is None else x for x, y in zip(a, b)])

    def with_rank(self, rank: int) -> TensorShape:
        """The shape with so many axes. Raises: ShapeError if it has others."""
        return self.merge_with([None] * int(rank))

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """The shape itself. Raises: ShapeError if it has fewer axes."""
        if self.rank is not None and self.rank < rank:
            raise ShapeError(f"the shape {self} has {self.rank} axes, not {rank} or more")
        return self

    def with_rank_at_most(self, rank: int) -> TensorShape:
        """The shape itself. Raises: ShapeError if it has more axes."""
        if self.rank is not None and self.rank > rank:
            raise ShapeError(f"the shape {self} has {self.rank} axes, not {rank} or fewer")
        return self

    def assert_has_rank(self, rank: int) -> None:
        """Raises: ShapeError unless the shape may have so many axes."""
        self.with_rank(rank)

    def assert_same_rank(self, other: Any) -> None:
        """Raises: ShapeError unless another shape may have as many axes."""
        rank = TensorShape(other).rank
        if rank is not None:
            self.with_rank(rank)

    def assert_is_fully_defined(self) -> None:
        """Raises: ShapeError unless every extent is known."""
        if not self.is_fully_defined():
            raise ShapeError(f"the shape {self} is not known in full")

    def concatenate(self, other: Any) -> TensorShape:
        """The axes of one shape before those of another."""
        b = TensorShape(other)._dims
        return TensorShape(None if self._dims is None or b is None else self._dims + b)

    def _element(self, d: int | None) -> Any:
        return d

    def __len__(self) -> int:
        return len(self.as_list())

    def __iter__(self) -> Iterator[Any]:
        return iter([self._element(d) for d in self.as_list()])

    def __getitem__(self, index: Any) -> Any:
        dims = self.as_list()
        return type(self)(dims[index]) if isinstance(index, slice) else self._element(dims[index])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (TensorShape, tuple, list)) and other is not None:
            return NotImplemented
        return self._dims == TensorShape(other)._dims

    def __hash__(self) -> int:
        return hash(self._dims)

    def __bool__(self) -> bool:
        return self._dims is not None

    def __str__(self) -> str:
        if self._dims is None:
            return "<unknown>"
        inside = ", ".join("?" if d is None else str(d) for d in self._dims)
        return f"({inside},)" if len(self._dims) == 1 else f"({inside})"

    def __repr__(self) -> str:
        return f"TensorShape({None if self._dims is None else list(self._dims)})"


class StaticShape(TensorShape):
    """The shape of a static graph's tensor, whose extents have TensorFlow 1's `value`."""

    __slots__ = ()

    def _element(self, d: int | None) -> Any:
        return UnknownDimension() if d is None else Dimension(d)


def _extent(d: Any) -> int | None:
    value = getattr(d, "value", d)
    return None if value is None else int(value)


def shape_list(value: Any) -> tuple[int, ...]:
    """A shape from ints, a tensor of ints, or a list in which both stand; its values must be known."""
    if isinstance(value, Tensor):
        return tuple(int(v) for v in _known(value).reshape(-1))
    if isinstance(value, TensorShape):
        value = value.as_list()
    if isinstance(value, (list, tuple)):
        return tuple(int(_known(v)) if isinstance(v, Tensor) else int(v) for v in value)
    return tuple(int(v) for v in value) if hasattr(value, "__iter__") else (int(value),)


def known_int(value: Any) -> int:
    """A whole number, from a number or a tensor whose value is known."""
    return int(_known(value)) if isinstance(value, Tensor) else int(value)


def _known(t: Tensor) -> Any:
    data = constant_value(t._data) if isinstance(t._data, Node) else t._data
    if not hasattr(data, "tolist"):
        raise ShapeError(
            "a shape must be known before the graph is compiled, but it was computed from values; make it from numbers, from "
            "x.shape or tf.shape(x), or from a placeholder that is fed"
        )
    return data
