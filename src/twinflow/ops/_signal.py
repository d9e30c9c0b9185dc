"""Windows, and the short-time Fourier transform."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core import as_dtype, as_int, get_default_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import _math as M
from twinflow.ops._arranging import unfold
from twinflow.ops._create import finish_new
from twinflow.ops._declare import call
from twinflow.ops._promote import convert, to_tensor_arg
from twinflow.tensor import Tensor


def _window(op: str, n: int, periodic: bool, dtype: Any, device: Any, requires_grad: bool, fn: Any) -> Tensor:
    """fn(position / length) at n points; a periodic window is a symmetric one of n + 1 points without its last."""
    n = as_int(n, f"{op}: window_length")
    if n < 0:
        raise ArgumentError(f"{op}: the length must not be negative, but {n} was given")
    d = as_dtype(dtype) if dtype is not None else get_default_dtype()
    span = n if periodic else n - 1
    at = call("iota", n=n, dtype=as_dtype("float64")) * (1 / max(span, 1))
    w = fn(at) if n != 1 else at * 0.0 + 1.0
    return finish_new(convert(w, d), requires_grad, device)


def _cosines(*a: float) -> Any:
    return lambda t: sum((M.cos(t * (2 * math.pi * k)) * c for k, c in enumerate(a) if k), start=t * 0.0 + a[0])


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """½ - ½ cos(2πt)."""
    return _window("hann_window", window_length, periodic, dtype, device, requires_grad, _cosines(0.5, -0.5))


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """alpha - beta cos(2πt)."""
    return _window("hamming_window", window_length, periodic, dtype, device, requires_grad, _cosines(alpha, -beta))


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """0.42 - ½ cos(2πt) + 0.08 cos(4πt)."""
    return _window("blackman_window", window_length, periodic, dtype, device, requires_grad, _cosines(0.42, -0.5, 0.08))


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """1 - |2t - 1|."""
    triangle = lambda t: 1.0 - M.abs(t * 2.0 - 1.0)  # noqa: E731 - a formula
    return _window("bartlett_window", window_length, periodic, dtype, device, requires_grad, triangle)


def _padded(x: Tensor, amount: int, mode: str) -> Tensor:
    """A [batch, n] signal with `amount` samples more at both ends."""
    n = x._data.shape[-1]
    if mode == "constant":
        return call("pad", x, low=(0, amount), high=(0, amount), interior=(0, 0), value=0)
    if mode == "reflect":
        if amount >= n:
            raise ShapeError(
                f"stft: a signal of {n} samples is too short to be reflected by {amount}; use center=False"
            )
        at = M.abs(call("iota", n=n + 2 * amount, dtype=as_dtype("int64")) - amount)
        at = (n - 1) - M.abs((n - 1) - at)
    elif mode in ("replicate", "circular"):
        at = call("iota", n=n + 2 * amount, dtype=as_dtype("int64")) - amount
        at = at.clamp(0, n - 1) if mode == "replicate" else at % n
    else:
        raise ArgumentError(f"stft: pad_mode is constant, reflect, replicate or circular, not {mode!r}")
    return call("take", x, at, axis=1)


def _centred(window: Tensor | None, win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of n_fft samples."""
    real = like.dtype.to_real()
    w = call("full", shape=(win_length,), value=1, dtype=real) if window is None else window
    if tuple(w.shape) != (win_length,) or not 0 < win_length <= n_fft:
        raise ShapeError(f"stft: a window of shape {tuple(w.shape)} for win_length {win_length} and n_fft {n_fft}")
    left = (n_fft - win_length) // 2
    return call("pad", w, low=(left,), high=(n_fft - win_length - left,), interior=(0,), value=0)


def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool = True,
) -> Tensor:
    """The Fourier transforms of overlapping windows of a signal: [..., samples] → [..., frequencies, frames], complex.

    Args:
        n_fft: samples of a transform. hop_length: distance of windows (n_fft // 4).
        win_length, window: the window, in the middle of n_fft samples; ones unless given.
        center: pad the signal, so that frame t is centred at sample t · hop_length.
        onesided: only the first n_fft // 2 + 1 frequencies; by default for real signals.
    """
    x = to_tensor_arg(input, "stft")
    if x.ndim not in (1, 2):
        raise ShapeError(f"stft: a signal or a batch of them is needed, not shape {tuple(x.shape)}")
    if not return_complex:
        raise ArgumentError("stft: the result is complex; view_as_real gives its parts")
    hop = n_fft // 4 if hop_length is None else hop_length
    if hop < 1:
        raise ArgumentError(f"stft: hop_length must be positive, not {hop}")
    w = _centred(window, n_fft if win_length is None else win_length, n_fft, x)
    signal = x.unsqueeze(0) if x.ndim == 1 else x
    signal = _padded(signal, n_fft // 2, pad_mode) if center else signal
    if signal._data.shape[-1] < n_fft:
        raise ShapeError(f"stft: n_fft = {n_fft} samples do not fit into a signal of {signal._data.shape[-1]}")
    frames = unfold(signal, 1, n_fft, hop) * w
    real = frames._data.dtype.kind != "c"
    if real if onesided is None else onesided:
        if not real:
            raise ArgumentError("stft: the transform of a complex signal has no mirror image; use onesided=False")
        y = call("rfft", frames, axis=2)
    else:
        y = call("fft", convert(frames, frames.dtype.to_complex()), axis=2, inverse=False)
    y = y * (1 / math.sqrt(n_fft)) if normalized else y
    y = y.transpose(1, 2)
    return y.squeeze(0) if x.ndim == 1 else y


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of which `stft` with the same arguments gives `input`, in the least-squares sense.

    Source: Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE Trans. ASSP 32, 1984.
    Samples that no window covers are 0.
    """
    x = to_tensor_arg(input, "istft")
    if x._data.dtype.kind != "c" or x.ndim not in (2, 3):
        raise ShapeError(f"istft: complex [..., frequencies, frames] is needed, not {x.dtype.name}{list(x.shape)}")
    hop = n_fft // 4 if hop_length is None else hop_length
    w = _centred(window, n_fft if win_length is None else win_length, n_fft, x)
    y = (x.unsqueeze(0) if x.ndim == 2 else x).transpose(1, 2)
    half = y._data.shape[2] == n_fft // 2 + 1 if onesided is None else onesided
    if y._data.shape[2] != (n_fft // 2 + 1 if half else n_fft):
        raise ShapeError(f"istft: {y._data.shape[2]} frequencies do not belong to n_fft = {n_fft}")
    frames = call("irfft", y, axis=2, n=n_fft) if half else call("fft", y, axis=2, inverse=True)
    frames = frames * (1 / math.sqrt(n_fft) if normalized else 1 / n_fft)
    frames = frames if return_complex or half else M.real(frames)
    batch, count, _ = frames._data.shape
    total = n_fft + hop * (count - 1)
    starts = call("iota", n=count, dtype=as_dtype("int64")).unsqueeze(1) * hop
    at = (starts + call("iota", n=n_fft, dtype=as_dtype("int64"))).reshape(count * n_fft)
    zero = call("full", shape=(batch, total), value=0, dtype=frames.dtype)
    signal = call("put_add", zero, at, (frames * w).reshape(batch, count * n_fft), axis=1)
    weight = call("put_add", call("full", shape=(total,), value=0, dtype=w.dtype), at, (w * w).repeat(count), axis=0)
    low = n_fft // 2 if center else 0
    high = total - low if length is None else min(low + length, total)
    signal, weight = signal.narrow(1, low, high - low), weight.narrow(0, low, high - low)
    signal = signal / call("where", weight > 1e-11, weight, 1.0)
    if length is not None and length > high - low:
        signal = call("pad", signal, low=(0, 0), high=(0, length - high + low), interior=(0, 0), value=0)
    return signal.squeeze(0) if x.ndim == 2 else signal
