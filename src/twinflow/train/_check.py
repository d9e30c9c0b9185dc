"""The debugging list for a model that does not learn, as one call: data, structure, loss, optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow.core import tree_leaves
from twinflow.core.errors import ArgumentError, TraceError, TwinflowError
from twinflow.nn import Module
from twinflow.nn._module import lazy_parts
from twinflow.ops import full_like, get_rng_state, set_rng_state, zeros_like
from twinflow.optim import Optimizer
from twinflow.tensor import Tensor, enable_grad, no_grad
from twinflow.train._check_optimizer import check_optimizer
from twinflow.train._check_report import CheckReport, array_of, described, is_finite
from twinflow.train._nonfinite import first_nonfinite


def check(
    model: Module, batch: Any, loss: Callable[..., Any], optimizer: Optimizer | None = None, *, steps: int = 50
) -> CheckReport:
    """Look for what keeps a model from learning, in the order in which one would look by hand.

    1. data: missing values, scale, as many targets as inputs, targets that are all alike;
    2. structure: the shape out of every layer, layers whose outputs are dead or not finite, examples that influence one
       another, parameters that the loss does not reach;
    3. loss: whether it takes these outputs and targets, its domain, its value beside that of a constant guess;
    4. optimizer: parameters it misses, the size of its updates beside the weights, and whether it can learn this one batch.

    Model, gradients, optimizer and random state are afterwards as they were.

    Args:
        model: a module; its parameters have shapes (a lazy one was called once).
        batch: (inputs, targets) as a loader gives them; inputs may be a tuple of several.
        loss: called as loss(model(inputs), targets).
        optimizer: what trains the model; without it the fourth part is left out.
        steps: how many updates on this one batch the last test makes.
    Raises: ArgumentError if the batch is no pair of tensors, steps is not positive, or the model is lazy.
    Cost: `steps` training steps and a few forward passes.

    >>> import twinflow
    >>> from twinflow import nn
    >>> model = nn.Linear(3, 1)
    >>> x = twinflow.randn(16, 3)
    >>> report = check(model, (x, x.sum(1)), nn.MSELoss())
    >>> report.errors[0].what.splitlines()[0]
    'the loss refuses these outputs and targets: ShapeError'
    """
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise ArgumentError("check: batch is a pair (inputs, targets), as a DataLoader of a TensorDataset gives it")
    if steps < 1:
        raise ArgumentError(f"check: steps is at least 1, but {steps} was given")
    lazy = [path for path, m in model.named_modules() if lazy_parts(m)]
    if lazy:
        raise ArgumentError(
            f"check: module {lazy[0]!r} is lazy; call the model once on an input, so that it has shapes"
        )
    inputs = tuple(batch[0]) if isinstance(batch[0], (tuple, list)) else (batch[0],)
    target = batch[1]
    if not all(isinstance(t, Tensor) for t in (*inputs, target)):
        raise ArgumentError("check: inputs and targets are tensors; make them with twinflow.tensor or from_numpy")
    report = CheckReport()
    with _restored(model, optimizer), enable_grad():
        if _check_data(report, inputs, target):
            value = _check_loss(report, model, inputs, target, loss)
            if value is not None and optimizer is not None:
                check_optimizer(report, model, lambda: loss(model(*inputs), target), optimizer, steps)
    return report


@contextmanager
def _restored(model: Module, optimizer: Optimizer | None) -> Iterator[None]:
    """Put parameters, buffers, gradients, modes, optimizer and random state back at the end, whatever happens."""
    modules = list(model.modules())
    buffers = [(m, dict(m._buffers)) for m in modules]
    modes = [m.training for m in modules]
    tensors: dict[int, Tensor] = {id(t): t for t in (*model.parameters(), *model.buffers())}
    state: dict[str, Any] | None = None
    if optimizer is not None:
        tensors |= {id(p): p for group in optimizer.param_groups for p in group["params"]}
        state = optimizer.state_dict()
        state["state"] = {
            i: {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in entries.items()}
            for i, entries in state["state"].items()
        }
        hooks = optimizer._pre_hooks.copy(), optimizer._post_hooks.copy()
        optimizer._pre_hooks.clear()
        optimizer._post_hooks.clear()
        stepped = optimizer._stepped
    values = {key: t.detach().clone() for key, t in tensors.items()}
    grads = {key: t.grad for key, t in tensors.items()}
    random = get_rng_state()
    for t in tensors.values():
        t.grad = None
    try:
        yield
    finally:
        for m, mode in zip(modules, modes):
            m.training = mode
        for m, own in buffers:
            m._buffers.update(own)
        with no_grad():
            for key, t in tensors.items():
                t.copy_(values[key])
                t.grad = grads[key]
        if optimizer is not None and state is not None:
            optimizer.load_state_dict(state)
            optimizer._pre_hooks.update(hooks[0])
            optimizer._post_hooks.update(hooks[1])
            optimizer._stepped = stepped
        set_rng_state(random)


# -- data -------------------------------------------------------------------------------------------------------


def _check_data(report: CheckReport, inputs: tuple[Tensor, ...], target: Tensor) -> bool:
    """Look at the batch; whether there is a point in going on."""
    good = True
    named = [(f"input {i}" if len(inputs) > 1 else "inputs", t) for i, t in enumerate(inputs)]
    for name, t in [*named, ("targets", target)]:
        good &= _check_values(report, name, t)
    n = {tuple(t.shape[:1]) for t in (*inputs, target)}
    if len(n) > 1:
        shapes = ", ".join(f"{name} {described(t)}" for name, t in [*named, ("targets", target)])
        report.add("data", "error", f"the first axes differ: {shapes}", "give one target for each example, in axis 0")
        good = False
    a = array_of(target)
    if good and len(a) > 3 and (a == a[:1]).all():
        report.add(
            "data", "warning", f"all {len(a)} targets of the batch are alike",
            "shuffle the data (DataLoader(shuffle=True)); check how the targets were read",
        )  # fmt: skip
    return good


def _check_values(report: CheckReport, name: str, t: Tensor) -> bool:
    a = array_of(t)
    if a.size == 0:
        report.add(
            "data", "error", f"{name} {described(t)} are empty", "look at the loader: it gave a batch without examples"
        )
        return False
    if not is_finite(t):
        bad = ~np.isfinite(a)
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        report.add(
            "data", "error", f"{name} {described(t)}: {int(bad.sum())} of {a.size} values are missing (NaN) or infinite, the first at {where}",
            "remove these examples or fill the gaps (the column's mean is a start) before training",
        )  # fmt: skip
        return False
    if a.dtype.kind not in "f":
        report.add("data", "ok", f"{name} {described(t)}, from {a.min()} to {a.max()}")
        return True
    mean, deviation, largest = float(a.mean()), float(a.std()), float(np.abs(a).max())
    seen = f"{name} {described(t)}: from {a.min():.3g} to {a.max():.3g}, mean {mean:.3g}, deviation {deviation:.3g}"
    if a.size > 1 and deviation == 0:
        report.add("data", "warning", f"{seen}: all values are the same", "look at how the data is read and scaled")
    elif largest > 50 or deviation > 20:
        how = "divide pixels by 255, or standardise: " if name != "targets" else "standardise: "
        report.add("data", "warning", f"{seen}: a large scale", f"{how}(x - mean) / deviation of each feature")
    elif deviation < 1e-3 or abs(mean) > 20 * deviation:
        report.add(
            "data",
            "warning",
            f"{seen}: the differences are small",
            "standardise: (x - mean) / deviation of each feature",
        )
    else:
        report.add("data", "ok", seen)
    return True


# -- structure and loss -----------------------------------------------------------------------------------------


def _check_loss(
    report: CheckReport, model: Module, inputs: tuple[Tensor, ...], target: Tensor, loss: Callable[..., Any]
) -> float | None:
    """Run the model and its loss forward and backward; the loss at the start, or None if that cannot be had."""
    output = _check_layers(report, model, inputs)
    if output is None:
        return None
    try:
        value = loss(output, target)
    except (TwinflowError, TypeError) as error:
        what = f"the loss refuses these outputs and targets: {type(error).__name__}\n{error}"
        report.add("loss", "error", what, "bring outputs and targets into the form that the message asks for")
        return None
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = described(value) if isinstance(value, Tensor) else type(value).__name__
        report.add(
            "loss", "error", f"the loss is {what}, not one number", "average it: loss.mean(), or reduction='mean'"
        )
        return None
    start = float(value.item())
    if not math.isfinite(start):
        report.add("loss", "error", f"the loss is {start} at the start. {_culprit(model, inputs, target, loss)}",
                   "keep arguments of log, sqrt and divisions away from 0, or use a loss that takes logits")  # fmt: skip
        return None
    _check_domain(report, loss, output, start)
    _check_chance(report, loss, output, target, start)
    if not value.requires_grad:
        report.add("loss", "error", "the loss does not depend on any parameter that requires a gradient",
                   "look for .detach(), .item(), .numpy() or no_grad() between model and loss, and for argmax or round")  # fmt: skip
        return None
    value.backward()
    _check_start(report, model)
    _check_gradients(report, model)
    return start


def _culprit(model: Module, inputs: tuple[Tensor, ...], target: Tensor, loss: Callable[..., Any]) -> str:
    try:
        return first_nonfinite(lambda: loss(model(*inputs), target))
    except TraceError:
        return ""  # a model that cannot be traced is not replayed


def _check_layers(report: CheckReport, model: Module, inputs: tuple[Tensor, ...]) -> Any:
    """Run the model and look at what every layer gives; its output, or None if it fails."""
    seen: list[tuple[str, Module, Tensor]] = []
    handles = []
    for path, m in model.named_modules():
        if not any(True for _ in m.children()):

            def look(module: Module, _: Any, output: Any, path: str = path) -> None:
                seen.extend((path, module, t) for t in tree_leaves(output) if isinstance(t, Tensor))

            handles.append(m.register_forward_hook(look))
    try:
        output = model(*inputs)
    except (TwinflowError, TypeError) as error:
        trail = "".join(f"\n  {path} {type(m).__name__} → {list(t.shape)}" for path, m, t in seen)
        after = f"\nthe layers before it gave:{trail}" if trail else ""
        report.add("structure", "error", f"the model fails on this input: {type(error).__name__}\n{error}{after}",
                   "do what the message says, or give this layer the input size that the layer before it gives")  # fmt: skip
        return None
    finally:
        for handle in handles:
            handle.remove()
    shapes = "".join(f"\n{path or 'model'} {type(m).__name__} → {list(t.shape)}" for path, m, t in seen)
    report.add("structure", "ok", f"every layer takes what the one before it gives{shapes}")
    for path, m, t in seen:
        where = f"{path or 'model'} ({type(m).__name__})"
        a = array_of(t)
        if not is_finite(t):
            report.add("structure", "error", f"{where} gives NaN or infinity",
                       "it is the first layer to do so: look at its parameters and at what it is given")  # fmt: skip
            return None
        if a.dtype.kind == "f" and a.ndim > 1 and len(a) > 1 and a.size > len(a):
            dead = float((a == 0).all(axis=0).mean())
            if dead > 0.5:
                report.add("structure", "warning", f"{where}: {dead:.0%} of its outputs are 0 for every example",
                           "a dead activation learns nothing: LeakyReLU, smaller weights or learning rate, or scaled inputs")  # fmt: skip
    if isinstance(output, Tensor):
        _check_independence(report, model, inputs, output)
    return output


def _check_independence(report: CheckReport, model: Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    """Whether the last example gives the same alone as among the others (the first would, in a network that reads the batch as time)."""
    n = inputs[0].shape[0] if inputs[0].ndim else 0
    if n < 2:
        return
    if not output.ndim or output.shape[0] != n:
        report.add("structure", "warning", f"{n} examples go in, but an output of shape {list(output.shape)} comes out",
                   "keep the batch in axis 0: use x.flatten(1), not x.view(-1, n) or x.flatten()")  # fmt: skip
        return
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with no_grad():
            whole, alone = array_of(model(*inputs)[-1:]), array_of(model(*(t[-1:] for t in inputs)))
    except (TwinflowError, TypeError):
        return  # a model for batches of one fixed size, such as one with a state, cannot be asked
    finally:
        for m, mode in modes:
            m.training = mode
    if whole.shape != alone.shape or not np.allclose(whole, alone, rtol=1e-2, atol=1e-3 * (np.abs(whole).max() + 1e-6)):
        report.add("structure", "warning", "the last example gives something else alone than among the others",
                   "look for a softmax, mean or reshape over axis 0, the batch; and for batch_first in recurrent layers")  # fmt: skip


def _check_start(report: CheckReport, model: Module) -> None:
    """Whether units begin alike: those that do get the same gradient and stay alike."""
    alike = []
    for name, p in model.named_parameters():
        if p.ndim > 1 and p.shape[0] > 1 and p.numel() > 2:
            a = array_of(p)
            if np.ptp(a) == 0:
                alike.append(f"{name} ({a.flat[0]:g})")
    if alike:
        report.add("structure", "warning", f"all weights of a layer are the same number: {', '.join(alike)}",
                   "units that begin alike learn the same: draw initial weights at random (reset_parameters(), or nn.init)")  # fmt: skip


def _check_gradients(report: CheckReport, model: Module) -> None:
    """Which parameters the loss does not reach."""
    named = list(model.named_parameters())
    frozen = [name for name, p in named if not p.requires_grad]
    apart = [name for name, p in named if p.requires_grad and p.grad is None]
    dead = [name for name, p in named if p.grad is not None and not array_of(p.grad).any()]
    wild = [name for name, p in named if p.grad is not None and not is_finite(p.grad)]
    if apart:
        report.add("structure", "error", f"the loss does not depend on: {', '.join(apart)}",
                   "use these layers in forward, or remove them; look for .detach() and .item() on the way")  # fmt: skip
    if dead:
        report.add("structure", "warning", f"the gradient is 0 everywhere for: {', '.join(dead)}",
                   "dead activations, saturated sigmoids, a softmax over a single output, or an operation such as round stop it")  # fmt: skip
    if wild:
        report.add("structure", "error", f"the gradient is NaN or infinite for: {', '.join(wild)}",
                   "look for sqrt, division or norm of 0, whose derivatives are unbounded; add a small number")  # fmt: skip
    if not (apart or dead or wild):
        kept = f" ({len(frozen)} are frozen: {', '.join(frozen)})" if frozen else ""
        report.add("structure", "ok", f"the loss reaches {len(named) - len(frozen)} parameters{kept}")


def _kind(loss: Callable[..., Any]) -> str:
    """The name of a loss, whether layer or function: crossentropy, bce, ..."""
    name = type(loss).__name__ if isinstance(loss, Module) else getattr(loss, "__name__", "")
    return name.lower().replace("_", "").removesuffix("loss")


def _check_domain(report: CheckReport, loss: Callable[..., Any], output: Any, start: float) -> None:
    """Outputs that the loss takes without complaint, and should not get."""
    kind = _kind(loss)
    if start < 0 and kind in ("mse", "l1", "huber", "smoothl1", "crossentropy", "nll", "bce", "bcewithlogits"):
        report.add("loss", "warning", f"the loss is negative at the start: {start:.4g}",
                   "NLLLoss takes logarithms (log_softmax); targets of BCE lie in [0, 1]")  # fmt: skip
    if not isinstance(output, Tensor) or output.ndim < 2:
        return
    a = array_of(output)
    within = bool(((a >= 0) & (a <= 1)).all())
    if kind == "crossentropy":
        if a.shape[1] == 1:
            report.add("loss", "error", "cross-entropy with a single output: its softmax is always 1, and nothing is learned",
                       "for two classes use BCEWithLogitsLoss, or give the model two outputs")  # fmt: skip
        elif within and np.allclose(a.sum(axis=1), 1, atol=1e-3):
            report.add("loss", "warning", "the outputs are probabilities already, and cross-entropy applies softmax itself",
                       "remove the softmax at the end of the model")  # fmt: skip
    elif kind in ("bcewithlogits", "binarycrossentropywithlogits") and within and a.std() > 0:
        report.add("loss", "warning", "all outputs lie in [0, 1], and this loss applies sigmoid itself",
                   "remove the sigmoid at the end of the model, or use BCELoss")  # fmt: skip


def _check_chance(report: CheckReport, loss: Callable[..., Any], output: Any, target: Tensor, start: float) -> None:
    """The loss beside that of an output that is the same for every example."""
    if not isinstance(output, Tensor):
        report.add("loss", "ok", f"{start:.4g} at the start")
        return
    guesses = [zeros_like(output)]
    if tuple(target.shape) == tuple(output.shape) and target.dtype.is_floating_point:
        guesses.append(full_like(output, float(array_of(target).mean())))
    values = []
    for guess in guesses:
        try:
            values.append(float(loss(guess.detach(), target).item()))
        except TwinflowError:
            continue  # a guess outside the domain of this loss
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        report.add("loss", "ok", f"{start:.4g} at the start")
        return
    chance = min(finite)
    seen = f"{start:.4g} at the start; the same guess for every example would give {chance:.4g}"
    if start > 2 * chance + 1e-3:
        report.add(
            "loss",
            "warning",
            seen,
            "the first outputs are far off: scale inputs and targets, or start from smaller weights",
        )
    else:
        report.add("loss", "ok", seen)
