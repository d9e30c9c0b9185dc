"""Checks of values and shapes: `tf.debugging`. Values cannot be checked while a function is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow import ops
from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor, refuse_tracing


def _holds(op: str, condition: Tensor, message: str | None, what: str) -> None:
    refuse_tracing(f"tf.debugging.{op}", "check the values that the function returns")
    if not bool(ops.all(condition)):
        raise ArgumentError(f"tf.debugging.{op}: {message or what}")


def _comparison(name: str, words: str, fn: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: str | None = None, summarize: Any = None, name: str | None = None) -> None:
        a, b = to_tensor(x), to_tensor(y)
        _holds(check.__name__, fn(a, b), message, f"{a.tolist()} is not everywhere {words} {b.tolist()}")

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"Raises: ArgumentError unless x is {words} y everywhere."
    return check


assert_equal = _comparison("assert_equal", "equal to", lambda a, b: a == b)
assert_none_equal = _comparison("assert_none_equal", "different from", lambda a, b: a != b)
assert_greater = _comparison("assert_greater", "greater than", lambda a, b: a > b)
assert_greater_equal = _comparison("assert_greater_equal", "at least", lambda a, b: a >= b)
assert_less = _comparison("assert_less", "less than", lambda a, b: a < b)
assert_less_equal = _comparison("assert_less_equal", "at most", lambda a, b: a <= b)


def assert_near(x: Any, y: Any, rtol: float = 1e-6, atol: float = 1e-6, message: str | None = None) -> None:
    """Raises: ArgumentError unless |x - y| ≤ atol + rtol |y| everywhere."""
    a, b = to_tensor(x), to_tensor(y)
    _holds("assert_near", ops.abs(a - b) <= ops.abs(b) * rtol + atol, message, f"{a.tolist()} is not near {b.tolist()}")


def assert_positive(x: Any, message: str | None = None) -> None:
    """Raises: ArgumentError unless every element is greater than 0."""
    assert_greater(x, 0, message)


def assert_non_negative(x: Any, message: str | None = None) -> None:
    """Raises: ArgumentError unless every element is at least 0."""
    assert_greater_equal(x, 0, message)


def assert_all_finite(x: Any, message: str) -> Tensor:
    """The tensor itself. Raises: ArgumentError if an element is NaN or infinite."""
    t = to_tensor(x)
    _holds("assert_all_finite", ops.isfinite(t), message, "an element is NaN or infinite")
    return t


check_numerics = assert_all_finite


def assert_rank(x: Any, rank: int, message: str | None = None) -> None:
    """Raises: ShapeError unless the tensor has so many axes."""
    t = to_tensor(x)
    if t.ndim != rank:
        raise ShapeError(
            f"tf.debugging.assert_rank: {message or f'the shape {tuple(t.shape)} has {t.ndim} axes, not {rank}'}"
        )


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
