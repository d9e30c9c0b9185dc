"""Random graphs, native against the interpreter: structure, elementwise functions, reductions, products, scatters, states.

A few hundred graphs with fixed seeds by default; `TWINFLOW_FUZZ_S=3600` goes on with new seeds for an hour.
"""

import os
import time

import numpy as np
import pytest

from twinflow.core import as_dtype
from twinflow.graph import Graph, aval_of, find_primitive, interpret, verify
from twinflow.lower import compile_graph

UNARY = ["neg", "abs", "exp", "tanh", "sigmoid", "relu", "sin", "square", "erf", "floor", "sign", "stop_gradient"]
BINARY = ["add", "sub", "mul", "maximum", "minimum", "div"]
COMPARE = ["lt", "ge", "eq"]
BUDGET_S = float(os.environ.get("TWINFLOW_FUZZ_S", "0"))


class Maker:
    """Grows one random graph; values stay of moderate size, so that rounding can be told from mistakes."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.graph = Graph(f"random{seed}")
        self.arrays = []
        for _ in range(self.rng.integers(1, 4)):
            self.input(self.shape())
        for _ in range(self.rng.integers(3, 14)):
            self.grow()
        self.finish()

    def pick(self, items):
        return items[int(self.rng.integers(len(items)))]

    def shape(self):
        return tuple(int(self.pick([1, 2, 3, 4, 7, 16, 33])) for _ in range(self.rng.integers(0, 4)))

    def input(self, shape, dtype="float32", high=None):
        values = self.rng.normal(size=shape) if high is None else self.rng.integers(0, high, shape)
        self.arrays.append(np.asarray(values, dtype))
        return self.graph.add_input(aval_of(self.arrays[-1]))

    def add(self, op, *operands, **params):
        return self.graph.add(find_primitive(op), operands, params)

    @property
    def floats(self):
        nodes = [*self.graph.inputs, *self.graph.nodes]
        return [n for n in nodes if n.aval.dtype.name == "float32" and n.aval.size <= 20000]

    def tame(self, x):
        """x back to moderate size."""
        return self.add("tanh", x) if self.rng.random() < 0.5 else self.add("mul", x, 0.25)

    def grow(self):
        kind = self.pick(
            ["unary", "binary", "compare", "structure", "structure", "reduce", "product", "indexed", "running"]
        )
        getattr(self, kind)()

    def unary(self):
        op = self.pick(UNARY)
        x = self.pick(self.floats)
        self.add(op, self.add("tanh", x) if op in ("exp", "square") else x)

    def binary(self):
        x = self.pick(self.floats)
        fits = [y for y in self.floats if y.aval.shape == x.aval.shape[x.aval.ndim - y.aval.ndim :]]
        y = self.pick([*fits, float(self.rng.normal())])
        op = self.pick(BINARY)
        if op == "div":
            y = self.add("add", self.add("abs", y), 1.0) if not isinstance(y, float) else 2.0
        self.add("tanh", self.add("mul", x, y)) if op == "mul" else self.add(op, x, y)

    def compare(self):
        x = self.pick(self.floats)
        condition = self.add(self.pick(COMPARE), x, float(round(self.rng.normal(), 1)))
        if self.rng.random() < 0.3:
            self.add("cast", condition, dtype=as_dtype("float32"))
        self.add("where", condition, x, self.pick([0.0, self.add("neg", x)]))

    def structure(self):
        x = self.pick(self.floats)
        shape, n = x.aval.shape, x.aval.ndim
        op = self.pick(["reshape", "permute", "expand", "slice", "pad", "concat", "slice_update"])
        if op == "reshape":
            flat = [x.aval.size] if self.rng.random() < 0.5 else [1, x.aval.size, 1]
            split = next((d for d in (2, 3, 4) if x.aval.size % d == 0 and x.aval.size), None)
            self.add("reshape", x, shape=tuple(self.pick([flat, [split, x.aval.size // split]] if split else [flat])))
        elif op == "permute":
            self.add("permute", x, axes=tuple(int(a) for a in self.rng.permutation(n)))
        elif op == "expand" and x.aval.size < 2000:
            self.add(
                "expand",
                x,
                shape=(int(self.pick([2, 3])), *[3 if s == 1 and self.rng.random() < 0.5 else s for s in shape]),
            )
        elif op == "slice":
            starts, stops, steps = zip(*map(self.cut, shape)) if n else ((), (), ())
            self.add("slice", x, starts=starts, stops=stops, steps=steps)
        elif op == "pad":
            low, high, inside = ([int(v) for v in self.rng.integers(0, 3, n)] for _ in range(3))
            self.add("pad", x, low=tuple(low), high=tuple(high), interior=tuple(inside), value=float(self.rng.normal()))
        elif op == "concat" and n:
            axis = int(self.rng.integers(n))
            others = [
                y
                for y in self.floats
                if y.aval.ndim == n and all(a == b for i, (a, b) in enumerate(zip(shape, y.aval.shape)) if i != axis)
            ]
            self.add("concat", x, *(self.pick(others) for _ in range(2)), axis=axis)
        elif op == "slice_update" and n and x.aval.size:
            starts, stops, steps = zip(*map(self.cut, shape))
            part = self.add("slice", self.add("neg", x), starts=starts, stops=stops, steps=steps)
            self.add("slice_update", x, part, starts=starts, stops=stops, steps=steps)

    def cut(self, n):
        start = int(self.rng.integers(0, n))
        step = int(self.pick([1, 1, 2]))
        return start, int(self.rng.integers(start + 1, n + 1)), step

    def reduce(self):
        x = self.pick(self.floats)
        if not x.aval.ndim:
            return
        op = self.pick(["sum", "sum", "amax", "amin", "argmax"])
        keepdim = bool(self.rng.random() < 0.5)
        if op == "argmax":
            y = self.add(op, x, axis=int(self.rng.integers(x.aval.ndim)), keepdim=keepdim)
            self.add("mul", self.add("cast", y, dtype=as_dtype("float32")), 0.1)
            return
        k = int(self.rng.integers(1, x.aval.ndim + 1))
        axes = tuple(sorted(int(a) for a in self.rng.permutation(x.aval.ndim)[:k]))
        y = self.tame(self.add(op, x, axes=axes, keepdim=keepdim))
        if keepdim:
            self.add("sub", x, self.add("expand", y, shape=x.aval.shape))

    def product(self):
        x = self.pick([x for x in self.floats if x.aval.ndim >= 2] or [self.input((5, 3))])
        k = x.aval.shape[-1]
        others = [y for y in self.floats if y.aval.ndim == 2 and y.aval.shape[0] == k]
        y = self.pick(others) if others else self.input((k, int(self.pick([1, 5, 33]))))
        z = self.tame(self.add("matmul", x, y))
        if self.rng.random() < 0.7:
            self.add("relu", self.add("add", z, self.input(z.aval.shape[-1:])))

    def indexed(self):
        x = self.pick([x for x in self.floats if x.aval.ndim] or [self.input((6,))])
        axis = int(self.rng.integers(x.aval.ndim))
        n = x.aval.shape[axis]
        index = self.input((int(self.pick([1, 3, 8])),), "int64", high=n)
        y = self.add("take", x, index, axis=axis)
        if self.rng.random() < 0.6:
            self.tame(self.add("put_add", x, index, self.add("neg", y), axis=axis))

    def running(self):
        x = self.pick([x for x in self.floats if x.aval.ndim] or [self.input((6,))])
        self.tame(self.add(self.pick(["cumsum", "cummax"]), x, axis=int(self.rng.integers(x.aval.ndim))))

    def finish(self):
        nodes = [n for n in self.graph.nodes if n.aval.size <= 50000]
        self.graph.outputs = [self.pick(nodes) for _ in range(3)] + nodes[-1:]
        for x in self.graph.inputs:  # some inputs are states, written with a value of their kind
            same = [n for n in self.graph.nodes if n.aval == x.aval]
            if same and self.rng.random() < 0.7:
                self.graph.writes[x] = self.pick(same)


def check(seed):
    made = Maker(seed)
    graph, arrays = made.graph, made.arrays
    verify(graph)
    with np.errstate(all="ignore"):
        want = interpret(graph, [a.copy() for a in arrays])
    state = [a.copy() for a in arrays]
    got = compile_graph(graph)(state)
    got = [*got, *(state[graph.inputs.index(x)] for x in graph.writes)]
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4, err_msg=f"seed {seed}\n{graph}")


@pytest.mark.parametrize("block", range(10))
def test_random_graphs(block):
    for seed in range(block * 8, block * 8 + 8):
        check(seed)


@pytest.mark.skipif(not BUDGET_S, reason="set TWINFLOW_FUZZ_S to the seconds to spend")
def test_random_graphs_for_long():
    end, seed = time.monotonic() + BUDGET_S, 1000
    while time.monotonic() < end:
        check(seed)
        seed += 1
