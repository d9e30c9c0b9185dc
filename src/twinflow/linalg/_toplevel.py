"""The names that PyTorch also has at its top level and as methods, with the arguments they have there."""

from __future__ import annotations

from typing import Any

from twinflow.linalg import _decompositions as D
from twinflow.linalg import _solving as S
from twinflow.tensor import Tensor

cholesky_inverse, cholesky_solve, lu_unpack = S.cholesky_inverse, S.cholesky_solve, D.lu_unpack
det, slogdet, logdet, matrix_power, matrix_exp = S.det, S.slogdet, S.logdet, S.matrix_power, S.matrix_exp
inverse, pinverse = S.inv, S.pinv


def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factor: see `linalg.cholesky`."""
    return D.cholesky(input, upper=upper)


def qr(input: Tensor, some: bool = True) -> Any:
    """(Q, R): see `linalg.qr`; `some` is its mode "reduced"."""
    return D.qr(input, "reduced" if some else "complete")


def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) with A = U diag(S) Vᴴ: unlike `linalg.svd` it gives V itself; without compute_uv, U and V are zeros."""
    u, s, vh = D.svd(input, not some)
    v = vh.mH
    return (u, s, v) if compute_uv else (u * 0.0, s, v * 0.0)


def lu_solve(b: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X with A X = b from the factors of A: see `linalg.lu_solve`."""
    return S.lu_solve(LU_data, LU_pivots, b)


for _name, _fn in {
    "cholesky": cholesky, "cholesky_inverse": cholesky_inverse, "cholesky_solve": cholesky_solve, "det": det, "slogdet": slogdet, "logdet": logdet,
    "matrix_power": matrix_power, "matrix_exp": matrix_exp, "inverse": inverse, "pinverse": pinverse, "qr": qr, "svd": svd, "lu_solve": lu_solve,
}.items():  # fmt: skip
    setattr(Tensor, _name, _fn)
