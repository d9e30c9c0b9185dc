"""Norms of vectors and matrices, condition numbers, products of vectors."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core import as_dtype, normalize_axes
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.linalg._decompositions import svdvals
from twinflow.linalg._solving import inv
from twinflow.ops import amax, amin, call, movedim
from twinflow.ops import cross as _cross
from twinflow.ops import diagonal as _diagonal
from twinflow.ops._declare import conjugate
from twinflow.ops._promote import convert, is_inexact, to_tensor_arg
from twinflow.ops._statistics import p_norm
from twinflow.tensor import Tensor


def _inexact(op: str, x: Tensor, dtype: Any) -> Tensor:
    t = to_tensor_arg(x, op, "A")
    if dtype is not None:
        t = convert(t, as_dtype(dtype))
    if not is_inexact(t):
        raise DTypeError(f"{op}: floating or complex elements are needed, not {t.dtype.name}; use .float() first")
    return t


def vector_norm(x: Tensor, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(Σ |x|^ord)^(1/ord) over all elements, or over axes; ∞, -∞ and 0 as their limits."""
    t = _inexact("vector_norm", x, dtype)
    return p_norm(t, float(ord), normalize_axes(dim, t.ndim, "vector_norm"), keepdim)


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """The norm of each matrix: "fro", "nuc", 1, -1, 2, -2, inf or -inf.

    1 and ∞ are the largest sums of columns and rows, 2 the largest singular value; negative ones take the smallest.
    """
    t = _inexact("matrix_norm", A, dtype)
    axes = normalize_axes(tuple(dim), t.ndim, "matrix_norm")
    if len(axes) != 2:
        raise ArgumentError(f"matrix_norm: dim names two axes, not {tuple(dim)}")
    if ord == "fro":
        return p_norm(t, 2.0, axes, keepdim)
    x = movedim(t, axes, (-2, -1))
    if ord in (2, -2, "nuc"):
        s = svdvals(x)
        y = s.sum(-1) if ord == "nuc" else amax(s, -1) if ord == 2 else amin(s, -1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = abs(x).sum(-2 if abs(ord) == 1 else -1)
        y = amax(sums, -1) if ord > 0 else amin(sums, -1)
    else:
        raise ArgumentError(f"matrix_norm: ord is 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, not {ord!r}")
    if not keepdim:
        return y
    for a in sorted(axes):
        y = y.unsqueeze(a)
    return y


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """A vector norm over one axis, a matrix norm over two; without `ord` the 2-norm of the elements."""
    t = _inexact("norm", A, dtype)
    if ord is None:
        return vector_norm(t, 2, dim, keepdim)
    axes = dim if isinstance(dim, (tuple, list)) or dim is None else (dim,)
    if axes is None:
        if t.ndim not in (1, 2):
            raise ShapeError(f"norm: with ord and without dim a vector or a matrix is needed, not {tuple(t.shape)}")
        axes = tuple(range(t.ndim))
    if len(axes) == 2:
        return matrix_norm(t, ord, axes, keepdim)
    if isinstance(ord, str):
        raise ArgumentError(f"norm: {ord!r} is a norm of matrices, but dim names {len(axes)} axis")
    return vector_norm(t, ord, axes, keepdim)


def cond(A: Tensor, p: Any = None) -> Tensor:
    """The condition number ‖A‖ · ‖A⁻¹‖ in a matrix norm; by default the ratio of singular values."""
    x = to_tensor_arg(A, "cond", "A")
    if p in (None, 2, -2):
        s = svdvals(x)
        largest, smallest = s.select(-1, 0), s.select(-1, -1)
        return smallest / largest if p == -2 else largest / smallest
    if x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"cond: the norm {p!r} needs square matrices, not shape {tuple(x.shape)}")
    return matrix_norm(x, p) * matrix_norm(inv(x), p)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Σ conj(x) y along an axis."""
    return (conjugate(x) * y).sum(dim)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The vector product along an axis of extent 3."""
    return _cross(input, other, dim)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A diagonal of each matrix, as a new last axis."""
    return _diagonal(A, offset, dim1, dim2)


def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """The powers x⁰, x¹, ... of the elements along a new last axis."""
    n = x.shape[-1] if N is None else N
    if n < 1:
        raise ArgumentError(f"vander: at least one column is needed, not {n}")
    powers = call("iota", n=n, dtype=as_dtype("int64"))
    return x.unsqueeze(-1) ** (powers if not x.is_complex() else convert(powers, x.dtype))
