"""Clipping gradients, and parameters as one vector."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from twinflow.core.errors import ArgumentError, GradientError, ShapeError
from twinflow.ops import amax, cat, clamp, full, sqrt, stack, sum
from twinflow.tensor import Tensor, no_grad


def _gradients(parameters: Any) -> list[Tensor]:
    if isinstance(parameters, Tensor):
        parameters = [parameters]
    return [g for p in parameters if (g := p.grad) is not None]


def get_total_norm(tensors: Any, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The norm of all elements of the tensors together."""
    p = float(norm_type)
    xs = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    with no_grad():
        if not xs:
            return full((), 0.0)
        if p == math.inf:
            total = amax(stack([amax(x.abs()) for x in xs]))
        elif p == 2:
            total = sqrt(sum(stack([sum(x * x) for x in xs])))
        else:
            total = sum(stack([sum(x.abs() ** p) for x in xs])) ** (1.0 / p)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise GradientError(
            f"the total norm of the gradients is {total.item()}, so they cannot be clipped; autograd.set_detect_anomaly(True) "
            "finds the operation that made it, error_if_nonfinite=False ignores it"
        )
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Tensor) -> None:
    """Scale the gradients in place so that a total norm of `total_norm` becomes `max_norm` at most."""
    with no_grad():
        scale = clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
        for g in _gradients(parameters):
            g.mul_(scale.to(dtype=g.dtype))


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients in place so that their norm together is `max_norm` at most.

    Args:
        parameters: tensors with gradients, or one; those without are passed over.
        norm_type: p of the p-norm; `inf` for the largest element.
        error_if_nonfinite: raise GradientError if the norm is NaN or infinite.
        foreach: accepted for PyTorch's sake; there is one implementation.
    Returns: the norm before clipping.
    """
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(params), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(params, max_norm, total)
    return total


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value], in place."""
    with no_grad():
        for g in _gradients(parameters):
            g.copy_(clamp(g, -float(clip_value), float(clip_value)))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements one after the other."""
    parts = [p.reshape(-1) for p in parameters]
    if not parts:
        raise ArgumentError("parameters_to_vector: there are no parameters")
    return cat(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write the elements of a vector into the parameters, in the order of `parameters_to_vector`."""
    params = list(parameters)
    total = math.fsum(p.numel() for p in params)
    if vec.ndim != 1 or vec.numel() != total:
        raise ShapeError(
            f"vector_to_parameters: the parameters have {int(total)} elements, but the vector has shape {tuple(vec.shape)}"
        )
    at = 0
    with no_grad():
        for p in params:
            n = p.numel()
            p.copy_(vec[at : at + n].reshape(tuple(p.shape)))
            at += n
