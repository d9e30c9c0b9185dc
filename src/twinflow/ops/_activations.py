"""Activation functions whose derivative costs as much as they do: each is a row, and so is its slope.

A compiled step computes value and slope together, forward, where the argument is at hand; backward is one product.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.graph import Primitive
from twinflow.ops._declare import FLOATS, elementwise
from twinflow.ops._native import Native
from twinflow.ops._unary import erf, exp, sigmoid
from twinflow.tensor import Tensor, apply

_ROOT_HALF = math.sqrt(0.5)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)  # of the normal distribution at 0
_SCALARS = 1 << 12  # elements from which on a compiled pass beats NumPy's several


def _wide(x: Any) -> Any:
    return x.astype(np.float64)


def _np_share(x: Any) -> Any:
    """Φ(x), the normal distribution function, in float64."""
    return 0.5 * (1.0 + erf.ref(_wide(x) * _ROOT_HALF))


def _np_gelu_slope(x: Any) -> Any:
    w = _wide(x)
    return (_np_share(x) + w * np.exp(-0.5 * w * w) * _DENSITY).astype(x.dtype)


def _gelu_bend(g: Tensor, _y: Any, x: Tensor) -> Tensor:
    return g * (apply(exp, x * x * -0.5) * _DENSITY * (2.0 - x * x))


def _np_logistic(x: Any) -> Any:
    return sigmoid.ref(_wide(x))


def _np_silu_slope(x: Any) -> Any:
    s = _np_logistic(x)
    return (s * (1.0 + _wide(x) * (1.0 - s))).astype(x.dtype)


def _silu_bend(g: Tensor, _y: Any, x: Tensor) -> Tensor:
    s = apply(sigmoid, x)
    return g * (s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s)))


def _row(name: str, ref: Any, vjp: Any, doc: str) -> Primitive:
    row = elementwise(name, ref, (vjp,), ranges=[(-4, 4)], kinds=FLOATS, ulp=8, doc=doc)
    row.run = Native(
        name, ref, lambda x: apply(row, x), lambda x: isinstance(x, np.ndarray) and x.size >= _SCALARS, flat=True
    )
    return row


gelu_slope = _row("gelu_slope", _np_gelu_slope, _gelu_bend, "The derivative of gelu: Φ(x) + x·φ(x).")
gelu = _row(
    "gelu",
    lambda x: (_wide(x) * _np_share(x)).astype(x.dtype),
    lambda g, _y, x: g * apply(gelu_slope, x),
    "x·Φ(x), Φ the normal distribution function.",
)
silu_slope = _row(
    "silu_slope", _np_silu_slope, _silu_bend, "The derivative of silu: s·(1 + x·(1 - s)), s = sigmoid(x)."
)
silu = _row(
    "silu",
    lambda x: (_wide(x) * _np_logistic(x)).astype(x.dtype),
    lambda g, _y, x: g * apply(silu_slope, x),
    "x·sigmoid(x).",
)
