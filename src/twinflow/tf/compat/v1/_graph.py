"""Static graphs: operations that are defined first and run later, by a Session.

An operation holds a function of twinflow's and its arguments, among which static tensors stand. Nothing is computed until a
session runs it: then the operations that the fetches need are traced, once, into one graph of primitives.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow.core import DType, format_location, tree_leaves, user_location
from twinflow.core.errors import ArgumentError, TraceError
from twinflow.tf._shapes import StaticShape, TensorShape


class Function:
    """What an operation computes.

    Args:
        name: the name in saved graphs.
        fn: the function. A `raw` one receives (run, **arguments) and asks the run for the values it needs.
        op_name: how its operations are called if the user names none.
        raw: see above.
        host: whether results are known before the graph is compiled if the operands are: shapes, and what is computed of them.
        static: the parameters whose values must be known then.
        effect: whether it changes a variable or leaves the program, so that it is never computed ahead.
    """

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        op_name: str,
        *,
        raw: bool = False,
        host: bool = True,
        static: tuple[str, ...] = (),
        effect: bool = False,
    ) -> None:
        self.name, self.fn, self.op_name = name, fn, op_name
        self.raw, self.host, self.static, self.effect = raw, host, static, effect
        parameters = list(inspect.signature(fn).parameters.values())
        self.signature = inspect.Signature(parameters[1:] if raw else parameters)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by name. Raises: TypeError as a call of the function itself would."""
        try:
            return dict(self.signature.bind(*args, **kwargs).arguments)
        except TypeError as error:
            raise TypeError(f"{self.name}: {error}") from None

    def call(self, params: dict[str, Any]) -> Any:
        """The function on arguments by name."""
        bound = inspect.BoundArguments(self.signature, params)
        return self.fn(*bound.args, **bound.kwargs)


FUNCTIONS: dict[str, Function] = {}


def register(name: str, fn: Callable[..., Any], op_name: str | None = None, **options: Any) -> Function:
    """Make a function available to operations, and to graphs that are loaded, by a name."""
    made = FUNCTIONS[name] = Function(name, fn, op_name or name, **options)
    return made


class Reference:
    """A tensor among an operation's arguments that is meant itself, not its value: the variable that an assignment writes."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class Operation:
    """One node of a static graph."""

    def __init__(self, graph: Graph, function: Function, params: dict[str, Any], name: str) -> None:
        self.graph, self.function, self.params, self.name = graph, function, params, name
        self.line = user_location()
        self.body = graph.body
        self.index = len(graph.operations)
        self.control_inputs: list[Operation] = graph.control_inputs()
        self.outputs: list[Tensor] = []
        self.structure: Any = None  # of the outputs
        leaves = tree_leaves(params)
        self.inputs: list[Tensor] = [x for x in leaves if isinstance(x, Tensor)]
        self.references: list[Tensor] = [x.tensor for x in leaves if isinstance(x, Reference)]
        self.bodies: list[Body] = [x for x in leaves if isinstance(x, Body)]
        for body in self.bodies:
            self.inputs += body.captures()
        for x in (*self.inputs, *self.references):
            graph.check_own(x)
        self.host: bool = function.host and all(x.op.host for x in self.inputs) and not self.references

    @property
    def type(self) -> str:
        """The name of what it computes."""
        return self.function.name

    def run(self, feed_dict: Any = None, session: Any = None) -> None:
        """Run it in a session, the default one if none is named."""
        self.graph.session_for(session, f"{self.name}.run()").run(self, feed_dict)

    def values(self) -> tuple[Tensor, ...]:
        """Its results."""
        return tuple(self.outputs)

    @property
    def where(self) -> str:
        """The user's line that made it."""
        return format_location(self.line)

    def __repr__(self) -> str:
        return f"<tf.Operation '{self.name}' type={self.type}>"


class Tensor:
    """A tensor of a static graph: shape, type, and the operation that makes it. It has values only in a session's run."""

    __slots__ = ("_shape", "dtype", "op", "value_index")

    __array_ufunc__ = None  # NumPy leaves operators to this class
    __hash__ = object.__hash__

    def __init__(self, op: Operation, value_index: int, shape: TensorShape, dtype: DType) -> None:
        self.op, self.value_index, self._shape, self.dtype = op, value_index, StaticShape(shape), dtype

    @property
    def graph(self) -> Graph:
        """The graph it belongs to."""
        return self.op.graph

    @property
    def name(self) -> str:
        """`operation:number of the result`."""
        return f"{self.op.name}:{self.value_index}"

    @property
    def shape(self) -> StaticShape:
        """What is known of its shape."""
        return self._shape

    def get_shape(self) -> StaticShape:
        """The same as `shape`."""
        return self._shape

    def set_shape(self, shape: Any) -> None:
        """Add what is known of the shape."""
        self._shape = StaticShape(self._shape.merge_with(shape))

    @property
    def device(self) -> str:
        """Where it is computed."""
        return "/device:CPU:0"

    def consumers(self) -> list[Operation]:
        """The operations that read it."""
        return [op for op in self.graph.operations if any(x is self for x in op.inputs)]

    def eval(self, feed_dict: Any = None, session: Any = None) -> Any:
        """Its value in a session, the default one if none is named."""
        return self.graph.session_for(session, f"{self.name}.eval()").run(self, feed_dict)

    def __repr__(self) -> str:
        return f"<tf.Tensor '{self.name}' shape={self._shape} dtype={self.dtype.name}>"

    def _refuse(self, what: str) -> Any:
        raise TraceError(
            f"{what}: the tensor {self.name!r} of a static graph has no value before it is run; use session.run({self.name!r}) "
            "or tensor.eval() to get one, and tf.cond, tf.where or tf.while_loop to branch on it in the graph"
            f"\n  made at {self.op.where}"
        )

    def numpy(self) -> Any:
        """An error: a static tensor has no value."""
        self._refuse("numpy()")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse("conversion to an array (by NumPy, or by a function outside tf.compat.v1, which computes at once)")

    def __bool__(self) -> bool:
        return bool(self._refuse("use as a Python truth value"))

    def __float__(self) -> float:
        return float(self._refuse("float()"))

    def __int__(self) -> int:
        return int(self._refuse("int()"))

    __index__ = __int__

    def __len__(self) -> int:
        if not self._shape.dims or self._shape.dims[0] is None:
            self._refuse("len()")
        return int(self._shape[0])

    def __iter__(self) -> Iterator[Any]:
        dims = self._shape.dims
        if not dims or dims[0] is None:
            self._refuse("iteration")
        return (self[i] for i in range(int(self._shape[0])))

    def __getitem__(self, index: Any) -> Any:
        return OPERATORS["getitem"](self, index)


Tensor.__name__ = Tensor.__qualname__ = "StaticTensor"  # what messages call it, beside tensors that have values

OPERATORS: dict[str, Callable[..., Any]] = {}  # what Python's operators do, put here by the module that declares it


def _operator(name: str, swap: bool = False) -> Callable[..., Any]:
    def method(self: Tensor, *other: Any) -> Any:
        return OPERATORS[name](*reversed((self, *other))) if swap else OPERATORS[name](self, *other)

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    setattr(Tensor, f"__{_name}__", _operator(_name))
    setattr(Tensor, f"__r{_name}__", _operator(_name, True))
for _name in ("lt", "le", "gt", "ge", "neg", "abs", "invert"):
    setattr(Tensor, f"__{_name}__", _operator(_name))


class Body:
    """A graph inside a graph: one branch of a `cond`, or what a loop repeats."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.outer = graph.body
        self.inputs: list[Tensor] = []
        self.outputs: Any = None  # a container of static tensors and constants

    def captures(self) -> list[Tensor]:
        """The tensors from outside that its outputs need."""
        from_outside: dict[int, Tensor] = {}
        for op in needed_operations(self.roots()):
            if not self.holds(op):
                continue
            for x in op.inputs:
                if not self.holds(x.op):
                    from_outside[id(x)] = x
        for x in tree_leaves(self.outputs):
            if isinstance(x, Tensor) and not self.holds(x.op):
                from_outside[id(x)] = x
        return list(from_outside.values())

    def roots(self) -> list[Operation]:
        """The operations of its outputs."""
        leaves = tree_leaves(self.outputs)
        return [x.op for x in leaves if isinstance(x, Tensor)] + [x for x in leaves if isinstance(x, Operation)]

    def holds(self, op: Operation) -> bool:
        """Whether an operation belongs to it or to a body inside it."""
        body = op.body
        while body is not None:
            if body is self:
                return True
            body = body.outer
        return False


def needed_operations(roots: list[Operation], known: Any = ()) -> list[Operation]:
    """The operations that these need, in the order in which they were made. Tensors whose ids are `known` need nothing."""
    found: dict[int, Operation] = {}
    stack = list(roots)
    while stack:
        op = stack.pop()
        if op.index in found:
            continue
        found[op.index] = op
        stack += [x.op for x in op.inputs if id(x) not in known]
        stack += op.control_inputs
    return [found[i] for i in sorted(found)]


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
