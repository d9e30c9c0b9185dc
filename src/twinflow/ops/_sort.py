"""Sorting primitives: a stable sort along an axis, and binary search in sorted rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import DTypeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._declare import BF16, call, calls, want
from twinflow.ops._shape import batched, to_front
from twinflow.tensor import Tensor, apply


def _sort_out(x: Aval, *, axis: int, descending: bool) -> tuple[Aval, Aval]:
    want(0 <= axis < x.ndim, "the axis is one of the operand's", "sort", x=x)
    if x.dtype.is_complex:
        raise DTypeError("sort: complex numbers have no order; sort .abs() or .real")
    return x, Aval(x.shape, as_dtype("int64"))


def _np_sort(x: Any, *, axis: int, descending: bool) -> Any:
    keys = x.astype(np.float32) if x.dtype == BF16 else x
    if descending:  # the reverse of a stable sort of the reverse keeps equal elements in order, and puts NaN first
        order = np.flip(x.shape[axis] - 1 - np.argsort(np.flip(keys, axis), axis, kind="stable"), axis)
    else:
        order = np.argsort(keys, axis, kind="stable")
    return np.take_along_axis(x, order, axis), np.ascontiguousarray(order)


def _sort_vjp(g: Any, y: Any, _x: Any, *, axis: int, descending: bool) -> Any:
    zero = call("full", shape=tuple(_x.shape), value=0, dtype=_x.dtype)
    return (call("scatter", zero, y[1], g[0], axis=axis),)


def _sort_jvp(t: Any, y: Any, x: Tensor, *, axis: int, descending: bool) -> Any:
    return call("gather", t[0], y[1], axis=axis), None


def _sort_samples(rng: np.random.Generator) -> list[Sample]:
    ties = Sample((np.array([[2.0, 1.0, 2.0, np.nan, 1.0]], np.float32),), {"axis": 1, "descending": True})
    cases = [
        *calls(
            (((3, 4),), {"axis": 1, "descending": False}),
            (((3, 4),), {"axis": 0, "descending": True}),
            (((0, 3),), {"axis": 0, "descending": False}),
            (((1,),), {"axis": 0, "descending": False}),
            kinds=("float32", "float64", "int64", "bfloat16"),
        )(rng),
    ]
    return [*cases, ties]


sort: Primitive = Primitive(
    "sort",
    out=_sort_out,
    ref=_np_sort,
    vjp=_sort_vjp,
    jvp=_sort_jvp,
    batch=lambda args, axes, *, axis, descending: (
        call("sort", to_front(args[0], axes[0]), axis=axis + 1, descending=descending),
        0,
    ),
    lower=Named("sort"),
    samples=_sort_samples,
    bad=lambda rng: [
        Sample((np.ones((2, 3), np.complex64),), {"axis": 0, "descending": False}),
        Sample((np.ones(3, np.float32),), {"axis": 1, "descending": False}),
    ],
    n_out=2,
    doc="(values, indices) in order along an axis; equal elements keep their order, and NaN counts as the largest.",
)


def _search_out(rows: Aval, v: Aval, *, right: bool) -> Aval:
    want(
        rows.ndim >= 1 and v.ndim == rows.ndim and v.shape[:-1] == rows.shape[:-1],
        "both have the same axes before the last",
        "searchsorted",
        sorted_sequence=rows,
        values=v,
    )
    want(rows.dtype is v.dtype, "both are of one type", "searchsorted", sorted_sequence=rows, values=v)
    if rows.dtype.is_complex:
        raise DTypeError("searchsorted: complex numbers have no order; search .abs() or .real")
    return Aval(v.shape, as_dtype("int64"))


def _np_search(rows: Any, v: Any, *, right: bool) -> Any:
    if rows.dtype.kind == "c":
        raise TypeError(rows.dtype.name)  # the shape rule says why
    if rows.dtype == BF16:
        rows, v = rows.astype(np.float32), v.astype(np.float32)
    side: Any = "right" if right else "left"
    if rows.ndim == 1:
        return np.searchsorted(rows, v, side).astype(np.int64)
    out = np.empty(v.shape, np.int64)
    for at in np.ndindex(*rows.shape[:-1]):
        out[at] = np.searchsorted(rows[at], v[at], side)
    return out


def _search_batch(args: Any, axes: Any, *, right: bool) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    return apply(searchsorted, *(batched(x, a, n) for x, a in zip(args, axes)), right=right), 0


searchsorted: Primitive = Primitive(
    "searchsorted",
    out=_search_out,
    ref=_np_search,
    vjp=None,
    why="a position is piecewise constant",
    batch=_search_batch,
    lower=Named("searchsorted"),
    samples=lambda rng: (
        [
            Sample(
                (np.sort(rng.uniform(-1, 1, 5)).astype(np.float32), rng.uniform(-1, 1, 4).astype(np.float32)),
                {"right": r},
            )
            for r in (False, True)
        ]
        + [Sample((np.sort(rng.integers(0, 5, (2, 6))), rng.integers(0, 5, (2, 3))), {"right": True})]
    ),
    bad=lambda rng: [Sample((np.ones((2, 3)), np.ones((3, 3))), {"right": False})],
    doc="For each value the number of elements of its sorted row that are smaller (right: smaller or equal).",
)
