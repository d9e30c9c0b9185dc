"""Rows of a table, by number."""

from __future__ import annotations

from twinflow.core.errors import ArgumentError, DTypeError, IndexOutOfRange, ShapeError
from twinflow.nn.functional._arguments import tensors
from twinflow.nn.functional._distance import p_norm
from twinflow.ops import amax, call, full, sum, where
from twinflow.tensor import Tensor, no_grad


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """int64 [..., classes] with 1 at each label; the number of classes is the largest label + 1 unless given.

    Raises: IndexOutOfRange for labels outside [0, num_classes).
    """
    tensors("one_hot", input=input)
    if input._data.dtype.kind not in "iu":
        raise DTypeError(f"one_hot: labels are whole numbers, not {input.dtype.name}; use input.long()")
    if num_classes == -1:
        if not input.numel():
            raise ArgumentError("one_hot: an empty tensor does not say how many classes there are; give num_classes")
        num_classes = int(input.max()) + 1
    eye = (
        call("iota", n=num_classes, dtype=full((), 0, dtype="int64").dtype).unsqueeze(1)
        == call("iota", n=num_classes, dtype=full((), 0, dtype="int64").dtype)
    ).long()
    try:
        return call("take", eye, input.long(), axis=0)
    except IndexOutOfRange as error:
        raise IndexOutOfRange(f"one_hot: labels must lie in [0, {num_classes - 1}]: {error}", line="") from error


def _look_up(op: str, weight: Tensor, index: Tensor) -> Tensor:
    if index._data.dtype.kind not in "iu":
        raise DTypeError(f"{op}: indices are whole numbers, not {index.dtype.name}; use input.long()")
    if weight.ndim != 2:
        raise ShapeError(f"{op}: weight must be [entries, features], but its shape is {tuple(weight.shape)}")
    index = index if index.dtype.name in ("int64", "int32") else index.long()
    try:
        return call("take", weight, index, axis=0)
    except IndexOutOfRange as error:
        low, high = int(index.min()), int(index.max())
        raise IndexOutOfRange(
            f"{op}: index {low if low < 0 else high} is outside [0, {weight.shape[0] - 1}], the table's entries; enlarge "
            "num_embeddings, or map unknown words to an index of their own"
        ) from error


def _renormalise(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are used and longer than max_norm back to it, in place."""
    n = weight.shape[0]
    with no_grad():
        flat = index.long().reshape(-1)
        hits = call("put_add", full((n,), 0, dtype="int64"), flat, full((flat.shape[0],), 1, dtype="int64"), axis=0)
        norm = p_norm(weight.detach(), norm_type, 1, True)
        scale = where((hits > 0).unsqueeze(1) & (norm > max_norm), max_norm / (norm + 1e-7), 1.0)
        weight.copy_(weight * scale)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of `weight` that `input` names: [...] → [..., features].

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows that are looked up are first scaled down to this norm, in place.
        scale_grad_by_freq: divide each row's gradient by how often it is named.
    Raises: IndexOutOfRange for an index outside the table; ArgumentError for sparse=True, because gradients are dense.
    """
    op = "embedding"
    tensors(op, input=input, weight=weight)
    if sparse:
        raise ArgumentError(f"{op}: sparse=True does not exist; gradients are dense tensors")
    padding_idx = padding_index(op, padding_idx, weight.shape[0])
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    y = _look_up(op, weight, input)
    if padding_idx is not None:
        y = where((input == padding_idx).unsqueeze(-1), y.detach(), y)
    if scale_grad_by_freq:
        flat = input.long().reshape(-1)
        ones = full((flat.shape[0],), 1, dtype=weight.dtype)
        count = call("put_add", full((weight.shape[0],), 0, dtype=weight.dtype), flat, ones, axis=0)
        share = 1.0 / call("take", count, input.long(), axis=0).unsqueeze(-1)
        y = y * share + (y * (1.0 - share)).detach()
    return y


def padding_index(op: str, index: int | None, n: int) -> int | None:
    """`padding_idx` counted from the front."""
    if index is None:
        return None
    if not -n <= index < n:
        raise ArgumentError(f"{op}: padding_idx {index} is outside a table of {n} entries")
    return index + n if index < 0 else index


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the rows that each bag names.

    Args:
        input: bags of equal size [B, n], or all bags one after the other [n] with `offsets`.
        offsets: where each bag starts; with `include_last_offset` also where the last one ends.
        mode: "sum", "mean" or "max".
        per_sample_weights: factors in the shape of the input, for mode="sum".
        padding_idx: entries with this index do not count.
    """
    op = "embedding_bag"
    tensors(op, input=input, weight=weight)
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{op}: mode is 'sum', 'mean' or 'max', not {mode!r}")
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError(f"{op}: per_sample_weights go with mode='sum', not {mode!r}")
    if scale_grad_by_freq or sparse:
        raise ArgumentError(f"{op}: scale_grad_by_freq and sparse do not exist; gradients are dense and unscaled")
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError(f"{op}: offsets go with a 1-dimensional input; a [B, n] input has bags of equal size")
        bags, n = input.shape
        flat, bag = input.reshape(-1), (call("iota", n=bags * n, dtype=full((), 0, dtype="int64").dtype) // max(n, 1))
    elif input.ndim == 1:
        if offsets is None:
            raise ArgumentError(f"{op}: a 1-dimensional input needs offsets, the places where bags start")
        flat = input
        starts = offsets[:-1] if include_last_offset else offsets
        bags = starts.shape[0]
        places = call("iota", n=flat.shape[0], dtype=full((), 0, dtype="int64").dtype)
        bag = (places.unsqueeze(1) >= starts.unsqueeze(0)).long().sum(1) - 1
    else:
        raise ShapeError(f"{op}: input must be [B, n] or [n], but its shape is {tuple(input.shape)}")
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    rows = _look_up(op, weight, flat)
    padding_idx = padding_index(op, padding_idx, weight.shape[0])
    counts = None if padding_idx is None else flat != padding_idx
    if mode == "max":
        return _bag_max(rows, bag, bags, counts)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    share = full((flat.shape[0],), 1, dtype=weight.dtype) if counts is None else counts.to(dtype=weight.dtype)
    if counts is not None:
        rows = rows * share.unsqueeze(1)
    total = call("put_add", full((bags, weight.shape[1]), 0, dtype=weight.dtype), bag, rows, axis=0)
    if mode == "sum":
        return total
    size = call("put_add", full((bags,), 0, dtype=weight.dtype), bag, share, axis=0)
    return total / size.clamp(1.0).unsqueeze(1)


def _bag_max(rows: Tensor, bag: Tensor, bags: int, counts: Tensor | None) -> Tensor:
    place = call("iota", n=bags, dtype=bag.dtype)
    member = bag.unsqueeze(0) == place.unsqueeze(1)  # [B, n]
    if counts is not None:
        member = member & counts.unsqueeze(0)
    if rows.shape[0] == 0:
        return sum(rows, 0).expand(bags, rows.shape[1])
    top = amax(where(member.unsqueeze(2), rows.unsqueeze(0), float("-inf")), 1)
    return where(member.any(1).unsqueeze(1), top, 0.0)
