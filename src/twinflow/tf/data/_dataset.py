"""`tf.data.Dataset`: a description of where elements come from and what is done to them, iterated as often as one likes."""

from __future__ import annotations

import glob
import itertools
import os
import weakref
from collections.abc import Callable, Sequence
from collections.abc import Iterator as PyIterator
from typing import Any

import numpy as np

from twinflow.core import as_dtype, tree_flatten, tree_map, tree_unflatten
from twinflow.core.errors import ArgumentError, DataError, DTypeError, ShapeError, TraceError
from twinflow.data._idx import read_idx
from twinflow.ops import default_generator, randint
from twinflow.tensor import Tensor, is_tracing
from twinflow.tf.data._batching import Batched, PaddedBatched, Unbatched, Windowed
from twinflow.tf.data._combining import Cached, Concatenated, Interleaved, Part, Prefetched, Repeated, Zipped
from twinflow.tf.data._further import Further
from twinflow.tf.data._rows import DATASET, Rows, structured
from twinflow.tf.data._stages import Chosen, Counting, Generated, Mapped, Rounds, Shuffled, Slices, Stage
from twinflow.tf.data._walked import all_elements, traced_elements
from twinflow.tf.errors import OutOfRangeError
from twinflow.utils import load, save

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2
_AHEAD = 128  # elements that are made together where making them early has no effect


class Iterator:
    """The elements of a data set, one after the other, with a state that can be saved.

    >>> from twinflow import tf
    >>> it = iter(tf.data.Dataset.range(5))
    >>> next(it), next(it)
    (tensor(0), tensor(1))
    >>> state = it.state_dict()
    >>> again = iter(tf.data.Dataset.range(5))
    >>> again.load_state_dict(state)
    >>> next(again)
    tensor(2)
    """

    def __init__(self, stage: Stage, ahead: int, length: int = UNKNOWN_CARDINALITY) -> None:
        self._stage, self._ahead, self._length = stage, ahead, length
        self._rows: Rows | None = None
        self._at = 0
        weakref.finalize(self, stage.close)

    def __iter__(self) -> Iterator:
        return self

    def __next__(self) -> Any:
        if is_tracing():
            return traced_elements(self, whole=False)
        if self._rows is None or self._at >= self._rows.n:
            self._rows, self._at = self._stage.next(self._ahead), 0
            if self._rows is None:
                raise StopIteration
        self._at += 1
        return self._rows.element(self._at - 1)

    def get_next(self) -> Any:
        """The next element. Raises: OutOfRangeError at the end."""
        try:
            return next(self)
        except StopIteration:
            raise OutOfRangeError("get_next: the data set has ended") from None

    def traced_runs(self) -> list[Any]:
        """What is left, as tensors of the function that is being traced, for a loop in it."""
        return list(traced_elements(self, whole=True))

    def walk_elements(self) -> list[Any]:
        """The same, for a call of the function."""
        waiting = None if self._rows is None else self._rows.part(self._at, self._rows.n)
        self._rows = None
        return all_elements(self._stage, self._length, waiting)

    def state_dict(self) -> dict[str, Any]:
        """Where the iteration is, as data that `twinflow.save` writes: positions, random states, elements in buffers."""
        waiting = None if self._rows is None else self._rows.part(self._at, self._rows.n).state()
        return {"waiting": waiting, "stage": self._stage.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on, in an iterator of an equal data set, exactly where `state` was taken."""
        self._stage.restore(state["stage"])
        self._rows, self._at = None if state["waiting"] is None else Rows.from_state(state["waiting"]), 0


class Dataset(Further):
    """Elements (tensors, or tuples and dictionaries of them) and what is done to them.

    A function given to `map` or `filter` that is written with tensors alone runs on many elements at once, each of its
    operations in one pass; any other runs element by element. Source of names and meaning: `tf.data.Dataset`.

    >>> from twinflow import tf
    >>> ds = tf.data.Dataset.from_tensor_slices([1.0, 2.0, 3.0]).map(lambda x: x * 2).batch(2)
    >>> list(ds)
    [tensor([2., 4.]), tensor([6.])]
    """

    def __init__(
        self, start: Callable[[], Stage], length: int, *, ahead: bool = True, rows: Rows | None = None
    ) -> None:
        self._start, self._length, self._ahead = start, length, ahead
        self.rows = rows  # of a data set that is arrays and nothing else
        self.made_in_trace = is_tracing()

    # -- sources ------------------------------------------------------------------------------------------------

    @staticmethod
    def from_tensor_slices(tensors: Any, name: str | None = None) -> Dataset:
        """The slices of tensors along their first axis; tuples and dictionaries of tensors give such elements.

        Raises: ShapeError if the first axes differ, or there is none.
        """
        return _slices(Rows.of(tensors, "from_tensor_slices"))

    @staticmethod
    def from_tensors(tensors: Any, name: str | None = None) -> Dataset:
        """One element."""
        rows = Rows.one(tensors)
        return Dataset(lambda: Slices(rows), 1)

    @staticmethod
    def from_generator(
        generator: Callable[..., Any],
        output_types: Any = None,
        output_shapes: Any = None,
        args: Any = (),
        output_signature: Any = None,
        name: str | None = None,
    ) -> Dataset:
        """What the generator that `generator(*args)` returns gives, converted to and checked against the types and shapes.

        Raises: DataError or ShapeError with the number of the element that does not fit.
        """
        if not callable(generator):
            raise ArgumentError(
                "from_generator: give the function that makes the generator, not the generator itself, which could only be used once"
            )
        if output_signature is not None:
            output_types = tree_map(lambda s: s.dtype, output_signature)
            output_shapes = tree_map(lambda s: s.shape, output_signature)

        def check(value: Any, number: int) -> Rows:
            return _checked(structured(value), output_types, output_shapes, number)

        return Dataset(lambda: Generated(lambda: iter(generator(*args)), check), UNKNOWN_CARDINALITY, ahead=False)

    @staticmethod
    def range(*args: int, output_type: Any = "int64") -> Dataset:
        """range(stop), range(start, stop) or range(start, stop, step)."""
        numbers = range(*args)
        kind = as_dtype(output_type).name
        return Dataset(lambda: Counting(numbers.start, numbers.stop, numbers.step, kind), len(numbers))

    @staticmethod
    def from_idx(images: str | os.PathLike[str], labels: str | os.PathLike[str] | None = None) -> Dataset:
        """The entries of an IDX file (or pairs of two), such as MNIST's; gzip is read too. A twinflow addition."""
        arrays = (read_idx(images),) if labels is None else (read_idx(images), read_idx(labels))
        return Dataset.from_tensor_slices(arrays if labels is not None else arrays[0])

    @staticmethod
    def list_files(file_pattern: Any, shuffle: bool | None = None, seed: int | None = None) -> Dataset:
        """The paths that match a pattern such as "data/*.txt", or several, as strings; in random order unless `shuffle` is False.

        Raises: DataError if none matches.
        """
        patterns = [file_pattern] if isinstance(file_pattern, str) else list(file_pattern)
        found = sorted(path for pattern in patterns for path in glob.glob(pattern))
        if not found:
            raise DataError(f"list_files: no file matches {', '.join(map(repr, patterns))}")
        ds = Dataset.from_tensor_slices(np.array(found, object))
        return ds if shuffle is False else ds.shuffle(len(found), seed)

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Elements side by side: `zip(a, b)`, `zip((a, b))` or a dictionary, until the shortest ends."""
        shape = datasets[0] if len(datasets) == 1 and isinstance(datasets[0], (tuple, dict)) else tuple(datasets)
        parts, tree = tree_flatten(shape)
        for d in parts:
            if not isinstance(d, Dataset):
                raise ArgumentError(f"zip: gets data sets, not {type(d).__name__}")
        lengths = [d._length for d in parts if d._length != INFINITE_CARDINALITY]
        length = min(lengths) if lengths else INFINITE_CARDINALITY
        ahead = all(d._ahead for d in parts)
        return Dataset(lambda: Zipped([d.start_stage() for d in parts], tree), length, ahead=ahead)

    # -- one element at a time ------------------------------------------------------------------------------------

    def map(
        self,
        map_func: Callable[..., Any],
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """`map_func` of each element; the parts of a tuple are separate arguments.

        `num_parallel_calls` threads share what must run element by element (AUTOTUNE: one for each processor); the order stays
        that of the elements, as with `deterministic=True`.
        """
        threads = (os.cpu_count() or 1) if num_parallel_calls == AUTOTUNE else (num_parallel_calls or 1)
        if threads < 1:
            raise ArgumentError(f"map: num_parallel_calls must be at least 1, or AUTOTUNE, not {num_parallel_calls}")
        return self._then(lambda: Mapped(self.start_stage(), map_func, threads), self._length)

    def filter(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements for which `predicate` is true."""
        return self._then(lambda: Chosen(self.start_stage(), predicate, until=False), self._unknown())

    def take_while(self, predicate: Callable[..., Any], name: str | None = None) -> Dataset:
        """The elements before the first for which `predicate` is false."""
        made = self._then(lambda: Chosen(self.start_stage(), predicate, until=True), UNKNOWN_CARDINALITY)
        made._ahead = False
        return made

    def enumerate(self, start: int = 0, name: str | None = None) -> Dataset:
        """(number, element), counted from `start`."""
        numbers = Dataset(lambda: Counting(start, None, 1, "int64"), INFINITE_CARDINALITY)
        return Dataset.zip(numbers, self)

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True, name: str | None = None
    ) -> Dataset:
        """A random order: each element is drawn from the next `buffer_size` ones.

        Each iteration has an order of its own, unless `reshuffle_each_iteration` is False; `seed` (or `tf.random.set_seed`)
        makes it repeatable.
        """
        size = _positive("shuffle: buffer_size", buffer_size)
        key = int(seed) if seed is not None else int(randint(0, 2**62, (1,), generator=default_generator).item())
        rounds = Rounds(key & (2**63 - 1), not reshuffle_each_iteration)
        return self._then(lambda: Shuffled(self.start_stage(), size, rounds), self._length)

    # -- several elements -----------------------------------------------------------------------------------------

    def batch(
        self,
        batch_size: int,
        drop_remainder: bool = False,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """`batch_size` elements as one with a further first axis. Raises: ShapeError if their shapes differ."""
        size = _positive("batch: batch_size", batch_size)
        made = self._then(
            lambda: Batched(self.start_stage(), size, drop_remainder), self._batches(size, drop_remainder)
        )
        made._ahead = False  # a batch is work enough
        return made

    def padded_batch(
        self,
        batch_size: int,
        padded_shapes: Any = None,
        padding_values: Any = None,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Batches of elements of different shapes, filled up with `padding_values` (0) to `padded_shapes`, or to the longest."""
        size = _positive("padded_batch: batch_size", batch_size)
        made = self._then(
            lambda: PaddedBatched(self.start_stage(), size, drop_remainder, padded_shapes, padding_values),
            self._batches(size, drop_remainder),
        )
        made._ahead = False
        return made

    def unbatch(self, name: str | None = None) -> Dataset:
        """The slices of each element."""
        return self._then(lambda: Unbatched(self.start_stage()), self._unknown())

    def window(
        self,
        size: int,
        shift: int | None = None,
        stride: int = 1,
        drop_remainder: bool = False,
        name: str | None = None,
    ) -> Dataset:
        """Data sets of `size` elements each, which begin `shift` (default: size) apart; `flat_map` with `batch` makes tensors."""
        size, stride = _positive("window: size", size), _positive("window: stride", stride)
        step = size if shift is None else _positive("window: shift", shift)

        def as_datasets(rows: Rows) -> Any:
            leaves = [Dataset.from_tensor_slices(c) for c in rows.columns]
            return tree_unflatten(leaves, rows.tree)

        made = self._then(
            lambda: Windowed(self.start_stage(), size, step, stride, drop_remainder, as_datasets), self._unknown()
        )
        made._ahead = False
        return made

    def repeat(self, count: int | None = None, name: str | None = None) -> Dataset:
        """The data set `count` times over; without end for None and -1."""
        rounds = None if count is None or count == -1 else int(count)
        if rounds is not None and rounds < 0:
            raise ArgumentError(f"repeat: count must not be negative, other than -1 for ever, not {count}")
        if rounds is None:
            length = INFINITE_CARDINALITY if self._length != 0 else 0
        else:
            length = self._length * rounds if self._length >= 0 else (self._length if rounds else 0)
        return self._then(lambda: Repeated(self.start_stage, rounds), length)

    def take(self, count: int, name: str | None = None) -> Dataset:
        """The first `count` elements (-1: all)."""
        n = None if count == -1 else int(count)
        length = self._length if n is None else (n if self._length == INFINITE_CARDINALITY else min(n, self._length))
        return self._then(
            lambda: Part(self.start_stage(), 0, n),
            length if self._length != UNKNOWN_CARDINALITY else UNKNOWN_CARDINALITY,
        )

    def skip(self, count: int, name: str | None = None) -> Dataset:
        """All but the first `count` elements (-1: none)."""
        if count == -1:
            return self.take(0)
        length = max(0, self._length - count) if self._length >= 0 else self._length
        return self._then(lambda: Part(self.start_stage(), int(count), None), length)

    def shard(self, num_shards: int, index: int, name: str | None = None) -> Dataset:
        """Every `num_shards`-th element, from element `index` on."""
        if not 0 <= index < num_shards:
            raise ArgumentError(f"shard: index must be in [0, {num_shards}), not {index}")
        length = max(0, -(-(self._length - index) // num_shards)) if self._length >= 0 else self._length
        return self._then(lambda: Part(self.start_stage(), index, None, num_shards), length)

    # -- several data sets ----------------------------------------------------------------------------------------

    def concatenate(self, dataset: Dataset, name: str | None = None) -> Dataset:
        """These elements, then those of `dataset`."""
        lengths = (self._length, dataset._length)
        length = INFINITE_CARDINALITY if INFINITE_CARDINALITY in lengths else (
            UNKNOWN_CARDINALITY if UNKNOWN_CARDINALITY in lengths else sum(lengths)
        )  # fmt: skip
        ahead = self._ahead and dataset._ahead
        return Dataset(lambda: Concatenated([self.start_stage, dataset.start_stage]), length, ahead=ahead)

    def interleave(
        self,
        map_func: Callable[..., Dataset],
        cycle_length: int | None = None,
        block_length: int = 1,
        num_parallel_calls: int | None = None,
        deterministic: bool | None = None,
        name: str | None = None,
    ) -> Dataset:
        """The elements of the data sets that `map_func` makes: `block_length` of each in turn, `cycle_length` at a time."""
        cycle = (
            (os.cpu_count() or 1)
            if cycle_length in (None, AUTOTUNE)
            else _positive("interleave: cycle_length", cycle_length)
        )
        block = _positive("interleave: block_length", block_length)
        return self._opening(map_func, cycle, block, "interleave")

    def flat_map(self, map_func: Callable[..., Dataset], name: str | None = None) -> Dataset:
        """The elements of the data sets that `map_func` makes, one data set after the other."""
        return self._opening(map_func, 1, 1 << 62, "flat_map")

    def _opening(self, fn: Callable[..., Dataset], cycle: int, block: int, what: str) -> Dataset:
        return Dataset(
            lambda: Interleaved(self.start_stage(), fn, cycle, block, what), UNKNOWN_CARDINALITY, ahead=False
        )

    # -- memory and time ------------------------------------------------------------------------------------------

    def cache(self, filename: str = "", name: str | None = None) -> Dataset:
        """Keep the elements after the first whole pass: in memory, or in the file `filename`, which later runs read."""
        store: list[Rows] = []
        done = [False]

        def finished() -> bool:
            if not done[0] and filename and os.path.exists(filename):
                store[:] = [Rows.from_state(r) for r in load(filename)["rows"]]
                done[0] = True
            return done[0]

        def finish(rows: list[Rows]) -> None:
            store[:] = rows
            done[0] = True
            if filename:
                save({"rows": [r.state() for r in rows]}, filename)

        return self._then(lambda: Cached(self.start_stage, store, finished, finish), self._length)

    def prefetch(self, buffer_size: int, name: str | None = None) -> Dataset:
        """Let a thread make up to `buffer_size` elements (AUTOTUNE: 2) while others are used."""
        size = 2 if buffer_size == AUTOTUNE else _positive("prefetch: buffer_size", buffer_size)
        return self._then(lambda: Prefetched(self.start_stage(), size), self._length)

    def apply(self, transformation_func: Callable[[Dataset], Dataset]) -> Dataset:
        """`transformation_func(self)`, for chains."""
        return transformation_func(self)

    # -- use ------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator:
        if is_tracing():
            raise TraceError(
                "an iterator of a data set cannot be made while a function is traced; make it outside, or go along the data set itself "
                "(`for batch in ds:` in a tf.function)"
            )
        return Iterator(self.start_stage(), _AHEAD if self._ahead else 1, self._length)

    def traced_runs(self) -> list[Any]:
        """The elements as tensors of the function that is being traced, for a loop in it."""
        return list(traced_elements(self, whole=True))

    def walk_elements(self) -> list[Any]:
        """The same, for a call of the function."""
        return all_elements(self.start_stage(), self._length)

    def start_stage(self) -> Stage:
        """A new run through the elements."""
        return self._start()

    def __len__(self) -> int:
        if self._length < 0:
            what = "infinite" if self._length == INFINITE_CARDINALITY else "unknown"
            raise TypeError(f"the length of this data set is {what}; count with reduce, or cut with take")
        return self._length

    def __bool__(self) -> bool:
        return True

    def cardinality(self) -> int:
        """The number of elements; INFINITE_CARDINALITY or UNKNOWN_CARDINALITY."""
        return self._length

    def as_numpy_iterator(self) -> PyIterator[Any]:
        """The elements with arrays in place of tensors."""
        for element in self:
            yield tree_map(lambda v: v.numpy() if isinstance(v, Tensor) else v, element)

    def reduce(self, initial_state: Any, reduce_func: Callable[..., Any], name: str | None = None) -> Any:
        """state = reduce_func(state, element) over all elements."""
        state = initial_state
        for element in self:
            state = reduce_func(state, element)
        return state

    def get_single_element(self, name: str | None = None) -> Any:
        """The only element. Raises: DataError if there are none, or several."""
        found = list(itertools.islice(iter(self), 2))
        if len(found) != 1:
            raise DataError(
                f"get_single_element: the data set has {'no element' if not found else 'more than one element'}"
            )
        return found[0]

    def _then(self, start: Callable[[], Stage], length: int) -> Dataset:
        return Dataset(start, length, ahead=self._ahead)

    def _unknown(self) -> int:
        return INFINITE_CARDINALITY if self._length == INFINITE_CARDINALITY else (
            0 if self._length == 0 else UNKNOWN_CARDINALITY
        )  # fmt: skip

    def _batches(self, size: int, drop: bool) -> int:
        if self._length < 0:
            return self._length
        return self._length // size if drop else -(-self._length // size)


def _slices(rows: Rows) -> Dataset:
    return Dataset(lambda: Slices(rows), rows.n, rows=rows)


DATASET.append(_slices)


def _positive(what: str, value: Any) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{what} must be a whole number of at least 1, not {value!r}")
    return int(value)


def _checked(value: Any, types: Any, shapes: Any, number: int) -> Rows:
    """A generator's element as the signature says it is."""
    leaves, tree = tree_flatten(value)
    for given, what in ((types, "types"), (shapes, "shapes")):
        if given is not None and what == "types" and len(tree_flatten(given)[0]) != len(leaves):
            raise DataError(
                f"from_generator: element {number} has {len(leaves)} parts, but output_types has {len(tree_flatten(given)[0])}"
            )
    wanted_types = tree_flatten(types)[0] if types is not None else [None] * len(leaves)
    wanted_shapes = _shape_list(shapes, len(leaves), types)
    columns = []
    for k, (leaf, kind, shape) in enumerate(zip(leaves, wanted_types, wanted_shapes)):
        if kind is not None and leaf.dtype.kind != "O" and str(kind) not in ("string", "<dtype: 'string'>"):
            dtype = as_dtype(kind)
            if np.can_cast(leaf.dtype, dtype.np, "same_kind") or leaf.dtype.kind in "iub":
                leaf = leaf.astype(dtype.np)
            else:
                raise DTypeError(f"from_generator: part {k} of element {number} is {leaf.dtype.name}, not {dtype.name}")
        if shape is not None and not (
            len(shape) == leaf.ndim and all(s is None or s == t for s, t in zip(shape, leaf.shape))
        ):
            raise ShapeError(
                f"from_generator: part {k} of element {number} has shape {leaf.shape}, but {tuple(shape)} was said"
            )
        columns.append(leaf[None])
    return Rows(columns, tree, 1)


def _shape_list(shapes: Any, n: int, types: Any) -> Sequence[Any]:
    """One shape, or None, for each leaf; a shape is itself a tuple, so the structure is read from `n`."""
    if shapes is None:
        return [None] * n
    if isinstance(shapes, dict):
        return [shapes[k] for k in types] if isinstance(types, dict) else list(shapes.values())
    is_one = not isinstance(shapes, tuple) or all(s is None or isinstance(s, int) for s in shapes)
    if is_one and not (n > 1 or isinstance(types, tuple)):
        return [shapes]
    return list(shapes) if len(shapes) == n else [None] * n
