"""Functions by TensorFlow's names: `tf.math`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow import ops
from twinflow.core import as_dtype
from twinflow.core.errors import ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor


def _unary(fn: Callable[[Tensor], Tensor], doc: str) -> Callable[[Any], Tensor]:
    def wrapped(x: Any) -> Tensor:
        return fn(to_tensor(x))

    wrapped.__name__ = wrapped.__qualname__ = fn.__name__
    wrapped.__doc__ = doc
    return wrapped


exp = _unary(ops.exp, "e^x.")
log = _unary(ops.log, "The natural logarithm.")
log1p = _unary(ops.log1p, "log(1 + x).")
sqrt = _unary(ops.sqrt, "The square root.")
square = _unary(ops.square, "x².")
abs = _unary(ops.abs, "|x|.")
sin = _unary(ops.sin, "The sine.")
cos = _unary(ops.cos, "The cosine.")
tanh = _unary(ops.tanh, "The hyperbolic tangent.")
sigmoid = _unary(ops.sigmoid, "1 / (1 + e^-x).")
sign = _unary(ops.sign, "-1, 0 or 1.")
floor = _unary(ops.floor, "The next whole number downwards.")


def _reduction(fn: Callable[..., Any], doc: str) -> Callable[..., Tensor]:
    def wrapped(x: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
        t = to_tensor(x)
        axes = tuple(range(t.ndim)) if axis is None else tuple(axis) if isinstance(axis, list) else axis
        return fn(t, axes, keepdims) if t.ndim else t * 1

    wrapped.__name__ = wrapped.__qualname__ = "reduce_" + fn.__name__.removeprefix("a")
    wrapped.__doc__ = doc
    return wrapped


reduce_sum = _reduction(ops.sum, "The sum over axes, all of them if none is given.")
reduce_mean = _reduction(ops.mean, "The mean over axes, all of them if none is given.")
reduce_max = _reduction(ops.amax, "The largest over axes, all of them if none is given.")
reduce_min = _reduction(ops.amin, "The smallest over axes, all of them if none is given.")


def argmax(x: Any, axis: int = 0) -> Tensor:
    """Where the largest element stands along an axis."""
    return ops.argmax(to_tensor(x), axis)


def equal(x: Any, y: Any) -> Tensor:
    """x = y, element by element."""
    return to_tensor(x) == to_tensor(y)


def cast(x: Any, dtype: Any) -> Tensor:
    """The elements in another type."""
    return to_tensor(x).to(dtype=as_dtype(dtype))


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
    """The matrix product. Raises: ShapeError for operands with fewer than 2 axes, which TensorFlow does not take."""
    x, y = to_tensor(a), to_tensor(b)
    for name, t in (("a", x), ("b", y)):
        if t.ndim < 2:
            raise ShapeError(
                f"tf.matmul: {name} needs at least 2 axes, but its shape is {tuple(t.shape)}; make it a matrix, such as "
                f"tf.Variable(tf.zeros([{t.numel()}, 1]))"
            )
    return ops.matmul(x.mT if transpose_a else x, y.mT if transpose_b else y)
