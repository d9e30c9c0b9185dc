"""Images: resizing, shuffling pixels and channels, patches, sampling at given places."""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._arguments import Ints, ints, tensors
from twinflow.nn.functional._pooling import _adaptive_avg
from twinflow.ops import call, floor, full, tensor
from twinflow.ops import round as round_
from twinflow.ops._autocast import in_float32
from twinflow.ops._resample import resample, resampling_weights
from twinflow.tensor import Tensor

_SMOOTH = {"bilinear": "triangle", "bicubic": "cubic"}
_MODES = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the axes after [N, C].

    Args:
        size, scale_factor: the new extents, or the factors by which they grow; one of the two.
        mode: "nearest", "nearest-exact", "linear" (1 axis), "bilinear", "bicubic" (2), "trilinear" (3) or "area".
        align_corners: whether the corner pixels' centres, not their outer edges, stay in place.
        recompute_scale_factor: take the scale from the rounded sizes instead of the factors.
        antialias: when shrinking by "bilinear" or "bicubic", take the mean of all pixels that a new one covers, not of the nearest.
    """
    op = "interpolate"
    tensors(op, input=input)
    n = input.ndim - 2
    if not 1 <= n <= 3:
        raise ShapeError(
            f"{op}: input must be [N, C, ...] with 1 to 3 further axes, but its shape is {tuple(input.shape)}"
        )
    if antialias and mode not in _SMOOTH:
        raise ArgumentError(f"{op}: antialias belongs to the modes 'bilinear' and 'bicubic', not to {mode!r}")
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"{op}: give either size or scale_factor")
    extents = tuple(input.shape[2:])
    factors: tuple[float, ...] | None = None
    if size is not None:
        sizes = ints(size, n, op, "size", least=1)
    else:
        given = tuple(scale_factor) if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * n
        if len(given) != n:
            raise ArgumentError(f"{op}: scale_factor needs one number, or one for each of {n} axes")
        sizes = tuple(math.floor(m * f) for m, f in zip(extents, given))
        if min(sizes) < 1:
            raise ArgumentError(f"{op}: scale_factor {scale_factor} leaves nothing of extents {extents}")
        factors = None if recompute_scale_factor else tuple(float(f) for f in given)
    if mode in ("nearest", "nearest-exact", "area"):
        if align_corners is not None:
            raise ArgumentError(f"{op}: align_corners belongs to the linear and cubic modes, not to {mode!r}")
        if mode == "area":
            return _adaptive_avg(op, n, input, sizes)
        return _nearest(input, extents, sizes, factors, 0.5 if mode == "nearest-exact" else 0.0)
    if mode not in _MODES:
        raise ArgumentError(
            f"{op}: mode is 'nearest', 'nearest-exact', 'area', {', '.join(map(repr, _MODES))}, not {mode!r}"
        )
    if _MODES[mode] != n:
        raise ArgumentError(
            f"{op}: mode {mode!r} resizes {_MODES[mode]} axes, but the input of shape {tuple(input.shape)} has {n}"
        )
    weigh = _cubic if mode == "bicubic" else _linear
    for axis in range(n):
        m, s = extents[axis], sizes[axis]
        if m == s and (factors is None or factors[axis] == 1):
            continue
        if antialias:
            ratio = (m - 1) / max(s - 1, 1) if align_corners else m / s if factors is None else 1 / factors[axis]
            input = resample(input, axis + 2, resampling_weights(m, s, _SMOOTH[mode], antialias=True, ratio=ratio))
            continue
        if align_corners:
            place = np.arange(s) * ((m - 1) / (s - 1) if s > 1 else 0.0)
        else:
            ratio = m / s if factors is None else 1 / factors[axis]
            place = (np.arange(s) + 0.5) * ratio - 0.5
            if mode != "bicubic":
                place = np.maximum(place, 0.0)
        input = _resample(input, axis + 2, *weigh(place, m))
    return input


def _nearest(x: Tensor, extents: Ints, sizes: Ints, factors: Any, shift: float) -> Tensor:
    for axis, (m, s) in enumerate(zip(extents, sizes)):
        # the original computes the scale in single precision
        ratio = np.float32(m / s if factors is None else 1 / factors[axis])
        place = np.floor((np.arange(s, dtype=np.float32) + np.float32(shift)) * ratio).astype(np.int64)
        if m != s or (place != np.arange(s)).any():
            x = call("take", x, tensor(np.minimum(place, m - 1), dtype="int64"), axis=axis + 2)
    return x


def _linear(place: Any, m: int) -> tuple[list[Any], list[Any]]:
    low = np.minimum(np.floor(place).astype(np.int64), m - 1)
    w = place - low
    return [low, np.minimum(low + 1, m - 1)], [1 - w, w]


def _cubic(place: Any, m: int) -> tuple[list[Any], list[Any]]:
    """Keys' cubic convolution with a = -0.75. IEEE Trans. ASSP 29, 1981."""
    a = -0.75
    low = np.floor(place).astype(np.int64)
    t = place - low

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    index = [np.clip(low + k, 0, m - 1) for k in (-1, 0, 1, 2)]
    return index, [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _resample(x: Tensor, axis: int, index: list[Any], weights: list[Any]) -> Tensor:
    """Σ_k w_k · x[index_k] along one axis."""
    total: Any = None
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    for i, w in zip(index, weights):
        part = call("take", x, tensor(i, dtype="int64"), axis=axis) * tensor(w.reshape(shape), dtype=x.dtype)
        total = part if total is None else total + part
    return total


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate` under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[..., C·r², H, W] → [..., C, H·r, W·r]. Shi et al., arXiv:1609.05158."""
    tensors("pixel_shuffle", input=input)
    r = upscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-3] % (r * r):
        raise ShapeError(f"pixel_shuffle: input must be [..., C·{r}², H, W], but its shape is {tuple(input.shape)}")
    *lead, c, h, w = input.shape
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    k = len(lead)
    x = x.permute(*range(k), k, k + 3, k + 1, k + 4, k + 2)
    return x.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[..., C, H·r, W·r] → [..., C·r², H, W]: the inverse of `pixel_shuffle`."""
    tensors("pixel_unshuffle", input=input)
    r = downscale_factor
    if input.ndim < 3 or r < 1 or input.shape[-1] % r or input.shape[-2] % r:
        raise ShapeError(
            f"pixel_unshuffle: input must be [..., C, H·{r}, W·{r}], but its shape is {tuple(input.shape)}"
        )
    *lead, c, h, w = input.shape
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    k = len(lead)
    x = x.permute(*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return x.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels of groups interleaved: [N, g·k, ...] as [N, g, k] → [N, k, g]. Zhang et al., arXiv:1707.01083."""
    tensors("channel_shuffle", input=input)
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise ShapeError(
            f"channel_shuffle: {groups} groups do not divide the channels of an input of shape {tuple(input.shape)}"
        )
    n, c, *space = input.shape
    return input.reshape(n, groups, c // groups, *space).transpose(1, 2).reshape(n, c, *space)


def _patch_table(space: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> tuple[Any, Ints]:
    """Flat indices [taps, windows] into the padded plane, and the plane's extents."""
    padded = tuple(m + 2 * p for m, p in zip(space, padding))
    counts = [(m - d * (k - 1) - 1) // s + 1 for m, k, d, s in zip(padded, kernel, dilation, stride)]
    if min(counts) < 1:
        raise ShapeError(f"unfold: a window of {kernel} with dilation {dilation} does not fit into {padded}")
    rows = np.arange(kernel[0])[:, None] * dilation[0] + np.arange(counts[0]) * stride[0]
    cols = np.arange(kernel[1])[:, None] * dilation[1] + np.arange(counts[1]) * stride[1]
    flat = rows[:, None, :, None] * padded[1] + cols[None, :, None, :]
    return flat.reshape(prod(kernel), prod(counts)), padded


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of [N, C, H, W] as columns: [N, C·KH·KW, windows]."""
    op = "unfold"
    tensors(op, input=input)
    if input.ndim not in (3, 4):
        raise ShapeError(f"{op}: input must be [N, C, H, W] or [C, H, W], but its shape is {tuple(input.shape)}")
    k, d = ints(kernel_size, 2, op, "kernel_size", least=1), ints(dilation, 2, op, "dilation", least=1)
    p, s = ints(padding, 2, op, "padding", least=0), ints(stride, 2, op, "stride", least=1)
    *lead, c, h, w = input.shape
    table, padded = _patch_table((h, w), k, d, p, s)
    zeros = (0,) * input.ndim
    sides = (*zeros[:-2], *p)
    x = call("pad", input, low=sides, high=sides, interior=zeros, value=0) if any(p) else input
    x = call("take", x.reshape(*lead, c, prod(padded)), tensor(table, dtype="int64"), axis=input.ndim - 2)
    return x.reshape(*lead, c * prod(k), table.shape[1])


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Columns [N, C·KH·KW, windows] added up at their places in [N, C, H, W]: the transpose of `unfold`."""
    op = "fold"
    tensors(op, input=input)
    if input.ndim not in (2, 3):
        raise ShapeError(f"{op}: input must be [N, C·taps, windows], but its shape is {tuple(input.shape)}")
    size = ints(output_size, 2, op, "output_size", least=1)
    k, d = ints(kernel_size, 2, op, "kernel_size", least=1), ints(dilation, 2, op, "dilation", least=1)
    p, s = ints(padding, 2, op, "padding", least=0), ints(stride, 2, op, "stride", least=1)
    table, padded = _patch_table(size, k, d, p, s)
    *lead, rows, windows = input.shape
    if rows % prod(k) or windows != table.shape[1]:
        raise ShapeError(
            f"{op}: output_size {size} has {table.shape[1]} windows of {prod(k)} elements, so the input must be "
            f"[..., C·{prod(k)}, {table.shape[1]}], but its shape is {tuple(input.shape)}"
        )
    c = rows // prod(k)
    columns = input.reshape(*lead, c, prod(k), windows)
    plane = full((*lead, c, prod(padded)), 0, dtype=input.dtype)
    y = call("put_add", plane, tensor(table, dtype="int64"), columns, axis=len(lead) + 1)
    y = y.reshape(*lead, c, *padded)
    return y[..., p[0] : p[0] + size[0], p[1] : p[1] + size[1]]


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places [N, H, W, 2] (or [N, D, H, W, 3]) that an affine map gives for each pixel, for `grid_sample`.

    Args:
        theta: [N, 2, 3] or [N, 3, 4].
        size: (N, C, H, W) or (N, C, D, H, W).
    """
    op = "affine_grid"
    n, _, *space = size
    k = len(space)
    if tuple(theta.shape) != (n, k, k + 1):
        raise ShapeError(
            f"{op}: theta must be {(n, k, k + 1)} for size {tuple(size)}, but its shape is {tuple(theta.shape)}"
        )
    axes = []
    for m in space:
        line = np.linspace(-1.0, 1.0, m) if align_corners else (np.arange(m) * 2 + 1) / m - 1
        axes.append(line if m > 1 or not align_corners else np.zeros(1))
    grids = np.meshgrid(*axes, indexing="ij")[::-1]  # the last axis, x, comes first
    base = np.stack([*grids, np.ones(space)], -1).reshape(-1, k + 1)
    return (tensor(base, dtype=theta.dtype) @ theta.transpose(1, 2)).reshape(n, *space, k)


@in_float32
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The input's values at the places of `grid`, whose coordinates run from -1 to 1.

    Args:
        input: [N, C, H, W] or [N, C, D, H, W].
        grid: [N, H′, W′, 2] or [N, D′, H′, W′, 3]; x (the last axis) comes first.
        mode: "bilinear" or "nearest".
        padding_mode: what lies outside: "zeros", "border" or "reflection".
    """
    op = "grid_sample"
    tensors(op, input=input, grid=grid)
    k = input.ndim - 2
    if k not in (2, 3) or grid.ndim != input.ndim or grid.shape[-1] != k or grid.shape[0] != input.shape[0]:
        raise ShapeError(
            f"{op}: an input [N, C, H, W] needs a grid [N, H′, W′, 2] (or D and 3 further on), but {tuple(input.shape)} and "
            f"{tuple(grid.shape)} were given"
        )
    if mode not in ("bilinear", "nearest"):
        raise ArgumentError(f"{op}: mode is 'bilinear' or 'nearest', not {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(f"{op}: padding_mode is 'zeros', 'border' or 'reflection', not {padding_mode!r}")
    n, c, *space = input.shape
    places = []
    for i in range(k):
        m = space[k - 1 - i]
        g = grid[..., i]
        x = (g + 1.0) * ((m - 1) / 2) if align_corners else ((g + 1.0) * m - 1.0) * 0.5
        if padding_mode == "reflection":
            x = _reflect(x, m, bool(align_corners))
        if padding_mode != "zeros":
            x = x.clamp(0.0, float(m - 1))
        places.append(x)
    flat = input.reshape(n, c, prod(space))
    shape = tuple(grid.shape[1:-1])
    result: Any = None
    corners = [(0,) * k] if mode == "nearest" else list(np.ndindex(*(2,) * k))
    base = [round_(x) if mode == "nearest" else floor(x) for x in places]
    for corner in corners:
        weight: Any = None
        index: Any = None
        inside: Any = None
        for i in reversed(range(k)):  # from the first spatial axis on
            m = space[k - 1 - i]
            at = base[i].detach() + float(corner[i])
            ok = (at >= 0) & (at <= m - 1)
            inside = ok if inside is None else inside & ok
            whole = at.clamp(0.0, float(m - 1)).long()
            index = whole if index is None else index * m + whole
            if mode == "bilinear":
                w = places[i] - base[i].detach()
                w = w if corner[i] else 1.0 - w
                weight = w if weight is None else weight * w
        spread = index.reshape(n, 1, -1).expand(n, c, prod(shape))
        value = call("gather", flat, spread, axis=2).reshape(n, c, *shape)
        mask = inside.to(dtype=input.dtype)
        value = value * (mask if weight is None else weight * mask).unsqueeze(1)
        result = value if result is None else result + value
    return result


def _reflect(x: Tensor, m: int, align_corners: bool) -> Tensor:
    """Coordinates folded back into the image at its borders."""
    low, span = (0.0, float(m - 1)) if align_corners else (-0.5, float(m))
    if span == 0:
        return x * 0.0
    t = (x - low).abs()
    flips = floor(t * (1.0 / span))
    rest = t - flips * span
    even = call("eq", flips % 2.0, 0.0)
    return call("where", even, rest + low, (span - rest) + low)
