"""Data sets of files: lines of text, and tables."""

from __future__ import annotations

import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, DataError
from twinflow.tf.data._dataset import UNKNOWN_CARDINALITY, Dataset
from twinflow.tf.data._rows import Rows
from twinflow.tf.data._stages import Generated


def _names(filenames: Any, what: str) -> list[str]:
    if isinstance(filenames, Dataset):
        return [str(f) for f in filenames]
    names = [os.fspath(filenames)] if isinstance(filenames, (str, os.PathLike)) else [os.fspath(f) for f in filenames]
    for name in names:
        if not os.path.isfile(name):
            raise DataError(f"{what}: there is no file {name}")
    return names


def _opened(name: str, compression: str | None) -> IO[str]:
    if compression not in (None, "", "GZIP"):
        raise ArgumentError(f"compression_type is None or 'GZIP', not {compression!r}")
    if compression == "GZIP":
        return gzip.open(name, "rt", encoding="utf-8", newline="")
    return open(name, encoding="utf-8", newline="")


@contextmanager
def _readable(what: str, name: str) -> Iterator[None]:
    """Errors of decoding as errors of the file."""
    try:
        yield
    except (UnicodeDecodeError, EOFError, OSError, csv.Error, zlib.error) as error:
        raise DataError(f"{what}: {name} cannot be read as text: {error}") from None


class TextLineDataset(Dataset):
    """The lines of text files, UTF-8, without their ends, as strings.

    Args:
        filenames: a path, or several.
        compression_type: None, or "GZIP".
    Raises: DataError for a missing file, or text that is not UTF-8 (naming the file).
    """

    def __init__(self, filenames: Any, compression_type: str | None = None) -> None:
        names = _names(filenames, "TextLineDataset")

        def lines() -> Iterator[str]:
            for name in names:
                with _opened(name, compression_type) as file, _readable("TextLineDataset", name):
                    for line in file:
                        yield line.rstrip("\r\n")

        super().__init__(lambda: Generated(lines, lambda v, _: Rows.one(v)), UNKNOWN_CARDINALITY)


class CsvDataset(Dataset):
    """The rows of comma-separated files as tuples, one part for each column.

    Args:
        filenames: a path, or several.
        record_defaults: for each column its type (the field must be there), or the value of an empty field, whose type it has.
        header: whether each file begins with a line of names.
        field_delim: what stands between fields.
        select_cols: the positions of the columns that `record_defaults` describes; all by default.
        compression_type: None, or "GZIP".
    Raises: DataError naming file, line and column of a field that is missing or no number.
    """

    def __init__(
        self,
        filenames: Any,
        record_defaults: Sequence[Any],
        compression_type: str | None = None,
        header: bool = False,
        field_delim: str = ",",
        select_cols: Sequence[int] | None = None,
    ) -> None:
        names = _names(filenames, "CsvDataset")
        if select_cols is not None and len(select_cols) != len(record_defaults):
            raise ArgumentError(
                f"CsvDataset: {len(select_cols)} columns are selected, but there are {len(record_defaults)} record_defaults"
            )
        columns = [_Column(d) for d in record_defaults]

        def rows() -> Iterator[tuple[Any, ...]]:
            for name in names:
                with _opened(name, compression_type) as file, _readable("CsvDataset", name):
                    for number, fields in enumerate(csv.reader(file, delimiter=field_delim), 1):
                        if fields and not (header and number == 1):
                            yield self._values(columns, fields, select_cols, f"{name}, line {number}")

        super().__init__(lambda: Generated(rows, lambda v, _: Rows.one(v)), UNKNOWN_CARDINALITY)

    @staticmethod
    def _values(columns: list[_Column], fields: list[str], chosen: Sequence[int] | None, where: str) -> tuple[Any, ...]:
        if chosen is None and len(fields) != len(columns):
            raise DataError(
                f"CsvDataset: {where} has {len(fields)} fields, but {len(columns)} record_defaults were given"
            )
        places = range(len(columns)) if chosen is None else chosen
        if max(places) >= len(fields):
            raise DataError(f"CsvDataset: {where} has {len(fields)} fields, so there is no column {max(places)}")
        return tuple(c.read(fields[k], f"{where}, column {k}") for c, k in zip(columns, places))


class _Column:
    """How the fields of one column are read."""

    def __init__(self, default: Any) -> None:
        self.default: Any = None
        self.dtype: Any = None  # None: text
        if isinstance(default, (list, tuple)) and len(default) <= 1:
            default = default[0] if default else "float32"
            self.default = None if isinstance(default, str) else default
        elif isinstance(default, (bool, int, float)):
            self.default = default
        if self.default is not None:
            self.dtype = np.dtype(np.float32 if isinstance(default, float) else np.int32)
        elif default is not str and default != "string":
            self.dtype = as_dtype(default).np

    def read(self, field: str, where: str) -> Any:
        text = field.strip()
        if not text:
            if self.default is None and self.dtype is not None:
                raise DataError(f"CsvDataset: {where} is empty; a default in record_defaults would stand for it")
            return field if self.dtype is None else np.asarray(self.default, self.dtype)
        if self.dtype is None:
            return field
        try:
            return np.asarray(int(text) if self.dtype.kind in "iu" else float(text), self.dtype)
        except (ValueError, OverflowError):
            raise DataError(f"CsvDataset: {where}: {text!r} is not a number of type {self.dtype.name}") from None
