"""Mistakes with models, graphs and data: each error names the layer (or placeholder, or variable) and the user's line."""

import json
import re
import zipfile

import numpy as np
import pytest

from twinflow import keras, tf
from twinflow.core.errors import TwinflowError
from twinflow.tf.compat import v1

k = keras.layers
X = np.ones((8, 3), "f4")
CASES = []


def mistake(message, *, made=False):
    """Declare a function whose error matches; with `made` it also says where the tensor was made."""

    def add(fn):
        CASES.append(pytest.param(fn, message, made, id=fn.__name__))
        return fn

    return add


def model(units=1, activation=None, loss="mse"):
    m = keras.Sequential([keras.Input((3,)), k.Dense(4, name="hidden"), k.Dense(units, activation, name="out")])
    m.compile("sgd", loss)
    return m


def batches(n):
    return ((X, np.ones((8, 1))) for _ in range(n))


GRAPH, OTHER = v1.Graph(), v1.Graph()
with GRAPH.as_default():
    FEATURES = v1.placeholder(v1.float32, [None, 2], name="features")
    W = v1.get_variable("w", [2, 1])
    Y = v1.matmul(FEATURES, W, name="y")
with OTHER.as_default():
    FOREIGN = v1.placeholder(v1.float32, [None, 2], name="foreign")


def run(fetches, feed=None, start=True):
    with v1.Session(graph=GRAPH) as session:
        if start:
            session.run(W.initializer)
        session.run(fetches, feed)


# -- models --------------------------------------------------------------------------------------------------------------


@mistake(r"Dense 'alone' has no weights yet; call it, or build\(input_shape\)")
def unbuilt_layer(folder):
    k.Dense(3, name="alone").count_params()


@mistake(r"Sequential 'lazy' has 0 weights, but 2 were given; the layer is not built yet")
def unbuilt_model(folder):
    keras.Sequential([k.Dense(3)], name="lazy").set_weights([np.zeros((2, 3)), np.zeros(3)])


@mistake("the model 'lazy' has no weights yet; call it on data, or build")
def unbuilt_file(folder):
    keras.Sequential([k.Dense(3)], name="lazy").save_weights(folder / "w.weights.safetensors")


@mistake(
    r"targets have shape \(8, 2\), but the model gives \(8, 1\)(.|\n)*output of the last layer Dense 'out': float32\[8, 1\]"
)
def targets_of_another_width(folder):
    model().fit(X, np.ones((8, 2)), verbose=0)


@mistake(
    "labels are whole numbers from 0 to 3, because the last layer Dense 'out' has 4 units, but they reach from 7 to 7"
)
def labels_outside_the_classes(folder):
    model(4, "softmax", "sparse_categorical_crossentropy").fit(X, np.full(8, 7), verbose=0)


@mistake(r"targets are one-hot(.|\n)*to_categorical\n  output of the last layer Dense 'out'")
def labels_for_one_hot(folder):
    model(4, "softmax", "categorical_crossentropy").fit(X, np.ones(8, "i4"), verbose=0)


@mistake(r"input of Sequential '\w+': float32\[2, 5\]")
def inputs_of_another_width(folder):
    model().fit(np.ones((8, 5)), np.ones((8, 1)), verbose=0)


@mistake(
    "no gradient was found for any of hidden/kernel, hidden/bias, out/kernel, out/bias: the loss does not depend on them as far as"
)
def no_gradient_on_the_tape(folder):
    m = model()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.ones(3))
    m.optimizer.apply_gradients(zip(tape.gradient(loss, m.trainable_variables), m.trainable_variables))


class Unused(keras.Model):
    """Its layer is no part of what it computes."""

    def __init__(self):
        super().__init__()
        self.never = k.Dense(1, name="never")
        self.never.build((None, 3))

    def call(self, x):
        return x[:, :1]


@mistake("fit: no gradient was found for any of never/kernel, never/bias")
def no_gradient_in_fit(folder):
    m = Unused()
    m.compile("sgd", "mse")
    m.fit(X, np.ones((8, 1)), verbose=0)


# -- data ----------------------------------------------------------------------------------------------------------------


@mistake("the data ended after 2 batches, but 5 batches are needed")
def a_generator_that_ends_early(folder):
    model().fit(batches(2), steps_per_epoch=5, verbose=0)


@mistake("the data ended after 0 batches, but at least one")
def a_generator_that_has_ended(folder):
    model().fit(batches(2), epochs=2, verbose=0)


@mistake("steps_per_epoch=9, but 8 examples in batches of 4 give 2 steps")
def more_steps_than_data(folder):
    model().fit(X, np.ones((8, 1)), batch_size=4, steps_per_epoch=9, verbose=0)


# -- files ---------------------------------------------------------------------------------------------------------------


@mistake("has format version 99, newer than 1; update twinflow")
def a_newer_file(folder):
    path = folder / "m.keras"
    model().save(path)
    with zipfile.ZipFile(path) as z:
        files = {n: z.read(n) for n in z.namelist()}
    files["metadata.json"] = json.dumps({**json.loads(files["metadata.json"]), "version": 99}).encode()
    with zipfile.ZipFile(path, "w") as z:
        for name, data in files.items():
            z.writestr(name, data)
    keras.models.load_model(path)


@mistake(
    r"the class 'Own' of the layer 'mine' is not registered; decorate it with @keras\.saving\.register_keras_serializable"
)
def an_unknown_class(folder):
    class Own(k.Layer):
        def call(self, x):
            return x * 2

    keras.Sequential([keras.Input((3,)), Own(name="mine")]).save(folder / "own.keras")
    keras.models.load_model(folder / "own.keras")


@mistake(r"it holds \(4, 1\) for out/kernel, whose shape is \(4, 3\): the model is another one")
def weights_of_another_model(folder):
    model().save_weights(folder / "w.weights.safetensors")
    model(3).load_weights(folder / "w.weights.safetensors")


# -- static graphs -------------------------------------------------------------------------------------------------------


@mistake(r"the placeholder 'features:0' \(float32, shape \(\?, 2\)\) is needed and was not fed", made=True)
def an_unfed_placeholder(folder):
    run(Y)


@mistake("'foreign:0' is fetched, but belongs to another graph", made=True)
def a_fetch_of_another_graph(folder):
    run(FOREIGN)


@mistake("'foreign:0' is fed, but belongs to another graph", made=True)
def a_feed_of_another_graph(folder):
    run(Y, {FOREIGN: X[:, :2]})


@mistake(
    r"the tensor 'foreign:0' \(made at test_bad_input\.py:\d+.*belongs to another graph than the one this operation is added to"
)
def an_operand_of_another_graph(folder):
    with GRAPH.as_default():
        v1.matmul(FOREIGN, W)


@mistake("there is no operation 'nothing' in the graph")
def a_fetch_that_does_not_exist(folder):
    run("nothing:0")


@mistake(r"a fetch is None; perhaps it is a gradient of something the loss does not depend on")
def a_fetch_of_none(folder):
    with GRAPH.as_default():
        run(v1.gradients(Y, [v1.get_variable("unused", [2])], name="none"))


@mistake("the variable 'w' has no value yet; first run", made=True)
def an_uninitialised_variable(folder):
    run(Y, {FEATURES: X[:, :2]}, start=False)


@mistake("GradientDescentOptimizer: the loss depends on none of the variables a;")
def a_loss_without_variables(folder):
    with v1.Graph().as_default():
        v1.get_variable("a", [2])
        v1.train.GradientDescentOptimizer(0.1).minimize(v1.constant(1.0))


@pytest.mark.parametrize(("wrong", "message", "made"), CASES)
def test_the_error_names_the_part_and_the_line(tmp_path, wrong, message, made):
    with pytest.raises(TwinflowError, match=message) as caught:
        wrong(tmp_path)
    text = str(caught.value)
    assert re.search(r"\n  at test_bad_input\.py:\d+, in \w+:  \S", text)
    assert not made or re.search(r"\n  made at test_bad_input\.py:\d+", text)


def test_variables_without_gradients_are_told_once():
    m = model()
    h = m.layers[0](X)

    def steps():
        for _ in range(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(m.layers[1](h))
            m.optimizer.apply_gradients(zip(tape.gradient(loss, m.trainable_variables), m.trainable_variables))

    message = r"SGD: there is no gradient for hidden/kernel, hidden/bias(.|\n)*at test_bad_input\.py"
    with pytest.warns(UserWarning, match=message) as seen:
        steps()
    assert len(seen) == 1
