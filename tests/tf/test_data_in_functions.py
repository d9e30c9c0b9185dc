"""Loops over data sets, optimizer steps in loops on tensors and growing arrays, all inside `tf.function`."""

import numpy as np
import pytest

import twinflow
from twinflow import tf
from twinflow.core.errors import ArgumentError, CheckError, DataError, TraceError

FLOATS = tf.data.Dataset.range(7).map(lambda n: tf.cast(n, tf.float32))


@tf.function
def total(ds):
    s = tf.constant(0.0)
    for x in ds:
        s += tf.reduce_sum(x)
    return s


def test_a_smaller_last_batch_is_a_run_of_its_own():
    assert float(total(FLOATS.batch(2))) == 21
    assert float(total(FLOATS.batch(3, drop_remainder=True))) == 15
    assert float(total(FLOATS.take(0))) == 0


def test_another_data_set_with_the_same_shapes_is_not_traced_again():
    @tf.function
    def f(ds):
        s = tf.constant(0.0)
        for x in ds:
            s += tf.reduce_sum(x)
        return s

    assert [float(f(FLOATS.batch(7).map(lambda x, k=k: x * k))) for k in range(3)] == [0, 21, 42]
    assert f.experimental_get_tracing_count() == 1


def test_a_data_set_that_the_function_holds_is_gone_along_anew_by_each_call():
    ds = tf.data.Dataset.range(100).shuffle(100, seed=0).batch(10)

    @tf.function
    def firsts():
        found = tf.TensorArray(tf.int64, size=10)
        for i, x in enumerate(ds):
            found = found.write(i, x[0])
        return found.stack()

    assert firsts().tolist() != firsts().tolist()
    assert firsts.experimental_get_tracing_count() == 1


def test_breaks_elements_with_structure_and_epochs():
    ds = tf.data.Dataset.from_tensor_slices({"x": np.arange(8.0, dtype="f4"), "n": np.arange(8)}).batch(2)

    @tf.function
    def f(ds):
        s, seen = tf.constant(0.0), tf.constant(0, tf.int64)
        for _ in range(2):
            for batch in ds:
                if s > 20:
                    break
                s += tf.reduce_sum(batch["x"])
                seen = batch["n"][0]
        return s, seen

    s, seen = f(ds)
    assert (float(s), int(seen)) == (28.0, 6)


def test_next_takes_an_element_per_call_and_ends_as_outside():
    @tf.function
    def pair(it):
        return next(it) * 10 + it.get_next()

    it = iter(tf.data.Dataset.range(5))
    assert [int(pair(it)), int(pair(it))] == [1, 23]
    with pytest.raises(tf.errors.OutOfRangeError, match="the data set has ended"):
        pair(it)


def test_what_an_iterator_has_left_is_gone_along():
    it = iter(FLOATS)
    assert float(next(it)) + float(next(it)) == 1
    assert float(total(it)) == 20
    assert float(total(it)) == 0


@pytest.mark.parametrize(
    ("ds", "message"),
    [
        (tf.data.Dataset.range(3).repeat(), "has no end; cut it with ds.take"),
        (tf.data.Dataset.from_tensor_slices(["a", "b"]), "has strings or objects; map them to numbers"),
        (
            tf.data.Dataset.from_generator(lambda: (np.ones(1 + n % 2, "f4") for n in range(40)), tf.float32),
            r"change their shape 39 times \(\(1,\), \(2,\), \(1,\), \.\.\.\).*pad them to one shape",
        ),
    ],
)
def test_data_sets_that_do_not_fit_a_graph(ds, message):
    with pytest.raises(DataError, match=message):
        total(ds)


def test_places_where_a_data_set_cannot_be_gone_along():
    @tf.function
    def nested(ds, n):
        s = tf.constant(0.0)
        for _ in tf.range(n):
            for x in ds:
                s += x
        return s

    with pytest.raises(TraceError, match=r"inside a loop or branch on tensors(.|\n)*for epoch in range\(3\)"):
        nested(FLOATS, tf.constant(2))

    @tf.function
    def derived(ds):
        s = tf.constant(0.0)
        for x in ds.take(2):
            s += x
        return s

    with pytest.raises(ArgumentError, match=r"a data set that it makes itself; make it outside \(ds\.take\(5\)"):
        derived(FLOATS)

    with pytest.raises(TraceError, match="an iterator of a data set cannot be made while a function is traced"):
        tf.function(lambda ds: next(iter(ds)))(FLOATS)
    with pytest.raises(TraceError, match=r"frozen into the graph: loop in a tf\.function, or outside"):
        twinflow.compile(lambda it: next(it))(iter(FLOATS))


# -- optimizers --------------------------------------------------------------------------------------------------------


def step(w, optimizer):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(w * w)
    optimizer.apply_gradients([(tape.gradient(loss, w), w)])
    return loss


SCHEDULE = tf.keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
OPTIMIZERS = {
    "momentum": lambda: tf.keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: tf.keras.optimizers.Adam(0.1),
    "schedule": lambda: tf.keras.optimizers.Adam(SCHEDULE),
    "averages": lambda: tf.keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2),
    "accumulated": lambda: tf.keras.optimizers.SGD(SCHEDULE, gradient_accumulation_steps=2),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("steps", [5, tf.constant(5)], ids=["known", "tensor"])
def test_steps_in_a_loop_on_tensors_are_those_outside(make, steps):
    w, optimizer = tf.Variable([1.0, 2.0]), make()
    expected = [float(step(w, optimizer)) for _ in range(10)][-1]

    again, other = tf.Variable([1.0, 2.0]), make()

    @tf.function
    def train(n):
        for _ in tf.range(n):
            loss = step(again, other)
        return loss, other.learning_rate

    train(steps)
    loss, rate = train(steps)
    assert np.isclose(float(loss), expected, rtol=1e-5) and np.allclose(again.numpy(), w.numpy(), rtol=1e-5)
    assert (
        int(other.iterations)
        == int(optimizer.iterations)
        == (5 if "accumulated" in repr(make) else int(other.iterations))
    )
    assert np.isclose(float(rate), float(optimizer.learning_rate))


def test_an_epoch_in_one_call():
    x = np.linspace(-1, 1, 30, dtype="f4")[:, None]
    ds = tf.data.Dataset.from_tensor_slices((x, 2 * x + 1)).batch(4)
    model, optimizer = (
        tf.keras.Sequential([tf.keras.Input((1,)), tf.keras.layers.Dense(1)]),
        tf.keras.optimizers.Adam(0.1),
    )

    @tf.function
    def epoch(ds):
        for a, b in ds:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.square(model(a, training=True) - b))
            optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
        return loss

    losses = [float(epoch(ds)) for _ in range(30)]
    assert losses[-1] < 1e-3 < losses[0] and int(optimizer.iterations) == 30 * 8
    assert epoch.experimental_get_tracing_count() == 1


def test_a_loop_without_steps_leaves_no_value():
    w, optimizer = tf.Variable([1.0]), tf.keras.optimizers.SGD(0.1)

    @tf.function
    def train(n):
        for _ in tf.range(n):
            loss = step(w, optimizer)
        return loss

    with pytest.raises(CheckError, match="had no step, so 'loss' has no value"):
        train(tf.constant(0))


# -- growing arrays ----------------------------------------------------------------------------------------------------


def test_an_array_that_grows_unrolls_a_loop_of_known_length():
    @tf.function
    def f(x):
        ta = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
        ta = ta.write(0, x)
        for i in tf.range(3):
            ta = ta.write(i + 1, tf.reduce_sum(ta.stack()))
        return ta.stack()

    assert f(tf.constant(4.0)).tolist() == [4, 4, 8, 16]

    @tf.function
    def g(n):
        ta = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
        for i in tf.range(n):
            ta = ta.write(i, 1.0)
        return ta.stack()

    with pytest.raises(ArgumentError, match="cannot become longer; make it with size=n"):
        g(tf.constant(3))
