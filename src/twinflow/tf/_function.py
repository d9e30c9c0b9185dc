"""`tf.function`: a static graph from a Python function, with signatures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow import ops
from twinflow.autograph import convert, has_source
from twinflow.core import tree_flatten, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError, TraceError
from twinflow.graph import Graph
from twinflow.jit import Compiled
from twinflow.keras._variable import to_tensor
from twinflow.tensor import Tensor, is_tracing
from twinflow.tf._array import constant
from twinflow.tf._spec import TensorSpec as TensorSpec
from twinflow.tf.data._walked import Needed, Source, is_data, walking


class Function:
    """A function that is traced once for each signature: types, numbers of axes and sizes of tensors, values of everything else.

    A size that was seen with a second value gets a name, so that further sizes compile nothing new.
    """

    def __init__(self, fn: Callable[..., Any], input_signature: Any = None, autograph: bool = True) -> None:
        self.python_function = fn
        self._autograph = autograph
        self.input_signature = None if input_signature is None else list(input_signature)
        for spec in tree_flatten(self.input_signature or [])[0]:
            if not isinstance(spec, TensorSpec):
                raise ArgumentError(f"tf.function: input_signature lists tf.TensorSpec, not {spec!r}")
        self._traces = 0

        @functools.wraps(fn)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._traces += 1
            try:
                with walking():
                    return self._traced_function(args, kwargs)
            except Needed:
                self._traces -= 1  # it will be traced again, with the elements
                raise

        self._counted = counted
        self._compiled = Compiled(counted)
        self._walks: dict[Any, list[Source]] = {}  # the data sets it goes along, for each kind of arguments
        self._walking = Compiled(self._along)
        self._leaves: list[Any] = []  # of the arguments of a call with data sets
        functools.update_wrapper(self, fn)

    def _traced_function(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        fn = self.python_function
        if not self._autograph:
            return fn(*args, **kwargs)
        if has_source(fn):
            return convert(fn)(*args, **kwargs)
        try:
            return fn(*args, **kwargs)
        except TraceError as error:
            raise TraceError(
                f"{error}\n  Python's control flow in this function is not rewritten, because its text cannot be found or is not unique: define it "
                "with `def` in a file"
            ) from error

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if RUNS_EAGERLY[0]:
            return self.python_function(*args, **kwargs)
        if self.input_signature is not None:
            args, kwargs = tuple(self._checked(args, kwargs)), {}
        if self._walks and not is_tracing():
            return self._walk(args, kwargs)
        try:
            return self._compiled(*args, **kwargs)
        except Needed:
            if is_tracing():
                raise
        return self._walk(args, kwargs)

    def _walk(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call that goes along data sets: their elements are arguments of the graph."""
        leaves, tree = tree_flatten((args, kwargs))
        kept = [f"data set {k}" if is_data(x) else x for k, x in enumerate(leaves)]
        sources = self._walks.setdefault((tree, tuple(x for x in kept if not isinstance(x, (Tensor, np.ndarray)))), [])
        given = [s.elements(leaves) for s in sources]
        while True:
            self._leaves = leaves
            try:
                return self._walking(given, tree_unflatten(kept, tree))
            except Needed as need:
                sources.append(Source.of(need, leaves))
                given.append(sources[-1].elements(leaves))
            finally:
                self._leaves = []

    def _along(self, given: list[Any], arguments: Any) -> Any:
        """The function with the elements of its data sets, traced."""
        kept, tree = tree_flatten(arguments)
        leaves = [x if is_data(x) else k for x, k in zip(self._leaves, kept)]
        args, kwargs = tree_unflatten(leaves, tree)
        with walking(given):
            return self._counted(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        known = instance.__dict__.get("_tf_functions")
        if known is None:
            known = {}
            object.__setattr__(instance, "_tf_functions", known)
        if id(self) not in known:
            bound = self.python_function.__get__(instance, owner)
            known[id(self)] = Function(bound, self.input_signature, self._autograph)
        return known[id(self)]

    def _checked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The arguments as tensors of the declared types. Raises: errors that name the argument that does not fit."""
        specs = self.input_signature or []
        name = self.__name__  # type: ignore[attr-defined]  # taken over from the function
        if kwargs or len(args) != len(specs):
            given = f"{len(args)}" + (f" and {', '.join(kwargs)} by name" if kwargs else "")
            raise ArgumentError(
                f"{name}: the input_signature has {len(specs)} arguments, by position; {given} were given"
            )
        found = []
        for k, (arg, spec) in enumerate(zip(args, specs)):
            if isinstance(spec, TensorSpec):
                found.append(_fitting(f"{name}: argument {k}", arg, spec))
                continue
            leaves, tree = tree_flatten(spec)
            given_leaves, given_tree = tree_flatten(arg)
            if tree != given_tree:
                raise ArgumentError(f"{name}: argument {k} has another structure than the input_signature says")
            found.append(
                tree_unflatten([_fitting(f"{name}: argument {k}", a, s) for a, s in zip(given_leaves, leaves)], tree)
            )
        return found

    def get_concrete_function(self, *args: Any, **kwargs: Any) -> ConcreteFunction:
        """The function for one signature: of the arguments given, which may be `tf.TensorSpec`s."""
        if not args and not kwargs and self.input_signature is not None:
            args = tuple(self.input_signature)
        return ConcreteFunction(self, args, kwargs)

    def experimental_get_tracing_count(self) -> int:
        """How often the Python function was run to be traced."""
        return self._traces

    @property
    def graph(self) -> Graph:
        """The graph of the latest trace, before passes."""
        return self._compiled.graph

    @property
    def optimized_graph(self) -> Graph:
        """The graph that the latest program runs, after passes."""
        return self._compiled.optimized_graph

    def __repr__(self) -> str:
        return f"<tf.function {getattr(self, '__name__', '')}, traced {self._traces} times>"


def _fitting(what: str, value: Any, spec: TensorSpec) -> Tensor:
    t = value if isinstance(value, Tensor) else None
    if t is None:
        array = np.asarray(value)
        if array.dtype.kind not in "biufc" or (array.dtype.kind == "f" and not spec.dtype.is_floating_point):
            raise DTypeError(f"{what} is {value!r}, but the input_signature says {spec!r}")
        t = to_tensor(array, spec.dtype)
    if t.dtype is not spec.dtype:
        raise DTypeError(f"{what} is {t.dtype.name}, but the input_signature says {spec!r}; use tf.cast")
    if not spec.shape.is_compatible_with(tuple(t.shape)):
        raise ShapeError(f"{what} has shape {tuple(t.shape)}, but the input_signature says {spec!r}")
    return t


class ConcreteFunction:
    """A function for one signature. Calls with other shapes or types are errors."""

    def __init__(self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._function = function
        leaves, self._tree = tree_flatten((args, kwargs))
        self._leaves = [
            x if isinstance(x, TensorSpec) else TensorSpec.from_tensor(x) if isinstance(x, (Tensor, np.ndarray)) else x
            for x in leaves
        ]
        self.structured_input_signature = tree_unflatten(list(self._leaves), self._tree)
        self._compiled = Compiled(function._counted)
        self.name = getattr(function, "__name__", "function")

    @property
    def inputs(self) -> list[TensorSpec]:
        """The tensors among the arguments."""
        return [x for x in self._leaves if isinstance(x, TensorSpec)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result. Values that are no tensors may be left out."""
        given = [x for x in tree_flatten((args, kwargs))[0]]
        specs = self.inputs
        if len(given) == len(self._leaves):
            given = [g for g, x in zip(given, self._leaves) if isinstance(x, TensorSpec)]
        if len(given) != len(specs):
            raise ArgumentError(
                f"{self.name}: this concrete function takes {len(specs)} tensors, but {len(given)} were given"
            )
        tensors = iter([_fitting(f"{self.name}: argument {k}", g, s) for k, (g, s) in enumerate(zip(given, specs))])
        filled = [next(tensors) if isinstance(x, TensorSpec) else x for x in self._leaves]
        inner_args, inner_kwargs = tree_unflatten(filled, self._tree)
        return self._compiled(*inner_args, **inner_kwargs)

    @property
    def graph(self) -> Graph:
        """The graph, before passes. For sizes that vary it is the one of the latest call; it needs one unless all are known."""
        specs = self.inputs
        if not self._compiled._programs and all(s.shape.is_fully_defined() for s in specs):
            self(*[ops.zeros(s.shape.as_list(), dtype=s.dtype) for s in specs])
        return self._compiled.graph

    def pretty_printed_signature(self) -> str:
        """The signature in a line."""
        return f"{self.name}({', '.join(map(repr, self._leaves))})"


def function(
    func: Any = None,
    input_signature: Any = None,
    autograph: bool = True,
    jit_compile: bool | None = None,
    reduce_retracing: bool = False,
) -> Any:
    """Turn a function into one that runs as a graph, traced once for each signature.

    Args:
        input_signature: a `tf.TensorSpec` (or a container of them) for each argument: values are converted to it, and
            what does not fit is an error instead of another trace.
        jit_compile: every function is compiled to native code, so only None and True are taken.
        reduce_retracing: sizes that vary get a name whether it is given or not.
        autograph: whether `if`, `while`, `for`, `and`, `or`, `not`, `assert` and `print` on tensors become part of the graph, in this
            function and in those that it calls.

    >>> from twinflow import tf
    >>> @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    ... def total(x):
    ...     return tf.reduce_sum(x)
    >>> total([1, 2, 3])
    tensor(6.)
    """
    if jit_compile is False:
        raise ArgumentError(
            "tf.function: every function is compiled to native code; for plain evaluation call fn.python_function"
        )
    if func is None:
        return lambda fn: Function(fn, input_signature, autograph)
    return Function(func, input_signature, autograph)


RUNS_EAGERLY = [False]  # whether every tf.function is plain evaluation, for looking into it


# -- control flow ------------------------------------------------------------------------------------------------


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None) -> Any:
    """`true_fn()` if `pred` holds, else `false_fn()`; in a traced function too, where only one of the two runs.

    >>> from twinflow import tf
    >>> x = tf.constant(2.0)
    >>> tf.cond(x > 1, lambda: x * 10, lambda: -x)
    tensor(20.)
    """
    if not callable(true_fn) or not callable(false_fn):
        raise ArgumentError("tf.cond: true_fn and false_fn are functions without arguments, such as lambda: x + 1")
    return ops.cond(pred if isinstance(pred, (bool, np.bool_)) else to_tensor(pred), true_fn, false_fn)


def case(pred_fn_pairs: Any, default: Callable[[], Any] | None = None, name: str | None = None) -> Any:
    """What the function beside the first condition that holds gives, or `default`."""
    pairs = list(pred_fn_pairs)
    if default is None:
        if not pairs:
            raise ArgumentError("tf.case: give (condition, function) pairs, or a default")
        default = pairs.pop()[1]
    fn: Any = default
    for pred, yes in reversed(pairs):
        fn = functools.partial(cond, pred, yes, fn)
    return fn()


def switch_case(
    branch_index: Any, branch_fns: Any, default: Callable[[], Any] | None = None, name: str | None = None
) -> Any:
    """What the function with this number gives; `default`, or the last one, for other numbers."""
    pairs = list(branch_fns.items() if isinstance(branch_fns, dict) else enumerate(branch_fns))
    pairs = [p if isinstance(p, tuple) else (k, p) for k, p in enumerate(pairs)]
    at = to_tensor(branch_index)
    return case([(at == k, fn) for k, fn in pairs], default if default is not None else pairs[-1][1])


def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: Any = None,
    name: str | None = None,
) -> Any:
    """`loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)` holds; the variables keep shape and type.

    Args:
        maximum_iterations: a bound on the number of steps. With one the loop has gradients in a traced function; without, if counters that
            begin at numbers decide how many steps there are.

    >>> from twinflow import tf
    >>> i, total = tf.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + i), (0, 0))
    >>> int(total)
    6
    """
    start = tree_map(lambda v: v if isinstance(v, Tensor) else constant(v), list(loop_vars))

    def step(values: list[Any]) -> list[Any]:
        made = body(*values)
        return list(made) if isinstance(made, (list, tuple)) else [made]

    if maximum_iterations is None:
        result = ops.while_loop(lambda values: to_tensor(cond(*values)), step, start)
    else:

        def bounded(values: list[Any], i: Any) -> Any:
            going = to_tensor(cond(*values)).reshape(())
            return tree_map(lambda a, b: ops.where(going, a, b), step(values), values), None

        result = ops.scan(bounded, start, length=int(maximum_iterations))[0]
    return tuple(result) if isinstance(loop_vars, tuple) else result
