"""Invertible functions of random values, and the logarithms of how much they stretch."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError, TwinflowError
from twinflow.nn.functional import softplus
from twinflow.ops import as_tensor, atanh, expm1, log, log1p, zeros_like
from twinflow.tensor import Tensor


class Transform:
    """y = f(x), its inverse, and log |dy/dx|. A subclass defines `_call(x)`, `_inverse(y)` and `log_abs_det_jacobian(x, y)`.

    Args:
        cache_size: 1 remembers the latest x and y, so that the inverse of a y that was made here is the very x: where f
            flattens out, as tanh does, f⁻¹ could not tell any more.
    """

    _latest: tuple[Tensor, Tensor] | None = None

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ArgumentError(f"{type(self).__name__}: cache_size is 0 or 1, not {cache_size!r}")
        self._cache_size = cache_size

    def __call__(self, x: Tensor) -> Tensor:
        if self._latest is not None and self._latest[0] is x:
            return self._latest[1]
        y = self._call(x)
        if self._cache_size:
            self._latest = x, y
        return y

    def inv(self, y: Tensor) -> Tensor:
        """The x with f(x) = y."""
        if self._latest is not None and self._latest[1] is y:
            return self._latest[0]
        return self._inverse(y)

    def _call(self, x: Tensor) -> Tensor:
        raise TwinflowError(f"{type(self).__name__} must define _call(x)")

    def _inverse(self, y: Tensor) -> Tensor:
        raise TwinflowError(f"{type(self).__name__} must define _inverse(y)")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """log |dy/dx| at each element."""
        raise TwinflowError(f"{type(self).__name__} must define log_abs_det_jacobian(x, y)")


class AffineTransform(Transform):
    """loc + scale x."""

    def __init__(self, loc: Any, scale: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = as_tensor(loc), as_tensor(scale)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return log(self.scale.abs()) + zeros_like(x)


class ExpTransform(Transform):
    """exp(x)."""

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return log(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class SigmoidTransform(Transform):
    """1 / (1 + exp(-x))."""

    def _call(self, x: Tensor) -> Tensor:
        return x.sigmoid()

    def _inverse(self, y: Tensor) -> Tensor:
        return log(y) - log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x) - softplus(x)


class TanhTransform(Transform):
    """tanh(x)."""

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class PowerTransform(Transform):
    """x^exponent, for positive x."""

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = as_tensor(exponent)

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return log((self.exponent * y / x).abs())


class SoftplusTransform(Transform):
    """log(1 + exp(x))."""

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return log(-expm1(-y)) + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -softplus(-x)


class ComposeTransform(Transform):
    """One transform after the other."""

    def __init__(self, parts: list[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = parts

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
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
