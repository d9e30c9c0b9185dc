"""Convolutions and transposed convolutions over 1, 2 or 3 axes."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._arguments import Ints, drop_batch, ints, same_type, spatial, tensors
from twinflow.ops import call
from twinflow.ops._autocast import lowered
from twinflow.ops._conv_bias import conv_with_bias
from twinflow.tensor import Tensor


def _paddings(op: str, padding: Any, n: int, kernel: Ints, stride: Ints, dilation: Ints) -> tuple[tuple[int, int], ...]:
    if padding == "valid":
        return ((0, 0),) * n
    if padding == "same":
        if max(stride) > 1:
            raise ArgumentError(f"{op}: padding='same' needs stride 1, because other strides change the size")
        total = [d * (k - 1) for d, k in zip(dilation, kernel)]
        return tuple((t // 2, t - t // 2) for t in total)
    if isinstance(padding, str):
        raise ArgumentError(f"{op}: padding is a number, one for each axis, 'same' or 'valid', not {padding!r}")
    return tuple((p, p) for p in ints(padding, n, op, "padding", least=0))


def _with_bias(op: str, y: Tensor, bias: Tensor | None, n: int) -> Tensor:
    if bias is None:
        return y
    if tuple(bias.shape) != (y.shape[1],):
        raise ShapeError(f"{op}: bias of shape {tuple(bias.shape)} for {y.shape[1]} output channels")
    return y + bias.reshape(-1, *(1,) * n)


def _conv(op: str, n: int, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
    tensors(op, input=x, weight=w)
    x, w, bias = lowered(x, w, bias)
    same_type(op, x, w)
    s, d = ints(stride, n, op, "stride", least=1), ints(dilation, n, op, "dilation", least=1)
    if w.ndim != n + 2:
        raise ShapeError(
            f"{op}: weight must be [O, C/groups, ...] with {n + 2} axes, but its shape is {tuple(w.shape)}"
        )
    if groups < 1:
        raise ArgumentError(f"{op}: groups must be at least 1, but {groups} was given")
    x, added = spatial(op, x, n)
    if added and x.shape[1] != w.shape[1] * groups:
        wanted = w.shape[1] * groups
        hint = ""
        if wanted == 1:
            hint = "; for a batch without an axis of channels use input.unsqueeze(1)"
        elif x.shape[-1] == wanted:
            hint = "; the channels stand last: use input.movedim(-1, 0)"
        raise ShapeError(
            f"{op}: an input of shape {tuple(x.shape[1:])} is one example with {x.shape[1]} channels, but the weight takes "
            f"{wanted}{hint}"
        )
    p = _paddings(op, padding, n, w.shape[2:], s, d)
    window: dict[str, Any] = {"stride": s, "padding": p, "dilation": d, "groups": groups}
    if bias is not None and tuple(bias.shape) == (w.shape[0],):
        return drop_batch(conv_with_bias(x, w, bias, **window), added)
    return drop_batch(_with_bias(op, call("conv", x, w, **window), bias, n), added)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Slide filters over sequences: [N, C, L] with weight [O, C/groups, K] → [N, O, L′]. See `conv2d`."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Slide a bank of filters over a batch of images.

    y[n, o, i, j] = b[o] + Σ_{c,u,v} w[o, c, u, v] · x[n, c, s·i + d·u − p, s·j + d·v − p]

    Args:
        input: images [N, C, H, W], or one image [C, H, W].
        weight: filters [O, C/groups, KH, KW].
        bias: [O].
        stride, padding, dilation: a number for both axes or one for each; padding may be 'same' or 'valid'.
        groups: input and output channels are split into so many groups, each convolved by itself.
    Returns: [N, O, H′, W′] with H′ = (H + 2p − d(KH − 1) − 1) // s + 1, and W′ likewise.
    Raises: ShapeError if channel counts differ or the filter exceeds the padded image.
    Cost: 2·N·O·H′·W′·C/groups·KH·KW flops.
    Source: Dumoulin and Visin, arXiv:1603.07285. The filter is not flipped.

    >>> import twinflow
    >>> conv2d(twinflow.ones(1, 3, 8, 8), twinflow.ones(4, 3, 3, 3)).shape
    twinflow.Size([1, 4, 6, 6])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Slide filters over volumes: [N, C, D, H, W] with weight [O, C/groups, KD, KH, KW]. See `conv2d`."""
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _transpose(
    op: str, n: int, x: Any, w: Any, bias: Any, stride: Any, padding: Any, extra: Any, groups: int, dilation: Any
) -> Tensor:
    tensors(op, input=x, weight=w)
    x, w, bias = lowered(x, w, bias)
    same_type(op, x, w)
    s, d = ints(stride, n, op, "stride", least=1), ints(dilation, n, op, "dilation", least=1)
    p, e = ints(padding, n, op, "padding", least=0), ints(extra, n, op, "output_padding", least=0)
    if w.ndim != n + 2:
        raise ShapeError(
            f"{op}: weight must be [C, O/groups, ...] with {n + 2} axes, but its shape is {tuple(w.shape)}"
        )
    for a, b, c in zip(e, s, d):
        if a >= max(b, c):
            raise ArgumentError(f"{op}: output_padding must be smaller than stride or dilation, but {e} was given")
    x, added = spatial(op, x, n)
    if x.shape[1] != w.shape[0]:
        raise ShapeError(
            f"{op}: input.shape[1] == weight.shape[0] does not hold ({x.shape[1]} != {w.shape[0]}): the input has shape "
            f"{tuple(x.shape)}, the weight {tuple(w.shape)}"
        )
    shape = tuple(
        (m - 1) * b - 2 * q + c * (k - 1) + a + 1 for m, b, q, c, k, a in zip(x.shape[2:], s, p, d, w.shape[2:], e)
    )
    if min(shape) < 1:
        raise ShapeError(f"{op}: an input of shape {tuple(x.shape)} with padding {p} would give extents {shape}")
    sides = tuple((q, q - a) for q, a in zip(p, e))
    y = call("conv_input", x, w, shape=shape, stride=s, padding=sides, dilation=d, groups=groups)
    return drop_batch(_with_bias(op, y, bias, n), added)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv1d`: [N, C, L] with weight [C, O/groups, K]. See `conv_transpose2d`."""
    return _transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv2d`, as a map of its own: each input element adds a copy of the filter to the output.

    Args:
        input: [N, C, H, W], or [C, H, W].
        weight: [C, O/groups, KH, KW].
        output_padding: further rows and columns at the end, to choose among the sizes that `conv2d` maps to one.
    Returns: [N, O, H′, W′] with H′ = (H − 1)·s − 2p + d(KH − 1) + output_padding + 1, and W′ likewise.
    Raises: ShapeError if channel counts differ.

    >>> import twinflow
    >>> conv_transpose2d(twinflow.ones(1, 4, 6, 6), twinflow.ones(4, 3, 3, 3), stride=2).shape
    twinflow.Size([1, 3, 13, 13])
    """
    return _transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """The transpose of `conv3d`: [N, C, D, H, W] with weight [C, O/groups, KD, KH, KW]. See `conv_transpose2d`."""
    return _transpose("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)
