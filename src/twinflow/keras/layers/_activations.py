"""Activations as layers."""

from __future__ import annotations

from typing import Any, ClassVar

from twinflow.keras import activations
from twinflow.keras._layer import LAYERS, Layer
from twinflow.ops import exp, logsumexp, where
from twinflow.tensor import Tensor


@LAYERS.add()
class Activation(Layer):
    """An activation by name or function."""

    supports_masking = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        """The function of each element (or row)."""
        return self.activation(inputs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("activation")


@LAYERS.add()
class ReLU(Layer):
    """max(x, 0), with Keras's options."""

    supports_masking = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value, self.negative_slope, self.threshold = max_value, negative_slope, threshold

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.relu`."""
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("max_value", "negative_slope", "threshold")


@LAYERS.add()
class LeakyReLU(Layer):
    """x where positive, else negative_slope · x."""

    supports_masking = True

    def __init__(self, negative_slope: float = 0.3, alpha: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = negative_slope if alpha is None else alpha

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.leaky_relu`."""
        return activations.leaky_relu(inputs, self.negative_slope)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("negative_slope")


@LAYERS.add()
class PReLU(Layer):
    """x where positive, else α · x with a trained α for each feature."""

    supports_masking = True
    _options: ClassVar[dict[str, Any]] = {"alpha": "zeros"}

    def __init__(self, shared_axes: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape: Any) -> None:
        """Make α."""
        shape = [1 if self.shared_axes and i in self.shared_axes else s for i, s in enumerate(input_shape)][1:]
        self.alpha = self._weight("alpha", shape)

    def call(self, inputs: Tensor) -> Tensor:
        """relu(x) - α relu(-x)."""
        return inputs.relu() - self.alpha * (-inputs).relu()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("shared_axes")


@LAYERS.add()
class ELU(Layer):
    """x where positive, else α (e^x - 1)."""

    supports_masking = True

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs: Tensor) -> Tensor:
        """`activations.elu`."""
        return activations.elu(inputs, self.alpha)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("alpha")


@LAYERS.add()
class Softmax(Layer):
    """e^x / Σ e^x along an axis (or several), over the elements that a mask leaves."""

    supports_masking = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = list(axis) if isinstance(axis, (list, tuple)) else axis

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """`activations.softmax`; where `mask` is False the result is 0."""
        allowed = None if mask is None else mask.bool()
        x = inputs if allowed is None else where(allowed, inputs, -1e9)
        if isinstance(self.axis, list):
            y = exp(x - logsumexp(x, tuple(self.axis), keepdim=True))
        else:
            y = activations.softmax(x, self.axis)
        return y if allowed is None else where(allowed, y, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis")
