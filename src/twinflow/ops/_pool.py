"""Folds over sliding windows of the last axes: the largest element with its place, and the sum.

Windows are described as for convolutions: kernel, stride, padding (before, after) and dilation, one entry per axis.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import DTypeError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Window
from twinflow.ops._conv import Array, Ints, Pads, window_extent
from twinflow.ops._declare import call, want
from twinflow.ops._shape import pad, reshape, slice_, to_front
from twinflow.tensor import Tensor, apply


def _space(op: str, x: Aval, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Ints:
    n = len(kernel)
    want(x.ndim >= n, f"the operand has at least {n} axes", op, x=x)
    out = tuple(window_extent(*v) for v in zip(x.shape[x.ndim - n :], kernel, stride, padding, dilation))
    want(
        min(out) >= 1,
        f"a window of {kernel} with dilation {dilation} fits into the operand padded by {padding}",
        op,
        x=x,
    )
    return out


def _taps(kernel: Ints, stride: Ints, dilation: Ints, space: Ints) -> Any:
    """For each tap of the window: its index, and the slices of the padded operand that it sees."""
    for at in np.ndindex(*kernel):
        yield at, tuple(slice(k * d, k * d + (m - 1) * s + 1, s) for k, d, m, s in zip(at, dilation, space, stride))


def _surround(x: Array, padding: Pads, value: Any) -> Array:
    if not any(p for pair in padding for p in pair):
        return x
    lead = x.ndim - len(padding)
    y = np.full((*x.shape[:lead], *(n + a + b for n, (a, b) in zip(x.shape[lead:], padding))), value, x.dtype)
    inside: Any = tuple(slice(a, a + n) for n, (a, _) in zip(x.shape[lead:], padding))
    y[(..., *inside)] = x
    return y


# -- max --------------------------------------------------------------------------------------------------------


def _max_out(x: Aval, *, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> tuple[Aval, Aval]:
    if x.dtype.is_complex or x.dtype.name == "bool":
        raise DTypeError(f"max_pool: {x.dtype.name} elements have no order to take the largest of")
    space = _space("max_pool", x, kernel, stride, padding, dilation)
    shape = (*x.shape[: x.ndim - len(kernel)], *space)
    return Aval(shape, x.dtype), Aval(shape, as_dtype("int64"))


def _places(starts: list[Array], extents: Ints) -> Array:
    """Flat indices of the points of a grid, given the coordinates along each axis."""
    flat = np.zeros((1,) * len(starts), np.int64)
    for axis, (place, n) in enumerate(zip(starts, extents)):
        flat = flat * n + place.reshape([-1 if i == axis else 1 for i in range(len(starts))])
    return flat


def _inside(at: Ints, extents: Ints, space: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Array:
    """Whether this tap of each window lies in the operand and not in its padding."""
    ok = np.ones((1,) * len(space), bool)
    for axis, (k, n, m, s, p, d) in enumerate(zip(at, extents, space, stride, padding, dilation)):
        place = np.arange(m) * s + k * d - p[0]
        ok = ok & ((place >= 0) & (place < n)).reshape([-1 if i == axis else 1 for i in range(len(space))])
    return ok


def _np_max_pool(x: Array, *, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> tuple[Array, Array]:
    lead = x.ndim - len(kernel)
    extents = x.shape[lead:]
    space = tuple(window_extent(*v) for v in zip(extents, kernel, stride, padding, dilation))
    if min(space) < 1:
        raise ValueError("no window fits")
    inexact = x.dtype.kind in "fV"
    lowest = -np.inf if inexact else np.iinfo(x.dtype).min
    wide = x.astype(np.float32) if x.dtype.kind == "V" else x
    padded = _surround(wide, padding, lowest)
    taps = list(_taps(kernel, stride, dilation, space))
    best = padded[..., *taps[0][1]].copy()
    for _, where in taps[1:]:
        np.maximum(best, padded[..., *where], out=best)
    # the number of taps before the first that equals the largest: cheaper than carrying indices along
    found = np.zeros(best.shape, bool)
    before = np.zeros(best.shape, np.uint8 if len(taps) < 256 else np.int32)
    clipped = any(p for pair in padding for p in pair)
    has_nan = inexact and bool(np.isnan(best).any())
    for at, where in taps:
        seen = padded[..., *where]
        hit = seen == best
        if has_nan:
            hit |= seen != seen
        if clipped:
            hit &= _inside(at, extents, space, stride, padding, dilation)
        found |= hit
        before += ~found
    offset = np.array([_places([np.array([k * d]) for k, d in zip(at, dilation)], extents).item() for at, _ in taps])
    index = offset.take(before, mode="clip")
    index += _places([np.arange(m) * s - p[0] for m, s, p in zip(space, stride, padding)], extents)
    return best.astype(x.dtype, copy=False), index


def _flat(x: Tensor, n: int) -> Tensor:
    """The last n axes as one."""
    s = x._data.shape
    lead = len(s) - n
    return apply(reshape, x, shape=(*s[:lead], prod(s[lead:])))


def _choose(x: Tensor, index: Tensor, n: int) -> Tensor:
    """The elements of `x` that `max_pool` chose."""
    picked = call("gather", _flat(x, n), _flat(index, n), axis=len(x._data.shape) - n)
    return apply(reshape, picked, shape=tuple(index._data.shape))


def _max_vjp(g: Any, y: Any, _x: Any, *, kernel: Ints, **window: Any) -> Tensor | None:
    if g[0] is None:
        return None
    shape = tuple(_x.shape[len(_x.shape) - len(kernel) :])
    return apply(max_pool_input, g[0], y[1], shape=shape, kernel=kernel, **window)


def _max_jvp(t: Any, y: Any, x: Tensor, *, kernel: Ints, **window: Any) -> tuple[Tensor, None]:
    return _choose(t[0], y[1], len(kernel)), None


def _max_batch(args: Any, axes: Any, **window: Any) -> Any:
    return apply(max_pool, to_front(args[0], axes[0]), **window), 0


_CASES: tuple[tuple[Ints, dict[str, Any]], ...] = (
    ((2, 3, 4, 6), {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0),) * 2, "dilation": (1, 1)}),
    ((2, 7, 6), {"kernel": (3, 2), "stride": (2, 1), "padding": ((1, 1), (0, 1)), "dilation": (1, 2)}),
    ((3, 5), {"kernel": (3,), "stride": (1,), "padding": ((1, 0),), "dilation": (1,)}),
    ((1, 1), {"kernel": (1,), "stride": (1,), "padding": ((0, 0),), "dilation": (1,)}),
    ((0, 4), {"kernel": (2,), "stride": (2,), "padding": ((0, 0),), "dilation": (1,)}),
    ((2, 3, 3, 4), {"kernel": (2, 2, 2), "stride": (1, 1, 2), "padding": ((0, 0),) * 3, "dilation": (1,) * 3}),
)
_BAD_WINDOW = {"kernel": (4,), "stride": (1,), "padding": ((0, 0),), "dilation": (1,)}


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample((rng.permutation(prod(shape)).reshape(shape).astype(kind),), dict(window))
        for kind in ("float32", "float64", "int64")
        for shape, window in _CASES
    ]


max_pool: Primitive = Primitive(
    "max_pool",
    out=_max_out,
    ref=_np_max_pool,
    vjp=(_max_vjp,),
    jvp=_max_jvp,
    batch=_max_batch,
    lower=Window("max"),
    samples=_samples,
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), _BAD_WINDOW)],
    n_out=2,
    doc="The largest element of each window of the last axes, and its index into those axes flattened. NaN wins; of equal "
    "elements the first does. Padding is never chosen.",
)


def _max_input_out(
    g: Aval, index: Aval, *, shape: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
) -> Aval:
    lead = g.ndim - len(kernel)
    x = Aval((*g.shape[:lead], *shape), g.dtype)
    space = _space("max_pool_input", x, kernel, stride, padding, dilation)
    want(g.shape[lead:] == space and index.shape == g.shape, f"windows of {shape} give {space}", "max_pool_input", g=g)
    return x


def _np_max_input(
    g: Array, index: Array, *, shape: Ints, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints
) -> Array:
    lead = g.shape[: g.ndim - len(kernel)]
    rows, size, windows = prod(lead), prod(shape), prod(g.shape[len(lead) :])
    out = np.zeros(rows * size, np.float32 if g.dtype.itemsize == 2 else g.dtype)
    flat = (index.reshape(rows, windows) + np.arange(rows)[:, None] * size).reshape(-1)
    if all(s > d * (k - 1) for s, d, k in zip(stride, dilation, kernel)):
        out[flat] = g.reshape(-1)  # windows do not overlap: each element is chosen once at most
    else:
        np.add.at(out, flat, g.reshape(-1))
    return out.reshape(*lead, *shape).astype(g.dtype, copy=False)


def _max_input_batch(args: Any, axes: Any, **params: Any) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    g, index = (
        call("expand", x, shape=(n, *x._data.shape)) if a is None else to_front(x, a) for x, a in zip(args, axes)
    )
    return apply(max_pool_input, g, index, **params), 0


def _max_input_samples(rng: np.random.Generator) -> list[Sample]:
    made = []
    for x, window in ((s.args[0], s.params) for s in _samples(rng) if s.args[0].dtype.kind == "f"):
        y, index = _np_max_pool(x, **window)
        shape = x.shape[x.ndim - len(window["kernel"]) :]
        made.append(Sample((np.asarray(rng.uniform(-1, 1, y.shape), x.dtype), index), window | {"shape": shape}))
    return made


max_pool_input: Primitive = Primitive(
    "max_pool_input",
    out=_max_input_out,
    ref=_np_max_input,
    vjp=(lambda g, _y, _g, index, *, shape, kernel, **w: _choose(g, index, len(kernel)), None),
    jvp=lambda t, _y, _g, index, **params: apply(max_pool_input, t[0], index, **params),
    batch=_max_input_batch,
    lower=Window("max_input"),
    samples=_max_input_samples,
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32), np.ones((2, 3), np.int64)), _BAD_WINDOW | {"shape": (9,)})],
    doc="Each value added at the place that `max_pool` chose for its window: the transpose of choosing.",
)


# -- sum --------------------------------------------------------------------------------------------------------


def _sum_out(x: Aval, *, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Aval:
    space = _space("window_sum", x, kernel, stride, padding, dilation)
    return Aval((*x.shape[: x.ndim - len(kernel)], *space), x.dtype)


def _np_window_sum(x: Array, *, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Array:
    space = _sum_out(Aval(x.shape, as_dtype(x.dtype)), kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x
    y = _surround(wide, padding, 0)
    first = x.ndim - len(kernel)
    for axis, (k, s, d) in enumerate(zip(kernel, stride, dilation), first):  # one axis after the other
        m = space.shape[axis]
        part = [(slice(None),) * axis + (slice(i * d, i * d + (m - 1) * s + 1, s),) for i in range(k)]
        total = y[part[0]].copy()
        for where in part[1:]:
            total += y[where]
        y = total
    return y.astype(x.dtype, copy=False)


def _resize(g: Tensor, low: Ints, high: Ints, interior: Ints) -> Tensor:
    """Zeros around and between; negative amounts crop."""
    g = apply(
        pad,
        g,
        low=tuple(max(a, 0) for a in low),
        high=tuple(max(b, 0) for b in high),
        interior=interior,
        value=0,
    )
    s = g._data.shape
    starts, stops = tuple(max(-a, 0) for a in low), tuple(n - max(-b, 0) for n, b in zip(s, high))
    return (
        g
        if stops == tuple(s) and not any(starts)
        else apply(slice_, g, starts=starts, stops=stops, steps=(1,) * len(s))
    )


def _sum_vjp(g: Tensor, _y: Any, _x: Any, *, kernel: Ints, stride: Ints, padding: Pads, dilation: Ints) -> Tensor:
    # x[j] is in the window i if j = s·i + d·k − p: spread the gradients s apart, and sum windows of them again
    n = len(kernel)
    lead = (0,) * (len(_x.shape) - n)
    low = tuple(d * (k - 1) - p[0] for k, d, p in zip(kernel, dilation, padding))
    high = tuple(
        extent + p[0] - ((m - 1) * s + 1)
        for extent, p, m, s in zip(_x.shape[len(lead) :], padding, g._data.shape[len(lead) :], stride)
    )
    spread = _resize(g, lead + low, lead + high, lead + tuple(s - 1 for s in stride))
    return apply(window_sum, spread, kernel=kernel, stride=(1,) * n, padding=((0, 0),) * n, dilation=dilation)


window_sum: Primitive = Primitive(
    "window_sum",
    out=_sum_out,
    ref=_np_window_sum,
    vjp=(_sum_vjp,),
    jvp="linear",
    batch=lambda args, axes, **window: (apply(window_sum, to_front(args[0], axes[0]), **window), 0),
    lower=Window("sum"),
    samples=_samples,
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), _BAD_WINDOW)],
    doc="The sum over each window of the last axes; padding counts as 0.",
    ulp=16,
)
