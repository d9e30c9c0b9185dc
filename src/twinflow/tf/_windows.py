"""Windows of signals by TensorFlow's names, which stand in `tf.signal`."""

from __future__ import annotations

import math
from typing import Any

from twinflow import ops
from twinflow import special as _special
from twinflow.tensor import Tensor
from twinflow.tf._functions import named


def _cosine(periodic: bool, n: int, dtype: Any, a: float, b: float) -> Tensor:
    steps = n if periodic and n % 2 == 0 else n - 1  # one of odd length is symmetric in TensorFlow, whatever was asked
    angle = ops.arange(float(n), dtype=dtype) * (2 * math.pi / max(steps, 1))
    return ops.cos(angle) * -b + a if n > 1 else ops.ones(n, dtype=dtype)


@named
def hann_window(window_length: int, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """(1 - cos(2πn / N)) / 2; of even length `periodic`, N is the length, else one less."""
    return _cosine(periodic, int(window_length), dtype, 0.5, 0.5)


@named
def hamming_window(window_length: int, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """0.54 - 0.46 cos(2πn / N); of even length `periodic`, N is the length, else one less."""
    return _cosine(periodic, int(window_length), dtype, 0.54, 0.46)


@named
def kaiser_window(window_length: int, beta: float = 12.0, dtype: Any = "float32") -> Tensor:
    """I₀(β √(1 - (2n / (N - 1) - 1)²)) / I₀(β). Source: Kaiser and Schafer 1980, "On the use of the I₀-sinh window"."""
    n = int(window_length)
    if n < 2:
        return ops.ones(n, dtype=dtype)
    place = ops.arange(float(n), dtype=dtype) * (2 / (n - 1)) - 1
    x = ops.sqrt(ops.clamp(1 - place * place, 0.0)) * beta
    top = ops.full((), float(beta), dtype=dtype)
    return _special.i0e(x) / _special.i0e(top) * ops.exp(x - top)  # scaled, so that nothing overflows


@named
def kaiser_bessel_derived_window(window_length: int, beta: float = 12.0, dtype: Any = "float32") -> Tensor:
    """The roots of the running sums of a Kaiser window, and the same turned around, as an MDCT needs it."""
    sums = ops.cumsum(kaiser_window(int(window_length) // 2 + 1, beta, dtype), 0)
    half = ops.sqrt(sums[:-1] / sums[-1])
    return ops.concat([half, ops.flip(half, (0,))], 0)


@named
def vorbis_window(window_length: int, dtype: Any = "float32") -> Tensor:
    """sin(π/2 · sin²(π/N · (n + 1/2))). Source: the Vorbis I specification."""
    n = int(window_length)
    inner = ops.sin((ops.arange(float(n), dtype=dtype) + 0.5) * (math.pi / n))
    return ops.sin(inner * inner * (math.pi / 2))
