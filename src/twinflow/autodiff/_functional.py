"""Derivatives of functions: grad, value_and_grad, vjp, jvp, linearize, and the Jacobians made of them.

They nest in any order, and work inside and around `compile` and `vmap`. Names and arguments are those of `torch.func`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from twinflow.autodiff._aliases import aliases_of, must_record, recording, tensors_of, without_tape
from twinflow.autodiff._vmap import vmap
from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, GradientError, ShapeError
from twinflow.graph import Node
from twinflow.ops import call, eye, ones_like, zeros_like
from twinflow.ops._body import Body, constant_nodes, replay
from twinflow.tensor import MODE, Tensor, is_inexact, jvp_call, run_backward

Fn = Callable[..., Any]


def _places(op: str, argnums: Any, n: int) -> tuple[int, ...]:
    nums = argnums if isinstance(argnums, tuple) else (argnums,)
    for a in nums:
        if not isinstance(a, int) or not -n <= a < n:
            raise ArgumentError(f"{op}: argnums={argnums!r} names an argument that is not there; the call has {n}")
    return tuple(a % n for a in nums)


def _split_aux(op: str, out: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return out, None
    if not isinstance(out, tuple) or len(out) != 2:
        raise ArgumentError(f"{op}: with has_aux=True the function must return (output, aux)")
    return out


def value_and_grad(func: Fn, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Fn:
    """A function that returns (gradient, value) of `func`, whose value is one number; with aux, (gradient, (value, aux)).

    Args:
        argnums: which arguments to differentiate with respect to; each may be any container of tensors.
        has_aux: `func` returns (value, aux), and aux is passed through.
    Raises: GradientError if the value is not one number, ArgumentError for a wrong argnums.

    >>> import twinflow
    >>> twinflow.func.value_and_grad(lambda x: (x * x).sum())(twinflow.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = _places("grad", argnums, len(args))
        record = MODE.grad
        flat = [tree_flatten(args[k]) for k in places]
        aliases = aliases_of("grad", [x for leaves, _ in flat for x in leaves], record)
        stand_in = iter(aliases)
        full = list(args)
        for k, (leaves, tree) in zip(places, flat):
            full[k] = tree_unflatten([next(stand_in).tensor for _ in leaves], tree)
        with recording():
            value, aux = _split_aux("grad", func(*full, **kwargs), has_aux)
        if not isinstance(value, Tensor) or value._data.size != 1:
            what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise GradientError(f"grad: the function must return one number, but it returned {what}; use vjp or jacrev")
        create = must_record([value], aliases, record)
        found: list[Any] = [None] * len(aliases)
        if value.requires_grad:
            found = run_backward(
                [value],
                [ones_like(value)],
                inputs=[a.tensor for a in aliases],
                retain_graph=create,
                create_graph=create,
                accumulate=False,
            )
        grads = iter([zeros_like(a.tensor) if g is None else g for a, g in zip(aliases, found)])
        trees = [tree_unflatten([next(grads) for _ in leaves], tree) for leaves, tree in flat]
        gradient = tuple(trees) if isinstance(argnums, tuple) else trees[0]
        for a in aliases:
            a.retire()
        if not create:
            value, aux = without_tape(value), without_tape(aux)
        return gradient, ((value, aux) if has_aux else value)

    return wrapped


def grad(func: Fn, argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Fn:
    """The gradient of a function whose value is one number, as a function. See `value_and_grad` for the arguments.

    >>> import twinflow
    >>> cube = lambda x: x**3
    >>> twinflow.func.grad(twinflow.func.grad(cube))(twinflow.tensor(2.0))
    tensor(12.)
    """
    both = value_and_grad(func, argnums, has_aux)

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


def vjp(func: Fn, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """(output, vjp_fn): `vjp_fn(cotangents)` is the tuple of cotangents · Jacobian, one for each primal; then aux if asked.

    >>> import twinflow
    >>> y, pull = twinflow.func.vjp(twinflow.sin, twinflow.tensor(0.0))
    >>> pull(twinflow.tensor(2.0))
    (tensor(2.),)
    """
    record = MODE.grad
    leaves, tree = tree_flatten(primals)
    aliases = aliases_of("vjp", leaves, record)
    with recording():
        out, aux = _split_aux("vjp", func(*tree_unflatten([a.tensor for a in aliases], tree)), has_aux)
    outs, out_tree = tensors_of("vjp", out)
    create = must_record(outs, aliases, record)
    for a in aliases:
        a.retire()

    def vjp_fn(cotangents: Any) -> Any:
        """The cotangents times the Jacobian."""
        gs, given = tensors_of("vjp", cotangents)
        if given != out_tree:
            raise ArgumentError("vjp: the cotangents must have the structure of the function's output")
        for o, g in zip(outs, gs):
            if tuple(o.shape) != tuple(g.shape):
                raise ShapeError(f"vjp: a cotangent of shape {tuple(g.shape)} for an output of shape {tuple(o.shape)}")
        pairs = [(o, g) for o, g in zip(outs, gs) if o.requires_grad]
        found: list[Any] = [None] * len(aliases)
        if pairs:
            found = run_backward(
                [o for o, _ in pairs],
                [g for _, g in pairs],
                inputs=[a.tensor for a in aliases],
                retain_graph=True,
                create_graph=MODE.grad and (create or any(g.requires_grad for _, g in pairs)),
                accumulate=False,
            )
        return tree_unflatten([zeros_like(a.tensor) if g is None else g for a, g in zip(aliases, found)], tree)

    shown = out if create else without_tape(out)
    return (shown, vjp_fn, aux if create else without_tape(aux)) if has_aux else (shown, vjp_fn)


def _check_tangents(op: str, primals: Any, tangents: Any) -> tuple[list[Tensor], list[Tensor], Any]:
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise ArgumentError(f"{op}: primals and tangents must be tuples, one entry for each argument of the function")
    xs, tree = tree_flatten(primals)
    ts, t_tree = tree_flatten(tangents)
    if tree != t_tree:
        raise ArgumentError(f"{op}: tangents must have the structure of the primals")
    for x, t in zip(xs, ts):
        if not isinstance(x, Tensor) or not isinstance(t, Tensor):
            raise ArgumentError(f"{op}: primals and tangents must be tensors")
        if tuple(x.shape) != tuple(t.shape) or x.dtype is not t.dtype:
            raise ShapeError(
                f"{op}: a tangent is {t.dtype.name}{list(t.shape)}, but its primal is {x.dtype.name}{list(x.shape)}"
            )
    return xs, ts, tree


def jvp(func: Fn, primals: tuple[Any, ...], tangents: tuple[Any, ...], *, has_aux: bool = False) -> tuple[Any, ...]:
    """(output, Jacobian · tangents) in one forward pass; then aux if asked.

    >>> import twinflow
    >>> twinflow.func.jvp(twinflow.sin, (twinflow.tensor(0.0),), (twinflow.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    xs, ts, tree = _check_tangents("jvp", primals, tangents)
    out_tree: Any = None
    n_out = 0
    aux_leaves: list[Any] = []
    aux_tree: Any = None

    def flat(*inside: Tensor) -> list[Tensor]:
        nonlocal out_tree, n_out, aux_leaves, aux_tree
        out, aux = _split_aux("jvp", func(*tree_unflatten(list(inside), tree)), has_aux)
        outs, out_tree = tensors_of("jvp", out)
        n_out = len(outs)
        aux_leaves, aux_tree = tree_flatten(aux)
        return outs + [x for x in aux_leaves if isinstance(x, Tensor)]

    values, derivatives = jvp_call(flat, xs, ts)
    out_tangents = [zeros_like(v) if d is None else d for v, d in zip(values[:n_out], derivatives[:n_out])]
    result = tree_unflatten(values[:n_out], out_tree), tree_unflatten(out_tangents, out_tree)
    if not has_aux:
        return result
    rest = iter(values[n_out:])
    return (*result, tree_unflatten([next(rest) if isinstance(x, Tensor) else x for x in aux_leaves], aux_tree))


def linearize(func: Fn, *primals: Any) -> tuple[Any, Fn]:
    """(output, jvp_fn): `jvp_fn(*tangents)` is the Jacobian times the tangents, without evaluating `func` again.

    >>> import twinflow
    >>> y, push = twinflow.func.linearize(twinflow.exp, twinflow.tensor(0.0))
    >>> push(twinflow.tensor(3.0))
    tensor(3.)
    """
    xs, tree = tensors_of("linearize", primals)
    structure: list[Any] = []

    def flat(*tangents: Tensor) -> list[Tensor]:
        def inner(*inside: Tensor) -> list[Tensor]:
            outs, out_tree = tensors_of("linearize", func(*tree_unflatten(list(inside), tree)))
            structure[:] = [out_tree, len(outs)]
            return outs

        values, derivatives = jvp_call(inner, xs, list(tangents))
        return [*values, *(zeros_like(v) if d is None else d for v, d in zip(values, derivatives))]

    body = Body("linearize", flat, xs)
    if body.written:
        raise ArgumentError(
            "linearize: the function writes a tensor in place, which would happen once and not on every call"
        )
    graph = body.graph
    fixed = constant_nodes(graph, set(body.captured_inputs))
    out_tree, n_out = structure
    moving = [n for n in graph.nodes if n not in fixed]
    needed = {x for n in moving for x in n.inputs if isinstance(x, Node) and x in fixed}
    needed |= {x for x in graph.outputs if x in fixed}
    once = dict(zip(body.captured_inputs, body.captured))
    kept = [n for n in needed if n not in once]
    once.update(zip(kept, replay(graph, body.captured, kept, inputs=body.captured_inputs)))
    values = [once[x] if x in once else x for x in graph.outputs[:n_out]]

    def jvp_fn(*tangents: Any) -> Any:
        """The Jacobian times the tangents."""
        _, ts, _ = _check_tangents("linearize", primals, tangents)
        found = replay(graph, [*ts, *once.values()], graph.outputs[n_out:], inputs=[*body.inputs, *once])
        return tree_unflatten(found, out_tree)

    return tree_unflatten(values, out_tree), jvp_fn


# -- Jacobians --------------------------------------------------------------------------------------------------


def _basis(t: Tensor) -> Tensor:
    """The unit vectors of the space of `t`: [t.numel(), *t.shape]."""
    n = t._data.size
    return call("reshape", eye(n, dtype=t.dtype), shape=(n, *t._data.shape))


def _at(args: tuple[Any, ...], places: tuple[int, ...], values: Any) -> list[Any]:
    full = list(args)
    for k, v in zip(places, values):
        full[k] = v
    return full


def jacrev(func: Fn, argnums: int | tuple[int, ...] = 0, *, has_aux: bool = False, chunk_size: int | None = None) -> Fn:
    """The Jacobian by reverse mode: one vector-Jacobian product for each output element, `vmap`ped together.

    The result has, for each output, the structure of the arguments, with shapes output.shape + input.shape.
    Choose it when there are fewer outputs than inputs; `chunk_size` bounds how many rows are computed at once.

    >>> import twinflow
    >>> twinflow.func.jacrev(lambda x: x * x)(twinflow.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = _places("jacrev", argnums, len(args))
        picked = tuple(args[k] for k in places)
        result = vjp(lambda *p: func(*_at(args, places, p), **kwargs), *picked, has_aux=has_aux)
        out, pull = result[0], result[1]
        outs, out_tree = tensors_of("jacrev", out)
        rows: list[Any] = []
        for i, o in enumerate(outs):

            def one(g: Tensor, i: int = i) -> Any:
                return pull(tree_unflatten([g if j == i else zeros_like(t) for j, t in enumerate(outs)], out_tree))

            stacked = vmap(one, chunk_size=chunk_size)(_basis(o))
            leaves, tree = tree_flatten(stacked)
            shaped = tree_unflatten([_unfold(x, tuple(o.shape), tuple(x.shape[1:])) for x in leaves], tree)
            rows.append(shaped if isinstance(argnums, tuple) else shaped[0])
        jacobian = tree_unflatten(rows, out_tree)
        return (jacobian, result[2]) if has_aux else jacobian

    return wrapped


def _unfold(x: Tensor, lead: tuple[int, ...], rest: tuple[int, ...]) -> Tensor:
    return call("reshape", x, shape=(*lead, *rest))


def jacfwd(
    func: Fn,
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
    chunk_size: int | None = None,
) -> Fn:
    """The Jacobian by forward mode: one Jacobian-vector product for each input element, `vmap`ped together.

    Choose it when there are fewer inputs than outputs. The result is that of `jacrev`.

    >>> import twinflow
    >>> twinflow.func.jacfwd(lambda x: x * x)(twinflow.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func, updated=())
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        places = _places("jacfwd", argnums, len(args))
        picked = tuple(args[k] for k in places)
        xs, tree = tree_flatten(picked)
        for x in xs:
            if not isinstance(x, Tensor) or not is_inexact(x):
                raise ArgumentError("jacfwd: what is differentiated must be floating tensors")
        aux: Any = None
        columns: list[list[Tensor]] = []  # one list of output leaves for each input leaf
        out_tree: Any = None
        for i, x in enumerate(xs):

            def one(t: Tensor, i: int = i) -> Any:
                tangents = tree_unflatten([t if j == i else zeros_like(v) for j, v in enumerate(xs)], tree)
                result = jvp(lambda *p: func(*_at(args, places, p), **kwargs), picked, tangents, has_aux=has_aux)
                return (result[1], result[2]) if has_aux else result[1]

            mapped = vmap(one, out_dims=(-1, None) if has_aux else -1, randomness=randomness, chunk_size=chunk_size)
            out = mapped(_basis(x))
            if has_aux:
                out, aux = out
            leaves, out_tree = tree_flatten(out)
            columns.append([_unfold(o, tuple(o.shape[:-1]), tuple(x.shape)) for o in leaves])
        per_out = []
        for column in zip(*columns):
            shaped = tree_unflatten(list(column), tree)
            per_out.append(shaped if isinstance(argnums, tuple) else shaped[0])
        jacobian = tree_unflatten(per_out, out_tree)
        return (jacobian, aux) if has_aux else jacobian

    return wrapped


def hessian(func: Fn, argnums: int | tuple[int, ...] = 0) -> Fn:
    """The matrix of second derivatives: forward mode over reverse mode.

    >>> import twinflow
    >>> twinflow.func.hessian(lambda x: (x**3).sum())(twinflow.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
