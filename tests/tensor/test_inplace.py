"""In-place operations: what they write, what they refuse, and where the tape goes."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core import tree_map
from twinflow.core.errors import DTypeError, GradientError, ShapeError


def test_the_same_tensor_is_written_and_returned():
    x = tf.ones(3)
    same = x.add_(1.0)
    assert same is x
    array = x.numpy()
    x.mul_(tf.tensor([1.0, 2.0, 3.0])).sub_(1).div_(2.0)
    assert array.tolist() == [0.5, 1.5, 2.5]
    x += 1
    assert array.tolist() == [1.5, 2.5, 3.5]


def test_a_leaf_that_requires_gradients_is_written_only_without_recording():
    x = tf.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match=r"inside `with no_grad\(\):`"):
        x.add_(1.0)
    with tf.no_grad():
        x.add_(1.0)
    assert x.tolist() == [2.0, 2.0]
    assert x.is_leaf
    assert x.requires_grad


def test_a_result_does_not_change_shape_or_category():
    with pytest.raises(ShapeError, match="never change the shape"):
        tf.ones(2).add_(tf.ones(3, 2))
    with pytest.raises(DTypeError, match="float32 result cannot be written into a int64 tensor"):
        tf.arange(3).add_(0.5)
    x = tf.ones(2, dtype=tf.float16)
    x.add_(tf.ones(2))
    assert x.dtype is tf.float16


def test_adding_a_tensor_of_another_shape_broadcasts_into_the_target():
    x = tf.zeros(2, 3)
    x.add_(tf.tensor([1.0, 2.0, 3.0]))
    assert x.tolist() == [[1.0, 2.0, 3.0]] * 2


def test_a_tensor_without_gradients_joins_the_tape():
    w = tf.tensor([2.0, 3.0], requires_grad=True)
    x = tf.ones(2)
    x.mul_(w)
    assert x.requires_grad
    assert not x.is_leaf
    x.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]


def test_assigning_a_constant_takes_the_tensor_off_the_tape_where_it_was_written():
    w = tf.ones(3, requires_grad=True)
    x = w * 2.0
    x[1] = 7.0
    x.sum().backward()
    assert w.grad.tolist() == [2.0, 0.0, 2.0]


def test_items_are_set_by_numbers_tensors_slices_and_masks():
    x = tf.zeros(2, 3)
    x[0, 1] = 5
    x[1] = tf.tensor([1.0, 2.0, 3.0])
    x[:, 0] = 9.0
    x[x == 5] = -1.0
    assert x.tolist() == [[9.0, -1.0, 0.0], [9.0, 2.0, 3.0]]


def test_setting_an_item_counts_as_a_write():
    w = tf.ones(3, requires_grad=True)
    x = tf.ones(3)
    y = x * w
    x[0] = 2.0
    with pytest.raises(GradientError, match="overwritten in place"):
        y.sum().backward()


def test_setting_an_item_of_a_leaf_is_refused():
    w = tf.ones(3, requires_grad=True)
    with pytest.raises(GradientError, match="leaf"):
        w[0] = 2.0
    with tf.no_grad():
        w[0] = 2.0
    assert w.tolist() == [2.0, 1.0, 1.0]


def test_writing_to_detached_memory_is_noticed():
    w = tf.ones(3, requires_grad=True)
    x = w * 1.0
    y = x * x
    x.detach().add_(1.0)
    with pytest.raises(GradientError, match="overwritten in place"):
        y.sum().backward()


@pytest.mark.parametrize("op", ["exp_", "tanh_", "sigmoid_", "relu_", "sqrt_", "neg_", "square_", "reciprocal_"])
def test_gradients_through_in_place_functions_equal_those_of_the_functions(op):
    v = np.array([0.5, 1.5, 2.5], np.float32)
    grads = []
    for fn in (lambda t: getattr(t, op)(), lambda t: getattr(tf, op[:-1])(t)):
        x = tf.tensor(v, requires_grad=True)
        (fn(x * 1.0) * 3.0).sum().backward()
        grads.append(x.grad.tolist())
    assert grads[0] == grads[1]


@pytest.mark.parametrize("scale", [0.0, -0.0, float("nan"), float("inf"), 2, True])
def test_numbers_beside_tensors_keep_their_sign_and_kind(scale):
    x = np.array([1.0, -1.0, 0.0], np.float32)
    for _ in range(2):  # numbers are remembered
        with np.errstate(all="ignore"):
            want = x * np.float32(scale)
        got = (tf.tensor(x) * scale).numpy()
        np.testing.assert_array_equal(got, want)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_a_traced_step_writes_the_same_as_an_eager_one():
    def step(x, w):
        y = x * 1.0
        y.mul_(w).add_(1.0)
        y[0] = 4.0
        return y

    x, w = tf.tensor([1.0, 2.0]), tf.tensor([3.0, 5.0])
    assert step(x, w).tolist() == tf.compile(step)(x, w).tolist() == [4.0, 11.0]
    assert x.tolist() == [1.0, 2.0]


def _writes_data(x, w):
    w.data.add_(1.0)
    y = x * w
    y.data.mul_(2.0)
    y[0].detach().add_(5.0)
    return y


def _writes_a_view_of_what_was_detached(x, w):
    h = x * w
    d = h.detach()
    v = d[1:]
    v += 3.0
    d[0] = 9.0
    return h, d, v


def _writes_under_what_was_detached(x, w):
    d = (x * 1.0).detach()
    kept = w.data
    with tf.no_grad():
        w.mul_(3.0)
    return d + kept, w * 1.0


@pytest.mark.parametrize("f", [_writes_data, _writes_a_view_of_what_was_detached, _writes_under_what_was_detached])
def test_what_was_detached_shares_memory_in_traced_functions_too(f):
    seen = []
    for run in (f, tf.compile(f)):
        x, w = tf.tensor([4.0, 5.0, 6.0]), tf.tensor([1.0, 2.0, 3.0], requires_grad=True)
        results = [run(x, w), run(x, w)]
        seen.append((tree_map(lambda t: t.tolist(), results), x.tolist(), w.tolist()))
    assert seen[0] == seen[1]


def test_a_compiled_step_by_hand_on_data_moves_the_parameter():
    w = tf.tensor([1.0, 2.0], requires_grad=True)

    @tf.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()
        w.data.add_(w.grad, alpha=-0.5)

    step(tf.tensor([2.0, 4.0]))
    step(tf.tensor([2.0, 4.0]))
    assert w.tolist() == [-1.0, -2.0]


def test_detach_drops_the_tangent_of_forward_mode():
    y, tangent = tf.func.jvp(lambda x: x.detach() * x, (tf.tensor(3.0),), (tf.tensor(1.0),))
    assert (y.item(), tangent.item()) == (9.0, 3.0)


def test_vmap_sees_a_write_to_data():
    assert tf.func.vmap(lambda v: (v.data.add_(1.0), v * 2.0)[1])(tf.zeros(3)).tolist() == [2.0, 2.0, 2.0]
