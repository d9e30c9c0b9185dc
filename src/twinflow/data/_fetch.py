"""Fetching one batch: the same code in the main program, in threads and in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twinflow.data._collate import default_collate
from twinflow.data._worker_info import begin_fetch, end_fetch


class Fetcher:
    """Turns the positions of a batch into the batch."""

    def __init__(
        self,
        dataset: Any,
        collate: Callable[[Any], Any],
        batched: bool,
        iterator: Iterator[Any] | None,
        drop_last: bool,
    ) -> None:
        self.dataset = dataset
        self.collate = collate
        self.batched = batched
        self.iterator = iterator  # of an iterable data set: positions then only count samples
        self.drop_last = drop_last
        self.gathers = batched and collate is default_collate and hasattr(dataset, "get_batch")

    def __call__(self, positions: Any, seed: int, batch: int) -> Any:
        """The batch. Raises: StopIteration at the end of an iterable data set."""
        begin_fetch(seed, batch)
        where = positions
        try:
            if self.iterator is not None:
                return self._next(self.iterator, positions)
            if not self.batched:
                return self.collate(self.dataset[positions])
            if self.gathers:
                return self.dataset.get_batch(positions)
            samples = []
            for where in positions:
                samples.append(self.dataset[where])
            where = positions
            return self.collate(samples)
        except Exception as error:
            if not isinstance(error, StopIteration):
                error.add_note(f"while DataLoader fetched batch {batch}, sample {where}")
            raise
        finally:
            end_fetch()

    def _next(self, iterator: Iterator[Any], count: Any) -> Any:
        if not self.batched:
            return self.collate(next(iterator))
        samples = []
        for sample in iterator:
            samples.append(sample)
            if len(samples) == count:
                break
        if not samples or (self.drop_last and len(samples) < count):
            raise StopIteration
        return self.collate(samples)
