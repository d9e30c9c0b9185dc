"""Linear algebra by TensorFlow's names: `tf.linalg`."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow import linalg as _linalg
from twinflow import ops
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.linalg._solving import cholesky_solve as _cholesky_solve
from twinflow.nn import functional as F
from twinflow.tensor import Tensor, refuse_tracing
from twinflow.tf._array import eye as eye
from twinflow.tf._functions import named, unary
from twinflow.tf.math import einsum as einsum
from twinflow.tf.math import global_norm as global_norm
from twinflow.tf.math import l2_normalize as l2_normalize
from twinflow.tf.math import matmul as matmul
from twinflow.tf.math import tensordot as tensordot

cholesky = unary(_linalg.cholesky, "L with L Lᵀ = x, lower triangular.")
det = unary(_linalg.det, "The determinant.")
expm = unary(_linalg.matrix_exp, "The matrix exponential.", "expm")
pinv = unary(_linalg.pinv, "The pseudoinverse.")
trace = unary(lambda x: ops.sum(ops.diagonal(x, 0, -2, -1), -1), "The sum of the diagonal.", "trace")
adjoint = unary(ops.adjoint, "The conjugate transpose.")
slogdet = unary(lambda x: tuple(_linalg.slogdet(x)), "(sign, log |det|).", "slogdet")  # type: ignore[arg-type, return-value]
eigvals = unary(_linalg.eigvals, "The eigenvalues of a square matrix, complex numbers.")
eig = unary(lambda x: tuple(_linalg.eig(x)), "(eigenvalues, eigenvectors as columns), complex numbers.", "eig")  # type: ignore[arg-type, return-value]
matrix_transpose = unary(lambda x: x.mT, "The last two axes exchanged.", "matrix_transpose")


@named
def lu(input: Any, output_idx_type: Any = "int32") -> Any:
    """(L and U in one matrix, the order of rows) with input[order] = L · U, L with ones on its diagonal."""
    packed, pivots = _linalg.lu_factor(to_tensor(input))
    n = int(packed.shape[-2])
    refuse_tracing("tf.linalg.lu", "the order of rows depends on values; use tf.linalg.solve or tf.linalg.det")
    rows = np.asarray(pivots._data).reshape(-1, pivots.shape[-1]) - 1
    orders = []
    for swaps in rows:
        order = list(range(n))
        for k, p in enumerate(swaps.tolist()):
            order[k], order[p] = order[p], order[k]
        orders.append(order)
    return packed, ops.tensor(orders, dtype=output_idx_type).reshape(*packed.shape[:-2], n)


@named
def lu_reconstruct(lower_upper: Any, perm: Any) -> Tensor:
    """The matrix that `lu` took apart."""
    x, order = to_tensor(lower_upper), to_tensor(perm).to(dtype="int64")
    lower = ops.tril(x, -1) + ops.eye(int(x.shape[-1]), dtype=x.dtype)
    product = lower @ ops.triu(x)
    back = ops.argsort(order, -1).unsqueeze(-1).expand(product.shape)
    return ops.gather(product, -2, back)


@named
def lu_solve(lower_upper: Any, perm: Any, rhs: Any) -> Tensor:
    """x with A · x = rhs, from what `lu` gave of A."""
    x, order = to_tensor(lower_upper), to_tensor(perm).to(dtype="int64")
    b = to_tensor(rhs)
    b = ops.gather(b, -2, order.unsqueeze(-1).expand(b.shape))
    lower = ops.tril(x, -1) + ops.eye(int(x.shape[-1]), dtype=x.dtype)
    y = _linalg.solve_triangular(lower, b, upper=False)
    return _linalg.solve_triangular(ops.triu(x), y, upper=True)


@named
def lu_matrix_inverse(lower_upper: Any, perm: Any) -> Tensor:
    """The inverse of a matrix, from what `lu` gave of it."""
    x = to_tensor(lower_upper)
    return lu_solve(x, perm, ops.eye(int(x.shape[-1]), dtype=x.dtype).expand(x.shape))


@named
def sqrtm(input: Any) -> Tensor:
    """The matrix whose square this is, by its eigenvectors. Raises: LinAlgError for a matrix without a basis of them."""
    x = to_tensor(input)
    values, vectors = _linalg.eig(x)
    found = (vectors * ops.sqrt(values).unsqueeze(-2)) @ _linalg.inv(vectors)
    return found if x.dtype.is_complex else ops.real(found)


@named
def logm(input: Any) -> Tensor:
    """The complex matrix whose exponential this is, by its eigenvectors. Raises: LinAlgError without a basis of them."""
    values, vectors = _linalg.eig(to_tensor(input))
    return (vectors * ops.log(values).unsqueeze(-2)) @ _linalg.inv(vectors)


@named
def tensor_diag(diagonal: Any) -> Tensor:
    """[*shape, *shape]: the elements where both places agree, zeros elsewhere."""
    x = to_tensor(diagonal)
    return ops.diag_embed(x.reshape(-1)).reshape(*x.shape, *x.shape)


@named
def tensor_diag_part(input: Any) -> Tensor:
    """The elements of [*shape, *shape] where both places agree."""
    x = to_tensor(input)
    half = tuple(x.shape[: x.ndim // 2])
    n = int(np.prod(half))
    return ops.diagonal(x.reshape(n, n)).reshape(half)


@named
def diag(
    diagonal: Any, k: int = 0, num_rows: int = -1, num_cols: int = -1, padding_value: Any = 0, align: str = "RIGHT_LEFT"
) -> Tensor:
    """The matrix with these elements on its k-th diagonal, and `padding_value` elsewhere.

    Args:
        k: which diagonal; above the main one if positive.
        num_rows, num_cols: the matrix's size; as small as the diagonal allows if -1, and square if both are.
        align: how diagonals of different lengths would be stored; one has a single length.
    """
    x, k = to_tensor(diagonal), _one_diagonal("diag", k)
    n = int(x.shape[-1])
    least = n + max(-k, 0), n + max(k, 0)
    unsaid = least if (num_rows, num_cols) != (-1, -1) else (max(least), max(least))
    rows, columns = (m if given == -1 else given for m, given in zip(unsaid, (num_rows, num_cols)))
    if rows < least[0] or columns < least[1] or (rows > least[0] and columns > least[1]):
        raise ShapeError(
            f"tf.linalg.diag: diagonal {k} of a matrix of {rows} x {columns} does not have the {n} elements of {tuple(x.shape)}"
        )
    square = ops.diag_embed(x, k)
    size = int(square.shape[-1])
    found = F.pad(square, [0, max(columns - size, 0), 0, max(rows - size, 0)])[..., :rows, :columns]
    if isinstance(padding_value, (int, float)) and padding_value == 0:
        return found
    on = ops.diagonal_scatter(ops.zeros(rows, columns), ops.ones(n), k) != 0
    return ops.where(on, found, to_tensor(padding_value).to(dtype=x.dtype))


@named
def diag_part(input: Any, k: int = 0, padding_value: Any = 0, align: str = "RIGHT_LEFT") -> Tensor:
    """The k-th diagonal."""
    return ops.diagonal(to_tensor(input), _one_diagonal("diag_part", k), -2, -1)


def _one_diagonal(op: str, k: Any) -> int:
    if not isinstance(k, int):
        raise ArgumentError(f"tf.linalg.{op}: k is the number of one diagonal, not {k!r}; take several one by one")
    return k


def _tridiagonal(diagonals: Any) -> Tensor:
    """The matrix of (above, on, below the diagonal), [..., 3, n]."""
    upper, middle, lower = ops.unbind(to_tensor(diagonals), -2)
    return ops.diag_embed(middle) + ops.diag_embed(upper[..., :-1], 1) + ops.diag_embed(lower[..., 1:], -1)


@named
def tridiagonal_matmul(diagonals: Any, rhs: Any) -> Tensor:
    """A tridiagonal matrix, given as [..., 3, n], times another."""
    return _tridiagonal(diagonals) @ to_tensor(rhs)


@named
def tridiagonal_solve(diagonals: Any, rhs: Any, diagonals_format: str = "compact") -> Tensor:
    """x with A · x = rhs for a tridiagonal matrix, given 'compact' as [..., 3, n], as a 'sequence' of its three diagonals, or as a
    'matrix'. Cost: that of a full matrix."""
    b = to_tensor(rhs)
    if diagonals_format == "matrix":
        a = to_tensor(diagonals)
    elif diagonals_format == "sequence":
        a = _tridiagonal(ops.stack([to_tensor(d) for d in diagonals], -2))
    elif diagonals_format == "compact":
        a = _tridiagonal(diagonals)
    else:
        raise ArgumentError(
            f"tf.linalg.tridiagonal_solve: diagonals_format is 'compact', 'sequence' or 'matrix', not {diagonals_format!r}"
        )
    return _linalg.solve(a, b.unsqueeze(-1)).squeeze(-1) if b.ndim == a.ndim - 1 else _linalg.solve(a, b)


@named
def inv(input: Any, adjoint: bool = False) -> Tensor:
    """The inverse, of the conjugate transpose with `adjoint`. Raises: LinAlgError for a singular matrix."""
    x = to_tensor(input)
    return _linalg.inv(ops.adjoint(x) if adjoint else x)


@named
def solve(matrix: Any, rhs: Any, adjoint: bool = False) -> Tensor:
    """x with matrix · x = rhs. Raises: LinAlgError for a singular matrix."""
    a = to_tensor(matrix)
    return _linalg.solve(ops.adjoint(a) if adjoint else a, to_tensor(rhs))


@named
def triangular_solve(matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False) -> Tensor:
    """x with matrix · x = rhs for a triangular matrix."""
    a = to_tensor(matrix)
    a, upper = (ops.adjoint(a), lower) if adjoint else (a, not lower)
    return _linalg.solve_triangular(a, to_tensor(rhs), upper=upper)


@named
def lstsq(matrix: Any, rhs: Any) -> Tensor:
    """x with the least |matrix · x - rhs|."""
    return _linalg.lstsq(to_tensor(matrix), to_tensor(rhs)).solution


@named
def eigh(tensor: Any) -> Any:
    """(eigenvalues in rising order, eigenvectors as columns) of a symmetric matrix."""
    return tuple(_linalg.eigh(to_tensor(tensor)))


@named
def eigvalsh(tensor: Any) -> Tensor:
    """The eigenvalues of a symmetric matrix, in rising order."""
    return _linalg.eigvalsh(to_tensor(tensor))


@named
def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """(s, u, v) with tensor = u · diag(s) · vᵀ; s alone without `compute_uv`."""
    x = to_tensor(tensor)
    if not compute_uv:
        return _linalg.svdvals(x)
    u, s, vh = _linalg.svd(x, full_matrices)
    return s, u, ops.adjoint(vh)


@named
def qr(input: Any, full_matrices: bool = False) -> Any:
    """(q, r) with orthonormal q and upper triangular r."""
    return tuple(_linalg.qr(to_tensor(input), "complete" if full_matrices else "reduced"))


@named
def norm(tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False) -> Tensor:
    """A norm over all elements, or over one or two axes."""
    x = to_tensor(tensor)
    kind = 2 if ord == "euclidean" else ord
    if isinstance(axis, (list, tuple)) and len(axis) == 2:
        return _linalg.matrix_norm(x, "fro" if ord in ("euclidean", "fro") else kind, tuple(axis), keepdims)
    return _linalg.vector_norm(x, kind, axis, keepdims)


@named
def cholesky_solve(chol: Any, rhs: Any) -> Tensor:
    """x with L Lᵀ x = rhs."""
    return _cholesky_solve(to_tensor(rhs), to_tensor(chol))


@named
def matrix_rank(a: Any, tol: Any = None) -> Tensor:
    """How many singular values exceed the tolerance."""
    return _linalg.matrix_rank(to_tensor(a), tol).to(dtype="int32")


@named
def normalize(tensor: Any, ord: Any = "euclidean", axis: Any = None) -> Any:
    """(the tensor divided by its norm, the norm)."""
    x = to_tensor(tensor)
    size = norm(x, ord, axis, True) if axis is not None else norm(x, ord)
    return x / size, size


@named
def set_diag(input: Any, diagonal: Any) -> Tensor:
    """A matrix with other elements on its diagonal."""
    return ops.diagonal_scatter(to_tensor(input), to_tensor(diagonal), 0, -2, -1)


@named
def band_part(input: Any, num_lower: int, num_upper: int) -> Tensor:
    """The elements within so many diagonals of the main one; -1 keeps all on that side."""
    x = to_tensor(input)
    if num_lower >= 0:
        x = ops.triu(x, -num_lower)
    return ops.tril(x, num_upper) if num_upper >= 0 else x


@named
def matvec(a: Any, b: Any, transpose_a: bool = False) -> Tensor:
    """A matrix times a vector."""
    x = to_tensor(a)
    return ops.matmul(x.mT if transpose_a else x, to_tensor(b).unsqueeze(-1)).squeeze(-1)


@named
def cross(a: Any, b: Any) -> Tensor:
    """The vector product along the last axis."""
    return _linalg.cross(to_tensor(a), to_tensor(b))


@named
def logdet(matrix: Any) -> Tensor:
    """log |det| of a matrix."""
    return _linalg.slogdet(to_tensor(matrix)).logabsdet
