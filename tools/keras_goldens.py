"""Train the small models of tests/keras/golden_cases.py with Keras, and write what they reach to tests/keras/goldens.json.

    KERAS_BACKEND=tensorflow python tools/keras_goldens.py [name ...]

Run it with a Python that has Keras; the tests then need only the file. With names, only these cases are made again.
(With JAX, Keras 3.15 does not keep the states of stateful layers from batch to batch.)
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

TESTS = Path(__file__).resolve().parents[1] / "tests" / "keras"


def main() -> None:
    """Run the cases, and write the file."""
    import keras

    spec = importlib.util.spec_from_file_location("golden_cases", TESTS / "golden_cases.py")
    if spec is None or spec.loader is None:
        raise SystemExit("tools/keras_goldens.py: tests/keras/golden_cases.py is missing")
    cases = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cases)
    path = TESTS / "goldens.json"
    old = json.loads(path.read_text())["cases"] if path.exists() else {}
    chosen = sys.argv[1:] or list(cases.CASES)
    found = {name: old[name] for name in cases.CASES if name in old and name not in chosen}
    failed = []
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
