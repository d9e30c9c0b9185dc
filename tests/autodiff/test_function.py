"""Operations with derivatives written by hand."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import autograd
from twinflow import func as F
from twinflow.core.errors import ArgumentError, GradientError


class Square(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 2 * x * g


class StraightThrough(autograd.Function):
    """Rounds forward, passes the gradient as it is, with a separate setup_context."""

    @staticmethod
    def forward(x, scale):
        return (x * scale).round() / scale

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.scale = inputs

    @staticmethod
    def backward(ctx, g):
        assert ctx.needs_input_grad == (True, False)
        return g * ctx.scale, None


class ExpAndSign(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y, s = x.exp(), x.sign()
        ctx.mark_non_differentiable(s)
        ctx.save_for_backward(y)
        return y, s

    @staticmethod
    def backward(ctx, g, _):
        (y,) = ctx.saved_tensors
        return g * y


def leaf(*values):
    return tf.tensor(values, dtype=tf.float64, requires_grad=True)


def test_gradients_to_third_order():
    x = leaf(1.0, 2.0)
    (g,) = autograd.grad((Square.apply(x) * x).sum(), x, create_graph=True)
    assert g.tolist() == [3.0, 12.0]
    (gg,) = autograd.grad(g.sum(), x, create_graph=True)
    assert gg.tolist() == [6.0, 12.0]
    (ggg,) = autograd.grad(gg.sum(), x)
    assert ggg.tolist() == [6.0, 6.0]
    assert autograd.gradcheck(Square.apply, x) and autograd.gradgradcheck(Square.apply, x)


def test_a_saved_output_is_differentiable_and_a_marked_one_is_not():
    x = leaf(0.5, -1.0)
    y, s = ExpAndSign.apply(x)
    assert y.requires_grad and not s.requires_grad
    (g,) = autograd.grad(y.sum(), x, create_graph=True)
    (gg,) = autograd.grad(g.sum(), x)
    np.testing.assert_allclose(gg.numpy(), np.exp(x.detach().numpy()))


@pytest.mark.parametrize("wrap", [lambda f: f, tf.compile], ids=["plain", "compiled"])
def test_inside_a_compiled_step_the_hand_written_derivative_is_used(wrap):
    x = leaf(0.26, 0.74)

    @wrap
    def step(x):
        return autograd.grad(StraightThrough.apply(x, 2.0).sum() + Square.apply(x).sum(), x)

    np.testing.assert_allclose(step(x)[0].numpy(), 2 + 2 * x.detach().numpy())
    np.testing.assert_allclose(F.grad(lambda x: StraightThrough.apply(x, 2.0).sum())(x.detach()).numpy(), [2, 2])
    np.testing.assert_allclose(F.vmap(F.grad(Square.apply))(x.detach()).numpy(), 2 * x.detach().numpy())


def test_no_gradient_no_record():
    x = tf.ones(2)
    assert not Square.apply(x).requires_grad
    with tf.no_grad():
        assert not Square.apply(leaf(1.0)).requires_grad


def test_an_input_written_in_place():
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(1.0, 2.0)
    y = x * 1
    z = Double.apply(y)
    assert z is y and y.tolist() == [2.0, 4.0]
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(GradientError, match="leaf"):
        Double.apply(leaf(1.0))


def test_once_differentiable():
    class Cube(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        @autograd.once_differentiable
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    x = leaf(2.0)
    assert autograd.grad(Cube.apply(x), x)[0].item() == 12
    (g,) = autograd.grad(Cube.apply(x), x, create_graph=True)
    with pytest.raises(GradientError, match="once_differentiable"):
        autograd.grad(g, x)


def test_missing_gradients_are_zeros_or_none():
    seen = []

    class Two(autograd.Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx, a, b):
            seen.append(b)
            return a, None

    for materialize in (True, False):
        Two.apply(leaf(1.0, 2.0), materialize)[0].sum().backward()
    assert seen[0].tolist() == [0.0, 0.0] and seen[1] is None


class Wrong(autograd.Function):
    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x)
        return x * k

    @staticmethod
    def backward(ctx, g):
        return ctx.saved_tensors[0]


def test_errors():
    with pytest.raises(GradientError, match="returned 1 gradients, but forward takes 2"):
        Wrong.apply(leaf(1.0), 2).backward()
    y = leaf(1.0) * 1
    z = Square.apply(y)
    y.mul_(3)
    with pytest.raises(GradientError, match="overwritten in place"):
        z.backward()
    z = Square.apply(leaf(1.0))
    z.backward()
    with pytest.raises(GradientError, match="second time"):
        z.backward()
    with pytest.raises(GradientError, match=r"call Square\.apply"):
        Square()
    with pytest.raises(GradientError, match=r"Function\.forward is missing"):
        autograd.Function.apply(tf.ones(1))
    with pytest.raises(ArgumentError, match="takes tensors, not int"):
        autograd.FunctionCtx().save_for_backward(3)


def test_gradients_take_the_shape_and_type_of_their_arguments():
    class Given(autograd.Function):
        @staticmethod
        def forward(ctx, x, gradient):
            ctx.gradient = gradient
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return ctx.gradient, None

    x = leaf(1.0, 2.0)
    Given.apply(x, tf.ones(5, 2, dtype=tf.float32)).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0] and x.grad.dtype is tf.float64
    for wrong in (tf.ones(()), tf.ones(3)):
        with pytest.raises(
            GradientError, match=r"Given\.backward returned a gradient of shape .* whose shape is \(2,\)"
        ):
            Given.apply(x, wrong).sum().backward()


def test_what_transformations_cannot_do_with_a_function_is_an_error():
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match="no forward-mode derivative"):
        F.jvp(Square.apply, (x.detach(),), (x.detach(),))
    with pytest.raises(GradientError, match=r"vmap\(grad\(f\)\)"):
        F.vmap(Square.apply)(x)
