"""Preprocessing of numbers: scaling by constants or by statistics of the data, bins, and one-hot codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import normalize_axis
from twinflow.core.errors import ArgumentError, DataError, ShapeError
from twinflow.keras._data import is_batches, unpack
from twinflow.keras._layer import LAYERS, Layer
from twinflow.keras._registry import serialize
from twinflow.keras._variable import to_tensor
from twinflow.keras.layers._core import positive
from twinflow.nn import functional as F
from twinflow.ops import bucketize, sqrt, tensor
from twinflow.tensor import Tensor


def batches_of(what: str, data: Any) -> Any:
    """The arrays of a data set (its inputs), or the one array that was given."""
    if not is_batches(data):
        return [np.asarray(data)]
    found = [np.asarray(unpack(batch)[0]) for batch in data]
    if not found:
        raise DataError(f"{what}.adapt: there is no data")
    return found


@LAYERS.add()
class Rescaling(Layer):
    """scale · x + offset."""

    supports_masking = True

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale, self.offset = scale, offset

    def call(self, inputs: Tensor) -> Tensor:
        """scale · x + offset, in float32."""
        scale, offset = (v if isinstance(v, (int, float)) else to_tensor(v) for v in (self.scale, self.offset))
        return inputs.float() * scale + offset

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("scale", "offset")


@LAYERS.add()
class Normalization(Layer):
    """(x - mean) / √variance for each element of `axis`, by statistics that are given or that `adapt(data)` finds.

    Args:
        axis: the axes with statistics of their own; None for one mean and variance of everything.
        mean, variance: the statistics, instead of `adapt`.
        invert: undo it: x · √variance + mean.

    >>> from twinflow import keras
    >>> layer = keras.layers.Normalization()
    >>> layer.adapt([[0.0], [2.0], [4.0]])
    >>> layer(keras.ops.convert_to_tensor([[2.0]]))
    tensor([[0.]])
    """

    supports_masking = True

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (mean is None) != (variance is None):
            raise ArgumentError("Normalization: give both mean and variance, or none of them and call adapt(data)")
        self.axis = None if axis is None else [axis] if isinstance(axis, int) else list(axis)
        self.given_mean, self.given_variance, self.invert = mean, variance, invert
        self._adapted = mean is not None

    def _kept_axes(self, n: int) -> list[int]:
        return sorted(normalize_axis(a, n, "Normalization") for a in self.axis or [])

    def build(self, input_shape: Any) -> None:
        """Make mean and variance."""
        axes = self._kept_axes(len(input_shape))
        shape = tuple(input_shape[a] for a in axes)
        self._shape = tuple(n if a in axes else 1 for a, n in enumerate(input_shape)) if axes else ()
        if self.given_mean is not None:
            given = (np.broadcast_to(np.asarray(v, np.float32), shape) for v in (self.given_mean, self.given_variance))
            self.adapt_mean, self.adapt_variance = (to_tensor(v.copy()) for v in given)
            return
        self.adapt_mean = self.add_weight(shape, "zeros", trainable=False, name="mean")
        self.adapt_variance = self.add_weight(shape, "ones", trainable=False, name="variance")
        self.count = self.add_weight((), "zeros", dtype="int64", trainable=False, name="count")

    @property
    def mean(self) -> Tensor:
        """The means, in the shape in which they are taken from inputs."""
        return self.adapt_mean.reshape(*self._shape)

    @property
    def variance(self) -> Tensor:
        """The variances, in the shape in which they are used."""
        return self.adapt_variance.reshape(*self._shape)

    def adapt(self, data: Any) -> None:
        """Find mean and variance of an array, or of all batches of a data set."""
        if self.given_mean is not None:
            raise ArgumentError(f"Normalization {self.name!r}: mean and variance were given; there is nothing to adapt")
        count, total, squares = 0, 0.0, 0.0
        for batch in batches_of("Normalization", data):
            x = np.asarray(batch, np.float64)
            x = x.reshape(-1, 1) if x.ndim == 1 and self.axis else x
            if not self.built:
                self.build((None, *x.shape[1:]))
                self.built = True
            over = tuple(a for a in range(x.ndim) if a not in self._kept_axes(x.ndim))
            count += int(np.prod([x.shape[a] for a in over]))
            total, squares = total + x.sum(over), squares + (x * x).sum(over)
        mean = np.asarray(total) / count
        self.adapt_mean.assign(mean.astype(np.float32))
        self.adapt_variance.assign((np.asarray(squares) / count - mean * mean).clip(0).astype(np.float32))
        self._adapted = True

    def set_weights(self, weights: Any) -> None:
        """Take over mean and variance."""
        super().set_weights(weights)
        self._adapted = True

    def call(self, inputs: Tensor) -> Tensor:
        """Scale and move."""
        mean, deviation = self.mean, sqrt(self.variance).clamp(min=1e-7)
        x = inputs.float()
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        given = {"mean": self.given_mean, "variance": self.given_variance}
        plain = {k: None if v is None else np.asarray(v).tolist() for k, v in given.items()}
        return {**self._config("axis", "invert"), **plain}


def encode(name: str, x: Tensor, n: int, output_mode: str, weights: Any = None) -> Tensor:
    """Whole numbers [..., k] as one-hot rows, or (multi_hot, count, tf_idf) as one row of all k."""
    if output_mode == "int":
        return x
    hot = F.one_hot(x.long(), n).float()
    if output_mode == "one_hot":
        return hot.squeeze(-2) if x.ndim > 1 and x.shape[-1] == 1 else hot
    if x.ndim == 0:
        raise ShapeError(f"{name}: output_mode={output_mode!r} needs an axis of numbers that are put together")
    if output_mode == "multi_hot":
        return hot.amax(-2)
    if weights is not None and output_mode == "count":
        return (hot * to_tensor(weights).float().unsqueeze(-1)).sum(-2)
    counts = hot.sum(-2)
    return counts if output_mode == "count" else counts * to_tensor(weights)


def check_mode(name: str, mode: str, allowed: tuple[str, ...]) -> str:
    """An output mode. Raises: ArgumentError for one that does not exist."""
    if mode not in allowed:
        raise ArgumentError(f"{name}: output_mode is {', '.join(map(repr, allowed))}, not {mode!r}")
    return mode


@LAYERS.add()
class CategoryEncoding(Layer):
    """Whole numbers below num_tokens as rows: 'one_hot' of each, or 'multi_hot' or 'count' of all along the last axis."""

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        positive("CategoryEncoding", num_tokens=num_tokens)
        self.num_tokens = num_tokens
        self.output_mode = check_mode("CategoryEncoding", output_mode, ("one_hot", "multi_hot", "count"))

    def call(self, inputs: Tensor, count_weights: Tensor | None = None) -> Tensor:
        """The rows; `count_weights` says how much each number counts."""
        return encode("CategoryEncoding", inputs, self.num_tokens, self.output_mode, count_weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("num_tokens", "output_mode")


@LAYERS.add()
class Discretization(Layer):
    """Numbers as the number of their bin; boundaries are given, or `adapt(data)` finds them as quantiles.

    Args:
        bin_boundaries: increasing numbers; a number equal to one belongs to the bin above.
        num_bins: how many bins `adapt` makes.
        output_mode: 'int', 'one_hot', 'multi_hot' or 'count'.
    """

    def __init__(
        self, bin_boundaries: Any = None, num_bins: int | None = None, output_mode: str = "int", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if (bin_boundaries is None) == (num_bins is None):
            raise ArgumentError("Discretization: give bin_boundaries, or num_bins and call adapt(data)")
        self.num_bins = num_bins
        self.bin_boundaries = None if bin_boundaries is None else [float(b) for b in bin_boundaries]
        self.output_mode = check_mode("Discretization", output_mode, ("int", "one_hot", "multi_hot", "count"))

    def adapt(self, data: Any) -> None:
        """Make bins of equally many elements."""
        if self.num_bins is None:
            raise ArgumentError(f"Discretization {self.name!r}: bin_boundaries were given; there is nothing to adapt")
        x = np.concatenate([np.asarray(b, np.float64).ravel() for b in batches_of("Discretization", data)])
        self.bin_boundaries = np.quantile(x, np.arange(1, self.num_bins) / self.num_bins).tolist()

    def call(self, inputs: Tensor) -> Tensor:
        """The bins."""
        if self.bin_boundaries is None:
            raise ArgumentError(f"Discretization {self.name!r}: call adapt(data) first, or give bin_boundaries")
        bins = bucketize(inputs.float(), tensor(np.array(self.bin_boundaries, np.float32)), right=True)
        return encode("Discretization", bins, len(self.bin_boundaries) + 1, self.output_mode)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        found = self._config("output_mode")
        bins = None if self.bin_boundaries is not None else self.num_bins
        return {**found, "bin_boundaries": serialize(self.bin_boundaries), "num_bins": bins}
