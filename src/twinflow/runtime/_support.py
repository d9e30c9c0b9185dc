"""Symbols that LLVM's code generators may call: copies of memory, and conversions that older processors lack.

Generated code calls no library of its own accord, but LLVM turns a loop that stores zeros into `memset`, and a
conversion to float16 or bfloat16 into a compiler-rt function where the processor has no instruction for it. The first
come from the C library; the second are written here, since a Python process need not have them.
"""

from __future__ import annotations

import ctypes
import functools
import sys

FROM_C_LIBRARY = ("memcpy", "memmove", "memset", "memcmp", "bzero", "fmod", "fmodf", "fma", "fmaf")
CONVERSIONS = ("__truncsfhf2", "__truncdfhf2", "__extendhfsf2", "__truncsfbf2", "__truncdfbf2")


@functools.cache
def c_library_addresses() -> dict[str, int]:
    """The address of each of FROM_C_LIBRARY that this system has."""
    if sys.platform == "win32":
        libraries = [ctypes.CDLL("ucrtbase"), ctypes.CDLL("vcruntime140")]
    else:
        libraries = [ctypes.CDLL(None)]
    found: dict[str, int] = {}
    for name in FROM_C_LIBRARY:
        for library in libraries:
            if hasattr(library, name):
                found[name] = ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    return found


# A double is first narrowed to float with the last bit "sticky" (round to odd), after which rounding to half or bfloat
# cannot round twice (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE TC 2008).
CONVERSIONS_IR = r"""
define float @narrow_to_odd(double %x) alwaysinline {
  %near = fptrunc double %x to float
  %back = fpext float %near to double
  %bits = bitcast float %near to i32
  %exact = fcmp oeq double %back, %x
  %nan = fcmp uno double %x, 0.0
  %odd = and i32 %bits, 1
  %is_odd = icmp ne i32 %odd, 0
  %keep0 = or i1 %exact, %nan
  %keep = or i1 %keep0, %is_odd
  %mag = call double @llvm.fabs.f64(double %x)
  %magback = call double @llvm.fabs.f64(double %back)
  %above = fcmp ogt double %magback, %mag
  %up = add i32 %bits, 1
  %down = sub i32 %bits, 1
  %other = select i1 %above, i32 %down, i32 %up
  %result = select i1 %keep, i32 %bits, i32 %other
  %f = bitcast i32 %result to float
  ret float %f
}
declare double @llvm.fabs.f64(double)

define i16 @half_bits(float %x) alwaysinline {
  %b = bitcast float %x to i32
  %sign0 = lshr i32 %b, 16
  %sign = and i32 %sign0, 32768
  %a = and i32 %b, 2147483647
  %nan = icmp ugt i32 %a, 2139095040
  %payload0 = lshr i32 %a, 13
  %payload1 = and i32 %payload0, 1023
  %payload = or i32 %payload1, 32256
  ; normal: rebias the exponent, then round the lowest 13 bits to nearest, ties to even
  %rebias = sub i32 %a, 939524096
  %lsb0 = lshr i32 %rebias, 13
  %lsb = and i32 %lsb0, 1
  %half = add i32 %rebias, 4095
  %rounded0 = add i32 %half, %lsb
  %normal = lshr i32 %rounded0, 13
  ; subnormal: adding 0.5 lets the float adder do the rounding at the right bit
  %mag = bitcast i32 %a to float
  %shifted = fadd float %mag, 0.5
  %shiftedbits = bitcast float %shifted to i32
  %subnormal = sub i32 %shiftedbits, 1056964608
  %is_sub = icmp ult i32 %a, 947912704
  %finite = select i1 %is_sub, i32 %subnormal, i32 %normal
  %overflow = icmp uge i32 %a, 1199566848
  %bounded = select i1 %overflow, i32 31744, i32 %finite
  %magnitude = select i1 %nan, i32 %payload, i32 %bounded
  %all = or i32 %magnitude, %sign
  %r = trunc i32 %all to i16
  ret i16 %r
}

define i16 @bfloat_bits(float %x) alwaysinline {
  %b = bitcast float %x to i32
  %a = and i32 %b, 2147483647
  %nan = icmp ugt i32 %a, 2139095040
  %high = lshr i32 %b, 16
  %quiet = or i32 %high, 64
  %lsb = and i32 %high, 1
  %half = add i32 %b, 32767
  %rounded0 = add i32 %half, %lsb
  %rounded = lshr i32 %rounded0, 16
  %all = select i1 %nan, i32 %quiet, i32 %rounded
  %r = trunc i32 %all to i16
  ret i16 %r
}

define half @__truncsfhf2(float %x) {
  %b = call i16 @half_bits(float %x)
  %r = bitcast i16 %b to half
  ret half %r
}
define half @__truncdfhf2(double %x) {
  %f = call float @narrow_to_odd(double %x)
  %b = call i16 @half_bits(float %f)
  %r = bitcast i16 %b to half
  ret half %r
}
define bfloat @__truncsfbf2(float %x) {
  %b = call i16 @bfloat_bits(float %x)
  %r = bitcast i16 %b to bfloat
  ret bfloat %r
}
define bfloat @__truncdfbf2(double %x) {
  %f = call float @narrow_to_odd(double %x)
  %b = call i16 @bfloat_bits(float %f)
  %r = bitcast i16 %b to bfloat
  ret bfloat %r
}
define float @__extendhfsf2(half %h) {
  %b16 = bitcast half %h to i16
  %b = zext i16 %b16 to i32
  %sign0 = and i32 %b, 32768
  %sign = shl i32 %sign0, 16
  %a = and i32 %b, 32767
  %moved = shl i32 %a, 13
  %special = icmp uge i32 %a, 31744
  %bias = select i1 %special, i32 1879048192, i32 939524096
  %normal0 = add i32 %moved, %bias
  %quiet = or i32 %normal0, 4194304
  %is_nan = icmp ugt i32 %a, 31744
  %normal = select i1 %is_nan, i32 %quiet, i32 %normal0
  ; subnormal: a x 2^-24 exactly
  %count = uitofp i32 %a to float
  %small = fmul float %count, 0x3E70000000000000
  %smallbits = bitcast float %small to i32
  %is_sub = icmp ult i32 %a, 1024
  %magnitude = select i1 %is_sub, i32 %smallbits, i32 %normal
  %all = or i32 %magnitude, %sign
  %f = bitcast i32 %all to float
  ret float %f
}
"""
