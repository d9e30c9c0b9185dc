"""Image preprocessing: sizes, and random changes while training. Images are [N, H, W, C] (or one without N), channels last."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import random
from twinflow.keras._layer import CALLS, LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._regularization import seeded
from twinflow.nn import functional as F
from twinflow.ops import default_generator, ones, rand, randint, randn, stack, tensor, where, zeros
from twinflow.tensor import Tensor


class _Images(Layer):
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


def _resize(x: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    options = {} if interpolation == "nearest" else {"align_corners": False}
    mode = "nearest-exact" if interpolation == "nearest" else interpolation
    return F.interpolate(x.movedim(-1, 1), (height, width), mode=mode, **options).movedim(1, -1)


@LAYERS.add()
class Resizing(_Images):
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
        y = _resize(x, self.height, self.width, self.interpolation)
        return y[0] if single else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "height", "width", "interpolation", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "fill_value"
        )


@LAYERS.add()
class CenterCrop(_Images):
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


class _Random(_Images):
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


@LAYERS.add()
class RandomFlip(_Random):
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


class _Affine(_Random):
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
class RandomCrop(_Random):
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


class _Colour(_Random):
    """Base of random changes of values, which stay in `value_range`."""

    def __init__(self, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.value_range = tuple(value_range)

    def _cut(self, x: Tensor) -> Tensor:
        return x.clamp(*self.value_range)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), "value_range": serialize(self.value_range)}


def _grey(x: Tensor) -> Tensor:
    """The luminance [N, H, W, 1] of red, green and blue."""
    if x.shape[-1] != 3:
        raise ShapeError(f"images need 3 channels for their colours to change, but the shape is {tuple(x.shape)}")
    return (x * tensor([0.2989, 0.587, 0.114])).sum(-1, keepdim=True)


class _Factor(_Colour):
    _names: tuple[str, ...] = ("factor",)

    def __init__(self, factor: Any, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = factor_range(type(self).__name__, factor)


@LAYERS.add()
class RandomBrightness(_Factor):
    """Up to `factor` of the range of values is added."""

    def _change(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        return self._cut(x + self._uniform(x.shape[0], *self.factor) * (high - low))


@LAYERS.add()
class RandomContrast(_Factor):
    """Differences from the mean of each channel are multiplied by 1 ± factor."""

    def _change(self, x: Tensor) -> Tensor:
        mean = x.mean((1, 2), keepdim=True)
        return self._cut((x - mean) * (1.0 + self._uniform(x.shape[0], *self.factor)) + mean)


@LAYERS.add()
class RandomSaturation(_Factor):
    """Differences from the luminance are multiplied by 1 ± factor."""

    def _change(self, x: Tensor) -> Tensor:
        grey = _grey(x)
        return self._cut((x - grey) * (1.0 + self._uniform(x.shape[0], *self.factor)) + grey)


@LAYERS.add()
class RandomColorDegeneration(_Colour):
    """Colours fade towards grey by up to `factor`."""

    _names = ("factor",)

    def __init__(self, factor: float, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.factor = factor

    def _change(self, x: Tensor) -> Tensor:
        amount = self._uniform(x.shape[0], 0.0, self.factor)
        return self._cut(x * (1.0 - amount) + _grey(x) * amount)


@LAYERS.add()
class RandomColorJitter(_Colour):
    """`RandomBrightness`, `RandomContrast` and `RandomSaturation` one after the other."""

    _names = ("brightness_factor", "contrast_factor", "saturation_factor")

    def __init__(
        self,
        value_range: Any = (0, 255),
        brightness_factor: Any = None,
        contrast_factor: Any = None,
        saturation_factor: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        self.brightness_factor, self.contrast_factor = brightness_factor, contrast_factor
        self.saturation_factor = saturation_factor
        kinds = (RandomBrightness, RandomContrast, RandomSaturation)
        factors = (brightness_factor, contrast_factor, saturation_factor)
        self._steps = [k(f, value_range, seed) for k, f in zip(kinds, factors) if f is not None]

    def _change(self, x: Tensor) -> Tensor:
        for step in self._steps:
            x = step._change(x)
        return x


class _Sometimes(_Colour):
    """Base of changes that are made with probability `factor`."""

    _names: tuple[str, ...] = ("factor",)

    def __init__(
        self, factor: float = 1.0, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(value_range, seed, **kwargs)
        if not 0 <= factor <= 1:
            raise ArgumentError(f"{type(self).__name__}: factor is a probability in [0, 1], not {factor!r}")
        self.factor = factor

    def _change(self, x: Tensor) -> Tensor:
        return where(self._uniform(x.shape[0], 0.0, 1.0) < self.factor, self._made(x), x)

    def _made(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _made(self, x)")


@LAYERS.add()
class RandomGrayscale(_Sometimes):
    """Images become grey with probability `factor`."""

    def __init__(self, factor: float = 0.5, **kwargs: Any) -> None:
        super().__init__(factor, **kwargs)

    def _made(self, x: Tensor) -> Tensor:
        return _grey(x).expand(tuple(x.shape))


@LAYERS.add()
class RandomInvert(_Sometimes):
    """Values are mirrored in their range with probability `factor`."""

    def _made(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        return (low + high) - x


@LAYERS.add()
class RandomErasing(_Sometimes):
    """A rectangle is replaced by `fill_value`, or by noise, with probability `factor`. Source: Zhong et al., arXiv:1708.04896.

    Args:
        scale: which parts of height and width it takes.
    """

    _names = ("factor", "scale", "fill_value")

    def __init__(self, factor: float = 1.0, scale: Any = (0.02, 0.33), fill_value: Any = None, **kwargs: Any) -> None:
        super().__init__(factor, **kwargs)
        self.scale, self.fill_value = tuple(scale), fill_value

    def _made(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        inside = ones((n, 1, 1, 1), dtype="bool")
        for axis, extent in ((1, h), (2, w)):
            size = self._uniform(n, *self.scale)
            start = self._uniform(n, 0.0, 1.0) * (1.0 - size)
            place = ((tensor(list(range(extent))).float() + 0.5) / extent).reshape(*(extent if a == axis else 1 for a in range(4)))  # fmt: skip
            inside = inside & (place >= start) & (place < start + size)
        low, high = self.value_range
        if self.fill_value is None:
            fill = (randn(tuple(x.shape), generator=self._generator) * 0.25 + 0.5) * (high - low) + low
            return where(inside, self._cut(fill), x)
        return where(inside, float(self.fill_value), x)


@LAYERS.add()
class RandomPosterization(_Colour):
    """Values keep only their first `factor` bits of 8."""

    _names = ("factor",)

    def __init__(self, factor: int, value_range: Any = (0, 255), seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(value_range, seed, **kwargs)
        if not 1 <= factor <= 8:
            raise ArgumentError(f"RandomPosterization: factor is a number of bits from 1 to 8, not {factor!r}")
        self.factor = factor

    def _change(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        step = 2.0 ** (8 - self.factor)
        levels = ((x - low) * (255.0 / (high - low)) / step).floor() * step
        return levels * ((high - low) / 255.0) + low


@LAYERS.add()
class Solarization(_Colour):
    """Up to `addition_factor` of the range is added, and values above a threshold are mirrored."""

    _names = ("addition_factor", "threshold_factor")

    def __init__(
        self, addition_factor: float = 0.0, threshold_factor: float = 0.0, value_range: Any = (0, 255),
        seed: int | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(value_range, seed, **kwargs)
        self.addition_factor, self.threshold_factor = addition_factor, threshold_factor

    def _change(self, x: Tensor) -> Tensor:
        low, high = self.value_range
        span = high - low
        y = self._cut(x + self._uniform(x.shape[0], 0.0, self.addition_factor) * span)
        bound = high - self._uniform(x.shape[0], 0.0, self.threshold_factor) * span
        return where(y < bound, y, (low + high) - y)


@LAYERS.add()
class AutoContrast(_Images):
    """Each channel's values are stretched over the whole `value_range`."""

    def __init__(self, value_range: Any = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = tuple(value_range)

    def call(self, inputs: Tensor) -> Tensor:
        """The stretched images."""
        x, single = self._batched(inputs)
        low, high = self.value_range
        least, most = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
        flat = most == least
        y = where(flat, x, (x - least) / where(flat, 1.0, most - least) * (high - low) + low)
        return y[0] if single else y

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(), "value_range": serialize(self.value_range)}


@LAYERS.add()
class RandomGaussianBlur(_Random):
    """Images are blurred with probability `factor` by a Gaussian of deviation `sigma` (a number, or (low, high))."""

    _names = ("factor", "kernel_size", "sigma")

    def __init__(
        self, factor: float = 1.0, kernel_size: int = 3, sigma: Any = 1.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(seed, **kwargs)
        positive("RandomGaussianBlur", kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ArgumentError(f"RandomGaussianBlur: kernel_size must be odd, but {kernel_size} was given")
        self.factor, self.kernel_size = factor, kernel_size
        self.sigma = (sigma, sigma) if isinstance(sigma, (int, float)) else tuple(sigma)

    def _change(self, x: Tensor) -> Tensor:
        n, k = x.shape[0], self.kernel_size // 2
        sigma = self._uniform(n, *self.sigma)
        w = (-((tensor(list(range(-k, k + 1))).float().reshape(1, -1, 1, 1) / sigma) ** 2) / 2.0).exp()
        w = w / w.sum(1, keepdim=True)
        y = x
        for axis in (1, 2):
            sides = [0, 0, 0, 0, k, k] if axis == 1 else [0, 0, k, k, 0, 0]
            wide = F.pad(y, sides)
            extent = y.shape[axis]
            total = None
            for i in range(2 * k + 1):
                part = (wide[:, i : i + extent] if axis == 1 else wide[:, :, i : i + extent]) * w[:, i : i + 1]
                total = part if total is None else total + part
            y = y if total is None else total
        return where(self._uniform(n, 0.0, 1.0) < self.factor, y, x)


@LAYERS.add()
class MixUp(_Random):
    """Images mixed with others of the batch, in parts drawn from Beta(α, α). Source: Zhang et al., arXiv:1710.09412."""

    _names = ("alpha",)

    def __init__(self, alpha: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.alpha = alpha

    def _change(self, x: Tensor) -> Tensor:
        part = self._beta(x.shape[0], self.alpha)
        return x * part + x.roll(1, 0) * (1.0 - part)


@LAYERS.add()
class CutMix(_Random):
    """A rectangle of each image comes from another of the batch. Source: Yun et al., arXiv:1905.04899.

    Args:
        factor: of the Beta(factor, factor) from which the rectangle's part of the image is drawn.
    """

    _names = ("factor",)

    def __init__(self, factor: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if factor <= 0:
            raise ArgumentError(f"CutMix: factor must be positive, but {factor!r} was given")
        self.factor = factor

    def _change(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        side = (1.0 - self._beta(n, self.factor)).sqrt()
        inside = ones((n, 1, 1, 1), dtype="bool")
        for axis, extent in ((1, h), (2, w)):
            start = self._uniform(n, 0.0, 1.0) - side * 0.5
            place = ((tensor(list(range(extent))).float() + 0.5) / extent).reshape(*(extent if a == axis else 1 for a in range(4)))  # fmt: skip
            inside = inside & (place >= start) & (place < start + side)
        return where(inside, x.roll(1, 0), x)


@LAYERS.add()
class Pipeline(Layer):
    """Preprocessing layers one after the other."""

    def __init__(self, layers: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = [LAYERS.deserialize(x) if isinstance(x, dict) else x for x in layers]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The result of the last layer."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(), "layers": [serialize(x) for x in self.layers]}
