"""Eager operations on compiled kernels: a program of one node runs where NumPy is much slower.

Whether a call is compiled depends on its shapes and types alone, never on how often it was seen: equal calls give equal
bits. The size of the first axis is a named dimension of the kernels, so that a last, smaller batch finds them compiled.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from math import prod
from typing import Any, ClassVar

import numpy as np

from twinflow.core import FROM_NUMPY, Dim
from twinflow.graph import Aval, Graph, Primitive
from twinflow.ops._conv import conv, conv_input, conv_weight
from twinflow.ops._pool import window_sum
from twinflow.ops._unary import digamma, erf, erfc, erfinv, lgamma, sigmoid
from twinflow.tensor import PICK

_KEPT_NBYTES = 1 << 28  # arenas and spare results of programs that wait for their next call
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class _Program:
    """One compiled operation for operands of certain shapes and types. It has one arena: one thread at a time."""

    def __init__(self, prim: Primitive, arrays: tuple[Any, ...], params: dict[str, Any], batched: int) -> None:
        # imported here because programs that stay with small operands should not pay for the compiler
        from twinflow.lower import compile_graph

        graph = Graph(prim.name)
        inputs = []
        for k, a in enumerate(arrays):
            shape = a.shape
            if k < batched and shape[0] > 1:
                shape = (Dim(shape[0], "n0"), *shape[1:])
                graph.sizes["n0"] = int(shape[0])
            inputs.append(graph.add_input(Aval(shape, FROM_NUMPY[a.dtype])))
        node = graph.add(prim, tuple(inputs), params)
        if prim.n_out == 1:
            graph.outputs = [node]
        else:
            graph.outputs = [graph.add(PICK[0], (node,), {"index": i}) for i in range(prim.n_out)]
        self.run = compile_graph(graph)
        self.single = prim.n_out == 1
        self.nbytes = self.run.arena_nbytes + sum(x.aval.size * x.aval.dtype.itemsize for x in graph.outputs)
        self.lock = threading.Lock()

    def __call__(self, arrays: tuple[Any, ...]) -> Any:
        with self.lock:
            results = self.run(arrays)
            self.run.forget_inputs()
        return results[0] if self.single else tuple(results)


class Native:
    """What a primitive runs eagerly: a compiled program for floats of a size where it pays, else the reference.

    Args:
        pays: (*arrays, **params) -> whether these operands are large enough.
        batched: how many operands, from the first, have the batch as their first axis.
    """

    _programs: ClassVar[OrderedDict[Any, _Program]] = OrderedDict()  # of all primitives, the latest used last
    _lock = threading.Lock()

    def __init__(self, prim: Primitive, pays: Callable[..., bool], batched: int = 1) -> None:
        self.prim = prim
        self.pays = pays
        self.batched = batched

    def __call__(self, *arrays: Any, **params: Any) -> Any:
        """The operation on NumPy arrays."""
        if not self.pays(*arrays, **params) or any(a.dtype not in _FLOATS for a in arrays):
            return self.prim.ref(*arrays, **params)
        if self.prim.elementwise:  # one kernel for all shapes
            return self._run((arrays[0].reshape(-1),), params).reshape(arrays[0].shape)
        return self._run(arrays, params)

    def _run(self, arrays: tuple[Any, ...], params: dict[str, Any]) -> Any:
        key = (self.prim.name, *[(a.shape, a.dtype) for a in arrays], *params.items())
        with self._lock:
            program = self._programs.get(key)
            if program is not None:
                self._programs.move_to_end(key)
        if program is None:
            program = _Program(self.prim, arrays, params, self.batched)
            self._keep(key, program)
        return program(arrays)

    @classmethod
    def _keep(cls, key: Any, program: _Program) -> None:
        with cls._lock:
            cls._programs[key] = program
            total = sum(p.nbytes for p in cls._programs.values())
            while total > _KEPT_NBYTES and len(cls._programs) > 1:
                total -= cls._programs.popitem(last=False)[1].nbytes


# From which size on a compiled program pays, including that it must be compiled once: see benchmarks/operations.py.
_PRODUCTS = 1 << 20  # of a convolution: a millisecond of NumPy
_WINDOWED = 1 << 14
_SCALARS = 1 << 12  # of functions that NumPy lacks


def _products(x: Any, w: Any, **params: Any) -> bool:
    return x.ndim == w.ndim and w.shape[0] > 0 and x.size * prod(w.shape[2:]) * w.shape[0] >= _PRODUCTS


def _by_weight(x: Any, g: Any, *, shape: tuple[int, ...], **params: Any) -> bool:
    return x.ndim == g.ndim and x.size * prod(shape) * g.shape[1] >= _PRODUCTS


conv.run = Native(conv, _products)
conv_input.run = Native(conv_input, lambda g, w, **p: w.ndim > 1 and g.size * prod(w.shape[1:]) >= _PRODUCTS)
conv_weight.run = Native(conv_weight, _by_weight, batched=2)
window_sum.run = Native(window_sum, lambda x, **p: x.size >= _WINDOWED)
for _p in (erf, erfc, erfinv, lgamma, digamma, sigmoid):
    _p.run = Native(_p, lambda x: isinstance(x, np.ndarray) and x.size >= _SCALARS)
