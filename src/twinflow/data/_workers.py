"""Worker processes that fetch batches, and how their results come back.

Each worker has a pipe of its own, so that one that is killed while writing cannot damage what others send. Large arrays
travel in shared memory: the worker puts them into an anonymous file in memory and sends its descriptor; nothing is left
behind whoever dies first. A worker that dies, fails or stays silent for too long is reported with what it was doing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import mmap
import multiprocessing
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import connection, reduction
from typing import Any, NamedTuple

import numpy as np

from twinflow.core.errors import DataError
from twinflow.data._fetch import Fetcher
from twinflow.data._worker_info import FETCH, WorkerInfo
from twinflow.ops import manual_seed

_SHARED_FROM_NBYTES = 1 << 15  # below this the pipe is as fast as mapping memory
_ALIGNMENT = 64
_STACK_WAIT_S = 2.0  # how long to wait for a stalled worker to write its stack
_PARENT_CHECK_S = 5.0


class WorkerSetup(NamedTuple):
    """What every worker needs to know."""

    dataset: Any
    collate: Callable[[Any], Any]
    batched: bool
    iterable: bool
    drop_last: bool
    num_workers: int
    init: Callable[[int], None] | None


class End:
    """Sent in place of a batch when a worker's iterable data set has ended."""


def _memory_file(nbytes: int) -> int:
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("twinflow-batch", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp(prefix="twinflow-batch-")
        os.unlink(path)
    os.ftruncate(fd, nbytes)
    return fd


def send_batch(pipe: Any, header: tuple[Any, ...], value: Any) -> None:
    """Send (header, value) through a pipe, large arrays in shared memory."""
    views: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=views.append)
    raw = [v.raw() for v in views]
    total = sum(-(-r.nbytes // _ALIGNMENT) * _ALIGNMENT for r in raw)
    if total < _SHARED_FROM_NBYTES or os.name == "nt":
        pipe.send((*header, body, [bytes(r) for r in raw], 0))
        return
    fd = _memory_file(total)
    try:
        places, at = [], 0
        with mmap.mmap(fd, total) as memory:
            for r in raw:
                memory[at : at + r.nbytes] = r
                places.append((at, r.nbytes))
                at += -(-r.nbytes // _ALIGNMENT) * _ALIGNMENT
        pipe.send((*header, body, places, total))
        reduction.send_handle(pipe, fd, os.getppid())
    finally:
        os.close(fd)


def receive_batch(pipe: Any, body: bytes, places: list[Any], total: int) -> Any:
    """The value that `send_batch` sent; arrays are views of the shared memory, which lives as long as they do."""
    if not total:
        return pickle.loads(body, buffers=[bytearray(p) for p in places])
    fd = reduction.recv_handle(pipe)
    try:
        memory = memoryview(mmap.mmap(fd, total))
    finally:
        os.close(fd)
    return pickle.loads(body, buffers=[memory[at : at + n] for at, n in places])


def _run_worker(index: int, pipe: Any, stack_path: str, setup: WorkerSetup) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main program's business
    parent = os.getppid()
    with open(stack_path, "w") as stack:
        if hasattr(faulthandler, "register"):
            faulthandler.register(signal.SIGUSR1, file=stack, all_threads=True)
        fetcher: Fetcher | None = None
        seed = 0
        while True:
            while not pipe.poll(_PARENT_CHECK_S):
                if os.getppid() != parent:
                    return
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                return
            if message is None:
                return
            kind, epoch, number, value = message
            failed = None
            try:
                if kind == "epoch":
                    seed = value
                    _seed_worker(index, seed, setup)
                    iterator = iter(setup.dataset) if setup.iterable else None
                    fetcher = Fetcher(setup.dataset, setup.collate, setup.batched, iterator, setup.drop_last)
                    continue
                if fetcher is None:
                    raise DataError("DataLoader: a batch was asked for before the epoch began")
                send_batch(pipe, ("batch", epoch, number), fetcher(value, seed, number))
                continue
            except StopIteration:
                send_batch(pipe, ("batch", epoch, number), End)
            except (BrokenPipeError, ConnectionResetError):
                return
            except BaseException as error:
                notes = "; ".join(getattr(error, "__notes__", []))
                failed = (f"{type(error).__name__}: {error}", notes, traceback.format_exc())
            if failed is not None:
                send_batch(pipe, ("error", epoch, number), failed)


def _seed_worker(index: int, seed: int, setup: WorkerSetup) -> None:
    mine = (seed + index) % 2**63
    random.seed(mine)
    np.random.seed(mine % 2**32)
    manual_seed(mine)
    FETCH.info = WorkerInfo(index, setup.num_workers, mine, setup.dataset)
    if setup.init is not None:
        setup.init(index)


class ProcessWorkers:
    """The worker processes of a loader, seen from the main program."""

    def __init__(self, setup: WorkerSetup, timeout_s: float, context: Any) -> None:
        if context is None or isinstance(context, str):
            # fork hands the data set over without pickling it, and scripts need no __main__ guard
            methods = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context(context or ("fork" if "fork" in methods else None))
        self.timeout_s = timeout_s
        self.count = setup.num_workers
        self.epoch = 0
        self._folder = tempfile.TemporaryDirectory(prefix="twinflow-workers-")
        self._pipes: list[Any] = []
        self._processes: list[Any] = []
        self._arrived: dict[int, Any] = {}
        self._asked: dict[int, tuple[int, Any]] = {}  # batch -> (worker, positions)
        for k in range(setup.num_workers):
            ours, theirs = context.Pipe(duplex=True)
            process = context.Process(
                target=_run_worker,
                args=(k, theirs, self._stack_path(k), setup),
                daemon=True,
                name=f"twinflow-worker-{k}",
            )
            with warnings.catch_warnings():
                # the child runs Python and NumPy only; the warning is about locks of other libraries' threads
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def _stack_path(self, worker: int) -> str:
        return os.path.join(self._folder.name, f"stack-{worker}")

    def begin_epoch(self, seed: int) -> None:
        """Start anew; what is still on its way from before is dropped when it arrives."""
        self.epoch += 1
        self._arrived.clear()
        self._asked.clear()
        for k in range(self.count):
            self._send(k, ("epoch", self.epoch, -1, seed))

    def ask(self, worker: int, number: int, positions: Any) -> None:
        """Ask a worker for a batch."""
        self._asked[number] = (worker, positions)
        self._send(worker, ("batch", self.epoch, number, positions))

    def _send(self, worker: int, message: Any) -> None:
        try:
            self._pipes[worker].send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise self._death(worker) from None

    def receive(self, number: int) -> Any:
        """The batch with this number. Raises: DataError if its worker failed, died or was silent for too long."""
        worker = self._asked[number][0]
        deadline = time.monotonic() + self.timeout_s
        while number not in self._arrived:
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._stall(worker, number)
            alive = {self._processes[k].sentinel: k for k in range(self.count)}
            by_pipe = {id(p): k for k, p in enumerate(self._pipes)}
            ready = connection.wait([*self._pipes, *alive], timeout=left)
            pipes = [p for p in ready if id(p) in by_pipe]
            for pipe in pipes:
                self._take(by_pipe[id(pipe)], pipe)
            if not pipes:
                for sentinel in ready:
                    raise self._death(alive[sentinel])
        del self._asked[number]
        return self._arrived.pop(number)

    def _take(self, worker: int, pipe: Any) -> None:
        try:
            kind, epoch, number, body, places, total = pipe.recv()
            value = receive_batch(pipe, body, places, total)
        except (EOFError, OSError):
            raise self._death(worker) from None
        if epoch != self.epoch:
            return
        if kind == "error":
            what, notes, trace = value
            raise DataError(
                f"DataLoader: worker {worker} failed{' ' + notes if notes else ''}: {what}\n\nin the worker:\n{trace}"
            )
        self._arrived[number] = value

    def _doing(self, worker: int) -> str:
        for number, (w, positions) in sorted(self._asked.items()):
            if w == worker:
                return f" while fetching batch {number} (samples {_short(positions)})"
        return ""

    def _death(self, worker: int) -> DataError:
        process = self._processes[worker]
        process.join(1.0)
        code = process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                how = f"was killed by {signal.Signals(-code).name}"
                if code == -signal.SIGKILL:
                    how += ", perhaps for want of memory"
                return DataError(f"DataLoader: worker {worker} (pid {process.pid}) {how}{self._doing(worker)}")
        return DataError(f"DataLoader: worker {worker} (pid {process.pid}) ended with code {code}{self._doing(worker)}")

    def _stall(self, worker: int, number: int) -> DataError:
        text = self._stack_of(worker)
        return DataError(
            f"DataLoader: worker {worker} (pid {self._processes[worker].pid}) has sent nothing for {self.timeout_s:g} s"
            f"{self._doing(worker)}; raise timeout= if this is expected\n\nin the worker:\n{text}"
        )

    def _stack_of(self, worker: int) -> str:
        if not hasattr(faulthandler, "register"):
            return "(no stack: this system has no signals)"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._processes[worker].pid, signal.SIGUSR1)
        deadline = time.monotonic() + _STACK_WAIT_S
        text = ""
        while not text and time.monotonic() < deadline:
            time.sleep(0.02)
            with contextlib.suppress(OSError), open(self._stack_path(worker)) as file:
                text = file.read()
        return text or "(the worker did not answer)"

    def close(self) -> None:
        """End the workers; those that do not listen are killed."""
        for pipe in self._pipes:
            with contextlib.suppress(OSError, ValueError):
                pipe.send(None)
            with contextlib.suppress(OSError):
                pipe.close()
        deadline = time.monotonic() + 1.0
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._pipes, self._processes = [], []
        self._folder.cleanup()


def _short(positions: Any) -> str:
    text = str(positions)
    return text if len(text) <= 80 else f"{text[:77]}..."


class ThreadWorkers:
    """The same in threads: for data sets whose work releases the interpreter lock, such as decoding images."""

    def __init__(self, setup: WorkerSetup, timeout_s: float) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self.timeout_s = timeout_s
        self.count = setup.num_workers
        self._setup = setup
        self._fetcher = Fetcher(setup.dataset, setup.collate, setup.batched, None, setup.drop_last)
        self._started = iter(range(setup.num_workers))
        self._seed = 0
        self._pool = ThreadPoolExecutor(setup.num_workers, "twinflow-loader", initializer=self._enter)
        self._asked: dict[int, Any] = {}

    def _enter(self) -> None:
        k = next(self._started)
        FETCH.info = WorkerInfo(k, self.count, self._seed + k, self._setup.dataset)
        if self._setup.init is not None:
            self._setup.init(k)

    def begin_epoch(self, seed: int) -> None:
        """Start anew."""
        for future in self._asked.values():
            future.cancel()
        self._asked.clear()
        self._seed = seed

    def ask(self, worker: int, number: int, positions: Any) -> None:
        """Ask for a batch."""
        self._asked[number] = self._pool.submit(self._fetcher, positions, self._seed, number)

    def receive(self, number: int) -> Any:
        """The batch with this number; an error of the data set is raised as it is."""
        try:
            return self._asked.pop(number).result(self.timeout_s)
        except TimeoutError as late:
            raise DataError(
                f"DataLoader: no worker thread has finished batch {number} within {self.timeout_s:g} s; raise timeout= if this is expected"
                f"\n\nin the threads:\n{''.join(_thread_stacks('twinflow-loader'))}"
            ) from late

    def close(self) -> None:
        """Drop what is waiting; threads end after what they are doing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _thread_stacks(prefix: str) -> Iterator[str]:
    import threading

    frames = sys._current_frames()
    for thread in threading.enumerate():
        if thread.name.startswith(prefix) and thread.ident in frames:
            yield f"{thread.name}:\n" + "".join(traceback.format_stack(frames[thread.ident]))
