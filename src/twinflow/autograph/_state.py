"""The variables of a branch or loop: which become results of the graph, and as what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from twinflow.core import DType, TreeDef, as_dtype, tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, TraceError
from twinflow.graph import Aval
from twinflow.ops import call, tensor
from twinflow.tensor import Tensor, operand_aval


class Undefined:
    """The value of a variable that has none: none was assigned yet, or only on some of the ways to here."""

    def __init__(self, name: str, reason: str = "") -> None:
        self.name, self.reason = name, reason

    def refuse(self) -> NoReturn:
        """Raise the error of reading it."""
        if self.reason:
            raise TraceError(self.reason)
        raise UnboundLocalError(f"cannot access local variable {self.name!r} where it is not associated with a value")

    def __bool__(self) -> bool:
        self.refuse()

    def __repr__(self) -> str:
        return f"<{self.name} has no value>"


@dataclass(frozen=True)
class State:
    """The variables that a branch or loop may write: those that matter afterwards come first, in front of them those that a
    step of a loop reads before it writes them."""

    get: Callable[[], tuple[Any, ...]]
    set: Callable[[Any], None]
    names: tuple[str, ...]
    n_out: int
    n_within: int = 0

    def whole(self) -> State:
        """The same with every variable needed afterwards that a step of a loop carries."""
        return State(self.get, self.set, self.names, self.n_out, self.n_out)


@dataclass(frozen=True)
class Carry:
    """A result of the graph: a container of tensors of these shapes and types."""

    tree: TreeDef
    avals: tuple[Aval, ...]


@dataclass(frozen=True)
class Same:
    """A Python value that is not changed."""


@dataclass(frozen=True)
class Lost:
    """No value afterwards; reading it raises an error with the reason."""

    reason: str = field(default="", compare=False)


Plan = Carry | Same | Lost
NUMBERS = (bool, int, float, complex, np.generic)


class Again(Exception):
    """The bodies of a branch or loop, `owner`, must be traced once more with another plan."""

    def __init__(self, owner: Any, plans: list[Any]) -> None:
        self.owner, self.plans = owner, plans


class Grows(ArgumentError):
    """A variable of a loop changes its shape in every step, so the steps must be told apart: a loop of known length is unrolled."""


LOOPS: list[Any] = []  # the loops whose steps are being traced, innermost last


def carry_of(value: Any) -> Carry | None:
    """What a value is as a result of the graph; None if it is no container of tensors and numbers."""
    if isinstance(value, Undefined):
        return None
    leaves, tree = tree_flatten(value)
    if not all(isinstance(x, (Tensor, np.ndarray, *NUMBERS)) for x in leaves):
        return None
    return Carry(tree, tuple(leaf_aval(x) for x in leaves))


def leaf_aval(x: Any) -> Aval:
    """Shape and type; Python's ints are int32 and its floats float32, as TensorFlow makes them."""
    if isinstance(x, Tensor):
        return operand_aval(x)
    if isinstance(x, (np.ndarray, np.generic)):
        return Aval(tuple(x.shape), as_dtype(x.dtype))
    kind = (
        "bool"
        if isinstance(x, bool)
        else "int32"
        if isinstance(x, int)
        else "complex64"
        if isinstance(x, complex)
        else "float32"
    )
    return Aval((), as_dtype(kind))


def is_number(value: Any) -> bool:
    """Whether it is a number of Python, which takes the type of the tensor that it meets."""
    return isinstance(value, (bool, int, float)) and not isinstance(value, np.generic)


def settled(value: Any, plan: Carry) -> list[Tensor]:
    """The tensors that a value becomes: zeros if there is none, because nobody will read them."""
    leaves, tree = tree_flatten(value)
    if isinstance(value, Undefined) or tree != plan.tree or not fits(value, plan):
        return [call("full", shape=a.shape, value=0, dtype=a.dtype) for a in plan.avals]
    return [_as(x, a.dtype) for x, a in zip(leaves, plan.avals)]


def _as(x: Any, dtype: DType) -> Tensor:
    if is_number(x):
        return call("full", shape=(), value=x, dtype=dtype)
    t = x if isinstance(x, Tensor) else tensor(np.asarray(x))
    return t if t.dtype is dtype else t.to(dtype=dtype)


def fits(value: Any, plan: Carry) -> bool:
    """Whether a value is of the plan's structure, shapes and types, numbers of Python converted if they need be."""
    if isinstance(value, Undefined):
        return False
    leaves, tree = tree_flatten(value)
    if tree != plan.tree:
        return False
    for x, a in zip(leaves, plan.avals):
        if is_number(x):
            if a.shape != () or leaf_aval(x).dtype.category > a.dtype.category:
                return False
        elif not isinstance(x, (Tensor, np.ndarray, np.generic)) or leaf_aval(x) != a:
            return False
    return True


def rebuilt(plan: Carry, leaves: list[Tensor]) -> Any:
    """The container, from its tensors."""
    return tree_unflatten(leaves, plan.tree)


def same(a: Any, b: Any) -> bool:
    """Whether two values are one Python value that needs no place in the graph."""
    if a is b:
        return True
    if isinstance(a, (Tensor, np.ndarray)) or isinstance(b, (Tensor, np.ndarray)) or type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple, dict)):
        x, y = tree_flatten(a), tree_flatten(b)
        return x[1] == y[1] and all(same(p, q) for p, q in zip(x[0], y[0]))
    try:
        return bool(a == b)
    except Exception:
        return False


def describe(value: Any) -> str:
    """A value in an error."""
    if isinstance(value, Undefined):
        return "without a value"
    found = carry_of(value)
    if found is None or is_number(value):
        return repr(value)
    if found.tree.kind is None:
        return repr(found.avals[0])
    return f"a {getattr(found.tree.kind, '__name__', 'container')} of {', '.join(map(repr, found.avals))}"
