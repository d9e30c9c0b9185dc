"""The tape: what eager operations record.

Each recorded operation is a `GradNode` with edges to the nodes (or leaves) its operands came from. The walk back over
them is in `_backward`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, DType, format_location, user_location
from twinflow.core.errors import GradientError
from twinflow.graph import Primitive
from twinflow.tensor._mode import MODE, SPECIAL
from twinflow.tensor._tensor import Meta, Tensor, current_grad_fn, new_meta, wrap

_F32 = np.dtype(np.float32)
_sequence = itertools.count(0, -1)  # later nodes have smaller numbers: a heap of them gives the latest first


class Spec:
    """What a rule sees of an operand that it does not keep: shape and type. Cheaper to make than an `Aval`."""

    __slots__ = ("np_dtype", "shape")

    shape: tuple[int, ...]
    np_dtype: np.dtype[Any]

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return FROM_NUMPY[self.np_dtype]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        n = 1
        for s in self.shape:
            n *= s
        return n

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


class GradNode:
    """One recorded operation.

    `args` holds the operands as its derivative needs them: a tensor that is kept (with its version at that time in
    `versions`), a `Spec` of one that is not (of an elementwise primitive its shape, or None), or a number. It becomes None
    once the backward pass has freed it.
    """

    __slots__ = ("__dict__", "args", "edges", "out", "params", "prim", "seq", "versions")

    args: Sequence[Any] | None
    edges: Sequence[Edge]
    hooks: list[Callable[..., Any]] | None = None  # on the gradients this node sends out
    line: tuple[str, int, str] | None = None
    n_out: int = 1
    out: Sequence[tuple[Any, list[int] | None, int]] | None
    params: dict[str, Any]
    prehooks: dict[int, list[Any]] | None = None  # on the gradients that reach its outputs
    prim: Primitive
    seq: int
    versions: Sequence[int] | None  # one per operand, -1 where nothing is kept

    def add_prehook(self, index: int, hook: Callable[[Tensor], Tensor]) -> None:
        """Let `hook` see (and replace) the gradient that reaches output `index`."""
        if self.prehooks is None:
            self.prehooks = {}
        self.prehooks.setdefault(index, []).append(hook)

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that gradients flow to, with the index of their output."""
        return tuple((e[0], e[1]) if e is not None else (None, 0) for e in self.edges)

    def name(self) -> str:
        """The name that it prints with."""
        return f"{self.prim.name.title().replace('_', '')}Backward"

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def next_sequence() -> int:
    """A number below those of all nodes recorded so far: later nodes have smaller ones."""
    return next(_sequence)


# None (no gradient wanted), (GradNode, index), or (leaf tensor, -1).
Edge = Any


def edge_to(t: Any) -> Edge:
    """Where the gradient with respect to `t` goes."""
    m = t._meta if isinstance(t, Tensor) else None
    if m is None:
        return None
    fn = current_grad_fn(t)  # first, because a view learns here that its base requires gradients by now
    if not m.requires_grad:
        return None
    return (t, -1) if fn is None else (fn, m.index)


def record(prim: Primitive, args: tuple[Any, ...], params: dict[str, Any], result: Any, level: int = 0) -> None:
    """Put one operation on the tape and mark its floating results as requiring gradients.

    On the tape of a transformation (`level`) there are edges only to operands of the same level.
    """
    if prim.vjp is None:
        return
    n = len(args)
    if n <= 2 and n and prim.n_out == 1 and not SPECIAL.count:
        if n == 1:
            record_unary(prim, args[0], params, result)
        else:
            record_binary(prim, args[0], args[1], params, result)
        return
    edges: list[Any] = []
    wanted, bit = 0, 1
    for a in args:
        m = a._info if isinstance(a, Tensor) else None
        if m is None or not m.requires_grad or (level and getattr(a._data, "level", 0) != level):
            edges.append(None)
        else:
            if type(m) is Meta and m.base is None:
                fn = m.grad_fn
                edges.append((a, -1) if fn is None else (fn, m.index))
            else:
                edges.append(edge_to(a))
            wanted |= bit
        bit <<= 1
    node = _node(prim, params, tuple(edges))
    if SPECIAL.count and (MODE.anomaly or MODE.tracer is not None):
        node.line = user_location()
    flags, keeps_out = prim.kept.get(wanted | bit) or prim.keep_for(wanted, n)
    kept: list[Any] = []
    versions, keeps = [-1] * n, False
    for i, a in enumerate(args):
        if isinstance(a, Tensor):
            if flags[i]:
                versions[i], keeps = _version_to_keep(prim, a), True
            else:
                a = _spec_of(a._data)
        kept.append(a)
    node.args = tuple(kept)
    if keeps:
        node.versions = tuple(versions)
    _mark_results(node, result, keeps_out)
    if SPECIAL.count and MODE.saved_hooks:
        _pack(node)


def _mark_results(node: GradNode, result: Any, keeps_out: bool) -> None:
    if node.prim.n_out == 1:
        _mark(node, result, keeps_out)
        return
    node.n_out = len(result)
    saved: list[tuple[Any, list[int] | None, int]] = []
    for i, t in enumerate(result):
        if t._data.dtype.kind in "fcV":
            m = t._meta = new_meta()
            m.requires_grad = True
            m.grad_fn = node
            m.index = i
            saved.append((t._data, m.version, 0))
        else:
            saved.append((t._data, None, 0))
    if keeps_out:
        node.out = tuple(saved)


# The two cases that models are made of, in plain evaluation; each line here is paid once per operation, so what others
# have in functions (`edge_to`, `_node`, `_mark`) is written out for the common case. Rules of elementwise primitives do not
# look at operands that they do not keep: the walk back needs their shape, to sum what was broadcast, and not even that of
# an only one.


def record_unary(prim: Primitive, a: Tensor, params: dict[str, Any], result: Tensor) -> None:
    """`record` for one operand, which requires gradients, and one result, in plain evaluation."""
    m = a._info
    node = GradNode()
    node.out = node.versions = None
    node.prim = prim
    node.params = params
    if type(m) is Meta and m.base is None:
        fn = m.grad_fn
        node.edges = (((a, -1) if fn is None else (fn, m.index)),)
    else:
        node.edges = (edge_to(a),)
    node.seq = next(_sequence)  # after the edges: nodes that a view has made for itself only now must come before
    flags, keeps_out = prim.kept.get(3) or prim.keep_for(1, 1)
    if flags[0]:
        node.versions = (_version_to_keep(prim, a),)
        node.args = (a,)
    else:
        node.args = _NOTHING if prim.elementwise else (_spec_of(a._data),)
    data = result._data
    if data.dtype is not _F32 and data.dtype.kind not in "fcV":
        return
    m = result._info = new_meta()
    m.requires_grad = True
    m.grad_fn = node
    if keeps_out:
        node.out = ((data, m.version, 0),)


_NOTHING = (None,)


def record_binary(prim: Primitive, a: Any, b: Any, params: dict[str, Any], result: Tensor) -> None:
    """`record` for two operands, tensors or numbers, and one result, in plain evaluation."""
    to_a = to_b = None
    wanted = 4
    if isinstance(a, Tensor):
        m = a._info
        if m is not None and m.requires_grad:
            wanted = 5
            if type(m) is Meta and m.base is None:
                fn = m.grad_fn
                to_a = (a, -1) if fn is None else (fn, m.index)
            else:
                to_a = edge_to(a)
    if isinstance(b, Tensor):
        m = b._info
        if m is not None and m.requires_grad:
            wanted += 2
            if type(m) is Meta and m.base is None:
                fn = m.grad_fn
                to_b = (b, -1) if fn is None else (fn, m.index)
            else:
                to_b = edge_to(b)
    node = GradNode()
    node.out = node.versions = None
    node.seq = next(_sequence)
    node.prim = prim
    node.params = params
    node.edges = (to_a, to_b)
    (keep_a, keep_b), keeps_out = prim.kept.get(wanted) or prim.keep_for(wanted - 4, 2)
    va = vb = -1
    if isinstance(a, Tensor):
        if keep_a:
            va = _version_to_keep(prim, a)
        else:
            a = a._data.shape if prim.elementwise else _spec_of(a._data)
    if isinstance(b, Tensor):
        if keep_b:
            vb = _version_to_keep(prim, b)
        else:
            b = b._data.shape if prim.elementwise else _spec_of(b._data)
    node.args = (a, b)
    if keep_a or keep_b:
        node.versions = (va, vb)
    data = result._data
    if data.dtype is not _F32 and data.dtype.kind not in "fcV":
        return
    m = result._info = new_meta()
    m.requires_grad = True
    m.grad_fn = node
    if keeps_out:
        node.out = ((data, m.version, 0),)


def _node(prim: Primitive, params: dict[str, Any], edges: Any) -> GradNode:
    node = GradNode()
    node.out = node.versions = None
    node.seq = next(_sequence)
    node.prim = prim
    node.params = params
    node.edges = edges
    return node


def _spec_of(data: Any) -> Spec:
    spec = Spec()
    spec.shape = data.shape
    spec.np_dtype = data.dtype
    return spec


def _version_to_keep(prim: Primitive, a: Tensor) -> int:
    """The version of an operand that is kept for backward."""
    m = a._info if type(a._info) is Meta else a._meta
    if m is None:
        m = a._meta = new_meta()
    elif m.inference:
        raise GradientError(f"{prim.name}: a tensor made in inference_mode cannot be kept for backward; clone() it")
    return m.version[0]


def _mark(node: GradNode, result: Tensor, keeps_out: bool) -> None:
    """Let the only result of a node require gradients, if it has a type that can."""
    data = result._data
    d = data.dtype
    if d is _F32 or d.kind in "fcV":
        m = result._info = new_meta()
        m.requires_grad = True
        m.grad_fn = node
        if keeps_out:
            node.out = ((data, m.version, 0),)


def saved_operands(node: GradNode) -> Any:
    """The operands for the node's rules, with the check that nothing kept was freed or overwritten."""
    args = node.args
    if args is None:
        raise GradientError(
            f"backward through {node!r} a second time: what it kept was freed by the first; "
            "call the first backward with retain_graph=True"
        )
    versions = node.versions
    if versions is not None:
        if type(versions) is _PackedOperands:
            return versions.unpack(args)
        for i, version in enumerate(versions):
            if version >= 0 and args[i]._info.version[0] != version:
                raise _overwritten(node, f"operand {i} of shape {tuple(args[i].shape)}")
    return args


def saved_result(node: GradNode) -> Any:
    """The result (or tuple of them) for rules that need it; with its place on the tape if these are recorded."""
    ys: list[Any] = []
    for i, (data, cell, version) in enumerate(node.out or ()):
        if type(data) is Packed:
            ys.append(data.unpack())
            continue
        if cell is not None and cell[0] != version:
            if node.prim.n_out == 1:
                raise _overwritten(node, "its result")
            ys.append(_Overwritten(node))
            continue
        y = wrap(data)
        if cell is not None and MODE.grad:
            m = y._meta = new_meta(cell)
            m.requires_grad, m.grad_fn, m.index = True, node, i
        ys.append(y)
    return ys[0] if node.prim.n_out == 1 else tuple(ys)


class _Overwritten:
    """Stands for one of several results that was overwritten: an error as soon as a rule looks at it. Sorting, for example,
    needs only the indices."""

    __slots__ = ("node",)

    def __init__(self, node: GradNode) -> None:
        self.node = node

    def __getattr__(self, name: str) -> Any:
        raise _overwritten(self.node, "one of its results")


def _overwritten(node: GradNode, what: str) -> GradientError:
    made = format_location(node.line)
    hint = f" (made at {made})" if made else "; autograd.set_detect_anomaly(True) shows the line"
    return GradientError(
        f"the derivative of {node.prim.name} needs {what}, which was overwritten in place after it was used{hint}; "
        "use the out-of-place operation, or clone() first"
    )


# -- hooks on what is kept --------------------------------------------------------------------------------------


class Packed:
    """A kept tensor as a pack hook left it: its unpack hook gives it back."""

    __slots__ = ("handle", "hook", "leaf", "place")

    def __init__(self, t: Tensor, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor], place: Edge) -> None:
        self.place = place
        self.leaf = t if place is not None and place[1] == -1 else None
        self.handle = pack(t)
        self.hook = unpack

    def unpack(self) -> Tensor:
        """The tensor, with its place on the tape if operations are recorded."""
        value = self.hook(self.handle)
        if not isinstance(value, Tensor):
            raise GradientError(
                f"saved_tensors_hooks: the unpack hook must return a tensor, not {type(value).__name__}"
            )
        if not MODE.grad or self.place is None:
            return value
        if self.leaf is not None:
            return self.leaf
        y = wrap(value._data)
        m = y._meta = new_meta()
        m.requires_grad = True
        m.grad_fn, m.index = self.place
        return y


class _PackedOperands(list[int]):
    """Stands in the place of a node's versions when its operands are packed."""

    def unpack(self, args: Any) -> list[Any]:
        return [a.unpack() if type(a) is Packed else a for a in args]


def _pack(node: GradNode) -> None:
    pack, unpack = MODE.saved_hooks[-1]
    if node.versions is not None:
        node.args = [
            Packed(a, pack, unpack, edge_to(a)) if v >= 0 else a for a, v in zip(node.args or (), node.versions)
        ]
        node.versions = _PackedOperands()
    if node.out is not None:
        node.out = [
            (Packed(wrap(data), pack, unpack, None if cell is None else (node, i)), cell, version)
            for i, (data, cell, version) in enumerate(node.out)
        ]
