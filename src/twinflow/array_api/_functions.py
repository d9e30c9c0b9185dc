"""The standard's functions whose arguments or results differ from those at the top level of twinflow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinflow import ops
from twinflow.array_api._creation import isdtype
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError
from twinflow.tensor import Tensor, array_of, wrap

# -- elementwise ------------------------------------------------------------------------------------------------


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """Each element limited to [min, max]; without bounds a copy."""
    return x.clone() if min is None and max is None else ops.clamp(x, min, max).to(dtype=x.dtype)


def round(x: Tensor, /) -> Tensor:
    """The nearest whole number; halves go to the even one. Complex numbers round in both parts."""
    return ops.complex(ops.round(x.real), ops.round(x.imag)) if x.dtype.is_complex else ops.round(x)


def sign(x: Tensor, /) -> Tensor:
    """-1, 0 or 1; x/|x| for complex numbers."""
    return ops.sgn(x)


# -- shape ------------------------------------------------------------------------------------------------------


def broadcast_arrays(*arrays: Tensor) -> list[Tensor]:
    """All arrays in their common shape."""
    return list(ops.broadcast_tensors(*arrays))


def broadcast_to(x: Tensor, /, shape: Any) -> Tensor:
    """x in this shape."""
    return ops.broadcast_to(x, tuple(shape))


def concat(arrays: Any, /, *, axis: int | None = 0) -> Tensor:
    """Arrays one after the other along an axis; flattened first if it is None."""
    xs = [x.reshape(-1) for x in arrays] if axis is None else list(arrays)
    return ops.cat(xs, 0 if axis is None else axis)


def expand_dims(x: Tensor, /, *, axis: int = 0) -> Tensor:
    """x with a new axis of extent 1."""
    return ops.unsqueeze(x, axis)


def flip(x: Tensor, /, *, axis: Any = None) -> Tensor:
    """The elements in reverse order along axes, by default all."""
    return ops.flip(x, tuple(range(x.ndim)) if axis is None else axis)


def moveaxis(x: Tensor, source: Any, destination: Any, /) -> Tensor:
    """Axes moved to other places."""
    return ops.movedim(x, source, destination)


def permute_dims(x: Tensor, /, axes: Any) -> Tensor:
    """Axes in another order."""
    return ops.permute(x, tuple(axes))


def repeat(x: Tensor, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Each slice (each element without axis) repeated."""
    return ops.repeat_interleave(x, repeats, axis)


def reshape(x: Tensor, /, shape: Any, *, copy: bool | None = None) -> Tensor:
    """The same elements under another shape; copy=True always copies, copy=False never."""
    if copy is False:
        return x.view(*shape)
    y = ops.reshape(x, tuple(shape))
    return y.clone() if copy else y


def roll(x: Tensor, /, shift: Any, *, axis: Any = None) -> Tensor:
    """Elements shifted along axes; those that leave at one end come in at the other."""
    if axis is not None and isinstance(shift, int) and isinstance(axis, tuple):
        shift = (shift,) * len(axis)
    return ops.roll(x, shift, axis)


def squeeze(x: Tensor, /, axis: Any) -> Tensor:
    """Without the axes named, whose extent must be 1."""
    for a in axis if isinstance(axis, tuple) else (axis,):
        if x.shape[a] != 1:
            raise ArgumentError(f"squeeze: axis {a} of shape {tuple(x.shape)} has extent {x.shape[a]}, not 1")
    return ops.squeeze(x, axis)


def stack(arrays: Any, /, *, axis: int = 0) -> Tensor:
    """Arrays of one shape along a new axis."""
    return ops.stack(list(arrays), axis)


def tile(x: Tensor, repetitions: Any, /) -> Tensor:
    """The array laid side by side so many times along the last axes."""
    return ops.tile(x, tuple(repetitions))


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    return ops.unbind(x, axis)


# -- searching, sorting, sets -----------------------------------------------------------------------------------


def argmax(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the first largest element."""
    return ops.argmax(x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The index of the first smallest element."""
    return ops.argmin(x, axis, keepdims)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Where the elements differ from zero, a vector for each axis."""
    if x.ndim == 0:
        raise ArgumentError("nonzero: an array with at least 1 axis is needed")
    return ops.nonzero(x, as_tuple=True)


def searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where each value of x2 would have to be inserted to keep x1 in order."""
    return ops.searchsorted(x1, x2, side=side, sorter=sorter)


def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The indices that put an axis in order."""
    return ops.argsort(x, axis, descending, stable)


def sort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """The elements in order along an axis."""
    return ops.sort(x, axis, descending, stable).values


def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Slices of an axis, by number; the axis may be left out for vectors."""
    if axis is None and x.ndim != 1:
        raise ArgumentError(f"take: name the axis of an array with {x.ndim} axes")
    index = ops.where(indices < 0, indices + x.shape[axis or 0], indices)
    return ops.index_select(x, 0 if axis is None else axis, index)


class UniqueAll(NamedTuple):
    """What unique_all returns."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What unique_counts returns."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What unique_inverse returns."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Tensor, /) -> UniqueAll:
    """The different elements, where each first stands, where every element stands among them, and how often."""
    found = np.unique_all(array_of(x, "unique_all"))
    return UniqueAll(*(wrap(np.asarray(part)) for part in found))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The different elements and how often each occurs."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The different elements and where every element stands among them."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different elements."""
    return unique_all(x).values


# -- statistics -------------------------------------------------------------------------------------------------


def _accumulator(x: Tensor, dtype: Any) -> Any:
    """Sums and products of integers have the widest type of their kind."""
    if dtype is not None:
        return as_dtype(dtype)
    if x.dtype.category == 1:
        return as_dtype("int64" if x.dtype.is_signed else "uint64")
    return x.dtype


def sum(x: Tensor, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The sum over axes."""
    return x.clone() if axis == () else ops.sum(x, axis, keepdims, dtype=_accumulator(x, dtype))


def prod(x: Tensor, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """The product over axes."""
    return x.clone() if axis == () else ops.prod(x, axis, keepdims, dtype=_accumulator(x, dtype))


def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sums along an axis, with a leading 0 if asked."""
    if axis is None:
        if x.ndim != 1:
            raise ArgumentError(f"cumulative_sum: name the axis of an array with {x.ndim} axes")
        axis = 0
    y = ops.cumsum(x, axis, dtype=_accumulator(x, dtype))
    if include_initial:
        y = ops.cat([ops.zeros_like(y.narrow(axis, 0, 1)) if y.shape[axis] else _one_zero(y, axis), y], axis)
    return y


def _one_zero(y: Tensor, axis: int) -> Tensor:
    shape = list(y.shape)
    shape[axis] = 1
    return ops.zeros(tuple(shape), dtype=y.dtype)


def mean(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The average over axes."""
    return ops.mean(x, axis, keepdims)


def max(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes."""
    return ops.amax(x, () if axis is None else axis, keepdims)


def min(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes."""
    return ops.amin(x, () if axis is None else axis, keepdims)


def var(x: Tensor, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The variance over axes."""
    return ops.var(x, axis, keepdim=keepdims, correction=correction)


def std(x: Tensor, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """The standard deviation over axes."""
    return ops.std(x, axis, keepdim=keepdims, correction=correction)


def all(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether every element differs from zero."""
    return ops.all(x, axis, keepdims)


def any(x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Whether an element differs from zero."""
    return ops.any(x, axis, keepdims)


# -- linear algebra ---------------------------------------------------------------------------------------------


def matrix_transpose(x: Tensor, /) -> Tensor:
    """The transpose of each matrix."""
    if x.ndim < 2:
        raise ArgumentError(f"matrix_transpose: at least 2 axes are needed, not shape {tuple(x.shape)}")
    return x.mT


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Products summed over pairs of axes."""
    return ops.tensordot(x1, x2, axes)


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Σ conj(x1) x2 along an axis."""
    return ops.sum(ops.conj(x1) * x2, axis)


# -- inspection -------------------------------------------------------------------------------------------------


class Info:
    """What `__array_namespace_info__` returns: what this namespace can do."""

    def capabilities(self) -> dict[str, Any]:
        """Boolean masks and results whose size depends on values both work outside of compiled functions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Any:
        """The device of new arrays."""
        return ops.CPU

    def devices(self) -> list[Any]:
        """The devices there are."""
        return [ops.CPU]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The types of new arrays."""
        return {
            "real floating": as_dtype(float),
            "complex floating": as_dtype(complex),
            "integral": as_dtype("int64"),
            "indexing": as_dtype("int64"),
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The types of the standard, by name; with `kind` only those of it."""
        names = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split()
        found = {n: as_dtype(n) for n in names}
        return found if kind is None else {n: d for n, d in found.items() if isdtype(d, kind)}


def __array_namespace_info__() -> Info:
    """What this namespace can do."""
    return Info()
