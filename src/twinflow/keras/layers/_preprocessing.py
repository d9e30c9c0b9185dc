"""Preprocessing of numbers: scaling by constants or by statistics of the data, bins, and one-hot codes."""

from __future__ import annotations

from typing import Any

from twinflow.keras._layer import LAYERS, Layer
from twinflow.tensor import Tensor


@LAYERS.add()
class Rescaling(Layer):
    """scale · x + offset."""

    supports_masking = True

    def __init__(self, scale: float, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        """scale · x + offset, in float32."""
        return inputs.float() * self.scale + self.offset

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("scale", "offset")
