"""From functions that compute to functions that add an operation to the default graph."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype, tree_flatten, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError
from twinflow.ops import tensor
from twinflow.tensor import Tensor as Value
from twinflow.tf._shapes import TensorShape
from twinflow.tf.compat.v1._graph import as_array, get_default_graph
from twinflow.tf.compat.v1._operations import Function, Operation, Tensor, register
from twinflow.tf.compat.v1._run import infer


def as_argument(x: Any) -> Any:
    """An argument as a graph keeps it: tensors with values become constants."""
    if isinstance(x, Value):
        if x.requires_grad:
            raise ArgumentError(
                "a variable or tensor of the eager side that requires gradients cannot be part of a static graph, which has variables of "
                "its own: use tf.Variable or tf.get_variable of tf.compat.v1, or x.detach() for the values it has now"
            )
        return np.array(x._data)
    return np.array(x) if isinstance(x, np.ndarray) else x


def create(function: Function, params: dict[str, Any], name: str | None = None, specs: Any = None) -> Any:
    """An operation of the default graph, and its results in the structure that the function returns.

    `specs` are the (shape, type) pairs of the results; they are inferred if none are given.
    """
    graph = get_default_graph()
    op = graph.add(function, {k: tree_map(as_argument, v) for k, v in params.items()}, name)
    try:
        found, op.structure = infer(op) if specs is None else (specs, None)
    except Exception:
        graph.discard(op)
        raise
    op.outputs = [Tensor(op, i, TensorShape(shape), as_dtype(dtype)) for i, (shape, dtype) in enumerate(found)]
    return op if op.structure is None else tree_unflatten(list(op.outputs), op.structure)


def deferred(
    fn: Callable[..., Any], op_name: str | None = None, *, name: str | None = None, **options: Any
) -> Callable[..., Any]:
    """The function that adds `fn` of its arguments to the default graph. It takes a further argument `name`."""
    function = register(name or fn.__name__, fn, op_name, **options)

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        name = kwargs.pop("name", None)
        return create(function, function.bind(args, kwargs), name)

    return wrapped


def _binary(fn: Callable[..., Any], op_name: str, name: str | None = None) -> Callable[..., Any]:
    """`deferred` for two operands: one that is no tensor takes the type of the other."""
    function = register(name or fn.__name__, fn, op_name)

    @functools.wraps(fn)
    def wrapped(x: Any, y: Any, name: str | None = None) -> Any:
        return create(function, function.bind((_like(x, y), _like(y, x)), {}), name)

    return wrapped


def _like(x: Any, other: Any) -> Any:
    if isinstance(other, Tensor) and isinstance(x, (np.ndarray, np.generic, list, tuple, Value)):
        leaves, _ = tree_flatten(x)
        if not any(isinstance(v, Tensor) for v in leaves):
            array = np.asarray(as_argument(x))
            if array.dtype.kind == "f" and not other.dtype.is_floating_point:
                return array.astype(np.float32)
            return array.astype(other.dtype.np)
    return x


binary = _binary


def _constant(value: Any, dtype: Any = None, shape: Any = None) -> Value:
    array = np.asarray(value)
    if dtype is not None:
        array = array.astype(as_dtype(dtype).np)
    if shape is not None:
        array = np.broadcast_to(array, shape).copy() if array.size == 1 else array.reshape(shape)
    return tensor(array)


_CONST = register("Const", _constant)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """A tensor of these values in the graph. Python's floats are float32, its ints int32, as in TensorFlow."""
    if isinstance(value, Tensor):
        raise ArgumentError(f"tf.constant: {value!r} is a tensor of a graph and not a constant; use tf.identity")
    array = as_array(as_argument(value))
    if dtype is None and array.dtype == np.int64 and not isinstance(value, (np.ndarray, np.generic, Value)):
        array = array.astype(np.int32)
    params: dict[str, Any] = {"value": array, "dtype": None if dtype is None else as_dtype(dtype)}
    if shape is not None:
        params["shape"] = TensorShape(shape).as_list()
    return create(_CONST, params, name)


def convert_to_tensor(value: Any, dtype: Any = None, name: str | None = None) -> Tensor:
    """A tensor of the graph: itself, or a constant."""
    if isinstance(value, Tensor):
        if dtype is not None and value.dtype is not as_dtype(dtype):
            raise ArgumentError(
                f"convert_to_tensor: {value!r} is not {as_dtype(dtype).name}; use tf.cast(x, tf.{as_dtype(dtype).name})"
            )
        return value
    if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in tree_flatten(value)[0]):
        return create(_PACK, {"values": list(value)}, name)
    return constant(value, dtype, name=name)


def _pack(values: Any) -> Value:
    from twinflow.ops import stack

    parts = [v if isinstance(v, Value) else _pack(v) if isinstance(v, (list, tuple)) else tensor(v) for v in values]
    wide = next((p.dtype for v, p in zip(values, parts) if isinstance(v, Value)), parts[0].dtype)
    return stack([p.to(dtype=wide) for p in parts])


_PACK = register("Pack", _pack, "packed")


def spec_of(x: Tensor) -> tuple[TensorShape, DType]:
    """(shape, type) of a tensor."""
    return x.shape, x.dtype


def only(op: Operation) -> Tensor:
    """The one result of an operation."""
    return op.outputs[0]
