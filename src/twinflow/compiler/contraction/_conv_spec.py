"""What a convolution computes, and its geometry along each axis of the image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import Literal

from twinflow.compiler.contraction._kernel import SCALAR
from twinflow.core.errors import ArgumentError, DTypeError, ShapeError


@dataclass(frozen=True)
class ConvSpec:
    """A convolution or one of its two derivatives, channels last, over images of 1 to 3 axes.

    forward:  y[n, q, o] = Σ_{t, c} x[n, stride·q + dilation·t − padding, c] · w[t, c, o]
    data:     dx, from dy (operand a) and w (operand b)
    weight:   dw, from x (operand a) and dy (operand b)

    with x [N, *size, channels], w [*kernel, channels / groups, filters], y [N, *out_size, filters], all contiguous.
    The filter is not flipped. The epilogue's row is a position (n, q) counted through, for `weight` a pair (t, c); its
    column is the last axis. With `filters_first` w is [filters, channels / groups, *kernel], and the epilogue of
    `weight` has a row for each filter and a column for each pair (c, t).

    Args:
        kind: which of the three.
        batch: N; None: read from slot "batch" at run time.
        size, kernel, stride, dilation: one number an axis.
        padding: zeros (before, after) an axis.
        channels, filters, groups: group g maps the g-th part of the channels to the g-th part of the filters.
        dtype: element type of all three arrays. Sums are kept in float32, those of float64 in float64.
        accumulate: add to what the result holds.
        filters_first: the order of the axes of w.
    """

    kind: Literal["forward", "data", "weight"]
    batch: int | None
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    channels: int
    filters: int
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    groups: int = 1
    dtype: str = "float32"
    accumulate: bool = False
    filters_first: bool = False

    def __post_init__(self) -> None:
        axes = len(self.size)
        for name, default in (("stride", 1), ("dilation", 1), ("padding", (0, 0))):
            if not getattr(self, name):
                object.__setattr__(self, name, (default,) * axes)
        if self.kind not in ("forward", "data", "weight"):
            raise ArgumentError(f"convolution: kind must be forward, data or weight, got {self.kind!r}")
        if self.dtype not in SCALAR:
            raise DTypeError(f"convolution: dtype must be one of {', '.join(SCALAR)}, got {self.dtype!r}")
        if not 1 <= axes <= 3:
            raise ArgumentError(f"convolution: images have 1 to 3 axes, got size={self.size}")
        for name in ("kernel", "stride", "dilation", "padding"):
            if len(getattr(self, name)) != axes:
                raise ArgumentError(
                    f"convolution: {name}={getattr(self, name)} must have one entry for each of {axes} axes"
                )
        if min(*self.kernel, *self.stride, *self.dilation) < 1:
            raise ArgumentError(
                f"convolution: kernel={self.kernel}, stride={self.stride}, dilation={self.dilation} must be at least 1"
            )
        if self.groups < 1 or self.channels % self.groups or self.filters % self.groups:
            raise ShapeError(
                f"convolution: groups={self.groups} must divide channels={self.channels} and filters={self.filters}"
            )
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel)]
        if any(r > n + sum(p) for r, n, p in zip(reach, self.size, self.padding)):
            raise ShapeError(
                f"convolution: kernel={self.kernel} with dilation={self.dilation} exceeds the padded image "
                f"{tuple(n + sum(p) for n, p in zip(self.size, self.padding))}"
            )

    @property
    def out_size(self) -> tuple[int, ...]:
        """(size + padding − dilation·(kernel − 1) − 1) ÷ stride + 1 along each axis."""
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(self.size, self.padding, self.dilation, self.kernel, self.stride)
        )

    @property
    def depthwise(self) -> bool:
        """Whether each channel has one filter of its own."""
        return self.groups == self.channels == self.filters and self.groups > 1

    @property
    def flops(self) -> int | None:
        """2·N·prod(out_size)·filters·prod(kernel)·channels/groups, or None when the batch is open."""
        if self.batch is None:
            return None
        return 2 * self.batch * self.flops_row * prod(self.out_size)

    @property
    def flops_row(self) -> int:
        """Multiply-adds of one position."""
        return self.filters * prod(self.kernel) * (self.channels // self.groups)


@dataclass(frozen=True)
class Line:
    """Which source elements make which results along one axis.

    result[first + step·q] sums source[base + source_step·q + tap_step·t] · w[kernel_first + kernel_step·t]
    for q < count, over t < taps.
    """

    count: int
    first: int
    step: int
    base: int
    source_step: int
    taps: int
    tap_step: int
    kernel_first: int
    kernel_step: int

    @property
    def low(self) -> int:
        """The first source index that q = 0 touches."""
        return self.base + min(0, max(0, self.taps - 1) * self.tap_step)

    @property
    def high(self) -> int:
        """The last source index that q = 0 touches."""
        return self.base + max(0, max(0, self.taps - 1) * self.tap_step)


def forward_lines(spec: ConvSpec) -> list[tuple[Line, ...]]:
    """The one pass of a forward convolution."""
    axes = zip(spec.out_size, spec.stride, spec.padding, spec.kernel, spec.dilation)
    return [tuple(Line(q, 0, 1, -p[0], s, k, d, 0, 1) for q, s, p, k, d in axes)]


def data_lines(spec: ConvSpec) -> list[tuple[Line, ...]]:
    """The passes of a derivative by the image: one for every residue of the position modulo the stride.

    x[i] met w[t] in y[q] where stride·q + dilation·t − padding = i; for positions of one residue the t that occur
    and their q are evenly spaced, which makes each residue a convolution without stride.
    """
    axes = []
    for size, s, p, k, d in zip(spec.size, spec.stride, spec.padding, spec.kernel, spec.dilation):
        every = []
        for first in range(min(s, size)):
            step = s // gcd(s, d)
            start = next((t for t in range(min(k, step)) if (first + p[0] - t * d) % s == 0), None)
            count = -(-(size - first) // s)
            if start is None:
                every.append(Line(count, first, s, 0, 1, 0, -(d * step // s), 0, step))
            else:
                base, taps = (first + p[0] - start * d) // s, -(-(k - start) // step)
                every.append(Line(count, first, s, base, 1, taps, -(d * step // s), start, step))
        axes.append(every)
    return list(product(*axes))
