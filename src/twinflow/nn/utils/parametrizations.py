"""Ready-made parametrizations: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.linalg import householder_product, matrix_exp, qr, solve
from twinflow.nn._module import Module
from twinflow.nn.functional import normalize
from twinflow.nn.utils._reweight import as_matrix, largest_singular_value, norm_except, power_steps
from twinflow.nn.utils.parametrize import register_parametrization
from twinflow.ops import cat, eye, randn, zeros
from twinflow.tensor import Tensor, no_grad


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        """g · v / ‖v‖."""
        return v * (g / norm_except(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(size, direction)."""
        return norm_except(weight, self.dim), weight.detach().clone()


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """w = g · v / ‖v‖, with g as `original0` and v as `original1`. Salimans and Kingma, arXiv:1602.07868."""
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps
        matrix = as_matrix(weight.detach(), dim)
        self.register_buffer("_u", normalize(randn(matrix.shape[0], dtype=weight.dtype), dim=0, eps=eps))
        self.register_buffer("_v", normalize(randn(matrix.shape[1], dtype=weight.dtype), dim=0, eps=eps))
        power_steps(matrix, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        """W / σ(W)."""
        matrix = as_matrix(weight, self.dim)
        if self.training:
            power_steps(matrix.detach(), self._u, self._v, self.n_power_iterations, self.eps)
        return weight / largest_singular_value(matrix, self._u, self._v)

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself: it is normalised when it is used."""
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """W divided by its largest singular value, which power iteration follows. Miyato et al., arXiv:1802.05957."""
    weight = module.get_parameter(name)
    if n_power_iterations < 1:
        raise ArgumentError(f"spectral_norm: n_power_iterations must be at least 1, but {n_power_iterations} was given")
    if dim is None:
        dim = int(bool(getattr(module, "transposed", False)))
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if it has more columns than rows) from one without constraints."""

    def __init__(self, orthogonal_map: str, wide: bool) -> None:
        super().__init__()
        self.orthogonal_map, self.wide = orthogonal_map, wide

    def forward(self, X: Tensor) -> Tensor:
        """exp(A) or (I − A/2)⁻¹(I + A/2) of the antisymmetric A = L − Lᴴ, or a product of reflections; L is the lower triangle."""
        X = X.mT if self.wide else X
        n, k = X.shape[-2:]
        if self.orthogonal_map == "householder":
            below = X.tril(-1)
            tau = 2.0 / (1.0 + (below * below).sum(-2))
            # a reflection more or less turns a column round: the signs of the diagonal say which way it points
            Q = householder_product(below, tau) * X.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        else:
            lower = X.tril()
            if n != k:
                lower = cat([lower, zeros(*X.shape[:-1], n - k, dtype=X.dtype)], -1)
            A = lower - lower.mH
            if self.orthogonal_map == "matrix_exp":
                Q = matrix_exp(A)
            else:
                one = eye(n, dtype=A.dtype)
                Q = solve(one - A * 0.5, (one + A * 0.5).expand(tuple(A.shape)))
            Q = Q[..., :k] if n != k else Q
        base = self._buffers.get("base")
        Q = Q if base is None else base @ Q
        return Q.mT if self.wide else Q


class _OrthogonalFrom(_Orthogonal):
    """The same, beginning at a given orthogonal matrix: W = base · Q(X), with Q(X) = I at the start."""

    def right_inverse(self, value: Tensor) -> Tensor:
        """Take the orthogonal matrix next to `value` as the base; X = −I then stands for it."""
        tall = value.mT if self.wide else value
        n, k = tall.shape[-2:]
        full = tall if n == k else cat([tall, randn(*tall.shape[:-1], n - k, dtype=value.dtype)], -1)
        Q, R = qr(full)
        self.base = Q * R.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)
        minus = -eye(n, k, dtype=value.dtype)
        minus = minus.expand(tuple(tall.shape)).clone()
        return minus.mT.contiguous() if self.wide else minus


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """A weight whose columns (or rows, if there are fewer) are orthonormal, whatever the optimizer does.

    Args:
        orthogonal_map: "matrix_exp", "cayley" or "householder"; by default the first for square weights, the last otherwise.
        use_trivialization: begin at the orthogonal matrix next to the present weight, which may also be assigned later.
    Source: Lezcano-Casado, arXiv:1909.09501.

    >>> import twinflow
    >>> from twinflow import nn
    >>> w = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)).weight
    >>> twinflow.allclose(w.T @ w, twinflow.eye(3), atol=1e-5)
    True
    """
    weight = module.get_parameter(name)
    if weight.ndim < 2:
        raise ShapeError(f"orthogonal: a matrix is needed, but {name!r} has shape {tuple(weight.shape)}")
    n, k = weight.shape[-2:]
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if n == k or weight.dtype.is_complex else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ArgumentError(
            f"orthogonal: orthogonal_map is 'matrix_exp', 'cayley' or 'householder', not {orthogonal_map!r}"
        )
    if orthogonal_map == "householder" and weight.dtype.is_complex:
        raise ArgumentError("orthogonal: the householder map is for real weights; use 'matrix_exp'")
    made = (_OrthogonalFrom if use_trivialization else _Orthogonal)(orthogonal_map, n < k)
    if use_trivialization:
        with no_grad():
            made.register_buffer("base", eye(max(n, k), dtype=weight.dtype))
    return register_parametrization(module, name, made, unsafe=True)
