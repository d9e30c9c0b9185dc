"""Functions that change a tensor's shape in place: views from before go on looking at what it was."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import GradientError, ShapeError


def row_written_after_transposing(h):
    v = h[0]
    h.t_()
    v.mul_(3.0)
    return (h * tf.arange(6.0).reshape(3, 2)).sum()


def element_written_before_the_row_is_read(h):
    v = h[0]
    h.t_()
    h[1, 0] = 5.0
    return (v * tf.tensor([1.0, 2.0, 3.0])).sum()


def axis_added_and_removed(h):
    h.unsqueeze_(0)
    v = h[0, 1]
    h.squeeze_(0)
    v.mul_(3.0)
    return (h * tf.arange(6.0).reshape(2, 3)).sum()


def transposed_twice(h):
    v = h[1]
    h.t_()
    v2 = h[0]
    h.t_()
    v.mul_(3.0)
    v2.mul_(2.0)
    return (h * tf.arange(6.0).reshape(2, 3)).sum()


def view_transposed(h):
    u = h[:, 1:]
    v = u[0]
    u.t_()
    v.mul_(4.0)
    return (u * tf.arange(4.0).reshape(2, 2)).sum() + h.sum()


def view_of_a_view(h):
    v = h[0]
    u = v[1:]
    h.unsqueeze_(0)
    u.mul_(3.0)
    return (v * h[0, 1]).sum()


def row_written_with_a_constant(h):
    v = h[0]
    h.transpose_(0, 1)
    v.zero_()
    return h.sum()


# (function, gradient of x for h = 1·x, x = arange(6).reshape(2, 3)); values as PyTorch 2.13 gives them
CASES = {
    row_written_after_transposing: [[0, 6, 12], [1, 3, 5]],
    element_written_before_the_row_is_read: [[1, 0, 3], [0, 0, 0]],
    axis_added_and_removed: [[0, 1, 2], [9, 12, 15]],
    transposed_twice: [[0, 1, 2], [18, 12, 15]],
    view_transposed: [[1, 4, 12], [1, 2, 4]],
    view_of_a_view: [[3, 12, 15], [0, 3, 6]],
    row_written_with_a_constant: [[0, 0, 0], [1, 1, 1]],
}


@pytest.fixture
def x():
    return tf.arange(6.0).reshape(2, 3).clone().requires_grad_()


@pytest.mark.parametrize("look", [False, True], ids=["unasked", "asked"])
@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.__name__)
def test_gradients_through_views_from_before(case, traced, look, x):
    def gradient(x):
        h = x * 1.0
        if look:
            assert h[0]._base is h  # views are tied when somebody asks, or when it matters
        return tf.autodiff.grad(case(h), [x])[0]

    got = (tf.compile(gradient) if traced else gradient)(x)
    np.testing.assert_array_equal(got.numpy(), np.array(CASES[case], np.float32))


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "traced"])
def test_values_written_through_views_from_before(traced):
    def write(x):
        t = x * 1.0
        v, last = t[0], t[:, 2:]
        t.t_()
        v.add_(10.0)
        t.unsqueeze_(1)
        last.sub_(1.0)
        t[1].fill_(7.0)
        return t, v, last

    t, v, last = (tf.compile(write) if traced else write)(tf.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(t.numpy(), [[[10, 3]], [[7, 7]], [[11, 4]]])
    np.testing.assert_array_equal(v.numpy(), [10, 7, 11])
    np.testing.assert_array_equal(last.numpy(), [[11], [4]])


@pytest.mark.parametrize("asked", [False, True])
def test_a_tensor_without_gradients_joins_the_tape_through_a_view_from_before(asked):
    t = tf.zeros(2, 3)
    v = t[0]
    if asked:
        assert v._version == 0
    t.t_()
    w = tf.ones(3, requires_grad=True)
    v.add_(w)
    assert t.requires_grad
    (t * tf.arange(6.0).reshape(3, 2)).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [0, 2, 4])


@pytest.mark.parametrize("asked", [False, True])
def test_a_view_from_before_joins_the_tape_when_the_reshaped_tensor_is_written(asked):
    t = tf.zeros(2, 3)
    v = t[0]
    if asked:
        assert v._version == 0
    t.t_()
    w = tf.ones(3, 2, requires_grad=True)
    t.add_(w)
    (v * tf.tensor([1.0, 2.0, 3.0])).sum().backward()
    np.testing.assert_array_equal(v.detach().numpy(), [1, 1, 1])
    np.testing.assert_array_equal(w.grad.numpy(), [[1, 0], [2, 0], [3, 0]])


def test_the_change_counts_as_a_write(x):
    z = tf.ones(2, 3, requires_grad=True)
    h = x * 2
    y = h * z
    v = h[0]
    h.unsqueeze_(0)
    assert h._version == v._version == 1
    with pytest.raises(GradientError, match=r"mul needs operand 0 .* overwritten"):
        y.sum().backward()


def test_retained_gradients_and_hooks_stay_with_the_value(x):
    h = x * 1.0
    seen = []
    h.register_hook(lambda g: seen.append(tuple(g.shape)))
    h.retain_grad()
    h.t_()
    (h * tf.arange(6.0).reshape(3, 2)).sum().backward()
    np.testing.assert_array_equal(h.grad.numpy(), np.arange(6.0).reshape(3, 2))
    assert seen == [(2, 3)]


def test_a_leaf_that_requires_gradients_keeps_its_shape(x):
    for mode in (tf.enable_grad, tf.no_grad):
        with mode(), pytest.raises(ShapeError, match=r"t_: the shape of a leaf .* use t, or assign to \.data"):
            x.t_()


def test_a_leaf_without_gradients_may_change_and_then_require_them():
    t = tf.zeros(1, 3).squeeze_()
    t.requires_grad_()
    (t * 2).sum().backward()
    assert t.is_leaf
    np.testing.assert_array_equal(t.grad.numpy(), [2, 2, 2])
