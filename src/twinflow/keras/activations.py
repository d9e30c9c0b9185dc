"""Activation functions by Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._registry import Registry
from twinflow.keras._registry import serialize as serialize
from twinflow.nn import functional as F
from twinflow.ops import arange as _arange
from twinflow.ops import exp as _exp
from twinflow.ops import log_softmax as _log_softmax
from twinflow.ops import sigmoid as _sigmoid
from twinflow.ops import softmax as _softmax
from twinflow.ops import tanh as _tanh
from twinflow.ops import where as _where
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


hard_swish = hard_silu


@_REGISTRY.add()
def hard_tanh(x: Tensor) -> Tensor:
    """x cut to [-1, 1]."""
    return F.hardtanh(x)


@_REGISTRY.add()
def tanh_shrink(x: Tensor) -> Tensor:
    """x - tanh(x)."""
    return F.tanhshrink(x)


@_REGISTRY.add()
def soft_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by threshold."""
    return F.softshrink(x, threshold)


@_REGISTRY.add()
def hard_shrink(x: Tensor, threshold: float = 0.5) -> Tensor:
    """x where |x| > threshold, else 0."""
    return F.hardshrink(x, threshold)


@_REGISTRY.add()
def threshold(x: Tensor, threshold: float, default_value: float) -> Tensor:
    """x where it exceeds the threshold, else default_value."""
    return F.threshold(x, threshold, default_value)


@_REGISTRY.add()
def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x))."""
    return F.logsigmoid(x)


@_REGISTRY.add()
def squareplus(x: Tensor, b: float = 4) -> Tensor:
    """(x + √(x² + b)) / 2. Source: Barron, arXiv:2112.11687."""
    return (x + (x * x + b).sqrt()) * 0.5


@_REGISTRY.add()
def glu(x: Tensor, axis: int = -1) -> Tensor:
    """The first half of an axis times the sigmoid of the second."""
    return F.glu(x, axis)


@_REGISTRY.add()
def sparse_plus(x: Tensor) -> Tensor:
    """0 up to -1, (x + 1)² / 4 up to 1, x above."""
    middle = (x + 1.0) * (x + 1.0) * 0.25
    return _where(x <= -1.0, 0.0, _where(x < 1.0, middle, x))


@_REGISTRY.add()
def sparse_sigmoid(x: Tensor) -> Tensor:
    """(x + 1) / 2 cut to [0, 1]: the derivative of sparse_plus."""
    return ((x + 1.0) * 0.5).clamp(0.0, 1.0)


@_REGISTRY.add()
def sparsemax(x: Tensor, axis: int = -1) -> Tensor:
    """The point of the simplex nearest to x. Source: Martins and Astudillo, arXiv:1602.02068."""
    x = x.movedim(axis, -1)
    ordered = x.sort(-1, descending=True)[0]
    sums = ordered.cumsum(-1)
    k = _arange(1, x.shape[-1] + 1, dtype=x.dtype)
    support = (1.0 + k * ordered > sums).to(dtype=x.dtype)
    size = support.sum(-1, keepdim=True)
    tau = ((ordered * support).sum(-1, keepdim=True) - 1.0) / size
    return (x - tau).relu().movedim(-1, axis)


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> Activation:
    """The function of a name, one's own from `custom_objects` among them."""
    if custom_objects and config in custom_objects:
        found: Activation = custom_objects[config]
        return found
    return get(config)


def get(identifier: Any) -> Activation:
    """The function of a name; None is `linear`; a function is returned as it is."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        return _REGISTRY.find(identifier)
    if callable(identifier):
        return identifier
    raise ArgumentError(f"activations.get: {identifier!r} is neither the name of an activation nor a function")
