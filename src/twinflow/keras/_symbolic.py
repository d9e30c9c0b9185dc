"""Symbolic tensors: what `Input` gives, and how layers called on them make a graph of calls.

Shapes are inferred by tracing the layer itself, twice, with two sizes for each unknown dimension: an extent that
differs between the two is unknown. So no layer states its shape rule a second time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from twinflow.core import as_dtype, tree_flatten, tree_leaves, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError, ShapeError, TwinflowError
from twinflow.graph import Aval
from twinflow.keras._masking import get_mask, set_mask
from twinflow.keras._registry import unique_name
from twinflow.tensor import Tensor, Tracer, no_grad, wrap

Shape = tuple[int | None, ...]


class CallNode:
    """One call of a layer on symbolic tensors."""

    def __init__(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.layer, self.args, self.kwargs = layer, args, kwargs
        self.outputs: Any = None

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic tensors among the arguments."""
        return symbolic_leaves((self.args, self.kwargs))


class KerasTensor:
    """A tensor without values: shape (None where unknown), type, and the call that makes it."""

    def __init__(
        self, shape: Any, dtype: Any = "float32", name: str | None = None, node: CallNode | None = None
    ) -> None:
        self.shape: Shape = tuple(None if s is None else int(s) for s in shape)
        self.dtype: str = as_dtype(dtype).name
        self.name = name or unique_name("keras_tensor")
        self.node = node
        self.masked: Shape | None = None  # the shape of its mask, if a layer before it makes one

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"

    def _refuse(self, what: str) -> Any:
        raise ArgumentError(
            f"{self!r} has no values, so it cannot become {what}; it only describes a model: make keras.Model(inputs, outputs) and "
            "call that with data"
        )

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        self._refuse("an array")

    def __bool__(self) -> bool:
        return bool(self._refuse("a truth value"))

    def __iter__(self) -> Any:
        self._refuse("a sequence")

    def __getitem__(self, index: Any) -> Any:
        return apply_operator("getitem", self, index)

    def __neg__(self) -> Any:
        return apply_operator("neg", self)

    def __abs__(self) -> Any:
        return apply_operator("abs", self)


def _binary(name: str, swap: bool) -> Callable[[KerasTensor, Any], Any]:
    def method(self: KerasTensor, other: Any) -> Any:
        return apply_operator(name, *((other, self) if swap else (self, other)))

    return method


for _name in ("add", "sub", "mul", "truediv", "pow", "matmul", "floordiv", "mod"):
    setattr(KerasTensor, f"__{_name}__", _binary(_name, False))
    setattr(KerasTensor, f"__r{_name}__", _binary(_name, True))
for _name in ("lt", "le", "gt", "ge"):
    setattr(KerasTensor, f"__{_name}__", _binary(_name, False))

OPERATOR_LAYER: list[Any] = []  # the layer that stands for Python's operators, put here by the module that declares it


def apply_operator(name: str, *args: Any) -> Any:
    """One of Python's operators on symbolic tensors, as a layer of its own."""
    return OPERATOR_LAYER[0](name)(*args)


def operator_function(name: str) -> Callable[..., Any]:
    """The function of an operator's name. Raises: ArgumentError for one that a model cannot have."""
    allowed = {"add", "sub", "mul", "truediv", "pow", "matmul", "floordiv", "mod", "lt", "le", "gt", "ge", "neg", "abs"}
    if name not in allowed | {"getitem"}:
        raise ArgumentError(f"keras: there is no operator {name!r}")
    found: Callable[..., Any] = getattr(operator, name)
    return found


def is_symbolic_tensor(x: Any) -> bool:
    """Whether it has no values."""
    return isinstance(x, KerasTensor)


def symbolic_leaves(tree: Any) -> list[KerasTensor]:
    """The symbolic tensors in a container."""
    return [x for x in tree_leaves(tree) if isinstance(x, KerasTensor)]


def infer(fn: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What `fn` gives for symbolic arguments, as symbolic tensors."""
    first = _trace(fn, args, kwargs, 2)
    unknown = any(None in t.shape for t in symbolic_leaves((args, kwargs)))
    second = _trace(fn, args, kwargs, 3) if unknown else first
    leaves, tree = tree_flatten(first)
    out = [a.symbolic(b) if isinstance(a, _Out) else a for a, b in zip(leaves, tree_leaves(second))]
    return tree_unflatten(out, tree)


class _Out:
    """Shape, type and mask of a traced result (a class, so that containers keep it as one leaf)."""

    def __init__(self, t: Tensor) -> None:
        mask = get_mask(t)
        self.shape, self.dtype = tuple(int(s) for s in t.shape), t.dtype.name
        self.masked = None if mask is None else tuple(int(s) for s in mask.shape)

    def symbolic(self, other: _Out) -> KerasTensor:
        """The symbolic tensor whose sizes are unknown where they differ from those of another trace."""
        found = KerasTensor(_agreed(self.shape, other.shape), self.dtype)
        if self.masked is not None and other.masked is not None:
            found.masked = _agreed(self.masked, other.masked)
        return found


def _agreed(a: tuple[int, ...], b: tuple[int, ...]) -> Shape:
    return tuple(m if m == n else None for m, n in zip(a, b))


def _trace(fn: Callable[..., Any], args: Any, kwargs: Any, fill: int) -> Any:
    with no_grad(), Tracer("keras") as tracer:

        def known(x: Any) -> Any:
            if not isinstance(x, KerasTensor):
                return x
            t = start(x.shape, x.dtype, x.name)
            if x.masked is not None:
                set_mask(t, start(x.masked, "bool", f"{x.name}_mask"))
            return t

        def start(shape: Shape, dtype: str, name: str) -> Tensor:
            sizes = tuple(fill if s is None else s for s in shape)
            return wrap(tracer.graph.add_input(Aval(sizes, as_dtype(dtype)), name))

        try:
            result = fn(*tree_map(known, args), **tree_map(known, kwargs))
        except TwinflowError as error:
            shapes = ", ".join(str(t.shape) for t in symbolic_leaves((args, kwargs)))
            error.args = (
                f"{error.args[0]}\n  while the model was built, with input of shape {shapes} (None: any size)",
            )
            raise
        return tree_map(lambda t: _Out(t) if isinstance(t, Tensor) else t, result)


def run_calls(
    inputs: list[KerasTensor], values: list[Any], outputs: Any, call: Callable[[CallNode, Any, Any], Any]
) -> Any:
    """The values of `outputs` given those of `inputs`; each call of a layer is made once."""
    known = {id(k): v for k, v in zip(inputs, values)}
    for node in ordered_calls(inputs, tree_leaves(outputs)):
        put = lambda x: known[id(x)] if isinstance(x, KerasTensor) else x  # noqa: E731
        result = call(node, tree_map(put, node.args), tree_map(put, node.kwargs))
        for k, v in zip(tree_leaves(node.outputs), tree_leaves(result)):
            known[id(k)] = v
    return tree_map(lambda x: known[id(x)], outputs)


def ordered_calls(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[CallNode]:
    """The calls between inputs and outputs, each after those it needs. Raises: ArgumentError if an input is missing."""
    given = {id(t) for t in inputs}
    order: list[CallNode] = []
    state: dict[int, int] = {}
    stack: list[tuple[KerasTensor, bool]] = [(t, False) for t in reversed(outputs)]
    while stack:
        t, done = stack.pop()
        if id(t) in given:
            continue
        node = t.node
        if node is None:
            raise ArgumentError(
                f"keras.Model: the outputs depend on {t!r}, which is not among the inputs; add it to inputs=[...]"
            )
        if done:
            if state[id(node)] == 1:
                state[id(node)] = 2
                order.append(node)
        elif id(node) not in state:
            state[id(node)] = 1
            stack.append((t, True))
            stack.extend((x, False) for x in reversed(node.inputs))
    return order


def by_depth(inputs: list[KerasTensor], outputs: list[KerasTensor]) -> list[Any]:
    """Layers, and inputs as symbolic tensors, the farthest from the outputs first, as Keras lists a model's layers.

    What is equally far stands in the order in which a walk from the outputs back to the inputs meets it.
    """
    calls = ordered_calls(inputs, outputs)
    given = {id(t) for t in inputs}
    met: dict[Any, int] = {}
    stack = list(reversed(outputs))
    walked: set[int] = set()
    while stack:
        t = stack.pop()
        known = id(t) in given or t.node is None
        key = id(t) if known else id(t.node)
        if key in walked:
            continue
        walked.add(key)
        met.setdefault(t if known else t.node.layer, len(met))  # type: ignore[union-attr]
        if not known:
            stack.extend(reversed(t.node.inputs))  # type: ignore[union-attr]
    depth_of: dict[int, int] = {}  # by calls and inputs
    found: dict[Any, int] = {}  # by layers and inputs
    for node in reversed(calls):
        depth = found[node.layer] = max(depth_of.get(id(node), 0), found.get(node.layer, 0))
        for t in node.inputs:
            source = t if id(t) in given else t.node
            depth_of[id(source)] = max(depth_of.get(id(source), 0), depth + 1)
    found.update((t, depth_of.get(id(t), 0)) for t in inputs)
    return sorted(found, key=lambda x: (-found[x], met.get(x, -1)))


def Input(
    shape: Any = None,
    batch_size: int | None = None,
    dtype: Any = "float32",
    name: str | None = None,
    batch_shape: Any = None,
) -> KerasTensor:
    """The start of a functional model.

    Args:
        shape: without the batch axis; None for sizes that vary.
        batch_size: the size of the batch axis, if it is fixed.
        dtype: the type.
        batch_shape: the shape with the batch axis, instead of the two.
    Raises: ShapeError if neither shape is given.

    >>> from twinflow import keras
    >>> keras.Input((28, 28, 1)).shape
    (None, 28, 28, 1)
    """
    if batch_shape is None:
        if shape is None:
            raise ShapeError("keras.Input: give the shape without the batch axis, such as keras.Input((784,))")
        batch_shape = (batch_size, *((shape,) if isinstance(shape, int) else shape))
    t = KerasTensor(batch_shape, dtype, name or unique_name("input_layer"))
    return t
