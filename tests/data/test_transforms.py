"""Transforms of images."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, DataError, ShapeError
from twinflow.data import transforms as T

IMAGE = tf.arange(2 * 4 * 6, dtype="float32").reshape(2, 4, 6) / 48


def test_to_tensor():
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    image = T.ToTensor()(array)
    assert (image.shape, image.dtype) == ((3, 2, 4), tf.float32)
    assert image[1, 0, 1].item() == pytest.approx(4 / 255)
    assert T.ToTensor()(IMAGE) is IMAGE
    assert T.ToTensor()(np.ones((2, 3))).tolist() == [[[1.0] * 3] * 2]


def test_normalize_crop_pad_grey():
    image = T.Normalize([0.5, 0.0], [0.5, 2.0])(IMAGE)
    np.testing.assert_allclose(image[0].tolist(), (np.array(IMAGE[0].tolist()) - 0.5) / 0.5, rtol=1e-6)
    assert T.CenterCrop(2)(IMAGE).tolist() == IMAGE[:, 1:3, 2:4].tolist()
    assert T.Pad((1, 0, 2, 3), fill=9.0)(IMAGE).shape == (2, 7, 9)
    assert T.Pad(1, padding_mode="edge")(IMAGE)[0, 0, 0].item() == IMAGE[0, 0, 0].item()
    grey = T.Grayscale(2)(tf.ones(3, 2, 2))
    np.testing.assert_allclose(grey.tolist(), np.ones((2, 2, 2)), rtol=1e-6)


def test_resize():
    assert T.Resize(2)(IMAGE).shape == (2, 2, 3)
    assert T.Resize((8, 3))(IMAGE).shape == (2, 8, 3)
    np.testing.assert_allclose(T.Resize((2, 3))(tf.ones(1, 5, 7)).tolist(), np.ones((1, 2, 3)), rtol=1e-6)
    # values of PyTorch 2.13.0: interpolate(mode="bilinear", antialias=True, align_corners=False)
    ramp = tf.arange(16, dtype="float32").reshape(1, 4, 4)
    np.testing.assert_allclose(
        T.Resize(2)(ramp)[0].tolist(), [[3.5714285, 5.1428571], [9.8571429, 11.4285717]], rtol=1e-5
    )
    assert T.Resize((2, 2), "nearest")(ramp)[0].tolist() == [[0.0, 2.0], [8.0, 10.0]]


def test_rotation_by_right_angles_moves_whole_pixels():
    square = tf.arange(9, dtype="float32").reshape(1, 3, 3)
    turned = T.RandomRotation((90, 90))(square)
    np.testing.assert_allclose(turned[0].tolist(), np.rot90(np.arange(9.0).reshape(3, 3)), atol=1e-5)
    shifted = T.RandomAffine(0, translate=(0.0, 0.0), scale=(1.0, 1.0), interpolation="nearest")(square)
    assert shifted.tolist() == square.tolist()


@pytest.mark.parametrize(
    "transform",
    [
        T.RandomCrop(4, padding=2),
        T.RandomResizedCrop(4),
        T.RandomHorizontalFlip(),
        T.RandomVerticalFlip(),
        T.RandomAffine(20, translate=(0.1, 0.1), scale=(0.8, 1.2), shear=10),
        T.ColorJitter(0.3, 0.3, 0.3),
        T.RandomErasing(1.0),
        T.RandomApply([T.RandomCrop(4, padding=1)]),
        T.Compose([T.RandomHorizontalFlip(), T.Lambda(lambda x: x * 2)]),
    ],
    ids=lambda t: type(t).__name__,
)
def test_random_transforms_repeat_with_the_seed(transform):
    image = tf.rand(3, 6, 6)
    results = []
    for _ in range(2):
        tf.manual_seed(7)
        results.append([transform(image).tolist() for _ in range(6)])
    assert results[0] == results[1]
    assert any(r != results[0][0] for r in results[0])
    assert np.isfinite(np.array(results[0][0])).all()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: T.Normalize(0, 0), ArgumentError, "std must be positive"),
        (lambda: T.Normalize([0, 0, 0], 1)(IMAGE), ShapeError, "3 values for an image with 2 channels"),
        (lambda: T.CenterCrop(5)(IMAGE), ShapeError, "5 x 5 does not fit into an image of 4 x 6; pad it"),
        (lambda: T.Resize(0), ArgumentError, "size must be positive"),
        (lambda: T.Resize(2, "cubic"), ArgumentError, "'bilinear' or 'nearest'"),
        (lambda: T.Pad(1, padding_mode="wrap"), ArgumentError, "padding_mode is"),
        (lambda: T.RandomRotation(3, "cubic"), ArgumentError, "'bilinear' or 'nearest'"),
        (lambda: T.CenterCrop(2)(np.ones((2, 2))), DataError, r"put ToTensor\(\) first"),
        (lambda: T.CenterCrop(2)(tf.ones(2, 2)), ShapeError, r"an image is \[C, H, W\]"),
        (lambda: T.ToTensor()(np.ones(3)), ShapeError, r"an image is \[H, W\]"),
    ],
)
def test_wrong_use(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_printing():
    assert repr(T.Compose([T.CenterCrop(2)])) == "Compose(\n    CenterCrop(size=(2, 2))\n)"
