"""The last part of `check`: what the optimizer holds, how far it goes, and whether it can learn one batch by heart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.nn import Module
from twinflow.optim import Optimizer
from twinflow.tensor import Tensor
from twinflow.train._check_report import CheckReport, array_of

# An update of about a thousandth of the weight is what usually trains well (A. Karpathy, "Hacker's guide to neural networks")
_LARGE_UPDATE, _SMALL_UPDATE = 0.1, 1e-6


def check_optimizer(
    report: CheckReport, model: Module, compute: Callable[[], Any], optimizer: Optimizer, steps: int
) -> None:
    """What the optimizer holds, what one step changes, and what `steps` of them reach on this batch."""
    named = {id(p): name for name, p in model.named_parameters()}
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    missed = [named[id(p)] for p in model.parameters() if p.requires_grad and id(p) not in held]
    if missed:
        report.add("optimizer", "error", f"it does not know: {', '.join(missed)}",
                   "give it model.parameters() after the model is complete, or add_param_group")  # fmt: skip
    if not held & set(named):
        report.add("optimizer", "error", "it holds none of this model's parameters",
                   "it was made for another model, or before this one was replaced: make it again")  # fmt: skip
        return
    before = {name: array_of(p).copy() for name, p in model.named_parameters()}
    losses = [_step(compute, optimizer)]
    _check_updates(report, {k: v for k, v in before.items() if k not in missed}, dict(model.named_parameters()))
    while len(losses) <= steps and math.isfinite(losses[-1]):
        losses.append(_step(compute, optimizer))
    start, end = losses[0], losses[-1]
    seen = f"on this one batch, {len(losses) - 1} steps bring the loss from {start:.4g} to {end:.4g}"
    if not math.isfinite(end) or end > 1.1 * start + 1e-6:
        report.add("optimizer", "error", f"{seen}: it diverges",
                   "lower the learning rate by 10; standardise the inputs; see that maximize is not set")  # fmt: skip
    elif end > 0.95 * start and start > 1e-3:
        report.add("optimizer", "warning", f"{seen}: it hardly learns, though one batch is easily learned by heart",
                   "mend what is marked above; else use a learning rate 10 times as high, or give the model more units")  # fmt: skip
    else:
        report.add("optimizer", "ok", seen)


def _step(compute: Callable[[], Any], optimizer: Optimizer) -> float:
    """One update; the loss before it."""

    def closure() -> Any:  # what optimizers that ask for the loss several times in one step need
        optimizer.zero_grad()
        value = compute()
        value.backward()
        return value

    return float(optimizer.step(closure).item())


def _check_updates(report: CheckReport, before: dict[str, np.ndarray[Any, Any]], after: dict[str, Tensor]) -> None:
    """|Δw| / |w| of each parameter that was not 0."""
    ratios = {}
    for name, old in before.items():
        length = float(np.linalg.norm(old))
        if after[name].requires_grad and old.ndim > 1 and length > 0:
            ratios[name] = float(np.linalg.norm(array_of(after[name]) - old)) / length
    if not ratios:
        return
    high, low = max(ratios, key=lambda k: ratios[k]), min(ratios, key=lambda k: ratios[k])
    if not ratios[high] <= _LARGE_UPDATE:
        report.add("optimizer", "warning", f"one step changes {high} by {ratios[high]:.2g} of its size; 0.001 is usual",
                   "lower the learning rate, or clip gradients (nn.utils.clip_grad_norm_)")  # fmt: skip
    elif ratios[high] == 0:
        report.add("optimizer", "warning", "one step changes no weight at all",
                   "raise the learning rate, unless all gradients are 0 (see above)")  # fmt: skip
    elif ratios[high] < _SMALL_UPDATE:
        report.add("optimizer", "warning", f"one step changes no weight by more than {ratios[high]:.2g} of its size; 0.001 is usual",
                   "raise the learning rate")  # fmt: skip
    else:
        report.add(
            "optimizer",
            "ok",
            f"one step changes weights by {ratios[low]:.2g} ({low}) to {ratios[high]:.2g} ({high}) of their size",
        )
