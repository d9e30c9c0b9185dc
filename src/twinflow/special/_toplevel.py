"""Special functions that PyTorch has as methods too, and the window made of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core import as_dtype, get_default_dtype
from twinflow.core.errors import ArgumentError
from twinflow.ops import arange, ones, sqrt
from twinflow.ops._create import finish_new
from twinflow.ops._math import inplace
from twinflow.ops._promote import convert
from twinflow.special._bessel import i0
from twinflow.special._gamma import gammainc, gammaincc, multigammaln, polygamma
from twinflow.tensor import Tensor


def _polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of `digamma`."""
    return polygamma(n, self)


_METHODS: dict[str, Callable[..., Tensor]] = {
    "i0": i0,
    "igamma": gammainc,
    "igammac": gammaincc,
    "mvlgamma": multigammaln,
    "polygamma": _polygamma,
}
for _name, _fn in _METHODS.items():
    setattr(Tensor, _name, _fn)
    setattr(Tensor, f"{_name}_", inplace(_fn, f"{_name}_"))


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """I₀(β √(1 − (2t − 1)²)) / I₀(β) for t from 0 to 1; `periodic` leaves out the last of one element more."""
    if window_length < 0:
        raise ArgumentError(f"kaiser_window: window_length must not be negative, but {window_length} was given")
    target = as_dtype(dtype) if dtype is not None else get_default_dtype()
    steps = window_length - (0 if periodic else 1)
    if window_length < 2:
        return finish_new(ones(window_length, dtype=target), requires_grad, device)
    t = arange(window_length, dtype="float64") * (2.0 / steps) - 1.0
    inside = sqrt((1.0 - t * t).clamp(min=0.0))
    window = i0(inside * beta) / i0(ones((), dtype="float64") * beta)
    return finish_new(convert(window, target), requires_grad, device)
