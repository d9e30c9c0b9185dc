"""Special functions that PyTorch has as methods too."""

from __future__ import annotations

from collections.abc import Callable

from twinflow.ops._math import inplace
from twinflow.special._bessel import i0
from twinflow.special._gamma import gammainc, gammaincc, multigammaln, polygamma
from twinflow.tensor import Tensor


def _polygamma(self: Tensor, n: int) -> Tensor:
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
