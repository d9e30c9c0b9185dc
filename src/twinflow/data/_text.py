"""Data sets of text files: tables of numbers, and lines."""

from __future__ import annotations

import csv
import mmap
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, DataError
from twinflow.data._datasets import Dataset, TensorDataset
from twinflow.ops import from_numpy


class CSV(TensorDataset):
    """A table of numbers: sample i is `(features of row i, target of row i)`, or `(features,)` without a target.

    Args:
        path: the file, UTF-8.
        target: the column to predict, by name or position; None for none.
        columns: the features, by name or position; all but the target by default.
        header: whether the first line names the columns.
        delimiter: what stands between values.
        dtype: of the features.
        target_dtype: of the target: `dtype`, or for example "int64" for classes.
        missing: "error", or "nan" to read empty fields as NaN.
    Raises: DataError with the line and column of what is not a number, of rows of different lengths, of empty fields.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        target: str | int | None = None,
        columns: Sequence[str | int] | None = None,
        *,
        header: bool = True,
        delimiter: str = ",",
        dtype: Any = "float32",
        target_dtype: Any = None,
        missing: str = "error",
    ) -> None:
        if missing not in ("error", "nan"):
            raise ArgumentError(f"CSV: missing is 'error' or 'nan', not {missing!r}")
        names, values = _read_table(os.fspath(path), header, delimiter, missing == "nan")
        self.path = os.fspath(path)

        def position(column: str | int) -> int:
            if isinstance(column, str):
                if column not in names:
                    raise DataError(f"CSV: {self.path} has no column {column!r}; there are {', '.join(names)}")
                return names.index(column)
            if not -len(names) <= column < len(names):
                raise DataError(f"CSV: {self.path} has {len(names)} columns, so there is no column {column}")
            return column % len(names)

        at = None if target is None else position(target)
        chosen = [position(c) for c in columns] if columns is not None else [k for k in range(len(names)) if k != at]
        self.columns = [names[k] for k in chosen]
        parts = [from_numpy(values[:, chosen].astype(as_dtype(dtype).np))]
        if at is not None:
            kind = as_dtype(dtype if target_dtype is None else target_dtype)
            whole = values[:, at]
            if not kind.is_floating_point and not (whole == np.round(whole)).all():
                raise DataError(
                    f"CSV: column {names[at]!r} of {self.path} holds values that are not whole, so it is no {kind.name} target"
                )
            parts.append(from_numpy(whole.astype(kind.np)))
        super().__init__(*parts)


def _read_table(path: str, header: bool, delimiter: str, empty_is_nan: bool) -> tuple[list[str], np.ndarray[Any, Any]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            names: list[str] = []
            rows: list[list[float]] = []
            for fields in lines:
                if not fields:
                    continue
                if not names:
                    names = [f.strip() for f in fields] if header else [str(k) for k in range(len(fields))]
                    if header:
                        continue
                if len(fields) != len(names):
                    raise DataError(f"CSV: line {lines.line_num} of {path} has {len(fields)} fields, not {len(names)}")
                rows.append([_number(f, path, lines.line_num, n, empty_is_nan) for f, n in zip(fields, names)])
    except FileNotFoundError:
        raise DataError(f"CSV: there is no file {path}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"CSV: {path} cannot be read: {error}") from None
    if not rows:
        raise DataError(f"CSV: {path} has no rows")
    return names, np.array(rows, np.float64)


def _number(field: str, path: str, line: int, column: str, empty_is_nan: bool) -> float:
    text = field.strip()
    if not text:
        if empty_is_nan:
            return float("nan")
        raise DataError(f"CSV: line {line} of {path}: column {column!r} is empty; missing='nan' reads it as NaN")
    try:
        return float(text)
    except ValueError:
        raise DataError(f"CSV: line {line} of {path}: {text[:40]!r} in column {column!r} is not a number") from None


class TextLines(Dataset):
    """The lines of a text file, without their ends. The file is not loaded: lines are read where they stand.

    Args:
        path: the file.
        transform: applied to each line, for example a tokenizer.
        encoding: how characters are written; UTF-8 by default.
    Raises: DataError if the file is missing or empty, or, when it is read, for a line that is not in the encoding.
    """

    def __init__(
        self, path: str | os.PathLike[str], transform: Callable[[str], Any] | None = None, *, encoding: str = "utf-8"
    ) -> None:
        self.path = os.fspath(path)
        self.transform = transform
        self.encoding = encoding
        self._starts = _line_starts(self.path)
        self._memory: tuple[int, Any] | None = None  # (process, mapping): a forked worker makes its own

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, index: Any) -> Any:
        n = len(self)
        i = int(index)
        if not -n <= i < n:
            raise DataError(f"TextLines: there is no line {i} among {n}")
        i %= n
        raw = self._bytes()[self._starts[i] : self._starts[i + 1]].rstrip(b"\r\n")
        try:
            line = raw.decode(self.encoding)
        except UnicodeDecodeError as error:
            raise DataError(f"TextLines: line {i + 1} of {self.path} is not {self.encoding}: {error}") from None
        return line if self.transform is None else self.transform(line)

    def _bytes(self) -> Any:
        if self._memory is None or self._memory[0] != os.getpid():
            with open(self.path, "rb") as file:
                self._memory = (os.getpid(), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return self._memory[1]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_memory": None}


def _line_starts(path: str) -> np.ndarray[Any, Any]:
    """Where each line begins, and where the last one ends."""
    try:
        nbytes = os.path.getsize(path)
        with open(path, "rb") as file:
            ends = []
            at = 0
            while piece := file.read(1 << 22):
                ends.append(np.flatnonzero(np.frombuffer(piece, np.uint8) == 10) + at + 1)
                at += len(piece)
    except OSError as error:
        raise DataError(f"TextLines: {path} cannot be read: {error.strerror}") from None
    if not nbytes:
        raise DataError(f"TextLines: {path} is empty")
    starts = np.concatenate([[0], *ends])
    return starts if starts[-1] == nbytes else np.append(starts, nbytes)
