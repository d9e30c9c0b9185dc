"""Small pictures of a hundred classes, in twenty groups."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras.datasets._cifar import read_parts
from twinflow.keras.datasets._files import find

_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_DIGEST = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


def load_data(label_mode: str = "fine", path: Any = "cifar-100-python.tar.gz", download: bool = False) -> Any:
    """((x_train, y_train), (x_test, y_test)): bytes [N, 32, 32, 3], and classes [N, 1].

    Args:
        label_mode: 'fine' for the classes, 'coarse' for their groups.
        path: the archive, in ~/.keras/datasets unless the path is absolute.
        download: whether to fetch it if it is missing.
    """
    if label_mode not in ("fine", "coarse"):
        raise ArgumentError(f"keras.datasets.cifar100: label_mode is 'fine' or 'coarse', not {label_mode!r}")
    found = find("cifar100", path, _URL, _DIGEST, download)
    train, test = (
        read_parts(found, [f"cifar-100-python/{name}"], f"{label_mode}_labels") for name in ("train", "test")
    )
    return train, test
