"""Results equal those that TensorFlow 2.21 gave (goldens.json, written by tools/tf_goldens.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.tf.golden_cases import CASES, flat
from tests.tf.golden_functions import FUNCTIONS, types
from tests.tf.golden_programs import PROGRAMS

from twinflow import tf

GOLDENS, GOLDEN_FUNCTIONS = (
    json.loads((Path(__file__).parent / name).read_text()) for name in ("goldens.json", "golden_functions.json")
)


EVERY = {**CASES, **PROGRAMS}


def assert_equal(value, wanted, atol=2e-4):
    for got, want in zip(flat(value), wanted, strict=True):
        if want and isinstance(want[0] if isinstance(want, list) else want, str):
            assert got == want
        else:
            assert np.shape(got) == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=atol)


@pytest.mark.parametrize("name", EVERY)
def test_results_equal_tensorflows(name):
    assert_equal(EVERY[name](tf), GOLDENS[name])


@pytest.mark.parametrize("line", FUNCTIONS)
def test_functions_give_tensorflows_values_and_types(line):
    with np.errstate(invalid="ignore"):
        value = FUNCTIONS[line](tf)
    wanted_types, wanted = GOLDEN_FUNCTIONS[line]
    assert types(value) == wanted_types
    assert_equal(value, wanted, atol=2e-5)
