"""Writes golden.json and golden_sequences.json from PyTorch: `python tests/nn/make_golden.py`, with torch installed. Not a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import golden_env  # noqa: E402
import torch  # noqa: E402
from golden_cases import CASES  # noqa: E402
from golden_sequence_cases import CASES as SEQUENCE_CASES  # noqa: E402


def write(name: str, cases: list[str]) -> None:
    golden = {"version": torch.__version__, "cases": {}}
    for text in cases:
        case = golden_env.Case(text, torch.nn, torch.nn.functional, torch.from_numpy)
        total = case.total(torch.from_numpy)
        leaves = case.leaves()
        grads = torch.autograd.grad(total, leaves, allow_unused=True) if total.requires_grad else [None] * len(leaves)
        golden["cases"][text] = case.condense(total.item(), [None if g is None else g.numpy() for g in grads])
    (HERE / name).write_text(json.dumps(golden, indent=0) + "\n")
    print(len(cases), "cases from torch", torch.__version__)  # noqa: T201


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    write("golden.json", CASES)
    write("golden_sequences.json", SEQUENCE_CASES)
