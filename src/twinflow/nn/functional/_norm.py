"""Normalisation: by batch, layer, group, instance, root mean square and neighbouring channels."""

from __future__ import annotations

from math import prod
from typing import Any

from twinflow.core import as_shape, silently
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn.functional._arguments import floating, tensors
from twinflow.ops import call, mean, rsqrt
from twinflow.ops._autocast import in_type_of_input
from twinflow.ops._composite import Composite, only_computes
from twinflow.ops._native import Native
from twinflow.tensor import Tensor, no_grad, wrap


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean, mean, variance) over axes, which stay with extent 1."""
    m = mean(x, axes, True)
    centred = x - m
    return centred, m, mean(centred * centred, axes, True)


def _per_channel(t: Tensor, ndim: int) -> Tensor:
    return t.reshape(1, -1, *(1,) * (ndim - 2))


@in_type_of_input
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: Any = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) · w + b for each channel.

    Args:
        input: [N, C, ...].
        running_mean, running_var: [C]; used as they are unless `training`, and otherwise moved towards the batch's
            statistics in place, by `momentum` (a number or a tensor of one).
        weight, bias: [C].
        training: whether the statistics of the batch are used: the mean, and the variance divided by the number of elements.
            The running variance takes the one divided by that number less 1.
    Raises: ArgumentError for a single element in each channel while training; ShapeError for other channel counts.
    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """
    tensors("batch_norm", input=input)
    floating("batch_norm", input)
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input must be [N, C, ...], but its shape is {tuple(input.shape)}")
    channels = input.shape[1]
    for name, t in (("running_mean", running_mean), ("weight", weight), ("bias", bias)):
        if t is not None and tuple(t.shape) != (channels,):
            hint = "; the channels stand last: permute to [N, C, ...]" if t.shape[0] == input.shape[-1] else ""
            raise ShapeError(
                f"batch_norm: the input of shape {tuple(input.shape)} has {channels} channels, but {name} has {tuple(t.shape)}{hint}"
            )
    ndim = input.ndim
    if training:
        axes = (0, *range(2, ndim))
        n = prod(input.shape[a] for a in axes)
        if n <= 1:
            raise ArgumentError(
                f"batch_norm: an input of shape {tuple(input.shape)} has {n} element for each channel, and one has no variance; use a "
                "larger batch, or eval() the model"
            )
        if input._data.size >= _LARGE and only_computes(input):
            if running_mean is not None and running_var is not None:
                m, var = map(wrap, silently(_statistics, input._data, axes=axes))
                _move_running(running_mean, running_var, m, var, n, momentum)
            return _batch_norm(*_given(input, weight, bias), eps=eps, weighted=weight is not None)
        centred, m, var = _moments(input, axes)
        if running_mean is not None and running_var is not None:
            _move_running(running_mean, running_var, m, var, n, momentum)
        return _scaled(centred, var, weight, bias, eps)
    if running_mean is None or running_var is None:
        raise ArgumentError("batch_norm: without training, running_mean and running_var are needed")
    return _scaled(input - _per_channel(running_mean, ndim), _per_channel(running_var, ndim), weight, bias, eps)


def _scaled(centred: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    scale = rsqrt(var + eps)
    if weight is not None:
        scale = scale * _per_channel(weight, centred.ndim)
    y = centred * scale
    return y if bias is None else y + _per_channel(bias, centred.ndim)


def _compose_batch_norm(x: Tensor, *rest: Tensor, eps: float, weighted: bool) -> Tensor:
    centred, _, var = _moments(x, (0, *range(2, x.ndim)))
    return _scaled(centred, var, rest[0] if weighted else None, rest[-1] if len(rest) > weighted else None, eps)


def _np_statistics(x: Any, *, axes: tuple[int, ...]) -> Any:
    return x.mean(axes, keepdims=True), x.var(axes, keepdims=True)


_batch_norm = Composite("batch_norm", _compose_batch_norm, 0)
_statistics = Native("batch_statistics", _np_statistics, lambda x, *, axes: _moments(x, axes)[1:], 0)


def _move_running(mean_: Tensor, var_: Tensor, m: Tensor, var: Tensor, n: int, momentum: Any) -> None:
    """Move the running statistics towards those of a batch of n elements for each channel."""
    with no_grad():
        _move(mean_, m.reshape(m._data.size), momentum)
        _move(var_, var.reshape(var._data.size) * (n / (n - 1)), momentum)


def _move(running: Tensor, now: Tensor, momentum: Any) -> None:
    """running ← (1 - momentum) · running + momentum · now."""
    now = now.detach()
    running.copy_(running + (now.to(dtype=running.dtype) - running) * momentum)


@in_type_of_input
def layer_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / √(var + eps) · w + b over the last axes. Ba et al., arXiv:1607.06450.

    Args:
        normalized_shape: the extents of those axes; weight and bias have that shape.
    """
    floating("layer_norm", input)
    axes = _last_axes("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return _layer_norm(*_given(input, weight, bias), axes=axes, eps=eps, weighted=weight is not None)


def _given(*operands: Tensor | None) -> list[Tensor]:
    return [x for x in operands if x is not None]


def _compose_layer_norm(x: Tensor, *rest: Tensor, axes: tuple[int, ...], eps: float, weighted: bool) -> Tensor:
    """`rest` holds the weight, if it is `weighted`, and the bias, if there is one."""
    centred, _, var = _moments(x, axes)
    y = centred * rsqrt(var + eps)
    if weighted:
        y = y * rest[0]
    return y + rest[-1] if len(rest) > weighted else y


_LARGE = 1 << 13  # elements from which on one compiled pass beats NumPy's several
_layer_norm = Composite("layer_norm", _compose_layer_norm, _LARGE)


@in_type_of_input
def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / √(mean x² + eps) · w over the last axes; eps is the type's unless given. Zhang and Sennrich, arXiv:1910.07467."""
    floating("rms_norm", input)
    axes = _last_axes("rms_norm", input, normalized_shape, weight=weight)
    if eps is None:
        eps = _EPS[input.dtype.name]
    return _rms_norm(*_given(input, weight), axes=axes, eps=eps)


def _compose_rms_norm(x: Tensor, *weight: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    y = x * rsqrt(mean(x * x, axes, True) + eps)
    return y * weight[0] if weight else y


_rms_norm = Composite("rms_norm", _compose_rms_norm, _LARGE)


_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def _last_axes(op: str, x: Tensor, shape: Any, **parameters: Tensor | None) -> tuple[int, ...]:
    wanted = as_shape(shape)
    k = len(wanted)
    if not k or tuple(x.shape[-k:]) != wanted:
        raise ShapeError(
            f"{op}: the last axes of the input have the extents {wanted}, but its shape is {tuple(x.shape)}"
        )
    for name, t in parameters.items():
        if t is not None and tuple(t.shape) != wanted:
            raise ShapeError(f"{op}: {name} has shape {tuple(t.shape)}, but normalized_shape is {wanted}")
    return tuple(range(x.ndim - k, x.ndim))


@in_type_of_input
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """(x - mean) / √(var + eps) · w + b over groups of channels. Wu and He, arXiv:1803.08494.

    Args:
        input: [N, C, ...].
        num_groups: into how many groups the channels are split.
        weight, bias: [C].
    """
    floating("group_norm", input)
    if input.ndim < 2:
        raise ShapeError(f"group_norm: input must be [N, C, ...], but its shape is {tuple(input.shape)}")
    c = input.shape[1]
    if num_groups < 1 or c % num_groups:
        raise ArgumentError(f"group_norm: {num_groups} groups do not divide {c} channels")
    operands = _given(input, weight, bias)
    return _group_norm(*operands, num_groups=num_groups, eps=eps, weighted=weight is not None)


def _compose_group_norm(x: Tensor, *rest: Tensor, num_groups: int, eps: float, weighted: bool) -> Tensor:
    centred, _, var = _moments(x.reshape(x.shape[0], num_groups, -1), (2,))
    y = (centred * rsqrt(var + eps)).reshape(tuple(x.shape))
    return _affine(y, rest[0] if weighted else None, rest[-1] if len(rest) > weighted else None)


_group_norm = Composite("group_norm", _compose_group_norm, _LARGE)


def _affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    if weight is not None:
        y = y * _per_channel(weight, y.ndim)
    return y if bias is None else y + _per_channel(bias, y.ndim)


@in_type_of_input
def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / √(var + eps) · w + b for each example and channel. Ulyanov et al., arXiv:1607.08022.

    Args:
        use_input_stats: whether the statistics are the input's; the running ones otherwise.
        others: as for `batch_norm`.
    """
    floating("instance_norm", input)
    if input.ndim < 3:
        raise ShapeError(
            f"instance_norm: input must be [N, C, ...] with spatial axes, but its shape is {tuple(input.shape)}"
        )
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = tuple(range(2, input.ndim))
    n = prod(input.shape[a] for a in axes)
    if n <= 1:
        raise ArgumentError(
            f"instance_norm: an input of shape {tuple(input.shape)} has {n} element for each channel, and one has no variance"
        )
    centred, m, var = _moments(input, axes)
    if running_mean is not None and running_var is not None:
        with no_grad():
            _move(running_mean, mean(m, 0).reshape(-1), momentum)
            _move(running_var, mean(var, 0).reshape(-1) * (n / (n - 1)), momentum)
    return _affine(centred * rsqrt(var + eps), weight, bias)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta. Krizhevsky et al., NeurIPS 2012."""
    if input.ndim < 3:
        raise ShapeError(
            f"local_response_norm: input must be [N, C, ...] with spatial axes, but its shape is {tuple(input.shape)}"
        )
    rest = input.ndim - 2
    one, none = (1,) * rest, ((0, 0),) * rest
    total = call(
        "window_sum",
        input * input,
        kernel=(size, *one),
        stride=(1, *one),
        padding=((size // 2, (size - 1) // 2), *none),
        dilation=(1, *one),
    )
    return input / (total * (alpha / size) + k) ** beta
