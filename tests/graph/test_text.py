"""Graphs as text: what is printed is read back whole."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core import FROM_NUMPY
from twinflow.core.errors import ArgumentError
from twinflow.graph import PRIMITIVES, Aval, Graph, from_text, interpret, to_text

SAMPLED = sorted(name for name, p in PRIMITIVES.items() if p.samples is not None)


def graphs_of(name):
    prim = PRIMITIVES[name]
    for args, params in prim.samples(np.random.default_rng(0)):
        graph = Graph(name)
        operands = tuple(
            graph.add_input(Aval(a.shape, FROM_NUMPY[a.dtype]), f"x{k}") if isinstance(a, np.ndarray) else a
            for k, a in enumerate(args)
        )
        graph.outputs = [graph.add(prim, operands, params)]
        yield graph, [a for a in args if isinstance(a, np.ndarray)]


@pytest.mark.parametrize("name", SAMPLED)
def test_every_primitive_is_read_back_as_it_was_printed(name):
    count = 0
    for graph, _ in graphs_of(name):
        constants = {}
        text = to_text(graph, constants=constants)
        assert to_text(from_text(text, constants), constants={}) == text
        count += 1
    assert count


def traced(fn, *args):
    compiled = tf.compile(fn)
    compiled(*args)
    return compiled.graph


def control_flow():
    weights = tf.arange(100.0)

    def fn(x):
        big = tf.cond(x.sum() > 0, lambda: tf.fori_loop(0, 3, lambda i, v: v * 2, x), lambda: x - 1)
        return big + (tf.tensor(np.arange(100.0, dtype=np.float32)) * weights).sum()

    return traced(fn, tf.randn(3))


def test_nested_graphs_and_large_constants_are_read_back():
    graph = control_flow()
    constants = {}
    text = to_text(graph, constants=constants)
    again = from_text(text, constants)
    assert to_text(again, constants={}) == text
    assert constants
    x = np.array([1.0, 2.0, 3.0], np.float32)
    state = [np.arange(100.0, dtype=np.float32)]
    assert len(graph.inputs) == 2
    for values in ([x, *state], [-x, *state]):
        np.testing.assert_array_equal(interpret(graph, values)[0], interpret(again, values)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a head"),
        ("graph f(%0: float32[2])\n  %1: float32[2] = neg(%9)\n  return %1", "%9 is read before"),
        ("graph f(%0: float32[2])\n  %1: float32[3] = neg(%0)\n  return %1", r"neg gives float32\[2\]"),
        ("graph f(%0: float32[2])\n  %1 = neg(%0)", "is not a row"),
        ("graph f(%0: float32[2])\n  %1: float32[2] = mul(%0, array('c0', float32))\n  return %1", "no constant 'c0'"),
        ("graph f(%0: float32[2])\n  %1: float32[2] = mul(%0, 100 elements)\n  return %1", "not an argument list"),
    ],
)
def test_text_that_is_no_graph_is_refused(text, message):
    with pytest.raises(ArgumentError, match=message):
        from_text(text)
