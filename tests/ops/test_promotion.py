"""Every pair of types, as vectors, 0-dimensional tensors and Python numbers, against PyTorch's results (torch_promotion.txt, which
tools/torch_promotion.py records)."""

from pathlib import Path
from typing import Any

import pytest

import twinflow

NUMBERS: dict[str, Any] = {"bool()": True, "int()": 2, "float()": 2.5, "complex()": 1j}
ROWS = [r for r in Path(__file__).with_name("torch_promotion.txt").read_text().splitlines() if not r.startswith("#")]


def operand(name: str, ndim: int) -> Any:
    return NUMBERS[name] if name in NUMBERS else twinflow.ones([1] * ndim, dtype=name)


@pytest.mark.parametrize("left", list(dict.fromkeys(r.split()[0] for r in ROWS)))
def test_promotion(left: str) -> None:
    found, wanted = [], []
    for row in ROWS:
        pair, results = row.split(": ")
        a, b = pair.split()
        if a != left:
            continue
        wanted.append(row)
        made = [operand(a, m) * operand(b, n) for m, n in ((1, 1), (1, 0), (0, 1), (0, 0))]
        made.append(operand(a, 1) / operand(b, 1))
        found.append(f"{pair}: " + " ".join(t.dtype.name for t in made))
        assert len(results.split()) == 5
        if b not in NUMBERS:
            assert twinflow.promote_types(getattr(twinflow, a), getattr(twinflow, b)).name == results.split()[0]
            assert twinflow.result_type(operand(a, 1), operand(b, 0)).name == results.split()[1]
    assert found == wanted
