"""The thread pool: Python's `threading` starts workers, a ctypes call parks them in generated code, without the GIL.

Generated code calls `tf_parallel(pool, fn, ctx, nchunks)` (see `PARALLEL_IR`); the address of the pool comes to it with
its other arguments, so that object code kept on disk holds no address. Chunks are handed out one by one, so a slow or
busy core does not hold the others up. How the work is cut into chunks must not depend on the number of threads: then
results do not either.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import math
import os
import platform
import sys
import threading
import time
from pathlib import Path

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.runtime._buffers import address_of, aligned_zeros
from twinflow.runtime._engine import Executable, engine
from twinflow.runtime._pool_ir import FIELDS, POOL_NBYTES, pool_ir
from twinflow.runtime._subnormals import can_flush

# A worker watches for work this long: an eager step has some Python functions between its kernels, and a worker that slept
# takes fifty microseconds to come back. Longer would rob other processes of the core.
WATCH_S = 200e-6
# A caller with nothing left to take watches this long for a worker's last chunk; then the worker may need the core.
WAIT_S = 30e-6
_FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "loongarch64": 98, "ppc64le": 221, "s390x": 238}
_MAX_THREADS = 1024
_EXIT_S = 2.0  # how long the exit of the process may wait for a job that another thread is inside


class Pool:
    """A fork-join pool of native workers. The process has one, `pool()`.

    The workers start when `address` is read for the first time, and again after a fork or a change of number.
    Until then, after the interpreter began to exit, when a job is already running, and inside a chunk, `tf_parallel`
    runs all chunks in the calling thread, as worker 0: right, only not in parallel.

    Args:
        threads: how many threads work on a job, the caller included; at least 1.

    Attributes:
        started: whether its workers are there; while they are, the address is the one that `address` gave last.
    """

    def __init__(self, threads: int) -> None:
        _check_threads(threads)
        self._threads = threads
        self._block = aligned_zeros(POOL_NBYTES + 128, np.uint8)
        self._address = -(-address_of(self._block) // 128) * 128
        self._workers: list[threading.Thread] = []
        self.started = False
        self.flush_subnormals(True)
        self._closed = False
        self._lock = threading.Lock()
        self._code: Executable | None = None

    @property
    def threads(self) -> int:
        """How many threads work on a job, the caller included."""
        return self._threads

    @property
    def address(self) -> int:
        """Where generated code finds the pool, its workers started. Read it for each call: a fork stops them."""
        if not self.started:
            self._start()
        return self._address

    def resize(self, threads: int) -> None:
        """Use another number of threads from the next job on. Waits for a job that is running."""
        _check_threads(threads)
        with self._lock:
            if threads != self._threads:
                self._stop()
                self._threads = threads

    def run(self, function: int, context: int, nchunks: int) -> None:
        """Call the native function at an address for each chunk: `function(context, chunk, worker)`."""
        address = self.address
        self._native().function("tf_parallel", *[ctypes.c_void_p] * 3, ctypes.c_int64)(
            address, function, context, nchunks
        )

    def flush_subnormals(self, mode: bool) -> None:
        """Whether programs treat subnormal numbers as zero, from the next run on."""
        self._set("flush", mode)

    def note_times(self, events: int) -> None:
        """Where programs note the times of their records (see `Timer`), from the next run on; 0: they do not."""
        self._set("events", events)

    def close(self) -> None:
        """Stop the workers for good."""
        with self._lock:
            self._closed = True
            self._stop()

    def _native(self) -> Executable:
        if self._code is None:
            self._code = engine().compile(pool_ir(engine().processor.arch, _sleeping()[2]))
        return self._code

    def _start(self) -> None:
        with self._lock:
            if self.started:
                return
            code = self._native()
            call, number, _ = _sleeping()
            self._set("yield", _yield_address())
            self._set("parallel", code.address("tf_parallel"))
            self._set("call", call)
            self._set("futex", number)
            pause_s = _pause_s(code)
            self._set("watch", int(WATCH_S / pause_s) + 1)
            self._set("wait", int(WAIT_S / pause_s) + 1)
            self._set("stop", 0)
            self._set("busy", 0)
            if not self._closed:
                park = code.function("tf_worker", ctypes.c_void_p, ctypes.c_int64)
                for worker in range(1, self._threads):
                    thread = threading.Thread(
                        target=park, args=(self._address, worker), name=f"twinflow-{worker}", daemon=True
                    )
                    thread.start()
                    self._workers.append(thread)
            self._set("workers", len(self._workers))
            self.started = True

    def _stop(self) -> None:
        """Make the workers return, and wait until they have. Whoever reads `address` next starts new ones."""
        deadline = time.monotonic() + _EXIT_S
        if self._workers:
            code = self._native()
            claim = code.function("tf_claim", ctypes.c_void_p, restype=ctypes.c_int64)
            while not claim(self._address):
                if self._closed and time.monotonic() > deadline:
                    return  # the process ends while another thread is inside a job, and takes that thread along
                time.sleep(1e-4)
            self._set("workers", 0)
            self._set("stop", 1)
            code.function("tf_wake_workers", ctypes.c_void_p)(self._address)
            for thread in self._workers:
                thread.join(max(0.0, deadline - time.monotonic()) if self._closed else None)
            self._set("busy", 0)
        self._workers = []
        self.started = False

    def _after_fork(self) -> None:
        """In a child there are no workers, and whatever the parent's other threads were doing here is not going on."""
        self._lock = threading.Lock()
        self._workers = []
        self.started = False
        for name in ("workers", "busy", "sleepers", "waiting", "stop", "done", "ticket"):
            self._set(name, 0)

    def _set(self, field: str, value: int) -> None:
        ctypes.c_uint64.from_address(self._address + FIELDS[field]).value = value

    def _get(self, field: str) -> int:
        return ctypes.c_uint64.from_address(self._address + FIELDS[field]).value


@functools.cache
def pool() -> Pool:
    """The pool of this process, made on the first call.

    Raises: ArgumentError if `TWINFLOW_NUM_THREADS` is not a number of threads.
    """
    made = Pool(default_num_threads())
    atexit.register(made.close)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made._after_fork)
    return made


def set_num_threads(threads: int) -> None:
    """Use this many threads for compiled code from now on, the calling one included.

    Raises: ArgumentError if `threads` is not from 1 to 1024.
    """
    pool().resize(threads)


def get_num_threads() -> int:
    """How many threads compiled code uses.

    >>> get_num_threads() >= 1
    True
    """
    return pool().threads


def set_flush_denormal(mode: bool) -> bool:
    """Whether compiled code treats subnormal numbers (in float32 those below 1.2e-38) as zero. It does unless told otherwise.

    Arithmetic on them takes a processor around a hundred times as long, and they arise wherever something decays: moments
    of optimizers, the tails of softmax. Small operations in plain evaluation, which NumPy computes, keep them.

    Returns: whether this processor can do without them; if not, nothing has changed.

    >>> set_flush_denormal(True) in (True, False)
    True
    """
    pool().flush_subnormals(bool(mode))
    return can_flush(platform.machine().lower())


def default_num_threads() -> int:
    """`TWINFLOW_NUM_THREADS`, else the number of cores that this process may use."""
    if not (named := os.environ.get("TWINFLOW_NUM_THREADS", "").strip()):
        return usable_cores()
    if not named.isdecimal():
        raise ArgumentError(f"TWINFLOW_NUM_THREADS is {named!r}, but a number of threads is a whole number from 1 up")
    _check_threads(int(named))
    return int(named)


def usable_cores() -> int:
    """Cores this process may run on, by affinity and a container's quota; hardware threads of a core count once."""
    if hasattr(os, "sched_getaffinity"):
        cpus = os.sched_getaffinity(0)
    else:
        cpus = set(range(os.cpu_count() or 1))
    cores = set()
    for cpu in cpus:
        siblings = str(cpu)
        with contextlib.suppress(OSError):
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        cores.add(siblings)
    quota = math.inf
    with contextlib.suppress(OSError, ValueError):
        allowed, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        quota = math.ceil(int(allowed) / int(period))
    return int(max(1, min(len(cores), quota, _MAX_THREADS)))


def _check_threads(threads: int) -> None:
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= _MAX_THREADS:
        raise ArgumentError(f"number of threads is {threads!r}, but must be a whole number from 1 to {_MAX_THREADS}")


@functools.cache
def _sleeping() -> tuple[int, int, int | None]:
    """How threads sleep: the address of a C function, the number of the futex call, or else how long to doze."""
    number = _FUTEX.get(platform.machine(), 0) if sys.platform == "linux" else 0
    doze: int | None
    if sys.platform == "win32":
        function, doze = ctypes.WinDLL("kernel32").Sleep, 1  # milliseconds
    elif number:
        function, doze = ctypes.CDLL(None).syscall, None
    else:
        function, doze = ctypes.CDLL(None).usleep, 100
    return ctypes.cast(function, ctypes.c_void_p).value or 0, number, doze


def _yield_address() -> int:
    if sys.platform == "win32":
        function = ctypes.WinDLL("kernel32").SwitchToThread
    else:
        function = ctypes.CDLL(None).sched_yield
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _pause_s(code: Executable) -> float:
    """How long a pause takes: 10 to 200 cycles, depending on the processor."""
    pause = code.function("tf_pause", ctypes.c_int64)
    probe, best = 200, math.inf
    for _ in range(5):
        start = time.perf_counter()
        pause(probe)
        best = min(best, time.perf_counter() - start)
    return best / probe
