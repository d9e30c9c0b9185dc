"""The native driver: a program of prepared kernel calls, run by one call from Python.

A program is an array of records in memory, each a kernel with its argument block. The driver is compiled once and
walks any program, so a new program costs no code of its own beyond its kernels. Pointers that change from call to call
(inputs, outputs) are written into the argument blocks by *patches*, natively, before the first record.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from twinflow.runtime._buffers import address_of
from twinflow.runtime._engine import Executable, engine
from twinflow.runtime._library import library_ir
from twinflow.runtime._pool import pool
from twinflow.runtime._pool_ir import FIELDS, PARALLEL_IR
from twinflow.runtime._subnormals import mode_ir
from twinflow.runtime._timing import timing_ir

RECORD = np.dtype(
    [
        ("kind", "i8"),
        ("function", "u8"),
        ("arguments", "u8"),
        ("count", "i8"),
        ("time", "i8"),
        ("calls", "i8"),
        ("pad", "i8", 2),
    ]
)
"""One call. kind CHUNKED: function(arguments, chunk, worker) for `count` chunks; WHOLE: function(arguments, pool);
COPY: `count` bytes from the second to the first address of the argument block; GUARD: the run ends here, with all its
repetitions, if the byte at the first address is not 0; FOREIGN: as WHOLE, but a function that is not ours, which keeps
subnormal numbers. While a `Timer` runs, each notes its ticks and calls."""
CHUNKED, WHOLE, COPY, GUARD, FOREIGN = 0, 1, 2, 3, 4
PATCH = np.dtype([("source", "i8"), ("target", "u8"), ("offset", "i8"), ("pad", "i8")])
"""Before a run, io[source] + offset is stored at `target`."""
FRAME = np.dtype(
    [
        ("records", "u8"),
        ("n_records", "i8"),
        ("pool", "u8"),
        ("patches", "u8"),
        ("n_patches", "i8"),
        ("io", "u8"),
        ("repeat", "i8"),
        ("io_step", "u8"),
    ]
)
"""What the driver receives: one pointer to this. `repeat` runs the program that many times; after each, io_step[i] is
added to io[i] (rows of a data set, or 0)."""

_DRIVER_IR = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; whether a guard ended it
define internal i1 @run(ptr %frame, i64 %n_io) nounwind {
entry:
  %n_records.p = getelementptr i8, ptr %frame, i64 8
  %pool.p = getelementptr i8, ptr %frame, i64 16
  %patches.p = getelementptr i8, ptr %frame, i64 24
  %n_patches.p = getelementptr i8, ptr %frame, i64 32
  %io.p = getelementptr i8, ptr %frame, i64 40
  %repeat.p = getelementptr i8, ptr %frame, i64 48
  %step.p = getelementptr i8, ptr %frame, i64 56
  %records = load ptr, ptr %frame
  %n_records = load i64, ptr %n_records.p
  %pool = load ptr, ptr %pool.p
  %patches = load ptr, ptr %patches.p
  %n_patches = load i64, ptr %n_patches.p
  %io = load ptr, ptr %io.p
  %repeat = load i64, ptr %repeat.p
  %steps = load ptr, ptr %step.p
  %events.p = getelementptr i8, ptr %pool, i64 EVENTS
  %events = load ptr, ptr %events.p
  %timed = icmp ne ptr %events, null
  br label %again
again:
  %round = phi i64 [0, %entry], [%round.next, %stepped]
  %round.more = icmp slt i64 %round, %repeat
  br i1 %round.more, label %patch, label %whole.run
patch:
  %p = phi i64 [0, %again], [%p.next, %patch.body]
  %p.more = icmp slt i64 %p, %n_patches
  br i1 %p.more, label %patch.body, label %record
patch.body:
  %p.base = mul i64 %p, 32
  %p.at = getelementptr i8, ptr %patches, i64 %p.base
  %p.target.p = getelementptr i8, ptr %p.at, i64 8
  %p.offset.p = getelementptr i8, ptr %p.at, i64 16
  %source = load i64, ptr %p.at
  %target = load ptr, ptr %p.target.p
  %offset = load i64, ptr %p.offset.p
  %io.at = getelementptr i64, ptr %io, i64 %source
  %address = load i64, ptr %io.at
  %moved = add i64 %address, %offset
  store i64 %moved, ptr %target
  %p.next = add i64 %p, 1
  br label %patch
record:
  %r = phi i64 [0, %patch], [%r.next, %counted]
  %r.more = icmp slt i64 %r, %n_records
  br i1 %r.more, label %body, label %stepping
body:
  %r.base = mul i64 %r, 64
  %at = getelementptr i8, ptr %records, i64 %r.base
  %fn.p = getelementptr i8, ptr %at, i64 8
  %args.p = getelementptr i8, ptr %at, i64 16
  %count.p = getelementptr i8, ptr %at, i64 24
  %kind = load i64, ptr %at
  %fn = load ptr, ptr %fn.p
  %args = load ptr, ptr %args.p
  %count = load i64, ptr %count.p
  br i1 %timed, label %clock, label %dispatch
clock:
  %now = call i64 @ticks()
  br label %dispatch
dispatch:
  %start = phi i64 [0, %body], [%now, %clock]
  switch i64 %kind, label %next [ i64 0, label %chunked i64 1, label %whole i64 2, label %copy i64 3, label %guard
    i64 4, label %foreign ]
chunked:
  %one = icmp sle i64 %count, 1
  br i1 %one, label %single, label %several
single:
  %some = icmp eq i64 %count, 1
  br i1 %some, label %call, label %next
call:
  call void %fn(ptr %args, i64 0, i64 0)
  br label %next
several:
  call void @tf_parallel(ptr %pool, ptr %fn, ptr %args, i64 %count)
  br label %next
whole:
  call void %fn(ptr %args, ptr %pool)
  br label %next
copy:
  %from.p = getelementptr i8, ptr %args, i64 8
  %to = load ptr, ptr %args
  %from = load ptr, ptr %from.p
  call void @llvm.memcpy.p0.p0.i64(ptr %to, ptr %from, i64 %count, i1 false)
  br label %next
foreign:
  %own = call i64 @get_mode()
  %theirs = call i64 @keeping(i64 %own)
  call void @set_mode(i64 %theirs)
  call void %fn(ptr %args, ptr %pool)
  call void @set_mode(i64 %own)
  br label %next
guard:
  %flag.p = load ptr, ptr %args
  %flag = load i8, ptr %flag.p
  %stop = icmp ne i8 %flag, 0
  br i1 %stop, label %stopped.run, label %next
next:
  br i1 %timed, label %clocked, label %counted
clocked:
  call void @note(ptr %events, ptr %at, i64 %start)
  br label %counted
counted:
  %r.next = add i64 %r, 1
  br label %record
stepping:
  br label %step
step:
  %s = phi i64 [0, %stepping], [%s.next, %step.body]
  %s.more = icmp slt i64 %s, %n_io
  br i1 %s.more, label %step.body, label %stepped
step.body:
  %s.step.p = getelementptr i64, ptr %steps, i64 %s
  %s.step = load i64, ptr %s.step.p
  %s.io.p = getelementptr i64, ptr %io, i64 %s
  %s.old = load i64, ptr %s.io.p
  %s.new = add i64 %s.old, %s.step
  store i64 %s.new, ptr %s.io.p
  %s.next = add i64 %s, 1
  br label %step
stepped:
  %round.next = add i64 %round, 1
  br label %again
whole.run:
  ret i1 false
stopped.run:
  ret i1 true
}

; A program in the floating-point mode that the pool asks for: how Python comes in. Nested programs are in it already.
define void @tf_repeat(ptr %frame, i64 %n_io) nounwind {
entry:
  %pool.p = getelementptr i8, ptr %frame, i64 16
  %pool = load ptr, ptr %pool.p
  %flush.p = getelementptr i8, ptr %pool, i64 FLUSH
  %flush = load i64, ptr %flush.p
  %flushes = icmp ne i64 %flush, 0
  br i1 %flushes, label %flushed, label %plain
flushed:
  %mode = call i64 @get_mode()
  %new = call i64 @flushing(i64 %mode)
  call void @set_mode(i64 %new)
  %r = call i1 @run(ptr %frame, i64 %n_io)
  call void @set_mode(i64 %mode)
  ret void
plain:
  %q = call i1 @run(ptr %frame, i64 %n_io)
  ret void
}

define void @tf_enter(ptr %frame) nounwind {
  call void @tf_repeat(ptr %frame, i64 0)
  ret void
}

; A nested program: its frame, how many io entries it has, and their first addresses, which stand in the caller's
; argument block (so that the caller's patches reach them) and are copied before each run.
define internal i1 @nested(ptr %frame, i64 %n_io, ptr %bases, ptr %pool, i64 %stepping) nounwind {
entry:
  %pool.p = getelementptr i8, ptr %frame, i64 16
  %io.p = getelementptr i8, ptr %frame, i64 40
  store ptr %pool, ptr %pool.p
  %io = load ptr, ptr %io.p
  %bytes = mul i64 %n_io, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %io, ptr %bases, i64 %bytes, i1 false)
  %stopped = call i1 @run(ptr %frame, i64 %stepping)
  ret i1 %stopped
}

; arguments: frame, n_io, addresses...
define void @tf_loop(ptr %arguments, ptr %pool) nounwind {
entry:
  %n.p = getelementptr i8, ptr %arguments, i64 8
  %bases = getelementptr i8, ptr %arguments, i64 16
  %frame = load ptr, ptr %arguments
  %n = load i64, ptr %n.p
  %r1 = call i1 @nested(ptr %frame, i64 %n, ptr %bases, ptr %pool, i64 %n)
  ret void
}

; Parts of the rows of a loop, each run by one core to its end, in memory of its own.
; arguments: pool (put there here), number of parts, words of a part, then of each part: frame, addresses...
define void @tf_rows(ptr %arguments, ptr %pool) nounwind {
entry:
  %parts.p = getelementptr i8, ptr %arguments, i64 8
  %parts = load i64, ptr %parts.p
  store ptr %pool, ptr %arguments
  call void @tf_parallel(ptr %pool, ptr @rows_of_part, ptr %arguments, i64 %parts)
  ret void
}

define internal void @rows_of_part(ptr %arguments, i64 %part, i64 %worker) nounwind {
entry:
  %words.p = getelementptr i8, ptr %arguments, i64 16
  %pool = load ptr, ptr %arguments
  %words = load i64, ptr %words.p
  %before = mul i64 %part, %words
  %at = add i64 %before, 3
  %frame.p = getelementptr i64, ptr %arguments, i64 %at
  %bases = getelementptr i8, ptr %frame.p, i64 8
  %frame = load ptr, ptr %frame.p
  %n = sub i64 %words, 1
  %r6 = call i1 @nested(ptr %frame, i64 %n, ptr %bases, ptr %pool, i64 %n)
  ret void
}

; arguments: predicate, frame if true, n_io, frame if false, n_io, addresses if true..., addresses if false...
define void @tf_branch(ptr %arguments, ptr %pool) nounwind {
entry:
  %yes.p = getelementptr i8, ptr %arguments, i64 8
  %n_yes.p = getelementptr i8, ptr %arguments, i64 16
  %no.p = getelementptr i8, ptr %arguments, i64 24
  %n_no.p = getelementptr i8, ptr %arguments, i64 32
  %bases = getelementptr i8, ptr %arguments, i64 40
  %predicate.p = load ptr, ptr %arguments
  %predicate = load i8, ptr %predicate.p
  %n_yes = load i64, ptr %n_yes.p
  %holds = icmp ne i8 %predicate, 0
  br i1 %holds, label %true, label %false
true:
  %yes = load ptr, ptr %yes.p
  %r2 = call i1 @nested(ptr %yes, i64 %n_yes, ptr %bases, ptr %pool, i64 0)
  ret void
false:
  %no = load ptr, ptr %no.p
  %n_no = load i64, ptr %n_no.p
  %skip = mul i64 %n_yes, 8
  %bases.no = getelementptr i8, ptr %bases, i64 %skip
  %r3 = call i1 @nested(ptr %no, i64 %n_no, ptr %bases.no, ptr %pool, i64 0)
  ret void
}

; arguments (a guard in the test or the body ends the loop): predicate, frame of the test, n_io, frame of the body, n_io, addresses of the test..., of the body...
define void @tf_while(ptr %arguments, ptr %pool) nounwind {
entry:
  %test.p = getelementptr i8, ptr %arguments, i64 8
  %n_test.p = getelementptr i8, ptr %arguments, i64 16
  %body.p = getelementptr i8, ptr %arguments, i64 24
  %n_body.p = getelementptr i8, ptr %arguments, i64 32
  %bases = getelementptr i8, ptr %arguments, i64 40
  %predicate.p = load ptr, ptr %arguments
  %test = load ptr, ptr %test.p
  %n_test = load i64, ptr %n_test.p
  %body = load ptr, ptr %body.p
  %n_body = load i64, ptr %n_body.p
  %skip = mul i64 %n_test, 8
  %bases.body = getelementptr i8, ptr %bases, i64 %skip
  br label %ask
ask:
  %r4 = call i1 @nested(ptr %test, i64 %n_test, ptr %bases, ptr %pool, i64 0)
  %predicate = load i8, ptr %predicate.p
  %holds = icmp ne i8 %predicate, 0
  %on = xor i1 %r4, true
  %goes = and i1 %holds, %on
  br i1 %goes, label %again, label %exit
again:
  %r5 = call i1 @nested(ptr %body, i64 %n_body, ptr %bases.body, ptr %pool, i64 0)
  br i1 %r5, label %exit, label %ask
exit:
  ret void
}
"""


def driver_ir(arch: str) -> str:
    """The module of the driver for an architecture, the first word of LLVM's triple."""
    text = _DRIVER_IR.replace("FLUSH", str(FIELDS["flush"])).replace("EVENTS", str(FIELDS["events"]))
    return PARALLEL_IR + mode_ir(arch) + timing_ir(arch) + library_ir(arch) + text


@functools.cache
def _driver() -> tuple[Any, Any, Executable]:
    code = engine().compile(driver_ir(engine().processor.arch))
    enter = code.function("tf_enter", ctypes.c_void_p)  # one argument: each costs a tenth of a microsecond
    return enter, code.function("tf_repeat", ctypes.c_void_p, ctypes.c_int64), code


def control_address(name: str) -> int:
    """A function of the driver for records: "loop", "rows", "branch" and "while", which run nested programs, and "alarm" (WHOLE);
    "library" (CHUNKED)."""
    return _driver()[2].address(f"tf_{name}")


class NativeProgram:
    """Records, patches and the io table of one program; `run()` is one native call.

    Args:
        records, patches: arrays of RECORD and PATCH. The memory they point to must outlive this object: `keep`.
        n_io: how many addresses change from call to call; `io[i]` is set by the caller before `run`.
        keep: what must stay alive (executables, argument blocks, arenas).
        parts: the nested programs.

    Attributes:
        enter, frame: `enter(frame)` is `run()` for a caller who has read `pool().address` himself.
    """

    def __init__(
        self,
        records: np.ndarray[Any, Any],
        patches: np.ndarray[Any, Any],
        n_io: int,
        keep: list[Any],
        parts: Sequence[NativeProgram] = (),
    ) -> None:
        self.records, self.parts = records, parts
        self.patches = patches
        self._io = np.zeros(max(n_io, 1), np.uint64)
        self.io = memoryview(self._io)  # type: ignore[arg-type] # an array is a buffer; quicker to write to one by one
        self.io_step = np.zeros(max(n_io, 1), np.int64)
        self._n_io = n_io
        self._keep = keep
        self._frame = np.zeros(1, FRAME)
        frame = self._frame[0]
        frame["records"], frame["n_records"] = address_of(records), len(records)
        frame["patches"], frame["n_patches"] = address_of(patches), len(patches)
        frame["io"], frame["io_step"] = address_of(self._io), address_of(self.io_step)
        self.frame = address_of(self._frame)  # what the driver receives, also for nesting this program in another
        frame["pool"] = pool().address
        self._repeat_field = self._frame["repeat"]
        self._repeat_field[0] = 1
        self.enter, self._run, self._code = _driver()
        self.enter_address = self._code.address("tf_enter")
        self.io_address = address_of(self._io)

    @property
    def repeat(self) -> int:
        """How often a nested run goes through the records."""
        return int(self._repeat_field[0])

    def set_repeat(self, times: int) -> None:
        """How often a nested run goes through the records."""
        self._repeat_field[0] = times

    def run_record(self, k: int) -> None:
        """Run one record alone; all records in order are one run. For profiles and for finding faults."""
        _ = pool().address  # which starts the workers
        frame = self._frame[0]
        frame["records"], frame["n_records"] = address_of(self.records) + k * RECORD.itemsize, 1
        try:
            self.enter(self.frame)
        finally:
            frame["records"], frame["n_records"] = address_of(self.records), len(self.records)

    def run(self, repeat: int = 1) -> None:
        """Run all records in order, `repeat` times."""
        _ = pool().address
        if repeat == 1:
            self.enter(self.frame)
            return
        self._repeat_field[0] = repeat
        self._run(self.frame, self._n_io)
        self._repeat_field[0] = 1
