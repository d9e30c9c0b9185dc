"""All slices along one axis at once: what loops over steps, and layers whose gates stand side by side, go along.

Taken one by one with `slice`, each slice would send back a gradient of the whole operand's size, mostly zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Named
from twinflow.ops._declare import call, calls, want
from twinflow.ops._shape import reshape, slice_, to_front
from twinflow.tensor import SPECIAL, Tensor, apply


def _unstack_out(x: Aval, *, axis: int) -> tuple[Aval, ...]:
    want(0 <= axis < x.ndim, f"the operand has an axis {axis}", "unstack", x=x)
    return (Aval((*x.shape[:axis], *x.shape[axis + 1 :]), x.dtype),) * x.shape[axis]


def _np_unstack(x: np.ndarray[Any, Any], *, axis: int) -> tuple[Any, ...]:
    whole = (x if axis == 0 else np.moveaxis(x, axis, 0)).view()
    whole.flags.writeable = False  # the slices share memory that nobody tracks: writing one must be an error
    return tuple([np.asarray(part) for part in whole])


def _unstack_vjp(g: Any, _y: Any, _x: Any, *, axis: int) -> Any:
    shape = tuple(_x.shape)
    thin = (*shape[:axis], 1, *shape[axis + 1 :])
    zero = None
    parts = []
    for part in g:
        if part is None:
            zero = call("full", shape=thin, value=0, dtype=_x.dtype) if zero is None else zero
            parts.append(zero)
        else:
            parts.append(apply(reshape, part, shape=thin))
    return (call("concat", *parts, axis=axis),)


unstack_p: Primitive = Primitive(
    "unstack",
    out=_unstack_out,
    ref=_np_unstack,
    vjp=_unstack_vjp,
    jvp=lambda t, y, x, *, axis: apply(unstack_p, t[0], axis=axis),
    batch=lambda args, axes, *, axis: (
        (parts := apply(unstack_p, to_front(args[0], axes[0]), axis=axis + 1)),
        [0] * len(parts),
    ),
    lower=Named("unstack"),
    samples=calls((((3, 4),), {"axis": 0}), (((2, 3, 2),), {"axis": 1}), (((2, 1),), {"axis": 1})),
    bad=lambda rng: [Sample((np.ones((2, 3), np.float32),), {"axis": 2})],
    n_out=0,
    doc="The slices along an axis, which they lack.",
)


def unstack(x: Tensor, axis: int) -> tuple[Tensor, ...]:
    """The slices along an axis. In a graph each is a slice of its own, which fuses with what uses it."""
    if not SPECIAL.count:
        return apply(unstack_p, x, axis=axis)
    shape = tuple(x._data.shape)
    ones = (1,) * len(shape)
    rest = (*shape[:axis], *shape[axis + 1 :])
    parts = []
    for k in range(shape[axis]):
        starts, stops = [0] * len(shape), list(shape)
        starts[axis], stops[axis] = k, k + 1
        part = apply(slice_, x, starts=tuple(starts), stops=tuple(stops), steps=ones)
        parts.append(apply(reshape, part, shape=rest))
    return tuple(parts)
