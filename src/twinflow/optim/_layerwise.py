"""Optimizers that look at signs, norms or singular directions: Lion, LAMB and Muon."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import sign, sqrt, where
from twinflow.optim._adam import moments, shrink
from twinflow.optim._optimizer import Member, Optimizer, ParamGroup, number, zeros_like_state
from twinflow.tensor import Tensor


class Lion(Optimizer):
    """Evolved sign momentum: every weight moves by the same amount.

    w ← w·(1 − η·λ) − η·sign(β₁·m + (1 − β₁)·g),  m ← β₂·m + (1 − β₂)·g

    Args:
        lr: η; 3 to 10 times smaller than for Adam.
        betas: (β₁, β₂).
        weight_decay: λ.
        maximize: climb instead.
    Source: Chen et al. 2023, arXiv:2302.06675.

    >>> import twinflow
    >>> w = twinflow.tensor([1.0, -2.0], requires_grad=True)
    >>> optimizer = twinflow.optim.Lion([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([ 0.5000, -1.5000], requires_grad=True)
    """

    _counts = False
    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"exp_avg": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        shrink(group, lr, members)
        for p, g, s in members:
            m = s["exp_avg"]
            p.sub_(sign(m * beta1 + g * (1 - beta1)).mul_(lr))
            m.mul_(beta2).add_(g * (1 - beta2))


class LAMB(Optimizer):
    """Adam's direction, with steps of each layer in proportion to the norm of its weights: for very large batches.

    r = m̂ / (√v̂ + ε) + λ·w,  w ← w − η · (‖w‖ / ‖r‖) · r;  the ratio is 1 where a norm is 0

    Args:
        lr: η.
        betas: (β₁, β₂).
        eps: ε.
        weight_decay: λ.
        maximize: climb instead.
        bias_correction: m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ); or m and v themselves.
    Source: You et al. 2020, arXiv:1904.00962.
    """

    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
        *,
        maximize: bool = False,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "bias_correction": bias_correction,
            },
        )  # fmt: skip

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"exp_avg": zeros_like_state(p), "exp_avg_sq": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        decay = number(group, "weight_decay") if group["weight_decay"] else None
        scale, eps = 1.0, group["eps"]
        if group["bias_correction"]:
            c = (1 - beta2**t) ** 0.5
            scale, eps = c / (1 - beta1**t), eps * c
        for p, g, s in members:
            m, v = moments(s, g, beta1, beta2)
            r = (m / sqrt(v).add_(eps)).mul_(scale)
            if decay is not None:
                r = r + p * decay
            size, length = (p * p).sum().sqrt(), (r * r).sum().sqrt()
            useful = (size > 0) & (length > 0)
            ratio = where(useful, size / where(useful, length, 1.0), 1.0)
            p.sub_(r * (ratio * lr))


class Muon(Optimizer):
    """Momentum whose singular values are set to (nearly) one, for the matrices of hidden layers.

    b ← μ·b + (1 − μ)·g,  u = μ·b + (1 − μ)·g with nesterov, else b;  w ← w·(1 − η·λ) − η′·orthogonal(u)

    orthogonal(u) comes from Newton and Schulz' iteration X ← a·X + (b·A + c·A²)·X with A = X·Xᵀ, starting from u / ‖u‖. It is computed in
    the type of the parameter (PyTorch: always in bfloat16).

    Args:
        params: matrices only; biases, embeddings and output layers belong to another optimizer such as AdamW.
        lr: η.
        weight_decay: λ.
        momentum: μ.
        nesterov: see above.
        ns_coefficients, ns_steps: (a, b, c), and how many iterations.
        eps: the least ‖u‖ to divide by.
        adjust_lr_fn: how η′ follows from the matrix's shape [A, B]: "original", η·√max(1, A/B), or "match_rms_adamw",
            0.2·η·√max(A, B), with which AdamW's rates fit.
    Raises: ShapeError for parameters that are no matrices.
    Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv:2502.16982.
    """

    _counts = False
    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(f"Muon: adjust_lr_fn is 'original' or 'match_rms_adamw', not {adjust_lr_fn!r}")
        if not 1 <= ns_steps < 100:
            raise ArgumentError(f"Muon: ns_steps must be between 1 and 99, but {ns_steps!r} was given")
        super().__init__(
            params,
            {
                "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients,
                "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
            },
        )  # fmt: skip

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        for p in group["params"]:
            if p.ndim != 2:
                raise ShapeError(
                    f"Muon: parameters are matrices, but one has shape {tuple(p.shape)}; give it to another optimizer"
                )

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"momentum_buffer": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, momentum = number(group, "lr"), number(group, "momentum")
        shrink(group, lr, members)
        for p, g, s in members:
            b = s["momentum_buffer"]
            b.mul_(momentum).add_(g * (1 - momentum))
            u = b * momentum + g * (1 - momentum) if group["nesterov"] else b
            rows, columns = p.shape
            factor = (
                0.2 * math.sqrt(max(rows, columns))
                if group["adjust_lr_fn"] == "match_rms_adamw"
                else math.sqrt(max(1, rows / columns))
            )
            p.sub_(orthogonal(u, group["ns_coefficients"], group["ns_steps"], group["eps"]) * (lr * factor))


def orthogonal(u: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A matrix with the singular vectors of `u` and singular values near 1, by Newton and Schulz' iteration."""
    a, b, c = coefficients
    tall = u.shape[0] > u.shape[1]
    x = u.t() if tall else u
    x = x / (x * x).sum().sqrt().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = x * a + (gram * b + gram @ gram * c) @ x
    return x.t() if tall else x
