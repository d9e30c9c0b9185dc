"""The Transformer: masks, copies, training, wrong use. PyTorch's values are in test_golden.py."""

from __future__ import annotations

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn
from twinflow.core.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(5)


def draw(*shape):
    return tf.tensor(RNG.normal(size=shape).astype(np.float32))


def small(**options):
    return nn.Transformer(8, 2, 1, 2, 16, dropout=0.0, **options)


def test_the_mask_and_the_flag_hide_the_same():
    model = small(batch_first=True)
    src, tgt = draw(2, 4, 8), draw(2, 3, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    assert mask.tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf], [0, 0, 0]]
    by_mask = model(src, tgt, tgt_mask=mask)
    np.testing.assert_allclose(by_mask.tolist(), model(src, tgt, tgt_is_causal=True).tolist(), rtol=1e-5, atol=1e-6)
    longer = tf.cat([tgt, draw(2, 2, 8)], 1)
    first = model(src, longer, tgt_is_causal=True)[:, :3]
    np.testing.assert_allclose(first.tolist(), by_mask.tolist(), rtol=1e-4, atol=1e-5)


def test_padding_is_not_seen():
    model = small(batch_first=True)
    src, tgt = draw(1, 4, 8), draw(1, 3, 8)
    padded = tf.cat([src, draw(1, 2, 8)], 1)
    ignore = tf.tensor([[False] * 4 + [True] * 2])
    seen = model(padded, tgt, src_key_padding_mask=ignore, memory_key_padding_mask=ignore)
    np.testing.assert_allclose(seen.tolist(), model(src, tgt).tolist(), rtol=1e-4, atol=1e-5)


def test_batch_first_only_exchanges_axes():
    model, other = small(), small(batch_first=True)
    other.load_state_dict(model.state_dict())
    src, tgt = draw(4, 2, 8), draw(3, 2, 8)
    y = other(src.transpose(0, 1), tgt.transpose(0, 1)).transpose(0, 1)
    np.testing.assert_allclose(model(src, tgt).tolist(), y.tolist(), rtol=1e-5, atol=1e-6)


def test_copies_begin_equal_and_are_independent():
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    encoder = nn.TransformerEncoder(layer, 2)
    first, second = encoder.layers
    assert first.linear1.weight.tolist() == second.linear1.weight.tolist() == layer.linear1.weight.tolist()
    with tf.no_grad():
        first.linear1.weight.zero_()
    assert second.linear1.weight.tolist() == layer.linear1.weight.tolist()


def test_dropout_in_training_only():
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5)
    x = draw(4, 2, 8)
    assert layer(x).tolist() != layer(x).tolist()
    layer.eval()
    assert layer(x).tolist() == layer(x).tolist()


@pytest.mark.parametrize("norm_first", [False, True])
def test_a_compiled_training_step_equals_the_eager_one(norm_first):
    src, tgt, goal = draw(4, 2, 8), draw(3, 2, 8), draw(3, 2, 8)
    results = []
    for wrap in (lambda f: f, tf.compile):
        tf.manual_seed(1)
        model = small(norm_first=norm_first)
        optimizer = tf.optim.SGD(model.parameters(), lr=0.05)

        def step(src, tgt, goal, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = ((model(src, tgt, tgt_is_causal=True) - goal) ** 2).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = wrap(step)
        results.append([run(src, tgt, goal).item() for _ in range(5)])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4)
    assert results[0][-1] < results[0][0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: small()(tf.zeros(4, 2, 8), tf.zeros(3, 5, 8)), ShapeError, "one batch size"),
        (lambda: small()(tf.zeros(4, 2, 7), tf.zeros(3, 2, 8)), ShapeError, "d_model = 8"),
        (lambda: small()(tf.zeros(4, 8), tf.zeros(3, 2, 8)), ShapeError, "one batch size"),
        (lambda: nn.TransformerEncoderLayer(8, 3), ArgumentError, "does not divide"),
        (lambda: nn.TransformerEncoderLayer(8, 2, activation="tanhh"), ArgumentError, "'relu', 'gelu'"),
        (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 0), ArgumentError, "num_layers"),
        (lambda: nn.TransformerDecoderLayer(8, 2)(tf.zeros(3, 2, 8), tf.zeros(4, 3, 8)), ShapeError, "batch"),
    ],
)  # fmt: skip
def test_wrong_use(call, error, words):
    with pytest.raises(error, match=words):
        call()
