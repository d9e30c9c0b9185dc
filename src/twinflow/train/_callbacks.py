"""Callbacks: what happens beside training at fixed points."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinflow.core.errors import ArgumentError
from twinflow.train._module import TrainModule

if TYPE_CHECKING:
    from twinflow.train._trainer import Trainer


class Callback:
    """Base of callbacks: a subclass overrides the points it wants. `state_dict` is part of checkpoints."""

    def on_fit_start(self, trainer: Trainer, module: TrainModule) -> None:
        """Before the first epoch; a resumed run has its state already."""

    def on_train_epoch_start(self, trainer: Trainer, module: TrainModule) -> None:
        """Before an epoch."""

    def on_train_batch_end(self, trainer: Trainer, module: TrainModule, batch: Any, batch_idx: int) -> None:
        """After a batch was learned from. `trainer.step_metrics` holds its numbers."""

    def on_train_epoch_end(self, trainer: Trainer, module: TrainModule) -> None:
        """After an epoch and its validation. `trainer.metrics` holds the means of both."""

    def on_validation_start(self, trainer: Trainer, module: TrainModule) -> None:
        """Before validation data is gone through."""

    def on_fit_end(self, trainer: Trainer, module: TrainModule) -> None:
        """When training is over, also after an error or Ctrl-C."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""


def better(mode: str, new: float, old: float, by: float = 0.0) -> bool:
    """Whether `new` is better than `old` by more than `by`; NaN never is."""
    return new < old - by if mode == "min" else new > old + by


def _check_mode(name: str, mode: str) -> str:
    if mode not in ("min", "max"):
        raise ArgumentError(f"{name}: mode is 'min' or 'max', not {mode!r}")
    return mode


def _monitored(name: str, monitor: str, trainer: Trainer) -> float:
    if monitor not in trainer.metrics:
        raise ArgumentError(
            f"{name}: there is no metric {monitor!r} to watch; there are {', '.join(trainer.metrics) or 'none'}"
        )
    return float(trainer.metrics[monitor])


class ModelCheckpoint(Callback):
    """Save the run: the best so far, and the last, from which training resumes exactly.

    Args:
        dirpath: the folder.
        monitor: the metric by which the best is chosen; None saves only the last.
        mode: "min" if smaller is better, or "max".
        save_top_k: how many of the best to keep.
        filename: of the best, with fields in braces: "{epoch}-{val_loss:.3f}" gives "epoch=3-val_loss=0.125"; "best" by
            default if only one is kept.
        save_last: write `last.safetensors` at the end of each epoch.
        every_n_steps: also write it after every so many batches, so that less is lost when the run is killed.
    """

    def __init__(
        self,
        dirpath: str | os.PathLike[str] = "checkpoints",
        *,
        monitor: str | None = None,
        mode: str = "min",
        save_top_k: int = 1,
        filename: str = "",
        save_last: bool = True,
        every_n_steps: int | None = None,
    ) -> None:
        self.dirpath = Path(dirpath)
        self.monitor, self.mode = monitor, _check_mode("ModelCheckpoint", mode)
        self.save_top_k, self.save_last, self.every_n_steps = save_top_k, save_last, every_n_steps
        self.filename = filename or ("best" if save_top_k == 1 else "{epoch}-{" + str(monitor) + ":.4f}")
        if every_n_steps is not None and every_n_steps < 1:
            raise ArgumentError(f"ModelCheckpoint: every_n_steps is at least 1, not {every_n_steps!r}")
        self.best: list[tuple[float, str]] = []  # (value, path), best first

    @property
    def last_model_path(self) -> str:
        """Where the last state of the run is saved."""
        return str(self.dirpath / "last.safetensors")

    @property
    def best_model_path(self) -> str:
        """The best checkpoint so far; empty if there is none."""
        return self.best[0][1] if self.best else ""

    @property
    def best_model_score(self) -> float | None:
        """The metric of the best checkpoint."""
        return self.best[0][0] if self.best else None

    def on_train_batch_end(self, trainer: Trainer, module: TrainModule, batch: Any, batch_idx: int) -> None:
        """Save within the epoch if asked to."""
        if self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0:
            trainer.save_checkpoint(self.last_model_path)

    def on_train_epoch_end(self, trainer: Trainer, module: TrainModule) -> None:
        """Save the best and the last."""
        if self.monitor is not None:
            value = _monitored("ModelCheckpoint", self.monitor, trainer)
            worst = (
                self.best[-1][0] if len(self.best) >= self.save_top_k else math.inf if self.mode == "min" else -math.inf
            )
            if better(self.mode, value, worst):
                name = re.sub(r"\{(\w+)", r"\1={\1", self.filename).format(
                    epoch=trainer.current_epoch, step=trainer.global_step, **trainer.metrics
                )
                path = str(self.dirpath / f"{name}.safetensors")
                dropped = [p for _, p in self.best[self.save_top_k - 1 :] if p != path]
                kept = [(v, p) for v, p in self.best[: self.save_top_k - 1] if p != path]
                self.best = sorted([*kept, (value, path)], key=lambda b: b[0], reverse=self.mode == "max")
                trainer.save_checkpoint(path, after_epoch=True)
                for old in dropped:
                    Path(old).unlink(missing_ok=True)
        if self.save_last:
            trainer.save_checkpoint(self.last_model_path, after_epoch=True)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best so far."""
        self.best = [(float(v), str(p)) for v, p in state_dict["best"]]


class EarlyStopping(Callback):
    """Stop when a metric has not improved for `patience` epochs.

    Args:
        monitor: the metric.
        min_delta: by how much better counts.
        patience: epochs without improvement that are let pass.
        mode: "min" if smaller is better, or "max".
        stopping_threshold: stop at once when the metric is better than this.
    """

    def __init__(
        self,
        monitor: str,
        min_delta: float = 0.0,
        patience: int = 3,
        mode: str = "min",
        *,
        stopping_threshold: float | None = None,
    ) -> None:
        self.monitor, self.min_delta, self.patience = monitor, abs(min_delta), patience
        self.mode, self.stopping_threshold = _check_mode("EarlyStopping", mode), stopping_threshold
        self.best = math.inf if mode == "min" else -math.inf
        self.waited = 0
        self.stopped_epoch: int | None = None

    def on_train_epoch_end(self, trainer: Trainer, module: TrainModule) -> None:
        """Compare."""
        value = _monitored("EarlyStopping", self.monitor, trainer)
        if better(self.mode, value, self.best, self.min_delta):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        reached = self.stopping_threshold is not None and better(self.mode, value, self.stopping_threshold)
        if self.waited > self.patience - 1 or reached:
            self.stopped_epoch = trainer.current_epoch
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """The best value, and since when."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on waiting."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]


class LearningRateMonitor(Callback):
    """Report the learning rate of each parameter group, after each batch ("step") or epoch."""

    def __init__(self, logging_interval: str = "epoch") -> None:
        if logging_interval not in ("epoch", "step"):
            raise ArgumentError(f"LearningRateMonitor: logging_interval is 'epoch' or 'step', not {logging_interval!r}")
        self.logging_interval = logging_interval

    def _rates(self, trainer: Trainer) -> dict[str, float]:
        rates = {}
        for k, optimizer in enumerate(trainer.optimizers):
            name = f"lr-{type(optimizer).__name__}" + (f"-{k}" if len(trainer.optimizers) > 1 else "")
            for j, group in enumerate(optimizer.param_groups):
                rates[name + (f"/group{j}" if len(optimizer.param_groups) > 1 else "")] = float(group["lr"])
        return rates

    def on_train_batch_end(self, trainer: Trainer, module: TrainModule, batch: Any, batch_idx: int) -> None:
        """After a batch."""
        if self.logging_interval == "step":
            trainer.log_to_loggers(self._rates(trainer))

    def on_train_epoch_end(self, trainer: Trainer, module: TrainModule) -> None:
        """After an epoch."""
        if self.logging_interval == "epoch":
            trainer.metrics.update(self._rates(trainer))


class ProgressBar(Callback):
    """Where training stands: a live bar on a terminal, one line an epoch elsewhere."""

    _INTERVAL_S = 0.05

    def __init__(self) -> None:
        self._bar: Any = None
        self._console: Any = None

    def on_fit_start(self, trainer: Trainer, module: TrainModule) -> None:
        """Begin the bar."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(file=sys.stdout, highlight=False)
        self._samples, self._since, self._shown = 0, time.perf_counter(), 0.0
        self._rate = 0.0
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[numbers]}"), TimeRemainingColumn(),
                console=self._console, transient=True,
            )  # fmt: skip
            batches = trainer.num_training_batches
            total = None if batches is None else batches * trainer.max_epochs
            self._task = self._bar.add_task("", total=total, completed=trainer.global_batch, numbers="")
            self._bar.start()

    def on_train_epoch_start(self, trainer: Trainer, module: TrainModule) -> None:
        """Count samples a second within the epoch."""
        self._samples, self._since = 0, time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, module: TrainModule, batch: Any, batch_idx: int) -> None:
        """Move the bar, but not more often than the eye sees."""
        self._samples += trainer.batch_size_of(batch)
        now = time.perf_counter()
        self._rate = self._samples / max(now - self._since, 1e-9)
        if self._bar is not None and now - self._shown > self._INTERVAL_S:
            self._shown = now
            self._bar.update(
                self._task,
                completed=trainer.global_batch,
                description=f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}",
                numbers=f"{_numbers(trainer.bar_metrics())}  {self._rate:,.0f} samples/s",
            )

    def on_validation_start(self, trainer: Trainer, module: TrainModule) -> None:
        """Say what happens while the bar stands still."""
        if self._bar is not None:
            self._bar.update(self._task, completed=trainer.global_batch, numbers="validating")

    def on_train_epoch_end(self, trainer: Trainer, module: TrainModule) -> None:
        """One line that stays."""
        line = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}  {_numbers(trainer.metrics)}  {self._rate:,.0f} samples/s"
        self._console.print(line, soft_wrap=True)

    def on_fit_end(self, trainer: Trainer, module: TrainModule) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _numbers(metrics: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.4g}" for k, v in metrics.items())
