"""What rewritten functions call in place of Python's statements: they look at the condition first."""

from __future__ import annotations

import builtins
import operator
import sys
from collections.abc import Callable
from typing import Any

from twinflow import ops
from twinflow.autograph import _convert
from twinflow.autograph._branch import branch
from twinflow.autograph._calls import BUILTINS
from twinflow.autograph._calls import call as call
from twinflow.autograph._calls import iterable as iterable
from twinflow.autograph._loops import scan_loop, while_loop
from twinflow.autograph._loops import set_loop_options as set_loop_options
from twinflow.autograph._state import Grows as Grows
from twinflow.autograph._state import State as State
from twinflow.autograph._state import Undefined as Undefined
from twinflow.autograph._unknown import Range, Runs, Slices, runs_of, unknown
from twinflow.tensor import Tensor


def value(x: Any) -> Any:
    """A variable that is read. Raises: an error if it has no value."""
    if isinstance(x, Undefined):
        x.refuse()
    return x


_IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.iadd, "Sub": operator.isub, "Mult": operator.imul, "Div": operator.itruediv, "FloorDiv": operator.ifloordiv,
    "Mod": operator.imod, "Pow": operator.ipow, "MatMult": operator.imatmul, "BitAnd": operator.iand, "BitOr": operator.ior,
    "BitXor": operator.ixor, "LShift": operator.ilshift, "RShift": operator.irshift,
}  # fmt: skip
_OUT_OF_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add, "Sub": operator.sub, "Mult": operator.mul, "Div": operator.truediv, "FloorDiv": operator.floordiv,
    "Mod": operator.mod, "Pow": operator.pow, "MatMult": operator.matmul, "BitAnd": operator.and_, "BitOr": operator.or_,
    "BitXor": operator.xor, "LShift": operator.lshift, "RShift": operator.rshift,
}  # fmt: skip


def augmented(op: str, x: Any, y: Any) -> Any:
    """What `x += y` gives x: a new tensor if it is one that no parameter or variable holds."""
    fresh = isinstance(x, Tensor) and type(x) is Tensor
    return (_OUT_OF_PLACE if fresh else _IN_PLACE)[op](x, y)


def attribute(owner: Any, name: str) -> Any:
    """An attribute as part of the state of a branch or loop."""
    found = getattr(owner, name, None)
    return found if found is not None or hasattr(owner, name) else Undefined(name)


def set_attribute(owner: Any, name: str, new: Any) -> None:
    """Put an attribute back."""
    now = getattr(owner, name, None)
    if now is new and now is not None:
        return
    if not isinstance(new, Undefined):
        setattr(owner, name, new)
    elif hasattr(owner, name):
        delattr(owner, name)


def if_stmt(test: Any, body: Callable[[], None], orelse: Callable[[], None], state: State) -> None:
    """`if test: body else: orelse`."""
    if unknown(test):
        branch(test, body, orelse, state)
    elif test:
        body()
    else:
        orelse()


def while_stmt(test: Callable[[], Any], body: Callable[[], None], state: State) -> None:
    """`while test: body`. A condition that becomes a tensor on the way makes the rest a loop of the graph."""
    while True:
        going = test()
        if unknown(going):
            return while_loop(test, body, state)
        if not going:
            return None
        body()


def for_stmt(along: Any, stop: Callable[[], Any] | None, body: Callable[[Any], None], state: State) -> None:
    """`for item in along: body(item)`, until `stop()` holds."""
    if isinstance(along, Range):
        return _range_loop(along, stop, body, state)
    if isinstance(along, Slices):
        return scan_loop(along.parts, stop, body, state)
    runs = along.parts if isinstance(along, Runs) else runs_of(along)
    if runs is not None:
        for run in runs:
            scan_loop(run, stop, body, state)
        return None
    if unknown(along):
        try:
            return scan_loop(along, stop, body, state)
        except Grows:
            if int(along.shape[0]) > _MOST_UNROLLED:
                raise
    for item in along:
        done: Any = stop() if stop is not None else False
        if unknown(done):
            _guarded(done, body, item, state)
        elif done:
            break
        else:
            body(item)
    return None


_MOST_UNROLLED = 256  # steps of a loop that becomes one copy of its body after the other


def _guarded(done: Tensor, body: Callable[[Any], None], item: Any, state: State) -> None:
    """One step of a loop of Python that a tensor may have stopped."""
    branch(ops.logical_not(done), lambda: body(item), lambda: None, state, fill=True)


def _range_loop(along: Range, stop: Callable[[], Any] | None, body: Callable[[Any], None], state: State) -> None:
    """`for i in range(n)` with bounds that are tensors, as a `while`."""
    at: list[Any] = [along.start]

    def get() -> tuple[Any, ...]:
        return (at[0], *state.get())

    def put(values: Any) -> None:
        at[0] = values[0]
        state.set(values[1:])

    def going() -> Any:
        inside = along.holds(at[0])
        return inside if stop is None else and_(lambda: not_(stop()), lambda: inside)

    def step() -> None:
        i = at[0]
        at[0] = i + along.delta
        body(i)

    names = ("the counter of the loop", *state.names)
    while_loop(going, step, State(get, put, names, state.n_out + 1, state.n_within + 1))


def and_(left: Callable[[], Any], right: Callable[[], Any]) -> Any:
    """`left and right`; the right side is looked at only where the left one holds."""
    a = left()
    if not unknown(a):
        return a and right()
    return ops.cond(a, lambda: _truth(right()), lambda: ops.zeros((), dtype="bool"))


def or_(left: Callable[[], Any], right: Callable[[], Any]) -> Any:
    """`left or right`; the right side is looked at only where the left one does not hold."""
    a = left()
    if not unknown(a):
        return a or right()
    return ops.cond(a, lambda: ops.ones((), dtype="bool"), lambda: _truth(right()))


def _truth(x: Any) -> Tensor:
    return x.reshape(()) if isinstance(x, Tensor) else ops.tensor(bool(x))


def not_(x: Any) -> Any:
    """`not x`."""
    return ops.logical_not(x) if unknown(x) else not x


def if_exp(test: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """`yes if test else no`."""
    if not unknown(test):
        return yes() if test else no()
    box: list[Any] = [Undefined("the value of the expression")]

    def arm(fn: Callable[[], Any]) -> Callable[[], None]:
        return lambda: box.__setitem__(0, fn())

    state = State(lambda: (box[0],), lambda new: box.__setitem__(0, new[0]), ("the value of the expression",), 1)
    branch(test, arm(yes), arm(no), state)
    return value(box[0])


def assert_stmt(test: Any, message: Callable[[], Any]) -> None:
    """`assert test, message`; on a tensor it is checked when the graph runs."""
    if unknown(test):
        ops.ensure(test, str(message() or "assertion failed"))
    elif not test:
        raise AssertionError(*[m for m in [message()] if m is not None])


def print_(*values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False) -> None:
    """`print`; tensors are printed when the graph runs."""
    if any(unknown(v) for v in values):
        ops.print_values(values, sep=" " if sep is None else sep, end="\n" if end is None else end, file=file)
    else:
        builtins.print(*values, sep=sep, end=end, file=file, flush=flush)


BUILTINS[builtins.print] = print_
_convert.OPERATORS_CELL.cell_contents = sys.modules[__name__]
