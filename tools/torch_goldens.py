"""Record PyTorch's results for the cases of tests/ops/torch_cases.txt: python tools/torch_goldens.py (needs torch)."""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parents[1] / "tests" / "ops"
spec = importlib.util.spec_from_file_location("torch_harness", HERE / "torch_harness.py")
harness = importlib.util.module_from_spec(spec)
sys.modules["torch_harness"] = harness
spec.loader.exec_module(harness)


def main() -> None:
    """Evaluate every case with PyTorch and write the results."""
    warnings.simplefilter("ignore")
    out, failed = {}, []
    for case in harness.cases():
        try:
            out[case.expr] = harness.evaluate(torch, case)
        except Exception as error:
            failed.append(f"{case.flags}| {case.expr}\n  {type(error).__name__}: {error}")
    if failed:
        sys.exit("\n".join(failed))
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in out.items())
    harness.GOLDENS.write_text(f'{{"torch": "{torch.__version__}", "cases": {{\n{lines}\n}}}}\n')
    sys.stdout.write(f"{len(out)} cases\n")


if __name__ == "__main__":
    main()
