"""Derivatives written by hand in the bodies of compiled loops and branches: equal to those of plain evaluation."""

import numpy as np
import pytest

import twinflow as tf
from twinflow import autograd, nn
from twinflow import func as F
from twinflow.core.errors import GradientError, ShapeError, TraceError
from twinflow.graph import Aval
from twinflow.ops._body import subgraph
from twinflow.ops._custom_vjp import custom_vjp


class TripleTanh(autograd.Function):
    """tanh, with three times its derivative: a gradient through the primitive would show."""

    @staticmethod
    def forward(ctx, x):
        assert ctx.needs_input_grad == (True,)
        y = x.tanh()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        (y,) = ctx.saved_tensors
        return 3 * g * (1 - y * y)


class Scale(autograd.Function):
    """x · w · k with twice the gradient of x, and the sign of x, which has none."""

    @staticmethod
    def forward(ctx, x, w, k):
        ctx.save_for_backward(x, w)
        ctx.k = k
        sign = x.sign()
        ctx.mark_non_differentiable(sign)
        return x * w * k, sign

    @staticmethod
    def backward(ctx, g, _):
        x, w = ctx.saved_tensors
        return 2 * g * w * ctx.k, (g * x).sum(0) * ctx.k, None


class Square(autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.x = x
        return x * x

    @staticmethod
    @autograd.once_differentiable
    def backward(ctx, g):
        return 2 * ctx.x * g


@pytest.fixture
def start():
    return tf.full((2, 3), 0.3, dtype=tf.float64).requires_grad_()


@pytest.fixture
def weight():
    return tf.tensor([0.3, -0.5, 0.9], dtype=tf.float64, requires_grad=True)


@pytest.fixture
def steps():
    rng = np.random.default_rng(0)
    return tf.tensor(rng.uniform(-1, 1, (5, 2, 3)), requires_grad=True)


def agree(f, *args):
    """`f` gives the same compiled as in plain evaluation."""
    for a, b in zip(f(*args), tf.compile(f)(*args), strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12)


def run(c, xs, w):
    def step(c, x):
        a, sign = Scale.apply(c, w, 1.5)
        return TripleTanh.apply(a + x), a * sign + sign * c

    last, ys = tf.scan(step, c, xs)
    return (last * last).sum() + ys.sum()


def test_scan(start, weight, steps):
    agree(lambda c, xs: autograd.grad(run(c, xs, weight), [c, xs, weight]), start, steps)


def test_second_derivatives_of_scan(start, weight, steps):
    def f(c, xs):
        first = autograd.grad(run(c, xs, weight), [c, xs, weight], create_graph=True)
        return autograd.grad(sum((g * g).sum() for g in first), [c, xs, weight])

    agree(f, start, steps)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_cond(start, weight, sign):
    def f(c):
        y = tf.cond(
            c.sum() > 0,
            lambda x: Scale.apply(x, weight, 2.0)[0].sum(),
            lambda x: TripleTanh.apply(x).sum() + weight.sum(),
            (c,),
        )
        return autograd.grad(y, [c, weight])

    agree(f, (start.detach() * sign).requires_grad_())


def test_counted_loops(start, weight):
    def f(c):
        a = tf.fori_loop(0, 4, lambda i, v: TripleTanh.apply(v) * weight + i, c)
        b = tf.while_loop(lambda s: s[1] < 3, lambda s: (TripleTanh.apply(s[0]), s[1] + 1), (c, 0))[0]
        return autograd.grad(a.sum() + b.sum(), [c, weight])

    agree(f, start)


def test_vmap_of_scan(start, weight, steps):
    one = F.grad(lambda c, x: run(c[None], x[:, None], weight))
    agree(lambda c, xs: [F.vmap(one, in_dims=(0, 1))(c, xs)], start.detach(), steps.detach())


def test_backward_within_the_body(weight, steps):
    def f(xs):
        def step(w, x):
            w = w.detach().requires_grad_()
            (g,) = autograd.grad(TripleTanh.apply(w * x).sum(), w)
            return (w - 0.1 * g).detach(), None

        return [tf.scan(step, weight, xs)[0]]

    agree(f, steps.detach())


def test_an_input_written_in_place(start, steps):
    class Double(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    def f(c, xs):
        def step(c, x):
            y = c * 1
            Double.apply(y)
            return y + x, None

        return autograd.grad(tf.scan(step, c, xs)[0].sum(), [c])

    agree(f, start, steps)


def repeat(function, create_graph=False):
    def f(c):
        last, _ = tf.scan(lambda c, _: (function(c), None), c, length=3)
        return autograd.grad(last.sum(), c, create_graph=create_graph)[0]

    return f


def test_once_differentiable(start):
    agree(lambda c: [repeat(Square.apply)(c)], start)
    with pytest.raises(GradientError, match="no second derivative"):
        tf.compile(lambda c: autograd.grad(repeat(Square.apply, True)(c).sum(), c))(start)


def test_hooks_on_gradients_of_outputs(start, steps):
    model = nn.Linear(3, 3, dtype=tf.float64)
    model.register_full_backward_pre_hook(lambda module, gradients: tuple(2 * g for g in gradients))

    def f(c, xs):
        last, _ = tf.scan(lambda c, x: (model(c).tanh() + x, None), c, xs)
        return autograd.grad(last.sum(), [c, *model.parameters()])

    agree(f, start, steps)


def test_what_bodies_cannot_have_is_an_error(start):
    class Counts(autograd.Function):
        calls = tf.zeros(())

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            Counts.calls.add_(1)
            return g

    model = nn.Linear(3, 3, dtype=tf.float64)
    model.register_full_backward_hook(lambda module, of_inputs, of_outputs: None)

    def hooked(c):
        y = c * 2
        y.register_hook(lambda g: 2 * g)
        return y

    for function, message in (
        (Counts.apply, "writes a tensor in place"),
        (model, "full_backward_pre_hook"),
        (hooked, "register it outside"),
    ):
        with pytest.raises(TraceError, match=message):
            tf.compile(repeat(function))(start)
    with pytest.raises(GradientError, match="no forward-mode derivative"):
        tf.compile(lambda c: F.jvp(repeat(TripleTanh.apply), (c,), (c,)))(start.detach())


def test_the_primitive_checks_its_operands():
    three, four = Aval((3,), tf.float32), Aval((4,), tf.float32)
    graph = subgraph("backward", lambda g, y: [g * y], [three, three])
    params = {"backward": graph, "reaches": (1,), "n_result": 1, "rule": "f"}
    assert custom_vjp.out(three, three, **params) == (three,)
    with pytest.raises(ShapeError, match="gradient for tensor 0 has its shape"):
        custom_vjp.out(three, four, **params)
    with pytest.raises(ShapeError, match="the first 2 operands"):
        custom_vjp.out(three, **(params | {"n_result": 2}))
