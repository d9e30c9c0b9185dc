"""Composed functions that run compiled on large operands: equal to their composition, to second order."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.nn import functional as F

RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.tensor(RNG.normal(size=shape))


CASES = {
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (60,), w, b), ((150, 60), (60,), (60,))),
    "layer_norm, bias alone": (lambda x, b: F.layer_norm(x, (60,), None, b), ((150, 60), (60,))),
    "layer_norm, neither": (lambda x: F.layer_norm(x, (60,)), ((150, 60),)),
    "rms_norm": (lambda x, w: F.rms_norm(x, (60,), w), ((150, 60), (60,))),
    "group_norm": (lambda x, w, b: F.group_norm(x, 2, w, b), ((20, 4, 11, 12), (4,), (4,))),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True), ((20, 4, 11, 12), (4,), (4,))),
    "conv": (lambda x, w, b: F.conv2d(x, w, b, padding=1), ((8, 8, 20, 21), (9, 8, 3, 3), (9,))),
    "avg_pool": (lambda x: F.avg_pool2d(x, (3, 2)), ((20, 4, 15, 16),)),
    "max_pool": (lambda x: F.max_pool2d(x, 3, 2, 1), ((20, 4, 15, 16),)),
}


def composed(fn, xs):
    """What the operations give, one by one: the way traced functions take, on references."""
    return tf.jit.Compiled(fn, tf.jit.interpreted)(*xs)


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_composition(name):
    fn, shapes = CASES[name]
    for rows in (shapes[0][0], shapes[0][0] - 3):  # a second size of the batch
        xs = [normal(rows, *shapes[0][1:]), *[normal(*s) for s in shapes[1:]]]
        g = normal(*fn(*xs).shape)

        def gradients(*xs, g=g):
            return tf.func.vjp(fn, *xs)[1](g)

        leaves = [x.clone().requires_grad_() for x in xs]
        y = fn(*leaves)
        y.backward(g)
        np.testing.assert_allclose(y.detach().numpy(), composed(fn, xs).numpy(), rtol=1e-9, atol=1e-11)
        for leaf, want in zip(leaves, composed(gradients, xs)):
            np.testing.assert_allclose(leaf.grad.numpy(), want.numpy(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_derivatives(name):
    fn, shapes = CASES[name]
    xs = [normal(*s) for s in shapes]
    directions = [normal(*s) for s in shapes]
    g = normal(*fn(*xs).shape)

    def first(*xs, create):
        leaves = [x if x.requires_grad else x.clone().requires_grad_() for x in xs]
        return leaves, tf.autograd.grad((fn(*leaves) * g).sum(), leaves, create_graph=create)

    leaves, grads = first(*xs, create=True)
    total = sum((d * u).sum() for d, u in zip(grads, directions))
    if not total.requires_grad:  # piecewise linear
        assert name in ("max_pool", "avg_pool")
        return
    found = tf.autograd.grad(total, leaves, allow_unused=True)
    eps = 1e-5
    up, down = (first(*[x + s * eps * u for x, u in zip(xs, directions)], create=False)[1] for s in (1, -1))
    for f, p, m in zip(found, up, down):
        want = (p - m).numpy() / (2 * eps)
        got = np.zeros_like(want) if f is None else f.numpy()
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_only_what_requires_gradients_gets_them():
    x, w = normal(150, 60), normal(60).requires_grad_()
    F.layer_norm(x, (60,), w).sum().backward()
    assert x.grad is None
    assert w.grad.shape == (60,)


def test_running_statistics_of_a_large_batch():
    x = normal(20, 4, 11, 12)
    mean, var = tf.zeros(4, dtype=tf.float64), tf.ones(4, dtype=tf.float64)
    F.batch_norm(x, mean, var, training=True, momentum=0.5)
    np.testing.assert_allclose(mean.numpy(), 0.5 * x.numpy().mean((0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(var.numpy(), 0.5 + 0.5 * x.numpy().var((0, 2, 3), ddof=1), rtol=1e-9)


LAYERS = {
    "RNN": lambda: tf.nn.RNN(6, 5, nonlinearity="relu"),
    "LSTM": lambda: tf.nn.LSTM(6, 5, num_layers=2, bidirectional=True),
    "GRU": lambda: tf.nn.GRU(6, 5, batch_first=True),
    "GRU without biases": lambda: tf.nn.GRU(6, 5, bias=False, bidirectional=True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_recurrent_layers_run_as_compiled_loops(name, monkeypatch):
    layer = LAYERS[name]().double()
    x, direction = normal(7, 9, 6).requires_grad_(), None
    found = []
    for least in (1, 1 << 60):
        monkeypatch.setattr("twinflow.nn._recurrent_layers._LARGE", least)
        monkeypatch.setattr("twinflow.nn._recurrent_layers._direction.least", least)
        y, last = layer(x)
        states = last if isinstance(last, tuple) else (last,)
        direction = direction or [normal(*t.shape) for t in (y, *states)]
        loss = sum((t * d).sum() for t, d in zip((y, *states), direction))
        grads = tf.autograd.grad(loss, [x, *layer.parameters()])
        found.append([t.detach().numpy() for t in (y, *states, *grads)])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


def test_a_recurrent_layer_with_equations_of_its_own_is_not_compiled(monkeypatch):
    monkeypatch.setattr("twinflow.nn._recurrent_layers._LARGE", 1)
    monkeypatch.setattr("twinflow.nn._recurrent_layers._direction", None)

    class Own(tf.nn.RNN):
        def step(self):
            return lambda x, state, w: (x + state[0],)

    y, _ = Own(6, 5)(tf.zeros(7, 9, 6))
    assert y.shape == (7, 9, 5)
