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
from twinflow.jit import interpreted, native

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


def gradients_of(case: Any) -> Any:
    leaves = case.leaves()

    def backward(total: Any) -> list[Any]:
        for x in leaves:
            x.grad = None
        if total.requires_grad:
            total.backward()
        return [x.grad for x in leaves]

    return backward


def condensed(case: Any, value: Any, grads: list[Any]) -> list[Any]:
    return case.condense(value.item(), [None if g is None else g.numpy() for g in grads])


def new_case(text: str) -> Any:
    return golden_env.Case(text, nn, nn.functional, twinflow.from_numpy)


@pytest.mark.parametrize("text", GOLDEN)
def test_eager(text: str) -> None:
    case = new_case(text)
    total = case.total(twinflow.from_numpy)
    check(condensed(case, total, gradients_of(case)(total)), GOLDEN[text])


WAYS = [pytest.param(text, interpreted, id=f"{text}-interpreted") for text in GOLDEN]
WAYS += [  # machine code for each case takes minutes: the default suite makes it for every sixth
    pytest.param(text, native, id=f"{text}-native", marks=[pytest.mark.slow] if k % 6 else [])
    for k, text in enumerate(GOLDEN)
]


@pytest.mark.parametrize(("text", "backend"), WAYS)
def test_compiled(text: str, backend: Any) -> None:
    case = new_case(text)
    case.total(twinflow.from_numpy)  # makes the inputs and the parameters
    backward = gradients_of(case)

    @twinflow.compile(backend=backend)
    def step() -> Any:
        total = case.total(twinflow.from_numpy)
        return total.detach(), backward(total)

    for _ in range(2):
        check(condensed(case, *step()), GOLDEN[text])
