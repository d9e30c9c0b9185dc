"""Aligned memory for kernels: arrays, and arenas that one compiled step carves its buffers from."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from twinflow.core.errors import ArgumentError

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


class _Memory(np.ndarray[Any, Any]):
    """Bytes that arrays are put into. NumPy lets a view of a view keep the innermost array of the same class alive; as this
    is a class of its own, a view keeps the array that was put here, which is thus in use as long as its memory is."""


def aligned_empty(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """A C-contiguous array with undefined content whose first element lies on a 64-byte boundary.

    >>> aligned_empty((3, 5)).ctypes.data % 64
    0
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    kind = np.dtype(dtype)
    nbytes = math.prod(shape) * kind.itemsize
    raw = _Memory(nbytes + ALIGNMENT, np.uint8)  # NumPy asks Linux for huge pages when this is large
    return np.ndarray(shape, kind, raw, -address_of(raw) % ALIGNMENT)


def available_memory() -> int | None:
    """Bytes that can be taken without pushing other programs out, as the system says; None where it does not say.

    Linux grants more than there is and ends the process when it is used, so a large request must be compared first.
    """
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for row in file:
                if row.startswith("MemAvailable:"):
                    return int(row.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def aligned_zeros(shape: int | Sequence[int], dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
    """The same as `aligned_empty`, filled with zeros."""
    array = aligned_empty(shape, dtype)
    array[...] = np.zeros((), array.dtype)
    return array


_ELEMENTS = object.__basicsize__  # an array of NumPy's is Python's header, then the address of its elements
_read = ctypes.c_size_t.from_address


def _address_by_protocol(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _elements_follow_header() -> bool:
    """Whether the address may be read where NumPy's C interface has always had it."""
    if sys.implementation.name != "cpython":
        return False
    whole = np.empty((3, 4))
    return all(_read(id(a) + _ELEMENTS).value == _address_by_protocol(a) for a in (whole, whole[1:], whole[:, 2]))


_QUICK = _elements_follow_header()


def address_of(array: npt.NDArray[Any]) -> int:
    """Where the first element lies. It is asked for each batch of each step: NumPy's own ways take ten times as long."""
    if _QUICK and isinstance(array, np.ndarray):
        return _read(id(array) + _ELEMENTS).value
    return _address_by_protocol(array)


_KEPT = [object()]
UNUSED = sys.getrefcount(_KEPT[0])
"""`getrefcount(kept[k])` of an object that nobody holds but the list `kept`: how memory is found to serve again."""


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
