"""Random tensors: `tf.random`."""

from __future__ import annotations

from typing import Any

from twinflow import ops
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError
from twinflow.distributions import Gamma
from twinflow.keras._variable import to_tensor
from twinflow.keras.initializers import TruncatedNormal
from twinflow.tensor import Tensor
from twinflow.tf._functions import named
from twinflow.tf._shapes import known_int, shape_list


def _stream(seed: Any) -> ops.Generator | None:
    """The stream of a seed, or the common one."""
    if seed is None:
        return None
    if isinstance(seed, (tuple, list, Tensor)) and not (isinstance(seed, Tensor) and not seed.ndim):
        seed = _joined(seed)
    return ops.Generator().manual_seed(int(seed))


@named
def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32", seed: Any = None) -> Tensor:
    """Normal numbers."""
    z = ops.randn(shape_list(shape), dtype=as_dtype(dtype), generator=_stream(seed))
    return z * stddev + mean


@named
def uniform(shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32", seed: Any = None) -> Tensor:
    """Uniform numbers in [minval, maxval), whole ones for types of whole numbers."""
    kind = as_dtype(dtype)
    if kind.is_floating_point:
        top = 1.0 if maxval is None else maxval
        return ops.rand(shape_list(shape), dtype=kind, generator=_stream(seed)) * (top - minval) + minval
    if maxval is None:
        raise ArgumentError("tf.random.uniform: whole numbers need maxval")
    return ops.randint(known_int(minval), known_int(maxval), shape_list(shape), dtype=kind, generator=_stream(seed))


@named
def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32", seed: Any = None
) -> Tensor:
    """Normal numbers within two standard deviations of the mean."""
    return TruncatedNormal(mean, stddev, seed)(shape_list(shape), as_dtype(dtype))


@named
def shuffle(value: Any, seed: Any = None) -> Tensor:
    """The slices along the first axis in a random order."""
    t = to_tensor(value)
    return ops.index_select(t, 0, ops.randperm(int(t.shape[0]), generator=_stream(seed)))


@named
def categorical(logits: Any, num_samples: int, dtype: Any = "int64", seed: Any = None) -> Tensor:
    """So many draws for each row of logits, [N, num_samples]: where logits with Gumbel's noise are largest."""
    x = to_tensor(logits)
    n, c = (int(v) for v in x.shape)
    u = ops.rand((n, known_int(num_samples), c), generator=_stream(seed))
    noise = -ops.log(-ops.log(u + 2.0**-25))
    return ops.argmax(x.unsqueeze(1) + noise, -1).to(dtype=as_dtype(dtype))


@named
def poisson(shape: Any, lam: Any, dtype: Any = "float32", seed: Any = None) -> Tensor:
    """Numbers of Poisson's distribution with the mean `lam`, in the shape before that of `lam`."""
    rate = to_tensor(lam, "float32")
    return ops.poisson(ops.broadcast_to(rate, (*shape_list(shape), *rate.shape)), generator=_stream(seed)).to(
        dtype=as_dtype(dtype)
    )


@named
def stateless_normal(shape: Any, seed: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32") -> Tensor:
    """Normal numbers that the seed (two numbers) decides alone."""
    return normal(shape, mean, stddev, dtype, seed)


@named
def stateless_uniform(shape: Any, seed: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32") -> Tensor:
    """Uniform numbers that the seed (two numbers) decides alone."""
    return uniform(shape, minval, maxval, dtype, seed)


@named
def gamma(shape: Any, alpha: Any, beta: Any = 1.0, dtype: Any = "float32", seed: Any = None) -> Tensor:
    """Numbers of the gamma distribution, in the shape before that of alpha and beta. Seeded by `set_seed` alone."""
    if seed is not None:
        raise ArgumentError(
            "tf.random.gamma: it draws from the common stream, which tf.random.set_seed begins; leave seed out"
        )
    a, b = to_tensor(alpha, dtype), to_tensor(beta, dtype)
    drawn: Tensor = Gamma(a, b).sample(shape_list(shape))
    return drawn


@named
def stateless_truncated_normal(
    shape: Any, seed: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32"
) -> Tensor:
    """Normal numbers within two standard deviations that the seed (two numbers) decides alone."""
    return truncated_normal(shape, mean, stddev, dtype, _joined(seed))


@named
def stateless_categorical(logits: Any, num_samples: int, seed: Any, dtype: Any = "int64") -> Tensor:
    """`categorical` that the seed (two numbers) decides alone."""
    return categorical(logits, num_samples, dtype, seed)


@named
def stateless_poisson(shape: Any, seed: Any, lam: Any, dtype: Any = "int32") -> Tensor:
    """Numbers of Poisson's distribution that the seed (two numbers) decides alone, in the whole shape given."""
    rate = ops.broadcast_to(to_tensor(lam, "float32"), shape_list(shape))
    return ops.poisson(rate, generator=_stream(seed)).to(dtype=as_dtype(dtype))


@named
def stateless_binomial(shape: Any, seed: Any, counts: Any, probs: Any, output_dtype: Any = "int32") -> Tensor:
    """How many of `counts` trials succeed, decided by the seed (two numbers) alone, in the whole shape given."""
    n, p = (ops.broadcast_to(to_tensor(v, "float32"), shape_list(shape)) for v in (counts, probs))
    return ops.binomial(n, p, generator=_stream(seed)).to(dtype=as_dtype(output_dtype))


def split(seed: Any, num: int = 2, alg: str = "auto_select") -> Tensor:
    """[num, 2]: seeds for further streams, from a seed of two numbers."""
    return ops.randint(-(2**31), 2**31, (num, 2), dtype="int32", generator=_stream(seed))


def fold_in(seed: Any, data: Any, alg: str = "auto_select") -> Tensor:
    """Another seed of two numbers, from a seed and a number."""
    return ops.randint(-(2**31), 2**31, (2,), dtype="int32", generator=_stream((_joined(seed), known_int(data))))


def _joined(seed: Any) -> int:
    first, second = (int(v) for v in (seed.tolist() if hasattr(seed, "tolist") else seed))
    return (first << 31) ^ second


def set_seed(seed: int) -> None:
    """Begin the random numbers at a seed."""
    ops.manual_seed(seed)


class Generator:
    """A stream of random numbers of its own.

    >>> from twinflow import tf
    >>> tf.random.Generator.from_seed(1).normal([2]).shape
    twinflow.Size([2])
    """

    def __init__(self, stream: ops.Generator) -> None:
        self._generator = stream

    @classmethod
    def from_seed(cls, seed: int) -> Generator:
        """The stream of a seed."""
        return cls(ops.Generator().manual_seed(seed))

    @classmethod
    def from_non_deterministic_state(cls) -> Generator:
        """A stream that differs from run to run."""
        made = ops.Generator()
        made.seed()
        return cls(made)

    def truncated_normal(self, shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32") -> Tensor:
        """Normal numbers within two standard deviations."""
        return truncated_normal(shape, mean, stddev, dtype, self._draw())

    def split(self, count: int = 1) -> list[Generator]:
        """Further streams."""
        return [Generator.from_seed(self._draw()) for _ in range(count)]

    def make_seeds(self, count: int = 1) -> Tensor:
        """[2, count]: seeds for functions whose seed decides alone."""
        return ops.randint(-(2**31), 2**31, (2, count), dtype="int32", generator=self._generator)

    def reset_from_seed(self, seed: int) -> None:
        """Begin again at a seed."""
        self._generator.manual_seed(seed)

    def _draw(self) -> int:
        return int(ops.randint(0, 2**62, (1,), generator=self._generator).item())

    def normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32") -> Tensor:
        """Normal numbers."""
        return ops.randn(shape_list(shape), dtype=as_dtype(dtype), generator=self._generator) * stddev + mean

    def uniform(self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32") -> Tensor:
        """Uniform numbers in [minval, maxval)."""
        kind = as_dtype(dtype)
        if kind.is_floating_point:
            top = 1.0 if maxval is None else maxval
            return ops.rand(shape_list(shape), dtype=kind, generator=self._generator) * (top - minval) + minval
        return ops.randint(
            known_int(minval), known_int(maxval), shape_list(shape), dtype=kind, generator=self._generator
        )


_GLOBAL = [Generator(ops.default_generator)]


def get_global_generator() -> Generator:
    """The stream that serves programs that do not make one."""
    return _GLOBAL[0]


def set_global_generator(generator: Generator) -> None:
    """Put another stream in its place."""
    _GLOBAL[0] = generator
