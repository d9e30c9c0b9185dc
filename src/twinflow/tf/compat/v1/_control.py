"""Order, branches and loops in static graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twinflow import ops
from twinflow.core import tree_flatten, tree_leaves, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.tensor import Tensor as Value
from twinflow.tf.compat.v1._deferred import convert_to_tensor, create
from twinflow.tf.compat.v1._graph import get_default_graph
from twinflow.tf.compat.v1._operations import Body, Operation, Tensor, register
from twinflow.tf.compat.v1._run import Run

_Tuple = type(())  # `tuple` is TensorFlow's function here


def _nothing(run: Run) -> Any:
    return ()


_NO_OP = register("NoOp", _nothing, raw=True, host=False)


def no_op(name: str | None = None) -> Operation:
    """An operation that does nothing: something to fetch, or to hang dependencies on."""
    op: Operation = create(_NO_OP, {}, name or "NoOp", [])
    return op


def group(*inputs: Any, name: str | None = None) -> Operation:
    """One operation that runs all of these."""
    flat = [x for x in tree_leaves(inputs) if x is not None]
    with control_dependencies(flat):
        return no_op(name or "group_deps")


def tuple(tensors: Any, name: str | None = None, control_inputs: Any = None) -> list[Any]:
    """The tensors, none of which is there before all of them are (and `control_inputs`) computed."""
    waits = [t for t in tensors if t is not None] + list(control_inputs or [])
    with get_default_graph().name_scope(name or "tuple"), control_dependencies(waits):
        return [
            None if t is None else create(_PASS, {"x": t}, "control_dependency", [(t.shape, t.dtype)]).outputs[0]
            for t in tensors
        ]


def _pass(run: Run, x: Tensor) -> Any:
    return run.operand(x)


_PASS = register("control_dependency", _pass, raw=True, host=False)


@contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """What is made inside runs after these operations and tensors."""
    with get_default_graph().control_dependencies(control_inputs):
        yield


@contextmanager
def name_scope(name: str | None, default_name: str | None = None, values: Any = None) -> Iterator[str]:
    """Names of operations begin with `name/` inside."""
    with get_default_graph().name_scope(name or default_name) as scope:
        yield scope


# -- branches ------------------------------------------------------------------------------------------------------


def trace_body(fn: Callable[..., Any], avals: list[Any], args: Callable[[list[Tensor]], Any]) -> Body:
    """What a function adds to the graph, as a body with inputs of these shapes and types."""
    graph = get_default_graph()
    body = Body(graph)
    with graph.inside(body), graph.name_scope("body"):
        body.inputs = [create(_ARGUMENT, {}, "arg", [spec]).outputs[0] for spec in avals]
        made = fn(*args(body.inputs))
        body.outputs = tree_map(lambda x: x if isinstance(x, Operation) or x is None else convert_to_tensor(x), made)
    return body


def _argument(run: Run) -> Any:
    raise ArgumentError(f"{run.op.name}: an argument of a loop's body has no value outside the loop")


_ARGUMENT = register("Argument", _argument, raw=True, host=False)


def _cond(run: Run, pred: Any, true_fn: Body, false_fn: Body) -> Any:
    return ops.cond(
        run.operand(pred).reshape(()), lambda: run.run_body(true_fn, ()), lambda: run.run_body(false_fn, ())
    )


_COND = register("Cond", _cond, "cond", raw=True, host=False, effect=True)


def cond(
    pred: Any,
    true_fn: Callable[[], Any] | None = None,
    false_fn: Callable[[], Any] | None = None,
    strict: bool = False,
    name: str | None = None,
    fn1: Any = None,
    fn2: Any = None,
) -> Any:
    """What `true_fn()` makes if `pred` holds, else what `false_fn()` makes; only one of the two runs.

    Raises: ShapeError if the branches give different structures or types.
    """
    yes, no = true_fn or fn1, false_fn or fn2
    if not callable(yes) or not callable(no):
        raise ArgumentError("tf.cond: true_fn and false_fn are functions without arguments, such as lambda: x + 1")
    if isinstance(pred, bool):
        return yes() if pred else no()
    a, b = (trace_body(fn, [], lambda xs: ()) for fn in (yes, no))
    left, tree = tree_flatten(a.outputs)
    right, other = tree_flatten(b.outputs)
    if tree != other:
        raise ShapeError("tf.cond: the two branches return different structures; both must return the same containers")
    specs = []
    for x, y in zip(left, right):
        if isinstance(x, Tensor) != isinstance(y, Tensor) or (isinstance(x, Tensor) and x.dtype is not y.dtype):
            raise ShapeError(f"tf.cond: a result is {x!r} in the true branch and {y!r} in the false one; convert one")
        if isinstance(x, Tensor):
            same = x.shape.is_compatible_with(y.shape) and x.shape.dims is not None and y.shape.dims is not None
            dims = [m if m == n else None for m, n in zip(x.shape.dims or (), y.shape.dims or ())] if same else None
            specs.append((dims, x.dtype))
    params = {"pred": convert_to_tensor(pred), "true_fn": a, "false_fn": b}
    op = create(_COND, params, name, specs)
    found = iter(op.outputs)
    return tree_unflatten([next(found) if isinstance(x, Tensor) else op for x in left], tree)


def case(
    pred_fn_pairs: Any, default: Callable[[], Any] | None = None, exclusive: bool = False, name: str = "case"
) -> Any:
    """What the function beside the first condition that holds makes, or `default`."""
    pairs = list(pred_fn_pairs.items() if isinstance(pred_fn_pairs, dict) else pred_fn_pairs)
    if default is None:
        if not pairs:
            raise ArgumentError("tf.case: give (condition, function) pairs, or a default")
        default = pairs.pop()[1]
    fn: Any = default
    for pred, yes in reversed(pairs):
        fn = _either(pred, yes, fn)
    return fn()


def _either(pred: Any, yes: Any, no: Any) -> Any:
    return lambda: cond(pred, yes, no)


# -- loops ---------------------------------------------------------------------------------------------------------


def _while(run: Run, test: Body, body: Body, init: Any, limit: Any) -> Any:
    start = [run.operand(x) for x in init]
    start = [x if isinstance(x, Value) else ops.tensor(x) for x in start]
    if limit is None:
        return ops.while_loop(
            lambda xs: run.run_body(test, xs).reshape(()), lambda xs: list(run.run_body(body, xs)), start
        )

    def step(xs: Any, i: Any) -> Any:
        now = list(run.run_body(body, xs))
        return [ops.where(run.run_body(test, xs).reshape(()), a, b) for a, b in zip(now, xs)], None

    # with a bound on the number of steps it is a scan, which has a derivative
    return ops.scan(step, start, length=int(limit))[0]


_WHILE = register("While", _while, "while", raw=True, host=False, effect=True)


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    shape_invariants: Any = None,
    parallel_iterations: int = 10,
    back_prop: bool = True,
    swap_memory: bool = False,
    name: str | None = None,
    maximum_iterations: int | None = None,
) -> Any:
    """`loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)` holds.

    Args:
        loop_vars: tensors, or containers of them; they keep shape and type.
        maximum_iterations: a bound; with one the loop has gradients, without one only its values are known.
    """
    leaves, tree = tree_flatten(list(loop_vars) if isinstance(loop_vars, (list, _Tuple)) else [loop_vars])
    init = [convert_to_tensor(x) for x in leaves]
    specs = [(x.shape, x.dtype) for x in init]

    def args(xs: list[Tensor]) -> Any:
        return tree_unflatten(list(xs), tree)

    test = trace_body(cond, specs, args)

    def flat(*xs: Any) -> Any:
        made = body(*xs)
        new, new_tree = tree_flatten(list(made) if isinstance(made, (list, _Tuple)) else [made])
        if new_tree != tree:
            raise ShapeError(
                "tf.while_loop: the body must return as many values, in the same containers, as loop_vars has"
            )
        return new

    step = trace_body(flat, specs, args)
    for k, (x, y) in enumerate(zip(init, step.outputs)):
        if x.dtype is not y.dtype or not x.shape.is_compatible_with(y.shape):
            raise ShapeError(
                f"tf.while_loop: variable {k} enters the body as {x.dtype.name} {x.shape} and leaves it as {y.dtype.name} {y.shape}; it must keep "
                "shape and type"
            )
    params = {"test": test, "body": step, "init": init, "limit": maximum_iterations}
    op = create(_WHILE, params, name, specs)
    result = tree_unflatten(list(op.outputs), tree)
    return result if isinstance(loop_vars, (list, _Tuple)) and len(result) > 1 else result[0]


def _scan(run: Run, body: Body, init: Any, xs: Any) -> Any:
    n = len(init)

    def step(carry: Any, x: Any) -> Any:
        outs = list(run.run_body(body, [*carry, *x]))
        return outs[:n], outs[n:]

    start = [run.operand(x) for x in init]
    final, ys = ops.scan(step, start, [run.operand(x) for x in xs])
    return [*final, *ys]


_SCAN = register("Scan", _scan, "scan", raw=True, host=False, effect=True)


def scan_along(fn: Callable[..., Any], init: list[Tensor], xs: list[Tensor], n_y: int, name: str | None = None) -> Any:
    """(last carry, stacked results) of `carry, ys = fn(carry, slices)` along the leading axis of the xs."""
    each = [(x.shape[1:], x.dtype) for x in xs]
    specs = [(x.shape, x.dtype) for x in init]
    n = len(init)

    def flat(*args: Tensor) -> Any:
        carry, ys = fn(list(args[:n]), list(args[n:]))
        return [*carry, *ys]

    body = trace_body(flat, [*specs, *each], lambda args: args)
    steps = xs[0].shape[:1]
    results = [(steps.concatenate(y.shape), y.dtype) for y in body.outputs[n:]]
    op = create(_SCAN, {"body": body, "init": init, "xs": xs}, name, [*specs, *results])
    return op.outputs[:n], op.outputs[n : n + n_y]


def map_fn(fn: Callable[[Any], Any], elems: Any, dtype: Any = None, name: str | None = None) -> Any:
    """`fn` on each slice along the leading axis; the results stacked."""
    _, ys = scan_along(
        lambda c, x: ([], [convert_to_tensor(fn(x[0]))]), [], [convert_to_tensor(elems)], 1, name or "map"
    )
    return ys[0]


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """`a = fn(a, x)` for each slice x along the leading axis, from `initializer` or the first slice."""
    xs = convert_to_tensor(elems)
    start, rest = (xs[0], xs[1:]) if initializer is None else (convert_to_tensor(initializer), xs)
    carry, _ = scan_along(lambda c, x: ([fn(c[0], x[0])], []), [start], [rest], 0, name or "foldl")
    return carry[0]


def scan(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any, name: str | None = None) -> Any:
    """The values that `foldl` takes on the way, stacked."""

    def step(c: Any, x: Any) -> Any:
        new = convert_to_tensor(fn(c[0], x[0]))
        return [new], [new]

    _, ys = scan_along(step, [convert_to_tensor(initializer)], [convert_to_tensor(elems)], 1, name or "scan")
    return ys[0]
