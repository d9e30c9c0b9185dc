"""Filters as users keep them, [filters, channels, *kernel], read and written by kernels that want the filters last.

Blocks of as many rows as a vector has lanes are turned around in registers. k counts pairs (channel c, tap t) of one
filter as they lie in memory: k = c·taps + t. Kernels count them the other way around: their row is t·channels + c.
"""

from __future__ import annotations

from twinflow.compiler.contraction._conv_spec import ConvSpec
from twinflow.compiler.contraction._kernel import SCALAR
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value
from twinflow.compiler.contraction._tile import At, Epilogue
from twinflow.compiler.contraction._vectors import Mask, convert, load, store, tail_mask, transposed


def _channel_and_tap(f: Function, k: Value, taps: int) -> tuple[Value, Value]:
    return f.div(k, taps), f.rem(k, taps)


class _Square:
    """A square block on a function's stack, as many vectors as they have lanes; made where the function begins.

    Its transposition is one function for all kernels of a module: it takes longer to compile than all that uses it.
    """

    def __init__(self, f: Function, scalar: str, lanes: int) -> None:
        self.f, self.kind, self.lanes = f, f"<{lanes} x {scalar}>", lanes
        self.nbytes = lanes * NBYTES[scalar]
        self.at = f.op(f"alloca [{lanes} x {self.kind}], align {self.nbytes}")
        self.name = f"turn.{scalar}.{lanes}"
        if not f.module.has(self.name):
            turn = Function(f.module, self.name, [("ptr", "block")])
            places = [turn.shift("%block", n, self.kind) for n in range(lanes)]
            rows = [turn.op(f"load {self.kind}, ptr {p}, align {self.nbytes}") for p in places]
            for p, column in zip(places, transposed(turn, scalar, rows)):
                turn.do(f"store {self.kind} {column}, ptr {p}, align {self.nbytes}")

    def put(self, n: Value, vector: str) -> None:
        """Set row `n`."""
        self.f.do(f"store {self.kind} {vector}, ptr {self.f.shift(self.at, n, self.kind)}, align {self.nbytes}")

    def get(self, n: Value) -> str:
        """Row `n`."""
        return self.f.op(f"load {self.kind}, ptr {self.f.shift(self.at, n, self.kind)}, align {self.nbytes}")

    def turn(self) -> None:
        """Exchange rows and columns."""
        self.f.call(self.name, [("ptr", self.at)])


class FilterPack:
    """An emitted function that packs a panel of a convolution's weights for the building block.

    Forward, packed[t][c][p] = source[p · channels · taps + c · taps + t]: columns are filters.
    By data, packed[t][o][p] = source[o · channels · taps + p · taps + t]: columns are channels.
    Of depthwise filters, packed[t][p] = source[p · taps + t].
    Columns beyond those that exist repeat the last one.

    Args:
        name: symbol of the function.
        deep: channels (by data: filters) of a group.
    """

    def __init__(self, module: Module, machine: Machine, name: str, spec: ConvSpec, taps: int, deep: int) -> None:
        self.name, self.machine, self.taps, self.deep = name, machine, taps, deep
        self.source = SCALAR[spec.dtype]
        self.target = "double" if spec.dtype == "float64" else "float"
        self.lanes = machine.lanes(self.target)
        self.row = spec.channels // spec.groups * taps  # of one filter
        self.f = Function(module, name, [("ptr", "source"), ("ptr", "target"), ("i64", "width"), ("i64", "valid")])
        if spec.kind == "forward" and not spec.depthwise:
            self.square = _Square(self.f, self.target, self.lanes)
            last = self.row - self.lanes  # what remains is packed with a part of what came before
            if last <= 0:
                self._turned(0, self.row)
            else:
                self.f.loop(0, self.row, self.lanes, lambda k, _: self._turned(self.f.min(k, last), self.lanes))
        else:
            self.f.loop(0, deep, 1, lambda o, _: self._spread(o))

    def call(self, f: Function, source: str, target: str, width: Value, valid: Value) -> None:
        """Pack a panel `width` wide, a whole number of vectors, of which `valid` columns exist."""
        f.call(self.name, [("ptr", source), ("ptr", target), ("i64", width), ("i64", valid)])

    def _store(self, value: str, row: Value, p: Value) -> None:
        f = self.f
        store(f, self.target, value, f.shift("%target", f.add(f.mul(row, "%width"), p), self.target), self.lanes)

    def _turned(self, k: Value, count: int) -> None:
        f, half = self.f, self.machine.half
        mask = None if count == self.lanes else count

        def block(p: Value, _: list[str]) -> None:
            def column(n: Value, _: list[str]) -> None:
                at = f.add(f.mul(f.min(f.add(p, n), f.sub("%valid", 1)), self.row), k)
                value = load(f, self.source, f.shift("%source", at, self.source), self.lanes, mask=mask)
                self.square.put(n, convert(f, value, self.source, self.target, self.lanes, half=half))

            def row(n: Value, _: list[str]) -> None:
                channel, tap = _channel_and_tap(f, f.add(k, n), self.taps)
                self._store(self.square.get(n), f.add(f.mul(tap, self.deep), channel), p)

            f.loop(0, self.lanes, 1, column)
            self.square.turn()
            f.loop(0, count, 1, row)

        f.loop(0, "%valid", self.lanes, block)

    def _spread(self, o: Value) -> None:
        f, half = self.f, self.machine.half

        def block(p: Value, _: list[str], mask: Mask = None) -> None:
            def tap(t: Value, _: list[str]) -> None:
                at = f.shift("%source", f.add(f.add(f.mul(o, self.row), f.mul(p, self.taps)), t), self.source)
                value = load(f, self.source, at, self.lanes, self.taps, mask)
                value = convert(f, value, self.source, self.target, self.lanes, half=half)
                self._store(value, f.add(f.mul(t, self.deep), o), p)

            f.loop(0, self.taps, 1, tap)

        whole = f.sub("%valid", f.rem("%valid", self.lanes))
        f.loop(0, whole, self.lanes, block)
        left = f.op(f"icmp slt i64 {whole}, %valid")
        f.when(left, lambda: block(whole, [], tail_mask(f, f.sub("%valid", whole), 0, self.lanes)))


class FilterSum:
    """An emitted function that ends a derivative by the weights: it adds the parts, first to last, and stores the sums in
    the user's order.

    c[o, k] = finish( Σ_part parts[part][t · channels + c][o]  (+ c[o, k]) )

    Args:
        name: symbol of the function.
        parts, part: how many there are, and elements from one to the next.
        step: elements from one row of a part to the next, a whole number of vectors.
        rows: channels of a group.
    """

    def __init__(
        self, module: Module, machine: Machine, name: str, spec: ConvSpec, epilogue: Epilogue | None, *, taps: int,
        rows: int, parts: int, part: int, step: int,
    ) -> None:  # fmt: skip
        self.name = name
        self.machine, self.spec, self.epilogue = machine, spec, epilogue
        self.taps, self.rows, self.parts, self.part, self.step = taps, rows, parts, part, step
        self.kind = SCALAR[spec.dtype]
        self.sum_type = "double" if spec.dtype == "float64" else "float"
        self.lanes = machine.lanes(self.sum_type)

        pointers = [("ptr", x) for x in ("ctx", "parts", "c")]
        f = self.f = Function(module, name, [*pointers, ("i64", "first"), ("i64", "last")])
        self.square = _Square(f, self.sum_type, self.lanes)
        whole, rest = divmod(self.rows * self.taps, self.lanes)

        def block(k: Value, count: int) -> None:
            f.loop("%first", "%last", self.lanes, lambda o, _: self._block(o, k, count))

        f.loop(0, whole * self.lanes, self.lanes, lambda k, _: block(k, self.lanes))
        if rest:
            block(whole * self.lanes, rest)

    def call(self, f: Function, parts: str, c: str, first: Value, last: Value) -> None:
        """Finish filters [first, last); `first` is a multiple of the lanes."""
        f.call(self.name, [("ptr", "%ctx"), ("ptr", parts), ("ptr", c), ("i64", first), ("i64", last)])

    def _block(self, o: Value, k: Value, count: int) -> None:
        f, kind, lanes, square = self.f, f"<{self.lanes} x {self.sum_type}>", self.lanes, self.square

        def row(n: Value, _: list[str]) -> None:
            channel, tap = _channel_and_tap(f, f.add(k, n), self.taps)
            at = f.add(f.mul(f.add(f.mul(tap, self.rows), channel), self.step), o)
            first = f.shift("%parts", at, self.sum_type)

            def add(i: Value, sums: list[str]) -> list[str]:
                here = f.shift(first, f.mul(i, self.part), self.sum_type)
                return [f.op(f"fadd {kind} {sums[0]}, {load(f, self.sum_type, here, lanes)}")]

            square.put(n, f.loop(1, self.parts, 1, add, [(kind, load(f, self.sum_type, first, lanes))])[0])

        def column(n: Value, _: list[str]) -> None:
            self._finish(f.add(o, n), k, square.get(n), None if count == lanes else count)

        f.loop(0, count, 1, row)
        square.turn()
        f.loop(0, f.min(lanes, f.sub("%last", o)), 1, column)

    def _finish(self, o: Value, k: Value, value: str, mask: Mask) -> None:
        f, kind, half = self.f, f"<{self.lanes} x {self.sum_type}>", self.machine.half
        at = f.shift("%c", f.add(f.mul(o, self.rows * self.taps), k), self.kind)
        if self.spec.accumulate:
            old = load(f, self.kind, at, self.lanes, mask=mask)
            value = f.op(f"fadd {kind} {value}, {convert(f, old, self.kind, self.sum_type, self.lanes, half=half)}")
        if self.epilogue:
            value = self.epilogue(f, value, At(f, self.machine, self.sum_type, self.lanes, o, k, 0, mask, False))
        value = convert(f, value, self.sum_type, self.kind, self.lanes, half=half)
        store(f, self.kind, value, at, self.lanes, mask=mask)
