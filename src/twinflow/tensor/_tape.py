"""The tape: what eager operations record, and the walk back over it.

Each recorded operation is a `GradNode` with edges to the nodes (or leaves) its operands came from. The walk takes
nodes in decreasing order of creation, which is a topological order.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, format_location, user_location
from twinflow.core.errors import GradientError
from twinflow.graph import Aval, Primitive, find_primitive
from twinflow.tensor._mode import MODE, no_grad, quiet_views, set_grad_enabled
from twinflow.tensor._tensor import Meta, Tensor, current_grad_fn, wrap

_sequence = itertools.count()


class GradNode:
    """One recorded operation. `args` holds the operands its derivative needs, `specs` the shapes and types of all."""

    args: Any
    edges: list[Any]
    n_out: int
    out: Any
    params: dict[str, Any]
    prim: Primitive
    seq: int
    specs: list[Any]
    versions: Any
    released: bool = False
    hooks: list[Callable[..., Any]] | None = None  # on the gradients this node sends out
    prehooks: dict[int, list[Any]] | None = None  # on the gradients that reach its outputs
    line: tuple[str, int, str] | None = None
    name: str = ""

    def add_prehook(self, index: int, hook: Callable[[Tensor], Tensor]) -> None:
        """Let `hook` see (and replace) the gradient that reaches output `index`."""
        if self.prehooks is None:
            self.prehooks = {}
        self.prehooks.setdefault(index, []).append(hook)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that gradients flow to, with the index of their output."""
        return tuple((e[0], e[1]) if e is not None else (None, 0) for e in self.edges)

    def __repr__(self) -> str:
        return f"<{self.name or self.prim.name.title().replace('_', '')}Backward>"


def next_sequence() -> int:
    """A number above those of all nodes recorded so far."""
    return next(_sequence)


# An edge is None (no gradient wanted), (GradNode, index), or (leaf tensor, -1).
Edge = Any


def edge_to(t: Any) -> Edge:
    """Where the gradient with respect to `t` goes."""
    if not isinstance(t, Tensor) or t._meta is None or not t._meta.requires_grad:
        return None
    fn = current_grad_fn(t)
    return (t, -1) if fn is None else (fn, t._meta.index)


def record(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any], result: Any, level: int = 0) -> None:
    """Put one operation on the tape and mark its floating results as requiring gradients.

    On the tape of a transformation (`level`) there are edges only to operands of the same level.
    """
    if prim.vjp is None:
        return
    node = GradNode()
    node.seq = next(_sequence)
    node.prim = prim
    node.params = params
    keeps = prim.keeps
    edges: list[Any] = []
    kept: list[Any] = []
    versions: list[Any] = []
    specs: list[Any] = []
    for i, a in enumerate(args):
        version = None
        if isinstance(a, Tensor):
            data = a._data
            specs.append((data.shape, data.dtype))
            m = a._meta
            if m is None or not m.requires_grad or (level and getattr(data, "level", 0) != level):
                edges.append(None)
            elif m.base is None:
                edges.append((a, -1) if m.grad_fn is None else (m.grad_fn, m.index))
            else:
                edges.append(edge_to(a))
            if keeps is True or (i < len(keeps) and keeps[i]):
                if m is None:
                    m = a._meta = Meta()
                elif m.inference:
                    raise GradientError(
                        f"{prim.name}: a tensor made in inference_mode cannot be kept for backward; clone() it"
                    )
                version = m.version[0]
            else:
                a = None
        else:
            specs.append(None)
            edges.append(None)
        kept.append(a)
        versions.append(version)
    node.edges = edges
    node.args = kept
    node.versions = versions
    node.specs = specs
    node.out = None
    if MODE.anomaly or MODE.tracer is not None:
        node.line = user_location()
    if prim.n_out == 1:
        node.n_out = 1
        data = result._data
        if data.dtype.kind in "fcV":
            m = result._meta = Meta()
            m.requires_grad = True
            m.grad_fn = node
            if prim.keeps_out:
                node.out = [(data, m.version, 0)]
        return
    node.n_out = len(result)
    saved: list[Any] = []
    for i, t in enumerate(result):
        if t._data.dtype.kind in "fcV":
            m = t._meta = Meta()
            m.requires_grad = True
            m.grad_fn = node
            m.index = i
            saved.append((t._data, m.version, 0))
        else:
            saved.append((t._data, None, 0))
    if prim.keeps_out:
        node.out = saved


def _operands(node: GradNode) -> tuple[Any, list[Any]]:
    """(y, operands) for the node's rules, with the check that nothing kept was overwritten."""
    if node.released:
        raise GradientError(
            f"backward through {node!r} a second time: what it kept was freed by the first; "
            "call the first backward with retain_graph=True"
        )
    operands: list[Any] = []
    for i, a in enumerate(node.args):
        spec = node.specs[i]
        if a is None and spec is not None:
            operands.append(Aval(tuple(spec[0]), FROM_NUMPY[spec[1]]))
            continue
        if isinstance(a, Tensor) and a._meta is not None and a._meta.version[0] != node.versions[i]:
            raise _overwritten(node, f"operand {i} of shape {tuple(a.shape)}")
        operands.append(a)
    if node.out is None:
        return None, operands
    ys = []
    for i, (data, cell, version) in enumerate(node.out):
        if cell is not None and cell[0] != version:
            raise _overwritten(node, "its result")
        y = wrap(data)
        if cell is not None:
            y._meta = Meta(cell)
            y._meta.requires_grad, y._meta.grad_fn, y._meta.index = True, node, i
        ys.append(y)
    return ys[0] if node.prim.n_out == 1 else tuple(ys), operands


def _overwritten(node: GradNode, what: str) -> GradientError:
    made = format_location(node.line)
    hint = f" (made at {made})" if made else "; autograd.set_detect_anomaly(True) shows the line"
    return GradientError(
        f"the derivative of {node.prim.name} needs {what}, which was overwritten in place after it was used{hint}; "
        "use the out-of-place operation, or clone() first"
    )


def node_vjp(node: GradNode, grads: list[Any]) -> list[Any]:
    """The gradients with respect to the node's operands, None where none is wanted."""
    y, operands = _operands(node)
    prim = node.prim
    if prim.n_out == 1:
        g: Any = grads[0]
    else:
        g = tuple(grads)  # None where the gradient of a result is zero
    rules = prim.vjp
    if isinstance(rules, tuple):
        out: list[Any] = []
        for i, edge in enumerate(node.edges):
            rule = rules[i] if i < len(rules) else None
            out.append(None if edge is None or rule is None else rule(g, y, *operands, **node.params))
    else:
        out = list(rules(g, y, *operands, **node.params)) if rules is not None else []
    if prim.elementwise:
        for i, r in enumerate(out):
            spec = node.specs[i]
            if r is not None and spec is not None and r._data.shape != spec[0]:
                out[i] = sum_to(r, tuple(spec[0]))
    return out


def sum_to(g: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sum the axes along which `shape` was broadcast: the transpose of broadcasting."""
    from twinflow.tensor._apply import apply

    have = g._data.shape
    lead = len(have) - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, s in enumerate(shape) if s == 1 and have[lead + i] != 1)
    if axes:
        g = apply(find_primitive("sum"), g, axes=axes, keepdim=False)
    if g._data.shape != shape:
        g = apply(find_primitive("reshape"), g, shape=shape)
    return g


def add_grads(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """a + b, where None is zero."""
    from twinflow.tensor._apply import apply

    if a is None or b is None:
        return b if a is None else a
    return apply(find_primitive("add"), a, b)


def run_backward(
    roots: Sequence[Tensor],
    grads: Sequence[Tensor],
    *,
    inputs: Sequence[Tensor] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    accumulate: bool = True,
) -> list[Tensor | None]:
    """Walk back from `roots`. With `inputs`, returns their gradients (or accumulates into only them); else fills
    the `.grad` of every leaf."""
    wanted_leaf: dict[int, int] = {}
    wanted_node: dict[tuple[int, int], list[int]] = {}
    for k, t in enumerate(inputs or ()):
        edge = edge_to(t)
        if edge is None:
            raise GradientError(f"input {k} of the derivative does not require gradients; call requires_grad_() on it")
        if edge[1] == -1:
            wanted_leaf[id(t)] = k
        else:
            wanted_node.setdefault((id(edge[0]), edge[1]), []).append(k)
    found: list[Tensor | None] = [None] * len(inputs or ())
    keep: list[Tensor] = list(inputs or ())
    pending: dict[int, list[Any]] = {}
    nodes: dict[int, GradNode] = {}
    heap: list[int] = []
    needed: set[int] | None = None
    wanted_ids: set[int] = set()
    given = {id(g._data) for g in grads}  # arrays that already are somebody's gradient

    def send(edge: Edge, g: Tensor) -> None:
        target, index = edge
        if index == -1:
            _reach_leaf(target, g, inputs is not None, wanted_leaf, found, create_graph, given)
            return
        seq = target.seq
        slots = pending.get(seq)
        if slots is None:
            slots = pending[seq] = [None] * target.n_out
            nodes[seq] = target
            heapq.heappush(heap, -seq)
        slots[index] = add_grads(slots[index], g)

    with set_grad_enabled(create_graph), quiet_views(not create_graph):
        for root, g in zip(roots, grads):
            edge = edge_to(root)
            if edge is None:
                raise GradientError(
                    "backward: this tensor does not require gradients and no recorded operation made it; did a "
                    "no_grad block, detach() or an integer type cut the graph, or does no parameter require gradients?"
                )
            send(edge, g)
        if inputs is not None:
            targets = {k[0] for k in wanted_node}
            needed = _needed(nodes.values(), set(wanted_leaf), targets)
            wanted_ids = needed | targets
        while heap:
            seq = -heapq.heappop(heap)
            node = nodes.pop(seq)
            slots = pending.pop(seq)
            if node.prehooks:
                for i, hooks in node.prehooks.items():
                    for hook in list(hooks):
                        if slots[i] is not None:
                            slots[i] = hook(slots[i])
            for i in range(node.n_out):
                for k in wanted_node.get((id(node), i), ()):
                    found[k] = slots[i]
            if needed is not None and id(node) not in needed:
                continue
            out = node_vjp(node, slots)
            if MODE.anomaly:
                _check_finite(node, out)
            if node.hooks:
                for hook in list(node.hooks):
                    changed = hook(tuple(out), tuple(slots))
                    if changed is not None:
                        out = list(changed)
            if not retain_graph:
                _release(node)
            for edge, value in zip(node.edges, out):
                if edge is None or value is None:
                    continue
                if needed is None or id(edge[0]) in (wanted_leaf if edge[1] == -1 else wanted_ids):
                    send(edge, value)
    del keep
    if inputs is not None and accumulate:
        for t, value in zip(inputs, found):
            if value is not None:
                accumulate_grad(t, value, create_graph, given)
    return found


def _release(node: GradNode) -> None:
    node.released = True
    node.args = ()
    node.out = None


def _needed(starts: Any, leaves: set[int], targets: set[int]) -> set[int]:
    """The ids of nodes from which a wanted input can be reached."""
    parents: dict[int, list[int]] = {}
    hits: list[int] = []
    stack = list(starts)
    seen: set[int] = {id(n) for n in stack}
    while stack:
        node = stack.pop()
        for edge in node.edges:
            if edge is None:
                continue
            if edge[1] == -1:
                if id(edge[0]) in leaves:
                    hits.append(id(node))
                continue
            child = edge[0]
            parents.setdefault(id(child), []).append(id(node))
            if id(child) in targets:
                hits.append(id(node))
            if id(child) not in seen:
                seen.add(id(child))
                stack.append(child)
    needed: set[int] = set()
    while hits:
        n = hits.pop()
        if n not in needed:
            needed.add(n)
            hits.extend(parents.get(n, ()))
    return needed


def _reach_leaf(
    leaf: Tensor,
    g: Tensor,
    only_inputs: bool,
    wanted: dict[int, int],
    found: list[Tensor | None],
    create_graph: bool,
    given: set[int],
) -> None:
    if leaf._meta is not None and leaf._meta.hooks:
        for hook in list(leaf._meta.hooks.values()):
            changed = hook(g)
            if changed is not None:
                g = changed
    if only_inputs:
        k = wanted.get(id(leaf))
        if k is not None:
            found[k] = add_grads(found[k], g)
    else:
        accumulate_grad(leaf, g, create_graph, given)


def accumulate_grad(leaf: Tensor, g: Tensor, create_graph: bool, given: set[int]) -> None:
    """Add `g` to `leaf.grad`. The first gradient is kept as it comes; later ones are added."""
    old = leaf.grad
    if g._data.dtype != leaf._data.dtype:
        from twinflow.tensor._apply import apply

        g = apply(find_primitive("cast"), g, dtype=leaf.dtype)
    if old is not None:
        total = add_grads(old, g)
        g = g if total is None else total
    elif not create_graph:
        data = g._data
        if type(data) is np.ndarray:
            if id(data) in given or data.base is not None or not data.flags.writeable:
                data = np.array(data)  # what others look at too (an expanded 1, a sum's two operands) is copied
            given.add(id(data))
        g = wrap(data)
    leaf.grad = g


def _check_finite(node: GradNode, out: list[Any]) -> None:
    for i, g in enumerate(out):
        if g is not None and type(g._data) is np.ndarray and not np.all(np.isfinite(g._data)):
            made = format_location(node.line) or "(recorded before anomaly detection was switched on)"
            raise GradientError(
                f"the derivative of {node.prim.name} with respect to operand {i} has NaN or infinite values; "
                f"the forward operation is at {made}",
                line="",
            )


def backward(t: Tensor, gradient: Tensor | None, retain_graph: bool | None, create_graph: bool, inputs: Any) -> None:
    """`Tensor.backward`."""
    if gradient is None:
        if t._data.shape != () and t._data.size != 1:
            raise GradientError(
                f"backward: the tensor has shape {tuple(t.shape)}; without a `gradient` argument it must have one element. "
                "Reduce it first, for example with .sum() or .mean()"
            )
        gradient = _ones_like(t)
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


def _ones_like(t: Tensor) -> Tensor:
    from twinflow.tensor._apply import apply

    with no_grad():
        return apply(find_primitive("full"), shape=tuple(t._data.shape), value=1.0, dtype=t.dtype)
