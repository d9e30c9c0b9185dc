"""Products of vectors and matrices."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.ops._autocast import lowered
from twinflow.ops._contract import matmul as matmul_
from twinflow.ops._contract import product
from twinflow.ops._promote import promote, to_tensor_arg
from twinflow.ops._shape import reshape
from twinflow.tensor import SPECIAL, Tensor, apply
from twinflow.tensor._door import Door


def _matmul(input: Tensor, other: Tensor) -> Tensor:
    if SPECIAL.count:
        input, other = lowered(input, other)
    if isinstance(input, Tensor) and isinstance(other, Tensor):
        x, y = input._data, other._data
        if x.ndim == 2 == y.ndim and x.dtype is y.dtype:
            return product(input, other)
    a, b = to_tensor_arg(input, "matmul"), to_tensor_arg(other, "matmul", "other")
    na, nb = len(a._data.shape), len(b._data.shape)
    if a._data.dtype is not b._data.dtype:
        a, b = promote("matmul", a, b)
    if na >= 2 and nb >= 2:
        return apply(matmul_, a, b)
    if na == 0 or nb == 0:
        raise ShapeError(
            f"matmul: both operands have at least 1 axis, but their shapes are {tuple(a.shape)} and {tuple(b.shape)}; use * to multiply by a number"
        )
    if na == 1:
        a = apply(reshape, a, shape=(1, a._data.shape[0]))
    if nb == 1:
        b = apply(reshape, b, shape=(b._data.shape[0], 1))
    y = apply(matmul_, a, b)
    s = y._data.shape
    if nb == 1:
        s = s[:-1]
    if na == 1:
        s = (*s[:-2], s[-1]) if nb != 1 else s[:-1]
    return apply(reshape, y, shape=tuple(s))


_door = Door(_matmul, "matmul", matmul_, n=2)


def matmul(input: Tensor, other: Tensor) -> Tensor:
    """The product of two vectors, a matrix and a vector, two matrices, or batches of them.

    [..., M, K] @ [..., K, N] → [..., M, N]; an operand with one axis is a row on the left and a column on the right.

    Raises: ShapeError if the inner extents differ or an operand has no axis.
    """
    return _door.call(input, other)


_door.serves(matmul)


def _of_rank(op: str, rank: int, **operands: Any) -> None:
    for name, x in operands.items():
        if to_tensor_arg(x, op, name).ndim != rank:
            raise ShapeError(
                f"{op}: {name} must have {rank} axes, but its shape is {tuple(x.shape)}; matmul takes any rank"
            )


def mm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices."""
    _of_rank("mm", 2, input=input, mat2=mat2)
    return matmul(input, mat2)


def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, [B, M, K] and [B, K, N]."""
    _of_rank("bmm", 3, input=input, mat2=mat2)
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(f"bmm: batches of {input.shape[0]} and {mat2.shape[0]} matrices differ")
    return matmul(input, mat2)


def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    _of_rank("mv", 2, input=input)
    _of_rank("mv", 1, vec=vec)
    return matmul(input, vec)


def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """Σ aᵢ bᵢ of two vectors."""
    _of_rank("dot", 1, input=input, tensor=tensor)
    return matmul(input, tensor)


def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """aᵢ bⱼ of two vectors."""
    _of_rank("outer", 1, input=input, vec2=vec2)
    return input.unsqueeze(1) * vec2


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · mat1 @ mat2."""
    input, mat1, mat2 = lowered(input, mat1, mat2)
    y = mm(mat1, mat2)
    return (y if alpha == 1 else y * alpha) + (input if beta == 1 else input * beta)
