"""Shapes, axes and broadcasting."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import prod
from typing import Any

from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError

Shape = tuple[int, ...]


def numel(shape: Sequence[int]) -> int:
    """The number of elements: the product of the extents, 1 for a 0-dimensional tensor."""
    return prod(shape)


def as_int(value: Any, what: str) -> int:
    """`value` as a Python int; an error that names `what` if it is not a whole number."""
    if isinstance(value, int):
        return value  # a Dim stays one
    try:
        return operator.index(value)
    except TypeError:
        raise ArgumentError(f"{what} must be a whole number, not {value!r}") from None


def as_shape(args: Any) -> Shape:
    """A shape from `(2, 3)`, `((2, 3),)` or `2`: the ways in which the front ends spell one."""
    if isinstance(args, (tuple, list)) and len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    if not isinstance(args, (tuple, list)):
        args = (args,)
    shape = tuple(as_int(a, "each extent of a shape") for a in args)
    if any(s < 0 for s in shape):
        raise ShapeError(f"a shape has no negative extents, but {shape} was given")
    return shape


def _longest(shapes: Sequence[Shape]) -> Shape:
    return max(shapes, key=len) if shapes else ()


def broadcast_shapes(*shapes: Shape, op: str = "broadcast_shapes") -> Shape:
    """The common shape: axes are aligned from the right, and an extent of 1 stretches.

    Raises: ShapeError if two extents differ and neither is 1.
    """
    result = list(_longest(shapes))
    for shape in shapes:
        for i in range(1, len(shape) + 1):
            have, new = result[-i], shape[-i]
            if have == new or new == 1:
                continue
            if have != 1:
                listed = " and ".join(str(s) for s in shapes)
                raise ShapeError(
                    f"{op}: shapes {listed} do not broadcast: axis {-i} has {have} and {new}, and neither is 1"
                )
            result[-i] = new
    return tuple(result)


def normalize_axis(axis: Any, ndim: int, op: str) -> int:
    """`axis` counted from the front; a 0-dimensional tensor accepts 0 and -1 as PyTorch does."""
    a = as_int(axis, f"{op}: the axis")
    bound = max(ndim, 1)
    if not -bound <= a < bound:
        raise IndexOutOfRange(f"{op}: axis {a} is outside [{-bound}, {bound - 1}], the axes of a tensor with {ndim}")
    return a + bound if a < 0 else a


def normalize_axes(axes: Any, ndim: int, op: str) -> tuple[int, ...]:
    """Axes counted from the front, in the order given; None means all of them. Raises on a repeated axis."""
    if axes is None:
        return tuple(range(ndim))
    if not isinstance(axes, (tuple, list)):
        axes = (axes,)
    result = tuple(normalize_axis(a, ndim, op) for a in axes)
    if len(set(result)) != len(result):
        raise ArgumentError(f"{op}: an axis is named twice in {tuple(axes)}")
    return tuple(a for a in result if a < ndim)


def reduced_shape(shape: Shape, axes: Sequence[int], keepdim: bool) -> Shape:
    """The shape after reducing `axes`: they vanish, or stay with extent 1."""
    if keepdim:
        return tuple(1 if i in axes else s for i, s in enumerate(shape))
    return tuple(s for i, s in enumerate(shape) if i not in axes)


def infer_reshape(old: Shape, new: Sequence[Any], op: str = "reshape") -> Shape:
    """`new` with its one -1 replaced by what makes the number of elements equal."""
    target = [as_int(n, f"{op}: each extent") for n in new]
    unknown = [i for i, n in enumerate(target) if n == -1]
    total = numel(old)
    if len(unknown) > 1:
        raise ShapeError(f"{op}: only one extent can be -1, but the shape is {tuple(target)}")
    if any(n < -1 for n in target):
        raise ShapeError(f"{op}: a shape has no negative extents other than -1, but {tuple(target)} was given")
    if unknown:
        rest = prod(n for n in target if n != -1)
        if rest == 0 or total % rest:
            raise ShapeError(f"{op}: {total} elements of shape {old} do not divide into {tuple(target)}")
        target[unknown[0]] = total // rest
    if prod(target) != total:
        raise ShapeError(f"{op}: shape {old} has {total} elements, but {tuple(target)} needs {prod(target)}")
    return tuple(target)


def matching_axes(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]] | None:
    """Runs of axes of two shapes with equal products, in order: [(axes of old, axes of new), ...]. None for empty arrays."""
    if prod(old) == 0:
        return None
    runs = []
    i = j = 0
    while i < len(old) or j < len(new):
        a, b = (
            ([i], [j]) if i < len(old) and j < len(new) else ([i] if i < len(old) else [], [j] if j < len(new) else [])
        )
        i, j = i + len(a), j + len(b)
        left, right = prod(old[k] for k in a), prod(new[k] for k in b)
        while left != right:
            if left < right:
                left *= old[i]
                a.append(i)
                i += 1
            else:
                right *= new[j]
                b.append(j)
                j += 1
        runs.append((a, b))
    return runs
