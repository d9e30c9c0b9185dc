"""Metrics of text: BLEU and word error rate. They compare strings, so they are no part of compiled steps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from twinflow.core.errors import ArgumentError, DataError
from twinflow.metrics._metric import Metric


def _words(text: Any, op: str) -> list[str]:
    if isinstance(text, str):
        return text.split()
    if isinstance(text, Sequence):
        return [str(w) for w in text]
    raise ArgumentError(f"{op}: texts are strings or lists of words, not {type(text).__name__}")


def _texts(op: str, predictions: Any, references: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(predictions, str) or isinstance(references, str):
        raise ArgumentError(f"{op}: lists of texts are needed, not one string; put it into a list")
    if len(predictions) != len(references):
        raise DataError(f"{op}: {len(predictions)} predictions for {len(references)} references")
    return list(predictions), list(references)


class BLEU(Metric):
    """How many runs of 1 to n words of a translation occur in its references, with a penalty for brevity.

    BLEU = min(1, exp(1 − r/c)) · exp(Σ log pₖ / n), over the whole corpus; c and r are the lengths of the translations
    and of the references nearest to them.

    Args:
        n_gram: n.
        smooth: add one to the counts for k > 1 (Lin and Och 2004), so that one missing length does not give 0.
    Source: Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation".

    >>> import twinflow
    >>> twinflow.metrics.BLEU()(["the cat is on the mat"], [["the cat is on the mat"]])
    1.0
    """

    def __init__(self, n_gram: int = 4, *, smooth: bool = False) -> None:
        super().__init__()
        if not isinstance(n_gram, int) or n_gram < 1:
            raise ArgumentError(f"BLEU: n_gram must be a whole number of at least 1, but {n_gram!r} was given")
        self.n_gram, self.smooth = n_gram, smooth
        self._add_state("matches", (n_gram,))
        self._add_state("possible", (n_gram,))
        self._add_state("lengths", (2,))

    def _update(self, predictions: Any, references: Any) -> None:
        """References: for each prediction a list of texts, or one text."""
        for text, refs in zip(*_texts("BLEU", predictions, references)):
            words = _words(text, "BLEU")
            all_refs = [_words(r, "BLEU") for r in ([refs] if isinstance(refs, str) else refs)]
            if not all_refs:
                raise DataError("BLEU: a prediction without references")
            nearest = min((abs(len(r) - len(words)), len(r)) for r in all_refs)[1]
            self._state["lengths"][0] += float(len(words))
            self._state["lengths"][1] += float(nearest)
            for n in range(1, self.n_gram + 1):
                found = _runs(words, n)
                most: Counter[tuple[str, ...]] = Counter()
                for r in all_refs:
                    most |= _runs(r, n)
                self._state["matches"][n - 1] += float((found & most).total())
                self._state["possible"][n - 1] += float(found.total())

    def compute(self) -> float:
        """The score, from 0 to 1."""
        matches, possible = self._state["matches"].tolist(), self._state["possible"].tolist()
        length, reference = self._state["lengths"].tolist()
        self._want_any(reference)
        if self.smooth:
            matches = [matches[0], *(m + 1 for m in matches[1:])]
            possible = [possible[0], *(p + 1 for p in possible[1:])]
        if min(matches) == 0:
            return 0.0
        precision = math.exp(sum(math.log(m / p) for m, p in zip(matches, possible)) / self.n_gram)
        return precision * (1.0 if length > reference else math.exp(1 - reference / length))


def _runs(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[k:] for k in range(n))))


class WER(Metric):
    """Word error rate: substitutions, insertions and deletions to turn predictions into references, per word of these.

    Source: Levenshtein 1966, for the distance.
    """

    def __init__(self) -> None:
        super().__init__()
        self._add_state("errors")
        self._add_state("words")

    def _update(self, predictions: Any, references: Any) -> None:
        for text, ref in zip(*_texts("WER", predictions, references)):
            wanted = _words(ref, "WER")
            self._state["errors"].add_(float(_distance(_words(text, "WER"), wanted)))
            self._state["words"].add_(float(len(wanted)))

    def compute(self) -> float:
        """The rate; 0 is perfect, and it may exceed 1."""
        self._want_any(self._state["words"].item())
        return float(self._state["errors"].item() / self._state["words"].item())


def _distance(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
