"""The primitives `cond` and `while_loop`: one of two graphs, and a graph repeated until another says stop."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import as_dtype
from twinflow.core.errors import GradientError
from twinflow.graph import Aval, Graph, Primitive, Sample, interpret
from twinflow.graph.lowering import Control
from twinflow.ops._body import replay, subgraph, zeros_of
from twinflow.ops._declare import call, want
from twinflow.ops._shape import batched, to_front
from twinflow.tensor import Tensor, apply, enable_grad, is_inexact, jvp_call, run_backward, vmap_call, zeros_for

_BOOL = as_dtype("bool")


def _is_pred(a: Any) -> bool:
    return a.shape == () and a.dtype is _BOOL


# -- cond -------------------------------------------------------------------------------------------------------


def _cond_out(pred: Aval, *operands: Aval, on_true: Graph, on_false: Graph) -> Any:
    want(_is_pred(pred), "the predicate is one bool", "cond", predicate=pred)
    for branch in (on_true, on_false):
        want(len(operands) == len(branch.inputs), f"{len(branch.inputs)} operands are given", "cond")
        for x, node in zip(operands, branch.inputs):
            want(x == node.aval, f"the operand is {node.aval!r}", "cond", operand=x)
    yes, no = (tuple(o.aval for o in b.outputs) for b in (on_true, on_false))
    want(yes == no, "both branches give the same shapes and types", "cond", on_true=yes, on_false=no)
    return yes


def _avals(operands: Any) -> list[Aval]:
    return [Aval(tuple(x._data.shape), x.dtype) for x in operands]


def _branch_vjp(branch: Graph, operands: Any, wanted: list[int], given: list[int], cts: list[Tensor]) -> Graph:
    n = len(operands)

    def step(*xs: Tensor) -> list[Tensor]:
        ins, gs = xs[:n], dict(zip(given, xs[n:]))
        with enable_grad():
            for k in wanted:
                ins[k].requires_grad_(True)
            outs = replay(branch, ins)
        roots = [(outs[k], g) for k, g in gs.items() if outs[k].requires_grad]
        found: list[Any] = [None] * len(wanted)
        if roots:
            targets = [ins[k] for k in wanted]
            found = run_backward([o for o, _ in roots], [g for _, g in roots], inputs=targets, accumulate=False)
        return [zeros_of(ins[k]._data.aval) if f is None else f for k, f in zip(wanted, found)]

    return subgraph("cond_backward", step, [*_avals(operands), *_avals(cts)])


def _cond_vjp(g: Any, _y: Any, pred: Tensor, *operands: Any, on_true: Graph, on_false: Graph) -> Any:
    wanted = [k for k, x in enumerate(operands) if x.requires_grad]
    given = [k for k, c in enumerate(g) if c is not None]
    cts = [g[k] for k in given]
    branches = [_branch_vjp(b, operands, wanted, given, cts) for b in (on_true, on_false)]
    found = dict(zip(wanted, apply(cond_p, pred, *operands, *cts, on_true=branches[0], on_false=branches[1])))
    return [None, *(found.get(k) for k in range(len(operands)))]


def _tangent_graph(name: str, branch: Graph, operands: Any, has: list[bool], tangents: list[Tensor]) -> Graph:
    n = len(operands)

    def step(*xs: Tensor) -> list[Tensor]:
        given = iter(xs[n:])
        outs, d = jvp_call(lambda *p: replay(branch, list(p)), list(xs[:n]), [next(given) if h else None for h in has])
        return [zeros_for(o) if t is None else t for o, t in zip(outs, d) if is_inexact(o)]

    return subgraph(name, step, [*_avals(operands), *_avals(tangents)])


def _cond_jvp(t: Any, y: Any, pred: Tensor, *operands: Any, on_true: Graph, on_false: Graph) -> Any:
    has = [d is not None for d in t[1:]]
    tangents = [d for d in t[1:] if d is not None]
    yes, no = (_tangent_graph("cond_jvp", b, operands, has, tangents) for b in (on_true, on_false))
    found = iter(apply(cond_p, pred, *operands, *tangents, on_true=yes, on_false=no))
    return tuple(next(found) if is_inexact(o) else None for o in y)


def _size(args: Any, axes: Any) -> int:
    return next(x._data.shape[a] for x, a in zip(args, axes) if a is not None)


def _cond_batch(args: Any, axes: Any, *, on_true: Graph, on_false: Graph) -> Any:
    n = _size(args, axes)
    pred, operands = args[0], [x if a is None else to_front(x, a) for x, a in zip(args[1:], axes[1:])]
    places = [None if a is None else 0 for a in axes[1:]]

    def branch(graph: Graph) -> Any:
        def run(*xs: Tensor) -> list[Tensor]:
            outs, at = vmap_call(lambda *o: replay(graph, list(o)), list(xs), places, n)
            return [batched(o, a, n) for o, a in zip(outs, at)]

        return run

    yes, no = branch(on_true), branch(on_false)
    if axes[0] is None:
        avals = _avals(operands)
        graphs = {"on_true": subgraph("cond", yes, avals), "on_false": subgraph("cond", no, avals)}
        return apply(cond_p, pred, *operands, **graphs), 0
    pred = to_front(pred, axes[0])
    return [_choose(pred, a, b) for a, b in zip(yes(*operands), no(*operands))], 0


def _choose(pred: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """a where the example's predicate holds."""
    n = pred._data.shape[0]
    column = call("reshape", pred, shape=(n,) + (1,) * (len(a._data.shape) - 1))
    return call("where", column, a, b)


def _cond_samples(rng: np.random.Generator) -> list[Sample]:
    aval = Aval((3,), as_dtype("float64"))
    yes = subgraph("yes", lambda x, w: [call("sin", x) * w, x * 2.0], [aval, aval])
    no = subgraph("no", lambda x, w: [x * x * 1.0, w + 0.0], [aval, aval])
    params = {"on_true": yes, "on_false": no}
    return [Sample((np.array(p), rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3)), params) for p in (True, False)]


cond_p: Primitive = Primitive(
    "cond",
    out=_cond_out,
    ref=lambda pred, *operands, on_true, on_false: tuple(interpret(on_true if pred else on_false, operands)),
    vjp=_cond_vjp,
    jvp=_cond_jvp,
    batch=_cond_batch,
    lower=Control("cond"),
    samples=_cond_samples,
    bad=lambda rng: [
        Sample((np.array(1.0), *_cond_samples(rng)[0].args[1:]), _cond_samples(rng)[0].params),
        Sample((np.array(True), np.ones(2), np.ones(3)), _cond_samples(rng)[0].params),
    ],
    n_out=0,
    doc="The results of the first graph if the predicate holds, else of the second. Only that one runs.",
)


# -- while_loop -------------------------------------------------------------------------------------------------


def _while_out(*operands: Aval, test: Graph, body: Graph, n_test: int, n_body: int) -> Any:
    carry = operands[n_test + n_body :]
    for graph, given in ((test, (*operands[:n_test], *carry)), (body, operands[n_test:])):
        want(len(given) == len(graph.inputs), f"{len(graph.inputs)} operands are given", "while_loop")
        for x, node in zip(given, graph.inputs):
            want(x == node.aval, f"the operand is {node.aval!r}", "while_loop", operand=x)
    want(len(test.outputs) == 1 and _is_pred(test.outputs[0].aval), "the test gives one bool", "while_loop")
    outs = tuple(o.aval for o in body.outputs)
    want(outs == tuple(carry), "the body keeps the carry's shapes and types", "while_loop", carry=carry, result=outs)
    return outs


def _while_ref(*operands: Any, test: Graph, body: Graph, n_test: int, n_body: int) -> Any:
    ops = list(operands)
    carry = ops[n_test + n_body :]
    while interpret(test, [*ops[:n_test], *carry])[0]:
        carry = interpret(body, [*ops[n_test : n_test + n_body], *carry])
    return tuple(carry)


def _while_vjp(g: Any, _y: Any, *_operands: Any, test: Graph, body: Graph, n_test: int, n_body: int) -> Any:
    raise GradientError(
        "while_loop: there is no reverse-mode derivative, because the number of steps, and so the memory for what backward needs, "
        "is not known; use scan, or fori_loop with bounds that are Python numbers, or forward mode (func.jvp)"
    )


def _while_jvp(t: Any, y: Any, *operands: Any, test: Graph, body: Graph, n_test: int, n_body: int) -> Any:
    n_fixed = n_test + n_body
    consts, carry = operands[n_test:n_fixed], operands[n_fixed:]
    has_c = [d is not None for d in t[n_test:n_fixed]]
    has_i = [is_inexact(x) for x in carry]
    tc = [d for d in t[n_test:n_fixed] if d is not None]
    ti = [zeros_for(x) if d is None else d for x, d, h in zip(carry, t[n_fixed:], has_i) if h]
    n, m = len(carry), len(ti)
    avals = _avals(operands)

    def step(*xs: Tensor) -> list[Tensor]:
        c, dc = xs[:n_body], iter(xs[n_body : n_body + len(tc)])
        rest = xs[n_body + len(tc) :]
        i, di = rest[:n], iter(rest[n:])
        duals = [next(dc) if h else None for h in has_c] + [next(di) if h else None for h in has_i]
        outs, d = jvp_call(lambda *p: replay(body, list(p)), [*c, *i], duals)
        return [*outs, *(zeros_for(o) if x is None else x for o, x, h in zip(outs, d, has_i) if h)]

    wide = subgraph("while_jvp", step, [*avals[n_test:n_fixed], *_avals(tc), *avals[n_fixed:], *_avals(ti)])
    ask = subgraph(
        "while_test",
        lambda *xs: replay(test, list(xs[: len(xs) - m])),
        [*avals[:n_test], *avals[n_fixed:], *_avals(ti)],
    )
    out = apply(
        while_p, *operands[:n_test], *consts, *tc, *carry, *ti, test=ask, body=wide, n_test=n_test, n_body=n_body + len(tc)
    )  # fmt: skip
    found = iter(out[n:])
    return tuple(next(found) if h else None for h in has_i)


def _while_batch(args: Any, axes: Any, *, test: Graph, body: Graph, n_test: int, n_body: int) -> Any:
    n = _size(args, axes)
    n_fixed = n_test + n_body
    mapped = [a is not None for a in axes]

    while True:  # which carries become mapped, and whether the test does
        flags = mapped[:n_test] + mapped[n_fixed:]
        ends_apart = _mapped_outputs(test, flags, n)[0]
        now = _mapped_outputs(body, mapped[n_test:], n)
        after = [a or b or ends_apart for a, b in zip(mapped[n_fixed:], now)]
        if after == mapped[n_fixed:]:
            break
        mapped[n_fixed:] = after

    carried = mapped[n_fixed:]

    def ask(*xs: Tensor) -> list[Tensor]:
        (p,), _ = _run_mapped(test, xs, flags, n)
        if not ends_apart:
            return [p]
        return [call("gt", call("sum", call("cast", p, dtype=as_dtype("int64")), axes=(0,), keepdim=False), 0)]

    def step(tests: Any, rest: Any) -> list[Tensor]:
        carry = rest[n_body:]
        outs, at = _run_mapped(body, rest, mapped[n_test:], n)
        outs = [batched(o, None, n) if c and not a else o for o, a, c in zip(outs, at, carried)]
        if ends_apart:  # examples that have ended keep their carry
            (p,), _ = _run_mapped(test, (*tests, *carry), flags, n)
            outs = [_choose(p, o, old) for o, old in zip(outs, carry)]
        return outs

    every = [
        Aval((n, *x.aval.shape) if m else x.aval.shape, x.aval.dtype)
        for x, m in zip((*test.inputs[:n_test], *body.inputs), mapped)
    ]
    graph_test = subgraph("while_vmap", ask, every[:n_test] + every[n_fixed:])
    k = n_test if ends_apart else 0  # then the body reads the test's constants too
    graph_body = subgraph("while_vmap", lambda *xs: step(xs[:k], xs[k:]), every[n_test - k :])
    consts_body, extra = n_body + k, range(n_test - k, n_fixed)
    values = [batched(x, a, n) if m else x for x, a, m in zip(args, axes, mapped)]
    out = apply(
        while_p, *values[:n_test], *[values[k] for k in extra], *values[n_fixed:],
        test=graph_test, body=graph_body, n_test=n_test, n_body=consts_body,
    )  # fmt: skip
    return out, [0 if c else None for c in carried]


def _run_mapped(graph: Graph, xs: Any, flags: list[bool], n: int) -> tuple[list[Tensor], list[bool]]:
    """The graph mapped over the leading axis of the flagged operands: results, and which of them are mapped."""
    outs, at = vmap_call(lambda *o: replay(graph, list(o)), list(xs), [0 if f else None for f in flags], n)
    return [to_front(o, a) for o, a in zip(outs, at)], [a is not None for a in at]


def _mapped_outputs(graph: Graph, flags: list[bool], n: int) -> list[bool]:
    """Which results are mapped if the flagged operands are."""
    found: list[bool] = []

    def run(*xs: Tensor) -> list[Tensor]:
        outs, at = _run_mapped(graph, xs, flags, n)
        found.extend(at)
        return outs

    shapes = ((n, *x.aval.shape) if f else x.aval.shape for x, f in zip(graph.inputs, flags))
    subgraph("while_vmap", run, [Aval(s, x.aval.dtype) for s, x in zip(shapes, graph.inputs)])
    return found


def _while_samples(rng: np.random.Generator) -> list[Sample]:
    f, i = Aval((3,), as_dtype("float64")), Aval((), as_dtype("int64"))
    test = subgraph("test", lambda stop, x, k: [call("lt", k, stop)], [i, f, i])
    body = subgraph("body", lambda w, x, k: [call("tanh", x * w), call("add", k, 1)], [f, f, i])
    params = {"test": test, "body": body, "n_test": 1, "n_body": 1}
    return [
        Sample((np.array(stop), rng.uniform(-1, 1, 3), rng.uniform(-1, 1, 3), np.array(0)), params) for stop in (0, 3)
    ]


while_p: Primitive = Primitive(
    "while_loop",
    out=_while_out,
    ref=_while_ref,
    vjp=_while_vjp,
    jvp=_while_jvp,
    batch=_while_batch,
    lower=Control("while_loop"),
    samples=_while_samples,
    bad=lambda rng: [
        Sample((np.array(1), np.ones(2), np.ones(3), np.array(0)), _while_samples(rng)[0].params),
    ],
    n_out=0,
    doc="carry <- body(constants, carry) as long as test(constants, carry) holds.",
)
