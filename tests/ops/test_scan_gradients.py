"""Gradients of loops of which the last step alone is read, and second ones of products in them."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.graph.passes import optimize


def normal(*shape, seed=0):
    return tf.tensor(np.random.default_rng(seed).normal(size=shape))


def loss_of(reverse, batch_first):
    def loss(w, h, xs):
        def step(h, x):
            h = tf.tanh(h @ w + x)
            return h, h

        last, ys = tf.scan(step, h, xs, reverse=reverse)
        t = 0 if reverse else -1
        y = ys.permute(1, 0, 2)[:, t] if batch_first else ys[t]
        return (y * y).sum() + last.sum() * 0.3

    return loss


OPERANDS = (normal(6, 6, seed=1) * 0.3, normal(4, 6, seed=2), normal(7, 4, 6, seed=3))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_the_gradient_of_the_last_step_is_that_of_the_carry(reverse, batch_first):
    gradients = tf.func.grad(loss_of(reverse, batch_first), argnums=(0, 1, 2))
    compiled = tf.compile(lambda *operands: gradients(*operands))
    for got, want in zip(compiled(*OPERANDS), gradients(*OPERANDS)):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10)
    assert "pad" not in {n.op for n in optimize(compiled.graph).nodes}  # no zeros for the other steps


def test_the_gradient_of_another_step_is_not():
    def loss(w, h, xs):
        def step(h, x):
            h = tf.tanh(h @ w + x)
            return h, h

        return (tf.scan(step, h, xs)[1][5] ** 2).sum()

    gradients = tf.func.grad(loss, argnums=(0, 1, 2))
    for got, want in zip(tf.compile(lambda *operands: gradients(*operands))(*OPERANDS), gradients(*OPERANDS)):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
def test_second_gradients_whose_factors_are_gradients_of_the_carry(reverse):
    first = tf.func.grad(loss_of(reverse, False))
    second = tf.func.grad(lambda w, h, xs: (first(w, h, xs) ** 2).sum(), argnums=(0, 1, 2))
    for got, want in zip(tf.compile(lambda *operands: second(*operands))(*OPERANDS), second(*OPERANDS)):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-9)
