"""The thread pool: what a fork-join costs, and how it fares beside other busy processes.

    python -m benchmarks.pool [--busy 1] [--peers]

A step is 30 parallel jobs in a row, each of 16 chunks of about 10 microseconds. It is timed on one thread and on all,
alone and beside processes that do nothing but count, in alternation. With `--peers`, PyTorch's pool does the same.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from twinflow.runtime import PARALLEL_IR, address_of, aligned_zeros, engine, get_num_threads, pool, set_num_threads

JOBS, CHUNKS = 30, 16
SOURCE = (
    PARALLEL_IR
    + """
define internal void @work(ptr %ctx, i64 %chunk, i64 %worker) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %a = phi i64 [%chunk, %entry], [%c, %loop]
  %b = mul i64 %a, 6364136223846793005
  %c = add i64 %b, 1442695040888963407
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, 6000
  br i1 %more, label %loop, label %out
out:
  %p = getelementptr i64, ptr %ctx, i64 %chunk
  store i64 %c, ptr %p
  ret void
}
define internal void @nothing(ptr %ctx, i64 %chunk, i64 %worker) {
  ret void
}
define void @run(ptr %pool, ptr %ctx, i64 %nchunks, i64 %jobs, i64 %empty) {
entry:
  %is_empty = icmp ne i64 %empty, 0
  %fn = select i1 %is_empty, ptr @nothing, ptr @work
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  call void @tf_parallel(ptr %pool, ptr %fn, ptr %ctx, i64 %nchunks)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %jobs
  br i1 %more, label %loop, label %out
out:
  ret void
}
"""
)


def times_s(step: Callable[[], object], seconds: float) -> list[float]:
    found: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        step()
        found.append(time.perf_counter() - start)
    return found


def beside(busy: int) -> list[subprocess.Popen[bytes]]:
    return [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]


def compare(name: str, step: Callable[[], object], busy: int) -> None:
    """Median and mean of the step alone and beside busy processes, in turns of a second."""
    alone: list[float] = []
    crowded: list[float] = []
    step()
    for _ in range(3):
        alone += times_s(step, 1.0)
        others = beside(busy)
        try:
            time.sleep(0.2)
            crowded += times_s(step, 1.0)
        finally:
            for other in others:
                other.kill()
                other.wait()
    a, c = statistics.mean(alone), statistics.mean(crowded)
    print(
        f"{name:<24} alone {a * 1e6:9.0f} us (median {statistics.median(alone) * 1e6:9.0f}),"
        f" beside {busy} busy {c * 1e6:9.0f} us (median {statistics.median(crowded) * 1e6:9.0f}): {c / a:6.2f} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=1, help="processes that keep a core busy")
    parser.add_argument("--peers", action="store_true", help="PyTorch beside them, if it is installed")
    options = parser.parse_args()

    code = engine().compile(SOURCE)
    run = code.function("run", ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3)
    context = aligned_zeros(CHUNKS, "int64")
    threads = get_num_threads()

    for nchunks in (2, 4, 16):
        run(pool().address, address_of(context), nchunks, 1000, 1)
        best = min(times_s(lambda n=nchunks: run(pool().address, address_of(context), n, 10_000, 1), 0.5))  # type: ignore[misc]
        print(f"fork-join of {nchunks:2} empty chunks on {threads} threads: {best / 10_000 * 1e9:6.0f} ns")

    for number in dict.fromkeys((1, threads)):
        set_num_threads(number)
        compare(
            f"twinflow, {number} thread(s)",
            lambda: run(pool().address, address_of(context), CHUNKS, JOBS, 0),
            options.busy,
        )
    if options.peers:
        import torch

        # Of the same length: 30 parallel element-wise operations of about 80 microseconds on all threads.
        x = torch.ones(200_000)
        for number in dict.fromkeys((1, threads)):
            torch.set_num_threads(number)

            def step() -> None:
                for _ in range(JOBS):
                    torch.sin_(x)

            compare(f"PyTorch, {number} thread(s)", step, options.busy)


if __name__ == "__main__":
    main()
