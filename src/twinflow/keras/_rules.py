"""Update rules in Keras's form, as optimizers of `optim`: where ε stands, and rules that PyTorch does not have."""

from __future__ import annotations

from typing import Any

from twinflow import optim
from twinflow.ops import abs, maximum, minimum, sqrt
from twinflow.optim._adam import moments, shrink
from twinflow.optim._layerwise import orthogonal
from twinflow.optim._optimizer import Member, Optimizer, ParamGroup, full_like_state, number, zeros_like_state
from twinflow.tensor import Tensor


class Adam(optim.Adam):
    """Adam with ε beside √v before the correction, as the paper's second form and Keras have it."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        if group["decoupled_weight_decay"]:
            shrink(group, lr, members)
        rate = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        for p, g, s in members:
            m, v = moments(s, g, beta1, beta2)
            if group["amsgrad"]:
                v = s["max_exp_avg_sq"].copy_(maximum(s["max_exp_avg_sq"], v))
            p.sub_((m / sqrt(v).add_(group["eps"])).mul_(rate))


class RMSprop(optim.RMSprop):
    """RMSprop with ε inside the root."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, rho = number(group, "lr"), group["alpha"]
        for p, g, s in members:
            v = s["square_avg"].mul_(rho).add_(g * g * (1 - rho))
            d = v + group["eps"]
            if group["centered"]:
                mean = s["grad_avg"].mul_(rho).add_(g * (1 - rho))
                d = d - mean * mean
            step = g / sqrt(d) * lr
            if group["momentum"]:
                step = s["momentum_buffer"].mul_(number(group, "momentum")).add_(step)
            p.sub_(step)


class Adagrad(optim.Adagrad):
    """Adagrad with ε inside the root."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr = number(group, "lr")
        for p, g, s in members:
            total = s["sum"].add_(g * g)
            p.sub_(g / sqrt(total + group["eps"]) * lr)


class Nadam(optim.NAdam):
    """Nadam whose momentum decays by 0.96 at each step."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        mu, mu_next = beta1 * (1 - 0.5 * 0.96**t), beta1 * (1 - 0.5 * 0.96 ** (t + 1))
        c = 1 - beta2**t
        for p, g, s in members:
            m, v = moments(s, g, beta1, beta2)
            product = s["mu_product"].mul_(mu)
            m_hat = m * mu_next / (1 - product * mu_next) + g * (1 - mu) / (1 - product)
            p.sub_(m_hat * lr / (sqrt(v / c) + group["eps"]))


class Adamax(optim.Adamax):
    """Adamax with ε beside the largest gradient."""

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), number(group, "betas", 0), number(group, "betas", 1)
        rate = lr / (1 - beta1**t)
        for p, g, s in members:
            m, u = s["exp_avg"].mul_(beta1).add_(g * (1 - beta1)), s["exp_inf"]
            u.copy_(maximum(u * beta2, abs(g)))
            p.sub_(m * rate / (u + group["eps"]))


class Ftrl(Optimizer):
    """Follow the regularized leader. Source: McMahan et al. 2013, "Ad Click Prediction: a View from the Trenches"."""

    _counts = False

    def __init__(self, params: Any, lr: float, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"accumulator": full_like_state(p, group["initial"]), "linear": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, power = number(group, "lr"), -group["power"]
        l2 = group["l2"] + group["beta"] / (lr * 2.0)
        for p, g, s in members:
            total, linear = s["accumulator"], s["linear"]
            new = total + g * g
            linear.add_(g + p * (2 * group["shrinkage"]) - (new**power - total**power) / lr * p)
            p.copy_((linear.clamp(-group["l1"], group["l1"]) - linear) / (new**power / lr + l2 * 2.0))
            total.copy_(new)


class Adafactor(Optimizer):
    """Second moments of matrices as products of those of rows and columns. Source: Shazeer and Stern, arXiv:1804.04235."""

    def __init__(self, params: Any, lr: float, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        if p.ndim < 2:
            return {"velocity": zeros_like_state(p)}
        return {"rows": zeros_like_state(p[..., 0].detach()), "columns": zeros_like_state(p[..., 0, :].detach())}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, steps = number(group, "lr"), 1 / t**0.5
        smallest = minimum if isinstance(steps, Tensor) else min
        rho = smallest(steps, lr)
        beta2 = 1 - t ** group["decay"]
        for p, g, s in members:
            alpha = sqrt((p * p).mean()).clamp(min=group["eps2"]) * rho
            square = g * g + group["eps1"]
            if p.ndim < 2:
                v = s["velocity"].mul_(beta2).add_(square * (1 - beta2))
            else:
                r = s["rows"].mul_(beta2).add_(square.mean(-1) * (1 - beta2))
                c = s["columns"].mul_(beta2).add_(square.mean(-2) * (1 - beta2))
                v = (r / r.mean(-1, keepdim=True)).unsqueeze(-1) * c.unsqueeze(-2)
            u = g / sqrt(v)
            p.sub_(u / (sqrt((u * u).mean()) / group["clip"]).clamp(min=1.0) * alpha)


class Muon(optim.Muon):
    """Muon for matrices, and AdamW for the other parameters, which `group["others"]` names by their places."""

    _counts = True

    def __init__(
        self, params: Any, lr: float, *, others: frozenset[int], adam: dict[str, Any], rms_rate: Any, **options: Any
    ) -> None:
        self._others, self._adam, self._rms_rate = others, adam, rms_rate
        super().__init__(params, lr, weight_decay=0.0, **options)

    def _check(self, group: dict[str, Any]) -> None:
        self._by_adam = {id(p) for k, p in enumerate(group["params"]) if k in self._others}

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        if id(p) in self._by_adam:
            return {"exp_avg": zeros_like_state(p), "exp_avg_sq": zeros_like_state(p)}
        return {"momentum_buffer": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, momentum = number(group, "lr"), number(group, "momentum")
        beta1, beta2, eps = self._adam["beta_1"], self._adam["beta_2"], self._adam["epsilon"]
        rate = lr * self._adam["ratio"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        for p, g, s in members:
            if id(p) in self._by_adam:
                m, v = moments(s, g, beta1, beta2)
                p.sub_(m / (sqrt(v) + eps) * rate)
                continue
            b = s["momentum_buffer"].mul_(momentum).add_(g)
            u = b * momentum + g if group["nesterov"] else b
            factor = 1.0 if self._rms_rate is None else max(p.shape) ** 0.5 * self._rms_rate
            p.sub_(orthogonal(u, group["ns_coefficients"], group["ns_steps"], group["eps"]) * (lr * factor))


class ScheduleFreeAdam(Optimizer):
    """Steps of Adam's second moment from `z`, of which x is the mean; the parameters are y = (1 - β₁) z + β₁ x."""

    def __init__(self, params: Any, lr: float, **options: Any) -> None:
        super().__init__(params, {"lr": lr, **options})

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        return {"z": p.detach().clone(), "velocity": zeros_like_state(p)}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, beta1, beta2 = number(group, "lr"), group["beta1"], group["beta2"]
        if group["warmup"]:
            grown = t / group["warmup"]
            lr = lr * (grown.clamp(max=1.0) if isinstance(grown, Tensor) else min(grown, 1.0))
        for p, g, s in members:
            z, v = s["z"], s["velocity"]
            v.add_((g * g - v) * (1 - beta2))
            x = (p - z * (1 - beta1)) / beta1
            z.sub_(g * lr / (sqrt(v / (1 - beta2**t)) + group["eps"]))
            x = x * (1 - 1 / t) + z * (1 / t)
            p.copy_(z * (1 - beta1) + x * beta1)
