"""What programs written for Keras rely on: names, printed tables, symbolic inputs and outputs, callbacks, own steps."""

import numpy as np
import pytest

from twinflow import keras, tf
from twinflow.core.errors import ArgumentError, DataError, ShapeError
from twinflow.keras import layers, ops


@pytest.fixture(autouse=True)
def _fresh_names():
    keras.utils.clear_session()


def data(n=24, features=4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, features)).astype(np.float32), rng.normal(size=(n, 1)).astype(np.float32)


def table(model, **options):
    texts = []
    model.summary(print_fn=texts.append, **options)
    return texts[0]


def compiled(*parts):
    model = keras.Sequential([keras.Input((4,)), *(parts or (layers.Dense(1),))])
    model.compile("adam", "mse", metrics=["mae"])
    return model


# The table of Keras 3.15.0 for the same model, at a width of 80.
SHARED = """\
Model: "functional"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape      ┃    Param # ┃ Connected to      ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩
│ a (InputLayer)      │ (None, 4)         │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ b (InputLayer)      │ (None, 4)         │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ dense (Dense)       │ (None, 3)         │         15 │ a[0][0], b[0][0]  │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ subtract (Subtract) │ (None, 3)         │          0 │ dense[0][0],      │
│                     │                   │            │ dense[1][0]       │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ dense_1 (Dense)     │ (None, 1)         │          4 │ subtract[0][0]    │
└─────────────────────┴───────────────────┴────────────┴───────────────────┘
 Total params: 19 (76.00 B)
 Trainable params: 19 (76.00 B)
 Non-trainable params: 0 (0.00 B)
"""


def test_the_table_of_a_model_with_shared_layers_is_that_of_keras(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    a, b, shared = keras.Input((4,), name="a"), keras.Input((4,), name="b"), layers.Dense(3)
    model = keras.Model([a, b], layers.Dense(1)(shared(a) - shared(b)))
    assert table(model) == SHARED
    assert [x.name for x in model.layers] == ["a", "b", "dense", "dense_1"]  # an operator is no layer


def test_the_table_expands_models_inside_and_says_what_is_trained():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="deep")], name="inner")
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(1, name="last")(inner(x)), name="outer")
    inner.trainable = False
    text = table(model, expand_nested=True, show_trainable=True)
    assert "   └ deep (Dense)" in text.replace("\n", "")
    assert [line.split("│")[-2].strip() for line in text.splitlines() if "Dense)" in line] == ["N", "Y"]
    assert "last" not in table(model, layer_range=("inner", "inner"))
    with pytest.raises(ArgumentError, match=r"layer_range .* there are .*inner, last"):
        table(model, layer_range=("nowhere", "last"))
    with pytest.raises(ArgumentError, match="too few for the table"):
        table(model, line_length=8)


def test_the_table_of_a_model_without_weights_says_so_and_that_of_a_fitted_one_counts_the_optimizer():
    assert "0 (unbuilt)" in table(keras.Sequential([layers.Dense(1)]))
    model = compiled()
    model.fit(*data(), verbose=0)
    assert "Optimizer params: 12 (52.00 B)" in table(model)  # as Keras 3.15 counts: moments, iterations, rate


def test_layers_and_models_know_their_symbolic_inputs_and_outputs():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="first"), layers.Dense(2)])
    features = keras.Model(model.inputs, model.get_layer("first").output)
    x, _ = data()
    np.testing.assert_array_equal(features(x).numpy(), model.layers[0](x).numpy())
    assert model.output.shape == (None, 2) and model.input.shape == (None, 4)
    assert model.layers[1].input is model.layers[0].output
    with pytest.raises(AttributeError, match=r"Dense 'alone' has no output before it is called on a symbolic tensor"):
        _ = layers.Dense(2, name="alone").output


def test_sequential_models_grow_and_shrink_with_their_layers_kept():
    model = keras.Sequential([keras.Input((4,), name="start"), layers.Dense(3)])
    first = model.layers[0].kernel
    model.add(layers.Dense(2))
    removed = model.pop()
    model.add(layers.Dense(5))
    assert removed.units == 2 and model.output_shape == (None, 5) and model.input.name == "start"
    assert model.layers[0].kernel is first and len(model.weights) == 4


def test_weights_and_layers_stand_in_the_order_of_keras():
    left, right = keras.Input((4,), name="left"), keras.Input((6,), name="right")
    short = layers.Dense(2, name="short")(left)
    deep = layers.Dense(2, name="deeper")(layers.Dense(3, name="deep")(right))
    model = keras.Model([left, right], layers.Concatenate(name="both")([short, deep]))
    assert [x.name for x in model.layers] == ["right", "left", "deep", "short", "deeper", "both"]  # Keras 3.15


def test_values_of_models_are_arrays_without_detach():
    model = compiled()
    x, _ = data()
    assert model(x).numpy().shape == (24, 1)
    v = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = v * v
    assert float(y.numpy()) == 9.0 and float(tape.gradient(y, v)) == 6.0
    assert np.mean(np.asarray(model(x))) == pytest.approx(float(model(x).numpy().mean()))


def test_logs_are_sorted_by_name_and_lists_begin_with_the_loss():
    model = compiled()
    history = model.fit(*data(), verbose=0, validation_split=0.25)
    assert list(history.history) == ["loss", "mae", "val_loss", "val_mae"]
    model.compile("adam", "mse", metrics=["acc", "mae"])
    logs = model.evaluate(*data(), verbose=0, return_dict=True)
    assert list(logs) == ["acc", "loss", "mae"]
    assert model.evaluate(*data(), verbose=0) == [logs["loss"], logs["acc"], logs["mae"]]


def test_callbacks_see_evaluation_and_prediction_by_batch():
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append("test")

        def on_test_batch_end(self, batch, logs=None):
            seen.append((batch, sorted(logs)))

        def on_test_end(self, logs=None):
            seen.append(sorted(logs))

        def on_predict_batch_end(self, batch, logs=None):
            seen.append((batch, logs["outputs"].shape[0]))

    model, (x, y) = compiled(), data(20)
    plain = model.evaluate(x, y, batch_size=16, verbose=0)
    assert model.evaluate(x, y, batch_size=16, verbose=0, callbacks=[Watch()]) == pytest.approx(plain, rel=1e-6)
    model.predict(x, batch_size=16, verbose=0, callbacks=Watch())
    names = ["loss", "mae"]
    assert seen == ["test", (0, names), (1, names), names, (0, 16), (1, 4)]
    with pytest.raises(ArgumentError, match=r"evaluate: a callback is an object of keras\.callbacks\.Callback"):
        model.evaluate(x, y, verbose=0, callbacks=["early"])


def test_add_loss_is_among_the_losses_until_the_next_call():
    class Penalty(layers.Layer):
        def call(self, inputs):
            self.add_loss(0.5 * ops.mean(inputs))
            return inputs

    model = keras.Sequential([keras.Input((4,)), Penalty(), layers.Dense(1, kernel_regularizer="l2")])
    assert len(model.losses) == 1  # the regularizer's alone
    model(np.ones((2, 4), np.float32))
    model(np.full((2, 4), 3, np.float32))
    assert float(model.losses[0]) == 1.5 and len(model.losses) == 2
    with tf.GradientTape() as tape:
        loss = sum(model.losses) + 0 * tf.reduce_mean(model(np.ones((2, 4), np.float32)))
    assert tape.gradient(loss, model.trainable_variables)[0] is not None


def test_a_model_of_models_trains_by_its_own_step_without_call():
    net = keras.Sequential([keras.Input((4,)), layers.Dense(1)])

    class Trained(keras.Model):
        def __init__(self, net):
            super().__init__()
            self.net, self.tracker = net, keras.metrics.Mean(name="size")

        @property
        def metrics(self):
            return [self.tracker]

        def train_step(self, data):  # x alone: not a tuple
            with tf.GradientTape() as tape:
                loss = ops.mean(ops.square(self.net(data)))
            variables = self.net.trainable_variables
            self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
            self.tracker.update_state(loss)
            return {"size": self.tracker.result()}

    model = Trained(net)
    model.compile(keras.optimizers.SGD(0.05))
    sizes = model.fit(data()[0], epochs=3, verbose=0).history["size"]
    assert sizes[0] > sizes[1] > sizes[2] > 0


def test_metrics_of_compile_in_a_step_of_ones_own_live_for_several_epochs():
    class Own(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            self.optimizer.apply(tape.gradient(loss, self.trainable_variables), self.trainable_variables)
            for m in self.metrics:
                m.update_state(loss) if m.name == "loss" else m.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    start = keras.Input((4,))
    model, plain = Own(start, layers.Dense(1)(start)), compiled()
    plain.set_weights(model.get_weights())
    model.compile("adam", "mse", metrics=["mae"])
    options = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    own, usual = model.fit(*data(), **options).history, plain.fit(*data(), **options).history
    assert list(own) == ["loss", "mae"]
    np.testing.assert_allclose(own["loss"], usual["loss"], rtol=1e-5)


def test_masks_reach_layers_while_the_model_is_built():
    class NeedsMask(layers.Layer):
        def call(self, inputs, mask=None):
            assert mask is not None
            return ops.sum(inputs * ops.expand_dims(ops.cast(mask, "float32"), -1), axis=1)

        def compute_mask(self, inputs, mask=None):
            return None

    x = keras.Input((None,), dtype="int32")
    model = keras.Model(x, NeedsMask()(layers.Dense(2, use_bias=False)(layers.Embedding(5, 3, mask_zero=True)(x))))
    one, padded = model(np.array([[3]])), model(np.array([[3, 0]]))
    np.testing.assert_array_equal(one.numpy(), padded.numpy())


def test_data_sets_by_number_make_batches_ahead_with_workers():
    x, y = data(32)

    class Set(keras.utils.PyDataset):
        ended = 0

        def __len__(self):
            return 4

        def __getitem__(self, k):
            return x[8 * k : 8 * k + 8], y[8 * k : 8 * k + 8]

        def on_epoch_end(self):
            self.ended += 1

    first, second = compiled(), compiled()
    second.set_weights(first.get_weights())
    threads = Set(workers=3, max_queue_size=2)
    a = first.fit(threads, epochs=2, shuffle=False, verbose=0).history["loss"]
    b = second.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0).history["loss"]
    assert threads.ended == 2
    np.testing.assert_allclose(a, b, rtol=1e-6)
    with pytest.raises(ArgumentError, match="Set: batches are made by threads"):
        Set(use_multiprocessing=True)


def test_models_are_cloned_with_layers_exchanged():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="relu", name="d"), layers.Dense(2)])

    def exchange(layer):
        config = layer.get_config()
        return type(layer).from_config({**config, "activation": "tanh"} if layer.name == "d" else config)

    other = keras.models.clone_model(model, clone_function=exchange)
    assert [x.activation.__name__ for x in other.layers] == ["tanh", "linear"]
    assert other.layers[0].kernel is not model.layers[0].kernel
    x = keras.Input((4,), name="x")
    graph = keras.Model(x, layers.Dense(2, name="twice")(x) * 2)
    assert [c.name for c in keras.models.clone_model(graph).layers] == ["x", "twice"]
    assert keras.models.model_from_json(graph.to_json()).output_shape == (None, 2)
    with pytest.raises(ArgumentError, match="clone_function gave 3"):
        keras.models.clone_model(model, clone_function=lambda layer: 3)


def test_variables_are_made_by_initializers_and_rates_are_assigned():
    v = keras.Variable(initializer="ones", shape=(3,))
    assert v.value.shape == (3,) and float(v.value.sum()) == 3
    with pytest.raises(ArgumentError, match=r"Variable: give a value, or shape"):
        keras.Variable()
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.learning_rate.assign(0.25)
    assert optimizer.learning_rate == 0.25 and optimizer.learning_rate.numpy() == np.float32(0.25)


def test_activations_are_exchanged_by_assignment():
    layer = layers.Dense(2, activation="softmax")
    layer.activation = None
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(layer(x).numpy(), x @ layer.kernel.numpy(), rtol=1e-6)


def test_lambda_says_when_its_stated_shape_is_wrong():
    assert layers.Lambda(lambda t: t * 2, output_shape=(3,))(np.ones((2, 3), np.float32)).shape == (2, 3)
    with pytest.raises(ShapeError, match=r"Lambda 'wrong': output_shape=\(4,\), but the function gives \(2, 3\)"):
        layers.Lambda(lambda t: t, output_shape=(4,), name="wrong")(np.ones((2, 3), np.float32))


def test_normalization_keeps_a_count_and_takes_one_axis():
    layer = layers.Normalization(axis=None)
    layer.adapt(np.array([1.0, 3.0]))
    assert layer(np.array([1.0, 2.0, 3.0])).numpy().tolist() == [-1.0, 0.0, 1.0]
    by_feature = layers.Normalization()
    by_feature.adapt(np.ones((4, 3)))
    assert by_feature.mean.shape == (1, 3) and [w.name for w in by_feature.weights] == ["mean", "variance", "count"]


def test_pictures():
    x = np.arange(32, dtype=np.float32).reshape(1, 4, 4, 2)
    patches = ops.image.extract_patches(x, 2)
    assert patches.shape == (1, 2, 2, 8) and patches.numpy()[0, 0, 1].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]
    assert ops.image.extract_patches(x, 3, strides=2, padding="same").shape == (1, 2, 2, 18)
    assert ops.image.resize(x, (8, 2)).shape == (1, 8, 2, 2)
    np.testing.assert_array_equal(ops.image.crop_images(x, 1, 0, target_height=2, right_cropping=1), x[:, 1:3, :3])
    assert ops.image.pad_images(x[0], 1, 2, 1, 0).shape == (6, 6, 2)
    colours = np.random.default_rng(0).random((3, 3, 3)).astype(np.float32)
    np.testing.assert_allclose(ops.image.hsv_to_rgb(ops.image.rgb_to_hsv(colours)), colours, atol=1e-6)
    assert ops.image.rgb_to_grayscale(colours).shape == (3, 3, 1)
    symbolic = ops.image.extract_patches(keras.Input((8, 8, 3)), 4)
    assert symbolic.shape == (None, 2, 2, 48)
    with pytest.raises(ShapeError, match=r"add the channels with images\[\.\.\., None\]"):
        ops.image.resize(np.ones((4, 4)), (2, 2))
    with pytest.raises(ArgumentError, match="give two of the three"):
        ops.image.pad_images(x, 1, 2)
    with pytest.raises(ShapeError, match="do not go with an axis of 4"):
        ops.image.crop_images(x, 3, 0, 3, 0)


def test_functions_stand_in_their_modules_too():
    assert ops.nn.relu is ops.relu and ops.linalg.det is ops.det and ops.numpy.sum is ops.sum
    assert keras.version() == keras.__version__


def test_early_stopping_says_what_it_restores(capsys):
    model = compiled()
    stop = keras.callbacks.EarlyStopping(
        monitor="loss", patience=1, min_delta=10.0, restore_best_weights=True, verbose=1
    )
    model.fit(*data(), epochs=5, verbose=0, callbacks=[stop])
    expected = "Epoch 2: early stopping\nRestoring model weights from the end of the best epoch: 1.\n"
    assert capsys.readouterr().out == expected


def test_one_line_for_each_epoch_looks_like_keras(capsys):
    compiled().fit(*data(), verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/1" and lines[1].startswith("1/1 - 0s - ") and "/step - loss: " in lines[1]


def test_freezing_a_model_freezes_its_layers_and_one_of_them_is_thawed_alone():
    base = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)], name="base")
    model = keras.Sequential([keras.Input((4,)), base, layers.Dense(1)])
    base.layers[0].trainable = False
    base.trainable = True
    assert len(model.trainable_variables) == 6  # as in Keras, the later word counts for all layers inside
    base.trainable = False
    assert not base.layers[1].trainable and len(model.trainable_variables) == 2
    base.layers[1].trainable = True
    assert len(model.trainable_variables) == 4 and not base.trainable_variables


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1 * 0.5 ** ops.cast(step, "float32")


class InPython(keras.optimizers.schedules.LearningRateSchedule):
    calls = 0

    def __call__(self, step):
        type(self).calls += 1
        return 0.1 if step < 2 else 0.05


@pytest.mark.parametrize(
    "schedule",
    [
        keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5, staircase=True),
        keras.optimizers.schedules.CosineDecay(0.01, 5, warmup_target=0.1, warmup_steps=2),
        keras.optimizers.schedules.PiecewiseConstantDecay([1, 3], [0.1, 0.05, 0.01]),
        keras.optimizers.schedules.PolynomialDecay(0.1, 2, cycle=True),
        keras.optimizers.schedules.InverseTimeDecay(0.1, 2, 0.5),
        keras.optimizers.schedules.CosineDecayRestarts(0.1, 2),
        Halving(),
    ],
    ids=lambda s: type(s).__name__,
)
def test_schedules_run_inside_native_steps(schedule):
    keras.utils.set_random_seed(0)
    x, y = data()
    model, by_hand = compiled(), compiled()
    by_hand.set_weights(model.get_weights())
    model.compile(keras.optimizers.Adam(schedule, weight_decay=0.1), "mse")
    by_hand.compile(keras.optimizers.Adam(0.1, weight_decay=0.1), "mse")
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(self.model.optimizer.learning_rate)

    model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[Watch()])
    for k in range(6):
        by_hand.optimizer.learning_rate = float(schedule(k))
        by_hand.train_on_batch(x[8 * (k % 3) : 8 * (k % 3) + 8], y[8 * (k % 3) : 8 * (k % 3) + 8])
    assert model.optimizer.iterations == 6 and seen == [float(schedule(3)), float(schedule(6))]
    for a, b in zip(model.get_weights(), by_hand.get_weights()):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_a_schedule_that_looks_at_the_step_in_python_is_called_for_each_step():
    model, by_hand = compiled(), compiled()
    by_hand.set_weights(model.get_weights())
    model.compile(keras.optimizers.SGD(InPython()), "mse")
    model.fit(*data(), batch_size=8, shuffle=False, verbose=0)
    by_hand.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = data()
    for k in range(3):
        by_hand.optimizer.learning_rate = 0.1 if k < 2 else 0.05
        by_hand.train_on_batch(x[8 * k : 8 * k + 8], y[8 * k : 8 * k + 8])
    np.testing.assert_allclose(model.get_weights()[0], by_hand.get_weights()[0], rtol=1e-5)


def test_a_loss_function_gets_targets_with_the_axes_of_the_predictions():
    seen = []

    def loss(y_true, y_pred):
        seen.append((tuple(y_true.shape), tuple(y_pred.shape)))
        return ops.mean(ops.square(y_true - y_pred), axis=-1)

    model, (x, y) = compiled(), data(8)
    model.compile("sgd", loss)
    assert model.evaluate(x, y[:, 0], verbose=0) == pytest.approx(
        float(np.square(y - model.predict(x, verbose=0)).mean())
    )
    assert seen and all(a == b for a, b in seen)


def test_accumulated_gradients_count_updates_not_batches():
    # weights after 4 batches by Keras 3.15.0: Adam(0.1, gradient_accumulation_steps=2), batches of 2
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.set_weights([np.array([[0.5], [-0.3]]), np.zeros(1)])
    model.compile(keras.optimizers.Adam(0.1, gradient_accumulation_steps=2), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 2)).astype("f"), rng.normal(size=(8, 1)).astype("f")
    model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.get_weights()[0].ravel(), [0.32524088, -0.145682], rtol=1e-4)


def test_registered_names_have_packages():
    @keras.saving.register_keras_serializable(package="Mine", name="twice")
    class Twice(layers.Layer):
        def call(self, x):
            return x * 2

    assert keras.saving.get_registered_name(Twice) == "Mine>twice"
    assert keras.saving.get_registered_object("Mine>twice") is Twice is keras.saving.get_registered_object("twice")


def test_a_subclassed_models_table_has_shapes_of_what_it_saw():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(3, name="first"), layers.Dense(2, name="last")

        def call(self, x):
            return self.last(self.first(x))

    model = Net()
    assert "0 (unbuilt)" in table(model)
    model(np.ones((5, 4), np.float32))
    assert "│ (5, 3) " in table(model) and "│ (5, 2) " in table(model)


@pytest.mark.parametrize("kind", [layers.SimpleRNN, layers.LSTM, layers.GRU])
def test_unrolled_layers_give_what_loops_give(kind):
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    for options in ({}, {"return_sequences": True, "go_backwards": True}):
        loop, steps = kind(5, **options), kind(5, unroll=True, **options)
        expected = loop(x)
        steps(x)
        steps.set_weights(loop.get_weights())
        np.testing.assert_allclose(steps(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    assert steps.get_config()["unroll"] is True


def test_tensorboard_gets_weights_pictures_the_graph_and_the_rate(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = compiled(layers.Dense(3, name="hidden"), layers.Dense(1, name="out"))
    board = keras.callbacks.TensorBoard(tmp_path, histogram_freq=2, write_images=True)
    model.fit(*data(), epochs=3, verbose=0, validation_split=0.5, callbacks=[board])
    events = EventAccumulator(str(tmp_path / "train"), {"histograms": 0, "images": 0})
    events.Reload()
    assert [e.step for e in events.Histograms("hidden/kernel/histogram")] == [0, 2]
    assert len(events.Images("out/bias/image/0")) == 2
    assert [e.value for e in events.Scalars("epoch_learning_rate")] == pytest.approx([0.001] * 3)
    nodes = {n.name: (n.op, list(n.input)) for n in events.Graph().node}
    assert nodes["out"] == ("Dense", ["hidden"])
    other = EventAccumulator(str(tmp_path / "validation"))
    other.Reload()
    assert [e.step for e in other.Scalars("evaluation_loss_vs_iterations")] == [1, 2, 3]


@pytest.mark.parametrize("name", ["profile_batch", "embeddings_freq", "write_steps_per_second"])
def test_what_the_tensorboard_callback_does_not_write_is_refused(name):
    with pytest.raises(ArgumentError, match=rf"TensorBoard: {name}=1 is not written; leave it out"):
        keras.callbacks.TensorBoard(**{name: 1})


def own_step_returning(value):
    class Own(keras.Model):
        def train_step(self, data):
            return value

    start = keras.Input((4,))
    model = Own(start, layers.Dense(1)(start))
    model.compile("adam", "mse")
    model.fit(*data(), verbose=0)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: layers.Add(name="sum")([keras.Input((3,)), keras.Input((4,))]), ShapeError, r"input of Add 'sum': \[float32\[2, 3\], float32\[2, 4\]\]"),
        (lambda: layers.Concatenate(name="both")([np.ones((2, 3, 4), "f"), np.ones((2, 4, 4), "f")]), ShapeError, "input of Concatenate 'both'"),
        (lambda: compiled(layers.Lambda(lambda t: t @ np.ones((3, 3), "f"), name="odd")), ShapeError, "input of Lambda 'odd'"),
        (lambda: compiled().fit([[1, 2], [3]], [1, 2], verbose=0), DataError, r"different lengths; .* keras\.utils\.pad_sequences"),
        (lambda: compiled().fit(np.array([["a"] * 4] * 3), np.ones(3), verbose=0), DataError, r"text or objects .*StringLookup"),
        (lambda: compiled().compile("adam", 3), ArgumentError, "3 is no loss; give a name"),
        (lambda: own_step_returning(None), ArgumentError, "Own.train_step returned NoneType, but the logs need a dict"),
    ],
)  # fmt: skip
def test_wrong_use_names_the_layer_and_the_way_out(wrong, error, message):
    with pytest.raises(error, match=message):
        wrong()


def test_weights_of_classes_count_in_training_alone_and_with_data_sets():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(24, 4)).astype(np.float32), rng.integers(0, 2, 24)
    weights = {0: 0.5, 1: 2.0}

    def train(*given, **options):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid", kernel_initializer="ones")])
        model.compile("sgd", "binary_crossentropy")
        return model.fit(*given, epochs=2, verbose=0, shuffle=False, **options).history

    split = train(x, y, batch_size=6, class_weight=weights, validation_split=0.25)
    apart = train(x[:18], y[:18], batch_size=6, class_weight=weights, validation_data=(x[18:], y[18:]))
    batches = train(tf.data.Dataset.from_tensor_slices((x[:18], y[:18])).batch(6), class_weight=weights)
    by_hand = train(x[:18], y[:18], batch_size=6, sample_weight=np.where(y[:18] == 1, 2.0, 0.5))
    assert split["val_loss"] == pytest.approx(apart["val_loss"], rel=1e-5)
    for found in (split, apart, batches):
        assert found["loss"] == pytest.approx(by_hand["loss"], rel=1e-5)


def test_metrics_of_decisions_are_numbered():
    names = [keras.metrics.AUC().name, keras.metrics.AUC().name, keras.metrics.Mean().name, keras.metrics.Mean().name]
    assert names == ["auc", "auc_1", "mean", "mean"]  # as in Keras 3.15


def test_a_subclassed_model_is_built_for_a_shape():
    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.last = layers.Dense(3), layers.Dense(2)

        def call(self, inputs):
            a, b = inputs
            return self.last(self.first(a) + b)

    model = Two()
    model.build([(None, 4), (None, 3)])
    assert [tuple(w.shape) for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)] and model.built
    assert model([np.ones((5, 4), np.float32), np.ones((5, 3), np.float32)]).shape == (5, 2)


def test_a_layer_on_a_tensor_of_a_static_graph_names_the_way_out():
    from twinflow.tf.compat import v1

    with v1.Graph().as_default():
        x = v1.placeholder(v1.float32, [None, 4])
        with pytest.raises(
            ArgumentError, match=r"(?s)use the layers of tf\.compat\.v1\.layers.*input of Dense 'graphless'"
        ):
            layers.Dense(3, name="graphless")(x)


class Numbered(keras.utils.PyDataset):
    """Five batches of two examples, whose inputs are their number."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        return np.full((2, 1), i + 1, "f4"), np.zeros((2, 1), "f4")


def constant_model():
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def test_steps_cut_data_into_epochs_and_evaluations_begin_anew():
    """The losses are means of squares of batches; values of Keras 3.15, but for what it leaves out at the end of the data."""
    rows = np.arange(20, dtype="f4")[:, None]
    arrays = {"x": rows, "y": rows * 0, "batch_size": 4}
    model, quiet = constant_model(), {"verbose": 0, "shuffle": False}
    found = model.fit(**arrays, epochs=3, steps_per_epoch=2, **quiet).history["loss"]
    assert np.allclose(found, [17.5, 137.5, (307.5 + 3.5) / 2])
    options = {"validation_data": Numbered(), "validation_steps": 3}
    history = model.fit(Numbered(), epochs=3, steps_per_epoch=2, **options, **quiet).history
    assert np.allclose(history["loss"], [2.5, 12.5, 13.0]) and np.allclose(history["val_loss"], 14 / 3)
    repeated = tf.data.Dataset.from_tensor_slices((rows, rows * 0)).batch(4).repeat()
    history = model.fit(
        repeated, epochs=2, steps_per_epoch=2, validation_data=repeated, validation_steps=1, **quiet
    ).history
    assert np.allclose(history["loss"], [17.5, 137.5]) and np.allclose(history["val_loss"], 3.5)
    options = {"validation_data": (rows, rows * 0), "validation_steps": 2, "validation_batch_size": 4}
    assert np.allclose(model.fit(rows, rows, **options, **quiet).history["val_loss"], 17.5)
    assert np.isclose(model.evaluate(**arrays, steps=2, verbose=0), 17.5)
    assert model.predict(rows, batch_size=4, steps=2, verbose=0).shape == (8, 1)
    for call in (model.evaluate, model.predict):
        with pytest.raises(ArgumentError, match="steps=9, but 20 examples in batches of 4 give 5 steps"):
            call(rows, batch_size=4, steps=9, verbose=0)
    with pytest.raises(ArgumentError, match="validation_data: validation_steps=9, but 20 examples"):
        model.fit(rows, rows, **{**options, "validation_steps": 9}, verbose=0)


def test_batches_with_numbers_are_shuffled():
    seen = []

    class Noted(Numbered):
        def __getitem__(self, i):
            seen.append(i)
            return super().__getitem__(i)

    keras.utils.set_random_seed(0)
    constant_model().fit(Noted(), epochs=4, verbose=0)
    assert sorted(seen) == sorted(list(range(5)) * 4) and seen != list(range(5)) * 4


def test_wrappers_are_built_for_a_shape():
    both, each = layers.Bidirectional(layers.GRU(3)), layers.TimeDistributed(layers.Dense(2))
    both.build((None, 5, 4))
    each.build((None, 5, 4))
    assert len(both.weights) == 6 and [tuple(w.shape) for w in each.weights] == [(4, 2), (2,)]
