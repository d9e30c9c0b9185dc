"""Reductions and running folds."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype, reduced_shape
from twinflow.core.errors import DTypeError, ShapeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Cumulative, Reduction
from twinflow.ops._declare import call, calls
from twinflow.ops._shape import expand, flip_axes, reshape, to_front
from twinflow.tensor import Tensor, apply, is_plain, wrap

Axes = tuple[int, ...]

_SAMPLES = calls(
    (((3, 4),), {"axes": (1,), "keepdim": False}),
    (((3, 4, 2),), {"axes": (0, 2), "keepdim": True}),
    (((3,),), {"axes": (0,), "keepdim": False}),
    (((2, 1),), {"axes": (1,), "keepdim": False}),
    kinds=("float32", "float64", "float16", "int64", "bfloat16"),
)


def _need_order(name: str, x: Aval) -> None:
    if x.dtype.is_complex:
        raise DTypeError(f"{name}: complex numbers have no order; take .abs() or .real first")


def _out(name: str, *, empty: bool) -> Any:
    def out(x: Aval, *, axes: Axes, keepdim: bool) -> Aval:
        if not empty and any(x.shape[a] == 0 for a in axes):
            raise ShapeError(
                f"{name}: axis {next(a for a in axes if x.shape[a] == 0)} of {x!r} is empty, and nothing has no {name}"
            )
        if name not in ("sum", "prod"):
            _need_order(name, x)
        return Aval(reduced_shape(x.shape, axes, keepdim), x.dtype)

    return out


def spread(g: Tensor, shape: tuple[int, ...], axes: Axes, keepdim: bool) -> Tensor:
    """A reduced value repeated along the axes it was reduced over: the transpose of `sum`."""
    if not keepdim and axes != tuple(range(len(axes))):  # axes in front come back by broadcasting
        g = apply(reshape, g, shape=tuple(1 if i in axes else s for i, s in enumerate(shape)))
    if is_plain(g):
        return wrap(expand.run(g._data, shape=shape))
    return apply(expand, g, shape=tuple(shape))


def _batch(prim_name: str) -> Any:
    def batch(args: Any, bax: Any, *, axes: Axes, keepdim: bool) -> Any:
        return call(prim_name, to_front(args[0], bax[0]), axes=tuple(a + 1 for a in axes), keepdim=keepdim), 0

    return batch


_add: Any = np.add  # NumPy's annotations do not know a keepdims that is not a literal
_multiply: Any = np.multiply
add_reduce = _add.reduce


def _np_sum(x: Any, *, axes: Axes, keepdim: bool) -> Any:
    if x.dtype.kind == "V" or x.dtype == np.float16:
        return _add.reduce(x.astype(np.float32), axes, keepdims=keepdim).astype(x.dtype)
    return add_reduce(x, None if len(axes) == x.ndim else axes, x.dtype, None, keepdim)


sum_: Primitive = Primitive(
    "sum",
    out=_out("sum", empty=True),
    ref=_np_sum,
    vjp=(lambda g, _y, _x, *, axes, keepdim: spread(g, tuple(_x.shape), axes, keepdim),),
    jvp="linear",
    batch=_batch("sum"),
    lower=Reduction("sum"),
    samples=_SAMPLES,
    doc="The sum over axes; 0 of nothing. 16-bit types accumulate in float32.",
    ulp=16,
)


def _np_prod(x: Any, *, axes: Axes, keepdim: bool) -> Any:
    if x.dtype.kind == "V" or x.dtype == np.float16:
        return _multiply.reduce(x.astype(np.float32), axes, keepdims=keepdim).astype(x.dtype)
    return _multiply.reduce(x, axes, x.dtype, keepdims=keepdim)


def _prod_vjp(g: Tensor, _y: Any, x: Tensor, *, axes: Axes, keepdim: bool) -> Tensor:
    # the product of all other elements, as prefix times suffix: right where elements are zero
    shape = tuple(x._data.shape)
    rest = tuple(i for i in range(len(shape)) if i not in axes)
    order = rest + axes
    flat = call("permute", x, axes=order)
    lead = tuple(shape[i] for i in rest)
    n = 1
    for a in axes:
        n *= shape[a]
    flat = apply(reshape, flat, shape=(*lead, n))
    k = len(lead)
    others = exclusive_cumprod(flat, k) * flip_axes(exclusive_cumprod(flip_axes(flat, (k,)), k), (k,))
    others = apply(reshape, others, shape=(*lead, *(shape[a] for a in axes)))
    others = call("permute", others, axes=tuple(int(i) for i in np.argsort(order)))
    return (
        spread(g, shape, axes, keepdim) * call("conj", others)
        if shape and x._data.dtype.kind == "c"
        else spread(g, shape, axes, keepdim) * others
    )


def exclusive_cumprod(x: Tensor, axis: int) -> Tensor:
    """The product of the elements before each one."""
    shape = x._data.shape
    n = shape[axis]
    if n == 0:
        return x
    zeros, ones = (0,) * len(shape), (1,) * len(shape)
    front = call("slice", x, starts=zeros, stops=(*shape[:axis], n - 1, *shape[axis + 1 :]), steps=ones)
    low = tuple(1 if i == axis else 0 for i in range(len(shape)))
    return apply(cumprod, call("pad", front, low=low, high=zeros, interior=zeros, value=1), axis=axis)


prod: Primitive = Primitive(
    "prod",
    out=_out("prod", empty=True),
    ref=_np_prod,
    vjp=(_prod_vjp,),
    jvp=lambda t, _y, x, *, axes, keepdim: apply(
        sum_,
        t[0]
        * _prod_vjp(
            call("full", shape=reduced_shape(tuple(x._data.shape), axes, keepdim), value=1, dtype=x.dtype),
            None,
            x,
            axes=axes,
            keepdim=keepdim,
        ),
        axes=axes,
        keepdim=keepdim,
    ),
    batch=_batch("prod"),
    lower=Reduction("prod"),
    samples=_SAMPLES,
    doc="The product over axes; 1 of nothing.",
    ulp=16,
)


def _extreme_vjp(g: Tensor, y: Tensor, x: Tensor, *, axes: Axes, keepdim: bool) -> Tensor:
    shape = tuple(x._data.shape)
    hit = call("cast", call("eq", x, spread(y, shape, axes, keepdim)), dtype=x.dtype)
    return (
        spread(g, shape, axes, keepdim)
        * hit
        / spread(apply(sum_, hit, axes=axes, keepdim=keepdim), shape, axes, keepdim)
    )


def _extreme_jvp(t: Any, y: Tensor, x: Tensor, *, axes: Axes, keepdim: bool) -> Tensor:
    shape = tuple(x._data.shape)
    hit = call("cast", call("eq", x, spread(y, shape, axes, keepdim)), dtype=x.dtype)
    return apply(sum_, t[0] * hit, axes=axes, keepdim=keepdim) / apply(sum_, hit, axes=axes, keepdim=keepdim)


def _extreme(name: str, ufunc: Any, combine: str, word: str) -> Primitive:
    def ref(x: Any, *, axes: Axes, keepdim: bool) -> Any:
        return ufunc.reduce(x, axes, keepdims=keepdim)

    return Primitive(
        name,
        out=_out(name, empty=False),
        ref=ref,
        vjp=(_extreme_vjp,),
        jvp=_extreme_jvp,
        batch=_batch(name),
        lower=Reduction(combine),
        samples=_SAMPLES,
        bad=lambda rng: [Sample((np.ones((2, 0), np.float32),), {"axes": (1,), "keepdim": False})],
        doc=f"The {word} element over axes; NaN if there is one. Ties share the gradient equally.",
    )


amax = _extreme("amax", np.maximum, "max", "largest")
amin = _extreme("amin", np.minimum, "min", "smallest")


def _arg(name: str, fn: Any, word: str) -> Primitive:
    def out(x: Aval, *, axis: int, keepdim: bool) -> Aval:
        if x.ndim and x.shape[axis] == 0:
            raise ShapeError(f"{name}: axis {axis} of {x!r} is empty, and nothing has no {name}")
        _need_order(name, x)
        return Aval(reduced_shape(x.shape, (axis,), keepdim), as_dtype("int64"))

    def ref(x: Any, *, axis: int, keepdim: bool) -> Any:
        if x.dtype.kind == "c":
            raise TypeError(x.dtype.name)  # the shape rule says why
        if x.dtype.kind == "V":  # NumPy's argmax of bfloat16 does not see NaN
            x = x.astype(np.float32)
        return fn(x, axis if x.ndim else None, keepdims=keepdim)

    return Primitive(
        name,
        out=out,
        ref=ref,
        vjp=None,
        why="an index is piecewise constant",
        batch=lambda args, bax, *, axis, keepdim: (
            call(name, to_front(args[0], bax[0]), axis=axis + 1, keepdim=keepdim),
            0,
        ),
        lower=Reduction(name),
        samples=calls(
            (((3, 4),), {"axis": 1, "keepdim": False}),
            (((3, 4),), {"axis": 0, "keepdim": True}),
            kinds=("float32", "int64"),
        ),
        bad=lambda rng: [Sample((np.ones((2, 0), np.float32),), {"axis": 1, "keepdim": False})],
        doc=f"The index of the first {word} element along an axis; of the first NaN if there is one.",
    )


argmax = _arg("argmax", np.argmax, "largest")
argmin = _arg("argmin", np.argmin, "smallest")


# -- running folds ----------------------------------------------------------------------------------------------


def _cumulative(name: str, ufunc: Any, combine: str, vjp: Any, jvp: Any, doc: str) -> Primitive:
    ordered = combine in ("max", "min")

    def out(x: Aval, *, axis: int) -> Aval:
        if ordered:
            _need_order(name, x)
        return x

    def ref(x: Any, *, axis: int) -> Any:
        if ordered and x.dtype.kind == "c":
            raise TypeError(x.dtype.name)  # the shape rule says why
        if x.dtype.kind == "V" or x.dtype == np.float16:
            return ufunc.accumulate(x.astype(np.float32), axis).astype(x.dtype)
        return ufunc.accumulate(x, axis, x.dtype)

    return Primitive(
        name,
        out=out,
        ref=ref,
        vjp=vjp,
        jvp=jvp,
        batch=lambda args, axes, *, axis: (call(name, to_front(args[0], axes[0]), axis=axis + 1), 0),
        lower=Cumulative(combine),
        samples=calls(
            (((3, 4),), {"axis": 1}), (((3, 4),), {"axis": 0}), (((0, 2),), {"axis": 0}), (((1,),), {"axis": 0})
        ),
        doc=doc,
        ulp=16,
    )


def _cumsum_vjp(g: Tensor, _y: Any, _x: Any, *, axis: int) -> Tensor:
    return flip_axes(apply(cumsum, flip_axes(g, (axis,)), axis=axis), (axis,))


cumsum = _cumulative("cumsum", np.add, "sum", (_cumsum_vjp,), "linear", "Running sums along an axis.")


def _others(x: Tensor, axis: int) -> Tensor:
    """d cumprod(x)[i] / d x[j] for j ≤ i, in [..., i, j]: the product of the elements up to i without j."""
    n = x._data.shape[axis]
    moved = call("permute", x, axes=(*(i for i in range(len(x._data.shape)) if i != axis), axis))
    rows = spread(moved, (*moved._data.shape[:-1], n, n), (len(moved._data.shape) - 1,), False)  # [..., j, k] = x[k]
    eye = call("eq", *(apply(reshape, call("iota", n=n, dtype=as_dtype("int64")), shape=s) for s in ((n, 1), (1, n))))
    without = apply(cumprod, call("where", eye, 1.0, rows), axis=len(rows._data.shape) - 1)  # [..., j, i]
    later = call("le", *(apply(reshape, call("iota", n=n, dtype=as_dtype("int64")), shape=s) for s in ((n, 1), (1, n))))
    return call("where", later, without, 0.0)


def _cumprod_vjp(g: Tensor, _y: Any, x: Tensor, *, axis: int) -> Tensor:
    shape = x._data.shape
    order = (*(i for i in range(len(shape)) if i != axis), axis)
    gm = call("permute", g, axes=order)
    gm = apply(reshape, gm, shape=(*gm._data.shape[:-1], 1, gm._data.shape[-1]))
    out = apply(sum_, gm * _others(x, axis), axes=(len(shape),), keepdim=False)
    return call("permute", out, axes=tuple(int(i) for i in np.argsort(order)))


def _cumprod_jvp(t: Any, _y: Any, x: Tensor, *, axis: int) -> Tensor:
    shape = x._data.shape
    order = (*(i for i in range(len(shape)) if i != axis), axis)
    tm = call("permute", t[0], axes=order)
    tm = apply(reshape, tm, shape=(*tm._data.shape, 1))
    out = apply(sum_, tm * _others(x, axis), axes=(len(shape) - 1,), keepdim=False)
    return call("permute", out, axes=tuple(int(i) for i in np.argsort(order)))


cumprod = _cumulative("cumprod", np.multiply, "prod", (_cumprod_vjp,), _cumprod_jvp, "Running products along an axis.")


def _running_index(x: Tensor, y: Tensor, axis: int) -> Tensor:
    """The position, along `axis`, of the element that each running extreme came from (the last one that reached it)."""
    n = x._data.shape[axis]
    shape = tuple(n if i == axis else 1 for i in range(len(x._data.shape)))
    at = apply(reshape, call("iota", n=n, dtype=as_dtype("int64")), shape=shape)
    return apply(cummax, call("where", call("eq", x, y), at, -1), axis=axis)


def _cumextreme_vjp(g: Tensor, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    zero = call("full", shape=tuple(x._data.shape), value=0, dtype=x.dtype)
    return call("scatter_add", zero, _running_index(x, y, axis), g, axis=axis)


def _cumextreme_jvp(t: Any, y: Tensor, x: Tensor, *, axis: int) -> Tensor:
    return call("gather", t[0], _running_index(x, y, axis), axis=axis)


cummax = _cumulative("cummax", np.maximum, "max", (_cumextreme_vjp,), _cumextreme_jvp, "Running maxima along an axis.")
cummin = _cumulative("cummin", np.minimum, "min", (_cumextreme_vjp,), _cumextreme_jvp, "Running minima along an axis.")
