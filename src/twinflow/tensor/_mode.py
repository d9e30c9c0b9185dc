"""What is switched on at the moment: gradients, anomaly detection, tracers and transformation levels.

Grad mode is per thread, as in PyTorch. `special` counts tracers and transformations active in any thread, so that the
hot path of an eager operation asks one question: is anything but plain evaluation going on?
"""

from __future__ import annotations

import itertools
import threading
from types import TracebackType
from typing import Any


class _ThreadMode(threading.local):
    grad = True
    inference = False
    anomaly = False
    autocast: Any = None  # the type in which products run, inside `autocast`
    tracer: Any = None  # the innermost tracer of this thread
    saved_hooks: tuple[Any, ...] = ()  # (pack, unpack) for tensors kept for backward, innermost last
    transforms: tuple[Any, ...] = ()  # the running transformations of this thread, outermost first


class _Special:
    """A counter that the hot path reads as `SPECIAL.count`. `marking` of these only
    change what single operations do, so that compiled functions stay what they are: inference modes and `autocast`."""

    __slots__ = ("count", "lock", "marking")

    def __init__(self) -> None:
        self.count = self.marking = 0
        self.lock = threading.Lock()


MODE = _ThreadMode()
SPECIAL = _Special()
_levels = itertools.count(1)


def next_level() -> int:
    """A number above those of all tracers and transformations that are already running."""
    return next(_levels)


def enter_special() -> None:
    """Say that something other than plain evaluation begins."""
    with SPECIAL.lock:
        SPECIAL.count += 1


def exit_special() -> None:
    """Say that it has ended."""
    with SPECIAL.lock:
        SPECIAL.count -= 1


def enter_marking() -> None:
    """Say that operations do from here on what their hot path does not: mark results, or cast operands."""
    with SPECIAL.lock:
        SPECIAL.count += 1
        SPECIAL.marking += 1


def exit_marking() -> None:
    """Say that it has ended."""
    with SPECIAL.lock:
        SPECIAL.count -= 1
        SPECIAL.marking -= 1


class _Switch:
    """A context manager, and a decorator, that sets the grad mode of this thread and restores it."""

    _value: bool
    _saved: list[bool] | None = None  # one for each time it was entered

    def __enter__(self) -> None:
        if self._saved is None:
            self._saved = []
        self._saved.append(MODE.grad)
        MODE.grad = self._value

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._saved:
            MODE.grad = self._saved.pop()

    def __call__(self, fn: Any) -> Any:
        import functools

        @functools.wraps(fn)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(*self._args()):
                return fn(*args, **kwargs)

        return wrapped

    def _args(self) -> tuple[Any, ...]:
        return ()


class no_grad(_Switch):
    """Within it no operation is recorded for differentiation.

    >>> import twinflow
    >>> x = twinflow.ones(2, requires_grad=True)
    >>> with twinflow.no_grad():
    ...     (x * 2).requires_grad
    False
    """

    _value = False

    def __new__(cls, fn: Any = None) -> Any:
        self = super().__new__(cls)
        return self if fn is None else self(fn)


class enable_grad(no_grad):
    """Within it operations are recorded again, inside a `no_grad` block."""

    _value = True


class set_grad_enabled(_Switch):
    """Switch recording on or off, at once or for a `with` block."""

    def __init__(self, mode: bool) -> None:
        self._value = bool(mode)
        self._before = MODE.grad
        MODE.grad = self._value

    def __enter__(self) -> None:
        MODE.grad = self._value

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        MODE.grad = self._before

    def __call__(self, fn: Any) -> Any:
        MODE.grad = self._before  # used as a decorator: the call, not the decoration, switches
        return super().__call__(fn)

    def _args(self) -> tuple[Any, ...]:
        return (self._value,)


class inference_mode(_Switch):
    """`no_grad`, and results that can never take part in differentiation."""

    def __init__(self, mode: bool = True) -> None:
        self._mode = mode
        self._value = not mode

    def __enter__(self) -> None:
        if self._mode:
            super().__enter__()
            self.__dict__.setdefault("_inference", []).append(MODE.inference)
            MODE.inference = True
            enter_marking()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        if self._mode:
            super().__exit__(kind, value, tb)
            MODE.inference = self.__dict__["_inference"].pop()
            exit_marking()

    def _args(self) -> tuple[Any, ...]:
        return (self._mode,)


def is_grad_enabled() -> bool:
    """Whether operations are recorded for differentiation in this thread."""
    return MODE.grad


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`."""
    return MODE.inference
