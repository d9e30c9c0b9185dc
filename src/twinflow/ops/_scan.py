"""The primitive `scan`: a body applied to the slices of its operands one after the other, with a carry.

Its derivatives are scans again. Reverse mode saves, in the forward scan, the values that the backward body reads (its
residuals) as further stacked results, and runs over them in the other direction.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import ShapeError
from twinflow.graph import Aval, Graph, Node, Primitive, Sample, interpret
from twinflow.graph.lowering import Control
from twinflow.ops._body import constant_nodes, differentiable, replay, zeros_of
from twinflow.ops._declare import call, want
from twinflow.ops._scan_sums import DeferredSums
from twinflow.ops._shape import batched, to_front
from twinflow.tensor import (
    MODE,
    PICK,
    Tensor,
    Tracer,
    apply,
    enable_grad,
    finish,
    is_inexact,
    jvp_call,
    payload,
    run_backward,
    vmap_call,
    wrap,
    zeros_for,
)


def _scan_out(*operands: Aval, body: Graph, n_const: int, n_carry: int, length: int, reverse: bool) -> Any:
    want(len(operands) == len(body.inputs), f"{len(body.inputs)} operands are given", "scan")
    for k, (x, node) in enumerate(zip(operands, body.inputs)):
        if k < n_const + n_carry:
            want(x == node.aval, f"operand {k} is {node.aval!r}", "scan", operand=x)
        else:
            each = Aval(x.shape[1:], x.dtype)
            want(
                bool(x.shape) and each == node.aval and x.shape[0] == length,
                f"operand {k} is {length} slices of {node.aval!r}", "scan", operand=x,
            )  # fmt: skip
    outs = [x.aval for x in body.outputs]
    for k in range(n_carry):
        want(outs[k] == operands[n_const + k], f"carry {k} keeps its shape and type", "scan", carry=outs[k])
    return (*outs[:n_carry], *(Aval((length, *a.shape), a.dtype) for a in outs[n_carry:]))


def _scan_ref(*operands: Any, body: Graph, n_const: int, n_carry: int, length: int, reverse: bool) -> Any:
    consts, carry, xs = _parts(operands, n_const, n_carry)
    ys = [np.empty((length, *a.aval.shape), a.aval.dtype.np) for a in body.outputs[n_carry:]]
    for t in reversed(range(length)) if reverse else range(length):
        outs = interpret(body, [*consts, *carry, *[np.asarray(x[t]) for x in xs]])
        carry = outs[:n_carry]
        for y, o in zip(ys, outs[n_carry:]):
            y[t] = o
    return (*carry, *ys)


def _parts(operands: Any, n_const: int, n_carry: int) -> tuple[list[Any], list[Any], list[Any]]:
    ops = list(operands)
    return ops[:n_const], ops[n_const : n_const + n_carry], ops[n_const + n_carry :]


# -- reverse mode -----------------------------------------------------------------------------------------------


class _Linearized:
    """The body's forward graph with residuals among its results, and the graph that takes one step back."""

    def __init__(self, body: Graph, n_const: int, n_carry: int, wanted: list[bool], ct_ys: list[int]) -> None:
        """`wanted`: which inputs need gradients; `ct_ys`: which stacked results have one."""
        with enable_grad(), Tracer("scan_forward") as fwd:
            ins = [wrap(fwd.graph.add_input(node.aval, node.name)) for node in body.inputs]
            for t, w in zip(ins, wanted):
                if w:
                    t.requires_grad_(True)
            outs = replay(body, ins)
            nodes = [fwd.node_of(o) for o in outs]
            with Tracer("scan_backward") as bwd:
                self._step_back(bwd, ins, outs, n_const, n_carry, wanted, ct_ys)
        self._residuals(body, fwd, bwd, ins, nodes, n_const, n_carry)

    def stacked(
        self, ct_ys: list[Tensor], operands: Any, residuals: list[Tensor], ys: list[Tensor]
    ) -> dict[Node, Tensor]:
        """The values at every step of what the sums after the loop are made of."""
        found = dict(zip(self.ct_y_nodes, ct_ys))
        found |= {n: operands[k] if kind == "x" else residuals[k] for n, (kind, k) in zip(self.x_nodes, self.xs)}
        return found | dict(zip(self.extra, ys))

    def _step_back(
        self,
        bwd: Tracer,
        ins: list[Tensor],
        outs: list[Tensor],
        n_const: int,
        n_carry: int,
        wanted: list[bool],
        ct_ys: list[int],
    ) -> None:
        def fresh(aval: Any) -> Tensor:
            return wrap(bwd.graph.add_input(aval))

        carries = [k for k in range(n_carry) if wanted[n_const + k]]
        consts = [k for k in range(n_const) if wanted[k]]
        ct_carry = {k: fresh(outs[k]._data.aval) for k in carries}
        sums = {k: fresh(ins[k]._data.aval) for k in consts}
        ct_y = {k: fresh(outs[n_carry + k]._data.aval) for k in ct_ys}
        roots = [(outs[k], g) for k, g in ct_carry.items()] + [(outs[n_carry + k], g) for k, g in ct_y.items()]
        roots = [(o, g) for o, g in roots if o.requires_grad]
        targets = [k for k, w in enumerate(wanted) if w]
        found: dict[int, Tensor | None] = dict.fromkeys(targets)
        if roots:
            grads = run_backward(
                [o for o, _ in roots],
                [g for _, g in roots],
                inputs=[ins[k] for k in targets],
                accumulate=False,
            )
            found = dict(zip(targets, grads))
        changing = set(bwd.graph.nodes) | {bwd.node_of(x) for x in (*ct_carry.values(), *ct_y.values())}
        fixed = constant_nodes(ins[0]._data.graph, {ins[k]._data for k in range(n_const)}) if ins else set()
        changing |= {node for t, node in bwd.captured if payload(t) not in fixed}
        gradients = {k: bwd.node_of(g) for k in consts if (g := found[k]) is not None}
        self.deferred = DeferredSums(bwd.graph, gradients, lambda node: node not in changing)
        consts = [k for k in consts if k not in self.deferred]
        bwd.graph.inputs = [n for n in bwd.graph.inputs if n not in {sums[k]._data for k in self.deferred.roots}]
        self.accumulated = consts
        self.n_carry = len(carries) + len(consts)
        self.ct_y_nodes = [x._data for x in ct_y.values()]
        results: list[Tensor] = []
        for k in carries:
            g = found[n_const + k]
            results.append(zeros_of(outs[k]._data.aval) if g is None else g)
        for k in consts:
            g = found[k]
            results.append(sums[k] if g is None else call("add", sums[k], g))
        for k in targets:
            if k >= n_const + n_carry:
                g = found[k]
                results.append(zeros_of(ins[k]._data.aval) if g is None else g)
        known = set(bwd.graph.inputs) - {x._data for x in ct_carry.values()}  # those are not stacked anywhere
        self.extra = [f for f in self.deferred.factors if f not in known]
        bwd.graph.outputs = [*(bwd.node_of(r) for r in results), *self.extra]

    def _residuals(
        self, body: Graph, fwd: Tracer, bwd: Tracer, ins: list[Tensor], nodes: list[Any], n_const: int, n_carry: int
    ) -> None:
        """Where each forward value that the backward step reads comes from: an operand, a constant, or a new result."""
        place = {t._data: k for k, t in enumerate(ins)}
        constant = constant_nodes(fwd.graph, set(fwd.graph.inputs[:n_const]))
        saved: dict[Node, int] = {}
        self.consts: list[Node] = []  # forward nodes that do not change from step to step
        self.xs: list[tuple[str, int]] = []  # ("x", k): operand k; ("r", k): residual k
        const_inputs: list[Node] = []
        x_inputs: list[Node] = []
        for t, node in bwd.captured:
            source = payload(t)
            if source in constant:
                self.consts.append(source)
                const_inputs.append(node)
                continue
            x_inputs.append(node)
            k = place.get(source, -1)
            if k >= n_const + n_carry:
                self.xs.append(("x", k))
            else:
                self.xs.append(("r", saved.setdefault(source, len(saved))))
        given = [n for n in bwd.graph.inputs if n not in set(const_inputs) | set(x_inputs)]
        bwd.graph.inputs = [*const_inputs, *given, *x_inputs]
        fwd.graph.outputs = [*nodes, *saved]
        self.n_residual = len(saved)
        self.n_const = len(const_inputs)
        self.x_nodes = x_inputs
        self.forward = fwd.graph
        self.backward = bwd.graph


def _scan_vjp(
    g: Any, y: Any, *operands: Any, body: Graph, n_const: int, n_carry: int, length: int, reverse: bool
) -> Any:
    consts, init, _xs = _parts(operands, n_const, n_carry)
    wanted = [
        t.requires_grad if k < n_const or k >= n_const + n_carry else differentiable(t.dtype)
        for k, t in enumerate(operands)
    ]
    g = _last_as_carry(g, body, n_carry, [n for n in range(n_carry) if wanted[n_const + n]], length, reverse)
    ct_ys = [k for k in range(len(g) - n_carry) if g[n_carry + k] is not None]
    step = _Linearized(body, n_const, n_carry, wanted, ct_ys)
    residuals: list[Tensor] = []
    if step.n_residual:
        params = {"body": step.forward, "n_const": n_const, "n_carry": n_carry, "length": length, "reverse": reverse}
        outs = _with_residuals(y, operands, body, params)
        residuals = list(outs[len(outs) - step.n_residual :])
    hoisted = replay(step.forward, list(operands), step.consts)
    ct_init = [g[k] if g[k] is not None else zeros_for(init[k]) for k in range(n_carry) if wanted[n_const + k]]
    sums = [zeros_for(consts[k]) for k in step.accumulated]
    ct_stacked = [g[n_carry + k] for k in ct_ys]
    back_xs = [operands[k] if kind == "x" else residuals[k] for kind, k in step.xs]
    grads = apply(
        scan_p, *hoisted, *ct_init, *sums, *ct_stacked, *back_xs,
        body=step.backward, n_const=step.n_const, n_carry=step.n_carry, length=length, reverse=not reverse,
    )  # fmt: skip
    found = iter(grads)
    by_operand: dict[int, Tensor] = {}
    for group in (range(n_const, n_const + n_carry), step.accumulated, range(n_const + n_carry, len(operands))):
        for k in group:
            if wanted[k]:
                by_operand[k] = next(found)
    by_operand |= step.deferred.totals(step.stacked(ct_stacked, operands, residuals, list(found)))
    return [by_operand.get(k) for k in range(len(operands))]


def _last_as_carry(g: Any, body: Graph, n_carry: int, wanted: list[int], length: int, reverse: bool) -> list[Any]:
    """The gradients of all results, where one that is of a stacked result's last step alone is that of the final carry, if both
    are the same: so no zeros are stacked for all other steps."""
    out = list(g)
    for k in range(n_carry, len(out)):
        last = None if out[k] is None else _of_last_step(out[k], length, reverse)
        same = next((n for n in wanted if body.outputs[n] is body.outputs[k]), None)
        if last is not None and same is not None:
            out[same] = last if out[same] is None else call("add", out[same], last)
            out[k] = None
    return out


def _of_last_step(g: Tensor, length: int, reverse: bool) -> Tensor | None:
    """The last step's part of a traced [T, ...] that is zeros around it by the graph; None for any other."""
    node = payload(g)
    if g.requires_grad or not isinstance(node, Node):
        return None
    axes = tuple(range(node.aval.ndim))
    if node.op == "permute":
        axes, node = tuple(node.params["axes"]), node.inputs[0]
    if not isinstance(node, Node) or node.op != "pad" or node.params["value"] != 0 or any(node.params["interior"]):
        return None
    around = [(low, high) for low, high in zip(node.params["low"], node.params["high"])]
    time = around.pop(axes[0])
    if time != ((0, length - 1) if reverse else (length - 1, 0)) or any(low or high for low, high in around):
        return None
    part = call("permute", wrap(node.inputs[0]), axes=axes)
    return call("reshape", part, shape=tuple(part._data.shape[1:]))


def _with_residuals(y: tuple[Tensor, ...], operands: Any, body: Graph, params: dict[str, Any]) -> tuple[Tensor, ...]:
    """The scan with residuals among its results. Inside one trace, the forward scan is given them after the fact, so
    that nothing is computed twice."""
    tracer = MODE.tracer
    first = payload(y[0])
    if tracer is not None and isinstance(first, Node) and first.graph is tracer.graph and first.prim is PICK[0]:
        node = first.inputs[0]
        if node.prim is scan_p and node.params["body"] is body:
            node.params = params
            node.aval = _scan_out(*(x.aval for x in node.inputs), **params)
            known = [wrap(t._data) for t in y]
            more = [
                wrap(tracer.graph.add(PICK[0], (node,), {"index": i}, aval=node.aval[i], line=node.line))
                for i in range(len(y), len(node.aval))
            ]
            return finish(scan_p, operands, params, (*known, *more))
    return apply(scan_p, *operands, **params)


# -- forward mode and vmap --------------------------------------------------------------------------------------


def _scan_jvp(
    t: Any, y: Any, *operands: Any, body: Graph, n_const: int, n_carry: int, length: int, reverse: bool
) -> Any:
    """The carry and its tangent go through one scan; every floating carry has a tangent."""
    has = [is_inexact(x) if n_const <= k < n_const + n_carry else t[k] is not None for k, x in enumerate(operands)]
    tangents = [zeros_for(x) if t[k] is None else t[k] for k, x in enumerate(operands) if has[k]]
    n_c = sum(has[:n_const])
    n_i = sum(has[n_const : n_const + n_carry])
    avals = [x.aval for x in body.inputs]
    dual_avals = [a for a, h in zip(avals, has) if h]
    has_y: list[bool] = []

    with Tracer("scan_jvp") as tracer:
        c, i, x = _parts(avals, n_const, n_carry)
        dc, di, dx = _parts(dual_avals, n_c, n_i)
        ordered = [[wrap(tracer.graph.add_input(a)) for a in group] for group in (c, dc, i, di, x, dx)]
        primals = [*ordered[0], *ordered[2], *ordered[4]]
        given = iter([*ordered[1], *ordered[3], *ordered[5]])
        outs, douts = jvp_call(lambda *xs: replay(body, list(xs)), primals, [next(given) if h else None for h in has])
        carry_has = has[n_const : n_const + n_carry]
        has_y = [d is not None for d in douts[n_carry:]]
        new = [d if d is not None else zeros_for(o) for o, d, h in zip(outs, douts, carry_has) if h]
        stacked = [d for d in douts[n_carry:] if d is not None]
        tracer.graph.outputs = [tracer.node_of(o) for o in (*outs[:n_carry], *new, *stacked)]
    consts, init, xs = _parts(operands, n_const, n_carry)
    tc, ti, tx = _parts(tangents, n_c, n_i)
    result = apply(
        scan_p, *consts, *tc, *init, *ti, *xs, *tx,
        body=tracer.graph, n_const=n_const + n_c, n_carry=n_carry + n_i, length=length, reverse=reverse,
    )  # fmt: skip
    found = iter(result[n_carry:])
    carry_t = [next(found) if h else None for h in has[n_const : n_const + n_carry]]
    return (*carry_t, *[next(found) if h else None for h in has_y])


def _scan_batch(args: Any, axes: Any, *, body: Graph, n_const: int, n_carry: int, length: int, reverse: bool) -> Any:
    n = next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)
    mapped = [a is not None for a in axes]
    while True:  # a carry is mapped if it begins so or becomes so
        with Tracer("scan_vmap") as tracer:
            ins = []
            for node, m in zip(body.inputs, mapped):
                s = node.aval.shape
                ins.append(wrap(tracer.graph.add_input(Aval((n, *s) if m else s, node.aval.dtype))))
            outs, at = vmap_call(lambda *xs: replay(body, list(xs)), ins, [0 if m else None for m in mapped], n)
            outs = [to_front(o, a) for o, a in zip(outs, at)]
            for k in range(n_carry):
                if at[k] is None and mapped[n_const + k]:
                    outs[k] = batched(outs[k], None, n)
            tracer.graph.outputs = [tracer.node_of(o) for o in outs]
        grown = [at[k] is not None and not mapped[n_const + k] for k in range(n_carry)]
        if not any(grown):
            break
        for k, more in enumerate(grown):
            mapped[n_const + k] |= more
    operands = []
    for k, (x, a, m) in enumerate(zip(args, axes, mapped)):
        if k < n_const + n_carry:
            operands.append(batched(x, a, n) if m else x)
        elif m:
            first = 1 if a == 0 else 0  # the scanned axis stays in front of the mapped one
            rest = [i for i in range(len(x._data.shape)) if i not in (first, a)]
            operands.append(call("permute", x, axes=(first, a, *rest)))
        else:
            operands.append(x)
    out = apply(scan_p, *operands, body=tracer.graph, n_const=n_const, n_carry=n_carry, length=length, reverse=reverse)
    places = [0 if mapped[n_const + k] else None for k in range(n_carry)]
    return out, [*places, *(1 if a is not None else None for a in at[n_carry:])]


def _cumulative_body() -> Graph:
    """carry <- tanh(carry · w) + x, y = carry: the sample body."""
    f = as_dtype("float64")
    with Tracer("step") as tracer:
        w, c, x = (wrap(tracer.graph.add_input(Aval((3,), f))) for _ in range(3))
        new = call("tanh", c * w) + x
        tracer.graph.outputs = [tracer.node_of(new), tracer.node_of(new * c)]
    return tracer.graph


def _samples(rng: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            (rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3), rng.uniform(-1, 1, (n, 3))),
            {"body": _cumulative_body(), "n_const": 1, "n_carry": 1, "length": n, "reverse": back},
        )
        for n, back in ((4, False), (3, True), (0, False))
    ]


def _bad(rng: np.random.Generator) -> list[Sample]:
    good = _samples(rng)[0]
    return [
        Sample((good.args[0], good.args[1], np.ones((5, 3))), good.params),
        Sample((good.args[0], np.ones(2), good.args[2]), good.params),
    ]


scan_p: Primitive = Primitive(
    "scan",
    out=_scan_out,
    ref=_scan_ref,
    vjp=_scan_vjp,
    jvp=_scan_jvp,
    batch=_scan_batch,
    lower=Control("scan"),
    samples=_samples,
    bad=_bad,
    n_out=0,
    doc="carry, y[t] = body(constants, carry, x[t]) for each t in order (or backwards): final carries, then stacked y.",
)


def check_length(op: str, xs: list[Tensor], length: int | None) -> int:
    """The number of steps: the leading extent that all xs share."""
    for x in xs:
        if not x._data.shape:
            raise ShapeError(f"{op}: an operand of shape () has no leading axis to go along")
    found = {x._data.shape[0] for x in xs} | ({length} if length is not None else set())
    if len(found) > 1:
        listed = ", ".join(str(tuple(x._data.shape)) for x in xs)
        raise ShapeError(
            f"{op}: the operands' leading extents (shapes {listed}) and length={length} must agree; they are {sorted(found)}"
        )
    if not found:
        raise ShapeError(f"{op}: without operands to go along, give the length")
    extent: int = found.pop()  # a named dimension stays one
    return extent
