"""Training goes on after saving, loading and interruption as if nothing had happened; callbacks that write files."""

import json
import zipfile

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, CheckpointError, DataError
from twinflow.keras import layers

X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


def model(optimizer="adam", **options):
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((3,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    made.compile(optimizer, "mse", **options)
    return made


@pytest.mark.parametrize(
    "optimizer", ["adam", "adafactor", "muon", keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)]
)
def test_a_loaded_model_goes_on_where_it_was(tmp_path, optimizer):
    whole = model(optimizer)
    whole.fit(X, Y, epochs=2, shuffle=False, verbose=0)
    whole.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    a = whole.fit(X, Y, epochs=2, shuffle=False, verbose=0).history["loss"]
    b = again.fit(X, Y, epochs=2, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(a, b, rtol=1e-5)


class Stop(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_from_its_last_epoch(tmp_path):
    options = {"epochs": 4, "shuffle": False, "verbose": 0}
    wanted = model().fit(X, Y, **options).history["loss"]
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, callbacks=[backup, Stop()], **options)
    history = model().fit(X, Y, callbacks=[keras.callbacks.BackupAndRestore(tmp_path / "backup")], **options)
    assert history.epoch == [2, 3]
    np.testing.assert_allclose(history.history["loss"], wanted[2:], rtol=1e-5)
    assert not list((tmp_path / "backup").iterdir())


def test_averages_are_evaluated_and_put_into_the_weights_at_the_end():
    swapped = model(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5))
    seen = {}
    see = keras.callbacks.LambdaCallback(on_test_begin=lambda logs=None: seen.update(w=swapped.get_weights()[0]))
    swapped.fit(X, Y, validation_data=(X, Y), verbose=0, callbacks=[keras.callbacks.SwapEMAWeights(), see])
    np.testing.assert_allclose(seen["w"], swapped.get_weights()[0], rtol=1e-6)
    with pytest.raises(ArgumentError, match="use_ema=True"):
        model().fit(X, Y, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])


def test_tensorboard_files_hold_the_numbers_of_epochs(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = keras.callbacks.TensorBoard(tmp_path)
    losses = model().fit(X, Y, validation_data=(X, Y), epochs=2, verbose=0, callbacks=[board]).history["loss"]
    events = EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    np.testing.assert_allclose([e.value for e in events.Scalars("epoch_loss")], losses, rtol=1e-6)
    assert (tmp_path / "validation").exists()


def test_a_list_of_callbacks_is_a_callback():
    seen = []
    both = keras.callbacks.CallbackList([keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(e))])
    model().fit(X, Y, epochs=2, verbose=0, callbacks=[both])
    assert seen == [0, 1]


def test_a_generator_that_ends_early_names_how_far_it_came():
    with pytest.raises(DataError, match="ended after 2 batches, but 5 batches"):
        model().fit(((X, Y) for _ in range(2)), steps_per_epoch=5, verbose=0)


def test_a_file_of_a_newer_version_a_damaged_one_and_a_model_without_weights_are_refused(tmp_path):
    model().save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(tmp_path / "new.keras", "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, json.dumps({**json.loads(text), "version": 99}) if name == "metadata.json" else text)
    with pytest.raises(CheckpointError, match="format version 99, newer than 1; update twinflow"):
        keras.models.load_model(tmp_path / "new.keras")
    (tmp_path / "bad.keras").write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match="damaged or no saved model"):
        keras.models.load_model(tmp_path / "bad.keras")
    with pytest.raises(CheckpointError, match="'bare' has no weights yet"):
        keras.Sequential([layers.Dense(1)], name="bare").save(tmp_path / "bare.keras")
    with pytest.raises(CheckpointError, match="has no weights yet"):
        keras.Sequential([layers.Dense(1)]).load_weights(tmp_path / "m.keras")


class OwnSteps(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, x):
        return self.dense(x)

    def test_step(self, data):
        x, y = data
        return {"largest": keras.ops.max(keras.ops.abs(self(x) - y))}

    def predict_step(self, data):
        return self(data, training=False) * 2.0


def test_evaluation_and_prediction_may_have_steps_of_their_own():
    own = OwnSteps()
    own.compile("sgd", "mse")
    plain = np.asarray(own(X).detach())
    assert own.evaluate(X, Y, batch_size=20, verbose=0) == pytest.approx(np.abs(plain - Y).max(), rel=1e-5)
    np.testing.assert_allclose(own.predict(X, verbose=0), plain * 2, rtol=1e-6)
    assert "val_largest" in own.fit(X, Y, validation_data=(X, Y), verbose=0).history
