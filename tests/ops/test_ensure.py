"""`ensure`: conditions that hold, and steps that stop before they update anything."""

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import CheckError
from twinflow.jit import interpreted


def test_a_condition_that_holds_changes_nothing():
    tf.ensure(True, "fine")
    tf.ensure(tf.tensor([True, True]), "fine")
    tf.ensure(tf.zeros(0, dtype=tf.bool), "of no element, each is true")


@pytest.mark.parametrize("condition", [False, tf.tensor(False), tf.tensor([True, False]), tf.tensor([1.0, 0.0])])
def test_plain_evaluation_raises_at_once(condition):
    with pytest.raises(CheckError, match="two is wrong"):
        tf.ensure(condition, "two is wrong")


@pytest.mark.parametrize("backend", [None, interpreted])
def test_a_compiled_step_stops_before_it_updates_anything(backend):
    tf.manual_seed(0)
    model = tf.nn.Sequential(tf.nn.Linear(3, 4), tf.nn.BatchNorm1d(4), tf.nn.Linear(4, 1))
    optimizer = tf.optim.Adam(model.parameters())

    def step(x):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        tf.ensure(loss.isfinite(), "the loss is not finite")
        optimizer.step()
        return loss

    run = tf.compile(step) if backend is None else tf.compile(step, backend=backend)
    x = tf.randn(8, 3)
    for _ in range(4):  # the call path written for the program is tested too
        assert np.isfinite(run(x).item())
    before = [t.clone() for t in model.state_dict().values()]
    moments = [t.clone() for t in optimizer.state_dict()["state"][0].values() if isinstance(t, tf.Tensor)]
    for _ in range(2):
        with pytest.raises(CheckError, match="the loss is not finite") as caught:
            run(x / 0)
        assert "tf.ensure(loss.isfinite()" in str(caught.value)  # the user's line
    if backend is None:  # the interpreter stops too, where the condition stands; nothing was written then either
        assert all((a == b).all() for a, b in zip(before, model.state_dict().values()))
        after = [t for t in optimizer.state_dict()["state"][0].values() if isinstance(t, tf.Tensor)]
        assert all((a == b).all() for a, b in zip(moments, after))
    assert np.isfinite(run(x).item())


def test_what_the_condition_itself_needs_is_not_written_either():
    total = tf.zeros(3)

    @tf.compile
    def add(x):
        total.add_(x)
        tf.ensure(total < 10, "the total is too large")
        return total.sum()

    add(tf.ones(3))
    with pytest.raises(CheckError, match="too large"):
        add(tf.full((3,), 20.0))
    assert total.tolist() == [1, 1, 1]


def test_a_condition_is_never_dead_code_and_survives_passes():
    step = tf.compile(lambda x: (tf.ensure(x > 0, "positive"), x * 2)[1])
    with pytest.raises(CheckError, match="positive"):
        step(tf.tensor([1.0, -1.0]))
    assert any(n.op == "ensure" for n in step.graph.nodes)
    assert any(n.op == "ensure" for n in tf.graph.passes.drop_dead(step.graph).nodes)


def test_under_vmap_every_element_must_hold():
    def f(x):
        tf.ensure(x > 0, "positive")
        return x.sqrt()

    assert tf.vmap(f)(tf.tensor([1.0, 4.0])).tolist() == [1, 2]
    with pytest.raises(CheckError, match="positive"):
        tf.vmap(f)(tf.tensor([1.0, -4.0]))


def test_inside_a_loop_it_ends_the_step_too():
    @tf.compile
    def loop(xs):
        def body(total, x):
            tf.ensure(x > 0, "positive")
            return total + x, total

        return tf.scan(body, tf.zeros(()), xs)[0]

    assert loop(tf.ones(3)).item() == 3
    with pytest.raises(CheckError, match="positive"):
        loop(tf.tensor([1.0, -1.0, 1.0]))
