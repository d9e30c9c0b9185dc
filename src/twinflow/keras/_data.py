"""What `fit`, `evaluate` and `predict` accept as data: arrays, or anything that gives batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from twinflow.core import tree_leaves, tree_map
from twinflow.core.errors import ArgumentError, DataError, ShapeError
from twinflow.keras._variable import to_tensor
from twinflow.ops import randperm
from twinflow.tensor import Tensor

_VALIDATION = "fit: validation_data"
Batch = tuple[Any, Any, Any]  # inputs, targets, weights


def as_tensors(tree: Any) -> Any:
    """Arrays, lists of numbers and tensors as tensors; containers of arrays keep their structure."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {k: as_tensors(v) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)) and tree and all(isinstance(v, (np.ndarray, Tensor)) for v in tree):
        return [as_tensors(v) for v in tree]
    if not isinstance(tree, Tensor):
        tree = _checked(tree)
    t = to_tensor(tree)
    t = t.float() if t.dtype.name == "float64" else t
    return t.detach()


def triple(values: Any) -> Batch:
    """One to three values as (x, y, sample_weight), None for those that are missing."""
    x, y, w = [*values, None, None][:3]
    return x, y, w


def _checked(data: Any) -> np.ndarray[Any, Any]:
    """Data as an array. Raises: DataError for rows of different lengths, and for text."""
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError(
            "fit: the rows of the data have different lengths; make them equally long with keras.utils.pad_sequences(rows), or give batches "
            "by a data set"
        ) from None
    if array.dtype.kind in "USO":
        raise DataError(
            f"fit: the data holds text or objects ({array.dtype}), and layers take numbers; turn text into numbers before, with "
            "keras.layers.StringLookup or TextVectorization, and objects with array.astype('float32')"
        )
    return array


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """x alone, (x, y) or (x, y, sample_weight), as steps of a model's own get them."""
    if y is None and sample_weight is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack(batch: Any) -> Batch:
    """(x, y, sample_weight) of what a data set gives."""
    if isinstance(batch, tuple):
        if len(batch) > 3:
            raise DataError(f"fit: a data set gives x, (x, y) or (x, y, sample_weight), not {len(batch)} values")
        return triple(batch)
    return batch, None, None


class Arrays:
    """Tensors with one row for each example."""

    def __init__(
        self, what: str, x: Any, y: Any, sample_weight: Any, batch_size: int | None, n_steps: int | None = None
    ) -> None:
        self.batch_size = 32 if batch_size is None else int(batch_size)
        if self.batch_size < 1:
            raise ArgumentError(f"{what}: batch_size must be at least 1, but {batch_size} was given")
        self.data: Batch = (as_tensors(x), as_tensors(y), as_tensors(sample_weight))
        leaves = [t for t in tree_leaves(self.data) if isinstance(t, Tensor)]
        if any(t.ndim == 0 for t in leaves):
            raise ShapeError(f"{what}: data needs an axis of examples in front, but a number was given")
        counts = {int(t.shape[0]) for t in leaves}
        if len(counts) > 1:
            shapes = ", ".join(str(tuple(t.shape)) for t in leaves)
            raise ShapeError(
                f"{what}: x, y and sample_weight need equally many examples, but their shapes are {shapes}"
            )
        self.n = counts.pop() if counts else 0
        if self.n == 0:
            raise DataError(f"{what}: there are no examples")
        self.n_steps = self.steps() if n_steps is None else n_steps  # how many batches are wanted
        if self.n_steps > self.steps():
            name = {"fit": "steps_per_epoch", _VALIDATION: "validation_steps"}.get(what, "steps")
            raise ArgumentError(
                f"{what}: {name}={n_steps}, but {self.n} examples in batches of {self.batch_size} give {self.steps()} steps; give fewer "
                "steps, or leave it out"
            )

    def steps(self) -> int:
        """How many batches the data has."""
        return -(-self.n // self.batch_size)

    def rows(self, order: Any) -> Batch:
        """The examples of these numbers."""
        return tree_map(lambda t: t[order] if isinstance(t, Tensor) else t, self.data)

    def split(self, fraction: float, n_steps: int | None, validation_steps: int | None) -> tuple[Arrays, Arrays]:
        """(all but the last part, the last part), before any shuffling, with the steps wanted of each."""
        if not 0 < fraction < 1:
            raise ArgumentError(f"fit: validation_split is a fraction in (0, 1), not {fraction!r}")
        at = int(self.n * (1 - fraction))
        if at == 0 or at == self.n:
            raise DataError(f"fit: validation_split={fraction} of {self.n} examples leaves one part empty")
        return (
            Arrays("fit", *self.rows(slice(0, at)), self.batch_size, n_steps),
            Arrays(_VALIDATION, *self.rows(slice(at, None)), self.batch_size, validation_steps),
        )

    def weigh_classes(self, weights: dict[int, float]) -> None:
        """Multiply the weights of examples by those of their classes."""
        x, y, w = self.data
        self.data = x, y, _times(class_weights(y, weights), w)

    def batches(self) -> Iterator[Batch]:
        """The batches in order, as many as are wanted."""
        for k in range(self.n_steps):
            yield self.rows(slice(k * self.batch_size, (k + 1) * self.batch_size))


class Batches:
    """Anything that gives batches: a data set, a loader, a generator."""

    def __init__(self, source: Any, n_steps: int | None) -> None:
        self.source = source
        self.n_steps = n_steps
        if n_steps is None and hasattr(source, "__len__"):
            self.n_steps = len(source)
        self._class_weights: dict[int, float] | None = None
        self._running: Iterator[Any] | None = None
        self._is_once = iter_is_once(source)

    def weigh_classes(self, weights: dict[int, float]) -> None:
        """Multiply the weights of examples by those of their classes, in every batch."""
        self._class_weights = weights

    def _start(self, shuffle: bool) -> Iterator[Any]:
        """A new run through the batches; where they have numbers, in random order if they are shuffled."""
        if hasattr(self.source, "__getitem__") and not hasattr(self.source, "__iter__"):
            n = len(self.source)
            return by_number(self.source, np.asarray(randperm(n)).tolist() if shuffle else range(n))
        return iter(self.source)

    def _is_enough(self) -> bool:
        """Whether the data is known to have batches for an epoch, so that it may begin anew in the middle of one."""
        try:
            return self.n_steps is not None and self.n_steps <= len(self.source)
        except TypeError:
            return False

    def epoch(self, what: str, shuffle: bool = False) -> Iterator[Batch]:
        """The batches of one epoch. Those of training go on behind the latest one's if `steps_per_epoch` cuts the data into epochs; an
        evaluation begins anew, unless the source is a generator.

        Raises: DataError if a source has fewer batches than `steps_per_epoch`.
        """
        getattr(self.source, "on_epoch_begin", _nothing)()
        goes_on = self._is_once or (what == "fit" and self.n_steps is not None)
        if self._running is None or not goes_on:
            self._running = self._start(shuffle)
        count = 0
        while self.n_steps is None or count < self.n_steps:
            batch = next(self._running, None)
            if batch is None and not self._is_once and (count == 0 or self._is_enough()):
                self._running = self._start(shuffle)
                batch = next(self._running, None)
            if batch is None:
                break
            count += 1
            x, y, w = (as_tensors(v) for v in unpack(batch))
            yield x, y, w if self._class_weights is None else _times(class_weights(y, self._class_weights), w)
        getattr(self.source, "on_epoch_end", _nothing)()
        if count == 0 or (self.n_steps is not None and count < self.n_steps):
            wanted = f"{self.n_steps} batches" if self.n_steps is not None else "at least one batch"
            raise DataError(
                f"{what}: the data ended after {count} batches, but {wanted} are needed for each epoch; give fewer steps, or data that "
                "repeats (.repeat() of a data set)"
            )


def _nothing() -> None:
    """For data sets that do not look at epochs."""


def by_number(source: Any, order: Iterable[int]) -> Iterator[Any]:
    """The batches of a data set that gives them by number, made ahead by threads if it has several workers."""
    workers = getattr(source, "workers", 1)
    if workers <= 1:
        yield from (source[i] for i in order)
        return
    from concurrent.futures import ThreadPoolExecutor  # slow to import, and seldom wanted

    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Any] = deque()
        for i in order:
            waiting.append(pool.submit(source.__getitem__, i))
            if len(waiting) > source.max_queue_size:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def iter_is_once(source: Any) -> bool:
    """Whether going along it uses it up, as with a generator."""
    return hasattr(source, "__next__")


def is_batches(x: Any) -> bool:
    """Whether it gives batches rather than being arrays."""
    if isinstance(x, (np.ndarray, Tensor, list, tuple, dict)) or x is None:
        return False
    return hasattr(x, "__next__") or hasattr(x, "__iter__") or hasattr(x, "__getitem__")


def adapt(what: str, x: Any, y: Any, sample_weight: Any, batch_size: int | None, steps: int | None) -> Arrays | Batches:
    """The data in one of the two forms."""
    if is_batches(x):
        if y is not None:
            raise ArgumentError(f"{what}: with a data set or generator, y comes from it; do not give y")
        return Batches(x, steps)
    if x is None:
        raise ArgumentError(f"{what}: there is no x")
    return Arrays(what, x, y, sample_weight, batch_size, steps)


def _times(a: Tensor, b: Any) -> Tensor:
    """Two weights of the same examples as one; the second may be missing."""
    return a if b is None else a * b


def class_weights(y: Any, weights: dict[int, float]) -> Tensor:
    """The weight of each example's class."""
    labels = np.asarray(y)
    labels = labels.argmax(-1) if labels.ndim > 1 and labels.shape[-1] > 1 else labels.reshape(len(labels), -1)[:, 0]
    missing = set(np.unique(labels).tolist()) - {int(k) for k in weights}
    if missing:
        raise ArgumentError(f"fit: class_weight has no weight for class {sorted(missing)[0]:g}")
    table = np.zeros(int(max(weights)) + 1, np.float32)
    for k, w in weights.items():
        table[int(k)] = w
    return to_tensor(table[labels.astype(np.int64)])
