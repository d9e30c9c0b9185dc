"""Attention: similarities against NumPy, masks, heads, and wrong use. PyTorch's values are in test_golden.py."""

from __future__ import annotations

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError
from twinflow.nn import functional as F

RNG = np.random.default_rng(3)


def draw(*shape):
    return RNG.normal(size=shape)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def norm(x):
    return np.sqrt((x * x).sum(-1))


SCORES = {
    "dot": lambda q, k: q @ k.T,
    "cosine": lambda q, k: q @ k.T / norm(q)[:, None] / norm(k)[None, :],
    "euclidean": lambda q, k: -norm(q[:, None] - k[None, :]),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", SCORES)
def test_similarities(name, compiled):
    q, k, v = draw(3, 5), draw(4, 5), draw(4, 2)

    def run(*operands):
        return F.similarity_attention(*operands, name)

    y, w = (tf.compile(run) if compiled else run)(*map(tf.tensor, (q, k, v)))
    want = softmax(SCORES[name](q, k))
    np.testing.assert_allclose(w.numpy(), want, rtol=1e-10)
    np.testing.assert_allclose(y.numpy(), want @ v, rtol=1e-10)


@pytest.mark.parametrize("name", SCORES)
def test_gradients_of_similarities(name):
    q, k = draw(3, 5), draw(4, 5)
    d = draw(3, 5)
    weight = draw(3, 4)

    def value(q):
        return F.similarity_attention(tf.tensor(q), tf.tensor(k), tf.tensor(k), name)[1]

    x = tf.tensor(q, requires_grad=True)
    (F.similarity_attention(x, tf.tensor(k), tf.tensor(k), name)[1] * tf.tensor(weight)).sum().backward()
    eps = 1e-6
    numerical = ((value(q + eps * d) - value(q - eps * d)).numpy() * weight).sum() / (2 * eps)
    np.testing.assert_allclose((x.grad.numpy() * d).sum(), numerical, rtol=1e-6)


def test_equal_and_zero_vectors_give_finite_gradients():
    for name in SCORES:
        x = tf.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]], requires_grad=True)
        F.similarity_attention(x, x, x, name)[0].sum().backward()
        assert np.isfinite(x.grad.numpy()).all()


def test_a_similarity_of_ones_own():
    x = tf.tensor(draw(3, 2))
    y, w = F.similarity_attention(x, x, x, lambda q, k: q @ k.mT * 0.0)
    np.testing.assert_allclose(w.numpy(), np.full((3, 3), 1 / 3))
    np.testing.assert_allclose(y.numpy(), np.tile(x.numpy().mean(0), (3, 1)))


@pytest.mark.parametrize("as_float", [False, True])
def test_a_query_that_may_see_nothing_gets_zeros_and_no_nan(as_float):
    allowed = np.array([[True, False], [False, False]])
    mask = tf.tensor(np.where(allowed, 0.0, -np.inf)) if as_float else tf.tensor(allowed)
    q = tf.tensor(draw(2, 3), requires_grad=True)
    v = draw(2, 3)
    y = F.scaled_dot_product_attention(q, tf.tensor(v), tf.tensor(v), attn_mask=mask)
    np.testing.assert_allclose(y.detach().numpy(), [v[0], np.zeros(3)])
    y.sum().backward()
    assert np.isfinite(q.grad.numpy()).all()


def test_dropout_of_weights():
    tf.manual_seed(0)
    q = tf.zeros(1, 1000)
    k = tf.zeros(2000, 1000)
    y = F.scaled_dot_product_attention(q, k, tf.ones(2000, 1), dropout_p=0.25)
    assert abs(y.item() - 1.0) < 0.05 and y.item() != 1.0
    assert F.scaled_dot_product_attention(q, k, tf.ones(2000, 1), dropout_p=1.0).item() == 0.0
    layer = nn.MultiheadAttention(4, 2, dropout=0.5)
    x = tf.tensor(draw(3, 2, 4), dtype=tf.float32)
    assert layer(x, x, x)[0].tolist() != layer(x, x, x)[0].tolist()
    layer.eval()
    assert layer(x, x, x)[0].tolist() == layer(x, x, x)[0].tolist()


def test_shared_operands_and_copies_give_one_result():
    layer = nn.MultiheadAttention(4, 2)
    x = tf.tensor(draw(3, 2, 4), dtype=tf.float32)
    shared, other = layer(x, x, x)[0], layer(x, x.clone(), x.clone())[0]
    half = layer(x.clone(), x, x)[0]
    np.testing.assert_allclose(shared.tolist(), other.tolist(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(shared.tolist(), half.tolist(), rtol=1e-5, atol=1e-6)


def test_is_causal_hides_what_comes_later():
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    x = draw(2, 5, 4).astype(np.float32)
    changed = x.copy()
    changed[:, 3:] += 1
    before, after = (
        layer(t, t, t, is_causal=True, need_weights=False)[0].detach().numpy() for t in map(tf.tensor, (x, changed))
    )
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).any()


def mha(e=4, h=2, **options):
    return nn.MultiheadAttention(e, h, **options)


X = tf.zeros(3, 2, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.scaled_dot_product_attention(X, tf.zeros(3, 2, 5), X), ShapeError, "equally many features"),
        (lambda: F.scaled_dot_product_attention(X, X, tf.zeros(3, 3, 4)), ShapeError, "one value for each key"),
        (lambda: F.scaled_dot_product_attention(X.long(), X, X), DTypeError, "floating"),
        (lambda: F.scaled_dot_product_attention(X, X, 3), DTypeError, "must be a tensor"),
        (lambda: F.scaled_dot_product_attention(tf.zeros(3), X, X), ShapeError, "positions, features"),
        (lambda: F.scaled_dot_product_attention(X, X, X, attn_mask=tf.zeros(2, 2).long()), DTypeError, "True where"),
        (lambda: F.scaled_dot_product_attention(X, X, X, attn_mask=tf.zeros(2, 3).bool()), ShapeError, "broadcast"),
        (lambda: F.scaled_dot_product_attention(X, X, X, attn_mask=[[True]]), DTypeError, "must be a tensor"),
        (lambda: F.scaled_dot_product_attention(X, X, X, X.bool(), is_causal=True), ArgumentError, "not both"),
        (lambda: F.scaled_dot_product_attention(X, X, X, dropout_p=2.0), ArgumentError, "probability"),
        (lambda: F.scaled_dot_product_attention(X[0], X[0], X[0], enable_gqa=True), ShapeError, "heads axis"),
        (lambda: F.scaled_dot_product_attention(X, X[:2], X[:2], enable_gqa=True), ShapeError, "not a multiple"),
        (lambda: F.similarity_attention(X, X, X, "taxi"), ArgumentError, "'dot', 'cosine', 'euclidean'"),
        (lambda: mha(5, 2), ArgumentError, "does not divide"),
        (lambda: mha(0, 2), ArgumentError, "positive"),
        (lambda: mha()(X, X, tf.zeros(4, 2, 4)), ShapeError, "one value for each key"),
        (lambda: mha()(tf.zeros(3, 2, 5), X, X), ShapeError, "embed_dim = 4"),
        (lambda: mha()(X, tf.zeros(3, 2, 5), X), ShapeError, "kdim"),
        (lambda: mha()(X, tf.zeros(3, 7, 4), tf.zeros(3, 7, 4)), ShapeError, "batch_first=True"),
        (lambda: mha()(X, X[0], X[0]), ShapeError, "all alike"),
        (lambda: mha()(X, X, X, attn_mask=tf.zeros(3, 3).long()), DTypeError, "True where attention is forbidden"),
        (lambda: mha()(X, X, X, attn_mask=tf.zeros(3, 4)), ShapeError, r"\(3, 3\) or \(4, 3, 3\)"),
        (lambda: mha()(X, X, X, tf.zeros(3, 2).bool()), ShapeError, r"key_padding_mask must have shape \(2, 3\)"),
        (lambda: mha()(X, X, X, key_padding_mask=[1]), DTypeError, "must be a tensor"),
    ],
)  # fmt: skip
def test_wrong_use(call, error, words):
    with pytest.raises(error, match=words):
        call()
