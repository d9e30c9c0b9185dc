"""Labels, sequences and images as arrays."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, missing_extra
from twinflow.ops import manual_seed


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Labels as one-hot rows.

    >>> from twinflow import keras
    >>> keras.utils.to_categorical([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    n = int(num_classes) if num_classes is not None else int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= n):
        raise ArgumentError(
            f"to_categorical: labels lie in [0, {n - 1}], but they reach from {labels.min()} to {labels.max()}"
        )
    return np.eye(n, dtype=np.float32)[labels]


def normalize(x: Any, axis: int = -1, order: int = 2) -> np.ndarray[Any, Any]:
    """x / |x| along an axis; zeros stay."""
    a = np.asarray(x, np.float64)
    length = np.linalg.norm(a, order, axis, keepdims=True)
    return (a / np.where(length == 0, 1, length)).astype(np.float32)


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and the framework's random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    manual_seed(seed)


def pad_sequences(
    sequences: Any,
    maxlen: int | None = None,
    dtype: Any = "int32",
    padding: str = "pre",
    truncating: str = "pre",
    value: Any = 0.0,
) -> np.ndarray[Any, Any]:
    """Lists of different lengths as one array: filled with `value`, and cut, in front ('pre') or behind ('post').

    >>> from twinflow import keras
    >>> keras.utils.pad_sequences([[1], [2, 3]])
    array([[0, 1],
           [2, 3]], dtype=int32)
    """
    for what, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ArgumentError(f"pad_sequences: {what} is 'pre' or 'post', not {side!r}")
    rows = [np.asarray(s) for s in sequences]
    n = max((len(r) for r in rows), default=0) if maxlen is None else maxlen
    rest = next((r.shape[1:] for r in rows if len(r)), ())
    found = np.full((len(rows), n, *rest), value, dtype)
    for k, row in enumerate(rows):
        kept = row[len(row) - n :] if truncating == "pre" and len(row) > n else row[:n]
        if len(kept):
            found[k, n - len(kept) :] = kept if padding == "pre" else found[k, n - len(kept) :]
            if padding == "post":
                found[k, : len(kept)] = kept
    return found


def _pillow(what: str) -> Any:
    try:
        from PIL import Image
    except ImportError:
        raise missing_extra(what, "pillow", "images") from None
    return Image


_MODES = {"rgb": "RGB", "rgba": "RGBA", "grayscale": "L"}


def load_img(path: Any, color_mode: str = "rgb", target_size: Any = None, interpolation: str = "nearest") -> Any:
    """The picture of a file, as Pillow gives it (needs the extra `images`)."""
    image = _pillow("load_img")
    if color_mode not in _MODES:
        raise ArgumentError(f"load_img: color_mode is {', '.join(map(repr, _MODES))}, not {color_mode!r}")
    picture = image.open(os.fspath(path)).convert(_MODES[color_mode])
    if target_size is None:
        return picture
    kinds = {
        "nearest": image.Resampling.NEAREST,
        "bilinear": image.Resampling.BILINEAR,
        "bicubic": image.Resampling.BICUBIC,
    }
    if interpolation not in kinds:
        raise ArgumentError(f"load_img: interpolation is {', '.join(map(repr, kinds))}, not {interpolation!r}")
    return picture.resize((target_size[1], target_size[0]), kinds[interpolation])


def img_to_array(img: Any, dtype: Any = "float32") -> np.ndarray[Any, Any]:
    """A picture as an array [height, width, channels]."""
    a = np.asarray(img, dtype)
    return a[..., None] if a.ndim == 2 else a


def array_to_img(x: Any, scale: bool = True) -> Any:
    """An array [height, width, channels] as a picture (needs the extra `images`); `scale` stretches values over 0 to 255."""
    a = np.asarray(x, np.float64)
    if a.ndim != 3 or a.shape[-1] not in (1, 3, 4):
        raise ArgumentError(f"array_to_img: an array [height, width, 1, 3 or 4] is needed, but its shape is {a.shape}")
    if scale:
        a = a - a.min()
        a = a / (a.max() or 1) * 255
    a = a.astype(np.uint8)
    return _pillow("array_to_img").fromarray(a[..., 0] if a.shape[-1] == 1 else a)


def save_img(path: Any, x: Any, scale: bool = True) -> None:
    """Write an array [height, width, channels] as a picture."""
    array_to_img(x, scale).save(os.fspath(path))
