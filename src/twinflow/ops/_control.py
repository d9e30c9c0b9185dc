"""Control flow on tensors' values: cond, while_loop, scan, fori_loop and map.

In plain evaluation they are Python's own `if` and `for`. While a function is traced each is one node of the graph, with
the bodies as graphs inside it: size and compile time do not grow with the number of steps.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import as_dtype, tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.ops._body import Body, describe_mismatch, leaf_tensor, union, write_back
from twinflow.ops._branch import cond_p, while_p
from twinflow.ops._counting import known_steps
from twinflow.ops._create import arange, as_tensor
from twinflow.ops._declare import call
from twinflow.ops._scan import check_length, scan_p
from twinflow.ops._shaping import stack
from twinflow.ops._unstack import unstack
from twinflow.tensor import MODE, Tensor, apply, operand_aval, payload


def _traced(*values: Any) -> bool:
    """Whether the values are unknown: a function is being traced, or they differ from example to example of a vmap."""
    if MODE.tracer is not None:
        return True
    return any(isinstance(v, Tensor) and not isinstance(_known(v), np.ndarray) for v in values)


def _known(t: Tensor) -> Any:
    p = payload(t)
    while not isinstance(p, np.ndarray) and hasattr(p, "value") and p.transform == "jvp":
        p = payload(p.value)
    return p


def _own(values: Sequence[Any]) -> list[Any]:
    """Copies of tensors: what goes in and out of a loop or branch shares no memory with anything, compiled or not."""
    return [call("copy", v) if isinstance(v, Tensor) else v for v in values]


# -- scan -------------------------------------------------------------------------------------------------------


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """`carry, y = f(carry, x)` for each slice x of `xs` along its leading axis; returns (last carry, stacked ys).

    Args:
        f: takes the carry and one slice, and returns the new carry and a result; the carry keeps its structure, shapes and types.
        init: the first carry: tensors, or containers of them.
        xs: what to go along: tensors (or containers) with one leading extent, or None (then give `length`).
        length: the number of steps.
        reverse: go from the last slice to the first; the ys stand in the order of the xs either way.
    Raises: ShapeError if leading extents differ, or the carry changes shape or type.
    Source: `jax.lax.scan`, whose signature this is.

    >>> import twinflow
    >>> twinflow.scan(lambda c, x: (c + x, c), twinflow.tensor(0.0), twinflow.tensor([1.0, 2.0, 3.0]))
    (tensor(6.), tensor([0., 1., 3.]))
    """
    leaves, tree = tree_flatten(init)
    carry = [leaf_tensor(x, "scan: carry") for x in leaves]
    x_leaves, x_tree = tree_flatten(xs) if xs is not None else ([], None)
    slices = [leaf_tensor(x, "scan: xs") for x in x_leaves]
    n = check_length("scan", slices, length)
    out_tree: list[Any] = []

    def step(*args: Tensor) -> tuple[list[Any], list[Any]]:
        c = tree_unflatten(list(args[: len(carry)]), tree)
        x = tree_unflatten(list(args[len(carry) :]), x_tree) if x_tree is not None else None
        result = f(c, x)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError("scan: the function must return two values, the new carry and a result (or None)")
        new, new_tree = tree_flatten(result[0])
        if new_tree != tree:
            raise ArgumentError("scan: the function must return a carry of the same structure as the one it is given")
        ys, y_tree = tree_flatten(result[1])
        out_tree[:] = [y_tree, [y is None for y in ys]]
        return [leaf_tensor(x, "scan: carry") for x in new], [
            leaf_tensor(y, "scan: result") for y in ys if y is not None
        ]

    if not _traced() and n:
        final, ys = _scan_now(step, carry, slices, n, reverse)
    else:
        final, ys = _scan_graph(step, carry, slices, n, reverse)
    y_tree, missing = out_tree
    found = iter(ys)
    return tree_unflatten(final, tree), tree_unflatten([None if m else next(found) for m in missing], y_tree)


def _check_carry(op: str, carry: list[Tensor], new: list[Any]) -> None:
    for k, (a, b) in enumerate(zip(carry, new)):
        now, then = operand_aval(a), b.aval if hasattr(b, "aval") else operand_aval(b)
        if now != then:
            raise ShapeError(describe_mismatch(op, f"leaf {k} of the carry", now, then, b))


def _scan_now(
    step: Any, carry: list[Tensor], xs: list[Tensor], n: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    rows: list[list[Tensor]] = []
    slices = [unstack(x, 0) for x in xs]
    carry = _own(carry)
    for t in builtins.reversed(range(n)) if reverse else range(n):
        new, ys = step(*carry, *[x[t] for x in slices])
        _check_carry("scan", carry, new)
        carry = new
        rows.append(ys)
    if reverse:
        rows.reverse()
    return _own(carry), [stack(list(column)) for column in zip(*rows)]


def _scan_graph(
    step: Any, carry: list[Tensor], xs: list[Tensor], n: int, reverse: bool
) -> tuple[list[Tensor], list[Tensor]]:
    n_y = 0

    def flat(*args: Tensor) -> list[Tensor]:
        nonlocal n_y
        new, ys = step(*args)
        n_y = len(ys)
        return [*new, *ys]

    each = [operand_aval(x)._replace(shape=tuple(x._data.shape[1:])) for x in xs]
    body = Body("scan", flat, [*carry, *each])
    graph = body.graph
    new, ys = graph.outputs[: len(carry)], graph.outputs[len(carry) :]
    _check_carry("scan", carry, new)
    graph.outputs = [*new, *body.written_nodes, *ys]
    ins = body.inputs
    graph.inputs = [*body.captured_inputs, *ins[: len(carry)], *body.written_inputs, *ins[len(carry) :]]
    outs = apply(
        scan_p, *body.captured, *carry, *body.written, *xs,
        body=graph, n_const=len(body.captured), n_carry=len(carry) + len(body.written), length=n, reverse=reverse,
    )  # fmt: skip
    write_back(body.written, outs[len(carry) : len(carry) + len(body.written)], "scan")
    return list(outs[: len(carry)]), list(outs[len(outs) - n_y :]) if n_y else []


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` on each slice along the leading axis, one after the other; the results stacked. `vmap` does them at once.

    >>> import twinflow
    >>> twinflow.map(lambda x: x * x, twinflow.tensor([1.0, 2.0, 3.0]))
    tensor([1., 4., 9.])
    """
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


# -- cond -------------------------------------------------------------------------------------------------------


def _predicate(pred: Any, op: str) -> Tensor:
    p = as_tensor(pred)
    if p._data.size != 1:
        raise ShapeError(
            f"{op}: the predicate must be one value, but its shape is {tuple(p.shape)}; use .any() or .all()"
        )
    if p._data.dtype.kind != "b":
        raise DTypeError(f"{op}: the predicate must be bool, not {p.dtype.name}; compare it with something")
    return p if p._data.shape == () else p.reshape(())


def cond(pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
    """`true_fn(*operands)` if `pred` holds, else `false_fn(*operands)`; in a compiled function too, where only one runs.

    Args:
        pred: a bool, or a tensor with one.
        operands: a tuple (or list) of tensors or containers of them.
    Raises: ShapeError if a traced function's branches give different structures, shapes or types.

    >>> import twinflow
    >>> x = twinflow.tensor(2.0)
    >>> twinflow.cond(x > 0, lambda x: x * 10, lambda x: -x, (x,))
    tensor(20.)
    """
    if not isinstance(operands, (tuple, list)):
        raise ArgumentError("cond: operands must be a tuple or list, for example (x,)")
    if isinstance(pred, (bool, np.bool_)):
        return true_fn(*operands) if pred else false_fn(*operands)
    p = _predicate(pred, "cond")
    if not _traced(p):
        outs, tree = tree_flatten(true_fn(*operands) if bool(_known(p)) else false_fn(*operands))
        return tree_unflatten(_own(outs), tree)
    leaves, tree = tree_flatten(list(operands))
    places = [k for k, x in enumerate(leaves) if isinstance(x, Tensor)]
    given = [leaves[k] for k in places]
    trees: list[Any] = []

    def run(fn: Callable[..., Any]) -> Callable[..., list[Tensor]]:
        def flat(*args: Tensor) -> list[Tensor]:
            filled = list(leaves)
            for k, a in zip(places, args):
                filled[k] = a
            outs, out_tree = tree_flatten(fn(*tree_unflatten(filled, tree)))
            trees.append((out_tree, [o is None for o in outs]))
            return [leaf_tensor(o, "cond: result") for o in outs if o is not None]

        return flat

    yes, no = Body("cond", run(true_fn), given), Body("cond", run(false_fn), given)
    if trees[0] != trees[1]:
        raise ShapeError("cond: the two branches return different structures; both must return the same containers")
    for k, (a, b) in enumerate(zip(yes.graph.outputs, no.graph.outputs)):
        if a.aval != b.aval:
            raise ShapeError(
                f"cond: result {k} is {a.aval!r} in the true branch and {b.aval!r} in the false branch; convert one"
            )
    written = union(yes.written, no.written)
    wids = {id(t) for t in written}
    reads = [t for t in union(yes.captured, no.captured) if id(t) not in wids]
    for b in (yes, no):
        ins = list(b.inputs)
        outer = b.align([*reads, *written])
        mine = {id(t) for t in b.written}
        b.graph.outputs += [b.final(t) if id(t) in mine else outer[len(reads) + k] for k, t in enumerate(written)]
        b.graph.inputs = [*ins, *outer]
    outs = apply(cond_p, p, *given, *reads, *written, on_true=yes.graph, on_false=no.graph)
    n = len(outs) - len(written)
    write_back(written, outs[n:], "cond")
    out_tree, missing = trees[0]
    found = iter(outs[:n])
    return tree_unflatten([None if m else next(found) for m in missing], out_tree)


# -- while_loop, fori_loop --------------------------------------------------------------------------------------


def while_loop(cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
    """`val = body_fn(val)` as long as `cond_fn(val)` holds, from `init`.

    In a compiled function its forward-mode derivative exists. Its reverse-mode derivative exists where counters that begin
    at numbers decide how many steps there are, 4096 at most (scan and fori_loop have both). Source: `jax.lax.while_loop`, whose signature this is.

    >>> import twinflow
    >>> twinflow.while_loop(lambda x: x < 100, lambda x: x * 2, twinflow.tensor(3))
    tensor(192)
    """
    leaves, tree = tree_flatten(init)
    carry = [_first_value(x) for x in leaves]

    def flat_test(*args: Tensor) -> list[Tensor]:
        return [_predicate(cond_fn(tree_unflatten(list(args), tree)), "while_loop")]

    def flat_body(*args: Tensor) -> list[Tensor]:
        new, new_tree = tree_flatten(body_fn(tree_unflatten(list(args), tree)))
        if new_tree != tree:
            raise ArgumentError("while_loop: the body must return a value of the same structure as the one it is given")
        return [leaf_tensor(x, "while_loop: the value") for x in new]

    if MODE.tracer is None:
        carry = _own(carry)
        while True:
            p = flat_test(*carry)[0]
            if _traced(p):
                break
            if not bool(_known(p)):
                return tree_unflatten(_own(carry), tree)
            new = flat_body(*carry)
            _check_carry("while_loop", carry, new)
            carry = new
    return tree_unflatten(_while_graph(flat_test, flat_body, carry), tree)


def _first_value(x: Any) -> Tensor:
    """A leaf of a loop's first value; a number is part of the graph, so that what is counted from it is known."""
    t = leaf_tensor(x, "while_loop: the value")
    number = isinstance(x, (bool, int, float)) and MODE.tracer is not None
    return call("full", shape=(), value=x, dtype=t.dtype) if number else t


def _while_graph(flat_test: Any, flat_body: Any, carry: list[Tensor]) -> list[Tensor]:
    test, body = Body("while_loop", flat_test, carry), Body("while_loop", flat_body, carry)
    if test.written:
        raise ArgumentError("while_loop: the condition writes a tensor in place; only the body may")
    _check_carry("while_loop", carry, body.graph.outputs)
    written = body.written
    wids = {id(t) for t in written}
    reads = [t for t in test.captured if id(t) not in wids]
    ins = list(test.inputs)
    n = known_steps(test.graph, ins, body.graph, body.inputs, carry)
    test.graph.inputs = [*test.align(reads), *ins, *test.align(written)]
    body.graph.inputs = [*body.captured_inputs, *body.inputs, *body.written_inputs]
    body.graph.outputs += body.written_nodes
    if n == 0:
        return _own(carry)
    outs = apply(
        scan_p, *body.captured, *carry, *written,
        body=body.graph, n_const=len(body.captured), n_carry=len(carry) + len(written), length=n, reverse=False,
    ) if n is not None else apply(
        while_p, *reads, *body.captured, *carry, *written,
        test=test.graph, body=body.graph, n_test=len(reads), n_body=len(body.captured),
    )  # fmt: skip
    write_back(written, outs[len(carry) :], "while_loop")
    return list(outs[: len(carry)])


def fori_loop(lower: Any, upper: Any, body_fn: Callable[[Any, Any], Any], init: Any) -> Any:
    """`val = body_fn(i, val)` for i from `lower` to `upper` - 1. `i` is a 0-dimensional int64 tensor.

    Bounds that are Python numbers make it a scan, which has all derivatives; bounds that are tensors a while_loop.
    Source: `jax.lax.fori_loop`, whose signature this is.

    >>> import twinflow
    >>> twinflow.fori_loop(0, 4, lambda i, v: v * 2 + i, twinflow.tensor(1))
    tensor(27)
    """
    if isinstance(lower, Tensor) or isinstance(upper, Tensor):
        low, high = (as_tensor(b).to(dtype="int64") for b in (lower, upper))
        start = (low, init)
        return while_loop(lambda s: call("lt", s[0], high), lambda s: (s[0] + 1, body_fn(s[0], s[1])), start)[1]
    steps = builtins.max(0, upper - lower)
    if steps == 0:
        leaves, tree = tree_flatten(init)
        return tree_unflatten(_own([leaf_tensor(x, "fori_loop: the value") for x in leaves]), tree)
    return scan(lambda v, i: (body_fn(i, v), None), init, arange(lower, upper, dtype=as_dtype("int64")))[0]
