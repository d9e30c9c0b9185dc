"""assert_close: what passes, and what the message says otherwise."""

from typing import Any

import numpy as np
import pytest

import twinflow
from twinflow.core.errors import ArgumentError
from twinflow.testing import assert_close

ONES = twinflow.ones(2, 3)


@pytest.mark.parametrize(
    ("actual", "expected", "options"),
    [
        (ONES, ONES + 1e-6, {}),
        (ONES.double(), ONES, {"check_dtype": False}),
        (twinflow.tensor([1, 2]), twinflow.tensor([1, 2]), {}),
        (twinflow.tensor([float("nan"), float("inf")]), twinflow.tensor([float("nan"), float("inf")]), {"equal_nan": True}),
        ({"a": [ONES, 2.0]}, {"a": (ONES, 2.0)}, {}),
        (ONES, np.ones((2, 3), np.float32), {}),
        (ONES, ONES * 1.05, {"rtol": 0.1, "atol": 0.0}),
        (twinflow.zeros(0), twinflow.zeros(0), {}),
    ],
)  # fmt: skip
def test_close(actual: Any, expected: Any, options: Any) -> None:
    assert_close(actual, expected, **options)


@pytest.mark.parametrize(
    ("actual", "expected", "said"),
    [
        (ONES, ONES[:1], r"shapes differ: \(2, 3\) and \(1, 3\)"),
        (ONES, ONES.double(), "types differ: twinflow.float32 and twinflow.float64"),
        (ONES, ONES + 1e-4, "6 of 6 elements differ; the largest difference is 0.0001"),
        (twinflow.tensor([1, 5]), twinflow.tensor([1, 2]), r"1 of 2 elements differ; the largest difference is 3 at \(1,\)"),
        (twinflow.tensor([float("nan")]), twinflow.tensor([float("nan")]), "1 of 1 elements differ"),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 3.0]}, r"not close at \['a'\]\[1\]"),
        ({"a": 1}, {"b": 1}, "keys differ"),
        ([1], [1, 2], "lengths differ"),
        ("a", "b", "values differ"),
    ],
)  # fmt: skip
def test_not_close(actual: Any, expected: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        assert_close(actual, expected)


def test_options() -> None:
    with pytest.raises(AssertionError, match=r"^mine$"):
        assert_close(1.0, 2.0, msg="mine")
    with pytest.raises(AssertionError, match=r"^oh: Tensors are not close"):
        assert_close(1.0, 2.0, msg=lambda m: f"oh: {m}")
    with pytest.raises(ArgumentError, match="given together"):
        assert_close(1.0, 1.0, rtol=0.1)
