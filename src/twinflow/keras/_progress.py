"""The progress bar of `fit`, `evaluate` and `predict`, as Keras prints it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np

from twinflow.keras._callback import Callback, Logs


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


class Progbar:
    """A progress bar for loops of one's own.

    Args:
        target: how many steps there are; None if that is not known.
        verbose: 1 for the bar, 2 for a line at the end, 0 for nothing.
        interval: how many seconds are at least between two drawings.
        stateful_metrics: names of numbers that are shown as they are; others are averaged over the steps.

    >>> import sys
    >>> from twinflow import keras
    >>> bar = keras.utils.Progbar(2, verbose=0)
    >>> for step in range(2):
    ...     bar.update(step + 1, [("loss", 1.0 + step)])
    >>> bar.means()
    {'loss': 1.5}
    """

    def __init__(
        self,
        target: int | None,
        verbose: int = 1,
        interval: float = 0.05,
        stateful_metrics: Iterable[str] | None = None,
    ) -> None:
        self.target, self.verbose, self.interval = target, verbose, interval
        self.stateful_metrics = set(stateful_metrics or ())
        self._start, self._drawn, self._done = time.perf_counter(), 0.0, 0
        self._sums: dict[str, tuple[float, int]] = {}

    def means(self) -> dict[str, float]:
        """The numbers that are shown."""
        return {k: total / max(n, 1) for k, (total, n) in self._sums.items()}

    def update(
        self, current: int, values: Iterable[tuple[str, Any]] | None = None, finalize: bool | None = None
    ) -> None:
        """Show that `current` steps are done, with numbers by name."""
        steps = max(current - self._done, 1)
        for name, value in values or ():
            total, n = self._sums.get(name, (0.0, 0))
            plain = float(value)
            self._sums[name] = (plain, 1) if name in self.stateful_metrics else (total + plain * steps, n + steps)
        self._done = current
        ends = self.target is not None and current >= self.target if finalize is None else finalize
        now = time.perf_counter()
        if not self.verbose or (not ends and (self.verbose != 1 or now - self._drawn < self.interval)):
            return
        self._drawn = now
        line = progress_line(current, self.target, now - self._start, self.means(), self.verbose == 1)
        sys.stdout.write(
            ("\r" if self.verbose == 1 and sys.stdout.isatty() else "")
            + line
            + ("\n" if ends or not sys.stdout.isatty() else "")
        )
        sys.stdout.flush()

    def add(self, n: int, values: Iterable[tuple[str, Any]] | None = None) -> None:
        """Show that n more steps are done."""
        self.update(self._done + n, values)


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
