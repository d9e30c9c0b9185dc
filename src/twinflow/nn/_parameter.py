"""Tensors that a module owns: parameters are trained, buffers are kept beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_shape, get_default_dtype
from twinflow.core.errors import ArgumentError
from twinflow.ops import empty
from twinflow.tensor import Tensor, meta_of


def _restore(cls: type[Tensor], array: np.ndarray[Any, Any], extra: dict[str, Any]) -> Tensor:
    t = object.__new__(cls)
    t._data, t._meta = array, None
    requires_grad = extra.pop("requires_grad")
    t.__dict__.update(extra)
    return t.requires_grad_(requires_grad)


class _Owned(Tensor):
    """A tensor of a class of its own; copying and pickling keep the class."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        known: Tensor | None = memo.get(id(self))
        if known is not None:
            return known
        extra = dict(self.__dict__, requires_grad=self.requires_grad)
        copy = memo[id(self)] = _restore(type(self), self._data.copy(), extra)
        return copy

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        extra = dict(self.__dict__, requires_grad=self.requires_grad)
        return _restore, (type(self), self.detach().numpy(), extra)


class Parameter(_Owned):
    """A tensor that is trained: assigned to an attribute of a Module, it appears in `parameters()`.

    Args:
        data: the initial value, whose memory is shared; a floating tensor, or None for an empty one.
        requires_grad: whether it is trained. False freezes it.

    >>> import twinflow
    >>> twinflow.nn.Parameter(twinflow.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        """Wrap the memory of `data`."""
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise ArgumentError(
                f"Parameter: data must be a tensor, not {type(data).__name__}; wrap it with twinflow.tensor(...)"
            )
        self: Parameter = object.__new__(cls)
        self._data = data.detach()._data
        self._meta = None
        self.requires_grad_(requires_grad)
        return self


class Buffer(_Owned):
    """A tensor that belongs to a module's state without being trained, such as running statistics.

    Args:
        data: the initial value, whose memory is shared.
        persistent: whether it is part of the `state_dict`.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        """Wrap the memory of `data`."""
        if data is None:
            data = empty(0)
        self: Buffer = object.__new__(cls)
        self._data = data.detach()._data
        self._meta = None
        self.__dict__["persistent"] = persistent
        return self


class UninitializedParameter(Parameter):
    """A parameter of a lazy layer, whose shape the first input decides."""

    def __new__(cls, requires_grad: bool = True, dtype: Any = None) -> UninitializedParameter:
        """A parameter without elements, of the type it will have."""
        made = super().__new__(cls, empty(0, dtype=dtype or get_default_dtype()), requires_grad)
        return made  # type: ignore[return-value]

    def materialize(self, *shape: Any) -> None:
        """Give it its shape; from here on it is an ordinary parameter."""
        self.__class__ = Parameter  # type: ignore[assignment]
        self._data = np.zeros(as_shape(shape), self._data.dtype)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedBuffer(Buffer):
    """A buffer of a lazy layer, whose shape the first input decides."""

    def __new__(cls, *, dtype: Any = None, persistent: bool = True) -> UninitializedBuffer:
        """A buffer without elements, of the type it will have."""
        made = super().__new__(cls, empty(0, dtype=dtype or get_default_dtype()), persistent=persistent)
        return made  # type: ignore[return-value]

    def materialize(self, *shape: Any) -> None:
        """Give it its shape; from here on it is an ordinary buffer."""
        self.__class__ = Buffer  # type: ignore[assignment]
        self._data = np.zeros(as_shape(shape), self._data.dtype)


def is_lazy(value: Any) -> bool:
    """Whether the shape of a parameter or buffer is still open."""
    return isinstance(value, (UninitializedParameter, UninitializedBuffer))


def replace_data(t: Tensor, new: Tensor) -> None:
    """Let `t` hold the memory of `new`, keeping its identity: optimizers go on seeing the same parameter."""
    t._data = new.detach()._data
    meta_of(t).version[0] += 1
