"""Memory stays flat: over many predictions, over training steps, and over models that are built and dropped."""

import gc
import resource
import sys
from pathlib import Path

import pytest

import twinflow as tf
from twinflow.tensor._door import open_doors


@pytest.fixture(autouse=True)
def _open():
    """Small operations get their native ways after a thousand calls, and what these hold stays: so before anything is counted."""
    open_doors()


def _net():
    return tf.nn.Sequential(tf.nn.Linear(8, 16), tf.nn.ReLU(), tf.nn.Linear(16, 4))


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _growth(run, times):
    """(objects, bytes) that `times` runs leave behind, without the help of the cycle collector."""
    for _ in range(50):
        run()
    gc.collect()
    gc.disable()
    try:
        objects, nbytes = len(gc.get_objects()), _resident()
        for _ in range(times):
            run()
        return len(gc.get_objects()) - objects, _resident() - nbytes
    finally:
        gc.enable()


def _is_flat(run, times):
    objects, nbytes = _growth(run, times)
    assert objects < 20
    assert nbytes < 8e6


@pytest.mark.parametrize("recorded", [True, False])
def test_ten_thousand_predictions_leave_nothing_behind(recorded):
    net, x = _net(), tf.randn(2, 8)

    def predict():
        with tf.set_grad_enabled(recorded):
            net(x)

    _is_flat(predict, 10_000)


def test_training_steps_leave_nothing_behind():
    net, x, y = _net(), tf.randn(4, 8), tf.randn(4, 4)
    optimizer = tf.optim.Adam(net.parameters())

    def step():
        optimizer.zero_grad()
        tf.nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()

    _is_flat(step, 500)


def test_two_hundred_models_are_dropped_with_all_they_hold():
    def run():
        net = _net()
        optimizer = tf.optim.Adam(net.parameters())
        net(tf.ones(2, 8)).sum().backward()
        optimizer.step()

    _is_flat(run, 200)


def test_models_whose_optimizer_compiles_its_update_are_dropped_too():
    def run():
        net = tf.nn.Sequential(tf.nn.Linear(300, 40), tf.nn.ReLU(), tf.nn.Linear(40, 4))
        optimizer = tf.optim.Adam(net.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            net(tf.ones(2, 300)).sum().backward()
            optimizer.step()
        assert optimizer._updates._known

    for _ in range(20):
        run()
    gc.collect()
    objects, nbytes = len(gc.get_objects()), _resident()
    for _ in range(60):
        run()
    gc.collect()  # nodes and their graph hold each other; what is large is freed at once (tests/optim/test_updates.py)
    assert len(gc.get_objects()) - objects < 200
    assert _resident() - nbytes < 8e6


def test_what_is_loaded_later_is_there_when_asked_for():
    assert tf.data is sys.modules["twinflow.data"]
    assert callable(tf.save)
    assert "metrics" in dir(tf)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        tf.missing  # noqa: B018
