"""The compiled form of an optimizer's step in plain evaluation: all parameters updated in one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from operator import is_
from typing import Any

from twinflow.jit import Compiled
from twinflow.ops._declare import F32, F64
from twinflow.tensor import Tensor

_LARGE = 1 << 13  # parameters from which on a compiled pass beats NumPy's several, and is worth compiling
_MOST = (
    8  # programs for one optimizer: one whose parameters or state change all the time is not compiled anew each step
)


class Updates:
    """The programs of one optimizer: for each set of parameters that have gradients, one.

    Args:
        update: the whole update of the optimizer. It is traced as part of any compiled step is, so that both compute the
            same: what schedules change is an input, and other options are watched. It must not keep the optimizer alive.
    """

    def __init__(self, update: Callable[[], None]) -> None:
        self._update = update
        self._known: dict[tuple[bool, ...], tuple[Compiled, list[Any]]] = {}
        self._made = 0

    def run(self, params: list[Tensor], state: dict[Tensor, dict[str, Any]]) -> bool:
        """Do the update if that pays. False: nothing has been done."""
        n = 0
        for p in params:
            d = p._data.dtype
            if d is not F32 and d is not F64:
                return False
            n += p._data.size
        if n < _LARGE:
            return False
        key = tuple([p.grad is not None for p in params])
        compiled, seen = self._known.get(key, (None, None))
        if compiled is None or not _same(seen, _objects(params, state)):
            if self._made == _MOST:
                return False
            self._made += 1
            compiled = Compiled(self._update)
            compiled()
            self._known[key] = compiled, _objects(params, state)  # after it, because it makes state
        else:
            compiled()
        return True


def _objects(params: list[Tensor], state: dict[Tensor, dict[str, Any]]) -> list[Any]:
    """The tensors that a trace has captured: people exchange parameters and state by hand."""
    found: list[Any] = []
    for p in params:
        found.append(p)
        s = state.get(p)
        if s:
            found += s.values()
    return found


def _same(a: Any, b: list[Any]) -> bool:
    return len(a) == len(b) and all(map(is_, a, b))
