"""Averages of weights: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.nn import Module
from twinflow.ops import where
from twinflow.optim._optimizer import Optimizer
from twinflow.optim._schedule import LRScheduler, per_group
from twinflow.tensor import Tensor, is_tracing, no_grad, wrap

Average = Callable[[Tensor, Tensor, Any], Tensor]


def get_swa_avg_fn() -> Average:
    """The running mean: a + (w − a) / (n + 1)."""
    return lambda average, value, n: average + (value - average) / (n + 1)


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average: decay·a + (1 − decay)·w."""
    if not 0 <= decay <= 1:
        raise ArgumentError(f"get_ema_avg_fn: decay must be between 0 and 1, but {decay!r} was given")
    return lambda average, value, n: average * decay + value * (1 - decay)


def _for_lists(average: Average) -> Callable[[list[Tensor], list[Tensor], Any], None]:
    def update(averages: list[Tensor], values: list[Tensor], n: Any) -> None:
        for a, w in zip(averages, values):
            a.copy_(average(a, w, n).to(dtype=a.dtype))

    return update


def get_swa_multi_avg_fn() -> Callable[[list[Tensor], list[Tensor], Any], None]:
    """The running mean of lists of parameters, in place."""
    return _for_lists(get_swa_avg_fn())


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[list[Tensor], list[Tensor], Any], None]:
    """The exponential moving average of lists of parameters, in place."""
    return _for_lists(get_ema_avg_fn(decay))


class AveragedModel(Module):
    """A copy of a model whose parameters are the averages of those that `update_parameters` saw.

    Args:
        model: what to copy.
        avg_fn: (average, value, number averaged so far) -> new average, of one tensor; the running mean by default.
        multi_avg_fn: the same in place for lists of tensors.
        use_buffers: average buffers too; otherwise they are copied.
    Source: Izmailov et al. 2018, arXiv:1803.05407.

    >>> import twinflow
    >>> model = twinflow.nn.Linear(1, 1, bias=False)
    >>> averaged = twinflow.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = twinflow.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged(twinflow.ones(1, 1)).item()
    3.0
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Callable[[list[Tensor], list[Tensor], Any], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ArgumentError("AveragedModel: avg_fn and multi_avg_fn exclude each other")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", wrap(np.zeros((), np.int64)))
        self.avg_fn = avg_fn if avg_fn is not None else get_swa_avg_fn()
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The averaged model's result."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the parameters of `model` into the average; it may stand inside a compiled step."""
        averages: list[Tensor] = list(self.module.parameters())
        values: list[Tensor] = list(model.parameters())
        buffers = list(zip(self.module.buffers(), model.buffers()))
        if self.use_buffers:
            averages += [a for a, _ in buffers]
            values += [w for _, w in buffers]
        with no_grad():
            n = self.n_averaged
            if not is_tracing() and int(n) == 0:
                for a, w in zip(averages, values):
                    a.copy_(w)
            elif self.multi_avg_fn is not None:
                kept = [w if not is_tracing() else where(n == 0, w, a) for a, w in zip(averages, values)]
                if is_tracing():
                    for a, w in zip(averages, kept):
                        a.copy_(w)
                self.multi_avg_fn(averages, [w.detach() for w in values], n if is_tracing() else int(n))
            else:
                for a, w in zip(averages, values):
                    new = self.avg_fn(a, w, n if is_tracing() else int(n)).to(dtype=a.dtype)
                    a.copy_(where(n == 0, w, new) if is_tracing() else new)
            if not self.use_buffers:
                for a, w in buffers:
                    a.copy_(w)
            n.add_(1)


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the statistics of batch normalisation anew for averaged weights, by one pass over the data.

    Batches are inputs, or lists and tuples that begin with them.
    """
    layers = [m for m in model.modules() if getattr(m, "running_mean", None) is not None]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    was = model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
    try:
        with no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, (list, tuple)) else batch
                model(x if device is None else x.to(device))
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        model.train(was)


class SWALR(LRScheduler):
    """η goes from where it is to `swa_lr` within `anneal_epochs`, and stays there.

    Args:
        swa_lr: the last rate, one or one for each group.
        anneal_epochs: 0 goes there at once.
        anneal_strategy: "cos" or "linear".
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"SWALR: anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ArgumentError(f"SWALR: anneal_epochs must be a whole number from 0, but {anneal_epochs!r} was given")
        self.swa_lrs = per_group(swa_lr, optimizer, "SWALR")
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _part(self, epoch: int) -> float:
        """How much of the way lies behind: from 0 to 1."""
        t = max(0.0, min(1.0, epoch / max(1, self.anneal_epochs)))
        return t if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[float]:
        """The last rate, one step further along the way."""
        steps = self.last_epoch + 1  # counted from 1, as the first rate is set by the constructor
        step = steps - 1 if self.anneal_epochs else max(1, steps - 1)
        before, now = self._part(max(0, step - 1)), self._part(step)
        found = []
        for rate, target in zip(self._rates(), self.swa_lrs):
            start = target if before == 1 else (rate - before * target) / (1 - before)
            found.append(target * now + start * (1 - now))
        return found
