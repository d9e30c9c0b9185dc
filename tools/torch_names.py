"""Record the public names of PyTorch in tests/torch_names.txt: python tools/torch_names.py (needs torch)."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import torch

SPACES = [
    "", "Tensor", "nn", "nn.functional", "nn.init", "nn.utils", "nn.utils.rnn", "nn.utils.parametrizations", "nn.utils.parametrize",
    "nn.utils.prune", "linalg", "special", "fft", "optim", "optim.lr_scheduler", "optim.swa_utils", "utils.data", "utils.checkpoint", "autograd",
    "autograd.functional", "autograd.graph", "autograd.forward_ad", "func", "random",
]  # fmt: skip


def space(name: str) -> Any:
    """The module or class of this name."""
    if name in ("", "Tensor"):
        return torch if not name else torch.Tensor
    return importlib.import_module(f"torch.{name}")


def is_foreign(value: Any, where: Any) -> bool:
    """Whether a module only imports a name for its own use: a type of `typing`, another module."""
    if inspect.ismodule(value):
        return True
    home = getattr(value, "__module__", None) or ""
    return isinstance(where, type(torch)) and bool(home) and not home.startswith(("torch", "builtins", "_"))


def main() -> None:
    """One line a namespace."""
    rows = [f"# public names of torch {torch.__version__}"]
    for name in SPACES:
        where = space(name)
        listed = None if name in ("", "nn.functional") else getattr(where, "__all__", None)
        names = [
            n
            for n in (listed or dir(where))
            if not n.startswith("_") and not is_foreign(getattr(where, n, None), where)
        ]
        rows.append(f"{name}: {' '.join(sorted(set(names)))}")
    (Path(__file__).resolve().parents[1] / "tests" / "torch_names.txt").write_text("\n".join(rows) + "\n")
    sys.stdout.write(f"{sum(len(r.split()) - 1 for r in rows)} names\n")


if __name__ == "__main__":
    main()
