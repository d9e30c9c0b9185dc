"""`@twinflow.compile`: trace once per signature, then run the graph.

A signature is what the trace depends on: the structure of the arguments, the shapes and types of their tensors, the
values of everything else, and the grad mode. Tensors that the function touches without receiving them are state.
"""

from __future__ import annotations

import functools
import gc
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import Dim, TreeDef, format_location, log, log_enabled, tree_flatten, tree_leaves, tree_unflatten
from twinflow.core.errors import ArgumentError, TraceError
from twinflow.graph import Graph, aval_of, interpret
from twinflow.jit._differentiable import WayBack, record_call, runner, way_back
from twinflow.jit._late import grad_parts
from twinflow.jit._quick import MISS, QuickCall, quick_call
from twinflow.ops import from_numpy
from twinflow.tensor import (
    ABSENT,
    MODE,
    SPECIAL,
    Attributes,
    LateGrad,
    Tensor,
    Tracer,
    assign,
    enable_grad,
    held_grad,
    meta_of,
    no_grad,
    payload,
    wrap,
)

Executor = Callable[[list[Any]], list[Any]]


def interpreted(graph: Graph) -> Executor:
    """The executor that gives a graph its meaning: node by node on the references. Like every executor it returns the
    outputs, and writes state into the input arrays."""
    targets = [graph.inputs.index(node) for node in graph.writes]

    def run(arrays: list[Any]) -> list[Any]:
        values = interpret(graph, arrays)
        for i, value in zip(targets, values[len(graph.outputs) :]):
            np.copyto(arrays[i], value)
        return [_fresh(v, arrays) for v in values[: len(graph.outputs)]]

    return run


def native(graph: Graph) -> Executor:
    """The executor that compiles: passes, fusion, native kernels."""
    # imported here because programs that never compile should not pay for the compiler
    from twinflow.lower import compile_graph

    return compile_graph(graph)


class Program:
    """One trace of a function: the graph, the state it reads and writes, and how to run it."""

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str,
        leaves: list[Any],
        treedef: TreeDef,
        backend: Callable[[Graph], Executor],
        named: dict[tuple[int, int], str],
    ) -> None:
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        self.name = name
        self._backend = backend
        self._fn, self._treedef = fn, treedef
        self.autocast = MODE.autocast
        self._static = [None if isinstance(x, Tensor) else x for x in leaves]
        self._is_tensor = [isinstance(x, Tensor) for x in leaves]
        with Tracer(name) as tracer:
            stand_ins = self._add_arguments(tracer, tensors, named)
            given = iter(stand_ins)
            args, kwargs = tree_unflatten([next(given) if isinstance(x, Tensor) else x for x in leaves], treedef)
            result = fn(*args, **kwargs)
            out_leaves, self.out_tree = tree_flatten(result)
            self.out_static: list[Any] = []
            self.out_is_tensor = [isinstance(x, Tensor) for x in out_leaves]
            graph = tracer.graph
            for x in out_leaves:
                if isinstance(x, Tensor):
                    graph.outputs.append(tracer.node_of(x))
                    self.out_static.append(None)
                else:
                    self.out_static.append(x)
            self.n_out = len(graph.outputs)
            self.way = way_back(tracer, [x for x in out_leaves if isinstance(x, Tensor)], tensors)
            self._collect_grads(tracer, tensors)
            self._n_results = len(graph.outputs)
            self._collect_attributes(tracer)
            if self.way is not None:
                self._keep_residuals(self.way, tracer, tensors, stand_ins)
            self._collect_writes(tracer, tensors, stand_ins)
        self.outliving = tracer.outliving()
        self.graph = graph
        self.guards = tracer.guards
        self.after_call = tracer.after_call
        order = {node: i for i, node in enumerate(graph.inputs)}
        positions: dict[int, Any] = {id(t): k for k, t in enumerate(tensors)}
        self.n_args = len(tensors)
        # a gradient that was there before is whichever tensor `.grad` holds when the program is called
        before: dict[int, Any] = {id(b): positions.get(id(t), t) for t, b, _ in tracer.grads.values() if b is not None}
        rebound = {id(was): (where, name) for where, name, was in tracer.attributes.values() if was is not ABSENT}
        self.state = [(t, order[node]) for t, node in tracer.captured if id(t) not in before and id(t) not in rebound]
        self.attribute_state = [(*rebound[id(t)], order[node]) for t, node in tracer.captured if id(t) in rebound]
        self.grad_state = [(before[id(t)], order[node]) for t, node in tracer.captured if id(t) in before]
        self.scalars = [(s.read, np.zeros((), s.node.dtype)) for s in tracer.scalars]
        self._arrays: list[Any] = [None] * len(graph.inputs)
        for (_, buffer), scalar in zip(self.scalars, tracer.scalars):
            self._arrays[order[scalar.node]] = buffer
        owners = {i: t for t, i in self.state}
        self.versions = [meta_of(owners[i]).version for i in self.writes if i in owners]
        self.written_args = [i for i in self.writes if i < self.n_args]
        self.written_grads = [t for t, i in self.grad_state if i in self.writes]
        self.lock = threading.Lock()  # the native program has one arena
        self.execute = backend(graph)
        self._calls = 0
        self._quick: QuickCall | None = None
        self._quick_for: Any = None  # the native program that it enters

    def _keep_residuals(self, way: WayBack, tracer: Tracer, tensors: list[Tensor], stand_ins: list[Tensor]) -> None:
        """What the way back reads: inputs are kept as they are, other values become outputs."""
        graph = tracer.graph
        at = {node: i for i, node in enumerate(graph.inputs)}
        overwritten = {tracer.graph.inputs[k] for k, t in enumerate(tensors) if id(t) in tracer.written}
        overwritten |= {node for t, node in tracer.captured if id(t) in tracer.written}
        overwritten |= {
            graph.inputs[k]
            for k, (t, s) in enumerate(zip(tensors, stand_ins))
            if s is not t and payload(s) is not graph.inputs[k]
        }
        self._residuals: list[tuple[str, int]] = []
        for node in way.residuals:
            if node in at and node not in overwritten:
                self._residuals.append(("input", at[node]))
            else:
                self._residuals.append(("output", len(graph.outputs)))
                graph.outputs.append(node)
        self._sources = [at[node] for node in way.inputs]
        way.compiled = Compiled(runner(way.graph), self._backend)

    def _record(
        self,
        way: WayBack,
        tensors: Sequence[Tensor],
        values: list[Any],
        results: list[Tensor],
        before: list[tuple[Tensor, Any]],
    ) -> None:
        owners = {i: t for t, i in self.state} | {i: _grad_of(t, tensors) for t, i in self.grad_state}

        def given(i: int) -> Tensor:
            return tensors[i] if i < self.n_args else owners[i]

        kept = [given(i) if kind == "input" else wrap(values[i]) for kind, i in self._residuals]
        read = [*tensors, *(t for t, i in self.state if i not in self.writes)]
        record_call(
            self.name, way, [given(i) for i in self._sources], kept, results, lambda: self._again(tensors, before), read
        )

    def _again(self, tensors: Sequence[Tensor], before: list[tuple[Tensor, Any]]) -> list[Tensor]:
        """The tensors that a call gave, from the Python function run once more, operation by operation, with the state it
        found then. State is afterwards what it is now."""
        with no_grad():
            now = [(t, t.clone()) for t, _ in before]
            for t, array in before:
                assign(t, wrap(array), "backward")
        cast, MODE.autocast = MODE.autocast, self.autocast
        try:
            given = iter(tensors)
            leaves = [next(given) if is_t else x for is_t, x in zip(self._is_tensor, self._static)]
            args, kwargs = tree_unflatten(leaves, self._treedef)
            with enable_grad():
                found = self._fn(*args, **kwargs)
        finally:
            MODE.autocast = cast
            with no_grad():
                for t, value in now:
                    assign(t, value, "backward")
        return [x for x in tree_flatten(found)[0] if isinstance(x, Tensor)]

    def _add_arguments(self, tracer: Tracer, tensors: list[Tensor], named: dict[tuple[int, int], str]) -> list[Tensor]:
        """Inputs for the arguments, and what the function receives for them: the tensors themselves, or, where a size
        has a name, a stand-in whose shape says so. A view gets a stand-in too, unless its base is an argument as well: views of it
        would otherwise read the base that it had while tracing, whatever later calls are given."""
        stand_ins = []
        given = {id(t) for t in tensors}
        for k, t in enumerate(tensors):
            shape = tuple(Dim(n, named[k, i]) if (k, i) in named else n for i, n in enumerate(t._data.shape))
            sizes = [n for n in shape if isinstance(n, Dim)]
            tracer.graph.sizes.update({n.name: int(n) for n in sizes})
            tracer.dims |= bool(sizes)
            if id(t) in tracer.values:
                tracer.graph.add_input(tracer.values[id(t)].aval, f"arg{k}")
                stand_ins.append(t)
                continue
            node = tracer.add_input(t, f"arg{k}", shape)
            base = None if t._info is None else meta_of(t).base
            apart = bool(sizes) or (base is not None and id(base) not in given)
            stand_ins.append(wrap(node) if apart and not t.requires_grad and type(t) is Tensor else t)
        return stand_ins

    def _collect_grads(self, tracer: Tracer, tensors: list[Tensor]) -> None:
        """Gradients that the function leaves in `.grad` become outputs, set anew by each call."""
        positions: dict[int, Any] = {id(t): k for k, t in enumerate(tensors)}
        self.grad_sets: list[
            tuple[Any, int, Any]
        ] = []  # (tensor or position, number of outputs, what makes one of several)
        self.grad_guards: list[tuple[Any, bool]] = []  # (tensor or position, whether its gradient was None)
        for t, before, read_first in tracer.grads.values():
            after = held_grad(meta_of(t))
            if read_first:
                self.grad_guards.append((positions.get(id(t), t), before is None))
            if after is before:
                continue
            parts, make = ([], None) if after is None else grad_parts(tracer.node_of(after))
            tracer.graph.outputs += parts
            self.grad_sets.append((positions.get(id(t), t), len(parts), make))

    def _collect_attributes(self, tracer: Tracer) -> None:
        """Attributes of modules that the function rebinds become outputs, bound anew by each call: (where, name, output or
        the value that is no tensor). What the next call reads there is what this one left."""
        self.attribute_sets: list[tuple[dict[str, Any], str, int | None, Any]] = []
        for where, name, was in tracer.attributes.values():
            value = where.get(name)
            if value is was:
                continue
            is_tensor = isinstance(value, Tensor)
            if is_tensor:
                self.attribute_sets.append((where, name, len(tracer.graph.outputs), None))
                tracer.graph.outputs.append(tracer.node_of(value))
            else:
                self.attribute_sets.append((where, name, None, value))
        for where, name, was in tracer.attributes.values():
            tracer.guards.append(
                (functools.partial(_kind_of_attribute, where, name), _attribute_kind(was), f"attribute {name!r}")
            )

    def _collect_writes(self, tracer: Tracer, tensors: list[Tensor], stand_ins: list[Tensor]) -> None:
        graph = tracer.graph
        for k, (t, s) in enumerate(zip(tensors, stand_ins)):
            if s is not t and payload(s) is not graph.inputs[k]:
                graph.writes[graph.inputs[k]] = tracer.node_of(s)
        inputs = {id(t): graph.inputs[k] for k, t in enumerate(tensors)}
        inputs.update({id(t): node for t, node in tracer.captured})
        for key in tracer.written:
            graph.writes[inputs[key]] = tracer.values[key]
        self.writes = [graph.inputs.index(n) for n in graph.writes]

    def holds(self, tensors: Sequence[Tensor]) -> str:
        """Empty if what the trace assumed of Python state still holds, else what changed."""
        for owner, was_none in self.grad_guards:
            if (_grad_of(owner, tensors) is None) is not was_none:
                return f"whether .grad is None changed from {was_none} to {not was_none}"
        for read, value, what in self.guards:
            now = read()
            if now != value:
                return f"{what} changed from {value!r} to {now!r}"
        return ""

    def __call__(self, tensors: Sequence[Tensor]) -> Any:
        with self.lock:
            arrays = self._arrays
            for k, t in enumerate(tensors):
                arrays[k] = t._data
            for t, i in self.state:
                if t._data is not arrays[i]:
                    arrays[i] = self._checked_state(t, i)
            for owner, i in self.grad_state:
                arrays[i] = self._checked_state(_grad_of(owner, tensors), i)
            for where, name, i in self.attribute_state:
                arrays[i] = self._checked_state(where[name], i)
            for read, buffer in self.scalars:
                buffer[()] = read()
            before = [] if self.way is None else self._before(tensors, arrays)
            values = self.execute(arrays)
            for version in self.versions:
                version[0] += 1
            for i in self.written_args:
                meta_of(tensors[i]).version[0] += 1
            for owner in self.written_grads:
                meta_of(_grad_of(owner, tensors)).version[0] += 1
            if self.grad_sets:
                self._set_grads(tensors, values)
            for where, name, output, value in self.attribute_sets:
                where[name] = value if output is None else wrap(values[output])
            for k in range(self.n_args):
                arrays[k] = None  # nothing is kept alive between calls
            for _, i in self.grad_state:
                arrays[i] = None
            for _, _, i in self.attribute_state:
                arrays[i] = None
        for effect in self.after_call:
            effect()
        if self.out_tree.kind is None and self.out_is_tensor[0] and self.way is None:
            return wrap(values[0])
        results = [wrap(v) for v in values[: self.n_out]]
        if self.way is not None:
            self._record(self.way, tensors, values, results, before)
        found = iter(results)
        leaves = [next(found) if is_t else static for is_t, static in zip(self.out_is_tensor, self.out_static)]
        return tree_unflatten(leaves, self.out_tree)

    def quick(self, tensors: Sequence[Tensor]) -> QuickCall | None:
        """How to call it again with arguments like these, from the second call on, so that the first one is no slower."""
        linked = getattr(self.execute, "program", None)
        if self._calls > 0 and (self._calls == 1 or linked is not self._quick_for):
            self._quick = quick_call(self, [t.requires_grad for t in tensors], MODE.grad)
            self._quick_for = getattr(self.execute, "program", None)
        self._calls += 1
        return self._quick

    def _before(self, tensors: Sequence[Tensor], arrays: list[Any]) -> list[tuple[Tensor, Any]]:
        """What the program will write, as it is before: for derivatives of derivatives."""
        owners = {i: t for t, i in self.state}
        owners.update(enumerate(tensors))
        return [(owners[i], arrays[i].copy()) for i in self.writes if i in owners]

    def _checked_state(self, t: Tensor, i: int) -> Any:
        """The new array of a captured tensor whose memory was exchanged (by `.data =`, or loading)."""
        node = self.graph.inputs[i]
        data = t._data
        if data.shape != node.shape or data.dtype != node.dtype:
            raise TraceError(
                f"compile: a tensor that the function uses without receiving it was {node.aval!r} when it was traced, and is "
                f"{aval_of(data)!r} now; compile the function again, or pass the tensor as an argument"
            )
        return data

    def _set_grads(self, tensors: Sequence[Tensor], values: list[Any]) -> None:
        grads = iter(values[self.n_out : self._n_results])
        for t, n_parts, make in self.grad_sets:
            parts = [next(grads) for _ in range(n_parts)]
            late = LateGrad(make, *parts) if make is not None else None
            meta_of(tensors[t] if type(t) is int else t).grad = late or (wrap(parts[0]) if parts else None)


def _warn_of_what_outlives(name: str, program: Program) -> None:
    """Say so if the function left a tensor where it outlives the call: later calls do not put theirs there."""
    outliving = program.outliving
    del program.outliving
    if outliving():
        gc.collect()  # what only circles hold is nobody's
    # modules that the function itself made live on in the guards of their mode, and nobody else sees their buffers
    guarded = [x for read, *_ in program.guards if isinstance(read, Attributes) for x in read.objects]
    own = {id(b._data) for x in guarded for b in vars(x).get("_buffers", {}).values() if b is not None}
    held = [node for node in outliving() if id(node) not in own]
    if held:
        made = format_location(held[0].line)
        warnings.warn(
            f"compile: {name} left a tensor{f' made at {made}' if made else ''} in a variable, container or attribute that outlives the "
            "call. Later calls do not set it: return it, make it an attribute or buffer of an nn.Module, or write it into a tensor "
            "with copy_()",
            stacklevel=5,
        )


def _kind_of_attribute(where: dict[str, Any], name: str) -> Any:
    return _attribute_kind(where.get(name, ABSENT))


def _attribute_kind(value: Any) -> Any:
    """What a trace depends on of an attribute that it rebinds: tensors may be exchanged."""
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    return "absent" if value is ABSENT else value


def _grad_of(owner: Any, tensors: Sequence[Tensor]) -> Any:
    """The gradient of a tensor, or of the argument at a position."""
    return held_grad(meta_of(tensors[owner] if type(owner) is int else owner))


def _fresh(value: Any, arrays: list[Any]) -> np.ndarray[Any, Any]:
    """An output that shares no memory with an input, so that a later call cannot change it."""
    array = np.asarray(value)
    return array.copy() if array.base is not None or any(array is a for a in arrays) else array


def _marked(result: Any) -> Any:
    """A result; as one of inference mode, if that is on."""
    if MODE.inference:
        for x in tree_leaves(result):
            if isinstance(x, Tensor):
                meta_of(x).inference = True
    return result


@functools.cache
def _flat(n: int) -> TreeDef:
    """The structure of the arguments of a call with n tensors."""
    return tree_flatten(((None,) * n, {}))[1]


def _static_key(x: Any) -> Any:
    try:
        hash(x)
    except TypeError:
        raise ArgumentError(
            f"compile: an argument of type {type(x).__name__} is neither a tensor, a container, nor hashable; pass tensors, "
            "numbers, strings, or lists, tuples, dicts and dataclasses of them"
        ) from None
    return (type(x), x)


def _difference(before: Any, now: Any) -> str:
    """What changed between two signatures, in words."""
    (tree, grad, kinds), shapes = before
    (tree2, grad2, kinds2), shapes2 = now
    if tree != tree2:
        return "the structure of the arguments changed"
    if grad != grad2:
        return f"(grad mode, autocast) changed from {grad} to {grad2}"
    tensor = 0
    for k, (a, b) in enumerate(zip(kinds, kinds2)):
        if a != b:
            return f"argument {k} changed from {_kind_text(a)} to {_kind_text(b)}"
        if len(a) == 3:
            old, new = shapes[tensor], shapes2[tensor]
            tensor += 1
            if old != new:
                return f"the shape of argument {k} changed from {tuple(old)} to {tuple(new)}"
    return "a signature seen before was dropped"


def _kind_text(kind: Any) -> str:
    if len(kind) == 3:
        return f"a tensor of {kind[0]} axes, {kind[1]}" + (", requiring gradients" if kind[2] else "")
    return repr(kind[1])


class Dimensions:
    """Which sizes of a function's arguments change from call to call, for one kind of arguments (their number of axes, types
    and static values).

    A size that is seen with a second value gets a name; sizes that changed alike share it. From then on kernels are
    written for the name, and a trace for a further value finds them compiled.
    """

    def __init__(self) -> None:
        self._first: tuple[tuple[int, ...], ...] | None = None
        self._changed: set[tuple[int, int]] = set()
        self._sizes: dict[tuple[int, int], list[int]] = {}
        self._given: dict[tuple[tuple[int, ...], ...], dict[tuple[int, int], str]] = {}

    def see(self, shapes: tuple[tuple[int, ...], ...]) -> dict[tuple[int, int], str]:
        """The names of (argument, axis) to trace these shapes with: always the same for the same shapes.

        Sizes 0 and 1 are always their own case.
        """
        if shapes not in self._given:
            self._given[shapes] = self._name(shapes)
        return self._given[shapes]

    def _name(self, shapes: tuple[tuple[int, ...], ...]) -> dict[tuple[int, int], str]:
        for k, shape in enumerate(shapes):
            for i, n in enumerate(shape):
                self._sizes.setdefault((k, i), []).append(n)
        if self._first is None:
            self._first = shapes
            return {}
        for k, (now, first) in enumerate(zip(shapes, self._first)):
            self._changed |= {(k, i) for i, (a, b) in enumerate(zip(now, first)) if a != b}
        groups: dict[tuple[int, ...], str] = {}
        named = {}
        for at in sorted(self._changed):
            if self._sizes[at][-1] > 1:
                named[at] = groups.setdefault(tuple(self._sizes[at]), f"n{len(groups)}")
        return named


_WARN_AFTER = 8
_KEPT = 64  # programs of one function: each has an arena of its own


class Compiled:
    """A function that is traced once per signature; calls with a known signature run its graph."""

    def __init__(self, fn: Callable[..., Any], backend: Callable[[Graph], Executor] = native) -> None:
        self._fn = fn
        self._backend = backend
        self._programs: dict[Any, list[Program]] = {}
        self._dimensions: dict[Any, Dimensions] = {}
        self._traces = self._changes = 0
        self._seen: Any = None
        self._quick: QuickCall | None = None  # of the latest program that was called with tensors alone
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if SPECIAL.count != SPECIAL.marking:  # inside another trace or transformation: part of it
            return self._fn(*args, **kwargs)
        quick = self._quick
        if quick is not None and not kwargs:
            result = quick(args)
            if result is not MISS:
                return result if not SPECIAL.marking else _marked(result)
        return _marked(self._run(args, kwargs))

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        plain = not kwargs and all([type(a) is Tensor for a in args])  # tensors alone, in no container
        if plain:
            leaves, treedef = list(args), _flat(len(args))
        else:
            leaves, treedef = tree_flatten((args, kwargs))
            for k, x in enumerate(leaves):
                if isinstance(x, np.ndarray):
                    leaves[k] = from_numpy(x)
        tensors = [x for x in leaves if isinstance(x, Tensor)]
        program = self._find(leaves, tensors, treedef)
        if any(type(t) is not Tensor for t in tensors):
            return program(tensors)
        quick = program.quick(tensors)
        if plain:
            self._quick = quick
        result = MISS if quick is None else quick(tuple(tensors))
        return program(tensors) if result is MISS else result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name: str) -> Any:
        """What the function has: of a compiled module `parameters()`, `eval()`, its layers."""
        if name.startswith("__") or "_fn" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._fn, name)

    def see(self, *args: Any, **kwargs: Any) -> None:
        """Take note of the sizes of these arguments as a call would, without running or compiling anything.

        Which sizes get names depends on the calls before. Whoever goes on where another process stopped can thus make
        further calls compile, to the last bit, as they would have there.
        """
        leaves, treedef = tree_flatten((args, kwargs))
        kind, shapes = self._kind(leaves, treedef)
        self._dimensions.setdefault(kind, Dimensions()).see(shapes)

    def _kind(self, leaves: list[Any], treedef: TreeDef) -> tuple[Any, tuple[tuple[int, ...], ...]]:
        """What a trace depends on beside sizes, and the sizes."""
        kind = (
            treedef,
            (MODE.grad, MODE.autocast),
            tuple(
                [
                    (len(x._data.shape), x._data.dtype, x.requires_grad) if isinstance(x, Tensor) else _static_key(x)
                    for x in leaves
                ]
            ),
        )
        return kind, tuple([x._data.shape for x in leaves if isinstance(x, Tensor)])

    def _find(self, leaves: list[Any], tensors: list[Tensor], treedef: TreeDef) -> Program:
        kind, shapes = self._kind(leaves, treedef)
        key = (kind, shapes)
        known = self._programs.pop(key, [])
        self._programs[key] = known  # the latest used stand last
        reasons = []
        for program in known:
            reason = program.holds(tensors)
            if not reason:
                return program
            reasons.append(reason)
        name = getattr(self._fn, "__name__", "function")
        self._explain(name, kind, shapes, leaves, reasons)
        named = self._dimensions.setdefault(kind, Dimensions()).see(shapes)
        program = Program(self._fn, name, leaves, treedef, self._backend, named)
        _warn_of_what_outlives(name, program)
        known.append(program)
        while len(self._programs) > _KEPT:
            del self._programs[next(iter(self._programs))]
        return program

    def _explain(self, name: str, kind: Any, shapes: Any, leaves: list[Any], reasons: list[str]) -> None:
        """Say why the function is traced once more: in the log, and as a warning when it keeps happening."""
        self._traces += 1
        why = "; ".join(reasons) or (_difference(self._seen, (kind, shapes)) if self._seen else "first call")
        # a further size of a known dimension costs a trace and no compilation, so it is no reason to worry
        if reasons or (self._seen and self._seen[0] != kind):
            self._changes += 1
        self._seen = (kind, shapes)
        if log_enabled("compile"):
            log("compile", f"{name}: trace {self._traces}: {why}")
        if self._changes == _WARN_AFTER:
            warnings.warn(
                f"compile: {name} was traced anew {_WARN_AFTER} times for reasons other than sizes; the latest: {why}. Pass what changes "
                "as a tensor, or keep it constant; TWINFLOW_LOG=compile explains every trace",
                stacklevel=4,
            )

    def _latest(self, what: str) -> Program:
        programs = [p for ps in self._programs.values() for p in ps]
        if not programs:
            raise TraceError(f"compile: the function has not been called yet, so there is no {what}")
        return programs[-1]

    @property
    def graph(self) -> Graph:
        """The graph of the latest trace, before passes."""
        return self._latest("graph").graph

    @property
    def optimized_graph(self) -> Graph:
        """The graph that the latest program runs, after passes."""
        return self._native("optimized graph").graph

    @property
    def kernels(self) -> str:
        """The kernels of the latest program, one line each: what it computes, and how."""
        return self._native("kernels").describe()

    @property
    def llvm_ir(self) -> str:
        """The kernels of the latest program as LLVM IR."""
        return self._native("LLVM IR").code.text

    @property
    def memory_plan(self) -> str:
        """What the latest program keeps in memory while it runs: the arena, and the place of each value in it."""
        return self._native("memory plan").memory_plan()

    def _native(self, what: str) -> Any:
        program = self._latest(what).execute
        if not hasattr(program, "describe"):
            raise TraceError(f"compile: this function runs on the interpreter, which has no {what}")
        return program


def compile(fn: Any = None, *, backend: Callable[[Graph], Executor] = native) -> Any:
    """Turn a function (a forward pass, or a whole training step) into one graph that runs as a whole.

    The function is traced once for each new signature. In-place updates of tensors it did not receive (parameters,
    statistics, optimizer state, generators) happen on every call; so do gradients left in `.grad`.

    Raises: TraceError, naming the line, for what needs a tensor's value while tracing, such as `if x > 0:` or `.item()`.

    >>> import twinflow
    >>> @twinflow.compile
    ... def f(x):
    ...     return (x * x).sum()
    >>> f(twinflow.ones(3))
    tensor(3.)
    """
    if fn is None:
        return functools.partial(compile, backend=backend)
    return Compiled(fn, backend)
