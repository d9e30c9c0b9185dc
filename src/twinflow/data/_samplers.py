"""Samplers: in which order positions are visited, and how they form batches.

An iterator draws its random numbers when it is made, not when it is first advanced, so that the loader knows which
generator state an epoch began with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, DataError
from twinflow.ops import Generator, default_generator, rand, randint, randperm


class Sampler:
    """Positions in some order: a subclass gives `__iter__`, and `__len__` if it knows its length.

    A sampler that draws from a generator says so in `generator`, which lets the loader resume an epoch.
    """

    generator: Generator | None = None

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Any) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """A new random order each time.

    Args:
        replacement: draw each position independently.
        num_samples: how many to draw; all by default.
        generator: the source of randomness; the default generator otherwise.
    Raises: DataError for an empty data set.
    """

    def __init__(
        self,
        data_source: Any,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator if generator is not None else default_generator
        if num_samples is not None and (not isinstance(num_samples, int) or num_samples <= 0):
            raise ArgumentError(
                f"RandomSampler: num_samples must be a positive whole number, but {num_samples!r} was given"
            )
        if len(data_source) == 0:
            raise DataError("RandomSampler: the data set is empty")

    @property
    def num_samples(self) -> int:
        """How many positions one pass gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, count = len(self.data_source), self.num_samples
        if self.replacement:
            return iter(randint(0, n, (count,), generator=self.generator).tolist())
        order: list[int] = []
        while len(order) < count:
            order += randperm(n, generator=self.generator).tolist()
        return iter(order[:count])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given positions in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator if generator is not None else default_generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self.indices), generator=self.generator).tolist()
        return iter([self.indices[i] for i in order])

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Positions drawn with probabilities proportional to weights.

    Without replacement the positions with the largest u^(1/w) are taken, u uniform: Efraimidis and Spirakis 2006,
    "Weighted random sampling with a reservoir".
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Generator | None = None
    ) -> None:
        self.weights = np.asarray(weights, np.float64)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator if generator is not None else default_generator
        if (
            self.weights.ndim != 1
            or not np.isfinite(self.weights).all()
            or (self.weights < 0).any()
            or not self.weights.sum()
        ):
            raise ArgumentError(
                "WeightedRandomSampler: weights are a sequence of finite numbers, not negative, with a positive sum"
            )
        if num_samples <= 0:
            raise ArgumentError(f"WeightedRandomSampler: num_samples must be positive, but {num_samples!r} was given")
        if not replacement and num_samples > np.count_nonzero(self.weights):
            raise ArgumentError(
                f"WeightedRandomSampler: {num_samples} draws without replacement from {np.count_nonzero(self.weights)} positions of positive weight"
            )

    def __iter__(self) -> Iterator[int]:
        if self.replacement:
            u = rand(self.num_samples, dtype="float64", generator=self.generator).numpy()
            edges = np.cumsum(self.weights)
            drawn = np.searchsorted(edges, u * edges[-1], side="right")
        else:
            u = rand(len(self.weights), dtype="float64", generator=self.generator).numpy()
            with np.errstate(divide="ignore"):
                drawn = np.argsort(-np.log(u) / self.weights)[: self.num_samples]
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of `batch_size` positions of another sampler; the last may be shorter, or dropped."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ArgumentError(
                f"BatchSampler: batch_size must be a positive whole number, but {batch_size!r} was given"
            )
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.generator = getattr(sampler, "generator", None)

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(iter(self.sampler))

    def _batches(self, positions: Iterator[int]) -> Iterator[list[int]]:
        batch = []
        for i in positions:
            batch.append(i)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        n = len(self.sampler)  # type: ignore[arg-type]  # as in PyTorch, a sampler may have no length
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
