"""Activation functions by Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._registry import Registry
from twinflow.nn import functional as F
from twinflow.ops import exp as _exp
from twinflow.ops import log_softmax as _log_softmax
from twinflow.ops import sigmoid as _sigmoid
from twinflow.ops import softmax as _softmax
from twinflow.ops import tanh as _tanh
from twinflow.tensor import Tensor

_REGISTRY = Registry("activation")
Activation = Callable[[Tensor], Tensor]


@_REGISTRY.add()
def linear(x: Tensor) -> Tensor:
    """The argument itself."""
    return x


@_REGISTRY.add()
def relu(x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """max(x, 0), with Keras's options."""
    if threshold:
        y = F.threshold(x, threshold, 0.0)
        if negative_slope:
            y = y - negative_slope * (threshold - x).relu()
    else:
        y = F.leaky_relu(x, negative_slope) if negative_slope else F.relu(x)
    return y if max_value is None else y.clamp(max=max_value)


@_REGISTRY.add()
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return F.relu6(x)


@_REGISTRY.add()
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + e^-x)."""
    return _sigmoid(x)


@_REGISTRY.add()
def hard_sigmoid(x: Tensor) -> Tensor:
    """relu6(x + 3) / 6."""
    return F.hardsigmoid(x)


@_REGISTRY.add()
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return _tanh(x)


@_REGISTRY.add()
def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """e^x / Σ e^x along an axis."""
    return _softmax(x, axis)


@_REGISTRY.add()
def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """The logarithm of softmax."""
    return _log_softmax(x, axis)


@_REGISTRY.add()
def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x)."""
    return F.softplus(x)


@_REGISTRY.add()
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return F.softsign(x)


@_REGISTRY.add()
def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, else α (e^x - 1)."""
    return F.elu(x, alpha)


@_REGISTRY.add()
def selu(x: Tensor) -> Tensor:
    """The self-normalising elu."""
    return F.selu(x)


@_REGISTRY.add()
def gelu(x: Tensor, approximate: bool = False) -> Tensor:
    """x Φ(x)."""
    return F.gelu(x, approximate="tanh" if approximate else "none")


@_REGISTRY.add("swish")
def silu(x: Tensor) -> Tensor:
    """x · sigmoid(x)."""
    return F.silu(x)


swish = silu


@_REGISTRY.add("hard_swish")
def hard_silu(x: Tensor) -> Tensor:
    """x · hard_sigmoid(x)."""
    return F.hardswish(x)


@_REGISTRY.add()
def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """x where positive, else slope · x."""
    return F.leaky_relu(x, negative_slope)


@_REGISTRY.add()
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x))."""
    return F.mish(x)


@_REGISTRY.add()
def celu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """max(x, 0) + min(α (e^(x/α) - 1), 0)."""
    return F.celu(x, alpha)


@_REGISTRY.add()
def exponential(x: Tensor) -> Tensor:
    """e^x."""
    return _exp(x)


def get(identifier: Any) -> Activation:
    """The function of a name; None is `linear`; a function is returned as it is."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return _REGISTRY.find(identifier)
    if callable(identifier):
        return identifier
    raise ArgumentError(f"activations.get: {identifier!r} is neither the name of an activation nor a function")
