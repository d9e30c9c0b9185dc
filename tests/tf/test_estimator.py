"""Estimators: own model functions, canned ones, feature columns, checkpoints, and errors."""

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, DataError
from twinflow.tf.compat import v1

RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 3)).astype(np.float32)
Y = (X @ [[1.0], [-2.0], [0.5]] + 1).astype(np.float32)


def pairs(repeat=None, features=None, labels=None):
    data = tf.data.Dataset.from_tensor_slices(
        ({"x": X} if features is None else features, Y if labels is None else labels)
    )
    return data.repeat(repeat).batch(16)


def linear(features, labels, mode, params):
    y = v1.layers.dense(features["x"], 1, name="out")
    if mode == tf.estimator.ModeKeys.PREDICT:
        return tf.estimator.EstimatorSpec(mode, {"y": y})
    loss = v1.losses.mean_squared_error(labels, y)
    optimizer = v1.train.GradientDescentOptimizer(params["rate"])
    step = optimizer.minimize(loss, global_step=v1.train.get_global_step())
    metrics = {"error": v1.metrics.mean_absolute_error(labels, y)}
    return tf.estimator.EstimatorSpec(mode, {"y": y}, loss, step, metrics)


def test_a_model_function_trains_evaluates_and_predicts(tmp_path):
    config = tf.estimator.RunConfig(tf_random_seed=1)
    estimator = tf.estimator.Estimator(linear, str(tmp_path), config, {"rate": 0.1})
    estimator.train(lambda: pairs(), steps=100)
    result = estimator.evaluate(lambda: pairs(1))
    assert result["global_step"] == 100 and result["loss"] < 1e-3 and result["error"] < 0.05
    rows = list(estimator.predict(lambda: tf.data.Dataset.from_tensor_slices({"x": X}).batch(10)))
    assert len(rows) == 64
    np.testing.assert_allclose([r["y"] for r in rows], Y, atol=0.1)
    np.testing.assert_allclose(estimator.get_variable_value("out/kernel")[:, 0], [1, -2, 0.5], atol=0.05)
    again = tf.estimator.Estimator(linear, str(tmp_path), config, {"rate": 0.1})
    again.train(lambda: pairs(), max_steps=110)
    assert again.evaluate(lambda: pairs(1), steps=1)["global_step"] == 110


def test_training_ends_with_the_data():
    estimator = tf.estimator.Estimator(linear, params={"rate": 0.01})
    estimator.train(lambda: pairs(2))
    assert estimator.evaluate(lambda: pairs(1))["global_step"] == 8


def test_train_and_evaluate():
    config = tf.estimator.RunConfig(save_checkpoints_steps=10, keep_checkpoint_max=2)
    estimator = tf.estimator.Estimator(linear, config=config, params={"rate": 0.1})
    train = tf.estimator.TrainSpec(lambda: pairs(), max_steps=35)
    result, _ = tf.estimator.train_and_evaluate(estimator, train, tf.estimator.EvalSpec(lambda: pairs(1)))
    assert result["global_step"] == 35


def test_classifiers_learn_from_columns_of_every_kind():
    n = 200
    age = RNG.uniform(0, 80, n).astype(np.float32)
    colour = RNG.choice(["red", "green", "blue"], n)
    room = RNG.integers(0, 4, n)
    label = np.where((age > 40) ^ (colour == "red"), "yes", "no")
    column = tf.feature_column
    colours = column.categorical_column_with_vocabulary_list("colour", ["red", "green", "blue"])
    columns = [
        column.numeric_column("age", normalizer_fn=lambda a: (a - 40) / 40),
        column.bucketized_column(column.numeric_column("age"), [20.0, 40.0, 60.0]),
        column.indicator_column(colours),
        column.embedding_column(column.categorical_column_with_identity("room", 4), 2),
    ]
    data = {"age": age, "colour": colour, "room": room}
    config = tf.estimator.RunConfig(tf_random_seed=0)
    network = tf.estimator.DNNClassifier([16], columns, label_vocabulary=["no", "yes"], optimizer="Adam", config=config)
    network.train(lambda: (data, label), steps=60)
    result = network.evaluate(lambda: (data, label), steps=1)
    assert result["accuracy"] > 0.95 and result["precision"] > 0.9 and result["average_loss"] < 0.3
    first = next(network.predict(lambda: iter([data])))
    assert set(first) == {"logits", "logistic", "probabilities", "class_ids"} and first["probabilities"].shape == (2,)
    wide = tf.estimator.LinearClassifier([columns[1], colours], label_vocabulary=["no", "yes"])
    wide.train(lambda: (data, label), steps=50)
    assert wide.evaluate(lambda: (data, label), steps=1)["accuracy"] > 0.5


def test_regressors_and_several_classes():
    columns = [tf.feature_column.numeric_column("x", shape=3)]
    line = tf.estimator.LinearRegressor(columns)
    line.train(lambda: ({"x": X}, Y), steps=300)
    assert line.evaluate(lambda: ({"x": X}, Y), steps=1)["average_loss"] < 0.05
    config = tf.estimator.RunConfig(tf_random_seed=0)
    deep = tf.estimator.DNNRegressor([16], columns, optimizer=lambda: v1.train.AdamOptimizer(0.02), config=config)
    deep.train(lambda: ({"x": X}, Y), steps=200)
    assert deep.evaluate(lambda: ({"x": X}, Y), steps=1)["average_loss"] < 0.5
    classes = np.argmax(X, 1)
    many = tf.estimator.DNNClassifier([16], columns, n_classes=3, optimizer="Adam", config=config)
    many.train(lambda: ({"x": X}, classes), steps=60)
    assert many.evaluate(lambda: ({"x": X}, classes), steps=1)["accuracy"] > 0.9


def test_mistakes_are_named():
    columns = [tf.feature_column.numeric_column("x", shape=3)]
    model = tf.estimator.DNNClassifier([4], columns)
    with pytest.raises(DataError, match="the label 7 lies outside the 2 classes"):
        model.train(lambda: ({"x": X}, np.full(64, 7)), steps=1)
    with pytest.raises(DataError, match="the features have no 'x'; they have 'z'"):
        model.train(lambda: ({"z": X}, np.zeros(64)), steps=1)
    with pytest.raises(ArgumentError, match="has no checkpoint; call train first"):
        model.evaluate(lambda: ({"x": X}, np.zeros(64)), steps=1)
    with pytest.raises(ArgumentError, match="train_op does not count the global step"):
        tf.estimator.Estimator(
            lambda features, labels, mode: tf.estimator.EstimatorSpec(
                mode, loss=v1.reduce_mean(v1.get_variable("w", [])), train_op=v1.no_op()
            )
        ).train(lambda: pairs(1))
    with pytest.raises(ArgumentError, match=r"must return a tf\.estimator\.EstimatorSpec, not int"):
        tf.estimator.Estimator(lambda features, labels: 3).train(lambda: pairs(1))
    with pytest.raises(ArgumentError, match="a loss is needed for mode 'train'"):
        tf.estimator.EstimatorSpec("train", predictions=1)
    with pytest.raises(DataError, match="features hold <U1, which a graph has no tensors of"):
        tf.estimator.Estimator(linear, params={"rate": 1.0}).train(
            lambda: ({"x": np.array(["a"])}, np.zeros(1)), steps=1
        )
    with pytest.raises(DataError, match="'colour' has 'pink', which is not in the vocabulary"):
        tf.feature_column.categorical_column_with_vocabulary_list("colour", ["red"]).prepare(
            {"colour": np.array(["pink"])}
        )
