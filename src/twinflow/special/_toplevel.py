"""Special functions that PyTorch has as methods too."""

from __future__ import annotations

from twinflow.special._bessel import i0
from twinflow.special._gamma import multigammaln, polygamma
from twinflow.tensor import Tensor

for _name, _fn in {
    "i0": i0,
    "polygamma": lambda self, n: polygamma(n, self),
    "mvlgamma": multigammaln,
}.items():
    setattr(Tensor, _name, _fn)
