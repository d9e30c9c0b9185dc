"""The progress bar of `fit`, `evaluate` and `predict`, as Keras prints it."""

from __future__ import annotations

import sys
import time

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
