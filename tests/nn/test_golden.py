"""Layers, losses and functions against values and gradients from PyTorch (golden.json, golden_sequences.json), eager and compiled."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow import nn
from twinflow.jit import interpreted

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("golden_env", HERE / "golden_env.py")
golden_env: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden_env)
GOLDEN = {
    text: values
    for name in ("golden.json", "golden_sequences.json")
    for text, values in json.loads((HERE / name).read_text())["cases"].items()
}


def check(got: list[Any], want: list[Any]) -> None:
    assert len(got) == len(want)
    for g, w in zip(got, want):
        if w is None:
            assert g is None or g == 0
        else:
            np.testing.assert_allclose(g, w, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("text", GOLDEN)
def test_golden(text: str) -> None:
    case = golden_env.Case(text, nn, nn.functional, twinflow.from_numpy)
    total = case.total(twinflow.from_numpy)
    leaves = case.leaves()

    def backward(total: Any) -> list[Any]:
        for x in leaves:
            x.grad = None
        if total.requires_grad:
            total.backward()
        return [x.grad for x in leaves]

    grads = backward(total)
    check(case.condense(total.item(), [None if g is None else g.numpy() for g in grads]), GOLDEN[text])

    @twinflow.compile(backend=interpreted)
    def step() -> Any:
        total = case.total(twinflow.from_numpy)
        return total.detach(), backward(total)

    for _ in range(2):
        value, grads = step()
        check(case.condense(value.item(), [None if g is None else g.numpy() for g in grads]), GOLDEN[text])
