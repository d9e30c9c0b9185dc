"""The archives of CIFAR: small pictures and their classes."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from twinflow.core.errors import DataError
from twinflow.keras.datasets._files import read_objects


def read_parts(path: Path, names: list[str], labels: str) -> tuple[Any, Any]:
    """(pictures [N, 32, 32, 3], classes [N, 1]) of several files of an archive, as bytes."""
    pictures, classes = [], []
    try:
        with tarfile.open(path) as archive:
            for name in names:
                member = archive.extractfile(name)
                if member is None:
                    raise KeyError(name)
                found = read_objects(member.read(), encoding="bytes")
                pictures.append(np.asarray(found[b"data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
                classes.append(np.asarray(found[labels.encode()], np.uint8).reshape(-1, 1))
    except (tarfile.TarError, KeyError, OSError, ValueError) as error:
        raise DataError(
            f"keras.datasets: {path} is no archive of CIFAR in Python's format, or damaged: {error}"
        ) from error
    return np.ascontiguousarray(np.concatenate(pictures)), np.concatenate(classes)
