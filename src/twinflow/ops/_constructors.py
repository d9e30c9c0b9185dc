"""PyTorch's first constructors, which articles still print: `Tensor(2, 3)`, `FloatTensor([1, 2])`, `LongTensor(4)`."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype, get_default_dtype
from twinflow.core.errors import ArgumentError
from twinflow.ops._create import empty, finish_new, tensor
from twinflow.tensor import Tensor


def _construct(op: str, args: tuple[Any, ...], dtype: Any, device: Any) -> Tensor:
    if len(args) == 1 and not isinstance(args[0], (int, np.integer)):
        return finish_new(tensor(args[0], dtype=dtype), False, device)
    if not all(isinstance(a, (int, np.integer)) for a in args):
        raise ArgumentError(
            f"{op}: takes sizes, as {op}(2, 3), or one sequence of numbers, as {op}([1, 2]), not {args}"
        )
    return empty(args if args else (0,), dtype=dtype, device=device)


def _new_tensor(cls: type[Tensor], *args: Any, device: Any = None) -> Any:
    if cls is not Tensor:
        return object.__new__(cls)
    return _construct("Tensor", args, get_default_dtype(), device)


setattr(Tensor, "__new__", staticmethod(_new_tensor))  # noqa: B010 - the tensor does not know of what makes its elements


class _Typed(type):
    """The class of `FloatTensor` and its kin: `isinstance` asks for the type of the elements."""

    dtype: Any

    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, Tensor) and x.dtype is cls.dtype

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        return _construct(cls.__name__, args, cls.dtype, device)


def _typed(name: str, dtype: str) -> _Typed:
    doc = f"`{name}(2, 3)` is a {dtype} tensor of that shape (zeros), `{name}([1, 2])` one with these elements."
    return _Typed(name, (), {"__doc__": doc, "dtype": as_dtype(dtype), "__module__": "twinflow"})


FloatTensor = _typed("FloatTensor", "float32")
DoubleTensor = _typed("DoubleTensor", "float64")
HalfTensor = _typed("HalfTensor", "float16")
BFloat16Tensor = _typed("BFloat16Tensor", "bfloat16")
LongTensor = _typed("LongTensor", "int64")
IntTensor = _typed("IntTensor", "int32")
ShortTensor = _typed("ShortTensor", "int16")
CharTensor = _typed("CharTensor", "int8")
ByteTensor = _typed("ByteTensor", "uint8")
BoolTensor = _typed("BoolTensor", "bool")
