"""Joining a layer with the batch normalisation behind it: one layer that computes what both did in evaluation."""

from __future__ import annotations

import copy
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter
from twinflow.ops import rsqrt
from twinflow.tensor import Tensor, no_grad


def _fused(
    w: Tensor,
    b: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    scale: Tensor | None,
    shift: Tensor | None,
    axis: int,
) -> tuple[Parameter, Parameter]:
    """W' = W · γ/√(σ² + ε) along the axis of outputs,  b' = (b − μ) · γ/√(σ² + ε) + β."""
    with no_grad():
        factor = rsqrt(var + eps) if scale is None else scale * rsqrt(var + eps)
        shape = [1] * w.ndim
        shape[axis] = -1
        bias = (-mean if b is None else b - mean) * factor
        bias = bias if shift is None else bias + shift
        trained = w.requires_grad
        return Parameter((w * factor.reshape(shape)).to(dtype=w.dtype), trained), Parameter(bias, trained)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a convolution that also does the batch normalisation behind it; `transpose`: of a transposed one."""
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, int(transpose))


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None = None,
    bn_b: Tensor | None = None,
) -> tuple[Parameter, Parameter]:
    """The weight and bias of a linear layer that also does the batch normalisation behind it."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fuse(op: str, layer: Any, bn: Any, axis: int) -> Any:
    if layer.training or bn.training:
        raise ArgumentError(f"{op}: both layers must be in evaluation: call .eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError(
            f"{op}: the batch normalisation keeps no running statistics, so there is nothing fixed to join"
        )
    n = layer.weight.shape[axis] * (layer.groups if axis else 1)
    if bn.num_features != n:
        raise ArgumentError(f"{op}: the layer has {n} outputs, the batch normalisation {bn.num_features} channels")
    if axis and layer.groups > 1:
        raise ArgumentError(f"{op}: a transposed convolution with groups cannot be joined")
    made = copy.deepcopy(layer)
    made.weight, made.bias = _fused(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, axis
    )
    return made


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """One convolution that computes `bn(conv(x))`; both must be in evaluation.

    >>> import twinflow
    >>> from twinflow import nn
    >>> conv, bn = nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2).eval()
    >>> x = twinflow.ones(1, 1, 4, 4)
    >>> twinflow.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    return _fuse("fuse_conv_bn_eval", conv, bn, int(transpose))


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """One linear layer that computes `bn(linear(x))`; both must be in evaluation."""
    return _fuse("fuse_linear_bn_eval", linear, bn, 0)


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """A layer whose parameters are zeros: for those that are loaded or initialised by hand right after."""
    made = module_cls(*args, **kwargs)
    with no_grad():
        for p in made.parameters():
            p.zero_()
    return made
