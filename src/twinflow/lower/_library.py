"""Calls of NumPy's own loops (see `runtime._library`) as nodes of a graph, and as entries of an argument block.

What NumPy's functions do in Python around their loops — conversions, triangles, a second loop — `_factors.py` writes as
ordinary nodes, so that it is fused with what comes before and after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import LinAlgError, TwinflowError
from twinflow.graph import Aval, Node, Primitive
from twinflow.graph.lowering import Named
from twinflow.lower._checks import Check
from twinflow.runtime._library import HEAD, find_loop, ufunc_of

_GRAIN = 1 << 18  # operations from which on a chunk is worth another thread
_LARGE = 64  # rows from which on LAPACK itself uses threads


def _out(*operands: Aval, shapes: tuple[Any, ...], dtypes: tuple[str, ...], **_: Any) -> tuple[Aval, ...]:
    return tuple(Aval(shape, as_dtype(dtype)) for shape, dtype in zip(shapes, dtypes))


def _ref(*operands: Any, loop: str, axis: int | None, failure: str, changes: bool, given: bool, **_: Any) -> Any:
    ufunc, signature = ufunc_of(loop), loop.partition(":")[2]
    if given:
        *operands, holds = operands  # type: ignore[assignment]
        if not holds:
            raise LinAlgError(failure)
    operands = (operands[0].copy(), *operands[1:]) if changes else operands
    axes = {} if axis is None else {"axes": [(axis,), (), (axis,)]}
    if axis is not None:  # as many elements as the result has along the axis
        axes["out"] = np.empty(_["shapes"][0], as_dtype(_["dtypes"][0]).np)  # type: ignore[assignment]
    with np.errstate(all="ignore", invalid="raise" if failure else "ignore"):
        try:
            made = ufunc(*operands, signature=signature, **axes)
        except FloatingPointError:
            raise LinAlgError(failure) from None
    made = made if isinstance(made, tuple) else (made,)
    return (operands[0], *made) if changes else made


library: Primitive = Primitive(
    "library",
    out=_out,
    ref=_ref,
    vjp=None,
    why="it stands in compiled graphs only, for a part of a row that has a derivative",
    lower=Named("library"),
    n_out=0,
    doc="A loop of NumPy's: the results of `loop` on matrices, or along `axis`; `failure` is what its failing means; with "
    "`changes` the first result is the first operand as the loop leaves it; with `given` the last operand must be true.",
)


@dataclass
class LibraryCall:
    """A node that a loop of NumPy's computes.

    Attributes:
        operands: operands and results of the loop, in its order.
        words: what the argument block holds besides addresses: from its third word up to the alarm, and after the operands.
        chunks: into how many parts the items are split.
        copy: (result, operand) if the loop changes that operand, which is copied first.
        failure: what it means if the loop says that it failed; None if it cannot.
        given: a condition without which it counts as failed and is not called.
    """

    loop: str
    operands: list[Node]
    words: tuple[list[int], list[int]]
    chunks: int
    copy: tuple[Node, Node] | None
    failure: Check | None
    given: Node | None

    @property
    def n_slots(self) -> int:
        """The size of the argument block, in 8-byte slots."""
        return HEAD + len(self.operands) + len(self.words[1])


def library_call(node: Node, results: list[Node]) -> LibraryCall:
    """The call of a `library` node whose results have the nodes `results`."""
    p, name = node.params, node.params["loop"]
    found = find_loop(name)
    if found is None:
        raise TwinflowError(f"lower: this NumPy has no loop {name}")
    inputs = [x for x in node.inputs if isinstance(x, Node)]
    given = inputs.pop() if p["given"] else None
    copy = (results[0], inputs[0]) if p["changes"] else None
    operands = [*results[:1], *inputs[1:], *results[1:]] if copy else [*inputs, *results]
    shapes = [tuple(int(n) for n in x.aval.shape) for x in operands]
    sizes = [x.aval.dtype.itemsize for x in operands]
    if p["axis"] is None:
        run, total, moves, jumps, strides = _batched(found.core, shapes, sizes)
        flat = [s[len(s) - len(core) :] for s, core in zip(shapes, found.core)]
    else:
        run, total, moves, jumps, strides = _along(p["axis"], shapes, sizes)
        flat = [(s[p["axis"]],) if s else () for s in shapes]
    extents = dict(zip((d for core in found.core for d in core), (n for s in flat for n in s)))
    n = max(extents.values())
    cost = 5 * n * math.log2(n + 1) if p["axis"] is not None else 8 * n**3
    each = max(1, -(-_GRAIN // int(max(cost, 1))))
    if p["axis"] is None and n >= _LARGE:
        each = max(total, 1)
    head = [len(operands), len(extents), len(strides), run, total, each]
    failure = Check("linalg", 0, node.line, p["failure"]) if p["failure"] else None
    tail = [*moves, *jumps, *extents.values(), *strides]
    return LibraryCall(name, operands, (head, tail), -(-total // each), copy, failure, given)


def _batched(core: Any, shapes: list[Any], sizes: list[int]) -> tuple[int, int, list[int], list[int], list[int]]:
    """(items of a run, items, bytes from item to item, from run to run, core strides) of matrices in the last axes."""
    total = prod(shapes[0][: len(shapes[0]) - len(core[0])])
    moves, strides = [], []
    for shape, names, size in zip(shapes, core, sizes):
        inner = shape[len(shape) - len(names) :]
        moves.append(prod(inner) * size)
        strides += [prod(inner[k + 1 :]) * size for k in range(len(inner))]
    return total, total, moves, [0] * len(shapes), strides


def _along(axis: int, shapes: list[Any], sizes: list[int]) -> tuple[int, int, list[int], list[int], list[int]]:
    """The same of vectors along an axis; operands without axes serve all of them."""
    lead, trail = prod(shapes[0][:axis]), prod(shapes[0][axis + 1 :])
    rows = [(s[axis] if s else 0) * size for s, size in zip(shapes, sizes)]
    strides = [trail * size for s, size in zip(shapes, sizes) if s]
    if trail == 1:
        return lead, lead, rows, [0] * len(shapes), strides
    moves = [size if s else 0 for s, size in zip(shapes, sizes)]
    return trail, lead * trail, moves, [r * trail for r in rows], strides
