"""Convolutions of whole numbers and truth values, bit by bit as their references have them, and without these."""

import numpy as np
import pytest

from twinflow.graph import Graph, aval_of, find_primitive
from twinflow.lower import compile_graph

WINDOW = {"stride": (2, 1), "padding": ((1, 0), (1, 2)), "dilation": (1, 2), "groups": 2}


def same(name, *args, **params):
    graph = Graph(name)
    prim = find_primitive(name)
    graph.outputs = [graph.add(prim, tuple(graph.add_input(aval_of(a)) for a in args), params)]
    program = compile_graph(graph)
    assert not any(s.interpreted for s in program.steps), program.describe()
    np.testing.assert_array_equal(program(list(args))[0], prim.ref(*args, **params))


def numbers(rng, shape, dtype):
    if dtype == "bool":
        return rng.uniform(size=shape) < 0.2
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_convolutions_wrap_around_as_whole_numbers_do(dtype):
    rng = np.random.default_rng(0)
    x, w = numbers(rng, (2, 4, 6, 7), dtype), numbers(rng, (6, 2, 3, 2), dtype)
    y = find_primitive("conv").ref(x, w, **WINDOW)
    g = numbers(rng, y.shape, dtype)
    same("conv", x, w, **WINDOW)
    same("conv_input", g, w, shape=(6, 7), **WINDOW)
    same("conv_weight", x, g, shape=(3, 2), **WINDOW)


def test_products_of_truth_values_are_true_where_one_is():
    rng = np.random.default_rng(1)
    same("matmul", numbers(rng, (2, 5, 300), "bool"), numbers(rng, (2, 300, 4), "bool"))
    same("matmul", np.zeros((3, 0), bool), np.zeros((0, 2), bool))
