"""Comparing tensors in tests: `torch.testing`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.ops import as_tensor
from twinflow.tensor import Tensor, array_of

_TOLERANCES = {"float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}


def _tolerance(dtypes: list[Any], rtol: float | None, atol: float | None) -> tuple[float, float]:
    if (rtol is None) is not (atol is None):
        raise ArgumentError("assert_close: rtol and atol are given together, or not at all")
    if rtol is not None and atol is not None:
        return rtol, atol
    known = [
        _TOLERANCES[d.to_real().name if d.is_complex else d.name] for d in dtypes if d.is_floating_point or d.is_complex
    ]
    return (max((r for r, _ in known), default=0.0), max((a for _, a in known), default=0.0))


def _as_tensor(x: Any) -> Tensor | None:
    if isinstance(x, Tensor):
        return x
    return as_tensor(x) if isinstance(x, (bool, int, float, complex, np.ndarray, np.generic)) else None


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise AssertionError unless |actual − expected| ≤ atol + rtol · |expected| everywhere.

    Args:
        actual, expected: tensors, arrays or numbers; or sequences or mappings of these, compared part by part.
        rtol, atol: by the type of the elements unless both are given: 1.3e-6 and 1e-5 for float32, 0 for integers.
        equal_nan: whether NaN equals NaN.
        check_dtype: whether the types must be the same.
        msg: the message instead, or a function of it.

    >>> import twinflow
    >>> twinflow.testing.assert_close(twinflow.ones(2) / 3, twinflow.tensor([0.3333333, 0.3333333]))
    """
    problem = _difference(actual, expected, rtol, atol, equal_nan, check_dtype, "")
    if problem:
        raise AssertionError(msg(problem) if callable(msg) else problem if msg is None else msg)


def _difference(a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, check_dtype: bool, at: str) -> str:
    where = f" at {at}" if at else ""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return f"The keys differ{where}: {sorted(map(str, a))} and {sorted(map(str, b))}"
        pairs = [(a[k], b[k], f"{at}[{k!r}]") for k in a]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return f"The lengths differ{where}: {len(a)} and {len(b)}"
        pairs = [(x, y, f"{at}[{i}]") for i, (x, y) in enumerate(zip(a, b))]
    else:
        x, y = _as_tensor(a), _as_tensor(b)
        if x is None or y is None:
            return "" if type(a) is type(b) and a == b else f"The values differ{where}: {a!r} and {b!r}"
        return _of_tensors(x, y, rtol, atol, equal_nan, check_dtype, where)
    return next((p for x, y, i in pairs if (p := _difference(x, y, rtol, atol, equal_nan, check_dtype, i))), "")


def _of_tensors(x: Tensor, y: Tensor, rtol: Any, atol: Any, equal_nan: bool, check_dtype: bool, where: str) -> str:
    if tuple(x.shape) != tuple(y.shape):
        return f"The shapes differ{where}: {tuple(x.shape)} and {tuple(y.shape)}"
    if check_dtype and x.dtype is not y.dtype:
        return f"The types differ{where}: {x.dtype!r} and {y.dtype!r}"
    relative, absolute = _tolerance([x.dtype, y.dtype], rtol, atol)
    kind = np.complex128 if x.dtype.is_complex or y.dtype.is_complex else np.float64
    if not (x.dtype.is_floating_point or x.dtype.is_complex or y.dtype.is_floating_point or y.dtype.is_complex):
        kind = np.object_ if absolute == relative == 0 else np.float64  # type: ignore[assignment] # exact for any integer
    p, q = (array_of(t.detach(), "assert_close").astype(kind) for t in (x, y))
    same = np.equal(p, q) if kind is np.object_ else np.isclose(p, q, relative, absolute, equal_nan)
    if np.all(same):
        return ""
    bad = np.argwhere(~np.asarray(same, bool))
    worst = np.abs(np.asarray(p - q, np.complex128))
    worst = np.where(np.isnan(worst), np.inf, worst)
    most = np.unravel_index(int(worst.argmax()), worst.shape)
    return (
        f"Tensors are not close{where}: {len(bad)} of {p.size} elements differ; the largest difference is "
        f"{worst[most]:.6g} at {tuple(int(i) for i in most)} (allowed: {absolute:g} + {relative:g} · |expected|)"
    )
