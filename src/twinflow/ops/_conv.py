"""Convolution and its two transposes: by data and by weight. Each is the derivative of the others.

x: [N, C, *S]  w: [O, C/groups, *K]  y: [N, O, *S'].  For one axis, with stride s, dilation d and padding (p, q),

    y[n, o, i] = Σ_{c,k} w[o, c, k] · x[n, c, s·i + d·k − p],    S' = (S + p + q − d·(K − 1) − 1) // s + 1.

Source: Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", arXiv:1603.07285.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from twinflow.core.errors import DTypeError, ShapeError
from twinflow.graph import Aval, Primitive, Sample, aval_of
from twinflow.graph.lowering import Convolution
from twinflow.ops._declare import call, conjugate, want
from twinflow.ops._shape import reshape, to_front
from twinflow.tensor import Tensor, apply

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
Array = np.ndarray[Any, Any]

_COLUMN_ELEMENTS = 1 << 18  # patches are gathered for so many elements at a time: a buffer that caches hold


def window_extent(n: int, k: int, stride: int, pad: tuple[int, int], dilation: int) -> int:
    """How many windows of k taps fit into n elements with this padding; 0 or less if none does."""
    return (n + pad[0] + pad[1] - dilation * (k - 1) - 1) // stride + 1


def _extents(op: str, space: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints, **avals: Aval) -> Ints:
    out = tuple(window_extent(*v) for v in zip(space, kernel, stride, padding, dilation))
    for axis, (n, k, m, p, d) in enumerate(zip(space, kernel, out, padding, dilation)):
        want(
            m >= 1,
            f"the kernel fits into the padded input along spatial axis {axis} "
            f"({d * (k - 1) + 1} taps into {n} + {p[0]} + {p[1]})",
            op,
            **avals,
        )
    return out


def _check(op: str, **avals: Aval) -> None:
    a, b = avals.values()
    want(a.ndim == b.ndim >= 3, "both operands have batch (or output), channel and spatial axes", op, **avals)
    if a.dtype is not b.dtype:
        raise DTypeError(f"{op}: operands of different types {a!r} and {b!r}; convert one with .to(...)")


def _conv_out(x: Aval, w: Aval, *, stride: Ints, padding: Pads, dilation: Ints, groups: int) -> Aval:
    _check("conv", x=x, w=w)
    if x.shape[1] != w.shape[1] * groups:
        channels = w.shape[1] * groups
        hint = ""
        if x.shape[-1] == channels:
            hint = "; the channels stand last: use x.movedim(-1, 1) for [N, C, ...]"
        elif x.shape[1:].count(channels) == 1:
            axis = x.shape.index(channels, 1)
            hint = f"; the channels seem to stand in axis {axis}: use x.movedim({axis}, 1) for [N, C, ...]"
        raise ShapeError(
            f"conv: x.shape[1] == w.shape[1] * groups ({x.shape[1]} and {w.shape[1]} * {groups}) does not hold{hint}"
            f"\n  x: {x!r}\n  w: {w!r}"
        )
    want(w.shape[0] % groups == 0, f"groups ({groups}) divide the output channels ({w.shape[0]})", "conv", x=x, w=w)
    space = _extents("conv", x.shape[2:], w.shape[2:], stride, padding, dilation, x=x, w=w)
    return Aval((x.shape[0], w.shape[0], *space), x.dtype)


def _conv_input_out(g: Aval, w: Aval, *, shape: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int) -> Aval:
    _check("conv_input", g=g, w=w)
    want(g.shape[1] == w.shape[0], f"g.shape[1] == w.shape[0] ({g.shape[1]} and {w.shape[0]})", "conv_input", g=g, w=w)
    want(w.shape[0] % groups == 0, f"groups ({groups}) divide the channels of g", "conv_input", g=g, w=w)
    space = _extents("conv_input", shape, w.shape[2:], stride, padding, dilation, g=g, w=w)
    want(space == g.shape[2:], f"a convolution of {shape} gives {space}", "conv_input", g=g, w=w)
    return Aval((g.shape[0], w.shape[1] * groups, *shape), g.dtype)


def _conv_weight_out(
    x: Aval, g: Aval, *, shape: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> Aval:
    _check("conv_weight", x=x, g=g)
    want(x.shape[0] == g.shape[0], "x.shape[0] == g.shape[0]", "conv_weight", x=x, g=g)
    want(
        x.shape[1] % groups == 0 and g.shape[1] % groups == 0,
        f"groups ({groups}) divide both channel counts",
        "conv_weight", x=x, g=g,
    )  # fmt: skip
    space = _extents("conv_weight", x.shape[2:], shape, stride, padding, dilation, x=x, g=g)
    want(space == g.shape[2:], f"a convolution of {x.shape[2:]} gives {space}", "conv_weight", x=x, g=g)
    return Aval((g.shape[1], x.shape[1] // groups, *shape), x.dtype)


# -- references: patches as columns, and one matrix product for each block of the batch --------------------------


def _wide(a: Array) -> Array:
    """16-bit floats accumulate in float32."""
    return a.astype(np.float32) if a.dtype.itemsize == 2 and a.dtype.kind in "fV" else a


def _padded(x: Array, padding: Pads) -> Array:
    """Zeros around the spatial axes; negative amounts crop."""
    if not any(p for pair in padding for p in pair):
        return x
    space = x.shape[2:]
    y = np.zeros((*x.shape[:2], *(max(n + a + b, 0) for n, (a, b) in zip(space, padding))), x.dtype)
    to: Any = tuple(
        slice(max(a, 0), max(a, 0) + max(n + min(a, 0) + min(b, 0), 0)) for n, (a, b) in zip(space, padding)
    )
    of: Any = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(space, padding))
    y[(..., *to)] = x[(..., *of)]
    return y


def _patches(x: Array, kernel: Ints, space: Ints, stride: Ints, dilation: Ints) -> Array:
    """A view [N, C, *K, *S'] of the padded input: element (k, i) of an axis is x[s·i + d·k]."""
    st = x.strides
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *kernel, *space),
        (*st[:2], *(b * d for b, d in zip(st[2:], dilation)), *(b * s for b, s in zip(st[2:], stride))),
        writeable=False,
    )


def _blocks(n: int, per_item: int) -> Iterator[slice]:
    step = max(1, min(n, _COLUMN_ELEMENTS // max(per_item, 1)))
    return (slice(i, min(i + step, n)) for i in range(0, n, step))


def _columns(x: Array, kernel: Ints, space: Ints, stride: Ints, dilation: Ints, groups: int, buffer: Array) -> Array:
    """Patches of a block of images as [groups, C/groups · K, n · S'], gathered into `buffer`."""
    n, c = x.shape[:2]
    k = len(kernel)
    patches = _patches(x, kernel, space, stride, dilation)
    cols = buffer[: prod(patches.shape)].reshape(c, *kernel, n, *space)
    np.copyto(cols, patches.transpose(1, *range(2, 2 + k), 0, *range(2 + k, 2 + 2 * k)))
    return cols.reshape(groups, c // groups * prod(kernel), n * prod(space))


def _pointwise(kernel: Ints, stride: Ints, padding: Pads, groups: int) -> bool:
    """Whether the convolution is a matrix product over the channels."""
    return prod(kernel) == 1 and prod(stride) == 1 and groups == 1 and not any(p for pair in padding for p in pair)


def _np_conv(x: Array, w: Array, *, stride: Ints, padding: Pads, dilation: Ints, groups: int) -> Array:
    aval = _conv_out(aval_of(x), aval_of(w), stride=stride, padding=padding, dilation=dilation, groups=groups)
    n, o, *rest = aval.shape
    space, kernel = tuple(rest), w.shape[2:]
    dtype = x.dtype
    x, w = _wide(x), _wide(w)
    if _pointwise(kernel, stride, padding, groups):
        return np.matmul(w.reshape(o, -1), x.reshape(n, x.shape[1], -1)).reshape(aval.shape).astype(dtype, copy=False)
    x = _padded(x, padding)
    rows = w.reshape(groups, o // groups, -1)
    per_item = x.shape[1] * prod(kernel) * prod(space)
    y = np.empty(aval.shape, x.dtype)
    blocks = list(_blocks(n, per_item))
    buffer = np.empty(per_item * (blocks[0].stop if blocks else 0), x.dtype)
    for b in blocks:
        cols = _columns(x[b], kernel, space, stride, dilation, groups, buffer)
        part = np.matmul(rows, cols).reshape(o, b.stop - b.start, *space)
        y[b] = part.swapaxes(0, 1)
    return y.astype(dtype, copy=False)


def _np_conv_weight(
    x: Array, g: Array, *, shape: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> Array:
    n, o = g.shape[:2]
    space = g.shape[2:]
    dtype = x.dtype
    x, g = _wide(x), _wide(g)
    result = (o, x.shape[1] // groups, *shape)
    x = _padded(x, padding)
    per_item = x.shape[1] * prod(shape) * prod(space)
    total = np.zeros((groups, o // groups, result[1] * prod(shape)), x.dtype)
    blocks = list(_blocks(n, per_item))
    buffer = np.empty(per_item * (blocks[0].stop if blocks else 0), x.dtype)
    for b in blocks:
        cols = _columns(x[b], shape, space, stride, dilation, groups, buffer)
        rows = np.ascontiguousarray(g[b].swapaxes(0, 1)).reshape(groups, o // groups, -1)
        total += np.matmul(rows, cols.swapaxes(1, 2))
    return total.reshape(result).astype(dtype, copy=False)


def _np_conv_input(
    g: Array, w: Array, *, shape: Ints, stride: Ints, padding: Pads, dilation: Ints, groups: int
) -> Array:
    n, o = g.shape[:2]
    space, kernel = g.shape[2:], w.shape[2:]
    dtype = g.dtype
    g, w = _wide(g), _wide(w)
    c = w.shape[1] * groups
    if _pointwise(kernel, stride, padding, groups):
        return (
            np.matmul(w.reshape(o, c).swapaxes(0, 1), g.reshape(n, o, -1))
            .reshape(n, c, *shape)
            .astype(dtype, copy=False)
        )
    padded = tuple(m + a + b for m, (a, b) in zip(shape, padding))
    rows = w.reshape(groups, o // groups, -1).swapaxes(1, 2)
    out = np.zeros((n, c, *padded), g.dtype)
    for b in _blocks(n, c * prod(kernel) * prod(space)):
        right = np.ascontiguousarray(g[b].swapaxes(0, 1)).reshape(groups, o // groups, -1)
        cols = np.matmul(rows, right).reshape(c, *kernel, b.stop - b.start, *space)
        target = out[b].swapaxes(0, 1)
        for at in np.ndindex(*kernel):
            where = tuple(slice(k * d, k * d + (m - 1) * s + 1, s) for k, d, m, s in zip(at, dilation, space, stride))
            target[(slice(None), slice(None), *where)] += cols[(slice(None), *at)]
    inner: Any = tuple(slice(max(a, 0), max(a, 0) + m + min(a, 0) + min(b, 0)) for m, (a, b) in zip(shape, padding))
    out = out[(..., *inner)]
    if any(p < 0 for pair in padding for p in pair):
        out = _padded(out, tuple((max(-a, 0), max(-b, 0)) for a, b in padding))
    return np.ascontiguousarray(out).astype(dtype, copy=False)


# -- batching: a mapped axis becomes part of the batch, the channels or the groups -------------------------------


def _fold(x: Tensor, axis: int, at: int, groups: int = 1) -> Tensor:
    """Move the mapped axis to `at` and join it with that axis; with groups, below the group part of it."""
    x = to_front(x, axis)
    b, *s = x._data.shape
    split = (*s[:at], groups, s[at] // groups, *s[at + 1 :]) if groups > 1 else tuple(s)
    place = at + (groups > 1)
    x = apply(reshape, x, shape=(b, *split))
    x = call("permute", x, axes=(*range(1, place + 1), 0, *range(place + 1, len(split) + 1)))
    return apply(reshape, x, shape=(*s[:at], b * s[at], *s[at + 1 :]))


def _unfold(y: Tensor, b: int, at: int, groups: int = 1) -> tuple[Tensor, int]:
    """Take the mapped axis out of axis `at` again; it ends in front."""
    s = y._data.shape
    if groups == 1:
        return apply(reshape, y, shape=(*s[:at], b, s[at] // b, *s[at + 1 :])), at
    y = apply(reshape, y, shape=(*s[:at], groups, b, s[at] // groups // b, *s[at + 1 :]))
    n = len(y._data.shape)
    y = call("permute", y, axes=(at + 1, *(i for i in range(n) if i != at + 1)))
    return apply(reshape, y, shape=(b, *s[:at], s[at] // b, *s[at + 1 :])), 0


def _batch(
    prim: str, first: tuple[int, bool, int, bool], second: tuple[int, bool, int, bool], both: tuple[int, int, int]
) -> Any:
    """A batch rule. For a mapped first (or second) operand alone: the axis it is folded into, whether below the group
    part, and the same for the result. If both are mapped, examples become groups: the axes of first, second, result."""

    def rule(args: Any, axes: Any, *, groups: int, **params: Any) -> Any:
        a, b = args
        n = next(x._data.shape[i] for x, i in zip(args, axes) if i is not None)
        if axes[0] is not None and axes[1] is not None:
            y = call(prim, _fold(a, axes[0], both[0]), _fold(b, axes[1], both[1]), groups=groups * n, **params)
            return _unfold(y, n, both[2])
        at, grouped, out, out_grouped = first if axes[1] is None else second
        if axes[1] is None:
            a = _fold(a, axes[0], at, groups if grouped else 1)
        else:
            b = _fold(b, axes[1], at, groups if grouped else 1)
        y = call(prim, a, b, groups=groups, **params)
        return _unfold(y, n, out, groups if out_grouped else 1)

    return rule


# -- rows -------------------------------------------------------------------------------------------------------

_CASES: tuple[tuple[Ints, Ints, dict[str, Any]], ...] = (
    ((2, 3, 5, 6), (4, 3, 3, 2), {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1}),
    ((2, 4, 7, 6), (6, 2, 3, 2), {"stride": (2, 3), "padding": ((1, 0), (2, 1)), "dilation": (2, 1), "groups": 2}),
    ((1, 2, 7), (3, 2, 3), {"stride": (3,), "padding": ((1, 1),), "dilation": (1,), "groups": 1}),
    (
        (2, 2, 3, 4, 3),
        (2, 1, 2, 2, 1),
        {"stride": (1, 2, 1), "padding": ((0, 1),) * 3, "dilation": (1,) * 3, "groups": 2},
    ),
    ((1, 1, 1), (1, 1, 1), {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}),
    ((0, 2, 4), (3, 2, 3), {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1}),
    ((2, 3, 6), (2, 3, 2), {"stride": (1,), "padding": ((-1, 2),), "dilation": (2,), "groups": 1}),
)


def _samples(kind: str) -> Any:
    def samples(rng: np.random.Generator) -> list[Sample]:
        made = []
        for dtype in ("float32", "float64"):
            for xs, ws, params in _CASES:
                space = tuple(
                    window_extent(*v)
                    for v in zip(xs[2:], ws[2:], params["stride"], params["padding"], params["dilation"])
                )
                x, w, g = (rng.uniform(-1, 1, s).astype(dtype) for s in (xs, ws, (xs[0], ws[0], *space)))
                if kind == "conv":
                    made.append(Sample((x, w), params))
                elif kind == "conv_input":
                    made.append(Sample((g, w), params | {"shape": xs[2:]}))
                else:
                    made.append(Sample((x, g), params | {"shape": ws[2:]}))
        return made

    return samples


def _bad(*shapes: tuple[Ints, Ints], **extra: Any) -> Any:
    params = {"stride": (1,), "padding": ((0, 0),), "dilation": (1,), "groups": 1} | extra
    return lambda rng: [Sample((np.ones(a, np.float32), np.ones(b, np.float32)), params) for a, b in shapes]


conv: Primitive = Primitive(
    "conv",
    out=_conv_out,
    ref=_np_conv,
    vjp=(
        lambda g, _y, _x, w, **p: apply(conv_input, g, conjugate(w), shape=tuple(_x.shape[2:]), **p),
        lambda g, _y, x, _w, **p: apply(conv_weight, conjugate(x), g, shape=tuple(_w.shape[2:]), **p),
    ),
    jvp="multilinear",
    batch=_batch("conv", (0, False, 0, False), (0, True, 1, True), (1, 0, 1)),
    lower=Convolution("forward"),
    samples=_samples("conv"),
    bad=_bad(((1, 2, 5), (3, 3, 2)), ((1, 2, 5), (3, 2, 6)), ((2, 5), (2, 2))),
    doc="Filters slid over a batch: y[n,o,i] = Σ w[o,c,k] x[n,c,s·i+d·k-p]. The filter is not flipped.",
    ulp=64,
)
conv_input: Primitive = Primitive(
    "conv_input",
    out=_conv_input_out,
    ref=_np_conv_input,
    vjp=(
        lambda g, _y, _a, w, *, shape, **p: apply(conv, g, conjugate(w), **p),
        lambda g, _y, a, _w, *, shape, **p: apply(conv_weight, g, conjugate(a), shape=tuple(_w.shape[2:]), **p),
    ),
    jvp="multilinear",
    batch=_batch("conv_input", (0, False, 0, False), (1, False, 1, True), (1, 0, 1)),
    lower=Convolution("by data"),
    samples=_samples("conv_input"),
    bad=_bad(((1, 3, 4), (2, 2, 2)), ((1, 3, 9), (3, 2, 2)), shape=(5,)),
    doc="The transpose of `conv` in its first operand, onto inputs of spatial extents `shape`.",
    ulp=64,
)
conv_weight: Primitive = Primitive(
    "conv_weight",
    out=_conv_weight_out,
    ref=_np_conv_weight,
    vjp=(
        lambda g, _y, _x, a, *, shape, **p: apply(conv_input, conjugate(a), g, shape=tuple(_x.shape[2:]), **p),
        lambda g, _y, x, _a, *, shape, **p: apply(conv, conjugate(x), g, **p),
    ),
    jvp="multilinear",
    batch=_batch("conv_weight", (1, True, 1, False), (1, True, 0, True), (1, 1, 0)),
    lower=Convolution("by weight"),
    samples=_samples("conv_weight"),
    bad=_bad(((1, 2, 5), (2, 3, 4)), ((1, 2, 5), (1, 3, 5)), shape=(2,)),
    doc="The transpose of `conv` in its second operand, onto filters of spatial extents `shape`.",
    ulp=64,
)
