"""What the comparison with PyTorch's results (tests/ops) does not show: errors, batches, vmap, and broadcasting."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, DTypeError, GradientError, LinAlgError, ShapeError

RNG = np.random.default_rng(3)


def rand(*shape):
    return tf.tensor(RNG.uniform(-1, 1, shape))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: tf.linalg.cholesky(-tf.eye(2)), LinAlgError, "not positive-definite"),
        (lambda: tf.linalg.inv(tf.zeros(2, 2)), LinAlgError, "singular"),
        (lambda: tf.linalg.solve(tf.zeros(2, 2), tf.ones(2)), LinAlgError, "lstsq"),
        (lambda: tf.linalg.svd(tf.full((2, 2), float("nan"))), LinAlgError, "NaN"),
        (lambda: tf.linalg.eig(tf.full((2, 2), float("inf"))), LinAlgError, "infinity"),
        (lambda: tf.linalg.inv(tf.ones(2, 3)), ShapeError, "square"),
        (lambda: tf.linalg.det(tf.ones(3)), ShapeError, "at least 2 axes"),
        (lambda: tf.linalg.qr(tf.ones(2, 2, dtype=tf.int64)), DTypeError, "float"),
        (lambda: tf.linalg.cholesky(tf.ones(2, 2, dtype=tf.float16)), DTypeError, "float16"),
        (lambda: tf.linalg.solve(tf.eye(3), tf.ones(2, 2)), ShapeError, "rows"),
        (lambda: tf.linalg.qr(tf.eye(3), mode="full"), ArgumentError, "'reduced'"),
        (lambda: tf.linalg.eigh(tf.eye(3), UPLO="X"), ArgumentError, "UPLO"),
        (lambda: tf.linalg.lu(tf.eye(3), pivot=False), ArgumentError, "pivot=True"),
        (lambda: tf.linalg.matrix_norm(tf.eye(3), 5), ArgumentError, "ord is"),
        (lambda: tf.linalg.matrix_norm(tf.ones(2, 2, 2), 2, dim=(0, 1, 2)), ArgumentError, "two axes"),
        (lambda: tf.linalg.norm(tf.ones(2, 2, 2), 2), ShapeError, "a vector or a matrix"),
        (lambda: tf.linalg.norm(tf.ones(2), "fro", dim=0), ArgumentError, "norm of matrices"),
        (lambda: tf.linalg.vector_norm(tf.ones(2, dtype=tf.int64)), DTypeError, ".float()"),
        (lambda: tf.linalg.matrix_power(tf.ones(2, 3), 2), ShapeError, "square"),
        (lambda: tf.linalg.matrix_exp(tf.ones(2, 3)), ShapeError, "square"),
        (lambda: tf.linalg.multi_dot([tf.eye(2)]), ArgumentError, "at least two"),
        (lambda: tf.linalg.tensorinv(tf.ones(2, 3, 4), 1), ShapeError, "elements"),
        (lambda: tf.linalg.tensorinv(tf.ones(2, 2), 2), ArgumentError, "ind lies"),
        (lambda: tf.linalg.tensorsolve(tf.ones(2, 3), tf.ones(2)), ShapeError, "square system"),
        (lambda: tf.linalg.lstsq(tf.ones(3, 2), tf.ones(3, 1), driver="x"), ArgumentError, "driver"),
        (lambda: tf.linalg.cond(tf.ones(2, 3), 1), ShapeError, "square"),
        (lambda: tf.linalg.householder_product(tf.ones(2, 3), tf.ones(2)), ShapeError, "m ≥ n"),
        (lambda: tf.linalg.vander(tf.ones(2), N=0), ArgumentError, "at least one column"),
        (lambda: tf.linalg.pinv(tf.eye(2), atol=tf.ones(1)), ArgumentError, "numbers"),
    ],
)
def test_wrong_use_says_what_is_wrong(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_vectors_that_are_not_determined_have_no_derivative():
    a = rand(3, 2).requires_grad_()
    with pytest.raises(GradientError, match="full_matrices=False"):
        tf.linalg.svd(a)[0].sum().backward()
    with pytest.raises(GradientError, match="reduced"):
        tf.linalg.qr(a, mode="complete")[0].sum().backward()
    with pytest.raises(GradientError, match="square"):
        tf.linalg.lu(a)[1].sum().backward()


def test_checked_forms_report_instead_of_raising():
    low, info = tf.linalg.cholesky_ex(-tf.eye(2))
    assert info.item() == 1 and bool(low.isnan().all())
    assert tf.linalg.inv_ex(tf.zeros(2, 2)).info.item() == 1
    assert tf.linalg.solve_ex(tf.eye(2), tf.ones(2)).info.item() == 0
    with pytest.raises(LinAlgError):
        tf.linalg.cholesky_ex(-tf.eye(2), check_errors=True)


def test_systems_broadcast_over_leading_axes():
    a, b = rand(4, 1, 3, 3), rand(2, 3, 5)
    x = tf.linalg.solve(a, b)
    assert x.shape == (4, 2, 3, 5)
    np.testing.assert_allclose((a @ x).numpy(), np.broadcast_to(b.numpy(), (4, 2, 3, 5)), atol=1e-10)
    low = tf.linalg.cholesky(a[0] @ a[0].mT + tf.eye(3))
    y = tf.linalg.solve_triangular(low, b, upper=False)
    np.testing.assert_allclose((low @ y).numpy(), b.numpy(), atol=1e-10)


@pytest.mark.parametrize(("m", "n"), [(5, 3), (3, 5), (4, 4)])
def test_factors_multiply_to_the_matrix(m, n):
    a = rand(2, m, n)
    p, low, up = tf.linalg.lu(a)
    q, r = tf.linalg.qr(a)
    u, s, vh = tf.linalg.svd(a)
    k = min(m, n)
    for product in (p @ low @ up, q @ r, u[..., :k] @ (s.unsqueeze(-1) * vh[:, :k])):
        np.testing.assert_allclose(product.numpy(), a.numpy(), atol=1e-12)
    packed, pivots = tf.linalg.lu_factor(a)
    for have, want in zip(tf.lu_unpack(packed, pivots), (p, low, up)):
        np.testing.assert_array_equal(have.numpy(), want.numpy())


def test_a_singular_matrix_has_a_determinant_but_no_derivative_of_it():
    a = tf.zeros(2, 2, requires_grad=True)
    y = tf.linalg.det(a)
    assert y.item() == 0
    with pytest.raises(LinAlgError, match="singular"):
        y.backward()


def test_the_exponential_of_a_large_matrix():
    a = tf.tensor([[0.0, 30.0], [-30.0, 0.0]], dtype=tf.float64)
    want = [[np.cos(30), np.sin(30)], [-np.sin(30), np.cos(30)]]
    np.testing.assert_allclose(tf.linalg.matrix_exp(a).numpy(), want, atol=1e-9)
    np.testing.assert_allclose(tf.compile(tf.linalg.matrix_exp)(a).numpy(), want, atol=1e-9)


def test_empty_matrices():
    none = tf.zeros(0, 0)
    assert tf.linalg.det(none).item() == 1
    assert tf.linalg.inv(none).shape == (0, 0)
    assert tf.linalg.matrix_rank(tf.zeros(2, 0)).item() == 0
    assert tf.linalg.matrix_power(tf.eye(2), 0).tolist() == [[1, 0], [0, 1]]
