"""Pooling: the largest, the mean or a norm of each window, and windows that adapt to a given number of results."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._arguments import Ints, drop_batch, ints, spatial, tensors
from twinflow.ops import call, floor, full, matmul, rand, sign, sum, tensor
from twinflow.ops._autocast import in_float32
from twinflow.ops._composite import Composite
from twinflow.tensor import Tensor

Pads = tuple[tuple[int, int], ...]


class _Window:
    """The windows of one call, with the padding after the end that `ceil_mode` asks for."""

    def __init__(
        self, op: str, extents: Ints, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
    ) -> None:
        n = len(extents)
        self.kernel = ints(kernel, n, op, "kernel_size", least=1)
        self.stride = self.kernel if stride is None else ints(stride, n, op, "stride", least=1)
        self.given = ints(padding, n, op, "padding", least=0)
        self.dilation = ints(dilation, n, op, "dilation", least=1)
        if any(p > k // 2 for p, k in zip(self.given, self.kernel)):
            raise ArgumentError(
                f"{op}: padding must be at most half of the kernel, but padding={self.given} for kernel_size={self.kernel}"
            )
        sides = []
        for m, k, s, p, d in zip(extents, self.kernel, self.stride, self.given, self.dilation):
            room = m + 2 * p - d * (k - 1) - 1
            if room < 0 and not (ceil_mode and -(-room // s) == 0):
                raise ShapeError(f"{op}: a window of {d * (k - 1) + 1} does not fit into {m} elements with padding {p}")
            count = -(-room // s) + 1 if ceil_mode else room // s + 1
            if ceil_mode and (count - 1) * s >= m + p:
                count -= 1  # the last window would lie in the padding alone
            sides.append((p, max(p, (count - 1) * s + d * (k - 1) + 1 - m - p)))
        self.padding: Pads = tuple(sides)

    @property
    def params(self) -> dict[str, Any]:
        """As the primitives take it."""
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding, "dilation": self.dilation}


def _max_pool(
    op: str, n: int, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, indices: bool
) -> Any:
    x, added = spatial(op, x, n)
    w = _Window(op, tuple(x.shape[2:]), kernel, stride, padding, dilation, ceil_mode)
    values, index = call("max_pool", x, **w.params)
    return (drop_batch(values, added), drop_batch(index, added)) if indices else drop_batch(values, added)


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of [N, C, L]. See `max_pool2d`."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window.

    Args:
        input: [N, C, H, W] or [C, H, W].
        kernel_size, stride, padding, dilation: a number, or one for each axis; the stride is the kernel unless given.
        ceil_mode: let the last windows reach beyond the padding.
        return_indices: also give where each element was, as an index into the flattened image; for `max_unpool2d`.
    Raises: ShapeError if no window fits; ArgumentError for a padding beyond half of the kernel.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window of [N, C, D, H, W]. See `max_pool2d`."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _compose_tile_means(x: Tensor, *, tiles: tuple[int, ...], factor: float) -> Tensor:
    """`tiles` splits each axis behind the first two into the number of windows and their extent."""
    return sum(x.reshape(*x.shape[:2], *tiles), tuple(range(3, 2 + len(tiles), 2))) * factor


_tile_means = Composite("avg_pool", _compose_tile_means, 1 << 14)


def _avg_pool(
    op: str,
    n: int,
    x: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: int | None,
) -> Tensor:
    x, added = spatial(op, x, n)
    extents = tuple(x.shape[2:])
    w = _Window(op, extents, kernel, stride, padding, 1, ceil_mode)
    if divisor == 0:
        raise ArgumentError(f"{op}: divisor_override must not be 0")
    if w.kernel == w.stride and not any(
        m % k or low or high for m, k, (low, high) in zip(extents, w.kernel, w.padding)
    ):
        # windows that tile the input: a sum over axes, whose gradient is a copy
        tiles = [v for m, k in zip(extents, w.kernel) for v in (m // k, k)]
        return drop_batch(_tile_means(x, tiles=tuple(tiles), factor=1.0 / (divisor or prod(w.kernel))), added)
    total = call("window_sum", x, **w.params)
    if divisor is not None:
        return drop_batch(total * (1.0 / divisor), added)
    counts = []
    for m, k, s, (low, _high), p, c in zip(extents, w.kernel, w.stride, w.padding, w.given, total.shape[2:]):
        start = np.arange(c) * s - low
        outer = (-p, m + p) if count_include_pad else (0, m)
        counts.append(np.minimum(start + k, outer[1]) - np.maximum(start, outer[0]))
    if all((c == c[0]).all() for c in counts):
        y = total * (1.0 / prod(int(c[0]) for c in counts))
    else:
        size = np.ones((1,) * n)
        for axis, c in enumerate(counts):
            size = size * c.reshape([-1 if i == axis else 1 for i in range(n)])
        y = total / tensor(size, dtype=x.dtype)
    return drop_batch(y, added)


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of [N, C, L]. See `avg_pool2d`."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window.

    Args:
        count_include_pad: whether padding counts as elements of the mean.
        divisor_override: divide by this instead of the number of elements.
        others: as for `max_pool2d`.
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@in_float32
def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of [N, C, D, H, W]. See `avg_pool2d`."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _lp_pool(op: str, n: int, x: Tensor, p: float, kernel: Any, stride: Any, ceil_mode: bool) -> Tensor:
    x, added = spatial(op, x, n)
    w = _Window(op, tuple(x.shape[2:]), kernel, stride, 0, 1, ceil_mode)
    total = call("window_sum", x**p, **w.params)
    y = (sign(total) * total.abs().relu()) ** (1.0 / p)
    if ceil_mode:  # the mean over elements that exist, times the size of a whole window
        mean = _avg_pool(op, n, x**p, kernel, stride, 0, True, True, None) * float(prod(w.kernel))
        y = (sign(mean) * mean.abs().relu()) ** (1.0 / p)
    return drop_batch(y, added)


def lp_pool1d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ x^p)^(1/p) of each window of [N, C, L]."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ x^p)^(1/p) of each window of [N, C, H, W]."""
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Tensor:
    """(Σ x^p)^(1/p) of each window of [N, C, D, H, W]."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# -- windows that adapt -----------------------------------------------------------------------------------------


def _adaptive_size(op: str, output_size: Any, extents: Ints) -> Ints:
    n = len(extents)
    if not isinstance(output_size, (tuple, list)):
        output_size = (output_size,) * n
    if len(output_size) != n:
        raise ArgumentError(f"{op}: output_size needs one number, or one for each of {n} axes")
    sizes = tuple(m if s is None else int(s) for s, m in zip(output_size, extents))
    if min(sizes) < 1 or min(extents) < 1:
        raise ArgumentError(f"{op}: sizes must be positive, but {extents} → {sizes} was asked for")
    return sizes


def _spans(extent: int, count: int) -> tuple[Any, Any]:
    """Where the windows of adaptive pooling start and end."""
    i = np.arange(count)
    return i * extent // count, -(-(i + 1) * extent // count)


def _adaptive_avg(op: str, n: int, x: Tensor, output_size: Any) -> Tensor:
    x, added = spatial(op, x, n)
    extents = tuple(x.shape[2:])
    sizes = _adaptive_size(op, output_size, extents)
    if all(m % s == 0 for m, s in zip(extents, sizes)):
        kernel = tuple(m // s for m, s in zip(extents, sizes))
        return drop_batch(_avg_pool(op, n, x, kernel, kernel, 0, False, True, None), added)
    for axis, (m, s) in enumerate(zip(extents, sizes), 2):  # the mean over windows is a matrix along each axis
        start, end = _spans(m, s)
        place = np.arange(m)[:, None]
        means = ((place >= start) & (place < end)) / (end - start)
        x = matmul(x.transpose(axis, -1), tensor(means, dtype=x.dtype)).transpose(axis, -1)
    return drop_batch(x, added)


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """The means of `output_size` windows that cover [N, C, L]."""
    return _adaptive_avg("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that cover [N, C, H, W] and give `output_size` results; None keeps an extent."""
    return _adaptive_avg("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """The means of windows that cover [N, C, D, H, W] and give `output_size` results; None keeps an extent."""
    return _adaptive_avg("adaptive_avg_pool3d", 3, input, output_size)


def _gather_windows(x: Tensor, tables: list[Any], extents: Ints) -> tuple[Tensor, Tensor]:
    """Elements and flat indices of windows given by their coordinates [count, taps] along each axis: the windows'
    elements are the last axis."""
    n = len(extents)
    flat = np.zeros((1,) * (2 * n), np.int64)
    for axis, (table, m) in enumerate(zip(tables, extents)):
        shape = [1] * (2 * n)
        shape[axis], shape[n + axis] = table.shape
        flat = flat * m + table.reshape(shape)
    counts = flat.shape[:n]
    index = tensor(flat.reshape(*counts, -1), dtype="int64")
    lead = tuple(x.shape[: x.ndim - n])
    return call("take", x.reshape(*lead, prod(extents)), index, axis=len(lead)), index


def _largest(picked: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The largest along the last axis, and the entry of `index` that belongs to it."""
    best = picked.argmax(-1, True)
    values = call("gather", picked, best, axis=picked.ndim - 1).squeeze(-1)
    index = index.expand(tuple(picked.shape)) if tuple(index.shape) != tuple(picked.shape) else index
    return values, call("gather", index, best, axis=picked.ndim - 1).squeeze(-1)


def _adaptive_max(op: str, n: int, x: Tensor, output_size: Any, indices: bool) -> Any:
    x, added = spatial(op, x, n)
    extents = tuple(x.shape[2:])
    sizes = _adaptive_size(op, output_size, extents)
    if all(m % s == 0 for m, s in zip(extents, sizes)):
        kernel = tuple(m // s for m, s in zip(extents, sizes))
        result = _max_pool(op, n, x, kernel, kernel, 0, 1, False, True)
    else:
        tables = []
        for m, s in zip(extents, sizes):
            start, end = _spans(m, s)
            taps = np.arange(int((end - start).max()))
            tables.append(np.minimum(start[:, None] + taps, end[:, None] - 1))
        result = _largest(*_gather_windows(x, tables, extents))
    values, index = result
    return (drop_batch(values, added), drop_batch(index, added)) if indices else drop_batch(values, added)


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of `output_size` windows that cover [N, C, L]."""
    return _adaptive_max("adaptive_max_pool1d", 1, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of windows that cover [N, C, H, W] and give `output_size` results."""
    return _adaptive_max("adaptive_max_pool2d", 2, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of windows that cover [N, C, D, H, W] and give `output_size` results."""
    return _adaptive_max("adaptive_max_pool3d", 3, input, output_size, return_indices)


# -- the rest ---------------------------------------------------------------------------------------------------


def _fractional(
    op: str, n: int, x: Tensor, kernel: Any, output_size: Any, output_ratio: Any, indices: bool, samples: Tensor | None
) -> Any:
    x, added = spatial(op, x, n)
    extents = tuple(x.shape[2:])
    taps = ints(kernel, n, op, "kernel_size", least=1)
    if (output_size is None) == (output_ratio is None):
        raise ArgumentError(f"{op}: give either output_size or output_ratio")
    if output_size is None:
        ratio = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * n
        output_size = tuple(int(m * r) for m, r in zip(extents, ratio))
    sizes = ints(output_size, n, op, "output_size", least=1)
    if any(s + k - 1 > m for s, k, m in zip(sizes, taps, extents)):
        raise ShapeError(f"{op}: {sizes} windows of {taps} do not fit into {extents}")
    lead = (x.shape[0], x.shape[1])
    if samples is None:
        samples = rand(*lead, n, dtype=x.dtype)
    flat: Any = full((), 0, dtype="int64")
    for axis, (m, s, k) in enumerate(zip(extents, sizes, taps)):
        u = samples[:, :, 1 - axis if n == 2 else axis].reshape(*lead, 1)  # in 2-d the first sample is for W
        i = call("iota", n=s, dtype=x.dtype)
        if s > 1:
            alpha = (m - k) / (s - 1)
            start = floor((i + u) * alpha) - floor(u * alpha)
            start = call("where", i == s - 1, float(m - k), start)
        else:
            start = u * 0.0 + float(m - k)
        place = start.long().unsqueeze(3) + call("iota", n=k, dtype=start.long().dtype)  # [N, C, s, k]
        shape = [*lead, *(1,) * (2 * n)]
        shape[2 + axis], shape[2 + n + axis] = s, k
        flat = flat * m + place.reshape(shape)
    index = flat.reshape(*lead, *sizes, prod(taps))
    picked = call("gather", x.reshape(*lead, prod(extents)), index.reshape(*lead, prod(sizes) * prod(taps)), axis=2)
    values, where = _largest(picked.reshape(tuple(index.shape)), index)
    return (drop_batch(values, added), drop_batch(where, added)) if indices else drop_batch(values, added)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements of windows at random, nearly regular places. Graham, arXiv:1412.6071.

    Args:
        output_size, output_ratio: how many results, or which fraction of the input's extents; one of the two.
    """
    return _fractional(
        "fractional_max_pool2d", 2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """The largest elements of windows at random places of [N, C, D, H, W]. See `fractional_max_pool2d`."""
    return _fractional(
        "fractional_max_pool3d", 3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples
    )


def _unpool(
    op: str, n: int, x: Tensor, indices: Tensor, kernel: Any, stride: Any, padding: Any, output_size: Any
) -> Tensor:
    tensors(op, indices=indices)
    x, added = spatial(op, x, n)
    index = indices.unsqueeze(0) if added else indices
    if tuple(index.shape) != tuple(x.shape):
        raise ShapeError(f"{op}: input has shape {tuple(x.shape)} and indices {tuple(index.shape)}; they must agree")
    k = ints(kernel, n, op, "kernel_size", least=1)
    s = k if stride is None else ints(stride, n, op, "stride", least=1)
    p = ints(padding, n, op, "padding", least=0)
    if output_size is None:
        shape = tuple((m - 1) * b - 2 * c + a for m, a, b, c in zip(x.shape[2:], k, s, p))
    else:
        shape = ints(tuple(output_size)[-n:], n, op, "output_size", least=1)
    lead = (x.shape[0], x.shape[1])
    zeros = full((*lead, prod(shape)), 0, dtype=x.dtype)
    windows = prod(x.shape[2:])
    y = call("scatter", zeros, index.reshape(*lead, windows).long(), x.reshape(*lead, windows), axis=2)
    return drop_batch(y.reshape(*lead, *shape), added)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put elements back where `max_pool1d` found them; zeros elsewhere."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put elements back where `max_pool2d` found them; zeros elsewhere."""
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put elements back where `max_pool3d` found them; zeros elsewhere."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
