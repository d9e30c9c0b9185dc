"""Native ways through small operations, whose time is otherwise that of Python's frames.

An operation that has one is called through a `Door`. Behind it stands the Python function that defines what happens; once
many small operations were called, the doors open: functions in machine code (`_door_elementwise`, ...) take the common case, and hand
everything else on to the Python function. Both give the same bits. Where machine code cannot call the interpreter
(`runtime.can_call_python`) the doors stay closed, and all is as it was, only slower.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twinflow.graph import Primitive
from twinflow.tensor._mode import SPECIAL

# After how many calls to look for the code on disk, and to make it. Loading takes some milliseconds, making it a second, once
# for a machine: of training by hand the tenth part of one.
_LOAD_AFTER, _MAKE_AFTER = 1_000, 50_000


class Door:
    """The way to one operation.

    Args:
        python: the function that means the same and can do everything.
        way: the native function that serves it, by its name.
        prim: the primitive that is recorded, if it is.
        run: what NumPy computes it with, where that is not the way's own business; of a view, what `Tie` calls its primitive.
        params: those of the primitive, if there are any, as the way wants them.
        extra: further operands of `run`: (for float32, for float64).
        loop: a loop of our own that computes it too, by its name.
        result: the type of the elements, None for that of the operands.
        n: the number of operands that are recorded.

    `call` is what callers call.
    """

    __slots__ = ("call", "extra", "loop", "n", "params", "prim", "python", "result", "run", "way")

    def __init__(
        self,
        python: Callable[..., Any],
        way: str,
        prim: Primitive | None = None,
        *,
        run: Any = None,
        params: Any = None,
        extra: tuple[Any, Any] | None = None,
        loop: str = "",
        result: Any = None,
        n: int = 1,
    ) -> None:
        self.python = python
        self.way = way
        self.prim = prim
        self.run = run
        self.params = params
        self.extra = extra
        self.loop = loop
        self.result = result
        self.n = n
        self.call = python if _tried else _knocking(python)
        DOORS.append(self)

    def serves(self, function: Any, *, reflected: bool = False) -> Any:
        """Say that `function`, a method of tensors, is this operation, maybe with its operands exchanged; returns it."""
        METHODS[function] = self, reflected
        return function


DOORS: list[Door] = []
METHODS: dict[Any, tuple[Door, bool]] = {}
_calls = 0
_tried = False
_lock = threading.Lock()


def _knocking(python: Callable[..., Any]) -> Callable[..., Any]:
    """The function, counting its calls in plain evaluation: those that are traced would not go through the door."""

    def call(*args: Any, **kwargs: Any) -> Any:
        global _calls
        if SPECIAL.count:
            return python(*args, **kwargs)
        _calls += 1
        if _calls == _LOAD_AFTER or _calls == _MAKE_AFTER:
            open_doors(make=_calls == _MAKE_AFTER)
        return python(*args, **kwargs)

    return call


def open_doors(*, make: bool = True) -> bool:
    """Open the doors now, if that can be: whether they are open. `make` says whether code that is not on disk is made."""
    global _tried
    with _lock:
        if not _tried:
            from twinflow.tensor._door_open import find_code, hang

            code = find_code(make)
            _tried = make or code is not None
            if code is not None:
                hang(code, DOORS, METHODS)
            elif make:
                for door in DOORS:
                    door.call = door.python
    return doors_are_open()


def doors_are_open() -> bool:
    """Whether small operations take their native ways."""
    return bool(DOORS) and type(DOORS[0].call).__name__ == "native_operation"


def program_call(python: Callable[..., Any], graph: Any, lock: Any, observers: list[Any], n_inputs: int) -> Any:
    """A `ProgramCall` for a compiled program; None if the doors are closed, or its results are not arrays that it makes."""
    if not doors_are_open():
        return None
    from twinflow.tensor._door_open import ProgramCall
    from twinflow.tensor._door_program import MOST

    if (
        not 0 < len(graph.results) <= MOST
        or any(number < 0 for number, _ in graph.results)
        or graph.checks
        or graph.may_fail
    ):
        return None
    return ProgramCall(python, graph, lock, observers, n_inputs)
