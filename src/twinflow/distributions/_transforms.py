"""Invertible functions of random values, and the logarithms of how much they stretch."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import TwinflowError
from twinflow.nn.functional import softplus
from twinflow.ops import as_tensor, atanh, log, log1p, zeros_like
from twinflow.tensor import Tensor


class Transform:
    """y = f(x), its inverse, and log |dy/dx|."""

    def __call__(self, x: Tensor) -> Tensor:
        raise TwinflowError(f"{type(self).__name__} must define __call__(x)")

    def inv(self, y: Tensor) -> Tensor:
        """The x with f(x) = y."""
        raise TwinflowError(f"{type(self).__name__} must define inv(y)")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |dy/dx| at each element."""
        raise TwinflowError(f"{type(self).__name__} must define log_abs_det_jacobian(x, y)")


class AffineTransform(Transform):
    """loc + scale x."""

    def __init__(self, loc: Any, scale: Any) -> None:
        self.loc, self.scale = as_tensor(loc), as_tensor(scale)

    def __call__(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def inv(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return log(self.scale.abs()) + zeros_like(x)


class ExpTransform(Transform):
    """exp(x)."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.exp()

    def inv(self, y: Tensor) -> Tensor:
        return log(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class SigmoidTransform(Transform):
    """1 / (1 + exp(-x))."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def inv(self, y: Tensor) -> Tensor:
        return log(y) - log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class TanhTransform(Transform):
    """tanh(x)."""

    def __call__(self, x: Tensor) -> Tensor:
        return x.tanh()

    def inv(self, y: Tensor) -> Tensor:
        return atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class ComposeTransform(Transform):
    """One transform after the other."""

    def __init__(self, parts: list[Transform]) -> None:
        self.parts = parts

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def inv(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        total = zeros_like(x)
        for part in self.parts:
            y = part(x)
            total = total + part.log_abs_det_jacobian(x, y)
            x = y
        return total
