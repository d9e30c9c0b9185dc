"""The walk back over the tape: from results to the gradients of leaves, latest operation first."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, format_location, silently
from twinflow.core.errors import GradientError
from twinflow.graph import find_primitive
from twinflow.tensor._apply import apply, is_plain
from twinflow.tensor._door import Door
from twinflow.tensor._mode import MODE, SPECIAL
from twinflow.tensor._tape import Edge, GradNode, Spec, edge_to, saved_operands, saved_result
from twinflow.tensor._tensor import Tensor, held_grad, wrap

_ndarray = np.ndarray
_add_reduce: Any = np.add.reduce
_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sum the axes along which `shape` was broadcast: the transpose of broadcasting."""
    have = g._data.shape
    if have == shape:
        return g
    lead = len(have) - len(shape)
    axes = tuple(range(lead)) + tuple([lead + i for i, s in enumerate(shape) if s == 1 and have[lead + i] != 1])
    if axes and is_plain(g) and (g._data.dtype is _F32 or g._data.dtype is _F64):
        g = wrap(np.asarray(silently(_add_reduce, g._data, axes, None, None, lead == 0)))
    elif axes:
        g = apply(find_primitive("sum"), g, axes=axes, keepdim=lead == 0)
    if g._data.shape != shape:
        g = apply(find_primitive("reshape"), g, shape=shape)
    return g


def add_grads(a: Tensor, b: Tensor) -> Tensor:
    """The sum of two gradients of one value."""
    return apply(find_primitive("add"), a, b)


def node_vjp(node: GradNode, g: Any) -> list[Any]:
    """The gradients with respect to the node's operands, None where none is wanted.

    `g` is the gradient of its result; for several results a tuple, with None where it is zero.
    """
    args = saved_operands(node)
    y = None if node.out is None else saved_result(node)
    prim, params = node.prim, node.params
    if prim.back is not None and not MODE.grad and not SPECIAL.count:
        return _plain_vjp(prim.back, node, g, y, args)
    rules: Any = prim.vjp
    out: list[Any]
    if type(rules) is not tuple:
        out = list(rules(g, y, *args, **params)) if rules is not None else []
    elif len(args) == 1:
        rule = rules[0]
        return [None if rule is None else rule(g, y, args[0], **params)]
    else:
        out = [
            None if edge is None or rule is None else rule(g, y, *args, **params)
            for edge, rule in zip(node.edges, rules)
        ]
    if prim.elementwise:
        for i, r in enumerate(out):
            if r is not None:
                a = args[i]
                shape = a if type(a) is tuple else a.shape if type(a) is Spec else a._data.shape
                if r._data.shape != shape:
                    out[i] = sum_to(r, shape)
    return out


def _plain_vjp(back: Callable[..., Any], node: GradNode, g: Any, y: Any, args: Sequence[Any]) -> list[Any]:
    """The same on arrays, by the primitive's `back`."""
    found = silently(
        back,
        [edge is not None for edge in node.edges],
        _arrays(g),
        _arrays(y),
        *[a._data if isinstance(a, Tensor) else a for a in args],
        **node.params,
    )
    return [None if a is None else wrap(a) for a in found]


def _arrays(x: Any) -> Any:
    if type(x) is tuple:
        return tuple([None if t is None else t._data for t in x])
    return None if x is None else x._data


class _Goal:
    """The inputs whose gradients are asked for, and what was found for them."""

    def __init__(self, inputs: Sequence[Tensor], stop: bool) -> None:
        self.stop = stop
        self.leaves: dict[int, int] = {}  # id of a leaf -> its place among the inputs
        self.results: dict[tuple[int, int], list[int]] = {}  # (id of a node, index of its result) -> places
        for k, t in enumerate(inputs):
            edge = edge_to(t)
            if edge is None:
                raise GradientError(
                    f"input {k} of the derivative does not require gradients; call requires_grad_() on it"
                )
            if edge[1] == -1:
                self.leaves[id(t)] = k
            else:
                self.results.setdefault((id(edge[0]), edge[1]), []).append(k)
        self.found: list[Tensor | None] = [None] * len(inputs)
        self.on_the_way: set[int] = set()  # nodes from which an input can be reached
        self.ends: set[int] = {k[0] for k in self.results}

    def look_ahead(self, starts: Iterable[GradNode]) -> None:
        """Find the nodes from which a wanted input can be reached."""
        parents: dict[int, list[int]] = {}
        hits: list[int] = []
        stack = list(starts)
        seen: set[int] = {id(n) for n in stack}
        while stack:
            node = stack.pop()
            for edge in node.edges:
                if edge is None:
                    continue
                child, index = edge
                if index == -1:
                    if id(child) in self.leaves:
                        hits.append(id(node))
                    continue
                parents.setdefault(id(child), []).append(id(node))
                if id(child) in self.ends:
                    hits.append(id(node))
                if id(child) not in seen:
                    seen.add(id(child))
                    stack.append(child)
        while hits:
            n = hits.pop()
            if n not in self.on_the_way:
                self.on_the_way.add(n)
                hits.extend(parents.get(n, ()))

    def wants(self, edge: Edge) -> bool:
        """Whether a gradient must flow along this edge."""
        target, index = edge
        if index == -1:
            return id(target) in self.leaves
        return id(target) in self.on_the_way or id(target) in self.ends

    def reach_leaf(self, leaf: Tensor, g: Tensor) -> None:
        k = self.leaves.get(id(leaf))
        if k is not None:
            old = self.found[k]
            self.found[k] = g if old is None else add_grads(old, g)

    def reach_node(self, node: GradNode, grads: list[Any]) -> None:
        """Keep the gradients of those of the node's results that are inputs. `grads` starts with the node."""
        if id(node) in self.ends:
            for i in range(node.n_out):
                for k in self.results.get((id(node), i), ()):
                    self.found[k] = grads[i + 1]


def run_backward(
    roots: Sequence[Tensor],
    grads: Sequence[Tensor],
    *,
    inputs: Sequence[Tensor] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    accumulate: bool = True,
    stop_at_inputs: bool = False,
) -> list[Tensor | None]:
    """Walk back from `roots`. With `inputs`, returns their gradients (or accumulates into only them); else fills
    the `.grad` of every leaf. With `stop_at_inputs`, does not go on behind inputs that operations made."""
    goal = None if inputs is None else _Goal(inputs, stop_at_inputs)
    before, MODE.grad = MODE.grad, create_graph
    try:
        targets = [_start(root) for root in roots]
        if goal is None and not (retain_graph or create_graph or SPECIAL.count or MODE.anomaly):
            _door.call(targets, grads)
        else:
            _walk(targets, grads, goal, retain_graph, create_graph)
        if goal is None or inputs is None:
            return []
        if accumulate:
            shared = {id(g._data) for g in grads}
            for t, value in zip(inputs, goal.found):
                if value is not None:
                    accumulate_grad(t, value, create_graph, shared, MODE.tracer)
                    _call_accumulated(t)
        return goal.found
    finally:
        MODE.grad = before


def _start(root: Tensor) -> Edge:
    edge = edge_to(root)
    if edge is None:
        raise GradientError(
            "backward: this tensor does not require gradients and no recorded operation made it; did a "
            "no_grad block, detach() or an integer type cut the graph, or does no parameter require gradients?"
        )
    return edge


Hooked = dict[int, tuple[Tensor, Tensor]]  # leaves whose hooks see the whole gradient, and that so far


def _walk(
    targets: Sequence[Edge], grads: Sequence[Tensor], goal: _Goal | None, retain_graph: bool, create_graph: bool
) -> None:
    heap: list[int] = []
    pending: dict[int, list[Any]] = {}  # sequence number -> [node, gradient of each of its results]
    shared = {id(g._data) for g in grads}  # arrays that already are somebody's gradient
    anomaly, tracer = MODE.anomaly, MODE.tracer
    hooked: Hooked = {}
    if goal is not None:
        goal.look_ahead({id(e[0]): e[0] for e in targets if e[1] != -1}.values())
    values: Sequence[Any] = grads
    while True:
        for edge, g in zip(targets, values):
            if edge is None or g is None or (goal is not None and not goal.wants(edge)):
                continue
            target, index = edge
            if index == -1:
                if target._info.hooks or target._info.accumulated:
                    hold(hooked, target, g)
                elif goal is not None:
                    goal.reach_leaf(target, g)
                else:
                    accumulate_grad(target, g, create_graph, shared, tracer)
                continue
            seq = target.seq
            entry = pending.get(seq)
            if entry is None:
                entry = [target, None] if target.n_out == 1 else [target] + [None] * target.n_out
                pending[seq] = entry
                heapq.heappush(heap, seq)
            old = entry[index + 1]
            entry[index + 1] = g if old is None else add_grads(old, g)
        if not heap:
            break
        entry = pending.pop(heapq.heappop(heap))
        node = entry[0]
        if node.prehooks is not None:
            _run_prehooks(node, entry, shared)
        if goal is not None:
            goal.reach_node(node, entry)
            if id(node) not in goal.on_the_way or (goal.stop and id(node) in goal.ends):
                targets = values = ()  # nothing beyond this node is wanted
                continue
        values = node_vjp(node, entry[1] if node.prim.n_out == 1 else tuple(entry[1:]))
        if anomaly:
            _check_finite(node, values)
        if node.hooks:
            values = _run_hooks(node, entry, values, shared)
        # a node that kept no values can be walked again; one of several results may hold them elsewhere
        if not retain_graph and (node.versions is not None or node.out is not None or node.prim.n_out != 1):
            node.args = node.out = None
        targets = node.edges
    let_go(hooked, shared, goal, create_graph, tracer)


def _walk_plainly(targets: Sequence[Edge], grads: Sequence[Tensor]) -> None:
    """Fill the `.grad` of all leaves in plain evaluation, freeing what the nodes keep. Has a native way."""
    _walk(targets, grads, None, False, False)


_door = Door(_walk_plainly, "walk")


def hold(hooked: Hooked, leaf: Tensor, g: Tensor) -> None:
    """Keep a part of a gradient until the walk is over."""
    part = hooked.get(id(leaf))
    hooked[id(leaf)] = leaf, g if part is None else add_grads(part[1], g)


def let_go(
    hooked: Hooked, shared: set[int], goal: _Goal | None = None, create_graph: bool = False, tracer: Any = None
) -> None:
    """Call the hooks of leaves with their whole gradients, and deliver these."""
    for leaf, g in hooked.values():
        g = _through(list((leaf._info.hooks or {}).values()), g, shared)
        if goal is not None:
            goal.reach_leaf(leaf, g)
        else:
            accumulate_grad(leaf, g, create_graph, shared, tracer)
            _call_accumulated(leaf)


def visit_hooked(node: GradNode, g: Any, shared: set[int]) -> Sequence[Any]:
    """`node_vjp` of a node with hooks."""
    entry = [node, g] if node.prim.n_out == 1 else [node, *g]
    if node.prehooks is not None:
        _run_prehooks(node, entry, shared)
    values = node_vjp(node, entry[1] if node.prim.n_out == 1 else tuple(entry[1:]))
    return _run_hooks(node, entry, values, shared) if node.hooks else values


def _run_prehooks(node: GradNode, entry: list[Any], shared: set[int]) -> None:
    for i, listeners in (node.prehooks or {}).items():
        if entry[i + 1] is not None:
            entry[i + 1] = _through(list(listeners), entry[i + 1], shared)


def _run_hooks(node: GradNode, entry: list[Any], values: Sequence[Any], shared: set[int]) -> Sequence[Any]:
    for hook in list(node.hooks or ()):
        changed = hook(tuple(values), tuple(entry[1:]))
        if changed is not None:
            values = list(changed)
            shared.update(id(g._data) for g in values if g is not None)
    return values


def _call_accumulated(leaf: Tensor) -> None:
    for hook in list((leaf._info.accumulated or {}).values()):
        hook(leaf)


def _through(hooks: list[Any], g: Tensor, shared: set[int]) -> Tensor:
    """`g` as hooks see and change it. They may keep it, so a `.grad` made of it needs memory of its own."""
    for hook in hooks:
        changed = hook(g)
        if changed is not None:
            g = changed
    shared.add(id(g._data))
    return g


def accumulate_grad(leaf: Tensor, g: Tensor, create_graph: bool, shared: set[int], tracer: Any) -> None:
    """Add `g` to `leaf.grad`: in place, as PyTorch does, unless a graph of the gradient is made or a step is traced.

    The first gradient is kept as it comes, unless others look at its memory too: then it is copied.
    """
    m: Any = leaf._info
    if tracer is not None:
        tracer.touch_grad(leaf, reads=True)
    old = held_grad(m)
    data = g._data
    if data.shape != leaf._data.shape:
        raise GradientError(
            f"backward: a gradient of shape {tuple(data.shape)} reached a leaf of shape {tuple(leaf._data.shape)}, whose shape "
            "was changed in place after it was used; compute the loss again"
        )
    if data.dtype is not leaf._data.dtype and data.dtype != leaf._data.dtype:
        g = apply(find_primitive("cast"), g, dtype=leaf.dtype)
        data = g._data
    if old is None:
        if not create_graph:
            if type(data) is _ndarray:
                if id(data) in shared or not _owns(data):
                    data = data.copy()
                shared.add(id(data))
            g = wrap(data)
    else:
        into, om = old._data, old._meta
        if (
            tracer is None and not create_graph and type(into) is type(data) is _ndarray
            and into.shape == data.shape and into.dtype == data.dtype and into.flags.writeable
            and (om is None or not (om.requires_grad or om.base is not None))
        ):  # fmt: skip
            silently(np.add, into, data, into)
            if om is not None:
                om.version[0] += 1
            return
        g = add_grads(old, g)
    if tracer is not None:
        tracer.touch_grad(leaf, reads=False)
    m.grad = g


def _owns(data: np.ndarray[Any, Any]) -> bool:
    """Whether nobody else looks at the memory of `data`: it is its own, or only this view of it is left, and may be written."""
    base = data.base
    if base is None or not data.flags.writeable:
        return data.flags.writeable
    return (
        isinstance(base, _ndarray) and base.base is None and getrefcount(base) == _ONE_VIEW and data.flags.c_contiguous
    )


def _base_count() -> int:
    """What `getrefcount` says in `_owns` of a base that nothing but one view refers to."""
    data = np.empty(2)[1:]
    base = data.base
    return getrefcount(base)


_ONE_VIEW = _base_count()


def _check_finite(node: GradNode, out: Sequence[Any]) -> None:
    for i, g in enumerate(out):
        if g is not None and type(g._data) is _ndarray and not np.all(np.isfinite(g._data)):
            made = format_location(node.line) or "(recorded before anomaly detection was switched on)"
            raise GradientError(
                f"the derivative of {node.prim.name} with respect to operand {i} has NaN or infinite values; "
                f"the forward operation is at {made}",
                line="",
            )


_ONES = {dtype: np.ones((), dtype) for dtype in FROM_NUMPY}


def backward(t: Tensor, gradient: Tensor | None, retain_graph: bool | None, create_graph: bool, inputs: Any) -> None:
    """`Tensor.backward`."""
    data = t._data
    if gradient is None:
        if data.shape != () and data.size != 1:
            raise GradientError(
                f"backward: the tensor has shape {tuple(t.shape)}; without a `gradient` argument it must have one element. "
                "Reduce it first, for example with .sum() or .mean()"
            )
        if type(data) is _ndarray and MODE.tracer is None:
            gradient = wrap(_ONES[data.dtype].copy() if data.shape == () else np.ones(data.shape, data.dtype))
        else:
            gradient = apply(find_primitive("full"), shape=tuple(data.shape), value=1.0, dtype=t.dtype)
    elif tuple(gradient.shape) != tuple(t.shape):
        raise GradientError(
            f"backward: gradient of shape {tuple(gradient.shape)} for a tensor of shape {tuple(t.shape)}"
        )
    run_backward(
        [t],
        [gradient],
        inputs=inputs,
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
    )
