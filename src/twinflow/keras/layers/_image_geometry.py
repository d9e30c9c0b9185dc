"""Random changes of where things are in a picture."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._layer import LAYERS
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._images import CenterCrop, Random, factor_range
from twinflow.nn import functional as F
from twinflow.ops import randint, stack, tensor, where, zeros
from twinflow.tensor import Tensor


@LAYERS.add()
class RandomFlip(Random):
    """Images mirrored with probability 1/2: 'horizontal', 'vertical' or 'horizontal_and_vertical'."""

    _names = ("mode",)

    def __init__(self, mode: str = "horizontal_and_vertical", seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if mode not in ("horizontal", "vertical", "horizontal_and_vertical"):
            raise ArgumentError(
                f"RandomFlip: mode is 'horizontal', 'vertical' or 'horizontal_and_vertical', not {mode!r}"
            )
        self.mode = mode

    def _change(self, x: Tensor) -> Tensor:
        for word, axis in (("horizontal", 2), ("vertical", 1)):
            if word in self.mode:
                x = where(self._uniform(x.shape[0], 0.0, 1.0) < 0.5, x.flip(axis), x)
        return x


_FILL = {"reflect": "reflection", "nearest": "border", "constant": "zeros"}


class _Affine(Random):
    """Base of random affine maps: `_maps` gives the matrices [N, 2, 3] from places of the result to places of the image."""

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed, **kwargs)
        kind = type(self).__name__
        if fill_mode not in _FILL:
            raise ArgumentError(f"{kind}: fill_mode is {', '.join(map(repr, _FILL))}, not {fill_mode!r}")
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(f"{kind}: interpolation is 'bilinear' or 'nearest', not {interpolation!r}")
        self.fill_mode, self.interpolation, self.fill_value = fill_mode, interpolation, fill_value

    def _maps(self, n: int, h: int, w: int) -> list[list[Any]]:
        raise NotImplementedError(f"{type(self).__name__} must define _maps(self, n, h, w)")

    def _change(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        flat = zeros((n,))
        rows = [stack([flat + v for v in row], -1) for row in self._maps(n, h, w)]
        grid = F.affine_grid(stack(rows, 1), (n, x.shape[3], h, w), align_corners=False)
        images = x.movedim(-1, 1)
        constant = self.fill_mode == "constant" and self.fill_value
        images = images - self.fill_value if constant else images
        y = F.grid_sample(images, grid, self.interpolation, _FILL[self.fill_mode], align_corners=False)
        return (y + self.fill_value if constant else y).movedim(1, -1)

    def _draw(self, n: int, bounds: tuple[float, float]) -> Tensor:
        return self._uniform(n, *bounds).reshape(n)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), **self._config("fill_mode", "interpolation", "fill_value")}


@LAYERS.add()
class RandomRotation(_Affine):
    """Images turned by up to `factor` (a part of the full circle, or (low, high)) around their middle."""

    _names = ("factor",)

    def __init__(self, factor: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor_range("RandomRotation", factor)

    def _maps(self, n: int, h: int, w: int) -> list[list[Any]]:
        angle = self._draw(n, self.factor) * (2 * math.pi)
        c, s = angle.cos(), angle.sin()
        return [[c, s * (h / w), 0.0], [-s * (w / h), c, 0.0]]


@LAYERS.add()
class RandomTranslation(_Affine):
    """Images moved by up to these parts of height and width."""

    _names = ("height_factor", "width_factor")

    def __init__(self, height_factor: Any, width_factor: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height_factor = factor_range("RandomTranslation", height_factor, "height_factor")
        self.width_factor = factor_range("RandomTranslation", width_factor, "width_factor")

    def _maps(self, n: int, h: int, w: int) -> list[list[Any]]:
        dy, dx = self._draw(n, self.height_factor) * 2.0, self._draw(n, self.width_factor) * 2.0
        return [[1.0, 0.0, -dx], [0.0, 1.0, -dy]]


@LAYERS.add()
class RandomZoom(_Affine):
    """Images seen from farther (positive factors) or nearer (negative); one factor for both axes keeps the proportions."""

    _names = ("height_factor", "width_factor")

    def __init__(self, height_factor: Any, width_factor: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height_factor = factor_range("RandomZoom", height_factor, "height_factor")
        self.width_factor = None if width_factor is None else factor_range("RandomZoom", width_factor, "width_factor")

    def _maps(self, n: int, h: int, w: int) -> list[list[Any]]:
        zy = self._draw(n, self.height_factor) + 1.0
        zx = zy if self.width_factor is None else self._draw(n, self.width_factor) + 1.0
        return [[zx, 0.0, 0.0], [0.0, zy, 0.0]]


@LAYERS.add()
class RandomShear(_Affine):
    """Images slanted by up to these factors."""

    _names = ("x_factor", "y_factor")

    def __init__(self, x_factor: Any = 0.0, y_factor: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.x_factor, self.y_factor = (factor_range("RandomShear", f) for f in (x_factor, y_factor))

    def _maps(self, n: int, h: int, w: int) -> list[list[Any]]:
        return [[1.0, self._draw(n, self.x_factor), 0.0], [self._draw(n, self.y_factor), 1.0, 0.0]]


@LAYERS.add()
class RandomCrop(Random):
    """Random stretches of images; when not training, their middle."""

    _names = ("height", "width")

    def __init__(self, height: int, width: int, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        positive("RandomCrop", height=height, width=width)
        self.height, self.width = height, width

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """A stretch of each image."""
        x, single = self._batched(inputs)
        h, w = x.shape[1:3]
        if not training or h < self.height or w < self.width:
            y = CenterCrop(self.height, self.width).call(x)
        else:
            top = randint(0, h - self.height + 1, (x.shape[0], 1, 1, 1), generator=self._generator)
            left = randint(0, w - self.width + 1, (x.shape[0], 1, 1, 1), generator=self._generator)
            rows = (top + tensor(list(range(self.height))).reshape(1, -1, 1, 1)).expand(x.shape[0], self.height, w, x.shape[3])  # fmt: skip
            x = x.gather(1, rows)
            columns = (left + tensor(list(range(self.width))).reshape(1, 1, -1, 1)).expand(x.shape[0], self.height, self.width, x.shape[3])  # fmt: skip
            y = x.gather(2, columns)
        return y[0] if single else y
