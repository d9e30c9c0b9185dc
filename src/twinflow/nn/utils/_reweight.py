"""Weight and spectral normalisation as hooks that make the weight anew before each forward."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.nn.functional import normalize
from twinflow.nn.functional._distance import p_norm
from twinflow.ops import mv, randn
from twinflow.ops import sum as sum_
from twinflow.tensor import Tensor, no_grad


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The norm over all axes but one, which stay with extent 1; over all if `dim` is None."""
    axes = tuple(i for i in range(v.ndim) if dim is None or i != dim % v.ndim)
    return p_norm(v, 2, axes, dim is not None)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with axis `dim` as rows and all others joined as columns."""
    axes = (dim, *(i for i in range(weight.ndim) if i != dim))
    return weight.permute(axes).reshape(weight.shape[dim], -1)


def power_steps(matrix: Tensor, u: Tensor, v: Tensor, steps: int, eps: float) -> None:
    """Move u and v, in place, towards the singular vectors of the largest singular value."""
    with no_grad():
        for _ in range(steps):
            v.copy_(normalize(mv(matrix.t(), u), dim=0, eps=eps))
            u.copy_(normalize(mv(matrix, v), dim=0, eps=eps))


def largest_singular_value(matrix: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """uᵀ W v: u and v count as constants."""
    return sum_(u.detach().clone() * mv(matrix, v.detach().clone()))


class _Hook:
    """A forward pre-hook that sets `module.<name>`; found again by its type when it is removed."""

    def __init__(self, name: str) -> None:
        self.name = name

    def weight(self, module: Module) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define weight(self, module)")

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.weight(module))


def _take_parameter(op: str, module: Module, name: str) -> Parameter:
    p = module._parameters.get(name)
    if p is None:
        there = ", ".join(k for k, v in module._parameters.items() if v is not None) or "none"
        raise ArgumentError(f"{op}: {type(module).__name__} has no parameter {name!r}; it has {there}")
    del module._parameters[name]
    return p


def _remove(op: str, module: Module, name: str, kind: type[_Hook], parts: tuple[str, ...]) -> Module:
    hooks = module.__dict__.get("_forward_pre_hooks", {})
    for key, (hook, _) in list(hooks.items()):
        if isinstance(hook, kind) and hook.name == name:
            with no_grad():
                value = hook.weight(module)
            del hooks[key]
            module.__dict__.pop(name, None)
            for part in parts:
                delattr(module, name + part)
            module.register_parameter(name, Parameter(value.detach()))
            return module
    raise ArgumentError(f"{op}: {name!r} of this {type(module).__name__} has no such normalisation")


class _WeightNorm(_Hook):
    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def weight(self, module: Module) -> Tensor:
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except(v, self.dim))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split a weight into its size and direction, w = g · v / ‖v‖: parameters <name>_g and <name>_v.

    Args:
        dim: the axis that keeps its own sizes; None for one size of all.
    Source: Salimans and Kingma, arXiv:1602.07868.
    """
    p = _take_parameter("weight_norm", module, name)
    module.register_parameter(name + "_g", Parameter(norm_except(p.detach(), dim)))
    module.register_parameter(name + "_v", Parameter(p.detach()))
    hook = _WeightNorm(name, dim)
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Undo `weight_norm`: the weight is a parameter again."""
    return _remove("remove_weight_norm", module, name, _WeightNorm, ("_g", "_v"))


class _SpectralNorm(_Hook):
    def __init__(self, name: str, steps: int, eps: float, dim: int) -> None:
        super().__init__(name)
        self.steps, self.eps, self.dim = steps, eps, dim

    def weight(self, module: Module) -> Tensor:
        w = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = as_matrix(w, self.dim)
        if module.training:
            power_steps(matrix.detach(), u, v, self.steps, self.eps)
        return w / largest_singular_value(matrix, u, v)


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its largest singular value, which power iteration follows: parameter <name>_orig and buffers
    <name>_u, <name>_v. Miyato et al., arXiv:1802.05957.

    Args:
        dim: the axis of the outputs; by default 1 for transposed convolutions and 0 otherwise.
    """
    if n_power_iterations < 1:
        raise ArgumentError(f"spectral_norm: n_power_iterations must be at least 1, but {n_power_iterations} was given")
    if dim is None:
        dim = int(bool(getattr(module, "transposed", False)))
    p = _take_parameter("spectral_norm", module, name)
    matrix = as_matrix(p.detach(), dim)
    module.register_parameter(name + "_orig", p)
    module.register_buffer(name + "_u", normalize(randn(matrix.shape[0], dtype=p.dtype), dim=0, eps=eps))
    module.register_buffer(name + "_v", normalize(randn(matrix.shape[1], dtype=p.dtype), dim=0, eps=eps))
    hook = _SpectralNorm(name, n_power_iterations, eps, dim)
    module.__dict__[name] = p.detach()
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Undo `spectral_norm`: the weight is a parameter again."""
    return _remove("remove_spectral_norm", module, name, _SpectralNorm, ("_orig", "_u", "_v"))
