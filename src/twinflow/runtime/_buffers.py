"""Aligned memory for kernels: arrays, and arenas that one compiled step carves its buffers from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from twinflow.core.errors import ArgumentError

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


def aligned_empty(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """A C-contiguous array with undefined content whose first element lies on a 64-byte boundary.

    >>> aligned_empty((3, 5)).ctypes.data % 64
    0
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    kind = np.dtype(dtype)
    nbytes = math.prod(shape) * kind.itemsize
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)  # NumPy asks Linux for huge pages when this is large
    # two slices: NumPy would start an empty one at the array's own start
    start = -address_of(raw) % ALIGNMENT
    return raw[start:][:nbytes].view(kind).reshape(shape)


def aligned_zeros(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """The same as `aligned_empty`, filled with zeros."""
    array = aligned_empty(shape, dtype)
    array[...] = np.zeros((), array.dtype)
    return array


def address_of(array: npt.NDArray[Any]) -> int:
    """Where the first element lies. Unlike `array.ctypes.data`, it is quick, and true of empty arrays."""
    return int(array.__array_interface__["data"][0])


def is_aligned(array: npt.NDArray[Any]) -> bool:
    """Whether the first element lies on a 64-byte boundary."""
    return address_of(array) % ALIGNMENT == 0


def round_up(nbytes: int) -> int:
    """The next multiple of the alignment: where the next buffer of an arena may start.

    >>> round_up(65)
    128
    """
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Arena:
    """One aligned block of memory whose parts are used by offset.

    Args:
        nbytes: its size.

    Attributes:
        address: of the first byte, a multiple of 64.

    >>> arena = Arena(256)
    >>> arena.view(64, (2, 3), np.float32).shape
    (2, 3)
    """

    __slots__ = ("_bytes", "address", "nbytes")

    def __init__(self, nbytes: int) -> None:
        if nbytes < 0:
            raise ArgumentError(f"Arena: nbytes is {nbytes}, but a size is at least 0")
        self._bytes = aligned_empty(nbytes, np.uint8)
        self.nbytes = nbytes
        self.address = address_of(self._bytes)

    def view(self, offset: int, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """The part that starts at byte `offset`, as an array that shares the memory and keeps it alive.

        Raises: ArgumentError if the part does not lie within the arena.
        """
        kind = np.dtype(dtype)
        nbytes = math.prod(shape) * kind.itemsize
        if offset < 0 or offset + nbytes > self.nbytes:
            raise ArgumentError(
                f"Arena.view: bytes {offset} to {offset + nbytes} are not within the arena's {self.nbytes}"
            )
        return self._bytes[offset:][:nbytes].view(kind).reshape(tuple(shape))
