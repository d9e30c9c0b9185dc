"""How a function of tensors becomes one of `keras.ops`: arrays are taken too, and on symbolic tensors it is part of a model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from twinflow.keras._layer import LAYERS, Layer, camel_case
from twinflow.keras._registry import unique_name
from twinflow.keras._symbolic import symbolic_leaves
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor

OPS: dict[str, Callable[..., Any]] = {}


@LAYERS.add()
class OpLayer(Layer):
    """One call of a function of `keras.ops` on symbolic tensors."""

    _is_operation = True
    _keeps_masks = True  # as in Keras, functions drop masks without a word

    def __init__(self, function: str, **kwargs: Any) -> None:
        super().__init__(**{"name": unique_name(function), **kwargs})
        self.function = function
        self.built = True

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The function."""
        return OPS[self.function](*args, **kwargs)

    def _kind(self) -> str:
        return camel_case(self.function)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("function")


def op(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `keras.ops` under its own name (without an underscore at its end)."""
    name = fn.__name__.rstrip("_")

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        if symbolic_leaves((args, kwargs)):
            return OpLayer(name)(*args, **kwargs)
        return fn(*args, **kwargs)

    run.__name__ = run.__qualname__ = name
    OPS[name] = run
    return run


def number(x: Any) -> Any:
    """A tensor, or a Python number as it is: beside a tensor it takes the tensor's type."""
    return x if isinstance(x, (int, float, complex, Tensor)) else to_tensor(x)


def same(name: str, fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that exists with the same meaning: each argument is a tensor or a number; options go by name."""

    def call(*args: Any, **options: Any) -> Any:
        given = [number(a) for a in args]
        if given and not any(isinstance(a, Tensor) for a in given):
            given[0] = to_tensor(given[0])
        return fn(*given, **options)

    call.__name__ = name
    call.__doc__ = inspect.getdoc(fn)
    return op(call)


def reduction(name: str, fn: Callable[..., Any], **always: Any) -> Callable[..., Any]:
    """A reduction (x, axis=None, keepdims=False) of one that takes dim and keepdim."""

    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        t = to_tensor(x)
        over = tuple(axis) if isinstance(axis, list) else axis
        if over is None:
            over = tuple(range(t.ndim))
        return fn(t, over, keepdim=keepdims, **always)

    call.__name__ = name
    call.__doc__ = f"`{fn.__name__}` over `axis` (a number, several, or None for all axes)."
    return op(call)
