"""Gradient descent, its averaged form, and resilient propagation, which looks at signs alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.ops import full, sign, where
from twinflow.optim._optimizer import (
    FLOAT64,
    Member,
    Optimizer,
    ParamGroup,
    choose,
    full_like_state,
    number,
    zeros_like_state,
)
from twinflow.tensor import Tensor, wrap


class SGD(Optimizer):
    """Gradient descent, with momentum if asked.

    g ← ∇f(w) + λ·w,  b ← μ·b + (1 − τ)·g,  w ← w − η·b      (the first step sets b = g)

    With `nesterov`, w ← w − η·(g + μ·b). With `fold_lr`, the rate is part of the velocity, as many articles write it:
    b ← μ·b + η·g,  w ← w − b; both forms agree as long as η stays the same.

    Args:
        lr: η ≥ 0.
        momentum: μ ≥ 0. 0 keeps no velocity.
        dampening: τ.
        weight_decay: λ ≥ 0.
        nesterov: look ahead; needs momentum and no dampening.
        maximize: climb instead: g ← −g.
        fold_lr: see above; without nesterov and dampening.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning".

    >>> import twinflow
    >>> w = twinflow.tensor([1.0], requires_grad=True)
    >>> optimizer = twinflow.optim.SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.5000], requires_grad=True)
    """

    _counts = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        fold_lr: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError(
                f"SGD: nesterov needs momentum > 0 and dampening = 0, not {momentum!r} and {dampening!r}"
            )
        if fold_lr and (nesterov or dampening):
            raise ArgumentError("SGD: fold_lr goes with neither nesterov nor dampening")
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
                "maximize": maximize, "fold_lr": fold_lr,
            },
        )  # fmt: skip

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        if not group["momentum"]:
            return {}
        state: dict[str, Any] = {"momentum_buffer": zeros_like_state(p)}
        if group["dampening"]:
            state["taken"] = wrap(np.zeros((), np.float32))  # 0 before the first step, which is not dampened
        return state

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr = number(group, "lr")
        if not group["momentum"]:
            for p, g, _ in members:
                p.sub_(g * lr)
            return
        momentum, dampening, nesterov, fold = (
            number(group, "momentum"),
            group["dampening"],
            group["nesterov"],
            group["fold_lr"],
        )
        for p, g, s in members:
            b = s.get("momentum_buffer")
            if b is None:  # momentum was switched on after the first steps
                s.update(self._new_state(p, group))
                b = s["momentum_buffer"]
            b.mul_(momentum)
            if dampening:
                b.add_(g * (1 - s["taken"].to(dtype=FLOAT64) * dampening))
                s["taken"].fill_(1.0)
            elif fold:
                p.sub_(b.add_(g * lr))
                continue
            else:
                b.add_(g)
            p.sub_((g + b * momentum if nesterov else b) * lr)


class ASGD(Optimizer):
    """Averaged stochastic gradient descent; the average of the weights is in `state[p]["ax"]`.

    w ← w·(1 − λη) − η·g,  a ← a + μ·(w − a),  η ← η₀ / (1 + λη₀t)^α,  μ ← 1 / max(1, t − t₀)

    Args:
        lr: η₀.
        lambd: λ, the decay.
        alpha: α, the power of the schedule of η.
        t0: the step at which averaging starts.
        weight_decay: added to the gradient times w.
        maximize: climb instead.
    Source: Polyak and Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging".
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {
            "ax": zeros_like_state(p),
            "eta": wrap(np.array(float(group["lr"]), np.float32)),
            "mu": wrap(np.ones((), np.float32)),
        }

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, lambd = number(group, "lr"), group["lambd"]
        next_eta = lr / (1 + lambd * lr * t) ** group["alpha"]
        late = t - group["t0"]
        next_mu = 1 / choose(late > 1, late, 1.0)
        for p, g, s in members:
            eta, mu = s["eta"], s["mu"]
            rate = eta.double()  # 1 - η·λ would lose η·λ's digits in float32
            p.mul_(1 - rate * lambd).sub_(g * rate)
            s["ax"].add_((p - s["ax"]) * mu)
            for slot, value in ((eta, next_eta), (mu, next_mu)):
                if isinstance(value, Tensor):
                    slot.copy_(value)
                else:
                    slot.fill_(value)


class Rprop(Optimizer):
    """Resilient propagation: each weight has a step of its own, which grows while the gradient keeps its sign.

    s ← clip(s·η₊) if g·g′ > 0, clip(s·η₋) if g·g′ < 0 (and g ← 0);  w ← w − sign(g)·s;  g′ ← g

    Args:
        lr: the first step of each weight.
        etas: (η₋, η₊).
        step_sizes: the smallest and the largest step.
        maximize: climb instead.
    Source: Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning". For full batches.
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ArgumentError(f"Rprop: etas must satisfy 0 < η₋ < 1 < η₊, but {etas!r} was given")
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"prev": zeros_like_state(p), "step_size": full_like_state(p, float(group["lr"]))}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        low, high = group["etas"]
        smallest, largest = group["step_sizes"]
        for p, g, s in members:
            agreement = g * s["prev"]
            turned = agreement < 0
            factor = where(turned, low, where(agreement > 0, full((), high, dtype=p.dtype), 1.0))
            s["step_size"].mul_(factor).clamp_(smallest, largest)
            g = where(turned, 0.0, g)
            p.sub_(sign(g) * s["step_size"])
            s["prev"].copy_(g)
