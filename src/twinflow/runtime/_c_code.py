"""LLVM IR of functions that call CPython and NumPy, written statement by statement.

What such a function names of this process, a C function or an object, stands in a table of addresses that it is handed: the
code holds none and refers to nothing outside, so it can be kept on disk and put anywhere in memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence


class Table:
    """The names that functions refer to, in the order of their places in the table."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}

    def offset(self, name: str) -> int:
        """Where the address of `name` stands, in bytes."""
        return 8 * self.names.setdefault(name, len(self.names))


class Code:
    """One function, whose text is `text()`.

    Values are the texts of LLVM's operands. Statements come one after the other, in blocks: `when` opens one that runs under
    a condition, `unless` leaves for a named block. An inner function, which only others of the module call, is handed the
    table as its first parameter; a public one finds it by itself, and sets `table`.
    """

    def __init__(
        self, names: Table, name: str, params: Sequence[str], result: str = "ptr", *, public: bool = False
    ) -> None:
        self._names = names
        self.table = "%table"
        self.params = [f"%p{k}" for k in range(len(params))]
        typed = [f"{type} %p{k}" for k, type in enumerate(params)]
        if not public:
            typed.insert(0, "ptr %table")
        scope = "" if public else "internal "
        # A jump table would lie outside of the instructions. LLVM's own threshold for them is one for the process: code made
        # for WebAssembly lowers it for what is compiled after.
        flags = 'nounwind "no-jump-tables"="true"'
        self._head = f"define {scope}{result} @{name}({', '.join(typed)}) {flags} {{\nentry:"
        self._variables: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def text(self) -> str:
        """The function."""
        return "\n".join([self._head, *self._variables, *self._lines, "}", ""])

    # -- values ------------------------------------------------------------------------------------------------

    def value(self, text: str) -> str:
        """The value of an instruction."""
        name = f"%v{self._next()}"
        self._lines.append(f"  {name} = {text}")
        return name

    def do(self, text: str) -> None:
        """An instruction without a value."""
        self._lines.append(f"  {text}")

    def equal(self, a: str, b: str, type: str = "ptr") -> str:
        """Whether they are the same."""
        return self.value(f"icmp eq {type} {a}, {b}")

    def differ(self, a: str, b: str = "null", type: str = "ptr") -> str:
        """Whether they are not."""
        return self.value(f"icmp ne {type} {a}, {b}")

    def both(self, a: str, b: str) -> str:
        """Whether both conditions hold."""
        return self.value(f"and i1 {a}, {b}")

    def either(self, a: str, b: str) -> str:
        """Whether one of them holds."""
        return self.value(f"or i1 {a}, {b}")

    def negated(self, condition: str) -> str:
        """Whether it does not hold."""
        return self.value(f"xor i1 {condition}, true")

    def choose(self, condition: str, a: str, b: str, type: str = "ptr") -> str:
        """One of two values."""
        return self.value(f"select i1 {condition}, {type} {a}, {type} {b}")

    def has_bit(self, value: str, bit: int) -> str:
        """Whether this bit of an i64 is set."""
        return self.differ(self.value(f"and i64 {value}, {1 << bit}"), "0", "i64")

    # -- memory ------------------------------------------------------------------------------------------------

    def at(self, p: str, offset: int | str) -> str:
        """The address `offset` bytes behind `p`."""
        return p if offset == 0 else self.value(f"getelementptr i8, ptr {p}, i64 {offset}")

    def load(self, p: str, offset: int | str = 0, type: str = "ptr") -> str:
        """What lies there."""
        return self.value(f"load {type}, ptr {self.at(p, offset)}")

    def store(self, value: str, p: str, offset: int | str = 0, type: str = "ptr") -> None:
        """Write it there."""
        self.do(f"store {type} {value}, ptr {self.at(p, offset)}")

    def variable(self, first: str = "", type: str = "ptr", count: int = 1) -> str:
        """Memory of this call, for `count` values; `first` is written there now."""
        name = f"%m{self._next()}"
        self._variables.append(f"  {name} = alloca {type}, i64 {count}, align 8")
        if first:
            self.store(first, name, 0, type)
        return name

    def known(self, name: str) -> str:
        """The address that the table holds under a name."""
        return self.load(self.table, self._names.offset(name))

    # -- calls -------------------------------------------------------------------------------------------------

    def call(self, name: str, *args: str, result: str = "ptr") -> str:
        """A function of the table, of the module (with @), or at an address (with %). Arguments are pointers, or have their
        type before them."""
        typed = [a if " " in a else f"ptr {a}" for a in args]
        if name[0] == "@":
            typed.insert(0, f"ptr {self.table}")
        callee = name if name[0] in "@%" else self.known(name)
        text = f"call {result} {callee}({', '.join(typed)})"
        if result != "void":
            return self.value(text)
        self.do(text)
        return ""

    def owned(self, o: str) -> str:
        """The object, with one more reference to it."""
        self.call("Py_IncRef", o, result="void")
        return o

    def drop(self, *objects: str) -> None:
        """One reference less to each; null is let be."""
        for o in objects:
            self.call("Py_DecRef", o, result="void")

    # -- control -----------------------------------------------------------------------------------------------

    def label(self, name: str) -> None:
        """A block begins; one that has not ended goes on here."""
        self.jump(name)
        self._lines.append(f"{name}:")

    def jump(self, label: str) -> None:
        """Go on there, unless the block has ended."""
        if not (self._lines and self._lines[-1].startswith(("  ret", "  br "))):
            self.do(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """Go on at one of two blocks."""
        self.do(f"br i1 {condition}, label %{yes}, label %{no}")

    def unless(self, condition: str, label: str) -> None:
        """Leave for `label` unless the condition holds."""
        on = f"on{self._next()}"
        self.branch(condition, on, label)
        self._lines.append(f"{on}:")

    @contextlib.contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """Statements that run if the condition holds."""
        n = self._next()
        self.branch(condition, f"yes{n}", f"end{n}")
        self._lines.append(f"yes{n}:")
        yield
        self.label(f"end{n}")

    @contextlib.contextmanager
    def count(self, start: str, stop: str, step: int = 1) -> Iterator[str]:
        """A loop over an i64, which it gives; runs while it is below `stop`."""
        n = self._next()
        i = self.variable(start, "i64")
        self.label(f"head{n}")
        k = self.load(i, 0, "i64")
        self.branch(self.value(f"icmp slt i64 {k}, {stop}"), f"turn{n}", f"past{n}")
        self._lines.append(f"turn{n}:")
        yield k
        self.store(self.value(f"add nsw i64 {k}, {step}"), i, 0, "i64")
        self.jump(f"head{n}")
        self._lines.append(f"past{n}:")

    def ret(self, value: str, type: str = "ptr") -> None:
        """Return."""
        self.do(f"ret {type} {value}" if value else "ret void")

    def _next(self) -> int:
        self._count += 1
        return self._count
