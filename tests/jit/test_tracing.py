"""What tracing keeps, prints and refuses; and that nothing of it stays behind."""

# ruff: noqa: T201

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import GradientError, TraceError
from twinflow.tensor import MODE, SPECIAL


def test_print_shows_the_value_of_every_call(capsys):
    w = tf.ones(2)

    @tf.compile
    def step(x):
        y = x * 2
        print("y is", y)
        print(f"{w}")
        with tf.no_grad():
            w.add_(1)
        return y

    step(tf.tensor([1.0, 2.0]))
    first = capsys.readouterr().out
    assert "y is <float32[2], printed when the function runs>" in first
    assert 'print("y is", y)  ->  tensor([2., 4.])' in first and "tensor([1., 1.])" in first
    step(tf.tensor([5.0, 6.0]))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].endswith("tensor([10., 12.])") and lines[1].endswith("tensor([2., 2.])")
    assert "test_tracing.py" in lines[0] and "in step" in lines[0]


def test_print_in_a_scan_shows_every_step_and_in_a_branch_is_refused(capsys):
    def body(c, x):
        print(c)
        return c + x, c * 2

    last, ys = tf.compile(lambda xs: tf.scan(body, tf.tensor(0.0), xs))(tf.tensor([1.0, 2.0, 3.0]))
    assert "tensor([0., 1., 3.])" in capsys.readouterr().out
    assert last.item() == 6 and ys.tolist() == [0, 2, 6]
    with pytest.raises(TraceError, match="print it outside"):
        tf.compile(lambda x: tf.cond(x > 0, lambda: print(x) or x, lambda: x))(tf.tensor(1.0))


@pytest.mark.parametrize("place", ["step", "scan", "cond", "vmap", "jvp", "backward"])
def test_an_exception_anywhere_leaves_nothing_behind(place):
    w = tf.ones(3, requires_grad=True)
    buffer = tf.zeros(3)

    class Boom(Exception):
        pass

    def boom(*_):
        raise Boom

    def step(x):
        w.grad = None
        buffer.add_(x)
        (w * x).sum().backward()
        if place == "step":
            boom()
        elif place == "scan":
            tf.scan(boom, x, length=2)
        elif place == "cond":
            tf.cond(x.sum() > 0, boom, boom)
        elif place == "vmap":
            tf.func.vmap(boom)(x)
        elif place == "jvp":
            tf.func.jvp(boom, (x,), (x,))
        else:
            y = w * 2
            y.register_hook(boom)
            y.sum().backward()

    w.grad = before = tf.ones(3)
    with pytest.raises(Boom):
        tf.compile(step)(tf.ones(3))
    assert MODE.tracer is None and MODE.transforms == () and SPECIAL.count == 0 and MODE.grad
    assert w.grad is before and buffer.tolist() == [0, 0, 0] and not buffer.requires_grad
    assert tf.compile(lambda x: x + buffer)(tf.ones(3)).tolist() == [1, 1, 1]


def test_recorded_writes_leave_outside_tensors_as_they_were():
    w, total = tf.ones(3, requires_grad=True), tf.zeros(3)

    @tf.compile
    def step(x):
        total.add_((w * x).detach())
        part = tf.zeros(3)
        part.add_(w * x)
        return part.sum()

    step(tf.ones(3))
    assert total.tolist() == [1, 1, 1] and total.is_leaf and not total.requires_grad


@pytest.mark.parametrize("how", ["global", "attribute", "container"])
def test_a_traced_tensor_that_escapes_is_an_error_that_says_so(how):
    kept = []
    held = type("Held", (), {})()

    def leak(x):
        y = x * 2
        if how == "attribute":
            held.value = y
        else:
            kept.append(y)
        return y

    tf.compile(leak)(tf.ones(2))
    escaped = held.value if how == "attribute" else kept[0]
    for use in (
        lambda: escaped + 1,
        lambda: escaped.sin(),
        lambda: tf.ones(2) @ escaped,
        lambda: escaped.mean(),
        lambda: escaped.reshape(2, 1),
        lambda: tf.stack([escaped, tf.ones(2)]),
        lambda: tf.ones(2).copy_(escaped),
        lambda: escaped.numpy(),
        lambda: float(escaped.sum()),
        lambda: tf.compile(lambda x: x + escaped)(tf.ones(2)),
        lambda: tf.func.vmap(lambda x: x + escaped)(tf.ones(2, 2)),
    ):
        with pytest.raises(TraceError, match="return it"):
            use()


def test_compiled_functions_nest():
    inner = tf.compile(lambda x: x.sin() * 2)

    @tf.compile
    def outer(x):
        return inner(x) + inner(x * 2)

    x = tf.tensor([0.5, 1.0], dtype=tf.float64)
    np.testing.assert_allclose(outer(x).numpy(), 2 * np.sin(x.numpy()) + 2 * np.sin(2 * x.numpy()))
    assert "sin" in str(outer.graph)


def test_hooks_on_kept_tensors_can_be_refused():
    graph = tf.autograd.graph
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(GradientError, match="not here"):
        with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass
    assert SPECIAL.count == 0
