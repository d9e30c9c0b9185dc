"""NumPy's own loops for linear algebra and Fourier transforms, called by programs without Python.

A generalised ufunc keeps its loops, and what each wants to be given, in tables whose place in the object NumPy's header
`ufuncobject.h` fixes for extensions. A loop works on addresses, takes no lock of Python's, and says that it failed by
the processor's flag for invalid operations, as `numpy.linalg` reads it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import sys
from typing import Any, NamedTuple

import numpy as np

from twinflow.runtime._processor import host_processor
from twinflow.runtime._subnormals import ARM, X86

_MODULES = {"linalg": "numpy.linalg._umath_linalg", "fft": "numpy.fft._pocketfft_umath"}
MOST_OPERANDS = 4
_MOST_DIMS, _MOST_STEPS = 8, 16  # with the one of the outer loop
HEAD = 10
"""Words of an argument block of `tf_library` before the operands' addresses. They are: the loop and what it is given,
by address; how many operands, core dimensions and core strides there are; the items of a run, of all runs, and of a chunk;
where the alarm lies (0: the loop cannot fail) and what is written there. After the addresses come, for each operand, the
bytes from item to item and from run to run; the core dimensions; the core strides."""

_X86_FLAGS = """
define internal void @clear_flags() alwaysinline {
  %word = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %word)
  %bits = load i32, ptr %word
  %clear = and i32 %bits, -64
  store i32 %clear, ptr %word
  call void @llvm.x86.sse.ldmxcsr(ptr %word)
  ret void
}

define internal i1 @is_invalid() alwaysinline {
  %word = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %word)
  %bits = load i32, ptr %word
  %flag = trunc i32 %bits to i1
  ret i1 %flag
}
"""
_ARM_FLAGS = """
declare i64 @llvm.aarch64.get.fpsr()
declare void @llvm.aarch64.set.fpsr(i64)

define internal void @clear_flags() alwaysinline {
  call void @llvm.aarch64.set.fpsr(i64 0)
  ret void
}

define internal i1 @is_invalid() alwaysinline {
  %bits = call i64 @llvm.aarch64.get.fpsr()
  %flag = trunc i64 %bits to i1
  ret i1 %flag
}
"""
_NO_FLAGS = """
define internal void @clear_flags() alwaysinline {
  ret void
}

define internal i1 @is_invalid() alwaysinline {
  ret i1 false
}
"""
_IR = """
; An alarm is a byte that guards read, and 8 bytes after it the number of what went wrong.
define internal void @raise_alarm(ptr %alarm, i64 %number) {
  %number.p = getelementptr i8, ptr %alarm, i64 8
  store atomic i64 %number, ptr %number.p monotonic, align 8
  store atomic i8 1, ptr %alarm release, align 1
  ret void
}

; arguments: alarm, its number, the flag that must be true
define void @tf_alarm(ptr %arguments, ptr %pool) nounwind {
entry:
  %number.p = getelementptr i8, ptr %arguments, i64 8
  %flag.pp = getelementptr i8, ptr %arguments, i64 16
  %alarm = load ptr, ptr %arguments
  %number = load i64, ptr %number.p
  %flag.p = load ptr, ptr %flag.pp
  %flag = load i8, ptr %flag.p
  %holds = icmp ne i8 %flag, 0
  br i1 %holds, label %out, label %sound
sound:
  call void @raise_alarm(ptr %alarm, i64 %number)
  br label %out
out:
  ret void
}

define void @tf_library(ptr %block, i64 %chunk, i64 %worker) nounwind {
entry:
  %args = alloca [OPERANDS x ptr]
  %dims = alloca [DIMS x i64]
  %steps = alloca [STEPS x i64]
HEADER
  %count4 = mul i64 %n, 8
  %moves = getelementptr i8, ptr %operands, i64 %count4
  %jumps = getelementptr i8, ptr %moves, i64 %count4
  %core = getelementptr i8, ptr %jumps, i64 %count4
  %dims.nbytes = mul i64 %n_dims, 8
  %strides = getelementptr i8, ptr %core, i64 %dims.nbytes
  %strides.nbytes = mul i64 %n_steps, 8
  %dims.core = getelementptr i8, ptr %dims, i64 8
  call void @llvm.memcpy.p0.p0.i64(ptr %dims.core, ptr %core, i64 %dims.nbytes, i1 false)
  call void @llvm.memcpy.p0.p0.i64(ptr %steps, ptr %moves, i64 %count4, i1 false)
  %steps.core = getelementptr i8, ptr %steps, i64 %count4
  call void @llvm.memcpy.p0.p0.i64(ptr %steps.core, ptr %strides, i64 %strides.nbytes, i1 false)
  %start = mul i64 %chunk, %each
  %stop.all = add i64 %start, %each
  %stop = call i64 @llvm.smin.i64(i64 %stop.all, i64 %total)
  %own = call i64 @get_mode()
  %theirs = call i64 @keeping(i64 %own)
  call void @set_mode(i64 %theirs)
  call void @clear_flags()
  br label %again
again:
  %i = phi i64 [%start, %entry], [%i.next, %ready]
  %more = icmp slt i64 %i, %stop
  br i1 %more, label %place, label %done
place:
  %group = sdiv i64 %i, %run
  %within = srem i64 %i, %run
  %left.run = sub i64 %run, %within
  %left.all = sub i64 %stop, %i
  %count = call i64 @llvm.smin.i64(i64 %left.run, i64 %left.all)
  store i64 %count, ptr %dims
  br label %operand
operand:
  %k = phi i64 [0, %place], [%k.next, %operand]
  %from.p = getelementptr ptr, ptr %operands, i64 %k
  %move.p = getelementptr i64, ptr %moves, i64 %k
  %jump.p = getelementptr i64, ptr %jumps, i64 %k
  %from = load ptr, ptr %from.p
  %move = load i64, ptr %move.p
  %jump = load i64, ptr %jump.p
  %far = mul i64 %group, %jump
  %near = mul i64 %within, %move
  %offset = add i64 %far, %near
  %at = getelementptr i8, ptr %from, i64 %offset
  %to.p = getelementptr ptr, ptr %args, i64 %k
  store ptr %at, ptr %to.p
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, %n
  br i1 %k.more, label %operand, label %ready
ready:
  call void %loop(ptr %args, ptr %dims, ptr %steps, ptr %data)
  %i.next = add i64 %i, %count
  br label %again
done:
  %failed = call i1 @is_invalid()
  call void @set_mode(i64 %own)
  %alarmed = icmp ne ptr %alarm, null
  %tell = and i1 %failed, %alarmed
  br i1 %tell, label %sound, label %out
sound:
  call void @raise_alarm(ptr %alarm, i64 %number)
  br label %out
out:
  ret void
}

declare i64 @llvm.smin.i64(i64, i64)
"""
_WORDS = ("loop", "data", "n", "n_dims", "n_steps", "run", "total", "each", "alarm", "number")
_POINTERS = ("loop", "data", "alarm")


def library_ir(arch: str) -> str:
    """Text of `tf_library` and `tf_alarm`, for a module that has `mode_ir(arch)`."""
    header = []
    for k, name in enumerate(_WORDS):
        type_ = "ptr" if name in _POINTERS else "i64"
        header.append(f"  %{name}.p = getelementptr i8, ptr %block, i64 {8 * k}")
        header.append(f"  %{name} = load {type_}, ptr %{name}.p")
    header.append(f"  %operands = getelementptr i8, ptr %block, i64 {8 * HEAD}")
    text = _IR.replace("HEADER", "\n".join(header)).replace("OPERANDS", str(MOST_OPERANDS))
    text = text.replace("DIMS", str(_MOST_DIMS)).replace("STEPS", str(_MOST_STEPS))
    return (_X86_FLAGS if arch in X86 else _ARM_FLAGS if arch in ARM else _NO_FLAGS) + text


class Loop(NamedTuple):
    """A loop of a ufunc: its address, what it is given, and the core dimensions of its operands, results included."""

    function: int
    data: int
    core: tuple[tuple[str, ...], ...]


class _UFunc(ctypes.Structure):
    """The head of `PyUFuncObject`."""

    _fields_ = [
        ("object", ctypes.c_char * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_void_p),
        ("types", ctypes.c_void_p),
    ]


def ufunc_of(name: str) -> Any:
    """The ufunc of a loop's name, such as "linalg.solve:dd->d"; None if this NumPy has none of that name."""
    module, _, rest = name.partition(".")
    try:
        return getattr(importlib.import_module(_MODULES[module]), rest.partition(":")[0], None)
    except ImportError:
        return None


@functools.cache
def find_loop(name: str) -> Loop | None:
    """The loop with a name such as "linalg.solve:dd->d"; None where programs cannot call it.

    The object must read as its header says: counts, and the types of every loop, equal what Python is told of them.
    """
    arch = host_processor().arch
    if sys.implementation.name != "cpython" or arch not in X86 + ARM:
        return None
    ufunc, types = ufunc_of(name), name.partition(":")[2]
    if ufunc is None or ufunc.signature is None or types not in ufunc.types:
        return None
    head = _UFunc.from_address(id(ufunc))
    if (head.nin, head.nout, head.nargs, head.ntypes) != (ufunc.nin, ufunc.nout, ufunc.nargs, ufunc.ntypes):
        return None
    told = bytes(np.dtype(c).num for loop in ufunc.types for c in loop.replace("->", ""))
    if not head.types or ctypes.string_at(head.types, len(told)) != told or ufunc.nargs > MOST_OPERANDS:
        return None
    k = ufunc.types.index(types)
    core = tuple(
        tuple(d.strip() for d in part.split(",") if d.strip())
        for part in ufunc.signature.replace("->", ",")[1:-1].split("),(")
    )
    return Loop(head.functions[k] or 0, (head.data[k] or 0) if head.data else 0, core)
