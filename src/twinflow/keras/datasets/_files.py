"""Where the files of `keras.datasets` are found, and how those that hold Python objects are read without running any code."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from twinflow.core.errors import DataError
from twinflow.data._download import download as fetch

FOLDER = "~/.keras/datasets"
SERVER = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def find(data_set: str, path: Any, url: str, digest: str, download: bool) -> Path:
    """The file at `path`, which stands in Keras's folder unless it is absolute; fetched there if asked for.

    Raises: DataError if it is not there, or if what was fetched does not have the digest.
    """
    found = Path(os.path.expanduser(FOLDER)) / os.path.expanduser(os.fspath(path))
    if not found.exists():
        if not download:
            raise DataError(
                f"keras.datasets.{data_set}: there is no file {found}; pass download=True to fetch it from {url}, or give the path of a copy"
            )
        fetch(url, found, digest)
    return found


class _Reader(pickle.Unpickler):
    """Reads lists, numbers, texts and NumPy's arrays of them; anything else a file names is refused, so no code of a file runs."""

    _ALLOWED = frozenset(
        [("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
         ("_codecs", "encode")]
    )  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        """NumPy's makers of arrays."""
        if (module, name) not in self._ALLOWED:
            raise DataError(
                f"keras.datasets: the file names {module}.{name}, which is no array of numbers; it is not read"
            )
        return super().find_class(module, name)


def read_objects(data: bytes, encoding: str = "ASCII") -> Any:
    """The Python objects in a file. Raises: DataError for a damaged file, or one with anything but numbers and texts."""
    try:
        return _Reader(io.BytesIO(data), encoding=encoding).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ValueError) as error:
        raise DataError(f"keras.datasets: the file is damaged: {error}") from error


def read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an `.npz` file by name, also those of lists of different lengths."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                found[name.removesuffix(".npy")] = _read_npy(archive.read(name))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise DataError(f"keras.datasets: {path} is damaged: {error}") from error
    return found


def _read_npy(data: bytes) -> Any:
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    if header(file)[2].hasobject:
        return read_objects(data[file.tell() :])
    return np.load(io.BytesIO(data), allow_pickle=False)


def shuffled(rng: np.random.RandomState, *columns: Any) -> tuple[Any, ...]:
    """Columns in the order in which Keras shuffles them."""
    order = np.arange(len(columns[0]))
    rng.shuffle(order)
    return tuple(c[order] for c in columns)


def split(x: Any, y: Any, test_split: float) -> Any:
    """((x_train, y_train), (x_test, y_test)), the last part for tests."""
    at = int(len(x) * (1 - test_split))
    return (np.array(x[:at]), np.array(y[:at])), (np.array(x[at:]), np.array(y[at:]))
