"""Gradients through compiled functions, taken outside them."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import func as F
from twinflow.core.errors import GradientError

RNG = np.random.default_rng(0)


def normal(*shape):
    return tf.tensor(RNG.normal(size=shape))


def test_backward_through_a_compiled_model_reaches_arguments_and_parameters():
    w, b, x = normal(3, 2).requires_grad_(), normal(2).requires_grad_(), normal(4, 3).requires_grad_()

    def model(x, scale):
        h = tf.tanh(x @ w + b) * scale
        return {"h": h, "norm": (h * h).sum(), "count": h.shape[0]}

    grads = []
    for run in (model, tf.compile(model)):
        for _ in range(2):
            for t in (w, b, x):
                t.grad = None
            pre = x * 2  # not a leaf: the way back goes on behind the compiled part
            out = run(pre, 1.5)
            (out["h"].sum() + out["norm"]).backward()
            grads.append([t.grad.numpy() for t in (w, b, x)])
    for other in grads[1:]:
        for a, c in zip(grads[0], other):
            np.testing.assert_allclose(a, c, rtol=1e-9)


def test_a_closure_that_operations_made():
    x = normal(3).requires_grad_()
    y = x.sin()

    def fn(z):
        return (y * z * x).sum()

    results = []
    for run in (fn, tf.compile(fn)):
        results.append(tf.autograd.grad(run(x), x, retain_graph=True)[0].numpy())
    np.testing.assert_allclose(results[0], results[1])


def test_what_needs_no_gradient_is_not_recorded():
    w = normal(3).requires_grad_()
    model = tf.compile(lambda x: (x * w).sum())
    with tf.no_grad():
        assert not model(normal(3)).requires_grad
    assert model(normal(3)).requires_grad
    step = tf.compile(lambda x: tf.autograd.grad((x * w).sum(), w)[0])
    assert not step(normal(3)).requires_grad
    assert not tf.compile(lambda x: x * 2)(normal(3)).requires_grad


def test_a_step_that_goes_back_itself_returns_plain_tensors():
    w = normal(3).requires_grad_()

    @tf.compile
    def step(x):
        loss = (x * w).sum()
        loss.backward()
        return loss

    assert not step(normal(3)).requires_grad and w.grad is not None


def test_random_numbers_and_written_state_are_those_of_the_call():
    w, seen = normal(3).requires_grad_(), tf.zeros(3, dtype=tf.float64)

    @tf.compile
    def model(x):
        noise = tf.rand(3, dtype=tf.float64)
        with tf.no_grad():
            seen.add_(noise)
        return (x * w * noise).sum()

    x = normal(3)
    y = model(x)
    noise = seen.numpy().copy()
    model(x)
    y.backward()
    np.testing.assert_allclose(w.grad.numpy(), x.numpy() * noise)


def test_errors():
    w = normal(3).requires_grad_()
    model = tf.compile(lambda x: (x * w * w).sum())
    y = model(normal(3))
    with tf.no_grad():
        w.mul_(2)
    with pytest.raises(GradientError, match="overwritten in place before"):
        y.backward()
    y = model(normal(3))
    y.backward()
    with pytest.raises(GradientError, match="second time"):
        y.backward()


def test_functional_derivatives_go_through():
    x = normal(3)
    fn = tf.compile(lambda x: (x**3).sum())
    np.testing.assert_allclose(F.grad(fn)(x).numpy(), 3 * x.numpy() ** 2)
    np.testing.assert_allclose(F.hessian(fn)(x).numpy(), np.diag(6 * x.numpy()))


def test_several_batch_sizes():
    w = normal(3, 2).requires_grad_()

    def model(x):
        return ((x @ w).tanh() - x.mean(0)[:2]).mean()

    compiled = tf.compile(model)
    for n in (2, 5, 7, 4):
        x = normal(n, 3)
        want, got = (tf.autograd.grad(f(x), w)[0].numpy() for f in (model, compiled))
        np.testing.assert_allclose(got, want, rtol=1e-9)


def penalty(run, x, parameters):
    (g,) = tf.autograd.grad(run(x).sum(), x, create_graph=True)
    loss = ((g.norm(dim=1) - 1) ** 2).mean()
    return [t.numpy() for t in tf.autograd.grad(loss, [x, *parameters], allow_unused=True) if t is not None]


def test_second_derivatives_through_a_compiled_model():
    model = tf.nn.Sequential(tf.nn.Linear(3, 4), tf.nn.Tanh(), tf.nn.Dropout(0.5), tf.nn.Linear(4, 1)).double()
    x = normal(5, 3).requires_grad_()
    found = []
    for run in (model, tf.compile(model)):
        tf.manual_seed(0)
        found.append(penalty(run, x, list(model.parameters())))  # dropout drops the same both times
        after = tf.rand(3).tolist()
        found.append([np.array(after)])
    for want, got in ((found[0], found[2]), (found[1], found[3])):
        assert len(want) == len(got)
        for a, b in zip(want, got):
            np.testing.assert_allclose(a, b, rtol=1e-9)


def test_second_derivatives_do_not_count_a_batch_twice():
    model = tf.nn.Sequential(tf.nn.Linear(3, 4), tf.nn.BatchNorm1d(4), tf.nn.Linear(4, 1)).double()
    x = normal(5, 3).requires_grad_()
    penalty(tf.compile(model), x, list(model.parameters()))
    assert int(model[1].num_batches_tracked) == 1


def test_what_is_detached_inside_stays_so_in_second_derivatives():
    f = tf.compile(lambda x: (x.detach() * x**2).sum())
    x = tf.tensor([2.0, 3.0], requires_grad=True)
    (g,) = tf.autograd.grad(f(x), x, create_graph=True)
    assert tf.autograd.grad(g.sum(), x)[0].tolist() == [4.0, 6.0]  # 2 x with the first factor fixed


def test_a_second_derivative_refuses_arguments_that_were_overwritten():
    f = tf.compile(lambda x, w: (x.sin() * w).sum())
    x, w = tf.tensor([2.0], requires_grad=True), tf.ones(1)
    y = f(x, w)
    w.add_(1)
    with pytest.raises(GradientError, match="was overwritten in place"):
        tf.autograd.grad(y, x, create_graph=True)
