"""Steps scaled by the size of past gradients: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from typing import Any

from twinflow.ops import sqrt
from twinflow.optim._optimizer import Member, Optimizer, ParamGroup, full_like_state, number, zeros_like_state
from twinflow.tensor import Tensor


class Adagrad(Optimizer):
    """Adagrad: s ← s + g²,  w ← w − η / (1 + (t − 1)·d) · g / (√s + ε).

    Args:
        lr: η.
        lr_decay: d.
        weight_decay: λ; g ← g + λ·w.
        initial_accumulator_value: the first s.
        eps: ε.
        maximize: climb instead.
    Source: Duchi, Hazan and Singer 2011, JMLR 12.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
            },
        )  # fmt: skip

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"sum": full_like_state(p, group["initial_accumulator_value"])}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        rate = number(group, "lr") / (1 + (t - 1) * group["lr_decay"])
        for p, g, s in members:
            total = s["sum"].add_(g * g)
            p.sub_((g / sqrt(total).add_(group["eps"])).mul_(rate))


class Adadelta(Optimizer):
    """Adadelta: steps in the units of the weights, from running means of squared gradients and squared steps.

    s ← ρ·s + (1 − ρ)·g²,  d = g·√(u + ε) / √(s + ε),  u ← ρ·u + (1 − ρ)·d²,  w ← w − η·d

    Args:
        lr: η.
        rho: ρ.
        eps: ε.
        weight_decay: λ; g ← g + λ·w.
        maximize: climb instead.
    Source: Zeiler 2012, arXiv:1212.5701.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"square_avg": zeros_like_state(p), "acc_delta": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, rho, eps = number(group, "lr"), group["rho"], group["eps"]
        for p, g, s in members:
            square, steps = s["square_avg"], s["acc_delta"]
            square.mul_(rho).add_((g * g).mul_(1 - rho))
            delta = sqrt(steps + eps).div_(sqrt(square + eps)).mul_(g)
            steps.mul_(rho).add_((delta * delta).mul_(1 - rho))
            p.sub_(delta * lr)


class RMSprop(Optimizer):
    """RMSprop: gradients divided by the root of their running mean square.

    s ← α·s + (1 − α)·g²,  w ← w − η·g / (√s + ε)

    With `centered`, s is reduced by the square of the running mean of g; with `momentum`, b ← μ·b + g/(√s + ε) and
    w ← w − η·b.

    Args:
        lr: η.
        alpha: α.
        eps: ε.
        weight_decay: λ; g ← g + λ·w.
        momentum: μ.
        centered: see above.
        maximize: climb instead.
    Source: Hinton 2012, lecture 6e; centered: Graves 2013, arXiv:1308.0850.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
                "weight_decay": weight_decay, "maximize": maximize,
            },
        )  # fmt: skip

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        state = {"square_avg": zeros_like_state(p)}
        if group["momentum"]:
            state["momentum_buffer"] = zeros_like_state(p)
        if group["centered"]:
            state["grad_avg"] = zeros_like_state(p)
        return state

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, alpha, eps = number(group, "lr"), group["alpha"], group["eps"]
        momentum = number(group, "momentum") if group["momentum"] else None
        for p, g, s in members:
            square = s["square_avg"].mul_(alpha).add_((g * g).mul_(1 - alpha))
            if group["centered"]:
                mean = s["grad_avg"].mul_(alpha).add_(g * (1 - alpha))
                square = square - mean * mean
            scaled = g / sqrt(square).add_(eps)
            if momentum is not None:
                scaled = s["momentum_buffer"].mul_(momentum).add_(scaled)
            p.sub_(scaled * lr)
