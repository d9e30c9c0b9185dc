"""Operations against results recorded from PyTorch, eager and traced, with the gradients of the inputs."""

import importlib.util
import sys
from pathlib import Path

import pytest

import twinflow as tf

_spec = importlib.util.spec_from_file_location("torch_harness", Path(__file__).parent / "torch_harness.py")
harness = importlib.util.module_from_spec(_spec)
sys.modules["torch_harness"] = harness
_spec.loader.exec_module(harness)

CASES = harness.cases()
WANT = harness.load()["cases"]


@pytest.mark.parametrize("case", CASES, ids=[c.expr for c in CASES])
def test_eager_equals_torch(case):
    harness.compare_all(harness.evaluate(tf, case), WANT[case.expr])


@pytest.mark.parametrize("case", [c for c in CASES if "D" not in c.flags], ids=lambda c: c.expr)
def test_traced_equals_torch(case):
    harness.compare_all(harness.evaluate(tf, case, tf.compile), WANT[case.expr])


def test_every_case_has_a_recorded_result():
    assert sorted(WANT) == sorted({c.expr for c in CASES})
