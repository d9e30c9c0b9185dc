"""Pooling: windows, whole extents, and grids of a given size."""

from __future__ import annotations

import math
from typing import Any

from twinflow.keras._layer import LAYERS
from twinflow.keras.layers._spatial import Over1D, Over2D, Over3D, Spatial, check_padding, pads, several
from twinflow.nn import functional as F
from twinflow.ops import call, ones
from twinflow.tensor import Tensor


class _Pooling(Spatial):
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
        raise NotImplementedError(f"{type(self).__name__} must define _pool(self, x, window)")

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
class MaxPooling1D(Over1D, _Max):
    """The largest of each window of steps."""


@LAYERS.add("MaxPool2D")
class MaxPooling2D(Over2D, _Max):
    """The largest of each window of an image.

    Args:
        pool_size, strides: a number, or one for each axis; strides are the size if not given.
        padding: 'valid' or 'same'.
    """


@LAYERS.add("MaxPool3D")
class MaxPooling3D(Over3D, _Max):
    """The largest of each window of a volume."""


@LAYERS.add("AvgPool1D")
class AveragePooling1D(Over1D, _Mean):
    """The mean of each window of steps."""


@LAYERS.add("AvgPool2D")
class AveragePooling2D(Over2D, _Mean):
    """The mean of each window of an image; padding does not count."""


@LAYERS.add("AvgPool3D")
class AveragePooling3D(Over3D, _Mean):
    """The mean of each window of a volume."""


class _Global(Spatial):
    def __init__(self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._format(data_format)
        self.keepdims = keepdims

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("data_format", "keepdims")


class _GlobalMax(_Global):
    def call(self, inputs: Tensor) -> Tensor:
        """The maximum over all positions."""
        return inputs.amax(self._space(), self.keepdims)


class _GlobalMean(_Global):
    def call(self, inputs: Tensor) -> Tensor:
        """The mean over all positions."""
        return inputs.mean(self._space(), self.keepdims)


@LAYERS.add("GlobalMaxPool1D")
class GlobalMaxPooling1D(Over1D, _GlobalMax):
    """The largest of all steps: [N, T, C] -> [N, C]."""


@LAYERS.add("GlobalMaxPool2D")
class GlobalMaxPooling2D(Over2D, _GlobalMax):
    """The largest of all pixels: [N, H, W, C] -> [N, C]."""


@LAYERS.add("GlobalMaxPool3D")
class GlobalMaxPooling3D(Over3D, _GlobalMax):
    """The largest of all voxels: [N, D, H, W, C] -> [N, C]."""


@LAYERS.add("GlobalAvgPool1D")
class GlobalAveragePooling1D(Over1D, _Global):
    """The mean of all steps that the mask counts: [N, T, C] -> [N, C]."""

    supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean over the steps."""
        if mask is None:
            return inputs.mean(self._space(), self.keepdims)
        w = mask.to(dtype=inputs.dtype).unsqueeze(-1 if self.data_format == "channels_last" else 1)
        over = self._space()
        return (inputs * w).sum(over, self.keepdims) / w.sum(over, self.keepdims)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """There are no steps any more."""
        return None


@LAYERS.add("GlobalAvgPool2D")
class GlobalAveragePooling2D(Over2D, _GlobalMean):
    """The mean of all pixels: [N, H, W, C] -> [N, C]."""


@LAYERS.add("GlobalAvgPool3D")
class GlobalAveragePooling3D(Over3D, _GlobalMean):
    """The mean of all voxels: [N, D, H, W, C] -> [N, C]."""


class _Adaptive(Spatial):
    _functions: tuple[Any, Any, Any]

    def __init__(self, output_size: Any, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_size = several(type(self).__name__, "output_size", output_size, self._n)
        self._format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """One value for each cell of a grid of `output_size` over the input."""
        return self._last(self._functions[self._n - 1](self._first(inputs), self.output_size))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("output_size", "data_format")


class _AdaptiveMean(_Adaptive):
    _functions = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)


class _AdaptiveMax(_Adaptive):
    _functions = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)


@LAYERS.add()
class AdaptiveAveragePooling1D(Over1D, _AdaptiveMean):
    """The means of `output_size` stretches of steps."""


@LAYERS.add()
class AdaptiveAveragePooling2D(Over2D, _AdaptiveMean):
    """The means of the cells of a grid over an image."""


@LAYERS.add()
class AdaptiveAveragePooling3D(Over3D, _AdaptiveMean):
    """The means of the cells of a grid over a volume."""


@LAYERS.add()
class AdaptiveMaxPooling1D(Over1D, _AdaptiveMax):
    """The largest of `output_size` stretches of steps."""


@LAYERS.add()
class AdaptiveMaxPooling2D(Over2D, _AdaptiveMax):
    """The largest of the cells of a grid over an image."""


@LAYERS.add()
class AdaptiveMaxPooling3D(Over3D, _AdaptiveMax):
    """The largest of the cells of a grid over a volume."""


MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D
GlobalAvgPool1D, GlobalAvgPool2D = GlobalAveragePooling1D, GlobalAveragePooling2D
GlobalAvgPool3D = GlobalAveragePooling3D
