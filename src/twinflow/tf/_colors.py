"""Spaces of colours, by TensorFlow's names."""

from __future__ import annotations

from typing import Any

from twinflow import ops
from twinflow.core.errors import ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor
from twinflow.tf._functions import named

_YUV = ((0.299, -0.14714119, 0.61497538), (0.587, -0.28886916, -0.51496512), (0.114, 0.43601035, -0.10001026))
_FROM_YUV = ((1.0, 1.0, 1.0), (0.0, -0.394642334, 2.03206185), (1.13988303, -0.58062185, 0.0))
_YIQ = ((0.299, 0.59590059, 0.21153661), (0.587, -0.27455667, -0.52273617), (0.114, -0.32134392, 0.31119955))
_FROM_YIQ = ((1.0, 1.0, 1.0), (0.95598634, -0.27201283, -1.10674021), (0.6208248, -0.64720424, 1.70423049))


def _three(op: str, images: Any) -> Tensor:
    x = to_tensor(images)
    if not x.ndim or x.shape[-1] != 3 or not x.dtype.is_floating_point:
        raise ShapeError(
            f"tf.image.{op}: floating numbers with three channels last are needed, not {x.dtype.name}{list(x.shape)}"
        )
    return x


def _linear(op: str, images: Any, table: Any) -> Tensor:
    x = _three(op, images)
    return ops.matmul(x, ops.tensor(table, dtype=x.dtype))


@named
def rgb_to_yuv(images: Any) -> Tensor:
    """Brightness and two differences of colour, from red, green and blue in [0, 1]."""
    return _linear("rgb_to_yuv", images, _YUV)


@named
def yuv_to_rgb(images: Any) -> Tensor:
    """The inverse of `rgb_to_yuv`."""
    return _linear("yuv_to_rgb", images, _FROM_YUV)


@named
def rgb_to_yiq(images: Any) -> Tensor:
    """Brightness and two differences of colour in NTSC's form, from red, green and blue in [0, 1]."""
    return _linear("rgb_to_yiq", images, _YIQ)


@named
def yiq_to_rgb(images: Any) -> Tensor:
    """The inverse of `rgb_to_yiq`."""
    return _linear("yiq_to_rgb", images, _FROM_YIQ)


@named
def rgb_to_hsv(images: Any) -> Tensor:
    """Hue, saturation and value, all in [0, 1], from red, green and blue in [0, 1]."""
    x = _three("rgb_to_hsv", images)
    r, g, b = ops.unbind(x, -1)
    high, low = ops.amax(x, -1), ops.amin(x, -1)
    span = high - low
    safe = ops.where(span > 0, span, 1.0)
    hue = ops.where(high == r, (g - b) / safe, ops.where(high == g, (b - r) / safe + 2.0, (r - g) / safe + 4.0))
    hue = ops.where(span > 0, hue / 6.0, 0.0)
    hue = ops.where(hue < 0, hue + 1.0, hue)
    saturation = ops.where(high > 0, span / ops.where(high > 0, high, 1.0), 0.0)
    return ops.stack([hue, saturation, high], -1)


@named
def hsv_to_rgb(images: Any) -> Tensor:
    """The inverse of `rgb_to_hsv`."""
    h, s, v = ops.unbind(_three("hsv_to_rgb", images), -1)
    turn = h * 6.0
    shares = [
        ops.clamp(ops.abs(turn - 3.0) - 1.0, 0.0, 1.0),
        ops.clamp(2.0 - ops.abs(turn - 2.0), 0.0, 1.0),
        ops.clamp(2.0 - ops.abs(turn - 4.0), 0.0, 1.0),
    ]
    return ops.stack([(1.0 - s + s * part) * v for part in shares], -1)


def turned(x: Tensor, delta: Any) -> Tensor:
    """Pictures of floating numbers with another hue."""
    h, s, v = ops.unbind(rgb_to_hsv(x), -1)
    return hsv_to_rgb(ops.stack([ops.remainder(h + delta, 1.0), s, v], -1))
