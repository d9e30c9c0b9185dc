"""Making arrays, and their types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinflow import ops
from twinflow.core import DType, as_dtype, promote_types
from twinflow.core import finfo as _finfo
from twinflow.core import iinfo as _iinfo
from twinflow.core.errors import ArgumentError
from twinflow.ops import Device
from twinflow.tensor import Tensor


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """An array of numbers, nested sequences, or another array; copies unless told that it must not."""
    if device is not None:
        Device(device)
    if isinstance(obj, Tensor):
        if dtype is not None and obj.dtype is not as_dtype(dtype):
            if copy is False:
                raise ArgumentError(f"asarray: {obj.dtype.name} cannot become {as_dtype(dtype).name} without a copy")
            return obj.to(dtype=as_dtype(dtype))
        return obj.clone() if copy else obj
    if isinstance(obj, np.ndarray) and not copy and (dtype is None or obj.dtype == as_dtype(dtype).np):
        return ops.from_numpy(obj)
    if copy is False:
        raise ArgumentError(f"asarray: {type(obj).__name__} cannot become an array without a copy")
    return ops.tensor(obj, dtype=dtype)


def arange(start: Any, /, stop: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None) -> Tensor:
    """start, start + step, ... up to but without stop."""
    if stop is None:
        start, stop = 0, start
    if (stop - start) * step < 0:  # the standard's arange is empty there
        start, stop = 0, 0
    whole = all(isinstance(x, int) for x in (start, stop, step))
    return ops.arange(start, stop, step, dtype=dtype or (as_dtype("int64") if whole else None), device=device)


def empty(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """An array with unspecified elements (zeros)."""
    return ops.zeros(shape, dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """An unspecified array (zeros) in the shape and type of x."""
    return ops.zeros_like(x, dtype=dtype, device=device)


def eye(n_rows: int, n_cols: int | None = None, /, *, k: int = 0, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones on the k-th diagonal, zeros elsewhere."""
    rows = ops.arange(n_rows).unsqueeze(1)
    cols = ops.arange(n_rows if n_cols is None else n_cols)
    return (cols - rows == k).to(dtype=as_dtype(dtype) if dtype is not None else as_dtype(float))


def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """One value everywhere."""
    return ops.full(shape, fill_value, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """One value in the shape and type of x."""
    return ops.full_like(x, fill_value, dtype=dtype, device=device)


def linspace(
    start: Any, stop: Any, /, num: int, *, dtype: Any = None, device: Any = None, endpoint: bool = True
) -> Tensor:
    """`num` values at equal distances from start to stop, which is left out without `endpoint`."""
    if isinstance(start, complex) or isinstance(stop, complex):
        real = linspace(complex(start).real, complex(stop).real, num, dtype="float64", endpoint=endpoint)
        imag = linspace(complex(start).imag, complex(stop).imag, num, dtype="float64", endpoint=endpoint)
        return ops.complex(real, imag).to(dtype=as_dtype(dtype) if dtype is not None else as_dtype(complex))
    if endpoint:
        return ops.linspace(start, stop, num, dtype=dtype, device=device)
    return ops.linspace(start, stop, num + 1, dtype=dtype, device=device)[:num]


def ones(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones."""
    return ops.ones(shape, dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Ones in the shape and type of x."""
    return ops.ones_like(x, dtype=dtype, device=device)


def zeros(shape: Any, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros."""
    return ops.zeros(shape, dtype=dtype, device=device)


def zeros_like(x: Tensor, /, *, dtype: Any = None, device: Any = None) -> Tensor:
    """Zeros in the shape and type of x."""
    return ops.zeros_like(x, dtype=dtype, device=device)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of a grid from those along its axes."""
    return tuple(g.clone() for g in ops.meshgrid(*arrays, indexing=indexing))


def tril(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The lower triangle."""
    return ops.tril(x, k)


def triu(x: Tensor, /, *, k: int = 0) -> Tensor:
    """The upper triangle."""
    return ops.triu(x, k)


# -- types ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class finfo_object:
    """The limits of a floating type."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


@dataclass(frozen=True)
class iinfo_object:
    """The limits of an integer type."""

    bits: int
    max: int
    min: int
    dtype: DType


def _type_of(x: Any) -> DType:
    return x.dtype if isinstance(x, Tensor) else as_dtype(x)


def finfo(type: Any, /) -> finfo_object:
    """The limits of a floating type, or of an array's type."""
    d = _type_of(type).to_real()
    f = _finfo(d)
    return finfo_object(f.bits, f.eps, f.max, f.min, f.smallest_normal, d)


def iinfo(type: Any, /) -> iinfo_object:
    """The limits of an integer type, or of an array's type."""
    d = _type_of(type)
    i = _iinfo(d)
    return iinfo_object(i.bits, i.max, i.min, d)


def astype(x: Tensor, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """x in another type."""
    return x.to(dtype=as_dtype(dtype), device=device, copy=copy)


def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether promotion converts the type `from_` to the type `to`."""
    a, b = _type_of(from_), as_dtype(to)
    try:
        return promote_types(a, b) is b and (a.category == b.category or a.name == "bool" or b.category > a.category)
    except TypeError:
        return False


_KINDS: dict[str, Callable[[DType], bool]] = {
    "bool": lambda d: d.category == 0,
    "signed integer": lambda d: d.category == 1 and d.is_signed,
    "unsigned integer": lambda d: d.category == 1 and not d.is_signed,
    "integral": lambda d: d.category == 1,
    "real floating": lambda d: d.is_floating_point,
    "complex floating": lambda d: d.is_complex,
    "numeric": lambda d: d.category > 0,
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a type is, or is of, this kind: a type, the name of a kind, or a tuple of these."""
    d = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(d, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ArgumentError(f"isdtype: kind is a type or one of {', '.join(map(repr, _KINDS))}, not {kind!r}")
        return _KINDS[kind](d)
    return d is as_dtype(kind)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The type that an operation between these arrays, types and numbers has."""
    types = [
        _type_of(x) for x in arrays_and_dtypes if not isinstance(x, (bool, int, float, complex)) or isinstance(x, type)
    ]
    numbers = [x for x in arrays_and_dtypes if isinstance(x, (bool, int, float, complex))]
    return ops.result_type(*(ops.zeros((1,), dtype=t) for t in types), *numbers)
