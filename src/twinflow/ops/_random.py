"""Random bits: Philox4x32-10 counters, the same in eager, traced and compiled programs.

Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype, numel
from twinflow.core.errors import GradientError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._declare import want

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox_bits(seed: int, offset: int, n: int) -> np.ndarray[Any, Any]:
    """n random uint32 values: counter `offset + i` with key `seed` gives values 4i to 4i + 3."""
    blocks = -(-n // 4)
    counter = np.arange(blocks, dtype=np.uint64) + np.uint64(offset % 2**64)
    c0, c1 = counter & _LOW, counter >> _SHIFT
    c2 = np.zeros_like(c0)
    c3 = np.zeros_like(c0)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], 1).astype(np.uint32).reshape(-1)[:n]


def _out(state: Aval, *, shape: tuple[int, ...]) -> Aval:
    want(
        state.shape == (2,) and state.dtype.name == "int64",
        "the state is int64[2]: (seed, offset)",
        "random_bits",
        state=state,
    )
    return Aval(tuple(shape), as_dtype("uint32"))


def _ref(state: Any, *, shape: tuple[int, ...]) -> Any:
    return philox_bits(int(state[0]) % 2**64, int(state[1]) % 2**64, numel(shape)).reshape(shape)


def _batch(args: Any, axes: Any, *, shape: tuple[int, ...]) -> Any:
    raise GradientError(
        "vmap: a generator's state cannot be mapped over; draw the random numbers outside and map over them"
    )


random_bits: Primitive = Primitive(
    "random_bits",
    out=_out,
    ref=_ref,
    vjp=None,
    why="random bits do not depend on anything continuous",
    batch=_batch,
    lower=Named("random_bits"),
    samples=lambda rng: [
        Sample((np.array([7, 3]),), {"shape": (2, 5)}),
        Sample((np.array([-1, 2**40]),), {"shape": (0,)}),
    ],
    bad=lambda rng: [Sample((np.array([1.0, 2.0]),), {"shape": (2,)})],
    doc="Philox4x32-10 random bits, uint32, from a state (seed, offset): block offset + i gives elements 4i to 4i + 3.",
)
