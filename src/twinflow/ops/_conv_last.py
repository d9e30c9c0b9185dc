"""Convolutions with the channels last, which is how native kernels want them. The layout pass puts these rows into
graphs in place of `conv`, `conv_input` and `conv_weight`; nobody else makes them.

x: [N, *S, C]  w: [*K, C/groups, O], or with `filters_first` as users have it [O, C/groups, *K]  y: [N, *S', O].
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


def _same(n: int) -> tuple[Ints, Ints]:
    return tuple(range(n)), tuple(range(n))


_Order = Callable[[int], tuple[Ints, Ints]]


def _moved(shape: Ints, axes: Ints) -> Ints:
    return tuple(shape[a] for a in axes)


def _row(name: str, first: Primitive, orders: tuple[_Order, _Order, _Order], doc: str) -> Primitive:
    """The row that computes `first` on operands, and gives results, whose axes stand in these orders."""

    def placed(filters_first: bool) -> list[_Order]:
        return [_same if filters_first and order is _filters else order for order in orders]

    def out(a: Aval, b: Aval, *, filters_first: bool, **params: Any) -> Aval:
        *of, to = placed(filters_first)
        moved = (Aval(_moved(x.shape, order(x.ndim)[1]), x.dtype) for x, order in zip((a, b), of))
        made = first.out(*moved, **params)
        return Aval(_moved(made.shape, to(made.ndim)[0]), made.dtype)

    def ref(a: Array, b: Array, *, filters_first: bool, **params: Any) -> Array:
        *of, to = placed(filters_first)
        made = first.ref(*(x.transpose(order(x.ndim)[1]) for x, order in zip((a, b), of)), **params)
        return made.transpose(to(made.ndim)[0])

    def samples(rng: Any) -> list[Sample]:
        if first.samples is None:
            return []
        return [
            Sample(
                tuple(x.transpose(order(x.ndim)[0]) for x, order in zip(s.args, placed(leading))),
                s.params | {"filters_first": leading},
            )
            for s in first.samples(rng)
            for leading in (False, True)
        ]

    def batch(args: Any, axes: Any, *, filters_first: bool, **params: Any) -> tuple[Tensor, int]:
        *of, to = placed(filters_first)
        moved = []
        for x, axis, order in zip(args, axes, of):
            x = x if axis is None else to_front(x, axis)
            back = order(len(x._data.shape) - (axis is not None))[1]
            moved.append(call("permute", x, axes=back if axis is None else (0, *(a + 1 for a in back))))
        y, axis = first.batch(moved, [None if a is None else 0 for a in axes], **params)
        y = to_front(y, axis)
        there = to(len(y._data.shape) - 1)[0]
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


conv_last = _row(
    "conv_last", conv, (_image, _filters, _image), "`conv` of images [N, *S, C] and filters [*K, C, O] or [O, C, *K]."
)
conv_input_last = _row(
    "conv_input_last", conv_input, (_image, _filters, _image), "`conv_input` with the channels last: dx from dy and w."
)
conv_weight_last = _row(
    "conv_weight_last",
    conv_weight,
    (_image, _image, _filters),
    "`conv_weight` with the channels last: dw from x and dy.",
)
