"""Losses of training equal those of Keras, from the same weights on the same batches."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.keras.golden_cases import CASES, run
from tests.keras.golden_values import LINES, evaluate

from twinflow import keras

GOLDENS = json.loads((Path(__file__).parent / "goldens.json").read_text())


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_losses_are_those_of_keras(name):
    wanted = GOLDENS["cases"][name]
    # what layers compute is the same with and without compiling, which other tests show; without is faster for one run
    found = run(keras, CASES[name], run_eagerly=not name.startswith("optimizer_"))
    assert found.keys() == wanted.keys()
    for k, values in wanted.items():
        np.testing.assert_allclose(found[k], values, rtol=2e-4, atol=2e-6, err_msg=k)


def test_the_file_has_no_case_that_is_gone():
    assert GOLDENS["cases"].keys() == CASES.keys()
    assert GOLDENS["versions"]["keras"]


VALUES = json.loads((Path(__file__).parent / "golden_values.json").read_text())["values"]


@pytest.mark.parametrize("line", LINES)
def test_the_values_are_those_of_keras(line):
    found = evaluate(keras, line)
    assert [shape for shape, _ in found] == [shape for shape, _ in VALUES[line]]
    for (_, a), (_, b) in zip(found, VALUES[line]):
        if a and isinstance(a[0], str):
            assert a == b
        else:
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
