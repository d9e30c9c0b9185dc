"""Linear maps."""

from __future__ import annotations

from math import prod
from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.nn.functional._arguments import same_type, tensors
from twinflow.ops import affine, matmul
from twinflow.ops._affine import affine_in_one, affine_row
from twinflow.ops._autocast import lowered
from twinflow.tensor import Tensor
from twinflow.tensor._door import Door


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    if bias is not None:
        one = affine_in_one(input, weight, bias)
        if one is not None:
            return one
    tensors("linear", input=input, weight=weight)
    input, weight, bias = lowered(input, weight, bias)
    shape = input._data.shape
    if not shape or shape[-1] != weight._data.shape[-1]:
        have = shape[-1] if shape else "no axis"
        raise ShapeError(
            f"linear: input.shape[-1] == weight.shape[-1] does not hold ({have} != {weight.shape[-1]})"
            f"{_way_out(tuple(shape), weight.shape[-1])}\n"
            f"  input: {_text(input)}\n  weight: {_text(weight)}, transposed"
        )
    same_type("linear", input, weight)
    return affine(input, weight, bias)


_door = Door(_linear, "linear", affine_row, run=affine_row.run, loop="add", n=3)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y = x Wᵀ + b over the last axis.

    Args:
        input: [..., in].
        weight: [out, in], or [in] for a single output.
        bias: [out].
    Returns: [..., out].
    Raises: ShapeError if the last axis of the input is not `in`.
    Cost: 2 · in · out flops for each row.
    """
    return _door.call(input, weight, bias)


def _way_out(shape: tuple[int, ...], n_features: int) -> str:
    """What a reader most likely meant by an input whose last axis is not the features."""
    if len(shape) == 1 and n_features == 1:
        return "; a column of numbers needs an axis of its one feature: use input.unsqueeze(-1)"
    if len(shape) > 2 and prod(shape[1:]) == n_features:
        return "; each example has that many elements altogether: use input.flatten(1)"
    return ""


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y[..., o] = Σ_{ij} x₁[..., i] W[o, i, j] x₂[..., j] + b[o].

    Args:
        input1, input2: [..., in1] and [..., in2] with the same axes in front.
        weight: [out, in1, in2].
        bias: [out].
    """
    tensors("bilinear", input1=input1, input2=input2, weight=weight)
    o, n1, n2 = weight.shape
    if input1.shape[-1] != n1 or input2.shape[-1] != n2 or input1.shape[:-1] != input2.shape[:-1]:
        raise ShapeError(
            f"bilinear: inputs [..., {n1}] and [..., {n2}] with equal axes in front are needed for a weight of shape "
            f"{tuple(weight.shape)}, but {tuple(input1.shape)} and {tuple(input2.shape)} were given"
        )
    lead = tuple(input1.shape[:-1])
    a, b = input1.reshape(-1, n1), input2.reshape(-1, n2)
    left = matmul(a, weight.permute(1, 0, 2).reshape(n1, o * n2)).reshape(-1, o, n2)
    y = matmul(left, b.unsqueeze(2)).reshape(*lead, o)
    return y if bias is None else y + bias


def _text(x: Any) -> str:
    return f"{x.dtype.name}[{', '.join(map(str, x.shape))}]"
