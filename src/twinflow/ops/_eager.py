"""Which primitives run on compiled kernels in eager mode, and from which size on."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from twinflow.graph import Primitive
from twinflow.ops._conv import conv, conv_input, conv_weight
from twinflow.ops._native import Native
from twinflow.ops._pool import window_sum
from twinflow.ops._unary import digamma, erf, erfc, erfinv, lgamma, sigmoid
from twinflow.tensor import apply

# From which size on a compiled program pays, including that it must be compiled once: see benchmarks/operations.py.
_PRODUCTS = 1 << 20  # of a convolution: a millisecond of NumPy
_WINDOWED = 1 << 14
_SCALARS = 1 << 12  # of functions that NumPy lacks


def _products(x: Any, w: Any, **params: Any) -> bool:
    return x.ndim == w.ndim and w.shape[0] > 0 and x.size * prod(w.shape[2:]) * w.shape[0] >= _PRODUCTS


def _by_weight(x: Any, g: Any, *, shape: tuple[int, ...], **params: Any) -> bool:
    return x.ndim == g.ndim and x.size * prod(shape) * g.shape[1] >= _PRODUCTS


def _install(prim: Primitive, pays: Any, batched: int = 1) -> None:
    def compose(*operands: Any, **params: Any) -> Any:
        return apply(prim, *operands, **params)

    prim.run = Native(prim.name, prim.ref, compose, pays, batched=batched, flat=prim.elementwise)


_install(conv, _products)
_install(conv_input, lambda g, w, **_: w.ndim > 1 and g.size * prod(w.shape[1:]) >= _PRODUCTS)
_install(conv_weight, _by_weight, batched=2)
_install(window_sum, lambda x, **_: x.size >= _WINDOWED)
for _prim in (erf, erfc, erfinv, lgamma, digamma, sigmoid):
    _install(_prim, lambda x: isinstance(x, np.ndarray) and x.size >= _SCALARS)
