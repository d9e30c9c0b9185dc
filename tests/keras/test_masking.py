"""Masks, kept states, dropout inside recurrent layers, and constraints."""

import warnings

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import layers


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def value(t):
    return np.asarray(t.detach())


TOKENS = np.array([[1, 2, 3, 0], [4, 0, 0, 0]])


@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_masked_sequence_gives_what_the_shorter_one_gives(kind):
    embed, run = layers.Embedding(5, 3, mask_zero=True), getattr(layers, kind)(4)
    y = value(run(embed(TOKENS)))
    np.testing.assert_allclose(y[:1], value(run(embed(TOKENS[:1, :3]))), rtol=1e-5)
    np.testing.assert_allclose(y[1:], value(run(embed(TOKENS[1:, :1]))), rtol=1e-5)


def test_a_mask_passes_through_layers_models_and_attention_to_the_pooling():
    inputs = keras.Input((None,), dtype="int64")
    h = layers.Dropout(0.5)(layers.Dense(3)(layers.Embedding(5, 3, mask_zero=True)(inputs)))
    h = layers.Add()([h, layers.Attention()([h, h])])
    model = keras.Model(inputs, layers.GlobalAveragePooling1D()(h))
    y = value(model(TOKENS))
    np.testing.assert_allclose(y[1], value(model(TOKENS[1:, :1]))[0], rtol=1e-5)


def test_losses_and_metrics_count_only_what_the_mask_leaves():
    model = keras.Sequential([keras.Input((4, 1)), layers.Masking(0.0), layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=["mae"])
    x = np.array([[[1.0], [2.0], [0.0], [0.0]]], np.float32)
    loss, mae = model.evaluate(x, np.zeros((1, 4, 1)), verbose=0)
    assert loss == pytest.approx((1 + 4) / 2)
    assert mae == pytest.approx((1 + 2) / 2)


def test_a_layer_that_drops_a_mask_says_so():
    with pytest.warns(UserWarning, match="has a mask, which it does not pass on"):
        layers.Flatten()(layers.Embedding(5, 3, mask_zero=True)(TOKENS))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layers.Flatten()(layers.Embedding(5, 3)(TOKENS))


class SeesMask(layers.Layer):
    supports_masking = True

    def call(self, inputs, mask=None):
        return inputs * mask.float().unsqueeze(-1)


def test_a_layer_of_ones_own_gets_the_mask_and_passes_it_on():
    y = SeesMask()(layers.Embedding(5, 3, mask_zero=True)(TOKENS))
    assert value(y)[1, 1:].max() == 0
    again = SeesMask()(y)
    np.testing.assert_array_equal(value(again), value(y))


def test_a_stateful_layer_goes_on_where_the_last_batch_ended():
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    whole = layers.LSTM(4)
    whole(x)
    parts = layers.LSTM(4, stateful=True, batch_input_shape=(2, 3, 3))
    model = keras.Sequential([parts])
    model.set_weights(whole.get_weights())
    model.predict(x[:, :3], verbose=0, batch_size=2)
    y = model.predict(x[:, 3:], verbose=0, batch_size=2)
    np.testing.assert_allclose(y, value(whole(x)), rtol=1e-5)
    parts.reset_state()
    np.testing.assert_allclose(model.predict(x[:, :3], verbose=0, batch_size=2), value(whole(x[:, :3])), rtol=1e-5)
    with pytest.raises(ShapeError, match="keeps one state for each of 2 sequences"):
        parts(x[:1])


def test_stateful_needs_a_batch_size_and_a_layer_without_state_cannot_be_reset():
    with pytest.raises(ShapeError, match="fixed batch size"):
        layers.GRU(2, stateful=True)(keras.Input((5, 3)))
    with pytest.raises(ArgumentError, match="stateful=True"):
        layers.GRU(2).reset_states()


def test_dropout_of_input_and_state_is_the_same_in_all_steps_and_only_in_training():
    x = np.ones((1, 5, 8), np.float32)
    layer = layers.SimpleRNN(3, activation="linear", dropout=0.5, recurrent_initializer="zeros", return_sequences=True)
    y = value(layer(x, training=True))[0]
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1], y.shape))
    assert np.abs(y[0] - value(layer(x))[0, 0]).max() > 0
    kept = layers.SimpleRNN(3, activation="linear", recurrent_dropout=1.0, return_sequences=True)
    y = value(kept(x, training=True))[0]
    np.testing.assert_allclose(y, np.broadcast_to(y[:1], y.shape))


def test_a_cell_is_one_step_of_its_layer():
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    for cell, layer in ((layers.LSTMCell(4), layers.LSTM(4)), (layers.GRUCell(4), layers.GRU(4))):
        y, _ = cell(x, [np.zeros((2, 4), np.float32)] * (2 if isinstance(cell, layers.LSTMCell) else 1))
        layer(x[:, None])
        layer.set_weights(cell.get_weights())
        np.testing.assert_allclose(value(y), value(layer(x[:, None])), rtol=1e-5)


def test_layers_with_cells_are_saved_and_made_again(tmp_path):
    model = keras.Sequential(
        [keras.Input((4,), dtype="int64"), layers.Embedding(5, 3, mask_zero=True),
         layers.Bidirectional(layers.RNN([layers.LSTMCell(3), layers.GRUCell(2)], return_sequences=True)),
         layers.LSTM(2, go_backwards=True, recurrent_regularizer="l2", kernel_constraint="max_norm"), layers.Dense(1)]
    )  # fmt: skip
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model.predict(TOKENS, verbose=0), again.predict(TOKENS, verbose=0))
    assert again.layers[-2].cell.kernel_constraint.max_value == 2


@pytest.mark.parametrize(
    ("run", "error", "said"),
    [
        (lambda: layers.RNN(layers.Dense(3)), ArgumentError, "state_size"),
        (lambda: layers.LSTM(3)(np.ones((2, 3))), ShapeError, "batch, steps, features"),
        (lambda: layers.LSTM(3)(np.ones((2, 3, 1)), initial_state=[np.ones((2, 3))]), ShapeError, "initial_state has 2 tensors"),
        (lambda: layers.Bidirectional(layers.Dense(3)), ArgumentError, "recurrent layer"),
        (lambda: layers.Cropping1D(3)(np.ones((1, 5, 2))), ShapeError, "leaves nothing"),
        (lambda: layers.Conv2DTranspose(2, 3, strides=2, output_padding=2), ArgumentError, "smaller than strides"),
        (lambda: layers.EinsumDense("ab->b", 3)(np.ones((2, 3))), ArgumentError, "ab,bc->ac"),
        (lambda: layers.GroupQueryAttention(4, 3, 2), ArgumentError, "must divide"),
        (lambda: layers.SpectralNormalization(layers.Flatten())(np.ones((2, 3))), ArgumentError, "no kernel"),
        (lambda: keras.optimizers.SGD(clipnorm=1.0, clipvalue=1.0), ArgumentError, "at most one"),
        (lambda: keras.optimizers.Adam(gradient_accumulation_steps=1), ArgumentError, "at least 2"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_is_wrong_and_the_way_out(run, error, said):
    with pytest.raises(error, match=said):
        run()


def test_a_masked_loss_is_compiled_for_full_and_for_smaller_last_batches():
    x = np.array([[1, 2, 0], [3, 0, 0], [1, 1, 1], [2, 0, 0], [4, 4, 0]])
    results = []
    for eagerly in (True, False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((3,), dtype="int64"),
                layers.Embedding(5, 2, mask_zero=True),
                layers.LSTM(2, return_sequences=True),
            ]
        )
        model.compile("sgd", "mse", metrics=["mae"], run_eagerly=eagerly)
        results.append(model.fit(x, np.ones((5, 3, 2)), batch_size=2, epochs=2, shuffle=False, verbose=0).history)
    for k, v in results[0].items():
        np.testing.assert_allclose(v, results[1][k], rtol=1e-5)
