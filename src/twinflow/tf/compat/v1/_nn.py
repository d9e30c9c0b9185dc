"""Functions of neural networks in static graphs: `tf.nn`."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.tf import _networks as _rare
from twinflow.tf import _nn
from twinflow.tf.compat.v1._deferred import convert_to_tensor, deferred
from twinflow.tf.compat.v1._functions import in_top_k as in_top_k
from twinflow.tf.compat.v1._functions import l2_normalize as l2_normalize
from twinflow.tf.compat.v1._functions import log_sigmoid as log_sigmoid
from twinflow.tf.compat.v1._functions import matmul
from twinflow.tf.compat.v1._functions import sigmoid as sigmoid
from twinflow.tf.compat.v1._functions import softplus as softplus
from twinflow.tf.compat.v1._functions import softsign as softsign
from twinflow.tf.compat.v1._functions import tanh as tanh
from twinflow.tf.compat.v1._functions import top_k as top_k
from twinflow.tf.compat.v1._functions import zero_fraction as zero_fraction

relu = deferred(_nn.relu, "Relu")
relu6 = deferred(_nn.relu6, "Relu6")
elu = deferred(_nn.elu, "Elu")
selu = deferred(_nn.selu, "Selu")
silu = deferred(_nn.silu, "Silu")
swish = silu
crelu = deferred(_nn.crelu, "CRelu")
leaky_relu = deferred(_nn.leaky_relu, "LeakyRelu")
l2_loss = deferred(_nn.l2_loss, "L2Loss")
bias_add = deferred(_nn.bias_add, "BiasAdd")
moments = deferred(_nn.moments, "moments")
batch_normalization = deferred(_nn.batch_normalization, "batchnorm")
local_response_normalization = lrn = deferred(_nn.local_response_normalization, "LRN")
embedding_lookup = deferred(_nn.embedding_lookup, "embedding_lookup")
weighted_cross_entropy_with_logits = deferred(_nn.weighted_cross_entropy_with_logits, "logistic_loss_weighted")
conv2d_transpose = deferred(_nn.conv2d_transpose, "conv2d_transpose", static=("output_shape",))
separable_conv2d = deferred(_nn.separable_conv2d, "separable_conv2d")
depth_to_space = deferred(_nn.depth_to_space, "DepthToSpace")
space_to_depth = deferred(_nn.space_to_depth, "SpaceToDepth")
log_poisson_loss = deferred(_nn.log_poisson_loss, "log_poisson_loss")
conv1d = deferred(_nn.conv1d, "conv1d")
conv3d = deferred(_nn.conv3d, "Conv3D")
depthwise_conv2d = deferred(_nn.depthwise_conv2d, "depthwise")
_conv2d = deferred(_nn.conv2d, "Conv2D")
_max_pool = deferred(_nn.max_pool2d, "MaxPool")
_avg_pool = deferred(_nn.avg_pool2d, "AvgPool")
_softmax = deferred(_nn.softmax, "Softmax")
_log_softmax = deferred(_nn.log_softmax, "LogSoftmax")
_dropout = deferred(_nn.dropout, "dropout", host=False)
_softmax_loss = deferred(_nn.softmax_cross_entropy_with_logits, "softmax_cross_entropy_with_logits")
_sparse_loss = deferred(_nn.sparse_softmax_cross_entropy_with_logits, "SparseSoftmaxCrossEntropyWithLogits")
_sigmoid_loss = deferred(_nn.sigmoid_cross_entropy_with_logits, "logistic_loss")


def _axis(axis: Any, dim: Any) -> Any:
    return dim if axis is None else axis


def softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Any:
    """e^x / Σ e^x along an axis, the last one if none is given."""
    return _softmax(logits, _axis(axis, dim), name=name)


def log_softmax(logits: Any, axis: Any = None, name: str | None = None, dim: Any = None) -> Any:
    """x - log Σ e^x along an axis, the last one if none is given."""
    return _log_softmax(logits, _axis(axis, dim), name=name)


def _named_only(op: str, sentinel: Any, labels: Any, logits: Any) -> None:
    if sentinel is not None or labels is None or logits is None:
        raise ArgumentError(f"tf.nn.{op}: name the arguments, which are easily exchanged: {op}(labels=..., logits=...)")


def softmax_cross_entropy_with_logits(
    _sentinel: Any = None,
    labels: Any = None,
    logits: Any = None,
    dim: int = -1,
    name: str | None = None,
    axis: Any = None,
) -> Any:
    """-Σ labels · log softmax(logits) along an axis, one number for each row."""
    _named_only("softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    return _softmax_loss(labels, logits, dim if axis is None else axis, name=name)


def softmax_cross_entropy_with_logits_v2(
    labels: Any = None, logits: Any = None, axis: Any = None, name: str | None = None, dim: Any = None
) -> Any:
    """-Σ labels · log softmax(logits) along an axis, one number for each row; gradients reach the labels too."""
    at = _axis(axis, dim)
    return _softmax_loss(labels, logits, -1 if at is None else at, name=name)


def sparse_softmax_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """-log softmax(logits)[label], one number for each label."""
    _named_only("sparse_softmax_cross_entropy_with_logits", _sentinel, labels, logits)
    return _sparse_loss(labels, logits, name=name)


def sigmoid_cross_entropy_with_logits(
    _sentinel: Any = None, labels: Any = None, logits: Any = None, name: str | None = None
) -> Any:
    """-(t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), element by element."""
    _named_only("sigmoid_cross_entropy_with_logits", _sentinel, labels, logits)
    return _sigmoid_loss(labels, logits, name=name)


def conv2d(
    input: Any,
    filter: Any = None,
    strides: Any = 1,
    padding: Any = "VALID",
    use_cudnn_on_gpu: bool = True,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
    filters: Any = None,
) -> Any:
    """A convolution of images [N, H, W, C] by filters [H, W, in, out]."""
    weights = filter if filter is not None else filters
    return _conv2d(input, weights, strides, padding, data_format, dilations, name=name)


def max_pool(
    value: Any, ksize: Any, strides: Any, padding: Any, data_format: str = "NHWC", name: str | None = None
) -> Any:
    """The largest element of each window of images [N, H, W, C]."""
    return _max_pool(value, ksize, strides, padding, data_format, name=name)


def avg_pool(
    value: Any, ksize: Any, strides: Any, padding: Any, data_format: str = "NHWC", name: str | None = None
) -> Any:
    """The mean of each window of images [N, H, W, C]."""
    return _avg_pool(value, ksize, strides, padding, data_format, name=name)


max_pool2d, avg_pool2d = max_pool, avg_pool


def dropout(
    x: Any,
    keep_prob: Any = None,
    noise_shape: Any = None,
    seed: int | None = None,
    name: str | None = None,
    rate: Any = None,
) -> Any:
    """Each element is kept with probability `keep_prob` (or set to 0 with probability `rate`) and scaled so that the mean stays."""
    if noise_shape is not None:
        raise ArgumentError("tf.nn.dropout: noise_shape is not taken; multiply by a mask of that shape instead")
    if (keep_prob is None) == (rate is None):
        raise ArgumentError("tf.nn.dropout: give either keep_prob or rate")
    x = convert_to_tensor(x)
    y = _dropout(x, rate if rate is not None else 1.0 - keep_prob, seed, name=name)
    y.set_shape(x.shape)  # also where the rate is a placeholder of unknown shape
    return y


def xw_plus_b(x: Any, weights: Any, biases: Any, name: str | None = None) -> Any:
    """x · weights + biases."""
    return bias_add(matmul(x, weights), biases, name=name or "xw_plus_b")


def relu_layer(x: Any, weights: Any, biases: Any, name: str | None = None) -> Any:
    """max(x · weights + biases, 0)."""
    return relu(xw_plus_b(x, weights, biases), name=name or "relu_layer")


atrous_conv2d = deferred(_rare.atrous_conv2d, "atrous_conv2d")
atrous_conv2d_transpose = deferred(_rare.atrous_conv2d_transpose, "atrous_conv2d_transpose", static=("output_shape",))
batch_norm_with_global_normalization = deferred(_rare.batch_norm_with_global_normalization, "batchnorm")
conv1d_transpose = deferred(_nn.conv1d_transpose, "conv1d_transpose", static=("output_shape",))
conv3d_transpose = deferred(_nn.conv3d_transpose, "conv3d_transpose", static=("output_shape",))
conv_transpose = deferred(_rare.conv_transpose, "conv_transpose", static=("output_shape",))
convolution = deferred(_rare.convolution, "convolution")
ctc_loss_v2 = deferred(_rare.ctc_loss, "ctc_loss", name="ctc_loss_v2")
dilation2d = deferred(_rare.dilation2d, "Dilation2D")
erosion2d = deferred(_rare.erosion2d, "erosion2d")
max_pool_with_argmax = deferred(_rare.max_pool_with_argmax, "MaxPoolWithArgmax")
normalize_moments = deferred(_rare.normalize_moments, "normalize")
pool = deferred(_rare.pool, "pool")
sufficient_statistics = deferred(_rare.sufficient_statistics, "sufficient_statistics")
weighted_moments = deferred(_rare.weighted_moments, "weighted_moments")
max_pool1d = deferred(_nn.max_pool1d, "max_pool1d")
max_pool3d = deferred(_nn.max_pool3d, "max_pool3d")
avg_pool1d = deferred(_nn.avg_pool1d, "avg_pool1d")
avg_pool3d = deferred(_nn.avg_pool3d, "avg_pool3d")
max_pool_v2, avg_pool_v2 = max_pool, avg_pool
depthwise_conv2d_native = depthwise_conv2d


def _normalized(x: Any, scale: Any, offset: Any, mean: Any, variance: Any, epsilon: float, is_training: bool) -> Any:
    t = to_tensor(x)
    if is_training:
        mean, variance = _nn.moments(t, (0, 1, 2))
    n = t.numel() // int(t.shape[-1])
    y = _nn.batch_normalization(t, mean, variance, offset, scale, epsilon)
    return y, mean * 1, variance * (n / max(n - 1, 1) if is_training else 1.0)


_fused = deferred(_normalized, "FusedBatchNorm", name="fused_batch_norm")


def fused_batch_norm(x: Any, scale: Any, offset: Any, mean: Any = None, variance: Any = None, epsilon: float = 0.001,
                     data_format: str = "NHWC", is_training: bool = True, name: str | None = None) -> Any:  # fmt: skip
    """(normalised images [N, H, W, C], the batch's mean, its variance divided by n - 1), or by the statistics given."""
    if data_format != "NHWC":
        raise ArgumentError("tf.nn.fused_batch_norm: the channels stand last (NHWC)")
    return _fused(x, scale, offset, mean, variance, epsilon, is_training, name=name)
