"""A builder of LLVM IR text: values that know their dtype, vectors of any number of lanes, structured loops.

Text is several times faster to build than an object model of the module, and it is what the kernel cache hashes.
Dtypes are the framework's names ("float32", "uint8", "bool", ...); a value with `lanes` = 1 is a scalar.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

ITEMSIZE = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
}
"""Bytes of one stored element of each dtype."""

FLOATS = ("float32", "float64")
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED

# The type a value has in registers. float16 and bfloat16 exist in memory only: they are computed with as float32.
REGISTER = {"bool": "i1", "float32": "float", "float64": "double", "float16": "half", "ptr": "ptr"}
REGISTER |= {name: f"i{8 * ITEMSIZE[name]}" for name in INTEGERS}


class Value(NamedTuple):
    """An SSA value or constant: its LLVM text, its dtype and its number of lanes (1: a scalar)."""

    text: str
    dtype: str
    lanes: int = 1

    @property
    def type(self) -> str:
        """LLVM's name of the value's type."""
        return llvm_type(self.dtype, self.lanes)


def llvm_type(dtype: str, lanes: int = 1) -> str:
    """LLVM's name of a scalar (lanes = 1) or vector type."""
    return REGISTER[dtype] if lanes == 1 else f"<{lanes} x {REGISTER[dtype]}>"


@dataclass(frozen=True)
class Target:
    """What the emitters need to know of a processor.

    Args:
        vector_bytes: width of its vector registers.
        fma: a fused multiply-add is one instruction.
        rounding: floor and its relatives are instructions (SSE4.1 and later; not baseline x86-64).
        masks: masked loads and stores of every element type are cheap (AVX-512).
        gather: gathers of 4- and 8-byte elements are instructions.
        half: conversion between float16 and float32 is an instruction.
        scalef: x·2^⌊n⌋ with floats is an instruction (AVX-512).
    """

    vector_bytes: int = 16
    fma: bool = False
    rounding: bool = False
    masks: bool = False
    gather: bool = False
    half: bool = False
    scalef: bool = False

    @classmethod
    def from_features(cls, features: str, arch: str = "x86_64") -> "Target":
        """Read an LLVM feature string such as "+avx2,+fma,-avx512f"."""
        have = {name[1:] for name in features.split(",") if name.startswith("+")}
        if arch.startswith(("aarch64", "arm64")):
            return cls(16, fma=True, rounding=True, half=True)
        avx512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= have
        vector_bytes = 64 if avx512 else 32 if "avx2" in have else 16
        return cls(
            vector_bytes,
            fma="fma" in have or avx512,
            rounding="sse4.1" in have or vector_bytes > 16,
            masks=avx512,
            gather=vector_bytes > 16,
            half="f16c" in have or avx512,
            scalef=avx512,
        )


@dataclass
class Module:
    """The text of a module under construction: functions, globals and the declarations they need."""

    target: Target
    functions: dict[str, str] = field(default_factory=dict)
    globals: dict[str, str] = field(default_factory=dict)
    declarations: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [*self.globals.values(), *self.functions.values(), *self.declarations.values()]
        return "\n".join(parts) + "\n"

    def define(
        self,
        name: str,
        parameters: str,
        emit: "Callable[[Builder], None]",
        *,
        returns: str = "void",
        internal: bool = False,
    ) -> str:
        """Add `returns @name(parameters)` once; `emit` writes its body. Returns the name."""
        if name not in self.functions:
            self.functions[name] = ""  # a body that asks for itself again finds it there
            b = Builder(self)
            emit(b)
            linkage = "internal " if internal else ""
            body = "\n".join(b.lines)
            self.functions[name] = f"define {linkage}{returns} @{name}({parameters}) nounwind {{\nentry:\n{body}\n}}\n"
        return name


class Builder:
    """Appends instructions to one function. Every method returns the new `Value`.

    >>> b = Builder(Module(Target()))
    >>> x = Value("%x", "float32", 4)
    >>> b.fmul(x, b.const(2.0, "float32", 4)).type
    '<4 x float>'
    >>> b.lines
    ['  %v1 = fmul <4 x float> %x, splat (float 0x4000000000000000)']
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.target = module.target
        self.lines: list[str] = []
        self.block = "entry"
        self._count = 0

    # Names and lines

    def fresh(self, stem: str = "v") -> str:
        """A name not used before in this function."""
        self._count += 1
        return f"{stem}{self._count}"

    def emit(self, text: str, dtype: str, lanes: int = 1) -> Value:
        """Append `%new = text`."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {text}")
        return Value(name, dtype, lanes)

    def do(self, text: str) -> None:
        """Append an instruction without a result."""
        self.lines.append("  " + text)

    def call(self, name: str, dtype: str, lanes: int, *args: Value, immediates: Sequence[str] = ()) -> Value:
        """Call an intrinsic or function that returns a value, declaring it."""
        result = llvm_type(dtype, lanes)
        self._declare(name, result, args, immediates)
        given = ", ".join([f"{a.type} {a.text}" for a in args] + list(immediates))
        return self.emit(f"call {result} @{name}({given})", dtype, lanes)

    def _declare(self, name: str, result: str, args: Sequence[Value], immediates: Sequence[str]) -> None:
        if name not in self.module.declarations and name not in self.module.functions:
            types = ", ".join([a.type for a in args] + [i.split()[0] for i in immediates])
            self.module.declarations[name] = f"declare {result} @{name}({types})"

    def intrinsic(self, stem: str, like: Value, *args: Value, immediates: Sequence[str] = ()) -> Value:
        """Call `llvm.stem` overloaded on the type of `like`, which is also the result's."""
        return self.call(f"llvm.{stem}.{mangled(like)}", like.dtype, like.lanes, *args, immediates=immediates)

    # Constants and lanes

    def const(self, value: float | int | bool, dtype: str, lanes: int = 1) -> Value:
        """A constant, the same in every lane."""
        text = constant_text(value, dtype)
        return Value(text if lanes == 1 else f"splat ({REGISTER[dtype]} {text})", dtype, lanes)

    def like(self, value: float | int | bool, x: Value) -> Value:
        """A constant of the dtype and lanes of `x`."""
        return self.const(value, x.dtype, x.lanes)

    def bits(self, pattern: int, dtype: str, lanes: int) -> Value:
        """A float constant by its bit pattern."""
        code = {"float32": ("<I", "<f"), "float64": ("<Q", "<d")}[dtype]
        return self.const(struct.unpack(code[1], struct.pack(code[0], pattern))[0], dtype, lanes)

    def splat(self, x: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if x.lanes == lanes:
            return x
        if not x.text.startswith("%"):
            return Value(f"splat ({REGISTER[x.dtype]} {x.text})", x.dtype, lanes)
        vector = llvm_type(x.dtype, lanes)
        one = self.emit(f"insertelement {vector} poison, {x.type} {x.text}, i64 0", x.dtype, lanes)
        return self.emit(
            f"shufflevector {vector} {one.text}, {vector} poison, <{lanes} x i32> zeroinitializer", x.dtype, lanes
        )

    def iota(self, dtype: str, lanes: int) -> Value:
        """0, 1, 2, … in the lanes."""
        if lanes == 1:
            return self.const(0, dtype)
        element = REGISTER[dtype]
        return Value("<" + ", ".join(f"{element} {i}" for i in range(lanes)) + ">", dtype, lanes)

    def extract(self, x: Value, lane: int | Value) -> Value:
        """One lane as a scalar."""
        if x.lanes == 1:
            return x
        index = lane.text if isinstance(lane, Value) else str(lane)
        return self.emit(f"extractelement {x.type} {x.text}, i64 {index}", x.dtype)

    def shuffle(self, x: Value, lanes: Sequence[int]) -> Value:
        """Pick lanes of x in a fixed order."""
        picks = ", ".join(f"i32 {i}" for i in lanes)
        n = len(lanes)
        if n == 1:
            return self.extract(x, lanes[0])
        return self.emit(f"shufflevector {x.type} {x.text}, {x.type} poison, <{n} x i32> <{picks}>", x.dtype, n)

    # Arithmetic

    def _binary(self, op: str, x: Value, y: Value) -> Value:
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {op} {x.type} {x.text}, {y.text}")
        return Value(name, x.dtype, x.lanes)

    def fadd(self, x: Value, y: Value) -> Value:
        """x + y."""
        return self._binary("fadd", x, y)

    def fsub(self, x: Value, y: Value) -> Value:
        """x - y."""
        return self._binary("fsub", x, y)

    def fmul(self, x: Value, y: Value) -> Value:
        """x * y."""
        return self._binary("fmul", x, y)

    def fdiv(self, x: Value, y: Value) -> Value:
        """x / y."""
        return self._binary("fdiv", x, y)

    def fneg(self, x: Value) -> Value:
        """-x, also of zeros and NaN."""
        return self.emit(f"fneg {x.type} {x.text}", x.dtype, x.lanes)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once where the processor can, else twice."""
        if self.target.fma:
            return self.intrinsic("fma", x, x, y, z)
        return self.fadd(self.fmul(x, y), z)

    def fabs(self, x: Value) -> Value:
        """|x|."""
        return self.intrinsic("fabs", x, x)

    def copysign(self, x: Value, sign: Value) -> Value:
        """|x| with the sign of the other value."""
        return self.intrinsic("copysign", x, x, sign)

    def sqrt(self, x: Value) -> Value:
        """√x, correctly rounded."""
        return self.intrinsic("sqrt", x, x)

    def add(self, x: Value, y: Value) -> Value:
        """Integer x + y, modulo 2^bits."""
        return self._binary("add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        """Integer x - y, modulo 2^bits."""
        return self._binary("sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        """Integer x * y, modulo 2^bits."""
        return self._binary("mul", x, y)

    def and_(self, x: Value, y: Value) -> Value:
        """Bitwise and."""
        return self._binary("and", x, y)

    def or_(self, x: Value, y: Value) -> Value:
        """Bitwise or."""
        return self._binary("or", x, y)

    def xor(self, x: Value, y: Value) -> Value:
        """Bitwise exclusive or."""
        return self._binary("xor", x, y)

    def not_(self, x: Value) -> Value:
        """Bitwise complement."""
        return self._binary("xor", x, self.const(-1, x.dtype, x.lanes))

    def shl(self, x: Value, y: Value) -> Value:
        """x << y for 0 <= y < bits."""
        return self._binary("shl", x, y)

    def lshr(self, x: Value, y: Value) -> Value:
        """x >> y, filling with zeros, for 0 <= y < bits."""
        return self._binary("lshr", x, y)

    def ashr(self, x: Value, y: Value) -> Value:
        """x >> y, filling with the sign, for 0 <= y < bits."""
        return self._binary("ashr", x, y)

    def binary(self, op: str, x: Value, y: Value) -> Value:
        """Any other two-operand instruction of one type."""
        return self._binary(op, x, y)

    def fcmp(self, predicate: str, x: Value, y: Value) -> Value:
        """Float comparison: oeq, olt, ..., une, uno (unordered ones are true for NaN)."""
        return self.emit(f"fcmp {predicate} {x.type} {x.text}, {y.text}", "bool", x.lanes)

    def icmp(self, predicate: str, x: Value, y: Value) -> Value:
        """Integer comparison: eq, ne, slt, ult, ..."""
        return self.emit(f"icmp {predicate} {x.type} {x.text}, {y.text}", "bool", x.lanes)

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        """x where the condition holds, else y."""
        return self.emit(
            f"select {condition.type} {condition.text}, {x.type} {x.text}, {y.type} {y.text}", x.dtype, x.lanes
        )

    def convert(self, op: str, x: Value, dtype: str) -> Value:
        """One conversion instruction: bitcast, sext, zext, trunc, fpext, fptrunc, sitofp, ..."""
        return self.emit(f"{op} {x.type} {x.text} to {llvm_type(dtype, x.lanes)}", dtype, x.lanes)

    def any(self, mask: Value) -> Value:
        """Whether any lane of a bool vector holds, as a scalar bool."""
        if mask.lanes == 1:
            return mask
        return self.call(f"llvm.vector.reduce.or.{mangled(mask)}", "bool", 1, mask)

    # Memory

    def address(self, base: Value, index: Value, itemsize: int) -> Value:
        """base + index * itemsize; a vector of addresses if the index is a vector."""
        return self.emit(
            f"getelementptr i{8 * itemsize}, ptr {base.text}, {index.type} {index.text}", "ptr", index.lanes
        )

    def load(self, pointer: Value, dtype: str, lanes: int = 1) -> Value:
        """Load consecutive elements, aligned as elements are."""
        type_ = llvm_type(dtype, lanes)
        return self.emit(f"load {type_}, ptr {pointer.text}, align {ITEMSIZE.get(dtype, 8)}", dtype, lanes)

    def store(self, x: Value, pointer: Value) -> None:
        """Store consecutive elements."""
        self.do(f"store {x.type} {x.text}, ptr {pointer.text}, align {ITEMSIZE.get(x.dtype, 8)}")

    def masked_load(self, pointer: Value, mask: Value, other: Value) -> Value:
        """Load the lanes whose mask holds; the rest take `other`."""
        name = f"llvm.masked.load.{mangled(other)}.p0"
        self.module.declarations[name] = f"declare {other.type} @{name}(ptr, i32, {mask.type}, {other.type})"
        return self.emit(
            f"call {other.type} @{name}(ptr {pointer.text}, i32 {ITEMSIZE[other.dtype]},"
            f" {mask.type} {mask.text}, {other.type} {other.text})",
            other.dtype,
            other.lanes,
        )

    def masked_store(self, x: Value, pointer: Value, mask: Value) -> None:
        """Store the lanes whose mask holds."""
        name = f"llvm.masked.store.{mangled(x)}.p0"
        self.module.declarations[name] = f"declare void @{name}({x.type}, ptr, i32, {mask.type})"
        self.do(
            f"call void @{name}({x.type} {x.text}, ptr {pointer.text}, i32 {ITEMSIZE[x.dtype]},"
            f" {mask.type} {mask.text})"
        )

    def gather(self, pointers: Value, mask: Value, other: Value) -> Value:
        """Load one element from each address whose mask holds; the rest take `other`."""
        name = f"llvm.masked.gather.{mangled(other)}.v{other.lanes}p0"
        self.module.declarations[name] = (
            f"declare {other.type} @{name}({pointers.type}, i32, {mask.type}, {other.type})"
        )
        return self.emit(
            f"call {other.type} @{name}({pointers.type} {pointers.text}, i32 {ITEMSIZE[other.dtype]},"
            f" {mask.type} {mask.text}, {other.type} {other.text})",
            other.dtype,
            other.lanes,
        )

    def scatter(self, x: Value, pointers: Value, mask: Value) -> None:
        """Store each lane whose mask holds at its own address, in the order of the lanes."""
        name = f"llvm.masked.scatter.{mangled(x)}.v{x.lanes}p0"
        self.module.declarations[name] = f"declare void @{name}({x.type}, {pointers.type}, i32, {mask.type})"
        self.do(
            f"call void @{name}({x.type} {x.text}, {pointers.type} {pointers.text}, i32 {ITEMSIZE[x.dtype]},"
            f" {mask.type} {mask.text})"
        )

    # Control flow

    def label(self, name: str) -> None:
        """Start a block."""
        self.lines.append(f"{name}:")
        self.block = name

    def jump(self, name: str) -> None:
        """Go to a block."""
        self.do(f"br label %{name}")

    def branch(self, condition: Value, yes: str, no: str) -> None:
        """Go to one of two blocks."""
        self.do(f"br i1 {condition.text}, label %{yes}, label %{no}")

    def loop(
        self,
        start: Value,
        stop: Value,
        step: int,
        carried: Sequence[Value],
        body: Callable[[Value, list[Value]], Sequence[Value]],
        *,
        runs: bool = False,
    ) -> list[Value]:
        """for i in range(start, stop, step): carried = body(i, carried); returns what was carried.

        With `runs` the loop is known to run at least once and is tested at its end only.
        """
        name = self.fresh("loop")
        before, head, done = self.block, name, f"{name}.done"
        if not runs:
            self.branch(self.icmp("slt", start, stop), head, done)
        else:
            self.jump(head)
        self.label(head)
        phis = [Value(f"%{name}.{k}", c.dtype, c.lanes) for k, c in enumerate((start, *carried))]
        at = len(self.lines)
        self.lines.extend([""] * len(phis))
        results = body(phis[0], phis[1:])
        following = self.add(phis[0], self.const(step, start.dtype))
        again = self.icmp("slt", following, stop)
        latch = self.block
        for k, (phi, first, last) in enumerate(zip(phis, (start, *carried), (following, *results))):
            self.lines[at + k] = f"  {phi.text} = phi {phi.type} [{first.text}, %{before}], [{last.text}, %{latch}]"
        self.branch(again, head, done)
        self.label(done)
        if runs:
            return list(results)
        merged = []
        for first, last in zip(carried, results):
            merged.append(
                self.emit(f"phi {last.type} [{first.text}, %{before}], [{last.text}, %{latch}]", last.dtype, last.lanes)
            )
        return merged

    def when(self, condition: Value, body: Callable[[], None]) -> None:
        """Run `body` only if a scalar condition holds; it yields no value."""
        name = self.fresh("when")
        self.branch(condition, name, f"{name}.done")
        self.label(name)
        body()
        self.jump(f"{name}.done")
        self.label(f"{name}.done")


def mangled(x: Value) -> str:
    """The suffix LLVM gives to an intrinsic overloaded on the type of x."""
    element = {"float": "f32", "double": "f64", "half": "f16"}.get(REGISTER[x.dtype], REGISTER[x.dtype])
    return element if x.lanes == 1 else f"v{x.lanes}{element}"


def constant_text(value: float | int | bool, dtype: str) -> str:
    """LLVM's spelling of a scalar constant."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtype in FLOATS:
        number = float(value)
        if dtype == "float32":
            number = round_to_float32(number)
        return "0x" + struct.pack(">d", number).hex().upper()
    return str(int(value))


def round_to_float32(number: float) -> float:
    """The nearest float32, as a Python float; beyond its range, infinity."""
    if math.isnan(number) or math.isinf(number):
        return number
    try:
        return float(struct.unpack("<f", struct.pack("<f", number))[0])
    except OverflowError:
        return math.copysign(math.inf, number)
