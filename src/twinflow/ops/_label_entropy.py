"""Cross-entropy of logits with class labels, in plain evaluation one operation."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.graph import Aval
from twinflow.ops._composite import Composite, only_computes
from twinflow.ops._declare import call
from twinflow.ops._native import Native
from twinflow.ops._reductions import mean
from twinflow.ops._reductions import sum as sum_
from twinflow.ops._softmax import row_sums
from twinflow.tensor import Tensor, apply

_LARGE = 1 << 9  # elements from which on one compiled pass beats NumPy's several
_REDUCE = {"mean": mean, "sum": sum_, "none": lambda x: x}
_add_reduce: Any = np.add.reduce
_max_reduce: Any = np.maximum.reduce


def _at_labels(x: Tensor, t: Tensor) -> Tensor:
    """1 at each row's label, 0 elsewhere."""
    n = x._data.shape[1]
    chosen = call("eq", call("iota", n=n, dtype=t.dtype), t.unsqueeze(1))
    return chosen.to(dtype=x.dtype)


def _compose(x: Tensor, t: Tensor, *, reduction: str) -> Any:
    z = x - call("amax", x, axes=(1,), keepdim=True)
    e = call("exp", z)
    total = call("sum", e, axes=(1,), keepdim=True)
    picked = call("sum", z * _at_labels(x, t), axes=(1,), keepdim=False)
    return _REDUCE[reduction](call("log", total).squeeze(1) - picked), e / total


def _np_compose(x: Any, t: Any, *, reduction: str) -> Any:
    n = len(t)
    z = x - _max_reduce(x, 1, None, None, True)
    picked = z[_rows(n), t]
    np.exp(z, z)
    total = row_sums(z, 1)
    z /= total
    loss = np.log(total.reshape(n))
    loss -= picked
    if reduction != "none":
        loss = _add_reduce(loss)
        if reduction == "mean":
            loss /= n
    return loss, z


_I64, _U64 = np.dtype(np.int64), np.dtype(np.uint64)
_ROWS = np.arange(1024)


def _rows(n: int) -> Any:
    return _ROWS[:n] if n <= 1024 else np.arange(n)


def _each(g: Any, t: Any, reduction: str) -> Any:
    """The gradient of each row's loss as a column, from that of the result."""
    if reduction == "none":
        return g.unsqueeze(1) if isinstance(g, Tensor) else g[:, None]
    return g / t.shape[0] if reduction == "mean" else g


def _rule(p: Tensor, t: Tensor, g: Tensor, *, reduction: str) -> Any:
    return (p - _at_labels(p, t)) * _each(g, t, reduction)


def _np_rule(p: Any, t: Any, g: Any, *, reduction: str) -> Any:
    g = _each(g, t, reduction)
    d = p * g
    d[_rows(len(t)), t] -= g if reduction != "none" else g[:, 0]
    return d


def _vjp(g: Any, y: Any, _x: Any, t: Tensor, *, reduction: str) -> Any:
    loss, p = g  # gradients of both results; the second only when derivatives of derivatives are taken
    grad = None if loss is None else _rule(y[1], t, loss, reduction=reduction)
    if p is not None:
        through = (p - call("sum", p * y[1], axes=(1,), keepdim=True)) * y[1]
        grad = through if grad is None else grad + through
    return grad, None


_native_rule = Native("cross_entropy_backward", _np_rule, _rule, _LARGE, batched=2)
_native_rows = Native("cross_entropy_backward", _np_rule, _rule, _LARGE, batched=3)  # one gradient for each row


def _back(_wanted: Any, g: Any, y: Any, _x: Any, t: Any, *, reduction: str) -> Any:
    loss, p = g
    rule = _native_rows if reduction == "none" else _native_rule
    d = None if loss is None else rule(y[1], t, loss, reduction=reduction)
    if p is not None:
        through = p * y[1]
        through -= y[1] * row_sums(through, 1)
        d = through if d is None else d + through
    return d, None


_row = Composite(
    "cross_entropy",
    _compose,
    _LARGE,
    reference=_np_compose,
    out=lambda x, t, *, reduction: (Aval(t.shape if reduction == "none" else (), x.dtype), x),
    batched=2,
    vjp=_vjp,
    back=_back,
    n_out=2,
)


def label_entropy(x: Tensor, t: Tensor, reduction: str) -> Tensor | None:
    """log Σ exp(x) - x[t] for each row of x [N, C] and label of t [N], reduced as asked ("mean", "sum", "none"). None where
    this is not one operation: inside traces and transformations, for other types, and for labels outside [0, C), of
    which the caller says more.
    """
    if reduction not in _REDUCE or not only_computes(x):
        return None
    a, labels = x._data, t._data
    if a.ndim != 2 or not a.size or labels.dtype is not _I64:
        return None
    if _max_reduce(labels.view(_U64), None) >= a.shape[1]:  # negative ones are the largest of all there
        return None
    loss: Tensor = apply(_row, x, t, reduction=reduction)[0]
    return loss
