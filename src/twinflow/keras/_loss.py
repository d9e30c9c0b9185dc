"""What all losses share: targets in the shape of predictions, and weighted means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.core import as_dtype
from twinflow.core.errors import ArgumentError, ShapeError
from twinflow.keras._masking import as_weights, converted, get_mask
from twinflow.keras._registry import Registry, snake_case
from twinflow.keras._variable import to_tensor
from twinflow.ops import logical_and
from twinflow.tensor import Tensor

REGISTRY = Registry("loss")
EPSILON = 1e-7
FLOAT32 = as_dtype("float32")


def align(name: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Both as floating tensors of one rank: a missing or superfluous last axis of extent 1 is added or removed.

    Raises: ShapeError if they would only broadcast.
    """
    p = to_tensor(y_pred)
    t = to_tensor(y_true).to(dtype=p.dtype)
    if t.ndim == p.ndim - 1 and p.shape[-1] == 1:
        t = t.unsqueeze(-1)
    elif p.ndim == t.ndim - 1 and t.shape[-1] == 1:
        t = t.squeeze(-1)
    if tuple(t.shape) != tuple(p.shape):
        raise ShapeError(
            f"{name}: the targets have shape {tuple(t.shape)}, but the model gives {tuple(p.shape)}; its last layer needs as many units as "
            "the targets have columns (for labels that are whole numbers, use a sparse loss)"
        )
    return t, p


def rows(x: Tensor) -> Tensor:
    """The mean over the last axis."""
    return x.mean(-1) if x.ndim > 1 else x


class Loss:
    """Base: `call(y_true, y_pred)` gives one number for each example, and calling the loss their mean.

    Args:
        reduction: 'sum_over_batch_size' (the mean), 'sum', or None for the numbers themselves.
        name: how it is called.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in ("sum_over_batch_size", "mean", "sum", "none", None):
            raise ArgumentError(
                f"{type(self).__name__}: reduction is 'sum_over_batch_size', 'mean', 'sum' or None, not {reduction!r}"
            )
        self.reduction = reduction
        self.name = name or snake_case(type(self).__name__)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """One number for each example."""
        raise ArgumentError(f"{type(self).__name__} has no call method: define call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The losses, weighted and reduced; elements that a mask of the predictions leaves out do not count."""
        p = to_tensor(y_pred)
        if p.dtype.is_floating_point and p.dtype.itemsize < 4:  # of layers that compute in a short type
            p = converted(p, FLOAT32)
        values = self.call(to_tensor(y_true), p)
        masks = [m for m in (get_mask(p), get_mask(values)) if m is not None]
        mask = logical_and(*masks) if len(masks) == 2 else masks[0] if masks else None
        return reduce(self.name, values, sample_weight, self.reduction, mask)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make it again."""
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Loss:
        """The inverse of `get_config`."""
        return cls(**config)


def reduce(name: str, values: Tensor, sample_weight: Any, reduction: str | None, mask: Tensor | None = None) -> Tensor:
    """The losses of all examples as one number. Weights multiply them; the mean still divides by their count, but with a mask
    by the count of those that it leaves."""
    if mask is not None:
        mean = reduction in ("mean", "sum_over_batch_size")
        values = values * as_weights(mask, values, mean).reshape(*mask.shape, *(1,) * (values.ndim - mask.ndim))
    if sample_weight is not None:
        w = to_tensor(sample_weight).to(dtype=values.dtype)
        if w.ndim == values.ndim + 1 and w.shape[-1] == 1:
            w = w.squeeze(-1)
        if w.ndim > values.ndim or tuple(w.shape) != tuple(values.shape[: w.ndim]):
            raise ShapeError(
                f"{name}: sample_weight has shape {tuple(w.shape)}, but there are losses of shape {tuple(values.shape)}"
            )
        values = values * w.reshape(*w.shape, *(1,) * (values.ndim - w.ndim))
    if reduction in (None, "none"):
        return values
    return values.sum() if reduction == "sum" else values.mean()


class LossFunctionWrapper(Loss):
    """A function of targets and predictions as a loss."""

    def __init__(
        self,
        fn: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction, name or getattr(fn, "__name__", "loss"))
        self.fn, self.options = fn, kwargs

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The function's result."""
        result: Tensor = self.fn(*self._same_rank(y_true, y_pred), **self.options)
        return result

    def _same_rank(self, y_true: Tensor, y_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Both with as many axes, where one lacks the last, of one element: else [N] and [N, 1] would become [N, N]."""
        a, b = y_true.ndim, y_pred.ndim
        if a == b + 1 and y_true.shape[-1] == 1:
            return (y_true, y_pred.unsqueeze(-1)) if b == 1 else (y_true.squeeze(-1), y_pred)
        if b == a + 1 and y_pred.shape[-1] == 1:
            return (y_true.unsqueeze(-1), y_pred) if a == 1 else (y_true, y_pred.squeeze(-1))
        return y_true, y_pred


def declare(*names: str) -> Callable[[type], type]:
    """A decorator that registers a loss under its own name and `names`."""
    return REGISTRY.add(*names)
