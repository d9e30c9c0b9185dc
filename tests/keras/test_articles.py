"""The articles' Keras and tape programs run as they stand in the examples; as printed, the wrong ones say what is wrong."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, GradientError, ShapeError
from twinflow.keras.layers import LSTM, Attention, Conv2D, Dense, Flatten, MaxPooling2D
from twinflow.keras.models import Sequential

ARTICLES = Path(__file__).resolve().parents[2] / "examples" / "articles"


@pytest.mark.parametrize("name", ["keras_sequences", "keras_linear", "keras_cnn", "tf_regressions"])
def test_the_program_runs_and_its_last_model_learned(name, capsys):
    values = runpy.run_path(str(ARTICLES / f"{name}.py"))
    if name == "tf_regressions":
        assert float(values["loss_value"]) < values["first"]
    else:
        losses = values["history"].history["loss"]
        assert losses[-1] < losses[0]
    if name == "keras_cnn":
        assert values["test_acc"] > 0.5
    assert len(capsys.readouterr().out.splitlines()) >= 1


def test_an_image_with_four_axes_is_refused_with_the_layer_and_the_line():
    with pytest.raises(ShapeError, match=r"Conv2D 'conv2d.*input_shape does not contain the batch axis") as error:
        Sequential(
            [Conv2D(32, (3, 3), activation="relu", input_shape=(32, 32, 3, 32), name="conv2d"), MaxPooling2D((2, 2)), Flatten(),
             Dense(64, activation="relu"), Dense(32, activation="softmax")]
        )  # fmt: skip
    assert "test_articles.py" in str(error.value)


def test_softmax_before_from_logits_and_targets_that_are_no_labels_are_refused():
    model = Sequential(
        [Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3)), Flatten(), Dense(32, activation="softmax")]
    )
    model.compile(
        optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3))
    with pytest.raises(ArgumentError, match=r"applies softmax.*applies it again; remove the activation"):
        model.fit(x, np.zeros(4), verbose=0)
    model = Sequential([Conv2D(4, 3, activation="relu", input_shape=(8, 8, 3)), Flatten(), Dense(32)])
    model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(
        ArgumentError, match=r"labels are whole numbers from 0 to 31, because the last layer .* has 32 units"
    ):
        model.fit(x, np.random.default_rng(0).normal(size=(4, 32, 32)), verbose=0)
    with pytest.raises(ShapeError, match="one label for each"):
        model.fit(x, np.zeros((4, 32, 32)), verbose=0)


def test_attention_in_a_sequential_model_and_its_wrong_argument_are_refused():
    with pytest.raises(ArgumentError, match="no argument 'attention_activation'"):
        Attention(attention_activation="relu")
    with pytest.raises(ShapeError, match=r"takes a list, \[query, value\].*functional model"):
        Sequential([LSTM(50, activation="relu", input_shape=(10, 1)), Attention(), Dense(1)])


def test_a_sequence_without_its_axis_of_features_is_taken_as_one():
    model = Sequential([LSTM(5, activation="relu", input_shape=(10, 1)), Dense(1)])
    assert model.predict(np.array([[0.5] * 10]), verbose=0).shape == (1, 1)


def test_gradients_of_a_model_called_outside_the_tape_are_refused():
    from twinflow import tf

    generator = Sequential([Dense(4, input_dim=3, activation="relu"), Dense(2, activation="tanh")])
    image = generator(tf.random.normal([1, 3]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(image)
    found = tape.gradient(loss, generator.trainable_variables)
    with pytest.raises(GradientError, match=r"no gradient was found for any of dense.*inside `with tf.GradientTape"):
        keras.optimizers.Adam(0.0002, beta_1=0.5).apply_gradients(zip(found, generator.trainable_variables))


def test_a_regression_with_targets_outside_0_and_1_for_a_binary_loss_is_refused():
    model = Sequential([Dense(1, activation="sigmoid", input_shape=(1,))])
    model.compile(optimizer="sgd", loss=keras.losses.BinaryCrossentropy())
    with pytest.raises(
        ArgumentError, match=r"binary_crossentropy: targets are probabilities in \[0, 1\], but they reach from"
    ):
        model.fit(np.linspace(-1, 1, 8).reshape(-1, 1), np.linspace(-1, 3, 8), verbose=0)
