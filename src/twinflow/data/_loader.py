"""The loader: batches of a data set, in an order that the seed alone decides."""

from __future__ import annotations

import collections
import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckpointError, DataError
from twinflow.data._collate import default_collate, default_convert
from twinflow.data._datasets import IterableDataset
from twinflow.data._fetch import Fetcher
from twinflow.data._samplers import BatchSampler, RandomSampler, SequentialSampler
from twinflow.ops import Generator, default_generator, randint
from twinflow.tensor import wrap


class DataLoader:
    """Iterate over a data set in batches, perhaps shuffled, perhaps with workers that fetch ahead.

    Args:
        dataset: something with `len()` and `[i]`, or an IterableDataset.
        batch_size: samples a batch; None gives single samples, or the batches that an iterable data set makes itself.
        shuffle: a new order in each epoch, drawn from `generator`.
        sampler, batch_sampler: another order, or whole batches of positions, instead of shuffle.
        num_workers: how many fetch ahead; 0 fetches in the main program when a batch is asked for.
        collate_fn: makes a batch of a list of samples; `default_collate` otherwise.
        drop_last: leave out a last batch that is not full.
        timeout: seconds after which a silent worker is an error.
        worker_init_fn: called with the worker's index when an epoch begins in it.
        multiprocessing_context: how processes start ("fork", "spawn", "forkserver", or a context).
        generator: the source of randomness; the default generator otherwise.
        prefetch_factor: batches asked for in advance, per worker; None for 2.
        persistent_workers: keep the workers from epoch to epoch.
        worker_type: "process", or "thread" where the work releases the interpreter lock.
    Raises: DataError for an empty data set; for a worker that fails, dies or is silent, with its index, what it was
        fetching and its traceback.

    The order, and what transforms of `twinflow.data.transforms` draw, depend on the seed and not on the workers.
    `state_dict()` holds the position within the epoch; a loader that loads it goes on with the next batch.

    >>> import twinflow
    >>> data = twinflow.data.TensorDataset(twinflow.arange(5))
    >>> [x.tolist() for (x,) in twinflow.data.DataLoader(data, batch_size=2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 120.0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        worker_type: str = "process",
    ) -> None:
        self._iterable = isinstance(dataset, IterableDataset)
        if not isinstance(num_workers, int) or num_workers < 0:
            raise ArgumentError(f"DataLoader: num_workers is a whole number from 0, not {num_workers!r}")
        if not timeout > 0:
            raise ArgumentError(f"DataLoader: timeout is a positive number of seconds, not {timeout!r}")
        prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        if prefetch_factor < 1:
            raise ArgumentError(f"DataLoader: prefetch_factor is at least 1, not {prefetch_factor!r}")
        if worker_type not in ("process", "thread"):
            raise ArgumentError(f"DataLoader: worker_type is 'process' or 'thread', not {worker_type!r}")
        if pin_memory:
            raise ArgumentError(
                "DataLoader: pin_memory speeds up copies to another device, and there is none; leave it out"
            )
        if persistent_workers and not num_workers:
            raise ArgumentError("DataLoader: persistent_workers needs num_workers > 0")
        if self._iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError(
                "DataLoader: an IterableDataset has an order of its own; leave out shuffle, sampler and batch_sampler"
            )
        if self._iterable and num_workers and worker_type == "thread":
            raise ArgumentError("DataLoader: threads cannot share an IterableDataset; use worker_type='process'")
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: sampler and shuffle exclude each other: the sampler decides the order")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ArgumentError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if not self._iterable and not hasattr(dataset, "__getitem__"):
            raise DataError(
                f"DataLoader: a data set needs __getitem__, which {type(dataset).__name__} lacks; or derive it from IterableDataset"
            )
        if not self._iterable and sampler is None and batch_sampler is None and len(dataset) == 0:
            raise DataError("DataLoader: the data set is empty")
        whole = not self._iterable and sampler is None and batch_sampler is None
        if whole and drop_last and isinstance(batch_size, int) and batch_size > len(dataset):
            raise DataError(
                f"DataLoader: with drop_last=True no batch is left: batch_size is {batch_size}, but there are {len(dataset)} samples"
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.drop_last = drop_last
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.generator = generator
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.worker_type = worker_type
        self._context = multiprocessing_context
        self.batch_size = None if batch_sampler is not None else batch_size
        self.batch_sampler: Any = batch_sampler
        self.sampler: Any = sampler
        if not self._iterable and batch_sampler is None:
            if sampler is None:
                self.sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
            if batch_size is not None:
                self.batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        elif self._iterable and batch_size is not None and batch_size <= 0:
            raise ArgumentError(f"DataLoader: batch_size must be a positive whole number, but {batch_size!r} was given")
        batched = self.batch_sampler is not None or (self._iterable and batch_size is not None)
        self._batched = batched
        self.collate_fn = collate_fn if collate_fn is not None else default_collate if batched else default_convert
        self._workers: Any = None
        self._start: dict[str, Any] | None = None  # what the running epoch began with
        self._position = 0  # batches given out in it
        self._resume: dict[str, Any] | None = None

    def __len__(self) -> int:
        if self._iterable:
            n = len(self.dataset)
            if self.batch_size is None:
                return n
            return n // self.batch_size if self.drop_last else -(-n // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    # -- position ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: plain numbers, to be saved beside model and optimizer.

        `position` counts the batches given out in the running epoch. Between epochs it is 0.
        """
        if self._resume is not None:
            return dict(self._resume)
        if self._start is None:
            return {"position": 0, "start": None, "generator": self._own_state()}
        return {"position": self._position, "start": dict(self._start), "generator": self._own_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken: the next iteration gives the rest of that epoch."""
        if not isinstance(state_dict, dict) or {"position", "start", "generator"} - state_dict.keys():
            raise CheckpointError("DataLoader.load_state_dict: the keys 'position', 'start' and 'generator' are needed")
        self._resume = dict(state_dict)

    def _own_state(self) -> list[int] | None:
        return None if self.generator is None else self.generator.get_state().tolist()

    def _order_generator(self) -> Any:
        found = getattr(self.batch_sampler if self.batch_sampler is not None else self.sampler, "generator", None)
        return found if isinstance(found, Generator) else None

    def _begin(self) -> tuple[Iterator[Any], int, int]:
        """The positions of the epoch's batches, its seed, and how many batches to skip."""
        resume, self._resume = self._resume, None
        order = self._order_generator()
        if resume is not None:
            if resume["generator"] is not None and self.generator is not None:
                self.generator.set_state(_state(resume["generator"]))
            start = resume["start"]
            if start is not None:
                kept = order.get_state() if order is not None else None
                if order is not None and start["order"] is not None:
                    order.set_state(_state(start["order"]))
                batches = self._positions()
                if order is not None:
                    order.set_state(kept)
                self._start, self._position = start, int(resume["position"])
                return batches, int(start["seed"]), self._position
        seed = int(randint(0, 2**62, (1,), generator=self.generator or default_generator).item())
        self._start = {"seed": seed, "order": order.get_state().tolist() if order is not None else None}
        self._position = 0
        return self._positions(), seed, 0

    def _positions(self) -> Iterator[Any]:
        if self._iterable:
            return itertools.repeat(self.batch_size)
        return iter(self.batch_sampler if self.batch_sampler is not None else self.sampler)

    # -- batches -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Any]:
        batches, seed, skip = self._begin()
        return self._fetch_ahead(batches, seed, skip) if self.num_workers else self._fetch(batches, seed, skip)

    def _fetch(self, batches: Iterator[Any], seed: int, skip: int) -> Iterator[Any]:
        iterator = iter(self.dataset) if self._iterable else None
        fetch = Fetcher(self.dataset, self.collate_fn, self._batched, iterator, self.drop_last)
        for number, positions in enumerate(batches):
            if number < skip and not self._iterable:
                continue
            try:
                batch = fetch(positions, seed, number)
            except StopIteration:
                break
            if number >= skip:
                self._position = number + 1
                yield batch
        self._finish()

    def _fetch_ahead(self, batches: Iterator[Any], seed: int, skip: int) -> Iterator[Any]:
        from twinflow.data._workers import (  # multiprocessing is slow to import
            End,
            ProcessWorkers,
            ThreadWorkers,
            WorkerSetup,
        )

        workers = self._workers
        if workers is None:
            setup = WorkerSetup(
                self.dataset,
                self.collate_fn,
                self._batched,
                self._iterable,
                self.drop_last,
                self.num_workers,
                self.worker_init_fn,
            )
            workers = (
                ThreadWorkers(setup, self.timeout)
                if self.worker_type == "thread"
                else ProcessWorkers(setup, self.timeout, self._context)
            )
            if self.persistent_workers:
                self._workers = workers
                weakref.finalize(self, workers.close)
        intact = False
        try:
            workers.begin_epoch(seed)
            numbered = enumerate(batches)
            if not self._iterable:
                numbered = ((n, p) for n, p in numbered if n >= skip)  # type: ignore[assignment]  # an iterator of the same pairs
            active = list(range(self.num_workers))
            turn = itertools.count()
            waiting: collections.deque[tuple[int, int]] = collections.deque()
            while True:
                while active and len(waiting) < self.prefetch_factor * self.num_workers:
                    item = next(numbered, None)
                    if item is None:
                        break
                    worker = active[next(turn) % len(active)]
                    workers.ask(worker, *item)
                    waiting.append((item[0], worker))
                if not waiting:
                    break
                number, worker = waiting.popleft()
                batch = workers.receive(number)
                if batch is End:
                    if worker in active:
                        active.remove(worker)
                    continue
                if number >= skip:
                    self._position += 1
                    yield batch
            intact = True
            self._finish()
        except GeneratorExit:
            intact = True  # the user stopped early; persistent workers begin anew with the next epoch
            raise
        finally:
            if not self.persistent_workers or not intact:
                self._workers = None
                workers.close()

    def _finish(self) -> None:
        self._start, self._position = None, 0


def _state(values: Any) -> Any:
    return wrap(np.asarray(values, np.int64))
