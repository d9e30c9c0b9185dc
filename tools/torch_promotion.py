"""Record PyTorch's type promotion in tests/ops/torch_promotion.txt: python tools/torch_promotion.py (needs torch)."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

NAMES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
NUMBERS = {"bool()": True, "int()": 2, "float()": 2.5, "complex()": 1j}


def operand(name: str, ndim: int) -> object:
    """One of the operands: a vector, a 0-dimensional tensor, or a Python number."""
    return NUMBERS[name] if name in NUMBERS else torch.ones([1] * ndim, dtype=getattr(torch, name))


def main() -> None:
    """For each pair: the types of vector * vector, vector * 0-dim., 0-dim. * 0-dim. and vector / vector."""
    rows = [f"# torch {torch.__version__}; left right: vector*vector vector*0-d 0-d*vector 0-d*0-d vector/vector"]
    for a in NAMES:
        for b in [*NAMES, *NUMBERS]:
            made = [operand(a, m) * operand(b, n) for m, n in ((1, 1), (1, 0), (0, 1), (0, 0))]
            types = [str(t.dtype).removeprefix("torch.") for t in made]
            if "complex32" not in types:  # PyTorch cannot divide it, and twinflow does not have it
                types.append(str((operand(a, 1) / operand(b, 1)).dtype).removeprefix("torch."))
                rows.append(f"{a} {b}: " + " ".join(types))
    (Path(__file__).resolve().parents[1] / "tests" / "ops" / "torch_promotion.txt").write_text("\n".join(rows) + "\n")
    sys.stdout.write(f"{len(rows) - 1} pairs\n")


if __name__ == "__main__":
    main()
