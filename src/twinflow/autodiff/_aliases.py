"""What the functional derivatives share: fresh stand-ins for their arguments, and the question whether the gradients
themselves must be differentiable."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, DTypeError
from twinflow.ops import call
from twinflow.tensor import (
    MODE,
    Tensor,
    edge_to,
    enable_grad,
    enter_special,
    exit_special,
    innermost_level,
    is_inexact,
    lifted,
    payload,
    wrap,
)

# stand-ins whose derivative has been taken, by id: a tape that ends at one of them is no reason to record
_RETIRED: weakref.WeakValueDictionary[int, Tensor] = weakref.WeakValueDictionary()


class Alias:
    """A stand-in for a tensor at the innermost level, with respect to which gradients are taken."""

    __slots__ = ("connected", "tensor")

    def __init__(self, t: Tensor, record: bool) -> None:
        value = lifted(t)
        self.connected = record and value is t and t.requires_grad
        if self.connected:  # an outer derivative sees through
            self.tensor = call("copy", t)
            return
        p = payload(value)
        tracer = MODE.tracer
        if tracer is not None and tracer.level > getattr(p, "level", 0):
            p = tracer.node_of(value)
        self.tensor = wrap(p)
        self.tensor.requires_grad_(True)

    def retire(self) -> None:
        """Say that nothing will ask for its gradient any more."""
        if not self.connected:
            _RETIRED[id(self.tensor)] = self.tensor


def aliases_of(op: str, leaves: Sequence[Any], record: bool) -> list[Alias]:
    """Stand-ins for all leaves, which must be floating tensors."""
    made = []
    for x in leaves:
        if not isinstance(x, Tensor):
            raise ArgumentError(
                f"{op}: what is differentiated must be tensors, but an argument holds {type(x).__name__}"
            )
        if not is_inexact(x):
            raise DTypeError(
                f"{op}: only floating and complex tensors have derivatives, not {x.dtype.name}; use .float()"
            )
        made.append(Alias(x, record))
    return made


def must_record(roots: Iterable[Tensor], aliases: Sequence[Alias], record: bool) -> bool:
    """Whether gradients of `roots` must be recorded: something outside (`record`: recording was on there) may be
    differentiated too."""
    if not record:
        return False
    tracer = MODE.tracer
    if innermost_level() is not None or (tracer is not None and tracer.body):
        return True
    return any(a.connected for a in aliases) or _reaches_other(roots, {id(a.tensor) for a in aliases})


def _reaches_other(roots: Iterable[Tensor], own: set[int]) -> bool:
    stack = [e for r in roots if (e := edge_to(r)) is not None]
    seen: set[int] = set()
    while stack:
        target, index = stack.pop()
        if id(target) in seen:
            continue
        seen.add(id(target))
        if index == -1:
            if id(target) not in own and _RETIRED.get(id(target)) is not target:
                return True
        else:
            stack += [e for e in target.edges if e is not None]
    return False


@contextmanager
def recording() -> Iterator[None]:
    """Within it a functional derivative runs its function: operations are recorded, and compiled functions are gone through
    operation by operation, because derivatives of any order may follow."""
    enter_special()
    try:
        with enable_grad():
            yield
    finally:
        exit_special()


def without_tape(tree: Any) -> Any:
    """The tensors of a tree, outside of differentiation."""
    leaves, treedef = tree_flatten(tree)
    return tree_unflatten(
        [wrap(payload(x)) if isinstance(x, Tensor) and x._meta is not None else x for x in leaves], treedef
    )


def tensors_of(op: str, tree: Any) -> tuple[list[Tensor], Any]:
    """(leaves, structure) of a result that must consist of tensors."""
    leaves, treedef = tree_flatten(tree)
    for x in leaves:
        if not isinstance(x, Tensor):
            raise ArgumentError(f"{op}: the function must return tensors, but its result holds {type(x).__name__}")
    return leaves, treedef
