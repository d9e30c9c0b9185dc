"""Static graphs: operations that are defined first and run later, by a Session.

An operation holds a function of twinflow's and its arguments, among which static tensors stand. Nothing is computed until a
session runs it: then the operations that the fetches need are traced, once, into one graph of primitives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.tf.compat.v1._operations import Body, Function, Operation, Tensor


class GraphKeys:
    """The names of the standard collections."""

    GLOBAL_VARIABLES = "variables"
    LOCAL_VARIABLES = "local_variables"
    MODEL_VARIABLES = "model_variables"
    TRAINABLE_VARIABLES = "trainable_variables"
    SUMMARIES = "summaries"
    UPDATE_OPS = "update_ops"
    LOSSES = "losses"
    REGULARIZATION_LOSSES = "regularization_losses"
    METRIC_VARIABLES = "metric_variables"
    GLOBAL_STEP = "global_step"
    TRAIN_OP = "train_op"
    ACTIVATIONS = "activations"
    WEIGHTS = "weights"
    BIASES = "biases"
    MOVING_AVERAGE_VARIABLES = "moving_average_variables"
    EVAL_STEP = "eval_step"
    INIT_OP = "init_op"
    LOCAL_INIT_OP = "local_init_op"
    READY_OP = "ready_op"
    SAVERS = "savers"
    SUMMARY_OP = "summary_op"
    TABLE_INITIALIZERS = "table_initializer"
    QUEUE_RUNNERS = "queue_runners"
    VARIABLES = GLOBAL_VARIABLES


class Graph:
    """A static graph: operations in the order in which they were made, and collections of what belongs together.

    >>> from twinflow.tf.compat import v1 as tf
    >>> graph = tf.Graph()
    >>> with graph.as_default():
    ...     y = tf.constant(2.0) * 3.0
    >>> with tf.Session(graph=graph) as session:
    ...     float(session.run(y))
    6.0
    """

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.collections: dict[str, list[Any]] = {}
        self.body: Body | None = None
        self.finalized = False
        self.seed: int | None = None
        self._names: dict[str, int] = {}
        self._by_name: dict[str, Operation] = {}
        self._scopes: list[str] = [""]
        self._controls: list[list[Operation] | None] = []
        self.spare_states: list[Any] = []  # values and programs of closed sessions, for the next one
        self.variable_store: dict[str, Any] = {}  # of get_variable

    # -- making operations -------------------------------------------------------------------------------------

    def check_own(self, x: Tensor) -> None:
        """Raise if a tensor belongs to another graph."""
        if x.graph is not self:
            raise ArgumentError(
                f"the tensor {x.name!r} (made at {x.op.where}) belongs to another graph than the one this operation is added to; build both "
                "in one graph, inside the same `with graph.as_default():`"
            )

    def add(self, function: Function, params: dict[str, Any], name: str | None = None) -> Operation:
        """A new operation without outputs."""
        if self.finalized:
            raise ArgumentError("the graph is finalized: no operation can be added to it")
        op = Operation(self, function, params, self.unique_name(name or function.op_name))
        self.operations.append(op)
        self._by_name[op.name] = op
        return op

    def discard(self, op: Operation) -> None:
        """Take back the latest operation, which turned out to be wrong."""
        self.operations.remove(op)
        del self._by_name[op.name]
        del self._names[op.name]

    def unique_name(self, name: str, mark_as_used: bool = True) -> str:
        """The name in the present scope, numbered if it is taken."""
        if name.endswith("/"):
            full = name[:-1]  # the name of a scope itself
        else:
            full = self._scopes[-1] + name
        n = self._names.get(full, 0)
        if mark_as_used:
            self._names[full] = n + 1
        while n and f"{full}_{n}" in self._names:
            n += 1
        if n:
            full = f"{full}_{n}"
            if mark_as_used:
                self._names[full] = 1
        return full

    @contextmanager
    def name_scope(self, name: str | None) -> Iterator[str]:
        """Names begin with `name/` inside."""
        if not name:
            scope = ""
        elif name.endswith("/"):
            scope = name
        else:
            scope = self.unique_name(name) + "/"
        self._scopes.append(scope)
        try:
            yield scope
        finally:
            self._scopes.pop()

    @contextmanager
    def control_dependencies(self, inputs: Any) -> Iterator[None]:
        """What is made inside runs after these operations (or tensors); None forgets those from outside."""
        found: list[Operation] | None = None
        if inputs is not None:
            found = []
            for x in inputs:
                op = x if isinstance(x, Operation) else getattr(x, "op", None)
                if not isinstance(op, Operation):
                    raise ArgumentError(f"control_dependencies: operations and tensors are listed, not {x!r}")
                found.append(op)
        self._controls.append(found)
        try:
            yield
        finally:
            self._controls.pop()

    def control_inputs(self) -> list[Operation]:
        """The operations that one made now must wait for."""
        found: dict[int, Operation] = {}
        for ops in reversed(self._controls):
            if ops is None:
                break
            found.update({op.index: op for op in ops})
        return list(found.values())

    @contextmanager
    def inside(self, body: Body) -> Iterator[None]:
        """What is made inside belongs to `body`."""
        self.body, before = body, self.body
        controls, self._controls = self._controls, []
        try:
            yield
        finally:
            self.body, self._controls = before, controls

    @contextmanager
    def outside_bodies(self) -> Iterator[None]:
        """What is made inside belongs to the graph itself, even within a branch or loop: variables."""
        self.body, before = None, self.body
        controls, self._controls = self._controls, []
        try:
            yield
        finally:
            self.body, self._controls = before, controls

    # -- looking things up -------------------------------------------------------------------------------------

    def get_operations(self) -> list[Operation]:
        """All operations."""
        return list(self.operations)

    def get_operation_by_name(self, name: str) -> Operation:
        """The operation of this name. Raises: ArgumentError if there is none."""
        found = self._by_name.get(name)
        if found is None:
            raise ArgumentError(f"the name {name!r} refers to an operation that is not in the graph{self._near(name)}")
        return found

    def get_tensor_by_name(self, name: str) -> Tensor:
        """The tensor `operation:number`. Raises: ArgumentError if there is none."""
        op_name, colon, number = name.partition(":")
        if not colon or not number.isdigit():
            raise ArgumentError(
                f"{name!r} is no name of a tensor; write it as 'operation:0', such as {op_name + ':0'!r}"
            )
        op = self._by_name.get(op_name)
        if op is None:
            raise ArgumentError(
                f"the name {name!r} refers to a tensor that does not exist: there is no operation {op_name!r} in the graph{self._near(op_name)}"
            )
        if int(number) >= len(op.outputs):
            raise ArgumentError(
                f"the name {name!r} refers to result {number} of {op_name!r}, which has {len(op.outputs)}"
            )
        return op.outputs[int(number)]

    def _near(self, name: str) -> str:
        import difflib

        near = difflib.get_close_matches(name, self._by_name, 3)
        return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""

    def as_graph_element(self, obj: Any, allow_tensor: bool = True, allow_operation: bool = True) -> Any:
        """The tensor or operation that an object or name stands for."""
        if isinstance(obj, str):
            return self.get_tensor_by_name(obj) if ":" in obj else self.get_operation_by_name(obj)
        if isinstance(obj, Tensor) and allow_tensor:
            self.check_own(obj)
            return obj
        if isinstance(obj, Operation) and allow_operation:
            return obj
        raise ArgumentError(f"{obj!r} is neither a tensor nor an operation of the graph")

    def add_to_collection(self, name: str, value: Any) -> None:
        """Put a value into a collection."""
        self.collections.setdefault(name, []).append(value)

    def get_collection(self, name: str, scope: str | None = None) -> list[Any]:
        """What is in a collection, if wanted only what has a name that begins with `scope`."""
        found = self.collections.get(name, [])
        return [x for x in found if not scope or getattr(x, "name", "").startswith(scope)]

    def get_collection_ref(self, name: str) -> list[Any]:
        """The collection itself."""
        return self.collections.setdefault(name, [])

    def finalize(self) -> None:
        """Let no more operations be added."""
        self.finalized = True

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """New operations belong to this graph inside."""
        _STACKS.graphs.append(self)
        try:
            yield self
        finally:
            _STACKS.graphs.remove(self)

    def session_for(self, session: Any, what: str) -> Any:
        """The session that was named, or the default one."""
        found = session if session is not None else default_session()
        if found is None:
            raise ArgumentError(
                f"{what}: there is no default session; call it inside `with tf.Session() as session:`, name one by session=..., or make a "
                "tf.InteractiveSession()"
            )
        return found

    def as_graph_def(self) -> Any:
        """The graph as data that can be printed, saved and imported again."""
        return GRAPH_DEF[0](self)

    def __str__(self) -> str:
        return str(self.as_graph_def())


GRAPH_DEF: list[Callable[[Graph], Any]] = []  # put here by the module that declares it


class _Stacks(threading.local):
    def __init__(self) -> None:
        self.graphs: list[Graph] = []
        self.sessions: list[Any] = []
        self.bottom = Graph()


_STACKS = _Stacks()


def get_default_graph() -> Graph:
    """The graph that new operations are added to."""
    return _STACKS.graphs[-1] if _STACKS.graphs else _STACKS.bottom


def reset_default_graph() -> None:
    """Begin a new default graph. Raises: ArgumentError inside `with graph.as_default():`."""
    if _STACKS.graphs:
        raise ArgumentError("reset_default_graph: it cannot be called inside `with graph.as_default():`")
    _STACKS.bottom = Graph()


def default_session() -> Any:
    """The innermost session whose `with` block runs, or None."""
    return _STACKS.sessions[-1] if _STACKS.sessions else None


def session_stack() -> list[Any]:
    """The sessions of this thread whose blocks run, innermost last."""
    return _STACKS.sessions


def is_static(x: Any) -> bool:
    """Whether a value belongs to a static graph."""
    return isinstance(x, Tensor)


def as_array(value: Any) -> np.ndarray[Any, Any]:
    """A constant as an array, in single precision where nobody asked for double."""
    array = np.asarray(value)
    if array.dtype == np.float64 and not isinstance(value, (np.ndarray, np.generic)):
        array = array.astype(np.float32)
    return array
