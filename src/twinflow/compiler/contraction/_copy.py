"""Copying a region of an image, with zeros where it reaches beyond the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twinflow.compiler.contraction._machine import Machine
from twinflow.compiler.contraction._text import Function, Module, Value
from twinflow.compiler.contraction._vectors import convert, load, store, tail_mask
from twinflow.core.errors import ArgumentError


class Copies:
    """Functions that copy, convert and clear runs of elements; each is written when it is first used."""

    def __init__(self, module: Module, machine: Machine, prefix: str, source: str, target: str) -> None:
        self.module, self.machine, self.prefix = module, machine, prefix
        self.source, self.target, self.lanes = source, target, machine.lanes(target)

    def copy(self, f: Function, source: str, target: str, count: Value) -> None:
        """target[:count] = source[:count], converted."""
        name = f"{self.prefix}.copy"
        if not self.module.has(name):
            self._write(name, True)
        f.call(name, [("ptr", source), ("ptr", target), ("i64", count)])

    def clear(self, f: Function, target: str, count: Value) -> None:
        """target[:count] = 0."""
        if count == 0:
            return
        name = f"{self.prefix}.clear"
        if not self.module.has(name):
            self._write(name, False)
        f.call(name, [("ptr", target), ("ptr", target), ("i64", count)])

    def _write(self, name: str, copies: bool) -> None:
        f = Function(self.module, name, [("ptr", "source"), ("ptr", "target"), ("i64", "count")])
        whole = f.sub("%count", f.rem("%count", self.lanes))

        def run(i: Value, mask: str | int | None) -> None:
            value = "zeroinitializer"
            if copies:
                value = load(f, self.source, f.shift("%source", i, self.source), self.lanes, mask=mask)
                value = convert(f, value, self.source, self.target, self.lanes, half=self.machine.half)
            store(f, self.target, value, f.shift("%target", i, self.target), self.lanes, mask=mask)

        f.loop(0, whole, self.lanes, lambda i, _: run(i, None))
        run(whole, tail_mask(f, f.sub("%count", whole), 0, self.lanes))


@dataclass(frozen=True)
class Extent:
    """One axis of a region: `length` elements from `start`, of an axis with `size` elements."""

    start: Value
    length: Value
    size: int


def copy_region(f: Function, copies: Copies, source: str, target: str, axes: Sequence[Extent], channels: int) -> None:
    """Copy a region of a contiguous image [*size, channels] into a contiguous [*length, channels].

    All axes but the first have a length known at emission.
    """
    axis, inner = axes[0], axes[1:]
    cell, source_cell = channels, channels
    for a in inner:
        if not isinstance(a.length, int):
            raise ArgumentError(f"copy: only the first axis of a region may be open, got {axes}")
        cell, source_cell = cell * a.length, source_cell * a.size
    before = f.min(f.max(f.sub(0, axis.start), 0), axis.length)
    after = f.max(before, f.min(axis.length, f.sub(axis.size, axis.start)))
    copies.clear(f, target, f.mul(before, cell))
    first = f.shift(source, f.mul(f.add(axis.start, before), source_cell), copies.source)
    if not inner:
        copies.copy(f, first, f.shift(target, f.mul(before, cell), copies.target), f.mul(f.sub(after, before), cell))
    else:

        def line(i: Value, _: list[str]) -> None:
            here = f.shift(source, f.mul(f.add(axis.start, i), source_cell), copies.source)
            copy_region(f, copies, here, f.shift(target, f.mul(i, cell), copies.target), inner, channels)

        f.loop(before, after, 1, line)
    end = f.shift(target, f.mul(after, cell), copies.target)
    copies.clear(f, end, f.mul(f.sub(axis.length, after), cell))
