"""Activations: what stands between the linear maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._arguments import finish, floating, tensors
from twinflow.ops import call, clamp, exp, log1p, rand, rand_like, where
from twinflow.ops import log as log_
from twinflow.ops import log_softmax as log_softmax
from twinflow.ops import relu as relu_op
from twinflow.ops import sigmoid as sigmoid
from twinflow.ops import softmax as softmax
from twinflow.ops import tanh as tanh
from twinflow.ops._autocast import lowered
from twinflow.tensor import Tensor


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return finish(input, True, "relu", relu_op) if inplace else relu_op(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def _of_type(x: Tensor, value: float) -> float:
    """The number as one of the type of x."""
    return float(value) if x.dtype.is_floating_point else int(value)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]; the derivative is 0 at both ends."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val {min_val} is larger than max_val {max_val}")

    def fn(x: Tensor) -> Tensor:
        low, high = _of_type(x, min_val), _of_type(x, max_val)
        return where(x <= low, low, where(x >= high, high, x))

    return finish(input, inplace, "hardtanh", fn)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, α(eˣ - 1) below. Clevert et al., arXiv:1511.07289."""
    return finish(input, inplace, "elu", lambda x: _elu(x, alpha, 1.0, 1.0))


def _elu(x: Tensor, alpha: float, scale: float, inner: float) -> Tensor:
    below = (where(x > 0, 0.0, x) * inner).expm1() * (alpha * scale)  # the branch not taken must not overflow
    return where(x > 0, x * scale, below)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # fixed points of arXiv:1706.02515


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Scaled elu whose outputs keep mean 0 and variance 1. Klambauer et al., arXiv:1706.02515."""
    return finish(input, inplace, "selu", lambda x: _elu(x, _SELU_ALPHA, _SELU_SCALE, 1.0))


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x for x > 0, α(e^(x/α) - 1) below. Barron, arXiv:1704.07483."""
    if alpha == 0:
        raise ArgumentError("celu: alpha must not be 0")
    return finish(input, inplace, "celu", lambda x: _elu(x, alpha, 1.0, 1.0 / alpha))


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x for x > 0, slope · x below."""
    return finish(input, inplace, "leaky_relu", lambda x: where(x > 0, x, x * float(negative_slope)))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x for x > 0, w · x below; w is one number, or one for each channel (axis 1)."""
    tensors("prelu", input=input, weight=weight)
    input, weight = lowered(input, weight)
    n = weight._data.size
    if n != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if n != channels:
            raise ShapeError(
                f"prelu: weight has {n} elements, but the input of shape {tuple(input.shape)} has {channels} channels"
            )
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2)) if input.ndim > 1 else weight
    return where(input > 0, input, input * weight)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """leaky_relu with slopes drawn from [lower, upper) in training, and their mean otherwise."""
    if lower > upper:
        raise ArgumentError(f"rrelu: lower {lower} is larger than upper {upper}")

    def fn(x: Tensor) -> Tensor:
        slope: Any = rand_like(x) * (upper - lower) + lower if training else (lower + upper) / 2
        return where(x > 0, x, x * slope)

    return finish(input, inplace, "rrelu", fn)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x for x > threshold, `value` otherwise."""
    return finish(input, inplace, "threshold", lambda x: where(x > threshold, x, _of_type(x, value)))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), Φ the normal distribution function; "tanh" takes its approximation. arXiv:1606.08415."""
    floating("gelu", input)
    if approximate == "none":
        return call("gelu", input)
    if approximate != "tanh":
        raise ArgumentError(f"gelu: approximate is 'none' or 'tanh', not {approximate!r}")
    inner = (input + input * input * input * 0.044715) * math.sqrt(2.0 / math.pi)
    return input * 0.5 * (tanh(inner) + 1.0)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x · sigmoid(x)."""
    floating("silu", input)
    return finish(input, inplace, "silu", lambda x: call("silu", x))


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · tanh(softplus(x)). Misra, arXiv:1908.08681."""
    return finish(input, inplace, "mish", lambda x: x * tanh(log1p_exp(x)))


def log1p_exp(x: Tensor) -> Tensor:
    """log(1 + eˣ) for any x, smooth through 0 in every derivative: max(x, 0) + log(1 + e^-|x|)."""
    return relu_op(x) + log1p(exp(where(x > 0, -x, x)))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e^(βx)) / β; x itself where βx exceeds the threshold."""
    floating("softplus", input)
    z = input * float(beta)
    return where(z > threshold, input, log1p_exp(z) * (1.0 / beta))


def logsigmoid(input: Tensor) -> Tensor:
    """log sigmoid(x), without overflow."""
    floating("logsigmoid", input)
    return -log1p_exp(-input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (input.abs() + 1.0)


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - tanh(input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by λ, 0 within [-λ, λ]."""
    if lambd < 0:
        raise ArgumentError(f"softshrink: lambd must not be negative, but {lambd} was given")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0.0))


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x outside [-λ, λ], 0 within."""
    return where((input > lambd) | (input < -lambd), input, 0.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """clamp(x + 3, 0, 6) / 6."""
    return finish(input, inplace, "hardsigmoid", lambda x: hardtanh(x + 3.0, 0.0, 6.0) * (1.0 / 6.0))


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x · hardsigmoid(x). Howard et al., arXiv:1905.02244."""
    return finish(input, inplace, "hardswish", lambda x: x * hardtanh(x + 3.0, 0.0, 6.0) * (1.0 / 6.0))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a · sigmoid(b), where a and b are the halves of an axis. Dauphin et al., arXiv:1612.08083."""
    axis = normalize_axis(dim, input.ndim, "glu")
    if input.ndim == 0 or input.shape[axis] % 2:
        raise ShapeError(f"glu: axis {dim} of an input of shape {tuple(input.shape)} does not divide into halves")
    a, b = input.chunk(2, axis)
    return a * sigmoid(b)


def softmin(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Tensor:
    """softmax of -x."""
    return softmax(-input, dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, dim: int = -1) -> Tensor:
    """A differentiable draw from the categories: softmax((x + Gumbel noise) / τ); `hard` rounds it to one-hot and
    keeps the gradient. Jang et al., arXiv:1611.01144."""
    u = rand(tuple(logits.shape), dtype=logits.dtype)
    noise = -log_(-log_(clamp(u, 1e-20 if logits.dtype.itemsize > 2 else 1e-7)))
    y = softmax((logits + noise) * (1.0 / tau), dim)
    if not hard:
        return y
    chosen = (y == y.amax(dim, True)).to(dtype=y.dtype)
    return chosen - y.detach() + y


def _writing(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The form of an activation that writes into its input."""

    def written(input: Tensor, *args: Any, **options: Any) -> Tensor:
        return fn(input, *args, inplace=True, **options)

    written.__name__ = written.__qualname__ = fn.__name__ + "_"
    written.__doc__ = f"`{fn.__name__}` in place: writes the result into the input and returns it."
    return written


relu_ = _writing(relu)
elu_ = _writing(elu)
selu_ = _writing(selu)
celu_ = _writing(celu)
leaky_relu_ = _writing(leaky_relu)
hardtanh_ = _writing(hardtanh)
rrelu_ = _writing(rrelu)
threshold_ = _writing(threshold)
