"""Adafactor: second moments in the memory of rows and columns."""

from __future__ import annotations

from typing import Any

from twinflow.core import finfo
from twinflow.ops import minimum, rsqrt, sqrt
from twinflow.optim._adam import shrink
from twinflow.optim._optimizer import Member, Optimizer, ParamGroup, number, zeros_like_state
from twinflow.tensor import Tensor


class Adafactor(Optimizer):
    """Adam's scaling without its memory: of a matrix, the mean squares of rows and of columns are kept.

    β = 1 − tᶜ,  r ← β·r + (1 − β)·mean_columns(g²),  c ← β·c + (1 − β)·mean_rows(g²),  v = r·cᵀ / mean(r)
    w ← w·(1 − η·λ),  w ← w − max(ε₂, rms(w)) · min(η, 1/√t) · u / max(1, rms(u) / d)   with u = g / √v

    Vectors and numbers keep v itself. Of tensors with more axes, the last two are those of the matrix.

    Args:
        lr: η, the most that a step may be, relative to the weights.
        beta2_decay: c.
        eps: (ε₁, ε₂); v and mean(r) are at least ε₁² and ε₁, where None stands for the type's resolution.
        d: where updates are clipped; at least 1.
        weight_decay: λ.
        maximize: climb instead.
    Source: Shazeer and Stern 2018, arXiv:1804.04235; PyTorch's form of it.
    """

    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {"lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay}
        super().__init__(params, defaults | {"maximize": maximize})

    def _check(self, group: dict[str, Any]) -> None:
        super()._check({k: v for k, v in group.items() if k != "eps"})
        self._want(group, "eps", _pair_of_bounds, "two numbers that are not negative, of which the first may be None")
        self._want(group, "d", lambda v: v >= 1, "at least 1")
        self._want(group, "beta2_decay", lambda v: v <= 0, "not positive")

    def _new_state(self, p: Tensor, group: ParamGroup) -> dict[str, Any]:
        if p.ndim < 2:
            return {"variance": zeros_like_state(p)}
        whole = p.detach()
        return {"row_var": zeros_like_state(whole[..., :1]), "col_var": zeros_like_state(whole[..., :1, :])}

    def _update(self, group: ParamGroup, t: Any, members: list[Member]) -> None:
        lr, fresh = number(group, "lr"), t ** group["beta2_decay"]
        slowing = 1 / t**0.5
        rate = minimum(slowing, lr) if isinstance(slowing, Tensor) else min(slowing, lr)
        smallest, least = group["eps"]
        steps = [rms(p).clamp(min=least) * rate for p, _, _ in members]
        shrink(group, lr, members)
        for (p, g, s), step in zip(members, steps):
            eps = finfo(p.dtype).eps if smallest is None else smallest
            u = g * rsqrt(_second_moment(s, g, fresh, eps).clamp(min=eps * eps))
            p.sub_(u * (step / (rms(u) / group["d"]).clamp(min=1.0)))


def _pair_of_bounds(eps: Any) -> bool:
    smallest, least = eps
    return (smallest is None or smallest >= 0) and least >= 0


def rms(x: Tensor) -> Tensor:
    """√mean(x²)."""
    return sqrt((x * x).mean())


def _second_moment(s: dict[str, Any], g: Tensor, fresh: Any, eps: float) -> Tensor:
    """Advance the running means of g², whose newest part weighs `fresh`, and put v together."""
    square = g * g
    if "variance" in s:
        variance: Tensor = s["variance"]
        return variance.add_((square - variance) * fresh)
    r, c = s["row_var"], s["col_var"]
    r.add_((square.mean(-1, keepdim=True) - r) * fresh)
    c.add_((square.mean(-2, keepdim=True) - c) * fresh)
    return r * c / r.mean(-2, keepdim=True).clamp(min=eps)
