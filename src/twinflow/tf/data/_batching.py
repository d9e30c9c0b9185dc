"""Stages that put elements together and take them apart: batches, padded batches, windows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import tree_flatten
from twinflow.core.errors import DataError, ShapeError
from twinflow.tf.data._rows import Array, Rows, join
from twinflow.tf.data._stages import Stage, take_front


class Batched(Stage):
    """`size` elements as one."""

    def __init__(self, child: Stage, size: int, drop_remainder: bool) -> None:
        self.child, self.size, self.drop_remainder = child, size, drop_remainder
        self.parts: list[Rows] = []  # what a caught error or a saved state leaves for the next batch

    def next(self, limit: int) -> Rows | None:
        have = sum(p.n for p in self.parts)
        while have < self.size * limit:
            part = self.child.next(self.size * limit - have)
            if part is None:
                break
            self.parts.append(part)
            have += part.n
            if have >= self.size and have % self.size == 0:
                break
        if not have or (have < self.size and self.drop_remainder):
            return None
        parts, self.parts = self.parts, []
        rows = self.put_together(parts)
        whole = rows.n // self.size * self.size
        if 0 < whole < rows.n:
            self.parts = [rows.part(whole, rows.n)]
            rows = rows.part(0, whole)
        n = max(1, rows.n // self.size)
        columns = [c.reshape(n, rows.n // n, *c.shape[1:]) for c in rows.columns]
        return Rows(columns, rows.tree, n)

    def put_together(self, parts: list[Rows]) -> Rows:
        """Elements that wait, as one piece."""
        return join(parts, "batch")

    def state(self) -> dict[str, Any]:
        return {"child": self.child.state(), "parts": [p.state() for p in self.parts]}

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.parts = [Rows.from_state(p) for p in state["parts"]]

    def close(self) -> None:
        self.child.close()


class PaddedBatched(Batched):
    """`size` elements as one, each leaf filled up to one shape."""

    def __init__(self, child: Stage, size: int, drop_remainder: bool, shapes: Any, values: Any) -> None:
        super().__init__(child, size, drop_remainder)
        self.shapes, self.values = shapes, values

    def next(self, limit: int) -> Rows | None:
        return super().next(1)  # each batch has its own longest element

    def put_together(self, parts: list[Rows]) -> Rows:
        if len({len(p.columns) for p in parts}) > 1:
            raise DataError("padded_batch: the elements differ in structure")
        shapes = _for_each_leaf(self.shapes, parts[0], "padded_shapes")
        values = _for_each_leaf(self.values, parts[0], "padding_values")
        columns = [
            _padded([p.columns[k] for p in parts], shape, value) for k, (shape, value) in enumerate(zip(shapes, values))
        ]
        return Rows(columns, parts[0].tree, sum(p.n for p in parts))


def _for_each_leaf(given: Any, rows: Rows, what: str) -> list[Any]:
    """One value for each leaf: one for all, or a structure of them."""
    n = len(rows.columns)
    if given is None or (n > 1 and not isinstance(given, (tuple, dict))):
        return [given] * n
    if isinstance(given, dict):
        given = tuple(given[k] for k in rows.tree.keys)
    nested = n > 1 or (what == "padded_shapes" and len(given) == 1 and isinstance(given[0], (tuple, list)))
    found = list(given) if isinstance(given, tuple) and nested else [given]
    if len(found) != n:
        raise DataError(f"padded_batch: {what} has {len(found)} entries, but an element has {n} parts")
    return found


def _padded(columns: list[Array], shape: Any, value: Any) -> Array:
    ranks = {c.ndim for c in columns}
    if len(ranks) > 1:
        raise ShapeError(f"padded_batch: elements of {sorted(r - 1 for r in ranks)} axes cannot be padded to one shape")
    longest = tuple(max(c.shape[1 + i] for c in columns) for i in range(columns[0].ndim - 1))
    asked = [None] * len(longest) if shape is None else [None if s in (None, -1) else int(s) for s in shape]
    if len(asked) != len(longest):
        raise ShapeError(f"padded_batch: padded_shapes says {tuple(asked)}, but the elements have {len(longest)} axes")
    final = tuple(most if want is None else want for want, most in zip(asked, longest))
    if any(a < b for a, b in zip(final, longest)):
        raise ShapeError(f"padded_batch: an element of shape {longest} is larger than padded_shapes {final}")
    kind = columns[0].dtype
    fill = ("" if kind.kind == "O" else 0) if value is None else value
    out = np.full((sum(len(c) for c in columns), *final), fill, kind)
    at = 0
    for c in columns:
        out[(slice(at, at + len(c)), *(slice(0, s) for s in c.shape[1:]))] = c
        at += len(c)
    return out


class Unbatched(Stage):
    """The elements of each batch, one by one."""

    def __init__(self, child: Stage) -> None:
        self.child = child
        self.waiting: deque[Rows] = deque()

    def next(self, limit: int) -> Rows | None:
        while not self.waiting:
            rows = self.child.next(1)
            if rows is None:
                return None
            columns = [c[0] for c in rows.columns]
            if any(c.ndim == 0 for c in columns) or len({len(c) for c in columns}) != 1:
                shapes = ", ".join(str(c.shape) for c in columns)
                raise ShapeError(
                    f"unbatch: the parts of an element need one common first axis; their shapes are {shapes}"
                )
            if len(columns[0]):
                self.waiting.append(Rows(columns, rows.tree, len(columns[0])))
        return take_front(self.waiting, limit)

    def state(self) -> dict[str, Any]:
        return {"child": self.child.state(), "waiting": [r.state() for r in self.waiting]}

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.waiting = deque(Rows.from_state(r) for r in state["waiting"])

    def close(self) -> None:
        self.child.close()


class Windowed(Stage):
    """`size` elements, `stride` apart, as a data set of its own (one for each leaf); each window begins `shift` later."""

    def __init__(
        self, child: Stage, size: int, shift: int, stride: int, drop: bool, wrap: Callable[[Rows], Any]
    ) -> None:
        self.child, self.size, self.shift, self.stride, self.drop, self.wrap = child, size, shift, stride, drop, wrap
        self.have: Rows | None = None
        self.ended = False
        self.skip = 0

    def next(self, limit: int) -> Rows | None:
        span = (self.size - 1) * self.stride + 1
        self._fill(span)
        have = self.have
        if have is None or not have.n or (self.drop and have.n < span):
            return None
        window = have.take(np.arange(0, min(have.n, span), self.stride))
        self.skip = max(0, self.shift - have.n)
        self.have = have.part(self.shift, have.n)
        leaves, tree = tree_flatten(self.wrap(window))
        columns = []
        for leaf in leaves:
            cell = np.empty(1, object)
            cell[0] = leaf
            columns.append(cell)
        return Rows(columns, tree, 1)

    def _fill(self, span: int) -> None:
        while not self.ended and (self.skip or self.have is None or self.have.n < span):
            missing = self.skip or span - (self.have.n if self.have is not None else 0)
            rows = self.child.next(missing)
            if rows is None:
                self.ended = True
            elif self.skip:
                self.skip -= rows.n
            else:
                self.have = rows if self.have is None or not self.have.n else join([self.have, rows], "window")

    def state(self) -> dict[str, Any]:
        have = None if self.have is None else self.have.state()
        return {"child": self.child.state(), "have": have, "ended": self.ended, "skip": self.skip}

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.have = None if state["have"] is None else Rows.from_state(state["have"])
        self.ended, self.skip = bool(state["ended"]), int(state["skip"])

    def close(self) -> None:
        self.child.close()
