"""Layers around a layer: both directions of a recurrent layer, and a layer for every step."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras._symbolic import KerasTensor
from twinflow.keras.layers._core import Wrapper
from twinflow.keras.layers._recurrent import RNN
from twinflow.ops import cat
from twinflow.tensor import Tensor


@LAYERS.add()
class Bidirectional(Layer):
    """A recurrent layer forwards and a copy of it backwards, joined.

    Args:
        layer: a recurrent layer.
        merge_mode: 'concat', 'sum', 'mul', 'ave', or None for a list of both.
        backward_layer: what goes backwards, instead of a copy.
    """

    supports_masking = True

    def __init__(
        self, layer: Any, merge_mode: str | None = "concat", backward_layer: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(layer, dict):
            layer = LAYERS.deserialize(layer)
        if isinstance(backward_layer, dict):
            backward_layer = LAYERS.deserialize(backward_layer)
        if not isinstance(layer, RNN):
            raise ArgumentError(f"Bidirectional: a recurrent layer is needed, not {type(layer).__name__}")
        if merge_mode not in ("concat", "sum", "mul", "ave", None):
            raise ArgumentError(
                f"Bidirectional: merge_mode is 'concat', 'sum', 'mul', 'ave' or None, not {merge_mode!r}"
            )
        if backward_layer is None:
            config = layer.get_config()
            config.update(go_backwards=not layer.go_backwards, name=f"backward_{layer.name}")
            config.pop("batch_input_shape", None)
            backward_layer = type(layer).from_config(config)
        for what in ("return_sequences", "return_state"):
            if getattr(layer, what) != getattr(backward_layer, what):
                raise ArgumentError(f"Bidirectional: both layers need the same {what}")
        self.forward_layer, self.backward_layer, self.merge_mode = layer, backward_layer, merge_mode
        self.return_sequences, self.return_state = layer.return_sequences, layer.return_state
        if self._batch_input_shape is None:
            self._batch_input_shape = layer._batch_input_shape

    def build(self, input_shape: Any) -> None:
        """Build both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            layer._ensure_built((KerasTensor(input_shape),))

    def call(
        self, inputs: Tensor, initial_state: Any = None, mask: Tensor | None = None, training: bool = False
    ) -> Any:
        """Both directions; with return_state, followed by the states of the one forwards and of the one backwards."""
        first = second = None
        if initial_state is not None:
            half = len(initial_state) // 2
            first, second = list(initial_state[:half]), list(initial_state[half:])
        a = self.forward_layer(inputs, initial_state=first, mask=mask)
        b = self.backward_layer(inputs, initial_state=second, mask=mask)
        states: list[Any] = []
        if self.return_state:
            states = [*a[1:], *b[1:]]
            a, b = a[0], b[0]
        if self.return_sequences:
            b = b.flip(1)
        both = self._merge(a, b)
        if not states:
            return both
        return [*both, *states] if isinstance(both, list) else [both, *states]

    def _merge(self, a: Tensor, b: Tensor) -> Any:
        if self.merge_mode is None:
            return [a, b]
        if self.merge_mode == "concat":
            return cat([a, b], -1)
        if self.merge_mode == "mul":
            return a * b
        return a + b if self.merge_mode == "sum" else (a + b) / 2

    def reset_state(self) -> None:
        """Begin both layers with zeros again."""
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    reset_states = reset_state

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """That of the input with return_sequences."""
        mask = previous_mask if self.return_sequences else None
        found = [mask, mask] if self.merge_mode is None else [mask]
        if self.return_state:
            n = 2 * len(self.forward_layer.get_initial_state(1))
            return [*found, *[None] * n]
        return found if self.merge_mode is None else mask

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        layers = {"layer": serialize(self.forward_layer), "backward_layer": serialize(self.backward_layer)}
        return {**self._config("merge_mode"), **layers}


@LAYERS.add()
class TimeDistributed(Wrapper):
    """A layer applied to every step: [N, T, ...] -> [N, T, ...]."""

    supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Build the layer for one step."""
        if isinstance(input_shape, tuple) and len(input_shape) > 2:
            self.layer._ensure_built((KerasTensor((None, *input_shape[2:])),))

    def call(self, inputs: Tensor, training: bool = False, mask: Tensor | None = None) -> Tensor:
        """Steps become examples for the layer."""
        if inputs.ndim < 3:
            raise ShapeError(
                f"TimeDistributed {self.name!r}: the input needs batch, steps and features, but its shape is {tuple(inputs.shape)}"
            )
        n, t = inputs.shape[:2]
        inner: dict[str, Any] = {}
        if mask is not None and "mask" in self.layer._call_arguments() and mask.ndim > 2:
            inner["mask"] = mask.reshape(n * t, *mask.shape[2:])
        y = self.layer(inputs.reshape(n * t, *inputs.shape[2:]), **inner)
        return y.reshape(n, t, *y.shape[1:])
