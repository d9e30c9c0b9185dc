"""Transforms of single images, float32 tensors [C, H, W], for use in data sets.

Random ones draw from `twinflow.data.fetch_random()`: inside a DataLoader they repeat with its seed, however many
workers fetch. They compute with NumPy on the spot; they are no part of a model or a compiled step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, DataError, ShapeError
from twinflow.data._worker_info import fetch_random
from twinflow.ops import from_numpy
from twinflow.ops._resample import resampling_weights
from twinflow.tensor import Tensor, array_of

Array = np.ndarray[Any, Any]


def _image(x: Any, op: str) -> Array:
    if not isinstance(x, Tensor):
        raise DataError(f"{op}: an image tensor is needed, not {type(x).__name__}; put ToTensor() first")
    a = array_of(x, op)
    if a.ndim != 3:
        raise ShapeError(f"{op}: an image is [C, H, W], but the shape is {a.shape}")
    return a


def _made(a: Array) -> Tensor:
    return from_numpy(np.ascontiguousarray(a))


def _pair(value: Any, op: str) -> tuple[int, int]:
    h, w = (value, value) if isinstance(value, int) else value
    if h < 1 or w < 1:
        raise ArgumentError(f"{op}: size must be positive, but {value!r} was given")
    return int(h), int(w)


def _sample(a: Array, y: Array, x: Array, mode: str, fill: float) -> Array:
    """Values of the image at the (fractional) rows y and columns x; `fill` outside."""
    _, h, w = a.shape
    if mode == "nearest":
        iy, ix = np.round(y).astype(int), np.round(x).astype(int)
        inside = (iy >= 0) & (iy < h) & (ix >= 0) & (ix < w)
        values: Array = np.where(inside, a[:, iy.clip(0, h - 1), ix.clip(0, w - 1)], np.float32(fill))
        return values
    y0, x0 = np.floor(y).astype(int), np.floor(x).astype(int)
    fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    total = np.zeros((a.shape[0], *y.shape), np.float32)
    for iy, wy in ((y0, 1 - fy), (y0 + 1, fy)):
        for ix, wx in ((x0, 1 - fx), (x0 + 1, fx)):
            inside = (iy >= 0) & (iy < h) & (ix >= 0) & (ix < w)
            total += wy * wx * np.where(inside, a[:, iy.clip(0, h - 1), ix.clip(0, w - 1)], np.float32(fill))
    return total


def _warp(a: Array, matrix: Array, mode: str, fill: float) -> Array:
    """The image whose point p shows the point matrix · (p − centre) + centre of `a`; points are (x, y, 1)."""
    _, h, w = a.shape
    cy, cx = (h - 1) / 2, (w - 1) / 2
    y, x = np.meshgrid(np.arange(h) - cy, np.arange(w) - cx, indexing="ij")
    from_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] + cx
    from_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] + cy
    return _sample(a, from_y, from_x, mode, fill)


class _Transform:
    """Called with an image; prints as its class and options."""

    def __call__(self, image: Any) -> Any:
        """The transformed image."""
        return self._apply(image)

    def _apply(self, image: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define _apply(image)")

    def __repr__(self) -> str:
        options = ", ".join(f"{k}={v!r}" for k, v in vars(self).items())
        return f"{type(self).__name__}({options})"


class Compose(_Transform):
    """Transforms one after another.

    >>> import twinflow
    >>> from twinflow.data import transforms
    >>> twice = transforms.Compose([transforms.Normalize(0.5, 0.5), transforms.CenterCrop(2)])
    >>> twice(twinflow.ones(1, 4, 4)).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def _apply(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return "Compose(\n" + "".join(f"    {t!r}\n" for t in self.transforms) + ")"


class ToTensor(_Transform):
    """An array or picture [H, W] or [H, W, C] as a tensor [C, H, W]; 0 to 255 becomes 0 to 1. Tensors pass."""

    def _apply(self, image: Any) -> Tensor:
        if isinstance(image, Tensor):
            return image
        a = np.asarray(image)
        if a.ndim not in (2, 3):
            raise ShapeError(f"ToTensor: an image is [H, W] or [H, W, C], but the shape is {a.shape}")
        a = a[None] if a.ndim == 2 else a.transpose(2, 0, 1)
        return _made(a.astype(np.float32) / np.float32(255) if a.dtype == np.uint8 else a.astype(np.float32))


class Lambda(_Transform):
    """Any function as a transform."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn

    def _apply(self, image: Any) -> Any:
        return self.fn(image)


class Normalize(_Transform):
    """(x − mean) / std, per channel."""

    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = mean, std
        if not np.all(np.asarray(std) > 0):
            raise ArgumentError(f"Normalize: std must be positive, but {std!r} was given")

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "Normalize")
        mean, std = (np.asarray(v, np.float32).reshape(-1, 1, 1) for v in (self.mean, self.std))
        for v in (mean, std):
            if v.shape[0] not in (1, a.shape[0]):
                raise ShapeError(f"Normalize: {v.shape[0]} values for an image with {a.shape[0]} channels")
        return _made((a - mean) / std)


def _weights(old: int, new: int) -> Array:
    return resampling_weights(old, new, "triangle", antialias=True).astype(np.float32)


class Resize(_Transform):
    """Another size: (H, W), or a number for the shorter side. Bilinear, averaging over what falls on one pixel."""

    def __init__(self, size: Any, interpolation: str = "bilinear") -> None:
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(f"Resize: interpolation is 'bilinear' or 'nearest', not {interpolation!r}")
        _pair(size, "Resize")
        self.size, self.interpolation = size, interpolation

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "Resize")
        _, h, w = a.shape
        if isinstance(self.size, int):
            scale = self.size / min(h, w)
            new = (self.size, int(w * scale)) if h <= w else (int(h * scale), self.size)
        else:
            new = _pair(self.size, "Resize")
        if self.interpolation == "nearest":
            rows = (np.arange(new[0]) * h // new[0]).clip(0, h - 1)
            cols = (np.arange(new[1]) * w // new[1]).clip(0, w - 1)
            return _made(a[:, rows][:, :, cols])
        down, along = (_weights(old, n) for old, n in zip((h, w), new))
        return _made(down @ a @ along.T)


class Pad(_Transform):
    """A border: one number, (left-right, top-bottom), or (left, top, right, bottom)."""

    def __init__(self, padding: Any, fill: float = 0.0, padding_mode: str = "constant") -> None:
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ArgumentError(f"Pad: padding_mode is constant, edge, reflect or symmetric, not {padding_mode!r}")
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def _apply(self, image: Tensor) -> Tensor:
        p = [self.padding] * 2 if isinstance(self.padding, int) else list(self.padding)
        left, top, right, bottom = [*p, *p] if len(p) == 2 else p
        around = ((0, 0), (top, bottom), (left, right))
        a = _image(image, "Pad")
        if self.padding_mode == "constant":
            return _made(np.pad(a, around, constant_values=self.fill))
        return _made(np.pad(a, around, mode=self.padding_mode))  # type: ignore[call-overload]  # the four names were checked


def _crop(a: Array, top: int, left: int, h: int, w: int, op: str) -> Array:
    if a.shape[1] < h or a.shape[2] < w:
        raise ShapeError(f"{op}: {h} x {w} does not fit into an image of {a.shape[1]} x {a.shape[2]}; pad it")
    return a[:, top : top + h, left : left + w]


class CenterCrop(_Transform):
    """The middle of the image."""

    def __init__(self, size: Any) -> None:
        self.size = _pair(size, "CenterCrop")

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "CenterCrop")
        h, w = self.size
        return _made(_crop(a, (a.shape[1] - h) // 2, (a.shape[2] - w) // 2, h, w, "CenterCrop"))


class RandomCrop(_Transform):
    """A part of the image at a random place, after padding it."""

    def __init__(self, size: Any, padding: Any = None, fill: float = 0.0, padding_mode: str = "constant") -> None:
        self.size = _pair(size, "RandomCrop")
        self.pad = None if padding is None else Pad(padding, fill, padding_mode)

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image if self.pad is None else self.pad(image), "RandomCrop")
        h, w = self.size
        random = fetch_random()
        top = int(random.integers(0, max(a.shape[1] - h, 0) + 1))
        left = int(random.integers(0, max(a.shape[2] - w, 0) + 1))
        return _made(_crop(a, top, left, h, w, "RandomCrop"))


class RandomResizedCrop(_Transform):
    """A part of random area and aspect, scaled to a size. Source: Szegedy et al. 2015, arXiv:1409.4842."""

    def __init__(
        self, size: Any, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
    ) -> None:
        self.size, self.scale, self.ratio = _pair(size, "RandomResizedCrop"), scale, ratio

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "RandomResizedCrop")
        _, height, width = a.shape
        random = fetch_random()
        h, w = height, width
        for _ in range(10):
            area = height * width * random.uniform(*self.scale)
            aspect = math.exp(random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            tried = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
            if 0 < tried[0] <= height and 0 < tried[1] <= width:
                h, w = tried
                break
        top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
        return Resize(self.size)(_made(_crop(a, top, left, h, w, "RandomResizedCrop")))


class _Flip(_Transform):
    _axis = 2

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, type(self).__name__)
        return _made(np.flip(a, self._axis)) if fetch_random().random() < self.p else image


class RandomHorizontalFlip(_Flip):
    """Left and right exchanged, with probability p."""


class RandomVerticalFlip(_Flip):
    """Top and bottom exchanged, with probability p."""

    _axis = 1


class RandomAffine(_Transform):
    """A random rotation, shift, scaling and shear about the centre.

    Args:
        degrees: the largest angle, or (least, largest), counterclockwise.
        translate: the largest shift as parts of (width, height).
        scale: (least, largest) factor.
        shear: the largest angle by which columns lean.
        interpolation: "bilinear" or "nearest".
        fill: what shows where the image ends.
    """

    def __init__(
        self,
        degrees: Any,
        translate: tuple[float, float] | None = None,
        scale: tuple[float, float] | None = None,
        shear: float = 0.0,
        interpolation: str = "bilinear",
        fill: float = 0.0,
    ) -> None:
        if interpolation not in ("bilinear", "nearest"):
            raise ArgumentError(
                f"{type(self).__name__}: interpolation is 'bilinear' or 'nearest', not {interpolation!r}"
            )
        self.degrees = (-degrees, degrees) if isinstance(degrees, (int, float)) else tuple(degrees)
        self.translate, self.scale, self.shear = translate, scale, shear
        self.interpolation, self.fill = interpolation, fill

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, type(self).__name__)
        random = fetch_random()
        angle = math.radians(random.uniform(*self.degrees))
        size = random.uniform(*self.scale) if self.scale else 1.0
        lean = math.tan(math.radians(random.uniform(-self.shear, self.shear))) if self.shear else 0.0
        dx, dy = (
            (random.uniform(-t, t) * n for t, n in zip(self.translate, a.shape[:0:-1]))
            if self.translate
            else (0.0, 0.0)
        )
        c, s = math.cos(angle), math.sin(angle)
        back = np.array([[c, -s], [s, c]]) @ np.array([[1, lean], [0, 1]]) / size
        shift = back @ np.array([-dx, -dy])
        return _made(_warp(a, np.column_stack([back, shift]), self.interpolation, self.fill))


class RandomRotation(RandomAffine):
    """A random rotation about the centre, by at most `degrees` or within (least, largest)."""

    def __init__(self, degrees: Any, interpolation: str = "bilinear", fill: float = 0.0) -> None:
        super().__init__(degrees, interpolation=interpolation, fill=fill)


class Grayscale(_Transform):
    """Luminance 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), in one channel or repeated."""

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "Grayscale")
        grey = _luminance(a) if a.shape[0] == 3 else a[:1]
        return _made(np.repeat(grey, self.num_output_channels, 0))


def _luminance(a: Array) -> Array:
    return np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), a, 1)[None]


class ColorJitter(_Transform):
    """Random brightness, contrast and saturation: factors within 1 ± the number given."""

    def __init__(self, brightness: float = 0.0, contrast: float = 0.0, saturation: float = 0.0) -> None:
        self.brightness, self.contrast, self.saturation = brightness, contrast, saturation

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "ColorJitter")
        random = fetch_random()
        bright, contrast, saturation = (
            np.float32(random.uniform(max(0.0, 1 - v), 1 + v))
            for v in (self.brightness, self.contrast, self.saturation)
        )
        a = a * bright
        grey = _luminance(a) if a.shape[0] == 3 else a
        a = grey.mean() + (a - grey.mean()) * contrast
        if a.shape[0] == 3:
            grey = _luminance(a)
            a = grey + (a - grey) * saturation
        return _made(a.clip(0, 1))


class RandomErasing(_Transform):
    """With probability p, a random rectangle is set to `value`. Source: Zhong et al. 2017, arXiv:1708.04896."""

    def __init__(
        self,
        p: float = 0.5,
        scale: tuple[float, float] = (0.02, 0.33),
        ratio: tuple[float, float] = (0.3, 3.3),
        value: float = 0.0,
    ) -> None:
        self.p, self.scale, self.ratio, self.value = p, scale, ratio, value

    def _apply(self, image: Tensor) -> Tensor:
        a = _image(image, "RandomErasing")
        random = fetch_random()
        if random.random() >= self.p:
            return image
        _, height, width = a.shape
        for _ in range(10):
            area = height * width * random.uniform(*self.scale)
            aspect = math.exp(random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < h < height and 0 < w < width:
                top, left = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
                a = a.copy()
                a[:, top : top + h, left : left + w] = self.value
                return _made(a)
        return image


class RandomApply(_Transform):
    """Apply all of the transforms, with probability p."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]], p: float = 0.5) -> None:
        self.transforms, self.p = list(transforms), p

    def _apply(self, image: Any) -> Any:
        return Compose(self.transforms)(image) if fetch_random().random() < self.p else image
