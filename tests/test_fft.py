"""What the comparison with PyTorch's results (tests/ops) does not show: errors, types, inverses."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: tf.fft.fft(tf.ones(3), norm="x"), ArgumentError, "norm is"),
        (lambda: tf.fft.fft(tf.ones(3), n=0), ArgumentError, "at least 1"),
        (lambda: tf.fft.irfft(tf.ones(1)), ArgumentError, "at least 1"),
        (lambda: tf.fft.fft(tf.tensor(1.0)), ShapeError, "no axis"),
        (lambda: tf.fft.fftn(tf.ones(2, 2), s=(2,), dim=(0, 1)), ArgumentError, "lengths for 2 axes"),
        (lambda: tf.fft.rfft(tf.ones(3, dtype=tf.complex64)), ArgumentError, "real numbers"),
        (lambda: tf.fft.rfft(tf.ones(3, dtype=tf.float16)), DTypeError, "float16"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [5, 6])
def test_the_inverse_gives_the_signal_back(norm, n):
    x = tf.tensor(np.random.default_rng(n).normal(size=(3, n)))
    c = tf.complex(x, x.flip(0))
    for there, back, signal in (
        (lambda v: tf.fft.fft(v, norm=norm), lambda v: tf.fft.ifft(v, norm=norm), c),
        (lambda v: tf.fft.rfft(v, norm=norm), lambda v: tf.fft.irfft(v, n, norm=norm), x),
        (lambda v: tf.fft.ihfft(v, norm=norm), lambda v: tf.fft.hfft(v, n, norm=norm), x),
        (lambda v: tf.fft.rfftn(v, norm=norm), lambda v: tf.fft.irfftn(v, (3, n), norm=norm), x),
        (lambda v: tf.fft.ihfftn(v, norm=norm), lambda v: tf.fft.hfftn(v, (3, n), norm=norm), x),
        (tf.fft.fftshift, tf.fft.ifftshift, x),
    ):
        np.testing.assert_allclose(back(there(signal)).numpy(), signal.numpy(), atol=1e-12)


def test_single_precision_stays_single():
    assert tf.fft.fft(tf.ones(4)).dtype is tf.complex64
    assert tf.fft.irfft(tf.ones(3)).dtype is tf.float32
