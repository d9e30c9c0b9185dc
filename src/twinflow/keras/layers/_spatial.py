"""Convolution and pooling, channels last as in Keras (or first if asked for)."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import activations, initializers, regularizers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras.layers._core import positive
from twinflow.ops import call, ones
from twinflow.tensor import Tensor

_AXES = {1: "batch, steps, channels", 2: "batch, height, width, channels", 3: "batch, depth, height, width, channels"}


def several(layer: str, what: str, value: Any, n: int) -> tuple[int, ...]:
    """One positive whole number for each of n axes."""
    items = (value,) * n if isinstance(value, int) else tuple(value)
    if len(items) != n or not all(isinstance(v, int) and v > 0 for v in items):
        raise ArgumentError(f"{layer}: {what} is a positive whole number, or one for each of {n} axes, not {value!r}")
    return items


def check_padding(layer: str, padding: str, allowed: tuple[str, ...] = ("valid", "same")) -> str:
    """'valid' or 'same' in lower case."""
    if not isinstance(padding, str) or padding.lower() not in allowed:
        raise ArgumentError(f"{layer}: padding is {' or '.join(map(repr, allowed))}, not {padding!r}")
    return padding.lower()


def pads(
    padding: str, extents: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """(before, after) of each axis; 'same' gives ceil(n / stride) windows, the odd element after the end."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    found = []
    for n, k, s, d in zip(extents, kernel, stride, dilation):
        reach = d * (k - 1) + 1
        if padding == "causal":
            found.append((reach - 1, 0))
            continue
        total = max((-(-int(n) // s) - 1) * s + reach - int(n), 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


class _Spatial(Layer):
    _n = 2

    def _format(self, data_format: str | None) -> None:
        self.data_format = data_format or "channels_last"
        if self.data_format not in ("channels_last", "channels_first"):
            raise ArgumentError(
                f"{type(self).__name__}: data_format is 'channels_last' or 'channels_first', not {data_format!r}"
            )

    def _first(self, x: Tensor) -> Tensor:
        return x.movedim(-1, 1) if self.data_format == "channels_last" else x

    def _last(self, x: Tensor) -> Tensor:
        return x.movedim(1, -1) if self.data_format == "channels_last" else x

    def _fits(self, x: Tensor, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> None:
        extents = tuple(x.shape[2:])
        if self.padding == "valid" and any(d * (k - 1) + 1 > n for n, k, d in zip(extents, kernel, dilation)):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a window of {kernel} does not fit into {extents}; the image has become too small "
                "for it: use padding='same', or fewer layers that shrink it"
            )

    padding: str


class _Conv(_Spatial):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind, n = type(self).__name__, self._n
        positive(kind, filters=filters, groups=groups)
        self.filters, self.groups = filters, groups
        self.kernel_size = several(kind, "kernel_size", kernel_size, n)
        self.strides = several(kind, "strides", strides, n)
        self.dilation_rate = several(kind, "dilation_rate", dilation_rate, n)
        self.padding = check_padding(kind, padding, ("valid", "same", "causal") if n == 1 else ("valid", "same"))
        self._format(data_format)
        self.activation, self.use_bias = activations.get(activation), use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)

    def _channels(self, shape: Any) -> int:
        c = shape[-1 if self.data_format == "channels_last" else 1]
        if c is None:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the number of channels is not known; give it in Input"
            )
        return int(c)

    def build(self, input_shape: Any) -> None:
        """Make kernel [..., in / groups, filters] and bias."""
        c = self._channels(input_shape)
        if c % self.groups or self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: groups={self.groups} must divide the {c} channels and the {self.filters} filters"
            )
        self._make((*self.kernel_size, c // self.groups, self.filters))

    def _make(self, shape: tuple[int, ...]) -> None:
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, regularizer=self.kernel_regularizer, name="kernel"
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def call(self, inputs: Tensor) -> Tensor:
        """activation(x * W + b)."""
        x = self._first(inputs)
        self._fits(x, self.kernel_size, self.dilation_rate)
        w = self.kernel.permute(self._n + 1, self._n, *range(self._n))
        y = call(
            "conv", x, w, stride=self.strides, dilation=self.dilation_rate, groups=self.groups,
            padding=pads(self.padding, x.shape[2:], self.kernel_size, self.strides, self.dilation_rate),
        )  # fmt: skip
        if self.bias is not None:
            y = y + self.bias.reshape(-1, *(1,) * self._n)
        return self._last(self.activation(y)) if _elementwise(self.activation) else self.activation(self._last(y))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation", "use_bias",
            "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer",
        )  # fmt: skip


def _elementwise(activation: Any) -> bool:
    return activation in (activations.linear, activations.relu, activations.sigmoid, activations.tanh)


@LAYERS.add("Convolution1D")
class Conv1D(_Conv):
    """Convolution of sequences [N, T, C]; padding may be 'causal'. Arguments as for `Conv2D`."""

    _n, _rank, _axes = 1, 3, _AXES[1]


@LAYERS.add("Convolution2D")
class Conv2D(_Conv):
    """Convolution of images [N, H, W, C].

    Args:
        filters: the number of channels of the result.
        kernel_size, strides, dilation_rate: a number, or one for each axis.
        padding: 'valid' (no padding), or 'same' (H' = ceil(H / stride)).
        data_format: 'channels_last' or 'channels_first'.
        groups: into how many groups the channels are split.
        activation, use_bias, initializers, regularizers: as for `Dense`.

    >>> from twinflow import keras
    >>> keras.layers.Conv2D(8, 3)(keras.ops.ones((1, 28, 28, 1))).shape
    twinflow.Size([1, 26, 26, 8])
    """

    _n, _rank, _axes = 2, 4, _AXES[2]


@LAYERS.add("Convolution3D")
class Conv3D(_Conv):
    """Convolution of volumes [N, D, H, W, C]. Arguments as for `Conv2D`."""

    _n, _rank, _axes = 3, 5, _AXES[3]


@LAYERS.add()
class DepthwiseConv2D(_Conv):
    """A convolution of each channel by filters of its own: [N, H, W, C] -> [N, H', W', C · depth_multiplier]."""

    _n, _rank, _axes = 2, 4, _AXES[2]

    def __init__(
        self, kernel_size: Any, strides: Any = 1, padding: str = "valid", depth_multiplier: int = 1, **kwargs: Any
    ) -> None:
        self_kernel = kwargs.pop("depthwise_initializer", "glorot_uniform")
        kwargs.pop("filters", None), kwargs.pop("groups", None)
        super().__init__(1, kernel_size, strides, padding, kernel_initializer=self_kernel, **kwargs)
        positive("DepthwiseConv2D", depth_multiplier=depth_multiplier)
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: Any) -> None:
        """Make kernel [H, W, C, depth_multiplier] and bias."""
        c = self._channels(input_shape)
        self.groups, self.filters = c, c * self.depth_multiplier
        self._make((*self.kernel_size, c, self.depth_multiplier))

    def call(self, inputs: Tensor) -> Tensor:
        """activation(x * W + b), channel by channel."""
        x = self._first(inputs)
        self._fits(x, self.kernel_size, self.dilation_rate)
        w = self.kernel.permute(2, 3, 0, 1).reshape(self.filters, 1, *self.kernel_size)
        y = call(
            "conv", x, w, stride=self.strides, dilation=self.dilation_rate, groups=self.groups,
            padding=pads(self.padding, x.shape[2:], self.kernel_size, self.strides, self.dilation_rate),
        )  # fmt: skip
        if self.bias is not None:
            y = y + self.bias.reshape(-1, 1, 1)
        return self.activation(self._last(y))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        config = super().get_config()
        for name in ("filters", "groups"):
            del config[name]
        config["depthwise_initializer"] = config.pop("kernel_initializer")
        return {**config, "depth_multiplier": self.depth_multiplier}


class _Pooling(_Spatial):
    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: str = "valid",
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.pool_size = several(kind, "pool_size", pool_size, self._n)
        self.strides = self.pool_size if strides is None else several(kind, "strides", strides, self._n)
        self.padding = check_padding(kind, padding)
        self._format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """One value for each window."""
        x = self._first(inputs)
        one = (1,) * self._n
        self._fits(x, self.pool_size, one)
        padding = pads(self.padding, x.shape[2:], self.pool_size, self.strides, one)
        return self._last(
            self._pool(x, {"kernel": self.pool_size, "stride": self.strides, "padding": padding, "dilation": one})
        )

    def _pool(self, x: Tensor, window: dict[str, Any]) -> Tensor:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("pool_size", "strides", "padding", "data_format")


class _Max(_Pooling):
    def _pool(self, x: Tensor, window: dict[str, Any]) -> Tensor:
        result: Tensor = call("max_pool", x, **window)[0]
        return result


class _Mean(_Pooling):
    def _pool(self, x: Tensor, window: dict[str, Any]) -> Tensor:
        total: Tensor = call("window_sum", x, **window)
        if self.padding == "valid":
            return total / math.prod(self.pool_size)
        return total / call("window_sum", ones((1, 1, *x.shape[2:])), **window)  # padding does not count


@LAYERS.add("MaxPool1D")
class MaxPooling1D(_Max):
    """The largest of each window of steps."""

    _n, _rank, _axes = 1, 3, _AXES[1]


@LAYERS.add("MaxPool2D")
class MaxPooling2D(_Max):
    """The largest of each window of an image.

    Args:
        pool_size, strides: a number, or one for each axis; strides are the size if not given.
        padding: 'valid' or 'same'.
    """

    _n, _rank, _axes = 2, 4, _AXES[2]


@LAYERS.add("MaxPool3D")
class MaxPooling3D(_Max):
    """The largest of each window of a volume."""

    _n, _rank, _axes = 3, 5, _AXES[3]


@LAYERS.add("AvgPool1D")
class AveragePooling1D(_Mean):
    """The mean of each window of steps."""

    _n, _rank, _axes = 1, 3, _AXES[1]


@LAYERS.add("AvgPool2D")
class AveragePooling2D(_Mean):
    """The mean of each window of an image; padding does not count."""

    _n, _rank, _axes = 2, 4, _AXES[2]


@LAYERS.add("AvgPool3D")
class AveragePooling3D(_Mean):
    """The mean of each window of a volume."""

    _n, _rank, _axes = 3, 5, _AXES[3]


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D


class _Global(_Spatial):
    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._format(data_format)
        self.keepdims = keepdims

    def _over(self) -> tuple[int, ...]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self._n))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("data_format", "keepdims")


class _GlobalMax(_Global):
    def call(self, inputs: Tensor) -> Tensor:
        """The maximum over all positions."""
        return inputs.amax(self._over(), self.keepdims)


class _GlobalMean(_Global):
    def call(self, inputs: Tensor) -> Tensor:
        """The mean over all positions."""
        return inputs.mean(self._over(), self.keepdims)


@LAYERS.add("GlobalMaxPool1D")
class GlobalMaxPooling1D(_GlobalMax):
    """The largest of all steps: [N, T, C] -> [N, C]."""

    _n, _rank, _axes = 1, 3, _AXES[1]


@LAYERS.add("GlobalMaxPool2D")
class GlobalMaxPooling2D(_GlobalMax):
    """The largest of all pixels: [N, H, W, C] -> [N, C]."""

    _n, _rank, _axes = 2, 4, _AXES[2]


@LAYERS.add("GlobalAvgPool1D")
class GlobalAveragePooling1D(_GlobalMean):
    """The mean of all steps: [N, T, C] -> [N, C]."""

    _n, _rank, _axes = 1, 3, _AXES[1]


@LAYERS.add("GlobalAvgPool2D")
class GlobalAveragePooling2D(_GlobalMean):
    """The mean of all pixels: [N, H, W, C] -> [N, C]."""

    _n, _rank, _axes = 2, 4, _AXES[2]


@LAYERS.add()
class UpSampling2D(_Spatial):
    """Each pixel repeated: [N, H, W, C] -> [N, H · size, W · size, C]."""

    _n, _rank, _axes = 2, 4, _AXES[2]

    def __init__(self, size: Any = 2, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = several("UpSampling2D", "size", size, 2)
        self._format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """Nearest neighbours."""
        x = self._first(inputs)
        n, c, h, w = x.shape
        a, b = self.size
        y = x.reshape(n, c, h, 1, w, 1).expand(n, c, h, a, w, b).reshape(n, c, h * a, w * b)
        return self._last(y)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("size", "data_format")
