"""Layers that rearrange, pad, resize or compare: each fixes the options of a function."""

from __future__ import annotations

from typing import Any, ClassVar

from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn import functional as F
from twinflow.nn._function import FunctionLayer
from twinflow.nn._module import Module
from twinflow.nn.functional._arguments import ints
from twinflow.ops import flatten
from twinflow.tensor import Tensor


class Flatten(FunctionLayer):
    """Axes start_dim to end_dim as one; by default all but the batch."""

    function = staticmethod(flatten)
    options = ("start_dim", "end_dim")

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__(start_dim=start_dim, end_dim=end_dim)


class Unflatten(Module):
    """One axis split into several."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        """The input with the axis split."""
        axis = normalize_axis(self.dim, input.ndim, "Unflatten")
        shape = tuple(input.shape)
        y: Tensor = input.reshape(*shape[:axis], *self.unflattened_size, *shape[axis + 1 :])
        return y

    def extra_repr(self) -> str:
        """The axis and its parts."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class _Pad(Module):
    n: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: Any, value: float | None = None) -> None:
        super().__init__()
        self.padding = ints(padding, 2 * self.n, type(self).__name__, "padding")
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        if input.ndim not in (self.n + 1, self.n + 2):
            raise ShapeError(
                f"{type(self).__name__}: input must have {self.n + 2} axes (or {self.n + 1}), but its shape is {tuple(input.shape)}"
            )
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        """The amounts."""
        return f"{self.padding}" + (f", value={self.value}" if self.value is not None else "")


class _Plain(_Pad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding)


class ConstantPad1d(_Pad):
    """Surround [N, C, L] with a value."""

    n = 1

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding, value)


class ConstantPad2d(ConstantPad1d):
    """Surround [N, C, H, W] with a value; (left, right, top, bottom)."""

    n = 2


class ConstantPad3d(ConstantPad1d):
    """Surround [N, C, D, H, W] with a value."""

    n = 3


class ZeroPad1d(_Plain):
    """Surround [N, C, L] with zeros."""

    n = 1


class ZeroPad2d(_Plain):
    """Surround [N, C, H, W] with zeros; (left, right, top, bottom)."""

    n = 2


class ZeroPad3d(_Plain):
    """Surround [N, C, D, H, W] with zeros."""

    n = 3


class ReflectionPad1d(_Plain):
    """Continue [N, C, L] by its mirror image, without the edge."""

    n, mode = 1, "reflect"


class ReflectionPad2d(_Plain):
    """Continue [N, C, H, W] by its mirror image, without the edge."""

    n, mode = 2, "reflect"


class ReflectionPad3d(_Plain):
    """Continue [N, C, D, H, W] by its mirror image, without the edge."""

    n, mode = 3, "reflect"


class ReplicationPad1d(_Plain):
    """Continue [N, C, L] by its edge."""

    n, mode = 1, "replicate"


class ReplicationPad2d(_Plain):
    """Continue [N, C, H, W] by its edge."""

    n, mode = 2, "replicate"


class ReplicationPad3d(_Plain):
    """Continue [N, C, D, H, W] by its edge."""

    n, mode = 3, "replicate"


class CircularPad1d(_Plain):
    """Continue [N, C, L] by its other end."""

    n, mode = 1, "circular"


class CircularPad2d(_Plain):
    """Continue [N, C, H, W] by its other end."""

    n, mode = 2, "circular"


class CircularPad3d(_Plain):
    """Continue [N, C, D, H, W] by its other end."""

    n, mode = 3, "circular"


class Upsample(FunctionLayer):
    """Resize the axes after [N, C]. See `functional.interpolate`."""

    function = staticmethod(F.interpolate)
    options = ("size", "scale_factor", "mode", "align_corners", "recompute_scale_factor")

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ArgumentError(f"{type(self).__name__}: give either size or scale_factor")
        super().__init__(
            size=size,
            scale_factor=scale_factor,
            mode=mode,
            align_corners=align_corners,
            recompute_scale_factor=recompute_scale_factor,
        )


class UpsamplingNearest2d(Upsample):
    """Resize images by the nearest pixel."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Resize images linearly, with the corners in place."""

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(FunctionLayer):
    """[..., C·r², H, W] → [..., C, H·r, W·r]."""

    function = staticmethod(F.pixel_shuffle)
    options = ("upscale_factor",)

    def __init__(self, upscale_factor: int) -> None:
        super().__init__(upscale_factor=upscale_factor)


class PixelUnshuffle(FunctionLayer):
    """[..., C, H·r, W·r] → [..., C·r², H, W]."""

    function = staticmethod(F.pixel_unshuffle)
    options = ("downscale_factor",)

    def __init__(self, downscale_factor: int) -> None:
        super().__init__(downscale_factor=downscale_factor)


class ChannelShuffle(FunctionLayer):
    """Channels of groups interleaved."""

    function = staticmethod(F.channel_shuffle)
    options = ("groups",)

    def __init__(self, groups: int) -> None:
        super().__init__(groups=groups)


class Fold(FunctionLayer):
    """Columns added up at their places in an image: the transpose of `Unfold`."""

    function = staticmethod(F.fold)
    options = ("output_size", "kernel_size", "dilation", "padding", "stride")

    def __init__(
        self, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__(
            output_size=output_size, kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride
        )


class Unfold(FunctionLayer):
    """The windows of [N, C, H, W] as columns [N, C·KH·KW, windows]."""

    function = staticmethod(F.unfold)
    options = ("kernel_size", "dilation", "padding", "stride")

    def __init__(self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> None:
        super().__init__(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)


class CosineSimilarity(FunctionLayer):
    """The cosine of the angle between vectors along an axis."""

    function = staticmethod(F.cosine_similarity)
    options = ("dim", "eps")

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__(dim=dim, eps=eps)


class PairwiseDistance(FunctionLayer):
    """The p-norm of the difference of vectors in the last axis."""

    function = staticmethod(F.pairwise_distance)
    options = ("p", "eps", "keepdim")

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__(p=p, eps=eps, keepdim=keepdim)
