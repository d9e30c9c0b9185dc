"""Products larger than their factors are checked for infinity by the factors."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import CheckError
from twinflow.graph import from_text, interpret, verify
from twinflow.graph.passes import bound_products

M, K, N = 160, 8, 160


def asked(m=M, k=K, n=N, limit="inf"):
    """Whether every element of (aᵀ · b)ᵀ is finite."""
    return from_text(
        f'graph f(%0: float32[{k}, {m}] "a", %1: float32[{k}, {n}] "b")\n'
        f"  %2: f = permute(%0, axes=(1, 0))\n  %3: f = matmul(%2, %1)\n  %4: f = permute(%3, axes=(1, 0))\n"
        f"  %5: f = abs(%4)\n  %6: f = lt(%5, {limit})\n  %7: f = amin(%6, axes=(0, 1), keepdim=False)\n  return %7"
    )


def test_a_product_is_asked_only_if_its_factors_are_large():
    graph = bound_products(asked())
    verify(graph)
    ops = [n.op for n in graph.nodes]
    assert "cond" in ops
    (choice,) = (n for n in graph.nodes if n.op == "cond")
    assert "matmul" not in [n.op for n in choice.params["on_true"].nodes]
    assert "matmul" in [n.op for n in choice.params["on_false"].nodes]
    assert all(x.prim is None for x in choice.inputs[1:])  # the factors as they lie in memory, not turned


@pytest.mark.parametrize("graph", [asked(m=100, n=100), asked(k=256), asked(limit=4.0)])
def test_small_products_deep_ones_and_other_limits_are_left_alone(graph):
    assert "cond" not in [n.op for n in bound_products(graph).nodes]


@pytest.mark.parametrize(
    ("a", "b"), [(1, 1), (1e30, 1e-30), (1e19, 1e18), (1e30, 1e30), (np.inf, 1), (1, np.nan), (np.inf, 0), (3e38, 0)]
)
def test_the_answer_is_that_of_the_product(a, b):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(K, M)).astype(np.float32), rng.normal(size=(K, N)).astype(np.float32)
    x[3, 5], y[3, 7] = a, b
    if b == 0:
        y[3] = 0
    with np.errstate(all="ignore"):
        wanted = bool(np.isfinite(x.T @ y).all())
        (found,) = interpret(bound_products(asked()), [x, y])
    assert bool(found) == wanted
    step = tf.compile(lambda x, y: (x.T @ y).T.isfinite().all())
    assert bool(step(tf.from_numpy(x), tf.from_numpy(y))) == wanted


@pytest.mark.parametrize("optimizer", [lambda p: tf.optim.SGD(p, lr=1e-3), lambda p: tf.optim.Adam(p)])
def test_a_step_that_overflows_in_a_product_writes_nothing(optimizer):
    tf.manual_seed(0)
    layer = tf.nn.Linear(M, N)
    update = optimizer(layer.parameters())

    @tf.compile
    def step(x):
        update.zero_grad()
        layer(x).clamp(-1, 1).sum().backward()
        tf.ensure(layer.weight.grad.isfinite().all(), "a gradient is not finite")
        update.step()

    step(tf.rand(K, M))
    step(tf.rand(K, M) * 1e-30 + 1e30 * tf.eye(K, M))  # outside the bound, and finite
    x = tf.zeros(K, M)
    x[0, 0] = x[1, 0] = 3e38  # their sum is the gradient of a column
    with tf.no_grad():
        for p in layer.parameters():
            p.zero_()
    with pytest.raises(CheckError, match="a gradient is not finite"):
        step(x)
    assert all(not p.detach().any() for p in layer.parameters())
    step(tf.rand(K, M))
    assert all(p.detach().isfinite().all() for p in layer.parameters())
