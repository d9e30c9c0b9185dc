"""What all metrics share: numbers kept over the batches of an epoch, as tensors, so that compiled steps update them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras import initializers
from twinflow.keras._masking import get_mask
from twinflow.keras._registry import Registry, snake_case
from twinflow.keras._variable import Variable, to_tensor
from twinflow.ops import mean, where
from twinflow.ops import sum as total
from twinflow.tensor import SPECIAL, Tensor, no_grad, paused_tracing

REGISTRY = Registry("metric")


class Metric:
    """Base: `update_state` takes a batch, `result` gives the number so far, `reset_state` begins anew."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self._state: list[Variable] = []

    def add_variable(self, shape: Any = (), initializer: Any = "zeros", name: str | None = None) -> Variable:
        """A number (or several) that is kept."""
        with paused_tracing():  # it may be made while a step is traced, and outlives the trace
            v = Variable(initializers.get(initializer)(shape, "float32"), trainable=False, name=name)
        self._state.append(v)
        return v

    add_weight = add_variable

    @property
    def variables(self) -> list[Variable]:
        """What is kept."""
        return list(self._state)

    def reset_state(self) -> None:
        """Begin anew."""
        if not SPECIAL.count:
            for v in self._state:  # at every epoch, where whole epochs of small models take microseconds
                v._data.fill(0)
            return
        with no_grad():
            for v in self._state:
                v.zero_()

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take a batch."""
        raise ArgumentError(f"{type(self).__name__} has no update_state method")

    def result(self) -> Any:
        """The number so far."""
        raise ArgumentError(f"{type(self).__name__} has no result method")

    def numbers(self) -> Any:
        """The result as a Python float, or as an array if there are several."""
        array = np.array(self.result())
        return float(array) if array.ndim == 0 else array

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a batch, and give the number so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The inverse of `get_config`."""
        return cls(**config)


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """a / b, and 0 where b is 0."""
    return where(b == 0, 0.0, a / where(b == 0, 1.0, b))


def masked_weight(mask: Tensor | None, sample_weight: Any) -> Any:
    """Weights of examples and a mask of their elements as one."""
    if mask is None:
        return sample_weight
    m = mask.float()
    if sample_weight is None:
        return m
    w = to_tensor(sample_weight).float()
    if w.ndim == m.ndim + 1 and w.shape[-1] == 1:
        w = w.squeeze(-1)
    return m * w.reshape(*w.shape, *(1,) * (m.ndim - w.ndim))


def samplewise(name: str, v: Tensor, sample_weight: Any, over: Any) -> tuple[Tensor, Tensor | None]:
    """(weighted values, weights) of each example, what lies behind the weights' axes put together by `over`, as Keras does."""
    w = None
    if sample_weight is not None:
        w = to_tensor(sample_weight).detach().float()
        if w.ndim == v.ndim + 1 and w.shape[-1] == 1:
            w = w.squeeze(-1)
        if w.ndim > v.ndim or tuple(w.shape) != tuple(v.shape[: w.ndim]):
            raise ShapeError(f"{name}: sample_weight of shape {tuple(w.shape)} for values of shape {tuple(v.shape)}")
        if v.ndim > w.ndim:
            v = over(v, tuple(range(w.ndim, v.ndim)))
        v = v * w
        if w.ndim > 1:
            w = over(w, tuple(range(1, w.ndim)))
    return (over(v, tuple(range(1, v.ndim))) if v.ndim > 1 else v), w


@REGISTRY.add()
class Mean(Metric):
    """The (weighted) mean of numbers."""

    def __init__(self, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take numbers."""
        with no_grad():
            v, w = samplewise(self.name, to_tensor(values).detach().float(), sample_weight, mean)
            self.total.add_(v.sum())
            self.count.add_(float(v.numel()) if w is None else w.sum())

    def result(self) -> Tensor:
        """Total / count."""
        return ratio(self.total, self.count)

    def numbers(self) -> Any:
        """The mean as a Python float."""
        if type(self).result is not Mean.result:
            return super().numbers()
        count = np.float32(self.count._data)
        return float(np.float32(self.total._data) / count) if count else 0.0


@REGISTRY.add()
class Sum(Mean):
    """The (weighted) sum of numbers."""

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        """Take numbers."""
        with no_grad():
            v, _ = samplewise(self.name, to_tensor(values).detach().float(), sample_weight, total)
            self.total.add_(v.sum())

    def result(self) -> Tensor:
        """The total."""
        return self.total * 1


class MeanMetricWrapper(Mean):
    """The mean of a function of targets and predictions."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, dtype: Any = None, **options: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", "metric"), dtype)
        self._fn, self._options = fn, options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch; elements that a mask of the predictions leaves out do not count."""
        with no_grad():
            p = to_tensor(y_pred)
            values = self._fn(to_tensor(y_true), p.detach(), **self._options)
            super().update_state(values, masked_weight(get_mask(p), sample_weight))
