"""Normalisation layers."""

from __future__ import annotations

from typing import Any

from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import initializers, regularizers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.nn import functional as F
from twinflow.ops import var_mean
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

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= momentum <= 1:
            raise ArgumentError(f"BatchNormalization: momentum is in [0, 1], not {momentum!r}")
        self.axis, self.momentum, self.epsilon, self.center, self.scale = axis, momentum, epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def build(self, input_shape: Any) -> None:
        """Make γ, β and the moving statistics."""
        if len(input_shape) < 2:
            raise ShapeError(
                f"BatchNormalization {self.name!r}: the input needs at least 2 axes, but its shape is {input_shape}"
            )
        n = (input_shape[self.axis],)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(n, self.gamma_initializer, regularizer=self.gamma_regularizer, name="gamma")
        if self.center:
            self.beta = self.add_weight(n, self.beta_initializer, regularizer=self.beta_regularizer, name="beta")
        self.moving_mean = self.add_weight(n, self.moving_mean_initializer, trainable=False, name="moving_mean")
        self.moving_variance = self.add_weight(
            n, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Normalise, and move the statistics while training. A frozen layer always uses the moving ones."""
        axis = normalize_axis(self.axis, inputs.ndim, type(self).__name__)
        x = inputs.movedim(axis, 1)
        mean: Tensor = self.moving_mean
        var: Tensor = self.moving_variance
        if training and self.trainable:
            var, mean = var_mean(x, (0, *range(2, x.ndim)), correction=0)
            with no_grad():
                for moving, now in ((self.moving_mean, mean), (self.moving_variance, var)):
                    moving.copy_(moving * self.momentum + now.detach() * (1 - self.momentum))
        y = F.batch_norm(x, mean, var, self.gamma, self.beta, False, 0.0, self.epsilon)
        return y.movedim(1, axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config(
            "axis", "momentum", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer", "moving_mean_initializer",
            "moving_variance_initializer", "beta_regularizer", "gamma_regularizer",
        )  # fmt: skip


@LAYERS.add()
class LayerNormalization(Layer):
    """(x - mean) / √(variance + ε) · γ + β over the last axis of each example.

    Source: Ba, Kiros and Hinton, arXiv:1607.06450.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = [axis] if isinstance(axis, int) else list(axis)
        self.epsilon, self.center, self.scale = epsilon, center, scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)

    def build(self, input_shape: Any) -> None:
        """Make γ and β."""
        n = len(input_shape)
        axes = sorted(normalize_axis(a, n, "LayerNormalization") for a in self.axis)
        if axes != list(range(n - len(axes), n)):
            raise ArgumentError(f"LayerNormalization {self.name!r}: axis must be the last axes, not {self.axis} of {n}")
        shape = tuple(input_shape[a] for a in axes)
        self.gamma = self.add_weight(shape, self.gamma_initializer, name="gamma") if self.scale else None
        self.beta = self.add_weight(shape, self.beta_initializer, name="beta") if self.center else None

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.layer_norm`."""
        return F.layer_norm(inputs, tuple(inputs.shape[-len(self.axis) :]), self.gamma, self.beta, self.epsilon)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis", "epsilon", "center", "scale", "beta_initializer", "gamma_initializer")


@LAYERS.add()
class GroupNormalization(Layer):
    """Normalisation over groups of channels of each example. Source: Wu and He, arXiv:1803.08494."""

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
        self.gamma = self.add_weight((n,), "ones", name="gamma") if self.scale else None
        self.beta = self.add_weight((n,), "zeros", name="beta") if self.center else None

    def call(self, inputs: Tensor) -> Tensor:
        """`nn.functional.group_norm`, channels where `axis` says."""
        axis = normalize_axis(self.axis, inputs.ndim, type(self).__name__)
        y = F.group_norm(inputs.movedim(axis, 1), self._groups, self.gamma, self.beta, self.epsilon)
        return y.movedim(1, axis)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("groups", "axis", "epsilon", "center", "scale")
