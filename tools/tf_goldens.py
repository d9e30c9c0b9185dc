"""Compute tests/tf/goldens.json with a Python that has TensorFlow: python tools/tf_goldens.py."""

import json
import sys
from pathlib import Path

import tensorflow

TESTS = Path(__file__).resolve().parents[1] / "tests" / "tf"
sys.path.insert(0, str(TESTS))


def main() -> None:
    """Store the results of every case."""
    from golden_cases import CASES, flat
    from golden_programs import PROGRAMS

    values = {name: flat(case(tensorflow)) for name, case in {**CASES, **PROGRAMS}.items()}
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in values.items())
    (TESTS / "goldens.json").write_text("{" + text + "}\n")


if __name__ == "__main__":
    main()
