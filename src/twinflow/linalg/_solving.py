"""Linear systems, inverses, determinants, powers and exponentials of matrices."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from twinflow.core import as_int, broadcast_shapes
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.linalg._decompositions import Checked, checked, is_plain, matrix_rank, order_of, svdvals, tolerance
from twinflow.ops import call, ceil, exp2, log, log2, where
from twinflow.ops._contractions import multiply_chain
from twinflow.ops._promote import convert, promote, to_tensor_arg
from twinflow.ops._solve import adjoint as _adjoint
from twinflow.ops._solve import eye_like, inverse
from twinflow.tensor import Tensor


class SignLogDet(NamedTuple):
    """det = sign · e^logabsdet."""

    sign: Tensor
    logabsdet: Tensor


class LeastSquares(NamedTuple):
    """What `lstsq` finds."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _pair(op: str, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor, bool]:
    """(A, B, whether B holds vectors) of one type, with B as matrices and equal leading axes."""
    a, b = promote(op, to_tensor_arg(A, op, "A"), to_tensor_arg(B, op, "B"))
    if a.ndim < 2:
        raise ShapeError(f"{op}: A has at least 2 axes, but its shape is {tuple(a.shape)}")
    # as PyTorch: B holds vectors if it is one, or has A's axes but for the last
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1]))
    if vector:
        b = b.unsqueeze(-1)
    lead = broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]), op=op)
    a = a.expand(*lead, *a.shape[-2:]) if tuple(a.shape[:-2]) != lead else a
    b = b.expand(*lead, *b.shape[-2:]) if tuple(b.shape[:-2]) != lead else b
    return a, b, vector


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X with A X = B, or with X A = B if not `left`. B may hold vectors.

    Raises: LinAlgError if a matrix is singular.

    >>> import twinflow
    >>> twinflow.linalg.solve(twinflow.tensor([[2.0, 0.0], [0.0, 4.0]]), twinflow.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    if not left:
        return solve(A.mT, B.mT).mT
    a, b, vector = _pair("solve", A, B)
    x = call("solve", a, b)
    return x.squeeze(-1) if vector else x


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Checked:
    """(X, info): info is 1, and X NaN, if a matrix is singular."""
    return checked(lambda: solve(A, B, left=left), A, check_errors)


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X with A X = B (X A = B if not `left`) for triangular A: only that triangle is read."""
    if not left:
        return solve_triangular(A.mT, B.mT, upper=not upper, unitriangular=unitriangular).mT
    a, b = promote("solve_triangular", A, B)
    lead = broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2]), op="solve_triangular")
    a, b = a.expand(*lead, *a.shape[-2:]), b.expand(*lead, *b.shape[-2:])
    return call("triangular_solve", a, b, upper=bool(upper), unit=bool(unitriangular))


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X with A X = B from the factors that `lu_factor` gives; with `adjoint`, Aᴴ X = B."""
    if not left:
        return lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint).conj().mT
    lead = broadcast_shapes(tuple(LU.shape[:-2]), tuple(B.shape[:-2]), op="lu_solve")
    b = B.expand(*lead, *B.shape[-2:])
    order = order_of(pivots, LU._data.shape[-2]).expand(*lead, LU._data.shape[-2])
    if adjoint:
        y = solve_triangular(_adjoint(LU), b, upper=False)
        y = solve_triangular(_adjoint(LU), y, upper=True, unitriangular=True)
        back = call("sort", order, axis=order.ndim - 1, descending=False)[1]
        return call("gather", y, back.unsqueeze(-1).expand(*y.shape), axis=y.ndim - 2)
    y = call("gather", b, order.unsqueeze(-1).expand(*b.shape), axis=b.ndim - 2)
    return solve_triangular(LU, solve_triangular(LU, y, upper=False, unitriangular=True), upper=True)


def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X with A X = B from the Cholesky factor of A."""
    low = _adjoint(L) if upper else L
    return solve_triangular(_adjoint(low), solve_triangular(low, B, upper=False), upper=True)


def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """A⁻¹ from the Cholesky factor of A."""
    return cholesky_solve(eye_like(L), L, upper)


def inv(A: Tensor) -> Tensor:
    """The inverse of a square matrix. Raises: LinAlgError if it is singular."""
    return inverse(to_tensor_arg(A, "inv", "A"))


def inv_ex(A: Tensor, *, check_errors: bool = False) -> Checked:
    """(inverse, info): info is 1, and the inverse NaN, if a matrix is singular."""
    return checked(lambda: inv(A), A, check_errors)


def pinv(
    A: Tensor, rcond: Any = None, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Tensor:
    """The pseudo-inverse; singular values up to max(atol, rtol · largest) count as 0.

    rtol is max(m, n) · ε unless atol is given. With `hermitian`, (A + Aᴴ)/2 is taken for A.
    """
    x = to_tensor_arg(A, "pinv", "A")
    absolute, relative = tolerance(x, atol, rtol if rcond is None else rcond)
    if isinstance(absolute, Tensor) or isinstance(relative, Tensor):
        raise ArgumentError("pinv: atol and rtol are numbers; tensors of tolerances are not supported")
    x = (x + _adjoint(x)) * 0.5 if hermitian else x
    return call("pinv", x, rtol=float(relative), atol=float(absolute))


_DRIVERS = (None, "gels", "gelsy", "gelsd", "gelss")


def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> LeastSquares:
    """The X of least norm that minimises ‖A X - B‖, through the pseudo-inverse.

    Args:
        rcond: singular values up to rcond · largest count as 0; max(m, n) · ε unless given.
        driver: LAPACK's routine in PyTorch; here only whether singular values are returned ("gelsd", "gelss").
    """
    if driver not in _DRIVERS:
        raise ArgumentError(f"lstsq: driver is one of gels, gelsy, gelsd, gelss, not {driver!r}")
    a, b, vector = _pair("lstsq", A, B)
    x = pinv(a, rcond) @ b
    rank = matrix_rank(a, rtol=rcond)
    m, n = a.shape[-2:]
    none = call("full", shape=(0,), value=0, dtype=a.dtype.to_real())
    full_rank = m > n and is_plain(rank) and bool((rank._data == n).all())
    gap = abs(a @ x - b)
    residuals = (gap * gap).sum(-2) if full_rank else none
    values = svdvals(a) if driver in ("gelsd", "gelss") else none
    return LeastSquares(
        x.squeeze(-1) if vector else x, residuals.squeeze(-1) if vector and full_rank else residuals, rank, values
    )


# -- determinants -----------------------------------------------------------------------------------------------


def det(A: Tensor) -> Tensor:
    """The determinant. Its derivative at a singular matrix is an error, since it is taken through the inverse."""
    return call("det", to_tensor_arg(A, "det", "A"))


def slogdet(A: Tensor) -> SignLogDet:
    """(sign, log|det|): the determinant where it would be too large or too small for its type."""
    return SignLogDet(*call("slogdet", to_tensor_arg(A, "slogdet", "A")))


def logdet(A: Tensor) -> Tensor:
    """log det; -∞ where it is 0 and, of real matrices, NaN where it is negative."""
    sign, size = slogdet(A)
    if sign.dtype.is_complex:
        return log(sign) + size
    return where(sign < 0, float("nan"), size)


# -- products, powers, exponentials -----------------------------------------------------------------------------


def multi_dot(tensors: Any) -> Tensor:
    """The product of several matrices in the cheapest order; the first and the last may be vectors."""
    xs = list(tensors)
    if len(xs) < 2:
        raise ArgumentError(f"multi_dot: at least two tensors are needed, not {len(xs)}")
    row, column = xs[0].ndim == 1, xs[-1].ndim == 1
    xs[0] = xs[0].unsqueeze(0) if row else xs[0]
    xs[-1] = xs[-1].unsqueeze(1) if column else xs[-1]
    y = multiply_chain(xs)
    y = y.squeeze(0) if row else y
    return y.squeeze(-1) if column else y


def matrix_power(A: Tensor, n: int) -> Tensor:
    """A · A · ... n times, by repeated squaring; negative powers invert first."""
    x = to_tensor_arg(A, "matrix_power", "A")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power: square matrices are needed, not shape {tuple(x.shape)}")
    n = as_int(n, "matrix_power: n")
    if n < 0:
        x, n = inv(x), -n
    result: Tensor | None = None
    while n:
        if n & 1:
            result = x if result is None else result @ x
        n >>= 1
        x = x @ x if n else x
    return eye_like(x) if result is None else result


# Higham, "The Scaling and Squaring Method for the Matrix Exponential Revisited", SIAM J. Matrix Anal. Appl. 26, 2005
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0, 10559470521600.0,
    670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_THETA = 5.371920351148152
_SQUARINGS = 16  # while tracing, the norm is not known: matrices up to a norm of 5.4 · 2^16 are exact


def matrix_exp(A: Tensor) -> Tensor:
    """Σ Aᵏ / k!: by scaling, a Padé approximation of degree 13, and squaring."""
    x = to_tensor_arg(A, "matrix_exp", "A")
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_exp: square matrices are needed, not shape {tuple(x.shape)}")
    if not x._data.size:
        return x.clone()
    size = abs(x).sum(-2).amax(-1).detach()
    steps = ceil(log2(size / _THETA)).clamp(min=0.0)
    steps = where(steps == steps, steps, 0.0)
    most = int(steps._data.max()) if is_plain(steps) else _SQUARINGS
    most = min(most, 1100)
    power = exp2(-steps.clamp(max=float(most)))
    x = x * convert(power, x.dtype).unsqueeze(-1).unsqueeze(-1)
    one = eye_like(x)
    b = _PADE
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    u = x @ (x6 @ (x6 * b[13] + x4 * b[11] + x2 * b[9]) + x6 * b[7] + x4 * b[5] + x2 * b[3] + one * b[1])
    v = x6 @ (x6 * b[12] + x4 * b[10] + x2 * b[8]) + x6 * b[6] + x4 * b[4] + x2 * b[2] + one * b[0]
    y = call("solve", v - u, v + u)
    for k in range(most):
        y = where((steps > float(k)).unsqueeze(-1).unsqueeze(-1), y @ y, y)
    return y


def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse with respect to `tensordot` over the first `ind` axes."""
    shape = tuple(A.shape)
    if not 0 < ind < len(shape):
        raise ArgumentError(f"tensorinv: ind lies between 1 and {len(shape) - 1}, but {ind} was given")
    n, m = math.prod(shape[:ind]), math.prod(shape[ind:])
    if n != m:
        raise ShapeError(f"tensorinv: the first {ind} axes of {shape} have {n} elements, the others {m}")
    return inv(A.reshape(n, m)).reshape(*shape[ind:], *shape[:ind])


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; axes `dims` of A are moved to the end first."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    rest = tuple(A.shape[B.ndim :])
    n = math.prod(rest)
    if n != B._data.size:
        raise ShapeError(f"tensorsolve: {tuple(A.shape)} does not make a square system for B of shape {tuple(B.shape)}")
    return solve(A.reshape(n, n), B.reshape(n)).reshape(*rest)
