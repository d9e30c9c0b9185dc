"""Compare the names of TensorFlow's modules with ours.

python tools/tf_names.py            prints how many of the stored names there are, and which are missing
python tools/tf_names.py --store    writes tests/tf/names.txt with a Python that has TensorFlow
"""

import sys
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests" / "tf"
SPACES = (
    "", "math", "nn", "linalg", "image", "random", "strings", "data.Dataset", "train", "summary", "io", "autograph", "debugging",
    "Variable", "GradientTape", "TensorShape", "TensorArray", "config", "errors", "compat.v1", "compat.v1.train", "compat.v1.layers",
    "compat.v1.nn", "compat.v1.losses", "compat.v1.metrics", "compat.v1.nn.rnn_cell", "compat.v1.summary", "compat.v1.data",
    "compat.v1.initializers", "compat.v1.GraphKeys",
)  # fmt: skip
WITHOUT_KERAS_3 = {  # of TensorFlow 1.15: the latest versions load them from a package of their own
    "compat.v1.layers": "AveragePooling1D AveragePooling2D AveragePooling3D BatchNormalization Conv1D Conv2D Conv2DTranspose Conv3D Conv3DTranspose "
    "Dense Dropout Flatten InputSpec Layer MaxPooling1D MaxPooling2D MaxPooling3D SeparableConv1D SeparableConv2D average_pooling1d average_pooling2d "
    "average_pooling3d batch_normalization conv1d conv2d conv2d_transpose conv3d conv3d_transpose dense dropout experimental flatten max_pooling1d "
    "max_pooling2d max_pooling3d separable_conv1d separable_conv2d",
    "compat.v1.nn.rnn_cell": "BasicLSTMCell BasicRNNCell DeviceWrapper DropoutWrapper GRUCell LSTMCell LSTMStateTuple MultiRNNCell RNNCell ResidualWrapper",
}  # fmt: skip


def find(tf: Any, space: str) -> Any:
    """A module or class by its path below tf, None if it is missing."""
    for part in space.split(".") if space else ():
        tf = getattr(tf, part, None)
    return tf


def public(tensorflow: Any, space: str) -> list[str]:
    """The public names of one of TensorFlow's spaces."""
    if space in WITHOUT_KERAS_3:
        return WITHOUT_KERAS_3[space].split()
    return [n for n in dir(find(tensorflow, space)) if not n.startswith("_")]


def missing(tf: Any, names: dict[str, list[str]]) -> dict[str, list[str]]:
    """The names of each space that are not there."""
    return {s: [n for n in names[s] if not hasattr(find(tf, s), n)] for s in names}


def read() -> dict[str, list[str]]:
    """The stored names of each space."""
    rows = [r.partition(": ") for r in (TESTS / "names.txt").read_text().splitlines() if not r.startswith("#")]
    return {space: names.split() for space, _, names in rows}


def main() -> None:
    """Store the names, or compare them."""
    if "--store" in sys.argv:
        import tensorflow

        rows = [f"# public names of tensorflow {tensorflow.__version__}"]
        rows += [f"{s}: {' '.join(public(tensorflow, s))}" for s in SPACES]
        (TESTS / "names.txt").write_text("\n".join(rows) + "\n")
        return
    from twinflow import tf

    names = read()
    for space, lacking in missing(tf, names).items():
        n = len(names[space])
        sys.stdout.write(f"tf.{space}: {n - len(lacking)} of {n}; missing: {' '.join(lacking)}\n")


if __name__ == "__main__":
    main()
