"""Callbacks: what happens between the steps of `fit`."""

from __future__ import annotations

import csv
import json
import math
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._callback import Callback as Callback
from twinflow.keras._callback import CallbackList as CallbackList
from twinflow.keras._callback import History as History
from twinflow.keras._callback import LambdaCallback as LambdaCallback
from twinflow.keras._callback import Logs, is_better, watched
from twinflow.keras._checkpoints import BackupAndRestore as BackupAndRestore
from twinflow.keras._checkpoints import ModelCheckpoint as ModelCheckpoint
from twinflow.keras._checkpoints import SwapEMAWeights as SwapEMAWeights
from twinflow.keras._progress import ProgbarLogger as ProgbarLogger
from twinflow.keras._tensorboard import TensorBoard as TensorBoard


class EarlyStopping(Callback):
    """Stop when a number no longer gets better.

    Args:
        monitor: the number among the logs.
        min_delta: what counts as better.
        patience: for how many epochs it may not get better.
        mode: 'min', 'max' or 'auto'.
        baseline: what it has to be better than at first.
        restore_best_weights: end with the weights of the best epoch.
        start_from_epoch: how many epochs not to watch at first.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        self.monitor, self.patience, self.verbose = monitor, patience, verbose
        self.baseline, self.restore_best_weights, self.start = baseline, restore_best_weights, start_from_epoch
        self._better = is_better("EarlyStopping", mode, monitor, abs(min_delta))
        self.stopped_epoch = 0
        self.best: float | None = None
        self.best_epoch = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self.wait, self.best, self.best_weights = 0, self.baseline, None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the number."""
        now = watched("EarlyStopping", self.monitor, logs)
        if epoch < self.start:
            return
        if self.best is None or self._better(now, self.best):
            self.best, self.best_epoch, self.wait = now, epoch, 0
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            return
        self.wait += 1
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Put the best weights back."""
        if self.stopped_epoch and self.verbose:
            sys.stdout.write(f"Epoch {self.stopped_epoch + 1}: early stopping\n")
        if self.best_weights is not None:
            if self.verbose:
                sys.stdout.write(f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.\n")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when a number no longer gets better."""

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ArgumentError(f"ReduceLROnPlateau: factor is in (0, 1), not {factor!r}")
        self.monitor, self.factor, self.patience, self.verbose = monitor, factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self._better = is_better("ReduceLROnPlateau", mode, monitor, min_delta)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Begin anew."""
        self.wait, self.cooling = 0, 0
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the number."""
        now = watched("ReduceLROnPlateau", self.monitor, logs)
        optimizer = self.model.optimizer
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        if self.cooling > 0:
            self.cooling -= 1
            self.wait = 0
        if self.best is None or self._better(now, self.best):
            self.best, self.wait = now, 0
        elif self.cooling <= 0:
            self.wait += 1
            if self.wait >= self.patience and optimizer.learning_rate > self.min_lr:
                optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
                self.cooling, self.wait = self.cooldown, 0
                if self.verbose:
                    sys.stdout.write(
                        f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {optimizer.learning_rate}.\n"
                    )


class LearningRateScheduler(Callback):
    """Set the learning rate before each epoch to schedule(epoch, learning_rate) or schedule(epoch)."""

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set it."""
        optimizer = self.model.optimizer
        wanted = self.schedule.__code__.co_argcount if hasattr(self.schedule, "__code__") else 2
        rate = self.schedule(epoch, optimizer.learning_rate) if wanted > 1 else self.schedule(epoch)
        if not isinstance(rate, (int, float, np.floating)):
            raise ArgumentError(f"LearningRateScheduler: the schedule must return a number, not {rate!r}")
        optimizer.learning_rate = float(rate)
        if self.verbose:
            sys.stdout.write(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.\n")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Log it."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class CSVLogger(Callback):
    """The logs of each epoch as a line of a file."""

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Empty the file unless it is appended to."""
        self._keys = None
        has_header = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._write_header = not has_header
        if not self.append:
            with open(self.filename, "w"):
                pass

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a line."""
        logs = logs or {}
        if self._keys is None:
            self._keys = sorted(logs)
        with open(self.filename, "a", newline="") as f:
            writer = csv.writer(f, delimiter=self.separator)
            if self._write_header:
                writer.writerow(["epoch", *self._keys])
                self._write_header = False
            writer.writerow([epoch, *(logs.get(k, "NA") for k in self._keys)])


class TerminateOnNaN(Callback):
    """Stop as soon as the loss is not finite."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            sys.stdout.write(f"Batch {batch}: Invalid loss, terminating training\n")
            self.model.stop_training = True


class RemoteMonitor(Callback):
    """Send the logs of each epoch to a server, by POST.

    Args:
        root, path: the address.
        field: the field of the form that holds the logs as JSON.
        headers: more headers of the request.
        send_as_json: send JSON alone instead of a form.
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers or {}, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send them; a server that does not answer is a warning."""
        from urllib import parse, request  # slow to import, and seldom wanted

        numbers = {k: np.asarray(v).tolist() for k, v in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **numbers})
        kind = "application/json" if self.send_as_json else "application/x-www-form-urlencoded"
        data = text if self.send_as_json else parse.urlencode({self.field: text})
        post = request.Request(
            self.root + self.path, data.encode(), {"Content-Type": kind, **self.headers}, method="POST"
        )
        try:
            request.urlopen(post, timeout=10).close()
        except OSError:
            warnings.warn(f"RemoteMonitor: the server at {self.root} does not answer", stacklevel=2)
