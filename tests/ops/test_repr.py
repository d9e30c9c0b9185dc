"""How tensors print, as PyTorch 2.13 does."""

import pytest

import twinflow
from twinflow.core.errors import ArgumentError

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        ([1e-5, 1.0], "tensor([1.0000e-05, 1.0000e+00])"),
        ([1e-3, 1.0], "tensor([0.0010, 1.0000])"),
        ([1e4, 1.5], "tensor([1.0000e+04, 1.5000e+00])"),
        ([12345678.0, 2.0], "tensor([1.2346e+07, 2.0000e+00])"),
        ([0.0, 1000.0], "tensor([   0., 1000.])"),
        ([NAN, 1.0], "tensor([nan, 1.])"),
        ([INF, 1.5, -2.0], "tensor([    inf,  1.5000, -2.0000])"),
        (1e-5, "tensor(1.0000e-05)"),
        ([1, 1000000], "tensor([      1, 1000000])"),
        ([True, False], "tensor([ True, False])"),
        ([[], []], "tensor([], size=(2, 0))"),
    ],
)
def test_printing(values: object, printed: str) -> None:
    assert str(twinflow.tensor(values)) == printed


def test_types_that_cannot_be_seen_are_named() -> None:
    assert str(twinflow.zeros(0, dtype="int64")) == "tensor([], dtype=twinflow.int64)"
    assert str(twinflow.ones(1, dtype="float64")) == "tensor([1.], dtype=twinflow.float64)"


def test_the_form_follows_from_what_is_shown() -> None:
    x = twinflow.ones(2000) / 2
    x[1000] = 1e-9
    assert str(x) == "tensor([0.5000, 0.5000, 0.5000, ..., 0.5000, 0.5000, 0.5000])"


def test_print_options() -> None:
    x = twinflow.tensor([1e-5, 1.0])
    try:
        twinflow.set_printoptions(precision=2, sci_mode=False)
        assert str(x) == "tensor([0.00, 1.00])"
        twinflow.set_printoptions(profile="short")
        assert str(x) == "tensor([1.00e-05, 1.00e+00])"
        with pytest.raises(ArgumentError, match="'default', 'short' or 'full', not 'long'"):
            twinflow.set_printoptions(profile="long")
    finally:
        twinflow.set_printoptions(profile="default")
