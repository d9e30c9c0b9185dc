"""How a tensor prints."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import get_default_dtype
from twinflow.core.errors import ArgumentError
from twinflow.graph import Node
from twinflow.ops._declare import BF16
from twinflow.tensor import Tensor, current_grad_fn

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80, "sci_mode": None},
    "full": {"precision": 4, "threshold": sys.maxsize, "edgeitems": 3, "linewidth": 80, "sci_mode": None},
}
_OPTIONS = dict(_PROFILES["default"])


def set_printoptions(
    precision: int | None = None,
    threshold: int | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print: digits, from how many elements on to summarise, how many to show at the edges, the width of a line.

    Args:
        profile: "default", "short" or "full" sets all of them first.
        sci_mode: whether to print powers of ten; None, until the next call, where numbers differ in size by more than 1000.
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ArgumentError(f"set_printoptions: profile is 'default', 'short' or 'full', not {profile!r}")
        _OPTIONS.update(_PROFILES[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _OPTIONS.update({k: v for k, v in given.items() if v is not None}, sci_mode=sci_mode)


Column = tuple[int, Callable[[Any], str]]  # how wide the elements are, and how each is written


def _float_column(shown: np.ndarray[Any, Any]) -> Column:
    p = _OPTIONS["precision"]
    finite = shown[np.isfinite(shown)].astype(np.float64)
    nonzero = np.abs(finite[finite != 0])
    whole = bool(np.all(nonzero == np.ceil(nonzero)))
    science = bool(nonzero.size) and bool(
        nonzero.max() > 1e8 or nonzero.max() / nonzero.min() > 1000 or (not whole and nonzero.min() < 1e-4)
    )
    science = science if _OPTIONS["sci_mode"] is None else _OPTIONS["sci_mode"]

    def one(v: Any) -> str:
        if science:
            return f"{v:.{p}e}"
        return (f"{v:.0f}." if np.isfinite(v) else str(v)) if whole else f"{v:.{p}f}"

    return max((len(one(v)) for v in finite[finite != 0]), default=1), one


def _complex_column(shown: np.ndarray[Any, Any]) -> Column:
    (real_width, real), (imag_width, imag) = _float_column(shown.real), _float_column(shown.imag)

    def one(v: Any) -> str:
        right = imag(v.imag)
        return real(v.real).rjust(real_width) + ("" if right[0] == "-" else "+") + right + "j"

    return real_width + imag_width + 1, one


def _elements(data: np.ndarray[Any, Any]) -> str:
    plain = data.astype(np.float32) if data.dtype == BF16 or data.dtype == np.float16 else data
    shown = _corner(plain)
    if plain.dtype.kind == "f":
        width, one = _float_column(shown.reshape(-1))
    elif plain.dtype.kind == "c":
        width, one = _complex_column(shown.reshape(-1))
    else:
        width, one = max(len(str(v)) for v in shown.reshape(-1)), str
    return _rows(plain, width, one, len("tensor("), data.size > _OPTIONS["threshold"])


def _rows(data: np.ndarray[Any, Any], width: int, one: Callable[[Any], str], indent: int, summarise: bool) -> str:
    """Nested brackets, the innermost filled line by line."""
    if data.ndim == 0:
        return one(data[()]).rjust(width)
    edge = _OPTIONS["edgeitems"]
    cut = summarise and data.shape[0] > 2 * edge
    kept = [*data[:edge], *data[-edge:]] if cut else list(data)
    if data.ndim > 1:
        inner = [_rows(d, width, one, indent + 1, summarise) for d in kept]
        if cut:
            inner.insert(edge, "...")
        return "[" + ("," + "\n" * (data.ndim - 1) + " " * (indent + 1)).join(inner) + "]"
    cells = [one(v).rjust(width) for v in kept]
    if cut:
        cells.insert(edge, " ...")
    n = max(1, (_OPTIONS["linewidth"] - indent) // (width + 2))
    lines = [", ".join(cells[i : i + n]) for i in range(0, len(cells), n)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _corner(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements that will be printed of a large array."""
    if data.size <= _OPTIONS["threshold"]:
        return data
    e = _OPTIONS["edgeitems"]
    for axis, n in enumerate(data.shape):
        if n > 2 * e:
            data = np.take(data, [*range(e), *range(n - e, n)], axis)
    return data


def tensor_repr(self: Tensor) -> str:
    """`tensor([1., 2.], grad_fn=<MulBackward>)`."""
    data = self._data
    name = "Parameter containing:\ntensor" if type(self).__name__ == "Parameter" else "tensor"
    if not isinstance(data, np.ndarray):
        what = repr(data) if isinstance(data, Node) else data.transform
        return f"tensor({what}, shape={tuple(self.shape)}, dtype={self.dtype!r})"
    parts = [_elements(data) if data.size else "[]"]
    if data.size == 0 and data.shape != (0,):
        parts.append(f"size={tuple(data.shape)}")
    default = get_default_dtype()
    usual = (
        ("int64", "bool", default.to_complex().name) if data.size else ()
    )  # without elements nothing else says the type
    if self.dtype is not default and self.dtype.name not in usual:
        parts.append(f"dtype={self.dtype!r}")
    fn = current_grad_fn(self)
    if fn is not None:
        parts.append(f"grad_fn={fn!r}")
    elif self.requires_grad:
        parts.append("requires_grad=True")
    return f"{name}({', '.join(parts)})"
