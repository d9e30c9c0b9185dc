"""Normalisation layers."""

from __future__ import annotations

from typing import Any, ClassVar

from twinflow.core import as_shape
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.nn import functional as F
from twinflow.nn import init
from twinflow.nn._function import FunctionLayer
from twinflow.nn._lazy import LazyLayer
from twinflow.nn._linear import size
from twinflow.nn._module import Module
from twinflow.nn._parameter import Parameter, UninitializedBuffer, UninitializedParameter
from twinflow.ops import empty, full, ones, zeros
from twinflow.tensor import Tensor, no_grad


class _RunningNorm(Module):
    """What batch and instance normalisation share: running statistics and an affine map."""

    ranks: ClassVar[tuple[int, ...]]
    layout: ClassVar[str]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _optional = frozenset({"num_batches_tracked"})  # state_dicts of PyTorch before 0.4.1, and of other tools, lack it

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        lazy = isinstance(self, LazyLayer)
        self.num_features = 0 if lazy else size(type(self).__name__, "num_features", num_features)
        self.eps, self.momentum, self.affine, self.track_running_stats = eps, momentum, affine, track_running_stats
        n = self.num_features
        for name in ("weight", "bias"):
            self.register_parameter(
                name,
                (UninitializedParameter(dtype=dtype) if lazy else Parameter(empty(n, dtype=dtype, device=device)))
                if affine and (bias or name == "weight")
                else None,
            )
        for name in ("running_mean", "running_var"):
            self.register_buffer(
                name,
                (UninitializedBuffer(dtype=dtype) if lazy else zeros(n, dtype=dtype)) if track_running_stats else None,
            )
        self.register_buffer("num_batches_tracked", full((), 0, dtype="int64") if track_running_stats else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            raise ShapeError(
                f"{type(self).__name__}: input must be {self.layout}, but its shape is {tuple(input.shape)}"
            )

    def extra_repr(self) -> str:
        """The sizes and options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningNorm):
    def forward(self, input: Tensor) -> Tensor:
        """The input normalised by the batch's statistics in training, by the running ones otherwise."""
        self._check(input)
        mean, var = self.running_mean, self.running_var
        momentum: Any = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            with no_grad():
                self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average of all batches
                momentum = 1.0 / self.num_batches_tracked.to(dtype=input.dtype)
        training = self.training or mean is None
        return F.batch_norm(input, mean, var, self.weight, self.bias, training, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Normalise each channel of [N, C] or [N, C, L] over the batch. Arguments as for `BatchNorm2d`."""

    ranks, layout = (2, 3), "[N, C] or [N, C, L]"


class BatchNorm2d(_BatchNorm):
    """Normalise each channel of [N, C, H, W] over the batch: y = (x - mean) / √(var + eps) · w + b.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: how far the running statistics move towards each batch's; None averages all batches.
        affine: whether there are w and b.
        bias: False leaves b out.
        track_running_stats: whether there are running statistics, which `eval()` mode uses.

    Parameters: weight [C] (1) and bias [C] (0). Buffers: running_mean, running_var [C], num_batches_tracked.
    Source: Ioffe and Szegedy, arXiv:1502.03167.
    """

    ranks, layout = (4,), "[N, C, H, W]"


class BatchNorm3d(_BatchNorm):
    """Normalise each channel of [N, C, D, H, W] over the batch. Arguments as for `BatchNorm2d`."""

    ranks, layout = (5,), "[N, C, D, H, W]"


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation over the batches of all processes of a group, for [N, C], [N, C, L], [N, C, H, W] or [N, C, D, H, W].

    There is one process here, so it computes what `BatchNorm2d` computes; arguments as there.

    Args:
        process_group: None, the one process.
    """

    ranks, layout = (2, 3, 4, 5), "[N, C] or [N, C, ...]"

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        if process_group is not None:
            raise ArgumentError("SyncBatchNorm: there is one process; process_group must be None")
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with each BatchNorm layer in it replaced by a SyncBatchNorm of the same parameters and statistics."""
        made = module
        if isinstance(module, _BatchNorm) and not isinstance(module, SyncBatchNorm):
            made = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
            )
            made._parameters.update(module._parameters)
            made._buffers.update(module._buffers)
            made.training = module.training
        for name, child in list(module.named_children()):
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made


class _InstanceNorm(_RunningNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Each example and channel normalised by its own statistics."""
        self._check(input)
        single = input.ndim == self.ranks[0]
        x = input.unsqueeze(0) if single else input
        if self.affine and x.shape[1] != self.num_features:
            raise ShapeError(
                f"{type(self).__name__}: input of shape {tuple(input.shape)} has {x.shape[1]} channels, not {self.num_features}"
            )
        use_input = self.training or not self.track_running_stats
        momentum = 0.0 if self.momentum is None else self.momentum
        y = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, use_input, momentum, self.eps
        )
        return y.squeeze(0) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Normalise each channel of each example of [N, C, L]."""

    ranks, layout = (2, 3), "[N, C, L] or [C, L]"


class InstanceNorm2d(_InstanceNorm):
    """Normalise each channel of each example of [N, C, H, W]."""

    ranks, layout = (3, 4), "[N, C, H, W] or [C, H, W]"


class InstanceNorm3d(_InstanceNorm):
    """Normalise each channel of each example of [N, C, D, H, W]."""

    ranks, layout = (4, 5), "[N, C, D, H, W] or [C, D, H, W]"


class _LazyNorm(LazyLayer):
    """A normalisation layer that takes num_features from its first input."""

    def infer(self, input: Tensor) -> None:
        """Take num_features from the channel axis."""
        layer: Any = self
        n = layer.num_features = input.shape[1]
        self.give_shapes(weight=(n,), bias=(n,), running_mean=(n,), running_var=(n,))


def _lazy(name: str, base: type[Any]) -> type[Any]:
    def start(self: Any, *args: Any, **kwargs: Any) -> None:
        base.__init__(self, 0, *args, **kwargs)

    doc = f"A {base.__name__} that takes num_features from its first input; the other arguments are the same."
    return type(name, (_LazyNorm, base), {"__init__": start, "becomes": base, "__doc__": doc, "__module__": __name__})


LazyBatchNorm1d = _lazy("LazyBatchNorm1d", BatchNorm1d)
LazyBatchNorm2d = _lazy("LazyBatchNorm2d", BatchNorm2d)
LazyBatchNorm3d = _lazy("LazyBatchNorm3d", BatchNorm3d)
LazyInstanceNorm1d = _lazy("LazyInstanceNorm1d", InstanceNorm1d)
LazyInstanceNorm2d = _lazy("LazyInstanceNorm2d", InstanceNorm2d)
LazyInstanceNorm3d = _lazy("LazyInstanceNorm3d", InstanceNorm3d)


class LayerNorm(Module):
    """Normalise each example over its last axes: (x - mean) / √(var + eps) · w + b.

    Args:
        normalized_shape: the extents of those axes, or the last extent.
        elementwise_affine, bias: whether there are w and b.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(ones(self.normalized_shape, dtype=dtype, device=device)) if elementwise_affine else None
        self.bias = Parameter(zeros(self.normalized_shape, dtype=dtype)) if elementwise_affine and bias else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The input with mean 0 and variance 1, scaled and shifted."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and options."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Divide each example by the root mean square over its last axes: x / √(mean x² + eps) · w."""

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = as_shape(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = Parameter(ones(self.normalized_shape, dtype=dtype, device=device)) if elementwise_affine else None

    def reset_parameters(self) -> None:
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """The input with root mean square 1, scaled."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape and options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise groups of channels of each example: (x - mean) / √(var + eps) · w + b.

    Args:
        num_groups, num_channels: how many channels there are, and into how many groups they are split.
        affine: whether there are w and b.
        bias: False leaves b out.
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = size("GroupNorm", "num_groups", num_groups)
        self.num_channels = size("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ArgumentError(f"GroupNorm: {num_groups} groups do not divide {num_channels} channels")
        self.eps, self.affine = eps, affine
        self.weight = Parameter(ones(num_channels, dtype=dtype, device=device)) if affine else None
        self.bias = Parameter(zeros(num_channels, dtype=dtype)) if affine and bias else None

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """Groups of channels with mean 0 and variance 1, scaled and shifted."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes and options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class LocalResponseNorm(FunctionLayer):
    """x / (k + alpha · mean of x² over `size` neighbouring channels)^beta."""

    function = staticmethod(F.local_response_norm)
    options = ("size", "alpha", "beta", "k")

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__(size=size, alpha=alpha, beta=beta, k=k)


class CrossMapLRN2d(LocalResponseNorm):
    """The older name of `LocalResponseNorm`, for [N, C, H, W]."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)
