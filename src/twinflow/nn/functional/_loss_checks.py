"""What losses ask of inputs and targets. A loss that broadcasts silently, or takes labels for numbers, trains nonsense."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.graph import Node
from twinflow.nn.functional._arguments import tensors
from twinflow.ops import call, mean
from twinflow.ops import sum as sum_
from twinflow.tensor import Tensor


def reduce(op: str, loss: Tensor, reduction: str) -> Tensor:
    """The losses of all elements as one number, or as they are."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum_(loss)
    if reduction == "none":
        return loss
    raise ArgumentError(f"{op}: reduction is 'mean', 'sum' or 'none', not {reduction!r}")


def same_shape(op: str, input: Any, target: Any, what: str = "target") -> None:
    """Raise unless both are tensors of one shape."""
    if not (isinstance(input, Tensor) and isinstance(target, Tensor)):
        tensors(op, input=input, **{what: target})
    a, b = tuple(input._data.shape), tuple(target._data.shape)
    if a == b:
        return
    if input._data.size == target._data.size:
        hint = f"use {what}.reshape(input.shape), or input.reshape({what}.shape)"
    else:
        hint = "expand one of them on purpose if that is meant"
    raise ShapeError(f"{op}: input has shape {a} and {what} {b}; they would broadcast or mix elements silently. {hint}")


def floating_target(op: str, target: Tensor) -> None:
    """Raise if the target has whole numbers where probabilities are expected."""
    if target._data.dtype.kind not in "fV":
        raise DTypeError(
            f"{op}: the target has probabilities, so it is floating, not {target.dtype.name}; use target.float()"
        )


def class_labels(op: str, input: Tensor, target: Tensor) -> int:
    """Raise unless `target` has one label for each position of `input`; returns the axis of the classes."""
    tensors(op, input=input, target=target)
    x, t = tuple(input._data.shape), tuple(target._data.shape)
    axis = 0 if len(x) == 1 else 1
    if not x:
        raise ShapeError(f"{op}: input needs an axis of classes, but it has shape ()")
    positions = x[:axis] + x[axis + 1 :]
    if t != positions:
        hint = ""
        if t == x:
            hint = "; for one-hot targets use target.argmax(1)" if axis else ""
        elif len(t) == len(positions) + 1 and t[axis : axis + 1] == (1,):
            hint = f"; use target.squeeze({axis})"
        elif t == x[:-1] and len(x) > 2:
            hint = "; the classes stand in axis 1, not last: use input.movedim(-1, 1)"
        elif target._data.dtype.kind not in "iu":
            hint = f". The target is {target.dtype.name}: labels are whole numbers, one for each position"
        elif len(t) == len(x) - 1 and t[0] and x[0] > t[0] and x[0] % t[0] == 0:
            hint = (
                f". The network made {x[0]} rows of {t[0]} examples: .view(-1, n) cuts examples up where n is not their "
                "size; use .flatten(1) and give the next layer as many inputs"
            )
        raise ShapeError(f"{op}: an input of shape {x} needs labels of shape {positions}, but the target has {t}{hint}")
    if target._data.dtype.kind not in "iu":
        raise DTypeError(
            f"{op}: class labels are whole numbers, but the target is {target.dtype.name}; use target.long()"
        )
    return axis


def choose(op: str, x: Tensor, labels: Tensor, axis: int) -> Tensor:
    """x at each position's label. Raises: IndexOutOfRange for a label outside the classes."""
    n = x._data.shape[axis]
    index = labels if labels._data.dtype.kind == "i" and labels._data.dtype.itemsize >= 4 else labels.long()
    index = index.unsqueeze(axis)
    try:
        picked = call("gather", x, index, axis=axis)
    except IndexOutOfRange as error:
        raise IndexOutOfRange(f"{op}: {label_error(labels, n)}") from error
    if isinstance(picked._data, Node):
        picked._data.name = op  # a compiled step that meets a wrong label says whose it was
    return picked.squeeze(axis)


def label_error(labels: Tensor, n: int) -> str:
    """What is wrong with labels that do not lie in [0, n)."""
    low, high = int(labels.min()), int(labels.max())
    worst = low if low < 0 else high
    hint = "; labels from 1 to n: subtract 1" if low == 1 and high == n else ""
    return f"label {worst} is outside [0, {n - 1}], because the input has {n} classes{hint}"
