"""Data sets of batches: of one's own, of time series, of folders of pictures and texts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, DataError
from twinflow.keras.utils._arrays import img_to_array, load_img


class PyDataset:
    """Base of data sets by batch: define `__len__` (batches) and `__getitem__(index)` -> (x, y).

    Args:
        workers: how many threads make batches ahead of the training; 1 for none.
        use_multiprocessing: False: threads, which share the data, and NumPy lets them run side by side.
        max_queue_size: how many batches may wait.
    """

    workers, max_queue_size = 1, 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        if use_multiprocessing:
            raise ArgumentError(
                f"{type(self).__name__}: batches are made by threads; write use_multiprocessing=False, or use twinflow.data.DataLoader with "
                "num_workers for processes"
            )
        self.workers, self.max_queue_size = workers, max_queue_size

    @property
    def num_batches(self) -> int:
        """How many batches an epoch has."""
        return len(self)

    def on_epoch_begin(self) -> None:
        """Called before an epoch."""

    def on_epoch_end(self) -> None:
        """Called after an epoch; a place to shuffle."""

    def __len__(self) -> int:
        raise ArgumentError(f"{type(self).__name__}: define __len__, the number of batches")

    def __getitem__(self, index: int) -> Any:
        raise ArgumentError(f"{type(self).__name__}: define __getitem__(index), a batch (x, y)")


Sequence = PyDataset


class _Rows(PyDataset):
    """Batches of numbered examples, in a new order at each pass with `shuffle`."""

    class_names: list[str]

    def __init__(self, n: int, batch_size: int | None, shuffle: bool, seed: int | None, get: Any) -> None:
        if n == 0:
            raise DataError("there are no examples in the data set")
        self._n, self._get, self._shuffle = n, get, shuffle
        self._batch = n if batch_size is None else batch_size
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return -(-self._n // self._batch)

    def __getitem__(self, index: int) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._get(np.arange(self._n)[index * self._batch : (index + 1) * self._batch])

    def __iter__(self) -> Iterator[Any]:
        order = self._rng.permutation(self._n) if self._shuffle else np.arange(self._n)
        for k in range(len(self)):
            yield self._get(order[k * self._batch : (k + 1) * self._batch])


def timeseries_dataset_from_array(
    data: Any,
    targets: Any,
    sequence_length: int,
    sequence_stride: int = 1,
    sampling_rate: int = 1,
    batch_size: int | None = 128,
    shuffle: bool = False,
    seed: int | None = None,
    start_index: int | None = None,
    end_index: int | None = None,
) -> Any:
    """Batches of stretches of a series, with the target of each one's first step.

    Args:
        data: [steps, ...].
        targets: one for each step (the one of stretch i is targets[start of i]), or None.
        sequence_length: how many steps a stretch has.
        sequence_stride, sampling_rate: steps between stretches, and between a stretch's steps.
        start_index, end_index: which part of the data is used.
    """
    a = np.asarray(data)
    first, last = start_index or 0, len(a) if end_index is None else end_index
    reach = (sequence_length - 1) * sampling_rate + 1
    starts = np.arange(first, last - reach + 1, sequence_stride)
    if targets is not None:
        t = np.asarray(targets)
        starts = starts[starts - first < len(t)]
    steps = np.arange(0, reach, sampling_rate)

    def get(rows: Any) -> Any:
        x = a[starts[rows][:, None] + steps]
        return x if targets is None else (x, t[starts[rows] - first])

    return _Rows(len(starts), batch_size, shuffle, seed, get)


def split_dataset(
    dataset: Any, left_size: Any = None, right_size: Any = None, shuffle: bool = False, seed: int | None = None
) -> tuple[Any, Any]:
    """Two data sets of one: arrays, a list of arrays, or batches, split by examples; sizes are counts or fractions."""
    if isinstance(dataset, np.ndarray):
        parts: Any = (dataset,)
    elif isinstance(dataset, (list, tuple)) and all(isinstance(p, np.ndarray) for p in dataset):
        parts = tuple(dataset)
    else:
        batches = [b if isinstance(b, tuple) else (b,) for b in dataset]
        if not batches:
            raise DataError("split_dataset: there are no examples")
        parts = tuple(np.concatenate([np.asarray(x) for x in column]) for column in zip(*batches))
    n = len(parts[0])

    def count(size: Any) -> int | None:
        return None if size is None else round(size * n) if isinstance(size, float) else int(size)

    left, right = count(left_size), count(right_size)
    if left is None and right is None:
        raise ArgumentError("split_dataset: give left_size or right_size")
    left = n - (right or 0) if left is None else left
    right = n - left if right is None else right
    if left <= 0 or right <= 0 or left + right > n:
        raise ArgumentError(f"split_dataset: {left} and {right} examples cannot be taken from {n}")
    order = np.random.default_rng(seed).permutation(n) if shuffle else np.arange(n)

    def part(rows: Any) -> Any:
        def get(k: Any) -> Any:
            found = tuple(p[rows[k]] for p in parts)
            return found if len(found) > 1 else found[0]

        return _Rows(len(rows), 32, False, None, get)

    return part(order[:left]), part(order[n - right :])


def _files(what: str, directory: Any, labels: Any, class_names: Any, endings: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """(paths, labels or None, class names) of a folder with one folder for each class."""
    root = os.fspath(directory)
    if not os.path.isdir(root):
        raise DataError(f"{what}: there is no folder {root}")
    if labels is None:
        names: list[str] = []
        folders = [(root, 0)]
    else:
        names = list(class_names or sorted(d for d in os.listdir(root) if os.path.isdir(os.path.join(root, d))))
        folders = [(os.path.join(root, d), k) for k, d in enumerate(names)]
    found = [
        (os.path.join(place, f), k)
        for folder, k in folders
        for place, _, files in sorted(os.walk(folder))
        for f in sorted(files)
        if f.lower().endswith(endings)
    ]
    if not found:
        raise DataError(f"{what}: no files ending with {', '.join(endings)} below {root}" + ("" if labels is None else ", in one folder for each class"))  # fmt: skip
    return [p for p, _ in found], None if labels is None else np.array([k for _, k in found]), names


def _labels(what: str, y: Any, mode: str | None, n: int) -> Any:
    if mode == "int":
        return y
    if mode == "categorical":
        return np.eye(n, dtype=np.float32)[y]
    if mode == "binary" and n == 2:
        return y.astype(np.float32).reshape(-1, 1)
    raise ArgumentError(
        f"{what}: label_mode is 'int', 'categorical', 'binary' (for 2 classes) or None, not {mode!r} for {n} classes"
    )


def _from_folder(
    what: str, directory: Any, labels: Any, label_mode: str | None, class_names: Any, batch_size: int | None, shuffle: bool,
    seed: int | None, validation_split: float | None, subset: str | None, endings: tuple[str, ...], read: Any,
) -> Any:  # fmt: skip
    if labels not in ("inferred", None):
        raise ArgumentError(f"{what}: labels is 'inferred' or None, not {labels!r}")
    paths, y, names = _files(what, directory, labels if label_mode is not None else None, class_names, endings)
    order = np.arange(len(paths))
    if (validation_split is None) != (subset is None) or subset not in (None, "training", "validation"):
        raise ArgumentError(f"{what}: validation_split goes with subset='training' or 'validation'")
    if validation_split is not None:
        if shuffle:
            if seed is None:
                raise ArgumentError(
                    f"{what}: with validation_split and shuffle a seed is needed, so that the two parts are disjoint"
                )
            order = np.random.default_rng(seed).permutation(order)
        at = len(order) - int(validation_split * len(order))
        order = order[:at] if subset == "training" else order[at:]
    labels_ = None if y is None else _labels(what, y, label_mode, len(names))

    def get(rows: Any) -> Any:
        chosen = order[rows]
        x = np.stack([read(paths[k]) for k in chosen])
        return x if labels_ is None else (x, labels_[chosen])

    found = _Rows(len(order), batch_size, shuffle, seed, get)
    found.class_names = names
    return found


def image_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: Any = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
) -> Any:
    """Batches (images, labels) of a folder with one folder of pictures for each class (needs the extra `images`)."""
    endings = (".png", ".jpg", ".jpeg", ".bmp", ".gif")

    def read(path: str) -> Any:
        return img_to_array(load_img(path, color_mode, image_size, interpolation))

    return _from_folder(
        "image_dataset_from_directory", directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        endings, read,
    )  # fmt: skip


def text_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Any = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
) -> Any:
    """Batches (texts, labels) of a folder with one folder of .txt files for each class; texts are for `TextVectorization`."""

    def read(path: str) -> Any:
        with open(path, encoding="utf-8") as file:
            return np.array(file.read(), object)

    return _from_folder(
        "text_dataset_from_directory", directory, labels, label_mode, class_names, batch_size, shuffle, seed, validation_split, subset,
        (".txt",), read,
    )  # fmt: skip


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight), None for what is missing."""
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise ArgumentError(f"unpack_x_y_sample_weight: x, y and sample_weight are at most 3 values, not {len(data)}")
    x, y, w = [*data, None, None][:3]
    return x, y, w
