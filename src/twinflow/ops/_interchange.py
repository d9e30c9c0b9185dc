"""Tensors and the rest of Python: pickling, copying, DLPack, and NumPy's universal functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY
from twinflow.core.errors import DTypeError, GradientError
from twinflow.ops import _contractions, _elementary, _math, _products
from twinflow.ops._create import Device
from twinflow.ops._promote import is_number
from twinflow.tensor import Tensor, array_of, meta_of, wrap

# -- pickling and copying ---------------------------------------------------------------------------------------


def _rebuild(cls: type[Tensor], array: np.ndarray[Any, Any], requires_grad: bool, state: Any) -> Tensor:
    t = object.__new__(cls)
    t._data, t._meta = array, None
    for name, value in (state or {}).items():
        setattr(t, name, value)
    if requires_grad:
        t.requires_grad_()
    return t


def _state(self: Tensor) -> Any:
    """The attributes of a subclass's instance."""
    return getattr(self, "__dict__", None) or None


def _reduce(self: Tensor, protocol: Any) -> tuple[Any, ...]:
    array = array_of(self, "pickling")
    return _rebuild, (type(self), np.ascontiguousarray(array).reshape(array.shape), self.requires_grad, _state(self))


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if not self.is_leaf:
        raise GradientError(
            "deepcopy: only leaf tensors can be copied with their place in the graph; use .detach().clone() or .clone()"
        )
    if id(self) in memo:
        return memo[id(self)]
    t = _rebuild(type(self), array_of(self, "deepcopy").copy(), self.requires_grad, _state(self))
    memo[id(self)] = t
    if self.grad is not None:
        meta_of(t).grad = _deepcopy(self.grad.detach(), memo)
    return t


# -- DLPack -----------------------------------------------------------------------------------------------------


def _dlpack(
    self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """The memory as a DLPack capsule, for other libraries."""
    if self.requires_grad:
        raise BufferError("DLPack: this tensor requires gradients, which do not cross; export t.detach()")
    data = array_of(self, "DLPack")
    if data.dtype.kind == "V":
        raise BufferError(f"DLPack: NumPy's exchange has no {self.dtype.name}; convert with .float() first")
    return data.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of an array of another library, by the DLPack protocol.

    Args:
        ext_tensor: an object with `__dlpack__` and `__dlpack_device__`.
        copy: True always copies, False never, None only if there is no other way.
    Raises: DTypeError if the object does not speak DLPack or its elements have no type here.
    """
    if device is not None:
        Device(device)
    if not hasattr(ext_tensor, "__dlpack__"):
        raise DTypeError(
            f"from_dlpack: {type(ext_tensor).__name__} does not speak DLPack; use tensor(...) or as_tensor(...)"
        )
    try:
        array = np.from_dlpack(ext_tensor, copy=copy)
    except (BufferError, RuntimeError, TypeError) as error:
        raise DTypeError(f"from_dlpack: {type(ext_tensor).__name__} cannot be taken over: {error}") from None
    if array.dtype not in FROM_NUMPY:
        raise DTypeError(f"from_dlpack: tensors have no type {array.dtype}")
    return wrap(array)


# -- NumPy's universal functions --------------------------------------------------------------------------------

_OTHER_NAMES = {
    "power": "pow", "rint": "round", "conjugate": "conj", "fabs": "abs", "invert": "bitwise_not", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift", "mod": "remainder", "degrees": "rad2deg", "radians": "deg2rad", "equal": "eq", "fmax": "", "fmin": "",
}  # fmt: skip


def _function(ufunc: np.ufunc) -> Any:
    """Our function of the same meaning, or None."""
    name = _OTHER_NAMES.get(ufunc.__name__, ufunc.__name__)
    for module in (_math, _elementary, _products, _contractions):
        found = getattr(module, name, None) if name else None
        if callable(found):
            return found
    return None


def _ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
    """np.sin(tensor) and the like: our function where there is one, so that gradients flow; else NumPy's on the values."""
    fn = _function(ufunc) if method == "__call__" and not kwargs else None
    known = all(isinstance(x, (Tensor, np.ndarray)) or is_number(x) for x in inputs)
    if fn is not None and known:
        result = fn(*(wrap(x) if isinstance(x, np.ndarray) else x for x in inputs))
    else:
        plain = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        result = tuple(wrap(np.asarray(r)) for r in result) if isinstance(result, tuple) else wrap(np.asarray(result))
    if out is None:
        return result
    targets, results = out, result if isinstance(result, tuple) else (result,)
    for target, value in zip(targets, results):
        if isinstance(target, Tensor):
            target.copy_(value)
        else:
            np.copyto(target, value.numpy(), casting="same_kind")
    return targets[0] if len(targets) == 1 else targets


def _to_device(self: Tensor, device: Any, *, stream: Any = None) -> Tensor:
    """The tensor on a device, as the array API standard says it."""
    moved: Tensor = self.to(device=Device(device))
    return moved


for _name, _fn in {
    "__reduce_ex__": _reduce,
    "__deepcopy__": _deepcopy,
    "__dlpack__": _dlpack,
    "__dlpack_device__": lambda self: (1, 0),  # kDLCPU
    "__array_ufunc__": _ufunc,
    "to_device": _to_device,
    "__copy__": lambda self: _rebuild(type(self), self._data, self.requires_grad, _state(self)),
}.items():
    setattr(Tensor, _name, _fn)
