"""Times of kernels, taken by the driver itself: while a `Timer` runs, programs note when each of their records begins and ends.

The processor's own counter is read, which takes some nanoseconds, so that small kernels look as they are.
"""

from __future__ import annotations

import ctypes
import functools
from time import perf_counter_ns
from typing import Any

import numpy as np

from twinflow.core.errors import TwinflowError
from twinflow.runtime._buffers import address_of
from twinflow.runtime._engine import Executable, engine
from twinflow.runtime._pool import pool

_CAPACITY = 100_000
EVENT = np.dtype([("record", "u8"), ("start", "i8"), ("end", "i8")])
_X86, _ARM = ("x86_64", "i386", "i686"), ("aarch64", "arm64")
_MIN_NS = 1_000_000  # the counter's rate is known well enough after this long


def timing_ir(arch: str) -> str:
    """Text of the function `ticks` for a module, and of `note(events, record, start)`, which a record's end calls.

    A record counts its calls and ticks in its fields `calls` and `time`. `events` is a block: how many events there were, for
    how many there is room, the events.
    """
    if arch in _ARM:  # LLVM's own reads a counter there that programs may not see
        counter = 'declare i64 @llvm.read_volatile_register.i64(metadata)\n!0 = !{!"cntvct_el0"}'
        ticks = "call i64 @llvm.read_volatile_register.i64(metadata !0)"
    elif arch in _X86:
        counter, ticks = "declare i64 @llvm.readcyclecounter()", "call i64 @llvm.readcyclecounter()"
    else:  # reading one may end the program
        counter, ticks = "", "add i64 0, 0"
    return f"""
{counter}

define internal i64 @ticks() alwaysinline {{
  %now = {ticks}
  ret i64 %now
}}

define internal void @note(ptr %events, ptr %record, i64 %start) noinline {{
entry:
  %end = call i64 @ticks()
  %took = sub i64 %end, %start
  %time.p = getelementptr i8, ptr %record, i64 32
  %calls.p = getelementptr i8, ptr %record, i64 40
  %time = load i64, ptr %time.p
  %calls = load i64, ptr %calls.p
  %time.new = add i64 %time, %took
  %calls.new = add i64 %calls, 1
  store i64 %time.new, ptr %time.p
  store i64 %calls.new, ptr %calls.p
  %number = atomicrmw add ptr %events, i64 1 monotonic, align 8
  %capacity.p = getelementptr i8, ptr %events, i64 8
  %capacity = load i64, ptr %capacity.p
  %room = icmp slt i64 %number, %capacity
  br i1 %room, label %keep, label %out
keep:
  %base = mul i64 %number, 24
  %offset = add i64 %base, 16
  %at = getelementptr i8, ptr %events, i64 %offset
  %start.p = getelementptr i8, ptr %at, i64 8
  %end.p = getelementptr i8, ptr %at, i64 16
  store ptr %record, ptr %at
  store i64 %start, ptr %start.p
  store i64 %end, ptr %end.p
  br label %out
out:
  ret void
}}
"""


@functools.cache
def _counter() -> Executable:
    text = timing_ir(engine().processor.arch)
    return engine().compile(f"{text}\ndefine i64 @tf_ticks() {{\n  %t = call i64 @ticks()\n  ret i64 %t\n}}")


class Timer:
    """While it runs (`start` to `stop`), all programs of the process note the times of their records.

    Attributes:
        ns_per_tick: known after `stop`.
    Raises: TwinflowError where there is no counter of time that programs may read.
    """

    def __init__(self) -> None:
        arch = engine().processor.arch
        if arch not in _X86 + _ARM:
            raise TwinflowError(f"profile: there is no counter of time that programs may read on {arch}")
        self._ticks = _counter().function("tf_ticks", restype=ctypes.c_int64)
        self._block = np.zeros(2 + 3 * _CAPACITY, np.int64)
        self._block[1] = _CAPACITY
        self.ns_per_tick = 0.0

    def start(self) -> None:
        """Begin."""
        self._began = (perf_counter_ns(), self._ticks())
        pool().note_times(address_of(self._block))

    def stop(self) -> None:
        """End, and find out how long a tick is."""
        pool().note_times(0)
        ns, ticks = self._began
        while (now := perf_counter_ns()) - ns < _MIN_NS:
            pass
        self.ns_per_tick = (now - ns) / (self._ticks() - ticks)

    def events(self) -> np.ndarray[Any, Any]:
        """The first 100,000 events, in the order in which they ended: (address of the record, start, end), in ticks."""
        n = min(int(self._block[0]), _CAPACITY)
        return self._block[2 : 2 + 3 * n].view(EVENT)
