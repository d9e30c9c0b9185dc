"""Running operations of a static graph on twinflow's tensors.

`Run` is what a session traces: operations in the order in which they were made. `Inference` runs a single operation on
tensors without elements, to learn the shapes and types of its results.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, blaming, tree_flatten, tree_leaves, tree_map
from twinflow.core.errors import ArgumentError, ShapeError, TwinflowError
from twinflow.graph import Aval
from twinflow.ops import tensor
from twinflow.tensor import Tensor as Value
from twinflow.tensor import Tracer, assign, current_tracer, no_grad, paused_tracing, wrap
from twinflow.tf._shapes import TensorShape
from twinflow.tf.compat.v1._operations import Body, Operation, Tensor, needed_operations

VARIABLE = "VariableV2"


class Run:
    """One evaluation. `values` holds what the tensors of the graph stand for, by id."""

    def __init__(self, state: Any, parent: Run | None = None) -> None:
        self.state = state
        self.parent = parent
        self.tracer: Any = current_tracer()
        self.values: dict[int, Any] = {}
        self.host: set[int] = set() if parent is None else set(parent.host)  # tensors whose elements are known now
        self.targets: set[int] = set() if parent is None else parent.targets  # what gradients are asked for
        self.op: Any = None  # the operation that runs
        self._read: dict[int, Value] = {}
        self.reads: dict[int, list[Value]] = {}
        self.written: set[int] = set()

    # -- values ------------------------------------------------------------------------------------------------

    def value(self, x: Tensor) -> Value:
        """What a tensor of the graph stands for."""
        run: Run | None = self
        while run is not None:
            found = run.values.get(id(x))
            if found is not None:
                return found
            run = run.parent
        if x.op.kind == VARIABLE:
            return self.read(x)
        raise TwinflowError(f"session: {x!r} was not computed before {self.op!r}, which reads it")

    def operand(self, x: Any) -> Any:
        """An argument of an operation with values in the place of tensors."""
        if not isinstance(x, Tensor):
            return x
        value = self.value(x)
        if id(x) in self.host and not self.op.host and value._data.size <= 16:
            return self.in_graph(x, value)  # a literal, so that passes see it
        return value

    def value_now(self, x: Any) -> Any:
        """An argument that decides a shape, as a tensor whose elements are known."""
        return wrap(self.host_value(x)) if isinstance(x, Tensor) else x

    def in_graph(self, x: Tensor, value: Value) -> Value:
        """A value that is known now, as one of the graph that is traced."""
        made = tensor(value._data)
        return made.requires_grad_(True) if id(x) in self.targets else made

    def host_value(self, x: Any) -> Any:
        """An argument whose value must be known now: an array, or a number or other object as it is.

        Raises: ShapeError if it depends on what is only known when the graph runs.
        """
        if not isinstance(x, Tensor):
            return x
        value = self.value(x)
        if id(x) not in self.host:
            raise ShapeError(
                f"{self.op.name}: the value of {x.name!r} must be known before the graph is compiled, but it is computed from "
                f"variables or random numbers; make it a number, a constant or a placeholder\n  made at {x.op.where}"
            )
        return value._data

    def store(self, x: Tensor, value: Value, host: bool = False) -> None:
        """Note what a tensor stands for."""
        if id(x) in self.targets and value.dtype.is_floating_point and not value.requires_grad:
            if host:
                value, host = tensor(value._data), False
            value.requires_grad_(True)
        self.values[id(x)] = value
        if host:
            self.host.add(id(x))

    # -- variables ---------------------------------------------------------------------------------------------

    def read(self, variable: Tensor) -> Value:
        """The present value of a variable: a tensor of its own, which later assignments do not change."""
        key = id(variable)
        if self.parent is not None and key not in self.written:
            return self.parent.read(variable)
        node = self.tracer.node_of(self.state.tensor(variable))
        known = self._read.get(key)
        if known is None or known._data is not node:
            known = self._read[key] = wrap(node)
            if known.dtype.is_floating_point:
                known.requires_grad_(True)
            self.reads.setdefault(key, []).append(known)
        return known

    def assign(self, variable: Tensor, value: Value) -> None:
        """Give a variable a new value."""
        with no_grad():
            assign(self.state.tensor(variable), value, "assign")
        self.written.add(id(variable))

    # -- operations --------------------------------------------------------------------------------------------

    def perform(self, ops: list[Operation]) -> None:
        """Run operations in order. What is fed is not computed."""
        for op in ops:
            self.op = op
            if op.kind == VARIABLE or (op.outputs and all(id(x) in self.values for x in op.outputs)):
                continue
            with blaming(op.line):
                self._perform(op)

    def _perform(self, op: Operation) -> None:
        function, host = op.function, False
        if function.raw:
            out = function.fn(self, **op.params)
            host = op.host
        elif op.host and all(id(x) in self.host for x in op.inputs):
            host = True
            with paused_tracing(), no_grad():
                out = function.call(tree_map(self.operand, op.params))
        else:
            out = function.call(
                {k: tree_map(self.value_now if k in function.static else self.operand, v) for k, v in op.params.items()}
            )
        for x, value in zip(op.outputs, tree_leaves(out)):
            if id(x) not in self.values:
                self.store(x, value if isinstance(value, Value) else tensor(value), host)

    def run_body(self, body: Body, inputs: Any) -> Any:
        """The outputs of a graph inside the graph for these values of its inputs; operations among them give None."""
        inner = Run(self.state, self)
        for x, value in zip(body.inputs, inputs):
            inner.values[id(x)] = value
            inner.host.discard(id(x))
        inner.perform([op for op in needed_operations(body.roots()) if body.holds(op)])
        inner.op = self.op

        def result(x: Any) -> Any:
            if isinstance(x, Operation):
                return None
            if not isinstance(x, Tensor):
                return tensor(x)
            value = inner.value(x)
            return inner.in_graph(x, value) if id(x) in inner.host else value

        return tree_map(result, body.outputs)


class Inference(Run):
    """The evaluation of one operation on tensors of known shape without elements; unknown extents are `fill`."""

    def __init__(self, fill: int, rank: int) -> None:
        super().__init__(None)
        self.fill, self.rank = fill, rank

    def value(self, x: Tensor) -> Value:
        """A stand-in, or the value itself if it follows from shapes."""
        found = self.values.get(id(x))
        if found is not None:
            return found
        if x.op.host:
            for y in x.op.inputs:
                self.value(y)
            before, self.op = self.op, x.op
            self._perform(x.op)
            self.op = before
            return self.values[id(x)]
        self.values[id(x)] = made = wrap(self.tracer.graph.add_input(Aval(self.extents(x), x.dtype)))
        return made

    def operand(self, x: Any) -> Any:
        """An argument with stand-ins in the place of tensors."""
        return self.value(x) if isinstance(x, Tensor) else x

    def host_value(self, x: Any) -> Any:
        """The value, or for a placeholder that will be known at run time the size that unknown extents have here."""
        if isinstance(x, Tensor) and not x.op.host:
            return np.full(self.extents(x), self.fill, x.dtype.np)
        return self.value(x)._data if isinstance(x, Tensor) else x

    def extents(self, x: Tensor) -> tuple[int, ...]:
        """The shape that stands for a tensor's."""
        dims = x.shape.dims
        return (self.fill,) * self.rank if dims is None else tuple(self.fill if d is None else d for d in dims)


def infer(op: Operation) -> tuple[list[tuple[TensorShape, Any]], Any]:
    """(shape, type) of each result of an operation, and their structure. An extent that differs with the unknown extents of the
    operands is unknown. Raises: what the operation raises for operands that do not fit it."""
    inputs = op.inputs
    known = sorted({d for x in inputs for d in x.shape.dims or () if d is not None and d > 3})
    known += sorted({n for v in tree_leaves(op.params) if isinstance(v, np.ndarray) for n in v.shape if n > 3})
    failures = []
    if any(x.shape.dims is None for x in inputs):
        for rank, fill in itertools.product(range(5), (2, *known, 1)):
            try:
                found, tree = _attempt(op, fill, rank)
                return [(TensorShape(None), dtype) for _, dtype in found], tree
            except TwinflowError as error:
                failures.append(error)
        raise failures[0]
    if all(x.shape.is_fully_defined() for x in inputs) and not _follows_unknown(inputs):
        found, tree = _attempt(op, 2, 0)
        return [(TensorShape(s), d) for s, d in found], tree
    pairs = ((2, 3), *((n, n) for n in known), (1, 1), (1031, 1033))
    for rank, pair in itertools.product(
        (0, 4, 3, 2, 1), pairs
    ):  # operands may follow from the shape of one of unknown rank
        try:
            (first, tree), (second, _) = _attempt(op, pair[0], rank), _attempt(op, pair[1], rank)
        except TwinflowError as error:
            failures.append(error)
            continue
        fixed = pair[0] if pair[0] == pair[1] else None  # unknown, if it happens to be the extent that was tried
        return [
            (TensorShape([m if m == n and m != fixed else None for m, n in zip(a[0], b[0])]), a[1])
            for a, b in zip(first, second)
        ], tree
    raise failures[0]


def _follows_unknown(inputs: list[Tensor]) -> bool:
    """Whether a value among the operands follows from unknown extents or fed numbers, and so may decide a shape."""
    stack, seen = [x.op for x in inputs if not x.dtype.is_floating_point], set()
    while stack:
        op = stack.pop()
        if op.index in seen:
            continue
        seen.add(op.index)
        if op.kind in ("Placeholder", "PlaceholderWithDefault"):
            return True
        if any(not x.shape.is_fully_defined() for x in op.inputs):
            return True
        stack += [x.op for x in op.inputs]
    return False


def _attempt(op: Operation, fill: int, rank: int) -> tuple[list[tuple[tuple[int, ...], Any]], Any]:
    with no_grad(), Tracer("shapes"):
        run = Inference(fill, rank)
        run.op = op
        function = op.function
        static = {k: tree_map(run.host_value, v) for k, v in op.params.items() if k in function.static}
        out = function.call({k: static[k] if k in static else tree_map(run.operand, v) for k, v in op.params.items()})
        leaves, tree = tree_flatten(out)
        avals = []
        for t in leaves:
            if not isinstance(t, Value):
                raise ArgumentError(f"{op.kind}: the result is {type(t).__name__}, not a tensor")
            avals.append((tuple(int(n) for n in t._data.shape), FROM_NUMPY[t._data.dtype]))
        return avals, tree
