"""The callback that writes event files for TensorBoard."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.keras._callback import Callback, Logs
from twinflow.utils._events import EventWriter, histogram_value, image_values, scalar_value


class TensorBoard(Callback):
    """Losses, metrics, weights and the model as event files, in the folders `train` and `validation`. Needs the extra `tensorboard`.

    Args:
        log_dir: the folder.
        histogram_freq: write how each weight is distributed every so many epochs; 0 for never.
        write_graph: write the graph of layers, if the model is made of symbolic tensors (a subclass's `call` is no graph of layers).
        write_images: with the histograms, write weights as pictures too.
        update_freq: 'epoch', or 'batch' or a number of steps, after which the numbers of training are written too.
    Raises: ArgumentError for what Keras also has but is not written: write_steps_per_second, profile_batch and embeddings_freq other
        than 0.
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        if update_freq not in ("epoch", "batch") and (not isinstance(update_freq, int) or update_freq < 1):
            raise ArgumentError(
                f"TensorBoard: update_freq is 'epoch', 'batch' or a number of steps, not {update_freq!r}"
            )
        others = {
            "profile_batch": (profile_batch, "use twinflow.profile() around fit"),
            "embeddings_freq": (
                embeddings_freq,
                "write the embedding's weights with histogram_freq, or save them for the projector",
            ),
            "embeddings_metadata": (embeddings_metadata, "it belongs to embeddings_freq"),
            "write_steps_per_second": (write_steps_per_second, "the progress bar shows the time of a step"),
        }
        for name, (value, hint) in others.items():
            if value:
                raise ArgumentError(f"TensorBoard: {name}={value!r} is not written; leave it out: {hint}")
        self.log_dir, self.update_freq = os.fspath(log_dir), update_freq
        self.histogram_freq, self.write_graph, self.write_images = histogram_freq, write_graph, write_images
        self.wants_batches = update_freq != "epoch"
        self._writers: dict[str, EventWriter] = {}

    def _writer(self, name: str) -> EventWriter:
        if name not in self._writers:
            self._writers[name] = EventWriter(os.path.join(self.log_dir, name))
        return self._writers[name]

    def _write(self, name: str, numbers: Logs, step: int) -> None:
        values = [scalar_value(k, float(v)) for k, v in numbers.items() if np.ndim(v) == 0]
        self._writer(name).values(values, step)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Write the graph of layers."""
        if self.write_graph and self.model.__dict__.get("_graph") is not None:
            self._writer("train").graph(layer_rows(self.model))

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the numbers of every so many steps."""
        step = int(self.model.optimizer.iterations)
        if step % (1 if self.update_freq == "batch" else self.update_freq) == 0:
            self._write("train", {f"batch_{k}": v for k, v in (logs or {}).items()}, step)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the numbers of an evaluation by the steps of training before it."""
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None and int(optimizer.iterations):
            numbers = {f"evaluation_{k}_vs_iterations": v for k, v in (logs or {}).items()}
            self._write("validation", numbers, int(optimizer.iterations))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the numbers of an epoch, and the weights if it is their turn."""
        logs = {"learning_rate": float(self.model.optimizer.learning_rate), **(logs or {})}
        self._write("train", {f"epoch_{k}": v for k, v in logs.items() if not k.startswith("val_")}, epoch)
        val = {f"epoch_{k.removeprefix('val_')}": v for k, v in logs.items() if k.startswith("val_")}
        if val:
            self._write("validation", val, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write_weights(epoch)
        self._flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Write what is still in memory."""
        self._flush()

    def _flush(self) -> None:
        for writer in self._writers.values():
            writer.flush()

    def _write_weights(self, epoch: int) -> None:
        for w in self.model.weights:
            values = np.asarray(w.detach(), np.float32)
            found = [histogram_value(f"{w.path}/histogram", values)]
            if self.write_images:
                found += image_values(w.path, as_pictures(values), 3)
            self._writer("train").values(found, epoch)


def as_pictures(weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A weight as grey pictures [N, H, W, 1] in [0, 1]: matrices upright, filters one picture for each."""
    low, high = (float(weights.min()), float(weights.max())) if weights.size else (0.0, 0.0)
    x = (weights - low) / (high - low or 1.0)
    if x.ndim < 3:
        return np.atleast_2d(x)[None, ..., None]
    return np.moveaxis(x.reshape(x.shape[0], x.shape[1], -1), -1, 0)[..., None]


def layer_rows(model: Any) -> list[tuple[str, str, list[str]]]:
    """(name, kind, names of those before it) of each layer of a model of symbolic tensors."""
    rows = []
    for layer in model._operations:
        before = [t.node.layer.name if t.node is not None else t.name for node in layer._nodes for t in node.inputs]
        rows.append((layer.name, layer._kind(), list(dict.fromkeys(before))))
    return rows
