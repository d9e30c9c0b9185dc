"""What the data sets of texts share: words as numbers, the rare ones left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from twinflow.core.errors import DataError


def shifted(texts: Any, start_char: int | None, index_from: int) -> list[list[int]]:
    """Texts whose words are counted from `index_from` on, each beginning with `start_char`."""
    start = [] if start_char is None else [start_char]
    return [[*start, *(int(w) + index_from for w in text)] for text in texts]


def short_ones(texts: list[list[int]], labels: Any, maxlen: int | None) -> tuple[list[list[int]], Any]:
    """The texts of fewer than `maxlen` words. Raises: DataError if none is left."""
    if not maxlen:
        return texts, labels
    kept = [k for k, text in enumerate(texts) if len(text) < maxlen]
    if not kept:
        raise DataError(f"keras.datasets: no text has fewer than maxlen={maxlen} words; give a larger maxlen")
    return [texts[k] for k in kept], np.asarray(labels)[kept]


def frequent(texts: list[list[int]], num_words: int | None, skip_top: int, oov_char: int | None) -> list[list[int]]:
    """Texts with `oov_char` in place of words that are rarer than the first `num_words`, or among the first `skip_top`."""
    last = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[w for w in text if skip_top <= w < last] for text in texts]
    return [[w if skip_top <= w < last else oov_char for w in text] for text in texts]


def as_objects(texts: list[list[int]]) -> np.ndarray[Any, Any]:
    """Lists of different lengths as an array of lists."""
    found = np.empty(len(texts), object)
    found[:] = texts
    return found


def word_index(path: Path) -> dict[str, int]:
    """The number of each word."""
    with open(path, encoding="utf-8") as file:
        found: dict[str, int] = json.load(file)
    return found
