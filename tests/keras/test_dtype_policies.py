"""Policies: in which type layers compute, and in which they keep their weights."""

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError

k = keras.layers
FLAT, STEPS, IMAGES = (np.random.default_rng(0).random(s, "f4") for s in ((4, 6), (4, 5, 6), (2, 8, 8, 3)))
LAYERS = {
    "dense": (lambda: k.Dense(3, "softmax"), FLAT),
    "conv": (lambda: k.Conv2D(2, 3, activation="relu"), IMAGES),
    "transposed": (lambda: k.Conv2DTranspose(2, 3), IMAGES),
    "separable": (lambda: k.SeparableConv2D(2, 3), IMAGES),
    "pooling": (lambda: k.AveragePooling2D(), IMAGES),
    "batch_norm": (lambda: k.BatchNormalization(), IMAGES),
    "layer_norm": (lambda: k.LayerNormalization(), STEPS),
    "lstm": (lambda: k.LSTM(3, return_sequences=True), STEPS),
    "gru": (lambda: k.Bidirectional(k.GRU(3)), STEPS),
    "cells": (lambda: k.RNN([k.LSTMCell(3), k.GRUCell(2)]), STEPS),
    "conv_lstm": (lambda: k.ConvLSTM1D(2, 3), STEPS[..., None]),
    "attention": (lambda: k.TimeDistributed(k.Dense(2)), STEPS),
    "rescaling": (lambda: k.Rescaling(2.0), IMAGES),
    "prelu": (lambda: k.PReLU(), FLAT),
    "embedding": (lambda: k.Embedding(9, 3), np.ones((4, 5), "i4")),
}


@pytest.fixture
def policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16", "float64", "bfloat16"])
@pytest.mark.parametrize(("make", "x"), LAYERS.values(), ids=LAYERS)
def test_layers_compute_in_the_type_of_their_policy(policy, name, make, x):
    wide = make()
    expected = np.asarray(wide(x))
    policy(name)
    layer = make()
    layer.build(x.shape)
    layer.set_weights([np.asarray(w.to(dtype="float32")) for w in wide.weights])
    y = layer(x)
    short = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}.get(name, name)
    assert y.dtype.name == layer.compute_dtype == short
    assert {w.dtype.name for w in layer.trainable_weights} <= {"float32" if "mixed" in name else name}
    tolerance = {"float64": 1e-5, "float16": 4e-3, "bfloat16": 4e-2}[short]
    assert np.allclose(np.asarray(y.to(dtype="float32")), expected, atol=tolerance)


def test_a_layer_may_have_a_policy_of_its_own(policy):
    policy("mixed_bfloat16")
    head = k.Dense(2, dtype="float32")
    assert head(k.Dense(3)(FLAT)).dtype.name == "float32" and head.dtype_policy.name == "float32"
    assert k.Dense(3, dtype=keras.DTypePolicy("float64")).dtype == "float64"
    assert keras.DTypePolicy() == keras.DTypePolicy("mixed_bfloat16") != keras.DTypePolicy("float32")
    assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"


def network():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), k.Conv2D(4, 3, activation="relu"), k.BatchNormalization(), k.Flatten(), k.Dense(3, dtype="float32")]
    )  # fmt: skip
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.3, w.shape) for w in model.get_weights()])
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("name", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_training_in_short_types_follows_float32(policy, name):
    y, options = np.array([0, 2]), {"epochs": 4, "verbose": 0, "shuffle": False}
    expected = network().fit(IMAGES, y, **options).history["loss"]
    policy(name)
    model = network()
    found = model.fit(IMAGES, y, **options).history["loss"]
    assert np.allclose(found, expected, rtol=2e-2) and found[-1] < found[0]
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (name == "mixed_float16")
    assert model.predict(IMAGES, verbose=0).dtype == np.float32


def test_files_keep_the_policy(policy, tmp_path):
    policy("mixed_float16")
    model = network()
    model.fit(IMAGES, np.array([0, 2]), verbose=0)
    model.save(tmp_path / "m.keras")
    policy("float32")
    again = keras.models.load_model(tmp_path / "m.keras")
    assert [x.compute_dtype for x in again.layers] == ["float16"] * 3 + ["float32"]
    assert np.array_equal(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    assert isinstance(again.optimizer, keras.optimizers.LossScaleOptimizer) and int(again.optimizer.iterations) == 1


def test_other_names_are_refused():
    for name in ("mixed_int8", "int32"):
        with pytest.raises(ArgumentError, match=f"'{name}' is no policy; there are 'float32', 'float64'"):
            keras.config.set_dtype_policy(name)
    with pytest.raises(ArgumentError, match="is no policy"):
        k.Dense(3, dtype="short")
