"""The `linalg` extension of the array API standard."""

from __future__ import annotations

from typing import Any, NamedTuple

from twinflow import linalg as L
from twinflow import ops
from twinflow.array_api._functions import _accumulator
from twinflow.array_api._functions import matrix_transpose as matrix_transpose
from twinflow.array_api._functions import tensordot as tensordot
from twinflow.array_api._functions import vecdot as vecdot
from twinflow.core.errors import ShapeError
from twinflow.linalg import cholesky as cholesky
from twinflow.linalg import det as det
from twinflow.linalg import inv as inv
from twinflow.linalg import matrix_power as matrix_power
from twinflow.linalg import svdvals as svdvals
from twinflow.ops import matmul as matmul
from twinflow.tensor import Tensor


class Eigen(NamedTuple):
    """Eigenvalues and eigenvectors."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def cross(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """The vector product along an axis of extent 3."""
    return L.cross(x1, x2, dim=axis)


def diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """A diagonal of each matrix."""
    return L.diagonal(x, offset=offset)


def eigh(x: Tensor, /) -> Eigen:
    """Eigenvalues and eigenvectors of a Hermitian matrix."""
    return Eigen(*L.eigh(x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """Eigenvalues of a Hermitian matrix."""
    return L.eigvalsh(x)


def matrix_norm(x: Tensor, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """The norm of each matrix."""
    return L.matrix_norm(x, ord, keepdim=keepdims)


def matrix_rank(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """How many singular values exceed rtol · largest."""
    return L.matrix_rank(x, rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The products of all pairs of elements of two vectors."""
    return ops.outer(x1, x2)


def pinv(x: Tensor, /, *, rtol: float | None = None) -> Tensor:
    """The pseudo-inverse."""
    return L.pinv(x, rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> Any:
    """(Q, R) with x = Q R."""
    return L.qr(x, mode)


def slogdet(x: Tensor, /) -> Any:
    """(sign, logabsdet) of the determinant."""
    return L.slogdet(x)


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """X with x1 X = x2; only an x2 with one axis is a vector."""
    if x2.ndim == 1:
        return L.solve(x1, x2.unsqueeze(-1)).squeeze(-1)
    if x2.ndim < 1:
        raise ShapeError("solve: the right side has at least 1 axis")
    lead = ops.broadcast_tensors(ops.zeros(x1.shape[:-2]), ops.zeros(x2.shape[:-2]))[0].shape
    return L.solve(x1.expand(*lead, *x1.shape[-2:]), x2.expand(*lead, *x2.shape[-2:]))


def svd(x: Tensor, /, *, full_matrices: bool = True) -> Any:
    """(U, S, Vh) with x = U diag(S) Vh."""
    return L.svd(x, full_matrices)


def trace(x: Tensor, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """The sum of a diagonal of each matrix."""
    return ops.sum(L.diagonal(x, offset=offset), -1, dtype=_accumulator(x, dtype))


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: bool = False, ord: float = 2) -> Tensor:
    """The norm of the elements, over axes."""
    return L.vector_norm(x, ord, axis, keepdims)
