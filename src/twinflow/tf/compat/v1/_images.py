"""Resizing as TensorFlow 1 does it: new elements are measured from the corner of the first, not from its middle."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.ops._resample import cubic_kernel, resampling_weights
from twinflow.tensor import Tensor
from twinflow.tf._resizing import Array, ResizeMethod, nearest, picture, resampled, resize, sizes_for

_METHODS = {
    0: "bilinear", 1: "nearest", 2: "bicubic", 3: "area", ResizeMethod.BILINEAR: "bilinear",
    ResizeMethod.NEAREST_NEIGHBOR: "nearest", ResizeMethod.BICUBIC: "bicubic", ResizeMethod.AREA: "area",
}  # fmt: skip


def _ratio(old: int, new: int, align_corners: bool) -> float:
    return (old - 1) / (new - 1) if align_corners and new > 1 else old / new


def _weights(old: int, new: int, method: str, align_corners: bool) -> Array:
    """[new, old]: the weights of the elements before and after each place; those beyond the edge are the last there is."""
    ratio = _ratio(old, new, align_corners)
    if method == "area":
        return resampling_weights(old, new, "area", ratio=ratio)
    place = np.arange(new) * ratio
    low = np.floor(place).astype(np.int64)
    reach, kernel = (1, lambda x: 1 - x) if method == "bilinear" else (2, cubic_kernel(0, 0.75))
    w = np.zeros((new, old))
    for k in range(1 - reach, reach + 1):
        np.add.at(w, (np.arange(new), np.clip(low + k, 0, old - 1)), kernel(np.abs(place - (low + k))))
    return w


def resize_images(
    images: Any, size: Any, method: Any = 0, align_corners: bool = False, preserve_aspect_ratio: bool = False
) -> Tensor:
    """The picture in another size: method 0 (bilinear), 1 (nearest), 2 (bicubic) or 3 (area), or its name."""
    if method not in _METHODS:
        raise ArgumentError(f"tf.image.resize_images: method is 0, 1, 2, 3 or a ResizeMethod, not {method!r}")
    t, name = picture("resize_images", images), _METHODS[method]
    new, old = sizes_for(t, size, preserve_aspect_ratio), (int(t.shape[-3]), int(t.shape[-2]))
    if new == old:
        return t
    if name == "nearest":
        places = (np.arange(n) * _ratio(m, n, align_corners) for m, n in zip(old, new))
        return nearest(t, [np.floor(p + 0.5 * align_corners) for p in places])
    return resampled(t, [_weights(m, n, name, align_corners) for m, n in zip(old, new)])


def _one(name: str, method: str) -> Any:
    def wrapped(images: Any, size: Any, align_corners: bool = False, half_pixel_centers: bool = False) -> Tensor:
        if half_pixel_centers and align_corners:
            raise ArgumentError(f"tf.image.{name}: align_corners and half_pixel_centers exclude each other")
        return (
            resize(images, size, method) if half_pixel_centers else resize_images(images, size, method, align_corners)
        )

    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__doc__ = (
        f"`resize_images` by the method {method!r}; measured from the middle of elements with half_pixel_centers."
    )
    return wrapped


def resize_area(images: Any, size: Any, align_corners: bool = False) -> Tensor:
    """`resize_images` by the method 'area'."""
    return resize_images(images, size, "area", align_corners)


resize_bicubic = _one("resize_bicubic", "bicubic")
resize_bilinear = _one("resize_bilinear", "bilinear")
resize_nearest_neighbor = _one("resize_nearest_neighbor", "nearest")
