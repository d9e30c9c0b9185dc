"""Keras's face: layers against NumPy, training, saving, callbacks, and what wrong use says."""

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, CheckpointError, DataError, GradientError, ShapeError
from twinflow.keras import layers


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def linear_data(n=64):
    x = np.linspace(-1, 1, n).reshape(-1, 1).astype(np.float32)
    return x, 2 * x + 1


def test_a_sequential_model_learns_and_reports():
    x, y = linear_data()
    model = keras.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", metrics=["mae"])
    history = model.fit(x, y, epochs=60, batch_size=10, verbose=0)
    assert history.epoch == list(range(60))
    assert history.history["loss"][-1] < 1e-3 < history.history["loss"][0]
    loss, mae = model.evaluate(x, y, verbose=0)
    np.testing.assert_allclose(mae, np.abs(model.predict(x, verbose=0) - y).mean(), rtol=1e-4)
    assert loss < 1e-3
    np.testing.assert_allclose(np.asarray(model.get_weights()[0]), [[2.0]], atol=0.1)


def test_the_compiled_loop_takes_the_steps_that_python_takes():
    x, y = linear_data(50)
    results = []
    for eagerly in (False, True):
        model = keras.Sequential([layers.Dense(3, "tanh", input_shape=(1,)), layers.Dense(1)])
        model.set_weights([np.full(w.shape, 0.3, np.float32) for w in model.get_weights()])
        model.compile(optimizer="adam", loss="mse", run_eagerly=eagerly)
        losses = model.fit(x, y, epochs=3, batch_size=16, shuffle=False, verbose=0).history["loss"]
        results.append((losses, model.get_weights()))
        assert model.optimizer.iterations == 12
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-5)
    for a, b in zip(results[0][1], results[1][1]):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def adam_by_hand(w, grads, lr=0.1, b1=0.9, b2=0.999, eps=1e-7):
    m = v = 0.0
    for t, g in enumerate(grads, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
    return w


def rmsprop_by_hand(w, grads, lr=0.1, rho=0.9, eps=1e-7):
    v = 0.0
    for g in grads:
        v = rho * v + (1 - rho) * g * g
        w = w - lr * g / np.sqrt(v + eps)
    return w


def adagrad_by_hand(w, grads, lr=0.1, eps=1e-7):
    total = 0.1
    for g in grads:
        total += g * g
        w = w - lr * g / np.sqrt(total + eps)
    return w


@pytest.mark.parametrize(
    ("name", "rule"), [("Adam", adam_by_hand), ("RMSprop", rmsprop_by_hand), ("Adagrad", adagrad_by_hand)]
)
def test_optimizers_place_epsilon_where_keras_does(name, rule):
    grads = [1e-4, -2e-4, 3e-4]  # small enough for epsilon to show
    v = keras.Variable([1.0])
    optimizer = getattr(keras.optimizers, name)(learning_rate=0.1)
    for g in grads:
        optimizer.apply_gradients([(keras.ops.convert_to_tensor([g]), v)])
    np.testing.assert_allclose(v.numpy(), [rule(1.0, grads)], rtol=2e-6)
    assert optimizer.iterations == 3


def test_convolution_is_the_sum_over_windows_with_same_padding_and_strides():
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype(np.float32)
    layer = layers.Conv2D(4, 3, strides=2, padding="same")
    y = np.asarray(layer(x).detach())
    kernel = layer.get_weights()[0]
    padded = np.pad(x, ((0, 0), (1, 1), (0, 1), (0, 0)))
    assert y.shape == (2, 3, 3, 4)
    window = padded[:, 2:5, 4:7]
    np.testing.assert_allclose(y[:, 1, 2], np.einsum("nhwc,hwco->no", window, kernel), rtol=1e-4, atol=1e-5)


def test_average_pooling_does_not_count_padding():
    y = np.asarray(layers.AveragePooling2D(2, padding="same")(np.ones((1, 3, 3, 1), np.float32)))
    np.testing.assert_array_equal(y, np.ones((1, 2, 2, 1)))


def test_batch_normalization_moves_the_variance_divided_by_n():
    x = np.random.default_rng(1).normal(3, 2, (8, 4)).astype(np.float32)
    layer = layers.BatchNormalization(momentum=0.5)
    y = np.asarray(layer(x, training=True).detach())
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), 0.5 + 0.5 * x.var(0), rtol=1e-5)
    assert len(layer.trainable_variables) == 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_follows_its_formula_with_gates_i_f_c_o():
    x = np.random.default_rng(2).normal(size=(2, 4, 3)).astype(np.float32)
    layer = layers.LSTM(5, return_sequences=True)
    y = np.asarray(layer(x).detach())
    w, u, b = layer.get_weights()
    np.testing.assert_array_equal(b[5:10], 1)
    h = c = np.zeros((2, 5))
    for t in range(4):
        i, f, g, o = np.split(x[:, t] @ w + h @ u + b, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        np.testing.assert_allclose(y[:, t], h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reset_after", [True, False])
def test_gru_follows_its_formula_with_gates_z_r_n(reset_after):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 4, 3)).astype(np.float32)
    layer = layers.GRU(5, reset_after=reset_after)
    layer(x)
    layer.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
    w, u, b = layer.get_weights()
    h = np.zeros((2, 5))
    for t in range(4):
        if reset_after:
            xz, xr, xn = np.split(x[:, t] @ w + b[0], 3, -1)
            hz, hr, hn = np.split(h @ u + b[1], 3, -1)
            z, n = sigmoid(xz + hz), np.tanh(xn + sigmoid(xr + hr) * hn)
        else:
            xz, xr, xn = np.split(x[:, t] @ w + b, 3, -1)
            z, r = sigmoid(xz + h @ u[:, :5]), sigmoid(xr + h @ u[:, 5:10])
            n = np.tanh(xn + (r * h) @ u[:, 10:])
        h = z * h + (1 - z) * n
    np.testing.assert_allclose(np.asarray(layer(x).detach()), h, rtol=1e-4, atol=1e-5)


def test_bidirectional_joins_both_directions_in_step_order():
    x = np.random.default_rng(4).normal(size=(2, 4, 3)).astype(np.float32)
    layer = layers.Bidirectional(layers.SimpleRNN(2, return_sequences=True))
    y = np.asarray(layer(x).detach())
    back = np.asarray(layer.backward_layer(x).detach())[:, ::-1]
    assert y.shape == (2, 4, 4)
    np.testing.assert_allclose(y[..., 2:], back, rtol=1e-6)


def test_attention_is_softmax_of_products():
    q = np.random.default_rng(5).normal(size=(1, 3, 4)).astype(np.float32)
    y, weights = layers.Attention()([q, q], return_attention_scores=True)
    s = np.exp(q[0] @ q[0].T)
    np.testing.assert_allclose(np.asarray(weights)[0], s / s.sum(-1, keepdims=True), rtol=1e-4)
    np.testing.assert_allclose(np.asarray(y)[0], np.asarray(weights)[0] @ q[0], rtol=1e-4)


def test_multi_head_attention_gives_the_same_with_and_without_scores():
    x = np.random.default_rng(6).normal(size=(2, 5, 8)).astype(np.float32)
    layer = layers.MultiHeadAttention(2, 4)
    a = layer(x, x, use_causal_mask=True).detach()
    b, scores = layer(x, x, use_causal_mask=True, return_attention_scores=True)
    np.testing.assert_allclose(np.asarray(a), np.asarray(b.detach()), rtol=1e-4, atol=1e-5)
    assert np.asarray(scores.detach())[0, 0, 0, 1:].max() == 0


def functional():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3, "relu", name="shared")
    both = layers.Concatenate()([shared(a), shared(b)])
    scaled = both * 2.0 + 1.0
    return keras.Model([a, b], [layers.Dense(1, name="value")(scaled), layers.Dense(2, "softmax", name="kind")(both)])


def test_a_functional_model_with_shared_layers_and_two_outputs_trains_and_is_saved_whole(tmp_path):
    model = functional()
    assert model.output_shape == [(None, 1), (None, 2)]
    assert len(model.weights) == 6
    model.compile("adam", {"value": "mse", "kind": "sparse_categorical_crossentropy"}, loss_weights={"value": 1.0, "kind": 0.5},
                  metrics={"kind": ["accuracy"]})  # fmt: skip
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(20, 4)).astype(np.float32) for _ in range(2)]
    y = [x[0].sum(1), (x[1].sum(1) > 0).astype(np.int64)]
    logs = model.fit(x, y, epochs=3, verbose=0).history
    assert set(logs) == {"loss", "value_loss", "kind_loss", "kind_accuracy"}
    np.testing.assert_allclose(logs["loss"], np.add(logs["value_loss"], 0.5 * np.array(logs["kind_loss"])), rtol=1e-5)
    assert model.metrics_names == ["loss", "value_loss", "kind_loss", "kind_accuracy"]
    assert len(model.evaluate(x, y, verbose=0)) == 4
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    for p, q in zip(model.predict(x, verbose=0), again.predict(x, verbose=0)):
        np.testing.assert_array_equal(p, q)
    assert again.optimizer.iterations == 3
    again.fit(x, y, epochs=1, verbose=0)


def test_a_saved_sequential_model_predicts_the_same(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(2, 3, activation="relu", kernel_regularizer="l2"), layers.MaxPooling2D(),
         layers.Flatten(), layers.BatchNormalization(), layers.Dropout(0.5), layers.Dense(3, keras.activations.softmax)]
    )  # fmt: skip
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype(np.float32)
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))
    model.save_weights(tmp_path / "w.safetensors")
    again.load_weights(tmp_path / "w.safetensors")


class Doubling(keras.Model):
    def __init__(self):
        super().__init__()
        self.parts = [layers.Dense(4, "relu"), layers.Dense(1)]
        self.factor = keras.Variable(2.0)

    def call(self, x):
        for part in self.parts:
            x = part(x)
        return x * self.factor


def test_a_subclassed_model_tracks_layers_in_lists_and_variables():
    x, y = linear_data()
    model = Doubling()
    model.compile("sgd", "mse")
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    assert len(model.trainable_variables) == 5


def test_penalties_are_part_of_the_loss():
    model = keras.Sequential(
        [layers.Dense(1, input_shape=(2,), kernel_initializer="ones", kernel_regularizer=keras.regularizers.L2(0.1))]
    )
    model.compile("sgd", "mse")
    assert model.evaluate(np.zeros((4, 2)), np.zeros((4, 1)), verbose=0) == pytest.approx(0.2)


def test_weights_of_samples_and_classes_scale_the_loss():
    x, y = np.zeros((4, 1), np.float32), np.array([0, 1, 1, 1])
    model = keras.Sequential([layers.Dense(1, "sigmoid", input_shape=(1,))])
    model.compile(keras.optimizers.SGD(0.0), "binary_crossentropy")
    h = model.fit(x, y, class_weight={0: 3.0, 1: 1.0}, verbose=0).history["loss"][0]
    assert h == pytest.approx(np.log(2) * 1.5, rel=1e-4)


def test_callbacks_see_epochs_and_steps_and_can_stop(tmp_path):
    x, y = linear_data(40)
    model = keras.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    steps = []
    stop = keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=2)
    csv = tmp_path / "log.csv"
    history = model.fit(
        x, y, epochs=10, batch_size=10, verbose=0, validation_split=0.5,
        callbacks=[stop, keras.callbacks.CSVLogger(csv), keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: steps.append(b)),
                   keras.callbacks.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)),
                   keras.callbacks.ModelCheckpoint(tmp_path / "best-{epoch}.keras", save_best_only=True)],
    )  # fmt: skip
    assert len(history.epoch) == 3 and steps == [0, 1] * 3
    assert history.history["learning_rate"] == pytest.approx([0.1, 0.05, 0.1 / 3])
    assert csv.read_text().splitlines()[0].startswith("epoch,")
    assert (tmp_path / "best-1.keras").exists()


def test_callbacks_see_every_so_many_steps_and_steps_may_run_in_python():
    seen = []
    see = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: seen.append(b))
    model = keras.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse", steps_per_execution=3)
    model.fit(*linear_data(80), batch_size=10, verbose=0, callbacks=[see])
    assert seen == [2, 5, 7]
    model.compile("sgd", "mse", jit_compile=False)
    assert model.run_eagerly
    for wrong in ({"steps_per_execution": 0}, {"jit_compile": "yes"}):
        with pytest.raises(ArgumentError, match="compile: "):
            model.compile("sgd", "mse", **wrong)


def test_a_schedule_gives_each_step_its_rate():
    rates = []
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model = keras.Sequential([layers.Dense(1, use_bias=False, input_shape=(1,), kernel_initializer="zeros")])
    model.compile(keras.optimizers.SGD(schedule), "mae")
    see = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: rates.append(model.get_weights()[0][0, 0]))
    model.fit(np.ones((3, 1)), np.full((3, 1), 9.0), batch_size=1, shuffle=False, verbose=0, callbacks=[see])
    np.testing.assert_allclose(rates, [0.1, 0.15, 0.175], rtol=1e-5)


def test_generators_and_steps():
    def batches():
        while True:
            yield np.ones((4, 1), np.float32), np.ones((4, 1), np.float32)

    model = keras.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    assert len(model.fit(batches(), steps_per_epoch=3, epochs=2, verbose=0).epoch) == 2
    assert model.optimizer.iterations == 6
    short = ((np.ones((4, 1)), np.ones((4, 1))) for _ in range(2))
    with pytest.raises(DataError, match=r"ended after 2 batches, but 3 batches"):
        model.fit(short, steps_per_epoch=3, verbose=0)


def test_the_bar_and_the_table_look_like_keras(capsys):
    model = keras.Sequential([layers.Dense(1, input_shape=(1,), name="out")], name="small")
    model.compile("sgd", "mse")
    model.fit(*linear_data(40), epochs=1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Epoch 1/1"
    assert lines[1].startswith("2/2 ━━━━━━━━━━━━━━━━━━━━ ") and " - loss: " in lines[1]
    model.summary()
    text = capsys.readouterr().out
    assert 'Model: "small"' in text and "│ out (Dense)" in text and " Trainable params: 2 (8.00 B)" in text


def fitted(last, loss, y, **options):
    model = keras.Sequential([last])
    model.compile("sgd", loss, **options)
    model.fit(np.zeros((len(y), 2), np.float32), y, verbose=0)


@pytest.mark.parametrize(
    ("run", "error", "said"),
    [
        (lambda: keras.Sequential([layers.Conv2D(4, 3, input_shape=(32, 32, 3, 32))]), ShapeError, "input_shape does not contain the batch axis"),
        (lambda: keras.Sequential([layers.LSTM(4, input_shape=(5, 1)), layers.Attention()]), ShapeError, r"takes a list, \[query, value\]"),
        (lambda: layers.Attention()([np.ones((2, 3)), np.ones((2, 3))]), ShapeError, "return_sequences=True"),
        (lambda: fitted(layers.Dense(3, "softmax", input_shape=(2,)), keras.losses.SparseCategoricalCrossentropy(from_logits=True), np.zeros(4)),
         ArgumentError, "applies softmax, and the loss .* applies it again"),
        (lambda: fitted(layers.Dense(1, "sigmoid", input_shape=(2,)), "binary_crossentropy", np.full((4, 1), 1.5)), ArgumentError, r"in \[0, 1\], but"),
        (lambda: fitted(layers.Dense(3, input_shape=(2,)), "sparse_categorical_crossentropy", np.full(4, 3)), ArgumentError, "last layer .* has 3 units"),
        (lambda: fitted(layers.Dense(3, input_shape=(2,)), "mse", np.zeros((4, 2))), ShapeError, "last layer needs as many units"),
        (lambda: fitted(layers.Dense(3, input_shape=(2,)), "categorical_crossentropy", np.zeros(4)), ShapeError, "sparse_categorical"),
        (lambda: fitted(layers.Dense(1, input_shape=(2,)), "mean_squared_eror", np.zeros(4)), ArgumentError, "did you mean"),
        (lambda: fitted(layers.Dense(1, input_shape=(3,)), "mse", np.zeros(4)), ShapeError, "the data has"),
        (lambda: keras.Sequential([layers.Dense(1)]).fit(np.ones((1, 1)), np.ones((1, 1))), ArgumentError, "compile"),
        (lambda: layers.Dense(0), ArgumentError, "units must be a positive whole number"),
        (lambda: layers.Dense(1, unit=3), ArgumentError, "there is no argument 'unit'"),
        (lambda: layers.Dense(1, "rleu"), ArgumentError, "did you mean 'relu'"),
        (lambda: keras.optimizers.Adam(lr=0.1), ArgumentError, "learning_rate"),
        (lambda: keras.optimizers.SGD().apply_gradients([(None, keras.Variable(1.0))]), GradientError, "inside `with tf.GradientTape"),
        (lambda: np.asarray(keras.Input((3,))), ArgumentError, "has no values"),
        (lambda: keras.Model(keras.Input((3,)), layers.Dense(1)(keras.Input((3,)))), ArgumentError, "not among the inputs"),
        (lambda: keras.models.load_model("/nowhere/m.keras"), CheckpointError, "there is no file"),
        (lambda: keras.utils.to_categorical([3], 2), ArgumentError, "labels lie in"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_is_wrong_and_the_way_out(run, error, said):
    with pytest.raises(error, match=said):
        run()


def test_steps_beyond_the_data_and_classes_that_are_not_registered(tmp_path):
    model = keras.Sequential([layers.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="steps_per_epoch=9"):
        model.fit(*linear_data(40), steps_per_epoch=9, verbose=0)

    class Own(layers.Layer):
        def call(self, x):
            return x

    model = keras.Sequential([keras.Input((1,)), Own(), layers.Dense(1)])
    model.save(tmp_path / "m.keras")
    with pytest.raises(CheckpointError, match=r"'Own' of the layer '.*' is not registered"):
        keras.models.load_model(tmp_path / "m.keras")
    assert keras.models.load_model(tmp_path / "m.keras", custom_objects={"Own": Own}).built


def test_a_layer_that_a_program_builds_keeps_its_weights():
    layer = layers.Dense(3)
    layer.build((None, 2))
    kernel = layer.kernel
    layer(np.ones((1, 2), np.float32))
    assert layer.built and layer.kernel is kernel
