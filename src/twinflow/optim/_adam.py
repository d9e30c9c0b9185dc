"""Adam and its relatives: steps scaled by running moments of the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.ops import abs, maximum, sqrt
from twinflow.optim._optimizer import Member, Optimizer, ParamGroup, choose, number, zeros_like_state
from twinflow.tensor import MODE, Tensor, wrap


def shrink(group: ParamGroup, lr: Any, members: list[Member]) -> None:
    """Decoupled weight decay: w ← w·(1 − η·λ)."""
    if group["weight_decay"]:
        keep = 1 - lr * number(group, "weight_decay")
        for p, _, _ in members:
            p.mul_(keep)


def moments(s: dict[str, Any], g: Tensor, beta1: Any, beta2: Any) -> tuple[Tensor, Tensor]:
    """Advance the running means of g and g²."""
    m, v = s["exp_avg"], s["exp_avg_sq"]
    m.mul_(beta1).add_(g * (1 - beta1))
    v.mul_(beta2).add_((g * g).mul_(1 - beta2))
    return m, v


class _Moments(Optimizer):
    """State of two running means."""

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"exp_avg": zeros_like_state(p), "exp_avg_sq": zeros_like_state(p)}


class Adam(_Moments):
    """Adam: adaptive moment estimation.

    m ← β₁·m + (1 − β₁)·g,  v ← β₂·v + (1 − β₂)·g²,  w ← w − η · m̂ / (√v̂ + ε)

    with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), or m and v themselves with `bias_correction=False`, as some articles
    write it.

    Args:
        lr: η ≥ 0.
        betas: (β₁, β₂).
        eps: ε, added outside the root.
        weight_decay: λ; g ← g + λ·w, or w ← w·(1 − η·λ) with `decoupled_weight_decay`.
        amsgrad: divide by the root of the largest v̂ so far.
        maximize: climb instead.
        bias_correction: see above.
    Source: Kingma and Ba 2015, arXiv:1412.6980; AMSGrad: Reddi et al. 2018.

    >>> import twinflow
    >>> w = twinflow.tensor([1.0], requires_grad=True)
    >>> optimizer = twinflow.optim.Adam([w], lr=0.1)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.9000], requires_grad=True)
    """

    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
                "decoupled_weight_decay": decoupled_weight_decay, "bias_correction": bias_correction,
            },
        )  # fmt: skip

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        state = super()._new_state(p, group)
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = zeros_like_state(p)
        return state

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        coupled = None
        if group["decoupled_weight_decay"]:
            shrink(group, lr, members)
        elif group["weight_decay"]:
            coupled = number(group, "weight_decay")
        # η·m̂ / (√v̂ + ε) = (η·c / (1 − β₁ᵗ)) · m / (√v + ε·c) with c = √(1 − β₂ᵗ): the corrections touch numbers only
        rate, eps = lr, group["eps"]
        if group["bias_correction"]:
            c = (1 - beta2**t) ** 0.5
            rate, eps = lr * c / (1 - beta1**t), eps * c
        for p, g, s in members:
            if coupled is not None:
                g = g + p * coupled
            m, v = moments(s, g, beta1, beta2)
            if group["amsgrad"]:
                v = s["max_exp_avg_sq"].copy_(maximum(s["max_exp_avg_sq"], v))
            p.sub_((m / sqrt(v).add_(eps)).mul_(rate))


class AdamW(Adam):
    """Adam with decoupled weight decay: w ← w·(1 − η·λ), then Adam's step without λ in the gradient.

    Source: Loshchilov and Hutter 2019, arXiv:1711.05101.

    >>> import twinflow
    >>> twinflow.optim.AdamW([twinflow.ones(2, requires_grad=True)]).defaults["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        bias_correction: bool = True,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad,
            maximize=maximize, decoupled_weight_decay=True, bias_correction=bias_correction,
        )  # fmt: skip


class NAdam(_Moments):
    """Adam with Nesterov momentum.

    μₜ = β₁·(1 − ½·0.96^(t·ψ)),  w ← w − η · (μₜ₊₁·m / (1 − Π₁ᵗ⁺¹μ) + (1 − μₜ)·g / (1 − Π₁ᵗμ)) / (√v̂ + ε)

    Args:
        lr, betas, eps, weight_decay, decoupled_weight_decay, maximize: as for Adam.
        momentum_decay: ψ.
    Source: Dozat 2016, "Incorporating Nesterov Momentum into Adam".
    """

    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {**super()._new_state(p, group), "mu_product": wrap(np.ones((), np.float32))}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        coupled = None
        if group["decoupled_weight_decay"]:
            shrink(group, lr, members)
        elif group["weight_decay"]:
            coupled = number(group, "weight_decay")
        c = (1 - beta2**t) ** 0.5
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * group["momentum_decay"]))
        for p, g, s in members:
            if coupled is not None:
                g = g + p * coupled
            m, v = moments(s, g, beta1, beta2)
            product: Any = s["mu_product"].mul_(mu)
            if MODE.tracer is None:
                product = product.item()
            step = g * (lr * (1 - mu) / (1 - product)) + m * (lr * mu_next / (1 - product * mu_next))
            p.sub_(step.div_((sqrt(v) / c).add_(group["eps"])))


class RAdam(_Moments):
    """Adam that waits with the second moment until its estimate is reliable.

    ρₜ = ρ∞ − 2t·β₂ᵗ / (1 − β₂ᵗ) with ρ∞ = 2/(1 − β₂) − 1. If ρₜ > 5: w ← w − η·m̂·rₜ / (√v̂ + ε), with
    rₜ = √((ρₜ−4)(ρₜ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρₜ)); otherwise w ← w − η·m̂.

    Args:
        lr, betas, eps, weight_decay, decoupled_weight_decay, maximize: as for Adam.
    Source: Liu et al. 2020, arXiv:1908.03265.
    """

    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
                "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        coupled = None
        if group["decoupled_weight_decay"]:
            shrink(group, lr, members)
        elif group["weight_decay"]:
            coupled = number(group, "weight_decay")
        correction = 1 - beta2**t
        rho_end = 2 / (1 - beta2) - 1
        rho = rho_end - 2 * t * beta2**t / correction
        reliable = rho > 5
        known = choose(reliable, rho, 5.0)  # keeps the root real where it is not used
        r = ((known - 4) * (known - 2) * rho_end / ((rho_end - 4) * (rho_end - 2) * known)) ** 0.5
        rate, scale = lr / (1 - beta1**t), r * correction**0.5
        for p, g, s in members:
            if coupled is not None:
                g = g + p * coupled
            m, v = moments(s, g, beta1, beta2)
            if isinstance(reliable, Tensor):
                p.sub_(m * rate * choose(reliable, scale / sqrt(v).add_(group["eps"]), 1.0))
            elif reliable:
                p.sub_((m / sqrt(v).add_(group["eps"])).mul_(rate * scale))
            else:
                p.sub_(m * rate)


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the second moment.

    m ← β₁·m + (1 − β₁)·g,  u ← max(β₂·u, |g| + ε),  w ← w − η / (1 − β₁ᵗ) · m / u

    Args:
        lr, betas, eps, weight_decay, maximize: as for Adam.
    Source: Kingma and Ba 2015, arXiv:1412.6980, sec. 7.1.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"exp_avg": zeros_like_state(p), "exp_inf": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        rate = lr / (1 - beta1**t)
        for p, g, s in members:
            m, u = s["exp_avg"], s["exp_inf"]
            m.mul_(beta1).add_(g * (1 - beta1))
            u.copy_(maximum(u * beta2, abs(g) + group["eps"]))
            p.sub_((m / u).mul_(rate))
