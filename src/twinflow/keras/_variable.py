"""Variables: tensors that layers and models own, with Keras's and TensorFlow's methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn import Parameter
from twinflow.ops import as_tensor, index_put, index_select, unbind
from twinflow.tensor import Tensor, no_grad


def to_tensor(value: Any, dtype: Any = None) -> Tensor:
    """A tensor of Python numbers, arrays or tensors. Double precision that nobody asked for becomes float32; Python's ints are
    int32, or int64 where one is too large."""
    if not isinstance(value, Tensor):
        array = np.asarray(value)
        if dtype is None and array.dtype == np.float64:
            array = array.astype(np.float32)
        elif dtype is None and array.dtype == np.int64 and type(_first(value)) is int:
            array = array if np.abs(array).max() > np.iinfo(np.int32).max else array.astype(np.int32)
        value = as_tensor(array)
    return value if dtype is None else value.to(dtype=as_dtype(dtype))


def _first(value: Any) -> Any:
    """The first of the numbers in nested lists."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return value


INITIALIZERS: list[Any] = []  # how an initializer is found by its name, put here by the module that declares them


def _initial(kind: str, given: Any, shape: Any, dtype: Any) -> Any:
    """An initial value, made by an initializer if it is one or the name of one."""
    if given is None:
        raise ArgumentError(f"{kind}: give a value, or shape=(...) and an initializer such as 'zeros'")
    if shape is None or not (callable(given) or isinstance(given, str)):
        return given
    return INITIALIZERS[0](given)(tuple(shape), dtype or "float32")


class Variable(Parameter):
    """A tensor with a name that keeps its place while its value changes.

    Args:
        initial_value: numbers, an array, a tensor, a function without arguments that returns one of them, or with `shape` an initializer.
        trainable: whether it gets gradients; variables of whole numbers never do.
        dtype: its type; float32 for Python's floats.
        name: how it is called.
        shape: what an initializer fills.
        initializer: the same as an initial value that is an initializer or its name.

    >>> from twinflow import keras
    >>> v = keras.Variable([1.0, 2.0], name="v")
    >>> _ = v.assign_add([1.0, 1.0])
    >>> v.numpy()
    array([2., 3.], dtype=float32)
    """

    reads_plainly = True  # values computed from it are read without detach(), as in Keras and TensorFlow
    name: str
    path: str
    constraint: Any  # what an optimizer projects it on after each step, or None

    def __new__(
        cls,
        initial_value: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        name: str | None = None,
        shape: Any = None,
        initializer: Any = None,
        **kwargs: Any,
    ) -> Variable:
        """Copy the initial value into memory of its own."""
        if kwargs:
            raise TypeError(f"{cls.__name__}: unexpected argument {', '.join(kwargs)}")
        initial_value = _initial(cls.__name__, initializer if initial_value is None else initial_value, shape, dtype)
        value = to_tensor(initial_value() if callable(initial_value) else initial_value, dtype).detach().clone()
        self: Variable = super().__new__(cls, value, bool(trainable) and value.dtype.is_floating_point)  # type: ignore[assignment]
        self.name = name or "variable"
        self.path = self.name
        self.constraint = None
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    @property
    def trainable(self) -> bool:
        """Whether an optimizer changes it."""
        return bool(self.requires_grad)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad_(bool(value))

    def _like(self, op: str, value: Any) -> Tensor:
        t = to_tensor(value).to(dtype=self.dtype)
        if tuple(t.shape) != tuple(self.shape):
            raise ShapeError(
                f"{op}: the variable {self.name!r} has shape {tuple(self.shape)}, but the value {tuple(t.shape)}"
            )
        return t

    def assign(self, value: Any) -> Variable:
        """Take a new value of the same shape."""
        with no_grad():
            self.copy_(self._like("assign", value))
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the value."""
        with no_grad():
            self.add_(self._like("assign_add", value))
        return self

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value."""
        with no_grad():
            self.sub_(self._like("assign_sub", value))
        return self

    @property
    def value(self) -> Tensor:
        """The variable as a tensor."""
        return self * 1

    def read_value(self) -> Tensor:
        """The same as `value`."""
        return self.value

    def numpy(self) -> np.ndarray[Any, Any]:
        """A copy as an array."""
        return np.array(self.detach()._data)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        return self.numpy() if dtype is None else self.numpy().astype(dtype)

    # -- a few elements at a time, by TensorFlow's names ---------------------------------------------------------------

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Variable:
        """Put updates at the places along the last axis of the indices."""
        return self._put("update", indices, updates)

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Variable:
        """Add updates at the places along the last axis of the indices."""
        return self._put("add", indices, updates)

    def scatter_nd_sub(self, indices: Any, updates: Any, name: str | None = None) -> Variable:
        """Subtract updates at the places along the last axis of the indices."""
        return self._put("add", indices, -to_tensor(updates, self.dtype))

    def _put(self, how: str, indices: Any, updates: Any) -> Variable:
        places = tuple(unbind(to_tensor(indices).to(dtype="int64"), -1))
        with no_grad():
            now = self.detach()
            self.copy_(index_put(now, places, to_tensor(updates, self.dtype), accumulate=how == "add"))
        return self

    def gather_nd(self, indices: Any, name: str | None = None) -> Tensor:
        """The elements whose places stand along the last axis of the indices."""
        return self[tuple(unbind(to_tensor(indices).to(dtype="int64"), -1))]

    def sparse_read(self, indices: Any, name: str | None = None) -> Tensor:
        """The rows that the indices name."""
        return index_select(self, 0, to_tensor(indices).to(dtype="int64"))

    def get_shape(self) -> Any:
        """The shape."""
        return self.shape
