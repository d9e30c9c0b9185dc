"""News as sequences of words, and their topics."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.keras.datasets._files import SERVER, find, read_npz, shuffled
from twinflow.keras.datasets._texts import as_objects, frequent, shifted, short_ones, word_index

_DIGEST = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_WORDS_DIGEST = "4d44cc38712099c9e383dc6e5f11a921"


def load_data(
    path: Any = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int = 3,
    download: bool = False,
) -> Any:
    """((x_train, y_train), (x_test, y_test)): arrays of lists of words' numbers, and of topics.

    Args:
        path: the file, in ~/.keras/datasets unless the path is absolute.
        num_words, skip_top: keep the words from `skip_top` to `num_words` in the order of their frequency; None for all.
        maxlen: leave out texts of this length and more.
        test_split: which part is for tests.
        seed: of the order of the texts.
        start_char, oov_char: the numbers that begin a text, and that stand for words left out; None for neither.
        index_from: words are counted from this number on.
        download: whether to fetch the file if it is missing.
    """
    arrays = read_npz(find("reuters", path, f"{SERVER}reuters.npz", _DIGEST, download))
    texts, labels = shuffled(np.random.RandomState(seed), arrays["x"], arrays["y"])
    kept, labels = short_ones(shifted(texts, start_char, index_from), labels, maxlen)
    kept = frequent(kept, num_words, skip_top, oov_char)
    at = int(len(kept) * (1 - test_split))
    labels = np.asarray(labels)
    return (as_objects(kept[:at]), labels[:at]), (as_objects(kept[at:]), labels[at:])


def get_word_index(path: Any = "reuters_word_index.json", download: bool = False) -> dict[str, int]:
    """The number of each word, to which `load_data` adds its `index_from`."""
    return word_index(find("reuters", path, f"{SERVER}reuters_word_index.json", _WORDS_DIGEST, download))
