"""Gradients that compiled steps leave in parts look as if they had been there whole."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.tensor import LateGrad, meta_of

ROWS, WIDTH = 1000, 32


def embedding_steps(compiled, optimizer, look, n=5):
    """The gradients seen after the steps in `look`, and the weights at the end. Rows are met twice in a batch."""
    tf.manual_seed(0)
    table = tf.nn.Embedding(ROWS, WIDTH)
    rule = optimizer(table.parameters(), lr=0.1)

    def step(rows):
        rule.zero_grad()
        loss = (table(rows) ** 3).sum()
        loss.backward()
        rule.step()
        return loss

    run = tf.compile(step) if compiled else step
    rng = np.random.default_rng(0)
    seen = []
    for k in range(n):
        run(tf.from_numpy(rng.integers(0, 40, 50)))
        if k in look:
            seen.append(table.weight.grad.numpy().copy())
    return seen, table.weight.detach().numpy(), table


@pytest.mark.parametrize("optimizer", [tf.optim.SGD, tf.optim.Adam])
def test_the_gradient_of_an_embedding_is_whole_whenever_somebody_looks(optimizer):
    seen, weight, table = embedding_steps(True, optimizer, {0, 2, 3})
    wanted, eager_weight, _ = embedding_steps(False, optimizer, {0, 2, 3})
    assert type(meta_of(table.weight).grad) is LateGrad
    for got, want in zip(seen, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(weight, eager_weight, rtol=1e-4, atol=1e-4)
    first = table.weight.grad
    assert first is table.weight.grad and type(meta_of(table.weight).grad) is tf.Tensor


def test_a_gradient_in_parts_is_added_to_cleared_and_read_in_a_trace():
    whole = embedding_steps(True, tf.optim.SGD, set())[2].weight.grad.numpy()
    table = embedding_steps(True, tf.optim.SGD, set())[2]
    (table.weight[:2] * 1.0).sum().backward()
    np.testing.assert_array_equal(table.weight.grad.numpy()[:2], whole[:2] + 1)
    table.zero_grad()
    assert table.weight.grad is None

    other = embedding_steps(True, tf.optim.SGD, set())[2]
    assert type(meta_of(other.weight).grad) is LateGrad
    total = tf.compile(lambda: other.weight.grad.abs().sum())
    np.testing.assert_allclose(total().item(), np.abs(whole).sum(), rtol=1e-5)


def test_the_parts_of_a_gradient_are_not_those_of_a_later_step():
    tf.manual_seed(0)
    table = tf.nn.Embedding(ROWS, WIDTH)

    @tf.compile
    def step(rows):
        table.zero_grad()
        loss = (table(rows) * rows.unsqueeze(1)).sum()
        loss.backward()
        return loss

    rows = tf.arange(1, 9)
    for _ in range(3):
        step(rows)
    held = meta_of(table.weight).grad
    rows += 100  # what the caller does to the index afterwards is not seen either
    step(tf.arange(11, 19))
    step(tf.arange(21, 29))
    assert type(held) is LateGrad
    made = held.make(*held.parts)
    assert made.sum() == np.arange(1, 9).sum() * WIDTH and set(np.flatnonzero(made[:, 0])) == set(range(1, 9))
