"""Compute tests/tf/goldens.json and golden_functions.json with a Python that has TensorFlow: python tools/tf_goldens.py."""

import json
import sys
from pathlib import Path

import tensorflow

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests" / "tf"
sys.path.insert(0, str(ROOT))


def main() -> None:
    """Store the results of every case."""
    from tests.tf.golden_cases import CASES, flat
    from tests.tf.golden_functions import FUNCTIONS, types
    from tests.tf.golden_programs import PROGRAMS

    store("goldens.json", {name: flat(case(tensorflow)) for name, case in {**CASES, **PROGRAMS}.items()})
    found = {line: call(tensorflow) for line, call in FUNCTIONS.items()}
    store("golden_functions.json", {line: [types(value), flat(value)] for line, value in found.items()})


def store(name: str, values: dict[str, object]) -> None:
    """Write a file of results, a line each."""
    text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in values.items())
    (TESTS / name).write_text("{" + text + "}\n")


if __name__ == "__main__":
    main()
