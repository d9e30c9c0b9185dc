"""Pictures by TensorFlow's names: sums, and sums weighted by place, of TensorFlow 2.21's results."""

import numpy as np
import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, ShapeError

X = np.random.default_rng(0).random((2, 6, 5, 3)).astype(np.float32)
BYTES = (X * 255).astype(np.uint8)

GOLDEN = {
    "bilinear larger": ((2, 9, 7, 3), 204.522, 39263.9),
    "bilinear smaller": ((2, 3, 4, 3), 38.987, 1414.0),
    "nearest larger": ((2, 9, 7, 3), 207.0, 40165.6),
    "nearest smaller": ((2, 3, 4, 3), 41.758, 1554.2),
    "nearest bytes": ((2, 3, 4, 3), 10610.0, 394947.0),
    "bilinear bytes": ((2, 3, 4, 3), 9905.562, 359264.5),
    "aspect": ((2, 12, 10, 3), 389.786, 142776.1),
    "left right": ((2, 6, 5, 3), 97.447, 8853.9),
    "up down": ((2, 6, 5, 3), 97.447, 8844.2),
    "turned": ((2, 5, 6, 3), 97.447, 8722.4),
    "transposed": ((2, 5, 6, 3), 97.447, 8986.4),
    "grey": ((2, 6, 5, 1), 33.301, 997.8),
    "standard": ((2, 6, 5, 3), -0.0, 162.5),
    "grey bytes": ((2, 6, 5, 1), 8448.0, 253133.0),
    "brighter": ((2, 6, 5, 3), 115.447, 10508.9),
    "brighter bytes": ((2, 6, 5, 3), 28932.0, 2631676.0),
    "contrast": ((2, 6, 5, 3), 97.446, 8946.7),
    "contrast bytes": ((2, 6, 5, 3), 24453.0, 2210799.0),
    "saturation": ((2, 6, 5, 3), 121.702, 11076.7),
    "gamma": ((2, 6, 5, 3), 69.17, 6387.4),
    "middle": ((2, 4, 3, 3), 35.184, 1249.4),
    "cropped or padded": ((2, 4, 9, 3), 59.932, 6460.8),
    "to floats": ((2, 6, 5, 3), 97.094, 8866.0),
    "to bytes": ((2, 6, 5, 3), 24805.0, 2265026.0),
    "noise": ((2,), 48.325, 23.9),
}
MADE = {
    "bilinear larger": lambda: tf.image.resize(X, (9, 7)),
    "bilinear smaller": lambda: tf.image.resize(X, (3, 4)),
    "nearest larger": lambda: tf.image.resize(X, (9, 7), method="nearest"),
    "nearest smaller": lambda: tf.image.resize(X, (3, 4), method="nearest"),
    "nearest bytes": lambda: tf.image.resize(BYTES, (3, 4), method="nearest"),
    "bilinear bytes": lambda: tf.image.resize(BYTES, (3, 4)),
    "aspect": lambda: tf.image.resize(X, (12, 20), preserve_aspect_ratio=True),
    "left right": lambda: tf.image.flip_left_right(X),
    "up down": lambda: tf.image.flip_up_down(X),
    "turned": lambda: tf.image.rot90(X),
    "transposed": lambda: tf.image.transpose(X),
    "grey": lambda: tf.image.rgb_to_grayscale(X),
    "standard": lambda: tf.image.per_image_standardization(X),
    "grey bytes": lambda: tf.image.rgb_to_grayscale(BYTES),
    "brighter": lambda: tf.image.adjust_brightness(X, 0.1),
    "brighter bytes": lambda: tf.image.adjust_brightness(BYTES, 0.1),
    "contrast": lambda: tf.image.adjust_contrast(X, 2.0),
    "contrast bytes": lambda: tf.image.adjust_contrast(BYTES, 2.0),
    "saturation": lambda: tf.image.adjust_saturation(X, 0.5),
    "gamma": lambda: tf.image.adjust_gamma(X, 2.0),
    "middle": lambda: tf.image.central_crop(X, 0.5),
    "cropped or padded": lambda: tf.image.resize_with_crop_or_pad(X, 4, 9),
    "to floats": lambda: tf.image.convert_image_dtype(BYTES, tf.float32),
    "to bytes": lambda: tf.image.convert_image_dtype(X, tf.uint8),
    "noise": lambda: tf.image.psnr(X, X * 0.9, 1.0),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_pictures_are_tensorflows(name):
    shape, total, weighted = GOLDEN[name]
    got = MADE[name]().numpy().astype(np.float64)
    assert got.shape == shape
    assert got.sum() == pytest.approx(total, rel=1e-4, abs=2e-3)
    assert (got.ravel() * np.arange(got.size)).sum() == pytest.approx(weighted, rel=1e-4, abs=0.2)


def test_random_changes():
    tf.random.set_seed(0)
    flipped = tf.image.random_flip_left_right(np.repeat(X[:1], 40, 0)).numpy()
    same = [np.array_equal(p, X[0]) for p in flipped]
    assert 5 < sum(same) < 35 and all(s or np.array_equal(p, X[0][:, ::-1]) for s, p in zip(same, flipped))
    crop = tf.image.random_crop(X[0], [2, 2, 3]).numpy()
    assert any(np.array_equal(crop, X[0][i : i + 2, j : j + 2]) for i in range(5) for j in range(4))
    assert abs(tf.image.random_brightness(X, 0.2).numpy() - X).max() <= 0.2 + 1e-6
    compiled = tf.function(lambda x: tf.image.random_contrast(tf.image.random_flip_up_down(x), 0.5, 1.5))
    assert compiled(tf.constant(X)).shape == X.shape


def test_mistakes_are_named():
    with pytest.raises(ShapeError, match=r"add the channels with image\[\.\.\., None\]"):
        tf.image.flip_up_down(X[0, :, :, 0])
    with pytest.raises(ShapeError, match="reaches beyond the picture of 6 x 5"):
        tf.image.crop_to_bounding_box(X, 3, 0, 4, 2)
    with pytest.raises(ShapeError, match="does not fit into 4 x 4"):
        tf.image.pad_to_bounding_box(X, 0, 0, 4, 4)
    with pytest.raises(ArgumentError, match="method is one of nearest, bilinear"):
        tf.image.resize(X, (2, 2), method="nearby")
    with pytest.raises(ShapeError, match="three channels are needed, not 1"):
        tf.image.rgb_to_grayscale(X[..., :1])
