"""Variables and values that belong together in a graph, and functions that share their variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twinflow import ops
from twinflow.core.errors import ArgumentError
from twinflow.ops import Device
from twinflow.tf.compat.v1._control import name_scope, no_op
from twinflow.tf.compat.v1._deferred import convert_to_tensor, create
from twinflow.tf.compat.v1._functions import identity
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._operations import Operation, Reference, register
from twinflow.tf.compat.v1._run import Run
from twinflow.tf.compat.v1._scopes import get_variable, variable_scope
from twinflow.tf.compat.v1._variables import assign, assign_add


def get_local_variable(name: str, shape: Any = None, dtype: Any = None, initializer: Any = None, regularizer: Any = None,
                       collections: Any = None) -> Any:  # fmt: skip
    """`get_variable` of a local variable, which is not trained and not saved."""
    keys = [*(collections or []), GraphKeys.LOCAL_VARIABLES]
    return get_variable(name, shape, dtype, initializer, regularizer, False, keys)


def model_variables(scope: str | None = None) -> list[Any]:
    """The variables of the collection MODEL_VARIABLES."""
    return get_default_graph().get_collection(GraphKeys.MODEL_VARIABLES, scope)


def moving_average_variables(scope: str | None = None) -> list[Any]:
    """The variables of the collection MOVING_AVERAGE_VARIABLES."""
    return get_default_graph().get_collection(GraphKeys.MOVING_AVERAGE_VARIABLES, scope)


def add_to_collections(names: Any, value: Any) -> None:
    """Put a value into several collections of the default graph."""
    for name in [names] if isinstance(names, str) else names:
        get_default_graph().add_to_collection(name, value)


def report_uninitialized_variables(var_list: Any = None, name: str = "report_uninitialized_variables") -> Any:
    """Refused: a graph holds numbers only. Raises: ArgumentError that names `tf.is_variable_initialized`."""
    raise ArgumentError(
        "tf.report_uninitialized_variables: a graph has no tensors of names; ask tf.is_variable_initialized(v, session) for each of "
        "tf.global_variables()"
    )


def tables_initializer(name: str = "init_all_tables") -> Operation:
    """The operation that fills tables: there are none, so it does nothing."""
    return no_op(name)


def count_up_to(ref: Any, limit: int, name: str | None = None) -> Any:
    """The value of a variable, which then grows by 1."""
    before = identity(ref, name=name)
    with get_default_graph().control_dependencies([before]):
        after = assign_add(ref, 1)
    with get_default_graph().control_dependencies([after]):
        return identity(before)


def make_template(name_: str, func_: Callable[..., Any], create_scope_now_: bool = False, unique_name_: str | None = None,
                  custom_getter_: Any = None, **kwargs: Any) -> Callable[..., Any]:  # fmt: skip
    """A function whose variables, made by `get_variable`, are made by its first call and used again by later ones.

    >>> from twinflow.tf.compat import v1 as tf
    >>> tf.reset_default_graph()
    >>> scale = tf.make_template("scale", lambda x: x * tf.get_variable("w", []))
    >>> _ = scale(tf.constant(1.0)), scale(tf.constant(2.0))
    >>> [v.name for v in tf.global_variables()]
    ['scale/w:0']
    """
    if custom_getter_ is not None:
        raise ArgumentError(
            "tf.make_template: custom_getter_ is not taken; wrap tf.get_variable in a function of your own"
        )
    opened: list[Any] = []

    def template(*args: Any, **more: Any) -> Any:
        first = not opened
        with variable_scope(opened[0] if opened else unique_name_, name_, reuse=None if first else True) as scope:
            if first:
                opened.append(scope)
            return func_(*args, **{**kwargs, **more})

    return template


@contextmanager
def variable_op_scope(
    values: Any, name_or_scope: Any, default_name: str | None = None, **options: Any
) -> Iterator[Any]:
    """An older order of the arguments of `variable_scope`."""
    with variable_scope(name_or_scope, default_name, values, **options) as scope:
        yield scope


@contextmanager
def op_scope(values: Any, name: str | None, default_name: str | None = None) -> Iterator[str]:
    """An older order of the arguments of `name_scope`."""
    with name_scope(name, default_name, values) as scope:
        yield scope


@contextmanager
def device(name: Any) -> Iterator[None]:
    """Where operations run. Raises: DeviceError for a device that is absent; there is the processor."""
    if not callable(name):
        Device(
            str(name or "cpu").lower().strip("/").replace("device:", "").replace("job:localhost/replica:0/task:0/", "")
        )
    yield


@contextmanager
def colocate_with(op: Any, ignore_existing: bool = False) -> Iterator[None]:
    """Where another operation runs: there is one device."""
    yield


def _scattered(run: Run, ref: Any, indices: Any, updates: Any, how: str) -> Any:
    now = run.value(ref.tensor)
    at, new = run.operand(indices).to(dtype="int64"), run.operand(updates).to(dtype=now.dtype)
    if how in ("add", "sub"):
        value = ops.index_put(now, (at,), new if how == "add" else -new, accumulate=True)
    elif how == "update":
        value = ops.index_put(now, (at,), new)
    else:
        flat = at.reshape(-1)
        rows = new.expand(*at.shape, *now.shape[1:]).reshape(flat.shape[0], -1)
        places = flat.unsqueeze(1).expand(rows.shape)
        base = now.reshape(now.shape[0], -1)
        value = ops.scatter_reduce(base, 0, places, rows, _REDUCE[how]).reshape(tuple(now.shape))
    return value


_REDUCE = {"mul": "prod", "max": "amax", "min": "amin"}
_SCATTER = register("ScatterRows", _scattered, "scatter", raw=True, host=False)


def _scatter(how: str, doc: str) -> Callable[..., Any]:
    def scatter(ref: Any, indices: Any, updates: Any, use_locking: bool = False, name: str | None = None) -> Any:
        params = {
            "ref": Reference(ref),
            "indices": convert_to_tensor(indices),
            "updates": convert_to_tensor(updates),
            "how": how,
        }
        value = create(_SCATTER, params, name or f"scatter_{how}", [(ref.shape, ref.dtype)]).outputs[0]
        return assign(ref, value)

    scatter.__name__ = scatter.__qualname__ = f"scatter_{how}"
    scatter.__doc__ = doc
    return scatter


scatter_update = _scatter("update", "The variable with other rows at the indices.")
scatter_add = _scatter("add", "The variable with rows added at the indices.")
scatter_sub = _scatter("sub", "The variable with rows subtracted at the indices.")
scatter_mul = _scatter("mul", "The variable with rows multiplied at the indices.")
scatter_max = _scatter("max", "The variable with the larger of rows at the indices.")
scatter_min = _scatter("min", "The variable with the smaller of rows at the indices.")


def dimension_value(dimension: Any) -> int | None:
    """An extent as an int or None."""
    return getattr(dimension, "value", dimension)


def dimension_at_index(shape: Any, index: int) -> Any:
    """The extent of an axis."""
    return shape[index]


def enable_v2_behavior() -> None:
    """Refused. Raises: ArgumentError that names the other face."""
    raise ArgumentError(
        "tf.enable_v2_behavior: this face always builds graphs; `from twinflow import tf` is TensorFlow 2's"
    )


enable_eager_execution = enable_v2_behavior


def resource_variables_enabled() -> bool:
    """True: a variable is read where an operation stands."""
    return True


def enable_resource_variables() -> None:
    """Nothing to switch: variables are such."""


enable_control_flow_v2 = enable_resource_variables
