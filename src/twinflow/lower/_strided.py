"""Nodes seen as steps through the memory of another: views cost nothing to kernels that walk their operands with strides."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from twinflow.core import matching_axes
from twinflow.graph import Node
from twinflow.lower._index import row_major, split_needed


@dataclass
class Strided:
    """A node seen as steps through the buffer of another: element at positions p lies at offset + Σ stride·p."""

    base: Node
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


def strided(x: Node, stored: set[Node]) -> Strided | None:
    """`x` as steps through a stored node, or None if a view on the way mixes axes."""
    if x in stored or x.prim is None:
        return Strided(x, x.aval.shape, row_major(x.aval.shape), 0)
    if x.op not in ("reshape", "permute", "expand", "slice"):
        return None
    below = strided(x.inputs[0], stored)
    if below is None:
        return None
    shape, steps, offset = x.aval.shape, below.strides, below.offset
    if x.op == "permute":
        return Strided(below.base, shape, tuple(steps[a] for a in x.params["axes"]), offset)
    if x.op == "expand":
        lead = len(shape) - len(steps)
        kept = tuple(0 if n == 1 else s for n, s in zip(below.shape, steps))
        return Strided(below.base, shape, (0,) * lead + kept, offset)
    if x.op == "slice":
        p = x.params
        offset += sum(a * s for a, s in zip(p["starts"], steps))
        return Strided(below.base, shape, tuple(s * k for s, k in zip(steps, p["steps"])), offset)
    new = _restride(below.shape, steps, shape)
    return None if new is None else Strided(below.base, shape, new, offset)


def _restride(old: tuple[int, ...], steps: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...] | None:
    """The steps of a reshape of a strided array without copying, or None if there are none."""
    runs = matching_axes(old, new)
    if runs is None:
        return row_major(new)
    out = [0] * len(new)
    for a, b in runs:
        wide = [k for k in a if old[k] != 1]
        for i, j in itertools.pairwise(wide):
            if steps[i] != steps[j] * old[j]:
                return None
        step = steps[wide[-1]] if wide else 0
        for k in reversed(b):
            out[k] = step
            step *= new[k]
    return tuple(out)


def walkable(x: Any) -> Any:
    """The node that must have memory for `x`, a chain of views, to be walked with strides: reshapes that mix axes need their
    operand in order."""
    while isinstance(x, Node) and x.op in ("reshape", "permute", "expand", "slice"):
        y = x.inputs[0]
        if x.op == "reshape" and isinstance(y, Node) and y.op in ("permute", "expand", "slice"):
            old, new = y.aval.shape, x.aval.shape
            if matching_axes(old, new) is not None and (split_needed(old, new) or split_needed(new, old)):
                return y
        x = y
    return x
