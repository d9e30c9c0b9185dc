"""What the comparison with PyTorch's results (tests/ops) does not show: extreme arguments, float32, identities, errors."""

import math

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, GradientError

S = tf.special
X = np.linspace(-30, 30, 601)


def test_single_precision_agrees_with_double():
    for name in "i0e i1e erfcx log_ndtr bessel_j0 bessel_j1 entr ndtr sinc".split():
        f = getattr(S, name)
        x = X[X > -9] if name == "erfcx" else X
        have, want = f(tf.tensor(x, dtype=tf.float32)).numpy(), f(tf.tensor(x)).numpy()
        assert have.dtype == np.float32
        np.testing.assert_allclose(have, want, rtol=2e-4, atol=3e-6, err_msg=name)


def test_inverses():
    p = tf.tensor([1e-300, 1e-20, 1e-3, 0.2, 0.5, 0.8, 0.999])
    np.testing.assert_allclose(S.ndtr(S.ndtri(p.double())).numpy(), p.double().numpy(), rtol=1e-11)
    x = tf.linspace(-5, 5, 11)
    np.testing.assert_allclose(S.logit(S.expit(x.double())).numpy(), x.numpy(), atol=1e-9)


def test_derivatives_of_any_order():
    x = tf.tensor([0.3, 0.05, 0.97], dtype=tf.float64, requires_grad=True)
    y = S.ndtri(x)
    (first,) = tf.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = tf.autograd.grad(first.sum(), x)
    slope = math.sqrt(2 * math.pi) * np.exp(y.detach().numpy() ** 2 / 2)
    np.testing.assert_allclose(first.detach().numpy(), slope, rtol=1e-9)
    np.testing.assert_allclose(second.numpy(), y.detach().numpy() * slope**2, rtol=1e-7)
    z = tf.tensor([0.5, 3.0, 12.0], dtype=tf.float64, requires_grad=True)
    (d,) = tf.autograd.grad(S.i0(z).sum(), z)
    np.testing.assert_allclose(d.numpy(), S.i1(z.detach()).numpy(), rtol=1e-10)


def test_incomplete_gamma_functions_add_to_one():
    a, x = tf.tensor([0.1, 1.0, 7.0, 150.0]).double(), tf.tensor([0.2, 3.0, 7.5, 120.0]).double()
    np.testing.assert_allclose((S.gammainc(a, x) + S.gammaincc(a, x)).numpy(), 1, rtol=1e-12)
    np.testing.assert_allclose(
        S.gammainc(tf.ones(3), tf.tensor([0.5, 1, 2])).numpy(), 1 - np.exp([-0.5, -1, -2]), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: S.polygamma(-1, tf.ones(1)), ArgumentError, "negative"),
        (lambda: S.multigammaln(tf.ones(1), 0), ArgumentError, "at least 1"),
        (lambda: S.gammainc(tf.ones(1, requires_grad=True), tf.ones(1)).sum().backward(), GradientError, "detach"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize(
    ("x", "value"),  # mpmath 1.3, 40 digits
    [(8.8e-05, -11364.213434556375), (-1.99991196, -11357.550381959058), (-2.000088, 11364.558893233974),
     (-7.00008, 12502.015388996297), (-12.3, 4.832199881811456)],
)  # fmt: skip
def test_digamma_beside_its_poles(x, value):
    t = tf.tensor([x], dtype=tf.float64)
    for found in (tf.digamma(t), tf.compile(tf.digamma)(t)):
        assert abs(found.item() / value - 1) < 1e-15 * 4
