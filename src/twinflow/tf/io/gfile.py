"""The file system by TensorFlow's names: `tf.io.gfile`."""

from __future__ import annotations

import glob as _glob
import os
import shutil
from collections.abc import Iterator
from typing import Any

from twinflow.core.errors import DataError

exists = os.path.exists
isdir = os.path.isdir
join = os.path.join
listdir = os.listdir
mkdir = os.mkdir
remove = os.remove
rmtree = shutil.rmtree
stat = os.stat


class GFile:
    """A file that is opened when it is first used.

    >>> import tempfile
    >>> from twinflow import tf
    >>> path = tempfile.mkdtemp() + "/note.txt"
    >>> with tf.io.gfile.GFile(path, "w") as file:
    ...     _ = file.write("hello")
    >>> with tf.io.gfile.GFile(path) as file:
    ...     file.read()
    'hello'
    """

    def __init__(self, name: Any, mode: str = "r") -> None:
        self.name, self.mode = os.fspath(name), mode
        self._file: Any = None

    def _open(self) -> Any:
        if self._file is None:
            text = None if "b" in self.mode else "utf-8"
            self._file = open(self.name, self.mode, encoding=text)
        return self._file

    def read(self, n: int = -1) -> Any:
        """The next n characters or bytes, all that follow for -1."""
        return self._open().read(n)

    def readline(self) -> Any:
        """The next line."""
        return self._open().readline()

    def readlines(self) -> list[Any]:
        """The lines that follow."""
        return self._open().readlines()

    def write(self, file_content: Any) -> Any:
        """Write text or bytes."""
        return self._open().write(file_content)

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._open().flush()

    def size(self) -> int:
        """The number of bytes."""
        return os.path.getsize(self.name)

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> GFile:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._open())


def glob(pattern: Any) -> list[str]:
    """The paths that match a pattern or several."""
    patterns = [pattern] if isinstance(pattern, (str, os.PathLike)) else pattern
    return sorted(path for p in patterns for path in _glob.glob(os.fspath(p)))


def makedirs(path: Any) -> None:
    """Make a folder and those around it; it may be there."""
    os.makedirs(path, exist_ok=True)


def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Copy a file. Raises: DataError if the target is there, unless `overwrite`."""
    if not overwrite and os.path.exists(dst):
        raise DataError(f"tf.io.gfile.copy: {os.fspath(dst)} is there already; pass overwrite=True to replace it")
    shutil.copyfile(src, dst)


def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
    """Move a file. Raises: DataError if the target is there, unless `overwrite`."""
    if not overwrite and os.path.exists(dst):
        raise DataError(f"tf.io.gfile.rename: {os.fspath(dst)} is there already; pass overwrite=True to replace it")
    os.replace(src, dst)


def walk(top: Any, topdown: bool = True) -> Iterator[tuple[str, list[str], list[str]]]:
    """(folder, its folders, its files) for a folder and those inside it."""
    return os.walk(top, topdown)
