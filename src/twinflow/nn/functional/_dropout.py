"""Dropout: random elements or channels become 0 in training. Srivastava et al., JMLR 15, 2014."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.nn.functional._arguments import finish, floating, probability
from twinflow.ops import Generator, rand, where
from twinflow.tensor import Tensor


def _kept(shape: tuple[int, ...], p: float, generator: Generator | None = None) -> Tensor:
    """True with probability 1 - p."""
    return rand(shape, dtype="float32", generator=generator) >= p


def _drop(
    op: str, input: Tensor, p: float, training: bool, inplace: bool, shape: Any, generator: Generator | None = None
) -> Tensor:
    probability(op, p)
    floating(op, input)
    if not training or p == 0.0:
        return input

    def fn(x: Tensor) -> Tensor:
        if p == 1.0:
            return x * 0.0
        return x * (_kept(shape, p, generator).to(dtype=x.dtype) * (1.0 / (1.0 - p)))

    return finish(input, inplace, op, fn)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Each element is 0 with probability p; the others are divided by 1 - p, so that the mean stays."""
    return _drop("dropout", input, p, training, inplace, tuple(input._data.shape))


def dropout_shared(
    input: Tensor, p: float, training: bool, shape: tuple[int, ...], generator: Generator | None = None
) -> Tensor:
    """Dropout with one draw for each element of `shape`, which broadcasts: elements along its axes of extent 1 share their fate."""
    return _drop("dropout", input, p, training, False, shape, generator)


def _channels(op: str, x: Tensor, spatial: int) -> tuple[int, ...]:
    """One draw for each channel of each example."""
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            f"{op}: input must have {spatial + 2} axes (or {spatial + 1}), but its shape is {tuple(x.shape)}"
        )
    lead = x.ndim - spatial
    return (*x.shape[:lead], *(1,) * spatial)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of [N, C, L] are 0 with probability p. Tompson et al., arXiv:1411.4280."""
    return _drop("dropout1d", input, p, training, inplace, _channels("dropout1d", input, 1))


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of [N, C, H, W] are 0 with probability p."""
    return _drop("dropout2d", input, p, training, inplace, _channels("dropout2d", input, 2))


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Whole channels of [N, C, D, H, W] are 0 with probability p."""
    return _drop("dropout3d", input, p, training, inplace, _channels("dropout3d", input, 3))


_SATURATED = -1.7580993408473766  # -α · scale of selu: where selu goes for large negative x


def alpha_dropout_shared(
    op: str, input: Tensor, p: float, training: bool, inplace: bool, shape: Any, generator: Generator | None = None
) -> Tensor:
    """Alpha dropout with one draw for each element of `shape`, which broadcasts."""
    probability(op, p)
    floating(op, input)
    if not training or p == 0.0:
        return input

    def fn(x: Tensor) -> Tensor:
        if p == 1.0:
            return x * 0.0
        a = 1.0 / math.sqrt((1.0 - p) * (1.0 + p * _SATURATED**2))
        kept = _kept(shape, p, generator).expand(tuple(x.shape))
        return where(kept, x * a, _SATURATED * a) - a * p * _SATURATED

    return finish(input, inplace, op, fn)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout to selu's saturation value, keeping mean and variance. Klambauer et al., arXiv:1706.02515."""
    return alpha_dropout_shared("alpha_dropout", input, p, training, inplace, tuple(input._data.shape))


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """alpha_dropout of whole channels."""
    if input.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: input must be [N, C, ...], but its shape is {tuple(input.shape)}")
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return alpha_dropout_shared("feature_alpha_dropout", input, p, training, inplace, shape)
