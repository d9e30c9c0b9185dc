"""Signals by TensorFlow's names: `tf.signal`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from twinflow import fft as _fft
from twinflow import ops
from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._cosine import dct as dct
from twinflow.tf._cosine import idct as idct
from twinflow.tf._cosine import inverse_mdct as inverse_mdct
from twinflow.tf._cosine import linear_to_mel_weight_matrix as linear_to_mel_weight_matrix
from twinflow.tf._cosine import mdct as mdct
from twinflow.tf._cosine import mfccs_from_log_mel_spectrograms as mfccs_from_log_mel_spectrograms
from twinflow.tf._framing import frame as frame
from twinflow.tf._framing import overlap_and_add as overlap_and_add
from twinflow.tf._functions import named, unary
from twinflow.tf._shapes import shape_list
from twinflow.tf._windows import hamming_window as hamming_window
from twinflow.tf._windows import hann_window as hann_window
from twinflow.tf._windows import kaiser_bessel_derived_window as kaiser_bessel_derived_window
from twinflow.tf._windows import kaiser_window as kaiser_window
from twinflow.tf._windows import vorbis_window as vorbis_window

fft = unary(_fft.fft, "The discrete Fourier transform along the last axis.", "fft")
ifft = unary(_fft.ifft, "The inverse of `fft`.", "ifft")
fft2d = unary(_fft.fft2, "The discrete Fourier transform over the last two axes.", "fft2d")
ifft2d = unary(_fft.ifft2, "The inverse of `fft2d`.", "ifft2d")
fft3d = unary(
    lambda x: _fft.fftn(x, dim=(-3, -2, -1)), "The discrete Fourier transform over the last three axes.", "fft3d"
)
ifft3d = unary(lambda x: _fft.ifftn(x, dim=(-3, -2, -1)), "The inverse of `fft3d`.", "ifft3d")


def _axes(axes: Any) -> Any:
    return None if axes is None else shape_list(axes) if isinstance(axes, (list, tuple)) else int(axes)


@named
def fftshift(x: Any, axes: Any = None) -> Tensor:
    """Frequency 0 moved to the middle of these axes, or of all."""
    return _fft.fftshift(to_tensor(x), _axes(axes))


@named
def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _fft.ifftshift(to_tensor(x), _axes(axes))


def _of_real(fn: Callable[..., Tensor], n: int, name: str, doc: str) -> Callable[..., Any]:
    """A transform between real numbers and half of their frequencies, over the last n axes."""

    def wrapped(input_tensor: Any, fft_length: Any = None) -> Tensor:
        sizes = None if fft_length is None else [int(k) for k in to_tensor(fft_length).reshape(-1).tolist()]
        if sizes is not None and len(sizes) != n:
            raise ArgumentError(f"tf.signal.{name}: fft_length has one number for each of {n} axes, not {fft_length!r}")
        return fn(to_tensor(input_tensor), sizes, tuple(range(-n, 0)))

    wrapped.__name__ = wrapped.__qualname__ = name
    wrapped.__doc__ = doc
    return named(wrapped)


rfft = _of_real(_fft.rfftn, 1, "rfft", "`fft` of real numbers: the frequencies that are not the conjugate of another.")
rfft2d = _of_real(_fft.rfftn, 2, "rfft2d", "`rfft` over the last two axes.")
rfft3d = _of_real(_fft.rfftn, 3, "rfft3d", "`rfft` over the last three axes.")
irfft = _of_real(_fft.irfftn, 1, "irfft", "The inverse of `rfft`.")
irfft2d = _of_real(_fft.irfftn, 2, "irfft2d", "The inverse of `rfft2d`.")
irfft3d = _of_real(_fft.irfftn, 3, "irfft3d", "The inverse of `rfft3d`.")


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
