"""`get_variable`: variables that are found again by their name, in scopes; and initializers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import initializers as _keras
from twinflow.keras import regularizers as _regularizers
from twinflow.keras._registry import serialize
from twinflow.tensor import Tensor as Value
from twinflow.tf._shapes import TensorShape, shape_list
from twinflow.tf.compat.v1._deferred import as_argument, convert_to_tensor, deferred
from twinflow.tf.compat.v1._graph import Graph, GraphKeys, as_array, get_default_graph
from twinflow.tf.compat.v1._operations import Tensor
from twinflow.tf.compat.v1._variables import Variable

# -- initializers --------------------------------------------------------------------------------------------------


def _initial(initializer: Any, shape: Any, dtype: Any) -> Value:
    return _keras.get(initializer)(shape_list(shape), as_dtype(dtype))


_initial_value = deferred(_initial, "initial_value", name="InitialValue", host=False, static=("shape",))


class Initializer:
    """The first value of a variable: calling it with a shape gives a tensor of the graph. The values are Keras's."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def __call__(self, shape: Any, dtype: Any = "float32", partition_info: Any = None) -> Any:
        """The values."""
        return _initial_value(self.config, TensorShape(shape).as_list(), as_dtype(dtype))


def _declare(cls: Any, doc: str, *order: str) -> Callable[..., Initializer]:
    def make(*args: Any, dtype: Any = None, **kwargs: Any) -> Initializer:
        return Initializer(serialize(cls(**dict(zip(order, args)), **kwargs)))

    make.__name__ = make.__qualname__ = cls.__name__
    make.__doc__ = doc
    return make


zeros_initializer = _declare(_keras.Zeros, "0 everywhere.")
ones_initializer = _declare(_keras.Ones, "1 everywhere.")
random_normal_initializer = _declare(_keras.RandomNormal, "Normal numbers.", "mean", "stddev", "seed")
random_uniform_initializer = _declare(_keras.RandomUniform, "Uniform numbers.", "minval", "maxval", "seed")
truncated_normal_initializer = _declare(
    _keras.TruncatedNormal, "Normal numbers, those beyond two deviations drawn again.", "mean", "stddev", "seed"
)
glorot_uniform_initializer = _declare(_keras.GlorotUniform, "Uniform numbers by fans in and out.", "seed")
glorot_normal_initializer = _declare(_keras.GlorotNormal, "Normal numbers by fans in and out.", "seed")
he_normal = _declare(_keras.HeNormal, "Normal numbers by the fan in.", "seed")
he_uniform = _declare(_keras.HeUniform, "Uniform numbers by the fan in.", "seed")
lecun_normal = _declare(_keras.LecunNormal, "Normal numbers by the fan in, for SELU.", "seed")
lecun_uniform = _declare(_keras.LecunUniform, "Uniform numbers by the fan in, for SELU.", "seed")
orthogonal_initializer = _declare(_keras.Orthogonal, "Orthonormal rows or columns.", "gain", "seed")
variance_scaling_initializer = _declare(
    _keras.VarianceScaling, "Numbers by fans.", "scale", "mode", "distribution", "seed"
)


def constant_initializer(value: Any = 0, dtype: Any = None, verify_shape: bool = False) -> Callable[..., Any]:
    """These values, or one value everywhere."""

    def make(shape: Any, dtype: Any = "float32", partition_info: Any = None) -> Any:
        array = as_array(value)
        if array.ndim == 0:
            return Initializer(serialize(_keras.Constant(float(array))))(shape, dtype)
        return convert_to_tensor(array.reshape(shape_list(shape)).astype(as_dtype(dtype).np))

    return make


def initializer_of(value: Any) -> Any:
    """An initializer from what a layer's argument names: None, a name, a Keras initializer or a function."""
    if value is None:
        return None
    if isinstance(value, (str, _keras.Initializer)):
        return Initializer(serialize(_keras.get(value)))
    return value


def _penalty(regularizer: Any, x: Any) -> Value:
    return _regularizers.get(regularizer)(x)


_penalty_of = deferred(_penalty, "Regularizer", name="Regularizer")


# -- scopes ----------------------------------------------------------------------------------------------------------


class _AutoReuse:
    def __repr__(self) -> str:
        return "tf.AUTO_REUSE"


AUTO_REUSE = _AutoReuse()


class VariableScope:
    """Where `get_variable` looks: a prefix of names, whether variables are found again, and defaults."""

    def __init__(self, name: str, reuse: Any, initializer: Any, regularizer: Any, dtype: Any, trainable: bool) -> None:
        self.name, self.reuse, self.initializer = name, reuse, initializer
        self.regularizer, self.dtype, self.trainable = regularizer, dtype, trainable
        self.original_name_scope = f"{name}/" if name else ""

    def reuse_variables(self) -> None:
        """Find variables again from here on."""
        self.reuse = True

    def set_initializer(self, initializer: Any) -> None:
        """The initializer of variables that name none."""
        self.initializer = initializer

    def global_variables(self) -> list[Any]:
        """The variables whose names begin with this scope's."""
        return get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES, f"{self.name}/")

    def trainable_variables(self) -> list[Any]:
        """Those that optimizers change."""
        return get_default_graph().get_collection(GraphKeys.TRAINABLE_VARIABLES, f"{self.name}/")


def _stack(graph: Graph) -> list[VariableScope]:
    found: list[VariableScope] = graph.variable_store.setdefault(
        "scopes", [VariableScope("", False, None, None, as_dtype("float32"), True)]
    )
    return found


def get_variable_scope() -> VariableScope:
    """The present scope."""
    return _stack(get_default_graph())[-1]


@contextmanager
def variable_scope(
    name_or_scope: Any,
    default_name: str | None = None,
    values: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    reuse: Any = None,
    dtype: Any = None,
    auxiliary_name_scope: bool = True,
) -> Iterator[VariableScope]:
    """Variables and operations made inside have names that begin with this one.

    Args:
        name_or_scope: a name, or a scope that was open before; None takes a new name like `default_name`.
        reuse: True to find variables again instead of making them, tf.AUTO_REUSE to do whichever is possible.
    """
    graph = get_default_graph()
    stack = _stack(graph)
    outer = stack[-1]
    if isinstance(name_or_scope, VariableScope):
        name, base = name_or_scope.name, name_or_scope
    else:
        base = outer
        part = name_or_scope
        if part is None:
            if default_name is None:
                raise ArgumentError("tf.variable_scope: a name is needed")
            counts: dict[str, int] = graph.variable_store.setdefault("counts", {})
            full = f"{outer.name}/{default_name}" if outer.name else default_name
            n = counts.get(full, 0)
            counts[full] = n + 1
            part = default_name if n == 0 else f"{default_name}_{n}"
        name = f"{outer.name}/{part}" if outer.name else part
    scope = VariableScope(
        name,
        reuse if reuse is not None else (outer.reuse or base.reuse),
        base.initializer if initializer is None else initializer,
        base.regularizer if regularizer is None else regularizer,
        base.dtype if dtype is None else as_dtype(dtype),
        base.trainable,
    )
    stack.append(scope)
    try:
        if auxiliary_name_scope:
            with graph.name_scope(name.rpartition("/")[2] or None) as opened:
                scope.original_name_scope = opened
                yield scope
        else:
            yield scope
    finally:
        stack.remove(scope)


def get_variable(
    name: str,
    shape: Any = None,
    dtype: Any = None,
    initializer: Any = None,
    regularizer: Any = None,
    trainable: bool | None = None,
    collections: Any = None,
) -> Any:
    """The variable of this name in the present scope: made, or found again if the scope reuses variables.

    Args:
        shape: its shape, unless the initializer is a tensor or array.
        initializer: a function of (shape, dtype), a tensor or an array; Glorot's uniform numbers if none is given.
        regularizer: a function of the variable whose result joins the collection REGULARIZATION_LOSSES.
    Raises: ArgumentError if it exists and the scope does not reuse, or the other way round.
    """
    graph = get_default_graph()
    scope = get_variable_scope()
    full = f"{scope.name}/{name}" if scope.name else name
    store: dict[str, Variable] = graph.variable_store.setdefault("variables", {})
    known = store.get(full)
    if known is not None:
        if not scope.reuse:
            raise ArgumentError(
                f"tf.get_variable: the variable {full!r} exists already; to use it again, open the scope with reuse=True or reuse=tf.AUTO_REUSE, "
                f"or choose another name\n  made at {known.op.where}"
            )
        if shape is not None and not known.shape.is_compatible_with(shape):
            raise ShapeError(
                f"tf.get_variable: the variable {full!r} has shape {known.shape}, but {TensorShape(shape)} is asked for"
            )
        return known
    if scope.reuse is True:
        raise ArgumentError(
            f"tf.get_variable: there is no variable {full!r} to use again; open the scope without reuse, or with reuse=tf.AUTO_REUSE"
        )
    kind = scope.dtype if dtype is None else as_dtype(dtype)
    first = initializer_of(initializer if initializer is not None else scope.initializer)
    if first is None:
        first = glorot_uniform_initializer() if kind.is_floating_point else zeros_initializer()
    if callable(first) and not isinstance(first, Tensor):
        if shape is None:
            raise ShapeError(f"tf.get_variable: the shape of the new variable {full!r} is not given")
        extents = TensorShape(shape)
        if not extents.is_fully_defined():
            raise ShapeError(f"tf.get_variable: the shape {extents} of the new variable {full!r} is not known in full")
        if isinstance(first, type):
            first = first()
        make: Any = first

        def value() -> Any:
            return make(extents.as_list(), dtype=kind)
    else:
        fixed = first if isinstance(first, Tensor) else as_array(as_argument(first)).astype(kind.np)

        def value() -> Any:
            return fixed

    wanted = scope.trainable if trainable is None else trainable
    with graph.name_scope(None):
        made = store[full] = Variable(value, trainable=wanted, collections=collections, name=full)
    penalty = scope.regularizer if regularizer is None else regularizer
    if penalty is not None:
        with graph.outside_bodies(), graph.name_scope(full + "/Regularizer/"):
            eager = isinstance(penalty, (str, dict, _regularizers.Regularizer))
            loss = _penalty_of(serialize(penalty), made) if eager else penalty(made)
        if loss is not None:
            graph.add_to_collection(GraphKeys.REGULARIZATION_LOSSES, loss)
    return made
