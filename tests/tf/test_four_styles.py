"""The same model in four styles is the same graph: the page that walks through it, and two steps of each."""

import re
from pathlib import Path

import numpy as np

from twinflow.graph import Graph, canonical_text, from_text
from twinflow.tf.compat import v1

PAGE = Path(__file__).resolve().parents[2] / "docs" / "four-styles.md"


def test_the_four_styles_of_the_page_give_one_graph():
    v1.reset_default_graph()
    space: dict = {"__name__": "page"}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, space)
    texts = space["texts"]
    assert len(texts) == 4 and len(set(texts)) == 1
    assert "matmul" in texts[0] and texts[0].count("write") == 4
    x, y = space["x"], space["y"]
    second = [
        float(space["torch_step"](x, y)),
        float(space["keras_step"](x, y)["loss"]) * 2 - space["keras_loss"],  # Keras gives the mean since it began
        float(space["tape_step"](x, y)),
    ]
    np.testing.assert_allclose(second, second[0], rtol=1e-5)
    assert second[0] < space["torch_loss"]
    weights = [p.detach().numpy() for p in space["net"].parameters()]
    for other in (space["model"].get_weights(), [v.numpy() for v in space["variables"]]):
        for a, b in zip(weights, other):
            np.testing.assert_array_equal(a, b)


def test_canonical_text_ignores_the_order_of_lines_and_sees_other_differences():
    first = from_text(
        "graph f(%0: float32[2], %1: float32[2])\n  %2: float32[2] = exp(%0)\n  %3: float32[2] = neg(%1)\n"
        "  %4: float32[2] = sub(%2, %3)\n  return %4\n  write %0 <- %3"
    )
    second = from_text(
        "graph g(%0: float32[2], %1: float32[2])\n  %2: float32[2] = neg(%0)\n  %3: float32[2] = exp(%1)\n"
        "  %4: float32[2] = sub(%3, %2)\n  return %4\n  write %1 <- %2"
    )
    third = from_text(str(second).replace("sub(%3, %2)", "sub(%2, %3)"))
    assert canonical_text(first) == canonical_text(second) != canonical_text(third)
    only: Graph = first
    assert "exp" not in canonical_text(only, written=lambda node: True)
