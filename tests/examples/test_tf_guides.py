"""Programs as TensorFlow's guides teach them: functions with AutoGraph, tapes, modules, checkpoints, data sets, training loops."""

import numpy as np
import pytest

from twinflow import tf

# -- Better performance with tf.function, Introduction to graphs ---------------------------------------------------------


def test_graphs_from_python_with_side_effects_and_branches(capsys):
    @tf.function
    def simple_relu(x):
        if tf.greater(x, 0):
            return x
        else:
            return 0

    assert int(simple_relu(tf.constant(1))) == 1 and int(simple_relu(tf.constant(-1))) == 0

    @tf.function
    def f(x):
        while tf.reduce_sum(x) > 1:
            tf.print(x)
            x = tf.tanh(x)
        return x

    result = f(tf.constant([0.9, 0.8]))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "[0.899999976 0.800000012]" and float(tf.reduce_sum(result)) <= 1 < 1.7


def test_fizzbuzz(capsys):
    @tf.function
    def fizzbuzz(n):
        for i in tf.range(1, n + 1):
            if i % 15 == 0:
                tf.print("FizzBuzz")
            elif i % 3 == 0:
                tf.print("Fizz")
            elif i % 5 == 0:
                tf.print("Buzz")
            else:
                tf.print(i)

    fizzbuzz(tf.constant(5))
    fizzbuzz(tf.constant(15))
    lines = capsys.readouterr().err.splitlines()
    assert lines[:5] == ["1", "2", "Fizz", "4", "Buzz"] and lines[-1] == "FizzBuzz" and len(lines) == 20
    assert fizzbuzz.experimental_get_tracing_count() == 1


def test_accumulating_values_in_a_loop():
    batch_size, seq_len, feature_size = 2, 3, 4

    def rnn_step(inp, state):
        return inp + state

    @tf.function
    def dynamic_rnn(rnn_step, input_data, initial_state):
        input_data = tf.transpose(input_data, [1, 0, 2])
        max_seq_len = tf.shape(input_data)[0]
        states = tf.TensorArray(tf.float32, size=max_seq_len)
        state = initial_state
        for i in tf.range(max_seq_len):
            state = rnn_step(input_data[i], state)
            states = states.write(i, state)
        return tf.transpose(states.stack(), [1, 0, 2])

    data = np.random.RandomState(0).rand(batch_size, seq_len, feature_size).astype(np.float32)
    found = dynamic_rnn(rnn_step, tf.constant(data), tf.zeros([batch_size, feature_size]))
    np.testing.assert_allclose(found.numpy(), np.cumsum(data, 1), rtol=1e-6)


def test_a_function_that_makes_its_variable_once():
    class Count(tf.Module):
        def __init__(self):
            self.count = None

        @tf.function
        def __call__(self):
            if self.count is None:
                with tf.init_scope():
                    self.count = tf.Variable(0)
            return self.count.assign_add(1)

    c = Count()
    assert [int(c()) for _ in range(3)] == [1, 2, 3]


# -- Introduction to gradients and automatic differentiation ---------------------------------------------------------------


def test_control_flow_is_differentiated():
    x = tf.constant(1.0)
    v0, v1 = tf.Variable(2.0), tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        result = v0 if x > 0.0 else v1**2
    dv0, dv1 = tape.gradient(result, [v0, v1])
    assert float(dv0) == 1 and dv1 is None


def test_gradients_of_a_layer_and_of_intermediate_values():
    x = tf.constant([1.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        z = y * y
    assert tape.gradient(z, y).tolist() == [2.0, 18.0]
    layer = tf.keras.layers.Dense(2, activation="relu")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(layer(tf.constant([[1.0, 2.0, 3.0]])) ** 2)
    shapes = [g.shape.as_list() for g in tape.gradient(loss, layer.trainable_variables)]
    assert shapes == [[3, 2], [2]] and [v.name for v in tape.watched_variables()] == []


# -- Introduction to modules, Checkpoints -----------------------------------------------------------------------------------


def test_a_module_that_builds_itself_is_saved_and_restored(tmp_path):
    class FlexibleDense(tf.Module):
        def __init__(self, out_features, name=None):
            super().__init__(name=name)
            self.is_built = False
            self.out_features = out_features

        def __call__(self, x):
            if not self.is_built:
                self.w = tf.Variable(tf.random.normal([x.shape[-1], self.out_features]), name="w")
                self.b = tf.Variable(tf.zeros([self.out_features]), name="b")
                self.is_built = True
            return tf.nn.relu(tf.matmul(x, self.w) + self.b)

    class MySequentialModule(tf.Module):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.dense_1 = FlexibleDense(out_features=3)
            self.dense_2 = FlexibleDense(out_features=2)

        def __call__(self, x):
            return self.dense_2(self.dense_1(x))

    model = MySequentialModule(name="the_model")
    before = model(tf.constant([[2.0, 2.0, 2.0]]))
    path = tf.train.Checkpoint(model=model).save(str(tmp_path / "my_checkpoint"))
    assert [n for n, _ in tf.train.list_variables(path)] == [
        "model/dense_1.b", "model/dense_1.w", "model/dense_2.b", "model/dense_2.w",
    ]  # fmt: skip
    other = MySequentialModule()
    other(tf.constant([[2.0, 2.0, 2.0]]))
    tf.train.Checkpoint(model=other).restore(path).assert_consumed()
    assert other(tf.constant([[2.0, 2.0, 2.0]])).tolist() == before.tolist() and len(model.submodules) == 2


def test_training_goes_on_from_the_latest_checkpoint(tmp_path):
    def toy_dataset():
        inputs = tf.range(10.0)[:, None]
        labels = inputs * 5.0 + tf.range(5.0)[None, :]
        return tf.data.Dataset.from_tensor_slices(dict(x=inputs, y=labels)).repeat().batch(2)

    def train_step(net, example, optimizer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.abs(net(example["x"]) - example["y"]))
        variables = net.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    def train(steps):
        optimizer, net = tf.keras.optimizers.Adam(0.1), tf.keras.layers.Dense(5)
        net.build((None, 1))
        optimizer.build(net.trainable_variables)
        iterator = iter(toy_dataset())
        ckpt = tf.train.Checkpoint(step=tf.Variable(1), optimizer=optimizer, net=net, iterator=iterator)
        manager = tf.train.CheckpointManager(ckpt, str(tmp_path / "ckpts"), max_to_keep=3)
        ckpt.restore(manager.latest_checkpoint) if manager.latest_checkpoint else None
        for _ in range(steps):
            loss = train_step(net, next(iterator), optimizer)
            ckpt.step.assign_add(1)
        manager.save()
        return int(ckpt.step), float(loss)

    (first, a), (second, b) = train(30), train(30)
    assert (first, second) == (31, 61) and b < a


# -- Basic training loops, tf.data ------------------------------------------------------------------------------------------


def test_a_basic_training_loop():
    x = tf.linspace(-2.0, 2.0, 201)
    y = x * 3.0 + 2.0

    class MyModel(tf.Module):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.w = tf.Variable(5.0)
            self.b = tf.Variable(0.0)

        def __call__(self, x):
            return self.w * x + self.b

    def train(model, x, y, learning_rate):
        with tf.GradientTape() as t:
            current_loss = tf.reduce_mean(tf.square(y - model(x)))
        dw, db = t.gradient(current_loss, [model.w, model.b])
        model.w.assign_sub(learning_rate * dw)
        model.b.assign_sub(learning_rate * db)

    model = MyModel()
    for _ in range(30):
        train(model, x, y, learning_rate=0.1)
    assert float(model.w) == pytest.approx(3, abs=0.1) and float(model.b) == pytest.approx(2, abs=0.1)


def test_pipelines_of_the_data_guide():
    dataset = tf.data.Dataset.from_tensor_slices([8, 3, 0, 8, 2, 1])
    assert int(dataset.reduce(0, lambda state, value: state + value)) == 22

    def count(stop):
        i = 0
        while i < stop:
            yield i
            i += 1

    counts = tf.data.Dataset.from_generator(count, args=[25], output_types=tf.int32, output_shapes=())
    assert [b.tolist() for b in counts.repeat().batch(10).take(3)][-1] == [20, 21, 22, 23, 24, 0, 1, 2, 3, 4]
    ragged = tf.data.Dataset.range(100).map(lambda x: tf.fill([tf.cast(x, tf.int32)], x))
    first = next(iter(ragged.padded_batch(4, padded_shapes=(None,))))
    assert first.tolist() == [[0, 0, 0], [1, 0, 0], [2, 2, 0], [3, 3, 3]]
    windows = tf.data.Dataset.range(20).batch(10, drop_remainder=True).map(lambda b: (b[:-1], b[1:]))
    features, labels = next(iter(windows))
    assert features.tolist() == list(range(9)) and labels.tolist() == list(range(1, 10))
