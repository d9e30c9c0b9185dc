"""`check`: each mistake of the debugging list is found, and a sound model passes; nothing is changed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import twinflow as tf
from twinflow import nn
from twinflow.core.errors import ArgumentError


def batch(n: int = 32) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 4)).astype(np.float32)
    return tf.tensor(x), tf.tensor((x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0))


def classifier() -> nn.Sequential:
    tf.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def adam(model: nn.Module, lr: float = 0.01) -> tf.optim.Adam:
    return tf.optim.Adam(model.parameters(), lr=lr)


def found(report: Any, part: str, level: str, text: str) -> Any:
    """The finding of this part and level with this text."""
    matches = [f for f in report.findings if f.part == part and f.level == level and text in f.what]
    assert matches, f"{part} {level} {text!r} is not in\n{report}"
    assert level == "ok" or matches[0].advice
    return matches[0]


def test_a_sound_model_passes():
    model = classifier()
    report = tf.check(model, batch(), nn.CrossEntropyLoss(), adam(model))
    assert report.ok, report
    assert {f.part for f in report.findings} == {"data", "structure", "loss", "optimizer"}
    text = str(report)
    assert text.startswith("check: 0 errors, 0 warnings")
    assert "0 Linear → [32, 16]" in text
    found(report, "loss", "ok", "the same guess for every example would give 1.099")  # log 3


@pytest.mark.parametrize("make", [tf.optim.SGD, tf.optim.Adam, tf.optim.LBFGS, tf.optim.Lion])
def test_nothing_is_changed(make: Callable[..., Any]):
    tf.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))
    optimizer = make(model.parameters(), lr=0.01)
    x, y = batch()
    criterion = nn.CrossEntropyLoss()

    def closure() -> tf.Tensor:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    model[2].eval()
    values = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    grads = [p.grad.numpy().copy() for p in model.parameters()]
    saved = {
        i: {k: np.array(v) for k, v in s.items() if isinstance(v, tf.Tensor)}
        for i, s in optimizer.state_dict()["state"].items()
    }
    random = tf.get_rng_state().numpy().copy()
    tf.check(model, (x, y), criterion, optimizer, steps=3)
    for k, v in model.state_dict().items():
        np.testing.assert_array_equal(v.numpy(), values[k])
    for p, g in zip(model.parameters(), grads):
        np.testing.assert_array_equal(p.grad.numpy(), g)
    state = optimizer.state_dict()["state"]
    assert state.keys() == saved.keys()
    for i, entries in saved.items():
        for k, v in entries.items():
            np.testing.assert_array_equal(np.array(state[i][k]), v)
    np.testing.assert_array_equal(tf.get_rng_state().numpy(), random)
    assert [m.training for m in model] == [True, True, False, True]


def test_fresh_optimizer_has_no_state_afterwards():
    model = classifier()
    optimizer = adam(model)
    tf.check(model, batch(), nn.CrossEntropyLoss(), optimizer, steps=2)
    assert not optimizer.state_dict()["state"]
    assert all(p.grad is None for p in model.parameters())


# -- data ----------------------------------------------------------------------------------------------------------


def test_missing_values_are_counted_and_located():
    x, y = batch()
    x[3, 1] = float("nan")
    report = tf.check(classifier(), (x, y), nn.CrossEntropyLoss())
    found(report, "data", "error", "1 of 128 values are missing (NaN) or infinite, the first at (3, 1)")
    assert not [f for f in report.findings if f.part == "loss"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: (x.abs() * 100).clamp(0, 255), "a large scale"),
        (lambda x: x * 1e-3 + 1, "the differences are small"),
        (lambda x: x * 0 + 2, "all values are the same"),
    ],
)
def test_scales(change: Callable[[tf.Tensor], tf.Tensor], text: str):
    x, y = batch()
    found(tf.check(classifier(), (change(x), y), nn.CrossEntropyLoss()), "data", "warning", text)


def test_numbers_of_inputs_and_targets():
    x, y = batch()
    found(tf.check(classifier(), (x, y[:-1]), nn.CrossEntropyLoss()), "data", "error", "the first axes differ")


def test_empty_batch():
    x, y = batch()
    found(tf.check(classifier(), (x[:0], y[:0]), nn.CrossEntropyLoss()), "data", "error", "are empty")


def test_targets_that_are_alike():
    x, y = batch()
    found(tf.check(classifier(), (x, y * 0), nn.CrossEntropyLoss()), "data", "warning", "all 32 targets")


# -- structure -----------------------------------------------------------------------------------------------------


def test_layers_that_do_not_fit_are_listed():
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(8, 3))
    report = tf.check(model, batch(), nn.CrossEntropyLoss())
    what = found(report, "structure", "error", "the model fails on this input: ShapeError").what
    assert "16 != 8" in what and "1 ReLU → [32, 16]" in what


class Apart(nn.Module):
    """One layer that is never used, and one cut off by detach."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.forgotten, self.cut = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 4)

    def forward(self, x):
        return self.used(self.cut(x).detach())


def test_unconnected_parameters_are_named():
    what = found(tf.check(Apart(), batch(), nn.CrossEntropyLoss()), "structure", "error", "does not depend on").what
    assert "forgotten.weight" in what and "cut.bias" in what and "used" not in what


def test_dead_activations():
    model = classifier()
    with tf.no_grad():
        model[0].bias.fill_(-100.0)
    report = tf.check(model, batch(), nn.CrossEntropyLoss())
    found(report, "structure", "warning", "1 (ReLU): 100% of its outputs are 0")
    found(report, "structure", "warning", "the gradient is 0 everywhere for: 0.weight, 0.bias")


def test_first_layer_with_nan_is_named():
    model = classifier()
    with tf.no_grad():
        model[2].weight[0, 0] = float("nan")
    found(tf.check(model, batch(), nn.CrossEntropyLoss()), "structure", "error", "2 (Linear) gives NaN")


class Mixing(nn.Module):
    """Normalises over the batch instead of over the classes."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layer, self.shape = nn.Linear(4, 3), shape

    def forward(self, x):
        return self.layer(x).softmax(0).reshape(self.shape)


def test_examples_that_influence_one_another():
    report = tf.check(Mixing((-1, 3)), batch(), nn.CrossEntropyLoss())
    found(report, "structure", "warning", "alone than among the others")


class Sequence(nn.Module):
    """Reads the batch as time: batch_first is missing."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.recurrent, self.scores = nn.LSTM(4, 8, batch_first=batch_first), nn.Linear(8, 3)

    def forward(self, x):
        return self.scores(self.recurrent(x)[0][:, -1])


@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layer_that_reads_the_batch_as_time(batch_first: bool):
    tf.manual_seed(0)
    x, y = tf.randn(6, 6, 4), tf.tensor([0, 1, 2, 0, 1, 2])
    report = tf.check(Sequence(batch_first), (x, y), nn.CrossEntropyLoss())
    if batch_first:
        assert report.ok, report
    else:
        assert "batch_first" in found(report, "structure", "warning", "alone than among the others").advice


def test_several_inputs():
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.letters, self.scores = nn.Embedding(20, 8), nn.Linear(8, 3)

        def forward(self, codes, weights):
            return self.scores((self.letters(codes) * weights.unsqueeze(-1)).mean(1))

    tf.manual_seed(0)
    model = Scaled()
    inputs = tf.randint(0, 20, (9, 5)), tf.rand(9, 5)
    report = tf.check(model, (inputs, tf.arange(9) % 3), nn.CrossEntropyLoss(), adam(model))
    assert report.ok, report
    found(report, "data", "ok", "input 1 float32[9, 5]")


def test_batch_axis_that_is_lost():
    report = tf.check(Mixing((-1, 6)), batch(), nn.CrossEntropyLoss())
    found(report, "structure", "warning", "32 examples go in, but an output of shape [16, 6]")
    found(report, "loss", "error", "the loss refuses")


def test_frozen_parameters_are_mentioned():
    model = classifier()
    model[0].requires_grad_(False)
    found(tf.check(model, batch(), nn.CrossEntropyLoss()), "structure", "ok", "frozen: 0.weight, 0.bias")


class Root(nn.Module):
    """A square root at 0: its value is fine, its derivative is not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return (self.layer(x) * 0.0).sqrt()


def test_gradients_that_are_not_finite():
    found(
        tf.check(Root(), batch(), nn.CrossEntropyLoss()),
        "structure",
        "error",
        "the gradient is NaN or infinite for: layer.weight",
    )


# -- loss ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (lambda y: y.float(), "class labels are whole numbers"),
        (lambda y: y + 1, "label 3 is outside [0, 2]"),
        (lambda y: y.unsqueeze(1), "use target.squeeze(1)"),
    ],
)
def test_targets_the_loss_refuses(target: Callable[[tf.Tensor], tf.Tensor], text: str):
    x, y = batch()
    found(tf.check(classifier(), (x, target(y)), nn.CrossEntropyLoss()), "loss", "error", text)


def test_loss_without_reduction():
    report = tf.check(classifier(), batch(), nn.CrossEntropyLoss(reduction="none"))
    found(report, "loss", "error", "the loss is float32[32], not one number")


def test_softmax_before_cross_entropy():
    model = nn.Sequential(classifier(), nn.Softmax(1))
    for criterion in (nn.CrossEntropyLoss(), nn.functional.cross_entropy):
        found(tf.check(model, batch(), criterion), "loss", "warning", "probabilities already")


def test_cross_entropy_of_a_single_output():
    x, y = batch()
    found(tf.check(nn.Linear(4, 1), (x, y * 0), nn.CrossEntropyLoss()), "loss", "error", "a single output")


def test_sigmoid_before_a_loss_with_logits():
    x, y = batch()
    model = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    report = tf.check(model, (x, (y > 1).float().unsqueeze(1)), nn.BCEWithLogitsLoss())
    found(report, "loss", "warning", "applies sigmoid itself")


def test_probabilities_for_nll_loss():
    report = tf.check(nn.Sequential(classifier(), nn.Softmax(1)), batch(), nn.NLLLoss())
    found(report, "loss", "warning", "negative at the start")


def test_start_far_from_chance():
    model = classifier()
    with tf.no_grad():
        model[2].weight.mul_(100.0)
    found(tf.check(model, batch(), nn.CrossEntropyLoss()), "loss", "warning", "would give 1.099")


def test_nan_in_the_loss_names_the_operation():
    def loss(output: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        return (output - 100.0).log().mean()

    found(tf.check(classifier(), batch(), loss), "loss", "error", "the first operation to give NaN is log")


def test_loss_cut_off_from_the_model():
    def loss(output: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        return (output.argmax(1) != target).float().mean()

    found(tf.check(classifier(), batch(), loss), "loss", "error", "does not depend on any parameter")


# -- optimizer -----------------------------------------------------------------------------------------------------


def test_parameters_the_optimizer_misses():
    model = classifier()
    report = tf.check(model, batch(), nn.CrossEntropyLoss(), tf.optim.SGD(model[0].parameters(), lr=0.1))
    assert found(report, "optimizer", "error", "does not know").what.endswith("2.weight, 2.bias")


def test_optimizer_of_another_model():
    report = tf.check(classifier(), batch(), nn.CrossEntropyLoss(), adam(classifier()))
    found(report, "optimizer", "error", "none of this model's parameters")


def test_rates_that_are_too_high_or_too_low():
    model, (x, y) = nn.Linear(4, 1), batch()
    pair = x, y.float().unsqueeze(1)
    high = tf.check(model, pair, nn.MSELoss(), tf.optim.SGD(model.parameters(), lr=10.0))
    found(high, "optimizer", "warning", "one step changes weight by")
    found(high, "optimizer", "error", "it diverges")
    low = tf.check(model, pair, nn.MSELoss(), tf.optim.SGD(model.parameters(), lr=1e-7))
    found(low, "optimizer", "warning", "changes no weight by more than")
    found(low, "optimizer", "warning", "hardly learns")
    none = tf.check(model, pair, nn.MSELoss(), tf.optim.SGD(model.parameters(), lr=1e-12))
    found(none, "optimizer", "warning", "changes no weight at all")
    up = tf.check(model, pair, nn.MSELoss(), tf.optim.SGD(model.parameters(), lr=0.05, maximize=True))
    found(up, "optimizer", "error", "it diverges")


# -- arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "options", "text"),
    [
        (tf.zeros(3, 4), {}, "batch is a pair"),
        ((np.zeros((3, 4)), np.zeros(3)), {}, "inputs and targets are tensors"),
        ((tf.zeros(3, 4), tf.zeros(3)), {"steps": 0}, "steps is at least 1"),
    ],
)
def test_arguments_are_checked(given: Any, options: dict[str, Any], text: str):
    with pytest.raises(ArgumentError, match=text):
        tf.check(classifier(), given, nn.CrossEntropyLoss(), **options)


def test_lazy_models_are_refused():
    with pytest.raises(ArgumentError, match="call the model once"):
        tf.check(nn.Sequential(nn.LazyLinear(3)), batch(), nn.CrossEntropyLoss())


def test_units_that_begin_alike():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    nn.init.constant_(model[0].weight, 0.5)
    report = tf.check(model, (tf.randn(8, 4), tf.arange(8) % 2), nn.CrossEntropyLoss())
    [found] = [f for f in report.warnings if "the same number" in f.what]
    assert "0.weight (0.5)" in found.what and "2.weight" not in found.what and "at random" in found.advice
