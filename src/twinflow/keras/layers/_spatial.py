"""What layers over space share: how many axes there are, where the channels stand, and how windows are padded."""

from __future__ import annotations

from typing import Any

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._layer import Layer
from twinflow.tensor import Tensor


def several(layer: str, what: str, value: Any, n: int) -> tuple[int, ...]:
    """One positive whole number for each of n axes."""
    items = (value,) * n if isinstance(value, int) else tuple(value)
    if len(items) != n or not all(isinstance(v, int) and v > 0 for v in items):
        raise ArgumentError(f"{layer}: {what} is a positive whole number, or one for each of {n} axes, not {value!r}")
    return items


def pairs(layer: str, what: str, value: Any, n: int) -> tuple[tuple[int, int], ...]:
    """(before, after) for each of n axes, from a number, or one number or pair for each axis."""
    if isinstance(value, int):
        value = (value,) * n
    items = tuple(value)
    if n == 1 and len(items) == 2 and all(isinstance(v, int) for v in items):
        items = (items,)
    if len(items) != n:
        raise ArgumentError(f"{layer}: {what} is a number, or one (or a pair) for each of {n} axes, not {value!r}")
    found = tuple((v, v) if isinstance(v, int) else (int(v[0]), int(v[1])) for v in items)
    if any(v < 0 for pair in found for v in pair):
        raise ArgumentError(f"{layer}: {what} must not be negative, but {value!r} was given")
    return found


def check_padding(layer: str, padding: str, allowed: tuple[str, ...] = ("valid", "same")) -> str:
    """'valid' or 'same' in lower case."""
    if not isinstance(padding, str) or padding.lower() not in allowed:
        raise ArgumentError(f"{layer}: padding is {' or '.join(map(repr, allowed))}, not {padding!r}")
    return padding.lower()


def pads(
    padding: str, extents: Any, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """(before, after) of each axis; 'same' gives ceil(n / stride) windows, the odd element after the end."""
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    found = []
    for n, k, s, d in zip(extents, kernel, stride, dilation):
        reach = d * (k - 1) + 1
        if padding == "causal":
            found.append((reach - 1, 0))
            continue
        total = max((-(-int(n) // s) - 1) * s + reach - int(n), 0)
        found.append((total // 2, total - total // 2))
    return tuple(found)


class Spatial(Layer):
    """Base of layers over one to three axes of space, with channels last or first."""

    _n = 2
    padding: str

    def _format(self, data_format: str | None) -> None:
        self.data_format = data_format or "channels_last"
        if self.data_format not in ("channels_last", "channels_first"):
            raise ArgumentError(
                f"{type(self).__name__}: data_format is 'channels_last' or 'channels_first', not {data_format!r}"
            )

    def _first(self, x: Tensor) -> Tensor:
        """Channels where `nn.functional` has them."""
        return x.movedim(-1, 1) if self.data_format == "channels_last" else x

    def _last(self, x: Tensor) -> Tensor:
        """Channels where they came from."""
        return x.movedim(1, -1) if self.data_format == "channels_last" else x

    def _space(self) -> tuple[int, ...]:
        """The numbers of the axes of space."""
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self._n))

    def _channels(self, shape: Any) -> int:
        c = shape[-1 if self.data_format == "channels_last" else 1]
        if c is None:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: the number of channels is not known; give it in Input"
            )
        return int(c)

    def _fits(self, x: Tensor, kernel: tuple[int, ...], dilation: tuple[int, ...]) -> None:
        extents = tuple(x.shape[2:])
        if self.padding == "valid" and any(d * (k - 1) + 1 > n for n, k, d in zip(extents, kernel, dilation)):
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a window of {kernel} does not fit into {extents}; the image has become too small "
                "for it: use padding='same', or fewer layers that shrink it"
            )


class Over1D(Layer):
    """Sequences [N, T, C]."""

    _n, _rank, _axes = 1, 3, "batch, steps, channels"


class Over2D(Layer):
    """Images [N, H, W, C]."""

    _n, _rank, _axes = 2, 4, "batch, height, width, channels"


class Over3D(Layer):
    """Volumes [N, D, H, W, C]."""

    _n, _rank, _axes = 3, 5, "batch, depth, height, width, channels"
