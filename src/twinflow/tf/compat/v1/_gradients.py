"""Derivatives of static graphs: the tape's, taken while the session's program is traced."""

from __future__ import annotations

from typing import Any

from twinflow.autodiff import grad
from twinflow.core.errors import ArgumentError
from twinflow.ops import ones_like, zeros_like
from twinflow.tensor import Tensor as Value
from twinflow.tf.compat.v1._deferred import convert_to_tensor, create
from twinflow.tf.compat.v1._operations import Operation, Tensor, register
from twinflow.tf.compat.v1._run import VARIABLE, Run


def _gradients(run: Run, ys: Any, xs: Any, grad_ys: Any) -> Any:
    outs = [run.value(y) for y in ys]
    if not any(y.requires_grad for y in outs):
        return [zeros_like(run.value(x)) for x in xs]
    vectors = [ones_like(y) if g is None else run.operand(g) for y, g in zip(outs, grad_ys)]
    pairs = [(y, g) for y, g in zip(outs, vectors) if y.requires_grad]
    sources: list[list[Value]] = []
    for x in xs:
        read = _reads(run, x) if x.op.kind == VARIABLE and id(x) not in run.values else [run.value(x)]
        sources.append([s for s in read if s.requires_grad])
    flat = [s for group in sources for s in group]
    again = any(op.kind == "gradients" and op.index > run.op.index for op in run.op.graph.operations)
    found = iter(
        grad(
            [y for y, _ in pairs],
            flat,
            [g for _, g in pairs],
            retain_graph=True,
            create_graph=again and _is_differentiated(run.op),
            allow_unused=True,
        )
        if flat
        else ()
    )
    results = []
    for x, group in zip(xs, sources):
        parts = [g for g in [next(found) for _ in group] if g is not None]
        total = parts[0] if parts else zeros_like(run.value(x))
        for g in parts[1:]:
            total = total + g
        results.append(total)
    return results


def _reads(run: Run | None, variable: Tensor) -> list[Value]:
    """All the values of a variable that operations of this run have read."""
    found: list[Value] = []
    while run is not None:
        found += run.reads.get(id(variable), [])
        run = run.parent
    return found


def _is_differentiated(op: Operation) -> bool:
    """Whether another `gradients` reads what comes of this one."""
    reached = {op.index}
    for later in op.graph.operations[op.index + 1 :]:
        if any(x.op.index in reached for x in later.inputs):
            if later.kind == "gradients":
                return True
            reached.add(later.index)
    return False


_GRADIENTS = register("gradients", _gradients, raw=True, host=False)


def gradients(
    ys: Any,
    xs: Any,
    grad_ys: Any = None,
    name: str = "gradients",
    stop_gradients: Any = None,
    unconnected_gradients: str = "none",
) -> list[Any]:
    """d(sum of the ys) / dx for each of the xs: tensors of the graph, None for what no y depends on.

    Args:
        grad_ys: the gradient at each y, ones if none is given.
        unconnected_gradients: 'none', or 'zero' for zeros in the place of None.

    >>> from twinflow.tf.compat import v1 as tf
    >>> x = tf.constant(3.0)
    >>> (g,) = tf.gradients(x * x, [x])
    >>> with tf.Session() as session:
    ...     float(session.run(g))
    6.0
    """
    if stop_gradients is not None:
        raise ArgumentError("tf.gradients: wrap constants in tf.stop_gradient instead of naming them in stop_gradients")
    targets = [convert_to_tensor(y) for y in (ys if isinstance(ys, (list, tuple)) else [ys])]
    sources = list(xs) if isinstance(xs, (list, tuple)) else [xs]
    for x in (*targets, *sources):
        if not isinstance(x, Tensor):
            raise ArgumentError(f"tf.gradients: {x!r} is no tensor of the graph")
    given = grad_ys if isinstance(grad_ys, (list, tuple)) else [grad_ys] * len(targets)
    reached = _differentiable_ancestors([y for y in targets if y.dtype.is_floating_point])
    connected = [x for x in sources if id(x) in reached]
    found: dict[int, Tensor] = {}
    if connected:
        params = {
            "ys": targets,
            "xs": connected,
            "grad_ys": [None if g is None else convert_to_tensor(g) for g in given],
        }
        op = create(_GRADIENTS, params, name, [(x.shape, x.dtype) for x in connected])
        found = {id(x): g for x, g in zip(connected, op.outputs)}
    if unconnected_gradients == "zero":
        return [found[id(x)] if id(x) in found else convert_to_tensor(0.0, x.dtype) for x in sources]
    return [found.get(id(x)) for x in sources]


_CONSTANT = {"StopGradient", "stop_gradient", "floor", "ceil", "round", "sign", "zeros_like", "ones_like"}


def _differentiable_ancestors(ys: list[Tensor]) -> set[int]:
    """The tensors (by id) that some y depends on through floating tensors."""
    seen: set[int] = set()
    stack = list(ys)
    while stack:
        x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if x.op.kind not in _CONSTANT:
            stack += [y for y in x.op.inputs if y.dtype.is_floating_point]
    return seen
