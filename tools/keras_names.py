"""Compare the names of Keras's modules with ours.

python tools/keras_names.py            prints how many of the stored names there are, and which are missing
python tools/keras_names.py --store    writes tests/keras/names.json with a Python that has Keras
"""

import json
import sys
from pathlib import Path
from typing import Any

NAMES = Path(__file__).resolve().parents[1] / "tests" / "keras" / "names.json"
MODULES = (
    "layers", "losses", "metrics", "optimizers", "optimizers.schedules", "callbacks", "ops", "initializers", "regularizers",
    "constraints", "activations", "utils", "random", "datasets",
)  # fmt: skip


def find(keras: Any, module: str) -> Any:
    """A module by its path below keras."""
    for part in module.split("."):
        keras = getattr(keras, part)
    return keras


def missing(keras: Any, stored: dict[str, Any]) -> dict[str, list[str]]:
    """The names of each module that are not there."""
    return {m: [n for n in stored["names"][m] if not hasattr(find(keras, m), n)] for m in MODULES}


def main() -> None:
    """Store the names, or compare them."""
    if "--store" in sys.argv:
        import keras

        names = {m: [n for n in dir(find(keras, m)) if not n.startswith("_")] for m in MODULES}
        NAMES.write_text(json.dumps({"keras": keras.__version__, "names": names}, indent=0) + "\n")
        return
    from twinflow import keras as ours

    stored = json.loads(NAMES.read_text())
    for module, lacking in missing(ours, stored).items():
        n = len(stored["names"][module])
        print(f"{module}: {n - len(lacking)} of {n}", "; missing: " + ", ".join(lacking) if lacking else "")


if __name__ == "__main__":
    main()
