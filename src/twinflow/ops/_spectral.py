"""Singular values and eigenvalues.

Where two of them are equal the vectors are not determined, and their derivative is infinite; values alone are fine.
Derivatives: Townsend, "Differentiating the Singular Value Decomposition", 2016; Giles, "An extended collection of
matrix derivative results", 2008.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import GradientError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._declare import call
from twinflow.ops._shape import reshape
from twinflow.ops._solve import (
    adjoint,
    diagonal,
    diagonal_matrix,
    eye_like,
    first_batch,
    guarded,
    matrices,
    mm,
    need_matrix,
    scale_columns,
    scale_rows,
    solve,
)
from twinflow.tensor import Tensor, apply


def _inverse_gaps(x: Tensor) -> Tensor:
    """1 / (x[j] - x[i]) off the diagonal, 0 on it."""
    shape = tuple(x._data.shape)
    gap = apply(reshape, x, shape=(*shape[:-1], 1, shape[-1])) - apply(reshape, x, shape=(*shape, 1))
    on = call("eq", call("real", eye_like(gap)) if gap._data.dtype.kind == "c" else eye_like(gap), 1.0)
    return call("where", on, 0.0, 1.0 / call("where", on, 1.0, gap))


def _like(real: Tensor, x: Tensor) -> Tensor:
    """A real tensor in the type of `x`."""
    return real if real.dtype is x.dtype else call("cast", real, dtype=x.dtype)


def _skewed(x: Tensor, gaps: Tensor) -> Tensor:
    """F ∘ (X - Xᴴ) for antisymmetric F."""
    return _like(gaps, x) * (x - adjoint(x))


def _turn(x: Tensor) -> Tensor:
    """i times the imaginary part of the diagonal."""
    d = diagonal(x)
    return call("complex", call("imag", d) * 0.0, call("imag", d))


# -- singular values --------------------------------------------------------------------------------------------


def _svd_out(a: Aval, *, full: bool) -> tuple[Aval, Aval, Aval]:
    need_matrix("svd", a, square=False)
    m, n = a.shape[-2:]
    k, lead = min(m, n), a.shape[:-2]
    return (
        Aval((*lead, m, m if full else k), a.dtype),
        Aval((*lead, k), a.dtype.to_real()),
        Aval((*lead, n if full else k, n), a.dtype),
    )


def _need_reduced(a: Any, full: bool) -> None:
    if full and a.shape[-2] != a.shape[-1]:
        raise GradientError(
            "svd: with full_matrices=True the additional vectors are not determined by the matrix, and have no "
            "derivative; use full_matrices=False"
        )


def _svd_vjp(g: Any, y: Any, _a: Any, *, full: bool) -> Any:
    u, s, vh = y
    gu, gs, gvh = g
    if gu is None and gvh is None:
        k = s._data.shape[-1]
        return (mm(scale_columns(_first(u, k), _like(gs, u)), _first_rows(vh, k)),)
    _need_reduced(_a, full)
    m, n = _a.shape[-2:]
    sc = _like(s, u)
    gaps = _inverse_gaps(s * s)
    middle: Any = None if gs is None else diagonal_matrix(_like(gs, u))
    extra = None
    if gu is not None:
        inner = mm(adjoint(u), gu)
        part = scale_columns(_skewed(inner, gaps), sc)
        if u._data.dtype.kind == "c":
            part = part + diagonal_matrix(_turn(inner) / sc)
        middle = part if middle is None else middle + part
        if m > n:
            rest = scale_columns(gu - mm(u, inner), 1.0 / sc)
            extra = mm(rest, vh)
    if gvh is not None:
        v, gv = adjoint(vh), adjoint(gvh)
        inner = mm(vh, gv)
        part = scale_rows(sc, _skewed(inner, gaps))
        middle = part if middle is None else middle + part
        if n > m:
            rest = mm(u, scale_rows(1.0 / sc, adjoint(gv - mm(v, inner))))
            extra = rest if extra is None else extra + rest
    out = mm(mm(u, middle), vh)
    return (out if extra is None else out + extra,)


def _first(x: Tensor, k: int) -> Tensor:
    shape = tuple(x._data.shape)
    if shape[-1] == k:
        return x
    return call("slice", x, starts=(0,) * len(shape), stops=(*shape[:-1], k), steps=(1,) * len(shape))


def _first_rows(x: Tensor, k: int) -> Tensor:
    shape = tuple(x._data.shape)
    if shape[-2] == k:
        return x
    return call("slice", x, starts=(0,) * len(shape), stops=(*shape[:-2], k, shape[-1]), steps=(1,) * len(shape))


def _svd_jvp(t: Any, y: Any, _a: Any, *, full: bool) -> Any:
    _need_reduced(_a, full)
    u, s, vh = y
    v, ta, sc = adjoint(vh), t[0], _like(s, u)
    inner = mm(mm(adjoint(u), ta), v)
    gaps = _like(_inverse_gaps(s * s), u)
    right, left = scale_columns(inner, sc), scale_rows(sc, inner)
    tu = mm(u, gaps * (right + adjoint(right)))
    tv = mm(v, gaps * (left + adjoint(left)))
    if u._data.dtype.kind == "c":
        tu = tu + scale_columns(u, _turn(inner) / sc)
    m, n = _a.shape[-2:]
    if m > n:
        moved = mm(ta, v)
        tu = tu + scale_columns(moved - mm(u, inner), 1.0 / sc)
    if n > m:
        moved = mm(adjoint(ta), u)
        tv = tv + scale_columns(moved - mm(v, adjoint(inner)), 1.0 / sc)
    d = diagonal(inner)
    return tu, call("real", d) if d._data.dtype.kind == "c" else d, adjoint(tv)


svd: Primitive = Primitive(
    "svd",
    out=_svd_out,
    ref=guarded("svd", lambda a, *, full: tuple(np.linalg.svd(a, full))),
    vjp=_svd_vjp,
    jvp=_svd_jvp,
    batch=first_batch("svd"),
    lower=Named("svd"),
    samples=matrices((3, 3), (4, 2), (2, 4), (2, 3, 2), full=False),
    bad=lambda rng: [Sample((np.ones(3),), {"full": False})],
    n_out=3,
    doc="(U, S, Vᴴ) with A = U diag(S) Vᴴ: orthonormal columns and rows, S ≥ 0 in decreasing order.",
    ulp=256,
)

# -- eigenvalues of Hermitian matrices --------------------------------------------------------------------------


def _eigh_out(a: Aval) -> tuple[Aval, Aval]:
    need_matrix("eigh", a, square=True)
    return Aval(a.shape[:-1], a.dtype.to_real()), a


def _eigh_vjp(g: Any, y: Any, _a: Any) -> Any:
    values, q = y
    by_values, by_q = g
    inner: Any = None
    if by_values is not None:
        inner = diagonal_matrix(_like(by_values, q))
    if by_q is not None:
        part = _like(_inverse_gaps(values), q) * mm(adjoint(q), by_q)
        inner = part if inner is None else inner + part
    out = mm(mm(q, inner), adjoint(q))
    return ((out + adjoint(out)) * 0.5,)


def _eigh_jvp(t: Any, y: Any, _a: Any) -> Any:
    values, q = y
    inner = mm(mm(adjoint(q), (t[0] + adjoint(t[0])) * 0.5), q)
    d = diagonal(inner)
    return call("real", d) if d._data.dtype.kind == "c" else d, mm(q, _like(_inverse_gaps(values), q) * inner)


def _hermitian(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((s.args[0] + np.conj(np.swapaxes(s.args[0], -1, -2)),), {}) for s in matrices((3, 3), (2, 2, 2))(rng)
    ]


eigh: Primitive = Primitive(
    "eigh",
    out=_eigh_out,
    ref=guarded("eigh", lambda a: tuple(np.linalg.eigh((a + np.conj(np.swapaxes(a, -1, -2))) / 2))),
    vjp=_eigh_vjp,
    jvp=_eigh_jvp,
    batch=first_batch("eigh"),
    lower=Named("eigh"),
    samples=_hermitian,
    bad=lambda rng: [Sample((np.ones((2, 3)),), {})],
    n_out=2,
    doc="(values, vectors) of (A + Aᴴ)/2: real eigenvalues in increasing order, orthonormal columns.",
    ulp=256,
)

# -- eigenvalues of any square matrix ---------------------------------------------------------------------------


def _eig_out(a: Aval) -> tuple[Aval, Aval]:
    need_matrix("eig", a, square=True)
    c = a.dtype.to_complex()
    return Aval(a.shape[:-1], c), Aval(a.shape, c)


def _np_eig(a: Any) -> Any:
    if not np.isfinite(a).all():
        raise np.linalg.LinAlgError("not finite")
    values, vectors = np.linalg.eig(a)
    c = np.result_type(a.dtype, np.complex64)
    return values.astype(c), vectors.astype(c)


def _eig_vjp(g: Any, y: Any, _a: Any) -> Any:
    values, v = y
    by_values, by_v = g
    inner: Any = diagonal_matrix(by_values) if by_values is not None else None
    if by_v is not None:
        vg = mm(adjoint(v), by_v)
        along = call("real", diagonal(vg))  # vectors have length 1: no change along themselves
        part = (vg - scale_columns(mm(adjoint(v), v), _like(along, v))) * call("conj", _inverse_gaps(values))
        inner = part if inner is None else inner + part
    out = apply(solve, adjoint(v), mm(inner, adjoint(v)))
    return (out if _a.dtype.is_complex else call("real", out),)


def _eig_jvp(t: Any, y: Any, _a: Any) -> Any:
    values, v = y
    inner = apply(solve, v, mm(_like(t[0], v), v))
    tv = mm(v, _inverse_gaps(values) * inner)
    along = call("real", diagonal(mm(adjoint(v), tv)))
    return diagonal(inner), tv - scale_columns(v, _like(along, v))


eig: Primitive = Primitive(
    "eig",
    out=_eig_out,
    ref=guarded("eig", _np_eig),
    vjp=_eig_vjp,
    jvp=_eig_jvp,
    batch=first_batch("eig"),
    lower=Named("eig"),
    samples=lambda rng: [
        Sample((s.args[0] @ np.diag(np.arange(1.0, 4)).astype(s.args[0].dtype) @ np.linalg.inv(s.args[0]),), {})
        for s in matrices((3, 3), shift=2.0)(rng)
    ],
    bad=lambda rng: [Sample((np.ones((2, 3)),), {})],
    n_out=2,
    doc="(values, vectors), complex: A V = V diag(values), columns of length 1.",
    ulp=256,
)

# -- pseudo-inverse ---------------------------------------------------------------------------------------------


def _pinv_out(a: Aval, *, rtol: float, atol: float) -> Aval:
    need_matrix("pinv", a, square=False)
    return Aval((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)


def _np_pinv(a: Any, *, rtol: float, atol: float) -> Any:
    if not a.size:
        return np.swapaxes(a, -1, -2).copy()
    u, s, vh = np.linalg.svd(a, False)
    keep = s > np.maximum(rtol * s.max(-1, keepdims=True), atol)
    inverse = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(s.dtype)
    return np.conj(np.swapaxes(vh, -1, -2)) @ (inverse[..., None] * np.conj(np.swapaxes(u, -1, -2)))


def _pinv_jvp(t: Any, y: Tensor, a: Tensor, *, rtol: float, atol: float) -> Tensor:
    # Golub and Pereyra, "The Differentiation of Pseudo-Inverses", SIAM J. Numer. Anal. 10, 1973
    ta, th, yh = t[0], adjoint(t[0]), adjoint(y)
    first = mm(mm(y, yh), th)
    last = mm(mm(th, yh), y)
    return first - mm(mm(first, a), y) + last - mm(y, mm(a, last)) - mm(mm(y, ta), y)


def _pinv_vjp(g: Tensor, y: Tensor, a: Tensor, *, rtol: float, atol: float) -> Tensor:
    gh, yh = adjoint(g), adjoint(y)
    first = mm(gh, mm(y, yh))  # [m, n]
    last = mm(mm(yh, y), gh)
    ay, ya = mm(a, y), mm(y, a)
    return first - mm(ay, first) + last - mm(last, ya) - mm(mm(yh, g), yh)


pinv: Primitive = Primitive(
    "pinv",
    out=_pinv_out,
    ref=guarded("pinv", _np_pinv),
    vjp=(_pinv_vjp,),
    jvp=_pinv_jvp,
    batch=first_batch("pinv"),
    lower=Named("pinv"),
    samples=matrices(
        (3, 3), (4, 2), (2, 4), (2, 3, 2), kinds=("float32", "float64", "complex128"), rtol=1e-6, atol=0.0
    ),
    bad=lambda rng: [Sample((np.ones(3),), {"rtol": 1e-6, "atol": 0.0})],
    doc="The pseudo-inverse; singular values up to max(rtol · largest, atol) count as 0. The rank is taken as fixed.",
    ulp=256,
)
