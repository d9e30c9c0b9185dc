"""Batches, their order, workers and what goes wrong with them, and going on in the middle of an epoch."""

import json
import os
import signal
import time

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, CheckpointError, DataError
from twinflow.data import DataLoader, Dataset, IterableDataset, TensorDataset, fetch_random, get_worker_info

WORKERS = [
    {},
    {"num_workers": 1},
    {"num_workers": 2, "prefetch_factor": 3},
    {"num_workers": 2, "persistent_workers": True},
    {"num_workers": 2, "worker_type": "thread"},
]


class Rows(Dataset):
    """Arrays large enough for shared memory, with a random number each."""

    def __init__(self, n=23):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return {"x": np.full((64, 32), i, np.float32), "i": i, "r": fetch_random().random()}


class Numbers(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        first, stride = (info.id, info.num_workers) if info else (0, 1)
        return iter(range(first, self.n, stride))


class Faulty(Dataset):
    """Sample 5 does what it is told to."""

    def __init__(self, fault):
        self.fault = fault

    def __len__(self):
        return 12

    def __getitem__(self, i):
        if i == 5:
            self.fault()
        return i


def fail():
    raise KeyError("no such picture")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    os._exit(7)


def stall():
    time.sleep(60)


def seen(loader):
    return [(b["i"].tolist(), b["x"][:, 0, 0].tolist(), b["r"].tolist()) for b in loader]


@pytest.mark.parametrize("options", WORKERS[1:], ids=str)
def test_order_and_randomness_do_not_depend_on_the_workers(options):
    def two_epochs(**options):
        loader = DataLoader(Rows(), 4, shuffle=True, generator=tf.Generator().manual_seed(3), **options)
        return [seen(loader), seen(loader)]

    expected = two_epochs()
    assert expected[0] != expected[1]
    assert sorted(i for ids, _, _ in expected[0] for i in ids) == list(range(23))
    assert two_epochs(**options) == expected


@pytest.mark.parametrize("options", WORKERS, ids=str)
def test_going_on_in_the_middle_of_an_epoch(options):
    def loader():
        return DataLoader(Rows(), 4, shuffle=True, generator=tf.Generator().manual_seed(9), **options)

    whole = loader()
    expected = seen(whole) + seen(whole)
    first = loader()
    parts = iter(first)
    begun = [next(parts) for _ in range(2)]
    state = json.loads(json.dumps(first.state_dict()))
    assert state["position"] == 2
    parts.close()
    second = loader()
    second.load_state_dict(state)
    rest = seen(second) + seen(second)
    assert seen(begun) + rest == expected


def test_a_state_between_epochs():
    loader = DataLoader(Rows(), 4, shuffle=True, generator=tf.Generator().manual_seed(9))
    seen(loader)
    state = loader.state_dict()
    other = DataLoader(Rows(), 4, shuffle=True, generator=tf.Generator())
    other.load_state_dict(state)
    assert seen(other) == seen(loader)


def test_state_of_something_else_is_refused():
    with pytest.raises(CheckpointError, match="'position', 'start' and 'generator'"):
        DataLoader(Rows()).load_state_dict({"epoch": 1})


@pytest.mark.parametrize("options", WORKERS[:4], ids=str)
def test_iterable_data_sets(options):
    batches = [b.tolist() for b in DataLoader(Numbers(11), batch_size=2, **options)]
    assert sorted(x for b in batches for x in b) == list(range(11))
    assert all(len(b) == 2 for b in DataLoader(Numbers(11), batch_size=2, drop_last=True, **options))


def test_last_batch_and_lengths():
    data = TensorDataset(tf.arange(10))
    assert [b[0].tolist() for b in DataLoader(data, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [b[0].tolist() for b in DataLoader(data, 4, drop_last=True)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(DataLoader(data, 4)) == 3
    assert len(DataLoader(data, 4, drop_last=True)) == 2
    assert [x.item() for (x,) in DataLoader(data, None)] == list(range(10))
    assert [b[0].tolist() for b in DataLoader(data, batch_sampler=[[3, 1], [2]])] == [[3, 1], [2]]
    assert [b[0].tolist() for b in DataLoader(data, 2, sampler=[5, 6, 7])] == [[5, 6], [7]]


def test_stopping_early_leaves_no_process_behind():
    loader = DataLoader(Rows(), 2, num_workers=2, persistent_workers=True)
    for _ in loader:
        break
    assert len(seen(loader)) == 12
    pids = [p.pid for p in loader._workers._processes]
    del loader
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            fail,
            r"(?s)worker [01] failed while DataLoader fetched batch 2, sample 5: KeyError: 'no such picture'.*in fail",
        ),
        (
            die,
            r"worker 0 \(pid \d+\) was killed by SIGKILL, perhaps for want of memory while fetching batch 2 \(samples \[4, 5\]\)",
        ),
        (leave, r"worker 0 \(pid \d+\) ended with code 7 while fetching batch 2"),
        (stall, r"(?s)worker 0 \(pid \d+\) has sent nothing for 0.5 s while fetching batch 2.*in stall"),
    ],
)
def test_a_worker_that_fails_dies_or_stalls_is_reported(fault, said):
    started = time.monotonic()
    with pytest.raises(DataError, match=said):
        for _ in DataLoader(Faulty(fault), 2, num_workers=2, timeout=0.5):
            pass
    assert time.monotonic() - started < 20


def test_a_thread_that_stalls_is_reported():
    with pytest.raises(DataError, match=r"(?s)no worker thread has finished batch 2 within 0.2 s.*in nap"):
        list(DataLoader(Faulty(nap), 2, num_workers=1, worker_type="thread", timeout=0.2))


def nap():
    time.sleep(1.0)


def test_an_error_in_the_main_program_names_the_sample():
    with pytest.raises(KeyError) as caught:
        list(DataLoader(Faulty(fail), 2))
    assert caught.value.__notes__ == ["while DataLoader fetched batch 2, sample 5"]


def test_worker_info_and_init():
    class Who(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return get_worker_info().id, get_worker_info().num_workers, int(os.environ["TWINFLOW_TEST_WORKER"])

    def init(k):
        os.environ["TWINFLOW_TEST_WORKER"] = str(k + 10)

    rows = [[c.item() for c in b] for b in DataLoader(Who(), 1, num_workers=2, worker_init_fn=init)]
    assert rows == [[0, 2, 10], [1, 2, 11], [0, 2, 10], [1, 2, 11]]
    assert get_worker_info() is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, "batch_size must be a positive whole number, but 0"),
        ({"num_workers": -1}, "num_workers is a whole number from 0"),
        ({"timeout": 0}, "timeout is a positive number"),
        ({"prefetch_factor": 0}, "prefetch_factor is at least 1"),
        ({"worker_type": "fibre"}, "'process' or 'thread'"),
        ({"pin_memory": True}, "leave it out"),
        ({"persistent_workers": True}, "needs num_workers > 0"),
        ({"shuffle": True, "sampler": [1]}, "exclude each other"),
        ({"batch_sampler": [[1]], "shuffle": True}, "batch_sampler excludes"),
    ],
)
def test_wrong_arguments(options, said):
    with pytest.raises(ArgumentError, match=said):
        DataLoader(Rows(), **options)


def test_wrong_data_sets():
    with pytest.raises(DataError, match="the data set is empty"):
        DataLoader(Rows(0), 2)
    with pytest.raises(DataError, match="needs __getitem__, which int lacks"):
        DataLoader(3)
    with pytest.raises(ArgumentError, match="an order of its own"):
        DataLoader(Numbers(3), shuffle=True)
    with pytest.raises(ArgumentError, match="threads cannot share"):
        DataLoader(Numbers(3), num_workers=1, worker_type="thread")


def test_dropping_the_only_batch_is_refused():
    samples = TensorDataset(tf.arange(5))
    with pytest.raises(DataError, match="no batch is left: batch_size is 8, but there are 5 samples"):
        DataLoader(samples, 8, drop_last=True)
    assert len(list(DataLoader(samples, 5, drop_last=True))) == 1
