"""Layers, recurrent cells, losses, metrics, schedules and scopes of static graphs, against NumPy and TensorFlow's numbers."""

import numpy as np
import pytest

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.tf.compat import v1 as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()
    tf.set_random_seed(0)


def evaluate(fetches, feed_dict=None):
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        return session.run(fetches, feed_dict)


# -- scopes --------------------------------------------------------------------------------------------------------


def test_variables_are_found_again_in_scopes():
    with tf.variable_scope("a"):
        v = tf.get_variable("v", [2], initializer=tf.constant_initializer(3.0))
        with tf.variable_scope("b"):
            assert tf.get_variable("v", [1]).name == "a/b/v:0"
    with tf.variable_scope("a", reuse=True):
        assert tf.get_variable("v") is v
    with tf.variable_scope("a", reuse=tf.AUTO_REUSE) as scope:
        assert tf.get_variable("v", [2]) is v
        tf.get_variable("w", [2])
    assert [x.op.name for x in scope.global_variables()] == ["a/v", "a/b/v", "a/w"]
    np.testing.assert_allclose(evaluate(v), [3, 3])


def test_mistakes_with_get_variable():
    tf.get_variable("v", [2])
    with pytest.raises(ArgumentError, match=r"(?s)'v' exists already.*reuse=True.*made at test_v1_layers"):
        tf.get_variable("v", [2])
    with tf.variable_scope("", reuse=True), pytest.raises(ArgumentError, match="no variable 'w' to use again"):
        tf.get_variable("w", [2])
    with tf.variable_scope("", reuse=True), pytest.raises(ShapeError, match=r"has shape \(2,\), but \(3,\)"):
        tf.get_variable("v", [3])
    with pytest.raises(ShapeError, match="shape of the new variable 'x' is not given"):
        tf.get_variable("x")


def test_initializers_and_regularizers():
    normal = tf.get_variable("n", [200, 50], initializer=tf.random_normal_initializer(stddev=0.1))
    glorot = tf.get_variable("g", [200, 50])
    cut = tf.get_variable("t", [2000], initializer=tf.truncated_normal_initializer(stddev=1.0))
    tf.get_variable("r", [2], initializer=tf.ones_initializer(), regularizer=lambda w: tf.nn.l2_loss(w) * 0.5)
    penalty = tf.losses.get_regularization_loss()
    n, g, t, p = evaluate([normal, glorot, cut, penalty])
    assert n.std() == pytest.approx(0.1, rel=0.1) and abs(g).max() <= np.sqrt(6 / 250) and abs(t).max() <= 2
    assert p == pytest.approx(0.5)


# -- layers ----------------------------------------------------------------------------------------------------------


def test_a_network_of_layers_learns():
    rng = np.random.default_rng(0)
    x, y = tf.placeholder(tf.float32, [None, 8, 8, 1]), tf.placeholder(tf.int64, [None])
    training = tf.placeholder_with_default(False, [])
    h = tf.layers.conv2d(x, 4, 3, padding="same", activation=tf.nn.relu)
    h = tf.layers.max_pooling2d(h, 2, 2)
    h = tf.layers.batch_normalization(h, training=training)
    h = tf.layers.dropout(tf.layers.flatten(h), 0.1, training=training)
    assert h.shape.as_list() == [None, 64]
    logits = tf.layers.dense(h, 3)
    loss = tf.losses.sparse_softmax_cross_entropy(y, logits)
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        step = tf.train.AdamOptimizer(0.01).minimize(loss)
    images = rng.standard_normal((30, 8, 8, 1)).astype(np.float32)
    labels = np.arange(30) % 3
    images[:, 0, 0, 0] += labels * 3
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        first = session.run(loss, {x: images, y: labels})
        for _ in range(60):
            session.run(step, {x: images, y: labels, training: True})
        assert session.run(loss, {x: images, y: labels}) < first / 2
        moving = [v for v in tf.global_variables() if "moving_mean" in v.name]
        assert abs(session.run(moving[0])).max() > 0
    assert [v.op.name for v in tf.trainable_variables()][:2] == ["conv2d/kernel", "conv2d/bias"]


def test_batch_normalization_by_its_formula():
    x, training = tf.placeholder(tf.float32, [None, 2]), tf.placeholder(tf.bool, [])
    y = tf.layers.batch_normalization(x, momentum=0.9, training=training)
    data = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        got = session.run([y, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)], {x: data, training: True})[0]
        np.testing.assert_allclose(got, (data - [2, 4]) / np.sqrt(np.array([1, 4]) + 1e-3), rtol=1e-4)
        moving = session.run([v for v in tf.global_variables() if "moving" in v.name])
        np.testing.assert_allclose(moving[0], [0.2, 0.4], rtol=1e-5)
        np.testing.assert_allclose(moving[1], [1.0, 1.3], rtol=1e-5)
        calm = session.run(y, {x: data, training: False})
        np.testing.assert_allclose(calm, (data - moving[0]) / np.sqrt(moving[1] + 1e-3), rtol=1e-4)


def test_dense_needs_a_known_width():
    with pytest.raises(ShapeError, match=r"axis -1 .* must be known"):
        tf.layers.dense(tf.placeholder(tf.float32, [None, None]), 3)


# -- recurrent cells ---------------------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(x, kernel, bias):
    n, steps, _ = x.shape
    c = h = np.zeros((n, kernel.shape[1] // 4))
    out = []
    for t in range(steps):
        i, j, f, o = np.split(np.concatenate([x[:, t], h], 1) @ kernel + bias, 4, 1)
        c = c * sigmoid(f + 1) + sigmoid(i) * np.tanh(j)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.stack(out, 1), c


def gru_by_hand(x, gate_kernel, gate_bias, kernel, bias):
    h = np.zeros((len(x), kernel.shape[1]))
    for t in range(x.shape[1]):
        r, u = np.split(sigmoid(np.concatenate([x[:, t], h], 1) @ gate_kernel + gate_bias), 2, 1)
        h = u * h + (1 - u) * np.tanh(np.concatenate([x[:, t], r * h], 1) @ kernel + bias)
    return h


def test_lstm_and_gru_by_their_formulas():
    data = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
    x = tf.placeholder(tf.float32, [None, 5, 4])
    ys, state = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(6), x, dtype=tf.float32, scope="l")
    _, last = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(6), x, dtype=tf.float32, scope="g")
    assert ys.shape.as_list() == [None, 5, 6]
    weights = tf.trainable_variables()
    assert [v.op.name for v in weights[:2]] == ["l/basic_lstm_cell/kernel", "l/basic_lstm_cell/bias"]
    got, c, h, w = evaluate([ys, state.c, last, weights], {x: data})
    want, want_c = lstm_by_hand(data, *w[:2])
    np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(c, want_c, atol=1e-5)
    np.testing.assert_allclose(h, gru_by_hand(data, *w[2:]), atol=1e-5)


def test_sequences_end_at_their_length():
    x = tf.placeholder(tf.float32, [2, 4, 3])
    cell = tf.nn.rnn_cell.MultiRNNCell([tf.nn.rnn_cell.BasicRNNCell(5), tf.nn.rnn_cell.LSTMCell(5)])
    ys, (first, second) = tf.nn.dynamic_rnn(cell, x, sequence_length=[4, 2], dtype=tf.float32)
    g = tf.gradients(tf.reduce_sum(ys), tf.trainable_variables())
    got, h, grads = evaluate([ys, second.h, g], {x: np.random.default_rng(0).standard_normal((2, 4, 3))})
    assert not got[1, 2:].any() and got[1, 1].any()
    np.testing.assert_allclose(h[1], got[1, 1], rtol=1e-6)
    np.testing.assert_allclose(h[0], got[0, 3], rtol=1e-6)
    assert all(np.isfinite(a).all() and a.any() for a in grads)
    assert first.shape.as_list() == [2, 5]


def test_mistakes_with_recurrent_cells():
    cell = tf.nn.rnn_cell.GRUCell(2)
    with pytest.raises(ArgumentError, match="stands in the list twice"):
        tf.nn.rnn_cell.MultiRNNCell([cell] * 2)
    with pytest.raises(ArgumentError, match=r"initial_state, or its type as dtype=tf\.float32"):
        tf.nn.dynamic_rnn(cell, tf.zeros([1, 2, 3]))
    with pytest.raises(ShapeError, match="inputs have 3 axes"):
        tf.nn.dynamic_rnn(cell, tf.zeros([2, 3]), dtype=tf.float32)


# -- losses, metrics, schedules ------------------------------------------------------------------------------------------


def test_losses_weigh_and_join_their_collection():
    y, p = tf.constant([0.0, 1.0, 1.0]), tf.constant([0.5, 0.5, 3.0])
    plain = tf.losses.mean_squared_error(y, p)
    weighted = tf.losses.mean_squared_error(y, p, weights=[1.0, 0.0, 2.0])
    huber = tf.losses.huber_loss(y, p)
    total = tf.losses.get_total_loss()
    got = evaluate([plain, weighted, huber, total])
    np.testing.assert_allclose(got[:3], [4.5 / 3, 8.25 / 2, (0.125 + 0.125 + 1.5) / 3], rtol=1e-6)
    assert got[3] == pytest.approx(sum(got[:3]))
    with pytest.raises(ShapeError, match=r"labels of shape \(3,\) for predictions of shape \(2,\)"):
        tf.losses.mean_squared_error(y, tf.constant([1.0, 2.0]))


def test_cross_entropies_take_names_and_check_shapes():
    x = tf.constant([[1.0, 2.0, 3.0]])
    a = tf.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 0.0, 1.0]], logits=x)
    b = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[2], logits=x)
    np.testing.assert_allclose(evaluate(a), evaluate(b), rtol=1e-6)
    with pytest.raises(ArgumentError, match="name the arguments"):
        tf.nn.softmax_cross_entropy_with_logits(x, x)
    with pytest.raises(ShapeError, match="use sparse_softmax_cross_entropy_with_logits"):
        tf.nn.softmax_cross_entropy_with_logits(labels=tf.constant([2.0]), logits=x)


def test_metrics_add_up_over_runs():
    """Numbers by TensorFlow 2.21's compat.v1."""
    y, p = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.int64, [None])
    kinds = [tf.metrics.accuracy(y, p), tf.metrics.precision(y, p), tf.metrics.recall(y, p)]
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        first = session.run([u for _, u in kinds], {y: [1, 0, 1, 1], p: [1, 1, 0, 1]})
        np.testing.assert_allclose(first, [0.5, 2 / 3, 2 / 3], rtol=1e-6)
        session.run([u for _, u in kinds], {y: [1, 0], p: [1, 0]})
        np.testing.assert_allclose(session.run([v for v, _ in kinds]), [4 / 6, 3 / 4, 3 / 4], rtol=1e-6)


def test_learning_rates_fall_as_tensorflows():
    """Numbers by TensorFlow 2.21's compat.v1, at steps 7 and 25."""
    t = tf.placeholder(tf.int32, [])
    rates = [
        tf.train.exponential_decay(0.1, t, 10, 0.5),
        tf.train.exponential_decay(0.1, t, 10, 0.5, staircase=True),
        tf.train.polynomial_decay(0.1, t, 20, 0.01, 2.0),
        tf.train.polynomial_decay(0.1, t, 20, 0.01, 2.0, cycle=True),
        tf.train.cosine_decay(0.1, t, 30),
        tf.train.inverse_time_decay(0.1, t, 10, 0.5),
        tf.train.natural_exp_decay(0.1, t, 10, 0.5),
        tf.train.piecewise_constant(t, [10, 20], [1.0, 0.5, 0.1]),
    ]
    with tf.Session() as session:
        for step, want in (
            (7, [0.061557, 0.1, 0.048025, 0.048025, 0.087157, 0.074074, 0.070469, 1.0]),
            (25, [0.017678, 0.025, 0.01, 0.022656, 0.006699, 0.044444, 0.02865, 0.1]),
        ):
            np.testing.assert_allclose(session.run(rates, {t: step}), want, rtol=1e-4)


def test_a_decayed_rate_drives_an_optimizer():
    w, count = tf.Variable(1.0), tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.4, count, 1, 0.5)
    step = tf.train.GradientDescentOptimizer(rate).minimize(w, global_step=count)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(step)
        assert session.run(w) == pytest.approx(1 - 0.4 - 0.2 - 0.1)
        assert tf.train.global_step(session, count) == 3


def test_moving_averages_of_variables():
    w = tf.Variable(1.0)
    average = tf.train.ExponentialMovingAverage(0.9)
    move = average.apply([w])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(tf.assign(w, 2.0))
        session.run(move)
        assert session.run(average.average(w)) == pytest.approx(1.1)
