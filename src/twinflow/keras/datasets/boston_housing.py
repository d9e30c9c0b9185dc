"""Prices of houses in Boston. One of its columns is a proxy of race, which is why the set is kept for old programs alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.keras.datasets._files import SERVER, find, read_npz, shuffled, split

_DIGEST = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


def load_data(
    path: Any = "boston_housing.npz", test_split: float = 0.2, seed: int = 113, download: bool = False
) -> Any:
    """((x_train, y_train), (x_test, y_test)): 13 numbers for each place, and prices in thousands of dollars.

    Args:
        path: the file, in ~/.keras/datasets unless the path is absolute.
        test_split, seed: which part is for tests, and the order of the rows.
        download: whether to fetch the file if it is missing.
    """
    arrays = read_npz(find("boston_housing", path, f"{SERVER}boston_housing.npz", _DIGEST, download))
    x, y = shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    return split(x, y, test_split)
