"""Bringing operands together: Python numbers, types and tensors, as PyTorch's promotion says."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype, get_default_dtype, is_symbolic, python_dtype, result_dtype
from twinflow.core.errors import DTypeError
from twinflow.ops._declare import F32 as F32
from twinflow.ops._declare import F64 as F64
from twinflow.ops._shape import cast
from twinflow.tensor import Tensor, apply, wrap


def is_number(x: Any) -> bool:
    """Whether `x` is a Python or NumPy number."""
    return isinstance(x, (bool, int, float, complex, np.generic))


def to_tensor_arg(x: Any, op: str, name: str = "input") -> Tensor:
    """`x` if it is a tensor, a tensor of it if it is an array; otherwise an error that says what was expected."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, np.ndarray):
        return wrap(x)
    raise DTypeError(f"{op}: {name} must be a tensor, not {type(x).__name__}; wrap it with twinflow.tensor(...)")


def convert(x: Tensor, dtype: DType) -> Tensor:
    """`x` in this type; itself if it is already."""
    return x if x.dtype is dtype else apply(cast, x, dtype=dtype)


def is_inexact(x: Tensor) -> bool:
    """Whether the elements are floating or complex."""
    return x._data.dtype.kind in "fcV"


def as_inexact(x: Any, op: str) -> Tensor:
    """`x` in a floating or complex type: integers and bools become the default floating type."""
    t = to_tensor_arg(x, op)
    return t if is_inexact(t) else apply(cast, t, dtype=get_default_dtype())


def as_real(x: Any, op: str) -> Tensor:
    """`x` in a floating type: integers and bools become the default one. Raises: DTypeError for complex numbers."""
    t = as_inexact(x, op)
    if t.dtype.is_complex:
        raise DTypeError(f"{op}: {t.dtype.name} operands are not supported; take .real or .abs()")
    return t


def _number(x: Any, dtype: DType) -> Any:
    """A Python number as the literal that stands beside tensors of `dtype`."""
    if is_symbolic(x):
        return x * 1.0 if dtype.is_floating_point else x
    if isinstance(x, np.generic):
        x = x.item()
    if dtype.is_floating_point:
        return float(x)
    return complex(x) if dtype.is_complex else x


def promote(op: str, *operands: Any, inexact: bool = False) -> tuple[Any, ...]:
    """Operands of one type. Numbers stay numbers beside a tensor (they take its type); with `inexact`, integers
    become floating."""
    tensors = [x for x in operands if isinstance(x, Tensor)]
    if len(tensors) == len(operands):
        first = tensors[0]._data.dtype
        if all(t._data.dtype is first for t in tensors) and (not inexact or first.kind in "fcV"):
            return operands
    else:
        operands = tuple([wrap(x) if isinstance(x, np.ndarray) else x for x in operands])
        tensors = [x for x in operands if isinstance(x, Tensor)]
        for x in operands:
            if not isinstance(x, Tensor) and not is_number(x):
                raise DTypeError(
                    f"{op}: operands are tensors and numbers, not {type(x).__name__}; wrap it with twinflow.tensor(...)"
                )
    if not tensors:
        dtype = result_dtype([], [], [x.item() if isinstance(x, np.generic) else x for x in operands])
        if inexact and not (dtype.is_floating_point or dtype.is_complex):
            dtype = get_default_dtype()
        return tuple(wrap(np.asarray(x, dtype.np)) for x in operands)
    numbers = [x.item() if isinstance(x, np.generic) else x for x in operands if not isinstance(x, Tensor)]
    dtype = result_dtype(
        [t.dtype for t in tensors if t._data.shape], [t.dtype for t in tensors if not t._data.shape], numbers
    )
    if inexact and dtype.category < 2:
        dtype = get_default_dtype()
    return tuple([convert(x, dtype) if isinstance(x, Tensor) else _number(x, dtype) for x in operands])


def result_type(*operands: Any) -> DType:
    """The type that an operation between these tensors and numbers has.

    >>> import twinflow
    >>> twinflow.result_type(twinflow.ones(2, dtype=twinflow.int32), 1.5)
    twinflow.float32
    """
    tensors = [x for x in operands if isinstance(x, Tensor)]
    return result_dtype(
        [t.dtype for t in tensors if t._data.shape],
        [t.dtype for t in tensors if not t._data.shape],
        [x for x in operands if not isinstance(x, Tensor)],
    )


def can_cast(source: Any, target: Any) -> bool:
    """Whether PyTorch would convert implicitly: never to a lower category."""
    s, t = as_dtype(source), as_dtype(target)
    return s.category <= t.category and not (s.is_signed and t.category == 1 and not t.is_signed and s.category == 1)


def number_dtype(x: Any) -> DType:
    """The type of a Python or NumPy number by itself."""
    return as_dtype(x.dtype) if isinstance(x, np.generic) else python_dtype(x)
