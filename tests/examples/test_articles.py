"""The articles' PyTorch programs: the right ones run, and those that are wrong as printed say what is wrong and what to do.

`printed/` holds the wrong programs with nothing changed but their imports; `examples/articles/` holds them corrected.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import twinflow as torch
from twinflow.core.errors import DTypeError, GradientError, ShapeError

HERE = Path(__file__).resolve().parent
ARTICLES = HERE.parents[1] / "examples" / "articles"


def printed(name: str) -> str:
    return (HERE / "printed" / f"{name}.txt").read_text(encoding="utf-8")


def run(program: str, *changes: tuple[str, str], **names: Any) -> dict[str, Any]:
    """Run a program's text after replacing parts of it, with `names` defined; returns what it defined."""
    for old, new in changes:
        assert old in program
        program = program.replace(old, new)
    space: dict[str, Any] = {"__name__": "__main__", **names}
    torch.manual_seed(0)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(program, "<article>", "exec"), space)
    space["printed"] = out.getvalue()
    return space


def corrected(name: str, *changes: tuple[str, str]) -> dict[str, Any]:
    return run((ARTICLES / f"{name}.py").read_text(encoding="utf-8"), *changes)


def test_linear_layer_finds_the_line():
    model = corrected("torch_linear_layer")["model"]
    assert model.linear.weight.item() == pytest.approx(2, abs=0.4)
    assert model.linear.bias.item() == pytest.approx(1, abs=0.4)


def test_linear_parameters_find_the_line():
    """The program takes 1,000 times 100 steps; 10 times 100 come as near as the noise allows."""
    space = corrected("torch_linear_parameters", ("range(1000)", "range(10)"))
    assert space["model"].W.item() == pytest.approx(2, abs=0.1)
    assert space["model"].b.item() == pytest.approx(1, abs=0.1)
    assert space["printed"].count("Epoch") == 100


def test_corrected_cnn_learns():
    losses = [float(line.split()[-1]) for line in corrected("torch_cnn")["printed"].splitlines()]
    assert losses[0] == pytest.approx(np.log(32), abs=0.5)  # as guessing does
    assert losses[-1] < losses[0] - 0.5


def test_corrected_mlp_learns_digits():
    assert corrected("torch_mlp")["correct"].item() > 0.8


def test_corrected_numpy_regression_finds_the_line():
    model = corrected("torch_linear_numpy")["model"]
    assert model.linear.weight.item() == pytest.approx(3, abs=0.1)
    assert model.linear.bias.item() == pytest.approx(2, abs=0.1)


# -- as printed: one mistake after the other ---------------------------------------------------------------------

LAYOUT = ("torch.randn(32, 32, 3, 32,", "torch.randn(32, 3, 32, 32,")
LABELS = ("torch.randn(32, 32, 32, dtype=torch.float32)", "torch.randint(0, 32, (32,))")
FLATTEN = ("x.view(-1, 32 * 8 * 8)", "x.flatten(1)")


def test_cnn_as_printed_names_the_channel_axis():
    with pytest.raises(
        ShapeError, match=r"(?s)channels seem to stand in axis 2: use x\.movedim\(2, 1\).*Conv2d 'conv'"
    ):
        run(printed("torch_cnn"))


def test_cnn_with_channels_last_names_the_channel_axis():
    with pytest.raises(ShapeError, match=r"channels stand last: use x\.movedim\(-1, 1\)"):
        run(printed("torch_cnn"), ("torch.randn(32, 32, 3, 32,", "torch.randn(32, 32, 32, 3,"))


def test_cnn_in_the_right_layout_refuses_numbers_as_labels():
    with pytest.raises(ShapeError, match="The target is float32: labels are whole numbers, one for each position"):
        run(printed("torch_cnn"), LAYOUT)


def test_cnn_with_floating_labels_says_how_to_convert():
    with pytest.raises(DTypeError, match=r"class labels are whole numbers.*use target\.long\(\)"):
        run(
            printed("torch_cnn"),
            LAYOUT,
            FLATTEN,
            ("32 * 8 * 8", "32 * 16 * 16"),
            ("torch.randn(32, 32, 32,", "torch.rand(32,"),
        )


def test_cnn_whose_view_cuts_images_up_says_so():
    with pytest.raises(ShapeError, match=r"made 128 rows of 32 examples.*use \.flatten\(1\)"):
        run(printed("torch_cnn"), LAYOUT, LABELS)


def test_cnn_with_flatten_names_the_size_of_the_next_layer():
    with pytest.raises(ShapeError, match=r"(?s)8192 != 2048.*Linear 'fc'"):
        run(printed("torch_cnn"), LAYOUT, LABELS, FLATTEN)


@pytest.mark.parametrize(("program", "name"), [("torch_mlp", "trainloader"), ("torch_linear_numpy", "X_train")])
def test_undefined_names_are_named(program: str, name: str):
    with pytest.raises(NameError, match=name):
        run(printed(program))


@pytest.mark.parametrize("shape", [(4, 1, 28, 28), (4, 28, 28)])
def test_mlp_on_images_says_to_flatten(shape: tuple[int, ...]):
    batch = (torch.zeros(shape), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"use input\.flatten\(1\)"):
        run(printed("torch_mlp"), trainloader=[batch])


def test_mlp_on_one_hot_labels_trains_as_on_classes():
    """One-hot rows are probabilities, which cross-entropy takes."""
    x, labels = torch.rand(4, 784), torch.tensor([1, 3, 5, 7])
    hot = run(printed("torch_mlp"), trainloader=[(x, torch.nn.functional.one_hot(labels, 10).float())])
    plain = run(printed("torch_mlp"), trainloader=[(x, labels)])
    np.testing.assert_allclose(hot["loss"].item(), plain["loss"].item(), rtol=1e-5)


def test_regression_on_whole_numbers_says_how_to_convert():
    with pytest.raises(GradientError, match=r"not twinflow\.int64; use \.float\(\)"):
        run(printed("torch_linear_numpy"), X_train=np.arange(5).reshape(5, 1), y_train=np.ones((5, 1)))


def test_regression_on_a_row_of_inputs_says_to_make_a_column():
    row = np.ones(100, np.float32)
    with pytest.raises(ShapeError, match=r"use input\.unsqueeze\(-1\)"):
        run(printed("torch_linear_numpy"), X_train=row, y_train=row)


def test_regression_on_labels_that_would_broadcast_is_refused():
    x = np.ones((100, 1), np.float32)
    with pytest.raises(ShapeError, match=r"\(100, 1\) and target \(100,\).*use target\.reshape\(input\.shape\)"):
        run(printed("torch_linear_numpy"), X_train=x, y_train=x[:, 0])


def test_losses_refuse_labels_that_would_broadcast_in_a_compiled_step_too():
    step = torch.compile(lambda a, b: torch.nn.functional.mse_loss(a, b))
    with pytest.raises(ShapeError, match="broadcast or mix elements silently"):
        step(torch.zeros(4, 1), torch.zeros(4))
