"""Connectionist temporal classification: against a sum over all alignments, eager and compiled, and the size of its graph."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow.nn import functional as F


def collapse(path: tuple[int, ...], blank: int) -> list[int]:
    """What a path of one symbol a frame spells: repetitions joined, then blanks taken out."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


def by_enumeration(lp: Any, labels: list[int], blank: int) -> float:
    """-log of the probabilities of all paths that spell the labels."""
    frames, classes = lp.shape
    total = 0.0
    for path in itertools.product(range(classes), repeat=frames):
        if collapse(path, blank) == labels:
            total += float(np.exp(sum(lp[t, c] for t, c in enumerate(path))))
    return float(-np.log(total)) if total else float("inf")


CASES: list[Any] = [
    ([5, 4, 3], [2, 1, 0], [[1, 2], [2, 0], [0, 0]], 0),
    ([5, 0, 1], [2, 0, 1], [[1, 1], [0, 0], [0, 1]], 2),
]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("frames", "sizes", "labels", "blank"), CASES)
def test_it_sums_over_all_alignments(
    frames: list[int], sizes: list[int], labels: list[list[int]], blank: int, compiled: bool
) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5, 3, 3))
    lp = logits - np.log(np.exp(logits).sum(-1, keepdims=True))

    def loss(x: Any) -> Any:
        return F.ctc_loss(x, twinflow.tensor(labels), frames, sizes, blank, reduction="none")

    found = (twinflow.compile(loss) if compiled else loss)(twinflow.tensor(lp)).numpy()
    want = [by_enumeration(lp[:t, i], row[:n], blank) for i, (t, n, row) in enumerate(zip(frames, sizes, labels))]
    np.testing.assert_allclose(found, want, rtol=1e-12)


def test_gradients_agree_with_differences_and_leave_unused_frames_alone() -> None:
    rng = np.random.default_rng(1)
    labels = twinflow.tensor([[1, 1, 2], [3, 0, 0]])

    def loss(x: Any) -> Any:
        return F.ctc_loss(x.log_softmax(2), labels, (6, 3), (3, 1))

    x = rng.normal(size=(6, 2, 4))
    assert twinflow.autograd.gradcheck(loss, (twinflow.tensor(x, requires_grad=True),))
    assert twinflow.autograd.gradgradcheck(loss, (twinflow.tensor(x, requires_grad=True),))
    leaf = twinflow.tensor(x, requires_grad=True)
    loss(leaf).backward()
    assert not leaf.grad.numpy()[3:, 1].any()
    assert leaf.grad.numpy()[:3, 1].any()


def test_labels_that_do_not_fit_give_zero_gradients_on_request() -> None:
    x = twinflow.zeros(2, 2, 3, requires_grad=True)
    loss = F.ctc_loss(x, twinflow.tensor([[1, 1], [1, 2]]), (2, 2), (2, 2), reduction="sum", zero_infinity=True)
    loss.backward()
    assert loss.item() == 0.0  # only the second fits, with the certainty that zeros stand for
    assert not x.grad.numpy()[:, 0].any()
    assert x.grad.numpy()[:, 1].any()


def test_impossible_symbols_are_no_nan() -> None:
    lp = np.full((3, 1, 3), -np.inf, np.float32)
    lp[[0, 1, 2], 0, [1, 0, 2]] = 0
    x = twinflow.tensor(lp, requires_grad=True)
    loss = F.ctc_loss(x, twinflow.tensor([[1, 2]]), (3,), (2,), reduction="sum")
    loss.backward()
    assert loss.item() == 0.0
    assert np.isfinite(x.grad.numpy()).all()
    assert F.ctc_loss(x, twinflow.tensor([[2, 1]]), (3,), (2,), reduction="sum").item() == np.inf


def test_the_graph_does_not_grow_with_the_frames() -> None:
    def nodes(frames: int) -> int:
        def step(x: Any, labels: Any, lengths: Any, sizes: Any) -> Any:
            leaf = x.detach().requires_grad_(True)
            F.ctc_loss(leaf.log_softmax(2), labels, lengths, sizes).backward()
            return leaf.grad

        compiled = twinflow.compile(step)
        x = twinflow.tensor(np.random.default_rng(2).normal(size=(frames, 2, 4)).astype(np.float32))
        lengths, sizes = twinflow.tensor([frames, 3]), twinflow.tensor([2, 1])
        args = (x, twinflow.tensor([[1, 2], [3, 0]]), lengths, sizes)
        np.testing.assert_allclose(compiled(*args).numpy(), step(*args).numpy(), rtol=1e-4, atol=1e-6)
        return len(compiled.graph.nodes)

    assert nodes(5) == nodes(40)
