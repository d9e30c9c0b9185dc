"""Small pictures of ten classes."""

from __future__ import annotations

from typing import Any

from twinflow.keras.datasets._cifar import read_parts
from twinflow.keras.datasets._files import find

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_DIGEST = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def load_data(path: Any = "cifar-10-python.tar.gz", download: bool = False) -> Any:
    """((x_train, y_train), (x_test, y_test)): bytes [N, 32, 32, 3], and classes [N, 1].

    Args:
        path: the archive, in ~/.keras/datasets unless the path is absolute.
        download: whether to fetch it if it is missing.
    """
    found = find("cifar10", path, _URL, _DIGEST, download)
    folder = "cifar-10-batches-py"
    train = [f"{folder}/data_batch_{k}" for k in range(1, 6)]
    return read_parts(found, train, "labels"), read_parts(found, [f"{folder}/test_batch"], "labels")
