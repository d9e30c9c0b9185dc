"""Initial values of weights, by Keras's names. Fans follow Keras's layout: [..., in, out]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinflow.core import as_dtype, as_shape
from twinflow.core.errors import ArgumentError
from twinflow.keras._registry import Registry, deserializer
from twinflow.keras._registry import serialize as serialize
from twinflow.keras._variable import INITIALIZERS
from twinflow.nn import init
from twinflow.ops import Generator, as_tensor, zeros
from twinflow.tensor import Tensor

_REGISTRY = Registry("initializer")


class Initializer:
    """Base: calling it with a shape gives a tensor."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = "float32") -> Tensor:
        """The values."""
        t = zeros(as_shape(shape), dtype=as_dtype(dtype))
        self._fill(t, None if self.seed is None else Generator().manual_seed(self.seed))
        return t

    def _fill(self, t: Tensor, generator: Generator | None) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _fill(self, t, generator)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return dict(vars(self))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Initializer:
        """The inverse of `get_config`."""
        return cls(**config)


@_REGISTRY.add()
class Zeros(Initializer):
    """0 everywhere."""

    def __init__(self) -> None:
        pass

    def __call__(self, shape: Any, dtype: Any = "float32") -> Tensor:
        """The values."""
        return zeros(as_shape(shape), dtype=as_dtype(dtype))


@_REGISTRY.add()
class Constant(Initializer):
    """One value everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = "float32") -> Tensor:
        """The values."""
        return init.constant_(zeros(as_shape(shape), dtype=as_dtype(dtype)), self.value)


@_REGISTRY.add()
class Ones(Constant):
    """1 everywhere."""

    def __init__(self) -> None:
        super().__init__(1.0)

    def get_config(self) -> dict[str, Any]:
        """No arguments."""
        return {}


@_REGISTRY.add()
class RandomNormal(Initializer):
    """Normal numbers."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean, self.stddev = mean, stddev

    def _fill(self, t: Tensor, generator: Generator | None) -> None:
        init.normal_(t, self.mean, self.stddev, generator)


@_REGISTRY.add()
class TruncatedNormal(RandomNormal):
    """Normal numbers, those beyond two deviations drawn again."""

    def _fill(self, t: Tensor, generator: Generator | None) -> None:
        bound = 2 * self.stddev
        init.trunc_normal_(t, self.mean, self.stddev, self.mean - bound, self.mean + bound, generator)


@_REGISTRY.add()
class RandomUniform(Initializer):
    """Uniform numbers in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval, self.maxval = minval, maxval

    def _fill(self, t: Tensor, generator: Generator | None) -> None:
        init.uniform_(t, self.minval, self.maxval, generator)


def compute_fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """(fan_in, fan_out) of a kernel [..., in, out]."""
    if len(shape) < 2:
        n = shape[0] if shape else 1
        return n, n
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


@_REGISTRY.add()
class VarianceScaling(Initializer):
    """Numbers of variance scale / fan. Sources: Glorot and Bengio 2010; He et al. 2015; LeCun et al. 1998."""

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ArgumentError(f"VarianceScaling: mode is 'fan_in', 'fan_out' or 'fan_avg', not {mode!r}")
        if distribution not in ("truncated_normal", "untruncated_normal", "uniform"):
            raise ArgumentError(
                f"VarianceScaling: distribution is 'truncated_normal', 'untruncated_normal' or 'uniform', not {distribution!r}"
            )
        self.scale, self.mode, self.distribution = scale, mode, distribution

    def _fill(self, t: Tensor, generator: Generator | None) -> None:
        fan_in, fan_out = compute_fans(tuple(t.shape))
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            bound = math.sqrt(3 * variance)
            init.uniform_(t, -bound, bound, generator)
        elif self.distribution == "untruncated_normal":
            init.normal_(t, 0.0, math.sqrt(variance), generator)
        else:
            std = math.sqrt(variance) / 0.87962566103423978  # the deviation that cutting at 2 takes away
            init.trunc_normal_(t, 0.0, std, -2 * std, 2 * std, generator)


class _Named(VarianceScaling):
    _options: tuple[float, str, str]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self._options, seed)

    def get_config(self) -> dict[str, Any]:
        """The seed; the rest is the name."""
        return {"seed": self.seed}


@_REGISTRY.add("xavier_uniform")
class GlorotUniform(_Named):
    """Uniform in ±√(6 / (fan_in + fan_out))."""

    _options = (1.0, "fan_avg", "uniform")


@_REGISTRY.add("xavier_normal")
class GlorotNormal(_Named):
    """Truncated normal of variance 2 / (fan_in + fan_out)."""

    _options = (1.0, "fan_avg", "truncated_normal")


@_REGISTRY.add("kaiming_uniform")
class HeUniform(_Named):
    """Uniform in ±√(6 / fan_in)."""

    _options = (2.0, "fan_in", "uniform")


@_REGISTRY.add("kaiming_normal")
class HeNormal(_Named):
    """Truncated normal of variance 2 / fan_in."""

    _options = (2.0, "fan_in", "truncated_normal")


@_REGISTRY.add()
class LecunUniform(_Named):
    """Uniform in ±√(3 / fan_in)."""

    _options = (1.0, "fan_in", "uniform")


@_REGISTRY.add()
class LecunNormal(_Named):
    """Truncated normal of variance 1 / fan_in."""

    _options = (1.0, "fan_in", "truncated_normal")


@_REGISTRY.add("OrthogonalInitializer")
class Orthogonal(Initializer):
    """A matrix with orthogonal rows or columns, the axes before the last joined."""

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = "float32") -> Tensor:
        """The values."""
        s = as_shape(shape)
        if len(s) < 2:
            raise ArgumentError(f"Orthogonal: a shape with at least 2 axes is needed, not {s}")
        generator = None if self.seed is None else Generator().manual_seed(self.seed)
        t = zeros((math.prod(s[:-1]), s[-1]), dtype=as_dtype(dtype))
        return init.orthogonal_(t, self.gain, generator).reshape(s)


@_REGISTRY.add("IdentityInitializer")
class Identity(Initializer):
    """The identity matrix times gain."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Any, dtype: Any = "float32") -> Tensor:
        """The values."""
        return init.eye_(zeros(as_shape(shape), dtype=as_dtype(dtype))) * self.gain


def get(identifier: Any) -> Any:
    """An initializer from a name, a configuration, an object or a function of the shape; arrays stand for themselves."""
    if identifier is None:
        return Zeros()
    if isinstance(identifier, (np.ndarray, Tensor)):
        return lambda shape, dtype: as_tensor(identifier).to(dtype=as_dtype(dtype)).reshape(as_shape(shape))
    return _REGISTRY.get(identifier)


_REGISTRY.add("uniform")(RandomUniform)
_REGISTRY.add("normal")(RandomNormal)
for _alias in (Zeros, Ones, Identity, Orthogonal):
    _REGISTRY.add(f"{_alias.__name__.lower()}_initializer")(_alias)

constant, identity, ones, orthogonal = Constant, Identity, Ones, Orthogonal
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling, glorot_normal, glorot_uniform = VarianceScaling, GlorotNormal, GlorotUniform
he_normal, he_uniform, lecun_normal, lecun_uniform = HeNormal, HeUniform, LecunNormal, LecunUniform
IdentityInitializer, OrthogonalInitializer = Identity, Orthogonal
deserialize = deserializer(_REGISTRY)
INITIALIZERS.append(get)
