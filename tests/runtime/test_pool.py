"""The thread pool: every chunk once, whatever happens around it, and never a hang."""

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from twinflow.core.errors import ArgumentError
from twinflow.runtime import (
    PARALLEL_IR,
    Executable,
    Pool,
    aligned_zeros,
    compile_object,
    engine,
    get_num_threads,
    pool,
    set_num_threads,
)
from twinflow.runtime import _pool as pool_module
from twinflow.runtime._pool_ir import pool_ir
from twinflow.runtime._processor import Processor

# Context: counts, one i64 a chunk. `count` adds one to its chunk's, `mark_worker` stores the worker after a while,
# `nested` calls the pool from inside a chunk: its context is [pool, counts].
SOURCE = (
    PARALLEL_IR
    + """
define void @count(ptr %ctx, i64 %chunk, i64 %worker) {
  %p = getelementptr i64, ptr %ctx, i64 %chunk
  %v = load i64, ptr %p
  %v1 = add i64 %v, 1
  store i64 %v1, ptr %p
  ret void
}
define void @mark_worker(ptr %ctx, i64 %chunk, i64 %worker) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %p = getelementptr i64, ptr %ctx, i64 %chunk
  store volatile i64 %worker, ptr %p
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, 200000
  br i1 %more, label %loop, label %out
out:
  ret void
}
define void @forever(ptr %ctx, i64 %chunk, i64 %worker) {
entry:
  %p = alloca i64
  br label %loop
loop:
  store volatile i64 0, ptr %p
  br label %loop
}
define void @nested(ptr %ctx, i64 %chunk, i64 %worker) {
  %pool = load ptr, ptr %ctx
  %counts.p = getelementptr ptr, ptr %ctx, i64 1
  %counts = load ptr, ptr %counts.p
  %row0 = mul i64 %chunk, 10
  %row = getelementptr i64, ptr %counts, i64 %row0
  call void @tf_parallel(ptr %pool, ptr @count, ptr %row, i64 10)
  ret void
}
define void @many_jobs(ptr %pool, ptr %ctx, i64 %nchunks, i64 %jobs) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  call void @tf_parallel(ptr %pool, ptr @count, ptr %ctx, i64 %nchunks)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %jobs
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""
)


@pytest.fixture(scope="module")
def code() -> Executable:
    return engine().compile(SOURCE)


@pytest.fixture(params=[1, 2, 5])
def some_pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    made = Pool(request.param)
    yield made
    made.close()


def many_jobs(code: Executable, made: Pool, counts: np.ndarray, jobs: int) -> None:
    call = code.function("many_jobs", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    call(made.address, counts.ctypes.data, len(counts), jobs)


@pytest.mark.parametrize("nchunks", [0, 1, 2, 3, 7, 1000, 32767, 32768, 100_001])
def test_each_chunk_runs_once(code: Executable, some_pool: Pool, nchunks: int) -> None:
    counts = aligned_zeros(nchunks + 1, np.int64)
    for _ in range(20):
        some_pool.run(code.address("count"), counts.ctypes.data, nchunks)
    assert (counts[:nchunks] == 20).all() and counts[nchunks] == 0


def test_two_threads_take_chunks_from_both_ends(code: Executable) -> None:
    made = Pool(2)
    try:
        for nchunks in (2, 16, 17):
            workers = aligned_zeros(nchunks, np.int64)
            made.run(code.address("mark_worker"), workers.ctypes.data, nchunks)
            assert (np.diff(workers) >= 0).all()  # the caller's chunks, then those of the other
    finally:
        made.close()


@pytest.mark.parametrize("nchunks", [2, 3, 64])
def test_many_short_jobs_in_a_row(code: Executable, some_pool: Pool, nchunks: int) -> None:
    counts = aligned_zeros(nchunks, np.int64)
    many_jobs(code, some_pool, counts, 5_000)
    assert (counts == 5_000).all()


def test_sleeping_workers_wake_up(code: Executable, some_pool: Pool) -> None:
    counts = aligned_zeros(4, np.int64)
    for _ in range(20):
        time.sleep(0.002)
        many_jobs(code, some_pool, counts, 1)
    assert (counts == 20).all()


def test_workers_take_part(code: Executable) -> None:
    made = Pool(2)
    try:
        seen: set[int] = set()
        deadline = time.monotonic() + 20
        while seen != {0, 1} and time.monotonic() < deadline:
            workers = aligned_zeros(16, np.int64)
            made.run(code.address("mark_worker"), workers.ctypes.data, 16)
            seen |= set(workers.tolist())
        assert seen == {0, 1}
    finally:
        made.close()


def test_a_call_inside_a_chunk_runs_serially(code: Executable, some_pool: Pool) -> None:
    counts = aligned_zeros((8, 10), np.int64)
    context = np.array([some_pool.address, counts.ctypes.data], np.uint64)
    some_pool.run(code.address("nested"), context.ctypes.data, 8)
    assert (counts == 1).all()


def test_python_threads_may_call_at_once(code: Executable, some_pool: Pool) -> None:
    counts = [aligned_zeros(8, np.int64) for _ in range(4)]
    threads = [threading.Thread(target=many_jobs, args=(code, some_pool, c, 2_000)) for c in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all((c == 2_000).all() for c in counts)


def test_the_number_of_threads_may_change_while_jobs_run(code: Executable) -> None:
    made = Pool(2)
    counts = aligned_zeros(8, np.int64)
    try:
        worker = threading.Thread(target=many_jobs, args=(code, made, counts, 100_000))
        worker.start()
        for threads in (3, 1, 4, 2):
            made.resize(threads)
            assert made.threads == threads
            other = aligned_zeros(8, np.int64)
            many_jobs(code, made, other, 50)
            assert (other == 50).all()
        worker.join(60)
        assert (counts == 100_000).all()
    finally:
        made.close()


def test_a_closed_pool_runs_serially(code: Executable) -> None:
    made = Pool(3)
    counts = aligned_zeros(8, np.int64)
    many_jobs(code, made, counts, 10)
    made.close()
    assert not [t for t in threading.enumerate() if t in made._workers]
    many_jobs(code, made, counts, 10)
    assert (counts == 20).all() and not made._workers


def test_threads_doze_where_there_is_no_futex(code: Executable, monkeypatch: pytest.MonkeyPatch) -> None:
    usleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value
    monkeypatch.setattr(pool_module, "_sleeping", lambda: (usleep, 0, 100))
    made = Pool(3)
    counts = aligned_zeros(8, np.int64)
    try:
        for _ in range(5):
            time.sleep(0.002)
            many_jobs(code, made, counts, 100)
        assert (counts == 500).all()
    finally:
        made.close()


@pytest.mark.parametrize("triple", ["aarch64-unknown-linux-gnu", "riscv64-unknown-linux-gnu"])
def test_the_pool_compiles_for_other_processors(triple: str) -> None:
    features = {"aarch64": "+neon", "riscv64": "+a,+m"}[triple.split("-")[0]]
    assert compile_object(pool_ir(triple.split("-")[0], None), Processor(triple, "generic", features))[:4] == b"\x7fELF"


def test_set_and_get_num_threads() -> None:
    before = get_num_threads()
    try:
        set_num_threads(3)
        assert get_num_threads() == 3 and pool().threads == 3
    finally:
        set_num_threads(before)
    for wrong in (0, -1, 1025, 2.0, "2", True):
        with pytest.raises(ArgumentError, match=f"number of threads is {wrong!r}, but must be a whole number from 1"):
            set_num_threads(wrong)


def test_the_environment_sets_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWINFLOW_NUM_THREADS", "3")
    assert pool_module.default_num_threads() == 3
    monkeypatch.setenv("TWINFLOW_NUM_THREADS", "many")
    with pytest.raises(ArgumentError, match="TWINFLOW_NUM_THREADS is 'many'"):
        pool_module.default_num_threads()
    monkeypatch.delenv("TWINFLOW_NUM_THREADS")
    assert 1 <= pool_module.default_num_threads() <= (os.cpu_count() or 1)


PROGRAM = f"""
import ctypes, os, sys, threading, time
import numpy as np
from twinflow.runtime import engine, pool, set_num_threads
code = engine().compile('''{SOURCE}''')
call = code.function("many_jobs", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
def work(jobs=100):
    counts = np.zeros(8, np.int64)
    call(pool().address, counts.ctypes.data, 8, jobs)
    assert (counts == jobs).all(), counts
set_num_threads(3)
"""


def run_program(body: str, timeout: float = 30.0) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + body],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_process_ends_with_workers_asleep_watching_or_never_started() -> None:
    assert run_program("work(); time.sleep(0.05); print('asleep')") == "asleep\n"
    assert run_program("work(); print('watching')") == "watching\n"
    assert run_program("print('no work')") == "no work\n"


def test_the_process_ends_while_another_thread_is_inside_a_job() -> None:
    start = time.monotonic()
    body = (
        "threading.Thread(target=work, args=(10**12,), daemon=True).start(); time.sleep(0.2); print('out', flush=True)"
    )
    assert run_program(body) == "out\n"
    assert time.monotonic() - start < 15


def test_the_process_ends_while_another_thread_is_inside_a_long_chunk() -> None:
    start = time.monotonic()
    body = """
made = pool()
threading.Thread(target=made.run, args=(code.address("forever"), 0, 2), daemon=True).start()
time.sleep(0.2)
print("out", flush=True)
"""
    assert run_program(body) == "out\n"
    assert time.monotonic() - start < 15


def test_work_at_exit_is_still_done() -> None:
    assert run_program("import atexit; work(); atexit.register(lambda: (work(), print('late')))") == "late\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_parent_and_children_work_after_a_fork() -> None:
    body = """
work()
stop = threading.Event()
def busy():
    while not stop.is_set():
        work(1000)
thread = threading.Thread(target=busy); thread.start()
children = []
for i in range(5):
    child = os.fork()
    if child == 0:
        work(); grandchild = os.fork()
        if grandchild == 0:
            work(); os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1])
        alive = sum(t.name.startswith("twinflow") and t.is_alive() for t in threading.enumerate())
        os._exit(code or (alive != 2))
    work()
    children.append(child)
assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * 5
stop.set(); thread.join(); work(); print("done")
"""
    assert run_program(body, 60) == "done\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_multiprocessing_pool_by_fork_ends() -> None:
    body = """
import multiprocessing
work()
with multiprocessing.get_context("fork").Pool(2) as processes:
    assert processes.map(abs, [-1, -2]) == [1, 2]
    processes.apply(work)
print("done")
"""
    assert run_program(body) == "done\n"
