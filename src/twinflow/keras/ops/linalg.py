"""Linear algebra: `keras.ops.linalg`. The same functions stand in `keras.ops`."""

from twinflow.keras.ops._products import cholesky as cholesky
from twinflow.keras.ops._products import cholesky_inverse as cholesky_inverse
from twinflow.keras.ops._products import det as det
from twinflow.keras.ops._products import eig as eig
from twinflow.keras.ops._products import eigh as eigh
from twinflow.keras.ops._products import inv as inv
from twinflow.keras.ops._products import jvp as jvp
from twinflow.keras.ops._products import lstsq as lstsq
from twinflow.keras.ops._products import lu_factor as lu_factor
from twinflow.keras.ops._products import matrix_rank as matrix_rank
from twinflow.keras.ops._products import norm as norm
from twinflow.keras.ops._products import pinv as pinv
from twinflow.keras.ops._products import qr as qr
from twinflow.keras.ops._products import solve as solve
from twinflow.keras.ops._products import solve_triangular as solve_triangular
from twinflow.keras.ops._products import svd as svd
