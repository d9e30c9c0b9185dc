"""TensorFlow 1's face: graphs, sessions, order of side effects, and errors that name the mistake."""

import numpy as np
import pytest

from twinflow import tf as tf2
from twinflow.core.errors import ArgumentError, GradientError, IndexOutOfRange, ShapeError, TraceError
from twinflow.tf.compat import v1 as tf


@pytest.fixture(autouse=True)
def fresh_graph():
    tf.reset_default_graph()
    tf.set_random_seed(0)


def run(fetches, feed_dict=None):
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        return session.run(fetches, feed_dict)


# -- running -----------------------------------------------------------------------------------------------------


def test_fetches_keep_their_structure():
    x = tf.placeholder(tf.float32, [None, 2], name="x")
    y = tf.reduce_sum(x, axis=1, name="total")
    got = run({"a": [y, (x, "total:0")], "b": y.op}, {x: [[1, 2], [3, 4]]})
    np.testing.assert_allclose(got["a"][0], [3, 7])
    np.testing.assert_allclose(got["a"][1][0], [[1, 2], [3, 4]])
    np.testing.assert_allclose(got["a"][1][1], [3, 7])
    assert got["b"] is None
    assert isinstance(run(tf.reduce_sum(y), {x: np.ones((2, 2))}), np.float32)


def test_any_tensor_may_be_fed():
    x = tf.placeholder(tf.float32, [])
    y = x * 2.0
    z = y + 1.0
    assert run(z, {y: 10.0}) == 11
    assert run(tf.placeholder_with_default(3.0, [])) == 3


def test_shapes_are_known_as_far_as_they_can_be():
    x = tf.placeholder(tf.float32, [None, 28, 28, 1])
    flat = tf.reshape(x, [-1, 784])
    assert flat.get_shape().as_list() == [None, 784] and flat.shape[1].value == 784
    assert tf.matmul(flat, tf.zeros([784, 10])).shape.as_list() == [None, 10]
    assert tf.reduce_mean(x).shape.as_list() == []
    assert tf.placeholder(tf.float32).shape.dims is None
    row = tf.placeholder(tf.float32, [None, 1]) - np.ones((100, 1))  # fits only a hundred rows
    assert row.shape.as_list() == [None, 1]
    assert tf.concat([x, x], 0).shape.as_list() == [None, 28, 28, 1]


def test_sizes_may_change_from_run_to_run():
    x = tf.placeholder(tf.float32, [None, 3])
    n = tf.shape(x)[0]
    y = tf.reduce_mean(x * tf.ones([n, 3]) + tf.cast(n, tf.float32))
    with tf.Session() as session:
        for rows in (2, 5, 5, 1, 7):
            assert session.run(y, {x: np.ones((rows, 3))}) == pytest.approx(1 + rows)


def test_a_fed_number_may_decide_a_shape():
    n = tf.placeholder(tf.int32, [])
    y = tf.reduce_sum(tf.ones([n, 2]))
    with tf.Session() as session:
        assert [session.run(y, {n: k}) for k in (1, 3)] == [2, 6]


def test_an_assignment_runs_only_if_it_is_fetched_or_depended_upon():
    v = tf.Variable(1.0)
    up = tf.assign_add(v, 1.0)
    with tf.control_dependencies([up]):
        after = tf.identity(v)
    plain = v * 10.0
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run(plain) == 10
        assert session.run(after) == 2
        assert session.run([up, v]) == [3, 3]
        assert session.run(v) == 3 and v.eval() == 3
        up.op.run()
        assert session.run(v) == 4


def test_sessions_have_values_of_their_own():
    v = tf.Variable(tf.zeros([2]))
    with tf.Session() as a, tf.Session() as b:
        a.run(v.initializer)
        b.run(v.initializer)
        a.run(tf.assign(v, [5.0, 6.0]))
        np.testing.assert_allclose(b.run(v), [0, 0])
        np.testing.assert_allclose(a.run(v), [5, 6])
    with tf.Session() as c, pytest.raises(ArgumentError, match="has no value yet"):
        c.run(v)


def test_random_numbers_are_drawn_at_every_run_and_initial_values_once():
    r, v = tf.random_normal([3]), tf.Variable(tf.random_normal([3]))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        assert not np.allclose(session.run(r), session.run(r))
        np.testing.assert_array_equal(session.run(v), session.run(v))


def test_interactive_session_is_the_default_one():
    session = tf.InteractiveSession()
    assert (tf.constant(2.0) + 3.0).eval() == 5
    session.close()
    assert tf.get_default_session() is None


def test_names_and_scopes():
    with tf.name_scope("layer"):
        a = tf.constant(1.0, name="c")
        b = tf.constant(1.0, name="c")
    with tf.name_scope("layer"):
        c = tf.constant(1.0, name="c")
    assert [x.name for x in (a, b, c)] == ["layer/c:0", "layer/c_1:0", "layer_1/c:0"]
    assert tf.get_default_graph().get_tensor_by_name("layer/c_1:0") is b


# -- derivatives and training --------------------------------------------------------------------------------------


def test_gradients_of_variables_placeholders_and_intermediate_values():
    x, w = tf.placeholder(tf.float32, []), tf.Variable(2.0)
    h = w * x
    y = h * h
    gx, gw, gh = tf.gradients(y, [x, w, h])
    assert run([gx, gw, gh], {x: 3.0}) == [24, 36, 12]
    (second,) = tf.gradients(gx, [x])
    assert run(second, {x: 3.0}) == 8
    assert tf.gradients(tf.stop_gradient(y), [w]) == [None]
    assert run(tf.gradients(y, [w], grad_ys=tf.constant(10.0))[0], {x: 1.0}) == 40


# w = (1, -2) after five steps under the loss w0² + w1² / 4, by TensorFlow 2.21's compat.v1
GOLDEN = {
    "GradientDescent": [0.32767996191978455, -1.5475618839263916],
    "Momentum": [-0.5804200172424316, -0.8343120217323303],
    "Nesterov": [-0.4157175123691559, -0.6318846940994263],
    "Adam": [0.5079652070999146, -1.5029574632644653],
    "RMSProp": [0.3990948796272278, -1.5403902530670166],
    "RMSPropMomentum": [0.061274826526641846, -1.251232624053955],
    "Adagrad": [0.6997695565223694, -1.6949379444122314],
    "Adadelta": [0.9977225661277771, -1.9977219104766846],
    "Ftrl": [0.5611674785614014, -1.1269946098327637],
}
OPTIMIZERS = {
    "GradientDescent": lambda: tf.train.GradientDescentOptimizer(0.1),
    "Momentum": lambda: tf.train.MomentumOptimizer(0.1, 0.9),
    "Nesterov": lambda: tf.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    "Adam": lambda: tf.train.AdamOptimizer(0.1),
    "RMSProp": lambda: tf.train.RMSPropOptimizer(0.1),
    "RMSPropMomentum": lambda: tf.train.RMSPropOptimizer(0.1, momentum=0.5, centered=True),
    "Adagrad": lambda: tf.train.AdagradOptimizer(0.1),
    "Adadelta": lambda: tf.train.AdadeltaOptimizer(1.0),
    "Ftrl": lambda: tf.train.FtrlOptimizer(0.1, l1_regularization_strength=0.01),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_optimizers_take_tensorflows_steps(name):
    w = tf.Variable(np.array([1.0, -2.0], np.float32))
    step = OPTIMIZERS[name]().minimize(tf.reduce_sum(w * w * np.array([1.0, 0.25], np.float32)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(5):
            session.run(step)
        np.testing.assert_allclose(session.run(w), GOLDEN[name], rtol=1e-5)


def test_one_step_is_computed_before_the_variable_changes():
    w = tf.Variable(1.0)
    loss = w * w
    step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        _, value, after = session.run([step, loss, w])
    assert value == 1 and after == pytest.approx(0.8)


def test_global_step_counts():
    w, count = tf.Variable(1.0), tf.Variable(0, trainable=False)
    step = tf.train.GradientDescentOptimizer(0.1).minimize(w * w, global_step=count)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            session.run(step)
        assert session.run(count) == 3


# -- control flow --------------------------------------------------------------------------------------------------


def test_cond_runs_one_branch_and_has_gradients():
    x, v = tf.placeholder(tf.float32, []), tf.Variable(2.0)
    y = tf.cond(x > 0, lambda: v * x, lambda: tf.square(v))
    (g,) = tf.gradients(y, [v])
    with tf.Session() as session:
        session.run(v.initializer)
        assert session.run([y, g], {x: 3.0}) == [6, 3]
        assert session.run([y, g], {x: -3.0}) == [4, 4]


def test_an_assignment_in_a_branch_happens_only_there():
    x, v = tf.placeholder(tf.float32, []), tf.Variable(0.0)
    y = tf.cond(x > 0, lambda: tf.assign_add(v, x), lambda: tf.identity(v))
    with tf.Session() as session:
        session.run(v.initializer)
        assert [session.run(y, {x: k}) for k in (1.0, -1.0, 2.0)] == [1, 1, 3]


def test_while_loop_runs_until_the_condition_fails():
    i, total = tf.while_loop(
        lambda i, s: i < 5, lambda i, s: [i + 1, s + tf.cast(i, tf.float32)], [tf.constant(0), tf.constant(0.0)]
    )
    assert run([i, total]) == [5, 10]
    x = tf.Variable(2.0)
    _, y = tf.while_loop(lambda i, y: i < 3, lambda i, y: [i + 1, y * x], [tf.constant(0), x], maximum_iterations=10)
    assert run([y, tf.gradients(y, [x])[0]]) == [16, 32]


def test_scan_and_map():
    xs = tf.constant([1.0, 2.0, 3.0])
    np.testing.assert_allclose(run(tf.map_fn(lambda x: x * x, xs)), [1, 4, 9])
    assert run(tf.foldl(lambda a, x: a + x, xs)) == 6
    np.testing.assert_allclose(run(tf.scan(lambda a, x: a * x, xs, initializer=tf.constant(1.0))), [1, 2, 6])


# -- mistakes --------------------------------------------------------------------------------------------------------


def test_an_array_as_a_feed_key_is_named():
    x = np.linspace(-1, 1, 10)
    y = tf.reduce_sum(tf.constant(x))
    with pytest.raises(
        ArgumentError, match=r"(?s)a key of feed_dict is an array.*tf\.placeholder.*feed_dict=\{x: array\}"
    ):
        with tf.Session() as session:
            session.run(y, feed_dict={x: np.array(x)})
    with tf.Session() as session, pytest.raises(ArgumentError, match="a key of feed_dict is an array, not a tensor"):
        session.run(y, feed_dict={tf2.constant([1.0]): 1.0})


def test_a_fetched_optimizer_is_named():
    w = tf.Variable(1.0)
    optimizer = tf.train.GradientDescentOptimizer(0.1)
    with tf.Session() as session, pytest.raises(ArgumentError, match=r"an optimizer is no operation.*minimize\(loss\)"):
        session.run([optimizer, w])


def test_a_closed_session_is_named():
    w = tf.Variable(1.0)
    with tf.Session() as session:
        session.run(w.initializer)
    with pytest.raises(ArgumentError, match="the session is closed"):
        session.run(w)


def test_matmul_of_rank_one_is_refused_when_the_graph_is_built():
    x, w = tf.placeholder(tf.float32, [None, 1]), tf.Variable(tf.random_normal([1]))
    with pytest.raises(ShapeError, match=r"b needs at least 2 axes.*\(1,\).*tf\.zeros\(\[1, 1\]\)"):
        tf.matmul(x, w)


def test_an_unfed_placeholder_is_named_with_its_line():
    x = tf.placeholder(tf.float32, [None, 1], name="inputs")
    with (
        tf.Session() as session,
        pytest.raises(ArgumentError, match=r"(?s)'inputs:0'.*not fed.*made at test_v1\.py:\d+"),
    ):
        session.run(x + 1.0)


def test_values_that_do_not_fit_a_placeholder():
    x = tf.placeholder(tf.float32, [None, 1], name="x")
    with tf.Session() as session:
        with pytest.raises(
            ShapeError, match=r"\(3,\) cannot be fed for 'x:0', whose shape is \(\?, 1\).*value\[:, None\]"
        ):
            session.run(x, {x: np.ones(3)})
        with pytest.raises(ArgumentError, match="does not become a float32 array"):
            session.run(x, {x: "text"})
        with pytest.raises(ArgumentError, match="a tensor of the graph; feed an array"):
            session.run(x, {x: x})


def test_tensors_of_another_graph_are_refused():
    with tf.Graph().as_default():
        a = tf.constant(1.0)
    with pytest.raises(ArgumentError, match="belongs to another graph"):
        a + tf.constant(2.0)
    with tf.Session() as session, pytest.raises(ArgumentError, match="belongs to another graph than the session's"):
        session.run(a)


def test_what_does_not_exist_cannot_be_fetched():
    tf.constant(1.0, name="loss")
    with tf.Session() as session:
        with pytest.raises(ArgumentError, match=r"no operation 'los'.*did you mean 'loss'"):
            session.run("los:0")
        with pytest.raises(ArgumentError, match="int 3 cannot be fetched"):
            session.run(3)
        with pytest.raises(ArgumentError, match="a fetch is None"):
            session.run([None])


def test_variables_without_a_value_are_named():
    v = tf.Variable(1.0, name="weight")
    with (
        tf.Session() as session,
        pytest.raises(
            ArgumentError, match=r"(?s)'weight' has no value yet.*global_variables_initializer.*made at test_v1"
        ),
    ):
        session.run(v * 2.0)


def test_a_static_tensor_has_no_value():
    x = tf.placeholder(tf.float32, [], name="x")
    with pytest.raises(TraceError, match=r"(?s)truth value.*session\.run.*tf\.cond.*made at"):
        bool(x > 0)
    with pytest.raises(TraceError, match=r"function outside tf\.compat\.v1, which computes at once"):
        tf2.nn.relu(x)
    for use in (lambda: x.numpy(), lambda: float(x), lambda: np.asarray(x), lambda: list(x)):
        with pytest.raises(TraceError, match="has no value before it is run"):
            use()


def test_a_loss_that_no_variable_reaches():
    tf.Variable(1.0, name="w")
    x = tf.placeholder(tf.float32, [])
    with pytest.raises(GradientError, match="depends on none of the variables w"):
        tf.train.GradientDescentOptimizer(0.1).minimize(x * x)


def test_an_eager_variable_is_refused():
    with pytest.raises(ArgumentError, match="cannot be part of a static graph"):
        tf.constant(1.0) * tf2.Variable(1.0)


def test_options_without_a_meaning_are_errors():
    with pytest.raises(ArgumentError, match="intra_op_parallelism_threads=4 has no meaning here"):
        tf.ConfigProto(intra_op_parallelism_threads=4)
    with pytest.raises(ArgumentError, match="no remote sessions"):
        tf.Session("grpc://host")


def test_a_rate_or_flag_of_unknown_shape_leaves_the_shape_of_what_it_acts_on():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [None, 8, 8, 1])
        keep, training = tf.placeholder(tf.float32), tf.placeholder(tf.bool)
        y = tf.layers.batch_normalization(x, training=training)
        y = tf.layers.max_pooling2d(tf.nn.dropout(y, keep_prob=keep), 2, 2)
        logits = tf.layers.dense(tf.layers.dropout(tf.layers.flatten(y), training=training), 10)
        assert logits.shape.as_list() == [None, 10]
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            feed = {x: np.ones((3, 8, 8, 1), np.float32), keep: 1.0, training: False}
            assert session.run(logits, feed).shape == (3, 10)


def test_an_operand_of_unknown_rank_meets_one_of_known_extents():
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32)
        product = tf.matmul(x, tf.ones([128, 10]))
        flat = tf.reshape(x, [tf.shape(x)[0], -1])
        with tf.Session() as session:
            found = session.run([product, flat], {x: np.ones((2, 128), np.float32)})
        assert [f.shape for f in found] == [(2, 10), (2, 128)]


def test_an_operation_that_failed_leaves_nothing_behind():
    x = tf.zeros([2])
    with pytest.raises(ShapeError):
        tf.matmul(x, x, name="product")
    graph = tf.get_default_graph()
    assert [op.name for op in graph.operations] == ["zeros"]
    assert tf.matmul(tf.zeros([1, 2]), tf.zeros([2, 1]), name="product").name == "product:0"


def test_state_of_an_optimizer_needs_its_initializer_too():
    v = tf.Variable(1.0, name="v")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        step = tf.train.AdamOptimizer().minimize(v * v)
        with pytest.raises(ArgumentError, match=r"'(v/Adam/exp_avg|Adam/steps)' has no value yet"):
            session.run(step)
        with pytest.raises(ArgumentError, match="'w' has no value yet"):
            session.run(tf.assign_add(tf.Variable(1.0, name="w"), 1.0))
        session.run(tf.global_variables_initializer())
        session.run(step)


def test_an_index_beyond_the_extents_that_were_tried_is_known_at_run_time():
    x = tf.placeholder(tf.float32, [None, 2])
    y = x[5]
    assert y.shape.as_list() == [2]
    with tf.Session() as session:
        np.testing.assert_allclose(session.run(y, {x: np.arange(14).reshape(7, 2)}), [10, 11])
        with pytest.raises(IndexOutOfRange, match="5 is outside axis 0 of extent 3"):
            session.run(y, {x: np.zeros((3, 2))})
