"""Effects of a graph that are not results: printing values, and checking them where a guard cannot stand (see `ensure`).

Both rows take a counter and return it increased. The counter is a tensor that the functions below write in place, as a
generator's state is: so an effect is never dropped as unused, effects keep their order, and loops and branches carry them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckError, GradientError
from twinflow.graph import Aval, Primitive, Sample
from twinflow.ops._create import tensor
from twinflow.ops._declare import want
from twinflow.tensor import Tensor, apply, assign, no_grad

_COUNTER = tensor(0)


def _counter_out(counter: Aval, *_: Any, **__: Any) -> Aval:
    want(counter.shape == () and counter.dtype.name == "int64", "the counter is int64[]", "effect", counter=counter)
    return counter


def _check_out(counter: Aval, ok: Aval, **_: Any) -> Aval:
    want(ok.shape == () and ok.dtype.name == "bool", "what is checked is bool[]", "check", ok=ok)
    return _counter_out(counter)


def _batch(*_: Any, **__: Any) -> Any:
    raise GradientError("vmap: values cannot be printed or checked one example at a time; do it outside")


def shown(value: Any, edge: int = 3) -> str:
    """A value as printing shows it: [1 2 3], with `edge` elements at both ends of each axis, all of them for -1.

    >>> import twinflow
    >>> from twinflow.ops import shown
    >>> shown(twinflow.arange(9.0), 2)
    '[0 1 ... 7 8]'
    """
    if not isinstance(value, (Tensor, np.ndarray)):
        return str(value)
    array = np.asarray(value.detach()._data if isinstance(value, Tensor) else value)
    return np.array2string(
        array,
        threshold=0 if edge >= 0 else array.size + 1,
        edgeitems=max(edge, 1),
        separator=" ",
        formatter={"float_kind": lambda v: f"{v:.9g}"} if array.dtype.kind == "f" else None,
    )


def _print_ref(counter: Any, *values: Any, parts: tuple[str, ...], stream: str, edge: int) -> Any:
    texts = [shown(np.asarray(v), edge) for v in values]
    text = "".join(p + t for p, t in zip(parts, (*texts, "")))
    (sys.stderr if stream == "stderr" else sys.stdout).write(text)
    return counter + 1


def _check_ref(counter: Any, ok: Any, *, message: str) -> Any:
    if not ok:
        raise CheckError(message)
    return counter + 1


_WHY = "an effect has no derivative"
_ROW: Any = {"vjp": None, "why": _WHY, "batch": _batch}
print_p = Primitive(
    "print",
    out=_counter_out,
    ref=_print_ref,
    samples=lambda rng: [Sample((np.array(0), np.array([1.0])), {"parts": ("", ""), "stream": "stdout", "edge": 3})],
    bad=lambda rng: [Sample((np.array(0.0), np.array([1.0])), {"parts": ("", "\n"), "stream": "stdout", "edge": 3})],
    doc="Writes parts[0], the first value, parts[1], ... to a stream; returns the counter plus 1.",
    **_ROW,
)
check_p = Primitive(
    "check",
    out=_check_out,
    ref=_check_ref,
    samples=lambda rng: [Sample((np.array(0), np.array(True)), {"message": "it holds"})],
    bad=lambda rng: [Sample((np.array(0), np.array(1.0)), {"message": "no truth value"})],
    doc="Raises CheckError with the message unless the value holds; returns the counter plus 1.",
    **_ROW,
)


def run_effect(row: Primitive, *values: Tensor, **params: Any) -> None:
    """Have an effect: now, or each time that the graph comes by."""
    with no_grad():
        assign(_COUNTER, apply(row, _COUNTER, *[v.detach() for v in values], **params), row.name)


def print_values(values: Any, *, sep: str = " ", end: str = "\n", file: Any = None, edge: int = 3) -> None:
    """Print values, each time that the graph comes by if a function is being traced.

    Args:
        values: tensors, and anything else as its text.
        edge: how many elements are shown at both ends of each axis; -1 for all.
        file: `sys.stdout` (which None stands for) or `sys.stderr`.

    >>> import twinflow
    >>> from twinflow.ops import print_values
    >>> @twinflow.compile
    ... def f(x):
    ...     print_values(["x is", x])
    ...     return x
    >>> _ = f(twinflow.tensor(2.0))
    x is 2
    """
    if file not in (None, sys.stdout, sys.stderr):
        raise ArgumentError(
            "print: in a traced function values go to sys.stdout or sys.stderr; return them to write them elsewhere"
        )
    tensors: list[Tensor] = []
    parts = [""]
    for k, v in enumerate(values):
        parts[-1] += sep if k else ""
        if isinstance(v, Tensor):
            tensors.append(v)
            parts.append("")
        else:
            parts[-1] += str(v)
    parts[-1] += end
    stream = "stdout" if file in (None, sys.stdout) else "stderr"
    run_effect(print_p, *tensors, parts=tuple(parts), stream=stream, edge=edge)
