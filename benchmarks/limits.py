"""What this machine can do at most: float32 multiply-adds a second, and bytes a second at several sizes of working set.

Measured by two small loops compiled with LLVM and run on as many threads as the frameworks get. The floor of a program
is the larger of its arithmetic at the first rate and its least memory traffic at the second.
"""

import ctypes
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import llvmlite.binding as llvm
import numpy as np

WORKING_SETS = (1 << 17, 1 << 20, 1 << 23, 1 << 25, 1 << 28)  # bytes per thread: within L1 or L2, L2, L3, L3, memory
CHAINS = 24  # independent sums: more than latency times units, fewer than registers
SECONDS = 0.15
REPEATS = 8


def build(width: int) -> str:
    """LLVM IR of `peak(rounds, out)`, `CHAINS` multiply-adds a round, and `triad(rounds, n, a, b, c)`, c = a + b."""
    v = f"<{width} x float>"
    accumulators = range(CHAINS)
    phis = "\n".join(f"  %s{i} = phi {v} [ zeroinitializer, %entry ], [ %t{i}, %loop ]" for i in accumulators)
    fmas = "\n".join(f"  %t{i} = call {v} @llvm.fma.v{width}f32({v} %x, {v} %x, {v} %s{i})" for i in accumulators)
    sums = "\n".join(f"  %u{i} = fadd {v} {f'%u{i - 1}' if i else 'zeroinitializer'}, %t{i}" for i in accumulators)
    return f"""
declare {v} @llvm.fma.v{width}f32({v}, {v}, {v})

define void @peak(i64 %rounds, ptr %out) {{
entry:
  %x = load {v}, ptr %out, align 4
  br label %loop
loop:
  %r = phi i64 [ 0, %entry ], [ %r2, %loop ]
{phis}
{fmas}
  %r2 = add i64 %r, 1
  %again = icmp slt i64 %r2, %rounds
  br i1 %again, label %loop, label %end
end:
{sums}
  store {v} %u{CHAINS - 1}, ptr %out, align 4
  ret void
}}

define void @triad(i64 %rounds, i64 %n, ptr noalias %a, ptr noalias %b, ptr noalias %c) {{
entry:
  br label %outer
outer:
  %r = phi i64 [ 0, %entry ], [ %r2, %next ]
  br label %inner
inner:
  %i = phi i64 [ 0, %outer ], [ %i2, %inner ]
  %pa = getelementptr float, ptr %a, i64 %i
  %pb = getelementptr float, ptr %b, i64 %i
  %pc = getelementptr float, ptr %c, i64 %i
  %xa = load volatile {v}, ptr %pa, align 4
  %xb = load volatile {v}, ptr %pb, align 4
  %xc = fadd {v} %xa, %xb
  store volatile {v} %xc, ptr %pc, align 4
  %i2 = add i64 %i, {width}
  %more = icmp slt i64 %i2, %n
  br i1 %more, label %inner, label %next
next:
  %r2 = add i64 %r, 1
  %again = icmp slt i64 %r2, %rounds
  br i1 %again, label %outer, label %end
end:
  ret void
}}
"""


@dataclass
class Limits:
    threads: int
    processor: str
    peak_flops: float  # per second, all threads
    bandwidths: tuple[float, ...]  # bytes per second, all threads, for each of WORKING_SETS

    def floor_s(self, flops: float, nbytes: float) -> float:
        """The least time for so much arithmetic over a working set of so many bytes, both passed once."""
        i = min(bisect_left(WORKING_SETS, nbytes / self.threads), len(WORKING_SETS) - 1)
        return max(flops / self.peak_flops, nbytes / self.bandwidths[i])


def on_threads(threads: int, work: Callable[[int], None]) -> float:
    """Seconds until `work(0)` ... `work(threads - 1)`, started together, have all ended."""
    together = threading.Barrier(threads + 1)

    def run(i: int) -> None:
        together.wait()
        work(i)

    running = [threading.Thread(target=run, args=(i,)) for i in range(threads)]
    for t in running:
        t.start()
    together.wait()
    started = time.perf_counter()
    for t in running:
        t.join()
    return time.perf_counter() - started


def measure(threads: int) -> Limits:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    processor = llvm.get_host_cpu_name()
    features = llvm.get_host_cpu_features()
    width = 16 if features.get("avx512f") else 8 if features.get("avx") else 4
    wide = ",-prefer-256-bit" if width == 16 else ""  # the full registers, whatever the tuning says
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=processor, features=features.flatten() + wide, opt=3
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(build(width)), machine)
    engine.finalize_object()
    i64, pointer = ctypes.c_int64, ctypes.c_void_p
    peak = ctypes.CFUNCTYPE(None, i64, pointer)(engine.get_function_address("peak"))
    triad = ctypes.CFUNCTYPE(None, i64, i64, pointer, pointer, pointer)(engine.get_function_address("triad"))

    outs = np.zeros((threads, 64), np.float32)

    def best(amount: float, work: Callable[[int, int], None], rounds: int) -> float:
        """The best rate of several runs of about SECONDS each; `amount` is what one round of all threads does."""
        time_s = on_threads(threads, lambda i: work(i, rounds))
        rounds = max(1, int(rounds * SECONDS / max(time_s, 1e-6)))
        return max(amount * rounds / on_threads(threads, lambda i: work(i, rounds)) for _ in range(REPEATS))

    flops = best(2.0 * CHAINS * width * threads, lambda i, r: peak(r, outs[i].ctypes.data), 200_000)
    bandwidths = []
    for nbytes in WORKING_SETS:
        n = nbytes // 12 // 64 * 64
        data = np.ones((threads, 3, n), np.float32)
        at = [[a.ctypes.data for a in rows] for rows in data]

        def work(i: int, rounds: int, n: int = n, at: list[list[int]] = at) -> None:
            triad(rounds, n, *at[i])

        bandwidths.append(best(12.0 * n * threads, work, 3))
    return Limits(threads, processor, flops, tuple(bandwidths))
