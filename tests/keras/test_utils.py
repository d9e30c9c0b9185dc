"""Tools of `keras.utils`, `keras.random` and `keras.backend`, and that the documentation lists every name of Keras that is missing."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, CheckpointError, DataError, ShapeError
from twinflow.keras import layers, utils

ROOT = Path(__file__).resolve().parents[2]


def names_tool():
    spec = importlib.util.spec_from_file_location("keras_names", ROOT / "tools" / "keras_names.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_missing_name_of_keras_is_listed_and_nine_in_ten_are_there():
    tool = names_tool()
    stored = json.loads((Path(__file__).parent / "names.json").read_text())
    text = (ROOT / "docs" / "from-keras.md").read_text().split("## What is missing")[1]
    for module, lacking in tool.missing(keras, stored).items():
        assert not [n for n in lacking if f"`{n}`" not in text], module
        if module in ("layers", "losses", "metrics", "optimizers", "callbacks", "ops", "initializers"):
            assert len(lacking) <= 0.1 * len(stored["names"][module]), module


def test_sequences_are_filled_and_cut_on_either_side():
    rows = [[1, 2, 3], [4]]
    assert utils.pad_sequences(rows, 2).tolist() == [[2, 3], [0, 4]]
    assert utils.pad_sequences(rows, 2, padding="post", truncating="post", value=9).tolist() == [[1, 2], [4, 9]]
    with pytest.raises(ArgumentError, match="'pre' or 'post'"):
        utils.pad_sequences(rows, padding="left")


def test_stretches_of_a_series_with_their_targets():
    found = list(
        utils.timeseries_dataset_from_array(np.arange(10), np.arange(10) * 10, 3, sampling_rate=2, batch_size=4)
    )
    assert len(found) == 2
    assert found[0][0].tolist() == [[0, 2, 4], [1, 3, 5], [2, 4, 6], [3, 5, 7]]
    assert found[1][1].tolist() == [40, 50]


def test_a_split_data_set_trains_a_model():
    x = np.arange(20, dtype=np.float32).reshape(20, 1)
    left, right = utils.split_dataset([x, x * 2], left_size=0.75, shuffle=True, seed=0)
    seen = np.concatenate([b[0] for part in (left, right) for b in part])
    assert sorted(seen.ravel().tolist()) == list(range(20))
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-4), "mse")
    model.fit(left, validation_data=right, verbose=0)
    with pytest.raises(ArgumentError, match="cannot be taken"):
        utils.split_dataset(x, left_size=15, right_size=10)


def test_pictures_in_folders_become_batches(tmp_path):
    pytest.importorskip("PIL")
    for name, value in (("cat", 10.0), ("dog", 200.0)):
        (tmp_path / name).mkdir()
        for k in range(2):
            utils.save_img(tmp_path / name / f"{k}.png", np.full((5, 4, 3), value), scale=False)
    found = utils.image_dataset_from_directory(tmp_path, image_size=(8, 6), label_mode="categorical", shuffle=False)
    assert found.class_names == ["cat", "dog"]
    x, y = found[0]
    assert x.shape == (4, 8, 6, 3) and x[0].max() == 10 and x[3].min() == 200
    assert y.argmax(1).tolist() == [0, 0, 1, 1]
    with pytest.raises(DataError, match="no folder"):
        utils.image_dataset_from_directory(tmp_path / "none")
    with pytest.raises(ArgumentError, match="a seed is needed"):
        utils.image_dataset_from_directory(tmp_path, validation_split=0.5, subset="training")


def test_texts_in_folders_become_batches(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text(f"text of {name}")
    x, y = utils.text_dataset_from_directory(tmp_path, shuffle=False)[0]
    assert x.tolist() == ["text of a", "text of b"] and y.tolist() == [0, 1]


def test_a_model_is_drawn_with_a_box_for_each_layer(tmp_path):
    a = keras.Input((4,), name="start")
    h = layers.Dense(3, name="one")(a)
    model = keras.Model(a, layers.Add(name="sum")([h, layers.Dense(3, name="two")(h)]))
    utils.plot_model(model, tmp_path / "m.svg", show_shapes=True, show_layer_names=True)
    text = (tmp_path / "m.svg").read_text()
    assert text.count("<rect") == 4 and text.count("<line") == 4 and "two (Dense)" in text and "(None, 3)" in text
    with pytest.raises(ArgumentError, match=r"ends with \.svg"):
        utils.plot_model(model, tmp_path / "m.gif")
    with pytest.raises(ArgumentError, match="no graph of layers"):
        utils.plot_model(keras.Sequential([layers.Dense(1)]))


def test_a_model_is_drawn_as_png(tmp_path):
    pytest.importorskip("matplotlib")
    utils.plot_model(keras.Sequential([keras.Input((2,)), layers.Dense(1)]), tmp_path / "m.png")
    assert (tmp_path / "m.png").read_bytes()[:4] == b"\x89PNG"


def test_objects_are_found_by_name_and_configuration():
    for obj in (
        layers.Dense(3),
        keras.optimizers.Adam(0.1),
        keras.losses.Huber(),
        keras.metrics.AUC(),
        keras.constraints.MaxNorm(1.0),
    ):
        again = utils.deserialize_keras_object(utils.serialize_keras_object(obj))
        assert type(again) is type(obj) and again.get_config() == obj.get_config()
    with utils.custom_object_scope({"Own": layers.Dense}):
        assert utils.deserialize_keras_object({"class_name": "Own", "config": {"units": 2}}).units == 2
    with pytest.raises(CheckpointError, match="'Own' is not registered"):
        utils.deserialize_keras_object({"class_name": "Own", "config": {}})
    x = keras.Input((2,))
    assert utils.get_source_inputs(layers.Dense(1)(x)) == [x]


def test_random_numbers_have_their_moments_and_follow_their_seeds():
    r = keras.random
    np.testing.assert_array_equal(np.asarray(r.normal((3,), seed=1)), np.asarray(r.normal((3,), seed=1)))
    seeds = r.SeedGenerator(1)
    assert not np.array_equal(np.asarray(r.uniform((3,), seed=seeds)), np.asarray(r.uniform((3,), seed=seeds)))
    n = (20000,)
    assert np.asarray(r.gamma(n, 0.5, seed=2)).mean() == pytest.approx(0.5, rel=0.05)
    assert np.asarray(r.gamma(n, 3.0, seed=2)).var() == pytest.approx(3.0, rel=0.08)
    assert np.asarray(r.beta(n, 2.0, 3.0, seed=2)).mean() == pytest.approx(0.4, rel=0.03)
    assert np.asarray(r.binomial(n, 10.0, 0.3, seed=2)).mean() == pytest.approx(3.0, rel=0.03)
    assert np.abs(np.asarray(r.truncated_normal(n, seed=2))).max() <= 2
    assert sorted(np.asarray(r.shuffle(np.arange(5), seed=2)).tolist()) == list(range(5))
    drawn = np.asarray(r.categorical(np.log([[0.2, 0.8]]), 2000, seed=2))
    assert drawn.shape == (1, 2000) and drawn.mean() == pytest.approx(0.8, abs=0.05)


def test_the_one_backend_says_what_it_is():
    b = keras.backend
    assert (b.backend(), b.floatx(), b.image_data_format(), b.epsilon()) == (
        "twinflow",
        "float32",
        "channels_last",
        1e-7,
    )
    assert b.result_type("int32", "float32") == "float32" and b.is_int_dtype("int64") and b.is_float_dtype("float16")
    b.set_floatx("float32")
    with pytest.raises(ArgumentError, match="cannot be changed"):
        b.set_floatx("float16")


def test_inputs_are_held_against_an_input_spec():
    class Own(keras.layers.Layer):
        def __init__(self, spec):
            super().__init__(name="mine")
            self.input_spec = spec

        def call(self, x):
            return x

    spec = keras.layers.InputSpec
    x = np.ones((2, 3, 4), "f4")
    for fits in (
        spec(ndim=3),
        spec(shape=(None, 3, 4)),
        spec(axes={-1: 4}),
        spec("float32", min_ndim=2, max_ndim=3),
        spec(shape=(2, 3, 4, 1), allow_last_axis_squeeze=True),
    ):
        assert Own(fits)(x).shape == (2, 3, 4)
    for wrong, message in (
        (spec(ndim=4), "it must have 4 axes"), (spec(shape=(None, 3, 5)), "its axis 2 must have size 5"), (spec(axes={-1: 3}), "its axis -1 must have size 3"),
        (spec(max_ndim=2), "at most 2 axes"), (spec(min_ndim=4), "at least 4 axes"), (spec("int32"), "its type must be int32, not float32"),
    ):  # fmt: skip
        with pytest.raises(ShapeError, match=rf"Own 'mine': the input does not fit its input_spec: .*{message}"):
            Own(wrong)(x)
    with pytest.raises(ArgumentError, match="2 inputs are needed"):
        Own([spec(ndim=3)] * 2)([x])
    with pytest.raises(ShapeError, match="does not fit its input_spec"):
        Own(spec(ndim=4))(keras.Input((3, 4)))
    assert spec.from_config(spec(ndim=3).get_config()).ndim == 3


def test_a_bar_of_ones_own(capsys):
    bar = utils.Progbar(3, interval=10.0, stateful_metrics=["rate"])
    for step in range(3):
        bar.add(1, [("loss", step), ("rate", step)])
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0].startswith("1/3 ")
        and lines[-1].startswith("3/3 ━━━━━━━━━━━━━━━━━━━━ ")
        and lines[-1].endswith("loss: 1.0000 - rate: 2.0000")
    )
    quiet = utils.Progbar(None, verbose=2)
    quiet.update(5, [("loss", 1)])
    assert capsys.readouterr().out == ""
    quiet.update(6, finalize=True)
    assert capsys.readouterr().out.startswith("6/Unknown - ")
