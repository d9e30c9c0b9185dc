"""Recording and walking back: accumulation, hooks, freeing, sharing of memory, and no reference cycles."""

import gc
import threading
import weakref

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import GradientError


@pytest.fixture
def x():
    return tf.tensor([1.0, 2.0, 3.0], requires_grad=True)


def test_gradients_of_two_backwards_add_up_in_the_same_tensor(x):
    (x * x).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    assert x.grad is first
    assert first.tolist() == [5.0, 7.0, 9.0]


def test_one_gradient_that_reaches_two_leaves_is_not_shared_memory(x):
    y = tf.zeros(3, requires_grad=True)
    (x + y).sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0, 1.0]


def test_the_given_gradient_is_not_taken_as_grad(x):
    g = tf.ones(3)
    x.backward(g)
    x.grad.zero_()
    assert g.tolist() == [1.0, 1.0, 1.0]


def test_a_retained_gradient_has_its_own_memory(x):
    y = x + 0.0
    y.retain_grad()
    y.sum().backward()
    x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0, 1.0]


def test_a_leaf_hook_replaces_the_gradient_and_keeps_what_it_saw(x):
    seen = []
    handle = x.register_hook(lambda g: seen.append(g) or g * 2)
    x.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]
    handle.remove()
    x.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0, 3.0]
    assert len(seen) == 1
    assert seen[0].tolist() == [1.0, 1.0, 1.0]


def test_a_hook_on_an_intermediate_result_changes_what_flows_on(x):
    y = x * 2
    y.register_hook(lambda g: g * 10)
    y.sum().backward()
    assert x.grad.tolist() == [20.0, 20.0, 20.0]


def test_a_second_backward_is_refused_unless_the_graph_was_retained(x):
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [4.0, 8.0, 12.0]
    with pytest.raises(GradientError, match="retain_graph=True"):
        loss.backward()


def test_a_second_backward_through_what_keeps_nothing(x):
    total = (x + 1.0).reshape(3, 1).sum()
    total.backward()
    total.backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_retained_gradient_is_what_all_hooks_have_left(x):
    y = x * 1.0
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.sum().backward()
    assert y.grad.tolist() == x.grad.tolist() == [2.0, 2.0, 2.0]


def test_a_kept_operand_that_was_overwritten_is_an_error(x):
    y = x * 1.0
    z = y * y
    y.add_(1.0)
    with pytest.raises(GradientError, match=r"derivative of mul needs operand 0 of shape \(3,\).*overwritten"):
        z.sum().backward()


def test_a_kept_result_that_was_overwritten_is_an_error(x):
    y = x.exp()
    z = y.sum()
    y.mul_(2.0)
    with pytest.raises(GradientError, match="derivative of exp needs its result"):
        (z + y.sum()).backward()


def test_scaling_in_place_keeps_nothing_of_what_it_overwrites(x):
    y = x * 1.0
    y.mul_(2.0).div_(4.0).sub_(1.0)
    y.mul_(tf.full((3,), 3.0))
    y.sum().backward()
    assert x.grad.tolist() == [1.5, 1.5, 1.5]


def test_operands_that_are_not_needed_may_be_overwritten(x):
    y = x * 1.0
    z = y + y
    y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


def test_backward_needs_one_element_or_a_gradient(x):
    with pytest.raises(GradientError, match="must have one element"):
        (x * 2).backward()
    with pytest.raises(GradientError, match=r"gradient of shape \(2,\) for a tensor of shape \(3,\)"):
        (x * 2).backward(tf.ones(2))
    with pytest.raises(GradientError, match="does not require gradients"):
        tf.ones(()).backward()


def test_gradients_of_chosen_inputs_leave_the_others_alone(x):
    w = tf.ones(3, requires_grad=True)
    y = x * w
    (y * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [2.0, 4.0, 6.0]
    assert w.grad is None


def test_gradient_with_respect_to_an_intermediate_result(x):
    y = x * 2
    z = (y * y).sum()
    gx, gy = tf.autodiff.grad(z, [x, y])
    assert gy.tolist() == [4.0, 8.0, 12.0]
    assert gx.tolist() == [8.0, 16.0, 24.0]


def test_paths_of_different_length_meet_before_the_walk_goes_on(x):
    y = x * 2
    calls = []
    y.register_hook(lambda g: calls.append(g.tolist()))
    (y.exp().log() + y).sum().backward()
    assert len(calls) == 1
    np.testing.assert_allclose(x.grad.numpy(), [4.0, 4.0, 4.0], rtol=1e-6)


def test_broadcast_operands_get_gradients_of_their_own_shape():
    a = tf.ones(4, 3, requires_grad=True)
    for shape in ((3,), (1,), (), (1, 1), (4, 1), (1, 3)):
        b = tf.ones(shape, requires_grad=True)
        (a * b).sum().backward()
        assert b.grad.shape == shape
        assert b.grad.sum().item() == 12.0


def test_create_graph_gives_gradients_that_can_be_differentiated(x):
    (g,) = tf.autodiff.grad((x.exp() * x).sum(), x, create_graph=True)
    (h,) = tf.autodiff.grad(g.sum(), x)
    v = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(h.numpy(), np.exp(v) * (v + 2), rtol=1e-6)


def test_a_long_chain_is_freed_without_recursion(x):
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.sum().backward()
    del y
    assert x.grad.tolist() == [1.0, 1.0, 1.0]


def test_graphs_are_freed_by_reference_counting_alone(x):
    w = tf.ones(3, 3, requires_grad=True)
    gc.collect()
    gc.disable()
    try:
        alive = []
        for _ in range(50):
            h = (x @ w).tanh().reshape(3, 1)
            part = h[1:].T.exp()
            loss = (part * part).mean() + h.sum()
            alive += [weakref.ref(h), weakref.ref(part), weakref.ref(loss)]
            loss.backward()
            del h, part, loss
        (x * w).sum()  # never walked back
        assert [r() for r in alive] == [None] * len(alive)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_grad_mode_belongs_to_a_thread(x):
    seen = []

    def other():
        seen.append(tf.is_grad_enabled())
        seen.append((x * 2).requires_grad)
        with tf.no_grad():
            go.set()
            done.wait(5)

    go, done = threading.Event(), threading.Event()
    with tf.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        go.wait(5)
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad  # though the other thread is inside no_grad
    done.set()
    thread.join()
    assert seen == [True, True]


def test_threads_walk_back_at_once_over_graphs_of_their_own():
    results = {}

    def run(k):
        w = tf.full((4,), float(k), requires_grad=True)
        for _ in range(50):
            w.grad = None
            (w * w).sum().backward()
        results[k] = w.grad.tolist()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: [2.0 * k] * 4 for k in range(4)}
