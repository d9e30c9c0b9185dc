"""Convolution with a bias: composed of primitives, and in plain evaluation one operation."""

from __future__ import annotations

from typing import Any

from twinflow.ops._composite import Composite
from twinflow.ops._conv import conv, conv_input, conv_weight
from twinflow.ops._declare import call
from twinflow.ops._reduce import sum_
from twinflow.tensor import Tensor, apply

_row: Any = conv
_to_input, _to_weight = _row.vjp


def _compose(x: Tensor, w: Tensor, b: Tensor, **window: Any) -> Tensor:
    y: Tensor = apply(conv, x, w, **window)
    return y + b.reshape(-1, *(1,) * (y.ndim - 2))


def _np_compose(x: Any, w: Any, b: Any, **window: Any) -> Any:
    y = conv.ref(x, w, **window)
    y += b.reshape(-1, *(1,) * (y.ndim - 2))
    return y


def _all_but_channels(n: int) -> tuple[int, ...]:
    return (0, *range(2, n))


def _back(wanted: Any, g: Any, _y: Any, x: Any, w: Any, _b: Any, **window: Any) -> Any:
    return (
        conv_input.run(g, w, shape=tuple(x.shape[2:]), **window) if wanted[0] else None,
        conv_weight.run(x, g, shape=tuple(w.shape[2:]), **window) if wanted[1] else None,
        sum_.run(g, axes=_all_but_channels(g.ndim), keepdim=False) if wanted[2] else None,
    )


conv_with_bias = Composite(
    "conv_bias",
    _compose,
    lambda x, w, _b, **window: _row.run.pays(x, w, **window),
    reference=_np_compose,
    out=lambda x, w, _b, **window: conv.out(x, w, **window),
    vjp=(
        lambda g, _y, _x, w, _b, **window: _to_input(g, None, _x, w, **window),
        lambda g, _y, x, _w, _b, **window: _to_weight(g, None, x, _w, **window),
        lambda g, _y, _x, _w, _b, **window: call("sum", g, axes=_all_but_channels(g.ndim), keepdim=False),
    ),
    back=_back,
    exact=True,
)
"""y[n,o,i] = Σ w[o,c,k] x[n,c,s·i+d·k-p] + b[o], of operands that fit."""
