"""Random numbers: their moments, their repeatability, eager against traced, and wrong arguments."""

import math

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError

N = 20_000


def fill(method, *args):
    return lambda: getattr(tf.empty(N), method)(*args)


CASES = {  # name: (draw, mean, standard deviation)
    "rand": (lambda: tf.rand(N), 0.5, math.sqrt(1 / 12)),
    "rand float64": (lambda: tf.rand(N, dtype=tf.float64), 0.5, math.sqrt(1 / 12)),
    "randn": (lambda: tf.randn(N), 0, 1),
    "randint": (lambda: tf.randint(-2, 5, (N,)), 1, 2),
    "normal": (lambda: tf.normal(3.0, 2.0, (N,)), 3, 2),
    "bernoulli": (lambda: tf.bernoulli(tf.full((N,), 0.3)), 0.3, math.sqrt(0.21)),
    "bernoulli_": (fill("bernoulli_", 0.2), 0.2, 0.4),
    "uniform_": (fill("uniform_", -1, 3), 1, 4 / math.sqrt(12)),
    "normal_": (fill("normal_", 1, 0.5), 1, 0.5),
    "exponential_": (fill("exponential_", 2.0), 0.5, 0.5),
    "geometric_": (fill("geometric_", 0.25), 4, math.sqrt(12)),
    "log_normal_": (fill("log_normal_", 0, 0.5), math.exp(0.125), math.exp(0.125) * math.sqrt(math.exp(0.25) - 1)),
    "random_": (fill("random_", 10), 4.5, math.sqrt(99 / 12)),
    "poisson 0.7": (lambda: tf.poisson(tf.full((N,), 0.7)), 0.7, math.sqrt(0.7)),
    "poisson 9": (lambda: tf.poisson(tf.full((N,), 9.0)), 9, 3),
    "poisson 400": (lambda: tf.poisson(tf.full((N,), 400.0)), 400, 20),
    "binomial": (lambda: tf.binomial(tf.full((N,), 20.0), tf.full((N,), 0.3)), 6, math.sqrt(4.2)),
}


@pytest.mark.parametrize("name", CASES)
def test_moments(name):
    draw, mean, std = CASES[name]
    tf.manual_seed(11)
    x = draw().double().numpy()
    assert x.shape == (N,)
    assert abs(x.mean() - mean) < 5 * std / math.sqrt(N)
    assert abs(x.std() / std - 1) < 0.05


@pytest.mark.parametrize("name", CASES)
def test_the_seed_decides_and_tracing_changes_nothing(name):
    draw = CASES[name][0]
    results = []
    for run in (draw, draw, tf.compile(draw)):
        tf.manual_seed(5)
        results.append(run().numpy())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], rtol=1e-6, atol=1e-6)
    assert not np.array_equal(results[0], draw().numpy())


def test_multinomial_draws_in_proportion():
    tf.manual_seed(0)
    weights = tf.tensor([1.0, 0.0, 3.0, 6.0])
    counts = tf.bincount(tf.multinomial(weights, N, replacement=True), minlength=4).numpy() / N
    np.testing.assert_allclose(counts, [0.1, 0, 0.3, 0.6], atol=0.01)
    first = tf.multinomial(weights.expand(2000, 4), 3).numpy()
    assert (np.sort(first, 1) == [0, 2, 3]).all()  # the weight 0 is never drawn while others are left
    np.testing.assert_allclose(np.bincount(first[:, 0], minlength=4) / 2000, [0.1, 0, 0.3, 0.6], atol=0.04)
    assert tf.compile(lambda w: tf.multinomial(w, 2))(weights).shape == (2,)


def test_generators_are_streams_of_their_own():
    g = tf.Generator().manual_seed(3)
    a = tf.rand(4, generator=g)
    state = g.get_state()
    b = tf.rand(4, generator=g)
    assert not bool((a == b).all())
    g.set_state(state)
    assert bool((tf.rand(4, generator=g) == b).all())
    tf.manual_seed(3)
    assert bool((tf.rand(4) == a).all())
    assert g.initial_seed() == 3
    assert sorted(tf.randperm(50).tolist()) == list(range(50))
    assert tf.randint_like(tf.zeros(3), 2, 3).tolist() == [2, 2, 2]
    assert tf.zeros(5, dtype=tf.int8).random_().min().item() >= 0
    assert np.isfinite(tf.empty(9).cauchy_().numpy()).all()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: tf.multinomial(tf.ones(3), 4), ArgumentError, "without replacement"),
        (lambda: tf.multinomial(tf.tensor([-1.0, 2.0]), 1), ArgumentError, "not negative"),
        (lambda: tf.multinomial(tf.zeros(2), 1), ArgumentError, "all 0"),
        (lambda: tf.multinomial(tf.ones(2, 2, 2), 1), ShapeError, "a vector or a matrix"),
        (lambda: tf.multinomial(tf.ones(2, dtype=tf.int64), 1), DTypeError, "floating"),
        (lambda: tf.poisson(tf.tensor([-1.0])), ArgumentError, "negative"),
        (lambda: tf.poisson(tf.tensor([1])), DTypeError, "floating"),
        (lambda: tf.binomial(tf.tensor([5000.0]), tf.tensor([0.5])), ArgumentError, "too many"),
        (lambda: tf.empty(2).exponential_(0), ArgumentError, "positive"),
        (lambda: tf.empty(2).geometric_(1.5), ArgumentError, "between 0 and 1"),
        (lambda: tf.empty(2).cauchy_(0, -1), ArgumentError, "positive"),
        (lambda: tf.empty(2).log_normal_(0, 0), ArgumentError, "positive"),
        (lambda: tf.empty(2).bernoulli_(2), ArgumentError, "between 0 and 1"),
        (lambda: tf.bernoulli(tf.tensor([0.5, 1.5])), ArgumentError, "between 0 and 1"),
        (lambda: tf.empty(2).random_(1, 2, 3), ArgumentError, "random_"),
        (lambda: tf.empty(2, dtype=tf.int64).exponential_(), DTypeError, "floating"),
        (lambda: tf.randint(3, 3, (2,)), ArgumentError, "no integer"),
        (lambda: tf.normal(0.0, 1.0), ArgumentError, "size"),
        (lambda: tf.rand(2, dtype=tf.int64), DTypeError, "randint"),
        (lambda: tf.manual_seed(2**70), ArgumentError, "64 bits"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call()
