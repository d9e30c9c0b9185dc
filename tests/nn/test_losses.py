"""What losses refuse, what they say then, and values at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.nn import functional as F

t = twinflow.tensor
ELEMENTWISE = [
    F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits, F.kl_div, F.poisson_nll_loss, F.soft_margin_loss,
    F.hinge_embedding_loss, F.multilabel_soft_margin_loss, F.binary_cross_entropy,
]  # fmt: skip


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=lambda f: f.__name__)
def test_shapes_that_would_broadcast_are_refused(loss: Any) -> None:
    with pytest.raises(ShapeError, match=r"input has shape \(3, 1\) and target \(3,\).*target.reshape\(input.shape\)"):
        loss(twinflow.ones(3, 1) * 0.5, twinflow.ones(3))
    with pytest.raises(ShapeError, match="expand one of them"):
        loss(twinflow.ones(3, 2) * 0.5, twinflow.ones(3, 1))
    with pytest.raises(DTypeError, match="target must be a tensor, not list"):
        loss(twinflow.ones(3), [1.0, 2.0, 3.0])
    with pytest.raises(ArgumentError, match="reduction is 'mean', 'sum' or 'none', not 'average'"):
        loss(twinflow.ones(3) * 0.5, twinflow.ones(3), reduction="average")


@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss, F.multi_margin_loss], ids=lambda f: f.__name__)
def test_labels(loss: Any) -> None:
    x = twinflow.zeros(4, 3)
    with pytest.raises(IndexOutOfRange, match=r"label 3 is outside \[0, 2\].*labels from 1 to n: subtract 1"):
        loss(x, t([1, 2, 3, 1]))
    with pytest.raises(IndexOutOfRange, match=r"label -1 is outside \[0, 2\]"):
        loss(x, t([0, 2, -1, 1]))
    with pytest.raises(DTypeError, match=r"class labels are whole numbers.*use target.long\(\)"):
        loss(x, t([0.0, 1.0, 2.0, 1.0]))
    with pytest.raises(ShapeError, match=r"use target.squeeze\(1\)"):
        loss(x, t([[0], [1], [2], [1]]))
    with pytest.raises(ShapeError, match=r"use target.argmax\(1\)"):
        loss(x, twinflow.ones(4, 3, dtype=twinflow.int64))
    with pytest.raises(ShapeError, match=r"input.movedim\(-1, 1\)"):
        loss(twinflow.zeros(2, 5, 3), twinflow.zeros(2, 5, dtype=twinflow.int64))


def test_a_wrong_label_is_an_error_in_a_compiled_step_too() -> None:
    step = twinflow.compile(lambda x, y: F.cross_entropy(x, y))
    x = twinflow.zeros(2, 3)
    np.testing.assert_allclose(step(x, t([0, 2])).item(), np.log(3), rtol=1e-6)
    with pytest.raises(IndexOutOfRange, match=r"outside \[0, 2\]"):
        step(x, t([0, 7]))


def test_wrong_options() -> None:
    x, y = twinflow.zeros(2, 3), t([0, 1])
    with pytest.raises(ArgumentError, match="label_smoothing"):
        F.cross_entropy(x, y, label_smoothing=1.5)
    with pytest.raises(ShapeError, match=r"weight of shape \(2,\) for 3 classes"):
        F.cross_entropy(x, y, weight=twinflow.ones(2))
    with pytest.raises(ArgumentError, match=r"probabilities in \[0, 1\], but they reach from -1 to 2; apply sigmoid"):
        F.binary_cross_entropy(t([-1.0, 2.0]), t([0.0, 1.0]))
    with pytest.raises(DTypeError, match=r"use target.float\(\)"):
        F.binary_cross_entropy_with_logits(t([0.0, 1.0]), t([0, 1]))
    with pytest.raises(ArgumentError, match="delta must be positive"):
        F.huber_loss(x, x, delta=0)
    with pytest.raises(ArgumentError, match="beta"):
        F.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(ArgumentError, match="p is 1 or 2"):
        F.multi_margin_loss(x, y, p=3)
    with pytest.raises(ArgumentError, match="var has negative"):
        F.gaussian_nll_loss(x, x, x - 1)
    with pytest.raises(ShapeError, match="var of shape"):
        F.gaussian_nll_loss(x, x, twinflow.ones(7))
    with pytest.raises(ArgumentError, match="margin must be positive"):
        F.triplet_margin_loss(x, x, x, margin=0)
    with pytest.raises(ShapeError, match=r"need targets of shape \(2,\)"):
        F.cosine_embedding_loss(x, x, t([1.0, 1.0, 1.0]))
    with pytest.raises(ArgumentError, match="reduction"):
        nn.MSELoss(reduction="avg")
    with pytest.raises(ArgumentError, match="-1 ends a row's labels"):
        F.multilabel_margin_loss(x, twinflow.full((2, 3), 5))


def test_ctc_refuses_what_does_not_fit() -> None:
    lp = twinflow.zeros(4, 2, 3).log_softmax(2)
    labels = t([[1, 2], [2, 1]])
    with pytest.raises(ArgumentError, match="blank 3"):
        F.ctc_loss(lp, labels, (4, 4), (2, 2), blank=3)
    with pytest.raises(ShapeError, match="input_lengths needs 2 numbers"):
        F.ctc_loss(lp, labels, (4,), (2, 2))
    with pytest.raises(ArgumentError, match="only 4 frames"):
        F.ctc_loss(lp, labels, (5, 4), (2, 2))
    with pytest.raises(ShapeError, match="add up to 4"):
        F.ctc_loss(lp, t([1, 2, 1]), (4, 4), (2, 2))
    assert F.ctc_loss(lp[:1], labels, (1, 1), (2, 2), reduction="none").tolist() == [np.inf, np.inf]


def test_extreme_logits_stay_finite() -> None:
    x = t([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, t([1]))
    loss.backward()
    assert loss.item() == 2e4 and np.isfinite(x.grad.numpy()).all()
    z = t([1e4, -1e4], requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(z, t([0.0, 1.0]))
    loss.backward()
    assert loss.item() == 1e4 and np.isfinite(z.grad.numpy()).all()


def test_logistic_loss_is_smooth_at_zero() -> None:
    """Networks that start at zero logits need first and second derivatives there."""
    x = twinflow.zeros(1, requires_grad=True)
    loss = F.binary_cross_entropy_with_logits(x, t([1.0]), reduction="sum")
    (g,) = twinflow.autograd.grad(loss, x, create_graph=True)
    (h,) = twinflow.autograd.grad(g.sum(), x)
    assert (g.item(), h.item()) == (-0.5, 0.25)


def test_ignored_everywhere_is_nan_as_a_mean_and_zero_as_a_sum() -> None:
    x, y = twinflow.zeros(2, 3), t([-100, -100])
    assert np.isnan(F.cross_entropy(x, y).item())
    assert F.cross_entropy(x, y, reduction="sum").item() == 0


def test_class_weights_are_saved() -> None:
    loss = nn.CrossEntropyLoss(weight=twinflow.ones(3))
    assert list(loss.state_dict()) == ["weight"]
    assert repr(nn.MSELoss()) == "MSELoss()" and repr(nn.L1Loss("sum")) == "L1Loss(reduction='sum')"


def test_ctc_names_wrong_labels_and_ignores_what_rows_are_filled_up_with() -> None:
    lp = twinflow.randn(6, 2, 5).log_softmax(-1)
    with pytest.raises(IndexOutOfRange, match=r"ctc_loss: label 9 is outside \[0, 4\]"):
        F.ctc_loss(lp, twinflow.tensor([[1, 9], [2, 3]]), (6, 6), (2, 2))
    filled = F.ctc_loss(lp, twinflow.tensor([[1, 2], [3, -1]]), (6, 6), (2, 1))
    assert filled.item() == F.ctc_loss(lp, twinflow.tensor([[1, 2], [3, 0]]), (6, 6), (2, 1)).item()
