"""The native way back over the tape does what the walk in Python does, to the bit."""

import gc
import tracemalloc

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import GradientError
from twinflow.runtime._c_api import can_call_python
from twinflow.tensor import _backward
from twinflow.tensor._door import open_doors

if not can_call_python():
    pytest.skip("machine code cannot call this interpreter", allow_module_level=True)


@pytest.fixture(autouse=True, scope="module")
def _open():
    assert open_doors()
    assert type(_backward._door.call).__name__ == "native_operation"


def leaf(*shape, seed=0, dtype="float32"):
    x = np.random.default_rng([seed, *shape]).uniform(0.2, 0.9, shape)
    return tf.tensor(x.astype(dtype), requires_grad=True)


def chain(x, w):
    return tf.tanh(x @ w).relu().sum()


def diamond(x, w):
    y = x * w
    return (y * y + y.exp() * 2.0).mean()


def several_results(x, w):
    a, b = (x @ w).split(2, dim=1)
    values, places = a.max(dim=1)
    return (values * b[:, 0]).sum() + places.sum()


def one_of_several(x, w):
    return (x @ w).split(2, dim=1)[1].sum()


def wide(x, w):
    return sum((x * k).sum() * w.sum() for k in range(1, 60))


def same_leaf_twice(x, w):
    return (x + x).sum() + w.sum()


def one_gradient_for_both(x, w):
    return (x + w).sum()


def layers(x, w):
    y = tf.nn.functional.linear(x, w, w[0])
    return tf.nn.functional.cross_entropy(y, tf.arange(4)) + tf.nn.functional.mse_loss(y, x)


def through_views(x, w):
    y = x.t().reshape(-1)[::2]
    return (y * w.reshape(-1)[:8]).sum()


PROGRAMS = [
    chain,
    diamond,
    several_results,
    one_of_several,
    wide,
    same_leaf_twice,
    one_gradient_for_both,
    layers,
    through_views,
]


def gradients(program, walk, monkeypatch, dtype="float32"):
    x, w = leaf(4, 4, dtype=dtype), leaf(4, 4, seed=1, dtype=dtype)
    with monkeypatch.context() as patch:
        patch.setattr(_backward._door, "call", walk)
        program(x, w).backward()
    found = [x.grad, w.grad]
    assert x.grad is None or w.grad is None or not np.shares_memory(x.grad.numpy(), w.grad.numpy())
    return [None if g is None else (g.numpy().dtype, g.shape, g.numpy().tobytes(), g.requires_grad) for g in found]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_gradients_are_those_of_the_walk_in_python(program, dtype, monkeypatch):
    native = gradients(program, _backward._door.call, monkeypatch, dtype)
    assert native == gradients(program, _backward._walk_plainly, monkeypatch, dtype)


def test_gradients_add_up_in_place():
    x = leaf(3)
    (x * 2.0).sum().backward()
    first = x.grad
    (x * 3.0).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 5.0, 5.0]


def test_a_gradient_has_memory_of_its_own():
    x = leaf(3)
    given = tf.ones(3)
    (x + 0.0).backward(given)
    x.grad.zero_()
    assert given.tolist() == [1.0, 1.0, 1.0]


def test_hooks_see_and_change_gradients():
    x, seen = leaf(3), []
    y = x * 2.0
    x.register_hook(lambda g: seen.append(g.tolist()))
    y.register_hook(lambda g: g * 10.0)
    y.grad_fn.register_hook(lambda ins, outs: (ins[0] + 1.0, *ins[1:]))
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    (y.sum() + x.sum()).backward()
    assert seen == [[22.0] * 3, [22.0] * 3]


def test_a_function_of_ones_own_with_two_results():
    class Both(tf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0, x * 3.0

        @staticmethod
        def backward(ctx, a, b):
            return a * 2.0 + b * 3.0

    x = leaf(3)
    a, b = Both.apply(x)
    (a.sum() + b.sum()).backward()
    assert x.grad.tolist() == [5.0, 5.0, 5.0]


def test_backward_inside_backward():
    class Inner(tf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            with tf.enable_grad():
                z = tf.ones(3, requires_grad=True)
                (z * g.detach()).sum().backward()
            return z.grad

    x = leaf(3)
    (Inner.apply(x) * 4.0).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0, 4.0]


def test_errors_are_those_of_the_walk_in_python():
    x = leaf(3)
    y = x * 1.0
    z = y.exp().relu() * y
    y.mul_(2.0)
    with pytest.raises(GradientError, match="overwritten in place"):
        z.sum().backward()
    loss = tf.nn.functional.mse_loss(x, tf.zeros(3))
    loss.backward()
    with pytest.raises(GradientError, match="a second time"):
        loss.backward()


def test_an_error_on_the_way_loses_nothing():
    class Fails(tf.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            raise KeyboardInterrupt

    def once():
        x = leaf(64, 64)
        y = Fails.apply(x)
        loss = sum((x * k).sum() for k in range(20)) + y.sum()
        with pytest.raises(KeyboardInterrupt):
            loss.backward()

    for _ in range(3):
        once()
    gc.collect()
    tracemalloc.start()
    for _ in range(20):
        once()
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 64 * 64 * 4


def test_memory_does_not_grow():
    x, w = leaf(4, 4), leaf(4, 4, seed=1)

    def turns(n):
        for _ in range(n):
            for program in PROGRAMS:
                x.grad = w.grad = None
                program(x, w).backward()

    turns(20)
    gc.collect()
    tracemalloc.start()
    turns(300)
    gc.collect()
    left, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert left < 80_000  # CPython's free lists fill slowly; an object a walk would be 130 kB


def test_a_gradient_that_was_repeated_once_can_be_written():
    """Of one element, what `expand` gives is contiguous, and yet not to be written to."""
    w = tf.tensor([1.0], requires_grad=True)
    (w.sum() * 2).backward()
    w.grad.mul_(3)
    assert w.grad.tolist() == [6]
