"""What is trained: a module that also says how one batch is learned from, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twinflow.core.errors import ArgumentError
from twinflow.metrics import Metric
from twinflow.nn import Module
from twinflow.tensor import Tensor

if TYPE_CHECKING:
    from twinflow.train._trainer import Trainer


class TrainModule(Module):
    """A Module with steps: subclasses give `training_step` and `configure_optimizers`, and what else they need.

    * `training_step(batch, batch_idx)` returns the loss.
    * `validation_step`, `test_step` (by default the same as validation) call `self.log` with what to report.
    * `predict_step(batch, batch_idx)` returns predictions; by default `self(x)` of the batch's first part.
    * `configure_optimizers()` returns an optimizer; or (optimizer, schedule), which may be lists; or a dict with "optimizer",
      "scheduler" (or "lr_scheduler"), "interval" ("epoch" or "step") and "monitor" (for ReduceLROnPlateau); or a list of optimizers
      together with `automatic_optimization = False`, when `training_step` itself calls `backward` and the optimizers.
    """

    automatic_optimization: bool = True

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["trainer"] = None

    trainer: Trainer | None

    def training_step(self, batch: Any, batch_idx: Any) -> Any:
        """The loss of one batch."""
        raise ArgumentError(
            f"{type(self).__name__} has no training_step(batch, batch_idx): define how the loss of a batch is computed"
        )

    def validation_step(self, batch: Any, batch_idx: Any) -> Any:
        """Judge one batch of validation data."""
        raise ArgumentError(
            f"{type(self).__name__} has no validation_step(batch, batch_idx), but validation data was given"
        )

    def test_step(self, batch: Any, batch_idx: Any) -> Any:
        """Judge one batch of test data."""
        return self.validation_step(batch, batch_idx)

    def predict_step(self, batch: Any, batch_idx: Any) -> Any:
        """What the model says about one batch."""
        return self(batch[0] if isinstance(batch, (list, tuple)) else batch)

    def configure_optimizers(self) -> Any:
        """The optimizer, and its schedule."""
        raise ArgumentError(f"{type(self).__name__} has no configure_optimizers(): define which optimizer trains it")

    def on_train_epoch_start(self) -> None:
        """Called before each epoch."""

    def on_train_epoch_end(self) -> None:
        """Called after each epoch, before validation."""

    def epoch_metrics(self) -> dict[str, Metric]:
        """The metrics that `training_step` logs, by name: their state is part of checkpoints within an epoch.

        By default, the metrics that are attributes of the module, by the attribute's name.
        """
        return {name: value for name, value in self.__dict__.items() if isinstance(value, Metric)}

    def log(self, name: str, value: Any, *, prog_bar: bool = False, batch_size: int | None = None) -> None:
        """Report a number (or a metric of `twinflow.metrics`) of this batch; the epoch's mean is kept.

        Args:
            prog_bar: show it beside the progress bar.
            batch_size: the weight in the mean; the length of the batch's first tensor by default.
        """
        if self.trainer is None:
            raise ArgumentError(f"log({name!r}): the module is not being trained, validated or tested")
        self.trainer._log(name, value, prog_bar, batch_size)

    def log_dict(self, values: Mapping[str, Any], *, prog_bar: bool = False, batch_size: int | None = None) -> None:
        """Report several numbers."""
        for name, value in values.items():
            self.log(name, value, prog_bar=prog_bar, batch_size=batch_size)

    def optimizers(self) -> Any:
        """The optimizers that `configure_optimizers` made: one, or a list."""
        if self.trainer is None:
            raise ArgumentError("optimizers(): the module is not being trained")
        made = self.trainer.optimizers
        return made[0] if len(made) == 1 else made


class Supervised(TrainModule):
    """Any model with a loss of (prediction, target), for `Trainer.fit(model, loader, loss=..., optimizer=...)`."""

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Any] | None,
        optimizer: Any,
        scheduler: Any,
        metrics: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.__dict__["loss"] = loss
        self.__dict__["made"] = optimizer, scheduler
        self.__dict__["metrics"] = dict(metrics)

    def forward(self, *inputs: Any) -> Any:
        """The model itself."""
        return self.model(*inputs)

    def _judge(self, batch: Any, prefix: str) -> Tensor:
        if not isinstance(batch, (list, tuple)) or len(batch) < 2:
            raise ArgumentError(
                "fit: batches are (inputs, target) when a loss is given; for others, define a TrainModule"
            )
        if self.__dict__["loss"] is None:
            raise ArgumentError("fit: a plain model needs loss=, a function of (prediction, target)")
        *inputs, target = batch
        predicted = self.model(*inputs)
        loss: Tensor = self.__dict__["loss"](predicted, target)
        self.log(f"{prefix}loss", loss, prog_bar=True)
        for name, metric in self.__dict__["metrics"].items():
            metric.update(predicted.detach(), target)
            self.log(prefix + name, metric, prog_bar=True)
        return loss

    def epoch_metrics(self) -> dict[str, Metric]:
        """What was passed to fit."""
        return dict(self.__dict__["metrics"])

    def training_step(self, batch: Any, batch_idx: Any) -> Tensor:
        """The loss of (model(inputs), target)."""
        return self._judge(batch, "")

    def validation_step(self, batch: Any, batch_idx: Any) -> None:
        """Loss and metrics."""
        self._judge(batch, "val_")

    def test_step(self, batch: Any, batch_idx: Any) -> None:
        """Loss and metrics."""
        self._judge(batch, "test_")

    def predict_step(self, batch: Any, batch_idx: Any) -> Any:
        """The model's outputs; a last part of the batch that is the target is left out."""
        if isinstance(batch, (list, tuple)):
            return self.model(*(batch[:-1] if len(batch) > 1 else batch))
        return self.model(batch)

    def configure_optimizers(self) -> Any:
        """What was passed to fit."""
        optimizer, scheduler = self.__dict__["made"]
        if optimizer is None:
            raise ArgumentError(
                "fit: a plain model needs optimizer=, for example twinflow.optim.Adam(model.parameters())"
            )
        return optimizer if scheduler is None else (optimizer, scheduler)
