"""Functions of neural networks of `keras.ops`; channels last unless `data_format` says otherwise."""

from __future__ import annotations

import math
from typing import Any

from twinflow import ops as O
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError
from twinflow.keras import activations, losses
from twinflow.keras import layers as K
from twinflow.keras._variable import to_tensor
from twinflow.keras.layers._spatial import pads
from twinflow.keras.ops._function import op
from twinflow.nn import functional as F
from twinflow.tensor import Tensor


def _activation(name: str) -> Any:
    fn = activations.get(name)

    def call(x: Any, *args: Any, **options: Any) -> Tensor:
        return fn(to_tensor(x), *args, **options)

    call.__name__ = name
    call.__doc__ = fn.__doc__
    return op(call)


relu6, sigmoid, hard_sigmoid = _activation("relu6"), _activation("sigmoid"), _activation("hard_sigmoid")
softplus, softsign, elu, selu = _activation("softplus"), _activation("softsign"), _activation("elu"), _activation("selu")  # fmt: skip
silu, swish, hard_silu, hard_swish = _activation("silu"), _activation("swish"), _activation("hard_silu"), _activation("hard_swish")  # fmt: skip
leaky_relu, celu, mish = _activation("leaky_relu"), _activation("celu"), _activation("mish")
hard_tanh, tanh_shrink, soft_shrink = _activation("hard_tanh"), _activation("tanh_shrink"), _activation("soft_shrink")
hard_shrink, threshold, log_sigmoid = _activation("hard_shrink"), _activation("threshold"), _activation("log_sigmoid")
squareplus, glu, sparsemax = _activation("squareplus"), _activation("glu"), _activation("sparsemax")
sparse_plus, sparse_sigmoid = _activation("sparse_plus"), _activation("sparse_sigmoid")
softmax, log_softmax = _activation("softmax"), _activation("log_softmax")


@op
def relu(x: Any) -> Tensor:
    """max(x, 0)."""
    return F.relu(to_tensor(x))


@op
def gelu(x: Any, approximate: bool = True) -> Tensor:
    """x Φ(x), by default in tanh's approximation."""
    return activations.gelu(to_tensor(x), approximate)


@op
def one_hot(x: Any, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False) -> Tensor:
    """1 at the place of each number, along a new axis."""
    if sparse:
        raise ArgumentError("one_hot: there are no sparse tensors")
    t = to_tensor(x).long().unsqueeze(-1)
    y = (t == O.arange(num_classes)).to(dtype=as_dtype(dtype or "float32"))
    return y if axis == -1 else y.movedim(-1, axis)


@op
def multi_hot(
    inputs: Any, num_classes: int | None = None, axis: int = -1, dtype: Any = None, sparse: bool = False
) -> Tensor:
    """1 at the place of each number among those along an axis."""
    if num_classes is None:
        raise ArgumentError("multi_hot: num_classes is needed")
    t = to_tensor(inputs)
    over = 0 if t.ndim == 1 else 1
    return one_hot(t, num_classes, axis, dtype, sparse).amax(over)


def _windows(n: int, value: Any) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


def _first(x: Tensor, data_format: str | None) -> Tensor:
    return x if data_format == "channels_first" else x.movedim(-1, 1)


def _last(x: Tensor, data_format: str | None) -> Tensor:
    return x if data_format == "channels_first" else x.movedim(1, -1)


@op
def conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None, dilation_rate: Any = 1
) -> Tensor:  # fmt: skip
    """Convolution with a kernel [..., in / groups, out]."""
    x, w = _first(to_tensor(inputs), data_format), to_tensor(kernel)
    n = x.ndim - 2
    s, d = _windows(n, strides), _windows(n, dilation_rate)
    size = tuple(w.shape[:n])
    y = O.call(
        "conv", x, w.permute(n + 1, n, *range(n)), stride=s, dilation=d, groups=x.shape[1] // w.shape[n],
        padding=pads(padding.lower(), x.shape[2:], size, s, d),
    )  # fmt: skip
    return _last(y, data_format)


@op
def depthwise_conv(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: str | None = None, dilation_rate: Any = 1
) -> Tensor:  # fmt: skip
    """Convolution of each channel by filters [..., channels, multiplier] of its own."""
    w = to_tensor(kernel)
    n = w.ndim - 2
    flat = w.reshape(*w.shape[:n], 1, w.shape[n] * w.shape[n + 1])
    return conv(inputs, flat, strides, padding, data_format, dilation_rate)


@op
def separable_conv(
    inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, strides: Any = 1, padding: str = "valid",
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    """`depthwise_conv`, and a product over channels."""
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format)


@op
def conv_transpose(
    inputs: Any, kernel: Any, strides: Any = 1, padding: str = "valid", output_padding: Any = None,
    data_format: str | None = None, dilation_rate: Any = 1,
) -> Tensor:  # fmt: skip
    """Transposed convolution with a kernel [..., out, in]."""
    x, w = to_tensor(inputs), to_tensor(kernel)
    n = x.ndim - 2
    kinds: dict[int, Any] = {1: K.Conv1DTranspose, 2: K.Conv2DTranspose, 3: K.Conv3DTranspose}
    layer = kinds[n](
        w.shape[n], tuple(w.shape[:n]), strides, padding, output_padding, data_format, dilation_rate, use_bias=False
    )
    layer.kernel, layer.bias, layer.built = w, None, True
    result: Tensor = layer.call(x)
    return result


def _pool(name: str, kinds: Any) -> Any:
    def call(inputs: Any, pool_size: Any, strides: Any = None, padding: str = "valid", data_format: str | None = None) -> Tensor:  # fmt: skip
        x = to_tensor(inputs)
        result: Tensor = kinds[x.ndim - 3](pool_size, strides, padding, data_format).call(x)
        return result

    call.__name__ = name
    call.__doc__ = "One value for each window."
    return op(call)


max_pool = _pool("max_pool", (K.MaxPooling1D, K.MaxPooling2D, K.MaxPooling3D))
average_pool = _pool("average_pool", (K.AveragePooling1D, K.AveragePooling2D, K.AveragePooling3D))


def _adaptive(name: str, kinds: Any) -> Any:
    def call(inputs: Any, output_size: Any, data_format: str | None = None) -> Tensor:
        x = to_tensor(inputs)
        result: Tensor = kinds[x.ndim - 3](output_size, data_format).call(x)
        return result

    call.__name__ = name
    call.__doc__ = "One value for each cell of a grid over the input."
    return op(call)


adaptive_average_pool = _adaptive(
    "adaptive_average_pool", (K.AdaptiveAveragePooling1D, K.AdaptiveAveragePooling2D, K.AdaptiveAveragePooling3D)
)
adaptive_max_pool = _adaptive("adaptive_max_pool", (K.AdaptiveMaxPooling1D, K.AdaptiveMaxPooling2D, K.AdaptiveMaxPooling3D))  # fmt: skip


@op
def batch_normalization(
    x: Any, mean: Any, variance: Any, axis: int, offset: Any = None, scale: Any = None, epsilon: float = 1e-3
) -> Tensor:
    """(x - mean) / √(variance + ε) · scale + offset."""
    t = to_tensor(x).movedim(axis, -1)
    y = (t - to_tensor(mean)) * O.rsqrt(to_tensor(variance) + epsilon)
    y = y if scale is None else y * to_tensor(scale)
    return (y if offset is None else y + to_tensor(offset)).movedim(-1, axis)


def _ends(t: Tensor, axis: Any) -> tuple[int, ...]:
    axes = [axis] if isinstance(axis, int) else list(axis)
    if sorted(a % t.ndim for a in axes) != list(range(t.ndim - len(axes), t.ndim)):
        raise ArgumentError(f"axis must be the last axes, not {axis!r} of {t.ndim}")
    return tuple(t.shape[t.ndim - len(axes) :])


@op
def layer_normalization(
    x: Any, gamma: Any = None, beta: Any = None, axis: Any = -1, epsilon: float | None = None
) -> Tensor:
    """(x - mean) / √(variance + ε) · γ + β over the last axes."""
    t = to_tensor(x)
    w, b = (None if v is None else to_tensor(v) for v in (gamma, beta))
    return F.layer_norm(t, _ends(t, axis), w, b, 1e-7 if epsilon is None else epsilon)


@op
def rms_normalization(x: Any, scale: Any = None, axis: Any = -1, epsilon: float | None = None) -> Tensor:
    """x / √(mean(x²) + ε) · scale over the last axes."""
    t = to_tensor(x)
    return F.rms_norm(t, _ends(t, axis), None if scale is None else to_tensor(scale), 1e-7 if epsilon is None else epsilon)  # fmt: skip


@op
def dot_product_attention(
    query: Any, key: Any, value: Any, bias: Any = None, mask: Any = None, scale: float | None = None, is_causal: bool = False
) -> Tensor:  # fmt: skip
    """softmax(scale · q kᵀ + bias) v for [N, T, heads, size]; `mask` [N, heads, T, S] is True where a query may look."""
    q, k, v = (to_tensor(t).transpose(1, 2) for t in (query, key, value))
    if k.shape[1] != q.shape[1]:
        k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], 1) for t in (k, v))
    allowed = None if mask is None else to_tensor(mask).bool()
    if bias is not None:
        b = to_tensor(bias)
        allowed = b if allowed is None else O.where(allowed, b, float("-inf"))
    if is_causal and allowed is not None:
        t, s = q.shape[-2], k.shape[-2]
        below = O.arange(t).reshape(-1, 1) >= O.arange(s).reshape(1, -1)
        allowed = O.where(below, allowed, float("-inf")) if allowed.dtype.is_floating_point else O.logical_and(allowed, below)  # fmt: skip
        is_causal = False
    return F.scaled_dot_product_attention(q, k, v, allowed, 0.0, is_causal, scale).transpose(1, 2)


@op
def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """-(t log p + (1 - t) log(1 - p)) of each element."""
    t, p = to_tensor(target), to_tensor(output)
    if from_logits:
        return F.binary_cross_entropy_with_logits(p, t.to(dtype=p.dtype), reduction="none")
    return F.binary_cross_entropy(p.clamp(1e-7, 1 - 1e-7), t.to(dtype=p.dtype), reduction="none")


@op
def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-Σ t log p along an axis."""
    t, p = (to_tensor(v).movedim(axis, -1) for v in (target, output))
    return losses.categorical_crossentropy(t, p, from_logits=from_logits)


@op
def sparse_categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """-log p[t] along an axis."""
    return losses.sparse_categorical_crossentropy(target, to_tensor(output).movedim(axis, -1), from_logits=from_logits)


@op
def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Tensor:
    """Connectionist temporal classification: labels [N, S] against logits [N, T, classes]."""
    logs = to_tensor(output).log_softmax(-1).transpose(0, 1)
    lengths = to_tensor(output_length).long(), to_tensor(target_length).long()
    return F.ctc_loss(logs, to_tensor(target).long(), *lengths, blank=mask_index, reduction="none")


@op
def psnr(x1: Any, x2: Any, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio in decibels."""
    d = to_tensor(x1) - to_tensor(x2)
    return 20 * math.log10(max_val) - 10.0 * O.log10((d * d).mean())


@op
def depth_to_space(x: Any, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Channels [b·b·C] as blocks of b by b pixels."""
    t, b = _first(to_tensor(x), data_format), block_size
    n, c, h, w = t.shape
    y = t.reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // (b * b), h * b, w * b)
    return _last(y, data_format)


@op
def space_to_depth(x: Any, block_size: int, data_format: str = "channels_last") -> Tensor:
    """Blocks of b by b pixels as channels: the inverse of `depth_to_space`."""
    t, b = _first(to_tensor(x), data_format), block_size
    n, c, h, w = t.shape
    y = t.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)
    return _last(y, data_format)


@op
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of [N, C, H, W] as columns."""
    return F.unfold(to_tensor(x), kernel_size, dilation, padding, stride)


@op
def fold(x: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """Columns added up at their places: the transpose of `unfold`."""
    return F.fold(to_tensor(x), output_size, kernel_size, dilation, padding, stride)
