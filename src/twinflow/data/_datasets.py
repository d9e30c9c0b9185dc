"""Data sets: things that give samples by position, or one after another."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, DataError, IndexOutOfRange
from twinflow.ops import Generator, randperm
from twinflow.tensor import Tensor


class Dataset:
    """Samples by position: a subclass gives `__getitem__(index)` and `__len__()`.

    A data set that can gather many samples at once may also give `get_batch(indices)`, which returns what collating
    the samples would; the loader prefers it.

    >>> import twinflow
    >>> class Squares(twinflow.data.Dataset):
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, i):
    ...         return i, i * i
    >>> Squares()[3]
    (3, 9)
    """

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index)")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset):
    """Samples one after another: a subclass gives `__iter__`.

    In worker processes each worker iterates its own copy: use `get_worker_info()` to give each a part.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")

    def __add__(self, other: Dataset) -> Any:
        return ChainDataset([self, other])


def _position(index: Any, length: int, name: str) -> int:
    i = int(index)
    if not -length <= i < length:
        raise IndexOutOfRange(f"{name}: there is no sample {i} among {length}")
    return i + length if i < 0 else i


class TensorDataset(Dataset):
    """Rows of tensors: sample i is `(t[i] for each tensor)`.

    Raises: DataError if the tensors have different numbers of rows, or are none.

    >>> import twinflow
    >>> data = twinflow.data.TensorDataset(twinflow.arange(4), twinflow.arange(4) * 10)
    >>> len(data), data[2]
    (4, (tensor(2), tensor(20)))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise DataError("TensorDataset: at least one tensor is needed")
        for t in tensors:
            if not isinstance(t, Tensor):
                raise DataError(
                    f"TensorDataset: rows of tensors are needed, not {type(t).__name__}; use twinflow.tensor(...)"
                )
            if not t.shape:
                raise DataError("TensorDataset: a 0-dimensional tensor has no rows")
        rows = [t.shape[0] for t in tensors]
        if len(set(rows)) > 1:
            raise DataError(f"TensorDataset: the tensors have different numbers of rows: {', '.join(map(str, rows))}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple([t[index] for t in self.tensors])

    def get_batch(self, indices: Sequence[int]) -> list[Tensor]:
        """The rows at `indices`, gathered at once."""
        rows = np.asarray(indices, np.int64)
        return [t[rows] for t in self.tensors]

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])


class StackDataset(Dataset):
    """Data sets side by side: samples are tuples, or dicts when they are given by keyword."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise DataError("StackDataset: give data sets either in order or by name")
        self.datasets: Any = args or kwargs
        lengths = [len(d) for d in (args or kwargs.values())]
        if len(set(lengths)) > 1:
            raise DataError(f"StackDataset: the data sets have different lengths: {', '.join(map(str, lengths))}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {k: d[index] for k, d in self.datasets.items()}
        return tuple([d[index] for d in self.datasets])

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset):
    """Data sets one after another, as one."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DataError("ConcatDataset: at least one data set is needed")
        for d in self.datasets:
            if isinstance(d, IterableDataset):
                raise DataError("ConcatDataset: an IterableDataset has no positions; use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(d) for d in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> Any:
        i = _position(index, len(self), "ConcatDataset")
        which = bisect.bisect_right(self.cumulative_sizes, i)
        return self.datasets[which][i - (self.cumulative_sizes[which - 1] if which else 0)]


class ChainDataset(IterableDataset):
    """Iterable data sets one after another."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(len(d) for d in self.datasets)


class Subset(Dataset):
    """The samples of a data set at the given positions."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        if hasattr(dataset, "get_batch"):
            self.get_batch = self._get_batch

    def _get_batch(self, indices: Sequence[int]) -> Any:
        return self.dataset.get_batch([self.indices[i] for i in indices])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[_position(index, len(self), "Subset")]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset]:
    """Parts of a data set chosen at random, without overlap.

    Args:
        lengths: numbers of samples that add up to all of them, or fractions that add up to 1 (what rounding leaves
            over goes to the first parts, one each).
        generator: fixes the choice.

    >>> import twinflow
    >>> data = twinflow.data.TensorDataset(twinflow.arange(10))
    >>> [len(part) for part in twinflow.data.random_split(data, [0.7, 0.3])]
    [7, 3]
    """
    n = len(dataset)
    if n == 0:
        raise DataError("random_split: the data set is empty")
    if any(x < 0 for x in lengths):
        raise ArgumentError(f"random_split: lengths must not be negative: {list(lengths)}")
    if abs(sum(lengths) - 1) < 1e-9 and any(not isinstance(x, int) for x in lengths):
        counts = [int(n * x + 1e-9) for x in lengths]
        for k in range(n - sum(counts)):
            counts[k % len(counts)] += 1
    else:
        counts = [int(x) for x in lengths]
    if sum(counts) != n:
        raise ArgumentError(
            f"random_split: lengths {list(lengths)} add up to {sum(lengths)}, but there are {n} samples"
        )
    order = randperm(n, generator=generator).tolist()
    ends = list(itertools.accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for count, end in zip(counts, ends)]
