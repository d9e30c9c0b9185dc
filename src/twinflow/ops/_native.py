"""Eager operations on compiled kernels: small graphs that run where NumPy is much slower.

Whether a call is compiled, and how, depends on its shapes and types alone, never on what was seen before: equal calls give
equal bits. The size of the first axis, or of others, is a named dimension of the kernels, so that a new size finds them compiled.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, Dim
from twinflow.graph import Aval, Node
from twinflow.tensor import Tracer, wrap
from twinflow.tensor._door import doors_are_open, program_call

_KEPT_NBYTES = 1 << 28  # arenas and spare results of programs that wait for their next call
_REAL = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64), np.dtype(np.bool_))


class _Program:
    """One compiled function for operands of certain shapes and types. It has one arena: one thread at a time."""

    def __init__(self, native: Native, arrays: tuple[Any, ...], params: dict[str, Any]) -> None:
        # imported here because programs that stay with small operands should not pay for the compiler
        from twinflow.lower import OBSERVERS, compile_graph

        with Tracer(native.name) as tracer:
            graph = tracer.graph
            inputs = []
            for k, a in enumerate(arrays):
                shape = list(a.shape)
                for axis, name in native.sizes[k].items() if k < len(native.sizes) else ():
                    if -a.ndim <= axis < a.ndim and (n := shape[axis]) > 1 and not native.has_own_kernels(n):
                        shape[axis] = Dim(n, name)
                        graph.sizes[name] = n
                        tracer.dims = True
                inputs.append(wrap(graph.add_input(Aval(tuple(shape), FROM_NUMPY[a.dtype]))))
            made = native.compose(*inputs, **params)
            self.single = not isinstance(made, tuple)
            graph.outputs = [tracer.node_of(t) for t in ((made,) if self.single else made)]
        self.scalars = [np.asarray(s.read(), s.node.dtype) for s in tracer.scalars]  # numbers that follow the batch
        self.run = compile_graph(graph)
        results = [n.aval for n in graph.outputs if isinstance(n, Node)]
        self.nbytes = self.run.arena_nbytes + sum(a.size * a.dtype.itemsize for a in results)
        self.lock = threading.Lock()
        self.used = next(_clock)
        self.call: Callable[..., Any] = self._first  # what callers call
        self._observers = OBSERVERS
        self._native: Any = None

    def _first(self, *arrays: Any) -> Any:
        """A run by Python, after which others go a native way if there is one."""
        made = _run_by_python(self.run, self.lock, self.scalars, self.single, arrays)
        if doors_are_open():
            run, lock, scalars, single = self.run, self.lock, self.scalars, self.single

            def python(*arrays: Any) -> Any:  # knows nothing of this object, which would else be a cycle
                return _run_by_python(run, lock, scalars, single, arrays)

            self._native = None
            # the addresses of scalars stay in the program's table
            if single == (len(run.results) == 1) and not _has_callbacks(run.image):
                self._native = program_call(python, run, lock, self._observers, len(arrays))
            self.call = python if self._native is None else self._native.call
        return made


def _run_by_python(run: Any, lock: Any, scalars: list[Any], single: bool, arrays: tuple[Any, ...]) -> Any:
    with lock:
        results = run.run_once([*arrays, *scalars] if scalars else arrays)
    return results[0] if single else tuple(results)


def _has_callbacks(image: Any) -> bool:
    """Whether the program calls Python functions."""
    return bool(image.callbacks) or any(_has_callbacks(part) for part, _, _ in image.parts)


class Native:
    """A function of NumPy arrays: a compiled program for operands of a size and type where it pays, else the reference.

    Args:
        name: of the program, in logs and profiles.
        reference: (*arrays, **params) -> array or tuple of arrays; None where it always pays.
        compose: the same in twinflow operations on tensors, without state.
        pays: from how many elements of the first operand on it pays, or (*arrays, **params) -> whether it does.
        batched: how many operands, from the first, have the batch as their first axis. Its size is a named dimension.
        sizes: more generally, for operands from the first on, the axes of named dimensions: {axis: name}.
        flat: whether it is one function of each element of the first operand, so that the shape does not matter. It serves
            the 16-bit floating types through float32.
        exact: whether kernels for one size of the batch are much faster than those for any.
    """

    def __init__(
        self,
        name: str,
        reference: Callable[..., Any] | None,
        compose: Callable[..., Any],
        pays: int | Callable[..., bool],
        *,
        batched: int = 1,
        sizes: Sequence[dict[int, str]] | None = None,
        flat: bool = False,
        exact: bool = False,
    ) -> None:
        self.name = name
        self.reference: Any = reference
        self.compose = compose
        self.least = pays if isinstance(pays, int) else 0
        self.pays = None if isinstance(pays, int) else pays
        self.sizes = ({0: "n0"},) * batched if sizes is None else sizes
        self.flat = flat
        self.exact = exact

    def has_own_kernels(self, n: int) -> bool:
        """Whether a batch of n has kernels for that very size. Most batches are powers of two; others are too many."""
        return self.exact and n & (n - 1) == 0

    def __call__(self, *arrays: Any, **params: Any) -> Any:
        """The function's value."""
        if arrays[0].size < self.least or (self.pays is not None and not self.pays(*arrays, **params)):
            return self.reference(*arrays, **params)
        if self.flat:  # one kernel for all shapes
            shape = arrays[0].shape
            arrays = tuple([a.reshape(-1) for a in arrays])
        key = (self, *params.items(), *[a.shape for a in arrays], *[a.dtype.char for a in arrays])
        program = _programs.get(key)
        if program is None:
            for a in arrays:
                if a.dtype not in _REAL:
                    return self._without_kernels(arrays, params, shape if self.flat else None)
            program = _Program(self, arrays, params)
            _keep(key, program)
        program.used = next(_clock)
        made = program.call(*arrays)
        return made.reshape(shape) if self.flat else made

    def _without_kernels(self, arrays: tuple[Any, ...], params: dict[str, Any], shape: Any) -> Any:
        """The value for a type that has no kernels of its own."""
        d = arrays[0].dtype
        if not self.flat:
            return self.reference(*arrays, **params)
        if d.itemsize == 2 and d.kind in "fV":
            made = self(*[a.astype(np.float32) for a in arrays], **params).astype(d)
        else:
            made = self.reference(*arrays, **params)
        return made.reshape(shape)


_programs: dict[Any, _Program] = {}  # of all functions
_lock = threading.Lock()
_clock = itertools.count()


def _keep(key: Any, program: _Program) -> None:
    """Add a program, and let go of those whose last use lies longest ago if they take too much memory."""
    with _lock:
        _programs[key] = program
        total = sum(p.nbytes for p in _programs.values())
        for old, p in sorted(_programs.items(), key=lambda item: item[1].used):
            if total <= _KEPT_NBYTES or p is program:
                break
            total -= p.nbytes
            del _programs[old]
