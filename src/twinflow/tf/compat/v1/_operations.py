"""What a static graph is made of: functions by name, operations that hold one with its arguments, tensors, and bodies of branches and loops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from twinflow.core import DType, format_location, tree_leaves, user_location
from twinflow.core.errors import TraceError
from twinflow.tf._shapes import StaticShape, TensorShape

if TYPE_CHECKING:
    from twinflow.tf.compat.v1._graph import Graph


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


_TYPES = {
    "add": "AddV2", "Add": "AddV2", "Variable": "VariableV2", "sub": "Sub", "mul": "Mul", "truediv": "RealDiv", "floordiv": "FloorDiv", "mod": "FloorMod", "pow": "Pow",
    "concat": "ConcatV2", "transpose": "Transpose", "packed": "Pack", "strided_slice": "StridedSlice",
}  # fmt: skip  # of operations whose names in a graph are no types


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
    def kind(self) -> str:
        """The name of what it computes, in saved graphs."""
        return self.function.name

    @property
    def type(self) -> str:
        """What TensorFlow calls operations of its kind."""
        return _TYPES.get(self.function.op_name, self.function.op_name)

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
