"""Tracing: running a Python function once while every operation becomes a node of a graph.

Tensors that the function touches without receiving them are captured as further inputs ("state"). In-place writes to
them become new nodes; at the end, the last value of each written tensor is the graph's `writes`. Gradients left in
`.grad` are outputs too. The Python objects are restored afterwards as they were.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import is_symbolic
from twinflow.core.errors import TraceError
from twinflow.graph import Aval, Graph, Node, Primitive
from twinflow.tensor._mode import MODE, enter_special, exit_special, next_level
from twinflow.tensor._tensor import Tensor, base_of, held_grad, meta_of, payload, refresh_view, wrap


class HostScalar:
    """A number that Python supplies anew for each call, such as the learning rate: `read()` gives its value."""

    __slots__ = ("node", "read")

    def __init__(self, read: Callable[[], float], node: Node) -> None:
        self.read = read
        self.node = node


class Attributes:
    """What a guard reads that wants to know an attribute of many objects. Compiled calls look at these without calling it."""

    __slots__ = ("name", "objects")

    def __init__(self, objects: Sequence[Any], name: str) -> None:
        self.objects = objects
        self.name = name

    def __call__(self) -> list[Any]:
        return [getattr(x, self.name) for x in self.objects]


class Tracer:
    """Collects the operations of one thread into a graph. Used as a context manager."""

    def __init__(self, name: str = "graph", *, body: bool = False) -> None:
        self.body = body  # the graph will be run again by a control-flow primitive, and differentiated there
        self.graph = Graph(name)
        self.level = next_level()
        self.outer: Tracer | None = None
        self.captured: list[tuple[Tensor, Node]] = []  # tensors touched without being received
        self.values: dict[int, Node] = {}  # id of a concrete tensor -> its current value here
        self.written: dict[int, Tensor] = {}  # concrete tensors written in place
        self.attributes: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}  # rebound: (where, name, before)
        self.grads: dict[int, tuple[Tensor, Tensor | None, bool]] = {}  # touched .grad: (tensor, before, read first)
        self.scalars: list[HostScalar] = []
        self.after_call: list[Callable[[], None]] = []  # Python effects that each call repeats, e.g. schedule steps
        self.guards: list[tuple[Callable[[], Any], Any, str]] = []  # (read, value at trace time, what)
        self.dims = False  # whether an input has a named dimension
        self._dim_inputs: dict[Any, Node] = {}
        self._made: list[weakref.ref[Tensor]] = []  # what operations gave, to find what outlives the trace
        self._alive: list[Tensor] = []  # keeps ids unique
        self._with_grad = MODE.grad
        self._tape_before: list[tuple[Any, bool, Any, int]] = []  # of written tensors, to be put back

    # -- as a context ------------------------------------------------------------------------------------------

    def __enter__(self) -> Tracer:
        self.outer = MODE.tracer
        if self.outer is not None:
            self.graph.sizes = self.outer.graph.sizes  # the same dimensions have the same names inside
            self.dims = self.outer.dims and self.body
        MODE.tracer = self
        enter_special()
        return self

    def __exit__(self, *exc: object) -> None:
        MODE.tracer = self.outer
        exit_special()
        for t, before, _ in self.grads.values():
            meta_of(t).grad = before
        for where, name, was in self.attributes.values():
            if was is ABSENT:
                where.pop(name, None)
            else:
                where[name] = was
        for m, requires_grad, grad_fn, index in self._tape_before:
            m.requires_grad, m.grad_fn, m.index = requires_grad, grad_fn, index

    # -- values ------------------------------------------------------------------------------------------------

    def add_input(self, t: Tensor, name: str, shape: tuple[int, ...] | None = None) -> Node:
        """Make a received tensor an input: from here on `t` stands for it. `shape` may name its dimensions."""
        aval = _aval(t)
        node = self.graph.add_input(aval if shape is None else Aval(shape, aval.dtype), name)
        self.values[id(t)] = node
        self._alive.append(t)
        return node

    def node_of(self, value: Any) -> Any:
        """The operand that stands for a tensor or number in this graph; foreign tensors are captured."""
        if not isinstance(value, Tensor):
            return value
        p = payload(value)
        if isinstance(p, Node) and p.graph is self.graph:
            return p
        node = self.values.get(id(value))
        if node is None:
            meta = value._meta
            if meta is not None and meta.base is not None and isinstance(p, Node) and not self.runs(p.graph):
                refresh_view(value)  # what it held was derived from its base in a body that has ended
                return self.node_of(value)
            self._check_alive(p)
            if meta is not None and meta.base is not None and isinstance(p, np.ndarray):
                return self._view_of_captured(value)
            node = self.graph.add_input(_aval(value), "")
            self.values[id(value)] = node
            self.captured.append((value, node))
            self._alive.append(value)
        return node

    def _check_alive(self, p: Any) -> None:
        """Raise if a payload belongs to a trace or transformation that has ended, or that runs inside this one."""
        if isinstance(p, Node):
            if not self.runs(p.graph):
                raise TraceError(
                    "a tensor that was made while a function was traced has no value outside it; return it from the function "
                    "instead of keeping it in a variable or attribute"
                )
        elif not isinstance(p, np.ndarray) and (p.level > self.level or not p.owner.active):
            raise TraceError(
                f"a tensor that was made inside {p.transform} has no value outside it; return it from the function "
                "instead of keeping it in a variable or attribute"
            )

    def runs(self, graph: Graph) -> bool:
        """Whether `graph` is being traced, by this tracer or one around it."""
        tracer: Tracer | None = self
        while tracer is not None and tracer.graph is not graph:
            tracer = tracer.outer
        return tracer is not None

    def _view_of_captured(self, value: Tensor) -> Node:
        """A view that was made before tracing: its base is captured, and the view is part of the graph."""
        meta = meta_of(value)
        node = self.node_of(base_of(meta))
        for prim, params in meta.view:
            node = self.graph.add(prim, (node,), params)
        return node

    def record(self, prim: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """One operation as a node; the result is a tensor (or a tuple of them) that holds it."""
        operands = [self.node_of(a) for a in args]
        if self.dims:
            operands = [self._dim_operand(a, operands) if is_symbolic(a) else a for a in operands]
        node = self.graph.add(prim, tuple(operands), params)
        if self.body and self._with_grad and not MODE.grad:
            return self._without_gradient(node)
        if prim.n_out == 1:
            return self._result(node)
        pick = PICK[0]
        return tuple(
            [
                self._result(self.graph.add(pick, (node,), {"index": i}, aval=a, line=node.line))
                for i, a in enumerate(node.aval)
            ]
        )

    def _result(self, node: Node) -> Tensor:
        t = wrap(node)
        self._made.append(weakref.ref(t))
        return t

    def _without_gradient(self, node: Node) -> Any:
        """A result under `no_grad` in a body: the graph says so, because the body is differentiated later."""
        stop, pick = STOP_GRADIENT[0], PICK[0]
        if isinstance(node.aval, Aval):
            return wrap(self.graph.add(stop, (node,), {}, line=node.line))
        parts = [self.graph.add(pick, (node,), {"index": i}, aval=a, line=node.line) for i, a in enumerate(node.aval)]
        return tuple([wrap(self.graph.add(stop, (p,), {}, line=node.line)) for p in parts])

    def _dim_operand(self, value: Any, operands: list[Any]) -> Node:
        """A number that follows a dimension, as a runtime input: a literal would be frozen into the code."""
        dtype = next(x.aval.dtype for x in reversed(operands) if isinstance(x, Node))
        key = (float(value), dtype)
        if key not in self._dim_inputs:
            number = float(value) if dtype.category >= 2 else int(value)
            self._dim_inputs[key] = self.scalar(lambda: number, dtype, "size")._data
        return self._dim_inputs[key]

    def write(self, t: Tensor, value: Tensor) -> None:
        """An in-place write to a tensor from outside: from here on `t` stands for `value`."""
        p = payload(t)
        if isinstance(p, Node) and p.graph is self.graph:
            t._data = self.node_of(value)
            return
        self.node_of(t)
        self.values[id(t)] = self.node_of(value)
        if id(t) not in self.written:
            m = meta_of(t)
            self._tape_before.append((m, m.requires_grad, m.grad_fn, m.index))
        self.written[id(t)] = t

    # -- Python state ------------------------------------------------------------------------------------------

    def touch_grad(self, t: Tensor, *, reads: bool) -> None:
        """Called before `.grad` of `t` is read or set."""
        if id(t) not in self.grads and not isinstance(t._data, Node):
            before = held_grad(meta_of(t))
            self.grads[id(t)] = (t, before, reads)
            self._alive.append(t)

    def touch_attribute(self, where: dict[str, Any], name: str) -> None:
        """Called before `where[name]`, an attribute of some object, is set to or from a tensor."""
        key = id(where), name
        if key not in self.attributes:
            self.attributes[key] = where, name, where.get(name, ABSENT)

    def outliving(self) -> Callable[[], list[Node]]:
        """What gives, once the trace has ended, the nodes of results of operations that somebody still holds."""
        graph, made = self.graph, self._made

        def held() -> list[Node]:
            found = [t._data for ref in made if (t := ref()) is not None]
            return [node for node in found if isinstance(node, Node) and node.graph is graph]

        return held

    def scalar(self, read: Callable[[], float], dtype: Any, name: str) -> Tensor:
        """A 0-dimensional input that is read from Python before each call."""
        node = self.graph.add_input(Aval((), dtype), name)
        self.scalars.append(HostScalar(read, node))
        return wrap(node)

    def guard(self, read: Callable[[], Any], what: str) -> None:
        """Say that the trace holds only while `read()` gives what it gives now."""
        self.guards.append((read, read(), what))


ABSENT = object()
"""What stands for the value of an attribute that was not there."""

PICK: list[Primitive] = []  # the primitive `pick`, put here by the row that declares it
STOP_GRADIENT: list[Primitive] = []  # and `stop_gradient`


def _aval(t: Tensor) -> Any:
    from twinflow.tensor._apply import operand_aval

    return operand_aval(t)


class paused_tracing:
    """Within it operations run at once although a function is being traced: for state that outlives the trace."""

    def __enter__(self) -> None:
        self._tracer = MODE.tracer
        MODE.tracer = None

    def __exit__(self, *exc: object) -> None:
        MODE.tracer = self._tracer


def current_tracer() -> Tracer | None:
    """The innermost tracer of this thread, or None in plain evaluation."""
    return MODE.tracer


def is_tracing() -> bool:
    """Whether a function is being traced in this thread."""
    return MODE.tracer is not None


def host_scalar(read: Callable[[], float], dtype: Any, name: str) -> Any:
    """A number that changes from call to call: itself in plain evaluation, a runtime input while tracing."""
    tracer: Tracer | None = MODE.tracer
    return read() if tracer is None else tracer.scalar(read, dtype, name)


def after_call(effect: Callable[[], None]) -> bool:
    """While tracing, ask that every call of the compiled function ends with `effect()`. False in plain evaluation."""
    tracer: Tracer | None = MODE.tracer
    if tracer is None:
        return False
    tracer.after_call.append(effect)
    return True


def refuse_tracing(what: str, way_out: str) -> None:
    """Raise TraceError if a function is being traced."""
    if MODE.tracer is not None:
        raise TraceError(f"{what} cannot be done while a function is traced; {way_out}")
