"""Vectors in generated code: masks, strided loads and stores, and conversion between floating types.

A mask says which lanes exist: None means all, an int the first so many (known at emission), an SSA name of type
``<lanes x i1>`` is decided at run time. Lanes that do not exist load as zero and are never touched in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from twinflow.compiler.contraction._text import NBYTES, Function, Value, suffix, vector

Mask: TypeAlias = int | str | None


def splat(f: Function, scalar: str, value: str, lanes: int) -> str:
    """A vector with the scalar in every lane."""
    kind = vector(scalar, lanes)
    one = f.op(f"insertelement {kind} poison, {scalar} {value}, i64 0")
    return f.op(f"shufflevector {kind} {one}, {kind} poison, <{lanes} x i32> zeroinitializer")


def iota(scalar: str, lanes: int, step: int = 1) -> str:
    """The constant vector 0, step, 2·step, ..."""
    return "<" + ", ".join(f"{scalar} {n * step}" for n in range(lanes)) + ">"


def tail_mask(f: Function, count: Value, first: int, lanes: int) -> Mask:
    """The mask of a vector whose lane 0 has index `first` when `count` elements exist.

    A count known at emission gives None or an int.
    """
    if isinstance(count, int):
        return None if count - first >= lanes else max(0, count - first)
    left = f.op(f"trunc i64 {f.sub(count, first)} to i32")
    return f.op(f"icmp slt <{lanes} x i32> {iota('i32', lanes)}, {splat(f, 'i32', left, lanes)}")


def lanes_where(there: Sequence[bool], lanes: int) -> Mask:
    """The mask of lanes known at emission; those beyond the sequence do not exist."""
    if all(there):
        return None if len(there) == lanes else len(there)
    return "<" + ", ".join(f"i1 {int(n < len(there) and there[n])}" for n in range(lanes)) + ">"


def _mask_text(mask: Mask, lanes: int) -> str:
    if mask is None:
        return "splat (i1 true)"
    if isinstance(mask, int):
        return "<" + ", ".join(f"i1 {int(n < mask)}" for n in range(lanes)) + ">"
    return mask


def load_scalar(f: Function, scalar: str, pointer: str) -> str:
    """Load one element."""
    return f.op(f"load {scalar}, ptr {pointer}, align {NBYTES[scalar]}")


def load(f: Function, scalar: str, pointer: str, lanes: int, stride: int = 1, mask: Mask = None) -> str:
    """Load a vector whose lanes lie `stride` elements apart; stride 0 repeats one element."""
    if stride == 0:
        return splat(f, scalar, load_scalar(f, scalar, pointer), lanes)
    kind, nbytes = vector(scalar, lanes), NBYTES[scalar]
    if mask == 0:
        return "zeroinitializer"
    if stride == 1 and mask is None:
        return f.op(f"load {kind}, ptr {pointer}, align {nbytes}")
    name, flags = suffix(scalar, lanes), f"<{lanes} x i1> {_mask_text(mask, lanes)}"
    if stride == 1:
        f.module.declare(f"llvm.masked.load.{name}.p0", kind, f"ptr, i32, <{lanes} x i1>, {kind}")
        return f.op(
            f"call {kind} @llvm.masked.load.{name}.p0(ptr {pointer}, i32 {nbytes}, {flags}, {kind} zeroinitializer)"
        )
    where = f.op(f"getelementptr {scalar}, ptr {pointer}, <{lanes} x i64> {iota('i64', lanes, stride)}")
    f.module.declare(f"llvm.masked.gather.{name}.v{lanes}p0", kind, f"<{lanes} x ptr>, i32, <{lanes} x i1>, {kind}")
    return f.op(
        f"call {kind} @llvm.masked.gather.{name}.v{lanes}p0(<{lanes} x ptr> {where}, i32 {nbytes}, {flags}, "
        f"{kind} zeroinitializer)"
    )


def store(f: Function, scalar: str, value: str, pointer: str, lanes: int, stride: int = 1, mask: Mask = None) -> None:
    """Store a vector whose lanes lie `stride` elements apart."""
    kind, nbytes = vector(scalar, lanes), NBYTES[scalar]
    if mask == 0:
        return
    if stride == 1 and mask is None:
        f.do(f"store {kind} {value}, ptr {pointer}, align {nbytes}")
        return
    name, flags = suffix(scalar, lanes), f"<{lanes} x i1> {_mask_text(mask, lanes)}"
    if stride == 1:
        f.module.declare(f"llvm.masked.store.{name}.p0", "void", f"{kind}, ptr, i32, <{lanes} x i1>")
        f.do(f"call void @llvm.masked.store.{name}.p0({kind} {value}, ptr {pointer}, i32 {nbytes}, {flags})")
        return
    where = f.op(f"getelementptr {scalar}, ptr {pointer}, <{lanes} x i64> {iota('i64', lanes, stride)}")
    f.module.declare(f"llvm.masked.scatter.{name}.v{lanes}p0", "void", f"{kind}, <{lanes} x ptr>, i32, <{lanes} x i1>")
    f.do(
        f"call void @llvm.masked.scatter.{name}.v{lanes}p0("
        f"{kind} {value}, <{lanes} x ptr> {where}, i32 {nbytes}, {flags})"
    )


def prefetch(f: Function, pointer: str, *, write: bool = False, near: bool = True) -> None:
    """Ask for the line that a pointer points to, into the first-level cache or, unless `near`, into the second.

    Any address will do: nothing happens where there is no memory.
    """
    f.module.declare("llvm.prefetch.p0", "void", "ptr, i32, i32, i32")
    f.do(f"call void @llvm.prefetch.p0(ptr {pointer}, i32 {int(write)}, i32 {3 if near else 2}, i32 1)")


def convert(f: Function, value: str, source: str, target: str, lanes: int, *, half: bool) -> str:
    """Convert a vector (or, with lanes 0, a scalar) between floating types, rounding to nearest even.

    The 16-bit types are converted by integer arithmetic where the processor has no instruction, because LLVM would
    otherwise call library functions that a kernel does not have.
    """
    if source == target or (value == "zeroinitializer" and lanes):
        return value
    kind = _Kind(f, lanes)
    if source == "bfloat":
        wide = kind.cast("zext", kind.cast("bitcast", value, "bfloat", "i16"), "i16", "i32")
        single = kind.cast("bitcast", kind.binary("shl", wide, 16), "i32", "float")
        return convert(f, single, "float", target, lanes, half=half)
    if source == "half":
        single = kind.cast("fpext", value, "half", "float") if half else _half_to_float(kind, value)
        return convert(f, single, "float", target, lanes, half=half)
    if target == "double":
        return kind.cast("fpext", value, source, target)
    if target == "float":
        return kind.cast("fptrunc", value, source, target)
    single = convert(f, value, source, "float", lanes, half=half)
    if target == "half":
        return kind.cast("fptrunc", single, "float", "half") if half else _float_to_half(kind, single)
    return _float_to_bfloat(kind, single)


class _Kind:
    """Integer and cast instructions on either a scalar (lanes 0) or a vector."""

    def __init__(self, f: Function, lanes: int) -> None:
        self.f, self.lanes = f, lanes

    def of(self, scalar: str) -> str:
        return vector(scalar, self.lanes) if self.lanes else scalar

    def constant(self, n: int | str) -> str:
        if isinstance(n, str):
            return n
        return f"splat (i32 {n})" if self.lanes else str(n)

    def cast(self, how: str, value: str, source: str, target: str) -> str:
        return self.f.op(f"{how} {self.of(source)} {value} to {self.of(target)}")

    def binary(self, how: str, a: str, b: int | str) -> str:
        return self.f.op(f"{how} {self.of('i32')} {a}, {self.constant(b)}")

    def select(self, condition: str, a: int | str, b: int | str) -> str:
        kind = self.of("i32")
        return self.f.op(f"select {self.of('i1')} {condition}, {kind} {self.constant(a)}, {kind} {self.constant(b)}")


def _float_to_bfloat(kind: _Kind, value: str) -> str:
    bits = kind.cast("bitcast", value, "float", "i32")
    odd = kind.binary("and", kind.binary("lshr", bits, 16), 1)
    rounded = kind.binary("lshr", kind.binary("add", kind.binary("add", bits, 0x7FFF), odd), 16)
    quiet = kind.binary("or", kind.binary("lshr", bits, 16), 0x40)  # rounding could turn a NaN into infinity
    is_nan = kind.f.op(f"fcmp uno {kind.of('float')} {value}, {value}")
    short = kind.cast("trunc", kind.select(is_nan, quiet, rounded), "i32", "i16")
    return kind.cast("bitcast", short, "i16", "bfloat")


def _half_to_float(kind: _Kind, value: str) -> str:
    bits = kind.cast("zext", kind.cast("bitcast", value, "half", "i16"), "i16", "i32")
    magnitude = kind.binary("shl", kind.binary("and", bits, 0x7FFF), 13)
    scale = "splat (float 0x46F0000000000000)" if kind.lanes else "0x46F0000000000000"  # 2^112: bias 127 − 15
    moved = kind.f.op(f"fmul {kind.of('float')} {kind.cast('bitcast', magnitude, 'i32', 'float')}, {scale}")
    special = kind.binary("icmp uge", magnitude, 0x0F800000)  # infinity and NaN keep their mantissa
    bits_moved = kind.cast("bitcast", moved, "float", "i32")
    chosen = kind.select(special, kind.binary("or", magnitude, 0x7F800000), bits_moved)
    sign = kind.binary("shl", kind.binary("and", bits, 0x8000), 16)
    return kind.cast("bitcast", kind.binary("or", chosen, sign), "i32", "float")


def _float_to_half(kind: _Kind, value: str) -> str:
    bits = kind.cast("bitcast", value, "float", "i32")
    magnitude = kind.binary("and", bits, 0x7FFFFFFF)
    is_nan = kind.binary("icmp ugt", magnitude, 0x7F800000)
    over = kind.select(is_nan, 0x7E00, 0x7C00)
    half = "splat (float 5.0e-01)" if kind.lanes else "5.0e-01"  # adding ½ aligns the mantissa of a subnormal half
    shifted = kind.f.op(f"fadd {kind.of('float')} {kind.cast('bitcast', magnitude, 'i32', 'float')}, {half}")
    under = kind.binary("sub", kind.cast("bitcast", shifted, "float", "i32"), 0x3F000000)
    odd = kind.binary("and", kind.binary("lshr", magnitude, 13), 1)
    rebiased = kind.binary("add", kind.binary("add", magnitude, 0xC8000FFF - (1 << 32)), odd)
    normal = kind.binary("lshr", rebiased, 13)
    small = kind.select(kind.binary("icmp ult", magnitude, 0x38800000), under, normal)
    finite = kind.select(kind.binary("icmp uge", magnitude, 0x47800000), over, small)
    signed = kind.binary("or", finite, kind.binary("lshr", kind.binary("and", bits, -0x80000000), 16))
    return kind.cast("bitcast", kind.cast("trunc", signed, "i32", "i16"), "i16", "half")


def load_transposed(f: Function, source: str, target: str, pointers: list[str], *, half: bool) -> list[str]:
    """Load 128 bits (of the target type) from each pointer, and give their columns: vectors with a lane for each pointer.

    Rows are put side by side, 128 bits each, such that columns come from interleaving within 128 bits: such shuffles
    are cheap to do and, above all, cheap to compile.
    """
    few, n = 16 // NBYTES[target], len(pointers)
    loaded = [load(f, source, p, few) for p in pointers]
    loaded = [convert(f, row, source, target, few, half=half) for row in loaded]
    kind = vector(target, n)
    rows = [_side_by_side(f, target, loaded[r::few], few) for r in range(few)]
    orders = []
    for half_way in (0, few // 2):
        lanes = [g + half_way + i // 2 + n * (i % 2) for g in range(0, n, few) for i in range(few)]
        orders.append(", ".join(f"i32 {lane}" for lane in lanes))
    for _ in range(few.bit_length() - 1):
        rows = [
            f.op(f"shufflevector {kind} {rows[i]}, {kind} {rows[i + few // 2]}, <{n} x i32> <{order}>")
            for i in range(few // 2)
            for order in orders
        ]
    return rows


def _side_by_side(f: Function, scalar: str, parts: list[str], lanes: int) -> str:
    """One vector of several, each of so many lanes; their number is a power of two."""
    while len(parts) > 1:
        kind, order = vector(scalar, lanes), ", ".join(f"i32 {i}" for i in range(2 * lanes))
        parts = [
            f.op(f"shufflevector {kind} {a}, {kind} {b}, <{2 * lanes} x i32> <{order}>")
            for a, b in zip(parts[::2], parts[1::2])
        ]
        lanes *= 2
    return parts[0]


def transposed(f: Function, scalar: str, rows: list[str]) -> list[str]:
    """The columns of a square block whose rows are vectors: as many as a power of two.

    log2(n) rounds, each of which swaps blocks half as large as the one before.
    """
    n = len(rows)
    kind, size = vector(scalar, n), n // 2
    while size:
        out = list(rows)
        for first in range(n):
            if first & size:
                continue
            low = [i if not i & size else n + i - size for i in range(n)]
            high = [i + size if not i & size else n + i for i in range(n)]
            for index, chosen in ((first, low), (first + size, high)):
                order = "<" + ", ".join(f"i32 {i}" for i in chosen) + ">"
                both = f"{kind} {rows[first]}, {kind} {rows[first + size]}"
                out[index] = f.op(f"shufflevector {both}, <{n} x i32> {order}")
        rows, size = out, size // 2
    return rows
