"""Prices of houses in California."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras.datasets._files import SERVER, find, read_npz, shuffled, split

_DIGEST = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


def load_data(
    version: str = "large",
    path: Any = "california_housing.npz",
    test_split: float = 0.2,
    seed: int = 113,
    download: bool = False,
) -> Any:
    """((x_train, y_train), (x_test, y_test)): 8 numbers for each block of houses, and prices in dollars.

    Args:
        version: 'large' for all 20640 rows, 'small' for the first 600.
        path: the file, in ~/.keras/datasets unless the path is absolute.
        test_split, seed: which part is for tests, and the order of the rows.
        download: whether to fetch the file if it is missing.
    """
    if version not in ("large", "small"):
        raise ArgumentError(f"keras.datasets.california_housing: version is 'large' or 'small', not {version!r}")
    arrays = read_npz(find("california_housing", path, f"{SERVER}california_housing.npz", _DIGEST, download))
    n = 600 if version == "small" else None
    x, y = shuffled(np.random.RandomState(seed), arrays["x"][:n], arrays["y"][:n])
    return split(x, y, test_split)
