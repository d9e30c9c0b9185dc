"""Convolutions with the channels last, which is how native kernels want them. The layout pass puts these rows into
graphs in place of `conv`, `conv_input` and `conv_weight`; nobody else makes them.

x: [N, *S, C]  w: [*K, C/groups, O]  y: [N, *S', O].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.graph import Aval, Primitive, Sample
from twinflow.ops._conv import Array, Ints, conv, conv_input, conv_weight
from twinflow.ops._declare import call
from twinflow.ops._shape import to_front
from twinflow.tensor import Tensor

_WHY = "the layout pass runs after derivatives were taken"


def _image(n: int) -> tuple[Ints, Ints]:
    """The permutations of n axes [N, C, *S] to [N, *S, C], and back."""
    return (0, *range(2, n), 1), (0, n - 1, *range(1, n - 1))


def _filters(n: int) -> tuple[Ints, Ints]:
    """The permutations of n axes [O, C, *K] to [*K, C, O], and back."""
    return (*range(2, n), 1, 0), (n - 1, n - 2, *range(n - 2))


_Order = Callable[[int], tuple[Ints, Ints]]


def _moved(shape: Ints, axes: Ints) -> Ints:
    return tuple(shape[a] for a in axes)


def _row(name: str, first: Primitive, orders: tuple[_Order, _Order, _Order], doc: str) -> Primitive:
    """The row that computes `first` on operands, and gives results, whose axes stand in these orders."""

    def out(a: Aval, b: Aval, **params: Any) -> Aval:
        moved = (Aval(_moved(x.shape, order(x.ndim)[1]), x.dtype) for x, order in zip((a, b), orders))
        made = first.out(*moved, **params)
        return Aval(_moved(made.shape, orders[2](made.ndim)[0]), made.dtype)

    def ref(a: Array, b: Array, **params: Any) -> Array:
        made = first.ref(*(x.transpose(order(x.ndim)[1]) for x, order in zip((a, b), orders)), **params)
        return made.transpose(orders[2](made.ndim)[0])

    def samples(rng: Any) -> list[Sample]:
        if first.samples is None:
            return []
        return [
            Sample(tuple(x.transpose(order(x.ndim)[0]) for x, order in zip(s.args, orders)), s.params)
            for s in first.samples(rng)
        ]

    def batch(args: Any, axes: Any, **params: Any) -> tuple[Tensor, int]:
        moved = []
        for x, axis, order in zip(args, axes, orders):
            x = x if axis is None else to_front(x, axis)
            back = order(len(x._data.shape) - (axis is not None))[1]
            moved.append(call("permute", x, axes=back if axis is None else (0, *(a + 1 for a in back))))
        y, axis = first.batch(moved, [None if a is None else 0 for a in axes], **params)
        y = to_front(y, axis)
        there = orders[2](len(y._data.shape) - 1)[0]
        return call("permute", y, axes=(0, *(a + 1 for a in there))), 0

    return Primitive(
        name,
        out=out,
        ref=ref,
        batch=batch,
        vjp=None,
        why=_WHY,
        lower=first.lower,
        samples=samples,
        doc=doc,
        ulp=first.ulp,
    )


conv_last = _row("conv_last", conv, (_image, _filters, _image), "`conv` of images [N, *S, C] and filters [*K, C, O].")
conv_input_last = _row(
    "conv_input_last", conv_input, (_image, _filters, _image), "`conv_input` with the channels last: dx from dy and w."
)
conv_weight_last = _row(
    "conv_weight_last",
    conv_weight,
    (_image, _image, _filters),
    "`conv_weight` with the channels last: dw from x and dy.",
)
