"""Layers that only rearrange: shapes, borders, repetition."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._spatial import Over1D, Over2D, Over3D, Spatial, pairs, several
from twinflow.nn import functional as F
from twinflow.tensor import Tensor


@LAYERS.add()
class Flatten(Layer):
    """[N, ...] -> [N, all the rest]; with 'channels_first' the channels become the last axis before."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_format = data_format or "channels_last"

    def call(self, inputs: Tensor) -> Tensor:
        """Join all axes but the batch's."""
        if self.data_format == "channels_first" and inputs.ndim > 2:
            inputs = inputs.movedim(1, -1)
        if inputs.ndim == 1:
            return inputs.reshape(-1, 1)
        return inputs.reshape(inputs.shape[0], math.prod(inputs.shape[1:]))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("data_format")


@LAYERS.add()
class Reshape(Layer):
    """[N, ...] -> [N, *target_shape]; one extent may be -1."""

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The same elements in another shape."""
        have = math.prod(inputs.shape[1:])
        want = math.prod(s for s in self.target_shape if s != -1)
        if (have % want if -1 in self.target_shape else have != want) or self.target_shape.count(-1) > 1:
            raise ShapeError(
                f"Reshape {self.name!r}: {tuple(inputs.shape[1:])} has {have} elements for each example, which do not fit target_shape={self.target_shape}"
            )
        return inputs.reshape(inputs.shape[0], *(have // want if s == -1 else s for s in self.target_shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("target_shape")


@LAYERS.add()
class Permute(Layer):
    """Reorder the axes behind the batch's; `dims` counts from 1."""

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(f"Permute: dims has each number from 1 to {len(self.dims)} once, not {self.dims}")

    def call(self, inputs: Tensor) -> Tensor:
        """The axes in another order."""
        return inputs.permute(0, *self.dims)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("dims")


@LAYERS.add()
class RepeatVector(Layer):
    """[N, C] -> [N, n, C]."""

    _rank, _axes = 2, "batch, features"

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive("RepeatVector", n=n)
        self.n = n

    def call(self, inputs: Tensor) -> Tensor:
        """Each row n times."""
        return inputs.unsqueeze(1).expand(inputs.shape[0], self.n, inputs.shape[1])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("n")


class _Padding(Spatial):
    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sides = pairs(type(self).__name__, "padding", padding, self._n)
        self._format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """Zeros around the axes of space."""
        flat = [side for pair in reversed(self.sides) for side in pair]
        return self._last(F.pad(self._first(inputs), flat))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config("data_format"), "padding": serialize(self.sides)}


@LAYERS.add()
class ZeroPadding1D(Over1D, _Padding):
    """Zeros before and after the steps of [N, T, C]."""


@LAYERS.add()
class ZeroPadding2D(Over2D, _Padding):
    """Zeros around images [N, H, W, C]."""


@LAYERS.add()
class ZeroPadding3D(Over3D, _Padding):
    """Zeros around volumes [N, D, H, W, C]."""


class _Cropping(Spatial):
    def __init__(self, cropping: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sides = pairs(type(self).__name__, "cropping", cropping, self._n)
        self._format(data_format)

    def call(self, inputs: Tensor) -> Tensor:
        """What is left without the outer elements."""
        x = self._first(inputs)
        extents = tuple(x.shape[2:])
        if any(low + high >= n for n, (low, high) in zip(extents, self.sides)):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: cropping={self.sides} leaves nothing of extents {extents}"
            )
        return self._last(x[(..., *(slice(low, n - high) for n, (low, high) in zip(extents, self.sides)))])

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config("data_format"), "cropping": serialize(self.sides)}


@LAYERS.add()
class Cropping1D(Over1D, _Cropping):
    """[N, T, C] without the first and last steps."""


@LAYERS.add()
class Cropping2D(Over2D, _Cropping):
    """Images [N, H, W, C] without their borders."""


@LAYERS.add()
class Cropping3D(Over3D, _Cropping):
    """Volumes [N, D, H, W, C] without their borders."""


class _UpSampling(Spatial):
    def __init__(
        self, size: Any = 2, data_format: str | None = None, interpolation: str = "nearest", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.size = several(kind, "size", size, self._n)
        self._format(data_format)
        allowed = ("nearest", "bilinear", "bicubic") if self._n == 2 else ("nearest",)
        if interpolation not in allowed:
            raise ArgumentError(f"{kind}: interpolation is {' or '.join(map(repr, allowed))}, not {interpolation!r}")
        self.interpolation = interpolation

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.interpolate`, or each element repeated."""
        x = self._first(inputs)
        if self.interpolation != "nearest":
            return self._last(F.interpolate(x, scale_factor=self.size, mode=self.interpolation, align_corners=False))
        n, c, *space = x.shape
        apart = [k for m in space for k in (m, 1)]
        spread = [k for m, s in zip(space, self.size) for k in (m, s)]
        y = x.reshape(n, c, *apart).expand(n, c, *spread)
        return self._last(y.reshape(n, c, *(m * s for m, s in zip(space, self.size))))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("size", "data_format", "interpolation")


@LAYERS.add()
class UpSampling1D(Over1D, _UpSampling):
    """Each step repeated: [N, T, C] -> [N, T · size, C]."""


@LAYERS.add()
class UpSampling2D(Over2D, _UpSampling):
    """Each pixel repeated, or the image interpolated: [N, H, W, C] -> [N, H · size, W · size, C]."""


@LAYERS.add()
class UpSampling3D(Over3D, _UpSampling):
    """Each voxel repeated: [N, D, H, W, C] -> [N, D · size, H · size, W · size, C]."""
