"""Pictures: `keras.ops.image`. They are [H, W, C] or [N, H, W, C]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow import ops
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.keras.ops._function import op
from twinflow.nn import functional as F
from twinflow.tensor import Tensor


def _batch(name: str, images: Any, data_format: str | None = None) -> Tensor:
    """Pictures as [N, H, W, C]."""
    t = to_tensor(images)
    if data_format not in (None, "channels_last"):
        raise ArgumentError(f"keras.ops.image.{name}: data_format is 'channels_last', not {data_format!r}")
    if t.ndim not in (3, 4):
        raise ShapeError(
            f"keras.ops.image.{name}: pictures are [H, W, C] or [N, H, W, C], but the shape is {tuple(t.shape)}; add the channels with "
            "images[..., None]"
        )
    return t if t.ndim == 4 else t.unsqueeze(0)


def _like(y: Tensor, images: Any) -> Tensor:
    return y[0] if len(to_tensor(images).shape) == 3 else y


@op
def resize(
    images: Any,
    size: Any,
    interpolation: str = "bilinear",
    antialias: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    fill_mode: str = "constant",
    fill_value: float = 0.0,
    data_format: str | None = None,
) -> Tensor:
    """Pictures of `size` (height, width), by 'bilinear' or 'bicubic' interpolation or the 'nearest' element.

    Raises: ArgumentError for antialias and the ratio options: crop or pad the pictures before.
    """
    if antialias or crop_to_aspect_ratio or pad_to_aspect_ratio or fill_mode != "constant" or fill_value:
        raise ArgumentError(
            "keras.ops.image.resize: antialias, crop_to_aspect_ratio and pad_to_aspect_ratio are not taken; use crop_images or pad_images "
            "before, or keras.layers.Resizing"
        )
    modes = {"nearest": "nearest-exact", "bilinear": "bilinear", "bicubic": "bicubic"}
    if interpolation not in modes:
        raise ArgumentError(
            f"keras.ops.image.resize: interpolation is one of {', '.join(modes)}, not {interpolation!r}"
        )
    x = _batch("resize", images, data_format)
    height, width = (int(s) for s in size)
    options: dict[str, Any] = {} if interpolation == "nearest" else {"align_corners": False}
    moved = (x if x.dtype.is_floating_point else x.float()).movedim(-1, 1)
    y = F.interpolate(moved, size=(height, width), mode=modes[interpolation], **options).movedim(1, -1)
    return _like(y if x.dtype.is_floating_point else y.round().to(dtype=x.dtype), images)


@op
def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """The windows of pictures: [N, H′, W′, h·w·C], each row by row with its channels last.

    Args:
        size: (h, w) of a window, or one number for both.
        strides: how far one window is from the next; as large as a window if not given.
        padding: 'valid' for the windows that lie inside, 'same' to fill up with 0.
    """
    x = _batch("extract_patches", images, data_format)
    kernel, step, wide = (_two(v) for v in (size, size if strides is None else strides, dilation_rate))
    if padding not in ("valid", "same"):
        raise ArgumentError(f"keras.ops.image.extract_patches: padding is 'valid' or 'same', not {padding!r}")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, wide)]
    sides = [0, 0]
    if padding == "same":
        sides = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(x.shape[1:3], step, reach)]
        x = F.pad(x, (0, 0, sides[1] // 2, sides[1] - sides[1] // 2, sides[0] // 2, sides[0] - sides[0] // 2))
    rows, columns = ((n - r) // s + 1 for n, r, s in zip(x.shape[1:3], reach, step))
    parts = [
        x[:, i * wide[0] : i * wide[0] + (rows - 1) * step[0] + 1 : step[0],
          j * wide[1] : j * wide[1] + (columns - 1) * step[1] + 1 : step[1]]
        for i in range(kernel[0]) for j in range(kernel[1])
    ]  # fmt: skip
    return _like(ops.concat(parts, -1), images)


def _two(v: Any) -> tuple[int, int]:
    return (v, v) if isinstance(v, int) else (int(v[0]), int(v[1]))


def _sides(name: str, n: int, before: int | None, after: int | None, target: int | None, grow: int) -> tuple[int, int]:
    """How much is added (grow 1) or cut off (grow -1) before and after an axis of n elements, of which two things are given."""
    given = sum(v is not None for v in (before, after, target))
    if given != 2:
        raise ArgumentError(
            f"keras.ops.image.{name}: of each axis give two of the three: what is before, what is after, and the target size"
        )
    change = None if target is None else (target - n) * grow
    first = before if before is not None else (change or 0) - (after or 0)
    last = after if after is not None else (change or 0) - first
    if first < 0 or last < 0 or (grow < 0 and first + last >= n):
        raise ShapeError(f"keras.ops.image.{name}: {first} before and {last} after do not go with an axis of {n}")
    return first, last


@op
def pad_images(
    images: Any,
    top_padding: int | None = None,
    left_padding: int | None = None,
    bottom_padding: int | None = None,
    right_padding: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Pictures with 0 around them; of each axis two of the three: before, after, target size."""
    x = _batch("pad_images", images, data_format)
    top, bottom = _sides("pad_images", int(x.shape[1]), top_padding, bottom_padding, target_height, 1)
    left, right = _sides("pad_images", int(x.shape[2]), left_padding, right_padding, target_width, 1)
    return _like(F.pad(x, (0, 0, left, right, top, bottom)), images)


@op
def crop_images(
    images: Any,
    top_cropping: int | None = None,
    left_cropping: int | None = None,
    bottom_cropping: int | None = None,
    right_cropping: int | None = None,
    target_height: int | None = None,
    target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:
    """Pictures without what lies at their sides; of each axis two of the three: before, after, target size."""
    x = _batch("crop_images", images, data_format)
    top, bottom = _sides("crop_images", int(x.shape[1]), top_cropping, bottom_cropping, target_height, -1)
    left, right = _sides("crop_images", int(x.shape[2]), left_cropping, right_cropping, target_width, -1)
    return _like(x[:, top : int(x.shape[1]) - bottom, left : int(x.shape[2]) - right], images)


def _colours(name: str) -> Callable[[Any, str | None], Tensor]:
    def check(images: Any, data_format: str | None) -> Tensor:
        x = _batch(name, images, data_format)
        if x.shape[-1] != 3:
            raise ShapeError(f"keras.ops.image.{name}: three channels are needed, not {x.shape[-1]}")
        return x

    return check


@op
def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Tensor:
    """0.2989 R + 0.587 G + 0.114 B, as one channel."""
    x = _colours("rgb_to_grayscale")(images, data_format)
    y = (x.float() * ops.tensor([0.2989, 0.587, 0.114])).sum(-1, keepdim=True)
    return _like(y.to(dtype=x.dtype), images)


@op
def rgb_to_hsv(images: Any, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value of colours in [0, 1]."""
    x = _colours("rgb_to_hsv")(images, data_format)
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    value, least = x.amax(-1), x.amin(-1)
    reach = value - least
    safe = ops.where(reach == 0, 1.0, reach)
    hue = ops.where(r == value, (g - b) / safe, ops.where(g == value, (b - r) / safe + 2, (r - g) / safe + 4)) / 6
    hue = ops.where(reach == 0, 0.0, hue - ops.floor(hue))
    saturation = ops.where(value > 0, reach / ops.where(value > 0, value, 1.0), 0.0)
    return _like(ops.stack([hue, saturation, value], -1), images)


@op
def hsv_to_rgb(images: Any, data_format: str | None = None) -> Tensor:
    """The colours of hue, saturation and value in [0, 1]."""
    x = _colours("hsv_to_rgb")(images, data_format)
    h, s, v = x[..., 0:1], x[..., 1:2], x[..., 2:3]
    k = (ops.tensor([5.0, 3.0, 1.0]) + h * 6) % 6.0
    return _like(v - v * s * ops.minimum(k, 4 - k).clamp(0.0, 1.0), images)
