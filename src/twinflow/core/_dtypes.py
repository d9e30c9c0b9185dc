"""Data types and the rules by which they combine.

Promotion follows PyTorch: the category (bool < integer < floating < complex) of the operands decides first, then the
width within it; Python numbers and 0-dimensional tensors only raise the category, never the width.
"""

from __future__ import annotations

from typing import Any, Final

import ml_dtypes
import numpy as np

from twinflow.core.errors import DTypeError

_CATEGORIES: Final = ("bool", "int", "float", "complex")


class DType:
    """The type of a tensor's elements: a name, a width and a category. There is one object for each type.

    >>> import twinflow
    >>> twinflow.float32.itemsize, twinflow.float32.is_floating_point
    (4, True)
    """

    __slots__ = ("category", "is_complex", "is_floating_point", "is_signed", "itemsize", "name", "np", "short")

    def __init__(self, name: str, short: str, np_type: Any, category: int, *, signed: bool = True) -> None:
        self.name = name
        self.short = short
        self.np: np.dtype[Any] = np.dtype(np_type)
        self.category = category
        self.itemsize: int = self.np.itemsize
        self.is_floating_point = category == 2
        self.is_complex = category == 3
        self.is_signed = signed

    def __repr__(self) -> str:
        return f"twinflow.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)

    # TensorFlow's names

    @property
    def is_floating(self) -> bool:
        """`is_floating_point`."""
        return self.is_floating_point

    @property
    def is_integer(self) -> bool:
        """Whether elements are whole numbers."""
        return self.category == 1

    @property
    def is_bool(self) -> bool:
        """Whether elements are true or false."""
        return self.category == 0

    @property
    def size(self) -> int:
        """`itemsize`."""
        return self.itemsize

    @property
    def as_numpy_dtype(self) -> Any:
        """NumPy's type of scalars."""
        return self.np.type

    @property
    def min(self) -> Any:
        """The smallest number of the type."""
        return limits_of(self)[0]

    @property
    def max(self) -> Any:
        """The largest number of the type."""
        return limits_of(self)[1]

    def to_real(self) -> DType:
        """The type of the real part: float32 for complex64, itself for the others."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    def to_complex(self) -> DType:
        """The complex type that holds this one: complex128 for float64, complex64 for narrower ones."""
        return complex128 if self.name in ("float64", "complex128") else complex64


def limits_of(dtype: DType) -> tuple[Any, Any]:
    """(smallest, largest) number of a type."""
    if dtype.category == 0:
        return False, True
    info: Any = np.iinfo(dtype.np) if dtype.category == 1 else ml_dtypes.finfo(dtype.np)  # type: ignore[no-untyped-call] # it is untyped
    low, high = info.min, info.max
    return (int(low), int(high)) if dtype.category == 1 else (float(low), float(high))


bool_ = DType("bool", "bool", np.bool_, 0, signed=False)
uint8 = DType("uint8", "u8", np.uint8, 1, signed=False)
uint16 = DType("uint16", "u16", np.uint16, 1, signed=False)
uint32 = DType("uint32", "u32", np.uint32, 1, signed=False)
uint64 = DType("uint64", "u64", np.uint64, 1, signed=False)
int8 = DType("int8", "i8", np.int8, 1)
int16 = DType("int16", "i16", np.int16, 1)
int32 = DType("int32", "i32", np.int32, 1)
int64 = DType("int64", "i64", np.int64, 1)
float16 = DType("float16", "f16", np.float16, 2)
bfloat16 = DType("bfloat16", "bf16", ml_dtypes.bfloat16, 2)
float32 = DType("float32", "f32", np.float32, 2)
float64 = DType("float64", "f64", np.float64, 2)
complex64 = DType("complex64", "c64", np.complex64, 3)
complex128 = DType("complex128", "c128", np.complex128, 3)

DTYPES: Final[tuple[DType, ...]] = (
    bool_,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
    complex128,
)
FROM_NUMPY: Final[dict[np.dtype[Any], DType]] = {d.np: d for d in DTYPES}
_BY_NAME: Final[dict[str, DType]] = {d.name: d for d in DTYPES} | {
    "half": float16,
    "float": float32,
    "double": float64,
    "short": int16,
    "int": int32,
    "long": int64,
    "cfloat": complex64,
    "cdouble": complex128,
}
_PYTHON: Final[dict[Any, DType]] = {bool: bool_, int: int64}

_default = float32


def set_default_dtype(dtype: Any) -> None:
    """Make `dtype` (a floating type) the type of new floating tensors and of Python floats."""
    global _default
    d = as_dtype(dtype)
    if not d.is_floating_point:
        raise DTypeError(f"set_default_dtype: a floating type is needed, not {d!r}")
    _default = d


def get_default_dtype() -> DType:
    """The type of new floating tensors: float32 unless set otherwise."""
    return _default


def as_dtype(value: Any) -> DType:
    """The DType that `value` names: a DType, a NumPy type, a name, or Python's bool, int, float or complex."""
    if isinstance(value, DType):
        return value
    if value is float:
        return _default
    if value is complex:
        return _default.to_complex()
    if isinstance(value, type) and value in _PYTHON:
        return _PYTHON[value]
    if isinstance(value, str):
        name = value.removeprefix("twinflow.").removeprefix("torch.")
        if name in _BY_NAME:
            return _BY_NAME[name]
    else:
        try:
            found = FROM_NUMPY.get(np.dtype(value).newbyteorder("="))
        except TypeError:
            found = None
        if found is not None:
            return found
    names = ", ".join(d.name for d in DTYPES)
    raise DTypeError(f"{value!r} is not a type that tensors have; choose one of {names}")


def _promote_ints(a: DType, b: DType) -> DType:
    if a.is_signed == b.is_signed:
        return a if a.itemsize >= b.itemsize else b
    signed, unsigned = (a, b) if a.is_signed else (b, a)
    if signed.itemsize > unsigned.itemsize:
        return signed
    if unsigned is uint64:
        raise DTypeError(f"no integer type holds both {a!r} and {b!r}; convert one operand with .to(...)")
    return {1: int16, 2: int32, 4: int64}[unsigned.itemsize]


def _promote_floats(a: DType, b: DType) -> DType:
    if a.itemsize != b.itemsize:
        return a if a.itemsize > b.itemsize else b
    return a if a is b else float32  # float16 with bfloat16


def _compute_promotion(a: DType, b: DType) -> DType:
    if a is b:
        return a
    if a.category < b.category:
        a, b = b, a
    if a.is_complex:
        return complex128 if a is complex128 or b in (float64, complex128) else complex64
    if a.category != b.category:
        return a
    return _promote_floats(a, b) if a.is_floating_point else _promote_ints(a, b)


_PROMOTED: dict[tuple[DType, DType], DType] = {}


def promote_types(a: Any, b: Any) -> DType:
    """The smallest type that both convert to, by category first and width second.

    >>> from twinflow import promote_types, uint8, int8, float16, int64
    >>> promote_types(uint8, int8), promote_types(int64, float16)
    (twinflow.int16, twinflow.float16)
    """
    key = (as_dtype(a), as_dtype(b))
    if key not in _PROMOTED:
        _PROMOTED[key] = _compute_promotion(*key)
    return _PROMOTED[key]


def python_dtype(value: complex) -> DType:
    """The type that a Python number has by itself: bool, int64, or the default floating or complex type."""
    if isinstance(value, bool):
        return bool_
    if isinstance(value, int):
        return int64
    return _default if isinstance(value, float) else _default.to_complex()


def result_dtype(dims: list[DType], zero_dims: list[DType], numbers: list[complex]) -> DType:
    """PyTorch's result type of tensors with axes, tensors without, and Python numbers, in that order of precedence."""
    result: DType | None = None
    for group in (dims, zero_dims, [python_dtype(n) for n in numbers]):
        if not group:
            continue
        here = group[0]
        for d in group[1:]:
            here = promote_types(here, d)
        if result is None:
            result = here
        elif here.category > result.category:
            # only the category is raised; a real width that is already there stays
            result = result.to_complex() if here.is_complex and result.is_floating_point else here
    if result is None:
        raise DTypeError("result_type of nothing")
    return result


class finfo:
    """Limits of a floating type: bits, eps, max, min, tiny, smallest_normal, resolution."""

    def __init__(self, dtype: Any = None) -> None:
        d = as_dtype(_default if dtype is None else dtype).to_real()
        if not d.is_floating_point:
            raise DTypeError(f"finfo: {d!r} is not a floating type; iinfo is for integers")
        info: Any = ml_dtypes.finfo(d.np)  # type: ignore[no-untyped-call] # ml_dtypes' finfo is untyped
        self.dtype = d.name
        self.bits = d.itemsize * 8
        self.eps = float(info.eps)
        self.max = float(info.max)
        self.min = float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        self.resolution = float(info.resolution)

    def __repr__(self) -> str:
        return f"finfo(dtype={self.dtype}, eps={self.eps:g}, max={self.max:g}, min={self.min:g}, tiny={self.tiny:g})"


class iinfo:
    """Limits of an integer type: bits, min, max."""

    def __init__(self, dtype: Any) -> None:
        d = as_dtype(dtype)
        if d.category != 1:
            raise DTypeError(f"iinfo: {d!r} is not an integer type; finfo is for floating types")
        info = np.iinfo(d.np)
        self.dtype = d.name
        self.bits = d.itemsize * 8
        self.min, self.max = int(info.min), int(info.max)

    def __repr__(self) -> str:
        return f"iinfo(dtype={self.dtype}, min={self.min}, max={self.max})"
