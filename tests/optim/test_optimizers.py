"""Each optimizer against PyTorch's results, eager and traced; options, groups, saving, errors."""

import copy
import pickle

import numpy as np
import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.optim import SGD, Adam, AdamW, Optimizer

# Eight steps of least squares in float64 (see `train`), the rate halved after five: weights and biases of PyTorch 2.13.0.
GOLDEN = [
    ("SGD", {"lr": 0.1}, [-0.315657109, -0.29444128, 0.7027481, 0.332200991, 0.198149268, -0.0642584117]),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9},
        [-1.47485123, 0.930519056, -0.752050579, 0.409319401, 0.540293609, 0.0344388821],
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
        [-1.34002027, 0.989703197, -0.343057585, 0.201412886, 0.829056404, -0.0147539987],
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True},
        [5.41228292, -4.12235486, 11.9744387, -2.63019041, 3.60719642, -1.59799738],
    ),
    ("Adam", {"lr": 0.01}, [0.435070392, -0.935095276, 1.93508391, 0.164566319, 0.235285026, -0.135570824]),
    (
        "Adam",
        {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True, "maximize": True},
        [0.565060753, -1.06508357, 2.0650769, 0.0347399415, 0.365201288, -0.265315365],
    ),
    ("AdamW", {"lr": 0.01}, [0.434764451, -0.934464232, 1.93380371, 0.164482433, 0.235111275, -0.135459952]),
    ("NAdam", {}, [0.48955217, -0.989555932, 1.98955423, 0.110401123, 0.289581635, -0.189613126]),
    (
        "NAdam",
        {"weight_decay": 0.1, "decoupled_weight_decay": True},
        [0.488910109, -0.988263847, 1.98696411, 0.110263979, 0.289202646, -0.18936067],
    ),
    (
        "RAdam",
        {"lr": 0.01, "weight_decay": 0.01},
        [0.408045097, -0.930236027, 1.83514659, 0.138076449, 0.26511706, -0.179633649],
    ),
    ("Adamax", {"weight_decay": 0.1}, [0.486990991, -0.986999032, 1.98699388, 0.112890625, 0.287062495, -0.187137485]),
    (
        "Adagrad",
        {"lr_decay": 0.1, "initial_accumulator_value": 0.1},
        [0.468498255, -0.96871751, 1.96835187, 0.129972578, 0.270063847, -0.17279861],
    ),
    (
        "Adadelta",
        {"weight_decay": 0.1},
        [0.478496548, -0.978520854, 1.97850531, 0.121138295, 0.278716709, -0.178949921],
    ),
    ("RMSprop", {}, [0.136606547, -0.641170861, 1.63999786, 0.35526525, 0.00618184103, 0.0136976926]),
    (
        "RMSprop",
        {"momentum": 0.9, "centered": True, "weight_decay": 0.1},
        [-0.727964215, 0.203595427, 0.785831255, 0.513302001, -0.33938596, 0.0930569582],
    ),
    ("Rprop", {}, [0.335009152, -0.835009152, 1.83500915, 0.264990848, 0.135009152, -0.035009152]),
    (
        "ASGD",
        {"lambd": 0.1, "t0": 3, "weight_decay": 0.1},
        [0.370451493, -0.892597634, 1.75505145, 0.148106098, 0.252549521, -0.171120933],
    ),
    (
        "SGD",
        {"lr": 0.1, "momentum": 0.5, "maximize": False, "weight_decay": 0.1},
        [-0.669152297, 0.139715005, 0.163566753, 0.338261451, 0.296423436, -0.0188874548],
    ),
    ("Adafactor", {"lr": 0.1}, [0.0120043592, -0.145203646, 1.41815828, 0.303541059, 0.192314734, -0.0986860604]),
    (
        "Adafactor",
        {"lr": 0.1, "weight_decay": 0.1, "eps": (1e-3, 0.5), "beta2_decay": -0.5, "d": 1.2, "maximize": True},
        [1.3030346, -2.35053097, 2.90138149, -0.657925853, 0.626150066, -0.541096568],
    ),
]
X = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -0.7]])
Y = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])


def problem(dtype="float64"):
    w = tf.tensor([[0.5, -1.0], [2.0, 0.1]], dtype=dtype, requires_grad=True)
    b = tf.tensor([0.3, -0.2], dtype=dtype, requires_grad=True)
    return w, b


def make_step(optimizer, w, b, dtype="float64"):
    x, y = tf.tensor(X, dtype=dtype), tf.tensor(Y, dtype=dtype)

    def step():
        optimizer.zero_grad()
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


def train(optimizer, w, b, steps=8, compiled=False):
    step = make_step(optimizer, w, b)
    step = tf.compile(step) if compiled else step
    for i in range(steps):
        if i == 5:
            optimizer.param_groups[0]["lr"] *= 0.5
        step()
    return [*np.ravel(w.tolist()), *b.tolist()], step


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
@pytest.mark.parametrize(("name", "options", "expected"), GOLDEN, ids=[f"{n}-{'-'.join(o)}" for n, o, _ in GOLDEN])
def test_matches_pytorch(name, options, expected, compiled):
    w, b = problem()
    found, step = train(getattr(tf.optim, name)([w, b], **options), w, b, compiled=compiled)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    if compiled:  # the halved rate is an input of the step, not part of it
        assert sum(map(len, step._programs.values())) == 1


def test_folding_the_rate_into_the_velocity_is_the_same_at_a_constant_rate():
    results = []
    for fold in (False, True):
        w, b = problem()
        results.append(train(SGD([w, b], lr=0.05, momentum=0.9, fold_lr=fold), w, b, steps=5)[0])
    np.testing.assert_allclose(*results, rtol=1e-12)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "traced"])
def test_adam_without_bias_correction_is_the_articles_formula(compiled):
    w = tf.tensor([1.0], dtype="float64", requires_grad=True)
    optimizer = Adam([w], lr=0.1, betas=(0.9, 0.99), bias_correction=False)

    def step():
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()

    step = tf.compile(step) if compiled else step
    value, m, v = 1.0, 0.0, 0.0
    for _ in range(4):
        step()
        g = 2 * value
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g
        value -= 0.1 * m / (v**0.5 + 1e-8)
    assert w.item() == pytest.approx(value, rel=1e-12)


def test_groups_have_options_of_their_own():
    w, b = problem()
    optimizer = SGD([{"params": [w], "lr": 0.5}, {"params": b}], lr=0.25)
    before = w.tolist(), b.tolist()
    w.grad, b.grad = tf.ones(2, 2, dtype="float64"), tf.ones(2, dtype="float64")
    optimizer.step()
    np.testing.assert_allclose(w.tolist(), np.array(before[0]) - 0.5)
    np.testing.assert_allclose(b.tolist(), np.array(before[1]) - 0.25)


def test_changing_an_option_that_is_compiled_in_traces_anew():
    w, b = problem()
    optimizer = SGD([w, b], lr=0.1)
    step = tf.compile(make_step(optimizer, w, b))
    step()
    optimizer.param_groups[0]["lr"] = 0.05
    step()
    assert sum(map(len, step._programs.values())) == 1
    optimizer.param_groups[0]["weight_decay"] = 0.1  # a term appears
    step()
    optimizer.param_groups[0]["weight_decay"] = 0.2  # and only changes
    step()
    assert sum(map(len, step._programs.values())) == 2


def test_parameters_without_gradients_keep_their_step_count():
    w, b = problem()
    optimizer = Adam([w, b], lr=0.1)
    for with_b in (True, False, True):
        w.grad, b.grad = tf.ones(2, 2, dtype="float64"), tf.ones(2, dtype="float64") if with_b else None
        optimizer.step()
    assert optimizer.state[w]["step"].item() == 3
    assert optimizer.state[b]["step"].item() == 2


def test_closure_gives_the_loss():
    w, b = problem()
    optimizer = SGD([w, b], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        return loss

    with tf.no_grad():
        assert optimizer.step(closure).item() == pytest.approx(5.26)
    assert w.tolist()[1][0] == pytest.approx(1.6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "NAdam", "RMSprop", "Adagrad", "ASGD", "Rprop"])
def test_a_saved_optimizer_goes_on_as_if_it_had_not_stopped(name):
    options = {"lr": 0.01, "momentum": 0.9} if name == "SGD" else {"lr": 0.01}
    w, b = problem()
    optimizer = getattr(tf.optim, name)([w, b], **options)
    step = make_step(optimizer, w, b)
    for _ in range(3):
        step()
    w2, b2 = w.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()
    other = getattr(tf.optim, name)([w2, b2], lr=0.5)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step2 = make_step(other, w2, b2)
    for _ in range(3):
        step()
        step2()
    assert w.tolist() == w2.tolist()
    assert b.tolist() == b2.tolist()


def test_loading_into_an_optimizer_whose_step_is_compiled():
    w, b = problem()
    optimizer = Adam([w, b], lr=0.1)
    step = tf.compile(make_step(optimizer, w, b))
    step()
    saved, weights = copy.deepcopy(optimizer.state_dict()), (w.tolist(), b.tolist())
    step()
    expected = w.tolist()
    optimizer.load_state_dict(saved)
    with tf.no_grad():
        w.copy_(tf.tensor(weights[0], dtype="float64"))
        b.copy_(tf.tensor(weights[1], dtype="float64"))
    step()
    np.testing.assert_allclose(w.tolist(), expected, rtol=1e-12)


def test_state_dict_has_pytorchs_layout():
    w, b = problem()
    optimizer = AdamW([("w", w), ("b", b)], lr=0.1)
    train(optimizer, w, b, steps=1)
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["params"] == [0, 1]
    assert saved["param_groups"][0]["param_names"] == ["w", "b"]
    assert set(saved["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    assert saved["state"][1]["exp_avg"].shape == (2,)


def test_copying_and_pickling_keep_the_state():
    w, b = problem()
    optimizer = Adam([w, b], lr=0.1)
    train(optimizer, w, b, steps=2)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        assert [s["step"].item() for s in other.state.values()] == [2.0, 2.0]
        assert other.param_groups[0]["params"][0] is next(iter(other.state))


def test_zero_grad():
    w, b = problem()
    optimizer = SGD([w, b])
    w.grad = tf.ones(2, 2, dtype="float64")
    kept = w.grad
    optimizer.zero_grad(set_to_none=False)
    assert w.grad is kept
    assert not kept.any()
    optimizer.zero_grad()
    assert w.grad is None


def test_hooks_run_before_and_after():
    w, b = problem()
    optimizer = SGD([w, b])
    seen = []
    handle = optimizer.register_step_pre_hook(lambda opt, args, kwargs: seen.append("pre"))
    optimizer.register_step_post_hook(lambda opt, args, kwargs: seen.append("post"))
    optimizer.step()
    handle.remove()
    optimizer.step()
    assert seen == ["pre", "post", "post"]


def test_half_precision_parameters_stay_half():
    w = tf.ones(3, dtype="bfloat16").requires_grad_()
    optimizer = Adam([w], lr=0.125)
    w.grad = tf.ones(3, dtype="bfloat16")
    optimizer.step()
    assert w.dtype is tf.bfloat16
    assert w.tolist() == [0.875] * 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda w: SGD(w), "params is a single tensor"),
        (lambda w: SGD([]), "the list of parameters is empty"),
        (lambda w: SGD([w, w]), "appears twice"),
        (lambda w: SGD([w * 2]), "must be a leaf"),
        (lambda w: SGD([tf.ones(2, dtype="int64")]), "parameters are floating, not int64"),
        (lambda w: SGD([tf.ones(2, dtype="complex64")]), "not complex64; keep a real parameter with a last axis of 2"),
        (lambda w: SGD(["w"]), "parameters are tensors, not str"),
        (lambda w: SGD([w], lr=-1), "lr must be not negative, but -1 was given"),
        (lambda w: SGD([w], nesterov=True), "nesterov needs momentum"),
        (lambda w: SGD([w], momentum=0.9, dampening=0.1, fold_lr=True), "fold_lr goes with neither"),
        (lambda w: Adam([w], betas=(0.9, 1.0)), "betas must be two numbers"),
        (lambda w: Adam([{"params": [w], "rate": 1}]), "unknown option 'rate'"),
        (lambda w: tf.optim.Rprop([w], etas=(1.5, 1.2)), "etas must satisfy"),
        (lambda w: Optimizer([{"lr": 1}], {"lr": 0.1}), "the key 'params'"),
    ],
)
def test_wrong_arguments(make, said):
    with pytest.raises(ArgumentError, match=said):
        make(problem()[0])


def test_loading_state_of_another_model():
    w, b = problem()
    optimizer = Adam([w, b])
    train(optimizer, w, b, steps=1)
    saved = optimizer.state_dict()
    with pytest.raises(CheckpointError, match=r"groups of \[2\] parameters were saved, but this optimizer has \[1\]"):
        Adam([w]).load_state_dict(saved)
    with pytest.raises(CheckpointError, match=r"exp_avg of shape \(2, 2\), where \(2,\) belongs"):
        Adam([b, w]).load_state_dict(saved)
    with pytest.raises(CheckpointError, match="'state' and 'param_groups'"):
        Adam([w]).load_state_dict({"weights": 1})
    other = SGD([w, b], lr=0.1, momentum=0.9)
    train(other, w, b, steps=1)
    with pytest.raises(CheckpointError, match="momentum_buffer, which Adam does not have"):
        optimizer.load_state_dict(other.state_dict())


@pytest.mark.parametrize("name", ["Rprop", "ASGD"])
def test_rates_of_float64_parameters_keep_their_digits(name):
    w = tf.tensor([1.0], dtype=tf.float64, requires_grad=True)
    optimizer = getattr(tf.optim, name)([w], lr=0.25)  # a rate that float32 holds
    for _ in range(2):
        optimizer.zero_grad()
        (2 * w).sum().backward()
        optimizer.step()
    # PyTorch 2.13.0
    assert w.item() == pytest.approx({"Rprop": 0.45, "ASGD": -2.811140876635143e-05}[name], abs=1e-12)


def test_state_that_has_another_shape_than_its_parameter():
    results = []
    for resumed in (False, True):
        w, b = problem()
        optimizer = tf.optim.Adafactor([w, b], lr=0.1)
        train(optimizer, w, b, steps=2)
        if resumed:
            saved = copy.deepcopy(optimizer.state_dict())
            optimizer = tf.optim.Adafactor([w, b], lr=0.1)
            optimizer.load_state_dict(saved)
        results.append(train(optimizer, w, b, steps=2)[0])
    assert results[0] == results[1]
    saved["state"][0]["row_var"] = tf.ones(3, 1)
    with pytest.raises(CheckpointError, match=r"row_var of shape \(3, 1\), where \(2, 1\) belongs"):
        optimizer.load_state_dict(saved)
    for options in ({"d": 0.5}, {"eps": (None, -1.0)}, {"eps": 1e-3}, {"beta2_decay": 0.8}):
        with pytest.raises(ArgumentError, match=f"Adafactor: {next(iter(options))} must be"):
            tf.optim.Adafactor([w], **options)


def test_a_model_in_place_of_its_parameters():
    with pytest.raises(ArgumentError, match=r"not Linear; give model\.parameters\(\)"):
        SGD(tf.nn.Linear(2, 2), lr=0.1)
    with pytest.raises(ArgumentError, match="params is a list of tensors or of groups, not float"):
        SGD(0.1)
