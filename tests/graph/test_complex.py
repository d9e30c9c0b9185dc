"""Complex numbers in compiled functions: no reference is called, and branch cuts, infinities and accuracy are NumPy's."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import DTypeError
from twinflow.graph import from_text, verify
from twinflow.graph.passes import split_complex

UNARY = [
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cos", "cosh", "exp", "expm1", "log", "log1p", "neg", "sin", "sinh", "sqrt",
    "square", "tan", "tanh", "rsqrt", "angle",
]  # fmt: skip
NUMPY = {
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "neg": "negative",
}


def points(dtype):
    """Every quadrant, both sides of every branch cut, small and large."""
    axis = np.array([-30.0, -2.0, -1.0, -0.5, -1e-3, -0.0, 0.0, 1e-3, 0.5, 1.0, 2.0, 30.0])
    z = np.empty((12, 12), np.complex128)
    z.real, z.imag = np.meshgrid(axis, axis)
    return z.astype(dtype)


def oracle(name, z):
    with np.errstate(all="ignore"):
        if name == "rsqrt":
            return 1 / np.sqrt(z)
        if name == "angle":
            return np.angle(z)
        return getattr(np, NUMPY.get(name, name))(z)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_on_both_sides_of_their_branch_cuts(name, dtype):
    z = points(dtype)
    compiled = tf.compile(getattr(tf, name))
    got = compiled(tf.from_numpy(z)).numpy()
    want = oracle(name, z.astype(np.complex128)).astype(dtype if name not in ("abs", "angle") else got.dtype)
    pole = ~np.isfinite(want)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got[~pole], want[~pole], rtol=8 * eps, atol=8 * eps)
    assert (~np.isfinite(got[pole])).all()
    assert "reference" not in compiled.kernels


def test_arithmetic_products_and_structure_have_kernels():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4)) for _ in range(2))

    def fn(a, b):
        c = (a @ b).T / (b + 2.0) - a.conj() * 1j
        d = tf.cat([c[:2], tf.where(c.abs() > 1, c, b)[1:3]]).reshape(2, 8).cumsum(1)
        return d.sum(0), d.real, (d ** a.reshape(2, 8)).imag, c == a, a.mean(), tf.complex(c.real, a.imag) * c.real

    compiled = tf.compile(fn)
    got = compiled(tf.from_numpy(a), tf.from_numpy(b))
    for g, w in zip(got, fn(tf.from_numpy(a), tf.from_numpy(b)), strict=True):
        np.testing.assert_allclose(g.numpy(), w.numpy(), rtol=1e-9, atol=1e-11)
    assert "reference" not in compiled.kernels


def test_a_training_step_on_complex_parameters():
    def run(compiled):
        w = tf.tensor([0.1 + 0.2j, -0.4 + 0.1j], requires_grad=True)
        x = tf.tensor([[1 + 1j, 0.5 - 1j], [0.3 + 2j, 1j]])

        def step(x):
            w.grad = None
            loss = ((x @ w - 1).abs() ** 2).mean()
            loss.backward()
            with tf.no_grad():
                w.sub_(w.grad * 0.05)
            return loss

        step = tf.compile(step) if compiled else step
        losses = [step(x).item() for _ in range(5)]
        return losses, w.detach().numpy(), step

    losses, w, step = run(True)
    want, v, _ = run(False)
    np.testing.assert_allclose(losses, want, rtol=1e-5)
    np.testing.assert_allclose(w, v, rtol=1e-5)
    assert "reference" not in step.kernels


def test_loops_and_branches_carry_complex_values():
    def fn(z, c):
        z = tf.fori_loop(0, 5, lambda i, z: z * z * 0.5 + c, z)
        return tf.cond(z.real.sum() > 0, lambda: z * 1j, lambda: z.conj())

    z, c = tf.tensor([0.1 + 0.2j, -1 + 0.3j]), tf.tensor([0.2 - 0.4j, 0.1j])
    np.testing.assert_allclose(tf.compile(fn)(z, c).numpy(), fn(z, c).numpy(), rtol=1e-5)


def test_the_pass_alone():
    graph = from_text(
        "graph f(%0: complex64[2], %1: complex64[2])\n  %2: complex64[2] = add(%0, %1)\n  return %2\n  write %0 <- %2"
    )
    split = split_complex(graph)
    verify(split)
    real = [n for n in split.nodes if n.op == "add"]
    assert [n.aval.dtype.name for n in real] == ["float32", "float32"]
    assert all(n.op == "bitcast" for n in split.nodes if n.aval.dtype.is_complex)
    plain = from_text("graph f(%0: float32[2])\n  %1: float32[2] = exp(%0)\n  return %1")
    assert split_complex(plain) is plain


@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (3, 4), (2, 0), (2, 3, 5)])
def test_products_of_complex_numbers(shape):
    rng = np.random.default_rng(0)
    z = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    for axis in range(len(shape)):
        for fn, want in ((tf.prod, np.prod(z, axis)), (tf.cumprod, np.cumprod(z, axis))):
            step = tf.compile(lambda z, fn=fn, axis=axis: fn(z, dim=axis))
            np.testing.assert_allclose(step(tf.tensor(z)).numpy(), want, rtol=1e-12)
            assert "reference" not in step.kernels
    np.testing.assert_allclose(tf.compile(lambda z: z.prod())(tf.tensor(z)).numpy(), z.prod(), rtol=1e-12)


def test_convolutions_of_complex_numbers():
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s) + 1j * rng.normal(size=s) for s in ((2, 4, 6, 6), (6, 2, 3, 3)))

    def gradient(x, w):
        return tf.func.grad(lambda w: tf.nn.functional.conv2d(x, w, padding=1, groups=2).abs().sum())(w)

    for fn in (lambda x, w: tf.nn.functional.conv2d(x, w, stride=2, padding=1, groups=2), gradient):
        step = tf.compile(fn)
        np.testing.assert_allclose(
            step(tf.tensor(x), tf.tensor(w)).numpy(), fn(tf.tensor(x), tf.tensor(w)).numpy(), rtol=1e-9
        )
        assert "reference" not in step.kernels


@pytest.mark.parametrize("name", ["argmax", "argmin", "cummax", "cummin"])
def test_complex_numbers_have_no_order(name):
    z = tf.tensor([1 + 2j, 3 - 1j])
    for call in (getattr(tf, name), tf.compile(getattr(tf, name))):
        with pytest.raises(DTypeError, match=f"{name}: complex numbers have no order"):
            call(z, dim=0)
    rows = tf.tensor([1 + 2j])
    with pytest.raises(DTypeError, match="searchsorted: complex numbers have no order"):
        tf.searchsorted(rows, rows)
