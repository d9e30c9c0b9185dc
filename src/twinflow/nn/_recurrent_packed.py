"""Sequences of different lengths in one tensor: padded to the longest, or packed without gaps, step after step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from twinflow.core import as_int
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError, TraceError
from twinflow.ops import arange, cat, full, stack, tensor, where
from twinflow.tensor import MODE, Tensor, array_of, payload


@dataclass(init=False, eq=False)
class PackedSequence:
    """Sequences of different lengths, longest first, without padding: all first steps, then all second steps, ...

    Made by `pack_padded_sequence` and `pack_sequence`; the recurrent layers take and return it. What decides shapes is kept
    as Python numbers, so that a compiled function can take a packed sequence: it is traced once for each list of lengths. One that packs
    inside, by a tensor of lengths, is traced once for all (`MaskedSequence`).

    Args:
        data: the steps, [Σ lengths, ...].
        sizes: how many sequences reach each step: positive, never growing.
        order: the order that brings the sequences, as they were given, longest first; None if they were so.
    """

    data: Tensor
    sizes: tuple[int, ...]
    order: tuple[int, ...] | None

    def __init__(self, data: Tensor, sizes: Any, order: Any = None) -> None:
        counts = whole_numbers(sizes, "PackedSequence: sizes")
        if not counts or min(counts) < 1 or any(a < b for a, b in pairwise(counts)):
            raise ArgumentError(
                f"PackedSequence: sizes are positive and never grow from step to step, but {counts} was given"
            )
        if not isinstance(data, Tensor) or data.ndim < 1 or data.shape[0] != sum(counts):
            raise ShapeError(
                f"PackedSequence: data has one row for each step of each sequence, {sum(counts)} in all, but its shape is "
                f"{tuple(getattr(data, 'shape', ()))}"
            )
        places = None if order is None else whole_numbers(order, "PackedSequence: order")
        if places is not None and sorted(places) != list(range(counts[0])):
            raise ArgumentError(
                f"PackedSequence: order names each of the {counts[0]} sequences once, but {places} was given"
            )
        self.data, self.sizes, self.order = data, counts, places

    @property
    def batch_sizes(self) -> Tensor:
        """int64 [longest]: how many sequences reach each step."""
        return tensor(self.sizes)

    @property
    def sorted_indices(self) -> Tensor | None:
        """int64 [N]: `x[sorted_indices]` brings sequences, as they were given, into the order of the steps."""
        return None if self.order is None else tensor(self.order)

    @property
    def unsorted_indices(self) -> Tensor | None:
        """int64 [N]: the inverse of `sorted_indices`."""
        return None if self.order is None else tensor(np.argsort(self.order).astype(np.int64))

    @property
    def lengths(self) -> list[int]:
        """The length of each sequence, as they were given."""
        found = [sum(s > n for s in self.sizes) for n in range(self.sizes[0])]
        return found if self.order is None else [found[i] for i in np.argsort(self.order)]

    def replace(self, data: Tensor) -> PackedSequence:
        """The same lengths and order with other data."""
        return PackedSequence(data, self.sizes, self.order)

    # what the recurrent layers need

    @property
    def n_sequences(self) -> int:
        """How many sequences there are."""
        return self.sizes[0]

    def to_steps(self) -> Tensor:
        """The steps as [T, N, ...]. Where a sequence has ended stands anything."""
        return pad_steps(self)

    def mask(self) -> Tensor | None:
        """bool [T, N]: whether a sequence reaches a step; None if all reach all."""
        return step_mask(self.sizes) if self.sizes[0] != self.sizes[-1] else None

    def with_steps(self, steps: Tensor) -> PackedSequence:
        """The same lengths and order with other steps [T, N, ...]."""
        return self.replace(pack_steps(steps, self.sizes))

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data in another type."""
        return self.replace(self.data.to(*args, **kwargs))

    def __iter__(self) -> Iterator[Any]:
        return iter((self.data, self.batch_sizes, self.sorted_indices, self.unsorted_indices))


class MaskedSequence(PackedSequence):
    """A packed sequence whose lengths are known only when a compiled function runs: kept as padded steps with a mask.

    The recurrent layers and `pad_packed_sequence` take it; one trace serves all lengths. Its `data`, `sizes` and `lengths` are not
    there, because their shapes would follow from values. Sequences keep the order in which they were given.

    Args:
        steps: [T, N, ...].
        counts: integers [N]: how many steps of each sequence count; one that is longer than T counts as T.
    """

    def __init__(self, steps: Tensor, counts: Tensor) -> None:
        self.steps, self.counts = steps, counts
        self.order = None

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "sizes"):
            raise TraceError(
                f"PackedSequence: {name} cannot be read in a compiled function where the lengths are a tensor, because its shape follows "
                "from their values; use pad_packed_sequence, or give the lengths as a list of numbers (one trace for each list)"
            )
        raise AttributeError(f"PackedSequence has no attribute {name!r}")

    @property
    def batch_sizes(self) -> Tensor:
        """int64 [T]: how many sequences reach each step; 0 beyond the longest."""
        return self.mask().long().sum(1)

    @property
    def n_sequences(self) -> int:
        """How many sequences there are."""
        return int(self.steps.shape[1])

    def to_steps(self) -> Tensor:
        """The steps [T, N, ...]."""
        return self.steps

    def mask(self) -> Tensor:
        """bool [T, N]: whether a sequence reaches a step."""
        return arange(self.steps.shape[0]).unsqueeze(1) < self.counts

    def with_steps(self, steps: Tensor) -> PackedSequence:
        """The same lengths with other steps."""
        return MaskedSequence(steps, self.counts)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The steps in another type."""
        return MaskedSequence(self.steps.to(*args, **kwargs), self.counts)


def whole_numbers(values: Any, what: str) -> tuple[int, ...]:
    """A list, or a tensor whose values are known, as Python numbers."""
    if isinstance(values, Tensor):
        if values.dtype.is_floating_point or values.ndim != 1:
            raise DTypeError(
                f"{what} are whole numbers on one axis, not {values.dtype.name} of shape {tuple(values.shape)}"
            )
        values = array_of(
            values, what + " (they decide the shape of the result; give a list of numbers instead)"
        ).tolist()
    return tuple(as_int(v, what) for v in values)


def is_known(x: Tensor) -> bool:
    """Whether a tensor's values can be read: no function is being traced or mapped over it."""
    return MODE.tracer is None and isinstance(payload(x), np.ndarray)


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The order that undoes a permutation.

    >>> import twinflow
    >>> invert_permutation(twinflow.tensor([2, 0, 1]))
    tensor([1, 2, 0])
    """
    return None if permutation is None else permutation.argsort()


def step_mask(sizes: Sequence[int]) -> Tensor:
    """bool [T, N]: whether sequence n, longest first, reaches step t."""
    return tensor(np.arange(sizes[0])[None, :] < np.asarray(sizes)[:, None])


def pad_steps(packed: PackedSequence) -> Tensor:
    """The steps as [T, N, ...], longest sequence first. Where a sequence has ended stands a copy of some other step."""
    sizes = np.asarray(packed.sizes)
    rows = np.cumsum(sizes)[:, None] - sizes[:, None] + np.arange(sizes[0])[None, :]
    return packed.data[tensor(np.minimum(rows, sizes.sum() - 1))]


def pack_steps(steps: Tensor, sizes: Sequence[int]) -> Tensor:
    """The rows of [T, N, ...] that belong to a sequence, without gaps."""
    n = sizes[0]
    rows = np.concatenate([np.arange(s) + t * n for t, s in enumerate(sizes)])
    return steps.reshape(len(sizes) * n, *steps.shape[2:])[tensor(rows)]


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Take the padding out of a batch of sequences.

    Args:
        input: [T, N, ...], or [N, T, ...] with batch_first.
        lengths: one whole number for each sequence, 1 to T: a list, or a tensor. As a tensor argument of a compiled function they are
            data: one trace serves all lengths (and a sequence's length is taken to lie in that range, in any order). As a list they
            are part of the program, which is traced for each list.
        enforce_sorted: whether the sequences must come longest first; if False they are sorted here, and the layers'
            results come in the order given.
    Raises: ArgumentError for lengths that are zero, longer than the input, unsorted or not N many.
    Source: PyTorch's function of the same name.

    >>> import twinflow
    >>> x = twinflow.tensor([[1, 2, 3], [4, 0, 0]])
    >>> pack_padded_sequence(x, [3, 1], batch_first=True).data
    tensor([1, 4, 2, 3])
    """
    op = "pack_padded_sequence"
    if not isinstance(input, Tensor) or input.ndim < 2:
        raise ShapeError(f"{op}: the input has axes [T, N, ...], but its shape is {tuple(getattr(input, 'shape', ()))}")
    steps = input.transpose(0, 1) if batch_first else input
    longest, n = steps.shape[:2]
    if isinstance(lengths, Tensor) and not is_known(lengths):
        if lengths.dtype.is_floating_point or tuple(lengths.shape) != (n,):
            raise ShapeError(
                f"{op}: lengths are {n} whole numbers, one for each sequence, not {lengths.dtype.name} of shape {tuple(lengths.shape)}"
            )
        return MaskedSequence(steps, lengths)
    counts = whole_numbers(lengths, f"{op}: lengths")
    if len(counts) != n:
        raise ArgumentError(
            f"{op}: {len(counts)} lengths for {n} sequences; the input has shape {tuple(input.shape)} with "
            f"batch_first={batch_first}"
        )
    if n == 0:
        raise ArgumentError(f"{op}: there are no sequences to pack")
    for i, c in enumerate(counts):
        if c <= 0:
            raise ArgumentError(f"{op}: every sequence has at least 1 step, but the length of sequence {i} is {c}")
        if c > longest:
            raise ArgumentError(f"{op}: the length of sequence {i} is {c}, but the input has only {longest} steps")
    order: tuple[int, ...] | None = None
    if enforce_sorted:
        if any(a < b for a, b in pairwise(counts)):
            raise ArgumentError(
                f"{op}: the sequences must come longest first, but their lengths are {list(counts)}; sort them, or give "
                "enforce_sorted=False"
            )
    else:
        order = tuple(np.argsort(-np.asarray(counts), kind="stable").tolist())
        counts = tuple(counts[i] for i in order)
        steps = steps[:, tensor(order)]
    sizes = tuple(sum(c > t for c in counts) for t in range(counts[0]))
    return PackedSequence(pack_steps(steps[: len(sizes)], sizes), sizes, order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: the padded batch, and the lengths, in the order first given.

    Args:
        padding_value: stands where a sequence has ended.
        total_length: pad to this many steps instead of the longest sequence's (or the input's, where a compiled function has the lengths
            as a tensor: its result cannot be shorter).
    Raises: ArgumentError if total_length is shorter than the longest sequence.

    >>> import twinflow
    >>> packed = pack_padded_sequence(twinflow.tensor([[1, 2, 3], [4, 0, 0]]), [3, 1], batch_first=True)
    >>> pad_packed_sequence(packed, batch_first=True, padding_value=-1)
    (tensor([[ 1,  2,  3],
            [ 4, -1, -1]]), tensor([3, 1]))
    """
    if not isinstance(sequence, PackedSequence):
        raise DTypeError(f"pad_packed_sequence: a PackedSequence is needed, not {type(sequence).__name__}")
    steps, mask = sequence.to_steps(), sequence.mask()
    longest = steps.shape[0]
    total = longest if total_length is None else total_length
    if total < longest:
        raise ArgumentError(
            f"pad_packed_sequence: total_length is {total}, but the longest sequence has {longest} steps"
        )
    if mask is not None:
        steps = where(mask.reshape(*mask.shape, *[1] * (steps.ndim - 2)), steps, padding_value)
    if total > longest:
        tail = full((total - longest, *steps.shape[1:]), padding_value, dtype=steps.dtype)
        steps = cat([steps, tail])
    if sequence.order is not None:
        steps = steps[:, sequence.unsorted_indices]
    counts = sequence.counts if isinstance(sequence, MaskedSequence) else tensor(sequence.lengths)
    return (steps.transpose(0, 1) if batch_first else steps), counts


def _sequences(sequences: Any, op: str) -> list[Tensor]:
    found = list(sequences)
    if not found:
        raise ArgumentError(f"{op}: at least one sequence is needed")
    for i, s in enumerate(found):
        if not isinstance(s, Tensor) or s.ndim < 1:
            raise ShapeError(f"{op}: sequence {i} must be a tensor [T, ...], not {type(s).__name__} without axes")
        if s.shape[1:] != found[0].shape[1:] or s.dtype is not found[0].dtype:
            raise ShapeError(
                f"{op}: sequences may differ in their first axis only, but sequence 0 is {found[0].dtype.name} "
                f"{tuple(found[0].shape)} and sequence {i} is {s.dtype.name} {tuple(s.shape)}"
            )
    return found


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Sequences [Tᵢ, ...] as one tensor [T, N, ...] (or [N, T, ...]), the short ones filled up.

    >>> import twinflow
    >>> pad_sequence([twinflow.ones(2), twinflow.ones(1)], batch_first=True)
    tensor([[1., 1.],
            [1., 0.]])
    """
    found = _sequences(sequences, "pad_sequence")
    if padding_side not in ("right", "left"):
        raise ArgumentError(f"pad_sequence: padding_side is 'right' or 'left', not {padding_side!r}")
    longest = max(s.shape[0] for s in found)
    padded = []
    for s in found:
        if s.shape[0] < longest:
            gap = full((longest - s.shape[0], *s.shape[1:]), padding_value, dtype=s.dtype)
            s = cat([s, gap] if padding_side == "right" else [gap, s])
        padded.append(s)
    return stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """The inverse of `pad_sequence`: a list of sequences of the given lengths."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = whole_numbers(lengths, "unpad_sequence: lengths")
    if len(counts) != rows.shape[0] or any(not 0 <= c <= rows.shape[1] for c in counts):
        raise ArgumentError(
            f"unpad_sequence: {rows.shape[0]} lengths from 0 to {rows.shape[1]} are needed, but {list(counts)} were given"
        )
    return [rows[i, :c] for i, c in enumerate(counts)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences [Tᵢ, ...] of different lengths."""
    found = _sequences(sequences, "pack_sequence")
    return pack_padded_sequence(pad_sequence(found), [s.shape[0] for s in found], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`."""
    padded, _ = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, packed_sequences.lengths, batch_first=True)
