"""Results equal those that TensorFlow 2.21 gave (goldens.json, written by tools/tf_goldens.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.tf.golden_cases import CASES, flat
from tests.tf.golden_programs import PROGRAMS

from twinflow import tf

GOLDENS = json.loads((Path(__file__).parent / "goldens.json").read_text())


EVERY = {**CASES, **PROGRAMS}


@pytest.mark.parametrize("name", EVERY)
def test_results_equal_tensorflows(name):
    for got, want in zip(flat(EVERY[name](tf)), GOLDENS[name], strict=True):
        if want and isinstance(want[0] if isinstance(want, list) else want, str):
            assert got == want
        else:
            assert np.shape(got) == np.shape(want)
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)
