"""Numbers too small for a full mantissa count as zero while kernels run.

A processor takes a hundred times as long for an operation with such a number, and training makes many of them: moments and
gradients of what no longer changes decay until they are subnormal. In float32 they are below 1.2e-38.
"""

from __future__ import annotations

_X86 = (
    """
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)

define internal i64 @float_mode() alwaysinline {
  %place = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %place)
  %mode = load i32, ptr %place
  %wide = zext i32 %mode to i64
  ret i64 %wide
}
define internal void @set_float_mode(i64 %wide) alwaysinline {
  %place = alloca i32
  %mode = trunc i64 %wide to i32
  store i32 %mode, ptr %place
  call void @llvm.x86.sse.ldmxcsr(ptr %place)
  ret void
}
""",
    0x8040,  # flush results to zero, and take operands for zero
)
_ARM = (
    """
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)

define internal i64 @float_mode() alwaysinline {
  %mode = call i64 @llvm.aarch64.get.fpcr()
  ret i64 %mode
}
define internal void @set_float_mode(i64 %mode) alwaysinline {
  call void @llvm.aarch64.set.fpcr(i64 %mode)
  ret void
}
""",
    1 << 24,
)
_OTHER = (
    """
define internal i64 @float_mode() alwaysinline {
  ret i64 0
}
define internal void @set_float_mode(i64 %mode) alwaysinline {
  ret void
}
""",
    0,
)


def subnormals_ir(arch: str) -> str:
    """Text for a module of this architecture (the first word of LLVM's triple): `@float_mode` and `@set_float_mode` read and
    write how the thread computes, and `@flush_subnormals` and `@keep_subnormals` change that."""
    text, bits = _X86 if arch == "x86_64" else _ARM if arch in ("aarch64", "arm64") else _OTHER
    return f"""{text}
define internal void @flush_subnormals() alwaysinline {{
  %mode = call i64 @float_mode()
  %flushing = or i64 %mode, {bits}
  call void @set_float_mode(i64 %flushing)
  ret void
}}
define internal void @keep_subnormals() alwaysinline {{
  %mode = call i64 @float_mode()
  %keeping = and i64 %mode, {~bits}
  call void @set_float_mode(i64 %keeping)
  ret void
}}
"""
