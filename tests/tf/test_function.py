"""tf.function with signatures, control flow by TensorFlow's names, modules and checkpoints."""

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, CheckpointError, DTypeError, ShapeError, TraceError

# -- tf.function -------------------------------------------------------------------------------------------------------


def test_a_signature_converts_and_refuses():
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([], tf.int32)])
    def f(x, n):
        return tf.reduce_sum(x) * tf.cast(n, tf.float32)

    assert float(f([[1, 2]], 3)) == 9
    assert float(f(np.ones((5, 2)), 2)) == 20
    with pytest.raises(
        ShapeError, match=r"f: argument 0 has shape \(3,\), but the input_signature says TensorSpec\(shape=\(\?, 2\)"
    ):
        f(tf.ones([3]), 1)
    with pytest.raises(DTypeError, match=r"argument 1 is float32.*use tf\.cast"):
        f(tf.ones([1, 2]), tf.constant(1.0))
    with pytest.raises(ArgumentError, match="2 arguments, by position; 1 were given"):
        f(tf.ones([1, 2]))


def test_tracing_happens_once_for_each_signature():
    runs = []

    @tf.function
    def f(x, scale):
        runs.append(scale)
        return x * scale

    for n in (2, 3):
        assert float(f(tf.constant(1.0), n)) == n
        f(tf.constant(5.0), n)
    assert runs == [2, 3] and f.experimental_get_tracing_count() == 2
    f(tf.constant(1.0), tf.constant(2.0))
    f(tf.constant(1.0), tf.constant(7.0))  # a tensor's value is no part of the signature
    assert f.experimental_get_tracing_count() == 3


def test_methods_and_variables():
    class Counter(tf.Module):
        def __init__(self):
            super().__init__()
            self.n = tf.Variable(0.0)

        @tf.function
        def add(self, x):
            self.n.assign_add(x)
            return self.n * 1

    a, b = Counter(), Counter()
    a.add(tf.constant(2.0))
    assert float(a.add(tf.constant(3.0))) == 5 and float(b.add(tf.constant(1.0))) == 1


def test_concrete_functions():
    @tf.function
    def f(x, power):
        return x**power

    square = f.get_concrete_function(tf.TensorSpec([None], tf.float32), 2)
    np.testing.assert_allclose(square(tf.constant([3.0])).numpy(), [9])
    np.testing.assert_allclose(square(tf.constant([1.0, 2.0, 3.0])).numpy(), [1, 4, 9])
    assert square.inputs == [tf.TensorSpec([None], tf.float32)]
    with pytest.raises(ShapeError, match="argument 0 has shape"):
        square(tf.ones([2, 2]))
    fixed = f.get_concrete_function(tf.TensorSpec([2], tf.float32), 2)
    assert str(fixed.graph).startswith("graph f(%0: float32[2]") and "square(%0)" in str(fixed.graph)


def test_options_that_mean_something_else_are_errors():
    with pytest.raises(ArgumentError, match="python_function"):
        tf.function(lambda x: x, jit_compile=False)
    branch = tf.function(lambda x: x if x > 0 else -x, autograph=False)
    with pytest.raises(TraceError, match="cond"):
        branch(tf.constant(1.0))


def test_python_control_flow_is_part_of_the_graph():
    @tf.function
    def clipped(x, n):
        for i in tf.range(n):
            if tf.reduce_sum(x) > 10.0:
                break
            x = x * tf.cast(i + 2, tf.float32)
        return x

    assert clipped(tf.constant([1.0, 2.0]), tf.constant(5)).tolist() == [6.0, 12.0]
    assert clipped(tf.constant([1.0, 2.0]), tf.constant(1)).tolist() == [2.0, 4.0]
    assert clipped.experimental_get_tracing_count() == 1


def test_a_function_without_text_says_so():
    space = {"tf": tf}
    exec("def f(x):\n    return x if x > 0 else -x", space)
    with pytest.raises(TraceError, match=r"not rewritten, because its text cannot be found.*with `def` in a file"):
        tf.function(space["f"])(tf.constant(1.0))


def test_methods_of_modules_and_layers_are_rewritten():
    class Gate(tf.keras.layers.Layer):
        def call(self, x):
            if tf.reduce_sum(x) > 0:
                return x
            return tf.zeros_like(x)

    class Model(tf.Module):
        def __init__(self):
            super().__init__()
            self.gate = Gate()

        def scaled(self, x):
            return x * 2 if tf.reduce_max(x) < 5 else x

        @tf.function
        def __call__(self, x):
            return self.scaled(self.gate(x))

    model = Model()
    assert model(tf.constant([1.0, 2.0])).tolist() == [2.0, 4.0]
    assert model(tf.constant([-1.0, -2.0])).tolist() == [0.0, 0.0]
    assert model(tf.constant([1.0, 9.0])).tolist() == [1.0, 9.0]


def test_fit_takes_a_model_that_branches_on_tensors():
    class Net(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = tf.keras.layers.Dense(1, kernel_initializer="ones")

        def call(self, x):
            y = self.dense(x)
            return y if tf.reduce_sum(y) > 0 else -y

    net = Net()
    net.compile("sgd", "mse")
    assert net.fit(-np.ones((4, 2)), np.zeros((4, 1)), verbose=0).history["loss"] == [4.0]


def test_printing_and_checking_happen_when_the_graph_runs(capsys):
    @tf.function
    def f(x):
        tf.print("x =", x)
        tf.debugging.assert_positive(x, message="a negative number")
        return x + 1

    f(tf.constant([1.5, 2.0]))
    f(tf.constant([3.0, 4.0]))
    assert capsys.readouterr().err == "x = [1.5 2]\nx = [3 4]\n"
    with pytest.raises(ArgumentError, match="assert_positive: a negative number"):
        f(tf.constant([1.0, -1.0]))


# -- control flow --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("traced", [False, True])
def test_branches_and_loops(traced):
    def f(x):
        y = tf.cond(x > 0, lambda: x * 2, lambda: -x)
        z = tf.case([(x > 5, lambda: x * 0 + 5), (x > 1, lambda: x * 0 + 1)], lambda: x * 0)
        i, total = tf.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s + x), (0, 0.0))
        k = tf.switch_case(tf.cast(x, tf.int32), [lambda: x * 0 + 10, lambda: x * 0 + 20, lambda: x * 0 + 30])
        return y, z, i, total, k

    run = tf.function(f) if traced else f
    assert [float(v) for v in run(tf.constant(3.0))] == [6, 1, 4, 12, 30]
    assert [float(v) for v in run(tf.constant(-1.0))] == [1, 0, 4, -4, 30]


def test_a_loop_with_a_bound_has_gradients_in_a_traced_function():
    w = tf.Variable(2.0)

    @tf.function
    def f():
        with tf.GradientTape() as tape:
            _, y = tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * w), (0, 1.0), maximum_iterations=8)
        return y, tape.gradient(y, w)

    assert [float(v) for v in f()] == [8, 12]


# -- shapes and modules ----------------------------------------------------------------------------------------------------


def test_tensor_shapes():
    a = tf.TensorShape([None, 3])
    assert a.rank == 2 and a.as_list() == [None, 3] and not a.is_fully_defined() and a.num_elements() is None
    assert a.merge_with([2, None]) == [2, 3] and a.concatenate([4]).as_list() == [None, 3, 4]
    assert a.is_compatible_with([7, 3]) and not a.is_compatible_with([7, 4]) and a[1] == 3 and a[:1] == [None]
    assert tf.TensorShape(None).rank is None and str(tf.TensorShape([2])) == "(2,)"
    with pytest.raises(ShapeError, match="incompatible"):
        a.assert_is_compatible_with([1])
    with pytest.raises(ShapeError, match="number of axes is unknown"):
        tf.TensorShape(None).as_list()


def test_modules_find_their_variables():
    class Net(tf.Module):
        def __init__(self):
            super().__init__(name="net")
            self.layers = [tf.keras.layers.Dense(2), tf.keras.layers.Dense(1)]
            self.scale = tf.Variable(1.0, trainable=False)
            self.extra = {"a": tf.Variable(2.0)}

        def __call__(self, x):
            for layer in self.layers:
                x = layer(x)
            return x * self.scale + self.extra["a"]

    net = Net()
    net(tf.ones([1, 3]))
    assert len(net.variables) == 6 and len(net.trainable_variables) == 5 and len(net.non_trainable_variables) == 1
    assert len(net.submodules) == 2 and net.name == "net"
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(net(tf.ones([1, 3])))
    assert all(g is not None for g in tape.gradient(loss, net.trainable_variables))


# -- checkpoints -----------------------------------------------------------------------------------------------------------


def make():
    model = tf.keras.Sequential([tf.keras.layers.Dense(4, activation="relu"), tf.keras.layers.Dense(1)])
    model.build((None, 2))
    return model, tf.keras.optimizers.Adam(0.01)


def train(model, optimizer, steps):
    x = tf.constant(np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2))
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x) - 1.0))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
    return float(loss)


def test_training_goes_on_where_a_checkpoint_stopped(tmp_path):
    tf.random.set_seed(0)
    model, optimizer = make()
    step = tf.Variable(0, trainable=False)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer, step=step)
    manager = tf.train.CheckpointManager(checkpoint, str(tmp_path), max_to_keep=2)
    for _ in range(3):
        train(model, optimizer, 2)
        step.assign_add(2)
        path = manager.save()
    assert len(manager.checkpoints) == 2 and manager.latest_checkpoint == path == tf.train.latest_checkpoint(
        str(tmp_path)
    )
    want = train(model, optimizer, 3)

    model2, optimizer2 = make()
    step2 = tf.Variable(0, trainable=False)
    again = tf.train.Checkpoint(model=model2, optimizer=optimizer2, step=step2)
    other = tf.train.CheckpointManager(again, str(tmp_path), max_to_keep=2)
    assert other.restore_or_initialize() == path
    assert int(step2.numpy()) == 6 and optimizer2.iterations == 6
    assert train(model2, optimizer2, 3) == want


def test_what_does_not_match_is_named(tmp_path):
    path = tf.train.Checkpoint(v=tf.Variable([1.0, 2.0]), old=tf.Variable(1.0)).write(str(tmp_path / "c"))
    v = tf.Variable([0.0, 0.0])
    status = tf.train.Checkpoint(v=v, new=tf.Variable(1.0)).restore(path)
    assert v.numpy().tolist() == [1, 2] and status.expect_partial() is status
    with pytest.raises(CheckpointError, match="nothing took up what was saved of old"):
        status.assert_consumed()
    with pytest.raises(CheckpointError, match="the file has nothing for new"):
        status.assert_existing_objects_matched()
    with pytest.raises(CheckpointError, match=r"v was saved as \(2,\), but has the shape \(3,\)"):
        tf.train.Checkpoint(v=tf.Variable([0.0] * 3)).restore(path)
    with pytest.raises(CheckpointError, match="v has no variables yet"):
        tf.train.Checkpoint(v=tf.keras.Sequential([tf.keras.layers.Dense(1)])).restore(
            tf.train.Checkpoint(v=make()[0]).write(str(tmp_path / "m"))
        )
    with pytest.raises(CheckpointError, match="x holds object; variables, models"):
        tf.train.Checkpoint(x=object()).write(str(tmp_path / "x"))
