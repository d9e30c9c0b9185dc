"""Pictures by TensorFlow's names: `tf.image`. They are [H, W, C] or [N, H, W, C]."""

from __future__ import annotations

from typing import Any

from twinflow import ops
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._array import pad as _pad
from twinflow.tf._boxes import crop_and_resize as crop_and_resize
from twinflow.tf._boxes import draw_bounding_boxes as draw_bounding_boxes
from twinflow.tf._boxes import extract_patches as extract_patches
from twinflow.tf._boxes import non_max_suppression as non_max_suppression
from twinflow.tf._boxes import non_max_suppression_overlaps as non_max_suppression_overlaps
from twinflow.tf._colors import hsv_to_rgb as hsv_to_rgb
from twinflow.tf._colors import rgb_to_hsv as rgb_to_hsv
from twinflow.tf._colors import rgb_to_yiq as rgb_to_yiq
from twinflow.tf._colors import rgb_to_yuv as rgb_to_yuv
from twinflow.tf._colors import turned
from twinflow.tf._colors import yiq_to_rgb as yiq_to_rgb
from twinflow.tf._colors import yuv_to_rgb as yuv_to_rgb
from twinflow.tf._functions import named
from twinflow.tf._resizing import ResizeMethod as ResizeMethod
from twinflow.tf._resizing import picture
from twinflow.tf._resizing import resize as resize
from twinflow.tf._shapes import known_int, shape_list

_LARGEST = {"uint8": 255, "int8": 127, "int16": 32767, "uint16": 65535, "int32": 2**31 - 1}


def _stateless(fn: Any) -> Any:
    """The function whose seed (two numbers) decides alone."""

    def wrapped(*args: Any, seed: Any, **kwargs: Any) -> Tensor:
        first, second = (int(v) for v in to_tensor(seed).tolist())
        return fn(*args, seed=(first << 31) ^ second, **kwargs)

    wrapped.__name__ = wrapped.__qualname__ = f"stateless_{fn.__name__}"
    wrapped.__doc__ = f"`{fn.__name__}`, decided by its seed of two numbers alone."
    return wrapped


@named
def flip_left_right(image: Any) -> Tensor:
    """Left and right exchanged."""
    return ops.flip(picture("flip_left_right", image), (-2,))


@named
def flip_up_down(image: Any) -> Tensor:
    """Top and bottom exchanged."""
    return ops.flip(picture("flip_up_down", image), (-3,))


@named
def transpose(image: Any) -> Tensor:
    """Rows and columns exchanged."""
    return ops.transpose(picture("transpose", image), -3, -2)


@named
def rot90(image: Any, k: int = 1) -> Tensor:
    """Turned by k quarters, against the clock."""
    return ops.rot90(picture("rot90", image), k, (-3, -2))


def _at_random(op: str, image: Any, axis: int, seed: Any) -> Tensor:
    x = picture(op, image)
    generator = None if seed is None else ops.Generator().manual_seed(int(seed))
    coin = ops.rand((int(x.shape[0]), 1, 1, 1) if x.ndim == 4 else (1, 1, 1), generator=generator) < 0.5
    return ops.where(coin, ops.flip(x, (axis,)), x)


@named
def random_flip_left_right(image: Any, seed: Any = None) -> Tensor:
    """Left and right exchanged in half of the cases, for each picture of a batch."""
    return _at_random("random_flip_left_right", image, -2, seed)


@named
def random_flip_up_down(image: Any, seed: Any = None) -> Tensor:
    """Top and bottom exchanged in half of the cases, for each picture of a batch."""
    return _at_random("random_flip_up_down", image, -3, seed)


@named
def rgb_to_grayscale(images: Any) -> Tensor:
    """0.2989 R + 0.587 G + 0.114 B, as one channel."""
    x = picture("rgb_to_grayscale", images)
    if x.shape[-1] != 3:
        raise ShapeError(f"tf.image.rgb_to_grayscale: three channels are needed, not {x.shape[-1]}")
    weights = ops.tensor([0.2989, 0.587, 0.114])
    return _on_floats(x, lambda t: ops.sum(t * weights, -1, True))


@named
def grayscale_to_rgb(images: Any) -> Tensor:
    """One channel three times."""
    x = picture("grayscale_to_rgb", images)
    if x.shape[-1] != 1:
        raise ShapeError(f"tf.image.grayscale_to_rgb: one channel is needed, not {x.shape[-1]}")
    return ops.concat([x, x, x], -1)


@named
def convert_image_dtype(image: Any, dtype: Any, saturate: bool = False) -> Tensor:
    """In another type, with its largest number for what is 1 in floating types."""
    x, kind = to_tensor(image), as_dtype(dtype)
    if x.dtype is kind:
        return x
    if x.dtype.is_floating_point and kind.is_floating_point:
        return x.to(dtype=kind)
    if kind.is_floating_point:
        return x.to(dtype=kind) / _LARGEST[x.dtype.name]
    if x.dtype.is_floating_point:
        top = _LARGEST[kind.name]
        y = x * (top + 0.5)
        return (ops.clamp(y, 0, top) if saturate else y).to(dtype=kind)
    ratio = _LARGEST[kind.name] / _LARGEST[x.dtype.name]
    return (x.to(dtype="float64") * ratio).to(dtype=kind)


def _on_floats(image: Any, fn: Any) -> Tensor:
    """`fn` of the picture as floating numbers in [0, 1]; whole numbers are brought back and cut to their range."""
    x = to_tensor(image)
    if x.dtype.is_floating_point:
        return fn(x)
    return convert_image_dtype(fn(convert_image_dtype(x, "float32")), x.dtype, saturate=True)


@named
def adjust_brightness(image: Any, delta: Any) -> Tensor:
    """delta, in the scale of floating pictures, added to every element."""
    return _on_floats(image, lambda x: x + delta)


@named
def adjust_contrast(images: Any, contrast_factor: Any) -> Tensor:
    """(x - mean) · factor + mean, the mean of each channel of each picture."""

    def adjusted(x: Tensor) -> Tensor:
        mean = ops.mean(x, (-3, -2), True)
        return (x - mean) * contrast_factor + mean

    return _on_floats(picture("adjust_contrast", images), adjusted)


@named
def adjust_saturation(image: Any, saturation_factor: Any) -> Tensor:
    """The distance from grey times a factor: the saturation of the hue, saturation and value form."""

    def adjusted(x: Tensor) -> Tensor:
        high = ops.amax(x, -1, True)
        low = ops.amin(x, -1, True)
        saturation = (high - low) / ops.where(high > 0, high, 1.0)
        wanted = ops.clamp(saturation * saturation_factor, 0.0, 1.0)
        ratio = wanted / ops.where(saturation > 0, saturation, 1.0)
        return high - (high - x) * ratio

    return _on_floats(picture("adjust_saturation", image), adjusted)


@named
def adjust_gamma(image: Any, gamma: float = 1.0, gain: float = 1.0) -> Tensor:
    """gain · x^gamma."""
    return _on_floats(image, lambda x: x**gamma * gain)


def _between(low: float, high: float, seed: Any) -> Tensor:
    generator = None if seed is None else ops.Generator().manual_seed(int(seed))
    return ops.rand((), generator=generator) * (high - low) + low


@named
def random_brightness(image: Any, max_delta: float, seed: Any = None) -> Tensor:
    """`adjust_brightness` by a random number within ±max_delta."""
    return adjust_brightness(image, _between(-max_delta, max_delta, seed))


@named
def random_contrast(image: Any, lower: float, upper: float, seed: Any = None) -> Tensor:
    """`adjust_contrast` by a random factor."""
    return adjust_contrast(image, _between(lower, upper, seed))


@named
def random_saturation(image: Any, lower: float, upper: float, seed: Any = None) -> Tensor:
    """`adjust_saturation` by a random factor."""
    return adjust_saturation(image, _between(lower, upper, seed))


@named
def per_image_standardization(image: Any) -> Tensor:
    """Each picture with mean 0 and variance 1: (x - mean) / max(σ, 1 / √elements)."""
    x = picture("per_image_standardization", image).to(dtype="float32")
    n = int(x.shape[-1]) * int(x.shape[-2]) * int(x.shape[-3])
    axes = (-3, -2, -1)
    centred = x - ops.mean(x, axes, True)
    deviation = ops.sqrt(ops.mean(centred * centred, axes, True))
    return centred / ops.clamp(deviation, n**-0.5, None)


@named
def crop_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """A part of the picture. Raises: ShapeError if it reaches beyond."""
    x = picture("crop_to_bounding_box", image)
    top, left, h, w = (known_int(v) for v in (offset_height, offset_width, target_height, target_width))
    if top < 0 or left < 0 or top + h > x.shape[-3] or left + w > x.shape[-2]:
        raise ShapeError(
            f"tf.image.crop_to_bounding_box: {h} x {w} at ({top}, {left}) reaches beyond the picture of {x.shape[-3]} x {x.shape[-2]}"
        )
    return x[..., top : top + h, left : left + w, :]


@named
def pad_to_bounding_box(
    image: Any, offset_height: int, offset_width: int, target_height: int, target_width: int
) -> Tensor:
    """The picture within a larger one of zeros. Raises: ShapeError if it does not fit."""
    x = picture("pad_to_bounding_box", image)
    bottom = target_height - offset_height - int(x.shape[-3])
    right = target_width - offset_width - int(x.shape[-2])
    if min(offset_height, offset_width, bottom, right) < 0:
        raise ShapeError(
            f"tf.image.pad_to_bounding_box: a picture of {x.shape[-3]} x {x.shape[-2]} at ({offset_height}, {offset_width}) does not fit into "
            f"{target_height} x {target_width}"
        )
    rows = [[offset_height, bottom], [offset_width, right], [0, 0]]
    return _pad(x, rows if x.ndim == 3 else [[0, 0], *rows])


@named
def resize_with_crop_or_pad(image: Any, target_height: int, target_width: int) -> Tensor:
    """The middle of the picture, or the picture in the middle of zeros."""
    x = picture("resize_with_crop_or_pad", image)
    h, w = int(x.shape[-3]), int(x.shape[-2])
    top, left = max(h - target_height, 0) // 2, max(w - target_width, 0) // 2
    x = crop_to_bounding_box(x, top, left, min(h, target_height), min(w, target_width))
    low, side = max(target_height - h, 0) // 2, max(target_width - w, 0) // 2
    return pad_to_bounding_box(x, low, side, target_height, target_width)


@named
def central_crop(image: Any, central_fraction: float) -> Tensor:
    """The middle of the picture, of this fraction of its height and width."""
    if not 0 < central_fraction <= 1:
        raise ArgumentError(f"tf.image.central_crop: central_fraction is in (0, 1], not {central_fraction!r}")
    x = picture("central_crop", image)
    h, w = int(x.shape[-3]), int(x.shape[-2])
    top, left = int((h - h * central_fraction) / 2), int((w - w * central_fraction) / 2)
    return x[..., top : h - top, left : w - left, :]


@named
def random_crop(value: Any, size: Any, seed: Any = None) -> Tensor:
    """A part of this size at a random place. Raises: ShapeError if the tensor is smaller."""
    x, extents = to_tensor(value), shape_list(size)
    if len(extents) != x.ndim or any(s > n for s, n in zip(extents, x.shape)):
        raise ShapeError(f"tf.image.random_crop: a part of {extents} of a tensor of {tuple(x.shape)}")
    generator = None if seed is None else ops.Generator().manual_seed(int(seed))
    for axis, (s, n) in enumerate(zip(extents, x.shape)):
        if s != n:
            first = ops.randint(0, int(n) - s + 1, (1,), generator=generator)
            x = ops.index_select(x, axis, first + ops.arange(s))
    return x


@named
def psnr(a: Any, b: Any, max_val: float) -> Tensor:
    """10 log₁₀(max² / mean((a - b)²)), in decibels."""
    x, y = (picture("psnr", v).to(dtype="float32") for v in (a, b))
    error = ops.mean(ops.square(x - y), (-3, -2, -1))
    return ops.log(max_val**2 / error) * (10 / 2.302585092994046)


@named
def total_variation(images: Any) -> Tensor:
    """Σ |differences of neighbours| of each picture."""
    x = picture("total_variation", images)
    down = ops.abs(x[..., 1:, :, :] - x[..., :-1, :, :])
    along = ops.abs(x[..., :, 1:, :] - x[..., :, :-1, :])
    return ops.sum(down, (-3, -2, -1)) + ops.sum(along, (-3, -2, -1))


# -- colours, edges, likeness ------------------------------------------------------------------------------------


@named
def adjust_hue(image: Any, delta: Any) -> Tensor:
    """The hue turned by delta, in whole turns."""
    return _on_floats(image, lambda x: turned(x, delta))


@named
def random_hue(image: Any, max_delta: float, seed: Any = None) -> Tensor:
    """`adjust_hue` by a random number within ±max_delta."""
    return adjust_hue(image, _between(-max_delta, max_delta, seed))


@named
def resize_with_pad(
    image: Any, target_height: int, target_width: int, method: str = "bilinear", antialias: bool = False
) -> Tensor:
    """The whole picture in another size, in the middle of zeros where its proportions differ."""
    x = picture("resize_with_pad", image)
    h, w = int(x.shape[-3]), int(x.shape[-2])
    ratio = max(h / target_height, w / target_width)
    y = resize(x, (int(h / ratio), int(w / ratio)), method, antialias=antialias)
    top, left = int((target_height - h / ratio) / 2), int((target_width - w / ratio) / 2)
    return pad_to_bounding_box(y, top, left, target_height, target_width)


@named
def image_gradients(image: Any) -> Any:
    """(differences to the next row, differences to the next column), 0 at the end."""
    x = to_tensor(image)
    down, along = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return F.pad(down, [0, 0, 0, 0, 0, 1]), F.pad(along, [0, 0, 0, 1])


@named
def sobel_edges(image: Any) -> Tensor:
    """Sobel's differences along rows and columns, with a further last axis of 2; pictures are reflected at their edges."""
    x = to_tensor(image)
    p = _pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT")
    h, w = int(x.shape[1]), int(x.shape[2])

    def part(i: int, j: int) -> Tensor:
        return p[:, i : i + h, j : j + w]

    dy = part(2, 0) + part(2, 1) * 2 + part(2, 2) - part(0, 0) - part(0, 1) * 2 - part(0, 2)
    dx = part(0, 2) + part(1, 2) * 2 + part(2, 2) - part(0, 0) - part(1, 0) * 2 - part(2, 0)
    return ops.stack([dy, dx], -1)


def _batched(t: Tensor) -> Tensor:
    return t if t.ndim == 4 else t.unsqueeze(0)


def _likeness(a: Any, b: Any, max_val: float, size: int, sigma: float, k1: float, k2: float) -> tuple[Tensor, Tensor]:
    """(SSIM, the part of contrast and structure) of each picture and channel."""
    x, y = (convert_image_dtype(_batched(picture("ssim", v)), "float32").movedim(-1, 1) for v in (a, b))
    if not to_tensor(a).dtype.is_floating_point:
        max_val = 1.0
    at = ops.arange(float(size)) - (size - 1) / 2
    g = ops.exp(at * at * (-0.5 / sigma**2))
    g = g / ops.sum(g)
    kernel = (g.unsqueeze(1) * g).reshape(1, 1, size, size)

    def smooth(t: Tensor) -> Tensor:
        n, c, h, w = (int(v) for v in t.shape)
        z = F.conv2d(t.reshape(n * c, 1, h, w), kernel)
        return z.reshape(n, c, *z.shape[2:])

    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    mx, my = smooth(x), smooth(y)
    light = (mx * my * 2 + c1) / (mx * mx + my * my + c1)
    joint = smooth(x * y) * 2 - mx * my * 2
    spread = smooth(x * x + y * y) - mx * mx - my * my
    structure = (joint + c2) / (spread + c2)
    return ops.mean(light * structure, (-2, -1)), ops.mean(structure, (-2, -1))


@named
def ssim(
    img1: Any,
    img2: Any,
    max_val: float,
    filter_size: int = 11,
    filter_sigma: float = 1.5,
    k1: float = 0.01,
    k2: float = 0.03,
) -> Tensor:
    """The structural similarity of pictures, 1 where they are equal.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 2004.
    """
    found = ops.mean(_likeness(img1, img2, max_val, filter_size, filter_sigma, k1, k2)[0], -1)
    return found if to_tensor(img1).ndim == 4 else found[0]


stateless_random_brightness = _stateless(random_brightness)
stateless_random_contrast = _stateless(random_contrast)
stateless_random_crop = _stateless(random_crop)
stateless_random_flip_left_right = _stateless(random_flip_left_right)
stateless_random_flip_up_down = _stateless(random_flip_up_down)
stateless_random_hue = _stateless(random_hue)
stateless_random_saturation = _stateless(random_saturation)
