"""Pictures mixed with others of their batch, and layers one after the other."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras.layers._images import Random
from twinflow.ops import ones, tensor, where
from twinflow.tensor import Tensor


@LAYERS.add()
class MixUp(Random):
    """Images mixed with others of the batch, in parts drawn from Beta(α, α). Source: Zhang et al., arXiv:1710.09412."""

    _names = ("alpha",)

    def __init__(self, alpha: float = 0.2, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        self.alpha = alpha

    def _change(self, x: Tensor) -> Tensor:
        part = self._beta(x.shape[0], self.alpha)
        return x * part + x.roll(1, 0) * (1.0 - part)


@LAYERS.add()
class CutMix(Random):
    """A rectangle of each image comes from another of the batch. Source: Yun et al., arXiv:1905.04899.

    Args:
        factor: of the Beta(factor, factor) from which the rectangle's part of the image is drawn.
    """

    _names = ("factor",)

    def __init__(self, factor: float = 1.0, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(seed, **kwargs)
        if factor <= 0:
            raise ArgumentError(f"CutMix: factor must be positive, but {factor!r} was given")
        self.factor = factor

    def _change(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        side = (1.0 - self._beta(n, self.factor)).sqrt()
        inside = ones((n, 1, 1, 1), dtype="bool")
        for axis, extent in ((1, h), (2, w)):
            start = self._uniform(n, 0.0, 1.0) - side * 0.5
            place = ((tensor(list(range(extent))).float() + 0.5) / extent).reshape(*(extent if a == axis else 1 for a in range(4)))  # fmt: skip
            inside = inside & (place >= start) & (place < start + side)
        return where(inside, x.roll(1, 0), x)


@LAYERS.add()
class Pipeline(Layer):
    """Preprocessing layers one after the other."""

    def __init__(self, layers: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = [LAYERS.deserialize(x) if isinstance(x, dict) else x for x in layers]

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The result of the last layer."""
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {**self._config(), "layers": [serialize(x) for x in self.layers]}
