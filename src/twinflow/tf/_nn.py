"""Functions of neural networks by TensorFlow's names: `tf.nn`. Images are [N, H, W, C], filters [H, W, in, out]."""

from __future__ import annotations

from math import prod
from typing import Any

from twinflow import ops
from twinflow.core.errors import ArgumentError, IndexOutOfRange, ShapeError
from twinflow.keras import activations
from twinflow.keras._variable import to_tensor
from twinflow.keras.layers._spatial import pads
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._array import gather
from twinflow.tf._functions import named, unary
from twinflow.tf._shapes import shape_list
from twinflow.tf.math import axes_of
from twinflow.tf.math import in_top_k as in_top_k
from twinflow.tf.math import l2_normalize as l2_normalize
from twinflow.tf.math import log_sigmoid as log_sigmoid
from twinflow.tf.math import log_softmax as log_softmax
from twinflow.tf.math import sigmoid as sigmoid
from twinflow.tf.math import softmax as softmax
from twinflow.tf.math import softplus as softplus
from twinflow.tf.math import softsign as softsign
from twinflow.tf.math import tanh as tanh
from twinflow.tf.math import top_k as top_k
from twinflow.tf.math import zero_fraction as zero_fraction

relu = unary(ops.relu, "max(x, 0).")
relu6 = unary(F.relu6, "x cut to [0, 6].")
elu = unary(F.elu, "x for x > 0, e^x - 1 below.")
selu = unary(F.selu, "The scaled exponential linear unit.")


@named
def silu(features: Any, beta: float = 1.0) -> Tensor:
    """x · sigmoid(βx)."""
    x = to_tensor(features)
    return F.silu(x) if isinstance(beta, (int, float)) and beta == 1 else x * ops.sigmoid(x * beta)


swish = silu


@named
def leaky_relu(features: Any, alpha: float = 0.2) -> Tensor:
    """x for x > 0, αx below."""
    return F.leaky_relu(to_tensor(features), alpha)


@named
def gelu(features: Any, approximate: bool = False) -> Tensor:
    """x · Φ(x)."""
    return activations.gelu(to_tensor(features), approximate)


@named
def crelu(features: Any, axis: int = -1) -> Tensor:
    """The positive parts of x and of -x, one after the other."""
    x = to_tensor(features)
    return ops.relu(ops.concat([x, -x], axis))


# -- losses ------------------------------------------------------------------------------------------------------


@named
def softmax_cross_entropy_with_logits(labels: Any, logits: Any, axis: int = -1) -> Tensor:
    """-Σ labels · log softmax(logits) along an axis, one number for each row.

    Raises: ShapeError for labels of another shape.
    """
    x = to_tensor(logits)
    y = to_tensor(labels, x.dtype)
    if tuple(x.shape) != tuple(y.shape):
        hint = "; use sparse_softmax_cross_entropy_with_logits for class numbers" if y.ndim < x.ndim else ""
        raise ShapeError(
            f"softmax_cross_entropy_with_logits: labels of shape {tuple(y.shape)} for logits of shape {tuple(x.shape)}{hint}"
        )
    return -ops.sum(y * ops.log_softmax(x, axis), axis)


@named
def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """-log softmax(logits)[label], one number for each label. Raises: ShapeError if labels and rows differ in shape."""
    x = to_tensor(logits)
    y = to_tensor(labels).to(dtype="int64")
    if tuple(y.shape) != tuple(x.shape[:-1]):
        hint = "; use softmax_cross_entropy_with_logits for one-hot labels" if y.ndim == x.ndim else ""
        raise ShapeError(
            f"sparse_softmax_cross_entropy_with_logits: labels of shape {tuple(y.shape)} for logits of shape {tuple(x.shape)}{hint}"
        )
    if y.ndim == 1:
        return F.cross_entropy(x, y, reduction="none")
    flat = F.cross_entropy(x.reshape(-1, x.shape[-1]), y.reshape(-1), reduction="none")
    return flat.reshape(tuple(y.shape))


@named
def sigmoid_cross_entropy_with_logits(labels: Any, logits: Any) -> Tensor:
    """-(t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), element by element."""
    x = to_tensor(logits)
    return F.binary_cross_entropy_with_logits(x, to_tensor(labels, x.dtype), reduction="none")


@named
def weighted_cross_entropy_with_logits(labels: Any, logits: Any, pos_weight: Any) -> Tensor:
    """`sigmoid_cross_entropy_with_logits` with positive examples counted `pos_weight` times."""
    x = to_tensor(logits)
    weight = to_tensor(pos_weight, x.dtype)
    return F.binary_cross_entropy_with_logits(x, to_tensor(labels, x.dtype), reduction="none", pos_weight=weight)


@named
def log_poisson_loss(targets: Any, log_input: Any, compute_full_loss: bool = False) -> Tensor:
    """e^x - t x; with `compute_full_loss` Stirling's formula for log t! is added where t > 1."""
    x = to_tensor(log_input)
    t = to_tensor(targets, x.dtype)
    return F.poisson_nll_loss(x, t, log_input=True, full=compute_full_loss, reduction="none")


@named
def l2_loss(t: Any) -> Tensor:
    """Σ t² / 2."""
    return ops.sum(ops.square(to_tensor(t))) / 2


# -- convolution and pooling -------------------------------------------------------------------------------------


def _window(op: str, value: Any, n: int, first: bool) -> tuple[int, ...]:
    """The n spatial numbers of an argument that has one, n, or n + 2 of them."""
    items = (value,) * n if isinstance(value, int) else tuple(int(v) for v in value)
    if len(items) == 1:
        items = items * n
    if len(items) == n + 2:
        if items[0] != 1 or items[1 if first else -1] != 1:
            raise ArgumentError(f"{op}: windows and strides are 1 along the batch and channels, not {tuple(value)}")
        items = items[2:] if first else items[1:-1]
    if len(items) != n:
        raise ArgumentError(f"{op}: {value!r} has {len(items)} numbers for {n} axes of the image")
    return items


def _padding(op: str, padding: Any, extents: Any, kernel: Any, stride: Any, dilation: Any, first: bool) -> Any:
    if isinstance(padding, str):
        if padding.upper() not in ("SAME", "VALID"):
            raise ArgumentError(f"{op}: padding is 'SAME' or 'VALID', not {padding!r}")
        return pads(padding.lower(), extents, kernel, stride, dilation)
    rows = [tuple(p) for p in padding]
    return tuple(rows[2:] if first else rows[1:-1])


def _format(op: str, data_format: str | None) -> bool:
    """Whether the channels stand first."""
    name = data_format or "NHWC"
    if name not in ("NHWC", "NCHW", "NWC", "NCW", "NDHWC", "NCDHW"):
        raise ArgumentError(f"{op}: data_format is 'NHWC' or 'NCHW', not {name!r}")
    return name.startswith("NC")


def _channels(op: str, x: Tensor, w: Tensor, n: int, first: bool) -> None:
    if x.ndim != n + 2 or w.ndim != n + 2:
        raise ShapeError(
            f"{op}: an input of {n + 2} axes [batch, ..., channels] and filters of {n + 2} axes [..., in, out] are needed, not "
            f"{tuple(x.shape)} and {tuple(w.shape)}"
        )
    c = x.shape[1 if first else -1]
    if c % w.shape[-2]:
        raise ShapeError(
            f"{op}: the input {tuple(x.shape)} has {c} channels, but the filters {tuple(w.shape)} read {w.shape[-2]}"
        )


def _convolution(
    op: str, n: int, x: Any, filters: Any, strides: Any, padding: Any, data_format: Any, dilations: Any
) -> Tensor:
    """A convolution over n axes in TensorFlow's layout."""
    t, w = to_tensor(x), to_tensor(filters)
    first = _format(op, data_format)
    _channels(op, t, w, n, first)
    stride = _window(op, strides, n, first)
    dilation = (1,) * n if dilations is None else _window(op, dilations, n, first)
    t = t if first else t.movedim(-1, 1)
    groups = int(t.shape[1]) // int(w.shape[-2])
    padding = _padding(op, padding, t.shape[2:], tuple(w.shape[:n]), stride, dilation, first)
    y = ops.call(
        "conv", t, w.permute(n + 1, n, *range(n)), stride=stride, dilation=dilation, groups=groups, padding=padding
    )
    return y if first else y.movedim(1, -1)


@named
def conv1d(
    input: Any,
    filters: Any,
    stride: Any = 1,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """A convolution of sequences [N, W, C] by filters [W, in, out]."""
    return _convolution("tf.nn.conv1d", 1, input, filters, stride, padding, data_format, dilations)


@named
def conv2d(
    input: Any,
    filters: Any,
    strides: Any = 1,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """A convolution of images [N, H, W, C] by filters [H, W, in, out]; padding 'SAME', 'VALID' or [before, after] for each axis."""
    return _convolution("tf.nn.conv2d", 2, input, filters, strides, padding, data_format, dilations)


@named
def conv3d(
    input: Any,
    filters: Any,
    strides: Any = 1,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """A convolution of volumes [N, D, H, W, C] by filters [D, H, W, in, out]."""
    return _convolution("tf.nn.conv3d", 3, input, filters, strides, padding, data_format, dilations)


@named
def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any = 1,
    padding: Any = "VALID",
    data_format: str | None = None,
    dilations: Any = None,
) -> Tensor:
    """A convolution of each channel by filters of its own, [H, W, in, multiplier]."""
    w = to_tensor(filter)
    h, v, c, m = (int(n) for n in w.shape)
    return _convolution(
        "tf.nn.depthwise_conv2d", 2, input, w.reshape(h, v, 1, c * m), strides, padding, data_format, dilations
    )


def _pool(op: str, kind: str, x: Any, ksize: Any, strides: Any, padding: Any, data_format: Any, n: int = 2) -> Tensor:
    t = to_tensor(x)
    if t.ndim != n + 2:
        raise ShapeError(
            f"{op}: images have {n + 2} axes [batch, height, width, channels], but the shape is {tuple(t.shape)}"
        )
    first = _format(op, data_format)
    kernel, stride = _window(op, ksize, n, first), _window(op, strides, n, first)
    t = t if first else t.movedim(-1, 1)
    one = (1,) * n
    padding = _padding(op, padding, t.shape[2:], kernel, stride, one, first)
    if kind == "max":
        y = ops.call("max_pool", t, kernel=kernel, stride=stride, padding=padding, dilation=one)[0]
    else:
        window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": one}
        y = ops.call("window_sum", t, **window)
        if all(p == (0, 0) for p in padding):
            y = y / float(prod(kernel))
        else:
            y = y / ops.call("window_sum", ops.ones((1, 1, *t.shape[2:]), dtype=t.dtype), **window)
    return y if first else y.movedim(1, -1)


def largest_of_windows(op: str, x: Tensor, ksize: Any, strides: Any, padding: Any) -> tuple[Tensor, Tensor]:
    """The largest element of each window of images [N, H, W, C], and its place in its channel's plane."""
    kernel, stride = _window(op, ksize, 2, False), _window(op, strides, 2, False)
    around = _padding(op, padding, x.shape[1:3], kernel, stride, (1, 1), False)
    window = {"kernel": kernel, "stride": stride, "padding": around, "dilation": (1, 1)}
    values, places = ops.call("max_pool", x.movedim(-1, 1), **window)
    return values.movedim(1, -1), places.movedim(1, -1)


@named
def max_pool2d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None) -> Tensor:
    """The largest element of each window of images [N, H, W, C]."""
    return _pool("tf.nn.max_pool2d", "max", input, ksize, strides, padding, data_format)


@named
def avg_pool2d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None) -> Tensor:
    """The mean of each window of images [N, H, W, C], of the elements that lie in the image."""
    return _pool("tf.nn.avg_pool2d", "mean", input, ksize, strides, padding, data_format)


max_pool, avg_pool = max_pool2d, avg_pool2d


@named
def max_pool1d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None) -> Tensor:
    """The largest element of each window of sequences [N, W, C]."""
    return _pool("tf.nn.max_pool1d", "max", input, ksize, strides, padding, data_format, 1)


@named
def max_pool3d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None) -> Tensor:
    """The largest element of each window of volumes [N, D, H, W, C]."""
    return _pool("tf.nn.max_pool3d", "max", input, ksize, strides, padding, data_format, 3)


@named
def avg_pool1d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None) -> Tensor:
    """The mean of each window of sequences [N, W, C]."""
    return _pool("tf.nn.avg_pool1d", "mean", input, ksize, strides, padding, data_format, 1)


@named
def avg_pool3d(input: Any, ksize: Any, strides: Any, padding: Any, data_format: str | None = None) -> Tensor:
    """The mean of each window of volumes [N, D, H, W, C]."""
    return _pool("tf.nn.avg_pool3d", "mean", input, ksize, strides, padding, data_format, 3)


@named
def separable_conv2d(
    input: Any, depthwise_filter: Any, pointwise_filter: Any, strides: Any, padding: Any, data_format: str | None = None
) -> Tensor:
    """`depthwise_conv2d`, and a product over the channels after it."""
    y = depthwise_conv2d(input, depthwise_filter, strides, padding, data_format)
    return conv2d(y, pointwise_filter, 1, "VALID", data_format)


@named
def depth_to_space(input: Any, block_size: int, data_format: str | None = None) -> Tensor:
    """Channels laid out as blocks of pixels: [N, H, W, C] -> [N, H·b, W·b, C / b²]."""
    if _format("tf.nn.depth_to_space", data_format):
        raise ArgumentError("tf.nn.depth_to_space: the channels stand last; move them with tf.transpose")
    x = to_tensor(input)
    n, h, w, c = x.shape
    b = block_size
    if c % (b * b):
        raise ShapeError(f"tf.nn.depth_to_space: {c} channels do not divide into blocks of {b} x {b}")
    y = x.reshape(n, h, w, b, b, c // (b * b)).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * b, w * b, c // (b * b))


@named
def space_to_depth(input: Any, block_size: int, data_format: str | None = None) -> Tensor:
    """Blocks of pixels laid out as channels: [N, H, W, C] -> [N, H / b, W / b, C·b²]."""
    if _format("tf.nn.space_to_depth", data_format):
        raise ArgumentError("tf.nn.space_to_depth: the channels stand last; move them with tf.transpose")
    x = to_tensor(input)
    n, h, w, c = x.shape
    b = block_size
    if h % b or w % b:
        raise ShapeError(f"tf.nn.space_to_depth: a picture of {h} x {w} does not divide into blocks of {b} x {b}")
    y = x.reshape(n, h // b, b, w // b, b, c).permute(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h // b, w // b, b * b * c)


def _transposed(op: str, n: int, input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any, data_format: Any,
                dilations: Any = None) -> Tensor:  # fmt: skip
    """The gradient of a convolution over n axes with respect to its input."""
    y, w = to_tensor(input), to_tensor(filters)
    first = _format(op, data_format)
    shape = shape_list(output_shape)
    if len(shape) != n + 2 or y.ndim != n + 2 or w.ndim != n + 2:
        raise ShapeError(f"{op}: input, filters and output_shape have {n + 2} axes each")
    stride = _window(op, strides, n, first)
    dilation = (1,) * n if dilations is None else _window(op, dilations, n, first)
    extents = shape[2:] if first else shape[1:-1]
    around = _padding(op, padding, extents, tuple(int(k) for k in w.shape[:n]), stride, dilation, first)
    out = ops.call(
        "conv_input", y if first else y.movedim(-1, 1), w.permute(n + 1, n, *range(n)), shape=extents, stride=stride, padding=around,
        dilation=dilation, groups=1,
    )  # fmt: skip
    return out if first else out.movedim(1, -1)


@named
def conv1d_transpose(input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any = "SAME",
                     data_format: str | None = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """The gradient of `conv1d` with respect to its input: [N, w, in] to `output_shape`, filters [W, out, in]."""
    return _transposed(
        "tf.nn.conv1d_transpose", 1, input, filters, output_shape, strides, padding, data_format, dilations
    )


@named
def conv2d_transpose(input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any = "SAME",
                     data_format: str | None = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """The gradient of `conv2d` with respect to its input: [N, h, w, in] to `output_shape`, filters [H, W, out, in]."""
    return _transposed(
        "tf.nn.conv2d_transpose", 2, input, filters, output_shape, strides, padding, data_format, dilations
    )


@named
def conv3d_transpose(input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any = "SAME",
                     data_format: str | None = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """The gradient of `conv3d` with respect to its input: [N, d, h, w, in] to `output_shape`, filters [D, H, W, out, in]."""
    return _transposed(
        "tf.nn.conv3d_transpose", 3, input, filters, output_shape, strides, padding, data_format, dilations
    )


@named
def bias_add(value: Any, bias: Any, data_format: str | None = None) -> Tensor:
    """value + bias, one number for each channel."""
    x, b = to_tensor(value), to_tensor(bias)
    first = _format("tf.nn.bias_add", data_format) and x.ndim > 2
    n = x.shape[1 if first else -1]
    if b.ndim != 1 or b.shape[0] != n:
        raise ShapeError(f"tf.nn.bias_add: a bias of shape {tuple(b.shape)} for {n} channels of {tuple(x.shape)}")
    return x + (b.reshape(-1, *(1,) * (x.ndim - 2)) if first else b)


# -- the rest ----------------------------------------------------------------------------------------------------


@named
def dropout(x: Any, rate: Any, seed: int | None = None) -> Tensor:
    """Each element is 0 with probability `rate`; the others are divided by 1 - rate."""
    t = to_tensor(x)
    generator = None if seed is None else ops.Generator().manual_seed(seed)
    if isinstance(rate, (int, float)) and seed is None:
        return F.dropout(t, float(rate))
    kept = ops.rand(tuple(t.shape), generator=generator) >= rate
    return ops.where(kept, t / (1.0 - rate), 0.0)


@named
def moments(x: Any, axes: Any, keepdims: bool = False) -> Any:
    """(mean, variance) over axes."""
    t = to_tensor(x)
    where = axes_of(t, axes)
    return ops.mean(t, where, keepdims), ops.var(t, where, correction=0, keepdim=keepdims)


@named
def batch_normalization(x: Any, mean: Any, variance: Any, offset: Any, scale: Any, variance_epsilon: float) -> Tensor:
    """(x - mean) / √(variance + ε) · scale + offset."""
    factor = ops.rsqrt(to_tensor(variance) + variance_epsilon)
    if scale is not None:
        factor = factor * scale
    y = (to_tensor(x) - mean) * factor
    return y if offset is None else y + offset


@named
def local_response_normalization(
    input: Any, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5
) -> Tensor:
    """x / (bias + α Σ x²)^β, the sum over neighbouring channels."""
    size = 2 * depth_radius + 1
    x = to_tensor(input).movedim(-1, 1)
    return F.local_response_norm(x, size, alpha * size, beta, bias).movedim(1, -1)


lrn = local_response_normalization


@named
def embedding_lookup(params: Any, ids: Any) -> Tensor:
    """The rows of a table that the ids name. Raises: IndexOutOfRange for an id outside the table."""
    table, i = to_tensor(params), to_tensor(ids)
    if not i.dtype.is_floating_point:
        return gather(table, i, 0)
    raise IndexOutOfRange(
        f"tf.nn.embedding_lookup: ids are whole numbers, not {i.dtype.name}; use tf.cast(ids, tf.int32)"
    )
