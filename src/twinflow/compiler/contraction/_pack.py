"""Packing: copying panels of a matrix so that the building block reads them in order.

packed[k][p] = source[p · panel_step + k · k_step]   for p < width

Packing pays when a matrix is read many times over rows that lie far apart (they compete for the same cache sets and
translation entries), and it is how an operand that is contiguous in the wrong direction becomes readable in vectors.
"""

from __future__ import annotations

from collections.abc import Callable

from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import NBYTES, Function, Module, Value
from twinflow.compiler.contraction._vectors import (
    Mask,
    convert,
    load,
    load_scalar,
    load_transposed,
    prefetch,
    store,
    tail_mask,
)

FAR_NBYTES, EARLY_ROWS = 4096, 64
"""Rows so far apart are no stream that a processor would notice by itself: they are asked for so many rows early."""


class Pack:
    """An emitted packing function for panels of any width.

    Args:
        name: symbol of the function.
        panel_step, k_step: steps in the source, in elements.
        source, target: element types.
        whole: panels are whole vectors wide; columns that the source lacks become zero.
    """

    def __init__(
        self, module: Module, machine: Machine, name: str, panel_step: int, k_step: int, source: str, target: str,
        *, whole: bool,
    ) -> None:  # fmt: skip
        self.name = name
        params = [("ptr", "source"), ("ptr", "target"), ("i64", "k"), ("i64", "width"), ("i64", "valid")]
        self.f = Function(module, name, params)
        self.machine, self.panel_step, self.k_step = machine, panel_step, k_step
        self.source, self.target, self.lanes, self.whole = source, target, machine.lanes(target), whole
        if panel_step == 1:
            self._straight()
        else:
            self._turned()

    def call(self, f: Function, source: str, target: str, k: Value, width: Value, valid: Value) -> None:
        """Pack `k` rows of a panel `width` wide, of which `valid` columns exist."""
        f.call(self.name, [("ptr", source), ("ptr", target), ("i64", k), ("i64", width), ("i64", valid)])

    def _straight(self) -> None:
        """Row after row: whole vectors, then what is left."""
        f = self.f
        full = f.sub("%valid", f.rem("%valid", self.lanes))

        def row(k: Value, _: list[str]) -> None:
            def group(first: Value, _: list[str], partial: bool = False) -> None:
                self._row(k, first, tail_mask(f, f.sub("%valid", first), 0, self.lanes) if partial else None)

            f.loop(0, full, self.lanes, group)
            f.loop(full, "%valid", self.lanes, lambda first, _: group(first, _, True))

        f.loop(0, "%k", 1, row)

    def _row(self, k: Value, first: Value, mask: Mask) -> None:
        f = self.f
        at = f.add(first, f.mul(k, self.k_step))
        if self.k_step * NBYTES[self.source] >= FAR_NBYTES:
            prefetch(f, f.shift("%source", f.add(at, EARLY_ROWS * self.k_step), self.source))
        value = load(f, self.source, f.shift("%source", at, self.source), self.lanes, mask=mask)
        value = convert(f, value, self.source, self.target, self.lanes, half=self.machine.half)
        store(f, self.target, value, self._place(k, first), self.lanes, mask=None if self.whole else mask)

    def _place(self, k: Value, first: Value) -> str:
        return self.f.shift("%target", self.f.add(self.f.mul(k, "%width"), first), self.target)

    def _turned(self) -> None:
        """Blocks as high as a vector are turned around in registers if the source is contiguous along k.

        Whole lines of the target are written at once: panels are larger than the first-level cache, and a line that is
        written in pieces would come and go several times.
        """
        f, lanes = self.f, self.lanes
        few = 16 // NBYTES[self.target]

        def singly() -> None:
            self._loop(0, "%k", 1, lambda k: self._loop(0, "%valid", 1, lambda p: self._element(p, k)))
            self._clear(0)

        def turn() -> None:
            self._loop(0, "%valid", lanes, columns)
            self._clear(f.sub(f.add("%valid", lanes - 1), f.rem(f.add("%valid", lanes - 1), lanes)))

        def columns(p: Value) -> None:
            left = f.sub("%valid", p)
            last = f.sub(left, 1)
            # rows that do not exist repeat the last one: nothing is computed from them that is kept
            at = [f.mul(f.add(p, f.min(n, last) if n else 0), self.panel_step) for n in range(lanes)]
            mask = None if self.whole else tail_mask(f, left, 0, lanes)

            def block(k: Value) -> None:
                k = f.min(k, f.sub("%k", few))  # the last ones once more, rather than some singly
                pointers = [f.shift("%source", f.add(row, k), self.source) for row in at]
                for n, row in enumerate(load_transposed(f, self.source, self.target, pointers, half=self.machine.half)):
                    store(f, self.target, row, self._place(f.add(k, n), p), lanes, mask=mask)

            self._loop(0, "%k", few, block)

        if self.k_step != 1:
            singly()
            return
        f.when(f.op(f"icmp sge i64 %k, {few}"), turn)
        f.when(f.op(f"icmp slt i64 %k, {few}"), singly)

    def _clear(self, start: Value) -> None:
        """Columns from `start` become zero.

        What is multiplied must be a number even if it is not used: subnormal numbers take a hundred times as long.
        """
        if not self.whole:
            return
        zero = f"store {self.target} 0.0"

        def element(p: Value, k: Value) -> None:
            self.f.do(f"{zero}, ptr {self._place(k, p)}, align {NBYTES[self.target]}")

        first = self.f.max(start, "%valid")
        self._loop(0, "%k", 1, lambda k: self._loop(first, "%width", 1, lambda p: element(p, k)))

    def _loop(self, start: Value, stop: Value, step: int, body: Callable[[Value], None]) -> None:
        self.f.loop(start, stop, step, lambda i, _: body(i))

    def _element(self, p: Value, k: Value) -> None:
        f = self.f
        at = f.add(f.mul(k, self.k_step), f.mul(p, self.panel_step))
        value = load_scalar(f, self.source, f.shift("%source", at, self.source))
        value = convert(f, value, self.source, self.target, 0, half=self.machine.half)
        f.do(f"store {self.target} {value}, ptr {self._place(k, p)}, align {NBYTES[self.target]}")
