"""Initial values of parameters: each function fills a tensor in place and returns it.

Sources: Glorot and Bengio, AISTATS 2010 (xavier); He et al., arXiv:1502.01852 (kaiming); Saxe et al., arXiv:1312.6120
(orthogonal); Martens, ICML 2010 (sparse).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.ops import Generator, erfinv, from_numpy, rand, randn, randperm
from twinflow.ops import eye as eye_matrix
from twinflow.tensor import Tensor, no_grad


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much the layer before this activation should amplify, so that variances stay the same."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else float(param)
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75, "sigmoid": 1.0, "linear": 1.0}
    gains |= {f"conv{t}{n}d": 1.0 for t in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity not in gains:
        raise ArgumentError(f"calculate_gain: {nonlinearity!r} is not one of {', '.join([*gains, 'leaky_relu'])}")
    return gains[nonlinearity]


def _fill(tensor: Tensor, value: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(value)


def _generator(generator: Generator | None) -> dict[str, Any]:
    return {} if generator is None else {"generator": generator}


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform numbers in [a, b)."""
    with no_grad():
        return tensor.uniform_(a, b, **_generator(generator))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal numbers."""
    with no_grad():
        return tensor.normal_(mean, std, **_generator(generator))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal numbers, limited to [a, b]: the inverse of the distribution function at uniform numbers."""
    if not a < b:
        raise ArgumentError(f"trunc_normal_: the interval [{a}, {b}] is empty")

    def cdf(x: float) -> float:
        return (1.0 + math.erf((x - mean) / std / math.sqrt(2.0))) / 2.0

    low, high = cdf(a), cdf(b)
    u = rand(tuple(tensor.shape), dtype="float64", **_generator(generator)) * (2 * (high - low)) + (2 * low - 1)
    return _fill(tensor, (erfinv(u) * (std * math.sqrt(2.0)) + mean).clamp(a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise ShapeError(f"eye_: a matrix is needed, not shape {tuple(tensor.shape)}")
    return _fill(tensor, eye_matrix(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Filters that pass their input channel through: 1 in the middle, 0 elsewhere."""
    if tensor.ndim not in (3, 4, 5):
        raise ShapeError(f"dirac_: the filters of a convolution are needed, not shape {tuple(tensor.shape)}")
    o, c, *kernel = tensor.shape
    if o % groups:
        raise ArgumentError(f"dirac_: groups {groups} do not divide the {o} output channels")
    value = np.zeros(tuple(tensor.shape), np.float64)
    per_group = o // groups
    for g in range(groups):
        for i in range(min(per_group, c)):
            value[(g * per_group + i, i, *(k // 2 for k in kernel))] = 1.0
    return _fill(tensor, from_numpy(value))


def _fans(tensor: Tensor) -> tuple[int, int]:
    """(inputs of each output, outputs of each input) of the filters of a linear or convolution layer."""
    if tensor.ndim < 2:
        raise ShapeError(
            f"initialisation: a tensor with at least 2 axes (outputs, inputs, ...) is needed, not shape {tuple(tensor.shape)}; "
            "use uniform_, normal_ or constant_ for vectors"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ±gain·√(6 / (fan_in + fan_out))."""
    bound = gain * math.sqrt(6.0 / max(sum(_fans(tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation gain·√(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(sum(_fans(tensor)), 1)), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(f"kaiming: mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in ±gain·√(3 / fan)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation gain / √fan."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """A matrix with orthogonal rows or columns (the axes after the first joined), scaled by gain."""
    if tensor.ndim < 2:
        raise ShapeError(f"orthogonal_: a tensor with at least 2 axes is needed, not shape {tuple(tensor.shape)}")
    rows = tensor.shape[0]
    cols = math.prod(tensor.shape[1:])
    a = randn(max(rows, cols), min(rows, cols), dtype="float64", **_generator(generator)).numpy()
    q, r = np.linalg.qr(a)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices (Mezzadri 2007)
    q = q if rows >= cols else q.T
    return _fill(tensor, from_numpy(np.ascontiguousarray(q) * gain).reshape(tuple(tensor.shape)))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal numbers, with the given fraction of each column zero."""
    if tensor.ndim != 2:
        raise ShapeError(f"sparse_: a matrix is needed, not shape {tuple(tensor.shape)}")
    rows, cols = tensor.shape
    value = randn(rows, cols, dtype="float64", **_generator(generator)).numpy() * std
    zeros = math.ceil(sparsity * rows)
    for j in range(cols):
        value[randperm(rows, **_generator(generator)).numpy()[:zeros], j] = 0.0
    return _fill(tensor, from_numpy(value))
