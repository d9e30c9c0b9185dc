"""The Trainer: loops over data, and everything around them, so that a user writes only the step."""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from twinflow.core import as_dtype, tree_leaves
from twinflow.core.errors import ArgumentError, CheckpointError, DataError, GradientError, TraceError
from twinflow.jit import compile as compile_function
from twinflow.metrics import Metric
from twinflow.nn import Module
from twinflow.nn.utils import clip_grad_norm_
from twinflow.ops import default_generator, from_numpy, scalar_tensor, stack
from twinflow.optim import Optimizer
from twinflow.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from twinflow.tensor import Tensor, host_scalar, is_tracing, no_grad
from twinflow.train._callbacks import Callback, ProgressBar
from twinflow.train._loggers import make_loggers
from twinflow.train._module import Supervised, TrainModule
from twinflow.train._nonfinite import first_nonfinite
from twinflow.utils import load, save

_FORMAT = 1


class Trainer:
    """Train, validate, test and predict.

    Args:
        max_epochs: how often to go through the data.
        max_steps: stop after so many optimizer steps, if that is earlier.
        callbacks: see `Callback`.
        logger: where numbers are kept: a logger, several, or None.
        log_every_n_steps: how often the numbers of single batches are logged.
        gradient_clip_val: the largest norm of all gradients together; larger ones are scaled down to it.
        accumulate_grad_batches: add the gradients of so many batches before each optimizer step.
        check_val_every_n_epoch: how often validation data is gone through.
        limit_train_batches, limit_val_batches: look at so many batches only, to try something out.
        enable_progress_bar: show where training stands.
        compile: run the step through `twinflow.compile`.
        check_finite: stop at the first loss or gradient that is NaN or infinite, and name the operation that made it.

    Example:
        >>> import twinflow
        >>> from twinflow import data, nn, train
        >>> x = twinflow.rand(64, 3)
        >>> model = nn.Linear(3, 1)
        >>> trainer = train.Trainer(max_epochs=20, enable_progress_bar=False)
        >>> optimizer = twinflow.optim.Adam(model.parameters(), lr=0.1)
        >>> loader = data.DataLoader(data.TensorDataset(x, x.sum(1, keepdim=True)), 16)
        >>> metrics = trainer.fit(model, loader, loss=nn.MSELoss(), optimizer=optimizer)
        >>> metrics["loss"] < 0.05
        True
    """

    def __init__(
        self,
        max_epochs: int = 1,
        *,
        max_steps: int | None = None,
        callbacks: Iterable[Callback] = (),
        logger: Any = None,
        log_every_n_steps: int = 50,
        gradient_clip_val: float | None = None,
        accumulate_grad_batches: int = 1,
        check_val_every_n_epoch: int = 1,
        limit_train_batches: int | None = None,
        limit_val_batches: int | None = None,
        enable_progress_bar: bool = True,
        compile: bool = False,
        check_finite: bool = True,
    ) -> None:
        for key, value in (("max_epochs", max_epochs), ("accumulate_grad_batches", accumulate_grad_batches),
                           ("check_val_every_n_epoch", check_val_every_n_epoch), ("log_every_n_steps", log_every_n_steps)):  # fmt: skip
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"Trainer: {key} must be a whole number of at least 1, but {value!r} was given")
        if gradient_clip_val is not None and not gradient_clip_val > 0:
            raise ArgumentError(f"Trainer: gradient_clip_val must be positive, but {gradient_clip_val!r} was given")
        self.max_epochs, self.max_steps = max_epochs, max_steps
        self.callbacks = list(callbacks)
        if enable_progress_bar and not any(isinstance(c, ProgressBar) for c in self.callbacks):
            self.callbacks.insert(0, ProgressBar())
        self.loggers = make_loggers(logger)
        self.log_every_n_steps = log_every_n_steps
        self.gradient_clip_val = gradient_clip_val
        self.accumulate_grad_batches = accumulate_grad_batches
        self.check_val_every_n_epoch = check_val_every_n_epoch
        self.limit_train_batches, self.limit_val_batches = limit_train_batches, limit_val_batches
        self.compile, self.check_finite = compile, check_finite
        self.current_epoch = 0
        self.global_step = 0  # optimizer steps
        self.global_batch = 0  # training batches
        self.batch_idx = 0
        self.should_stop = False
        self.num_training_batches: int | None = None
        self.metrics: dict[str, float] = {}  # means of the last epoch
        self.step_metrics: dict[str, float] = {}  # of the last batch
        self.optimizers: list[Optimizer] = []
        self.module: TrainModule | None = None
        self._schedules: list[tuple[LRScheduler, str, str | None]] = []
        self._loader: Any = None
        self._logged: dict[str, tuple[Any, bool, int | None]] = {}
        self._means = _Means()
        self._on_bar: set[str] = set()
        self._seen: dict[str, list[Any]] = {}
        self._judges: dict[str, tuple[TrainModule, _Step]] = {}

    # -- fit ---------------------------------------------------------------------------------------------------

    def fit(
        self,
        model: Module,
        train_loader: Iterable[Any],
        val_loader: Iterable[Any] | None = None,
        *,
        loss: Callable[[Any, Any], Any] | None = None,
        optimizer: Optimizer | None = None,
        scheduler: LRScheduler | None = None,
        metrics: Mapping[str, Any] | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
    ) -> dict[str, float]:
        """Train a TrainModule, or any module with a loss and an optimizer. Returns the means of the last epoch.

        Args:
            train_loader, val_loader: batches; a plain module takes (inputs..., target).
            loss, optimizer, scheduler, metrics: for a plain module: a function of (prediction, target), what updates its
                parameters, a schedule that steps each epoch, and metrics of `twinflow.metrics` by name.
            ckpt_path: go on from this checkpoint, exactly as if the run had not been interrupted.
        Raises: GradientError naming the first operation that gave NaN or infinity, CheckpointError for a checkpoint that
            is damaged or of another model, DataError if there are no batches.
        """
        module = self._attach(model, loss, optimizer, scheduler, metrics)
        self._loader = train_loader
        self.num_training_batches = _length(train_loader, self.limit_train_batches)
        self.current_epoch = self.global_step = self.global_batch = self.batch_idx = 0
        self.should_stop = False
        self.metrics, self._means = {}, _Means()
        self._seen, self._judges = {}, {}
        self._configure(module)
        if ckpt_path is not None:
            self._restore(load(ckpt_path), os.fspath(ckpt_path))
        learn, settle = self._make_step(module)
        was = module.training
        try:
            self._call("on_fit_start")
            while self.current_epoch < self.max_epochs and not self._over():
                self._run_epoch(module, learn, settle, val_loader)
        finally:
            module.train(was)
            self._call("on_fit_end")
            for logger in self.loggers:
                logger.finalize()
        return dict(self.metrics)

    def _over(self) -> bool:
        return self.should_stop or (self.max_steps is not None and self.global_step >= self.max_steps)

    def _attach(
        self, model: Module, loss: Any = None, optimizer: Any = None, scheduler: Any = None, metrics: Any = None
    ) -> TrainModule:
        if isinstance(model, TrainModule):
            if loss is not None or optimizer is not None or scheduler is not None or metrics:
                raise ArgumentError(
                    f"{type(model).__name__} is a TrainModule: its own training_step and configure_optimizers are used; leave out "
                    "loss, optimizer, scheduler and metrics"
                )
            module = model
        elif isinstance(model, Module):
            if (
                self.module is not None
                and isinstance(self.module, Supervised)
                and self.module.model is model
                and loss is None
                and optimizer is None
            ):
                module = self.module  # validate or test after fit: with the same loss and metrics
            else:
                module = Supervised(model, loss, optimizer, scheduler, metrics or {})
        else:
            raise ArgumentError(f"Trainer: a Module is needed, not {type(model).__name__}")
        self.module = module
        module.__dict__["trainer"] = self
        return module

    def _configure(self, module: TrainModule) -> None:
        made = module.configure_optimizers()
        interval, monitor, schedules = "epoch", None, []
        if isinstance(made, dict):
            optimizers, interval, monitor = [made["optimizer"]], made.get("interval", "epoch"), made.get("monitor")
            schedules = [made["scheduler"]] if made.get("scheduler") is not None else []
        elif isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], LRScheduler):
            optimizers, schedules = [made[0]], [made[1]]
        else:
            optimizers = list(made) if isinstance(made, (list, tuple)) else [made]
        for o in optimizers:
            if not isinstance(o, Optimizer):
                raise ArgumentError(f"configure_optimizers: an optimizer was expected, not {type(o).__name__}")
        if interval not in ("epoch", "step"):
            raise ArgumentError(f"configure_optimizers: interval is 'epoch' or 'step', not {interval!r}")
        if len(optimizers) > 1 and module.automatic_optimization:
            raise ArgumentError(
                f"{type(module).__name__}: with {len(optimizers)} optimizers, set automatic_optimization = False and call backward() and "
                "the optimizers in training_step"
            )
        self.optimizers = optimizers
        self._schedules = [(s, interval, monitor) for s in schedules]

    def _make_step(self, module: TrainModule) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """What adds gradients for a batch, and what updates: the second does both where one program can."""

        def learn(batch: Any) -> Any:
            loss = self._loss_of(module.training_step(batch, self._index()))
            if module.automatic_optimization:
                (loss / self.accumulate_grad_batches if self.accumulate_grad_batches > 1 else loss).backward()
            return loss

        def update() -> None:
            if self.gradient_clip_val is not None:
                clip_grad_norm_(
                    [p for group in self.optimizers[0].param_groups for p in group["params"]], self.gradient_clip_val
                )
            self.optimizers[0].step()
            for schedule, interval, _ in self._schedules:
                if interval == "step" and not isinstance(schedule, ReduceLROnPlateau):
                    schedule.step()
            self.optimizers[0].zero_grad()

        def both(batch: Any) -> Any:
            loss = learn(batch)
            update()
            return loss

        def judged(batch: Any) -> Any:
            loss = learn(batch)
            grads = [p.grad for p in self._trained() if p.grad is not None]
            with no_grad():
                return loss.detach(), stack([x.isfinite().all() for x in (loss, *grads)]).all()

        if not module.automatic_optimization:
            return _Step(self, "learn", learn), _nothing
        if self.compile and self.check_finite:  # two programs, so that a loss of NaN is seen before anything is updated
            return _Step(self, "judged", judged), compile_function(update)
        return _Step(self, "learn", learn), _Step(self, "both", both) if self.compile else update

    def _trained(self) -> list[Tensor]:
        """The parameters of all optimizers."""
        return [p for o in self.optimizers for group in o.param_groups for p in group["params"]]

    def _index(self) -> Any:
        return host_scalar(lambda: self.batch_idx, as_dtype("int64"), "batch_idx") if is_tracing() else self.batch_idx

    def _loss_of(self, out: Any) -> Tensor:
        loss = out.get("loss") if isinstance(out, Mapping) else out
        if self.module is not None and not self.module.automatic_optimization:
            return loss if isinstance(loss, Tensor) else scalar_tensor(0.0)
        if not isinstance(loss, Tensor):
            raise ArgumentError(
                f"training_step must return the loss (a tensor, or a dict with 'loss'), not {type(loss).__name__}"
            )
        if loss.shape != () and loss.numel() != 1:
            raise ArgumentError(
                f"training_step returned a loss of shape {tuple(loss.shape)}; reduce it to one number, for example with .mean()"
            )
        return loss

    def _run_epoch(
        self, module: TrainModule, learn: Callable[..., Any], settle: Callable[..., Any], val_loader: Any
    ) -> None:
        module.train()
        if self.batch_idx == 0:
            self._means = _Means()
            module.on_train_epoch_start()
            self._call("on_train_epoch_start")
            if module.automatic_optimization:
                self.optimizers[0].zero_grad()
        seen = self.batch_idx
        for batch in self._batches(seen):
            self._learn_batch(module, learn, settle, batch)
            seen += 1
            if self._over():
                break
        if seen == 0:
            raise DataError(
                "Trainer: the training data gave no batch"
                + (" a second time; pass a DataLoader, or a list, instead of an iterator" if self.current_epoch else "")
            )
        module.on_train_epoch_end()
        self.metrics = self._means.finish()
        if val_loader is not None and (self.current_epoch + 1) % self.check_val_every_n_epoch == 0:
            self._call("on_validation_start")
            self.metrics.update(self._judge(module, val_loader, "validation_step", self.limit_val_batches))
        for schedule, interval, monitor in self._schedules:
            if isinstance(schedule, ReduceLROnPlateau):
                if monitor is None or monitor not in self.metrics:
                    raise ArgumentError(
                        f"ReduceLROnPlateau: monitor names the metric to watch, one of {', '.join(self.metrics)}; it is {monitor!r}"
                    )
                schedule.step(self.metrics[monitor])
            elif interval == "epoch":
                schedule.step()
        self._call("on_train_epoch_end")
        self.log_to_loggers(self.metrics)
        self.current_epoch += 1
        self.batch_idx = 0

    def _batches(self, skip: int) -> Iterator[Any]:
        """The batches that this epoch has not seen yet."""
        batches: Iterator[Any] = iter(self._loader)
        if skip and not hasattr(self._loader, "load_state_dict"):
            batches = itertools.islice(batches, skip, None)
        return (
            batches
            if self.limit_train_batches is None
            else itertools.islice(batches, max(self.limit_train_batches - skip, 0))
        )

    def _learn_batch(
        self, module: TrainModule, learn: Callable[..., Any], settle: Callable[..., Any], batch: Any
    ) -> None:
        whole = self.compile and module.automatic_optimization and not self.check_finite
        kept = default_generator.get_state() if self.check_finite else None
        finite = None
        last = self.num_training_batches is not None and self.batch_idx + 1 == self.num_training_batches
        due = (self.batch_idx + 1) % self.accumulate_grad_batches == 0 or last
        loss = (settle if whole and due else learn)(batch)
        if self.check_finite:
            if self.compile and module.automatic_optimization:
                loss, finite = loss
            self._check(module, batch, loss, kept, finite)
        if due and not whole:
            settle()
        self.batch_idx += 1
        self.global_batch += 1
        self.global_step += due
        size = self.batch_size_of(batch)
        self.step_metrics = {}
        for name, (value, bar, weight) in self._logged.items():
            x = self._means.add(name, value, size if weight is None else weight)
            if x is not None:
                self.step_metrics[name] = x
            if bar:
                self._on_bar.add(name)
        self._call("on_train_batch_end", batch, self.batch_idx - 1)
        if self.loggers and self.global_step % self.log_every_n_steps == 0:
            self.log_to_loggers(self.step_metrics)

    def _check(self, module: TrainModule, batch: Any, loss: Tensor, kept: Any, finite: Tensor | None) -> None:
        if finite is not None and bool(finite):
            return
        with no_grad():
            value = float(loss.sum()) if loss.numel() != 1 else float(loss)
            if math.isfinite(value) and finite is None:
                updated = self.compile and not module.automatic_optimization
                grads = [] if updated else [p.grad for p in self._trained() if p.grad is not None]
                # a finite sum has finite terms; only where it is not are the terms looked at
                if all(math.isfinite(float(g.sum())) or bool(g.isfinite().all()) for g in grads):
                    return
        where = f"epoch {self.current_epoch + 1}, batch {self.batch_idx}"
        what = f"the loss is {value}" if not math.isfinite(value) else "a gradient is not finite"
        if self.compile and not module.automatic_optimization:
            raise GradientError(
                f"fit: {what} in {where}; the compiled step has already updated the parameters. Run with Trainer(compile=False) from the last "
                "checkpoint to see which operation gave it first"
            )
        default_generator.set_state(kept)
        module.zero_grad()  # the step that is looked at must not start from the gradients it has spoilt

        def again(batch: Any) -> Any:
            found = self._loss_of(module.training_step(batch, self._index()))
            if module.automatic_optimization:
                found.backward()
            return found

        raise GradientError(
            f"fit: {what} in {where}, so training stops before the parameters are spoilt; {first_nonfinite(again, batch) or 'its operations gave finite values when they were run again'}"
        )

    # -- the other loops ---------------------------------------------------------------------------------------

    def validate(
        self, model: Module, loader: Iterable[Any], *, loss: Any = None, metrics: Any = None
    ) -> dict[str, float]:
        """The means of what `validation_step` logs. A plain module takes the loss and metrics of the last fit, or these."""
        return self._judge(
            self._attach(model, loss, metrics=metrics), loader, "validation_step", self.limit_val_batches
        )

    def test(self, model: Module, loader: Iterable[Any], *, loss: Any = None, metrics: Any = None) -> dict[str, float]:
        """The means of what `test_step` logs."""
        return self._judge(self._attach(model, loss, metrics=metrics), loader, "test_step", None)

    def predict(self, model: Module, loader: Iterable[Any]) -> list[Any]:
        """What `predict_step` returns for each batch."""
        module = self._attach(model)
        was = module.training
        module.eval()
        step = self._judging(module, "predict_step")
        found = []
        try:
            with no_grad():
                for self.batch_idx, batch in enumerate(loader):
                    found.append(step(batch))
            return found
        finally:
            module.train(was)

    def _judge(self, module: TrainModule, loader: Iterable[Any], step: str, limit: int | None) -> dict[str, float]:
        was = module.training
        module.eval()
        means = _Means()

        run = self._judging(module, step)
        kept, seen = self.batch_idx, 0
        try:
            with no_grad():
                for batch in itertools.islice(loader, limit):
                    self.batch_idx = seen
                    run(batch)
                    size = self.batch_size_of(batch)
                    for name, (value, _, weight) in self._logged.items():
                        means.add(name, value, size if weight is None else weight)
                    seen += 1
        finally:
            self.batch_idx = kept
            module.train(was)
        if not seen:
            raise DataError(f"Trainer: the data for {step} gave no batch")
        return means.finish()

    def _judging(self, module: TrainModule, step: str) -> _Step:
        """The step for validation, test or prediction: made once for a module, so that it is compiled once."""
        kept = self._judges.get(step)
        if kept is None or kept[0] is not module:
            with no_grad():  # as it will run
                kept = self._judges[step] = (
                    module,
                    _Step(self, step, lambda batch: getattr(module, step)(batch, self._index())),
                )
        return kept[1]

    # -- numbers -----------------------------------------------------------------------------------------------

    def _log(self, name: str, value: Any, bar: bool, weight: int | None) -> None:
        if isinstance(value, Tensor):
            if value.numel() != 1:
                raise ArgumentError(
                    f"log({name!r}): one number is needed, not a tensor of shape {tuple(value.shape)}; reduce it first"
                )
            value = value.detach()
        elif not isinstance(value, Metric):
            if is_tracing():
                raise TraceError(
                    f"log({name!r}): a number from Python would stay as it is now in every compiled step; log a tensor"
                )
            value = float(value)
        self._logged[name] = (value, bar, weight)

    def log_to_loggers(self, metrics: dict[str, float]) -> None:
        """Give numbers to all loggers, for the current step."""
        for logger in self.loggers:
            logger.log_metrics({"epoch": self.current_epoch, **metrics}, self.global_step)

    def bar_metrics(self) -> dict[str, float]:
        """What stands beside the progress bar: the epoch's means so far."""
        return {k: v for k, v in self._means.result().items() if k in self._on_bar}

    @staticmethod
    def batch_size_of(batch: Any) -> int:
        """The length of the first tensor in a batch."""
        for x in tree_leaves(batch):
            if isinstance(x, Tensor) and x.shape:
                return int(x.shape[0])
        return 1

    def _call(self, point: str, *args: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self, self.module, *args)

    # -- checkpoints -------------------------------------------------------------------------------------------

    def save_checkpoint(self, path: str | os.PathLike[str], *, after_epoch: bool = False) -> None:
        """Write the whole state of the run, atomically.

        Args:
            after_epoch: the epoch is over: a resumed run begins with the next one.
        """
        module = self.module
        if module is None:
            raise ArgumentError("save_checkpoint: nothing has been trained yet")
        loader = self._loader.state_dict() if hasattr(self._loader, "state_dict") else None
        save(
            {
                "format": _FORMAT,
                "epoch": self.current_epoch + after_epoch,
                "batch_idx": 0 if after_epoch else self.batch_idx,
                "global_step": self.global_step,
                "global_batch": self.global_batch,
                "should_stop": self.should_stop,
                "model": module.state_dict(),
                "gradients": self._gradients(module) if self.accumulate_grad_batches > 1 and not after_epoch else {},
                "optimizers": [o.state_dict() for o in self.optimizers],
                "schedulers": [s.state_dict() for s, _, _ in self._schedules],
                "random": {
                    "twinflow": default_generator.get_state(),
                    "python": random.getstate(),
                    "numpy": np.random.get_state(),
                },
                "loader": loader,
                "seen": self._seen,
                "means": _Means().state_dict() if after_epoch else self._means.state_dict(),
                "callbacks": [{"type": type(c).__name__, "state": c.state_dict()} for c in self.callbacks],
            },
            path,
        )

    def _gradients(self, module: TrainModule) -> dict[str, Tensor]:
        return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}

    def _restore(self, saved: Any, path: str) -> None:
        if not isinstance(saved, dict) or "global_step" not in saved or self.module is None:
            raise CheckpointError(
                f"fit: {path} is no checkpoint of a run; to start from a model's parameters, load them with load_state_dict"
            )
        if saved["format"] > _FORMAT:
            raise CheckpointError(f"fit: {path} was written by a newer twinflow; update it")
        if len(saved["optimizers"]) != len(self.optimizers) or len(saved["schedulers"]) != len(self._schedules):
            raise CheckpointError(
                f"fit: {path} has {len(saved['optimizers'])} optimizers and {len(saved['schedulers'])} schedules, but this run has "
                f"{len(self.optimizers)} and {len(self._schedules)}"
            )
        self.module.load_state_dict(saved["model"])
        for name, p in self.module.named_parameters():
            p.grad = saved["gradients"].get(name)
        for o, state in zip(self.optimizers, saved["optimizers"]):
            o.load_state_dict(state)
            o._stepped = True
        for (s, _, _), state in zip(self._schedules, saved["schedulers"]):
            s.load_state_dict(state)
        default_generator.set_state(saved["random"]["twinflow"])
        random.setstate(saved["random"]["python"])
        np.random.set_state(saved["random"]["numpy"])
        self.current_epoch, self.batch_idx = saved["epoch"], saved["batch_idx"]
        self.global_step, self.global_batch = saved["global_step"], saved["global_batch"]
        self.should_stop = saved["should_stop"]
        self._seen = saved["seen"]
        self._means.load_state_dict(saved["means"], self.module.epoch_metrics())
        if saved["loader"] is not None and hasattr(self._loader, "load_state_dict"):
            self._loader.load_state_dict(saved["loader"])
        waiting = list(saved["callbacks"])
        for callback in self.callbacks:
            for k, entry in enumerate(waiting):
                if entry["type"] == type(callback).__name__:
                    callback.load_state_dict(entry["state"])
                    del waiting[k]
                    break


class _Means:
    """Weighted means of numbers, and metrics that keep their own state, over an epoch."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._metrics: dict[str, Any] = {}

    def add(self, name: str, value: Any, weight: float) -> float | None:
        """Take one batch's value into account; returns it as a number, unless it is a metric of the whole epoch."""
        if isinstance(value, Metric):
            self._metrics[name] = value
            return None
        x = float(value)
        total = self._sums.setdefault(name, [0.0, 0.0])
        total[0] += x * weight
        total[1] += weight
        return x

    def result(self) -> dict[str, float]:
        """The means."""
        found = {k: total / max(weight, 1e-30) for k, (total, weight) in self._sums.items()}
        return {**found, **{k: float(m.compute()) for k, m in self._metrics.items()}}

    def finish(self) -> dict[str, float]:
        """The means, after which metrics begin anew."""
        found = self.result()
        for metric in self._metrics.values():
            metric.reset()
        return found

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {
            "sums": {k: list(v) for k, v in self._sums.items()},
            "metrics": {k: m.state_dict() for k, m in self._metrics.items()},
        }

    def load_state_dict(self, state: dict[str, Any], metrics: Mapping[str, Any]) -> None:
        """Go on from these sums."""
        self._sums = {k: list(v) for k, v in state["sums"].items()}
        for name, saved in state["metrics"].items():
            if name in metrics:
                self._metrics[name] = metrics[name]
                metrics[name].load_state_dict(saved)


def _length(loader: Any, limit: int | None) -> int | None:
    try:
        n = len(loader)
    except (TypeError, NotImplementedError):
        return limit
    return n if limit is None else min(n, limit)


def _nothing() -> None:
    pass


class _Step:
    """A step of a module, compiled or not, with what it logged."""

    def __init__(self, trainer: Trainer, name: str, fn: Callable[[Any], Any]) -> None:
        self._trainer, self._fn = trainer, fn
        self._said: dict[str, tuple[Any, bool, int | None]] = {}
        self._compiled = compile_function(self._body) if trainer.compile else None
        # The structures of batches in the order they were first seen: sizes that change get names in compiled code, which may round
        # differently, so a resumed run must have seen the same.
        self.seen: list[Any] = trainer._seen.setdefault(name, [])
        if self._compiled is not None:
            for structure in self.seen:
                self._compiled.see(_from_structure(structure))

    def _body(self, batch: Any) -> Any:
        self._trainer._logged = {}
        out = self._fn(batch)
        self._said = self._trainer._logged
        return out, {name: value for name, (value, _, _) in self._said.items() if isinstance(value, Tensor)}

    def __call__(self, batch: Any) -> Any:
        if self._compiled is None:
            return self._body(batch)[0]
        if (structure := _structure(batch)) not in self.seen:
            self.seen.append(structure)
        out, values = self._compiled(batch)  # it says only while it is traced what it logs; the values are new
        self._trainer._logged = {
            name: (values.get(name, value), bar, weight) for name, (value, bar, weight) in self._said.items()
        }
        return out


def _structure(x: Any) -> Any:
    """A batch with a description in place of each tensor, as `save` can hold it."""
    if isinstance(x, Tensor):
        return {"shape": list(x.shape), "dtype": x.dtype.name}
    if isinstance(x, Mapping):
        return {"items": {k: _structure(v) for k, v in x.items()}}
    if isinstance(x, (list, tuple)):
        return [_structure(v) for v in x] if isinstance(x, list) else tuple([_structure(v) for v in x])
    return {"value": x if x is None or isinstance(x, (bool, int, float, str)) else repr(x)}


def _from_structure(x: Any) -> Any:
    """A batch of this structure, whose tensors take no memory."""
    if isinstance(x, (list, tuple)):
        return type(x)(_from_structure(v) for v in x)
    if "shape" in x:
        return from_numpy(np.broadcast_to(np.zeros((), as_dtype(x["dtype"]).np), tuple(x["shape"])))
    return {k: _from_structure(v) for k, v in x["items"].items()} if "items" in x else x["value"]
