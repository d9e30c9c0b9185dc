"""Large updates in plain evaluation run compiled: equal to the rule, in every situation an optimizer meets."""

import copy
import weakref

import numpy as np
import pytest

import twinflow as tf
from twinflow.optim import _updates

NAMES = [
    "SGD", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "Adadelta", "RMSprop", "Rprop", "ASGD", "Lion", "LAMB",
]  # fmt: skip


def parameters():
    rng = np.random.default_rng(0)
    return [
        tf.tensor(rng.normal(size=s), dtype="float32", requires_grad=True) for s in ((100, 70), (70,), (30, 70), (30,))
    ]


def give_gradients(params, seed, but=()):
    rng = np.random.default_rng(seed)
    for k, p in enumerate(params):
        g = tf.tensor(rng.normal(size=tuple(p.shape)), dtype="float32")
        p.grad = None if k in but else g


def run(compiled, monkeypatch, scenario):
    monkeypatch.setattr(_updates, "_LARGE", 1 if compiled else 1 << 62)
    params = parameters()
    optimizer = scenario(params)
    assert bool(optimizer._updates._known) is compiled
    return [p.tolist() for p in params], optimizer


def same(scenario, monkeypatch):
    want, _ = run(False, monkeypatch, scenario)
    got, optimizer = run(True, monkeypatch, scenario)
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    return optimizer


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_update_follows_the_rule(name, monkeypatch):
    def scenario(params):
        optimizer = getattr(tf.optim, name)(params, lr=0.01)
        for i in range(5):
            if i == 3:
                optimizer.param_groups[0]["lr"] *= 0.5
            give_gradients(params, i)
            optimizer.step()
        return optimizer

    optimizer = same(scenario, monkeypatch)
    assert optimizer._updates._made == 1  # a new rate is an input


def test_gradients_that_come_and_go(monkeypatch):
    def scenario(params):
        optimizer = tf.optim.Adam(params, lr=0.01)
        for i in range(6):
            give_gradients(params, i, but=(0, 3) if i % 2 else ())
            optimizer.step()
        return optimizer

    optimizer = same(scenario, monkeypatch)
    assert optimizer.state[optimizer.param_groups[0]["params"][0]]["step"].item() == 3


def test_options_groups_hooks_and_schedules(monkeypatch):
    def scenario(params):
        optimizer = tf.optim.SGD(
            [{"params": params[:2], "momentum": 0.5}, {"params": params[2:], "nesterov": True, "momentum": 0.9}], lr=0.1
        )
        schedule = tf.optim.lr_scheduler.StepLR(optimizer, 2)
        seen = []
        optimizer.register_step_post_hook(lambda *_: seen.append(1))
        for i in range(5):
            if i == 3:
                optimizer.param_groups[1]["weight_decay"] = 0.1
            give_gradients(params, i)
            optimizer.step()
            schedule.step()
        assert len(seen) == 5
        return optimizer

    same(scenario, monkeypatch)


def test_state_and_parameters_exchanged_by_hand(monkeypatch):
    def scenario(params):
        optimizer = tf.optim.Adam(params, lr=0.01)
        for i in range(5):
            if i == 1:
                optimizer.state[params[0]]["exp_avg"] = tf.ones(100, 70)
            if i == 2:
                fresh = tf.full((70,), 0.5, requires_grad=True)
                optimizer.state[fresh] = optimizer.state.pop(params[1])
                optimizer.param_groups[0]["params"][1] = params[1] = fresh
            if i == 3:
                optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            if i == 4:
                params[0].data = params[0].data * 2
            give_gradients(params, i)
            optimizer.step()
        return optimizer

    same(scenario, monkeypatch)


def test_an_optimizer_whose_parts_change_all_the_time_is_not_compiled_each_time(monkeypatch):
    def scenario(params):
        optimizer = tf.optim.Adam(params, lr=0.01)
        for i in range(12):
            give_gradients(params, i)
            optimizer.step()
            optimizer.state[params[0]]["exp_avg"] = tf.zeros(100, 70)
        return optimizer

    assert same(scenario, monkeypatch)._updates._made == _updates._MOST


def test_nothing_is_kept_alive(monkeypatch):
    monkeypatch.setattr(_updates, "_LARGE", 1)
    params = parameters()
    optimizer = tf.optim.Adam(params)
    for i in range(3):
        give_gradients(params, i)
        gradient = weakref.ref(params[0].grad._data)
        optimizer.step()
    optimizer.zero_grad()
    assert gradient() is None
    state = optimizer.state[params[0]]
    gone = [weakref.ref(x) for x in (optimizer, params[0], params[0]._data, state["exp_avg"]._data)]
    del optimizer, params, state
    assert [r() for r in gone] == [None] * 4  # at once, without the cycle collector


def test_versions_count_the_update(monkeypatch):
    monkeypatch.setattr(_updates, "_LARGE", 1)
    params = parameters()
    optimizer = tf.optim.SGD(params, lr=0.1)
    loss = (params[0] * params[0]).sum()
    give_gradients(params, 0)
    optimizer.step()
    with pytest.raises(tf.core.errors.GradientError, match="overwritten in place"):
        loss.backward()


def test_small_updates_stay_with_numpy():
    w = tf.ones(3, requires_grad=True)
    optimizer = tf.optim.SGD([w], lr=0.5)
    w.grad = tf.ones(3)
    optimizer.step()
    assert w.tolist() == [0.5, 0.5, 0.5]
    assert not optimizer._updates._known
