"""Each schedule against PyTorch's rates; schedules inside compiled steps; saving; errors."""

import json

import pytest

import twinflow as tf
from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.optim import SGD, Adam
from twinflow.optim import lr_scheduler as L

# The rates of fifteen epochs from lr=0.1, of PyTorch 2.13.0.
GOLDEN = [
    (
        "LambdaLR",
        {"lr_lambda": "0.9**e"},
        [
            0.1,
            0.09,
            0.081,
            0.0729,
            0.06561,
            0.059049,
            0.0531441,
            0.04782969,
            0.043046721,
            0.0387420489,
            0.034867844,
            0.0313810596,
            0.0282429536,
            0.0254186583,
            0.0228767925,
        ],
    ),
    (
        "MultiplicativeLR",
        {"lr_lambda": "1-e/40"},
        [
            0.1,
            0.0975,
            0.092625,
            0.085678125,
            0.0771103125,
            0.0674715234,
            0.0573507949,
            0.0473144058,
            0.0378515246,
            0.0293349316,
            0.0220011987,
            0.0159508691,
            0.0111656083,
            0.00753678563,
            0.00489891066,
        ],
    ),
    (
        "StepLR",
        {"step_size": 3, "gamma": 0.5},
        [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125, 0.0125, 0.0125, 0.00625, 0.00625, 0.00625],
    ),
    (
        "MultiStepLR",
        {"milestones": [2, 5, 5, 9], "gamma": 0.3},
        [
            0.1,
            0.1,
            0.03,
            0.03,
            0.03,
            0.0027,
            0.0027,
            0.0027,
            0.0027,
            0.00081,
            0.00081,
            0.00081,
            0.00081,
            0.00081,
            0.00081,
        ],
    ),
    (
        "ConstantLR",
        {"factor": 0.25, "total_iters": 4},
        [0.025, 0.025, 0.025, 0.025, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
    ),
    (
        "LinearLR",
        {"start_factor": 0.2, "end_factor": 0.8, "total_iters": 6},
        [0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08, 0.08],
    ),
    (
        "ExponentialLR",
        {"gamma": 0.8},
        [
            0.1,
            0.08,
            0.064,
            0.0512,
            0.04096,
            0.032768,
            0.0262144,
            0.02097152,
            0.016777216,
            0.0134217728,
            0.0107374182,
            0.00858993459,
            0.00687194767,
            0.00549755814,
            0.00439804651,
        ],
    ),
    (
        "PolynomialLR",
        {"total_iters": 7, "power": 2.0},
        [
            0.1,
            0.0734693878,
            0.0510204082,
            0.0326530612,
            0.0183673469,
            0.00816326531,
            0.00204081633,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        ],
    ),
    (
        "CosineAnnealingLR",
        {"T_max": 5, "eta_min": 0.01},
        [
            0.1,
            0.0914057647,
            0.0689057647,
            0.0410942353,
            0.0185942353,
            0.01,
            0.0185942353,
            0.0410942353,
            0.0689057647,
            0.0914057647,
            0.1,
            0.0914057647,
            0.0689057647,
            0.0410942353,
            0.0185942353,
        ],
    ),
    (
        "CosineAnnealingWarmRestarts",
        {"T_0": 3, "T_mult": 2, "eta_min": 0.001},
        [
            0.1,
            0.07525,
            0.02575,
            0.1,
            0.0933682575,
            0.07525,
            0.0505,
            0.02575,
            0.00763174251,
            0.1,
            0.0983133284,
            0.0933682575,
            0.0855017857,
            0.07525,
            0.0633115427,
        ],
    ),
    (
        "CosineAnnealingWarmRestarts",
        {"T_0": 4},
        [
            0.1,
            0.0853553391,
            0.05,
            0.0146446609,
            0.1,
            0.0853553391,
            0.05,
            0.0146446609,
            0.1,
            0.0853553391,
            0.05,
            0.0146446609,
            0.1,
            0.0853553391,
            0.05,
        ],
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "step_size_down": 5, "mode": "triangular2"},
        [
            0.01,
            0.0733333333,
            0.136666667,
            0.2,
            0.162,
            0.124,
            0.086,
            0.048,
            0.01,
            0.0416666667,
            0.0733333333,
            0.105,
            0.086,
            0.067,
            0.048,
        ],
    ),
    (
        "CyclicLR",
        {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9},
        [
            0.01,
            0.05275,
            0.08695,
            0.1138825,
            0.134659,
            0.094144825,
            0.060486895,
            0.0327191028,
            0.01,
            0.0284024732,
            0.0431244518,
            0.0547180099,
            0.0636616119,
            0.0462215881,
            0.0317329528,
        ],
    ),
    (
        "OneCycleLR",
        {"max_lr": 0.3, "total_steps": 16},
        [
            0.012,
            0.0584714537,
            0.167891426,
            0.269636233,
            0.299764023,
            0.291582533,
            0.272334241,
            0.243523696,
            0.207402885,
            0.166795204,
            0.124874767,
            0.0849182995,
            0.0500490131,
            0.0229924782,
            0.00586357826,
        ],
    ),
    (
        "OneCycleLR",
        {"max_lr": 0.3, "epochs": 4, "steps_per_epoch": 4, "three_phase": True, "anneal_strategy": "linear"},
        [
            0.012,
            0.0877894737,
            0.163578947,
            0.239368421,
            0.284842105,
            0.209052632,
            0.133263158,
            0.0574736842,
            0.0113514162,
            0.00972995676,
            0.0081084973,
            0.00648703784,
            0.00486557838,
            0.00324411892,
            0.00162265946,
        ],
    ),
]
FUNCTIONS = {"0.9**e": lambda e: 0.9**e, "1-e/40": lambda e: 1 - e / 40}
MADE = {
    "Sequential": (
        lambda o: L.SequentialLR(
            o,
            [L.LinearLR(o, start_factor=0.1, total_iters=4), L.CosineAnnealingLR(o, T_max=6), L.ExponentialLR(o, 0.5)],
            milestones=[4, 9],
        ),
        [0.01, 0.0325, 0.055, 0.0775, 0.1, 0.0933012702, 0.075, 0.05, 0.025, 0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125],
    ),
    "Chained": (
        lambda o: L.ChainedScheduler([L.ConstantLR(o, 0.1, total_iters=3), L.ExponentialLR(o, 0.9)], optimizer=o),
        [
            0.01, 0.009, 0.0081, 0.0729, 0.06561, 0.059049, 0.0531441, 0.04782969, 0.043046721, 0.0387420489, 0.034867844,
            0.0313810596, 0.0282429536, 0.0254186583, 0.0228767925,
        ],
    ),
}  # fmt: skip


def optimizer(lr=0.1):
    return SGD([tf.ones(1, requires_grad=True)], lr=lr, momentum=0.9)


def make(name, options, o):
    options = {k: FUNCTIONS[v] if k == "lr_lambda" else v for k, v in options.items()}
    return getattr(L, name)(o, **options)


def rates(o, scheduler, n=15):
    found = []
    for _ in range(n):
        found.append(o.param_groups[0]["lr"])
        o.step()
        scheduler.step()
        assert scheduler.get_last_lr() == [o.param_groups[0]["lr"]]
    return found


@pytest.mark.parametrize(("name", "options", "expected"), GOLDEN, ids=[n for n, _, _ in GOLDEN])
def test_matches_pytorch(name, options, expected):
    o = optimizer()
    assert rates(o, make(name, options, o)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("name", MADE)
def test_schedules_of_schedules_match_pytorch(name):
    o = optimizer()
    build, expected = MADE[name]
    assert rates(o, build(o)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("name", "options", "expected"), GOLDEN, ids=[n for n, _, _ in GOLDEN])
def test_going_on_from_a_saved_state(name, options, expected):
    o = optimizer()
    scheduler = make(name, options, o)
    rates(o, scheduler, 6)
    saved = json.loads(json.dumps([scheduler.state_dict(), o.state_dict()["param_groups"][0]["lr"]]))
    o2 = optimizer()
    other = make(name, options, o2)
    other.load_state_dict(saved[0])
    o2.param_groups[0]["lr"] = saved[1]
    assert rates(o2, other, 9) == pytest.approx(expected[6:], rel=1e-8)


@pytest.mark.parametrize("name", MADE)
def test_saving_schedules_of_schedules(name):
    build, expected = MADE[name]
    o = optimizer()
    scheduler = build(o)
    rates(o, scheduler, 6)
    saved, lr = json.loads(json.dumps(scheduler.state_dict())), o.param_groups[0]["lr"]
    o2 = optimizer()
    other = build(o2)
    other.load_state_dict(saved)
    o2.param_groups[0]["lr"] = lr
    assert rates(o2, other, 9) == pytest.approx(expected[6:], rel=1e-8)
    with pytest.raises(CheckpointError, match="0 schedules were saved, but there are"):
        other.load_state_dict({"last_epoch": 1})


def test_a_schedule_inside_a_compiled_step():
    results = []
    for wrap in (lambda f: f, tf.compile):
        w = tf.ones(2, requires_grad=True)
        o = SGD([w], lr=0.1)
        scheduler = L.ExponentialLR(o, 0.5)

        def step(w=w, o=o, scheduler=scheduler):
            o.zero_grad()
            (w * w).sum().backward()
            o.step()
            scheduler.step()

        step = wrap(step)
        for _ in range(5):
            step()
        results.append((w.tolist(), o.param_groups[0]["lr"]))
    assert results[0][1] == results[1][1] == pytest.approx(0.1 / 32)
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    assert sum(map(len, step._programs.values())) == 1


def test_momentum_is_cycled():
    o = optimizer()
    scheduler = L.CyclicLR(o, 0.1, 0.5, step_size_up=2)
    seen = []
    for _ in range(5):
        seen.append(o.param_groups[0]["momentum"])
        o.step()
        scheduler.step()
    assert seen == pytest.approx([0.9, 0.85, 0.8, 0.85, 0.9])
    adam = Adam([tf.ones(1, requires_grad=True)])
    L.OneCycleLR(adam, 0.1, total_steps=10)
    assert adam.param_groups[0]["betas"] == (0.95, 0.999)


def test_reduce_on_plateau():
    o = optimizer(1.0)
    scheduler = L.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for value in [5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]:
        scheduler.step(tf.tensor(value))
        seen.append(o.param_groups[0]["lr"])
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
    upward = L.ReduceLROnPlateau(optimizer(), mode="max", threshold_mode="abs", threshold=0.5, patience=0)
    upward.step(1.0)
    upward.step(1.4)
    assert upward.get_last_lr() == pytest.approx([0.01])
    other = L.ReduceLROnPlateau(optimizer(1.0))
    other.load_state_dict(json.loads(json.dumps(scheduler.state_dict())))
    assert (other.best, other.patience) == (4.0, 1)


def test_a_rate_that_is_a_tensor_keeps_its_identity():
    rate = tf.tensor(0.5)
    o = SGD([tf.ones(1, requires_grad=True)], lr=rate)
    scheduler = L.ExponentialLR(o, 0.5)
    o.step()
    scheduler.step()
    assert o.param_groups[0]["lr"] is rate
    assert rate.item() == 0.25


def test_the_wrong_order_is_noticed():
    o = optimizer()
    scheduler = L.StepLR(o, 2)
    with pytest.warns(UserWarning, match=r"StepLR.step\(\) was called before optimizer.step\(\)"):
        scheduler.step()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda o: L.StepLR(None, 2), "an optimizer is needed, not NoneType"),
        (lambda o: L.StepLR(o, 0), "step_size must be a whole number of at least 1, but 0"),
        (lambda o: L.LambdaLR(o, [abs, abs]), "2 values for 1 parameter groups"),
        (lambda o: L.ConstantLR(o, 2.0), "factor must be between 0 and 1"),
        (lambda o: L.LinearLR(o, 0.0), "start_factor must be above 0"),
        (lambda o: L.LinearLR(o, 0.5, 2.0), "end_factor must be between"),
        (lambda o: L.SequentialLR(o, [L.ExponentialLR(o, 0.5)], [3]), "1 schedules need 0 ascending milestones"),
        (lambda o: L.ChainedScheduler([]), "at least one schedule"),
        (
            lambda o: L.ChainedScheduler([L.ExponentialLR(o, 0.5), L.ExponentialLR(optimizer(), 0.5)]),
            "schedule 1 belongs to another",
        ),
        (lambda o: L.ReduceLROnPlateau(o, factor=1.0), "factor must lie between"),
        (lambda o: L.ReduceLROnPlateau(o, mode="mean"), "'min' or 'max'"),
        (lambda o: L.CyclicLR(o, 0.1, 0.2, mode="square"), "mode is 'triangular'"),
        (lambda o: L.CyclicLR(tf.optim.Adagrad([tf.ones(1)]), 0.1, 0.2), "has no momentum to cycle"),
        (lambda o: L.OneCycleLR(o, 0.1), "give total_steps"),
        (lambda o: L.OneCycleLR(o, 0.1, total_steps=3, pct_start=2), "pct_start must be between"),
        (lambda o: L.StepLR(o, 2, last_epoch=3), "group 0 of the optimizer needs 'initial_lr'"),
    ],
)
def test_wrong_arguments(call, said):
    with pytest.raises(ArgumentError, match=said):
        call(optimizer())


def test_one_cycle_ends():
    o = optimizer()
    scheduler = L.OneCycleLR(o, 0.1, total_steps=3)
    rates(o, scheduler, 3)
    with pytest.raises(ArgumentError, match="step 4 of a schedule of 3 steps"):
        scheduler.step()


def test_state_of_something_else_is_refused():
    with pytest.raises(CheckpointError, match="no 'last_epoch'"):
        L.StepLR(optimizer(), 2).load_state_dict({"lr": 1})
