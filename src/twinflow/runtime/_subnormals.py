"""Whether compiled code treats subnormal numbers as zero: a mode of the processor's floating-point unit.

Arithmetic on subnormal numbers (in float32 those below 1.2e-38) takes processors around a hundred cycles instead of one. They
arise wherever something decays: the moments of an optimizer behind a unit that is never active, the tail of a softmax, the
state of a gate. TensorFlow and XLA therefore compute without them.
"""

from __future__ import annotations

X86, ARM = ("x86_64", "amd64", "i386", "i686"), ("aarch64", "arm64")


def mode_ir(arch: str) -> str:
    """Text of the functions `get_mode` and `set_mode` for a module, and of `flushing(mode)` and `keeping(mode)`: the same mode
    with subnormals as zero, and as numbers.

    Where LLVM has no way to the mode (neither x86 nor AArch64), it is always 0, and subnormals are computed with.
    """
    if arch in X86:
        bits = 0x8040  # MXCSR: flush to zero, denormals are zero
        declare = "declare void @llvm.x86.sse.stmxcsr(ptr)\ndeclare void @llvm.x86.sse.ldmxcsr(ptr)"
        get = """
  %word = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %word)
  %bits = load i32, ptr %word
  %mode = zext i32 %bits to i64"""
        put = """
  %word = alloca i32
  %bits = trunc i64 %mode to i32
  store i32 %bits, ptr %word
  call void @llvm.x86.sse.ldmxcsr(ptr %word)"""
    elif arch in ARM:
        bits = 1 << 24  # FPCR: FZ
        declare = "declare i64 @llvm.aarch64.get.fpcr()\ndeclare void @llvm.aarch64.set.fpcr(i64)"
        get = "\n  %mode = call i64 @llvm.aarch64.get.fpcr()"
        put = "\n  call void @llvm.aarch64.set.fpcr(i64 %mode)"
    else:
        bits, declare, get, put = 0, "", "\n  %mode = add i64 0, 0", ""
    return f"""
{declare}

define internal i64 @get_mode() alwaysinline {{{get}
  ret i64 %mode
}}

define internal void @set_mode(i64 %mode) alwaysinline {{{put}
  ret void
}}

define internal i64 @flushing(i64 %mode) alwaysinline {{
  %flushed = or i64 %mode, {bits}
  ret i64 %flushed
}}

define internal i64 @keeping(i64 %mode) alwaysinline {{
  %kept = and i64 %mode, {~bits}
  ret i64 %kept
}}
"""


def can_flush(arch: str) -> bool:
    """Whether the mode can be set on this architecture."""
    return arch in X86 + ARM
