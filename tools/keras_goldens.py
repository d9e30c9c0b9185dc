"""Train the small models of tests/keras/golden_cases.py with Keras, and write what they reach to tests/keras/goldens.json;
evaluate the lines of tests/keras/values.txt, and write them to tests/keras/golden_values.json.

    KERAS_BACKEND=tensorflow python tools/keras_goldens.py [values | name ...]

Run it with a Python that has Keras; the tests then need only the file. With names, only these cases are made again; with
`values`, only the lines that are new.
(With JAX, Keras 3.15 does not keep the states of stateful layers from batch to batch; with TensorFlow its ScheduleFreeAdamW reads `momentum`
after it changed, so that case was made with JAX.)
"""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

TESTS = Path(__file__).resolve().parents[1] / "tests" / "keras"


def load(name: str) -> Any:
    """A module of the tests."""
    spec = importlib.util.spec_from_file_location(name, TESTS / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"tools/keras_goldens.py: tests/keras/{name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def evaluate_lines(keras: Any) -> list[str]:
    """Evaluate the expressions whose values are not known yet; returns what failed."""
    values = load("golden_values")
    path = TESTS / "golden_values.json"
    known = json.loads(path.read_text())["values"] if path.exists() else {}
    failed = []
    for line in values.LINES:
        if line not in known:
            try:
                known[line] = values.evaluate(keras, line)
            except Exception as error:  # the others are worth having
                failed.append(f"{line}: {error}")
    rows = ",\n".join(f"{json.dumps(line)}: {json.dumps(known[line])}" for line in values.LINES if line in known)
    path.write_text(f'{{"keras": {json.dumps(keras.__version__)},\n"values": {{\n{rows}\n}}}}\n')
    return failed


def main() -> None:
    """Run the cases, and write the file."""
    import keras

    cases = load("golden_cases")
    path = TESTS / "goldens.json"
    old = json.loads(path.read_text())["cases"] if path.exists() else {}
    if sys.argv[1:] == ["values"]:
        raise SystemExit("\n".join(evaluate_lines(keras)) or None)
    chosen = sys.argv[1:] or list(cases.CASES)
    found = {name: old[name] for name in cases.CASES if name in old and name not in chosen}
    failed = evaluate_lines(keras)
    for name in chosen:
        keras.utils.clear_session()
        try:
            values = cases.run(keras, cases.CASES[name])
        except Exception as error:  # the others are worth having
            failed.append(f"{name}: {error}")
            continue
        found[name] = {k: [float(f"{n:.7g}") for n in v] for k, v in values.items()}
        print(name, found[name]["loss"], flush=True)
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    head = f'"versions": {json.dumps({"keras": keras.__version__, "backend": keras.backend.backend()})}'
    path.write_text(f'{{{head},\n"cases": {{\n{rows}\n}}}}\n')
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
