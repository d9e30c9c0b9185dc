"""IDX files, the format of MNIST: two zero bytes, a type, the number of axes, their extents, the elements (big-endian)."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from twinflow.core.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_NBYTES = 1 << 36  # what a header may claim without being refused at once: 64 GiB


def read_idx(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array in an IDX file, gzipped or not, in the machine's byte order.

    Raises: DataError, naming the file, if it is missing, not IDX, damaged, or holds fewer or more bytes than its header
        says. No more memory is used than the file's contents need.
    Source: Y. LeCun, "The MNIST database of handwritten digits", file format at the end of the page.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw) as file:
                    return _read(file, name)
            return _read(raw, name)
    except FileNotFoundError:
        raise DataError(f"IDX: there is no file {name}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"IDX: {name} cannot be read: {error}") from None


def _read(file: IO[bytes] | gzip.GzipFile, name: str) -> np.ndarray[Any, Any]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise DataError(f"IDX: {name} is no IDX file: it begins with {head!r}, not with two zero bytes and a type")
    dtype, ndim = np.dtype(_TYPES[head[2]]), head[3]
    extents = file.read(4 * ndim)
    if len(extents) < 4 * ndim:
        raise DataError(f"IDX: {name} ends within its header")
    shape = tuple(int(n) for n in np.frombuffer(extents, ">u4"))
    nbytes = dtype.itemsize
    for n in shape:
        nbytes *= n
    if nbytes > _MAX_NBYTES:
        raise DataError(
            f"IDX: {name} claims to hold an array of shape {shape}, {nbytes:,} bytes: its header is damaged"
        )
    data = bytearray()
    while len(data) <= nbytes:  # in pieces: a header that lies must not make us reserve what it claims
        piece = file.read(min(nbytes + 1 - len(data), 1 << 20))
        if not piece:
            break
        data += piece
    if len(data) != nbytes:
        found = f"only {len(data):,}" if len(data) < nbytes else "more"
        raise DataError(
            f"IDX: {name} claims to hold an array of shape {shape}, {nbytes:,} bytes, but there are {found}"
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def find_idx(folders: list[Path], name: str) -> Path | None:
    """The file of this name, plain or gzipped, in the first folder that has it. Some archives spell `-idx` as `.idx`."""
    for folder in folders:
        for spelled in (name, name.replace("-idx", ".idx")):
            for path in (folder / spelled, folder / f"{spelled}.gz"):
                if path.is_file():
                    return path
    return None
