"""What code inside a data set can know about the fetch it is part of: the worker, and a source of randomness."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np

from twinflow.ops import randint


class WorkerInfo(NamedTuple):
    """The worker that runs this code."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Fetch(threading.local):
    info: WorkerInfo | None = None
    random: np.random.Generator | None = None


FETCH = _Fetch()


def get_worker_info() -> WorkerInfo | None:
    """The worker process or thread that this code runs in; None in the main program."""
    return FETCH.info


def fetch_random() -> np.random.Generator:
    """The source of randomness for transforms.

    Inside a DataLoader it follows from the epoch's seed and the number of the batch alone, so that random transforms
    do not depend on how many workers there are. Elsewhere it is seeded from the default generator.
    """
    if FETCH.random is not None:
        return FETCH.random
    return np.random.Generator(np.random.Philox(int(randint(0, 2**62, (1,)).item())))


def begin_fetch(seed: int, batch: int) -> None:
    """Called by the loader before it fetches a batch."""
    FETCH.random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, batch]))


def end_fetch() -> None:
    """Called by the loader after it has fetched a batch."""
    FETCH.random = None
