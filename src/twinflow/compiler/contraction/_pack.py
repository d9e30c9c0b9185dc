"""Packing: copying a panel of a matrix so that the building block reads it in order.

packed[k][p] = source[p · panel_step + k · k_step]   for p < width

Packing pays when a matrix is read many times over rows that lie far apart (they compete for the same cache sets and
translation entries), and it is how an operand that is contiguous in the wrong direction becomes readable in vectors.
"""

from __future__ import annotations

from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._vectors import convert, load, store, tail_mask, transpose


class Pack:
    """An emitted packing function for panels of one shape.

    Args:
        name: symbol of the function.
        width: columns of the packed panel.
        valid: columns that exist in the source, the rest become zero (or repeat); None: given at run time.
        panel_step, k_step: steps in the source, in elements.
        source, target: element types.
    """

    def __init__(
        self, module: Module, machine: Machine, name: str, width: int, valid: int | None, panel_step: int,
        k_step: int, source: str, target: str,
    ) -> None:  # fmt: skip
        params = [("ptr", "source"), ("ptr", "target"), ("i64", "k")] + [("i64", "valid")] * (valid is None)
        self.name, self._dynamic = name, valid is None
        self.f = Function(module, name, params)
        self.machine, self.width, self.panel_step, self.k_step = machine, width, panel_step, k_step
        self.source, self.target, self.lanes = source, target, machine.lanes(target)
        self.valid: Value = "%valid" if valid is None else valid
        self._write()

    def call(self, f: Function, source: str, target: str, k: Value, valid: Value) -> None:
        """Pack `k` rows from `source` into `target`."""
        args: list[tuple[str, Value]] = [("ptr", source), ("ptr", target), ("i64", k)]
        f.call(self.name, args + ([("i64", valid)] if self._dynamic else []))

    def _write(self) -> None:
        f, done = self.f, 0
        start: Value = done
        if self.k_step == 1 and self.panel_step != 1:
            start = f.sub("%k", f.rem("%k", self.lanes))
            rows = []
            for p in range(self.width):  # rows that do not exist repeat the last one: their sums are never stored
                last = self.valid - 1 if isinstance(self.valid, int) else f.sub(self.valid, 1)
                rows.append(f.shift("%source", f.mul(f.min(p, last), self.panel_step), self.source))

            def block(k: Value, _: list[str]) -> None:
                for first in range(0, self.width, self.lanes):
                    self._block(k, first, rows[first : first + self.lanes])

            f.loop(0, start, self.lanes, block)
        f.loop(start, "%k", 1, lambda k, _: self._row(k))

    def _block(self, k: Value, first: int, rows: list[str]) -> None:
        """Transpose lanes × lanes elements."""
        f, half = self.f, self.machine.half
        values = [load(f, self.source, f.shift(p, k, self.source), self.lanes) for p in rows]
        values = [convert(f, v, self.source, self.target, self.lanes, half=half) for v in values]
        values += ["zeroinitializer"] * (self.lanes - len(values))
        mask = len(rows) if len(rows) < self.lanes else None
        for u, column in enumerate(transpose(f, self.target, values)):
            at = f.shift("%target", f.add(f.mul(f.add(k, u), self.width), first), self.target)
            store(f, self.target, column, at, self.lanes, mask=mask)

    def _row(self, k: Value) -> None:
        f = self.f
        source = f.shift("%source", f.mul(k, self.k_step), self.source)
        target = f.shift("%target", f.mul(k, self.width), self.target)
        for first in range(0, self.width, self.lanes):
            mask = tail_mask(f, self.valid, first, self.lanes)
            at = f.shift(source, first * self.panel_step, self.source)
            value = load(f, self.source, at, self.lanes, self.panel_step, mask)
            value = convert(f, value, self.source, self.target, self.lanes, half=self.machine.half)
            keep = self.width - first if self.width - first < self.lanes else None
            store(f, self.target, value, f.shift(target, first, self.target), self.lanes, mask=keep)
