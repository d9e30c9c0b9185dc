"""Structural primitives: the same elements in another order, shape or type. Most give views."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, DType, as_dtype, numel
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import IndexMap, Named
from twinflow.ops._declare import F32, F64, call, calls, want
from twinflow.tensor import PICK, Tensor, apply, is_plain, wrap

Params = dict[str, Any]
Axes = tuple[Any, ...]


def to_front(x: Any, axis: int | None) -> Any:
    """Move the mapped axis of a batched operand to the front."""
    if axis is None or axis == 0:
        return x
    n = len(x._data.shape)
    return apply(permute, x, axes=(axis, *(i for i in range(n) if i != axis)))


def _one(args: tuple[Tensor, ...], axes: Axes) -> Tensor:
    return to_front(args[0], axes[0])


# -- cast -------------------------------------------------------------------------------------------------------


def _np_cast(x: Any, *, dtype: DType) -> Any:
    if x.dtype.kind == "c" and not dtype.is_complex and dtype.name != "bool":
        x = x.real
    return x.astype(dtype.np)


def _cast_vjp(g: Tensor, _y: Any, _x: Any, *, dtype: DType) -> Tensor | None:
    d = _x.dtype
    return apply(cast, g, dtype=d) if d.is_floating_point or d.is_complex else None


def _cast_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.uniform(-3, 3, (3, 4))
    kinds = ("float64", "float16", "bfloat16", "int32", "int64", "int8", "bool", "complex64")
    return [Sample((x.astype(np.float32),), {"dtype": as_dtype(k)}) for k in kinds] + [
        Sample((x.astype(as_dtype(k).np),), {"dtype": as_dtype("float32")})
        for k in ("float64", "int32", "bool", "bfloat16")
    ]


cast: Primitive = Primitive(
    "cast",
    out=lambda x, *, dtype: Aval(x.shape, dtype),
    ref=_np_cast,
    vjp=(_cast_vjp,),
    jvp="linear",
    batch=lambda args, axes, *, dtype: (apply(cast, args[0], dtype=dtype), axes[0]),
    lower=IndexMap("cast"),
    samples=_cast_samples,
    doc="The same values in another type: floats to integers lose their fraction, complex to real their imaginary part.",
)


def _bitcast_out(x: Aval, *, dtype: DType) -> Aval:
    if x.dtype.is_complex and not dtype.is_complex and x.dtype.itemsize == 2 * dtype.itemsize:
        return Aval((*x.shape, 2), dtype)
    if dtype.is_complex and not x.dtype.is_complex and dtype.itemsize == 2 * x.dtype.itemsize:
        want(x.ndim > 0 and x.shape[-1] == 2, "the last axis holds pairs", "bitcast", x=x, dtype=dtype)
        return Aval(x.shape[:-1], dtype)
    want(x.dtype.itemsize == dtype.itemsize, "both types have the same width", "bitcast", x=x, dtype=dtype)
    return Aval(x.shape, dtype)


def _np_bitcast(x: np.ndarray[Any, Any], *, dtype: DType) -> np.ndarray[Any, Any]:
    shape = _bitcast_out(Aval(x.shape, FROM_NUMPY[x.dtype]), dtype=dtype).shape
    return np.ascontiguousarray(x).reshape(-1).view(dtype.np).reshape(shape)


def _bitcast_samples(rng: np.random.Generator) -> list[Sample]:
    x = rng.uniform(-1, 1, (3, 4)).astype(np.float32)
    pairs = rng.uniform(-1, 1, (3, 2))
    return [
        Sample((x,), {"dtype": as_dtype("uint32")}),
        Sample((pairs,), {"dtype": as_dtype("complex128")}),
        Sample((x.astype(np.complex64),), {"dtype": as_dtype("float32")}),
    ]


bitcast: Primitive = Primitive(
    "bitcast",
    out=_bitcast_out,
    ref=_np_bitcast,
    vjp=None,
    why="it looks at bits, not at values",
    batch=lambda args, axes, *, dtype: (apply(bitcast, _one(args, axes), dtype=dtype), 0),
    lower=IndexMap("bitcast"),
    samples=_bitcast_samples,
    bad=lambda rng: [
        Sample((np.ones(3, np.float32),), {"dtype": as_dtype("int64")}),
        Sample((np.ones(3, np.float32),), {"dtype": as_dtype("complex64")}),
    ],
    doc="The same bits read as another type: of the same width, or a complex number as a last axis of two real ones.",
)


# -- reshape ----------------------------------------------------------------------------------------------------


def _reshape_out(x: Aval, *, shape: tuple[int, ...]) -> Aval:
    if numel(shape) != x.size:
        raise ShapeError(f"reshape: {x!r} has {x.size} elements, but shape {shape} needs {numel(shape)}")
    return Aval(tuple(shape), x.dtype)


def _reshape_vjp(g: Tensor, _y: Any, _x: Any, *, shape: tuple[int, ...]) -> Tensor:
    return wrap(g._data.reshape(_x.shape)) if is_plain(g) else apply(reshape, g, shape=tuple(_x.shape))


reshape: Primitive = Primitive(
    "reshape",
    out=_reshape_out,
    ref=lambda x, *, shape: x.reshape(shape),
    vjp=(_reshape_vjp,),
    jvp="linear",
    batch=lambda args, axes, *, shape: (apply(reshape, x := _one(args, axes), shape=(x._data.shape[0], *shape)), 0),
    lower=IndexMap("reshape"),
    view=lambda base, value, *, shape: apply(reshape, value, shape=tuple(base._data.shape)),
    samples=calls((((3, 4),), {"shape": (2, 6)}), (((0, 2),), {"shape": (0,)}), (((),), {"shape": (1, 1)})),
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), {"shape": (4,)})],
    doc="The same elements, in row-major order, under another shape.",
)


# -- permute ----------------------------------------------------------------------------------------------------


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    if axes == (1, 0):
        return axes
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _permute_out(x: Aval, *, axes: tuple[int, ...]) -> Aval:
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"permute: {axes} is not an order of the {x.ndim} axes of {x!r}")
    return Aval(tuple(x.shape[a] for a in axes), x.dtype)


def _permute_vjp(g: Tensor, _y: Any, _x: Any, *, axes: tuple[int, ...]) -> Tensor:
    inverse = _inverse(axes)
    return wrap(g._data.transpose(inverse)) if is_plain(g) else apply(permute, g, axes=inverse)


permute: Primitive = Primitive(
    "permute",
    out=_permute_out,
    ref=lambda x, *, axes: x.transpose(axes),
    vjp=(_permute_vjp,),
    jvp="linear",
    batch=lambda args, axs, *, axes: (apply(permute, _one(args, axs), axes=(0, *(a + 1 for a in axes))), 0),
    lower=IndexMap("permute"),
    view=lambda base, value, *, axes: apply(permute, value, axes=_inverse(axes)),
    samples=calls((((2, 3, 4),), {"axes": (2, 0, 1)}), (((),), {"axes": ()}), (((0, 3),), {"axes": (1, 0)})),
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), {"axes": (0, 0)})],
    doc="Axes in another order: result axis i is operand axis axes[i].",
)


# -- expand -----------------------------------------------------------------------------------------------------


def _expand_out(x: Aval, *, shape: tuple[int, ...]) -> Aval:
    lead = len(shape) - x.ndim
    if lead < 0 or any(s not in (1, t) for s, t in zip(x.shape, shape[lead:])):
        raise ShapeError(f"expand: {x!r} does not broadcast to shape {tuple(shape)}; only extents of 1 stretch")
    return Aval(tuple(shape), x.dtype)


def _expand_vjp(g: Tensor, _y: Any, _x: Any, *, shape: tuple[int, ...]) -> Tensor:
    from twinflow.tensor import sum_to

    return sum_to(g, tuple(_x.shape))


def _expand_batch(args: Any, axes: Any, *, shape: tuple[int, ...]) -> Any:
    x = _one(args, axes)
    s = x._data.shape
    x = apply(reshape, x, shape=(s[0],) + (1,) * (len(shape) - len(s) + 1) + tuple(s[1:]))
    return apply(expand, x, shape=(s[0], *shape)), 0


def _expand_write(base: Tensor, value: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    raise ShapeError("in-place: several elements of an expanded tensor share one place in memory; clone() it first")


def _np_expand(x: Any, *, shape: tuple[int, ...]) -> Any:
    if x.size == 1 and x.flags.c_contiguous and (x.dtype is F32 or x.dtype is F64) and len(shape) >= x.ndim:
        # broadcast_to takes several microseconds, in which this looks at the one element with strides of 0
        out: np.ndarray[Any, Any] = np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
        out.flags.writeable = False
        return out
    return np.broadcast_to(x, shape)


expand: Primitive = Primitive(
    "expand",
    out=_expand_out,
    ref=_np_expand,
    vjp=(_expand_vjp,),
    jvp="linear",
    batch=_expand_batch,
    lower=IndexMap("expand"),
    view=_expand_write,
    samples=calls((((3, 1),), {"shape": (2, 3, 4)}), (((),), {"shape": (2,)}), (((1,),), {"shape": (0,)})),
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), {"shape": (4, 3)})],
    doc="Broadcast to a shape: extents of 1 stretch, new axes come in front. No element is copied.",
)


# -- slice ------------------------------------------------------------------------------------------------------
# starts, stops and steps have one entry per axis, already resolved: 0 ≤ start, and stop is exclusive; for a negative
# step stop may be -1, which means "through element 0".


def _extent(start: int, stop: int, step: int) -> int:
    if step == 1:
        return max(0, stop - start)
    return max(0, -(-(stop - start) // step)) if step > 0 else max(0, -((stop - start) // -step))


def _slice_out(x: Aval, *, starts: Axes, stops: Axes, steps: Axes) -> Aval:
    want(len(starts) == len(stops) == len(steps) == x.ndim, "one start, stop and step for each axis", "slice", x=x)
    for n, a, b, s in zip(x.shape, starts, stops, steps):
        if s == 0 or not 0 <= a <= n or not -1 <= b <= n:
            raise ArgumentError(f"slice: {a}:{b}:{s} does not lie within an axis of extent {n} of {x!r}")
    return Aval(tuple(_extent(a, b, s) for a, b, s in zip(starts, stops, steps)), x.dtype)


def _slices(starts: Axes, stops: Axes, steps: Axes) -> tuple[slice, ...]:
    return tuple(slice(a, None if b < 0 else b, s) for a, b, s in zip(starts, stops, steps))


def _slice_vjp(g: Tensor, _y: Any, _x: Any, *, starts: Axes, stops: Axes, steps: Axes) -> Tensor:
    if any(s < 0 for s in steps):
        back = tuple(i for i, s in enumerate(steps) if s < 0)
        g = flip_axes(g, back)
        ends = [
            (a + s * (_extent(a, b, s) - 1), a + 1, -s) if s < 0 else (a, b, s) for a, b, s in zip(starts, stops, steps)
        ]
        starts, stops, steps = (tuple(e[i] for e in ends) for i in range(3))
    shape = g._data.shape
    interior = tuple(s - 1 for s in steps)
    used = tuple(max(0, (n - 1) * s + 1) for n, s in zip(shape, steps))
    low = tuple(starts)
    high = tuple(total - a - u for total, a, u in zip(_x.shape, starts, used))
    if all(v == 0 for v in low + high + interior):
        return g
    return apply(pad, g, low=low, high=high, interior=interior, value=0)


def flip_axes(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Reverse the order of the elements along `axes`: a slice with step -1."""
    n = x._data.shape
    backwards = [i in axes for i in range(len(n))]
    return apply(
        slice_,
        x,
        starts=tuple(max(e - 1, 0) if b else 0 for e, b in zip(n, backwards)),
        stops=tuple((-1 if e else 0) if b else e for e, b in zip(n, backwards)),
        steps=tuple(-1 if b else 1 for b in backwards),
    )


def _slice_batch(args: Any, axes: Any, *, starts: Axes, stops: Axes, steps: Axes) -> Any:
    x = _one(args, axes)
    return apply(slice_, x, starts=(0, *starts), stops=(x._data.shape[0], *stops), steps=(1, *steps)), 0


slice_: Primitive = Primitive(
    "slice",
    out=_slice_out,
    ref=lambda x, *, starts, stops, steps: x[_slices(starts, stops, steps)],
    vjp=(_slice_vjp,),
    jvp="linear",
    batch=_slice_batch,
    lower=IndexMap("slice"),
    view=lambda base, value, **where: apply(slice_update, base, value, **where),
    samples=calls(
        (((4, 5),), {"starts": (1, 0), "stops": (3, 5), "steps": (1, 2)}),
        (((4, 5),), {"starts": (3, 4), "stops": (-1, 0), "steps": (-1, -2)}),
        (((4, 5),), {"starts": (2, 2), "stops": (2, 3), "steps": (1, 1)}),
    ),
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), {"starts": (0, 0), "stops": (3, 3), "steps": (1, 1)})],
    doc="Every step-th element of each axis from start to stop.",
)


def _slice_update_out(x: Aval, v: Aval, *, starts: Axes, stops: Axes, steps: Axes) -> Aval:
    part = _slice_out(x, starts=starts, stops=stops, steps=steps)
    want(v == part, f"the value is {part!r}", "slice_update", value=v)
    return x


def _np_slice_update(x: Any, v: Any, *, starts: Axes, stops: Axes, steps: Axes) -> Any:
    y = x.copy()
    y[_slices(starts, stops, steps)] = v
    return y


def _slice_update_batch(args: Any, axes: Any, *, starts: Axes, stops: Axes, steps: Axes) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    x, v = (batched(a, i, n) for a, i in zip(args, axes))
    return apply(slice_update, x, v, starts=(0, *starts), stops=(n, *stops), steps=(1, *steps)), 0


def batched(x: Tensor, axis: int | None, n: int) -> Tensor:
    """An operand with the mapped axis in front; one without it is broadcast."""
    if axis is None:
        return apply(expand, x, shape=(n, *x._data.shape))
    return to_front(x, axis)


slice_update: Primitive = Primitive(
    "slice_update",
    out=_slice_update_out,
    ref=_np_slice_update,
    vjp=(
        lambda g, _y, _x, _v, **where: apply(
            slice_update, g, call("full", shape=tuple(_v.shape), value=0, dtype=_v.dtype), **where
        ),
        lambda g, _y, _x, _v, **where: apply(slice_, g, **where),
    ),
    jvp="linear",
    batch=_slice_update_batch,
    lower=IndexMap("slice_update"),
    samples=calls(
        (((4, 5), (2, 3)), {"starts": (1, 0), "stops": (3, 5), "steps": (1, 2)}),
        (((4,), (4,)), {"starts": (3,), "stops": (-1,), "steps": (-1,)}),
    ),
    bad=lambda rng: [
        Sample((np.ones(4, np.float32), np.ones(3, np.float32)), {"starts": (0,), "stops": (2,), "steps": (1,)})
    ],
    doc="The first operand with the elements of a slice replaced by the second.",
)


# -- pad, concat ------------------------------------------------------------------------------------------------


def _pad_out(x: Aval, *, low: Axes, high: Axes, interior: Axes, value: Any) -> Aval:
    want(len(low) == len(high) == len(interior) == x.ndim, "one entry for each axis", "pad", x=x)
    if min((*low, *high, *interior), default=0) < 0:
        raise ShapeError(f"pad: amounts must not be negative: low={low}, high={high}, interior={interior}")
    return Aval(tuple(a + b + n + max(n - 1, 0) * i for n, a, b, i in zip(x.shape, low, high, interior)), x.dtype)


def _np_pad(x: Any, *, low: Axes, high: Axes, interior: Axes, value: Any) -> Any:
    shape = tuple(a + b + n + max(n - 1, 0) * i for n, a, b, i in zip(x.shape, low, high, interior))
    y = np.full(shape, value, x.dtype)
    y[
        tuple(slice(a, a + max((n - 1) * (i + 1) + 1, 0) if n else a, i + 1) for n, a, i in zip(x.shape, low, interior))
    ] = x
    return y


def _pad_vjp(g: Tensor, _y: Any, _x: Any, *, low: Axes, high: Axes, interior: Axes, value: Any) -> Tensor:
    stops = tuple(a + max((n - 1) * (i + 1) + 1, 0) for n, a, i in zip(_x.shape, low, interior))
    return apply(slice_, g, starts=tuple(low), stops=stops, steps=tuple(i + 1 for i in interior))


pad: Primitive = Primitive(
    "pad",
    out=_pad_out,
    ref=_np_pad,
    vjp=(_pad_vjp,),
    jvp=lambda t, _y, _x, *, low, high, interior, value: apply(
        pad, t[0], low=low, high=high, interior=interior, value=0
    ),
    batch=lambda args, axes, *, low, high, interior, value: (
        apply(pad, _one(args, axes), low=(0, *low), high=(0, *high), interior=(0, *interior), value=value),
        0,
    ),
    lower=IndexMap("pad"),
    samples=calls(
        (((2, 3),), {"low": (1, 0), "high": (0, 2), "interior": (0, 1), "value": 0}),
        (((0, 3),), {"low": (1, 0), "high": (1, 0), "interior": (0, 0), "value": 1.5}),
    ),
    bad=lambda rng: [Sample((np.ones(2, np.float32),), {"low": (-1,), "high": (0,), "interior": (0,), "value": 0})],
    doc="Surround with `value`: `low` before, `high` after, and `interior` between neighbours, per axis.",
)


def _concat_out(*xs: Aval, axis: int) -> Aval:
    first = xs[0]
    for x in xs[1:]:
        same = x.ndim == first.ndim and all(a == b for i, (a, b) in enumerate(zip(x.shape, first.shape)) if i != axis)
        want(same, f"shapes agree except along axis {axis}", "concat", first=first, other=x)
        if x.dtype is not first.dtype:
            raise DTypeError(f"concat: operands of different types {first!r} and {x!r}")
    shape = list(first.shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    return Aval(tuple(shape), first.dtype)


def _concat_vjp(g: Tensor, _y: Any, *_xs: Any, axis: int) -> list[Tensor]:
    out = []
    at = 0
    shape = g._data.shape
    zeros = (0,) * len(shape)
    ones = (1,) * len(shape)
    for x in _xs:
        n = x.shape[axis]
        starts = (*zeros[:axis], at, *zeros[axis + 1 :])
        stops = (*shape[:axis], at + n, *shape[axis + 1 :])
        out.append(apply(slice_, g, starts=starts, stops=stops, steps=ones))
        at += n
    return out


def _concat_batch(args: Any, axes: Any, *, axis: int) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    return apply(concat, *(batched(x, a, n) for x, a in zip(args, axes)), axis=axis + 1), 0


concat: Primitive = Primitive(
    "concat",
    out=_concat_out,
    ref=lambda *xs, axis: np.concatenate(xs, axis),
    vjp=_concat_vjp,
    jvp="linear",
    batch=_concat_batch,
    lower=IndexMap("concat"),
    samples=calls((((2, 3), (2, 1), (2, 0)), {"axis": 1}), (((2, 3),), {"axis": 0})),
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32), np.ones((3, 3), np.float32)), {"axis": 1})],
    doc="Operands one after the other along an axis.",
)


# -- creation ---------------------------------------------------------------------------------------------------

_MADE = "it has no tensor operand"


def _alone(args: Any, axes: Any, **params: Any) -> Any:
    raise ArgumentError("batching: an operation without tensor operands is never batched")


full: Primitive = Primitive(
    "full",
    out=lambda *, shape, value, dtype: Aval(tuple(shape), dtype),
    ref=lambda *, shape, value, dtype: np.full(shape, value, dtype.np),
    vjp=None,
    why=_MADE,
    batch=_alone,
    lower=IndexMap("full"),
    samples=lambda rng: [Sample((), {"shape": (2, 3), "value": 1.5, "dtype": as_dtype("float32")})],
    doc="One value everywhere.",
)
iota: Primitive = Primitive(
    "iota",
    out=lambda *, n, dtype: Aval((n,), dtype),
    ref=lambda *, n, dtype: np.arange(n).astype(dtype.np),
    vjp=None,
    why=_MADE,
    batch=_alone,
    lower=IndexMap("iota"),
    samples=lambda rng: [
        Sample((), {"n": 5, "dtype": as_dtype("int64")}),
        Sample((), {"n": 0, "dtype": as_dtype("float32")}),
    ],
    doc="0, 1, ..., n - 1.",
)
constant: Primitive = Primitive(
    "constant",
    out=lambda *, value: Aval(value.shape, as_dtype(value.dtype)),
    ref=lambda *, value: value.copy(),
    vjp=None,
    why=_MADE,
    batch=_alone,
    lower=IndexMap("constant"),
    samples=lambda rng: [Sample((), {"value": np.arange(6.0).reshape(2, 3)})],
    doc="The elements of a NumPy array that is part of the graph.",
)


# -- the rest ---------------------------------------------------------------------------------------------------


def _diagonal_out(x: Aval, *, offset: int) -> Aval:
    want(x.ndim >= 2, "the operand has at least 2 axes", "diagonal", x=x)
    m, n = x.shape[-2:]
    return Aval((*x.shape[:-2], max(0, min(m + min(offset, 0), n - max(offset, 0)))), x.dtype)


def _diagonal_write(base: Any, value: Tensor, *, offset: int) -> Tensor:
    m, n = base.shape[-2:]
    rows = apply(reshape, apply(iota, n=m, dtype=as_dtype("int64")), shape=(m, 1))
    cols = apply(reshape, apply(iota, n=n, dtype=as_dtype("int64")), shape=(1, n))
    on = call("eq", call("sub", cols, rows), offset)
    k = value._data.shape[-1]
    low, high = max(-offset, 0), m - k - max(-offset, 0)
    lead = (0,) * (len(value._data.shape) - 1)
    column = apply(pad, value, low=(*lead, low), high=(*lead, high), interior=(*lead, 0), value=0)
    column = apply(reshape, column, shape=(*column._data.shape, 1))
    return call("where", on, column, base if isinstance(base, Tensor) else 0.0)


def _diagonal_vjp(g: Tensor, _y: Any, _x: Any, *, offset: int) -> Tensor:
    y = _diagonal_write(_x, g, offset=offset)
    return y if tuple(y._data.shape) == tuple(_x.shape) else apply(expand, y, shape=tuple(_x.shape))


def _np_diagonal(x: Any, *, offset: int) -> Any:
    m, n = x.shape[-2:]
    k = max(0, min(m + min(offset, 0), n - max(offset, 0)))
    row, col = max(-offset, 0), max(offset, 0)
    if not k:
        return np.empty((*x.shape[:-2], 0), x.dtype)
    return np.einsum("...ii->...i", x[..., row : row + k, col : col + k])  # unlike np.diagonal, a view one can write to


diagonal: Primitive = Primitive(
    "diagonal",
    out=_diagonal_out,
    ref=_np_diagonal,
    vjp=(_diagonal_vjp,),
    jvp="linear",
    batch=lambda args, axes, *, offset: (apply(diagonal, _one(args, axes), offset=offset), 0),
    lower=IndexMap("diagonal"),
    view=_diagonal_write,
    samples=calls((((3, 4),), {"offset": 0}), (((2, 4, 3),), {"offset": 1}), (((3, 4),), {"offset": -2})),
    bad=lambda rng: [Sample((np.ones(2, np.float32),), {"offset": 0})],
    doc="Elements [..., i, i + offset] of the last two axes.",
)


def _pick_vjp(g: Tensor, _y: Any, _xs: Any, *, index: int) -> None:
    return None  # the tape ties the results of a primitive to its node directly; `pick` stands in graphs only


pick: Primitive = Primitive(
    "pick",
    out=lambda xs, *, index: xs[index],
    ref=lambda xs, *, index: xs[index],
    vjp=(_pick_vjp,),
    jvp="linear",
    batch=_alone,
    lower=Named("pick"),
    samples=None,
    doc="One result of a primitive that has several.",
)
PICK.append(pick)
