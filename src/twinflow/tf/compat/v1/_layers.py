"""Layers of static graphs: `tf.layers`. Their variables come from `get_variable`; their mathematics from `tf.nn`."""

from __future__ import annotations

import math
from typing import Any

from twinflow import ops
from twinflow.core.errors import ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor as Value
from twinflow.tf import _nn
from twinflow.tf.compat.v1 import _nn as nn
from twinflow.tf.compat.v1._deferred import convert_to_tensor, deferred
from twinflow.tf.compat.v1._functions import matmul, reshape, tensordot
from twinflow.tf.compat.v1._functions import shape as shape_of
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._scopes import get_variable, variable_scope
from twinflow.tf.compat.v1._variables import assign


def _finished(y: Any, activation: Any) -> Any:
    return y if activation is None else activation(y)


def _last(kind: str, x: Any, axis: int = -1) -> int:
    dims = x.shape.dims
    if dims is None or dims[axis] is None:
        raise ShapeError(
            f"tf.layers.{kind}: the extent of axis {axis} of {x!r} must be known, for the shape of the weights"
        )
    return int(dims[axis])


def dense(
    inputs: Any,
    units: int,
    activation: Any = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = "zeros",
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Any:
    """activation(x · kernel + bias) along the last axis."""
    x = convert_to_tensor(inputs)
    with variable_scope(name, "dense", reuse=reuse):
        kernel = get_variable(
            "kernel", [_last("dense", x), units], x.dtype, kernel_initializer, kernel_regularizer, trainable
        )
        y = matmul(x, kernel) if x.shape.rank == 2 else tensordot(x, kernel, [[-1], [0]])
        if use_bias:
            y = nn.bias_add(y, get_variable("bias", [units], x.dtype, bias_initializer, bias_regularizer, trainable))
        return _finished(y, activation)


def _conv(kind: str, n: int, run: Any, inputs: Any, filters: int, kernel_size: Any, strides: Any, padding: str, data_format: str,
          dilation_rate: Any, activation: Any, use_bias: bool, initializers: Any, regularizers: Any, trainable: bool, name: Any,
          reuse: Any) -> Any:  # fmt: skip
    x = convert_to_tensor(inputs)
    first = data_format == "channels_first"
    size = (kernel_size,) * n if isinstance(kernel_size, int) else tuple(kernel_size)
    layout = {1: ("NWC", "NCW"), 2: ("NHWC", "NCHW"), 3: ("NDHWC", "NCDHW")}[n][first]
    with variable_scope(name, kind, reuse=reuse):
        shape = [*size, _last(kind, x, 1 if first else -1), filters]
        kernel = get_variable("kernel", shape, x.dtype, initializers[0], regularizers[0], trainable)
        y = run(x, kernel, strides, padding.upper(), layout, dilation_rate)
        if use_bias:
            bias = get_variable("bias", [filters], x.dtype, initializers[1], regularizers[1], trainable)
            y = nn.bias_add(y, bias, data_format=layout)
        return _finished(y, activation)


def conv2d(
    inputs: Any,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: Any = 1,
    activation: Any = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = "zeros",
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Any:
    """activation(x * kernel + bias) of images [N, H, W, C]."""
    return _conv(
        "conv2d", 2, nn._conv2d, inputs, filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
        (kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer), trainable, name, reuse,
    )  # fmt: skip


def conv1d(
    inputs: Any,
    filters: int,
    kernel_size: Any,
    strides: Any = 1,
    padding: str = "valid",
    data_format: str = "channels_last",
    dilation_rate: Any = 1,
    activation: Any = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = "zeros",
    kernel_regularizer: Any = None,
    bias_regularizer: Any = None,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Any:
    """activation(x * kernel + bias) of sequences [N, W, C]."""
    return _conv(
        "conv1d", 1, nn.conv1d, inputs, filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
        (kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer), trainable, name, reuse,
    )  # fmt: skip


def _layout(data_format: str) -> str:
    return "NCHW" if data_format == "channels_first" else "NHWC"


def max_pooling2d(
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> Any:
    """The largest element of each window of images."""
    return nn.max_pool(inputs, pool_size, strides, padding.upper(), _layout(data_format), name=name or "max_pooling2d")


def average_pooling2d(
    inputs: Any,
    pool_size: Any,
    strides: Any,
    padding: str = "valid",
    data_format: str = "channels_last",
    name: str | None = None,
) -> Any:
    """The mean of each window of images."""
    return nn.avg_pool(
        inputs, pool_size, strides, padding.upper(), _layout(data_format), name=name or "average_pooling2d"
    )


def flatten(inputs: Any, name: str | None = None, data_format: str = "channels_last") -> Any:
    """One row for each example."""
    x = convert_to_tensor(inputs)
    dims = x.shape.dims
    if dims is not None and None not in dims[1:]:
        return reshape(x, [-1, math.prod(d or 0 for d in dims[1:])], name=name or "flatten")
    return reshape(x, [shape_of(x)[0], -1], name=name or "flatten")


def _truth(training: Any) -> bool:
    return bool(training._data) if isinstance(training, Value) else bool(training)


def _drop(x: Any, rate: Any, training: Any, seed: Any) -> Value:
    t = to_tensor(x)
    return _nn.dropout(t, rate, seed) if _truth(training) else t * 1


_dropout = deferred(_drop, "dropout", name="DropoutLayer", host=False, static=("training",))


def dropout(
    inputs: Any,
    rate: Any = 0.5,
    noise_shape: Any = None,
    seed: int | None = None,
    training: Any = False,
    name: str | None = None,
) -> Any:
    """Each element is 0 with probability `rate` while training. A fed `training` compiles the graph once for each mode."""
    x = convert_to_tensor(inputs)
    y = _dropout(x, rate, training, seed, name=name or "dropout")
    y.set_shape(x.shape)
    return y


def _normalize(
    x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, axis: int, momentum: float, epsilon: float, training: Any
) -> Any:
    """(normalised x, new moving mean, new moving variance)."""
    t = to_tensor(x)
    moved = t.movedim(axis, 1)
    now = (mean, variance)
    new = now
    if _truth(training):
        axes = (0, *range(2, moved.ndim))
        var, m = ops.var_mean(moved, axes, correction=0)
        now = (m, var)
        count = math.prod(int(moved.shape[a]) for a in axes)
        # images' variance is moved by the one divided by n - 1, as TensorFlow's fused kernel does
        unbiased = var * (count / max(count - 1, 1)) if moved.ndim == 4 else var
        new = tuple(old * momentum + n.detach() * (1 - momentum) for old, n in zip((mean, variance), (m, unbiased)))
    y = F.batch_norm(moved, now[0], now[1], gamma, beta, False, 0.0, epsilon)
    return y.movedim(1, axis), new[0] * 1, new[1] * 1


_batch_norm = deferred(_normalize, "batch_normalization", name="BatchNormalization", static=("training",))


def batch_normalization(
    inputs: Any,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_initializer: Any = "zeros",
    gamma_initializer: Any = "ones",
    moving_mean_initializer: Any = "zeros",
    moving_variance_initializer: Any = "ones",
    training: Any = False,
    trainable: bool = True,
    name: str | None = None,
    reuse: Any = None,
) -> Any:
    """(x - mean) / √(variance + ε) · γ + β by the batch's statistics while training, and moving ones else.

    The moving statistics change when the operations of the collection UPDATE_OPS run: make the step depend on them, by
    `with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):`.
    """
    x = convert_to_tensor(inputs)
    graph = get_default_graph()
    with variable_scope(name, "batch_normalization", reuse=reuse):
        shape = [_last("batch_normalization", x, axis)]
        gamma = get_variable("gamma", shape, x.dtype, gamma_initializer, trainable=trainable) if scale else None
        beta = get_variable("beta", shape, x.dtype, beta_initializer, trainable=trainable) if center else None
        mean = get_variable("moving_mean", shape, x.dtype, moving_mean_initializer, trainable=False)
        var = get_variable("moving_variance", shape, x.dtype, moving_variance_initializer, trainable=False)
        y, new_mean, new_var = _batch_norm(x, gamma, beta, mean, var, axis, momentum, epsilon, training)
        for made, of in ((y, x), (new_mean, mean), (new_var, var)):  # whatever `training` will turn out to be
            made.set_shape(of.shape)
        if training is not False:
            for target, value in ((mean, new_mean), (var, new_var)):
                graph.add_to_collection(GraphKeys.UPDATE_OPS, assign(target, value).op)
        return y
