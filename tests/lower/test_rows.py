"""Loops over batches whose rows run apart: which bodies allow it, and that the results are those of the whole loop."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core import as_dtype
from twinflow.graph import Aval, interpret
from twinflow.graph.passes import optimize
from twinflow.jit import interpreted
from twinflow.lower import compile_graph
from twinflow.lower._rows import body_of_rows, parts_of_rows
from twinflow.ops._body import subgraph


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def body(fn, *shapes):
    return optimize(subgraph("step", fn, [Aval(s, as_dtype("float32")) for s in shapes]))


def cell(w, h, x):
    gates = h @ w + x
    a, b = gates.reshape(gates.shape[0], 2, gates.shape[1] // 2).unbind(1)
    new = tf.tanh(a) * tf.softmax(b, -1)
    return new, new * 2.0


def test_the_body_for_some_rows_computes_these_rows():
    whole = body(cell, (6, 12), (10, 6), (10, 12))
    part = body_of_rows(whole, 1, 4)
    w, h, x = normal(6, 12), normal(10, 6, seed=1), normal(10, 12, seed=2)
    for all_rows, some in zip(interpret(whole, [w, h, x]), interpret(part, [w, h[3:7], x[3:7]])):
        np.testing.assert_allclose(all_rows[3:7], some, rtol=1e-6)


@pytest.mark.parametrize(
    "mixing",
    [
        lambda w, h: h - h.mean(0, keepdim=True),
        lambda w, h: tf.flip(h, (0,)),
        lambda w, h: tf.cumsum(h, 0),
        lambda w, h: (h.T @ h)[:4] @ h.T @ h,
        lambda w, h: tf.cat([h[1:], h[:1]], 0),
        lambda w, h: h.reshape(2, 8).reshape(4, 4) @ tf.softmax(h, 0),
        lambda w, h: h + w,  # a constant with rows of its own
        lambda w, h: h.T + h,
        lambda w, h: w * 2.0,  # the same for all rows, but not of them
    ],
)
def test_bodies_that_mix_rows_stay_whole(mixing):
    whole = body(mixing, (4, 4), (4, 4))
    assert body_of_rows(whole, 1, 2) is None
    assert parts_of_rows(whole, 1, 1000) == [4]


def test_parts_depend_on_the_work():
    whole = body(cell, (64, 128), (50, 64), (50, 128))
    parts = parts_of_rows(whole, 1, 100)
    assert sum(parts) == 50 and len(parts) == 3 and max(parts) - min(parts) == 1
    assert parts_of_rows(whole, 1, 1) == [50]  # nothing to win
    one = body(cell, (64, 128), (1, 64), (1, 128))
    assert parts_of_rows(one, 1, 100) == [1]
    large = body(cell, (2048, 4096), (50, 2048), (50, 4096))
    assert parts_of_rows(large, 1, 100) == [50]  # the weights would go through every core's cache in every step


def train(reverse):
    def f(w, h, c, xs):
        def step(carry, x):
            h, c = carry
            i, g = (h @ w.tanh() + x).chunk(2, 1)
            c, h = h * tf.sigmoid(i) * 0.5 + c * 0.3, c * 0.5 + tf.tanh(g) * 0.5  # each takes the other's place
            return (h, c), h * c

        def loss(w, h, xs):
            (h, c2), ys = tf.scan(step, (h, c), xs, reverse=reverse)
            return (h * 0.5 + c2).sum() + (ys * ys).sum()

        return *tf.scan(step, (h, c), xs, reverse=reverse)[0], *tf.func.grad(loss, argnums=(0, 1, 2))(w, h, xs)

    return f


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("rows", [13, 64])
def test_loops_in_parts_equal_the_interpreter(rows, reverse):
    arrays = [normal(24, 48) * 0.2, normal(rows, 24, seed=1), normal(rows, 24, seed=2), normal(90, rows, 48, seed=3)]
    compiled = tf.compile(train(reverse), backend=interpreted)
    compiled(*[tf.tensor(a) for a in arrays])
    graph = optimize(compiled.graph, verify=True)
    native = compile_graph(graph)
    scans = [s for s in native.steps if s.control is not None]
    assert scans and all(len(s.control.parts) > 1 for s in scans)
    for want, got in zip(interpret(graph, arrays), native(arrays)):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_results_do_not_depend_on_the_number_of_threads():
    arrays = [normal(24, 48) * 0.2, normal(16, 24, seed=1), normal(16, 24, seed=2), normal(90, 16, 48, seed=3)]
    before, found = tf.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            tf.set_num_threads(threads)
            step = tf.compile(train(False))
            for _ in range(3):
                found.append([t.numpy().tobytes() for t in step(*[tf.tensor(a) for a in arrays])])
    finally:
        tf.set_num_threads(before)
    assert all(f == found[0] for f in found)


def test_profiles_show_the_kernels_of_all_parts():
    arrays = [normal(24, 48) * 0.2, normal(16, 24, seed=1), normal(16, 24, seed=2), normal(90, 16, 48, seed=3)]
    step = tf.compile(train(False))
    tensors = [tf.tensor(a) for a in arrays]
    step(*tensors)
    with tf.profile() as profile:
        step(*tensors)
    products = [k for k in profile.kernels if "matmul" in k.ops]
    assert max(k.calls for k in products) == 180  # 90 steps in two parts, of one kernel
