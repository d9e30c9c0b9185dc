"""L-BFGS: Newton steps with the curvature of the last steps, and a line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.optim._optimizer import Optimizer
from twinflow.tensor import Tensor, array_of, enable_grad, no_grad, refuse_tracing, wrap

Array = np.ndarray[Any, Any]
Evaluate = Callable[[float], tuple[float, Array]]  # step length along the direction -> (loss, gradient) there


class LBFGS(Optimizer):
    """Limited-memory BFGS, for full batches: each step evaluates the closure several times.

    d = −H·g, where H, the inverse Hessian's estimate, follows from the last `history_size` differences of weights and
    gradients by the two-loop recursion;  w ← w + t·d.

    It decides by values, so `step` cannot stand inside a compiled function; the closure itself may be compiled.

    Args:
        params: one group of parameters only.
        lr: t, or the first t of the line search.
        max_iter, max_eval: iterations and evaluations a step at most (max_eval: 1.25 · max_iter by default).
        tolerance_grad, tolerance_change: stop at gradients, or changes, smaller than this.
        history_size: how many differences are kept.
        line_search_fn: None, or "strong_wolfe".
    Source: Nocedal and Wright, Numerical Optimization, 2nd ed. 2006, algorithms 7.4, 7.5, 3.5 and 3.6.
    """

    _counts = False
    _decay_in_gradient = False

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError(f"LBFGS: line_search_fn is None or 'strong_wolfe', not {line_search_fn!r}")
        super().__init__(
            params,
            {
                "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )  # fmt: skip

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """The one group that L-BFGS can have."""
        if self.param_groups:
            raise ArgumentError("LBFGS: all parameters are one group; options per group do not exist here")
        super().add_param_group(param_group)

    def _load_value(self, name: str, key: str, value: Any, like: Tensor) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._load_value(name, key, v, like) for v in value]
        if isinstance(value, Tensor) or hasattr(value, "__array__"):
            return wrap(np.array(value))
        return value

    # -- parameters as one vector ------------------------------------------------------------------------------

    def _weights(self) -> Array:
        return np.concatenate([array_of(p, "LBFGS").reshape(-1) for p in self.param_groups[0]["params"]])

    def _write(self, flat: Array) -> None:
        at = 0
        with no_grad():
            for p in self.param_groups[0]["params"]:
                p.copy_(wrap(flat[at : at + p.numel()].reshape(tuple(p.shape))))
                at += p.numel()

    def _gradient(self) -> Array:
        return np.concatenate(
            [
                np.zeros(p.numel(), p.dtype.np) if p.grad is None else array_of(p.grad, "LBFGS").reshape(-1)
                for p in self.param_groups[0]["params"]
            ]
        )

    # -- the step ----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise for up to `max_iter` iterations; returns the loss at the start.

        Args:
            closure: clears the gradients, computes the loss, calls `backward()` and returns the loss.
        """
        refuse_tracing("LBFGS.step", "compile the closure instead")
        if closure is None:
            raise ArgumentError("LBFGS: step(closure) needs a function that computes the loss and its gradients")
        self._run_hooks(self._pre_hooks, closure)
        first = self._minimise(closure)
        self._run_hooks(self._post_hooks, closure)
        return first

    def _minimise(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        state = self.state.setdefault(group["params"][0], {})
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> tuple[Any, float, Array]:
            with enable_grad():
                loss = closure()
            state["func_evals"] += 1
            return loss, float(loss), self._gradient()

        first, loss, g = evaluate()
        evals = 1
        self._stepped = True
        if abs(g).max() <= group["tolerance_grad"]:
            return first
        for n in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            d, h = self._direction(state, g, group["history_size"])
            lr = float(group["lr"])
            t = min(1.0, 1.0 / float(abs(g).sum())) * lr if state["n_iter"] == 1 else lr
            state["prev_flat_grad"], state["prev_loss"] = wrap(g.copy()), loss
            slope = float(g @ d)
            if slope > -group["tolerance_change"]:
                break
            before = loss
            if group["line_search_fn"] == "strong_wolfe":
                start = self._weights()

                def along(t: float, start: Array = start, d: Array = d) -> tuple[float, Array]:
                    self._write(start + np.asarray(t, d.dtype) * d)
                    _, loss, g = evaluate()
                    return loss, g

                loss, g, t, used = strong_wolfe(along, t, d, loss, g, slope, tolerance_change=group["tolerance_change"])
                self._write(start + np.asarray(t, d.dtype) * d)
            else:
                self._write(self._weights() + np.asarray(t, d.dtype) * d)
                used = 0
                if n != group["max_iter"]:
                    _, loss, g = evaluate()
                    used = 1
            evals += used
            state.update(d=wrap(d), t=t, H_diag=h)
            moved = float(abs(d * t).max())
            if (
                n == group["max_iter"]
                or evals >= group["max_eval"]
                or abs(g).max() <= group["tolerance_grad"]
                or moved <= group["tolerance_change"]
                or abs(loss - before) < group["tolerance_change"]
            ):
                break
        return first

    def _direction(self, state: dict[str, Any], g: Array, history: int) -> tuple[Array, float]:
        """−H·g by the two-loop recursion, after taking the last step into account; and the scale of the first H."""
        if state["n_iter"] == 1 or "prev_flat_grad" not in state:
            state.update(old_dirs=[], old_stps=[], ro=[])
            return -g, 1.0
        h = float(state["H_diag"])
        y = g - array_of(state["prev_flat_grad"], "LBFGS")
        s = array_of(state["d"], "LBFGS") * np.asarray(state["t"], g.dtype)
        ys = float(y @ s)
        if ys > 1e-10:
            for key, value in (("old_dirs", wrap(y)), ("old_stps", wrap(s)), ("ro", 1.0 / ys)):
                state[key] = [*state[key], value][-history:]
            h = ys / float(y @ y)
        pairs = [
            (array_of(y, "LBFGS"), array_of(s, "LBFGS"), float(r))
            for y, s, r in zip(state["old_dirs"], state["old_stps"], state["ro"])
        ]
        q = -g
        weights = []
        for y, s, r in reversed(pairs):
            a = float(s @ q) * r
            weights.append(a)
            q = q - np.asarray(a, g.dtype) * y
        q = q * np.asarray(h, g.dtype)
        for (y, s, r), a in zip(pairs, reversed(weights)):
            q = q + s * np.asarray(a - float(y @ q) * r, g.dtype)
        return q, h


def _cubic(
    x1: float, f1: float, g1: float, x2: float, f2: float, g2: float, bounds: tuple[float, float] | None = None
) -> float:
    """The minimum of the cubic with these values and slopes at x₁ and x₂, kept within bounds (Nocedal and Wright, eq. 3.59)."""
    low, high = bounds if bounds is not None else (min(x1, x2), max(x1, x2))
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    at = (
        x2 - (x2 - x1) * ((g2 + d2 - d1) / (g2 - g1 + 2 * d2))
        if x1 <= x2
        else x1 - (x1 - x2) * ((g1 + d2 - d1) / (g1 - g2 + 2 * d2))
    )
    return min(max(at, low), high)


def strong_wolfe(
    evaluate: Evaluate,
    t: float,
    d: Array,
    f: float,
    g: Array,
    slope: float,
    c1: float = 1e-4,
    c2: float = 0.9,
    tolerance_change: float = 1e-9,
    max_evals: int = 25,
) -> tuple[float, Array, float, int]:
    """A step length that decreases the loss enough and flattens its slope (the strong Wolfe conditions).

    f(t) ≤ f(0) + c₁·t·f′(0) and |f′(t)| ≤ c₂·|f′(0)|. Returns: loss, gradient and length there, and evaluations used.
    Source: Nocedal and Wright 2006, algorithms 3.5 and 3.6, with cubic interpolation.
    """
    size = float(abs(d).max())
    f_new, g_new = evaluate(t)
    evals = 1
    slope_new = float(g_new @ d)
    before = (0.0, f, g, slope)
    done = False
    bracket: list[tuple[float, float, Array, float]] = []
    for n in range(max_evals):
        here = (t, f_new, g_new, slope_new)
        if f_new > f + c1 * t * slope or (n > 0 and f_new >= before[1]):
            bracket = [before, here]
            break
        if abs(slope_new) <= -c2 * slope:
            bracket, done = [here], True
            break
        if slope_new >= 0:
            bracket = [before, here]
            break
        least, most = t + 0.01 * (t - before[0]), t * 10
        t = _cubic(before[0], before[1], before[3], t, f_new, slope_new, (least, most))
        before = here
        f_new, g_new = evaluate(t)
        evals += 1
        slope_new = float(g_new @ d)
    else:
        bracket = [(0.0, f, g, slope), (t, f_new, g_new, slope_new)]
    low, high = (0, 0) if len(bracket) == 1 else (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
    insufficient = False
    while not done and evals < max_evals:
        a, b = bracket
        width = abs(b[0] - a[0])
        if width * size < tolerance_change:
            break
        t = _cubic(a[0], a[1], a[3], b[0], b[1], b[3])
        # keep away from the ends: a point near one of them, twice, is moved to a tenth of the way
        left, right = min(a[0], b[0]), max(a[0], b[0])
        if min(right - t, t - left) < 0.1 * width:
            if insufficient or t >= right or t <= left:
                t = right - 0.1 * width if abs(t - right) < abs(t - left) else left + 0.1 * width
                insufficient = False
            else:
                insufficient = True
        else:
            insufficient = False
        f_new, g_new = evaluate(t)
        evals += 1
        slope_new = float(g_new @ d)
        here = (t, f_new, g_new, slope_new)
        if f_new > f + c1 * t * slope or f_new >= bracket[low][1]:
            bracket[high] = here
            low, high = (0, 1) if bracket[0][1] <= bracket[1][1] else (1, 0)
        else:
            if abs(slope_new) <= -c2 * slope:
                done = True
            elif slope_new * (bracket[high][0] - bracket[low][0]) >= 0:
                bracket[high] = bracket[low]
            bracket[low] = here
    t, f_new, g_new, _ = bracket[low]
    return f_new, g_new, t, evals
