"""Callbacks: what happens between the steps of `fit`."""

from __future__ import annotations

import csv
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._variable import to_tensor
from twinflow.utils import load, save

Logs = dict[str, Any]


class Callback:
    """Base: override what is needed. `self.model` is the model and `self.params` says how long training is."""

    model: Any = None
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """Called before anything else."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called with the number of epochs and steps."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a step; defining it makes `fit` return to Python at every step."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a step; defining it makes `fit` return to Python at every step."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation; defining it makes evaluation return to Python at every batch."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation; defining it makes evaluation return to Python at every batch."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before a prediction."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of a prediction; the logs hold its outputs."""


def wants_batches(callback: Callback, kind: str = "train") -> bool:
    """Whether it looks at single steps of training (or at batches of an evaluation, kind "test")."""
    said = getattr(callback, "wants_batches", None)
    if said is not None:
        return bool(said)
    cls = type(callback)
    names = (f"on_{kind}_batch_begin", f"on_{kind}_batch_end")
    return any(getattr(cls, n) is not getattr(Callback, n) for n in names)


def listeners(what: str, given: Any, model: Any, params: dict[str, Any]) -> list[Callback]:
    """Callbacks that were given, ready to be called. Raises: ArgumentError for anything else."""
    found = [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]
    for c in found:
        if not isinstance(c, Callback):
            raise ArgumentError(f"{what}: a callback is an object of keras.callbacks.Callback, not {c!r}")
        c.set_model(model)
        c.set_params(params)
    return found


def emit(given: list[Callback], event: str, *args: Any) -> None:
    """Call all of them."""
    for c in given:
        getattr(c, event)(*args)


class CallbackList(Callback):
    """Several callbacks as one: every event goes to each of them in order."""

    def __init__(self, callbacks: Any = None, model: Any = None, **params: Any) -> None:
        self.callbacks = list(callbacks or [])
        if model is not None:
            self.set_model(model)
        if params:
            self.set_params(params)

    def append(self, callback: Callback) -> None:
        """Add one at the end."""
        self.callbacks.append(callback)

    def set_model(self, model: Any) -> None:
        """Hand it to all."""
        self.model = model
        for c in self.callbacks:
            c.set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand them to all."""
        self.params = params
        for c in self.callbacks:
            c.set_params(params)

    @property
    def wants_batches(self) -> bool:
        """Whether any of them looks at single steps."""
        return any(wants_batches(c) for c in self.callbacks)


def _to_all(event: str) -> Callable[..., None]:
    def send(self: CallbackList, *args: Any, **kwargs: Any) -> None:
        for c in self.callbacks:
            getattr(c, event)(*args, **kwargs)

    send.__doc__ = f"`{event}` of all."
    return send


for _event in [n for n in vars(Callback) if n.startswith("on_")]:
    setattr(CallbackList, _event, _to_all(_event))


class History(Callback):
    """The logs of all epochs; `fit` returns one."""

    def __init__(self) -> None:
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the logs."""
        self.epoch.append(epoch)
        for k, v in (logs or {}).items():
            self.history.setdefault(k, []).append(v)


class LambdaCallback(Callback):
    """Functions as a callback."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        names = {n for n in dir(Callback) if n.startswith("on_")}
        unknown = functions.keys() - names
        if unknown:
            raise ArgumentError(
                f"LambdaCallback: there is no {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}"
            )
        self.wants_batches = any("batch" in n for n, f in functions.items() if f is not None)
        for name, f in functions.items():
            if f is not None:
                setattr(self, name, f)


def is_better(name: str, mode: str, monitor: str, min_delta: float = 0.0) -> Callable[[float, float], bool]:
    """(now, best) -> whether now is better. 'auto' takes accuracies and the like upwards, and the rest downwards."""
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f"{name}: mode is 'auto', 'min' or 'max', not {mode!r}")
    up = mode == "max" or (mode == "auto" and any(w in monitor for w in ("acc", "precision", "recall", "auc", "f1")))
    return (lambda a, b: a - min_delta > b) if up else (lambda a, b: a + min_delta < b)


def _watched(name: str, monitor: str, logs: Logs | None) -> float:
    value = (logs or {}).get(monitor)
    if value is None:
        raise ArgumentError(
            f"{name}: there is no {monitor!r} among the logs, which have {', '.join(logs or {}) or 'nothing'}"
            + ("; give validation data" if monitor.startswith("val_") else "")
        )
    return float(value)


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
        now = _watched("EarlyStopping", self.monitor, logs)
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


class ModelCheckpoint(Callback):
    """Save the model at the end of epochs.

    Args:
        filepath: where; may contain fields such as {epoch:02d} and {val_loss:.3f}. With save_weights_only it ends
            with .safetensors, otherwise with .keras.
        save_best_only: only when `monitor` got better.
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
    ) -> None:
        self.filepath, self.monitor, self.verbose = os.fspath(filepath), monitor, verbose
        self.save_best_only, self.save_weights_only = save_best_only, save_weights_only
        self._better = is_better("ModelCheckpoint", mode, monitor)
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save."""
        if self.save_best_only:
            now = _watched("ModelCheckpoint", self.monitor, logs)
            if self.best is not None and not self._better(now, self.best):
                return
            self.best = now
        path = self.filepath.format(epoch=epoch + 1, **(logs or {}))
        if self.verbose:
            sys.stdout.write(f"\nEpoch {epoch + 1}: saving model to {path}\n")
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            sys.stdout.write(f"\nEpoch {epoch + 1}: finished saving model to {path}\n")


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
        now = _watched("ReduceLROnPlateau", self.monitor, logs)
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


class ProgbarLogger(Callback):
    """The progress bar, as Keras prints it. On a terminal it moves; elsewhere only the last state of an epoch is written."""

    def __init__(self, verbose: int) -> None:
        self.verbose = verbose
        self._drawn = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """`Epoch 1/10`."""
        self._start = time.perf_counter()
        sys.stdout.write(f"Epoch {epoch + 1}/{self.params['epochs']}\n")

    @property
    def moves(self) -> bool:
        """Whether single steps are shown."""
        return self.verbose == 1 and sys.stdout.isatty()

    def update(self, done: int, logs: Logs) -> None:
        """Draw the bar in place."""
        now = time.perf_counter()
        if self.moves and now - self._drawn > 0.05:
            self._drawn = now
            sys.stdout.write("\r" + progress_line(done, self.params["steps"], now - self._start, logs))
            sys.stdout.flush()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """The full bar with all numbers."""
        steps = self.params["steps"]
        line = progress_line(steps or 0, steps, time.perf_counter() - self._start, logs or {}, self.verbose == 1)
        sys.stdout.write(("\r" if self.moves else "") + line + "\n")


def progress_line(done: int, total: int | None, seconds: float, logs: Logs, bar: bool = True) -> str:
    """`10/10 ━━━━━━━━━━━━━━━━━━━━ 0s 2ms/step - loss: 0.1234`."""
    each = seconds / max(done, 1)
    if each >= 1 or each == 0:
        rate = f"{each:.0f}s/step"
    elif each >= 1e-3:
        rate = f"{each * 1e3:.0f}ms/step"
    else:
        rate = f"{each * 1e6:.0f}us/step"
    text = f"{done}/{total or 'Unknown'}"
    if bar:
        filled = 20 if not total else round(20 * done / total)
        text += f" {'━' * filled}{' ' * (20 - filled)} {seconds:.0f}s {rate}"
    else:
        text += f" - {seconds:.0f}s - {rate}"
    for k, v in sorted(logs.items(), key=lambda kv: (kv[0].startswith("val_"), kv[0])):
        if np.ndim(v):
            text += f" - {k}: {np.array2string(np.asarray(v), precision=4)}"
            continue
        text += f" - {k}: {v:.4f}" if abs(v) > 1e-3 or v == 0 else f" - {k}: {v:.4e}"
    return text


class SwapEMAWeights(Callback):
    """While the model is evaluated (or at the end of epochs), its weights are the optimizer's moving averages.

    Args:
        swap_on_epoch: swap at the end of each epoch, so that callbacks behind this one (such as `ModelCheckpoint`) see the averages,
            and back at the beginning of the next.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._swapped = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Check that there are averages."""
        if not self.model.optimizer.use_ema:
            raise ArgumentError("SwapEMAWeights: the optimizer keeps no averages; make it with use_ema=True")

    def _swap(self) -> None:
        if self.model.optimizer.swap_averages():
            self._swapped = not self._swapped

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """The averages."""
        if not self.swap_on_epoch:
            self._swap()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """The weights."""
        if not self.swap_on_epoch:
            self._swap()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """The averages."""
        if self.swap_on_epoch:
            self._swap()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """The weights."""
        if self.swap_on_epoch and self._swapped:
            self._swap()


class BackupAndRestore(Callback):
    """Keep what training needs to go on after an interruption, and go on from there: weights, optimizer state, epoch.

    Args:
        backup_dir: the folder that it is kept in; emptied when training ends.
        save_freq: 'epoch'.
        delete_checkpoint: whether to empty the folder at the end.
    """

    def __init__(self, backup_dir: Any, save_freq: str = "epoch", delete_checkpoint: bool = True) -> None:
        if save_freq != "epoch":
            raise ArgumentError(
                f"BackupAndRestore: save_freq is 'epoch', not {save_freq!r}: training goes on from the beginning of an epoch"
            )
        self.backup_dir, self.delete_checkpoint = os.fspath(backup_dir), delete_checkpoint

    @property
    def _path(self) -> str:
        return os.path.join(self.backup_dir, "latest.safetensors")

    def restore(self) -> int | None:
        """Take over what was kept; returns the epoch to go on with, or None if there is nothing."""
        if not os.path.exists(self._path):
            return None
        found = load(self._path)
        self.model.set_weights([np.asarray(found[k]) for k in sorted(found) if k.startswith("weight.")])
        state = {k.removeprefix("optimizer."): np.asarray(v) for k, v in found.items() if k.startswith("optimizer.")}
        if state:
            self.model.optimizer.load_state_arrays(state, self.model.trainable_variables)
        self.model.optimizer.iterations = int(found["iterations"])
        self.model.optimizer.prepare()
        return int(found["epoch"])

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep it, whole or not at all."""
        optimizer = self.model.optimizer
        numbers = {"epoch": epoch + 1, "iterations": optimizer.iterations}
        found = {k: to_tensor(np.array(v, np.int64)) for k, v in numbers.items()}
        found.update({f"weight.{k:05d}": to_tensor(w) for k, w in enumerate(self.model.get_weights())})
        found.update({f"optimizer.{k}": to_tensor(np.asarray(v)) for k, v in optimizer.state_arrays().items()})
        os.makedirs(self.backup_dir, exist_ok=True)
        save(found, self._path + ".new")
        os.replace(self._path + ".new", self._path)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Training is done: nothing is left to restore."""
        if self.delete_checkpoint and os.path.exists(self._path):
            os.remove(self._path)


class TensorBoard(Callback):
    """Losses and metrics as event files for TensorBoard, in the folders `train` and `validation`. Needs the extra `tensorboard`.

    Args:
        log_dir: the folder.
        update_freq: 'epoch', or 'batch' or a number of steps, after which the numbers of training are written too.
    """

    def __init__(self, log_dir: Any = "logs", update_freq: Any = "epoch") -> None:
        if update_freq not in ("epoch", "batch") and (not isinstance(update_freq, int) or update_freq < 1):
            raise ArgumentError(
                f"TensorBoard: update_freq is 'epoch', 'batch' or a number of steps, not {update_freq!r}"
            )
        self.log_dir, self.update_freq = os.fspath(log_dir), update_freq
        self.wants_batches = update_freq != "epoch"
        self._writers: dict[str, Any] = {}

    def _write(self, name: str, numbers: Logs, step: int) -> None:
        if name not in self._writers:
            # imported here because few programs need it
            from twinflow.train import TensorBoardLogger

            self._writers[name] = TensorBoardLogger(os.path.join(self.log_dir, name))
        self._writers[name].log_metrics({k: float(v) for k, v in numbers.items() if np.ndim(v) == 0}, step)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the numbers of every so many steps."""
        step = self.model.optimizer.iterations
        if step % (1 if self.update_freq == "batch" else self.update_freq) == 0:
            self._write("train", {f"batch_{k}": v for k, v in (logs or {}).items()}, step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the numbers of an epoch."""
        logs = logs or {}
        self._write("train", {f"epoch_{k}": v for k, v in logs.items() if not k.startswith("val_")}, epoch)
        val = {f"epoch_{k.removeprefix('val_')}": v for k, v in logs.items() if k.startswith("val_")}
        if val:
            self._write("validation", val, epoch)
        for writer in self._writers.values():
            writer.finalize()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Write what is still in memory."""
        for writer in self._writers.values():
            writer.finalize()
