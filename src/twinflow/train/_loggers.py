"""Loggers: where the numbers of a run are kept."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from twinflow.core.errors import ArgumentError
from twinflow.utils import write_atomically
from twinflow.utils.tensorboard import SummaryWriter


class Logger:
    """Base of loggers: a subclass gives `log_metrics`."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Keep these numbers, which belong to a step."""
        raise NotImplementedError(f"{type(self).__name__} must define log_metrics(metrics, step)")

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        """Keep the settings of the run."""

    def finalize(self) -> None:
        """Write what is still in memory."""


class CSVLogger(Logger):
    """A table `metrics.csv` with a row per report and a column per number; further columns appear as they are needed.

    Rows of steps at or after one that is logged again (by a resumed run) are replaced.
    """

    def __init__(self, save_dir: str | os.PathLike[str] = "logs") -> None:
        self.path = Path(save_dir) / "metrics.csv"
        self._rows: list[dict[str, Any]] = []
        self._begun = False

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Add a row."""
        if not self._begun and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                self._rows = [
                    {k: v for k, v in row.items() if v} for row in csv.DictReader(file) if int(row["step"]) < step
                ]
        self._begun = True
        if self._rows and int(self._rows[-1]["step"]) == step:
            self._rows[-1].update(metrics)
        else:
            self._rows.append({"step": step, **metrics})
        self.finalize()

    def finalize(self) -> None:
        """Write the table."""
        columns = list(dict.fromkeys(k for row in self._rows for k in row))
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, columns)
        table.writeheader()
        table.writerows(self._rows)
        write_atomically(self.path, [text.getvalue().encode()])


class TensorBoardLogger(Logger):
    """Event files that TensorBoard shows."""

    def __init__(self, save_dir: str | os.PathLike[str] = "logs") -> None:
        self.save_dir = os.fspath(save_dir)
        self._writer = SummaryWriter(self.save_dir)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        """Write one scalar per number."""
        self._writer.add_scalars("", metrics, step)

    def finalize(self) -> None:
        """Write what is still in memory."""
        self._writer.flush()


def make_loggers(logger: Any) -> list[Logger]:
    """The loggers that an argument of Trainer names: none, one, or several."""
    found = [] if logger is None else list(logger) if isinstance(logger, (list, tuple)) else [logger]
    for one in found:
        if not isinstance(one, Logger):
            raise ArgumentError(f"Trainer: logger is a Logger such as CSVLogger, or several, not {type(one).__name__}")
    return found
