"""Aligned arrays and arenas."""

import ml_dtypes
import numpy as np
import pytest

from twinflow.core.errors import ArgumentError
from twinflow.runtime import Arena, aligned_empty, aligned_zeros, is_aligned, round_up


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7, 5), 12, (1000, 1001)])
@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float32, np.complex128, ml_dtypes.bfloat16])
def test_arrays_are_aligned_and_contiguous(shape, dtype) -> None:
    a = aligned_empty(shape, dtype)
    assert is_aligned(a) and a.flags.c_contiguous and a.flags.writeable
    assert a.dtype == dtype and a.shape == ((shape,) if isinstance(shape, int) else shape)
    assert not aligned_zeros(shape, dtype).astype(np.complex128).any()


def test_an_arena_shares_its_memory_and_outlives_its_owner() -> None:
    arena = Arena(1024)
    assert arena.address % 64 == 0
    first, second = arena.view(0, (4, 4), np.float32), arena.view(round_up(60), (8,), np.int64)
    first[...] = 1.5
    second[...] = -1
    assert first.ctypes.data == arena.address and second.ctypes.data == arena.address + 64
    assert (arena.view(0, (16,), np.float32) == 1.5).all()
    del arena
    assert (second == -1).all()


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="bytes 1020 to 1028 are not within the arena's 1024"):
        Arena(1024).view(1020, (2,), np.float32)
    with pytest.raises(ArgumentError, match="bytes -4 to 0"):
        Arena(1024).view(-4, (1,), np.float32)
    with pytest.raises(ArgumentError, match="nbytes is -1"):
        Arena(-1)


def test_round_up() -> None:
    assert [round_up(n) for n in (0, 1, 64, 65, 128)] == [0, 64, 64, 128, 128]
