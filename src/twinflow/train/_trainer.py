"""The Trainer: loops over data, and everything around them, so that a user writes only the step."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from twinflow.core import as_dtype, tree_leaves
from twinflow.core.errors import ArgumentError, DataError, TraceError
from twinflow.metrics import Metric
from twinflow.nn import Module
from twinflow.optim import Optimizer
from twinflow.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from twinflow.tensor import Tensor, host_scalar, is_tracing, no_grad
from twinflow.train._callbacks import Callback, ProgressBar
from twinflow.train._checkpoint import restore_run, run_state
from twinflow.train._configured import Schedule, optimizers_of
from twinflow.train._learning import Learner
from twinflow.train._loggers import make_loggers
from twinflow.train._means import Means
from twinflow.train._module import Supervised, TrainModule
from twinflow.train._steps import Step
from twinflow.utils import load, save


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
        self.schedules: list[Schedule] = []
        self.loader: Any = None
        self.logged: dict[str, tuple[Any, bool, int | None]] = {}
        self.means = Means()
        self._on_bar: set[str] = set()
        self.seen: dict[str, list[Any]] = {}
        self._judges: dict[str, tuple[TrainModule, Step]] = {}

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
        self.loader = train_loader
        self.num_training_batches = _length(train_loader, self.limit_train_batches)
        self.current_epoch = self.global_step = self.global_batch = self.batch_idx = 0
        self.should_stop = False
        self.metrics, self.means = {}, Means()
        self.seen, self._judges = {}, {}
        self._configure(module)
        if ckpt_path is not None:
            restore_run(self, module, load(ckpt_path), os.fspath(ckpt_path))
        learn = Learner(self, module)
        was = module.training
        try:
            self._call("on_fit_start")
            while self.current_epoch < self.max_epochs and not self._over():
                self._run_epoch(module, learn, val_loader)
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
        optimizers, schedules = optimizers_of(module.configure_optimizers())
        if len(optimizers) > 1 and module.automatic_optimization:
            raise ArgumentError(
                f"{type(module).__name__}: with {len(optimizers)} optimizers, set automatic_optimization = False and call backward() and "
                "the optimizers in training_step"
            )
        self.optimizers, self.schedules = optimizers, schedules

    def index(self) -> Any:
        """The number of the batch in its epoch; in a compiled step, one that is read anew for each call."""
        return host_scalar(lambda: self.batch_idx, as_dtype("int64"), "batch_idx") if is_tracing() else self.batch_idx

    def _run_epoch(self, module: TrainModule, learn: Learner, val_loader: Any) -> None:
        module.train()
        if self.batch_idx == 0:
            self.means = Means()
            module.on_train_epoch_start()
            self._call("on_train_epoch_start")
            if module.automatic_optimization:
                self.optimizers[0].zero_grad()
        seen = self.batch_idx
        for batch in self._batches(seen):
            self._learn_batch(learn, batch)
            seen += 1
            if self._over():
                break
        if seen == 0:
            raise DataError(
                "Trainer: the training data gave no batch"
                + (" a second time; pass a DataLoader, or a list, instead of an iterator" if self.current_epoch else "")
            )
        module.on_train_epoch_end()
        self.metrics = self.means.finish()
        if val_loader is not None and (self.current_epoch + 1) % self.check_val_every_n_epoch == 0:
            self._call("on_validation_start")
            self.metrics.update(self._judge(module, val_loader, "validation_step", self.limit_val_batches))
        for schedule, interval, monitor in self.schedules:
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
        batches: Iterator[Any] = iter(self.loader)
        if skip and not hasattr(self.loader, "load_state_dict"):
            batches = itertools.islice(batches, skip, None)
        return (
            batches
            if self.limit_train_batches is None
            else itertools.islice(batches, max(self.limit_train_batches - skip, 0))
        )

    def _learn_batch(self, learn: Learner, batch: Any) -> None:
        last = self.num_training_batches is not None and self.batch_idx + 1 == self.num_training_batches
        due = (self.batch_idx + 1) % self.accumulate_grad_batches == 0 or last
        learn(batch, due)
        self.batch_idx += 1
        self.global_batch += 1
        self.global_step += due
        size = self.batch_size_of(batch)
        self.step_metrics = {}
        for name, (value, bar, weight) in self.logged.items():
            x = self.means.add(name, value, size if weight is None else weight)
            if x is not None:
                self.step_metrics[name] = x
            if bar:
                self._on_bar.add(name)
        self._call("on_train_batch_end", batch, self.batch_idx - 1)
        if self.loggers and self.global_step % self.log_every_n_steps == 0:
            self.log_to_loggers(self.step_metrics)

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
        means = Means()

        run = self._judging(module, step)
        kept, seen = self.batch_idx, 0
        try:
            with no_grad():
                for batch in itertools.islice(loader, limit):
                    self.batch_idx = seen
                    run(batch)
                    size = self.batch_size_of(batch)
                    for name, (value, _, weight) in self.logged.items():
                        means.add(name, value, size if weight is None else weight)
                    seen += 1
        finally:
            self.batch_idx = kept
            module.train(was)
        if not seen:
            raise DataError(f"Trainer: the data for {step} gave no batch")
        return means.finish()

    def _judging(self, module: TrainModule, step: str) -> Step:
        """The step for validation, test or prediction: made once for a module, so that it is compiled once."""
        kept = self._judges.get(step)
        if kept is None or kept[0] is not module:
            with no_grad():  # as it will run
                kept = self._judges[step] = (
                    module,
                    Step(self, step, lambda batch: getattr(module, step)(batch, self.index())),
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
        self.logged[name] = (value, bar, weight)

    def log_to_loggers(self, metrics: dict[str, float]) -> None:
        """Give numbers to all loggers, for the current step."""
        for logger in self.loggers:
            logger.log_metrics({"epoch": self.current_epoch, **metrics}, self.global_step)

    def bar_metrics(self) -> dict[str, float]:
        """What stands beside the progress bar: the epoch's means so far."""
        return {k: v for k, v in self.means.result().items() if k in self._on_bar}

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

    def save_checkpoint(self, path: str | os.PathLike[str], *, after_epoch: bool = False) -> None:
        """Write the whole state of the run, atomically.

        Args:
            after_epoch: the epoch is over: a resumed run begins with the next one.
        """
        if self.module is None:
            raise ArgumentError("save_checkpoint: nothing has been trained yet")
        save(run_state(self, self.module, after_epoch), path)


def _length(loader: Any, limit: int | None) -> int | None:
    try:
        n = len(loader)
    except (TypeError, NotImplementedError):
        return limit
    return n if limit is None else min(n, limit)
