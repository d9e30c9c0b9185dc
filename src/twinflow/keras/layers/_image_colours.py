"""Random changes of colours, and of single elements."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._layer import LAYERS
from twinflow.keras._registry import serialize
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._images import Images, Random, factor_range
from twinflow.nn import functional as F
from twinflow.ops import ones, randn, tensor, where
from twinflow.tensor import Tensor


class _Colour(Random):
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
class AutoContrast(Images):
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
class RandomGaussianBlur(Random):
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
