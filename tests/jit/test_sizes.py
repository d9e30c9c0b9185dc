"""Sizes that change: sequence lengths and batches, alone and together, compile a bounded number of times."""

from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.core import Dim
from twinflow.nn import functional as F
from twinflow.runtime import engine

RNG = np.random.default_rng(0)


def draw(*shape: int) -> Any:
    return twinflow.tensor(RNG.normal(size=shape).astype(np.float32))


def recurrent(kind: Any) -> Any:
    layer, head = kind(8, 16, batch_first=True), nn.Linear(16, 3)

    def step(x: Any, y: Any) -> Any:
        layer.zero_grad()
        head.zero_grad()
        out, _ = layer(x)
        loss = F.cross_entropy(head(out[:, -1]), y) + out.square().mean()
        loss.backward()
        return [loss, *[p.grad for p in layer.parameters()]]

    return step, lambda n, t: (draw(n, t, 8), twinflow.tensor(RNG.integers(0, 3, n)))


def encoder() -> Any:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.1)

    def step(x: Any) -> Any:
        layer.zero_grad()
        twinflow.manual_seed(3)
        loss = layer(x, is_causal=True).square().mean()
        loss.backward()
        return [loss, *[p.grad for p in layer.parameters()]]

    return step, lambda n, t: (draw(n, t, 16),)


def ctc() -> Any:
    def step(x: Any, labels: Any, frames: Any, sizes: Any) -> Any:
        leaf = x.detach().requires_grad_(True)
        loss = F.ctc_loss(leaf.log_softmax(2), labels, frames, sizes)
        loss.backward()
        return [loss, leaf.grad]

    def data(n: int, t: int) -> Any:
        labels = twinflow.tensor(RNG.integers(1, 5, (n, 3)))
        return draw(t, n, 5), labels, twinflow.tensor([t - k % 2 for k in range(n)]), twinflow.tensor([2] * n)

    return step, data


@pytest.mark.parametrize("program", [lambda: recurrent(nn.LSTM), lambda: recurrent(nn.GRU), encoder, ctc])
def test_batch_and_length_may_change_together(program: Any) -> None:
    step, data = program()
    compiled = twinflow.compile(step)
    made = []
    for n, t in ((4, 7), (5, 9), (6, 11), (3, 12), (7, 20)):
        args = data(n, t)
        before = engine().stats.compiled + engine().stats.from_disk
        got = compiled(*args)
        made.append(engine().stats.compiled + engine().stats.from_disk - before)
        for g, w in zip(got, step(*args), strict=True):
            np.testing.assert_allclose(g.detach().numpy(), w.detach().numpy(), rtol=2e-4, atol=2e-5)
    assert made[2:] == [0, 0, 0]


def test_arithmetic_of_dimensions() -> None:
    n, m = Dim(6, "n0"), Dim(4, "n1")
    assert (n - 1 + 1).scale == 1
    assert type(n - 1 + 1) is Dim
    assert (n * m).name == (m * n).name == "n0.n1"
    assert (n * m * 3).scale == 3
    assert [int(v) for v in (n + m, n - m, 10 - n, -(n - 1), (n - 1) * 2 + 2, n - n, 2 * n - n)] == [
        10, 2, 4, -5, 12, 0, 6,
    ]  # fmt: skip
    assert (2 * n - n).scale == 1
    assert type(n + m - m) is not Dim or int(n + m - m) == 6
