"""Saving and loading: one file, safetensors for tensors and JSON for everything around them.

The structure (nested dicts, lists, tuples, numbers, strings) stands as JSON in the file's metadata, so a flat dict of
tensors is an ordinary safetensors file that other tools read. A file is written beside its target and moved there when
it is complete: whoever is killed in between leaves the old file whole. Loading runs no code from the file.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from twinflow.core import FROM_NUMPY
from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.ops import Device
from twinflow.tensor import Tensor, array_of, wrap

_NAMES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32", "uint64": "U64", "int64": "I64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_DTYPES = {code: next(d for d in FROM_NUMPY if d.name == name) for name, code in _NAMES.items()}
_COMPLEX = {"complex64": "float32", "complex128": "float64"}
_KEY = "twinflow"  # the metadata entry that holds the structure
_VERSION = 1


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Write tensors, and containers of tensors, numbers, strings, booleans and None, to a file.

    Args:
        f: a path, whose file is replaced at once and only when it is complete; or a file opened for writing bytes.

    Raises: CheckpointError for anything else, saying where in `obj` it stands: save `model.state_dict()` of a module.

    >>> import twinflow, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> twinflow.save({"step": 3, "w": twinflow.ones(2)}, path)
    >>> twinflow.load(path)
    {'step': 3, 'w': tensor([1., 1.])}
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = _encode(obj, "", arrays)
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps({"version": _VERSION, "tree": tree})}}
    at = 0
    for name, a in arrays.items():
        header[name] = {"dtype": _NAMES[a.dtype.name], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    elements = (np.ascontiguousarray(a).reshape(-1).view(np.uint8).data for a in arrays.values())
    pieces: list[Any] = [struct.pack("<Q", len(text)), text, *elements]
    if isinstance(f, (str, os.PathLike)):
        write_atomically(f, pieces)
    else:
        for piece in pieces:
            f.write(piece)


def write_atomically(path: str | os.PathLike[str], pieces: list[Any]) -> None:
    """Write a file so that it is either as before or complete, whatever happens in between."""
    import tempfile  # brings shutil and all of its compressors

    target = os.path.abspath(os.fspath(path))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=f".{os.path.basename(target)}.")
    try:
        with os.fdopen(fd, "wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def _encode(x: Any, where: str, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if x is None or isinstance(x, (bool, int, float, str)):
        return x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.generic) and x.dtype.kind in "biuf":
        return x.item()
    if isinstance(x, (Tensor, np.ndarray)):
        a = array_of(x, "save") if isinstance(x, Tensor) else x
        kind = "$tensor" if isinstance(x, Tensor) else "$array"
        name = where or "tensor"
        if name in arrays or name == "__metadata__":
            name = f"{name}#{len(arrays)}"
        if a.dtype.name in _COMPLEX:
            arrays[name] = np.ascontiguousarray(a[..., None]).view(_COMPLEX[a.dtype.name])
            return {kind: name, "complex": True}
        if a.dtype.name not in _NAMES:
            raise CheckpointError(
                f"save: {where or 'the object'} is an array of {a.dtype}, which safetensors cannot hold"
            )
        arrays[name] = a
        return {kind: name}
    if isinstance(x, Mapping):

        def key(k: Any) -> str:
            return f"{where}.{k}" if where else str(k)

        if all(isinstance(k, str) and not k.startswith("$") for k in x):
            return {k: _encode(v, key(k), arrays) for k, v in x.items()}
        return {"$dict": [[_encode(k, f"{where} (a key)", arrays), _encode(v, key(k), arrays)] for k, v in x.items()]}
    if isinstance(x, (list, tuple)):
        items = [_encode(v, f"{where}.{i}" if where else str(i), arrays) for i, v in enumerate(x)]
        return {"$tuple": items} if isinstance(x, tuple) else items
    what = f"{where!r} is" if where else "the object is"
    raise CheckpointError(
        f"save: {what} a {type(x).__name__}; tensors, numbers, strings and containers of these can be saved (of a module or "
        "optimizer, its state_dict())"
    )


def load(f: str | os.PathLike[str] | BinaryIO, map_location: Any = None, *, weights_only: bool | None = None) -> Any:
    """Read what `save` wrote; from any other safetensors file, a dict of its tensors. No code in the file is run.

    Args:
        f: a path, or a file opened for reading bytes.
        map_location: the device to put tensors on; `cpu` is the only one.
        weights_only: True reads the files of PyTorch's `torch.save` too: tensors, numbers, strings and containers of them. Their
            description is a pickle, of which only the commands that make these are followed.
    Raises: CheckpointError, naming the file, if it is missing, truncated, damaged or of a newer version.
    """
    from safetensors import SafetensorError, deserialize  # only programs that load pay for the import

    if map_location is not None:
        Device(map_location)
    if weights_only is False:
        raise ArgumentError("load: weights_only=False would run code that the file names; nothing here does that")
    if isinstance(f, (str, os.PathLike)):
        name = os.fspath(f)
        try:
            with open(name, "rb") as file:
                raw = file.read()
        except FileNotFoundError:
            raise CheckpointError(f"load: there is no file {name}") from None
        except OSError as error:
            raise CheckpointError(f"load: {name} cannot be read: {error.strerror}") from None
    else:
        name, raw = str(getattr(f, "name", "the file")), f.read()
    # a header of 640 bytes begins as a pickle does, but its length is a number of 8 bytes whose upper half is 0
    if raw[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") and raw[4:8] != bytes(4):
        if weights_only:
            from twinflow.utils._torch_file import read_torch_file  # the same: it needs zipfile and pickle

            return read_torch_file(raw, name)
        raise CheckpointError(
            f"load: {name} is a pickle, which can run any code when it is read, so it is not. If it is a state_dict that PyTorch "
            "saved, load(..., weights_only=True) reads its tensors and nothing else"
        )
    try:
        found = deserialize(raw)  # type: ignore[no-untyped-call]  # safetensors' core has no types
        (length,) = struct.unpack_from("<Q", raw)
        metadata = json.loads(raw[8 : 8 + length]).get("__metadata__", {})
        arrays = {key: _array(entry) for key, entry in found}
        if _KEY not in metadata:
            return {key: wrap(a) for key, a in arrays.items()}
        document = json.loads(metadata[_KEY])
        version = document["version"]
        if version > _VERSION:
            raise CheckpointError(
                f"load: {name} was written by a newer twinflow (format {version}; this one knows {_VERSION}); update twinflow"
            )
        return _decode(document["tree"], arrays)
    except CheckpointError:
        raise
    except (
        SafetensorError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        struct.error,
        RecursionError,
        OverflowError,
    ) as error:
        raise CheckpointError(f"load: {name} is truncated or damaged: {error}") from None


def _array(entry: dict[str, Any]) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytearray(entry["data"]), _DTYPES[entry["dtype"]]).reshape(entry["shape"])


def _decode(x: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    if isinstance(x, list):
        return [_decode(v, arrays) for v in x]
    if not isinstance(x, dict):
        return x
    if "$tuple" in x:
        return tuple([_decode(v, arrays) for v in x["$tuple"]])
    if "$dict" in x:
        return {_decode(k, arrays): _decode(v, arrays) for k, v in x["$dict"]}
    for kind in ("$tensor", "$array"):
        if kind in x:
            a = arrays[x[kind]]
            if x.get("complex"):
                a = a.view("complex64" if a.dtype == np.float32 else "complex128")[..., 0]
            return wrap(a) if kind == "$tensor" else a
    return {k: _decode(v, arrays) for k, v in x.items()}
