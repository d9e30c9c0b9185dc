"""Random numbers of other distributions than the uniform and the normal, composed of these."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core import DType, as_dtype, as_int
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.ops import _generator as G
from twinflow.ops import _math as M
from twinflow.ops import _reductions as R
from twinflow.ops._declare import call
from twinflow.ops._generator import Generator
from twinflow.ops._promote import convert, to_tensor_arg
from twinflow.ops._sorting import searchsorted, topk
from twinflow.tensor import SPECIAL, Tensor


def _wide(dtype: DType) -> DType:
    return as_dtype("float64" if dtype.name == "float64" else "float32")


def exponential01(shape: tuple[int, ...], dtype: DType, generator: Generator | None) -> Tensor:
    """Exponential numbers of rate 1: -log(1 - u), which is never infinite."""
    return -M.log1p(-G.uniform01(shape, dtype, generator))


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
) -> Tensor:
    """Uniform random integers from low (0) to high - 1 in the shape and type of `input`."""
    bounds = (0, low) if high is None else (low, high)
    return G.randint(*bounds, tuple(input.shape), generator=generator, dtype=dtype or input.dtype, device=device)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn in proportion to the weights of a vector, or of each row of a matrix.

    Without replacement the largest weight / exponential number are taken: Efraimidis and Spirakis, "Weighted random
    sampling with a reservoir", Inf. Proc. Lett. 97, 2006.

    Raises: ArgumentError for more samples than weights without replacement, or for weights that are negative or all 0.
    """
    p = to_tensor_arg(input, "multinomial")
    n = as_int(num_samples, "multinomial: num_samples")
    if p.ndim not in (1, 2):
        raise ShapeError(f"multinomial: a vector or a matrix of weights is needed, not shape {tuple(p.shape)}")
    if p._data.dtype.kind not in "fV":
        raise DTypeError(f"multinomial: weights are floating numbers, not {p.dtype.name}")
    k = p._data.shape[-1]
    if n < 1 or (not replacement and n > k):
        raise ArgumentError(f"multinomial: {n} samples of {k} weights cannot be drawn without replacement")
    p = convert(p.detach(), _wide(p.dtype))
    if not SPECIAL.count and p._data.size:
        total = p._data.sum(-1)
        if not (p._data >= 0).all() or not (total > 0).all() or not (total < math.inf).all():
            raise ArgumentError("multinomial: weights must be finite, not negative, and not all 0")
    if replacement:
        running = R.cumsum(p, -1)
        u = G.uniform01((*p._data.shape[:-1], n), p.dtype, generator) * running.narrow(-1, k - 1, 1)
        return searchsorted(running, u, right=True).clamp(max=k - 1)
    race = p / exponential01(tuple(p._data.shape), p.dtype, generator)
    return topk(race, n, -1).indices


_SMALL, _TERMS, _ROUNDS = 10.0, 48, 16


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson random numbers with the rates of `input`.

    Rates below 10: by adding up probabilities. Others: Hörmann, "The transformed rejection method for generating
    Poisson random variables", Insurance: Mathematics and Economics 12, 1993, with as many candidates for each element
    that the chance of rejecting them all is below 10⁻¹⁰.
    """
    rate = to_tensor_arg(input, "poisson")
    if rate._data.dtype.kind not in "fV":
        raise DTypeError(f"poisson: rates are floating numbers, not {rate.dtype.name}")
    if not SPECIAL.count and rate._data.size and not (rate._data >= 0).all():
        raise ArgumentError("poisson: rates must not be negative")
    f64 = as_dtype("float64")
    lam, shape = convert(rate.detach(), f64), tuple(rate._data.shape)
    small = M.minimum(lam, _SMALL)
    u = G.uniform01(shape, f64, generator)
    term = M.exp(-small)
    total, count = term, lam * 0.0
    for k in range(1, _TERMS):
        count = count + convert(u >= total, f64)
        term = term * small / float(k)
        total = total + term
    large = M.maximum(lam, _SMALL)
    log_rate = M.log(large)
    b = M.sqrt(large) * 2.53 + 0.931
    a = b * 0.02483 - 0.059
    inverse_alpha = 1.1328 / (b - 3.4) + 1.1239
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    result = M.floor(large)
    found = large < 0.0
    pair = G.uniform01((2, _ROUNDS, *shape), f64, generator)
    for k in range(_ROUNDS):
        u, v = pair[0, k] - 0.5, pair[1, k]
        us = 0.5 - M.abs(u)
        x = M.floor((a * 2.0 / us + b) * u + large + 0.43)
        sure = (us >= 0.07) & (v <= v_r)
        safe = M.maximum(x, 0.0)
        left = M.log(v * inverse_alpha / (a / (us * us) + b))
        fits = (x >= 0.0) & ((us >= 0.013) | (v <= us)) & (left <= safe * log_rate - large - M.lgamma(safe + 1.0))
        take = (sure & (x >= 0.0)) | fits
        result = M.where(take & ~found, x, result)
        found = found | take
    return convert(M.where(lam < _SMALL, count, result), rate.dtype)


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials succeed with probability `prob` each: the trials are made one by one.

    Raises: ArgumentError for more than a thousand trials; a normal approximation is the way out there.
    """
    n, p = to_tensor_arg(count, "binomial", "count"), to_tensor_arg(prob, "binomial", "prob")
    if not SPECIAL.count:
        most = int(n._data.max()) if n._data.size else 0
    else:
        most = 1000
    if most > 1000:
        raise ArgumentError(f"binomial: {most} trials are too many to make one by one; use normal(n p, √(n p (1 - p)))")
    shape = tuple((n + p)._data.shape)
    u = G.uniform01((most, *shape), as_dtype("float32"), generator)
    trial = call("iota", n=most, dtype=as_dtype("int64")).reshape(most, *(1,) * len(shape))
    hit = (u < convert(p, as_dtype("float32"))) & (trial < n)
    return R.sum(convert(hit, as_dtype("int64")), 0).to(dtype=n.dtype)


# -- in place ---------------------------------------------------------------------------------------------------


def _floating(op: str, x: Tensor) -> DType:
    if x._data.dtype.kind not in "fV":
        raise DTypeError(f"{op}: a floating tensor is needed, not {x.dtype.name}")
    return x.dtype


def _draw(self: Tensor, op: str, fn: Any, generator: Generator | None) -> Tensor:
    """Fill with fn(u) of uniform numbers in [0, 1)."""
    d = _floating(op, self)
    return self.copy_(fn(G.uniform01(tuple(self._data.shape), _wide(d), generator)))


def exponential_(self: Tensor, lambd: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponential random numbers of rate lambd."""
    if lambd <= 0:
        raise ArgumentError(f"exponential_: the rate must be positive, not {lambd}")
    return _draw(self, "exponential_", lambda u: M.log1p(-u) * (-1.0 / lambd), generator)


def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with the number of trials up to the first success, 1, 2, ..., of probability p each."""
    if not 0 < p < 1:
        raise ArgumentError(f"geometric_: the probability lies between 0 and 1, but {p} was given")
    shape = tuple(self._data.shape)
    u = G.uniform01(shape, as_dtype("float64"), generator)
    return self.copy_(convert(M.floor(M.log1p(-u) * (1 / math.log1p(-p))) + 1.0, self.dtype))


def cauchy_(self: Tensor, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Fill with Cauchy random numbers."""
    if sigma <= 0:
        raise ArgumentError(f"cauchy_: sigma must be positive, not {sigma}")
    return _draw(self, "cauchy_", lambda u: M.tan((u - 0.5) * math.pi) * float(sigma) + float(median), generator)


def log_normal_(self: Tensor, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Tensor:
    """Fill with e to the power of normal random numbers."""
    if std <= 0:
        raise ArgumentError(f"log_normal_: std must be positive, not {std}")
    z = G.normal01(tuple(self._data.shape), _wide(_floating("log_normal_", self)), generator)
    return self.copy_(M.exp(z * float(std) + float(mean)))


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill with 1 with probability p (a number, or a tensor of probabilities), else 0."""
    if not isinstance(p, Tensor) and not 0 <= p <= 1:
        raise ArgumentError(f"bernoulli_: the probability lies between 0 and 1, but {p} was given")
    u = G.uniform01(tuple(self._data.shape), as_dtype("float32"), generator)
    return self.copy_(convert(M.lt(u, p if not isinstance(p, Tensor) else convert(p, u.dtype)), self.dtype))


_EXACT = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}


def random_(self: Tensor, *bounds: int, generator: Generator | None = None) -> Tensor:
    """Fill with uniform random integers: from 0 to the largest exact one, to high - 1, or from low to high - 1."""
    d = self.dtype
    if len(bounds) > 2:
        raise ArgumentError(f"random_: call it as random_(), random_(high) or random_(low, high), not with {bounds}")
    if not bounds:
        bits = 1 if d.name == "bool" else _EXACT.get(d.name, min(8 * d.itemsize - d.is_signed, 62))
        bounds = (2**bits,)
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds
    return self.copy_(convert(G.randint(low, high, tuple(self._data.shape), generator=generator), d))
