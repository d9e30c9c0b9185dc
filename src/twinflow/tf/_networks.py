"""Rarer functions of neural networks by TensorFlow's names; `tf.nn` has them too."""

from __future__ import annotations

from typing import Any

from twinflow import ops
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf import _nn as nn
from twinflow.tf._boxes import extract_patches
from twinflow.tf._functions import named
from twinflow.tf._shapes import known_int
from twinflow.tf.math import axes_of

_CONVOLUTIONS = {3: nn.conv1d, 4: nn.conv2d, 5: nn.conv3d}
_TRANSPOSED = {3: nn.conv1d_transpose, 4: nn.conv2d_transpose, 5: nn.conv3d_transpose}
_POOLS = {
    "MAX": {3: nn.max_pool1d, 4: nn.max_pool2d, 5: nn.max_pool3d},
    "AVG": {3: nn.avg_pool1d, 4: nn.avg_pool2d, 5: nn.avg_pool3d},
}


def _by_rank(op: str, table: Any, x: Tensor) -> Any:
    if x.ndim not in table:
        raise ShapeError(
            f"tf.nn.{op}: the input has 1, 2 or 3 axes between batch and channels, but the shape is {tuple(x.shape)}"
        )
    return table[x.ndim]


@named
def convolution(input: Any, filters: Any, strides: Any = None, padding: Any = "VALID", data_format: str | None = None,
                dilations: Any = None) -> Tensor:  # fmt: skip
    """`conv1d`, `conv2d` or `conv3d`, by the number of axes."""
    x = to_tensor(input)
    return _by_rank("convolution", _CONVOLUTIONS, x)(
        x, filters, 1 if strides is None else strides, padding, data_format, dilations
    )


@named
def conv_transpose(input: Any, filters: Any, output_shape: Any, strides: Any, padding: Any = "SAME",
                   data_format: str | None = None, dilations: Any = None) -> Tensor:  # fmt: skip
    """`conv1d_transpose`, `conv2d_transpose` or `conv3d_transpose`, by the number of axes."""
    x = to_tensor(input)
    return _by_rank("conv_transpose", _TRANSPOSED, x)(
        x, filters, output_shape, strides, padding, data_format, dilations
    )


@named
def atrous_conv2d(value: Any, filters: Any, rate: int, padding: str) -> Tensor:
    """`conv2d` whose filters have `rate` - 1 gaps between their elements."""
    return nn.conv2d(value, filters, 1, padding, None, rate)


@named
def atrous_conv2d_transpose(value: Any, filters: Any, output_shape: Any, rate: int, padding: str) -> Tensor:
    """The gradient of `atrous_conv2d` with respect to its input."""
    return nn.conv2d_transpose(value, filters, output_shape, 1, padding, None, rate)


@named
def pool(input: Any, window_shape: Any, pooling_type: str, strides: Any = None, padding: Any = "VALID",
         data_format: str | None = None) -> Tensor:  # fmt: skip
    """The largest element ("MAX") or the mean ("AVG") of each window."""
    x = to_tensor(input)
    if pooling_type not in _POOLS:
        raise ArgumentError(f"tf.nn.pool: pooling_type is 'MAX' or 'AVG', not {pooling_type!r}")
    return _by_rank("pool", _POOLS[pooling_type], x)(
        x, window_shape, 1 if strides is None else strides, padding, data_format
    )


@named
def max_pool_with_argmax(input: Any, ksize: Any, strides: Any, padding: str, output_dtype: Any = "int64",
                         include_batch_in_index: bool = False) -> Any:  # fmt: skip
    """(the largest element of each window of images [N, H, W, C], where it stands in the flattened image)."""
    x = to_tensor(input)
    values, places = nn.largest_of_windows("tf.nn.max_pool_with_argmax", x, ksize, strides, padding)
    n, h, w, c = (int(v) for v in x.shape)
    at = places.to(dtype="int64") * c + ops.arange(c)
    if include_batch_in_index:
        at = at + ops.arange(n).reshape(-1, 1, 1, 1) * (h * w * c)
    return values, at.to(dtype=output_dtype)


def _dilated(op: str, x: Tensor, filters: Tensor, strides: Any, padding: str, dilations: Any, lowest: float) -> Tensor:
    """max over a window of x + filter."""
    h, w, c = (int(v) for v in filters.shape)
    if x.ndim != 4 or int(x.shape[-1]) != c:
        raise ShapeError(f"tf.nn.{op}: images [N, H, W, {c}] are needed, not {tuple(x.shape)}")
    # elements outside the image count as the lowest number: 1 marks those inside
    marks = extract_patches(ops.ones_like(x), [1, h, w, 1], strides, dilations, padding)
    parts = extract_patches(x, [1, h, w, 1], strides, dilations, padding)
    shape = (*parts.shape[:3], h * w, c)
    reached = ops.where(marks.reshape(shape) > 0, parts.reshape(shape) + filters.reshape(h * w, c), lowest)
    return ops.amax(reached, -2)


@named
def dilation2d(
    input: Any, filters: Any, strides: Any, padding: str, data_format: str = "NHWC", dilations: Any = (1, 1, 1, 1)
) -> Tensor:
    """The largest of image + filter in each window, filters [H, W, C]."""
    if data_format != "NHWC":
        raise ArgumentError("tf.nn.dilation2d: the channels stand last (NHWC)")
    return _dilated("dilation2d", to_tensor(input), to_tensor(filters), strides, padding, dilations, float("-inf"))


@named
def erosion2d(
    value: Any, filters: Any, strides: Any, padding: str, data_format: str = "NHWC", dilations: Any = (1, 1, 1, 1)
) -> Tensor:
    """The smallest of image - filter in each window, filters [H, W, C]."""
    return -dilation2d(
        -to_tensor(value), ops.flip(to_tensor(filters), (0, 1)), strides, padding, data_format, dilations
    )


@named
def ctc_loss(labels: Any, logits: Any, label_length: Any, logit_length: Any, logits_time_major: bool = True, unique: Any = None,
             blank_index: int | None = None) -> Tensor:  # fmt: skip
    """-log of the probability of each label sequence [N, S], summed over all its alignments with the frames.

    Args:
        logits: [frames, N, classes], or [N, frames, classes] with `logits_time_major=False`.
        blank_index: the class of no label, 0 by default.
    """
    if unique is not None:
        raise ArgumentError("tf.nn.ctc_loss: unique is not needed; leave it out")
    x = to_tensor(logits)
    x = x if logits_time_major else x.transpose(0, 1)
    blank = 0 if blank_index is None else blank_index % int(x.shape[-1])
    return F.ctc_loss(ops.log_softmax(x, -1), to_tensor(labels).to(dtype="int64"), to_tensor(logit_length).to(dtype="int64"),
                      to_tensor(label_length).to(dtype="int64"), blank, "none")  # fmt: skip


def compute_average_loss(per_example_loss: Any, sample_weight: Any = None, global_batch_size: Any = None) -> Tensor:
    """The sum of losses times weights over the number of examples."""
    x = to_tensor(per_example_loss)
    n = int(x.shape[0]) if x.ndim else 1
    if sample_weight is not None:
        w = to_tensor(sample_weight, x.dtype)
        x = x * w.reshape(*w.shape, *(1,) * (x.ndim - w.ndim))
    return ops.sum(x) / float(n if global_batch_size is None else known_int(global_batch_size))


def scale_regularization_loss(regularization_loss: Any) -> Tensor:
    """The sum of the losses: there is one process to share it between."""
    return ops.sum(to_tensor(regularization_loss))


@named
def weighted_moments(x: Any, axes: Any, frequency_weights: Any, keepdims: bool = False) -> Any:
    """(mean, variance) over axes, each element counted as often as its weight says."""
    t = to_tensor(x)
    w = ops.broadcast_to(to_tensor(frequency_weights, t.dtype), tuple(t.shape))
    where = axes_of(t, axes)
    total = ops.sum(w, where, True)
    mean = ops.sum(t * w, where, True) / total
    variance = ops.sum(ops.square(t - mean) * w, where, True) / total
    if keepdims:
        return mean, variance
    return ops.squeeze(mean, where), ops.squeeze(variance, where)


@named
def sufficient_statistics(x: Any, axes: Any, shift: Any = None, keepdims: bool = False) -> Any:
    """(count, sum, sum of squares, shift): what mean and variance follow from."""
    t = to_tensor(x)
    where = axes_of(t, axes)
    moved = t if shift is None else t - shift
    total = ops.sum(moved, where, keepdims)
    count = t.numel() / max(int(total.numel()), 1)
    return ops.tensor(float(count), dtype=t.dtype), total, ops.sum(moved * moved, where, keepdims), shift


@named
def normalize_moments(counts: Any, mean_ss: Any, variance_ss: Any, shift: Any) -> Any:
    """(mean, variance) from sufficient statistics."""
    n = to_tensor(counts)
    moved = to_tensor(mean_ss) / n
    return moved if shift is None else moved + shift, to_tensor(variance_ss) / n - moved * moved


@named
def batch_norm_with_global_normalization(input: Any, mean: Any, variance: Any, beta: Any, gamma: Any, variance_epsilon: float,
                                         scale_after_normalization: bool) -> Tensor:  # fmt: skip
    """`batch_normalization`, with gamma or without."""
    return nn.batch_normalization(
        input, mean, variance, beta, gamma if scale_after_normalization else None, variance_epsilon
    )
