"""Writing LLVM IR as text: a module, functions, and loops that carry values.

Text is several times cheaper to make than an object graph that is printed afterwards, and a kernel is some
hundreds of instructions. Integers known at emission stay Python ints: address arithmetic on them costs nothing
in the generated code and needs no optimiser to fold it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from twinflow.core.errors import ArgumentError

Value: TypeAlias = int | str
"""An integer in generated code: a Python int known at emission, or the name of an SSA value."""

NBYTES: Final = {"float": 4, "double": 8, "half": 2, "bfloat": 2, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}


def vector(scalar: str, lanes: int) -> str:
    """The type of a vector: ``vector("float", 16) == "<16 x float>"``."""
    return f"<{lanes} x {scalar}>"


def suffix(scalar: str, lanes: int) -> str:
    """How intrinsics spell a vector type: ``suffix("float", 16) == "v16f32"``."""
    return f"v{lanes}" + {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}.get(
        scalar, scalar
    )


class Module:
    """LLVM IR under construction: declarations, globals and functions, printed once by `str`."""

    def __init__(self) -> None:
        self._declarations: dict[str, str] = {}
        self._functions: dict[str, Function] = {}

    def declare(self, name: str, result: str, params: str) -> str:
        """Declare an external function or intrinsic once and return its name."""
        self._declarations.setdefault(name, f"declare {result} @{name}({params})")
        return name

    def has(self, name: str) -> bool:
        """Whether a function of this name was already started."""
        return name in self._functions

    def add(self, function: Function) -> None:
        """Take a function in; its name must be new."""
        if function.name in self._functions:
            raise ArgumentError(f"module already has a function {function.name}; give every kernel its own name")
        self._functions[function.name] = function

    def __str__(self) -> str:
        return "\n".join([*self._declarations.values(), *(f.text() for f in self._functions.values()), ""])


class Function:
    """One function under construction, written block after block.

    Args:
        module: where it belongs.
        name: its symbol.
        params: (type, name) of every parameter; the value of parameter ``x`` is ``%x``.
        internal: not visible outside the module; such functions are kept out of line.
        quick: compile it fast instead of well: for loops around calls, whose own time does not matter.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        params: Sequence[tuple[str, str]],
        *,
        internal: bool = True,
        quick: bool = False,
    ) -> None:
        self.module = module
        self.name = name
        self.params = tuple(params)
        self._internal, self._quick = internal, quick
        self.lines: list[str] = []
        self.taken = 0
        self.block = "entry"
        module.add(self)

    def text(self) -> str:
        """The finished definition."""
        params = ", ".join(f"{kind} noundef %{name}" for kind, name in self.params)
        head = "internal void" if self._internal else "void"
        tail = "noinline nounwind" if self._internal or self._quick else "nounwind"
        tail += " optnone" if self._quick else ""
        body = "\n".join(self.lines)
        return f"define {head} @{self.name}({params}) {tail} {{\nentry:\n{body}\n ret void\n}}"

    # -- instructions

    def fresh(self) -> str:
        """A new SSA name."""
        self.taken += 1
        return f"%v{self.taken}"

    def op(self, text: str) -> str:
        """Append an instruction and return the name of its result."""
        name = self.fresh()
        self.lines.append(f" {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """Append an instruction without result."""
        self.lines.append(f" {text}")

    def call(self, function: str, args: Sequence[tuple[str, Value]]) -> None:
        """Call a void function of the module."""
        self.do(f"call void @{function}({', '.join(f'{kind} {value}' for kind, value in args)})")

    # -- integers

    def add(self, a: Value, b: Value) -> Value:
        """The sum a + b."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a == 0:
            return b
        return a if b == 0 else self.op(f"add nsw i64 {a}, {b}")

    def sub(self, a: Value, b: Value) -> Value:
        """The difference a − b."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.op(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Value, b: Value) -> Value:
        """The product a · b."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        return a if b == 1 else self.op(f"mul nsw i64 {a}, {b}")

    def div(self, a: Value, b: Value) -> Value:
        """The quotient a ÷ b rounded down, for a ≥ 0 and b > 0."""
        if isinstance(a, int) and isinstance(b, int):
            return a // b
        return a if b == 1 else self.op(f"udiv i64 {a}, {b}")

    def rem(self, a: Value, b: Value) -> Value:
        """The remainder of a ÷ b, for a ≥ 0 and b > 0."""
        if isinstance(a, int) and isinstance(b, int):
            return a % b
        return 0 if b == 1 else self.op(f"urem i64 {a}, {b}")

    def ceil_div(self, a: Value, b: int) -> Value:
        """The quotient a ÷ b rounded up, for a ≥ 0 and b > 0."""
        return self.div(self.add(a, b - 1), b)

    def min(self, a: Value, b: Value) -> Value:
        """The smaller of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        self.module.declare("llvm.smin.i64", "i64", "i64, i64")
        return self.op(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def max(self, a: Value, b: Value) -> Value:
        """The larger of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        self.module.declare("llvm.smax.i64", "i64", "i64, i64")
        return self.op(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def shift(self, pointer: str, offset: Value, kind: str) -> str:
        """The pointer moved by `offset` elements of type `kind`."""
        return pointer if offset == 0 else self.op(f"getelementptr {kind}, ptr {pointer}, i64 {offset}")

    # -- control

    def start_block(self, name: str) -> None:
        """Begin the block `name`; the previous one must have ended in a branch."""
        self.lines.append(f"{name}:")
        self.block = name

    def when(self, condition: str, body: Callable[[], None]) -> None:
        """Run `body` if the i1 `condition` holds."""
        tag = self.fresh()[1:]
        self.do(f"br i1 {condition}, label %then{tag}, label %end{tag}")
        self.start_block(f"then{tag}")
        body()
        self.do(f"br label %end{tag}")
        self.start_block(f"end{tag}")

    def choose(
        self, condition: str, body: Callable[[], Sequence[str]], otherwise: Sequence[str], kind: str
    ) -> list[str]:
        """The values of `body()` if the i1 `condition` holds, else `otherwise`; all of type `kind`."""
        tag = self.fresh()[1:]
        before = self.block
        self.do(f"br i1 {condition}, label %then{tag}, label %end{tag}")
        self.start_block(f"then{tag}")
        values = body()
        last = self.block
        self.do(f"br label %end{tag}")
        self.start_block(f"end{tag}")
        return [self.op(f"phi {kind} [ {v}, %{last} ], [ {o}, %{before} ]") for v, o in zip(values, otherwise)]

    def share(self, counter: str, count: int, body: Callable[[Value], None]) -> None:
        """Run ``body(i)`` for those i < `count` that nobody has taken before from the i64 that `counter` points to."""
        tag = self.fresh()[1:]
        self.do(f"br label %take{tag}")
        self.start_block(f"take{tag}")
        index = self.op(f"atomicrmw add ptr {counter}, i64 1 monotonic, align 8")
        left = self.op(f"icmp slt i64 {index}, {count}")
        self.do(f"br i1 {left}, label %body{tag}, label %end{tag}")
        self.start_block(f"body{tag}")
        body(index)
        self.do(f"br label %take{tag}")
        self.start_block(f"end{tag}")

    def loop(
        self,
        start: Value,
        stop: Value,
        step: Value,
        body: Callable[[Value, list[str]], Sequence[str] | None],
        carried: Sequence[tuple[str, str]] = (),
    ) -> list[str]:
        """A counted loop: ``for i in range(start, stop, step): values = body(i, values)``.

        Args:
            start, stop, step: bounds; step > 0. A trip count of 0 or 1 that is known now makes no loop.
            body: writes the body for index i and the carried values, returns their next values.
            carried: (type, initial value) of what goes from one iteration to the next.

        Returns: the carried values after the loop.
        """
        initial = [value for _, value in carried]
        trips = None
        if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
            trips = max(0, -((start - stop) // step))
            if trips == 0:
                return initial
            if trips == 1:
                return list(body(start, initial) or ())
        tag = self.fresh()[1:]
        before, head, end, index = self.block, f"loop{tag}", f"end{tag}", f"%i{tag}"
        if trips is None:
            some = self.op(f"icmp slt i64 {start}, {stop}")
            self.do(f"br i1 {some}, label %{head}, label %{end}")
        else:
            self.do(f"br label %{head}")
        self.start_block(head)
        at = len(self.lines)
        phis = [self.fresh() for _ in carried]
        self.lines += [""] * (1 + len(phis))  # written below, when the last block of the body is known
        following = list(body(index, phis) or ())
        after = self.add(index, step)
        latch = self.block
        self.lines[at] = f" {index} = phi i64 [ {start}, %{before} ], [ {after}, %{latch} ]"
        for n, (phi, (kind, first), value) in enumerate(zip(phis, carried, following)):
            self.lines[at + 1 + n] = f" {phi} = phi {kind} [ {first}, %{before} ], [ {value}, %{latch} ]"
        again = self.op(f"icmp slt i64 {after}, {stop}")
        self.do(f"br i1 {again}, label %{head}, label %{end}")
        self.start_block(end)
        if trips is not None:
            return following
        return [
            self.op(f"phi {kind} [ {first}, %{before} ], [ {value}, %{latch} ]")
            for (kind, first), value in zip(carried, following)
        ]
