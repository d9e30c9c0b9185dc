"""Lion, LAMB and Muon against their equations in NumPy; L-BFGS against PyTorch's path; averages of weights."""

import copy
import math

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn
from twinflow.core.errors import ArgumentError, ShapeError, TraceError
from twinflow.optim import LAMB, LBFGS, SGD, Lion, Muon, swa_utils

W = np.random.default_rng(0).normal(size=(5, 3))
X = np.random.default_rng(1).normal(size=(7, 5))


def gradient(w):
    return 2 * X.T @ (X @ w) / (7 * 3)


def steps(make, n=4, compiled=False):
    w = tf.tensor(W, requires_grad=True)
    x = tf.tensor(X)
    optimizer = make([w])

    def step():
        optimizer.zero_grad()
        ((x @ w) ** 2).mean().backward()
        optimizer.step()

    step = tf.compile(step) if compiled else step
    for _ in range(n):
        step()
    return np.array(w.tolist())


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_lion(compiled):
    w, m = W.copy(), np.zeros_like(W)
    for _ in range(4):
        g = gradient(w)
        w = w * (1 - 0.01 * 0.1) - 0.01 * np.sign(0.9 * m + 0.1 * g)
        m = 0.99 * m + 0.01 * g
    np.testing.assert_allclose(steps(lambda p: Lion(p, lr=0.01, weight_decay=0.1), compiled=compiled), w, rtol=1e-10)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("corrected", [False, True])
def test_lamb(compiled, corrected):
    w, m, v = W.copy(), np.zeros_like(W), np.zeros_like(W)
    for t in range(1, 5):
        g = gradient(w)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        a, b = (1 - 0.9**t, 1 - 0.999**t) if corrected else (1, 1)
        r = m / a / (np.sqrt(v / b) + 1e-6) + 0.01 * w
        w = w - 0.1 * np.linalg.norm(w) / np.linalg.norm(r) * r
    found = steps(lambda p: LAMB(p, lr=0.1, bias_correction=corrected), compiled=compiled)
    np.testing.assert_allclose(found, w, rtol=1e-8)


def test_lamb_moves_weights_that_are_zero():
    w = tf.zeros(2, requires_grad=True)
    w.grad = tf.ones(2)
    LAMB([w], lr=0.1).step()
    np.testing.assert_allclose(w.tolist(), [-0.1, -0.1], rtol=1e-5)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize("adjust", [None, "match_rms_adamw"])
def test_muon(compiled, adjust):
    w, b = W.copy(), np.zeros_like(W)
    factor = math.sqrt(5 / 3) if adjust is None else 0.2 * math.sqrt(5)
    for _ in range(4):
        g = gradient(w)
        b = 0.95 * b + 0.05 * g
        x = (0.95 * b + 0.05 * g).T
        x = x / np.linalg.norm(x)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        w = w * (1 - 0.02 * 0.1) - 0.02 * factor * x.T
    np.testing.assert_allclose(steps(lambda p: Muon(p, lr=0.02, adjust_lr_fn=adjust), compiled=compiled), w, rtol=1e-9)


def test_muons_step_is_nearly_orthogonal():
    w = tf.zeros(6, 6, dtype="float64").requires_grad_()
    w.grad = tf.tensor(np.random.default_rng(0).normal(size=(6, 6)) + 3 * np.eye(6))
    Muon([w], lr=1.0, momentum=0.0, nesterov=False).step()
    assert np.linalg.svd(np.array(w.tolist()), compute_uv=False).max() < 1.3
    assert np.linalg.svd(np.array(w.tolist()), compute_uv=False).min() > 0.6


# Four steps on a chain of Rosenbrock's valleys from (-1.2, 1, 0.5) in float64: losses at the start of each step, end point and
# number of evaluations of PyTorch 2.13.0.
VALLEYS = [
    (
        {"lr": 0.001, "max_iter": 8},
        [49.2, 48.4959113485, 47.8584202885, 47.2143227293],
        [-1.19367498, 0.99784707, 0.510665144],
        32,
    ),
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 6, "history_size": 3},
        [49.2, 3.59560130264, 3.30905994757, 2.91506115344],
        [-0.17844805, 0.0208781298, 0.000412606535],
        30,
    ),
    ({"line_search_fn": "strong_wolfe"}, [49.2, 2.45198752956, 0.0419132534, 0.0], [1, 1, 1], 63),
]


def valley(options, again=None):
    x = tf.tensor([-1.2, 1.0, 0.5], dtype="float64", requires_grad=True)
    optimizer = LBFGS([x], **options)

    def closure():
        optimizer.zero_grad()
        loss = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
        loss.backward()
        return loss

    losses = []
    for k in range(4):
        if again == k:
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = LBFGS([x], **options)
            optimizer.load_state_dict(saved)
        losses.append(optimizer.step(closure).item())
    return losses, x.tolist(), optimizer.state[x]["func_evals"]


@pytest.mark.parametrize(("options", "losses", "end", "evaluations"), VALLEYS)
def test_lbfgs_follows_pytorchs_path(options, losses, end, evaluations):
    found = valley(options)
    np.testing.assert_allclose(found[0], losses, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found[1], end, rtol=1e-5)
    assert found[2] == evaluations
    assert valley(options, again=2) == found


def test_lbfgs_refuses_what_it_cannot_do():
    x = tf.ones(2, requires_grad=True)
    with pytest.raises(ArgumentError, match=r"step\(closure\) needs a function"):
        LBFGS([x]).step()
    with pytest.raises(ArgumentError, match="one group"):
        LBFGS([{"params": [x]}, {"params": [tf.ones(1)]}])
    with pytest.raises(ArgumentError, match="'strong_wolfe'"):
        LBFGS([x], line_search_fn="armijo")
    with pytest.raises(TraceError, match="compile the closure instead"):
        tf.compile(lambda: LBFGS([x]).step(lambda: x.sum()))()


def test_muon_takes_matrices():
    with pytest.raises(ShapeError, match=r"one has shape \(3,\); give it to another optimizer"):
        Muon([tf.ones(3)])
    with pytest.raises(ArgumentError, match="adjust_lr_fn is"):
        Muon([tf.ones(3, 3)], adjust_lr_fn="rms")
    with pytest.raises(ArgumentError, match="ns_steps must be"):
        Muon([tf.ones(3, 3)], ns_steps=0)


def averaged(compiled, **options):
    model = nn.Linear(1, 1, bias=False)
    average = swa_utils.AveragedModel(model, **options)

    def step(value):
        with tf.no_grad():
            model.weight.fill_(value)
        average.update_parameters(model)

    step = tf.compile(step) if compiled else step
    for value in (8.0, 2.0, 5.0):
        step(tf.tensor(value))
    return average.module.weight.item(), average.n_averaged.item()


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_averages_of_weights(compiled):
    assert averaged(compiled) == (pytest.approx(5.0), 3)
    ema = 0.5 * (0.5 * 8 + 0.5 * 2) + 0.5 * 5
    assert averaged(compiled, avg_fn=swa_utils.get_ema_avg_fn(0.5))[0] == pytest.approx(ema)
    assert averaged(compiled, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5))[0] == pytest.approx(ema)
    assert averaged(compiled, multi_avg_fn=swa_utils.get_swa_multi_avg_fn())[0] == pytest.approx(5.0)


def test_wrong_averages():
    with pytest.raises(ArgumentError, match="exclude each other"):
        swa_utils.AveragedModel(nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max)
    with pytest.raises(ArgumentError, match="decay must be between"):
        swa_utils.get_ema_avg_fn(2.0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {},
            [
                0.1,
                0.09804226,
                0.09236068,
                0.08351141,
                0.07236068,
                0.06,
                0.04763932,
                0.03648859,
                0.02763932,
                0.02195774,
                0.02,
                0.02,
            ],
        ),
        ({"anneal_epochs": 4, "anneal_strategy": "linear"}, [0.1, 0.08, 0.06, 0.04, 0.02, 0.02]),
        ({"anneal_epochs": 0}, [0.02, 0.02, 0.02]),
    ],
)
def test_swalr_matches_pytorch(options, expected):
    o = SGD([tf.ones(1, requires_grad=True)], lr=0.1)
    schedule = swa_utils.SWALR(o, 0.02, **options)
    found = []
    for _ in expected:
        found.append(o.param_groups[0]["lr"])
        o.step()
        schedule.step()
    assert found == pytest.approx(expected, rel=1e-6)


def test_wrong_swalr():
    o = SGD([tf.ones(1, requires_grad=True)])
    with pytest.raises(ArgumentError, match="'cos' or 'linear'"):
        swa_utils.SWALR(o, 0.1, anneal_strategy="exp")
    with pytest.raises(ArgumentError, match="anneal_epochs must be"):
        swa_utils.SWALR(o, 0.1, anneal_epochs=-1)


def test_update_bn():
    model = nn.Sequential(nn.BatchNorm1d(2))
    x = tf.tensor([[1.0, 2.0], [3.0, 6.0]])
    swa_utils.update_bn([[x], [x + 2.0]], model)
    np.testing.assert_allclose(model[0].running_mean.tolist(), [3.0, 5.0])
    assert model[0].momentum == 0.1
