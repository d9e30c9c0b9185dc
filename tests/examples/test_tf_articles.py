"""The articles' TensorFlow programs: the right ones run, and those that are wrong as printed say what is wrong and what to do.

`printed/` holds the programs with nothing changed but their imports; `examples/articles/` holds them corrected.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest

from twinflow import tf
from twinflow.core.errors import ArgumentError, GradientError, ShapeError
from twinflow.tf.compat import v1

HERE = Path(__file__).resolve().parent
ARTICLES = HERE.parents[1] / "examples" / "articles"


@pytest.fixture(autouse=True)
def fresh_graph():
    v1.reset_default_graph()


def run(path: Path, *changes: tuple[str, str], **names: Any) -> dict[str, Any]:
    """Run a program after replacing parts of it, with `names` defined; returns what it defined."""
    program = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in program
        program = program.replace(old, new)
    space: dict[str, Any] = {"__name__": "__main__", **names}
    tf.random.set_seed(0)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(program, "<article>", "exec"), space)
    space["printed"] = out.getvalue()
    return space


def printed(name: str, *changes: tuple[str, str], **names: Any) -> dict[str, Any]:
    return run(HERE / "printed" / f"{name}.txt", *changes, **names)


def corrected(name: str, *changes: tuple[str, str]) -> dict[str, Any]:
    return run(ARTICLES / f"{name}.py", *changes)


# -- corrected ---------------------------------------------------------------------------------------------------------


def test_linear_regression_in_a_session_finds_the_line():
    space = corrected("tf_linear_numpy", ("range(10)", "range(5)"))
    assert space["W_val"] == pytest.approx(2, abs=0.1) and space["b_val"] == pytest.approx(1, abs=0.1)
    assert space["printed"].count("Epoch") == 50


def test_linear_regression_as_a_graph_finds_the_line():
    space = corrected("tf_linear_graph")
    assert space["W_val"][0, 0] == pytest.approx(3, abs=0.1) and space["b_val"][0] == pytest.approx(2, abs=0.1)


def test_softmax_regression_learns_digits():
    assert float(corrected("tf_softmax", ("range(1000)", "range(200)"))["printed"]) > 0.85


def test_the_generator_moves_towards_the_digits():
    space = corrected("tf_gan", ("STEPS = 30", "STEPS = 4"))
    assert tuple(space["generated_img"].shape) == (100, 28, 28)
    assert all(g is not None for g in (*space["gradients_of_gen"], *space["gradients_of_disc"]))


# -- as printed: one mistake after the other ---------------------------------------------------------------------------

PLACEHOLDERS = (
    "y_pred = W * x + b",
    "x_data, y_data = x, y\nx = tf.placeholder(tf.float32, [None])\ny = tf.placeholder(tf.float32, [None])\ny_pred = W * x + b",
)
FEED = ("feed_dict={x: np.array(x), y: np.array(y)}", "feed_dict={x: x_data, y: y_data}")
FEW = ("range(1000)", "range(2)")
STEP = ("GradientDescentOptimizer(learning_rate=0.01)", "GradientDescentOptimizer(learning_rate=0.01).minimize(loss)")


def test_feed_keys_that_are_arrays():
    with pytest.raises(
        ArgumentError, match=r"(?s)a key of feed_dict is an array.*tf\.placeholder.*feed_dict=\{x: array\}"
    ):
        printed("tf_linear_numpy")


def test_an_optimizer_that_is_fetched():
    with pytest.raises(ArgumentError, match=r"an optimizer is no operation.*train_op = .*\.minimize\(loss\)"):
        printed("tf_linear_numpy", PLACEHOLDERS, FEED, FEW)


def test_a_session_that_is_closed():
    with pytest.raises(
        ArgumentError, match=r"the session is closed; run inside the `with tf\.Session\(\) as session:` block"
    ):
        printed("tf_linear_numpy", PLACEHOLDERS, FEED, FEW, STEP)


def test_a_weight_with_one_axis():
    with pytest.raises(ShapeError, match=r"b needs at least 2 axes, but its shape is \(1,\).*tf\.zeros\(\[1, 1\]\)"):
        printed("tf_linear_graph")


@pytest.mark.parametrize(
    ("name", "missing", "changes"),
    [
        ("tf_softmax", "mnist", []),
        ("tf_linear_graph", "X_train", [("tf.random_normal([1])", "tf.random_normal([1, 1])")]),
    ],
)
def test_names_that_are_not_defined(name: str, missing: str, changes: Any):
    with pytest.raises(NameError, match=missing):
        printed(name, *changes)


def test_binary_targets_outside_zero_and_one():
    with pytest.raises(ArgumentError, match=r"targets are probabilities in \[0, 1\], but they reach from"):
        printed("tf_logistic")


def test_logistic_regression_with_labels_as_targets_runs():
    space = printed(
        "tf_logistic", ("0 * (X <= 0.5) + np.random.rand(100, 1)", "0 * (X <= 0.5)"), ("range(1000)", "range(200)")
    )
    assert float(space["loss_value"]) < 0.65


SMALL = ("Dense(7 * 7 * 256,", "Dense(16,")


def test_a_generator_outside_the_tape():
    with pytest.raises(
        GradientError,
        match=r"no gradient was found for any of .*call the model inside `with tf\.GradientTape\(\) as tape:`",
    ):
        printed("tf_gan", SMALL, ("range(1000)", "range(1)"))


def test_images_that_do_not_fit_a_shape():
    inside = (
        "    img = generator(noise)\n    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:\n",
        "    with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:\n        img = generator(noise)\n",
    )
    with pytest.raises(ShapeError, match=r"(?s)reshape.*\(100, 784\).*\(7, 7\)"):
        printed("tf_gan", SMALL, ("range(1000)", "range(1)"), inside)
