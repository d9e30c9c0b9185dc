"""Normalisation layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import initializers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras.layers._core import Wrapper, positive
from twinflow.nn import functional as F
from twinflow.ops import matmul, rsqrt, var_mean, where
from twinflow.tensor import Tensor, no_grad


@LAYERS.add()
class BatchNormalization(Layer):
    """(x - mean) / √(variance + ε) · γ + β for each channel, by the batch's statistics while training and moving ones else.

    Args:
        axis: the axis of the channels.
        momentum: how much of the moving statistics stays at each step.
        epsilon: ε.
        center, scale: whether there are β and γ.
    Source: Ioffe and Szegedy, arXiv:1502.03167. As in Keras, the moving variance takes the one divided by n, not n - 1.
    """

    _in_float32 = True
    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"gamma": "ones", "beta": "zeros"}

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"BatchNormalization: momentum is in [0, 1], not {momentum!r}")
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)

    def build(self, input_shape: Any) -> None:
        """Make γ, β and the moving statistics."""
        if len(input_shape) < 2:
            raise ShapeError(
                f"BatchNormalization {self.name!r}: the input needs at least 2 axes, but its shape is {input_shape}"
            )
        n = (input_shape[self.axis],)
        self.gamma = self._weight("gamma", n) if self.scale else None
        self.beta = self._weight("beta", n) if self.center else None
        self.moving_mean = self.add_weight(n, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            n, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Normalise, and move the statistics while training. A frozen layer always uses the moving ones."""
        axis = normalize_axis(self.axis, inputs.ndim, type(self).__name__)
        x = inputs.movedim(axis, 1)
        mean: Tensor = self.moving_mean
        var: Tensor = self.moving_variance
        if training and self.trainable:
            over = (0, *range(2, x.ndim))
            if mask is None:
                var, mean = var_mean(x, over, correction=0)
            else:
                w = mask.to(dtype=x.dtype).reshape(mask.shape[0], 1, *mask.shape[1:])
                n = w.sum() + 1e-7
                mean = (x * w).sum(over) / n
                d = (x - mean.reshape(-1, *(1,) * (x.ndim - 2))) * w
                var = (d * d).sum(over) / n
            with no_grad():
                for moving, now in ((self.moving_mean, mean), (self.moving_variance, var)):
                    moving.copy_(moving * self.momentum + now.detach() * (1 - self.momentum))
        y = F.batch_norm(x, mean, var, self.gamma, self.beta, False, 0.0, self.epsilon)
        return y.movedim(1, axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "axis", "momentum", "epsilon", "center", "scale", "moving_mean_initializer", "moving_variance_initializer"
        )  # fmt: skip


def _last_axes(layer: Layer, axis: list[int], shape: Any) -> tuple[int, ...]:
    """The extents of the axes that are normalised. Raises: ArgumentError unless they are the last."""
    n = len(shape)
    axes = sorted(normalize_axis(a, n, type(layer).__name__) for a in axis)
    if axes != list(range(n - len(axes), n)):
        raise ArgumentError(f"{type(layer).__name__} {layer.name!r}: axis must be the last axes, not {axis} of {n}")
    return tuple(shape[a] for a in axes)


@LAYERS.add()
class LayerNormalization(Layer):
    """(x - mean) / √(variance + ε) · γ + β over the last axis of each example.

    Source: Ba, Kiros and Hinton, arXiv:1607.06450.
    """

    _in_float32 = True
    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"gamma": "ones", "beta": "zeros"}

    def __init__(
        self, axis: Any = -1, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis = [axis] if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = epsilon, center, scale

    def build(self, input_shape: Any) -> None:
        """Make γ and β."""
        shape = _last_axes(self, self.axis, input_shape)
        self.gamma = self._weight("gamma", shape) if self.scale else None
        self.beta = self._weight("beta", shape) if self.center else None

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.layer_norm`."""
        return F.layer_norm(inputs, tuple(inputs.shape[-len(self.axis) :]), self.gamma, self.beta, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis", "epsilon", "center", "scale")


@LAYERS.add()
class RMSNormalization(Layer):
    """x / √(mean(x²) + ε) · scale over the last axis of each example. Source: Zhang and Sennrich, arXiv:1910.07467."""

    _in_float32 = True
    supports_masking = True

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = [axis] if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Make the scale."""
        self.scale = self.add_weight(_last_axes(self, self.axis, input_shape), "ones", name="scale")

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.rms_norm`."""
        return F.rms_norm(inputs, tuple(inputs.shape[-len(self.axis) :]), self.scale, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis", "epsilon")


@LAYERS.add()
class UnitNormalization(Layer):
    """x / |x| along an axis (or several)."""

    supports_masking = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis if isinstance(axis, int) else list(axis)

    def call(self, inputs: Tensor) -> Tensor:
        """Rows of length 1; rows of zeros stay."""
        axis = self.axis if isinstance(self.axis, int) else tuple(self.axis)
        return inputs * rsqrt((inputs * inputs).sum(axis, keepdim=True).clamp(min=1e-12))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis")


@LAYERS.add()
class GroupNormalization(Layer):
    """Normalisation over groups of channels of each example. Source: Wu and He, arXiv:1803.08494."""

    _in_float32 = True
    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"gamma": "ones", "beta": "zeros"}

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups, self.axis, self.epsilon, self.center, self.scale = groups, axis, epsilon, center, scale

    def build(self, input_shape: Any) -> None:
        """Make γ and β."""
        n = input_shape[self.axis]
        self._groups = n if self.groups == -1 else self.groups
        if n % self._groups:
            raise ArgumentError(f"GroupNormalization {self.name!r}: groups={self.groups} must divide the {n} channels")
        self.gamma = self._weight("gamma", (n,)) if self.scale else None
        self.beta = self._weight("beta", (n,)) if self.center else None

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.group_norm`, channels where `axis` says."""
        axis = normalize_axis(self.axis, inputs.ndim, type(self).__name__)
        y = F.group_norm(inputs.movedim(axis, 1), self._groups, self.gamma, self.beta, self.epsilon)
        return y.movedim(1, axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("groups", "axis", "epsilon", "center", "scale")


@LAYERS.add()
class SpectralNormalization(Wrapper):
    """A layer whose kernel is divided by its largest singular value, which power iterations follow while training.

    Source: Miyato et al., arXiv:1802.05957.
    """

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        positive("SpectralNormalization", power_iterations=power_iterations)
        self.power_iterations = power_iterations

    def build(self, input_shape: Any) -> None:
        """Build the layer, and make the vector that the iterations keep."""
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True
        kernel = getattr(self.layer, "kernel", getattr(self.layer, "embeddings", None))
        if kernel is None:
            raise ArgumentError(
                f"SpectralNormalization {self.name!r}: {type(self.layer).__name__} has no kernel (or embeddings) to normalise"
            )
        self.kernel = kernel
        self.u = self.add_weight(
            (1, kernel.shape[-1]), initializers.TruncatedNormal(stddev=0.02), trainable=False, name="vector_u"
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The layer's result with its kernel normalised (in place while training)."""
        if training:
            self.normalize_weights()
        result: Tensor = self.layer(inputs)
        return result

    def normalize_weights(self) -> None:
        """Take the iterations, and divide the kernel."""
        kernel = self.kernel
        with no_grad():
            w = kernel.reshape(-1, kernel.shape[-1])
            u = self.u * 1
            for _ in range(self.power_iterations):
                v = _unit(matmul(u, w.mT))
                u = _unit(matmul(v, w))
            sigma = matmul(matmul(v, w), u.mT).reshape(())
            useful = sigma != 0  # a kernel of zeros stays as it is
            self.u.copy_(where(useful, u, self.u))
            kernel.copy_(kernel / where(useful, sigma, 1.0))

    def _parts(self) -> Iterator[Any]:
        """The kernel, the vector, and what else the layer has, in Keras's order."""
        yield from [self.kernel, self.u, *super()._parts()] if self.built else super()._parts()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**super().get_config(), "power_iterations": self.power_iterations}


def _unit(x: Tensor) -> Tensor:
    return x * rsqrt((x * x).sum().clamp(min=1e-12))
