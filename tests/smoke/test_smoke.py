"""The thinnest path through everything: tensors, tape, in-place updates, tracing. Runs before each landing."""

import numpy as np

import twinflow as tf


def make_step(weight, bias):
    def step(x, y):
        weight.grad = None
        bias.grad = None
        loss = ((x @ weight + bias - y) ** 2).mean()
        loss.backward()
        with tf.no_grad():
            weight.sub_(weight.grad * 0.1)
            bias.sub_(bias.grad * 0.1)
        return loss

    return step


def test_a_traced_training_step_equals_the_eager_one():
    rng = np.random.default_rng(0)
    x, y = tf.tensor(rng.normal(size=(8, 4)), dtype="float32"), tf.tensor(rng.normal(size=(8, 3)), dtype="float32")
    results = []
    for wrapper in (lambda f: f, tf.compile):
        weight = tf.tensor(np.ones((4, 3)), dtype="float32", requires_grad=True)
        bias = tf.zeros(3, requires_grad=True)
        step = wrapper(make_step(weight, bias))
        losses = [step(x, y).item() for _ in range(5)]
        results.append((losses, weight.tolist(), bias.tolist(), weight.grad.tolist()))
    for eager, traced in zip(*results):
        np.testing.assert_allclose(eager, traced, rtol=1e-6)
    assert results[0][0][-1] < results[0][0][0]


def test_second_derivative():
    x = tf.tensor([1.0, 2.0], requires_grad=True)
    (first,) = tf.autodiff.grad((x**3).sum(), x, create_graph=True)
    (second,) = tf.autodiff.grad(first.sum(), x)
    assert second.tolist() == [6.0, 12.0]


def test_writing_through_a_view_moves_the_tape():
    a = tf.tensor([1.0, 2.0], requires_grad=True)
    y = tf.zeros(3) * 1.0
    y[1] = a[0] * 3.0
    (y * 2).sum().backward()
    assert a.grad.tolist() == [6.0, 0.0]
