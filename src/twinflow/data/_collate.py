"""From a list of samples to one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twinflow.core.errors import DataError
from twinflow.ops import as_tensor, stack, tensor
from twinflow.tensor import Tensor


def default_convert(data: Any) -> Any:
    """Arrays as tensors, within any nesting of containers; everything else as it is."""
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        return data if array.dtype.kind in "USO" else as_tensor(np.require(array, requirements="C"))
    if isinstance(data, Mapping):
        return {k: default_convert(v) for k, v in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*[default_convert(v) for v in data])
    if isinstance(data, (list, tuple)):
        return [default_convert(v) for v in data]
    return data


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples along a new first axis: tensors, arrays and numbers become tensors; containers keep their structure.

    Raises: DataError if samples differ in shape or structure, saying which.

    >>> import twinflow
    >>> twinflow.data.default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=twinflow.float64)]
    """
    first = batch[0]
    if isinstance(first, (Tensor, np.ndarray)):
        shapes = [tuple(x.shape) for x in batch]
        for k, s in enumerate(shapes):
            if s != shapes[0]:
                raise DataError(
                    f"collate: sample {k} of the batch has shape {s}, but sample 0 has {shapes[0]}; make them equal in the data set, "
                    "or pass a collate_fn that pads them"
                )
        return stack(list(batch)) if isinstance(first, Tensor) else as_tensor(np.stack(batch))
    if isinstance(first, (float, np.floating)):
        return tensor(np.asarray(batch, first.dtype if isinstance(first, np.floating) else np.float64))
    if isinstance(first, (bool, int, np.integer, np.bool_)):
        return tensor(np.asarray(batch))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        for k, x in enumerate(batch):
            if x.keys() != first.keys():
                raise DataError(f"collate: sample {k} has the keys {sorted(x)}, but sample 0 has {sorted(first)}")
        return {key: default_collate([x[key] for x in batch]) for key in first}
    if isinstance(first, (list, tuple)):
        for k, x in enumerate(batch):
            if len(x) != len(first):
                raise DataError(f"collate: sample {k} has {len(x)} parts, but sample 0 has {len(first)}")
        columns = [default_collate(column) for column in zip(*batch)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise DataError(
        f"collate: samples are tensors, arrays, numbers, strings or containers of these, not {type(first).__name__}; pass a collate_fn"
    )
