"""Preprocessing layers: random images, vocabularies, and what wrong use says; values are compared with Keras's in test_goldens."""

import numpy as np
import pytest

from twinflow import keras
from twinflow.core.errors import ArgumentError, DataError, ShapeError
from twinflow.keras import layers

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 6, 8, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(1)


def value(t):
    return np.asarray(t.detach())


RANDOM = [
    layers.RandomFlip, layers.RandomInvert, layers.RandomGrayscale, layers.RandomErasing, layers.RandomGaussianBlur, layers.MixUp, layers.CutMix,
    layers.Solarization, lambda: layers.RandomRotation(0.1), lambda: layers.RandomZoom(0.2), lambda: layers.RandomShear(0.1, 0.1),
    lambda: layers.RandomTranslation(0.1, 0.1), lambda: layers.RandomBrightness(0.2), lambda: layers.RandomContrast(0.2),
    lambda: layers.RandomSaturation(0.2), lambda: layers.RandomColorDegeneration(0.5), lambda: layers.RandomPosterization(3),
    lambda: layers.RandomColorJitter(contrast_factor=0.2),
]  # fmt: skip


@pytest.mark.parametrize("make", RANDOM)
def test_random_layers_change_images_while_training_only_and_are_made_again(make):
    layer = make()
    np.testing.assert_array_equal(value(layer(IMAGES, training=False)), IMAGES)
    found = value(layer(IMAGES))
    assert found.shape == IMAGES.shape and np.isfinite(found).all()
    assert layer(IMAGES[0]).ndim == 3
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_a_flip_mirrors_each_image_or_leaves_it():
    found = value(layers.RandomFlip("horizontal", seed=3)(IMAGES))
    for a, b in zip(found, IMAGES):
        assert np.array_equal(a, b) or np.array_equal(a, b[:, ::-1])
    np.testing.assert_array_equal(value(layers.RandomFlip("horizontal", seed=3)(IMAGES)), found)


def test_maps_move_pixels_as_they_say():
    moved = value(layers.RandomTranslation((0.5, 0.5), (0.0, 0.0), fill_mode="constant")(IMAGES))
    np.testing.assert_allclose(moved[:, 3:], IMAGES[:, :3], rtol=1e-4)
    np.testing.assert_allclose(moved[:, :3], 0, atol=1e-3)
    half = value(layers.RandomRotation((0.5, 0.5))(IMAGES))
    np.testing.assert_allclose(half, IMAGES[:, ::-1, ::-1], rtol=1e-3, atol=1e-2)
    crop = value(layers.RandomCrop(4, 5)(IMAGES))
    assert any(np.array_equal(crop[0], IMAGES[0, i : i + 4, j : j + 5]) for i in range(3) for j in range(4))


def test_a_model_with_augmentation_trains_and_predicts_without_it():
    model = keras.Sequential(
        [keras.Input((6, 8, 3)), layers.RandomFlip(), layers.RandomContrast(0.1), layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)]
    )  # fmt: skip
    model.compile("sgd", "mse")
    model.fit(IMAGES, np.zeros((3, 1)), verbose=0)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))


def test_vocabularies_are_saved_with_the_layer_and_inverted():
    lookup = layers.StringLookup()
    lookup.adapt(["b", "a", "b"])
    again = layers.StringLookup.from_config(lookup.get_config())
    assert again.get_vocabulary() == ["[UNK]", "b", "a"]
    words = layers.StringLookup(vocabulary=lookup.get_vocabulary(), invert=True)
    assert words(np.array([2, 1, 0])).tolist() == ["a", "b", "[UNK]"]
    texts = layers.TextVectorization(output_sequence_length=4)
    texts.adapt(["one two", "two"])
    assert value(layers.TextVectorization.from_config(texts.get_config())(["two three"])).tolist() == [[2, 1, 0, 0]]


def test_hashes_are_the_same_in_every_run():
    assert value(layers.Hashing(8)(["a", "b", "c"])).tolist() == [0, 4, 7]
    crossed = value(layers.HashedCrossing(8)([np.array(["a", "b"]), np.array([1, 2])]))
    assert crossed.shape == (2,) and (0 <= crossed).all() and (crossed < 8).all()


def test_statistics_found_by_adapt_are_weights_of_the_model(tmp_path):
    layer = layers.Normalization()
    layer.adapt([[1.0, 0.0], [3.0, 4.0]])
    model = keras.Sequential([keras.Input((2,)), layer, layers.Dense(1)])
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    x = np.array([[2.0, 1.0]])
    np.testing.assert_array_equal(model.predict(x, verbose=0), again.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("run", "error", "said"),
    [
        (lambda: layers.StringLookup()(["a"]), ArgumentError, "call adapt"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), ArgumentError, "'a' twice"),
        (lambda: layers.StringLookup(vocabulary=["a"], num_oov_indices=0)(["b"]), ArgumentError, "not in the vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="rows"), ArgumentError, "output_mode is"),
        (lambda: layers.StringLookup(vocabulary=["a"])(keras.Input((1,))), ArgumentError, "cannot be part of a model"),
        (lambda: layers.TextVectorization(split="word"), ArgumentError, "split is"),
        (lambda: layers.Normalization(mean=1.0), ArgumentError, "both mean and variance"),
        (lambda: layers.Normalization().adapt(iter([])), DataError, "no data"),
        (lambda: layers.Discretization(), ArgumentError, "bin_boundaries"),
        (lambda: layers.Discretization(num_bins=3)(np.ones(2)), ArgumentError, "call adapt"),
        (lambda: layers.RandomFlip("sideways"), ArgumentError, "'horizontal'"),
        (lambda: layers.RandomRotation(0.1, fill_mode="wrap"), ArgumentError, "fill_mode is"),
        (lambda: layers.Resizing(4, 4)(np.ones((4, 4))), ShapeError, "batch, height, width, channels"),
        (lambda: layers.RandomGrayscale(1.0)(np.ones((1, 2, 2, 1))), ShapeError, "3 channels"),
    ],
)  # fmt: skip
def test_wrong_use_says_what_is_wrong_and_the_way_out(run, error, said):
    with pytest.raises(error, match=said):
        run()


def test_parts_of_mixed_images_follow_their_distribution():
    images = np.zeros((4000, 1, 1, 1), np.float32)
    images[::2] = 1.0
    for alpha in (0.2, 1.0, 4.0):
        part = np.abs(1 - images - value(layers.MixUp(alpha, seed=1)(images))).ravel()
        assert part.mean() == pytest.approx(0.5, abs=0.02)
        assert part.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.06)


def test_a_rectangle_of_each_image_comes_from_another():
    images = np.stack([np.full((6, 6, 1), k, np.float32) for k in range(4)])
    found = value(layers.CutMix(seed=2)(images))
    for k in range(4):
        assert set(np.unique(found[k])) <= {k, (k - 1) % 4}
