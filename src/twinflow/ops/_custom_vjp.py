"""The primitive `custom_vjp`: values with a derivative written by hand, inside the graph of a loop's body or a branch.

Elsewhere such a derivative is an entry on the tape, which holds a Python function. The graph of a body outlives its tape: it is run
again, and differentiated there. So the function is traced into a graph of its own at once, and stands in the node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twinflow.core.errors import GradientError, TraceError
from twinflow.graph import Aval, Graph, Primitive
from twinflow.graph.lowering import Named
from twinflow.ops._body import Body, differentiable, replay, subgraph
from twinflow.ops._declare import want
from twinflow.ops._shape import batched
from twinflow.tensor import MODE, Tensor, apply, payload, vmap_call, wrap, zeros_for

Rule = Callable[[tuple[Tensor | None, ...]], Sequence[Tensor | None]]


def _out(*operands: Any, backward: Graph | None, reaches: tuple[int, ...], n_result: int, rule: str) -> Any:
    want(0 < n_result <= len(operands), f"the first {n_result} operands are the results", "custom_vjp")
    if backward is not None:
        want(len(reaches) == len(backward.outputs), "each gradient has its operand", "custom_vjp", reaches=reaches)
        for k, g in zip(reaches, backward.outputs):
            what = f"backward's gradient for tensor {k - n_result} has its shape and type, {operands[k]!r}"
            want(g.aval == operands[k], what, rule, gradient=g.aval)
        given = [*operands[:n_result] * 2, *_others(operands, backward, n_result)]
        for x, node in zip(given, backward.inputs, strict=True):
            want(x == node.aval, f"the operand is {node.aval!r}", "custom_vjp", operand=x)
    return tuple(operands[:n_result])


def _others(operands: Any, backward: Graph, n_result: int) -> Any:
    """The last operands: what backward reads beside the gradients of the results and these themselves."""
    return operands[len(operands) + 2 * n_result - len(backward.inputs) :]


def _vjp(g: Any, y: Any, *operands: Any, backward: Graph | None, reaches: Any, n_result: int, rule: str) -> Any:
    if backward is None:
        raise GradientError(f"{rule}: this backward is marked once_differentiable: it has no second derivative")
    cts = [zeros_for(x) if c is None else c for c, x in zip(g, operands)]
    gradients = replay(backward, [*cts, *y, *_others(operands, backward, n_result)])
    found: dict[int, Tensor] = dict(zip(reaches, gradients))
    return [found.get(k) for k in range(len(operands))]


def _jvp(_t: Any, _y: Any, *_operands: Any, backward: Any, reaches: Any, n_result: int, rule: str) -> Any:
    raise GradientError(f"{rule}: a Function has no forward-mode derivative; use reverse mode (grad, vjp, jacrev)")


def _batch(args: Any, axes: Any, *, backward: Graph | None, reaches: Any, n_result: int, rule: str) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    mapped = None
    if backward is not None:
        inside = backward

        def each(*xs: Tensor) -> list[Tensor]:
            outs, at = vmap_call(lambda *o: replay(inside, list(o)), list(xs), [0] * len(xs), n)
            return [batched(o, a, n) for o, a in zip(outs, at)]

        avals = [Aval((n, *x.aval.shape), x.aval.dtype) for x in inside.inputs]
        mapped = subgraph("custom_vjp", each, avals)
    operands = [batched(x, a, n) for x, a in zip(args, axes)]
    outs = apply(custom_vjp, *operands, backward=mapped, reaches=reaches, n_result=n_result, rule=rule)
    return outs, [0] * n_result


custom_vjp: Primitive = Primitive(
    "custom_vjp",
    out=_out,
    ref=lambda *operands, n_result, **_: operands[:n_result],
    vjp=_vjp,
    jvp=_jvp,
    batch=_batch,
    lower=Named("custom_vjp"),
    samples=None,  # its derivative is what the graph says, not what numbers would show
    n_out=0,
    doc="Its first operands as they are; their derivative is the graph `backward` of the results' gradients, the results, and the "
    "last operands, and goes to the operands `reaches`.",
)


def in_body(tensors: Sequence[Tensor]) -> bool:
    """Whether an operation on these tensors is part of the graph of a loop's body or a branch."""
    tracer = MODE.tracer
    return tracer is not None and tracer.body and all(getattr(payload(t), "level", 0) < tracer.level for t in tensors)


def record_in_body(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], rule: Rule | None) -> None:
    """Let `outputs`, which were computed from `inputs`, have the derivative `rule` in the graph of the body that is traced.

    `rule` takes the gradients of all outputs to those of the inputs. Without one, differentiation is an error.
    """
    smooth = [k for k, t in enumerate(outputs) if differentiable(t.dtype)]
    if not smooth or not any(differentiable(t.dtype) for t in inputs):
        return
    results = [outputs[k] for k in smooth]
    reaches: list[int] = []

    def way_back(*cts: Tensor) -> list[Tensor]:
        given: list[Tensor | None] = [None] * len(outputs)
        for k, g in zip(smooth, cts):
            given[k] = g
        found = [] if rule is None else rule(tuple(given))
        there = [(k, g) for k, g in enumerate(found) if g is not None and differentiable(inputs[k].dtype)]
        reaches.extend(len(smooth) + k for k, _ in there)
        return [g for _, g in there]

    backward = Body(name, way_back, results)
    if backward.written:
        raise TraceError(
            f"{name}: its backward writes a tensor in place, which is not possible in the body of a traced loop or branch; let it "
            "only compute gradients"
        )
    own = {id(t) for t in results}
    others = [(t, node) for t, node in zip(backward.captured, backward.captured_inputs) if id(t) not in own]
    backward.graph.inputs = [*backward.inputs, *backward.align(results), *(node for _, node in others)]
    made = apply(
        custom_vjp, *[wrap(payload(t)) for t in results], *inputs, *[t for t, _ in others],
        backward=None if rule is None else backward.graph, reaches=tuple(reaches), n_result=len(results), rule=name,
    )  # fmt: skip
    for t, value in zip(results, made):
        t._data, t._meta = value._data, value._meta
