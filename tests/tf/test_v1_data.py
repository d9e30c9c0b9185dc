"""Data sets whose elements are tensors of a static graph."""

import numpy as np
import pytest

from twinflow.core.errors import ArgumentError
from twinflow.tf.compat import v1 as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()


def batches(repeat=1):
    data = np.arange(10, dtype=np.float32).reshape(5, 2)
    return tf.data.Dataset.from_tensor_slices((data, np.arange(5))).repeat(repeat).batch(2)


def test_every_run_takes_the_next_element_until_the_end():
    x, y = tf.data.make_one_shot_iterator(batches()).get_next()
    assert x.shape.as_list() == [None, 2] and y.dtype is tf.int64
    total, count = tf.reduce_sum(x), tf.shape(x)[0]
    with tf.Session() as session:
        seen = [session.run([total, count, y]) for _ in range(3)]
        assert [s[0] for s in seen] == [6, 22, 17] and [s[1] for s in seen] == [2, 2, 1]
        with pytest.raises(tf.errors.OutOfRangeError, match="the data set has ended"):
            session.run(total)
    with tf.Session() as session:
        assert session.run(total) == 6


def test_an_initializable_iterator_begins_again():
    iterator = tf.data.make_initializable_iterator(batches())
    x, _ = iterator.get_next()
    with tf.Session() as session:
        with pytest.raises(ArgumentError, match=r"run iterator\.initializer first"):
            session.run(x)
        for _ in range(2):
            session.run(iterator.initializer)
            np.testing.assert_allclose(session.run(x), [[0, 1], [2, 3]])


def test_a_model_trains_from_a_data_set():
    x, y = tf.data.make_one_shot_iterator(batches(None)).get_next()
    w = tf.Variable(tf.zeros([2, 1]))
    loss = tf.reduce_mean(tf.square(tf.matmul(x, w)[:, 0] - tf.to_float(y)))
    step = tf.train.AdamOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        losses = [session.run([loss, step])[0] for _ in range(100)]
        assert losses[-1] < 0.2 < losses[0]
        assert np.isfinite(session.run(loss, {x: np.ones((4, 2)), y: np.ones(4)}))  # elements may be fed instead


def test_only_data_sets_have_iterators():
    with pytest.raises(ArgumentError, match=r"along a tf\.data\.Dataset, not list"):
        tf.data.make_one_shot_iterator([1, 2])


def test_a_loaded_graph_is_fed_in_the_place_of_its_data_set(tmp_path):
    x, _ = tf.data.make_one_shot_iterator(batches()).get_next()
    w = tf.Variable(3.0)
    tf.multiply(w, tf.reduce_sum(x), name="y")
    with tf.Session() as session:
        session.run(w.initializer)
        path = tf.train.Saver().save(session, str(tmp_path / "m"))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.train.import_meta_graph(path + ".meta").restore(session, path)
        with pytest.raises(ArgumentError, match="not saved with it; feed the tensors of IteratorGetNext"):
            session.run("y:0")
        assert session.run("y:0", {"IteratorGetNext:0": np.ones((4, 2))}) == 24
