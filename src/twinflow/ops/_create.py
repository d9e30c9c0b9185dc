"""Making tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, DType, as_dtype, as_int, as_shape, get_default_dtype, python_dtype, silently
from twinflow.core.errors import ArgumentError, DeviceError, DTypeError, ShapeError
from twinflow.ops._promote import is_number
from twinflow.ops._shape import constant, iota
from twinflow.ops._shape import full as full_
from twinflow.tensor import Tensor, apply, array_of, is_tracing, wrap


class Device:
    """Where a tensor lives. Only `cpu` exists so far; naming another is an error that says so.

    >>> import twinflow
    >>> twinflow.device("cpu").type
    'cpu'
    """

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, Device):
            type, index = type.type, type.index
        name, _, number = str(type).partition(":")
        if name != "cpu":
            raise DeviceError(f"device {str(type)!r} is absent: this build of twinflow computes on 'cpu' only")
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index or 0) == (other.type, other.index or 0)

    def __hash__(self) -> int:
        return hash((self.type, self.index or 0))


CPU = Device("cpu")


def finish_new(t: Tensor, requires_grad: bool, device: Any) -> Tensor:
    """Check the device and set requires_grad of a new tensor."""
    if device is not None:
        Device(device)
    if t._meta is not None and t._meta.base is not None:
        t = wrap(t._data)  # a new tensor is nobody's view, however it was composed
    if requires_grad:
        t.requires_grad_()
    return t


def _array(data: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """A fresh NumPy array of `data` in the type asked for, or the one PyTorch would choose."""
    if isinstance(data, np.ndarray) or (hasattr(data, "__array__") and not isinstance(data, Tensor)):
        found = np.asarray(data)
        target = as_dtype(dtype if dtype is not None else found.dtype)
        made: np.ndarray[Any, Any] = silently(np.array, found, target.np, order="C")
        return made
    if dtype is not None:
        target = as_dtype(dtype)
    else:
        leaf = _widest(data)
        target = leaf if leaf is not None else get_default_dtype()
    try:
        made = silently(np.array, _plain(data), target.np)
        return made
    except (ValueError, TypeError) as error:
        if "inhomogeneous" in str(error) or "sequence" in str(error):
            raise ShapeError(
                "tensor: rows of different lengths do not make a tensor; pad them, or use nn.utils.rnn.pad_sequence"
            ) from None
        raise DTypeError(
            f"tensor: {type(data).__name__} with elements that are not numbers of type {target.name}: {error}"
        ) from None
    except OverflowError:
        raise DTypeError(f"tensor: a value does not fit into {target.name}") from None


def _is_row(data: Any) -> bool:
    """Whether `data` is a sequence of things; a text is not."""
    return isinstance(data, (list, tuple)) or (isinstance(data, Sequence) and not isinstance(data, (str, bytes)))


def _plain(data: Any) -> Any:
    """Nested sequences with tensors replaced by their arrays."""
    if isinstance(data, Tensor):
        return array_of(data, "tensor")
    return [_plain(d) for d in data] if _is_row(data) else data


def _widest(data: Any) -> DType | None:
    """The type of the highest category among the leaves, or None if there are none."""
    if isinstance(data, Tensor):
        return data.dtype
    if _is_row(data):
        best: DType | None = None
        for d in data:
            w = _widest(d)
            if w is not None and (best is None or w.category > best.category):
                best = w
        return best
    if isinstance(data, np.ndarray):
        return as_dtype(data.dtype)
    if isinstance(data, np.generic):
        return get_default_dtype() if data.dtype.kind == "f" else as_dtype(data.dtype)
    if is_number(data):
        return python_dtype(data)
    raise DTypeError(f"tensor: {type(data).__name__} is not a number, a sequence of numbers or an array")


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A new tensor with a copy of `data`: a number, nested sequences of numbers, or an array.

    Args:
        data: Python floats give the default floating type, ints int64, bools bool; arrays keep their type.
        dtype: the type to convert to.
        requires_grad: record operations on it for differentiation.
    Raises: ShapeError for rows of different lengths, DTypeError for elements that are not numbers.

    >>> import twinflow
    >>> twinflow.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if isinstance(data, Tensor):
        t = data.detach().clone()
        if dtype is not None:
            t = t.to(dtype=as_dtype(dtype))
        return finish_new(t, requires_grad, device)
    array = _array(data, dtype)
    t = apply(constant, value=array) if is_tracing() else wrap(array)
    return finish_new(t, requires_grad, device)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of `data` that shares its memory where it can: tensors are returned, arrays are not copied."""
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype is as_dtype(dtype) else data.to(dtype=as_dtype(dtype))
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t if dtype is None else t.to(dtype=as_dtype(dtype))
    return tensor(data, dtype=dtype, device=device)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise DTypeError(
            f"from_numpy: a NumPy array is needed, not {type(array).__name__}; tensor(...) takes sequences"
        )
    if array.dtype not in FROM_NUMPY:
        if not array.dtype.isnative and array.dtype.newbyteorder("=") in FROM_NUMPY:
            raise DTypeError(
                "from_numpy: the array has foreign byte order; convert with array.astype(array.dtype.newbyteorder('='))"
            )
        raise DTypeError(f"from_numpy: tensors have no type {array.dtype}; convert with array.astype(...)")
    return wrap(array)


def _full(shape: Any, value: Any, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    t = apply(full_, shape=as_shape(shape), value=value, dtype=as_dtype(dtype))
    return finish_new(t, requires_grad, device)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with one value everywhere."""
    if isinstance(fill_value, Tensor):
        return fill_value.to(dtype=dtype).expand(as_shape(size)).clone()
    return _full(size, fill_value, dtype if dtype is not None else python_dtype(fill_value), requires_grad, device)


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros."""
    return _full(size, 0, dtype or get_default_dtype(), requires_grad, device)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones."""
    return _full(size, 1, dtype or get_default_dtype(), requires_grad, device)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose elements are unspecified; here they are zeros, so that a program is repeatable."""
    return _full(size, 0, dtype or get_default_dtype(), requires_grad, device)


def _like(x: Tensor, value: Any, dtype: Any, requires_grad: bool, device: Any) -> Tensor:
    t = at_level_of(x, _full((tuple(x._data.shape),), value, dtype or x.dtype, False, device))
    return finish_new(t, requires_grad, device)


def at_level_of(x: Tensor, t: Tensor) -> Tensor:
    """`t` as a tensor of the transformation that `x` belongs to, so that it can be written in place there."""
    owner = getattr(x._data, "owner", None)
    return t if owner is None else owner.lift(t)


def zeros_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape and type of `input`."""
    return _like(input, 0, dtype, requires_grad, device)


def ones_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape and type of `input`."""
    return _like(input, 1, dtype, requires_grad, device)


def empty_like(input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """An unspecified tensor (zeros) in the shape and type of `input`."""
    return _like(input, 0, dtype, requires_grad, device)


def full_like(
    input: Tensor, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in the shape and type of `input`."""
    return _like(input, fill_value, dtype, requires_grad, device)


def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """start, start + step, ... up to but without `end`; whole numbers give int64."""
    if end is None:
        start, end = 0, start
    if isinstance(start, Tensor) or isinstance(end, Tensor) or isinstance(step, Tensor):
        start, end, step = (x.item() if isinstance(x, Tensor) else x for x in (start, end, step))
    if step == 0:
        raise ArgumentError("arange: step must not be 0")
    if (end - start) * step < 0:
        raise ArgumentError(f"arange: step {step} does not lead from {start} to {end}")
    whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
    target = as_dtype(dtype) if dtype is not None else as_dtype("int64") if whole else get_default_dtype()
    n = max(0, -(-(end - start) // step) if whole else int(np.ceil((end - start) / step)))
    if target.name == "bool":
        raise DTypeError("arange: bool has no steps")
    wide = as_dtype("int64") if target.category == 1 else as_dtype("float64")
    t = apply(iota, n=int(n), dtype=wide)
    t = (t * step + start) if (step != 1 or start != 0) else t
    return finish_new(t.to(dtype=target), requires_grad, device)


def linspace(
    start: float, end: float, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """`steps` values from start to end, both included, at equal distances."""
    n = as_int(steps, "linspace: steps")
    if n < 0:
        raise ArgumentError(f"linspace: steps must not be negative, but {n} was given")
    target = as_dtype(dtype) if dtype is not None else get_default_dtype()
    t = apply(iota, n=n, dtype=as_dtype("float64"))
    if n > 1:
        t = (t * ((end - start) / (n - 1)) + start).where(t < n - 1, float(end))
    else:
        t = t + start
    return finish_new(t.to(dtype=target), requires_grad, device)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """base to the powers linspace(start, end, steps)."""
    t = base ** linspace(start, end, steps, dtype="float64")
    return finish_new(t.to(dtype=as_dtype(dtype) if dtype is not None else get_default_dtype()), requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal of an n x m matrix, zeros elsewhere."""
    rows = apply(iota, n=as_int(n, "eye: n"), dtype=as_dtype("int64"))
    cols = apply(iota, n=as_int(n if m is None else m, "eye: m"), dtype=as_dtype("int64"))
    t = (rows.unsqueeze(1) == cols).to(dtype=as_dtype(dtype) if dtype is not None else get_default_dtype())
    return finish_new(t, requires_grad, device)


def scalar_tensor(value: Any, *, dtype: Any = None) -> Tensor:
    """A 0-dimensional tensor, in the default floating type unless another is named."""
    return _full(((),), value, dtype or get_default_dtype(), False, None)


def asarray(
    obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of numbers, sequences or an array; shares memory where it can unless `copy` is True."""
    t = tensor(obj, dtype=dtype) if copy else as_tensor(obj, dtype=dtype)
    if (
        copy is False
        and not (isinstance(obj, Tensor) and t is obj)
        and not (isinstance(obj, np.ndarray) and np.shares_memory(obj, t._data))
    ):
        raise ArgumentError(f"asarray: {type(obj).__name__} cannot become a tensor without a copy")
    return finish_new(t, True, device) if requires_grad else t


def frombuffer(buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False) -> Tensor:
    """A vector that shares the memory of an object with the buffer protocol, from byte `offset` on."""
    d = as_dtype(dtype)
    try:
        array = np.frombuffer(buffer, d.np, count, offset)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"frombuffer: {error}") from None
    return finish_new(wrap(array), requires_grad, None)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)
