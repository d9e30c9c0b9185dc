"""Parts of pictures: boxes, patches and windows, by TensorFlow's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow import ops
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor, refuse_tracing
from twinflow.tf._functions import named
from twinflow.tf._shapes import shape_list


@named
def crop_and_resize(
    image: Any,
    boxes: Any,
    box_indices: Any,
    crop_size: Any,
    method: str = "bilinear",
    extrapolation_value: float = 0.0,
) -> Tensor:
    """Boxes (y1, x1, y2, x2, in parts of the height and width) of pictures, each in the size `crop_size`.

    The corners of a box are the middles of the corner elements; places outside the picture give `extrapolation_value`.
    """
    if method not in ("bilinear", "nearest"):
        raise ArgumentError(f"tf.image.crop_and_resize: method is 'bilinear' or 'nearest', not {method!r}")
    x, b = to_tensor(image).to(dtype="float32"), to_tensor(boxes).to(dtype="float32")
    pictures = ops.index_select(x, 0, to_tensor(box_indices).to(dtype="int64"))
    height, width = shape_list(crop_size)
    rows = _places(b[:, 0], b[:, 2], height, int(x.shape[1]))
    columns = _places(b[:, 1], b[:, 3], width, int(x.shape[2]))
    which = ops.arange(int(b.shape[0])).reshape(-1, 1, 1)

    def at(r: Tensor, c: Tensor) -> Tensor:
        return pictures[which, r.unsqueeze(2), c.unsqueeze(1)]

    if method == "nearest":
        found = at(_whole(ops.floor(rows + 0.5), x.shape[1]), _whole(ops.floor(columns + 0.5), x.shape[2]))
    else:
        r0, c0 = ops.floor(rows), ops.floor(columns)
        fr, fc = (rows - r0).reshape(-1, height, 1, 1), (columns - c0).reshape(-1, 1, width, 1)
        top, bottom = _whole(r0, x.shape[1]), _whole(ops.ceil(rows), x.shape[1])
        left, right = _whole(c0, x.shape[2]), _whole(ops.ceil(columns), x.shape[2])
        upper = at(top, left) * (1 - fc) + at(top, right) * fc
        lower = at(bottom, left) * (1 - fc) + at(bottom, right) * fc
        found = upper * (1 - fr) + lower * fr
    inside = _inside(rows, x.shape[1]).reshape(-1, height, 1, 1) & _inside(columns, x.shape[2]).reshape(-1, 1, width, 1)
    return ops.where(inside, found, float(extrapolation_value))


def _places(low: Tensor, high: Tensor, n: int, extent: int) -> Tensor:
    """Where the n elements of each box lie along an axis, [boxes, n]."""
    last = extent - 1.0
    if n == 1:
        return ((low + high) * (0.5 * last)).unsqueeze(1)
    step = (high - low) * (last / (n - 1))
    return low.unsqueeze(1) * last + ops.arange(float(n)) * step.unsqueeze(1)


def _inside(places: Tensor, extent: Any) -> Tensor:
    return (places >= 0) & (places <= float(int(extent) - 1))


def _whole(places: Tensor, extent: Any) -> Tensor:
    return ops.clamp(places, 0, int(extent) - 1).to(dtype="int64")


@named
def extract_patches(images: Any, sizes: Any, strides: Any, rates: Any, padding: str) -> Tensor:
    """The elements of each window, row by row, as channels: [N, rows, columns, height · width · C]."""
    x = to_tensor(images)
    if x.ndim != 4:
        raise ShapeError(f"tf.image.extract_patches: pictures are [N, H, W, C], but the shape is {tuple(x.shape)}")
    (_, h, w, _), (_, sh, sw, _), (_, rh, rw, _) = sizes, strides, rates
    n, height, width, c = (int(v) for v in x.shape)
    reach = ((h - 1) * rh + 1, (w - 1) * rw + 1)
    if padding.upper() == "SAME":
        more = [max((-(-e // s) - 1) * s + r - e, 0) for e, s, r in zip((height, width), (sh, sw), reach)]
        x = F.pad(x, [0, 0, more[1] // 2, more[1] - more[1] // 2, more[0] // 2, more[0] - more[0] // 2])
    elif padding.upper() != "VALID":
        raise ArgumentError(f"tf.image.extract_patches: padding is 'SAME' or 'VALID', not {padding!r}")
    rows, columns = (int(x.shape[1]) - reach[0]) // sh + 1, (int(x.shape[2]) - reach[1]) // sw + 1
    parts = [
        x[:, i * rh : i * rh + (rows - 1) * sh + 1 : sh, j * rw : j * rw + (columns - 1) * sw + 1 : sw]
        for i in range(h)
        for j in range(w)
    ]
    return ops.concat(parts, 3).reshape(n, rows, columns, h * w * c)


def _overlaps(boxes: Any) -> Any:
    """Intersection over union of each two boxes."""
    y1, x1 = np.minimum(boxes[:, 0], boxes[:, 2]), np.minimum(boxes[:, 1], boxes[:, 3])
    y2, x2 = np.maximum(boxes[:, 0], boxes[:, 2]), np.maximum(boxes[:, 1], boxes[:, 3])
    area = (y2 - y1) * (x2 - x1)
    height = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1)
    width = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1)
    common = np.maximum(height, 0) * np.maximum(width, 0)
    both = area[:, None] + area - common
    return np.where(both > 0, common / np.where(both > 0, both, 1), 0)


@named
def non_max_suppression(
    boxes: Any,
    scores: Any,
    max_output_size: Any,
    iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
) -> Tensor:
    """The numbers of the best boxes (y1, x1, y2, x2), none of which overlaps a better one by more than the threshold.

    How many there are depends on values, so it cannot be traced.
    """
    refuse_tracing("tf.image.non_max_suppression", "how many boxes stay depends on values; call it outside")
    score = np.asarray(to_tensor(scores).detach()._data)
    overlap = _overlaps(np.asarray(to_tensor(boxes).detach()._data))
    kept: list[int] = []
    for k in np.argsort(-score, kind="stable").tolist():
        if len(kept) >= int(max_output_size) or score[k] <= score_threshold:
            break
        if not kept or (overlap[k, kept] <= iou_threshold).all():
            kept.append(k)
    return ops.tensor(kept, dtype="int32")


@named
def non_max_suppression_overlaps(
    overlaps: Any,
    scores: Any,
    max_output_size: Any,
    overlap_threshold: float = 0.5,
    score_threshold: float = float("-inf"),
) -> Tensor:
    """`non_max_suppression` from the overlaps of each two boxes."""
    refuse_tracing("tf.image.non_max_suppression_overlaps", "how many boxes stay depends on values; call it outside")
    score = np.asarray(to_tensor(scores).detach()._data)
    overlap = np.asarray(to_tensor(overlaps).detach()._data)
    kept: list[int] = []
    for k in np.argsort(-score, kind="stable").tolist():
        if (
            len(kept) < int(max_output_size)
            and score[k] > score_threshold
            and (overlap[k, kept] <= overlap_threshold).all()
        ):
            kept.append(k)
    return ops.tensor(kept, dtype="int32")


@named
def draw_bounding_boxes(images: Any, boxes: Any, colors: Any = None) -> Tensor:
    """Pictures [N, H, W, C] with the outlines of boxes [N, boxes, 4] (y1, x1, y2, x2 in parts of height and width)."""
    x, b = to_tensor(images), to_tensor(boxes)
    h, w, c = (int(v) for v in x.shape[1:])
    table = to_tensor(np.array(_COLORS) if colors is None else colors).to(dtype=x.dtype)
    rows = ops.arange(float(h)).reshape(1, -1, 1)
    columns = ops.arange(float(w)).reshape(1, 1, -1)
    for k in range(int(b.shape[1])):
        edges = [ops.floor(b[:, k, i] * ((w if i % 2 else h) - 1)).reshape(-1, 1, 1) for i in range(4)]
        y1, x1, y2, x2 = edges
        within = (rows >= y1) & (rows <= y2) & (columns >= x1) & (columns <= x2)
        edge = (rows == y1) | (rows == y2) | (columns == x1) | (columns == x2)
        color = table[k % int(table.shape[0])][:c]
        x = ops.where((within & edge).unsqueeze(-1), color, x)
    return x


_COLORS = (
    (1.0, 1.0, 0.0, 1.0),
    (0.0, 0.0, 1.0, 1.0),
    (1.0, 0.0, 0.0, 1.0),
    (0.0, 1.0, 0.0, 1.0),
    (0.5, 0.0, 0.5, 1.0),
    (0.5, 0.5, 0.0, 1.0),
    (0.5, 0.0, 0.0, 1.0),
    (0.0, 0.0, 0.5, 1.0),
    (0.0, 1.0, 1.0, 1.0),
    (1.0, 0.0, 1.0, 1.0),
)  # fmt: skip  those of TensorFlow, in its order
