"""Callbacks that keep weights, or put others in their place."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._callback import Callback, Logs, is_better, watched
from twinflow.keras._variable import to_tensor
from twinflow.utils import load, save


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
            now = watched("ModelCheckpoint", self.monitor, logs)
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
        numbers = {"epoch": epoch + 1, "iterations": int(optimizer.iterations)}
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
