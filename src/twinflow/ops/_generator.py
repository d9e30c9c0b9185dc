"""Random tensors. A generator is a seed and an offset: the numbers follow from the two alone, wherever they are made.

Uniform numbers take the top 24 bits (53 for float64) of each draw; normal numbers come from pairs by Box and Muller, "A Note on the Generation of
Random Normal Deviates", Ann. Math. Stat. 29, 1958.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow.core import DimCount, DType, as_dtype, as_int, as_shape, get_default_dtype, is_symbolic, numel
from twinflow.core.errors import ArgumentError, DTypeError
from twinflow.ops._create import finish_new
from twinflow.ops._declare import call
from twinflow.ops._random import random_bits
from twinflow.ops._shape import cast, reshape
from twinflow.tensor import SPECIAL, Tensor, apply, is_tracing, mapped_randomness, no_grad, wrap

_DEFAULT_SEED = 0


class Generator:
    """A stream of random numbers: `seed` fixes it, and each draw moves its offset on.

    >>> import twinflow
    >>> g = twinflow.Generator().manual_seed(3)
    >>> h = twinflow.Generator().manual_seed(3)
    >>> bool((twinflow.rand(4, generator=g) == twinflow.rand(4, generator=h)).all())
    True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = device
        self._state = wrap(np.array([_DEFAULT_SEED, 0], np.int64))

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of this seed."""
        s = as_int(seed, "manual_seed: the seed")
        if not -(2**63) <= s < 2**64:
            raise ArgumentError(f"manual_seed: {s} does not fit into 64 bits")
        self._state._data[:] = (s if s < 2**63 else s - 2**64, 0)
        return self

    def seed(self) -> int:
        """Start the stream of a seed taken from the operating system; returns it."""
        s = int.from_bytes(os.urandom(7), "little")
        self.manual_seed(s)
        return s

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return int(self._state._data[0])

    @property
    def state(self) -> Tensor:
        """(seed, offset) itself, int64[2]: what draws read and write."""
        return self._state

    def get_state(self) -> Tensor:
        """A copy of (seed, offset), int64[2]."""
        return wrap(self._state._data.copy())

    def set_state(self, state: Tensor) -> Generator:
        """Go on where `get_state` was called."""
        data = np.asarray(state._data)
        if data.shape != (2,):
            raise ArgumentError(f"set_state: a generator's state has shape (2,), not {data.shape}")
        self._state._data[:] = data
        return self

    def reserve(self, count: int) -> Tensor:
        """A copy of (seed, offset), from which an operation draws `count` values by itself; the offset moves on past them."""
        with no_grad():
            start: Tensor = call("copy", self._state)
        self._advance(count)
        return start

    def bits(self, shape: tuple[int, ...]) -> Tensor:
        """Random uint32 values; the offset moves on by the blocks of four that were used."""
        levels = mapped_randomness("random numbers")
        if levels:
            out = self._draw((*(level.size for level in levels), *shape))
            for level in levels:
                out = level.enter_axis(out, 0)
            return out
        return self._draw(shape)

    def _draw(self, shape: tuple[int, ...]) -> Tensor:
        state = self._state
        out = apply(random_bits, state, shape=shape)
        self._advance(numel(shape))
        return out

    def _advance(self, count: int) -> None:
        """The offset moves on by the blocks of four that so many values are."""
        state, blocks = self._state, -(-int(count) // 4)
        if is_symbolic(count):
            blocks = DimCount(blocks)
        if is_tracing():
            with no_grad():
                state[1] += blocks
        else:
            state._data[1] += blocks


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Make all random numbers that follow repeatable."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: Tensor) -> None:
    """Set the state of the default generator."""
    default_generator.set_state(state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """Within this context random numbers are drawn as usual; behind it they go on as if it had not been there.

    Args:
        devices: other devices whose generators to keep; there are none.
        enabled: False leaves the generator alone.
    """
    if devices:
        raise ArgumentError(f"fork_rng: there are no other devices than the processor, but {devices!r} was given")
    state = default_generator.get_state() if enabled else None
    try:
        yield
    finally:
        if state is not None:
            default_generator.set_state(state)


def _float_type(op: str, dtype: Any) -> DType:
    d = as_dtype(dtype) if dtype is not None else get_default_dtype()
    if not d.is_floating_point:
        raise DTypeError(f"{op}: random numbers of this kind are floating, not {d.name}; use randint for integers")
    return d


def uniform01(shape: tuple[int, ...], dtype: DType, generator: Generator | None) -> Tensor:
    """Uniform numbers in [0, 1): whole multiples of 2^-24, or 2^-53 in float64."""
    g = generator if generator is not None else default_generator
    if dtype.name == "float64":
        n = numel(shape)
        bits = g.bits((2, n))
        high = apply(cast, call("shift_right", bits[0], 5), dtype=dtype)
        low = apply(cast, call("shift_right", bits[1], 6), dtype=dtype)
        u = (high * 2.0**26 + low) * 2.0**-53
        return apply(reshape, u, shape=shape)
    bits = g.bits(shape)
    u = apply(cast, call("shift_right", bits, 8), dtype=as_dtype("float32")) * 2.0**-24
    return u if dtype.name == "float32" else apply(cast, u, dtype=dtype)


def normal01(shape: tuple[int, ...], dtype: DType, generator: Generator | None) -> Tensor:
    """Standard normal numbers: √(-2 log u) cos(2πv) and sin."""
    wide = as_dtype("float64") if dtype.name == "float64" else as_dtype("float32")
    n = numel(shape)
    half = (n + 1) // 2
    u = uniform01((2, half), wide, generator)
    tiny = 2.0**-54 if wide.name == "float64" else 2.0**-25
    radius = call("sqrt", call("log", u[0] + tiny) * -2.0)  # u + tiny is never 0
    radius = call("where", call("eq", radius, radius), radius, 0.0)
    angle = u[1] * (2 * math.pi)
    z = call("concat", radius * call("cos", angle), radius * call("sin", angle), axis=0)[:n]
    z = apply(reshape, z, shape=shape)
    return z if dtype is wide else apply(cast, z, dtype=dtype)


def rand(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Uniform random numbers in [0, 1)."""
    return finish_new(uniform01(as_shape(size), _float_type("rand", dtype), generator), requires_grad, device)


def randn(
    *size: Any, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Random numbers of the standard normal distribution."""
    return finish_new(normal01(as_shape(size), _float_type("randn", dtype), generator), requires_grad, device)


def rand_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers in the shape and type of `input`."""
    kind = dtype or input.dtype
    return rand(tuple(input.shape), generator=generator, dtype=kind, device=device, requires_grad=requires_grad)


def randn_like(
    input: Tensor,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal random numbers in the shape and type of `input`."""
    kind = dtype or input.dtype
    return randn(tuple(input.shape), generator=generator, dtype=kind, device=device, requires_grad=requires_grad)


def randint(
    low: int,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random integers from low to high - 1."""
    if size is None:
        low, high, size = 0, low, high
    if high is None or size is None:
        raise ArgumentError("randint: call it as randint(high, size) or randint(low, high, size)")
    span = as_int(high, "randint: high") - as_int(low, "randint: low")
    if span <= 0:
        raise ArgumentError(f"randint: there is no integer from {low} to {high - 1}")
    shape = as_shape(size)
    g = generator if generator is not None else default_generator
    if span <= 2**24:
        # multiply-shift of 32 bits: the bias is below span / 2^32
        wide = apply(cast, g.bits(shape), dtype=as_dtype("uint64"))
        k = call("shift_right", call("mul", wide, span), 32)
    else:
        two = apply(cast, g.bits((2, numel(shape))), dtype=as_dtype("uint64"))
        joined = call("bitwise_or", call("shift_left", two[0], 32), two[1])
        k = apply(reshape, call("remainder", joined, span), shape=shape)
    t = apply(cast, k, dtype=as_dtype("int64")) + low
    return finish_new(apply(cast, t, dtype=as_dtype(dtype)) if dtype is not None else t, requires_grad, device)


def randperm(
    n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A random order of 0 to n - 1."""
    keys = (generator if generator is not None else default_generator).bits((2, as_int(n, "randperm: n")))
    wide = apply(cast, keys, dtype=as_dtype("uint64"))
    joined = call("bitwise_or", call("shift_left", wide[0], 31), wide[1])
    order = apply(cast, joined, dtype=as_dtype("int64")).argsort()
    return finish_new(apply(cast, order, dtype=as_dtype(dtype)) if dtype is not None else order, requires_grad, device)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None
) -> Tensor:
    """Normal random numbers with this mean and standard deviation: numbers with `size`, or tensors."""
    if size is None:
        if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
            raise ArgumentError(
                "normal: with numbers for mean and std, name the size, for example normal(0.0, 1.0, (3,))"
            )
        ref = mean + std * 0 if isinstance(mean, Tensor) else std * 0 + mean
        return normal01(tuple(ref._data.shape), ref.dtype, generator) * std + mean
    return randn(as_shape(size), generator=generator, dtype=dtype) * std + mean


def bernoulli(input: Tensor, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element gives, else 0."""
    u = uniform01(tuple(input._data.shape), as_dtype("float32"), generator)
    p = input if input.dtype.name == "float32" else apply(cast, input, dtype=as_dtype("float32"))
    if not SPECIAL.count and not ((p._data >= 0) & (p._data <= 1)).all():
        raise ArgumentError(
            "bernoulli: probabilities lie between 0 and 1, and the input has others; is a sigmoid missing?"
        )
    return apply(cast, call("lt", u, p), dtype=input.dtype)


def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with uniform random numbers in [a, b)."""
    d = _float_type("uniform_", self.dtype)
    return self.copy_(uniform01(tuple(self._data.shape), d, generator) * float(b - a) + float(a))


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with normal random numbers."""
    d = _float_type("normal_", self.dtype)
    return self.copy_(normal01(tuple(self._data.shape), d, generator) * float(std) + float(mean))
