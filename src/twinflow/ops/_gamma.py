"""The incomplete gamma functions, as rows: their number of terms depends on the arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.graph import Primitive, Sample
from twinflow.ops._declare import FLOATS, call, elementwise, uniform, via_float32
from twinflow.tensor import Tensor

_lgamma = np.vectorize(lambda a: math.lgamma(a) if a > 0 else math.nan, otypes=[np.float64])


def _regularised(a: Any, x: Any, *, upper: bool) -> Any:
    """Series below x = a + 1, Lentz's continued fraction above: Press et al., "Numerical Recipes", sec. 6.2."""
    dtype = (a if isinstance(a, np.ndarray) else x).dtype
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    shape = a.shape
    a, x = a.reshape(-1), x.reshape(-1)
    lower = np.full(a.shape, np.nan)
    good = (a > 0) & (x >= 0)
    edge = {"zero": (a == 0) & (x > 0), "origin": good & (x == 0), "far": good & np.isinf(x) & np.isfinite(a)}
    lower[edge["origin"]] = 0
    lower[edge["zero"] | edge["far"]] = 1
    run = good & (x > 0) & np.isfinite(x) & np.isfinite(a)
    q = 1 - lower
    for part, fn in ((run & (x < a + 1), _series), (run & (x >= a + 1), _fraction)):
        if part.any():
            ai, xi = a[part], x[part]
            scale = np.exp(ai * np.log(xi) - xi - _lgamma(ai))
            value = fn(ai, xi) * scale
            lower[part], q[part] = (value, 1 - value) if fn is _series else (1 - value, value)
    return (q if upper else lower).reshape(shape).astype(dtype)


def _series(a: Any, x: Any) -> Any:
    term = total = 1 / a
    n = a.copy()
    for _ in range(100_000):
        n = n + 1
        term = term * x / n
        total = total + term
        if (np.abs(term) <= np.abs(total) * 1e-17).all():
            break
    return total


def _fraction(a: Any, x: Any) -> Any:
    tiny = 1e-300
    b = x + 1 - a
    c = np.full_like(x, 1 / tiny)
    d = 1 / b
    h = d
    for i in range(1, 100_000):
        an = -i * (i - a)
        b = b + 2
        d = an * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + an / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        step = d * c
        h = h * step
        if (np.abs(step - 1) <= 1e-15).all():
            break
    return h


def _by_x(g: Tensor, _y: Any, a: Any, x: Any) -> Tensor:
    scale = call("lgamma", a) if isinstance(a, Tensor) else math.lgamma(a)
    return g * call("exp", (a - 1.0) * call("log", x) - x - scale)


def _samples(rng: np.random.Generator) -> list[Sample]:
    """The first operand is a number: there is no derivative by it."""
    return [
        Sample((a, *s.args), {})
        for a in (0.7, 3.0)
        for s in uniform((0.2, 8), kinds=("float32", "float64", "float16"))(rng)
    ]


def _row(name: str, upper: bool, doc: str) -> Primitive:
    return elementwise(
        name,
        via_float32(lambda a, x: _regularised(a, x, upper=upper)),
        (None, (lambda g, y, a, x: -_by_x(g, y, a, x)) if upper else _by_x),
        ranges=[(0.5, 5), (0.2, 8)],
        kinds=FLOATS,
        samples=_samples,
        doc=f"{doc} The derivative is that by x.",
        ulp=64,
    )


gammainc = _row("gammainc", False, "1/Γ(a) ∫₀ˣ t^(a-1) e^-t dt.")
gammaincc = _row("gammaincc", True, "1 - gammainc(a, x), exact where that is small.")
