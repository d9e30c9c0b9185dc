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
    assert str(x) == "tensor([0.5000, 0.5000, 0.5000,  ..., 0.5000, 0.5000, 0.5000])"


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


def test_complex_numbers_show_each_part_in_its_own_form() -> None:
    assert str(twinflow.tensor([1 + 2j, 3.5 - 1j])) == "tensor([1.0000+2.j, 3.5000-1.j])"


def test_long_lines_are_broken_after_whole_columns() -> None:
    lines = str(twinflow.arange(30.0)).splitlines()
    assert lines[0] == "tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,"
    assert lines[1].startswith("        14., 15.,")


def test_a_number_in_a_text_is_just_the_number() -> None:
    x = twinflow.tensor(1.5, requires_grad=True)
    assert f"loss: {x} {x:.2f}" == "loss: 1.5 1.50"
    assert f"{twinflow.ones(2)}" == "tensor([1., 1.])"
