"""How TensorFlow's functions are written: arguments become tensors, and each takes a `name`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor


def named(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a further argument `name`: it labels an operation of a static graph, and nothing where values are
    computed at once."""

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        return fn(*args, **kwargs)

    return wrapped


def unary(fn: Callable[[Tensor], Tensor], doc: str, name: str | None = None) -> Callable[..., Any]:
    """A function of one tensor."""

    def wrapped(x: Any) -> Tensor:
        return fn(to_tensor(x))

    wrapped.__name__ = wrapped.__qualname__ = name or fn.__name__
    wrapped.__doc__ = doc
    return named(wrapped)


def binary(fn: Callable[[Any, Any], Tensor], doc: str, name: str | None = None) -> Callable[..., Any]:
    """A function of two tensors; a number beside a tensor takes its type."""

    def wrapped(x: Any, y: Any) -> Tensor:
        number = (bool, int, float)
        if isinstance(y, number) and not isinstance(x, number):
            return fn(to_tensor(x), y)
        if isinstance(x, number) and isinstance(y, Tensor):
            return fn(as_like(x, y), y)
        return fn(to_tensor(x), to_tensor(y))

    wrapped.__name__ = wrapped.__qualname__ = name or fn.__name__
    wrapped.__doc__ = doc
    return named(wrapped)


def as_like(x: Any, y: Tensor) -> Tensor:
    """A number as a tensor that combines with `y` as a number does."""
    t = to_tensor(x)
    return t.to(dtype=y.dtype) if t.dtype.category <= y.dtype.category else t
