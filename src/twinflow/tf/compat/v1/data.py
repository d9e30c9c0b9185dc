"""Data sets in static graphs: `tf.data`, with iterators whose elements are tensors of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import FROM_NUMPY, tree_flatten, tree_unflatten
from twinflow.core.errors import ArgumentError, DataError
from twinflow.tensor import Tensor as Value
from twinflow.tf.compat.v1._deferred import create
from twinflow.tf.compat.v1._operations import Operation, register
from twinflow.tf.compat.v1._run import Run
from twinflow.tf.compat.v1.errors import OutOfRangeError
from twinflow.tf.data import AUTOTUNE as AUTOTUNE
from twinflow.tf.data import Dataset as Dataset
from twinflow.tf.data import TextLineDataset as TextLineDataset
from twinflow.tf.data import experimental as experimental
from twinflow.tf.data._batching import Batched


class Iterator:
    """Goes along a data set: every run that needs `get_next()` takes the next element, in each session from the beginning.

    Args:
        dataset: the data set.
        one_shot: whether it begins by itself; otherwise `initializer` begins it, and begins it anew.
    """

    def __init__(self, dataset: Any, one_shot: bool) -> None:
        if not isinstance(dataset, Dataset):
            raise ArgumentError(f"tf.data: an iterator goes along a tf.data.Dataset, not {type(dataset).__name__}")
        self._dataset, self._one_shot = dataset, one_shot
        first = next(iter(dataset), None)
        if first is None:
            raise DataError("tf.data: the data set has no elements, so the shapes of its tensors are not known")
        leaves, self._tree = tree_flatten(first)
        batched = _is_batched(dataset)
        self._specs = []
        for x in leaves:
            array = _array(x)
            shape = (None, *array.shape[1:]) if batched and array.ndim else array.shape
            self._specs.append((shape, FROM_NUMPY[array.dtype]))
        self.initializer: Operation | None = None
        if not one_shot:
            op: Operation = create(_MAKE, {"iterator": self}, "MakeIterator", [])
            self.initializer = op

    def get_next(self, name: str | None = None) -> Any:
        """The next element, as tensors of the graph: each run that needs them takes one element."""
        op = create(_NEXT, {"iterator": self}, name or "IteratorGetNext", self._specs)
        return tree_unflatten(list(op.outputs), self._tree)

    def begin(self, iterators: dict[Any, Any]) -> None:
        """Begin (anew) in a session."""
        iterators[self] = iter(self._dataset)

    def pull(self, iterators: dict[Any, Any]) -> list[Any]:
        """The next element in a session, as a flat list. Raises: OutOfRangeError at the end."""
        if self not in iterators:
            if not self._one_shot:
                raise ArgumentError("tf.data: the iterator has not begun; run iterator.initializer first")
            self.begin(iterators)
        try:
            element = next(iterators[self])
        except StopIteration:
            raise OutOfRangeError(
                "tf.data: the data set has ended; catch tf.errors.OutOfRangeError, or use repeat()"
            ) from None
        return [_array(x) for x in tree_flatten(element)[0]]


def _array(x: Any) -> np.ndarray[Any, Any]:
    return x.detach()._data if isinstance(x, Value) else np.asarray(x)


def _is_batched(dataset: Any) -> bool:
    """Whether the last batch may be smaller than the others."""
    stage, seen = dataset._start(), 0
    while stage is not None and seen < 64:
        if isinstance(stage, Batched):
            return True
        stage, seen = getattr(stage, "child", None) or _inner(stage), seen + 1
    return False


def _inner(stage: Any) -> Any:
    """The stage that a repeating one would begin."""
    start = getattr(stage, "start", None)
    return start() if callable(start) else None


def _next(run: Run, iterator: Iterator) -> Any:
    raise ArgumentError(f"{run.op.name}: the next element is taken before a run, not in a branch or loop")


def _make(run: Run, iterator: Iterator) -> Any:
    return ()


_NEXT = register("IteratorGetNext", _next, raw=True, host=False)
_MAKE = register("MakeIterator", _make, raw=True, host=False)


def make_one_shot_iterator(dataset: Any) -> Iterator:
    """An iterator that goes along the data set once, from its beginning.

    >>> from twinflow.tf.compat import v1 as tf
    >>> x = tf.data.make_one_shot_iterator(tf.data.Dataset.range(3)).get_next()
    >>> with tf.Session() as session:
    ...     [int(session.run(x * 2)) for _ in range(3)]
    [0, 2, 4]
    """
    return Iterator(dataset, True)


def make_initializable_iterator(dataset: Any) -> Iterator:
    """An iterator that `session.run(iterator.initializer)` begins, again and again."""
    return Iterator(dataset, False)
