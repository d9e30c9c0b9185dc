"""MNIST as arrays."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from twinflow.data import MNIST


def load_data(path: str | os.PathLike[str] | None = None) -> Any:
    """((x_train, y_train), (x_test, y_test)) as uint8 arrays [n, 28, 28] and [n].

    Args:
        path: the folder with the IDX files; ~/.keras/datasets/twinflow if not given, where missing files are fetched to.
    """
    folder = os.path.expanduser("~/.keras/datasets/twinflow") if path is None else path
    parts = [MNIST(folder, train=train, download=path is None) for train in (True, False)]
    return tuple((np.asarray(p.data)[:, 0], np.asarray(p.targets).astype(np.uint8)) for p in parts)
