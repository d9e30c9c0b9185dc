"""Layers that make one tensor of several."""

from __future__ import annotations

import math
from typing import Any

from twinflow.core.errors import ShapeError
from twinflow.keras._layer import LAYERS, Layer
from twinflow.nn import functional as F
from twinflow.ops import cat, logical_and, logical_or, matmul, ones
from twinflow.tensor import Tensor


class _Merge(Layer):
    supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Check that there is a list."""
        if not isinstance(input_shape, list) or len(input_shape) < 2:
            raise ShapeError(
                f"{type(self).__name__} {self.name!r}: a list of at least 2 tensors is needed, such as {type(self).__name__}()([a, b])"
            )

    def call(self, inputs: Any) -> Tensor:
        """All inputs as one."""
        total = inputs[0]
        for x in inputs[1:]:
            total = self._merge(total, x)
        return total

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define _merge(self, a, b)")

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """A step counts if it does in any input; without a mask of each there is none."""
        if not isinstance(previous_mask, list) or any(m is None for m in previous_mask):
            return None
        found = previous_mask[0]
        for m in previous_mask[1:]:
            found = logical_or(found, m)
        return found


@LAYERS.add()
class Add(_Merge):
    """The sum of a list of tensors."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b


@LAYERS.add()
class Subtract(_Merge):
    """The difference of two tensors."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


@LAYERS.add()
class Multiply(_Merge):
    """The product of a list of tensors."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b


@LAYERS.add()
class Average(Add):
    """The mean of a list of tensors."""

    def call(self, inputs: Any) -> Tensor:
        """Sum / count."""
        return super().call(inputs) / len(inputs)


@LAYERS.add()
class Maximum(_Merge):
    """The largest of a list of tensors, element by element."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a.maximum(b)


@LAYERS.add()
class Minimum(_Merge):
    """The smallest of a list of tensors, element by element."""

    def _merge(self, a: Tensor, b: Tensor) -> Tensor:
        return a.minimum(b)


@LAYERS.add()
class Concatenate(_Merge):
    """A list of tensors side by side along an axis."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Tensor:
        """`cat` along the axis."""
        return cat(list(inputs), self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """The masks side by side too; when features are joined, a step counts if all its parts do."""
        if not isinstance(previous_mask, list) or all(m is None for m in previous_mask):
            return None
        full = [ones(tuple(x.shape), dtype="bool") if m is None else
                logical_and(m.unsqueeze(-1), ones(tuple(x.shape), dtype="bool")) if m.ndim < x.ndim else m
                for x, m in zip(inputs, previous_mask)]  # fmt: skip
        return cat(full, self.axis).all(-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axis")


@LAYERS.add()
class Dot(_Merge):
    """Products of two batches of vectors or matrices along an axis of each: [N, a, c] and [N, b, c] -> [N, a, b]."""

    def __init__(self, axes: Any, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes, self.normalize = axes, normalize

    def call(self, inputs: Any) -> Tensor:
        """Contract the axes."""
        a, b = inputs
        i, j = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        if self.normalize:
            a, b = F.normalize(a, dim=i), F.normalize(b, dim=j)
        a, b = a.movedim(i, -1), b.movedim(j, -1)
        lead_a, lead_b = a.shape[1:-1], b.shape[1:-1]
        a = a.reshape(a.shape[0], math.prod(lead_a), a.shape[-1])
        b = b.reshape(b.shape[0], math.prod(lead_b), b.shape[-1])
        return matmul(a, b.mT).reshape(a.shape[0], *((*lead_a, *lead_b) or (1,)))

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> Any:
        """None: steps are summed over."""
        return None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return self._config("axes", "normalize")


def _function(cls: Any) -> Any:
    def fn(inputs: Any, **options: Any) -> Any:
        return cls(**options)(inputs)

    fn.__name__ = cls.__name__.lower()
    fn.__doc__ = f"`{cls.__name__}` of a list of tensors."
    return fn


add, subtract, multiply, average = _function(Add), _function(Subtract), _function(Multiply), _function(Average)
maximum, minimum, concatenate = _function(Maximum), _function(Minimum), _function(Concatenate)


def dot(inputs: Any, axes: Any = -1, **options: Any) -> Any:
    """`Dot` of a list of two tensors."""
    return Dot(axes, **options)(inputs)
