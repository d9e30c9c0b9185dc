"""Filters as users keep them, [filters, channels, *kernel], read and written by kernels that want the filters last.

Blocks of as many rows as a vector has lanes are turned around in registers. k counts pairs (channel c, tap t) of one
filter as they lie in memory: k = c·taps + t. Kernels count them the other way around: their row is t·channels + c.
"""

from __future__ import annotations

from twinflow.compiler.contraction._conv_spec import ConvSpec
from twinflow.compiler.contraction._kernel import SCALAR
from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._tile import At, Epilogue
from twinflow.compiler.contraction._vectors import Mask, convert, load, store, tail_mask, transposed


def _channel_and_tap(f: Function, k: Value, taps: int) -> tuple[Value, Value]:
    return f.div(k, taps), f.rem(k, taps)


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
        places = [_channel_and_tap(f, f.add(k, n), self.taps) for n in range(count)]
        rows = [f.add(f.mul(t, self.deep), c) for c, t in places]

        def block(p: Value, _: list[str]) -> None:
            columns = []
            for n in range(self.lanes):
                column = f.min(f.add(p, n), f.sub("%valid", 1))
                at = f.shift("%source", f.add(f.mul(column, self.row), k), self.source)
                value = load(f, self.source, at, self.lanes, mask=None if count == self.lanes else count)
                columns.append(convert(f, value, self.source, self.target, self.lanes, half=half))
            for row, value in zip(rows, transposed(f, self.target, columns)):
                self._store(value, row, p)

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
    """Writes what ends a derivative by the weights: adds its parts, first to last, and stores them in the user's order.

    c[o, k] = finish( Σ_part parts[part][t · channels + c][o]  (+ c[o, k]) )

    Args:
        parts, part: how many there are, and elements from one to the next.
        step: elements from one row of a part to the next, a whole number of vectors.
        rows: channels of a group.
    """

    def __init__(
        self, machine: Machine, spec: ConvSpec, epilogue: Epilogue | None, *, taps: int, rows: int, parts: int,
        part: int, step: int,
    ) -> None:  # fmt: skip
        self.machine, self.spec, self.epilogue = machine, spec, epilogue
        self.taps, self.rows, self.parts, self.part, self.step = taps, rows, parts, part, step
        self.kind = SCALAR[spec.dtype]
        self.sum_type = "double" if spec.dtype == "float64" else "float"
        self.lanes = machine.lanes(self.sum_type)

    def write(self, f: Function, parts: str, c: str, first: Value, last: Value) -> None:
        """The code for filters [first, last); `first` is a multiple of the lanes."""
        whole, rest = divmod(self.rows * self.taps, self.lanes)

        def block(k: Value, count: int) -> None:
            f.loop(first, last, self.lanes, lambda o, _: self._block(f, parts, c, o, last, k, count))

        f.loop(0, whole * self.lanes, self.lanes, lambda k, _: block(k, self.lanes))
        if rest:
            block(whole * self.lanes, rest)

    def _block(self, f: Function, parts: str, c: str, o: Value, last: Value, k: Value, count: int) -> None:
        kind, lanes = f"<{self.lanes} x {self.sum_type}>", self.lanes
        rows = []
        for n in range(lanes):
            channel, tap = _channel_and_tap(f, f.add(k, min(n, count - 1)), self.taps)
            row = f.add(f.mul(tap, self.rows), channel)
            at = f.shift(parts, f.add(f.mul(row, self.step), o), self.sum_type)

            def add(i: Value, sums: list[str], at: str = at) -> list[str]:
                here = f.shift(at, f.mul(i, self.part), self.sum_type)
                return [f.op(f"fadd {kind} {sums[0]}, {load(f, self.sum_type, here, lanes)}")]

            sums = f.loop(1, self.parts, 1, add, [(kind, load(f, self.sum_type, at, lanes))])
            rows.append(sums[0])
        mask: Mask = None if count == lanes else count
        columns = transposed(f, self.sum_type, rows)
        for n in range(lanes):
            exists = f.op(f"icmp slt i64 {f.add(o, n)}, {last}")
            f.when(exists, lambda n=n: self._finish(f, c, f.add(o, n), k, columns[n], mask))  # type: ignore[misc]

    def _finish(self, f: Function, c: str, o: Value, k: Value, value: str, mask: Mask) -> None:
        kind, half = f"<{self.lanes} x {self.sum_type}>", self.machine.half
        at = f.shift(c, f.add(f.mul(o, self.rows * self.taps), k), self.kind)
        if self.spec.accumulate:
            old = load(f, self.kind, at, self.lanes, mask=mask)
            value = f.op(f"fadd {kind} {value}, {convert(f, old, self.kind, self.sum_type, self.lanes, half=half)}")
        if self.epilogue:
            value = self.epilogue(f, value, At(f, self.machine, self.sum_type, self.lanes, o, k, 0, mask, False))
        value = convert(f, value, self.sum_type, self.kind, self.lanes, half=half)
        store(f, self.kind, value, at, self.lanes, mask=mask)
