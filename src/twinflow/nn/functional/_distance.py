"""Distances and normalisation of vectors."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.nn.functional._arguments import tensors
from twinflow.ops import amax, broadcast_tensors, call, clamp, maximum, sqrt, sum, tensor, where
from twinflow.tensor import Tensor


def p_norm(x: Tensor, p: float, dim: Any, keepdim: bool) -> Tensor:
    """(Σ |x|^p)^(1/p) along an axis; the largest for p = ∞; its derivative at 0 is 0."""
    x = x.abs() if x.dtype.is_complex else x
    if p == math.inf:
        return amax(x.abs(), dim, keepdim)
    if p == 1:
        return sum(x.abs(), dim, keepdim)
    if p == 0:
        return sum((x != 0).to(dtype=x.dtype), dim, keepdim)
    total = sum(x * x if p == 2 else x.abs() ** p, dim, keepdim)
    safe = where(total > 0, total, 1.0)
    return where(total > 0, sqrt(safe) if p == 2 else safe ** (1.0 / p), 0.0)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖, eps) along an axis."""
    return input / clamp(p_norm(input, p, dim, True), eps)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """‖x₁ - x₂ + eps‖ over the last axis."""
    tensors("pairwise_distance", x1=x1, x2=x2)
    if x1.shape[-1:] != x2.shape[-1:]:
        raise ShapeError(
            f"pairwise_distance: the vectors have {x1.shape[-1:]} and {x2.shape[-1:]} elements; they must agree"
        )
    return p_norm(x1 - x2 + eps, p, -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x₁ · x₂ / (max(‖x₁‖, eps) · max(‖x₂‖, eps)) along an axis."""
    tensors("cosine_similarity", x1=x1, x2=x2)
    x1, x2 = broadcast_tensors(x1, x2)
    n1, n2 = p_norm(x1, 2, dim, True), p_norm(x2, 2, dim, True)
    return sum((x1 / maximum(n1, eps)) * (x2 / maximum(n2, eps)), dim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The distances between all pairs of rows (i < j) of a matrix, in order."""
    tensors("pdist", input=input)
    if input.ndim != 2:
        raise ShapeError(f"pdist: a matrix is needed, but the shape is {tuple(input.shape)}")
    n = input.shape[0]
    first = [i for i in range(n) for _ in range(i + 1, n)]
    second = [j for i in range(n) for j in range(i + 1, n)]
    a, b = (call("take", input, tensor(v, dtype="int64"), axis=0) for v in (first, second))
    return p_norm(a - b, p, -1, False)
