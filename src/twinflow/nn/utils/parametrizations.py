"""Ready-made parametrizations: weight norm, spectral norm."""

from __future__ import annotations

from twinflow.core.errors import ArgumentError
from twinflow.nn._module import Module
from twinflow.nn.functional import normalize
from twinflow.nn.utils._reweight import as_matrix, largest_singular_value, norm_except, power_steps
from twinflow.nn.utils.parametrize import register_parametrization
from twinflow.ops import randn
from twinflow.tensor import Tensor


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
