"""Rarer layers of static graphs, and layers as objects that keep their variables: `tf.layers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.tf import _networks, _nn
from twinflow.tf.compat.v1 import _layers as layers
from twinflow.tf.compat.v1 import _nn as nn
from twinflow.tf.compat.v1._deferred import convert_to_tensor, deferred
from twinflow.tf.compat.v1._functions import shape as shape_of
from twinflow.tf.compat.v1._functions import stack
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._scopes import get_variable, variable_scope

conv3d_transpose_op = deferred(
    _nn.conv3d_transpose, "conv3d_transpose", name="conv3d_transpose", static=("output_shape",)
)
_pools = {
    (kind, n): deferred(fn, f"{kind}_pooling{n}d", name=f"{kind}_pool{n}d")
    for kind, table in (("max", _networks._POOLS["MAX"]), ("average", _networks._POOLS["AVG"]))
    for n, fn in ((1, table[3]), (3, table[5]))
}


def conv3d(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid", data_format: str = "channels_last",
           dilation_rate: Any = 1, activation: Any = None, use_bias: bool = True, kernel_initializer: Any = None,
           bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None, trainable: bool = True,
           name: str | None = None, reuse: Any = None) -> Any:  # fmt: skip
    """activation(x * kernel + bias) of volumes [N, D, H, W, C]."""
    return layers._conv(
        "conv3d", 3, nn.conv3d, inputs, filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
        (kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer), trainable, name, reuse,
    )  # fmt: skip


def _sizes(value: Any, n: int) -> tuple[int, ...]:
    return (value,) * n if isinstance(value, int) else tuple(value)


def _transposed(kind: str, n: int, run: Any, inputs: Any, filters: int, kernel_size: Any, strides: Any, padding: str, data_format: str,
                activation: Any, use_bias: bool, initializers: Any, regularizers: Any, trainable: bool, name: Any, reuse: Any) -> Any:  # fmt: skip
    x = convert_to_tensor(inputs)
    if data_format != "channels_last":
        raise ArgumentError(f"tf.layers.{kind}: the channels stand last; move them with tf.transpose")
    size, step = _sizes(kernel_size, n), _sizes(strides, n)
    dims = x.shape.dims or ()
    extents = [d for d in dims[1:-1] if d is not None]
    if len(extents) != n:
        raise ShapeError(f"tf.layers.{kind}: the size of the images must be known, not {x.shape}")
    grown = [d * s if padding == "same" else d * s + max(k - s, 0) for d, s, k in zip(extents, step, size)]
    with variable_scope(name, kind, reuse=reuse):
        kernel = get_variable(
            "kernel", [*size, filters, layers._last(kind, x)], x.dtype, initializers[0], regularizers[0], trainable
        )
        batch = dims[0] if dims[0] is not None else shape_of(x)[0]
        whole = [batch, *grown, filters]
        y = run(x, kernel, whole if dims[0] is not None else stack(whole), step, padding.upper())
        y.set_shape([dims[0], *grown, filters])
        if use_bias:
            y = nn.bias_add(y, get_variable("bias", [filters], x.dtype, initializers[1], regularizers[1], trainable))
        return layers._finished(y, activation)


def conv2d_transpose(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                     data_format: str = "channels_last", activation: Any = None, use_bias: bool = True, kernel_initializer: Any = None,
                     bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
                     trainable: bool = True, name: str | None = None, reuse: Any = None) -> Any:  # fmt: skip
    """The gradient of a convolution of images as a layer: images grow by the strides."""
    return _transposed("conv2d_transpose", 2, nn.conv2d_transpose, inputs, filters, kernel_size, strides, padding, data_format, activation,
                       use_bias, (kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer), trainable, name, reuse)  # fmt: skip


def conv3d_transpose(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                     data_format: str = "channels_last", activation: Any = None, use_bias: bool = True, kernel_initializer: Any = None,
                     bias_initializer: Any = "zeros", kernel_regularizer: Any = None, bias_regularizer: Any = None,
                     trainable: bool = True, name: str | None = None, reuse: Any = None) -> Any:  # fmt: skip
    """The gradient of a convolution of volumes as a layer: volumes grow by the strides."""
    return _transposed("conv3d_transpose", 3, conv3d_transpose_op, inputs, filters, kernel_size, strides, padding, data_format, activation,
                       use_bias, (kernel_initializer, bias_initializer), (kernel_regularizer, bias_regularizer), trainable, name, reuse)  # fmt: skip


def separable_conv2d(inputs: Any, filters: int, kernel_size: Any, strides: Any = 1, padding: str = "valid",
                     data_format: str = "channels_last", depth_multiplier: int = 1, activation: Any = None, use_bias: bool = True,
                     depthwise_initializer: Any = None, pointwise_initializer: Any = None, bias_initializer: Any = "zeros",
                     depthwise_regularizer: Any = None, pointwise_regularizer: Any = None, bias_regularizer: Any = None,
                     trainable: bool = True, name: str | None = None, reuse: Any = None) -> Any:  # fmt: skip
    """A convolution of each channel alone, then a product over the channels."""
    if data_format != "channels_last":
        raise ArgumentError("tf.layers.separable_conv2d: the channels stand last; move them with tf.transpose")
    x = convert_to_tensor(inputs)
    c, size = layers._last("separable_conv2d", x), _sizes(kernel_size, 2)
    with variable_scope(name, "separable_conv2d", reuse=reuse):
        depth = get_variable(
            "depthwise_kernel",
            [*size, c, depth_multiplier],
            x.dtype,
            depthwise_initializer,
            depthwise_regularizer,
            trainable,
        )
        point = get_variable(
            "pointwise_kernel",
            [1, 1, c * depth_multiplier, filters],
            x.dtype,
            pointwise_initializer,
            pointwise_regularizer,
            trainable,
        )
        y = nn.separable_conv2d(x, depth, point, strides, padding.upper())
        if use_bias:
            y = nn.bias_add(y, get_variable("bias", [filters], x.dtype, bias_initializer, bias_regularizer, trainable))
        return layers._finished(y, activation)


def _pooling(kind: str, n: int, doc: str) -> Callable[..., Any]:
    run = _pools[kind, n]

    def pooling(inputs: Any, pool_size: Any, strides: Any, padding: str = "valid", data_format: str = "channels_last",
                name: str | None = None) -> Any:  # fmt: skip
        layout = ("NWC", "NCW") if n == 1 else ("NDHWC", "NCDHW")
        return run(
            inputs,
            pool_size,
            strides,
            padding.upper(),
            layout[data_format == "channels_first"],
            name=name or f"{kind}_pooling{n}d",
        )

    pooling.__name__ = pooling.__qualname__ = f"{kind}_pooling{n}d"
    pooling.__doc__ = doc
    return pooling


max_pooling1d = _pooling("max", 1, "The largest element of each window of sequences.")
max_pooling3d = _pooling("max", 3, "The largest element of each window of volumes.")
average_pooling1d = _pooling("average", 1, "The mean of each window of sequences.")
average_pooling3d = _pooling("average", 3, "The mean of each window of volumes.")


class Layer:
    """A layer of `tf.layers` as an object: its first call makes its variables, later ones use them again.

    >>> from twinflow.tf.compat import v1 as tf
    >>> tf.reset_default_graph()
    >>> layer = tf.layers.Dense(3)
    >>> a, b = layer(tf.ones([2, 4])), layer(tf.zeros([5, 4]))
    >>> [v.name for v in layer.trainable_variables]
    ['dense/kernel:0', 'dense/bias:0']
    """

    _run: Callable[..., Any]
    _scoped = True  # whether it has variables

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        self._args, self._kwargs, self._name = args, kwargs, name
        self._scope: Any = None

    def __call__(self, inputs: Any, **kwargs: Any) -> Any:
        run, given = type(self)._run, {**self._kwargs, **kwargs}
        if not self._scoped:
            return run(inputs, *self._args, name=self._name, **given)
        reuse = self._scope is not None
        with variable_scope(self._scope or self._name, run.__name__, reuse=reuse or None) as scope:
            self._scope = scope
            return run(inputs, *self._args, name=scope, **given)

    apply = __call__

    @property
    def name(self) -> str:
        """The name of its scope."""
        return self._scope.name if self._scope is not None else self._name or type(self)._run.__name__

    @property
    def variables(self) -> list[Any]:
        """Its variables."""
        return [] if self._scope is None else self._scope.global_variables()

    weights = variables

    @property
    def trainable_variables(self) -> list[Any]:
        """Those that optimizers change."""
        return [] if self._scope is None else self._scope.trainable_variables()

    trainable_weights = trainable_variables

    def _variable(self, name: str) -> Any:
        for v in self.variables:
            if v.op.name == f"{self._scope.name}/{name}":
                return v
        raise AttributeError(f"the layer {self.name!r} has no {name}; call it first")

    @property
    def kernel(self) -> Any:
        """The variable `kernel`."""
        return self._variable("kernel")

    @property
    def bias(self) -> Any:
        """The variable `bias`."""
        return self._variable("bias")

    @property
    def losses(self) -> list[Any]:
        """The penalties on its variables."""
        return (
            []
            if self._scope is None
            else get_default_graph().get_collection(GraphKeys.REGULARIZATION_LOSSES, self._scope.name)
        )


def _layer(name: str, run: Callable[..., Any], scoped: bool = True) -> type[Layer]:
    doc = f"`{run.__name__}` as an object. {run.__doc__}"
    return type(name, (Layer,), {"__doc__": doc, "_run": staticmethod(run), "_scoped": scoped, "__module__": __name__})


Dense = _layer("Dense", layers.dense)
Conv1D = _layer("Conv1D", layers.conv1d)
Conv2D = _layer("Conv2D", layers.conv2d)
Conv3D = _layer("Conv3D", conv3d)
Conv2DTranspose = _layer("Conv2DTranspose", conv2d_transpose)
Conv3DTranspose = _layer("Conv3DTranspose", conv3d_transpose)
SeparableConv2D = _layer("SeparableConv2D", separable_conv2d)
BatchNormalization = _layer("BatchNormalization", layers.batch_normalization)
Dropout = _layer("Dropout", layers.dropout, scoped=False)
Flatten = _layer("Flatten", layers.flatten, scoped=False)
MaxPooling1D = _layer("MaxPooling1D", max_pooling1d, scoped=False)
MaxPooling2D = _layer("MaxPooling2D", layers.max_pooling2d, scoped=False)
MaxPooling3D = _layer("MaxPooling3D", max_pooling3d, scoped=False)
AveragePooling1D = _layer("AveragePooling1D", average_pooling1d, scoped=False)
AveragePooling2D = _layer("AveragePooling2D", layers.average_pooling2d, scoped=False)
AveragePooling3D = _layer("AveragePooling3D", average_pooling3d, scoped=False)
