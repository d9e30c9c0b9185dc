"""Tools: `keras.utils`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._registry import register_keras_serializable as register_keras_serializable
from twinflow.ops import manual_seed


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray[Any, Any]:
    """Labels as one-hot rows.

    >>> from twinflow import keras
    >>> keras.utils.to_categorical([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x).astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    n = int(num_classes) if num_classes is not None else int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= n):
        raise ArgumentError(
            f"to_categorical: labels lie in [0, {n - 1}], but they reach from {labels.min()} to {labels.max()}"
        )
    return np.eye(n, dtype=np.float32)[labels]


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and the framework's random numbers."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    manual_seed(seed)


class PyDataset:
    """Base of data sets by batch: define `__len__` (batches) and `__getitem__(index)` -> (x, y)."""

    def __len__(self) -> int:
        raise ArgumentError(f"{type(self).__name__}: define __len__, the number of batches")

    def __getitem__(self, index: int) -> Any:
        raise ArgumentError(f"{type(self).__name__}: define __getitem__(index), a batch (x, y)")


Sequence = PyDataset
