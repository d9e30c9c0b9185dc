"""Weights in HDF5, laid out as Keras does. The places were listed from files that Keras 3.15 wrote."""

import zipfile

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import CheckpointError
from twinflow.keras._hdf5 import places

k = keras.layers


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.a = k.Dense(3)
        self.bs = [k.Dense(2), k.Dense(2)]
        self.w = self.add_weight(shape=(2,), name="w", initializer="ones")

    def call(self, x):
        x = self.a(x)
        for b in self.bs:
            x = b(x)
        return x * self.w


def sequential():
    return keras.Sequential(
        [keras.Input((5, 4)), k.Bidirectional(k.LSTM(3, return_sequences=True)), k.TimeDistributed(k.Dense(2)),
         k.BatchNormalization(), k.Flatten(), k.Dense(4), k.Dense(2)]
    )  # fmt: skip


def functional():
    x = keras.Input((5, 4))
    y = keras.Sequential([k.Dense(3), k.Dense(4)])(k.MultiHeadAttention(2, 3)(x, x))
    return keras.Model(x, k.Dense(1)(k.GRU(3)(y)))


def subclassed():
    model = Subclassed()
    model(np.ones((2, 4), "f4"))
    return model


MODELS = {
    sequential: """layers/bidirectional/backward_layer/cell/vars/0-2 layers/bidirectional/forward_layer/cell/vars/0-2
        layers/time_distributed/layer/vars/0-1 layers/batch_normalization/vars/0-3 layers/dense/vars/0-1 layers/dense_1/vars/0-1""",
    functional: """layers/multi_head_attention/query_dense/vars/0-1 layers/multi_head_attention/key_dense/vars/0-1
        layers/multi_head_attention/value_dense/vars/0-1 layers/multi_head_attention/output_dense/vars/0-1
        layers/sequential/layers/dense/vars/0-1 layers/sequential/layers/dense_1/vars/0-1 layers/gru/cell/vars/0-2
        layers/dense/vars/0-1""",
    subclassed: "vars/0-0 a/vars/0-1 bs/dense/vars/0-1 bs/dense_1/vars/0-1",
}


@pytest.mark.parametrize("make", MODELS)
def test_weights_have_the_places_that_keras_gives_them(make):
    wanted = []
    for text in MODELS[make].split():
        group, _, last = text.rpartition("-")
        wanted += [f"{group[:-1]}{n}" for n in range(int(last) + 1)]
    assert sorted(p for p, _ in places(make())) == sorted(wanted)


@pytest.mark.parametrize("make", MODELS)
def test_files_go_round(make, tmp_path):
    pytest.importorskip("h5py")
    first, second = make(), make()
    first.save_weights(tmp_path / "w.weights.h5")
    second.load_weights(tmp_path / "w.weights.h5")
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights()))


def test_weights_of_a_file_of_keras_and_of_its_older_layout(tmp_path):
    h5py = pytest.importorskip("h5py")
    made, model = (
        subclassed(),
        keras.Sequential([keras.Input((2,)), k.BatchNormalization(name="norm"), k.Dense(3, name="head")]),
    )
    made.save_weights(tmp_path / "model.weights.h5")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as z:
        z.write(tmp_path / "model.weights.h5", "model.weights.h5")
    other = subclassed()
    other.load_weights(tmp_path / "m.keras")
    assert np.array_equal(other.a.kernel.numpy(), made.a.kernel.numpy())

    arrays = [np.full(s, n, "f4") for n, s in enumerate([2, 2, 2, 2, (2, 3), 3])]
    with h5py.File(tmp_path / "old.h5", "w") as f:
        f.attrs["layer_names"] = [b"norm", b"head"]
        for layer, part in (("norm", arrays[:4]), ("head", arrays[4:])):
            f.create_group(layer).attrs["weight_names"] = [f"{layer}/{n}:0".encode() for n in range(len(part))]
            for n, a in enumerate(part):
                f[layer][f"{layer}/{n}:0"] = a
    model.load_weights(tmp_path / "old.h5")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), arrays))


def test_files_that_do_not_fit_are_refused(tmp_path):
    pytest.importorskip("h5py")
    path = tmp_path / "w.weights.h5"
    keras.Sequential([keras.Input((4,)), k.Dense(2)]).save_weights(path)
    for head, message in (
        ([k.Dense(3, name="out")], r"it holds \(4, 2\) for out/kernel, whose shape is \(4, 3\)"),
        ([k.Dense(2), k.Dense(2, name="out")], "there is no layers/dense_1/vars/0 in it, which would be out/kernel"),
    ):
        with pytest.raises(CheckpointError, match=message):
            keras.Sequential([keras.Input((4,)), *head]).load_weights(path)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"w\.weights\.h5 is damaged or no HDF5 file"):
        keras.Sequential([keras.Input((4,)), k.Dense(2)]).load_weights(path)
    with pytest.raises(CheckpointError, match="there is no file"):
        keras.Sequential([keras.Input((4,)), k.Dense(2)]).load_weights(tmp_path / "other.h5")
