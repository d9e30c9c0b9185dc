"""What the functions of this package ask of their arguments, said once."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_int
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.tensor import Tensor, update

Ints = tuple[int, ...]


def ints(value: Any, n: int, op: str, what: str, *, least: int | None = None) -> Ints:
    """`value` once for each of n axes: a whole number for all of them, or n whole numbers."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            value = tuple(value) * n
        if len(value) != n:
            raise ArgumentError(f"{op}: {what} needs one number, or one for each of {n} axes; {tuple(value)} was given")
        result = tuple(as_int(v, f"{op}: {what}") for v in value)
    else:
        result = (as_int(value, f"{op}: {what}"),) * n
    if least is not None and min(result) < least:
        raise ArgumentError(f"{op}: {what} must be at least {least}, but {value} was given")
    return result


def tensors(op: str, **values: Any) -> None:
    """Raise unless all values are tensors."""
    for name, x in values.items():
        if not isinstance(x, Tensor):
            raise DTypeError(
                f"{op}: {name} must be a tensor, not {type(x).__name__}; wrap it with twinflow.tensor(...)"
            )


def same_type(op: str, input: Tensor, weight: Tensor) -> None:
    """Raise unless input and weight have one type: a layer that silently computes in another is slow, or wrong later."""
    a, b = input._data.dtype, weight._data.dtype
    if a is not b and a != b:
        way = f"use input.to({weight.dtype!r})"
        if a.kind in "fV" and b.kind in "fV":
            way += f", or convert the layer with .to({input.dtype!r})"
        raise DTypeError(f"{op}: the input is {input.dtype.name}, but the weight {weight.dtype.name}; {way}")


def floating(op: str, x: Tensor) -> None:
    """Raise unless `x` is floating, and not complex."""
    if x._data.dtype.kind not in "fV":
        how = "take .real or .abs()" if x.dtype.is_complex else "convert it with .float()"
        raise DTypeError(f"{op}: a floating tensor is needed, not {x.dtype.name}; {how}")


def spatial(op: str, x: Any, n: int, channels_name: str = "C") -> tuple[Tensor, bool]:
    """`x` as a batch [N, C, *S] with n spatial axes, and whether the batch axis had to be added."""
    tensors(op, input=x)
    if x.ndim == n + 2:
        return x, False
    if x.ndim == n + 1:
        return x.unsqueeze(0), True
    axes = ", ".join(("D", "H", "W")[3 - n :])
    raise ShapeError(
        f"{op}: input must be [N, {channels_name}, {axes}] or [{channels_name}, {axes}], but its shape is {tuple(x.shape)}"
    )


def drop_batch(y: Any, added: bool) -> Any:
    """Undo what `spatial` added."""
    return y.squeeze(0) if added else y


def finish(input: Tensor, inplace: bool, op: str, fn: Any) -> Tensor:
    """fn(input), written back into `input` if asked."""
    return update(input, fn, op) if inplace else fn(input)


def probability(op: str, p: float) -> None:
    """Raise unless 0 ≤ p ≤ 1."""
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"{op}: the probability p must lie in [0, 1], but {p} was given")
