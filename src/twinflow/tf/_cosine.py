"""Cosine transforms and what speech recognition makes of them, by TensorFlow's names, which stand in `tf.signal`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow import fft as _fft
from twinflow import ops
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.nn import functional as F
from twinflow.tensor import Tensor
from twinflow.tf._framing import frame, overlap_and_add
from twinflow.tf._functions import named
from twinflow.tf._windows import vorbis_window

_INVERSE = {1: 1, 2: 3, 3: 2, 4: 4}


def _turns(n: int, sign: int) -> Tensor:
    """2 e^(±iπk / 2n) for k below n."""
    angle = sign * math.pi / (2 * n) * np.arange(n)
    return ops.tensor((2 * np.exp(1j * angle)).astype(np.complex64))


def _scales(n: int, first: float, others: float, like: Tensor) -> Tensor:
    return ops.tensor([first] + [others] * (n - 1), dtype=like.dtype)


@named
def dct(input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The discrete cosine transform of the last axis, by way of `rfft`: for type 2, y_k = 2 Σ x_m cos(πk(2m + 1) / 2N).

    Args:
        type: 1 to 4.
        n: cut or fill up to so many numbers first.
        norm: 'ortho' for an orthogonal transform (not of type 1), or None.
    Source: Makhoul 1980, "A fast cosine transform in one and two dimensions".
    """
    _check(type, axis, norm)
    x = to_tensor(input)
    if n is not None:
        x = F.pad(x, [0, max(n - int(x.shape[-1]), 0)])[..., :n]
    size = int(x.shape[-1])
    if type == 1:
        if size < 2:
            raise ShapeError(f"tf.signal.dct: type 1 needs at least 2 numbers, not {size}")
        return ops.real(_fft.rfft(ops.concat([x, ops.flip(x[..., 1:-1], (-1,))], -1)))
    if type == 2:
        y = ops.real(_fft.rfft(x, 2 * size)[..., :size] * _turns(size, -1))
        return y * _scales(size, 0.5 / math.sqrt(size), math.sqrt(0.5 / size), y) if norm else y
    if type == 3:
        scale = _scales(size, math.sqrt(size), math.sqrt(size / 2), x) if norm else float(size)
        return _fft.irfft(x * scale * _turns(size, 1), 2 * size)[..., :size]
    y = dct(x, 2, 2 * size)[..., 1::2]
    return y * math.sqrt(0.5 / size) if norm else y


@named
def idct(input: Any, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The transform that undoes `dct` of this type, with norm 'ortho' exactly, without up to a factor of 2N (2(N - 1) for type 1)."""
    _check(type, axis, norm)
    return dct(input, _INVERSE[type], n, axis, norm)


def _check(type: int, axis: int, norm: str | None) -> None:
    if type not in _INVERSE:
        raise ArgumentError(f"tf.signal.dct: type is 1, 2, 3 or 4, not {type!r}")
    if axis != -1:
        raise ArgumentError(f"tf.signal.dct: the last axis is transformed, not {axis}; move it there with tf.transpose")
    if norm not in (None, "ortho") or (norm and type == 1):
        raise ArgumentError(
            f"tf.signal.dct: norm is None, or 'ortho' for the types 2 to 4, not {norm!r} for type {type}"
        )


@named
def mdct(
    signals: Any, frame_length: int, window_fn: Callable[..., Tensor] | None = vorbis_window, pad_end: bool = False,
    norm: str | None = None,
) -> Tensor:  # fmt: skip
    """The modified cosine transform of parts that overlap by half: [..., frames, frame_length / 2].

    Source: Princen, Johnson and Bradley 1987, "Subband/transform coding using filter bank designs".
    """
    if frame_length % 4:
        raise ArgumentError(f"tf.signal.mdct: frame_length is a multiple of 4, not {frame_length}")
    parts = frame(signals, frame_length, frame_length // 2, pad_end)
    parts = parts if window_fn is None else parts * window_fn(frame_length, dtype=parts.dtype)
    a, b, c, d = ops.chunk(parts, 4, -1)
    return dct(ops.concat([-ops.flip(c, (-1,)) - d, a - ops.flip(b, (-1,))], -1), 4, norm=norm)


@named
def inverse_mdct(
    mdcts: Any, window_fn: Callable[..., Tensor] | None = vorbis_window, norm: str | None = None
) -> Tensor:
    """The signal of `mdct`, but for its first and last half frame."""
    x = to_tensor(mdcts)
    half = int(x.shape[-1])
    y = dct(x, 4, norm=norm)
    first, second = ops.chunk(y if norm else y * (0.5 / half), 2, -1)
    parts = ops.concat([second, -ops.flip(second, (-1,)), -ops.flip(first, (-1,)), -first], -1)
    return overlap_and_add(parts if window_fn is None else parts * window_fn(2 * half, dtype=parts.dtype), half)


@named
def linear_to_mel_weight_matrix(
    num_mel_bins: int = 20, num_spectrogram_bins: int = 129, sample_rate: float = 8000,
    lower_edge_hertz: float = 125.0, upper_edge_hertz: float = 3800.0, dtype: Any = "float32",
) -> Tensor:  # fmt: skip
    """[num_spectrogram_bins, num_mel_bins]: triangles, evenly spaced where mel(f) = 1127 ln(1 + f / 700)."""
    if not 0 <= lower_edge_hertz < upper_edge_hertz <= sample_rate / 2:
        raise ArgumentError(
            f"tf.signal.linear_to_mel_weight_matrix: 0 <= lower_edge_hertz < upper_edge_hertz <= sample_rate / 2 is needed, not "
            f"{lower_edge_hertz}, {upper_edge_hertz} and {sample_rate / 2}"
        )

    def mel(hertz: Any) -> Any:
        return 1127 * np.log1p(np.asarray(hertz) / 700)

    places = mel(np.linspace(0, sample_rate / 2, num_spectrogram_bins))[1:, None]
    edges = np.linspace(mel(lower_edge_hertz), mel(upper_edge_hertz), num_mel_bins + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rises, falls = (places - low) / (middle - low), (high - places) / (high - middle)
    weights = np.maximum(0, np.minimum(rises, falls))
    return ops.tensor(np.pad(weights, [[1, 0], [0, 0]]), dtype=dtype)  # frequency 0 belongs to no bin


@named
def mfccs_from_log_mel_spectrograms(log_mel_spectrograms: Any) -> Tensor:
    """The cepstral coefficients of speech, [..., frames, bins]: `dct` over √(2 bins)."""
    x = to_tensor(log_mel_spectrograms)
    return dct(x) * (0.5 / int(x.shape[-1])) ** 0.5
