"""Files and encodings: `tf.io`. Contents are Python's bytes and strings."""

from __future__ import annotations

import base64
import glob
import os
from io import BytesIO
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import DataError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor
from twinflow.tf.io import gfile as gfile
from twinflow.utils import load, save


def read_file(filename: Any, name: str | None = None) -> bytes:
    """The contents of a file."""
    try:
        with open(filename, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"tf.io.read_file: {error}") from error


def write_file(filename: Any, contents: Any, name: str | None = None) -> None:
    """Write a file, with the folders around it."""
    os.makedirs(os.path.dirname(os.fspath(filename)) or ".", exist_ok=True)
    with open(filename, "wb") as file:
        file.write(contents.encode() if isinstance(contents, str) else bytes(contents))


def matching_files(pattern: Any, name: str | None = None) -> list[str]:
    """The paths that match a pattern such as "data/*.txt", in order."""
    return sorted(glob.glob(os.fspath(pattern)))


def decode_raw(input_bytes: bytes, out_type: Any, little_endian: bool = True, name: str | None = None) -> Tensor:
    """Numbers of a type from their bytes. Raises: DataError if their count does not fit.

    >>> from twinflow import tf
    >>> tf.io.decode_raw(bytes([1, 0, 2, 0]), tf.int16)
    tensor([1, 2], dtype=twinflow.int16)
    """
    kind = as_dtype(out_type).np
    if len(input_bytes) % kind.itemsize:
        raise DataError(f"tf.io.decode_raw: {len(input_bytes)} bytes are no whole number of {kind.name}")
    return to_tensor(np.frombuffer(input_bytes, kind.newbyteorder("<" if little_endian else ">")).astype(kind))


def encode_base64(input: bytes, pad: bool = False, name: str | None = None) -> bytes:
    """Bytes as letters that URLs may contain."""
    text = base64.urlsafe_b64encode(input)
    return text if pad else text.rstrip(b"=")


def decode_base64(input: Any, name: str | None = None) -> bytes:
    """The bytes of letters that `encode_base64` made."""
    text = input.encode() if isinstance(input, str) else bytes(input)
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def serialize_tensor(tensor: Any, name: str | None = None) -> bytes:
    """A tensor as bytes, in the safetensors format."""
    file = BytesIO()
    save({"tensor": to_tensor(tensor)}, file)
    return file.getvalue()


def parse_tensor(serialized: bytes, out_type: Any, name: str | None = None) -> Tensor:
    """The tensor of bytes that `serialize_tensor` made. Raises: DataError if its type is another."""
    found: Tensor = load(BytesIO(serialized))["tensor"]
    if found.dtype is not as_dtype(out_type):
        raise DataError(f"tf.io.parse_tensor: the tensor is {found.dtype.name}, not {as_dtype(out_type).name}")
    return found
