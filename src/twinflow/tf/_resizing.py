"""Pictures in other sizes, by TensorFlow's names, which stand in `tf.image`."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow import ops
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.ops._resample import resample, resampling_weights
from twinflow.tensor import Tensor
from twinflow.tf._functions import named
from twinflow.tf._shapes import shape_list

Array = np.ndarray[Any, Any]

_KERNELS = {
    "bilinear": "triangle", "bicubic": "cubic", "area": "area", "lanczos3": "lanczos3", "lanczos5": "lanczos5",
    "gaussian": "gaussian", "mitchellcubic": "mitchell",
}  # fmt: skip


class ResizeMethod:
    """The names of ways to resize."""

    AREA = "area"
    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    GAUSSIAN = "gaussian"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"
    MITCHELLCUBIC = "mitchellcubic"
    NEAREST_NEIGHBOR = "nearest"


def picture(op: str, image: Any) -> Tensor:
    """A picture or a batch of them. Raises: ShapeError for anything else."""
    t = to_tensor(image)
    if t.ndim not in (3, 4):
        raise ShapeError(
            f"tf.image.{op}: pictures are [H, W, C] or [N, H, W, C], but the shape is {tuple(t.shape)}; add the channels with image[..., None]"
        )
    return t


def sizes_for(t: Tensor, size: Any, preserve_aspect_ratio: bool) -> tuple[int, int]:
    """The new height and width; the largest within them that keep the picture's proportions."""
    height, width = shape_list(size)
    if preserve_aspect_ratio:
        old = int(t.shape[-3]), int(t.shape[-2])
        scale = min(height / old[0], width / old[1])
        height, width = round(old[0] * scale), round(old[1] * scale)
    return height, width


def resampled(t: Tensor, weights: list[Array]) -> Tensor:
    """Rows and columns weighed by matrices."""
    x = t if t.dtype.is_floating_point else t.to(dtype="float32")
    return resample(resample(x, -3, weights[0]), -2, weights[1])


def nearest(t: Tensor, places: list[Array]) -> Tensor:
    """These rows and columns."""
    for axis, place in zip((-3, -2), places):
        at = np.clip(place.astype(np.int64), 0, int(t.shape[axis]) - 1)
        t = ops.index_select(t, axis, ops.tensor(at))
    return t


@named
def resize(
    images: Any, size: Any, method: str = "bilinear", preserve_aspect_ratio: bool = False, antialias: bool = False
) -> Tensor:
    """The picture in another size.

    Args:
        method: 'nearest', the nearest element; 'area', the mean of what a new element covers; or weighed by a kernel around it:
            'bilinear', 'bicubic', 'lanczos3', 'lanczos5', 'gaussian', 'mitchellcubic'.
        antialias: when shrinking, widen the kernel to what a new element covers.
    """
    t = picture("resize", images)
    if method != "nearest" and method not in _KERNELS:
        raise ArgumentError(f"tf.image.resize: method is one of {', '.join(['nearest', *_KERNELS])}, not {method!r}")
    new, old = sizes_for(t, size, preserve_aspect_ratio), (int(t.shape[-3]), int(t.shape[-2]))
    if new == old:
        return t
    if method == "nearest":
        return nearest(t, [np.floor((np.arange(n) + 0.5) * (m / n)) for m, n in zip(old, new)])
    return resampled(t, [resampling_weights(m, n, _KERNELS[method], antialias=antialias) for m, n in zip(old, new)])
