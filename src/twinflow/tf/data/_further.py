"""Rarer methods of data sets, written as Python generators over their elements."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from twinflow.core import tree_flatten, tree_map
from twinflow.core.errors import ArgumentError, TwinflowError
from twinflow.tensor import Tensor
from twinflow.tf._spec import TensorSpec
from twinflow.tf.data._rows import Rows, call_with
from twinflow.tf.data._stages import Generated
from twinflow.utils import load, save

_UNKNOWN, _INFINITE = -2, -1


def _number(x: Any) -> Any:
    return x.item() if hasattr(x, "item") else x


def _key(element: Any) -> Any:
    """An element as something that can be compared."""
    leaves, tree = tree_flatten(element)
    return tree, tuple(repr(x.tolist()) if isinstance(x, (Tensor, np.ndarray)) else x for x in leaves)


class Further:
    """Methods of `Dataset` that go along its elements one by one."""

    def _generated(self, start: Callable[[], Iterator[Any]], length: int = _UNKNOWN) -> Any:
        """The data set of what a generator gives."""
        made: Any = type(self)
        return made(lambda: Generated(start, lambda value, _: Rows.one(value)), length, ahead=False)

    def _listed(self, elements: list[Any]) -> Any:
        return self._generated(lambda: iter(elements), len(elements))

    @property
    def element_spec(self) -> Any:
        """`tf.TensorSpec`s in the structure of the first element; strings are None."""
        first = next(iter(self), None)  # type: ignore[call-overload]
        return tree_map(lambda x: TensorSpec(tuple(x.shape), x.dtype) if isinstance(x, Tensor) else None, first)

    def scan(self, initial_state: Any, scan_func: Callable[[Any, Any], Any], name: str | None = None) -> Any:
        """`state, y = scan_func(state, element)`: the ys."""

        def run() -> Iterator[Any]:
            state = initial_state
            for element in self:  # type: ignore[attr-defined]
                state, y = scan_func(state, element)
                yield y

        return self._generated(run, len(self) if self._known() else _UNKNOWN)  # type: ignore[arg-type]

    def _known(self) -> bool:
        return bool(getattr(self, "_length", _UNKNOWN) >= 0)

    def unique(self, name: str | None = None) -> Any:
        """Each element once, where it is first seen."""

        def run() -> Iterator[Any]:
            seen = set()
            for element in self:  # type: ignore[attr-defined]
                key = _key(element)
                if key not in seen:
                    seen.add(key)
                    yield element

        return self._generated(run)

    def rebatch(self, batch_size: int, drop_remainder: bool = False, name: str | None = None) -> Any:
        """The same rows in batches of another size."""
        return self.unbatch().batch(batch_size, drop_remainder)  # type: ignore[attr-defined]

    def ignore_errors(self, log_warning: bool = False, name: str | None = None) -> Any:
        """The elements of a source whose making raises no error; those whose making does are passed over.

        Errors of `map` before it are met element by element only where the mapped function is not run on many at once.
        """

        def run() -> Iterator[Any]:
            it = iter(self)  # type: ignore[call-overload]
            while True:
                try:
                    yield next(it)
                except StopIteration:
                    return
                except (TwinflowError, ValueError, ArithmeticError):
                    continue

        return self._generated(run)

    def group_by_window(self, key_func: Callable[..., Any], reduce_func: Callable[[Any, Any], Any], window_size: int | None = None,
                        window_size_func: Callable[[Any], Any] | None = None, name: str | None = None) -> Any:  # fmt: skip
        """Elements with one key gathered, `window_size` at a time, and given to `reduce_func(key, data set)`."""
        if (window_size is None) == (window_size_func is None):
            raise ArgumentError("group_by_window: give either window_size or window_size_func")

        def full(key: Any) -> int:
            return int(window_size if window_size is not None else _number(window_size_func(key)))  # type: ignore[misc]

        def run() -> Iterator[Any]:
            groups: dict[Any, list[Any]] = {}
            for element in self:  # type: ignore[attr-defined]
                key = _number(call_with(key_func, element))
                group = groups.setdefault(key, [])
                group.append(element)
                if len(group) == full(key):
                    yield from reduce_func(key, self._listed(groups.pop(key)))
            for key, group in groups.items():
                yield from reduce_func(key, self._listed(group))

        return self._generated(run)

    def bucket_by_sequence_length(self, element_length_func: Callable[..., Any], bucket_boundaries: Any, bucket_batch_sizes: Any,
                                  padded_shapes: Any = None, padding_values: Any = None, pad_to_bucket_boundary: bool = False,
                                  no_padding: bool = False, drop_remainder: bool = False, name: str | None = None) -> Any:  # fmt: skip
        """Batches of elements of similar length, padded to the longest of each batch."""
        limits, sizes = [int(b) for b in bucket_boundaries], [int(b) for b in bucket_batch_sizes]
        if len(sizes) != len(limits) + 1:
            raise ArgumentError("bucket_by_sequence_length: there is one batch size more than there are boundaries")
        if pad_to_bucket_boundary or no_padding:
            raise ArgumentError(
                "bucket_by_sequence_length: batches are padded to their longest element; give padded_shapes instead"
            )

        def bucket(*element: Any) -> int:
            return int(np.searchsorted(limits, _number(element_length_func(*element)), side="right"))

        def batch(key: int, window: Any) -> Any:
            return window.padded_batch(sizes[key], padded_shapes, padding_values, drop_remainder)

        return self.group_by_window(bucket, batch, window_size_func=lambda key: sizes[key])

    def save(self, path: Any, name: str | None = None) -> None:
        """Write all elements to a file in a folder; `load` reads them."""
        os.makedirs(path, exist_ok=True)
        parts = [Rows.one(e).state() for e in self]  # type: ignore[attr-defined]
        save({"rows": parts}, os.path.join(path, "elements"))

    @classmethod
    def load(cls, path: Any, element_spec: Any = None, name: str | None = None) -> Any:
        """The elements that `save` wrote."""
        parts = [Rows.from_state(r) for r in load(os.path.join(path, "elements"))["rows"]]
        return cls._generated(cls._any(), lambda: (p.element(0) for p in parts), len(parts))

    def snapshot(self, path: Any, name: str | None = None) -> Any:
        """The elements, kept in a file in a folder after the first whole pass."""
        os.makedirs(path, exist_ok=True)
        return self.cache(os.path.join(path, "snapshot"))  # type: ignore[attr-defined]

    @classmethod
    def _any(cls) -> Any:
        return cls.range(0)  # type: ignore[attr-defined]

    @classmethod
    def counter(cls, start: int = 0, step: int = 1, name: str | None = None) -> Any:
        """start, start + step, ... without end."""
        return cls._generated(cls._any(), lambda: (np.int64(v) for v in itertools.count(start, step)), _INFINITE)

    @classmethod
    def random(
        cls, seed: int | None = None, rerandomize_each_iteration: bool | None = None, name: str | None = None
    ) -> Any:
        """Random whole numbers in [0, 2³²) without end, as int64."""

        def run() -> Iterator[Any]:
            stream = np.random.default_rng(seed)
            while True:
                yield stream.integers(0, 2**32)

        return cls._generated(cls._any(), run, _INFINITE)

    @classmethod
    def choose_from_datasets(cls, datasets: Any, choice_dataset: Any, stop_on_empty_dataset: bool = True) -> Any:
        """The next element of the data set whose number `choice_dataset` says."""

        def run() -> Iterator[Any]:
            sources = [iter(d) for d in datasets]
            for choice in choice_dataset:
                try:
                    yield next(sources[int(_number(choice))])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return

        return cls._generated(cls._any(), run)

    @classmethod
    def sample_from_datasets(cls, datasets: Any, weights: Any = None, seed: int | None = None, stop_on_empty_dataset: bool = False,
                             rerandomize_each_iteration: bool | None = None) -> Any:  # fmt: skip
        """Elements of data sets that are chosen at random, as often as the weights say, until all have ended (or the first)."""
        given = np.ones(len(datasets)) if weights is None else np.asarray(weights, np.float64)

        def run() -> Iterator[Any]:
            stream = np.random.default_rng(seed)
            sources = [iter(d) for d in datasets]
            chances = given / given.sum()
            while chances.sum() > 0:
                k = int(stream.choice(len(sources), p=chances / chances.sum()))
                try:
                    yield next(sources[k])
                except StopIteration:
                    if stop_on_empty_dataset:
                        return
                    chances[k] = 0

        return cls._generated(cls._any(), run)

    def rejection_resample(self, class_func: Callable[..., Any], target_dist: Any, initial_dist: Any = None, seed: int | None = None,
                           name: str | None = None) -> Any:  # fmt: skip
        """(class, element): elements left out at random so that classes occur as often as `target_dist` says."""
        target = np.asarray(target_dist, np.float64)

        def run() -> Iterator[Any]:
            stream = np.random.default_rng(seed)
            seen = np.ones(len(target)) if initial_dist is None else np.asarray(initial_dist, np.float64)
            for element in self:  # type: ignore[attr-defined]
                k = int(_number(call_with(class_func, element)))
                if initial_dist is None:
                    seen[k] += 1
                ratio = target / np.maximum(seen / seen.sum(), 1e-12)
                if stream.random() < ratio[k] / ratio.max():
                    yield np.int64(k), element

        return self._generated(run)
