"""Factorisations, singular values and eigenvalues, with PyTorch's arguments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, LinAlgError, ShapeError
from twinflow.ops import call, maximum, where, zeros_like
from twinflow.ops._factor import split_lu
from twinflow.ops._promote import convert, to_tensor_arg
from twinflow.ops._solve import adjoint, eye_like, triangle
from twinflow.tensor import SPECIAL, Tensor


class QR(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class Eigen(NamedTuple):
    """A V = V diag(L)."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class PLU(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class PackedLU(NamedTuple):
    """Both factors in one matrix, and the exchanges of rows, counted from 1."""

    LU: Tensor
    pivots: Tensor


class Checked(NamedTuple):
    """A result, and 0 where it exists."""

    result: Tensor
    info: Tensor


def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with A = L Lᴴ of a Hermitian positive-definite matrix; `upper` gives Lᴴ.

    Raises: LinAlgError if the matrix is not positive-definite.

    >>> import twinflow
    >>> twinflow.linalg.cholesky(twinflow.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    low = call("cholesky", to_tensor_arg(A, "cholesky", "A"))
    return adjoint(low) if upper else low


def checked(run: Any, A: Tensor, check_errors: bool) -> Checked:
    """What `run` gives, or NaN and info 1 if it fails."""
    info = call("full", shape=tuple(A._data.shape[:-2]), value=0, dtype=as_dtype("int32"))
    try:
        return Checked(run(), info)
    except LinAlgError:
        if check_errors:
            raise
        return Checked(zeros_like(A) * float("nan"), info + 1)


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Checked:
    """(L, info): info is 1, and L NaN, where a matrix of the batch is not positive-definite."""
    return checked(lambda: cholesky(A, upper=upper), A, check_errors)


def qr(A: Tensor, mode: str = "reduced") -> QR:
    """(Q, R) with A = Q R: orthonormal columns and an upper triangle.

    Args:
        mode: "reduced", "complete" (Q square) or "r" (Q empty).
    """
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode is 'reduced', 'complete' or 'r', not {mode!r}")
    q, r = call("qr", to_tensor_arg(A, "qr", "A"), complete=mode == "complete")
    return QR(call("full", shape=(0,), value=0, dtype=A.dtype) if mode == "r" else q, r)


def svd(A: Tensor, full_matrices: bool = True) -> SVD:
    """(U, S, Vh) with A = U diag(S) Vh, S in decreasing order.

    Vectors have derivatives where all singular values differ and the matrix is square or `full_matrices` is False.
    """
    return SVD(*call("svd", to_tensor_arg(A, "svd", "A"), full=bool(full_matrices)))


def svdvals(A: Tensor) -> Tensor:
    """The singular values in decreasing order."""
    return call("svd", to_tensor_arg(A, "svdvals", "A"), full=False)[1]


def _uplo(op: str, A: Tensor, UPLO: str) -> Tensor:
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError(f"{op}: UPLO is 'L' or 'U', not {UPLO!r}")
    return to_tensor_arg(A, op, "A")


def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """(eigenvalues in increasing order, eigenvectors) of a Hermitian matrix.

    The whole matrix is read, as (A + Aᴴ)/2, so UPLO makes no difference for the Hermitian matrices that this is for.
    """
    return Eigen(*call("eigh", _uplo("eigh", A, UPLO)))


def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of a Hermitian matrix, in increasing order."""
    return call("eigh", _uplo("eigvalsh", A, UPLO))[0]


def eig(A: Tensor) -> Eigen:
    """(eigenvalues, eigenvectors) of a square matrix, always complex."""
    return Eigen(*call("eig", to_tensor_arg(A, "eig", "A")))


def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of a square matrix, always complex."""
    return call("eig", to_tensor_arg(A, "eigvals", "A"))[0]


# -- LU ---------------------------------------------------------------------------------------------------------


def _no_pivot(op: str, pivot: bool) -> None:
    if not pivot:
        raise ArgumentError(f"{op}: without exchanging rows the factors need not exist; leave pivot=True")


def lu_factor(A: Tensor, *, pivot: bool = True) -> PackedLU:
    """(LU, pivots): both factors of A with rows exchanged, in one matrix, for `lu_solve`."""
    _no_pivot("lu_factor", pivot)
    packed, pivots, _ = call("lu", to_tensor_arg(A, "lu_factor", "A"))
    return PackedLU(packed, convert(pivots + 1, as_dtype("int32")))


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """(LU, pivots, info): as `lu_factor`; info is the number of the first pivot that is 0, or 0 if none is."""
    packed, pivots = lu_factor(A, pivot=pivot)
    zero = packed.diagonal(dim1=-2, dim2=-1) == 0
    first = call("argmax", convert(zero, as_dtype("int64")), axis=zero.ndim - 1, keepdim=False) + 1
    info = convert(first * convert(zero.any(-1), as_dtype("int64")), as_dtype("int32"))
    if check_errors and bool(info.any()):
        raise LinAlgError("lu_factor_ex: a matrix is singular")
    return packed, pivots, info


def lu(A: Tensor, *, pivot: bool = True) -> PLU:
    """(P, L, U) with A = P L U: a permutation, a unit lower and an upper triangle."""
    _no_pivot("lu", pivot)
    packed, _, order = call("lu", to_tensor_arg(A, "lu", "A"))
    return _unpacked(packed, order)


def _unpacked(packed: Tensor, order: Tensor) -> PLU:
    m, n = packed._data.shape[-2:]
    k = min(m, n)
    if m == n:
        low, up = split_lu(packed)
    else:
        left = packed.narrow(-1, 0, k)
        ones = call("iota", n=m, dtype=as_dtype("int64")).unsqueeze(1) == call("iota", n=k, dtype=as_dtype("int64"))
        low = triangle(left, lower=True, offset=-1) + convert(ones, packed.dtype)
        up = triangle(packed.narrow(-2, 0, k), lower=False)
    positions = call("iota", n=m, dtype=as_dtype("int64"))
    p = positions.unsqueeze(-1) == order.unsqueeze(-2)
    return PLU(convert(p, packed.dtype), low, up)


def order_of(pivots: Tensor, m: int) -> Tensor:
    """The order of rows after exchanging row k with row pivots[k] - 1, for k = 0, 1, ..."""
    lead, k = tuple(pivots._data.shape[:-1]), pivots._data.shape[-1]
    where_ = convert(pivots, as_dtype("int64")) - 1
    positions = call("iota", n=m, dtype=as_dtype("int64"))
    order = positions.expand(*lead, m)
    for i in range(k):
        j = where_.narrow(-1, i, 1)
        a = order.narrow(-1, i, 1)
        b = call("gather", order, j, axis=len(lead))
        order = where(positions == i, b, where(positions == j, a, order))
    return order


def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> PLU:
    """(P, L, U) from what `lu_factor` gives; parts that are not wanted are empty."""
    found = _unpacked(LU_data, order_of(LU_pivots, LU_data._data.shape[-2]))
    none = call("full", shape=(0,), value=0, dtype=LU_data.dtype)
    return PLU(found.P if unpack_pivots else none, *(found[1:] if unpack_data else (none, none)))


# -- Householder ------------------------------------------------------------------------------------------------


def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of reflections I - tau v vᴴ, whose vectors stand below the diagonal of A."""
    m, n = A._data.shape[-2:]
    k = tau._data.shape[-1]
    if m < n or k > n:
        raise ShapeError(
            f"householder_product: [m, n] with m ≥ n and at most n factors are needed, not {tuple(A.shape)} and {k}"
        )
    v = triangle(A, lower=True, offset=-1)
    square = eye_like(call("full", shape=(*A._data.shape[:-2], m, m), value=0, dtype=A.dtype))
    q = square.narrow(-1, 0, n)
    unit = square.narrow(-1, 0, n)
    v = v + unit
    for i in reversed(range(k)):
        column = v.narrow(-1, i, 1)
        scale = tau.narrow(-1, i, 1).unsqueeze(-1)
        q = q - scale * (column @ (adjoint(column) @ q))
    return q


# -- rank, condition --------------------------------------------------------------------------------------------


def matrix_rank(A: Tensor, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Tensor:
    """How many singular values exceed max(atol, rtol · largest); rtol is max(m, n) · ε unless atol is given."""
    x = to_tensor_arg(A, "matrix_rank", "A")
    s = abs(eigvalsh(x)) if hermitian else svdvals(x)
    if tol is not None:
        atol, rtol = tol, 0.0
    limit = tolerance(x, atol, rtol)
    if not s._data.shape[-1]:
        return call("full", shape=tuple(s._data.shape[:-1]), value=0, dtype=as_dtype("int64"))
    absolute, relative = (v.unsqueeze(-1) if isinstance(v, Tensor) and v.ndim else v for v in limit)
    bound = s.amax(-1, True) * relative
    bound = maximum(bound, absolute) if isinstance(absolute, Tensor) else bound.clamp(min=absolute)
    return convert(s > bound, as_dtype("int64")).sum(-1)


def tolerance(A: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """(atol, rtol) with PyTorch's defaults: rtol = max(m, n) · ε if neither is given."""
    if rtol is None:
        given = isinstance(atol, Tensor) or (atol is not None and atol > 0)
        eps = float(np.finfo(A._data.dtype).eps)
        rtol = 0.0 if given else max(A._data.shape[-2:]) * eps
    return 0.0 if atol is None else atol, rtol


def is_plain(x: Tensor) -> bool:
    """Whether the elements are known here and now."""
    return isinstance(x._data, np.ndarray) and not SPECIAL.count
