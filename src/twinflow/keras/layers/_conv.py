"""Convolutions, channels last as in Keras (or first if asked for)."""

from __future__ import annotations

from typing import Any, ClassVar

from twinflow.core.errors import ArgumentError
from twinflow.keras import activations
from twinflow.keras._layer import LAYERS
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._spatial import Over1D, Over2D, Over3D, Spatial, check_padding, pads, several
from twinflow.ops import call
from twinflow.tensor import Tensor


class _Conv(Spatial):
    _options: ClassVar[dict[str, Any]] = {"kernel": "glorot_uniform", "bias": "zeros"}
    _paddings: tuple[str, ...] = ("valid", "same")

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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind, n = type(self).__name__, self._n
        positive(kind, filters=filters, groups=groups)
        self.filters, self.groups = filters, groups
        self.kernel_size = several(kind, "kernel_size", kernel_size, n)
        self.strides = several(kind, "strides", strides, n)
        self.dilation_rate = several(kind, "dilation_rate", dilation_rate, n)
        self.padding = check_padding(kind, padding, self._paddings)
        self._format(data_format)
        self.activation, self.use_bias = activations.get(activation), use_bias

    def build(self, input_shape: Any) -> None:
        """Make kernel [..., in / groups, filters] and bias."""
        c = self._channels(input_shape)
        if c % self.groups or self.filters % self.groups:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: groups={self.groups} must divide the {c} channels and the {self.filters} filters"
            )
        self.kernel = self._weight("kernel", (*self.kernel_size, c // self.groups, self.filters))
        self.bias = self._weight("bias", (self.filters,)) if self.use_bias else None

    def _convolve(self, x: Tensor, w: Tensor, groups: int) -> Tensor:
        """Channels first; `w` is [out, in / groups, ...]."""
        self._fits(x, self.kernel_size, self.dilation_rate)
        result: Tensor = call(
            "conv", x, w, stride=self.strides, dilation=self.dilation_rate, groups=groups,
            padding=pads(self.padding, x.shape[2:], self.kernel_size, self.strides, self.dilation_rate),
        )  # fmt: skip
        return result

    def _finish(self, y: Tensor) -> Tensor:
        """Bias, activation, and channels where they came from."""
        if self.bias is not None:
            y = y + self.bias.reshape(-1, *(1,) * self._n)
        return self._last(self.activation(y)) if _elementwise(self.activation) else self.activation(self._last(y))

    def call(self, inputs: Tensor) -> Tensor:
        """activation(x * W + b)."""
        w = self.kernel.permute(self._n + 1, self._n, *range(self._n))
        return self._finish(self._convolve(self._first(inputs), w, self.groups))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "groups", "activation", "use_bias"
        )  # fmt: skip


def _elementwise(activation: Any) -> bool:
    return activation in (activations.linear, activations.relu, activations.sigmoid, activations.tanh)


@LAYERS.add("Convolution1D")
class Conv1D(Over1D, _Conv):
    """Convolution of sequences [N, T, C]; padding may be 'causal'. Arguments as for `Conv2D`."""

    _paddings = ("valid", "same", "causal")


@LAYERS.add("Convolution2D")
class Conv2D(Over2D, _Conv):
    """Convolution of images [N, H, W, C].

    Args:
        filters: the number of channels of the result.
        kernel_size, strides, dilation_rate: a number, or one for each axis.
        padding: 'valid' (no padding), or 'same' (H' = ceil(H / stride)).
        data_format: 'channels_last' or 'channels_first'.
        groups: into how many groups the channels are split.
        activation, use_bias: as for `Dense`; the weights are `kernel` and `bias`.

    >>> from twinflow import keras
    >>> keras.layers.Conv2D(8, 3)(keras.ops.ones((1, 28, 28, 1))).shape
    twinflow.Size([1, 26, 26, 8])
    """


@LAYERS.add("Convolution3D")
class Conv3D(Over3D, _Conv):
    """Convolution of volumes [N, D, H, W, C]. Arguments as for `Conv2D`."""


class _Transposed(_Conv):
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias, **kwargs
        )
        n = self._n
        self.output_padding = (output_padding,) * n if isinstance(output_padding, int) else output_padding
        for extra, s in zip(self.output_padding or (), self.strides):
            if not 0 <= extra < s:
                raise ArgumentError(
                    f"{type(self).__name__}: output_padding must be smaller than strides={self.strides}, but {output_padding!r} was given"
                )

    def build(self, input_shape: Any) -> None:
        """Make kernel [..., filters, in] and bias."""
        self.kernel = self._weight("kernel", (*self.kernel_size, self.filters, self._channels(input_shape)))
        self.bias = self._weight("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """activation(b + the map whose convolution is the derivative of this one)."""
        x = self._first(inputs)
        shape, sides = [], []
        extra = self.output_padding or (None,) * self._n
        for m, k, s, d, e in zip(x.shape[2:], self.kernel_size, self.strides, self.dilation_rate, extra):
            reach = d * (k - 1) + 1
            if self.padding == "valid":
                out = (m - 1) * s + reach + (max(s - reach, 0) if e is None else e)
            else:
                out = m * s if e is None else (m - 1) * s + reach - 2 * (reach // 2) + e
            total = (m - 1) * s + reach - out
            low = max(total, 0) // 2 if self.padding == "same" else 0
            shape.append(out)
            sides.append((low, total - low))
        w = self.kernel.permute(self._n + 1, self._n, *range(self._n))
        y = call(
            "conv_input", x, w, shape=tuple(shape), stride=self.strides, padding=tuple(sides), dilation=self.dilation_rate, groups=1
        )  # fmt: skip
        return self._finish(y)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        config = {**super().get_config(), "output_padding": self.output_padding}
        del config["groups"]
        return config


@LAYERS.add("Convolution1DTranspose")
class Conv1DTranspose(Over1D, _Transposed):
    """Transposed convolution of sequences. Arguments as for `Conv2DTranspose`."""


@LAYERS.add("Convolution2DTranspose")
class Conv2DTranspose(Over2D, _Transposed):
    """Transposed convolution of images: the map whose derivative `Conv2D` is, so strides make the image larger.

    Args:
        filters, kernel_size, strides, padding, ...: as for `Conv2D`.
        output_padding: which of the sizes that `Conv2D` would map to this one; with None, H' = H · stride for 'same', and
            H · stride + max(kernel - stride, 0) for 'valid'.
    """


@LAYERS.add("Convolution3DTranspose")
class Conv3DTranspose(Over3D, _Transposed):
    """Transposed convolution of volumes. Arguments as for `Conv2DTranspose`."""


def _depthwise_filters(kernel: Tensor, n: int) -> Tensor:
    """[..., C, M] -> [C · M, 1, ...]."""
    w = kernel.permute(n, n + 1, *range(n))
    return w.reshape(w.shape[0] * w.shape[1], 1, *w.shape[2:])


class _Depthwise(_Conv):
    _options: ClassVar[dict[str, Any]] = {"depthwise": "glorot_uniform", "bias": "zeros"}

    def __init__(
        self, kernel_size: Any, strides: Any = 1, padding: str = "valid", depth_multiplier: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(1, kernel_size, strides, padding, **kwargs)
        positive(type(self).__name__, depth_multiplier=depth_multiplier)
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: Any) -> None:
        """Make kernel [..., C, depth_multiplier] and bias."""
        c = self._channels(input_shape)
        self.groups, self.filters = c, c * self.depth_multiplier
        self.kernel = self._weight("depthwise", (*self.kernel_size, c, self.depth_multiplier))
        self.bias = self._weight("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """activation(x * W + b), channel by channel."""
        return self._finish(self._convolve(self._first(inputs), _depthwise_filters(self.kernel, self._n), self.groups))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        config = {**super().get_config(), "depth_multiplier": self.depth_multiplier}
        del config["filters"], config["groups"]
        return config


@LAYERS.add()
class DepthwiseConv1D(Over1D, _Depthwise):
    """A convolution of each channel by filters of its own: [N, T, C] -> [N, T', C · depth_multiplier]."""


@LAYERS.add()
class DepthwiseConv2D(Over2D, _Depthwise):
    """A convolution of each channel by filters of its own: [N, H, W, C] -> [N, H', W', C · depth_multiplier]."""


class _Separable(_Conv):
    _options: ClassVar[dict[str, Any]] = {
        "depthwise": "glorot_uniform", "pointwise": "glorot_uniform", "bias": "zeros"
    }  # fmt: skip

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias, **kwargs
        )
        positive(type(self).__name__, depth_multiplier=depth_multiplier)
        self.depth_multiplier = depth_multiplier

    def build(self, input_shape: Any) -> None:
        """Make the two kernels and bias."""
        c, m = self._channels(input_shape), self.depth_multiplier
        self.depthwise_kernel = self._weight("depthwise", (*self.kernel_size, c, m))
        self.pointwise_kernel = self._weight("pointwise", (*(1,) * self._n, c * m, self.filters))
        self.bias = self._weight("bias", (self.filters,)) if self.use_bias else None

    def call(self, inputs: Tensor) -> Tensor:
        """Each channel by itself, then a product over channels."""
        w = self.depthwise_kernel
        y = self._convolve(self._first(inputs), _depthwise_filters(w, self._n), w.shape[-2])
        one = (1,) * self._n
        mix = self.pointwise_kernel.permute(self._n + 1, self._n, *range(self._n))
        return self._finish(call("conv", y, mix, stride=one, dilation=one, groups=1, padding=((0, 0),) * self._n))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        config = {**super().get_config(), "depth_multiplier": self.depth_multiplier}
        del config["groups"]
        return config


@LAYERS.add("SeparableConvolution1D")
class SeparableConv1D(Over1D, _Separable):
    """`DepthwiseConv1D` followed by a convolution with windows of one step, in one layer."""


@LAYERS.add("SeparableConvolution2D")
class SeparableConv2D(Over2D, _Separable):
    """`DepthwiseConv2D` followed by a convolution with windows of one pixel, in one layer. Source: Chollet, arXiv:1610.02357."""


Convolution1D, Convolution2D, Convolution3D = Conv1D, Conv2D, Conv3D
Convolution1DTranspose, Convolution2DTranspose = Conv1DTranspose, Conv2DTranspose
Convolution3DTranspose = Conv3DTranspose
SeparableConvolution1D, SeparableConvolution2D = SeparableConv1D, SeparableConv2D
