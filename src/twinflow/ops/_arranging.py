"""Further functions that rearrange: roll, tile, movedim, meshgrid, diag, unfold, block_diag, ..."""

from __future__ import annotations

import builtins
import itertools
from math import prod
from typing import Any

import numpy as np

from twinflow.core import as_dtype, as_int, as_shape, broadcast_shapes, infer_reshape, normalize_axes, normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import _gather, _math
from twinflow.ops import _shape as S
from twinflow.ops import _shaping as P
from twinflow.ops._autocast import in_float32
from twinflow.ops._create import finish_new
from twinflow.ops._declare import call
from twinflow.ops._promote import convert, promote
from twinflow.tensor import Tensor, apply, array_of, reshape_in_place

concat = concatenate = P.cat
swapaxes = swapdims = P.transpose


def _listed(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


# -- axes -------------------------------------------------------------------------------------------------------


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Axes moved to other places; the others keep their order."""
    n = input.ndim
    a = (
        normalize_axes(source, n, "movedim")
        if isinstance(source, (tuple, list))
        else (normalize_axis(source, n, "movedim"),)
    )
    b = (
        normalize_axes(destination, n, "movedim")
        if isinstance(destination, (tuple, list))
        else (normalize_axis(destination, n, "movedim"),)
    )
    if len(a) != len(b):
        raise ArgumentError(f"movedim: {len(a)} axes cannot move to {len(b)} places")
    if not n:
        return input
    order: list[int] = [-1] * n
    for i, j in zip(a, b):
        order[j] = i
    rest = iter(i for i in range(n) if i not in a)
    return P.permute(input, tuple(next(rest) if o < 0 else o for o in order))


moveaxis = movedim


def adjoint(input: Tensor) -> Tensor:
    """The conjugate transpose of each matrix."""
    return _math.conj(P.transpose(input, -2, -1))


def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One axis as several; one size may be -1."""
    a = normalize_axis(dim, input.ndim, "unflatten")
    s = tuple(input._data.shape)
    return P.reshape(input, (*s[:a], *infer_reshape((s[a],), tuple(sizes), "unflatten"), *s[a + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """The elements as a vector."""
    return P.reshape(input, -1) if input._data.size else P.reshape(input, 0)


def _atleast(n: int, tensors: tuple[Any, ...]) -> Any:
    def one(x: Tensor) -> Tensor:
        if x.ndim >= n:
            return x
        if n == 3 and x.ndim == 2:
            return P.unsqueeze(x, -1)
        if n == 3 and x.ndim == 1:
            return P.reshape(x, (1, -1, 1))
        return P.reshape(x, (1,) * (n - x.ndim) + tuple(x._data.shape))

    many = _listed(tensors)
    return one(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], Tensor) else tuple(one(x) for x in many)


def atleast_1d(*tensors: Any) -> Any:
    """Tensors with at least 1 axis."""
    return _atleast(1, tensors)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors with at least 2 axes: new ones come in front."""
    return _atleast(2, tensors)


def atleast_3d(*tensors: Any) -> Any:
    """Tensors with at least 3 axes: vectors become [1, n, 1], matrices [m, n, 1]."""
    return _atleast(3, tensors)


# -- joining and splitting --------------------------------------------------------------------------------------


def hstack(tensors: Any) -> Tensor:
    """Tensors side by side: along the second axis, vectors along the first."""
    xs = [atleast_1d(x) for x in tensors]
    return P.cat(xs, 0 if xs and xs[0].ndim == 1 else 1)


def vstack(tensors: Any) -> Tensor:
    """Tensors one below the other; vectors are rows."""
    return P.cat([atleast_2d(x) for x in tensors], 0)


row_stack = vstack


def dstack(tensors: Any) -> Tensor:
    """Tensors one behind the other, along the third axis."""
    return P.cat([atleast_3d(x) for x in tensors], 2)


def column_stack(tensors: Any) -> Tensor:
    """Tensors side by side; vectors are columns."""
    return P.cat([P.reshape(x, (x._data.size, 1)) if x.ndim < 2 else x for x in tensors], 1)


def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along an axis: so many of nearly equal size (the first ones are longer), or cut at the positions given."""
    a = normalize_axis(dim, input.ndim, "tensor_split")
    if not input.ndim:
        raise ShapeError("tensor_split: a 0-dimensional tensor has no axis to split")
    n = input._data.shape[a]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        if k <= 0:
            raise ArgumentError(f"tensor_split: the number of sections must be positive, not {k}")
        small, longer = divmod(n, k)
        cuts = [0, *itertools.accumulate(small + (i < longer) for i in range(k))]
    else:
        cuts = [0, *(slice(0, as_int(i, "tensor_split: each position")).indices(n)[1] for i in indices_or_sections), n]
    return tuple(P.narrow(input, a, b, max(0, e - b)) for b, e in itertools.pairwise(cuts))


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Pieces along the second axis (of vectors along the first)."""
    return _even_split("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Pieces along the first axis of a tensor with at least 2."""
    return _even_split("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
    """Pieces along the third axis."""
    return _even_split("dsplit", input, indices_or_sections, 2, 3)


def _even_split(op: str, x: Tensor, sections: Any, axis: int, need: int = 1) -> tuple[Tensor, ...]:
    if x.ndim < max(need, axis + 1):
        raise ShapeError(f"{op}: a tensor with at least {max(need, axis + 1)} axes is needed, not {tuple(x.shape)}")
    n = x._data.shape[axis]
    if isinstance(sections, int) and (sections <= 0 or n % sections):
        raise ShapeError(f"{op}: {n} elements along axis {axis} do not divide into {sections} equal pieces")
    return tensor_split(x, sections, axis)


def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the sizes given along an axis."""
    return P.split(input, list(split_sizes), dim)


def block_diag(*tensors: Tensor) -> Tensor:
    """Matrices along the diagonal of one matrix, zeros elsewhere; vectors are rows."""
    blocks = [atleast_2d(x) for x in tensors] or [call("full", shape=(1, 0), value=0.0, dtype=as_dtype("float32"))]
    for x in blocks:
        if x.ndim != 2:
            raise ShapeError(f"block_diag: tensors have at most 2 axes, but one has shape {tuple(x.shape)}")
    if len({x.dtype for x in blocks}) > 1:
        dtype = promote("block_diag", *(P.reshape(x, -1)[:1] for x in blocks))[0].dtype
        blocks = [convert(x, dtype) for x in blocks]
    width = sum(x._data.shape[1] for x in blocks)
    rows, at = [], 0
    for x in blocks:
        n = x._data.shape[1]
        rows.append(apply(S.pad, x, low=(0, at), high=(0, width - at - n), interior=(0, 0), value=0))
        at += n
    return P.cat(rows, 0)


# -- repeating and shifting -------------------------------------------------------------------------------------


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """The tensor laid side by side so many times along each axis; more counts than axes add axes in front."""
    counts = as_shape(_listed(repeats))
    s = tuple(input._data.shape)
    if len(counts) < len(s):
        raise ShapeError(f"repeat: {len(counts)} counts for a tensor with {len(s)} axes; there must be one for each")
    s = (1,) * (len(counts) - len(s)) + s
    x = P.reshape(input, tuple(e for n in s for e in (1, n)))
    x = apply(S.expand, x, shape=tuple(e for c, n in zip(counts, s) for e in (c, n)))
    return apply(S.reshape, x, shape=tuple(c * n for c, n in zip(counts, s))) if x.ndim else x.clone()


def tile(input: Tensor, *dims: Any) -> Tensor:
    """The tensor laid side by side so many times along the last axes."""
    counts = as_shape(_listed(dims))
    return repeat(input, (1,) * (input.ndim - len(counts)) + counts)


def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each slice of an axis (each element without `dim`) repeated: one count for all, or a vector of counts."""
    if repeats is None:  # of a vector of counts: the position of each count, so often
        counts = input
        input = call("iota", n=counts._data.shape[0], dtype=as_dtype("int64"))
        return repeat_interleave(input, counts, 0, output_size=output_size)
    if dim is None:
        input, dim = ravel(input), 0
    a = normalize_axis(dim, input.ndim, "repeat_interleave")
    s = tuple(input._data.shape)
    if isinstance(repeats, Tensor) and repeats._data.size == 1:
        repeats = int(array_of(repeats, "repeat_interleave").reshape(()))
    if not isinstance(repeats, Tensor):
        k = as_int(repeats, "repeat_interleave: repeats")
        x = P.reshape(input, (*s[: a + 1], 1, *s[a + 1 :]))
        x = apply(S.expand, x, shape=(*s[: a + 1], k, *s[a + 1 :]))
        return apply(S.reshape, x, shape=(*s[:a], s[a] * k, *s[a + 1 :]))
    if tuple(repeats.shape) != (s[a],):
        raise ShapeError(f"repeat_interleave: {tuple(repeats.shape)} counts for axis {a} of extent {s[a]}")
    ends = call("cumsum", convert(repeats, as_dtype("int64")), axis=0)
    if output_size is None:
        sizes = array_of(ends, "repeat_interleave with a tensor of counts (pass output_size=)")
        output_size = int(sizes[-1]) if sizes.size else 0
    at = call("searchsorted", ends, call("iota", n=output_size, dtype=as_dtype("int64")), right=True)
    return apply(_gather.take, input, at, axis=a)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Elements shifted along axes; those that leave at one end come in at the other."""
    if dims is None:
        if isinstance(shifts, (tuple, list)) and len(shifts) != 1:
            raise ArgumentError(f"roll: {len(shifts)} shifts without dims; name the axes")
        return P.reshape(roll(ravel(input), shifts, 0), tuple(input._data.shape))
    amounts = list(shifts) if isinstance(shifts, (tuple, list)) else [shifts]
    axes = list(dims) if isinstance(dims, (tuple, list)) else [dims]
    if len(amounts) != len(axes):
        raise ArgumentError(f"roll: {len(amounts)} shifts for {len(axes)} axes")
    x = input
    for amount, dim in zip(amounts, axes):
        a = normalize_axis(dim, x.ndim, "roll")
        n = x._data.shape[a] if x.ndim else 0
        k = as_int(amount, "roll: each shift") % n if n else 0
        if k:
            x = P.cat([P.narrow(x, a, n - k, k), P.narrow(x, a, 0, n - k)], a)
    return x.clone() if x is input else x


def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """Turned by k quarter turns in the plane of two axes, from the first towards the second."""
    a, b = normalize_axes(list(dims), input.ndim, "rot90")
    turns = k % 4
    if turns == 0:
        return input.clone()
    if turns == 2:
        return P.flip(input, (a, b))
    return P.flip(P.transpose(input, a, b), (a,)) if turns == 1 else P.transpose(P.flip(input, (a,)), a, b)


def fliplr(input: Tensor) -> Tensor:
    """The second axis in reverse order."""
    if input.ndim < 2:
        raise ShapeError(f"fliplr: a tensor with at least 2 axes is needed, not {tuple(input.shape)}")
    return P.flip(input, (1,))


def flipud(input: Tensor) -> Tensor:
    """The first axis in reverse order."""
    if input.ndim < 1:
        raise ShapeError("flipud: a tensor with at least 1 axis is needed")
    return P.flip(input, (0,))


# -- diagonals and triangles ------------------------------------------------------------------------------------


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """The last axis as the diagonal of two new axes, zeros elsewhere."""
    x = atleast_1d(input)
    n = x._data.shape[-1] + abs(offset)
    rows = call("iota", n=n, dtype=as_dtype("int64"))
    on = call("eq", rows - P.unsqueeze(rows, 1), offset)
    lead = (0,) * (x.ndim - 1)
    low = max(-offset, 0)
    column = apply(S.pad, x, low=(*lead, low), high=(*lead, n - x._data.shape[-1] - low), interior=(*lead, 0), value=0)
    y = call("where", on, P.unsqueeze(column, -1), False if x._data.dtype.kind == "b" else 0)
    a, b = normalize_axis(dim1, y.ndim, "diag_embed"), normalize_axis(dim2, y.ndim, "diag_embed")
    if a == b:
        raise ArgumentError(f"diag_embed: two different axes are needed, but both are {a}")
    return y if (a, b) == (y.ndim - 2, y.ndim - 1) else movedim(y, (-2, -1), (a, b))


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with a vector on its diagonal."""
    if input.ndim not in (1, 2):
        raise ShapeError(
            f"diag: a vector or a matrix is needed, not shape {tuple(input.shape)}; diagonal takes any rank"
        )
    return diag_embed(input, diagonal) if input.ndim == 1 else P.diagonal(input, diagonal).clone()


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix with the flattened tensor on its diagonal."""
    return diag_embed(ravel(input), offset)


@in_float32
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input.ndim != 2:
        raise ShapeError(f"trace: a matrix is needed, not shape {tuple(input.shape)}")
    return P.diagonal(input).sum()


def _triangle_indices(row: int, col: int, offset: int, lower: bool, dtype: Any, device: Any) -> Tensor:
    m, n = as_int(row, "the number of rows"), as_int(col, "the number of columns")
    pairs = [
        (i, j)
        for i in range(m)
        for j in (range(0, builtins.min(n, i + offset + 1)) if lower else range(builtins.max(0, i + offset), n))
    ]
    value = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    return finish_new(convert(call("constant", value=value), as_dtype(dtype or "int64")), False, device)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The positions of the lower triangle: row numbers, and column numbers."""
    return _triangle_indices(row, col, offset, True, dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The positions of the upper triangle: row numbers, and column numbers."""
    return _triangle_indices(row, col, offset, False, dtype, device)


# -- grids, products, combinations ------------------------------------------------------------------------------


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """All tensors in their common shape."""
    xs = _listed(tensors)
    shape = broadcast_shapes(*(tuple(x._data.shape) for x in xs), op="broadcast_tensors")
    return tuple(apply(S.expand, x, shape=shape) for x in xs)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Tensor, ...]:
    """The coordinates of a grid from those along its axes; indexing "xy" exchanges the first two axes."""
    xs = [atleast_1d(x) for x in _listed(tensors)]
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing is 'ij' or 'xy', not {indexing!r}")
    if indexing == "xy" and len(xs) > 1:
        xs[0], xs[1] = xs[1], xs[0]
    n = len(xs)
    spread = [P.reshape(x, (1,) * i + (x._data.size,) + (1,) * (n - 1 - i)) for i, x in enumerate(xs)]
    grids = [apply(S.expand, x, shape=tuple(y._data.size for y in xs)) for x in spread]
    if indexing == "xy" and n > 1:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """Every combination of one element from each vector, as rows; of one vector itself."""
    if len(tensors) == 1:
        return tensors[0]
    return P.stack([ravel(g) for g in meshgrid(*tensors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Tensor:
    """Every choice of r elements of a vector, as rows in order."""
    if input.ndim != 1:
        raise ShapeError(f"combinations: a vector is needed, not shape {tuple(input.shape)}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    found = np.array(list(choose(range(input._data.shape[0]), as_int(r, "combinations: r"))), np.int64)
    if r == 0:
        return P.reshape(input[:0], 0)
    return apply(_gather.take, input, call("constant", value=found.reshape(-1, r)), axis=0)


def vander(x: Tensor, N: int | None = None, *, increasing: bool = False) -> Tensor:
    """Powers of a vector's elements as columns, from the highest to x⁰, or the other way."""
    if x.ndim != 1:
        raise ShapeError(f"vander: a vector is needed, not shape {tuple(x.shape)}")
    n = x._data.shape[0] if N is None else as_int(N, "vander: N")
    powers = call("iota", n=n, dtype=as_dtype("int64"))
    wide = x if x._data.dtype.kind in "fcV" else convert(x, as_dtype("int64"))
    y = _math.pow(P.unsqueeze(wide, 1), powers if increasing else P.flip(powers, (0,)))
    return y


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The position along each axis of elements given by their place in the flattened tensor."""
    sizes, out = as_shape(shape), []
    rest = indices.to(dtype="int64")
    for n in reversed(sizes):
        out.append(_math.remainder(rest, n))
        rest = _math.floor_divide(rest, n)
    return tuple(reversed(out))


# -- windows ----------------------------------------------------------------------------------------------------


def unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """Windows of `size` elements every `step` elements along an axis; the window is a new last axis (a copy)."""
    x = input if input.ndim else P.reshape(input, 1)
    a = normalize_axis(dimension, x.ndim, "unfold")
    n, size, step = x._data.shape[a], as_int(size, "unfold: size"), as_int(step, "unfold: step")
    if not 0 <= size <= n or step <= 0:
        raise ArgumentError(f"unfold: windows of {size} every {step} do not fit into axis {a} of extent {n}")
    starts = call("iota", n=(n - size) // step + 1, dtype=as_dtype("int64"))
    at = P.unsqueeze(starts * step, 1) + call("iota", n=size, dtype=as_dtype("int64"))
    return movedim(apply(_gather.take, x, at, axis=a), a + 1, -1)


def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int = 0) -> Tensor:
    """Elements at storage_offset + Σ index · stride of the row-major elements of `input` (a copy)."""
    shape, steps = as_shape(size), tuple(stride)
    if len(shape) != len(steps):
        raise ArgumentError(f"as_strided: {len(shape)} extents but {len(steps)} strides")
    last = storage_offset + sum((n - 1) * s for n, s in zip(shape, steps))
    if prod(shape) and (last >= input._data.size or storage_offset < 0 or builtins.min(steps, default=0) < 0):
        raise ArgumentError(f"as_strided: element {last} lies outside the {input._data.size} elements of the tensor")
    at: Any = call("full", shape=(), value=storage_offset, dtype=as_dtype("int64"))
    for n, s in zip(shape, steps):
        at = P.unsqueeze(at, -1) + call("iota", n=n, dtype=as_dtype("int64")) * s
    return apply(_gather.take, ravel(input), at, axis=0)


# -- in-place changes of shape ----------------------------------------------------------------------------------


def _in_place(fn: Any) -> Any:
    name = f"{fn.__name__}_"

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return reshape_in_place(self, lambda x: fn(x, *args, **kwargs), name)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{fn.__name__}` in place: this tensor takes the new shape."
    return method


squeeze_, unsqueeze_, transpose_, t_ = (_in_place(f) for f in (P.squeeze, P.unsqueeze, P.transpose, P.t))
swapaxes_ = swapdims_ = transpose_
