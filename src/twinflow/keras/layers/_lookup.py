"""Words and whole numbers as indices: vocabularies, hashes, and the vectors of texts. These layers work on arrays, in Python."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._symbolic import symbolic_leaves
from twinflow.keras._variable import to_tensor
from twinflow.keras.layers._core import positive
from twinflow.keras.layers._preprocessing import batches_of, check_mode, encode
from twinflow.tensor import Tensor

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


class _OnArrays(Layer):
    """Base of layers that compute outside of models: they take arrays of words or numbers, and give tensors."""

    def __call__(self, inputs: Any) -> Any:
        """The indices of an array (or of nested lists)."""
        if symbolic_leaves(inputs):
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} cannot be part of a model: there are no tensors of words; apply it to the data "
                "before fit, such as data.map(lambda x, y: (layer(x), y))"
            )
        self.built = True
        return self.call(np.asarray(inputs.detach() if isinstance(inputs, Tensor) else inputs))


class _Lookup(_OnArrays):
    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        pad_to_max_tokens: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        kind = type(self).__name__
        self.output_mode = check_mode(kind, output_mode, _MODES)
        if invert and output_mode != "int":
            raise ArgumentError(f"{kind}: invert=True needs output_mode='int'")
        if num_oov_indices < 0 or (max_tokens is not None and max_tokens <= num_oov_indices):
            raise ArgumentError(
                f"{kind}: max_tokens={max_tokens!r} leaves no words beside num_oov_indices={num_oov_indices!r}"
            )
        self.max_tokens, self.num_oov_indices, self.invert = max_tokens, num_oov_indices, invert
        self.mask_token, self.oov_token, self.pad_to_max_tokens = mask_token, oov_token, pad_to_max_tokens
        self._words: list[Any] | None = None
        self._idf: np.ndarray[Any, Any] | None = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _special(self) -> list[Any]:
        """What stands before the words: the mask and the unknown ones (no mask in rows)."""
        front = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        return front + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take over words in the order of their indices: a list, or the path of a file with one in each line."""
        if isinstance(vocabulary, str):
            with open(vocabulary, encoding="utf-8") as file:
                vocabulary = file.read().splitlines()
        words = [w.item() if isinstance(w, np.generic) else w for w in vocabulary]
        special = self._special()
        words = words[len(special) :] if special and words[: len(special)] == special else words
        if len(set(words)) != len(words):
            twice = next(w for w, n in Counter(words).items() if n > 1)
            raise ArgumentError(f"{type(self).__name__}: the vocabulary has {twice!r} twice")
        if self.max_tokens is not None and len(words) + len(special) > self.max_tokens:
            raise ArgumentError(
                f"{type(self).__name__}: {len(words)} words and {len(special)} special ones exceed max_tokens={self.max_tokens}"
            )
        if (self.output_mode == "tf_idf") != (idf_weights is not None):
            raise ArgumentError(f"{type(self).__name__}: idf_weights go with output_mode='tf_idf', which needs them")
        self._take(words)
        if idf_weights is not None:
            own = np.asarray(idf_weights, np.float32)
            self._idf = np.concatenate([np.full(self.num_oov_indices, own.mean(), np.float32), own])

    def _take(self, words: list[Any]) -> None:
        self._words = words
        first = len(self._special())
        self._index = {w: k + first for k, w in enumerate(words)}

    def adapt(self, data: Any) -> None:
        """Count the words of an array or data set; the most frequent come first."""
        counts: Counter[Any] = Counter()
        documents: Counter[Any] = Counter()
        n = 0
        for batch in batches_of(type(self).__name__, data):
            for row in self._rows(batch):
                counts.update(row)
                documents.update(set(row))
                n += 1
        for special in (self.mask_token, self.oov_token):
            counts.pop(special, None)
        room = None if self.max_tokens is None else self.max_tokens - len(self._special())
        words = [w for w, _ in sorted(counts.items(), key=lambda item: (item[1], item[0]), reverse=True)][:room]
        self._take(words)
        if self.output_mode == "tf_idf":
            own = np.array([math.log(1 + n / (1 + documents[w])) for w in words], np.float32)
            self._idf = np.concatenate([np.full(self.num_oov_indices, own.mean(), np.float32), own])

    def _rows(self, batch: np.ndarray[Any, Any]) -> list[list[Any]]:
        rows = batch.reshape(len(batch), -1) if batch.ndim else batch.reshape(1, 1)
        return [[w.item() if isinstance(w, np.generic) else w for w in row] for row in rows]

    def _need_words(self) -> list[Any]:
        if self._words is None:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r} has no vocabulary; call adapt(data), or give vocabulary=[...]"
            )
        return self._words

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The words in the order of their indices."""
        return (self._special() if include_special_tokens else []) + list(self._need_words())

    def vocabulary_size(self) -> int:
        """How many indices there are."""
        return len(self.get_vocabulary())

    def _unknown(self, word: Any) -> int:
        """The index of a word that is not in the vocabulary."""
        first = len(self._special()) - self.num_oov_indices
        if self.num_oov_indices == 0:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: {word!r} is not in the vocabulary, and num_oov_indices is 0"
            )
        return first + (self._bucket(word) if self.num_oov_indices > 1 else 0)

    def _bucket(self, word: Any) -> int:
        return stable_hash(word) % self.num_oov_indices

    def _find(self, word: Any) -> int:
        if self.mask_token is not None and word == self.mask_token and self.output_mode == "int":
            return 0
        k = self._index.get(word)
        return self._unknown(word) if k is None else k

    def call(self, inputs: Any) -> Any:
        """Indices of words (or rows of them); with `invert`, an array of the words of indices."""
        words = self._need_words()
        if self.invert:
            table = self.get_vocabulary()
            flat = [table[i] if 0 <= i < len(table) else self.oov_token for i in inputs.ravel().tolist()]
            return np.array(flat).reshape(inputs.shape)
        found = np.array([self._find(w) for w in inputs.ravel().tolist()], np.int64).reshape(inputs.shape)
        n = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else len(words) + len(self._special())
        idf = self._idf
        if idf is not None and len(idf) < n:
            idf = np.pad(idf, (0, n - len(idf)))
        return encode(type(self).__name__, to_tensor(found), n, self.output_mode, idf)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, the vocabulary among them."""
        names = (
            "max_tokens",
            "num_oov_indices",
            "mask_token",
            "oov_token",
            "invert",
            "output_mode",
            "pad_to_max_tokens",
        )
        idf = None if self._idf is None else self._idf[self.num_oov_indices :].tolist()
        return {**self._config(*names), "vocabulary": self._words, "idf_weights": idf}


@LAYERS.add()
class StringLookup(_Lookup):
    """Words as indices: unknown ones first, then those of the vocabulary.

    Args:
        max_tokens: the largest vocabulary, with special words.
        num_oov_indices: how many indices unknown words share.
        mask_token: a word that gets the index 0.
        oov_token: what stands for unknown words.
        vocabulary: the words, a file of them, or None to find them by `adapt(data)`.
        invert: indices to words.
        output_mode: 'int', or rows: 'one_hot', 'multi_hot', 'count', 'tf_idf'.

    >>> from twinflow import keras
    >>> keras.layers.StringLookup(vocabulary=["a", "b"])([["b", "c"]])
    tensor([[2, 0]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, pad_to_max_tokens, **kwargs
        )  # fmt: skip


@LAYERS.add()
class IntegerLookup(_Lookup):
    """Whole numbers as indices. Arguments as for `StringLookup`."""

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, pad_to_max_tokens, **kwargs
        )  # fmt: skip

    def _bucket(self, word: Any) -> int:
        return int(word) % self.num_oov_indices


_PUNCTUATION = re.compile(r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']""")


@LAYERS.add()
class TextVectorization(_Lookup):
    """Texts as rows of indices: 0 behind the end, 1 for unknown words.

    Args:
        max_tokens, vocabulary, output_mode, pad_to_max_tokens, idf_weights: as for `StringLookup`.
        standardize: 'lower_and_strip_punctuation', 'lower', 'strip_punctuation', None, or a function of an array of texts.
        split: 'whitespace', 'character', None, or a function of one text.
        ngrams: also stretches of so many words: a number (all up to it) or several.
        output_sequence_length: how many indices each row has; the longest text's if not given.

    >>> from twinflow import keras
    >>> layer = keras.layers.TextVectorization()
    >>> layer.adapt(["a cat", "a dog!"])
    >>> layer(["a cat and"])
    tensor([[2, 4, 1]])
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        allowed = ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
        if not callable(standardize) and standardize not in allowed:
            raise ArgumentError(
                f"TextVectorization: standardize is one of {allowed} or a function, not {standardize!r}"
            )
        if not callable(split) and split not in ("whitespace", "character", None):
            raise ArgumentError(
                f"TextVectorization: split is 'whitespace', 'character', None or a function, not {split!r}"
            )
        self_mode = "multi_hot" if output_mode == "binary" else output_mode
        self.__dict__.update(standardize=standardize, split=split)
        super().__init__(
            max_tokens, 1, "", "[UNK]", vocabulary, idf_weights, False, self_mode, pad_to_max_tokens, **kwargs
        )
        self.standardize, self.split, self.ngrams = standardize, split, ngrams
        self.output_sequence_length = output_sequence_length

    def _rows(self, batch: np.ndarray[Any, Any]) -> list[list[Any]]:
        texts = batch.reshape(-1)
        if callable(self.standardize):
            texts = np.asarray(self.standardize(texts))
        return [self._split(str(t)) for t in texts]

    def _split(self, text: str) -> list[str]:
        if isinstance(self.standardize, str):
            text = text.lower() if "lower" in self.standardize else text
            text = _PUNCTUATION.sub("", text) if "strip" in self.standardize else text
        if callable(self.split):
            words: Sequence[str] = self.split(text)
        else:
            words = text.split() if self.split == "whitespace" else list(text) if self.split == "character" else [text]
        if self.ngrams is None:
            return list(words)
        sizes = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        return [" ".join(words[k : k + n]) for n in sizes for k in range(len(words) - n + 1)]

    def call(self, inputs: Any) -> Any:
        """The rows."""
        rows = self._rows(inputs)
        lead = inputs.shape[:-1] if inputs.ndim > 1 and inputs.shape[-1] == 1 else inputs.shape
        length = self.output_sequence_length or max((len(r) for r in rows), default=0)
        if self.output_mode != "int":
            n = self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self.vocabulary_size()
            counts = np.zeros((len(rows), n), np.float32)
            for k, row in enumerate(rows):
                for w in row:
                    counts[k, self._find(w)] += 1
            if self.output_mode == "multi_hot":
                counts = (counts > 0).astype(np.float32)
            elif self.output_mode == "tf_idf" and self._idf is not None:
                counts[:, : len(self._idf)] *= self._idf
            return to_tensor(counts.reshape(*lead, n))
        self._need_words()
        found = np.zeros((len(rows), length), np.int64)
        for k, row in enumerate(rows):
            found[k, : len(row)] = [self._find(w) for w in row[:length]]
        return to_tensor(found.reshape(*lead, length))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again, the vocabulary among them."""
        config = super().get_config()
        for name in ("num_oov_indices", "mask_token", "oov_token", "invert"):
            del config[name]
        own = {n: getattr(self, n) for n in ("standardize", "split", "ngrams", "output_sequence_length")}
        if callable(own["standardize"]) or callable(own["split"]):
            raise ArgumentError(f"TextVectorization {self.name!r} cannot be saved with functions of one's own")
        return {**config, **own}


def stable_hash(value: Any, salt: Any = None) -> int:
    """A hash of 64 bits that is the same in all processes."""
    salts = () if salt is None else salt if isinstance(salt, (list, tuple)) else (salt,)
    text = str(value).encode() + b"".join(b"\0" + str(s).encode() for s in salts)
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


@LAYERS.add()
class Hashing(_OnArrays):
    """Words or numbers as the number of a bin, by a hash (BLAKE2; Keras uses other ones, so bins differ).

    Args:
        num_bins: how many bins there are.
        mask_value: a value that gets bin 0, which no other does then.
        salt: numbers that change the hash.
        output_mode: 'int', 'one_hot', 'multi_hot' or 'count'.
    """

    def __init__(
        self, num_bins: int, mask_value: Any = None, salt: Any = None, output_mode: str = "int", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        positive("Hashing", num_bins=num_bins)
        self.num_bins, self.mask_value, self.salt = num_bins, mask_value, salt
        self.output_mode = check_mode("Hashing", output_mode, _MODES[:-1])

    def _bin(self, value: Any) -> int:
        if self.mask_value is None:
            return stable_hash(value, self.salt) % self.num_bins
        return 0 if value == self.mask_value else 1 + stable_hash(value, self.salt) % (self.num_bins - 1)

    def call(self, inputs: Any) -> Tensor:
        """The bins."""
        found = np.array([self._bin(v) for v in inputs.ravel().tolist()], np.int64).reshape(inputs.shape)
        return encode("Hashing", to_tensor(found), self.num_bins, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("num_bins", "mask_value", "salt", "output_mode")


@LAYERS.add()
class HashedCrossing(_OnArrays):
    """The combination of several values of an example as the number of a bin, by a hash."""

    def __init__(self, num_bins: int, output_mode: str = "int", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive("HashedCrossing", num_bins=num_bins)
        self.num_bins = num_bins
        self.output_mode = check_mode("HashedCrossing", output_mode, ("int", "one_hot"))

    def __call__(self, inputs: Any) -> Any:
        """The bins of a list of arrays of one shape."""
        if not isinstance(inputs, (list, tuple)) or len(inputs) < 2:
            raise ArgumentError("HashedCrossing: a list of at least 2 arrays is needed, such as layer([cities, jobs])")
        if symbolic_leaves(inputs):
            return super().__call__(inputs)
        arrays = [np.asarray(x.detach() if isinstance(x, Tensor) else x) for x in inputs]
        rows = zip(*(a.ravel().tolist() for a in arrays))
        found = np.array([stable_hash("_X_".join(map(str, r))) % self.num_bins for r in rows], np.int64)
        self.built = True
        return encode("HashedCrossing", to_tensor(found.reshape(arrays[0].shape)), self.num_bins, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("num_bins", "output_mode")
