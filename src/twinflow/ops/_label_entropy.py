"""Cross-entropy of logits with class labels, in plain evaluation one operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import silently
from twinflow.graph import Aval
from twinflow.ops._declare import call
from twinflow.ops._native import Fused, Native
from twinflow.ops._softmax import only_computes
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, wrap

_LARGE = 1 << 13  # elements from which on one compiled pass beats NumPy's several


def _large(x: Any, *_: Any, **_params: Any) -> bool:
    return bool(x.size >= _LARGE)


def _at_labels(x: Tensor, t: Tensor) -> Tensor:
    """1 at each row's label, 0 elsewhere."""
    n = x._data.shape[1]
    chosen = call("eq", call("iota", n=n, dtype=t.dtype), t.unsqueeze(1))
    return chosen.to(dtype=x.dtype)


def _compose(x: Tensor, t: Tensor) -> Any:
    z = x - call("amax", x, axes=(1,), keepdim=True)
    e = call("exp", z)
    total = call("sum", e, axes=(1,), keepdim=True)
    picked = call("sum", z * _at_labels(x, t), axes=(1,), keepdim=False)
    return call("log", total).squeeze(1) - picked, e / total


def _np_compose(x: Any, t: Any) -> Any:
    z = x - np.maximum.reduce(x, 1, keepdims=True)
    picked = z[np.arange(len(t)), t]
    np.exp(z, z)
    total = np.add.reduce(z, 1, keepdims=True)
    z /= total
    loss = np.log(total[:, 0])
    loss -= picked
    return loss, z


def _back(g: Tensor, p: Tensor, t: Tensor) -> Any:
    return (p - _at_labels(p, t)) * g.unsqueeze(1)


def _np_back(g: Any, p: Any, t: Any) -> Any:
    d = p * g[:, None]
    d[np.arange(len(t)), t] -= g
    return d


_native_back = Native("cross_entropy_backward", _np_back, _back, lambda g, p, t: p.size >= _LARGE, batched=3)


def _vjp(g: Any, y: Any, _x: Any, t: Tensor) -> Any:
    loss, p = g  # gradients of both results; the second only when derivatives of derivatives are taken
    if p is None and not SPECIAL.count and not MODE.grad:
        return wrap(silently(_native_back, loss._data, y[1]._data, t._data)), None
    grad = None if loss is None else _back(loss, y[1], t)
    if p is not None:
        through = (p - call("sum", p * y[1], axes=(1,), keepdim=True)) * y[1]
        grad = through if grad is None else grad + through
    return grad, None


_row = Fused(
    "cross_entropy",
    out=lambda x, t: (Aval(t.shape, x.dtype), x),
    run=Native("cross_entropy", _np_compose, _compose, _large, batched=2),
    vjp=_vjp,
    n_out=2,
)


def label_entropy(x: Tensor, t: Tensor) -> Tensor | None:
    """log Σ exp(x) - x[t] for each row of x [N, C] and label of t [N]; None where this is not one operation: inside
    traces and transformations, for other types, and for labels outside [0, C), of which the caller says more.
    """
    if not only_computes(x) or x._data.ndim != 2 or not x._data.size or t._data.dtype != np.int64:
        return None
    labels = t._data
    if labels.min() < 0 or labels.max() >= x._data.shape[1]:
        return None
    loss: Tensor = apply(_row, x, t)[0]
    return loss
