"""Mixed precision by context: within `autocast`, products run in half precision and what needs range in float32.

Which operations belong to which list is PyTorch's choice for the CPU. A function of the first list calls `lowered` on its
operands, one of the second is decorated with `in_float32`; all others compute in the types that they are given.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any

from twinflow.core import DType, as_dtype
from twinflow.core.errors import ArgumentError
from twinflow.ops._shape import cast
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, enter_marking, exit_marking

_HALVES = ("bfloat16", "float16")
_CASTS = ("float32", *_HALVES)


class autocast:
    """Within it products, convolutions and attention of float32 tensors run in half precision, losses in float32.

    A context manager and a decorator. The parameters stay float32, and so do their gradients.

    Args:
        device_type: "cpu"; for another device there is a warning, and nothing is cast.
        dtype: bfloat16 (if None) or float16.
        enabled: False switches casting off inside another block.
        cache_enabled: accepted as PyTorch's: a weight that is used twice is cast once in compiled steps.

    >>> import twinflow
    >>> x = twinflow.ones(2, 2)
    >>> with twinflow.autocast("cpu"):
    ...     print((x @ x).dtype, (x + x).dtype)
    twinflow.bfloat16 twinflow.float32
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device = device_type
        self.fast_dtype = as_dtype("bfloat16" if dtype is None else dtype)
        self._enabled = bool(enabled)
        self._before: list[DType | None] = []
        if device_type != "cpu":
            if enabled:
                warnings.warn(
                    f"autocast: there is no device {device_type!r}, so nothing is cast; use 'cpu'", stacklevel=2
                )
            self._enabled = False
        elif self.fast_dtype.name not in _HALVES:
            raise ArgumentError(f"autocast: dtype is bfloat16 or float16, not {self.fast_dtype.name}")

    def __enter__(self) -> autocast:
        self._before.append(MODE.autocast)
        MODE.autocast = self.fast_dtype if self._enabled else None
        enter_marking()  # the quick ways of eager operations do not cast
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        exit_marking()
        MODE.autocast = self._before.pop()

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self:
                return fn(*args, **kwargs)

        return wrapped


def is_autocast_enabled(device_type: str = "cpu") -> bool:
    """Whether this thread is inside `autocast`."""
    return device_type == "cpu" and MODE.autocast is not None


def get_autocast_dtype(device_type: str = "cpu") -> DType:
    """The type in which products run inside `autocast`."""
    return MODE.autocast or as_dtype("bfloat16")


def lowered(*operands: Any) -> tuple[Any, ...]:
    """Operands as a product takes them: those of up to single precision in the type of `autocast`, if it is on."""
    if not SPECIAL.count or MODE.autocast is None:
        return operands
    return tuple([_cast(x, MODE.autocast) for x in operands])


def in_float32(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which inside `autocast` gets its half-precision operands as float32."""

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not SPECIAL.count or MODE.autocast is None:
            return fn(*args, **kwargs)
        f32, cast_to, MODE.autocast = as_dtype("float32"), MODE.autocast, None
        try:
            return fn(*[_cast(x, f32) for x in args], **{k: _cast(x, f32) for k, x in kwargs.items()})
        finally:
            MODE.autocast = cast_to

    return wrapped


def in_type_of_input(fn: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which inside `autocast` computes in float32, and returns the type of its first operand."""
    whole = in_float32(fn)

    @functools.wraps(fn)
    def wrapped(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not SPECIAL.count or MODE.autocast is None or input.dtype.name not in _HALVES:
            return fn(input, *args, **kwargs)
        return _cast(whole(input, *args, **kwargs), input.dtype)

    return wrapped


def _cast(x: Any, dtype: DType) -> Any:
    if type(x) is tuple or type(x) is list:  # states of recurrent layers
        return type(x)(_cast(e, dtype) for e in x)
    if isinstance(x, Tensor) and x.dtype is not dtype and x.dtype.name in _CASTS:
        return apply(cast, x, dtype=dtype)
    return x
