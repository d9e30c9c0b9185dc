"""Signals by TensorFlow's names: `tf.signal`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twinflow import fft as _fft
from twinflow import ops
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._functions import named, unary

fft = unary(_fft.fft, "The discrete Fourier transform along the last axis.", "fft")
ifft = unary(_fft.ifft, "The inverse of `fft`.", "ifft")
fft2d = unary(_fft.fft2, "The discrete Fourier transform over the last two axes.", "fft2d")
ifft2d = unary(_fft.ifft2, "The inverse of `fft2d`.", "ifft2d")
fft3d = unary(
    lambda x: _fft.fftn(x, dim=(-3, -2, -1)), "The discrete Fourier transform over the last three axes.", "fft3d"
)
ifft3d = unary(lambda x: _fft.ifftn(x, dim=(-3, -2, -1)), "The inverse of `fft3d`.", "ifft3d")
fftshift = unary(_fft.fftshift, "Frequency 0 moved to the middle.", "fftshift")
ifftshift = unary(_fft.ifftshift, "The inverse of `fftshift`.", "ifftshift")


def _sizes(fft_length: Any) -> Any:
    if fft_length is None:
        return None
    return int(to_tensor(fft_length).reshape(-1)[0].item())


@named
def rfft(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """`fft` of real numbers: the frequencies that are not the conjugate of another."""
    return _fft.rfft(to_tensor(input_tensor), _sizes(fft_length))


@named
def irfft(input_tensor: Any, fft_length: Any = None) -> Tensor:
    """The inverse of `rfft`."""
    return _fft.irfft(to_tensor(input_tensor), _sizes(fft_length))


def _window(periodic: bool, n: int, dtype: Any, a: float, b: float) -> Tensor:
    steps = n if periodic else n - 1
    angle = ops.arange(float(n), dtype=dtype) * (2 * math.pi / max(steps, 1))
    return ops.cos(angle) * -b + a


@named
def hann_window(window_length: int, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """(1 - cos(2πn / N)) / 2."""
    return _window(periodic, int(window_length), dtype, 0.5, 0.5)


@named
def hamming_window(window_length: int, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """0.54 - 0.46 cos(2πn / N)."""
    return _window(periodic, int(window_length), dtype, 0.54, 0.46)


@named
def frame(
    signal: Any, frame_length: int, frame_step: int, pad_end: bool = False, pad_value: float = 0, axis: int = -1
) -> Tensor:
    """Overlapping parts along an axis: [..., n] becomes [..., frames, frame_length]."""
    x = to_tensor(signal).movedim(axis, -1)
    n = int(x.shape[-1])
    count = -(-n // frame_step) if pad_end else max(0, 1 + (n - frame_length) // frame_step)
    missing = (count - 1) * frame_step + frame_length - n
    if pad_end and missing > 0:
        x = F.pad(x, [0, missing], "constant", pad_value)
    at = ops.arange(count).unsqueeze(1) * frame_step + ops.arange(frame_length)
    found = ops.index_select(x, -1, at.reshape(-1)).reshape(*x.shape[:-1], count, frame_length)
    return found if axis in (-1, x.ndim - 1) else found.movedim((-2, -1), (axis % x.ndim, axis % x.ndim + 1))


@named
def overlap_and_add(signal: Any, frame_step: int) -> Tensor:
    """The inverse of `frame`: frames [..., count, length] added where they overlap."""
    x = to_tensor(signal)
    count, size = int(x.shape[-2]), int(x.shape[-1])
    n = (count - 1) * frame_step + size
    at = (ops.arange(count).unsqueeze(1) * frame_step + ops.arange(size)).reshape(-1)
    flat = x.reshape(-1, count * size)
    out = ops.index_add(ops.zeros((int(flat.shape[0]), n), dtype=x.dtype), 1, at, flat)
    return out.reshape(*x.shape[:-2], n)


@named
def stft(signals: Any, frame_length: int, frame_step: int, fft_length: Any = None,
         window_fn: Callable[..., Tensor] | None = hann_window, pad_end: bool = False) -> Tensor:  # fmt: skip
    """The spectrum of each overlapping part: [..., frames, fft_length / 2 + 1]."""
    parts = frame(signals, frame_length, frame_step, pad_end)
    size = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else int(fft_length)
    return rfft(parts if window_fn is None else parts * window_fn(frame_length, dtype=parts.dtype), size)


@named
def inverse_stft(stfts: Any, frame_length: int, frame_step: int, fft_length: Any = None,
                 window_fn: Callable[..., Tensor] | None = hann_window) -> Tensor:  # fmt: skip
    """The signal of a spectrum, up to the window's overlap (see `inverse_stft_window_fn`)."""
    size = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else int(fft_length)
    parts = irfft(stfts, size)[..., :frame_length]
    return overlap_and_add(
        parts if window_fn is None else parts * window_fn(frame_length, dtype=parts.dtype), frame_step
    )


def inverse_stft_window_fn(
    frame_step: int, forward_window_fn: Callable[..., Tensor] = hann_window
) -> Callable[..., Tensor]:
    """The window with which `inverse_stft` gives the signal back that `stft` with `forward_window_fn` took apart."""

    def window(frame_length: int, dtype: Any = "float32") -> Tensor:
        w = forward_window_fn(frame_length, dtype=dtype)
        overlaps = -(-frame_length // frame_step)
        squares = F.pad(w * w, [0, overlaps * frame_step - frame_length]).reshape(overlaps, frame_step)
        total = ops.sum(squares, 0, True).expand(overlaps, frame_step).reshape(-1)[:frame_length]
        return w / total

    return window
