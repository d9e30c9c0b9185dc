"""TensorFlow's face: tapes, functions, and the articles' tape-style programs."""

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import GradientError, ShapeError


def test_gradients_of_variables_and_watched_tensors():
    x, c = tf.Variable([1.0, 2.0]), tf.constant([3.0, 4.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(c)
        y = tf.reduce_sum(x * x * c)
    np.testing.assert_allclose(tape.gradient(y, x).numpy(), [6, 16])
    found = tape.gradient(y, {"c": c, "x": x})
    np.testing.assert_allclose(found["c"].numpy(), [1, 4])


def test_nested_tapes_give_second_derivatives():
    x = tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x * x * x
        first = inner.gradient(y, x)
    assert float(first) == pytest.approx(27)
    assert float(outer.gradient(first, x)) == pytest.approx(18)


def test_what_was_computed_before_the_block_is_constant_to_the_tape():
    w = tf.Variable(2.0)
    before = w * 3
    with tf.GradientTape() as tape:
        y = before * w
    assert float(tape.gradient(y, w)) == pytest.approx(6)  # not 12: the factor 3w is a constant
    with tf.GradientTape() as tape:
        y = before * 5
    g = tape.gradient(y, [w])
    assert g == [None]
    with pytest.raises(GradientError, match="call the model inside"):
        tf.keras.optimizers.SGD().apply_gradients(zip(g, [w]))


def test_a_tape_that_is_not_persistent_is_used_once():
    x = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = x * 2
    tape.gradient(y, x)
    with pytest.raises(GradientError, match="persistent=True"):
        tape.gradient(y, x)


def test_matmul_of_a_vector_names_the_way_out():
    with pytest.raises(ShapeError, match="b needs at least 2 axes"):
        tf.matmul(tf.ones([3, 1]), tf.zeros([1]))


class LinearRegression(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.W = tf.Variable(tf.random.normal([1]))
        self.b = tf.Variable(tf.zeros([1]))

    def call(self, x):
        return self.W * x + self.b


@pytest.mark.parametrize("compiled", [False, True])
def test_the_articles_linear_regression_by_tape(compiled):
    tf.random.set_seed(0)
    rng = np.random.default_rng(0)
    X = rng.random((100, 1)).astype(np.float32)
    Y = 3 * X + 2
    model, loss, optimizer = (
        LinearRegression(),
        tf.keras.losses.MeanSquaredError(),
        tf.keras.optimizers.SGD(learning_rate=0.5),
    )

    def step(x, y):
        with tf.GradientTape() as tape:
            value = loss(y, model(x))
        gradients = tape.gradient(value, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return value

    optimizer.build(model.trainable_variables)
    run = tf.function(step) if compiled else step
    for _ in range(300):
        run(tf.constant(X), tf.constant(Y))
    np.testing.assert_allclose([model.W.numpy()[0], model.b.numpy()[0]], [3, 2], atol=0.02)
    assert optimizer.iterations == 300


class OwnStep(LinearRegression):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables))
        return {"loss": loss}


def test_fit_runs_a_train_step_of_the_users_own():
    model = OwnStep()
    model.compile(tf.keras.optimizers.SGD(0.5), "mse")
    X = np.linspace(0, 1, 32, dtype=np.float32).reshape(-1, 1)
    history = model.fit(X, 3 * X + 2, epochs=50, batch_size=8, verbose=0).history["loss"]
    assert history[-1] < 1e-3 and model.optimizer.iterations == 200


# -- tapes -----------------------------------------------------------------------------------------------------------


def test_several_tapes_record_one_block():
    x, y = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape() as first, tf.GradientTape() as second:
        shared = tf.sigmoid(x * y)
        a, b = shared * 2, shared * shared
    s = 1 / (1 + np.exp(-6.0))
    assert float(first.gradient(a, x)) == pytest.approx(2 * s * (1 - s) * 3, rel=1e-4)
    assert float(second.gradient(b, y)) == pytest.approx(2 * s * s * (1 - s) * 2, rel=1e-4)


def test_jacobians():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x * tf.constant([1.0, 10.0])
    full = tape.jacobian(y, x)
    assert tuple(full.shape) == (2, 2, 2, 2)
    np.testing.assert_allclose(full.numpy()[1, 1], [[0, 0], [0, 80]])
    np.testing.assert_allclose(tape.batch_jacobian(y, x).numpy()[1], [[6, 0], [0, 80]])
    other = tf.Variable(1.0)
    assert tape.jacobian(y, [other]) == [None]
    with pytest.raises(ShapeError, match="one batch axis in common"):
        tape.batch_jacobian(y, tf.ones([3, 2]))


def test_what_is_computed_while_recording_stops_is_constant():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        with tape.stop_recording():
            constant = x * x
        y = constant * x
    assert float(tape.gradient(y, x)) == 9
    with tf.GradientTape() as tape:
        y = x * x
        tape.reset()
        z = y * x
    assert float(tape.gradient(z, x)) == 9


def test_only_named_variables_are_watched_if_asked_for():
    x, y = tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        z = x * y
    gx, gy = tape.gradient(z, [x, y])
    assert float(gx) == 3 and gy is None


def test_values_of_watched_tensors_are_read_plainly():
    x = tf.constant([1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * 3
    assert y.numpy().tolist() == [3, 6] and tape.gradient(y, x).numpy().tolist() == [3, 3]
