"""Random tensors: `keras.random`."""

from __future__ import annotations

from typing import Any

from twinflow import ops as O
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError
from twinflow.keras import initializers
from twinflow.keras._variable import to_tensor
from twinflow.nn.functional._dropout import dropout_shared
from twinflow.ops import Generator
from twinflow.tensor import Tensor


class SeedGenerator:
    """A generator of its own; each draw from it gives other numbers."""

    def __init__(self, seed: int | None = None, name: str | None = None) -> None:
        self.seed, self.name = seed, name or "seed_generator"
        self.generator = Generator()
        if seed is not None:
            self.generator.manual_seed(seed)


def _generator(seed: Any) -> Generator | None:
    """The common generator for None; a seed gives the same numbers at each call."""
    if seed is None:
        return None
    return seed.generator if isinstance(seed, SeedGenerator) else Generator().manual_seed(int(seed))


def normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of a normal distribution."""
    return O.randn(tuple(shape), generator=_generator(seed), dtype=dtype) * stddev + mean


def uniform(shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers evenly from [minval, maxval); whole ones for a type of whole numbers."""
    if dtype is not None and not as_dtype(dtype).is_floating_point:
        return randint(shape, int(minval), int(maxval), dtype, seed)
    return O.rand(tuple(shape), generator=_generator(seed), dtype=dtype) * (maxval - minval) + minval


def randint(shape: Any, minval: int, maxval: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Whole numbers from [minval, maxval)."""
    return O.randint(minval, maxval, tuple(shape), generator=_generator(seed)).to(dtype=as_dtype(dtype))


def truncated_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of a normal distribution that lie within two deviations."""
    t = O.zeros(tuple(shape), dtype=dtype)
    initializers.TruncatedNormal(mean, stddev)._fill(t, _generator(seed))
    return t


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Tensor:
    """Classes drawn by the softmax of each row of logits [N, classes]: [N, num_samples]."""
    p = to_tensor(logits).softmax(-1)
    return O.multinomial(p, num_samples, True, generator=_generator(seed)).to(dtype=as_dtype(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """Each element is 0 with probability `rate`, and the others are divided by 1 - rate."""
    x = to_tensor(inputs)
    shape = (
        tuple(x.shape) if noise_shape is None else tuple(n if m is None else m for m, n in zip(noise_shape, x.shape))
    )
    return dropout_shared(x, rate, True, shape, _generator(seed))


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Tensor:
    """The slices along an axis in a random order."""
    t = to_tensor(x)
    return O.index_select(t, axis, O.randperm(t.shape[axis], generator=_generator(seed)))


def gamma(shape: Any, alpha: float, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of a gamma distribution of scale 1. Source: Marsaglia and Tsang 2000, with 8 attempts for each number,
    of which at least 19 in 20 succeed."""
    if alpha <= 0:
        raise ArgumentError(f"random.gamma: alpha must be positive, but {alpha!r} was given")
    generator, size = _generator(seed), tuple(shape)
    boosted = alpha if alpha >= 1 else alpha + 1
    d = boosted - 1 / 3
    c = 1 / (9 * d) ** 0.5
    found, done = O.zeros(size), O.zeros(size)
    for _ in range(8):
        x = O.randn(size, generator=generator)
        v = (1 + c * x) ** 3
        u = O.rand(size, generator=generator).clamp(min=1e-12)
        good = (v > 0) & (u.log() < 0.5 * x * x + d - d * v + d * v.clamp(min=1e-12).log())
        found = O.where((done == 0) & good, d * v, found)
        done = O.where(good, 1.0, done)
    if alpha < 1:
        found = found * O.rand(size, generator=generator).clamp(min=1e-12) ** (1 / alpha)
    return found if dtype is None else found.to(dtype=as_dtype(dtype))


def beta(shape: Any, alpha: float, beta: float, dtype: Any = None, seed: Any = None) -> Tensor:
    """Numbers of a beta distribution."""
    own = seed if isinstance(seed, SeedGenerator) or seed is None else SeedGenerator(seed)
    a, b = gamma(shape, alpha, dtype, own), gamma(shape, beta, dtype, own)
    return a / (a + b)


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Tensor:
    """How many of `counts` trials succeed."""
    n, p = (to_tensor(v).float().expand(tuple(shape)) for v in (counts, probabilities))
    y = O.binomial(n, p, generator=_generator(seed))
    return y if dtype is None else y.to(dtype=as_dtype(dtype))
