"""Reading and writing elements through index tensors.

Indices are int64 and already resolved by the functions above the primitives: 0 ≤ index < extent, except where a row
says otherwise. The references check the range, because a wrong index must be an error and never a wrong element.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import DTypeError, IndexOutOfRange
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Gather
from twinflow.ops._declare import call, want
from twinflow.ops._shape import batched, reshape, to_front
from twinflow.tensor import Tensor, apply

_INDEX = ("int64", "int32")


def _check_index(op: str, index: Aval) -> None:
    if index.dtype.name not in _INDEX:
        raise DTypeError(f"{op}: the index must be int64 or int32, not {index.dtype.name}")


def check_range(op: str, index: np.ndarray[Any, Any], n: int) -> None:
    """Raise if an index lies outside [0, n)."""
    if index.size and (int(index.min()) < 0 or int(index.max()) >= n):
        worst = int(index.min()) if int(index.min()) < 0 else int(index.max())
        raise IndexOutOfRange(
            f"{op}: index {worst} is outside [0, {n - 1}]" if n else f"{op}: index {worst} into an empty axis"
        )


# -- take: whole slices along one axis (embedding) --------------------------------------------------------------


def _take_out(x: Aval, index: Aval, *, axis: int) -> Aval:
    want(x.ndim >= 1, "the operand has at least 1 axis", "take", x=x)
    _check_index("take", index)
    return Aval((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]), x.dtype)


def _np_take(x: Any, index: Any, *, axis: int) -> Any:
    check_range("take", index, x.shape[axis])
    return x.take(index, axis)


def _take_vjp(g: Tensor, _y: Any, _x: Any, index: Tensor, *, axis: int) -> Tensor:
    zero = call("full", shape=tuple(_x.shape), value=0, dtype=_x.dtype)
    return apply(put_add, zero, index, g, axis=axis)


def _take_batch(args: Any, axes: Any, *, axis: int) -> Any:
    x, index = args
    if axes[1] is None:
        return apply(take, to_front(x, axes[0]), index, axis=axis + 1), 0
    index = to_front(index, axes[1])
    if axes[0] is None:
        y = apply(take, x, index, axis=axis)  # the mapped axis of the index stands at `axis`
        return y, axis
    x = to_front(x, axes[0])
    n, size = x._data.shape[0], x._data.shape[axis + 1]
    # both mapped: make batch and axis one axis, and shift each example's indices
    order = (0, axis + 1, *(i for i in range(1, len(x._data.shape)) if i != axis + 1))
    flat = call("permute", x, axes=order)
    flat = apply(reshape, flat, shape=(n * size, *flat._data.shape[2:]))
    offset = call("cast", call("mul", call("iota", n=n, dtype=index.dtype), size), dtype=index.dtype)
    offset = apply(reshape, offset, shape=(n,) + (1,) * (len(index._data.shape) - 1))
    y = apply(take, flat, call("add", index, offset), axis=0)  # [n, *index, *rest]
    k = len(index._data.shape) - 1
    rest = len(y._data.shape) - 1 - k
    order = (0, *range(1 + k, 1 + k + axis), *range(1, 1 + k), *range(1 + k + axis, 1 + k + rest))
    return call("permute", y, axes=order), 0


def _take_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
    return [
        Sample((x, np.array([[1, 0, 3], [1, 1, 2]])), {"axis": 0}),
        Sample((x, np.array(2)), {"axis": 1}),
        Sample((x.astype(np.float64), np.zeros((0,), np.int64)), {"axis": 0}),
    ]


take: Primitive = Primitive(
    "take",
    out=_take_out,
    ref=_np_take,
    vjp=(_take_vjp, None),
    jvp=lambda t, _y, _x, index, *, axis: apply(take, t[0], index, axis=axis),
    batch=_take_batch,
    lower=Gather("take"),
    samples=_take_samples,
    bad=lambda rng: [
        Sample((np.ones((4, 3), np.float32), np.array([4])), {"axis": 0}),
        Sample((np.ones(3, np.float32), np.ones(2)), {"axis": 0}),
    ],
    doc="Whole slices along an axis: y[..., i..., ...] = x[..., index[i...], ...].",
)


def _put_out(x: Aval, index: Aval, v: Aval, *, axis: int) -> Aval:
    part = _take_out(x, index, axis=axis)
    want(v == part, f"the value is {part!r}", "put_add", x=x, index=index, value=v)
    return x


def _np_put_add(x: Any, index: Any, v: Any, *, axis: int) -> Any:
    check_range("put_add", index, x.shape[axis])
    y = x.copy()
    np.add.at(
        np.moveaxis(y, axis, 0),
        index.reshape(-1),
        np.moveaxis(v.reshape(*x.shape[:axis], index.size, *x.shape[axis + 1 :]), axis, 0),
    )
    return y


def _put_batch(args: Any, axes: Any, *, axis: int) -> Any:
    x, index, v = args
    n = next(a._data.shape[i] for a, i in zip(args, axes) if i is not None)
    x, v = batched(x, axes[0], n), batched(v, axes[2], n)
    if axes[1] is None:
        return apply(put_add, x, index, v, axis=axis + 1), 0
    index = to_front(index, axes[1])
    size = x._data.shape[axis + 1]
    k = len(index._data.shape) - 1
    order = (0, axis + 1, *(i for i in range(1, len(x._data.shape)) if i != axis + 1))
    moved = call("permute", x, axes=order)
    flat = apply(reshape, moved, shape=(n * size, *moved._data.shape[2:]))
    vo = (0, *range(1 + axis, 1 + axis + k), *range(1, 1 + axis), *range(1 + axis + k, len(v._data.shape)))
    offset = apply(reshape, call("mul", call("iota", n=n, dtype=index.dtype), size), shape=(n,) + (1,) * k)
    y = apply(put_add, flat, call("add", index, offset), call("permute", v, axes=vo), axis=0)
    y = apply(reshape, y, shape=moved._data.shape)
    return call("permute", y, axes=tuple(int(i) for i in np.argsort(order))), 0


put_add: Primitive = Primitive(
    "put_add",
    out=_put_out,
    ref=_np_put_add,
    vjp=(
        lambda g, _y, _x, _i, _v, *, axis: g,
        None,
        lambda g, _y, _x, index, _v, *, axis: apply(take, g, index, axis=axis),
    ),
    jvp=lambda t, _y, x, index, v, *, axis: apply(
        put_add,
        t[0] if t[0] is not None else call("full", shape=tuple(x._data.shape), value=0, dtype=x.dtype),
        index,
        t[2] if t[2] is not None else call("full", shape=tuple(v._data.shape), value=0, dtype=v.dtype),
        axis=axis,
    ),
    batch=_put_batch,
    lower=Gather("put_add"),
    samples=lambda rng: [
        Sample(
            (np.ones((4, 3), np.float32), np.array([1, 1, 0]), rng.uniform(-1, 1, (3, 3)).astype(np.float32)),
            {"axis": 0},
        ),
        Sample(
            (np.ones((4, 3), np.float32), np.array([[1], [0]]), rng.uniform(-1, 1, (4, 2, 1)).astype(np.float32)),
            {"axis": 1},
        ),
    ],
    bad=lambda rng: [Sample((np.ones((4, 3), np.float32), np.array([9]), np.ones((1, 3), np.float32)), {"axis": 0})],
    doc="The operand with slices added at indices along an axis; repeated indices accumulate. The transpose of take.",
)


# -- gather and scatter: one index per element ------------------------------------------------------------------


def _gather_out(x: Aval, index: Aval, *, axis: int) -> Aval:
    _check_index("gather", index)
    fits = x.ndim == index.ndim and all(i <= n for k, (i, n) in enumerate(zip(index.shape, x.shape)) if k != axis)
    want(fits, f"the index has the operand's axes, none longer except axis {axis}", "gather", x=x, index=index)
    return Aval(index.shape, x.dtype)


def _crop(x: Any, shape: tuple[int, ...], axis: int) -> Any:
    return x[tuple(slice(None) if k == axis else slice(0, n) for k, n in enumerate(shape))]


def _np_gather(x: Any, index: Any, *, axis: int) -> Any:
    if not x.ndim:
        return x.copy()
    check_range("gather", index, x.shape[axis])
    return np.take_along_axis(_crop(x, index.shape, axis), index, axis)


def _gather_vjp(g: Tensor, _y: Any, _x: Any, index: Tensor, *, axis: int) -> Tensor:
    zero = call("full", shape=tuple(_x.shape), value=0, dtype=_x.dtype)
    return apply(scatter_add, zero, index, g, axis=axis)


def _along_batch(name: str) -> Any:
    def batch(args: Any, axes: Any, *, axis: int) -> Any:
        n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
        return call(name, *(batched(x, a, n) for x, a in zip(args, axes)), axis=axis + 1), 0

    return batch


def _gather_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.uniform(-1, 1, (4, 3)).astype(np.float32)
    return [
        Sample((x, np.array([[1, 0, 3], [1, 1, 2]])), {"axis": 0}),
        Sample((x, np.array([[2], [0], [1], [1]])), {"axis": 1}),
        Sample((x.astype(np.float64), np.zeros((0, 3), np.int64)), {"axis": 0}),
    ]


gather: Primitive = Primitive(
    "gather",
    out=_gather_out,
    ref=_np_gather,
    vjp=(_gather_vjp, None),
    jvp=lambda t, _y, _x, index, *, axis: apply(gather, t[0], index, axis=axis),
    batch=_along_batch("gather"),
    lower=Gather("gather"),
    samples=_gather_samples,
    bad=lambda rng: [Sample((np.ones((4, 3), np.float32), np.array([[4, 0, 0]])), {"axis": 0})],
    doc="y[i, j] = x[index[i, j], j] along axis 0, and so on.",
)


def _scatter_out(x: Aval, index: Aval, v: Aval, *, axis: int) -> Aval:
    _gather_out(x, index, axis=axis)
    want(
        v.shape == index.shape and v.dtype is x.dtype,
        "the value has the index's shape and the operand's type",
        "scatter",
        x=x,
        index=index,
        value=v,
    )
    return x


def _where_to(index: Any, axis: int) -> tuple[Any, ...]:
    grid = list(np.ogrid[tuple(slice(0, n) for n in index.shape)])
    grid[axis] = index
    return tuple(grid)


def _np_scatter(x: Any, index: Any, v: Any, *, axis: int) -> Any:
    y = x.copy()
    if not x.ndim:
        return v.copy()
    check_range("scatter", index, x.shape[axis])
    y[_where_to(index, axis)] = v
    return y


def _np_scatter_add(x: Any, index: Any, v: Any, *, axis: int) -> Any:
    if not x.ndim:
        return x + v
    check_range("scatter_add", index, x.shape[axis])
    y = x.copy()
    np.add.at(y, _where_to(index, axis), v)
    return y


def _zero_like(x: Any) -> Tensor:
    return call("full", shape=tuple(x.shape), value=0, dtype=x.dtype)


def _or_zero(t: Any, x: Tensor) -> Tensor:
    return _zero_like(x) if t is None else t


def _scatter_vjp_x(g: Tensor, _y: Any, _x: Any, index: Tensor, _v: Any, *, axis: int) -> Tensor:
    return apply(scatter, g, index, call("full", shape=tuple(_v.shape), value=0, dtype=_v.dtype), axis=axis)


_SCATTER = [
    (np.array([[1, 0, 3], [2, 1, 2]]), (2, 3), 0),
    (np.array([[2], [0], [1], [1]]), (4, 1), 1),
]


def _scatter_samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            (rng.uniform(-1, 1, (4, 3)).astype(np.float32), i, rng.uniform(-1, 1, s).astype(np.float32)), {"axis": a}
        )
        for i, s, a in _SCATTER
    ]


scatter: Primitive = Primitive(
    "scatter",
    out=_scatter_out,
    ref=_np_scatter,
    vjp=(_scatter_vjp_x, None, lambda g, _y, _x, index, _v, *, axis: apply(gather, g, index, axis=axis)),
    jvp=lambda t, _y, x, index, v, *, axis: apply(scatter, _or_zero(t[0], x), index, _or_zero(t[2], v), axis=axis),
    batch=_along_batch("scatter"),
    lower=Gather("scatter"),
    samples=_scatter_samples,
    bad=lambda rng: [
        Sample((np.ones((4, 3), np.float32), np.array([[4, 0, 0]]), np.ones((1, 3), np.float32)), {"axis": 0})
    ],
    doc="The operand with y[index[i, j], j] = v[i, j]; of repeated indices the last wins.",
)
scatter_add: Primitive = Primitive(
    "scatter_add",
    out=_scatter_out,
    ref=_np_scatter_add,
    vjp=(
        lambda g, _y, _x, _i, _v, *, axis: g,
        None,
        lambda g, _y, _x, index, _v, *, axis: apply(gather, g, index, axis=axis),
    ),
    jvp=lambda t, _y, x, index, v, *, axis: apply(scatter_add, _or_zero(t[0], x), index, _or_zero(t[2], v), axis=axis),
    batch=_along_batch("scatter_add"),
    lower=Gather("scatter_add"),
    samples=_scatter_samples,
    bad=lambda rng: [
        Sample((np.ones((4, 3), np.float32), np.array([[-1, 0, 0]]), np.ones((1, 3), np.float32)), {"axis": 0})
    ],
    doc="The operand with y[index[i, j], j] += v[i, j]; repeated indices accumulate.",
)


# -- scatter by product, maximum or minimum ---------------------------------------------------------------------

_FOLD: dict[str, Any] = {"prod": np.multiply, "max": np.maximum, "min": np.minimum}


def _fold_out(x: Aval, index: Aval, v: Aval, *, axis: int, combine: str) -> Aval:
    if x.dtype.is_complex:
        raise DTypeError("scatter_fold: complex numbers have no order, and products of them are not supported")
    return _scatter_out(x, index, v, axis=axis)


def _np_scatter_fold(x: Any, index: Any, v: Any, *, axis: int, combine: str) -> Any:
    if x.dtype.kind == "c":
        raise TypeError(x.dtype.name)  # the shape rule says why
    if not x.ndim:
        return np.asarray(_FOLD[combine](x, v))
    check_range("scatter_fold", index, x.shape[axis])
    y = x.copy()
    _FOLD[combine].at(y, _where_to(index, axis), v)
    return y


def _fold_vjp(g: Tensor, y: Tensor, x: Tensor, index: Tensor, v: Tensor, *, axis: int, combine: str) -> Any:
    if combine != "prod":  # those that are the extreme share the gradient
        x_hit, v_hit = (
            call("cast", call("eq", t, r), dtype=x.dtype) for t, r in ((x, y), (v, apply(gather, y, index, axis=axis)))
        )
        share = g / apply(scatter_add, x_hit, index, v_hit, axis=axis)
        return share * x_hit, None, apply(gather, share, index, axis=axis) * v_hit
    # the product of all others: by division where no factor is zero, and without the zero where it is the only one
    x_zero, v_zero = (call("cast", call("eq", t, 0.0), dtype=x.dtype) for t in (x, v))
    zeros = apply(scatter_add, x_zero, index, v_zero, axis=axis)
    x_free, v_free = (call("where", call("eq", t, 0.0), 1.0, t) for t in (x, v))
    product = apply(scatter_fold, x_free, index, v_free, axis=axis, combine="prod")
    whole = call("where", call("eq", zeros, 0.0), g * product, 0.0)
    only = call("where", call("eq", zeros, 1.0), g * product, 0.0)
    gx = whole / x_free + only * x_zero
    gv = apply(gather, whole, index, axis=axis) / v_free + apply(gather, only, index, axis=axis) * v_zero
    return gx, None, gv


def _fold_jvp(t: Any, y: Tensor, x: Tensor, index: Tensor, v: Tensor, *, axis: int, combine: str) -> Tensor:
    # y's derivative in each operand is what the vjp multiplies g by
    one = call("full", shape=tuple(x._data.shape), value=1, dtype=x.dtype)
    by_x, _, by_v = _fold_vjp(one, y, x, index, v, axis=axis, combine=combine)
    return apply(scatter_add, by_x * _or_zero(t[0], x), index, by_v * _or_zero(t[2], v), axis=axis)


def _fold_batch(args: Any, axes: Any, *, axis: int, combine: str) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    return call("scatter_fold", *(batched(x, a, n) for x, a in zip(args, axes)), axis=axis + 1, combine=combine), 0


scatter_fold: Primitive = Primitive(
    "scatter_fold",
    out=_fold_out,
    ref=_np_scatter_fold,
    vjp=_fold_vjp,
    jvp=_fold_jvp,
    batch=_fold_batch,
    lower=Gather("scatter_fold"),
    samples=lambda rng: [
        Sample(s.args, {**s.params, "combine": c}) for c in ("prod", "max", "min") for s in _scatter_samples(rng)
    ],
    bad=lambda rng: [
        Sample(
            (np.ones((4, 3), np.float32), np.array([[9, 0, 0]]), np.ones((1, 3), np.float32)),
            {"axis": 0, "combine": "max"},
        )
    ],
    doc="The operand with y[index[i, j], j] multiplied by v[i, j], or the larger or smaller of the two.",
    ulp=16,
)
