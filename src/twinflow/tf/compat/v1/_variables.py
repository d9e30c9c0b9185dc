"""Variables of a static graph, and the operations that change them."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.tf._shapes import TensorShape
from twinflow.tf.compat.v1._deferred import as_argument, convert_to_tensor, create
from twinflow.tf.compat.v1._graph import GraphKeys, as_array, get_default_graph
from twinflow.tf.compat.v1._operations import Operation, Reference, Tensor, register
from twinflow.tf.compat.v1._run import VARIABLE, Run


def _read(run: Run, trainable: bool) -> Any:
    return run.read(run.op.outputs[0])


_VARIABLE = register(VARIABLE, _read, "Variable", raw=True, host=False)


def _assign(run: Run, ref: Reference, value: Any) -> Any:
    run.assign(ref.tensor, run.operand(value))
    return run.read(ref.tensor)


def _change(sign: int) -> Any:
    def change(run: Run, ref: Reference, value: Any) -> Any:
        now, by = run.read(ref.tensor), run.operand(value)
        run.assign(ref.tensor, (now + by if sign > 0 else now - by).detach())
        return run.read(ref.tensor)

    return change


_ASSIGN = register("Assign", _assign, raw=True, host=False, effect=True)
_ASSIGN_ADD = register("AssignAdd", _change(1), raw=True, host=False, effect=True)
_ASSIGN_SUB = register("AssignSub", _change(-1), raw=True, host=False, effect=True)


class Variable(Tensor):
    """A tensor that keeps its value from run to run of a session.

    Args:
        initial_value: numbers, an array, a tensor of the graph, or a function without arguments that returns one. It is
            computed when the initializer runs.
        trainable: whether optimizers change it.
        collections: the collections it joins, GLOBAL_VARIABLES if none are given.
        name: how it is called.
        dtype: its type.

    >>> from twinflow.tf.compat import v1 as tf
    >>> v = tf.Variable(1.0)
    >>> with tf.Session() as session:
    ...     _ = session.run(tf.global_variables_initializer())
    ...     float(session.run(tf.assign_add(v, 2.0)))
    3.0
    """

    __slots__ = ("constraint", "initial_value", "initializer", "regularizer", "trainable")

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool = True,
        collections: Any = None,
        validate_shape: bool = True,
        name: str | None = None,
        dtype: Any = None,
        constraint: Any = None,
    ) -> None:
        if initial_value is None:
            raise ArgumentError("tf.Variable: an initial value is needed, such as tf.zeros([784, 10])")
        if not validate_shape:
            raise ArgumentError("tf.Variable: a variable keeps its shape, so validate_shape=False is not taken")
        graph = get_default_graph()
        with graph.outside_bodies(), graph.name_scope(graph.unique_name(name or "Variable", False) + "/initial_value/"):
            value = initial_value() if callable(initial_value) else initial_value
            if not isinstance(value, Tensor):
                value = as_array(as_argument(value)) if dtype is None else value
                value = convert_to_tensor(value, dtype)
        if not value.shape.is_fully_defined():
            raise ShapeError(f"tf.Variable: the initial value {value!r} has a shape that is not known in full")
        with graph.outside_bodies():
            trainable = bool(trainable) and value.dtype.is_floating_point
            op = create(_VARIABLE, {"trainable": trainable}, name, [(value.shape, value.dtype)])
            super().__init__(op, 0, value.shape, value.dtype)
            op.outputs[0] = self
            self.initial_value: Any = value
            self.trainable, self.constraint, self.regularizer = trainable, constraint, None
            self.initializer: Any = assign_operation(self, value, op.name.rpartition("/")[2])
        for key in collections if collections is not None else [GraphKeys.GLOBAL_VARIABLES]:
            graph.add_to_collection(key, self)
        if trainable and (collections is None or GraphKeys.TRAINABLE_VARIABLES not in collections):
            graph.add_to_collection(GraphKeys.TRAINABLE_VARIABLES, self)

    @classmethod
    def of(cls, op: Operation, shape: TensorShape, dtype: Any) -> Variable:
        """The variable of an operation of a loaded graph."""
        self = cls.__new__(cls)
        Tensor.__init__(self, op, 0, shape, dtype)
        self.trainable, self.constraint, self.regularizer = bool(op.params["trainable"]), None, None
        self.initial_value = self.initializer = None
        op.graph.add_to_collection(GraphKeys.GLOBAL_VARIABLES, self)
        if self.trainable:
            op.graph.add_to_collection(GraphKeys.TRAINABLE_VARIABLES, self)
        return self

    def value(self) -> Tensor:
        """The variable as a tensor, read where it is used."""
        return self

    def read_value(self) -> Tensor:
        """The value at this place among the operations: after those that it depends on by `control_dependencies`."""
        return create(_READ_VALUE, {"ref": self}, "read", [(self.shape, self.dtype)]).outputs[0]

    def initialized_value(self) -> Tensor:
        """The initial value, to make other variables' initial values of."""
        return self.initial_value

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True) -> Any:
        """The operation that gives it a new value."""
        return assign(self, value, name=name)

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """The operation that adds to it."""
        return assign_add(self, delta, name=name)

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Any:
        """The operation that subtracts from it."""
        return assign_sub(self, delta, name=name)

    def load(self, value: Any, session: Any = None) -> None:
        """Give it a value from outside, in a session."""
        self.graph.session_for(session, f"{self.op.name}.load()").load(self, value)

    def __repr__(self) -> str:
        return f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype.name}>"


def _copy(run: Run, ref: Any) -> Any:
    return run.value(ref)


_READ_VALUE = register("Read", _copy, "read", raw=True, host=False)


def assign_operation(ref: Tensor, value: Tensor, name: str) -> Operation:
    """The operation that writes a tensor into a variable."""
    return create(_ASSIGN, {"ref": Reference(ref), "value": value}, f"{name}/Assign", [(ref.shape, ref.dtype)])


def _changed(function: Any, what: str, ref: Any, value: Any, name: str | None) -> Tensor:
    if not isinstance(ref, Variable):
        raise ArgumentError(f"{what}: {ref!r} is no variable, so it cannot be written; make it a tf.Variable")
    if not isinstance(value, Tensor):
        value = convert_to_tensor(value, ref.dtype)
    if value.dtype is not ref.dtype:
        raise ArgumentError(
            f"{what}: {ref!r} takes {ref.dtype.name}, not {value!r}; use tf.cast(value, tf.{ref.dtype.name})"
        )
    if not ref.shape.is_compatible_with(value.shape) and value.shape.rank != 0:
        raise ShapeError(f"{what}: the variable {ref.op.name!r} has shape {ref.shape}, but the value {value.shape}")
    return create(function, {"ref": Reference(ref), "value": value}, name, [(ref.shape, ref.dtype)]).outputs[0]


def assign(
    ref: Any, value: Any, validate_shape: bool = True, use_locking: bool = False, name: str | None = None
) -> Tensor:
    """ref ← value, when it is run or depended upon; the result is the new value."""
    return _changed(_ASSIGN, "tf.assign", ref, value, name)


def assign_add(ref: Any, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """ref ← ref + value; the result is the new value."""
    return _changed(_ASSIGN_ADD, "tf.assign_add", ref, value, name)


def assign_sub(ref: Any, value: Any, use_locking: bool = False, name: str | None = None) -> Tensor:
    """ref ← ref - value; the result is the new value."""
    return _changed(_ASSIGN_SUB, "tf.assign_sub", ref, value, name)


def placeholder(dtype: Any, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor that is fed at every run.

    Args:
        dtype: its type; fed values are converted to it.
        shape: its shape, None for extents that vary, and None altogether for a shape that does.
    """
    return create(_PLACEHOLDER, {}, name, [(TensorShape(shape), as_dtype(dtype))]).outputs[0]


def _unfed(run: Run) -> Any:
    x = run.op.outputs[0]
    raise ArgumentError(f"session.run: the placeholder {x.name!r} was not fed")


_PLACEHOLDER = register("Placeholder", _unfed, raw=True, host=False)


def placeholder_with_default(input: Any, shape: Any, name: str | None = None) -> Tensor:
    """A tensor that may be fed, and has this value if it is not."""
    value = convert_to_tensor(input)
    spec = [(TensorShape(shape), value.dtype)]
    return create(_WITH_DEFAULT, {"input": value}, name, spec).outputs[0]


def _default(run: Run, input: Any) -> Any:
    return run.value(input)


_WITH_DEFAULT = register("PlaceholderWithDefault", _default, raw=True)


def global_variables(scope: str | None = None) -> list[Any]:
    """All variables, with those that optimizers keep."""
    return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, scope)


def local_variables(scope: str | None = None) -> list[Any]:
    """The variables that are not saved, such as the counts of metrics."""
    return get_default_graph().get_collection(GraphKeys.LOCAL_VARIABLES, scope)


def trainable_variables(scope: str | None = None) -> list[Any]:
    """The variables that optimizers change."""
    return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, scope)
