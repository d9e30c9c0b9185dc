"""Losses of training equal those of Keras, from the same weights on the same batches."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.keras.golden_cases import CASES, run

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
