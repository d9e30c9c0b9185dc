"""Reading the files that `torch.save` writes, without running what is in them.

Such a file is a zip archive: `data.pkl` describes the object, `data/0`, `data/1`, ... hold the elements. The description is a
pickle, but of its commands only those that make containers and tensors are followed; any other name in it is an error.
"""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
import zlib
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import CheckpointError
from twinflow.nn import Parameter
from twinflow.tensor import Tensor, wrap

_STORAGES = {
    "FloatStorage": "float32", "DoubleStorage": "float64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16", "LongStorage": "int64",
    "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
}  # fmt: skip
_DTYPES = set(_STORAGES.values()) | {"uint16", "uint32", "uint64"}


class _Kind:
    """The type of a storage, as the description names it."""

    def __init__(self, dtype: str) -> None:
        self.dtype = as_dtype(dtype)


def _tensor(
    storage: Any,
    offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool = False,
    hooks: Any = None,
    metadata: Any = None,
) -> Tensor:
    elements: np.ndarray[Any, Any] = storage
    size, stride = tuple([int(n) for n in size]), tuple([int(n) for n in stride])
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    if len(size) != len(stride) or min((*size, *stride, offset), default=0) < 0:
        raise ValueError("a tensor with negative extents or steps")
    if 0 not in size and last >= elements.size:
        raise ValueError(f"a tensor of shape {size} does not lie within its {elements.size} elements")
    if 0 in size:
        return wrap(np.zeros(size, elements.dtype))
    steps = [s * elements.itemsize for s in stride]
    view = np.lib.stride_tricks.as_strided(elements[offset:], size, steps)
    return wrap(np.array(view, order="C"))


def _parameter(data: Tensor, requires_grad: bool = True, hooks: Any = None) -> Parameter:
    return Parameter(data, requires_grad)


_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
}


class _Reader(pickle.Unpickler):
    """Follows a description; gives storages out of the archive."""

    def __init__(self, text: bytes, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(text))
        self.archive, self.root = archive, root
        self.storages: dict[str, np.ndarray[Any, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The few names that a description of tensors and containers needs."""
        found = _ALLOWED.get((module, name))
        if found is not None:
            return found
        if module == "torch" and name in _STORAGES:
            return _Kind(_STORAGES[name])
        if module == "torch" and name in _DTYPES:
            return as_dtype(name)
        raise CheckpointError(
            f"load: the file names {module}.{name}, which is neither a tensor nor a container; where it was made, save the "
            "model's state_dict() instead of the model"
        )

    def persistent_load(self, pid: Any) -> np.ndarray[Any, Any]:
        """The elements of a storage: ("storage", kind, key, location, count)."""
        word, kind, key, _, count = pid
        if word != "storage" or not isinstance(kind, _Kind):
            raise ValueError(f"an unknown reference {word!r}")
        if key not in self.storages:
            dtype = kind.dtype.np
            raw = self.archive.read(f"{self.root}data/{key}")
            if len(raw) < count * dtype.itemsize:
                raise ValueError(f"storage {key} has {len(raw)} bytes, not {count} elements of {kind.dtype.name}")
            self.storages[key] = np.frombuffer(raw, dtype, count)
        return self.storages[key]


def read_torch_file(raw: bytes, name: str) -> Any:
    """The object in a file of `torch.save`: containers, numbers and strings as they are, tensors as tensors.

    Raises: CheckpointError if the file is damaged or of the format before PyTorch 1.6, or holds anything else.
    """
    if raw[:2] != b"PK":
        raise CheckpointError(
            f"load: {name} is a bare pickle, of PyTorch before 1.6 or of another program; write it again with today's torch.save"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            described = [n for n in archive.namelist() if n.endswith("data.pkl")]
            if len(described) != 1:
                raise ValueError("there is no data.pkl in it")
            root = described[0].removesuffix("data.pkl")
            order = f"{root}byteorder"
            if order in archive.namelist() and archive.read(order) != b"little":
                raise ValueError("its elements are big-endian")
            return _Reader(archive.read(described[0]), archive, root).load()
    except CheckpointError:
        raise
    except (
        zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, struct.error, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError,
        NotImplementedError, OverflowError, RecursionError, MemoryError, RuntimeError, OSError, ImportError,
    ) as error:  # fmt: skip
        raise CheckpointError(f"load: {name} is truncated or damaged: {error}") from None
