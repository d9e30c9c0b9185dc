"""Sessions: the values of variables, and the programs that compute fetches."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.graph import Graph as LoweredGraph
from twinflow.jit import compile
from twinflow.ops import tensor
from twinflow.tensor import Tensor as Value
from twinflow.tensor import enable_grad, wrap
from twinflow.tf.compat.v1._graph import Graph, get_default_graph, session_stack
from twinflow.tf.compat.v1._operations import Operation, Reference, Tensor, needed_operations
from twinflow.tf.compat.v1._run import VARIABLE, Run
from twinflow.tf.compat.v1._variables import Variable


class State:
    """What a session holds: the memory of variables, which of them have a value, and compiled programs."""

    def __init__(self) -> None:
        self.tensors: dict[int, Value] = {}
        self.initialised: set[int] = set()
        self.programs: dict[Any, Program] = {}
        self.iterators: dict[Any, Any] = {}  # where data sets are
        self.extras: dict[Any, Any] = {}  # what operations keep between runs, such as an optimizer's rule

    def tensor(self, variable: Tensor) -> Value:
        """The memory of a variable."""
        found = self.tensors.get(id(variable))
        if found is None:
            shape = variable.shape
            if not shape.is_fully_defined():
                raise ShapeError(f"the variable {variable.name!r} has the shape {shape}, which is not known in full")
            found = self.tensors[id(variable)] = wrap(np.zeros(tuple(shape), variable.dtype.np))
        return found


class Program:
    """The operations that some fetches need when some tensors are fed, compiled once for each signature of the feeds."""

    def __init__(self, state: State, fetches: list[Any], feeds: list[Tensor]) -> None:
        self.state, self.fetches, self.feeds = state, fetches, feeds
        fed = {id(x) for x in feeds}
        roots = [x if isinstance(x, Operation) else x.op for x in fetches if id(x) not in fed]
        self.ops = needed_operations(roots, fed)
        every = all_operations(self.ops)
        for op in every:
            if op.kind == "Placeholder" and not any(id(x) in fed for x in op.outputs):
                x = op.outputs[0]
                raise ArgumentError(
                    f"session.run: the placeholder {x.name!r} ({x.dtype.name}, shape {x.shape}) is needed and was not fed; pass "
                    f"feed_dict={{{op.name}: value}}\n  made at {op.where}"
                )
        # data sets give their next elements before each run, as if they were fed
        self.pulled = [op for op in every if op.kind == "IteratorGetNext" and not any(id(x) in fed for x in op.outputs)]
        self.begun = [op for op in every if op.kind == "MakeIterator"]
        feeds = self.feeds = [*feeds, *(x for op in self.pulled for x in op.outputs)]
        fed |= {id(x) for x in feeds}
        self.ops = [op for op in self.ops if op not in self.pulled]
        self.static = static_feeds(every, feeds)
        # initializers that read other variables run after these, in the order in which they were made
        assigned = {id(op.references[0]): None for op in every if op.kind == "Assign"}
        read = [op.outputs[0] for op in every if op.kind == VARIABLE and id(op.outputs[0]) not in fed]
        read += [x for op in every if op.kind != "Assign" for x in op.references]
        self.reads = [v for v in dict.fromkeys(read) if id(v) not in assigned]
        self.writes = list(assigned)
        self.ready = False
        self.kinds = [(x.dtype.np, x.shape.dims, i in self.static) for i, x in enumerate(feeds)]
        self.compiled = compile(self._trace)

    def _trace(self, *feeds: Any) -> tuple[Value, ...]:
        with enable_grad():
            run = Run(self.state)
            run.targets = {id(x) for op in self.ops for x in op.params.get("xs", ()) if op.kind == "gradients"}
            for i, (x, value) in enumerate(zip(self.feeds, feeds)):
                if i in self.static:
                    run.store(x, wrap(np.array(value[1], x.dtype.np)), host=True)
                else:
                    run.store(x, wrap(run.tracer.node_of(value)))
            run.perform(self.ops)
            results = []
            for x in self.fetches:
                if isinstance(x, Tensor):
                    value = run.value(x)
                    results.append(tensor(value._data) if id(x) in run.host else value.detach())
            return tuple(results)

    def check(self) -> None:
        """Raise if a variable that is read has no value yet."""
        known = self.state.initialised
        for v in self.reads:
            if id(v) not in known:
                raise ArgumentError(
                    f"session.run: the variable {v.op.name!r} has no value yet; first run session.run(tf.global_variables_initializer()), made "
                    f"after all variables, or restore a checkpoint\n  made at {v.op.where}"
                )
        self.ready = True

    def convert(self, i: int, value: Any) -> Any:
        """What is fed for one tensor, as an argument of the compiled function."""
        dtype, dims, static = self.kinds[i]
        if type(value) is not np.ndarray or value.dtype is not dtype:
            value = self._array(i, value, dtype)
        shape = value.shape
        if dims is not None and shape != dims:
            if len(shape) != len(dims) or any(d is not None and d != n for d, n in zip(dims, shape)):
                x = self.feeds[i]
                raise ShapeError(
                    f"session.run: a value of shape {shape} cannot be fed for {x.name!r}, whose shape is {x.shape}{_way_out(shape, dims)}"
                    f"\n  made at {x.op.where}"
                )
        if static:
            return ("static", _frozen(value.tolist()))
        return wrap(value)

    def _with_elements(self, values: Any) -> list[Any]:
        """What is fed, and after it the next elements of data sets."""
        iterators = self.state.iterators
        for op in self.begun:
            op.params["iterator"].begin(iterators)
        return [*values, *(x for op in self.pulled for x in op.params["iterator"].pull(iterators))]

    def _array(self, i: int, value: Any, dtype: Any) -> np.ndarray[Any, Any]:
        x = self.feeds[i]
        if isinstance(value, Tensor):
            raise ArgumentError(
                f"session.run: the value fed for {x.name!r} is {value!r}, a tensor of the graph; feed an array, or number, or run that tensor first"
            )
        if isinstance(value, Value):
            value = value.detach()._data
        try:
            return np.asarray(value).astype(dtype, copy=False)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"session.run: the value fed for {x.name!r} does not become a {x.dtype.name} array: {error}"
            ) from None

    def __call__(self, values: Any) -> list[Any]:
        if not self.ready:
            self.check()
        if self.pulled or self.begun:
            values = self._with_elements(values)
        results = self.compiled(*[self.convert(i, v) for i, v in enumerate(values)])
        if self.writes:
            self.state.initialised.update(self.writes)
        found = iter(results)
        return [_plain(next(found)._data) if isinstance(x, Tensor) else None for x in self.fetches]


def all_operations(ops: list[Operation]) -> list[Operation]:
    """These operations and those of the bodies inside them."""
    found: dict[int, Operation] = {}
    stack = list(ops)
    while stack:
        op = stack.pop()
        if op.index in found:
            continue
        found[op.index] = op
        for body in op.bodies:
            stack += [o for o in needed_operations(body.roots()) if body.holds(o)]
    return [found[i] for i in sorted(found)]


def static_feeds(ops: list[Operation], feeds: list[Tensor]) -> set[int]:
    """Which of the feeds decide a shape or a mode, so that the program depends on their values."""
    stack: list[Any] = []
    for op in ops:
        for name in op.function.static:
            stack += [x for x in tree_flatten(op.params.get(name))[0] if isinstance(x, Tensor)]
    place = {id(x): i for i, x in enumerate(feeds)}
    found: set[int] = set()
    seen: set[int] = set()
    while stack:
        x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if id(x) in place:
            found.add(place[id(x)])
        elif x.op.kind != "Shape":
            stack += x.op.inputs
    return found


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def _plain(array: Any) -> Any:
    return array[()] if array.ndim == 0 else array


def _way_out(shape: tuple[int, ...], dims: tuple[Any, ...]) -> str:
    if len(shape) == len(dims) - 1 and dims[-1] in (1, None) and all(d in (None, n) for d, n in zip(dims, shape)):
        return "; make it a column with value[:, None]"
    if len(shape) == len(dims) - 1 and all(d in (None, n) for d, n in zip(dims[1:], shape)):
        return "; make it a batch of one with value[None]"
    return ""


class _Assembly:
    """How fetches are put together that are made of several tensors each, such as summaries."""

    def __init__(self, leaves: list[Any], tree: Any) -> None:
        self._leaves, self._tree = leaves, tree

    def __call__(self, values: list[Any]) -> Any:
        left = iter(values)
        made = []
        for x in self._leaves:
            if hasattr(x, "fetch_parts"):
                made.append(x.fetch_value([next(left) for _ in x.fetch_parts()]))
            else:
                made.append(next(left))
        return tree_unflatten(made, self._tree)


class ConfigProto:
    """Options of a session. Those that have a meaning here are taken; others are errors.

    Args:
        allow_soft_placement: taken: operations run on the processor whatever device was named for them.
        log_device_placement: must be left False: there is one device.
    """

    def __init__(self, **options: Any) -> None:
        for name, value in options.items():
            if name == "allow_soft_placement":
                continue
            if value not in (False, None, 0):
                raise ArgumentError(
                    f"tf.ConfigProto: {name}={value!r} has no meaning here: the graph runs on the processor with as many threads as "
                    "twinflow.set_num_threads says; leave it out"
                )


class BaseSession:
    """Base of sessions."""

    _closed = True  # until it is made

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        if target:
            raise ArgumentError(f"tf.Session: there are no remote sessions, so target {target!r} cannot be reached")
        if config is not None and not isinstance(config, ConfigProto):
            raise ArgumentError(f"tf.Session: config is a tf.ConfigProto, not {type(config).__name__}")
        self.graph = graph if graph is not None else get_default_graph()
        self._closed = False
        spare = self.graph.spare_states
        self._state: State = spare.pop() if spare else State()
        self._keys: dict[Any, tuple[Program, Any, list[Any]]] = {}

    # -- running -----------------------------------------------------------------------------------------------

    def run(self, fetches: Any, feed_dict: Any = None, options: Any = None, run_metadata: Any = None) -> Any:
        """The values of the fetches, in their structure; None for operations.

        Args:
            fetches: tensors, operations, variables, names of them, or lists, tuples and dicts of these.
            feed_dict: values for placeholders (or any other tensors).
        Raises: ArgumentError for a closed session, what cannot be fetched or fed, an unfed placeholder, and variables
            without a value.

        The first run with new fetches compiles the operations that they need; every run is one call of native code.
        """
        if options is not None or run_metadata is not None:
            raise ArgumentError(
                "session.run: options and run_metadata are not kept; twinflow.profile shows times of kernels"
            )
        if self._closed:
            raise ArgumentError(
                "session.run: the session is closed; run inside the `with tf.Session() as session:` block (its indentation ends it), or make "
                "the session without `with` and close it at the end"
            )
        feeds = feed_dict or {}
        kind = type(fetches)
        # by identity, names by themselves: what is looked up holds its objects, so that their ids stay theirs
        if kind is list or kind is tuple:
            what: Any = (kind, *[f if type(f) is str else id(f) for f in fetches])
        else:
            what = fetches if kind is str else id(fetches)
        key: Any = (what, *[k if type(k) is str else id(k) for k in feeds])
        known = self._keys.get(key)
        if known is None:
            known = self._prepare(key, fetches, feeds)
        program, structure, _ = known
        values = program(feeds.values())
        if structure is None:
            return values[0]
        if structure is list:
            return values
        return structure(values) if isinstance(structure, _Assembly) else tree_unflatten(values, structure)

    def _prepare(self, key: Any, fetches: Any, feeds: dict[Any, Any]) -> tuple[Program, Any, list[Any]]:
        if isinstance(feeds, (list, tuple, set)) or not hasattr(feeds, "items"):
            raise ArgumentError(f"session.run: feed_dict is a dict {{placeholder: value}}, not {type(feeds).__name__}")
        fed = [self._feedable(k) for k in feeds]
        leaves, tree = tree_flatten(fetches)
        built = [x for x in leaves if hasattr(x, "fetch_parts")]
        if built:
            leaves = tree_flatten([x.fetch_parts() if hasattr(x, "fetch_parts") else x for x in leaves])[0]
        found = [self._fetchable(x) for x in leaves]
        state = self._state
        at = (tuple(id(x) for x in found), tuple(id(x) for x in fed))
        program = state.programs.get(at)
        if program is None:
            program = state.programs[at] = Program(state, found, fed)
        flat = tree.kind is list and all(c.kind is None for c in tree.children)
        structure: Any = None if tree.kind is None else list if flat else tree
        if built:
            structure = _Assembly(tree_flatten(fetches)[0], tree)
        known = (program, structure, [fetches, leaves, list(feeds)])
        if isinstance(fetches, (Tensor, Operation, list, tuple, str)) or built:
            self._keys[key] = known  # with what the ids belong to, so that they stay theirs
        return known

    def _feedable(self, x: Any) -> Tensor:
        if isinstance(x, str):
            return self.graph.get_tensor_by_name(x if ":" in x else f"{x}:0")
        if isinstance(x, Tensor):
            self._check_graph(x, "fed")
            return x
        what = "an array" if isinstance(x, (np.ndarray, Value)) else f"{type(x).__name__} ({x!r})"
        raise ArgumentError(
            f"session.run: a key of feed_dict is {what}, not a tensor of the graph: keys are placeholders, such as x = tf.placeholder("
            "tf.float32, [None]), and values are the arrays: feed_dict={x: array}"
        )

    def _fetchable(self, x: Any) -> Any:
        if isinstance(x, str):
            return self.graph.as_graph_element(x)
        if isinstance(x, (Tensor, Operation)):
            self._check_graph(x, "fetched")
            return x
        hint = getattr(x, "_fetch_hint", None)
        if hint:
            raise ArgumentError(f"session.run: {hint}")
        if x is None:
            raise ArgumentError(
                "session.run: a fetch is None; perhaps it is a gradient of something the loss does not depend on, or the result of a "
                "function that returns nothing"
            )
        raise ArgumentError(
            f"session.run: {type(x).__name__} {x!r} cannot be fetched: fetches are tensors, operations and variables of the graph, their names, "
            "or lists, tuples and dicts of them"
        )

    def _check_graph(self, x: Any, how: str) -> None:
        if x.graph is not self.graph:
            op = x if isinstance(x, Operation) else x.op
            raise ArgumentError(
                f"session.run: {x.name!r} is {how}, but belongs to another graph than the session's; make the session with "
                f"tf.Session(graph=...) for the graph it was built in\n  made at {op.where}"
            )

    def lowered(self, fetches: Any, feed_dict: Any = None) -> LoweredGraph:
        """The graph of primitives that `run` with these arguments executes, before passes; it runs once for that."""
        self.run(fetches, feed_dict)
        feeds = feed_dict or {}
        found = tuple(id(self._fetchable(x)) for x in tree_flatten(fetches)[0])
        return self._state.programs[found, tuple(id(self._feedable(k)) for k in feeds)].compiled.graph

    # -- values of variables -----------------------------------------------------------------------------------

    def load(self, variable: Tensor, value: Any) -> None:
        """Give a variable a value from outside."""
        target = self._state.tensor(variable)
        array = np.asarray(value).astype(target._data.dtype)
        if array.shape != target._data.shape:
            raise ShapeError(
                f"the variable {variable.op.name!r} has shape {variable.shape}, but the value {array.shape}"
            )
        np.copyto(target._data, array)
        self._state.initialised.add(id(variable))

    def is_initialised(self, variable: Tensor) -> bool:
        """Whether a variable has a value."""
        return id(variable) in self._state.initialised

    # -- life --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Free what the session holds. Variables lose their values."""
        if self._closed:
            return
        self._closed = True
        state = self._state
        state.initialised.clear()
        state.iterators.clear()
        for program in state.programs.values():
            program.ready = False
        self.graph.spare_states.append(state)  # memory and programs serve the next session of this graph
        self._keys.clear()

    def __del__(self) -> None:
        self.close()


class Session(BaseSession):
    """A session: it holds the values of variables and runs parts of a graph.

    Args:
        graph: the graph, the default one if none is given.
        config: a `ConfigProto`.

    >>> from twinflow.tf.compat import v1 as tf
    >>> x = tf.placeholder(tf.float32, [None])
    >>> y = tf.reduce_sum(x * x)
    >>> with tf.Session() as session:
    ...     float(session.run(y, feed_dict={x: [1.0, 2.0]}))
    5.0
    """

    def as_default(self) -> Any:
        """The session as the default one of a `with` block, which does not close it."""
        return _Default(self)

    def __enter__(self) -> Session:
        self._default = _Default(self)
        self._default.__enter__()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self._default.__exit__(kind, error, traceback)
        self.close()
        if isinstance(error, TypeError) and "unhashable type" in str(error) and "ndarray" in str(error):
            raise ArgumentError(
                "session.run: a key of feed_dict is an array, which no dict takes: keys are placeholders, and values the arrays. Write x = "
                "tf.placeholder(tf.float32, [None]) where the model is defined, and feed_dict={x: array}",
                line=_line_of(traceback),
            ) from error


def _line_of(traceback: Any) -> str:
    from twinflow.core import format_location

    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    return format_location((code.co_filename, traceback.tb_lineno, code.co_name))


class _Default:
    def __init__(self, session: BaseSession) -> None:
        self.session = session
        self.graph: Any = None

    def __enter__(self) -> BaseSession:
        self.graph = self.session.graph.as_default()
        self.graph.__enter__()
        session_stack().append(self.session)
        return self.session

    def __exit__(self, *exc: Any) -> None:
        session_stack().remove(self.session)
        self.graph.__exit__(*exc)


class InteractiveSession(BaseSession):
    """A session that is the default one from its making to its `close()`."""

    def __init__(self, target: str = "", graph: Graph | None = None, config: Any = None) -> None:
        super().__init__(target, graph, config)
        self._default = _Default(self)
        self._default.__enter__()

    def close(self) -> None:
        """Free what the session holds; another session may be the default one then."""
        if not self._closed and self in session_stack():
            self._default.__exit__(None, None, None)
        super().close()


def get_default_session() -> Any:
    """The session of the innermost `with` block, or None."""
    stack = session_stack()
    return stack[-1] if stack else None


__all__ = ["ConfigProto", "InteractiveSession", "Reference", "Session", "Variable", "get_default_session"]
