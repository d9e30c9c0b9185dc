"""Checks, printing, hooks, layers as objects, rarer metrics and options of programs in static graphs."""

import logging

import numpy as np
import pytest

from twinflow.core.errors import ArgumentError, CheckError, ShapeError
from twinflow.tf.compat import v1 as tf


@pytest.fixture(autouse=True)
def _graph():
    tf.reset_default_graph()
    yield
    tf.reset_default_graph()


def run(*fetches, feed=None):
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        return [session.run(f, feed) for f in fetches]


def test_checks_run_with_the_graph():
    x = tf.placeholder(tf.float32, [None])
    with tf.control_dependencies([tf.assert_positive(x, message="x must be positive")]):
        y = tf.identity(x) * 2
    finite = tf.check_numerics(1.0 / x, "a bad number")
    with tf.Session() as session:
        assert session.run(y, {x: [1.0]}).tolist() == [2.0]
        with pytest.raises(CheckError, match="x must be positive"):
            session.run(y, {x: [-1.0]})
        with pytest.raises(CheckError, match="a bad number"):
            session.run(finite, {x: [0.0]})
    with pytest.raises(ShapeError, match="1 axes, not 2"):
        tf.assert_rank(x, 2)


def test_printing(capsys):
    x = tf.placeholder(tf.float32, [2])
    seen = tf.Print(x * 2, [x], "x: ")
    op = tf.print("twice", x * 2)
    with tf.Session() as session:
        assert session.run(seen, {x: [1.0, 2.0]}).tolist() == [2.0, 4.0]
        assert capsys.readouterr().err == "x: [1 2]\n"
        session.run(op, {x: [1.0, 3.0]})
        assert capsys.readouterr().err == "twice [2 6]\n"


def test_modules_of_functions_make_operations():
    x = tf.constant([[2.0, 0.0], [1.0, 3.0]])
    fetches = (
        tf.linalg.det(x),
        tf.math.reduce_sum(x),
        tf.math.segment_sum(x, [0, 0]),
        tf.image.flip_left_right(x[..., None]),
    )
    det, total, rows, turned = run(*fetches)
    assert det == pytest.approx(6) and total == 6 and rows.tolist() == [[3.0, 3.0]]
    assert turned[..., 0].tolist() == [[0.0, 2.0], [3.0, 1.0]]
    again = tf.GraphDef()
    again.ParseFromString(tf.get_default_graph().as_graph_def().SerializeToString())
    assert len(again.node) > 5


def test_rows_of_variables():
    v = tf.Variable(np.arange(6.0).reshape(3, 2), dtype=tf.float32)
    add = tf.scatter_add(v, [0, 0], [[1.0, 1.0], [1.0, 1.0]])
    best = tf.scatter_max(v, [1], [[9.0, 0.0]])
    put = tf.scatter_update(v, [2], [[7.0, 7.0]])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert session.run(add).tolist() == [[2, 3], [2, 3], [4, 5]]
        assert session.run(best).tolist() == [[2, 3], [9, 3], [4, 5]]
        assert session.run(put).tolist() == [[2, 3], [9, 3], [7, 7]]


def test_layers_as_objects_share_their_variables():
    dense = tf.layers.Dense(3, name="d")
    a, b = dense(tf.ones([2, 4])), dense(tf.ones([5, 4]))
    assert [v.name for v in tf.trainable_variables()] == [
        "d/kernel:0",
        "d/bias:0",
    ] and dense.kernel.shape.as_list() == [4, 3]
    x, y = run([a, b])[0]
    np.testing.assert_allclose(x[0], y[0], rtol=1e-5)
    image = tf.placeholder(tf.float32, [None, 4, 4, 2])
    grown = tf.layers.conv2d_transpose(image, 3, 3, strides=2, padding="same")
    split = tf.layers.separable_conv2d(image, 5, 3, padding="same")
    pooled = tf.layers.max_pooling1d(tf.reshape(image, [-1, 16, 2]), 2, 2)
    assert grown.shape.as_list() == [None, 8, 8, 3]
    shapes = [f.shape for f in run([grown, split, pooled], feed={image: np.ones((2, 4, 4, 2))})[0]]
    assert shapes == [(2, 8, 8, 3), (2, 4, 4, 5), (2, 8, 2)]


def test_a_template_makes_its_variables_once():
    scale = tf.make_template("scale", lambda x: x * tf.get_variable("w", [], initializer=tf.ones_initializer()))
    a, b = scale(tf.constant(2.0)), scale(tf.constant(3.0))
    assert run([a, b])[0] == [2.0, 3.0] and len(tf.global_variables()) == 1


def test_metrics_of_tables_and_thresholds():
    labels, guesses = tf.placeholder(tf.int64, [None]), tf.placeholder(tf.float32, [None])
    area, more = tf.metrics.auc(labels, guesses)
    iou, table = tf.metrics.mean_iou(labels, tf.cast(guesses > 0.5, tf.int64), 2)
    part, seen = tf.metrics.recall_at_thresholds(labels, guesses, [0.3, 0.6])
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        for y, p in (([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), ([1, 0], [0.9, 0.2])):
            session.run([more, table, seen], {labels: y, guesses: p})
        assert session.run(area) == pytest.approx(8 / 9, abs=1e-3)
        assert session.run(iou) == pytest.approx((3 / 4 + 2 / 3) / 2)
        np.testing.assert_allclose(session.run(part), [1.0, 2 / 3], rtol=1e-5)


def test_a_monitored_session_saves_stops_and_restores(tmp_path, caplog):
    def build():
        tf.reset_default_graph()
        step = tf.train.get_or_create_global_step()
        w = tf.Variable(5.0, name="w")
        loss = tf.square(w)
        return w, loss, tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step=step)

    w, loss, train = build()
    hooks = [
        tf.train.StopAtStepHook(last_step=5),
        tf.train.LoggingTensorHook({"loss": loss}, every_n_iter=2),
        tf.train.NanTensorHook(loss),
    ]
    with caplog.at_level(logging.INFO, "twinflow"):
        with tf.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path), hooks=hooks, save_checkpoint_steps=2
        ) as session:
            runs = 0
            while not session.should_stop():
                session.run(train)
                runs += 1
    assert runs == 5 and sum(r.message.startswith("loss = ") for r in caplog.records) == 3
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert state.model_checkpoint_path.endswith("model.ckpt-5") and ("w", []) in tf.train.list_variables(str(tmp_path))
    w, loss, train = build()
    with tf.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path)) as session:
        assert session.run(w) == pytest.approx(5 * 0.8**5)
    with pytest.raises(ArgumentError, match="finalized"):
        tf.constant(1.0)


def test_the_end_of_data_ends_a_monitored_session():
    element = tf.data.make_one_shot_iterator(tf.data.Dataset.range(3)).get_next()
    seen = []
    with tf.train.SingularMonitoredSession() as session:
        while not session.should_stop():
            seen.append(int(session.run(element)))
    assert seen == [0, 1, 2]


def test_options_of_a_program():
    tf.flags.DEFINE_integer("test_steps", 10, "how many steps")
    tf.flags.DEFINE_boolean("test_fast", False, "whether to hurry")
    seen = []

    def main(argv):
        seen.append((tf.flags.FLAGS.test_steps, tf.flags.FLAGS.test_fast, argv))

    with pytest.raises(SystemExit):
        tf.app.run(main, ["prog", "--test_steps=3", "--test_fast", "rest"])
    assert seen == [(3, True, ["prog", "rest"])]
    with pytest.raises(ArgumentError, match="defined already"):
        tf.flags.DEFINE_integer("test_steps", 1, "")
    with pytest.raises(AttributeError, match="no option 'absent'"):
        _ = tf.flags.FLAGS.absent


def test_switches_between_the_faces_name_the_other():
    with pytest.raises(ArgumentError, match="from twinflow import tf"):
        tf.enable_eager_execution()
    tf.disable_v2_behavior()
    assert tf.ConfigProto(allow_soft_placement=True) is not None


def test_recurrent_wrappers():
    x = tf.placeholder(tf.float32, [2, 3, 4])
    cell = tf.nn.rnn_cell.ResidualWrapper(tf.nn.rnn_cell.GRUCell(4))
    y, _ = tf.nn.dynamic_rnn(cell, x, dtype=tf.float32)
    both, _, _ = tf.nn.static_bidirectional_rnn(
        tf.nn.rnn_cell.BasicRNNCell(3), tf.nn.rnn_cell.BasicRNNCell(3), tf.unstack(x, axis=1), dtype=tf.float32
    )
    a, b = run([y, both], feed={x: np.zeros((2, 3, 4))})[0]
    assert a.shape == (2, 3, 4) and len(b) == 3 and b[0].shape == (2, 6)


def test_losses_and_ranks_as_tensorflow_1_counts_them():
    a = tf.constant([[0.1, 0.9, 0.3], [0.8, 0.2, 0.4]])
    b = tf.constant([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    pairs, best = run(tf.losses.mean_pairwise_squared_error(b, a), tf.nn.in_top_k(a, [1, 2], 1))
    e = np.array([[0.1, -0.1, 0.3], [-0.2, 0.2, 0.4]])
    want = sum(((r[:, None] - r) ** 2).sum() / 6 for r in e)
    assert pairs == pytest.approx(want, rel=1e-5) and best.tolist() == [True, False]


def test_fetches_keep_nested_containers():
    x = tf.constant(2.0)
    assert run([tf.no_op(), {"a": x}, (x,)])[0] == [None, {"a": 2.0}, (2.0,)]
