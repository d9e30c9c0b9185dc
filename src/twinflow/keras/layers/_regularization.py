"""Layers that act only while training: dropout, noise, and penalties on what flows through."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.keras import regularizers
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras.layers._spatial import Over1D, Over2D, Over3D, Spatial
from twinflow.nn.functional._dropout import alpha_dropout_shared, dropout_shared
from twinflow.ops import Generator, randn
from twinflow.tensor import Tensor


def check_rate(layer: str, rate: Any) -> float:
    """A fraction that is dropped. Raises: ArgumentError outside [0, 1]."""
    if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ArgumentError(f"{layer}: rate is the fraction that is dropped, in [0, 1], not {rate!r}")
    return float(rate)


def seeded(seed: int | None) -> Generator | None:
    """A generator of its own for a layer with a seed; None stands for the common one."""
    return None if seed is None else Generator().manual_seed(seed)


@LAYERS.add()
class Dropout(Layer):
    """While training, each element is 0 with probability `rate`, and the others are divided by 1 - rate.

    Args:
        rate: the fraction that is dropped.
        noise_shape: along axes where it has 1, elements are dropped together; None stands for the input's extent.
        seed: makes the layer draw from a generator of its own.
    """

    supports_masking = True

    def __init__(self, rate: float, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.seed = check_rate(type(self).__name__, rate), seed
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self._generator = seeded(seed)

    def _shape(self, x: Tensor) -> tuple[int, ...]:
        if self.noise_shape is None:
            return tuple(x.shape)
        if len(self.noise_shape) != x.ndim:
            raise ArgumentError(
                f"{type(self).__name__} {self.name!r}: noise_shape={self.noise_shape} for an input of shape {tuple(x.shape)}"
            )
        return tuple(n if m is None else m for m, n in zip(self.noise_shape, x.shape))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """`nn.functional.dropout`."""
        return dropout_shared(inputs, self.rate, training, self._shape(inputs), self._generator)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("rate", "noise_shape", "seed")


class _SpatialDropout(Spatial, Dropout):
    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate=rate, seed=seed, **kwargs)
        self._format(data_format)

    def _shape(self, x: Tensor) -> tuple[int, ...]:
        space = self._space()
        return tuple(1 if k in space else n for k, n in enumerate(x.shape))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("rate", "data_format", "seed")


@LAYERS.add()
class SpatialDropout1D(Over1D, _SpatialDropout):
    """Dropout of whole channels of [N, T, C]."""


@LAYERS.add()
class SpatialDropout2D(Over2D, _SpatialDropout):
    """Dropout of whole channels of [N, H, W, C]."""


@LAYERS.add()
class SpatialDropout3D(Over3D, _SpatialDropout):
    """Dropout of whole channels of [N, D, H, W, C]."""


@LAYERS.add()
class AlphaDropout(Dropout):
    """Dropout to selu's saturation value, keeping mean and variance. Source: Klambauer et al., arXiv:1706.02515."""

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """`nn.functional.alpha_dropout`."""
        return alpha_dropout_shared(
            "alpha_dropout", inputs, self.rate, training, False, self._shape(inputs), self._generator
        )


@LAYERS.add()
class GaussianDropout(Dropout):
    """While training, each element is multiplied by 1 + √(rate / (1 - rate)) ε. Source: Srivastava et al., JMLR 15, 2014."""

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, seed=seed, **kwargs)
        if self.rate == 1.0:
            raise ArgumentError("GaussianDropout: rate must be smaller than 1, where the deviation is infinite")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """x (1 + σ ε)."""
        if not training or not self.rate:
            return inputs
        noise = randn(tuple(inputs.shape), generator=self._generator)
        return inputs * (1.0 + noise * math.sqrt(self.rate / (1.0 - self.rate)))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("rate", "seed")


@LAYERS.add()
class GaussianNoise(Layer):
    """While training, normal numbers of deviation `stddev` are added."""

    supports_masking = True

    def __init__(self, stddev: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if stddev < 0:
            raise ArgumentError(f"GaussianNoise: stddev must not be negative, but {stddev} was given")
        self.stddev, self.seed = stddev, seed
        self._generator = seeded(seed)

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """x + σ ε."""
        if not training:
            return inputs
        return inputs + randn(tuple(inputs.shape), generator=self._generator) * self.stddev

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("stddev", "seed")


@LAYERS.add()
class ActivityRegularization(Layer):
    """The input itself, with a penalty on it: l1 · Σ|x| + l2 · Σx², divided by the number of examples."""

    supports_masking = True

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(activity_regularizer=regularizers.L1L2(l1, l2), **kwargs)
        self.l1, self.l2 = l1, l2

    def call(self, inputs: Tensor) -> Tensor:
        """The input."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        config = self._config("l1", "l2")
        del config["activity_regularizer"]
        return config
