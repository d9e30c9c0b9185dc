"""Reviews of films as sequences of words, and whether they are favourable."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.keras.datasets._files import SERVER, find, read_npz, shuffled
from twinflow.keras.datasets._texts import as_objects, frequent, shifted, short_ones, word_index

_DIGEST = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_WORDS_DIGEST = "bfafd718b763782e994055a2d397834f"


def load_data(
    path: Any = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    download: bool = False,
) -> Any:
    """((x_train, y_train), (x_test, y_test)): arrays of lists of words' numbers, and of 0 and 1.

    Args:
        path: the file, in ~/.keras/datasets unless the path is absolute.
        num_words, skip_top: keep the words from `skip_top` to `num_words` in the order of their frequency; None for all.
        maxlen: leave out texts of this length and more.
        seed: of the order of the texts.
        start_char, oov_char: the numbers that begin a text, and that stand for words left out; None for neither.
        index_from: words are counted from this number on.
        download: whether to fetch the file if it is missing.
    """
    arrays = read_npz(find("imdb", path, f"{SERVER}imdb.npz", _DIGEST, download))
    rng, parts = np.random.RandomState(seed), []
    for name in ("train", "test"):
        texts, labels = shuffled(rng, arrays[f"x_{name}"], arrays[f"y_{name}"])
        parts.append(short_ones(shifted(texts, start_char, index_from), labels, maxlen))
    both = frequent([*parts[0][0], *parts[1][0]], num_words, skip_top, oov_char)
    n = len(parts[0][0])
    return (as_objects(both[:n]), np.asarray(parts[0][1])), (as_objects(both[n:]), np.asarray(parts[1][1]))


def get_word_index(path: Any = "imdb_word_index.json", download: bool = False) -> dict[str, int]:
    """The number of each word, to which `load_data` adds its `index_from`."""
    return word_index(find("imdb", path, f"{SERVER}imdb_word_index.json", _WORDS_DIGEST, download))
