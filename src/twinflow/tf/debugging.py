"""Checks of values and shapes: `tf.debugging`. While a function is traced, values are checked when its graph runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow import ops
from twinflow.core import as_dtype
from twinflow.core.errors import CheckError, DTypeError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor, is_tracing


def _holds(op: str, condition: Tensor, message: str | None, what: Callable[[], str]) -> None:
    if is_tracing():
        ops.ensure(condition, f"tf.debugging.{op}: {message or 'the condition does not hold'}")
    elif not bool(ops.all(condition)):
        raise CheckError(f"tf.debugging.{op}: {message or what()}")


def _comparison(name: str, words: str, fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
        a, b = to_tensor(x), to_tensor(y)
        _holds(check.__name__, fn(a, b), message, lambda: f"{a.tolist()} is not everywhere {words} {b.tolist()}")

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Raises: CheckError unless x is {words} y everywhere."
    return check


def _against_zero(name: str, words: str, fn: Callable[[Tensor], Tensor]) -> Callable[..., None]:
    def check(x: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
        t = to_tensor(x)
        _holds(check.__name__, fn(t), message, lambda: f"{t.tolist()} is not everywhere {words}")

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Raises: CheckError unless every element is {words}."
    return check


assert_equal = _comparison("assert_equal", "equal to", lambda a, b: a == b)
assert_none_equal = _comparison("assert_none_equal", "different from", lambda a, b: a != b)
assert_greater = _comparison("assert_greater", "greater than", lambda a, b: a > b)
assert_greater_equal = _comparison("assert_greater_equal", "at least", lambda a, b: a >= b)
assert_less = _comparison("assert_less", "less than", lambda a, b: a < b)
assert_less_equal = _comparison("assert_less_equal", "at most", lambda a, b: a <= b)


def assert_near(x: Any, y: Any, rtol: float = 1e-6, atol: float = 1e-6, message: str | None = None) -> None:
    """Raises: CheckError unless |x - y| ≤ atol + rtol |y| everywhere."""
    a, b = to_tensor(x), to_tensor(y)
    _holds(
        "assert_near",
        ops.abs(a - b) <= ops.abs(b) * rtol + atol,
        message,
        lambda: f"{a.tolist()} is not near {b.tolist()}",
    )


assert_positive = _against_zero("assert_positive", "greater than 0", lambda t: t > 0)
assert_negative = _against_zero("assert_negative", "less than 0", lambda t: t < 0)
assert_non_negative = _against_zero("assert_non_negative", "at least 0", lambda t: t >= 0)
assert_non_positive = _against_zero("assert_non_positive", "at most 0", lambda t: t <= 0)


def Assert(condition: Any, data: Any, summarize: int = 3, name: str | None = None) -> None:
    """Raises: CheckError with the data unless the condition holds everywhere."""
    shown = " ".join("a tensor" if isinstance(d, Tensor) and is_tracing() else ops.shown(d, summarize) for d in data)
    _holds("Assert", to_tensor(condition), f"the condition does not hold; data: {shown}", str)


def assert_all_finite(x: Any, message: str) -> Tensor:
    """The tensor itself. Raises: CheckError if an element is NaN or infinite."""
    t = to_tensor(x)
    _holds("assert_all_finite", ops.isfinite(t), message, lambda: "an element is NaN or infinite")
    return t


check_numerics = assert_all_finite


def assert_rank(x: Any, rank: int, message: str | None = None) -> None:
    """Raises: ShapeError unless the tensor has so many axes."""
    t = to_tensor(x)
    if t.ndim != rank:
        raise ShapeError(
            f"tf.debugging.assert_rank: {message or f'the shape {tuple(t.shape)} has {t.ndim} axes, not {rank}'}"
        )


def assert_rank_at_least(x: Any, rank: int, message: str | None = None, name: str | None = None) -> None:
    """Raises: ShapeError unless the tensor has so many axes or more."""
    t = to_tensor(x)
    if t.ndim < rank:
        what = message or f"the shape {tuple(t.shape)} has {t.ndim} axes, not {rank} or more"
        raise ShapeError(f"tf.debugging.assert_rank_at_least: {what}")


def assert_rank_in(x: Any, ranks: Any, message: str | None = None, name: str | None = None) -> None:
    """Raises: ShapeError unless the number of axes is one of those listed."""
    t = to_tensor(x)
    if t.ndim not in [int(r) for r in ranks]:
        what = message or f"the shape {tuple(t.shape)} has {t.ndim} axes, none of {list(ranks)}"
        raise ShapeError(f"tf.debugging.assert_rank_in: {what}")


def assert_scalar(tensor: Any, message: str | None = None, name: str | None = None) -> Tensor:
    """The tensor itself. Raises: ShapeError if it has axes."""
    assert_rank(tensor, 0, message)
    return to_tensor(tensor)


def assert_integer(x: Any, message: str | None = None, name: str | None = None) -> None:
    """Raises: DTypeError unless the elements are whole numbers."""
    t = to_tensor(x)
    if t.dtype.is_floating_point or t.dtype.is_complex or t.dtype.name == "bool":
        raise DTypeError(f"tf.debugging.assert_integer: {message or f'the type is {t.dtype.name}'}")


def assert_same_float_dtype(tensors: Any = None, dtype: Any = None) -> Any:
    """The one floating type of the tensors, float32 if there are none. Raises: DTypeError if they differ."""
    found = {to_tensor(t).dtype.name for t in tensors or ()} | ({as_dtype(dtype).name} if dtype is not None else set())
    if len(found) > 1 or not all(as_dtype(n).is_floating_point for n in found):
        raise DTypeError(f"tf.debugging.assert_same_float_dtype: the types are {', '.join(sorted(found))}")
    return as_dtype(found.pop() if found else "float32")


def assert_proper_iterable(values: Any) -> None:
    """Raises: DTypeError for a tensor, an array or a string, which are no lists of values."""
    if isinstance(values, (Tensor, np.ndarray, str, bytes)) or not hasattr(values, "__iter__"):
        raise DTypeError(f"tf.debugging.assert_proper_iterable: {type(values).__name__} is no list of values")


def assert_shapes(shapes: Any, message: str | None = None) -> None:
    """Raises: ShapeError unless tensors have these shapes; letters stand for extents that must agree, None for any."""
    known: dict[str, int] = {}
    for x, wanted in shapes.items() if isinstance(shapes, dict) else shapes:
        t = to_tensor(x)
        if len(wanted) != t.ndim:
            raise ShapeError(
                f"tf.debugging.assert_shapes: {message or f'the shape {tuple(t.shape)} does not fit {tuple(wanted)}'}"
            )
        for n, w in zip(t.shape, wanted):
            if w is None or w == n or (isinstance(w, str) and known.setdefault(w, int(n)) == n):
                continue
            raise ShapeError(
                f"tf.debugging.assert_shapes: {message or f'the shape {tuple(t.shape)} does not fit {tuple(wanted)}: {w!r} is not {n}'}"
            )


def assert_type(tensor: Any, tf_type: Any, message: str | None = None) -> None:
    """Raises: DTypeError unless the tensor has this type."""
    t = to_tensor(tensor)
    if t.dtype is not as_dtype(tf_type):
        raise DTypeError(
            f"tf.debugging.assert_type: {message or f'the type is {t.dtype.name}, not {as_dtype(tf_type).name}'}"
        )


def is_numeric_tensor(tensor: Any) -> bool:
    """Whether it is a tensor of numbers."""
    return isinstance(tensor, Tensor) and tensor.dtype.name != "bool"
