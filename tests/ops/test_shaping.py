"""Ways to name axes that the recorded PyTorch cases do not cover."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError


def test_flip_takes_axes_one_by_one_or_together():
    a = np.arange(24.0).reshape(2, 3, 4)
    x = tf.tensor(a)
    expected = a[::-1, :, ::-1]
    for y in (x.flip(0, 2), x.flip((0, -1)), x.flip([0, 2]), x.flip(dims=(0, 2)), tf.flip(x, dims=[0, 2])):
        np.testing.assert_array_equal(y.numpy(), expected)
    np.testing.assert_array_equal(x.flip(1).numpy(), a[:, ::-1])
    np.testing.assert_array_equal(x.flip(()).numpy(), a)


def test_flip_wants_axes_once():
    for wrong in (lambda x: x.flip(), lambda x: x.flip(0, dims=(1,))):
        with pytest.raises(ArgumentError, match=r"flip: give the axes once: x\.flip\(0, 1\)"):
            wrong(tf.ones(2, 2))
