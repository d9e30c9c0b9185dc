"""Text by TensorFlow's names: `tf.strings`. Strings are Python's, alone or in arrays; results have the shape of what is given."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.ops import shown
from twinflow.tensor import Tensor


def _text(x: Any) -> str:
    return x.decode() if isinstance(x, bytes) else str(x)


def _each(fn: Callable[..., Any], *inputs: Any) -> Any:
    """`fn` of every string, which may stand in arrays or lists that broadcast."""
    if not any(isinstance(x, (list, tuple, np.ndarray, Tensor)) for x in inputs):
        return fn(*inputs)
    arrays = [np.asarray(x.tolist() if isinstance(x, Tensor) else x, object) for x in inputs]
    return np.frompyfunc(fn, len(arrays), 1)(*arrays)


def lower(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """In small letters."""
    return _each(lambda s: _text(s).lower(), input)


def upper(input: Any, encoding: str = "", name: str | None = None) -> Any:
    """In capitals."""
    return _each(lambda s: _text(s).upper(), input)


def strip(input: Any, name: str | None = None) -> Any:
    """Without space at both ends."""
    return _each(lambda s: _text(s).strip(), input)


def length(input: Any, unit: str = "BYTE", name: str | None = None) -> Tensor:
    """The number of bytes, or of characters with unit "UTF8_CHAR"."""
    if unit not in ("BYTE", "UTF8_CHAR"):
        raise ArgumentError(f"tf.strings.length: unit is 'BYTE' or 'UTF8_CHAR', not {unit!r}")
    count = _each(lambda s: len(_text(s).encode() if unit == "BYTE" else _text(s)), input)
    return to_tensor(np.asarray(count, np.int32))


def substr(input: Any, pos: Any, len: Any, unit: str = "BYTE", name: str | None = None) -> Any:
    """`len` characters from `pos` on; a negative place counts from the end."""

    def part(s: Any, p: int, n: int) -> str:
        text = _text(s)
        start = p if p >= 0 else p + text.__len__()
        return text[start : start + n]

    return _each(part, input, pos, len)


def join(inputs: Any, separator: str = "", name: str | None = None) -> Any:
    """Strings one after the other, element by element.

    >>> from twinflow import tf
    >>> tf.strings.join(["a", "b"], separator="-")
    'a-b'
    """
    return _each(lambda *parts: separator.join(_text(p) for p in parts), *inputs)


def reduce_join(
    inputs: Any, axis: Any = None, keepdims: bool = False, separator: str = "", name: str | None = None
) -> Any:
    """The strings along an axis as one, all of them if none is given."""
    array = np.asarray(inputs, object)
    if axis is None:
        return separator.join(_text(s) for s in array.reshape(-1))
    moved = np.moveaxis(array, axis, -1)
    flat = [separator.join(_text(s) for s in row) for row in moved.reshape(-1, moved.shape[-1])]
    found = np.asarray(flat, object).reshape(moved.shape[:-1])
    return np.expand_dims(found, axis) if keepdims else found


def split(input: Any, sep: str | None = None, maxsplit: int = -1, name: str | None = None) -> Any:
    """The words of a string as an array, or a list of them for several strings."""
    if isinstance(input, (list, tuple, np.ndarray)):
        return [split(s, sep, maxsplit) for s in input]
    return np.asarray(_text(input).split(sep, maxsplit), object)


def bytes_split(input: Any, name: str | None = None) -> Any:
    """The characters of a string as an array."""
    return np.asarray(list(_text(input)), object)


def regex_replace(input: Any, pattern: str, rewrite: str, replace_global: bool = True, name: str | None = None) -> Any:
    r"""What matches a pattern replaced; `\1` stands for the first group."""
    return _each(lambda s: re.sub(pattern, rewrite, _text(s), count=0 if replace_global else 1), input)


def regex_full_match(input: Any, pattern: str, name: str | None = None) -> Tensor:
    """Whether the whole string matches a pattern."""
    return to_tensor(np.asarray(_each(lambda s: re.fullmatch(pattern, _text(s)) is not None, input), bool))


def to_number(input: Any, out_type: Any = "float32", name: str | None = None) -> Tensor:
    """The numbers that strings spell. Raises: ArgumentError for one that spells none."""
    kind = as_dtype(out_type)
    try:
        found = _each(lambda s: (float if kind.is_floating_point else int)(_text(s)), input)
    except ValueError as error:
        raise ArgumentError(f"tf.strings.to_number: {error}") from None
    return to_tensor(np.asarray(found, kind.np))


def as_string(input: Any, precision: int = -1, name: str | None = None) -> Any:
    """Numbers as text, with so many digits behind the point if `precision` is not negative."""
    array = np.asarray(input.tolist() if isinstance(input, Tensor) else input)

    def text(v: Any) -> str:
        if isinstance(v, bool):
            return str(v).lower()
        return f"{v:.{precision if precision >= 0 else 6}f}" if isinstance(v, float) else str(v)

    return text(array.item()) if array.ndim == 0 else np.frompyfunc(text, 1, 1)(array)


def format(template: str, inputs: Any, placeholder: str = "{}", summarize: int = 3, name: str | None = None) -> str:
    """The template with values in the places of `placeholder`."""
    values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    parts = template.split(placeholder)
    if len(parts) != len(values) + 1:
        raise ArgumentError(f"tf.strings.format: the template has {len(parts) - 1} places for {len(values)} values")
    return "".join(p + shown(v, summarize) for p, v in zip(parts, values)) + parts[-1]
