"""Linear algebra: the functions of `torch.linalg`, with derivatives, on matrices in the last two axes."""

from twinflow.core.errors import LinAlgError as LinAlgError
from twinflow.linalg._decompositions import cholesky as cholesky
from twinflow.linalg._decompositions import cholesky_ex as cholesky_ex
from twinflow.linalg._decompositions import eig as eig
from twinflow.linalg._decompositions import eigh as eigh
from twinflow.linalg._decompositions import eigvals as eigvals
from twinflow.linalg._decompositions import eigvalsh as eigvalsh
from twinflow.linalg._decompositions import householder_product as householder_product
from twinflow.linalg._decompositions import lu as lu
from twinflow.linalg._decompositions import lu_factor as lu_factor
from twinflow.linalg._decompositions import lu_factor_ex as lu_factor_ex
from twinflow.linalg._decompositions import matrix_rank as matrix_rank
from twinflow.linalg._decompositions import qr as qr
from twinflow.linalg._decompositions import svd as svd
from twinflow.linalg._decompositions import svdvals as svdvals
from twinflow.linalg._norms import cond as cond
from twinflow.linalg._norms import cross as cross
from twinflow.linalg._norms import diagonal as diagonal
from twinflow.linalg._norms import matrix_norm as matrix_norm
from twinflow.linalg._norms import norm as norm
from twinflow.linalg._norms import vander as vander
from twinflow.linalg._norms import vecdot as vecdot
from twinflow.linalg._norms import vector_norm as vector_norm
from twinflow.linalg._solving import det as det
from twinflow.linalg._solving import inv as inv
from twinflow.linalg._solving import inv_ex as inv_ex
from twinflow.linalg._solving import lstsq as lstsq
from twinflow.linalg._solving import lu_solve as lu_solve
from twinflow.linalg._solving import matrix_exp as matrix_exp
from twinflow.linalg._solving import matrix_power as matrix_power
from twinflow.linalg._solving import multi_dot as multi_dot
from twinflow.linalg._solving import pinv as pinv
from twinflow.linalg._solving import slogdet as slogdet
from twinflow.linalg._solving import solve as solve
from twinflow.linalg._solving import solve_ex as solve_ex
from twinflow.linalg._solving import solve_triangular as solve_triangular
from twinflow.linalg._solving import tensorinv as tensorinv
from twinflow.linalg._solving import tensorsolve as tensorsolve
from twinflow.ops import matmul as matmul
from twinflow.ops._keywords import add_keywords as _add_keywords

_add_keywords(
    globals(),
    "cholesky cholesky_ex cond cross det eig eigh eigvals eigvalsh householder_product inv inv_ex lstsq lu lu_factor lu_solve matmul "
    "matrix_exp matrix_norm matrix_power matrix_rank multi_dot norm pinv qr slogdet solve solve_ex solve_triangular svd svdvals "
    "tensorinv tensorsolve vecdot vector_norm",
)
