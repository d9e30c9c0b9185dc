"""Factorisations into triangular and orthogonal matrices: Cholesky, LU, QR."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import GradientError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._declare import call
from twinflow.ops._shape import concat, slice_
from twinflow.ops._solve import (
    INT64,
    adjoint,
    diagonal,
    diagonal_matrix,
    eye_like,
    first_batch,
    guarded,
    matrices,
    mm,
    need_matrix,
    triangle,
    triangular_solve,
)
from twinflow.tensor import Tensor, apply

# -- Cholesky ---------------------------------------------------------------------------------------------------


def _cholesky_out(a: Aval) -> Aval:
    need_matrix("cholesky", a, square=True)
    return a


def _halved(x: Tensor) -> Tensor:
    """The lower triangle with half of the diagonal."""
    low = triangle(x, lower=True)
    return low - call("where", call("eq", eye_like(x), 1.0), low * 0.5, 0.0)


def _right_inverse(x: Tensor, low: Tensor) -> Tensor:
    """x · L⁻¹."""
    return adjoint(apply(triangular_solve, adjoint(low), adjoint(x), upper=True, unit=False))


def _cholesky_vjp(g: Tensor, y: Tensor, _a: Any) -> Tensor:
    # Murray, "Differentiation of the Cholesky decomposition", arXiv:1602.07527
    inner = _halved(mm(adjoint(y), g))
    s = apply(triangular_solve, adjoint(y), _right_inverse(inner, y), upper=True, unit=False)
    return (s + adjoint(s)) * 0.5


def _cholesky_jvp(t: Any, y: Tensor, _a: Any) -> Tensor:
    even = (t[0] + adjoint(t[0])) * 0.5
    left = apply(triangular_solve, y, even, upper=False, unit=False)
    return mm(y, _halved(adjoint(apply(triangular_solve, y, adjoint(left), upper=False, unit=False))))


def _definite(rng: np.random.Generator) -> list[Sample]:
    out = []
    for s in matrices((3, 3), (2, 2, 2), (0, 0), kinds=("float32", "float64", "complex128"))(rng):
        a = s.args[0]
        made = a @ np.conj(np.swapaxes(a, -1, -2)) + np.eye(a.shape[-1])
        out.append(Sample((made.astype(a.dtype),), {}))
    return out


cholesky: Primitive = Primitive(
    "cholesky",
    out=_cholesky_out,
    ref=guarded("cholesky", lambda a: np.linalg.cholesky((a + np.conj(np.swapaxes(a, -1, -2))) / 2)),
    vjp=(_cholesky_vjp,),
    jvp=_cholesky_jvp,
    batch=first_batch("cholesky"),
    lower=Named("cholesky"),
    samples=_definite,
    bad=lambda rng: [Sample((-np.eye(2),), {}), Sample((np.ones((2, 3)),), {})],
    doc="The lower triangular L with L Lᴴ = (A + Aᴴ)/2, for positive-definite A.",
    ulp=256,
)

# -- LU ---------------------------------------------------------------------------------------------------------


def _lu_out(a: Aval) -> tuple[Aval, Aval, Aval]:
    need_matrix("lu", a, square=False)
    m, n = a.shape[-2:]
    return a, Aval((*a.shape[:-2], min(m, n)), INT64), Aval((*a.shape[:-2], m), INT64)


def _np_lu(a: Any) -> Any:
    """Gaussian elimination with partial pivoting, a column at a time for all matrices together."""
    lead, (m, n) = a.shape[:-2], a.shape[-2:]
    lu = a.reshape(int(np.prod(lead)), m, n).copy()
    b = np.arange(lu.shape[0])
    pivots = np.zeros((lu.shape[0], min(m, n)), np.int64)
    perm = np.tile(np.arange(m), (lu.shape[0], 1))
    for k in range(min(m, n)):
        p = np.abs(lu[:, k:, k]).argmax(1) + k
        pivots[:, k] = p
        for x in (lu, perm):
            x[b, k], x[b, p] = x[b, p].copy(), x[b, k].copy()
        top = lu[:, k, k]
        factor = lu[:, k + 1 :, k] / np.where(top == 0, 1, top)[:, None]
        lu[:, k + 1 :, k] = factor
        lu[:, k + 1 :, k + 1 :] -= factor[:, :, None] * lu[:, k : k + 1, k + 1 :]
    return lu.reshape(a.shape), pivots.reshape(*lead, min(m, n)), perm.reshape(*lead, m)


def split_lu(packed: Tensor) -> tuple[Tensor, Tensor]:
    """(unit lower L, upper U) of the packed factors of square matrices."""
    return triangle(packed, lower=True, offset=-1) + eye_like(packed), triangle(packed, lower=False)


def _need_square(a: Any) -> None:
    if a.shape[-1] != a.shape[-2]:
        raise GradientError(
            f"lu: the derivative is that of square matrices, but the shape is {tuple(a.shape)}; qr has one for any shape"
        )


def _rows(x: Tensor, perm: Tensor) -> Tensor:
    """The rows of each matrix in another order."""
    shape = tuple(x._data.shape)
    index = call("reshape", perm, shape=(*perm._data.shape, 1))
    return call("gather", x, call("expand", index, shape=shape), axis=len(shape) - 2)


def _lu_vjp(g: Any, y: Any, _a: Any) -> Any:
    _need_square(_a)
    low, up = split_lu(y[0])
    by_low, by_up = triangle(g[0], lower=True, offset=-1), triangle(g[0], lower=False)
    inner = triangle(mm(adjoint(low), by_low), lower=True, offset=-1) + triangle(mm(by_up, adjoint(up)), lower=False)
    left = apply(triangular_solve, adjoint(low), inner, upper=True, unit=True)  # L⁻ᴴ · inner · U⁻ᴴ
    both = adjoint(apply(triangular_solve, up, adjoint(left), upper=True, unit=False))
    order = call("sort", y[2], axis=len(y[2]._data.shape) - 1, descending=False)[1]
    return (_rows(both, order),)


def _lu_jvp(t: Any, y: Any, _a: Any) -> Any:
    _need_square(_a)
    low, up = split_lu(y[0])
    left = apply(triangular_solve, low, _rows(t[0], y[2]), upper=False, unit=True)
    f = adjoint(apply(triangular_solve, adjoint(up), adjoint(left), upper=False, unit=False))
    return mm(low, triangle(f, lower=True, offset=-1)) + mm(triangle(f, lower=False), up), None, None


lu: Primitive = Primitive(
    "lu",
    out=_lu_out,
    ref=guarded("lu", _np_lu),
    vjp=_lu_vjp,
    jvp=_lu_jvp,
    batch=first_batch("lu"),
    lower=Named("lu"),
    samples=matrices((3, 3), (2, 4, 4), (1, 1), kinds=("float32", "float64", "complex128")),
    bad=lambda rng: [Sample((np.ones(3),), {})],
    n_out=3,
    doc="(LU, pivots, order): A[order] = L U with both factors in one matrix; row k was exchanged with pivots[k].",
    ulp=256,
)

# -- QR ---------------------------------------------------------------------------------------------------------


def _qr_out(a: Aval, *, complete: bool) -> tuple[Aval, Aval]:
    need_matrix("qr", a, square=False)
    m, n = a.shape[-2:]
    k = m if complete else min(m, n)
    return Aval((*a.shape[:-2], m, k), a.dtype), Aval((*a.shape[:-2], k, n), a.dtype)


def _columns(x: Tensor, start: int, stop: int) -> Tensor:
    shape = tuple(x._data.shape)
    starts = (*(0,) * (len(shape) - 1), start)
    return apply(slice_, x, starts=starts, stops=(*shape[:-1], stop), steps=(1,) * len(shape))


def _or_zeros(x: Any, like: Tensor) -> Tensor:
    return call("full", shape=tuple(like._data.shape), value=0, dtype=like.dtype) if x is None else x


def _need_reduced(a: Any, complete: bool) -> None:
    if complete and a.shape[-2] > a.shape[-1]:
        raise GradientError(
            "qr: with mode='complete' the additional columns of Q are not determined by the matrix, and have no "
            "derivative; use mode='reduced'"
        )


def _times_inverse(x: Tensor, r: Tensor) -> Tensor:
    """x · R⁻ᴴ."""
    return adjoint(apply(triangular_solve, r, adjoint(x), upper=True, unit=False))


def _imaginary_diagonal(x: Tensor) -> Tensor:
    """i times the imaginary part of the diagonal, as a matrix."""
    d = diagonal(x)
    turn = call("complex", call("imag", d) * 0.0, call("imag", d))
    return diagonal_matrix(turn)


def _qr_square_vjp(gq: Tensor, gr: Tensor, q: Tensor, r: Tensor) -> Tensor:
    # Walter and Lehmann, "Walking in Circles", arXiv:1009.6112; and Liao et al., arXiv:1903.09650
    m = mm(r, adjoint(gr)) - mm(adjoint(gq), q)
    low = triangle(m, lower=True, offset=-1)
    even = low + adjoint(low) + diagonal_matrix(diagonal(m))
    if m._data.dtype.kind == "c":
        even = even - _imaginary_diagonal(m)
    return _times_inverse(gq + mm(q, even), r)


def _qr_vjp(g: Any, y: Any, a: Tensor, *, complete: bool) -> Any:
    _need_reduced(a, complete)
    (q, r), (m, n) = y, a._data.shape[-2:]
    gq, gr = _or_zeros(g[0], q), _or_zeros(g[1], r)
    if m >= n:
        return (_qr_square_vjp(gq, gr, q, r),)
    u, gu, gv = _columns(r, 0, m), _columns(gr, 0, m), _columns(gr, m, n)
    gx = _qr_square_vjp(gq + mm(_columns(a, m, n), adjoint(gv)), gu, q, u)
    return (apply(concat, gx, mm(q, gv), axis=len(a._data.shape) - 1),)


def _qr_square_jvp(ta: Tensor, q: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    moved = adjoint(apply(triangular_solve, adjoint(r), adjoint(ta), upper=False, unit=False))  # dA · R⁻¹
    inner = mm(adjoint(q), moved)
    low = triangle(inner, lower=True, offset=-1)
    turn = low - adjoint(low)
    if inner._data.dtype.kind == "c":
        turn = turn + _imaginary_diagonal(inner)
    return mm(q, turn - inner) + moved, mm(inner - turn, r)


def _qr_jvp(t: Any, y: Any, a: Tensor, *, complete: bool) -> Any:
    _need_reduced(a, complete)
    (q, r), (m, n) = y, a._data.shape[-2:]
    if m >= n:
        return _qr_square_jvp(t[0], q, r)
    tq, tu = _qr_square_jvp(_columns(t[0], 0, m), q, _columns(r, 0, m))
    tv = mm(adjoint(q), _columns(t[0], m, n) - mm(tq, _columns(r, m, n)))
    return tq, apply(concat, tu, tv, axis=len(a._data.shape) - 1)


qr: Primitive = Primitive(
    "qr",
    out=_qr_out,
    ref=guarded("qr", lambda a, *, complete: tuple(np.linalg.qr(a, "complete" if complete else "reduced"))),
    vjp=_qr_vjp,
    jvp=_qr_jvp,
    batch=first_batch("qr"),
    lower=Named("qr"),
    samples=matrices((3, 3), (4, 3), (3, 4), (2, 3, 2), complete=False),
    bad=lambda rng: [Sample((np.ones(3),), {"complete": False})],
    n_out=2,
    doc="(Q, R) with A = Q R: orthonormal columns and an upper triangle; `complete` makes Q square.",
    ulp=256,
)
