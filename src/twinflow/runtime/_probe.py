"""What this machine can do at most, measured: the floor that times are compared with.

Arithmetic is fused multiply-adds on registers (as many independent chains as hide their latency), memory is a sum over
and a triad on arrays larger than the caches. Each figure is the best of several short runs, since a limit is asked for
and other programs only ever slow a run down.
"""

from __future__ import annotations

import ctypes
import functools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.runtime._buffers import address_of, aligned_empty
from twinflow.runtime._engine import Engine, engine
from twinflow.runtime._pool import Pool, pool
from twinflow.runtime._pool_ir import PARALLEL_IR
from twinflow.runtime._processor import Processor

_LLVM_TYPES = {"float32": "float", "float64": "double"}
_CHAINS = 12  # independent multiply-adds: two units with a latency of 4 to 6 cycles; leaves room in 16 registers
_FMA_ROUNDS = 40_000  # of _CHAINS multiply-adds a chunk: tens of microseconds
_UNROLL = 8
_CHUNKS_PER_THREAD = 8  # so that a disturbed thread does not set the time


@dataclass(frozen=True, slots=True)
class MachineLimits:
    """Measured limits of this machine.

    Attributes:
        threads: how many threads the figures for all used.
        core_flops, all_flops: floating-point operations a second on one core and on all (a multiply-add counts 2).
        core_read_nbytes_per_s, all_read_nbytes_per_s: reading memory.
        core_triad_nbytes_per_s, all_triad_nbytes_per_s: `a = b + s · c`: two arrays read and one written, each
            counted once.
    """

    threads: int
    core_flops: float
    all_flops: float
    core_read_nbytes_per_s: float
    all_read_nbytes_per_s: float
    core_triad_nbytes_per_s: float
    all_triad_nbytes_per_s: float

    def __str__(self) -> str:
        return "\n".join(
            f"{name:<22}{one / 1e9:10.1f} {unit} on one core {both / 1e9:10.1f} {unit} on {self.threads} threads"
            for name, unit, one, both in (
                ("fused multiply-add", "GFLOP/s", self.core_flops, self.all_flops),
                ("memory, read", "GB/s", self.core_read_nbytes_per_s, self.all_read_nbytes_per_s),
                ("memory, triad", "GB/s", self.core_triad_nbytes_per_s, self.all_triad_nbytes_per_s),
            )
        )


@functools.cache
def measure_limits(dtype: str = "float32", memory_nbytes: int = 192 * 2**20, seconds: float = 0.2) -> MachineLimits:
    """Measure the machine; remembered, since it takes a second or two.

    Args:
        dtype: `float32` or `float64`, of the arithmetic.
        memory_nbytes: size of the three arrays together. They should be larger than the caches.
        seconds: how long to try for each figure.
    Raises: ArgumentError for another dtype, or arrays too small to cut into chunks.
    """
    if dtype not in _LLVM_TYPES:
        raise ArgumentError(
            f"measure_limits: dtype is {dtype!r}, but the limits are those of {' and '.join(_LLVM_TYPES)}"
        )
    if memory_nbytes < 2**20:
        raise ArgumentError(f"measure_limits: memory_nbytes is {memory_nbytes}, but needs to be at least {2**20}")
    return _Probe(engine(), pool(), dtype, memory_nbytes, seconds).limits()


class _Probe:
    """The probe's code and arrays. All run through the pool, on one core with the pool's address of a pool of one."""

    def __init__(self, engine: Engine, everyone: Pool, dtype: str, memory_nbytes: int, seconds: float) -> None:
        self.pools = (Pool(1), everyone)
        self.seconds = seconds
        self.lanes = engine.processor.vector_nbytes // np.dtype(dtype).itemsize
        self.code = engine.compile(probe_ir(engine.processor, dtype))
        self.parts = 4 * _CHUNKS_PER_THREAD * everyone.threads
        block = engine.processor.vector_nbytes * _UNROLL
        self.part_nbytes = max(1, memory_nbytes // 3 // self.parts // block) * block
        self.arrays = [aligned_empty(self.part_nbytes * self.parts, np.uint8) for _ in range(3)]
        for array in self.arrays:
            array[...] = 0  # gives each page its memory, before anything is timed

    def limits(self) -> MachineLimits:
        """Run everything."""
        figures: dict[str, list[float]] = {"fma": [], "read": [], "triad": []}
        for one in self.pools:
            chunks = _CHUNKS_PER_THREAD * one.threads
            figures["fma"].append(chunks * _FMA_ROUNDS * _CHAINS * self.lanes * 2 / self._best(one, "fma", chunks))
            moved = self.parts * self.part_nbytes
            figures["read"].append(moved / self._best(one, "read", self.parts))
            figures["triad"].append(3 * moved / self._best(one, "triad", self.parts))
        self.pools[0].close()
        return MachineLimits(
            self.pools[1].threads,
            core_flops=figures["fma"][0],
            all_flops=figures["fma"][1],
            core_read_nbytes_per_s=figures["read"][0],
            all_read_nbytes_per_s=figures["read"][1],
            core_triad_nbytes_per_s=figures["triad"][0],
            all_triad_nbytes_per_s=figures["triad"][1],
        )

    def _best(self, pool: Pool, name: str, nchunks: int) -> float:
        """The shortest time of one job of `nchunks` chunks, in seconds."""
        context = np.array([*map(address_of, self.arrays), self.part_nbytes], np.uint64)
        call: Any = self.code.function(f"run_{name}", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        best, end = float("inf"), time.perf_counter() + self.seconds
        while (start := time.perf_counter()) < end or best == float("inf"):
            call(pool.address, address_of(context), nchunks)
            best = min(best, time.perf_counter() - start)
        return best


def probe_ir(processor: Processor, dtype: str) -> str:
    """The module of the probe: `run_fma`, `run_read` and `run_triad`, each `(pool, context, nchunks)`.

    The context is the addresses of three arrays and the bytes of one chunk of each.
    """
    scalar = _LLVM_TYPES[dtype]
    size = np.dtype(dtype).itemsize
    nbytes = processor.vector_nbytes
    vector = f"<{nbytes // size} x {scalar}>"
    suffix = f"v{nbytes // size}f{8 * size}"
    fma = "fma" if processor.has_fma else "fmuladd"
    chains = range(_CHAINS)
    nl = "\n  "
    return f"""{PARALLEL_IR}
declare {vector} @llvm.{fma}.{suffix}({vector}, {vector}, {vector})

{"".join(_runner(name) for name in ("fma", "read", "triad"))}
; s = s · 1 + 0 with the 1 and 0 from memory, so that nothing is known of them; no value may decay to slow denormals
define internal void @fma(ptr %ctx, i64 %chunk, i64 %worker) {{
entry:
  %a.p = load ptr, ptr %ctx
  %x = load {vector}, ptr %a.p, align {nbytes}
  %one = fadd {vector} %x, splat ({scalar} 1.0)
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  {nl.join(f"%s{c} = phi {vector} [splat ({scalar} {c}.0), %entry], [%t{c}, %loop]" for c in chains)}
  {nl.join(f"%t{c} = call {vector} @llvm.{fma}.{suffix}({vector} %s{c}, {vector} %one, {vector} %x)" for c in chains)}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, {_FMA_ROUNDS}
  br i1 %more, label %loop, label %out
out:
  {nl.join(f"%u{c} = fadd {vector} {f'%u{c - 1}' if c else '%x'}, %t{c}" for c in chains)}
  {_keep(vector, f"%u{_CHAINS - 1}", nbytes)}
  ret void
}}
{_stream("read", vector, scalar, nbytes)}
{_stream("triad", vector, scalar, nbytes)}
"""


def _runner(name: str) -> str:
    return f"""
define void @run_{name}(ptr %pool, ptr %ctx, i64 %nchunks) {{
  call void @tf_parallel(ptr %pool, ptr @{name}, ptr %ctx, i64 %nchunks)
  ret void
}}
"""


def _keep(vector: str, value: str, nbytes: int) -> str:
    """A store that LLVM must make, to memory of the function's own."""
    return f"%kept = alloca {vector}, align {nbytes}\n  store volatile {vector} {value}, ptr %kept, align {nbytes}"


def _stream(name: str, vector: str, scalar: str, nbytes: int) -> str:
    """A pass over one chunk, _UNROLL vectors a turn: `read` sums array 0, `triad` writes array 0 = 1 + 0.5 · 2."""
    lines, sums, kept = [], "", ""
    at = "getelementptr i8, ptr"
    for u in range(_UNROLL):
        lines.append(f"%o{u} = add i64 %offset, {u * nbytes}")
        lines.append(f"%a{u} = {at} %a, i64 %o{u}")
        if name == "read":
            lines.append(f"%v{u} = load {vector}, ptr %a{u}, align {nbytes}")
            lines.append(f"%t{u} = fadd {vector} %s{u}, %v{u}")
            sums += f"\n  %s{u} = phi {vector} [zeroinitializer, %entry], [%t{u}, %loop]"
            kept += f"\n  %w{u} = fadd {vector} {f'%w{u - 1}' if u else '%t0'}, %t{u}"
        else:
            lines.append(f"%b{u} = {at} %b, i64 %o{u}\n  %c{u} = {at} %c, i64 %o{u}")
            lines.append(f"%x{u} = load {vector}, ptr %b{u}, align {nbytes}")
            lines.append(f"%y{u} = load {vector}, ptr %c{u}, align {nbytes}")
            lines.append(f"%m{u} = fmul {vector} %y{u}, splat ({scalar} 0.5)\n  %r{u} = fadd {vector} %x{u}, %m{u}")
            lines.append(f"store {vector} %r{u}, ptr %a{u}, align {nbytes}")
    if name == "read":
        kept += "\n  " + _keep(vector, f"%w{_UNROLL - 1}", nbytes)
    body = "\n  ".join(lines)
    return f"""
define internal void @{name}(ptr noalias %ctx, i64 %chunk, i64 %worker) {{
entry:
  %b.p = {at} %ctx, i64 8
  %c.p = {at} %ctx, i64 16
  %n.p = {at} %ctx, i64 24
  %a = load ptr, ptr %ctx
  %b = load ptr, ptr %b.p
  %c = load ptr, ptr %c.p
  %n = load i64, ptr %n.p
  %start = mul i64 %chunk, %n
  %end = add i64 %start, %n
  br label %loop
loop:
  %offset = phi i64 [%start, %entry], [%next, %loop]{sums}
  {body}
  %next = add i64 %offset, {_UNROLL * nbytes}
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %out
out:{kept}
  ret void
}}
"""
