"""Convolution layers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from twinflow.core.errors import ArgumentError
from twinflow.nn import functional as F
from twinflow.nn import init
from twinflow.nn._lazy import LazyLayer
from twinflow.nn._linear import size
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter, UninitializedParameter
from twinflow.nn.functional._arguments import Ints, ints
from twinflow.ops import empty
from twinflow.tensor import Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvBase(Module):
    """What all convolution layers share: sizes, filters and their initial values."""

    n: ClassVar[int]  # spatial axes
    transposed: ClassVar[bool] = False
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        op, n = type(self).__name__, self.n
        lazy = isinstance(self, LazyLayer)
        self.in_channels = 0 if lazy else size(op, "in_channels", in_channels)
        self.out_channels = size(op, "out_channels", out_channels)
        self.groups = size(op, "groups", groups)
        self.kernel_size = ints(kernel_size, n, op, "kernel_size", least=1)
        self.stride = ints(stride, n, op, "stride", least=1)
        self.dilation = ints(dilation, n, op, "dilation", least=1)
        self.padding: Any = padding if isinstance(padding, str) else ints(padding, n, op, "padding", least=0)
        self.output_padding = ints(output_padding, n, op, "output_padding", least=0)
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ArgumentError(f"{op}: padding is a number, one for each axis, 'same' or 'valid', not {padding!r}")
            if padding == "same" and max(self.stride) > 1:
                raise ArgumentError(f"{op}: padding='same' needs stride 1, because other strides change the size")
        if padding_mode not in _PADDING_MODES:
            raise ArgumentError(f"{op}: padding_mode is one of {', '.join(_PADDING_MODES)}, not {padding_mode!r}")
        self.padding_mode = padding_mode
        for name in ("in_channels", "out_channels"):
            if getattr(self, name) % self.groups:
                raise ArgumentError(f"{op}: groups {self.groups} do not divide {name} {getattr(self, name)}")
        if lazy:
            self.weight = UninitializedParameter(dtype=dtype)
            self.bias = UninitializedParameter(dtype=dtype) if bias else None
        else:
            self.weight = Parameter(empty(self.weight_shape(), dtype=dtype, device=device))
            self.bias = Parameter(empty(self.out_channels, dtype=dtype)) if bias else None
        self.reset_parameters()

    def weight_shape(self) -> Ints:
        """The shape of the filters."""
        a, b = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        return (a, b // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw new initial values: uniform in ±1/√fan_in."""
        fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        s = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zero, one = (0,) * self.n, (1,) * self.n
        for name, default in (("padding", zero), ("output_padding", zero), ("dilation", one), ("groups", 1)):
            value = getattr(self, name)
            if value != default:
                s += f", {name}={value!r}"
        if self.bias is None:
            s += ", bias=False"
        return s if self.padding_mode == "zeros" else s + f", padding_mode={self.padding_mode}"


class _Conv(_ConvBase):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _sides(self) -> list[int]:
        """The amounts of padding before and after each axis, last axis first, as `F.pad` takes them."""
        out: list[int] = []
        for i in reversed(range(self.n)):
            total = self.dilation[i] * (self.kernel_size[i] - 1)
            if self.padding == "same":
                out += [total // 2, total - total // 2]
            else:
                p = 0 if self.padding == "valid" else self.padding[i]
                out += [p, p]
        return out

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of the input with this layer's filters."""
        padding = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._sides(), self.padding_mode)
            padding = 0
        conv = (F.conv1d, F.conv2d, F.conv3d)[self.n - 1]
        return conv(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)


class Conv1d(_Conv):
    """Filters over sequences: [N, C, L] → [N, O, L′]. Arguments as for `Conv2d`."""

    n = 1


class Conv2d(_Conv):
    """Filters over images: [N, C, H, W] → [N, O, H′, W′].

    Args:
        in_channels, out_channels: C and O.
        kernel_size, stride, padding, dilation: a number for both axes, or one for each; padding may be 'same' or 'valid'.
        groups: channels are split into so many groups, each convolved by itself; C groups are a depthwise convolution.
        bias: whether a number is added to each output channel.
        padding_mode: 'zeros', 'reflect', 'replicate' or 'circular': what the padding consists of.

    Parameters: weight [O, C/groups, *kernel_size] and bias [O], uniform in ±1/√(C/groups · kernel elements).

    >>> import twinflow
    >>> twinflow.nn.Conv2d(3, 8, 3, padding=1)(twinflow.zeros(2, 3, 16, 16)).shape
    twinflow.Size([2, 8, 16, 16])
    """

    n = 2


class Conv3d(_Conv):
    """Filters over volumes: [N, C, D, H, W] → [N, O, D′, H′, W′]. Arguments as for `Conv2d`."""

    n = 3


class _ConvTranspose(_ConvBase):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(f"{type(self).__name__}: only padding_mode='zeros' exists, not {padding_mode!r}")
        if isinstance(padding, str):
            raise ArgumentError(f"{type(self).__name__}: padding is a number or one for each axis, not {padding!r}")
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        """The transposed convolution; `output_size` chooses among the sizes that the convolution maps to this one."""
        conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.n - 1]
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return conv(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _extra(self, input: Tensor, output_size: Any) -> Ints:
        op = type(self).__name__
        wanted = ints(tuple(output_size)[-self.n :], self.n, op, "output_size")
        least = tuple(
            (m - 1) * s - 2 * p + d * (k - 1) + 1
            for m, s, p, d, k in zip(input.shape[-self.n :], self.stride, self.padding, self.dilation, self.kernel_size)
        )
        extra = tuple(w - a for w, a in zip(wanted, least))
        if any(not 0 <= e < max(s, d) for e, s, d in zip(extra, self.stride, self.dilation)):
            most = tuple(a + s - 1 for a, s in zip(least, self.stride))
            raise ArgumentError(f"{op}: output_size {wanted} is not reachable; it lies between {least} and {most}")
        return extra


class ConvTranspose1d(_ConvTranspose):
    """The transpose of Conv1d: [N, C, L] → [N, O, L′]. Arguments as for `ConvTranspose2d`."""

    n = 1


class ConvTranspose2d(_ConvTranspose):
    """The transpose of Conv2d: each input element adds a scaled filter to the output. [N, C, H, W] → [N, O, H′, W′].

    Args:
        output_padding: further rows and columns at the end of the output.
        others: as for `Conv2d`.

    Parameters: weight [C, O/groups, *kernel_size] and bias [O].
    """

    n = 2


class ConvTranspose3d(_ConvTranspose):
    """The transpose of Conv3d: [N, C, D, H, W] → [N, O, D′, H′, W′]. Arguments as for `ConvTranspose2d`."""

    n = 3


class _LazyConv(LazyLayer):
    """A convolution layer that takes in_channels from its first input."""

    def infer(self, input: Tensor) -> None:
        """Take in_channels from the channel axis."""
        layer: Any = self
        layer.in_channels = input.shape[-layer.n - 1]
        if layer.in_channels % layer.groups:
            raise ArgumentError(
                f"{type(self).__name__}: groups {layer.groups} do not divide in_channels {layer.in_channels}"
            )
        self.give_shapes(weight=layer.weight_shape(), bias=(layer.out_channels,))


def _lazy(name: str, base: type[Any]) -> type[Any]:
    def init(self: Any, out_channels: int, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, 0, out_channels, *args, **kwargs)

    doc = f"A {base.__name__} that takes in_channels from its first input; the other arguments are the same."
    return type(name, (_LazyConv, base), {"__init__": init, "becomes": base, "__doc__": doc, "__module__": __name__})


LazyConv1d = _lazy("LazyConv1d", Conv1d)
LazyConv2d = _lazy("LazyConv2d", Conv2d)
LazyConv3d = _lazy("LazyConv3d", Conv3d)
LazyConvTranspose1d = _lazy("LazyConvTranspose1d", ConvTranspose1d)
LazyConvTranspose2d = _lazy("LazyConvTranspose2d", ConvTranspose2d)
LazyConvTranspose3d = _lazy("LazyConvTranspose3d", ConvTranspose3d)
