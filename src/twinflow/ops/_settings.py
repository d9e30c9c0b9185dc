"""Settings that PyTorch programs make, for what has only one answer here: the device, memory formats, determinism, precision."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype, set_default_dtype
from twinflow.core.errors import ArgumentError
from twinflow.ops._create import CPU, Device
from twinflow.tensor import Tensor


class MemoryFormat:
    """How PyTorch would arrange elements in memory. Here values and shapes never depend on it; compiled steps choose
    their own arrangement, channels last among them, whatever is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"twinflow.{self._name}"


class Layout(MemoryFormat):
    """How elements are stored: all are `strided`."""


contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last")
channels_last_3d = MemoryFormat("channels_last_3d")
strided = Layout("strided")


def check_format(op: str, memory_format: Any) -> None:
    """Raise unless it is None or a memory format."""
    if memory_format is not None and not isinstance(memory_format, MemoryFormat):
        raise ArgumentError(f"{op}: memory_format is channels_last or another of its kind, not {memory_format!r}")


def get_default_device() -> Device:
    """Where tensors are made: the processor."""
    return CPU


def set_default_device(device: Any) -> None:
    """Make tensors on this device from now on; `cpu` is the only one. Raises: DeviceError for another."""
    if device is not None:
        Device(device)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for the same bits every time. They always are, on any number of threads: False cannot change that."""


def are_deterministic_algorithms_enabled() -> bool:
    """True: see `use_deterministic_algorithms`."""
    return True


_PRECISIONS = ("highest", "high", "medium")
_precision = ["highest"]


def set_float32_matmul_precision(precision: str) -> None:
    """Allow products of float32 matrices to be less exact: "highest", "high" or "medium". All are computed in float32,
    which is as exact as any of them allows."""
    if precision not in _PRECISIONS:
        raise ArgumentError(
            f"set_float32_matmul_precision: one of 'highest', 'high' and 'medium' is needed, not {precision!r}"
        )
    _precision[0] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` was given."""
    return _precision[0]


def typename(obj: Any) -> str:
    """The name of an object's type, with its module; of a tensor with the type of its elements."""
    if isinstance(obj, Tensor) and type(obj) is Tensor:
        return f"twinflow.{obj.dtype.name}"
    cls = obj if isinstance(obj, type) else type(obj)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def is_conj(input: Tensor) -> bool:
    """False: conjugates are computed, not remembered."""
    return False


def is_neg(input: Tensor) -> bool:
    """False: negatives are computed, not remembered."""
    return False


def set_default_tensor_type(t: Any) -> None:
    """Make floating tensors of this kind from now on: `FloatTensor`, `DoubleTensor` or their names."""
    name = t if isinstance(t, str) else getattr(t, "__name__", repr(t))
    kinds = {"FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16", "BFloat16Tensor": "bfloat16"}
    kind = kinds.get(name.rpartition(".")[2])
    if kind is None:
        raise ArgumentError(f"set_default_tensor_type: one of {', '.join(kinds)} is needed, not {name}")
    set_default_dtype(as_dtype(kind))


def is_inference(input: Tensor) -> bool:
    """Whether a tensor was made in inference mode."""
    return bool(input._meta is not None and input._meta.inference)
