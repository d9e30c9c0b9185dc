"""Pooling layers: each fixes the options of the function of the same name in `nn.functional`."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.nn import functional as F
from twinflow.nn._function import FunctionLayer
from twinflow.nn._module import Module
from twinflow.tensor import Tensor


class _MaxPool(FunctionLayer):
    options = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=kernel_size if stride is None else stride,
            padding=padding,
            dilation=dilation,
            return_indices=return_indices,
            ceil_mode=ceil_mode,
        )

    def extra_repr(self) -> str:
        """The window."""
        return super().extra_repr() + ("" if self.ceil_mode else ", ceil_mode=False")


class MaxPool1d(_MaxPool):
    """The largest element of each window of [N, C, L]."""

    function = staticmethod(F.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest element of each window of [N, C, H, W].

    Args:
        kernel_size, stride, padding, dilation: a number, or one for each axis; the stride is the kernel unless given.
        return_indices: also give where each element was, for `MaxUnpool2d`.
        ceil_mode: let the last windows reach beyond the padding.
    """

    function = staticmethod(F.max_pool2d)


class MaxPool3d(_MaxPool):
    """The largest element of each window of [N, C, D, H, W]."""

    function = staticmethod(F.max_pool3d)


class AvgPool1d(FunctionLayer):
    """The mean of each window of [N, C, L]."""

    function = staticmethod(F.avg_pool1d)
    options = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=kernel_size if stride is None else stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
        )


class _AvgPool(FunctionLayer):
    options = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__(
            kernel_size=kernel_size,
            stride=kernel_size if stride is None else stride,
            padding=padding,
            ceil_mode=ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )


class AvgPool2d(_AvgPool):
    """The mean of each window of [N, C, H, W]."""

    function = staticmethod(F.avg_pool2d)


class AvgPool3d(_AvgPool):
    """The mean of each window of [N, C, D, H, W]."""

    function = staticmethod(F.avg_pool3d)


class _LPPool(FunctionLayer):
    options = ("norm_type", "kernel_size", "stride", "ceil_mode")

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__(norm_type=norm_type, kernel_size=kernel_size, stride=stride, ceil_mode=ceil_mode)


class LPPool1d(_LPPool):
    """(Σ x^p)^(1/p) of each window of [N, C, L]."""

    function = staticmethod(F.lp_pool1d)


class LPPool2d(_LPPool):
    """(Σ x^p)^(1/p) of each window of [N, C, H, W]."""

    function = staticmethod(F.lp_pool2d)


class LPPool3d(_LPPool):
    """(Σ x^p)^(1/p) of each window of [N, C, D, H, W]."""

    function = staticmethod(F.lp_pool3d)


class _AdaptiveAvgPool(FunctionLayer):
    options = ("output_size",)

    def __init__(self, output_size: Any) -> None:
        super().__init__(output_size=output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """The means of `output_size` windows that cover [N, C, L]."""

    function = staticmethod(F.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """The means of windows that cover [N, C, H, W]; None keeps an extent."""

    function = staticmethod(F.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """The means of windows that cover [N, C, D, H, W]; None keeps an extent."""

    function = staticmethod(F.adaptive_avg_pool3d)


class _AdaptiveMaxPool(FunctionLayer):
    options = ("output_size", "return_indices")

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size=output_size, return_indices=return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """The largest elements of `output_size` windows that cover [N, C, L]."""

    function = staticmethod(F.adaptive_max_pool1d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """The largest elements of windows that cover [N, C, H, W]."""

    function = staticmethod(F.adaptive_max_pool2d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """The largest elements of windows that cover [N, C, D, H, W]."""

    function = staticmethod(F.adaptive_max_pool3d)


class _FractionalMaxPool(FunctionLayer):
    options = ("kernel_size", "output_size", "output_ratio", "return_indices", "_random_samples")

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        if (output_size is None) == (output_ratio is None):
            raise ArgumentError(f"{type(self).__name__}: give either output_size or output_ratio")
        super().__init__(
            kernel_size=kernel_size, output_size=output_size, output_ratio=output_ratio, return_indices=return_indices
        )
        self.register_buffer("_random_samples", _random_samples)


class FractionalMaxPool2d(_FractionalMaxPool):
    """The largest elements of windows at random, nearly regular places of [N, C, H, W]."""

    function = staticmethod(F.fractional_max_pool2d)


class FractionalMaxPool3d(_FractionalMaxPool):
    """The largest elements of windows at random, nearly regular places of [N, C, D, H, W]."""

    function = staticmethod(F.fractional_max_pool3d)


class _MaxUnpool(Module):
    function: Any

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """Elements at their places, zeros elsewhere."""
        y: Tensor = type(self).function(input, indices, self.kernel_size, self.stride, self.padding, output_size)
        return y

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Put elements back where MaxPool1d found them."""

    function = staticmethod(F.max_unpool1d)


class MaxUnpool2d(_MaxUnpool):
    """Put elements back where MaxPool2d found them."""

    function = staticmethod(F.max_unpool2d)


class MaxUnpool3d(_MaxUnpool):
    """Put elements back where MaxPool3d found them."""

    function = staticmethod(F.max_unpool3d)
