"""`ensure`: a condition on values that must hold, in a compiled step too."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import CheckError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.graph.lowering import Elementwise
from twinflow.ops._declare import call, want
from twinflow.ops._effects import check_p, run_effect
from twinflow.ops._math import as_bool
from twinflow.tensor import Tensor, apply, current_tracer


def _out(condition: Any, *, message: str) -> Aval:
    want(
        condition.shape == () and condition.dtype is as_dtype("bool"),
        "the condition is one bool",
        "ensure",
        c=condition,
    )
    return Aval((), condition.dtype)


def _ref(condition: Any, *, message: str) -> Any:
    if not condition:
        raise CheckError(message)
    return np.bool_(condition)


def _batch(args: Any, axes: Any, *, message: str) -> Any:
    return call("ensure", call("amin", args[0], axes=(axes[0],), keepdim=False), message=message), None


ensure_p = Primitive(
    "ensure",
    out=_out,
    ref=_ref,
    vjp=None,
    why="a condition does not depend on anything continuously",
    batch=_batch,
    lower=Elementwise("copy"),
    samples=lambda rng: [Sample((np.array(True),), {"message": "it holds"})],
    bad=lambda rng: [Sample((np.ones(2, np.bool_),), {"message": "one bool"})],
    doc="The condition itself, which must hold: the program stops otherwise, before it writes state. Never dead code.",
)


def ensure(condition: Any, message: str) -> None:
    """Stop unless every element of `condition` holds.

    A compiled step that meets a condition which does not hold stops before it updates anything: parameters, statistics
    and optimizer state stay as they were. Use it where an `if` on a value, with a `raise`, would stand in plain Python.

    Args:
        condition: a bool tensor of any shape, or a bool.
        message: what the error says.
    Raises: CheckError with `message` if an element is false, inside loops and branches of a traced function too.

    >>> import twinflow
    >>> @twinflow.compile
    ... def root(x):
    ...     twinflow.ensure(x >= 0, "root: x must not be negative")
    ...     return x.sqrt()
    >>> root(twinflow.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """
    if not isinstance(condition, Tensor):
        if not condition:
            raise CheckError(message)
        return
    holds = as_bool(condition, "ensure")
    holds = holds if holds._data.shape == () else holds.all()
    tracer = current_tracer()
    if tracer is not None and tracer.body:  # a guard cannot leave a body; an effect in it raises when it comes by
        run_effect(check_p, holds, message=message)
    else:
        apply(ensure_p, holds, message=message)
