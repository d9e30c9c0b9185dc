"""Functions that rearrange: reshape, transpose, squeeze, cat, stack, split, expand, ..."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype, as_int, as_shape, infer_reshape, normalize_axes, normalize_axis, numel
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import _shape as S
from twinflow.ops._declare import call
from twinflow.ops._promote import convert, promote, to_tensor_arg
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, view_of, wrap
from twinflow.tensor._door import Door


def _sizes(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


def _reshape_steps(base: Tensor, shape: tuple[Any, ...]) -> tuple[Any, ...]:
    return ((S.reshape, {"shape": infer_reshape(tuple(base._data.shape), shape)}),)


def _reshape(input: Tensor, *shape: Any) -> Tensor:
    x = to_tensor_arg(input, "reshape")
    shape = _sizes(shape)
    if not SPECIAL.count:
        a = x._data
        try:
            out = a.reshape(shape)
        except (ValueError, TypeError):
            out = None  # the way through `infer_reshape` says what is wrong
        # NumPy reads any negative extent as -1; and only what looks at the memory of `a` is a view
        if (
            out is not None
            and (out.shape == shape or -1 in shape)
            and (out.base is a or out.base is a.base is not None)
        ):
            view = view_of(_reshape_steps, x, out, shape)
            if view is not None:
                return view
    return apply(S.reshape, x, shape=infer_reshape(tuple(x._data.shape), shape))


_reshape_door = Door(_reshape, "reshape", run=_reshape_steps)


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements under another shape; one extent may be -1. A view where memory allows it."""
    return _reshape_door.call(input, *shape)


_reshape_door.serves(reshape)


def _permuted(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Axes in another order, each counted from the front."""
    if not SPECIAL.count:
        view = view_of(S.permute, x, x._data.transpose(axes), {"axes": axes})
        if view is not None:
            return view
    return apply(S.permute, x, axes=axes)


def permute(input: Tensor, *dims: Any) -> Tensor:
    """Axes in another order."""
    axes = normalize_axes(_sizes(dims), input.ndim, "permute")
    if len(axes) != input.ndim:
        return apply(S.permute, input, axes=axes)  # which says what is wrong
    return _permuted(input, axes)


def reversed_axes(input: Tensor) -> Tensor:
    """`x.T`: the axes in reverse order."""
    n = len(input._data.shape)
    return _permuted(input, (1, 0) if n == 2 else tuple(range(n))[::-1])


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two axes exchanged."""
    n = len(input._data.shape)
    a, b = normalize_axis(dim0, n, "transpose"), normalize_axis(dim1, n, "transpose")
    axes = list(range(n))
    if n:
        axes[a], axes[b] = b, a
    return _permuted(input, tuple(axes))


def _t(input: Tensor) -> Tensor:
    n = len(input._data.shape)
    if n == 2:
        return _permuted(input, (1, 0))
    if n > 2:
        raise ShapeError(
            f"t: a tensor with at most 2 axes is needed, not shape {tuple(input.shape)}; use .mT or transpose"
        )
    return input


_t_door = Door(_t, "transpose", run=S.permute, params={"axes": (1, 0)})


def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; vectors stay."""
    return _t_door.call(input)


_t_door.serves(t)


def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Without the axes of extent 1: all of them, or those named."""
    s = input._data.shape
    axes = normalize_axes(dim, len(s), "squeeze")
    return apply(S.reshape, input, shape=tuple(n for i, n in enumerate(s) if not (i in axes and n == 1)))


def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """With a new axis of extent 1 at `dim`."""
    s = input._data.shape
    a = normalize_axis(dim, len(s) + 1, "unsqueeze")
    return reshape(input, *s[:a], 1, *s[a:])


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Axes start_dim to end_dim (included) as one."""
    s = tuple(input._data.shape)
    if not s:
        return apply(S.reshape, input, shape=(1,))
    a, b = normalize_axis(start_dim, len(s), "flatten"), normalize_axis(end_dim, len(s), "flatten")
    if a > b:
        raise ArgumentError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return reshape(input, *s[:a], numel(s[a : b + 1]), *s[b + 1 :])


def expand(input: Tensor, *sizes: Any) -> Tensor:
    """Broadcast to a shape without copying; -1 keeps an extent."""
    target = _sizes(sizes)
    s = input._data.shape
    lead = len(target) - len(s)
    shape = tuple(
        s[i - lead] if n == -1 and i >= lead else as_int(n, "expand: each extent") for i, n in enumerate(target)
    )
    return apply(S.expand, input, shape=shape)


def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """Broadcast to a shape without copying."""
    return apply(S.expand, input, shape=as_shape(size))


def _plain_alike(xs: list[Any]) -> bool:
    """Whether all are tensors of one type, and nothing but plain evaluation without a gradient is going on."""
    if SPECIAL.count:
        return False
    d = xs[0]._data.dtype if isinstance(xs[0], Tensor) else None
    for x in xs:
        if (
            not isinstance(x, Tensor)
            or x._data.dtype is not d
            or (x._info is not None and x._info.requires_grad and MODE.grad)
        ):
            return False
    return True


def _cat(tensors: Any, dim: int = 0) -> Tensor:
    xs = list(tensors)
    if type(dim) is int and xs and _plain_alike(xs):
        try:
            return wrap(np.concatenate([x._data for x in xs], dim))
        except ValueError:
            pass  # the slow way says what is wrong
    if not xs:
        raise ArgumentError("cat: at least one tensor is needed")
    if len(xs) > 1:
        xs = [x for x in xs if tuple(x._data.shape) != (0,)] or xs[:1]  # as in PyTorch, empty vectors fit anything
    if xs[0].ndim == 0:
        raise ShapeError("cat: 0-dimensional tensors have no axis to be joined along; use stack")
    if len({x._data.dtype for x in xs}) > 1:
        dtype = promote("cat", *(x.reshape(-1)[:1] for x in xs))[0].dtype
        xs = [convert(x, dtype) for x in xs]
    return apply(S.concat, *xs, axis=normalize_axis(dim, xs[0].ndim, "cat"))


_cat_door = Door(_cat, "cat")


def cat(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors one after the other along an axis; types promote."""
    return _cat_door.call(tensors, dim)


_cat_door.serves(cat)


def stack(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors of one shape along a new axis."""
    xs = list(tensors)
    if not xs:
        raise ArgumentError("stack: at least one tensor is needed")
    for x in xs[1:]:
        if tuple(x._data.shape) != tuple(xs[0]._data.shape):
            raise ShapeError(
                f"stack: all tensors have one shape, but {tuple(xs[0].shape)} and {tuple(x.shape)} were given"
            )
    a = normalize_axis(dim, xs[0].ndim + 1, "stack")
    return cat([unsqueeze(x, a) for x in xs], a)


def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """The part of an axis from `start`, `length` long: a view."""
    s = tuple(input._data.shape)
    a = normalize_axis(dim, len(s), "narrow")
    start = start + s[a] if start < 0 else start
    if start < 0 or length < 0 or start + length > s[a]:
        raise ArgumentError(f"narrow: {start} to {start + length} does not lie within axis {a} of extent {s[a]}")
    starts, stops = [0] * len(s), list(s)
    starts[a], stops[a] = start, start + length
    return apply(S.slice_, input, starts=tuple(starts), stops=tuple(stops), steps=(1,) * len(s))


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along an axis: of one size (the last may be shorter), or of the sizes given."""
    a = normalize_axis(dim, tensor.ndim, "split")
    n = tensor._data.shape[a]
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = [as_int(s, "split: each section") for s in split_size_or_sections]
        if len(sizes) and sum(sizes) != n:
            raise ArgumentError(f"split: sections {sizes} add up to {sum(sizes)}, but axis {a} has extent {n}")
    else:
        k = as_int(split_size_or_sections, "split: the size")
        if k <= 0:
            raise ArgumentError(f"split: the size must be positive, not {k}")
        sizes = [min(k, n - i) for i in range(0, n, k)] or [0]
    out, at = [], 0
    for s in sizes:
        out.append(narrow(tensor, a, at, s))
        at += s
    return tuple(out)


def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most `chunks` pieces of equal size (the last may be shorter) along an axis."""
    if chunks <= 0:
        raise ArgumentError(f"chunk: the number of chunks must be positive, not {chunks}")
    n = input._data.shape[normalize_axis(dim, input.ndim, "chunk")]
    return split(input, max(1, -(-n // chunks)), dim)


def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis."""
    a = normalize_axis(dim, input.ndim, "unbind")
    return tuple(squeeze(narrow(input, a, i, 1), a) for i in range(input._data.shape[a]))


def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """The elements in reverse order along axes: flip(x, (0, 1)), flip(x, dims=(0, 1)) or x.flip(0, 1).

    Raises: ArgumentError if axes are given twice or not at all; IndexOutOfRange for an axis the tensor has not.
    """
    if bool(axes) == (dims is not None):
        raise ArgumentError("flip: give the axes once: x.flip(0, 1) or x.flip(dims=(0, 1))")
    chosen = normalize_axes(dims if dims is not None else _sizes(axes), input.ndim, "flip")
    return apply(S.cast, S.flip_axes(input, chosen), dtype=input.dtype)


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Elements [i, i + offset] of two axes, as a new last axis: a view."""
    a, b = normalize_axis(dim1, input.ndim, "diagonal"), normalize_axis(dim2, input.ndim, "diagonal")
    if a == b:
        raise ArgumentError(f"diagonal: two different axes are needed, but both are {a}")
    order = (*(i for i in range(input.ndim) if i not in (a, b)), a, b)
    return apply(S.diagonal, apply(S.permute, input, axes=order), offset=offset)


def _triangle(input: Tensor, diagonal: int, lower: bool) -> Tensor:
    m, n = input._data.shape[-2:]
    rows = apply(S.iota, n=m, dtype=as_dtype("int64")).unsqueeze(1)
    cols = apply(S.iota, n=n, dtype=as_dtype("int64"))
    keep = (cols - rows <= diagonal) if lower else (cols - rows >= diagonal)
    return call("bitwise_and", keep, input) if input._data.dtype.kind == "b" else call("where", keep, input, 0)


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of each matrix, zeros above the diagonal `diagonal`."""
    return _triangle(input, diagonal, True)


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of each matrix, zeros below the diagonal `diagonal`."""
    return _triangle(input, diagonal, False)
