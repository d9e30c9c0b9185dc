"""Image preprocessing: sizes, and random changes while training. Images are [N, H, W, C] (or one without N), channels last."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import random
from twinflow.keras._layer import CALLS, LAYERS, Layer
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._regularization import seeded
from twinflow.nn import functional as F
from twinflow.ops import default_generator, rand
from twinflow.tensor import Tensor


class Images(Layer):
    """Base: adds the batch axis where it is missing, and takes it away again."""

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if data_format not in (None, "channels_last"):
            raise ArgumentError(f"{type(self).__name__}: images are 'channels_last' here, not {data_format!r}")

    def _batched(self, x: Tensor) -> tuple[Tensor, bool]:
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: images are (batch, height, width, channels), but the shape is {tuple(x.shape)}"
            )
        x = x.float()
        return (x.unsqueeze(0), True) if x.ndim == 3 else (x, False)


def resized(x: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    options = {} if interpolation == "nearest" else {"align_corners": False}
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    return F.interpolate(x.movedim(-1, 1), (height, width), mode=mode, **options).movedim(1, -1)


@LAYERS.add()
class Resizing(Images):
    """Images of another size.

    Args:
        height, width: the size.
        interpolation: 'bilinear', 'nearest' or 'bicubic'.
        crop_to_aspect_ratio: cut away what would be distorted.
        pad_to_aspect_ratio: put `fill_value` around instead.
    """

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_value: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        positive("Resizing", height=height, width=width)
        if interpolation not in ("bilinear", "nearest", "bicubic"):
            raise ArgumentError(f"Resizing: interpolation is 'bilinear', 'nearest' or 'bicubic', not {interpolation!r}")
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ArgumentError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio exclude each other")
        self.height, self.width, self.interpolation, self.fill_value = height, width, interpolation, fill_value
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = crop_to_aspect_ratio, pad_to_aspect_ratio

    def call(self, inputs: Tensor) -> Tensor:
        """The images in the new size."""
        x, single = self._batched(inputs)
        h, w = x.shape[1:3]
        if self.crop_to_aspect_ratio:
            ch, cw = min(h, int(w * self.height / self.width)), min(w, int(h * self.width / self.height))
            x = x[:, (h - ch) // 2 : (h - ch) // 2 + ch, (w - cw) // 2 : (w - cw) // 2 + cw]
        elif self.pad_to_aspect_ratio:
            ph, pw = max(h, int(w * self.height / self.width)), max(w, int(h * self.width / self.height))
            top, left = (ph - h) // 2, (pw - w) // 2
            x = F.pad(x, [0, 0, left, pw - w - left, top, ph - h - top], value=self.fill_value)
        y = resized(x, self.height, self.width, self.interpolation)
        return y[0] if single else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_value"
        )


@LAYERS.add()
class CenterCrop(Images):
    """The middle of images; smaller ones are made larger first."""

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive(type(self).__name__, height=height, width=width)
        self.height, self.width = height, width

    def call(self, inputs: Tensor) -> Tensor:
        """The middle."""
        x, single = self._batched(inputs)
        h, w = x.shape[1:3]
        if h < self.height or w < self.width:
            y = Resizing(self.height, self.width, crop_to_aspect_ratio=True).call(x)
        else:
            top, left = (h - self.height) // 2, (w - self.width) // 2
            y = x[:, top : top + self.height, left : left + self.width]
        return y[0] if single else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("height", "width")


class Random(Images):
    """Base of random changes: made while training (and when called by itself), each image by draws of its own."""

    _names: tuple[str, ...] = ()

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed, self._generator = seed, seeded(seed)

    def _uniform(self, n: int, low: Any, high: Any) -> Tensor:
        """[n, 1, 1, 1] in [low, high)."""
        return rand((n, 1, 1, 1), generator=self._generator) * (high - low) + low

    def _beta(self, n: int, alpha: float) -> Tensor:
        """[n, 1, 1, 1] of the distribution Beta(α, α)."""
        seeds = random.SeedGenerator()
        seeds.generator = self._generator or default_generator
        return random.beta((n, 1, 1, 1), alpha, alpha, seed=seeds)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As for all layers; called by itself, a random layer trains."""
        if "training" not in kwargs and CALLS.depth == 0:
            kwargs["training"] = True
        return super().forward(*args, **kwargs)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The changed images while training, else the images."""
        if not training:
            return inputs.float()
        x, single = self._batched(inputs)
        y = self._change(x)
        return y[0] if single else y

    def _change(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _change(self, x)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(*self._names, "seed")


def factor_range(layer: str, factor: Any, what: str = "factor") -> tuple[float, float]:
    """(low, high): a number f stands for [-f, f]."""
    low, high = (-factor, factor) if isinstance(factor, (int, float)) else tuple(factor)
    if low > high:
        raise ArgumentError(f"{layer}: {what} is a number or (low, high), not {factor!r}")
    return float(low), float(high)
