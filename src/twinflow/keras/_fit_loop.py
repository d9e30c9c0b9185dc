"""The loop of `fit`: epochs and batches, callbacks between them, and native loops over rows where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._callback import History, emit, listeners, wants_batches
from twinflow.keras._checkpoints import BackupAndRestore
from twinflow.keras._data import Arrays, Batches, pack_x_y_sample_weight
from twinflow.keras._progress import ProgbarLogger
from twinflow.ops import from_numpy, randperm
from twinflow.tensor import Tensor

_CHUNK_S = 0.1  # how long `fit` stays in native code when someone watches


def plain(value: Any) -> Any:
    """A number as a float, several as an array."""
    array = np.array(value)
    return float(array) if array.ndim == 0 else array


def named(model: Any, step: str, found: Any) -> dict[str, Any]:
    """What a step of the model's own returned, in the order of the names. Raises: ArgumentError unless it is numbers by name."""
    if not isinstance(found, dict):
        raise ArgumentError(
            f"{type(model).__name__}.{step} returned {type(found).__name__}, but the logs need a dict of numbers by name; end it with "
            "`return {m.name: m.result() for m in self.metrics}`"
        )
    return dict(sorted((k, plain(v)) for k, v in found.items()))


def number(n: int) -> Tensor:
    """A whole number as a tensor."""
    return from_numpy(np.array(n, np.int64))


def full_and_rest(order: np.ndarray[Any, Any], batch_size: int) -> list[np.ndarray[Any, Any]]:
    """The rows of full batches [steps, batch], and of the last, smaller one [1, rest]."""
    full = len(order) // batch_size
    parts = [order[: full * batch_size].reshape(full, batch_size), order[full * batch_size :].reshape(1, -1)]
    return [np.ascontiguousarray(p) for p in parts if p.size]


class FitLoop:
    """One call of `fit`."""

    def __init__(self, model: Any, data: Any, epochs: int, verbose: int, given: Any, shuffle: bool) -> None:
        self.model, self.data, self.epochs, self.shuffle = model, data, epochs, shuffle
        self.history = History()
        self.program: Any = None  # the compiled loop over rows
        self._same: list[np.ndarray[Any, Any]] | None = None  # the rows of all epochs
        self._left = np.arange(0)  # the rows that no epoch came to yet, where each is a part of the data
        self._numbers: dict[int, Tensor] = {}
        self.started = False  # whether the model is built and the data was looked at
        # a schedule that native steps cannot compute gives every step a rate that is handed over from Python
        eager, optimizer = model.__dict__["run_eagerly"], model.optimizer
        by_step = optimizer.schedule is not None and (eager or not optimizer._native_schedule)
        self.at_once = 1 if by_step else model.__dict__["steps_per_execution"]
        self.steps: int | None = data.n_steps
        params = {"verbose": verbose, "epochs": epochs, "steps": self.steps}
        given = [] if given is None else given if isinstance(given, (list, tuple)) else [given]
        self.callbacks = listeners("fit", [self.history, *given], model, params)
        # the bar is apart and comes last, so that it shows what other callbacks add to the logs
        self.bar = ProgbarLogger(verbose) if verbose else None
        if self.bar:
            self.bar.set_params(params)
        self.each_step = by_step or any(wants_batches(c) for c in self.callbacks)

    def run(self, initial_epoch: int, validation: Any, validation_freq: int) -> Any:
        model = self.model
        model.stop_training = False
        model.__dict__["history"] = self.history
        backup = next((c for c in self.callbacks if isinstance(c, BackupAndRestore)), None)
        if backup is not None and isinstance(self.data, Arrays):
            model._start("fit", *self.data.data[:2], True)
            initial_epoch = max(initial_epoch, backup.restore() or 0)
        self._emit("on_train_begin")
        logs: dict[str, Any] = {}
        for epoch in range(initial_epoch, self.epochs):
            if self.bar:
                self.bar.on_epoch_begin(epoch)
            self._emit("on_epoch_begin", epoch)
            logs = dict(self._epoch())
            if validation is not None and (epoch + 1) % validation_freq == 0:
                found, _ = model._evaluate(validation, self.callbacks)
                logs.update({f"val_{k}": v for k, v in found.items()})
            for c in self.callbacks[1:]:
                c.on_epoch_end(epoch, logs)
            self.history.on_epoch_end(epoch, logs)
            if self.bar:
                self.bar.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        if model.optimizer.use_ema and model.optimizer.variables:
            model.optimizer.finalize_variable_values(model.trainable_variables)
        self._emit("on_train_end", logs)
        return self.history

    def _emit(self, event: str, *args: Any) -> None:
        emit(self.callbacks, event, *args)

    def _epoch(self) -> dict[str, Any]:
        model = self.model
        if isinstance(self.data, Arrays) and not model._has_own_step():
            return self._epoch_of_rows()
        count, logs = 0, {}
        for batch in self._batches():
            if not count:
                model._start("fit", batch[0], batch[1], True)
                model.reset_metrics()
            self._emit("on_train_batch_begin", count)
            if model._has_own_step():
                logs = named(model, "train_step", model._program("own")(pack_x_y_sample_weight(*batch)))
            else:
                model._program("train")(*batch)
                self.model.optimizer.prepare()
            count += 1
            if self.each_step or (self.bar and self.bar.moves):
                self._after(count, logs or model._results())
            if model.stop_training:
                break
        if self.steps is None and self.bar:
            self.steps = count
            self.bar.params["steps"] = count
        return logs or model._results()

    def _batches(self) -> Iterator[Any]:
        if isinstance(self.data, Batches):
            yield from self.data.epoch("fit", self.shuffle)
            return
        for rows in self._rows():
            yield from (self.data.rows(from_numpy(r)) for r in rows)

    def _rows(self) -> list[np.ndarray[Any, Any]]:
        """The rows of an epoch's batches. Without shuffling they are the same in all epochs, unless an epoch is a part of the data:
        then the next one goes on behind it."""
        size, wanted = self.data.batch_size, self.steps or 0
        if wanted == self.data.steps():
            if self.shuffle or self._same is None:
                self._same = full_and_rest(self._order(), size)
            return self._same
        found: list[np.ndarray[Any, Any]] = []
        while wanted:
            if not self._left.size:
                self._left = self._order()
            n = min(wanted, -(-len(self._left) // size))
            found += full_and_rest(self._left[: n * size], size)
            self._left, wanted = self._left[n * size :], wanted - n
        return found

    def _number(self, n: int) -> Tensor:
        """A whole number as a tensor, made once."""
        if n not in self._numbers:
            self._numbers[n] = number(n)
        return self._numbers[n]

    def _order(self) -> np.ndarray[Any, Any]:
        return np.asarray(randperm(self.data.n)) if self.shuffle else np.arange(self.data.n)

    def _after(self, done: int, logs: dict[str, Any]) -> None:
        if self.each_step:
            self._emit("on_train_batch_end", done - 1, logs)
        if self.bar:
            self.bar.update(done, logs)

    def _epoch_of_rows(self) -> dict[str, Any]:
        """An epoch as native loops over rows; one loop, unless someone watches the steps."""
        model, data = self.model, self.data
        if not self.started:
            model._start("fit", *data.data[:2], True)
            self.started = True
        model.reset_metrics()
        watched = self.each_step or (self.bar is not None and self.bar.moves)
        done, chunk = 0, 1
        if self.program is None:  # what is trained is fixed for one call of fit
            self.program = model._rows_program("train", data.data)
        program = self.program
        for rows in self._rows():
            order, at = from_numpy(rows), 0
            while at < len(rows):
                n = (
                    min(self.at_once, len(rows) - at)
                    if self.each_step
                    else min(chunk, len(rows) - at)
                    if watched
                    else len(rows) - at
                )
                if self.each_step:
                    self._emit("on_train_batch_begin", done)
                started = time.perf_counter()
                program(order, self._number(at), self._number(at + n))
                if time.perf_counter() - started < _CHUNK_S / 2:
                    chunk *= 2
                at, done = at + n, done + n
                self.model.optimizer.prepare()
                if watched:
                    self._after(done, model._results())
                if model.stop_training:
                    return dict(model._results())
        return dict(model._results())
