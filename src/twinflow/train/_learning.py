"""Learning from one batch: loss, gradients, update, with nothing updated from a loss or gradient that is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twinflow.core.errors import ArgumentError, CheckError, GradientError, TraceError
from twinflow.nn.utils import clip_grad_norm_
from twinflow.ops import default_generator, ensure, scalar_tensor, stack
from twinflow.optim.lr_scheduler import ReduceLROnPlateau
from twinflow.tensor import Tensor, is_tracing, no_grad
from twinflow.train._nonfinite import first_nonfinite
from twinflow.train._steps import Step

if TYPE_CHECKING:
    from twinflow.train._module import TrainModule
    from twinflow.train._trainer import Trainer

_LOSS, _GRADIENT = "the loss is not finite", "a gradient is not finite"


def _before_step(optimizer: Any, *_: Any) -> None:
    """What a step that a module takes by hand begins with: nothing is updated from gradients that are not finite."""
    with no_grad():
        _ensure_finite_gradients([p for group in optimizer.param_groups for p in group["params"]])


def _ensure_finite_gradients(parameters: list[Tensor]) -> None:
    grads = [p.grad for p in parameters if p.grad is not None]
    if not is_tracing():
        # a finite sum has finite terms; only where it is not are the terms looked at
        ensure(all(math.isfinite(float(g.sum())) or bool(g.isfinite().all()) for g in grads), _GRADIENT)
    elif grads:
        ensure(stack([g.isfinite().all() for g in grads]), _GRADIENT)


class Learner:
    """What a Trainer does with a batch. Compiled, a batch is one program: the check for NaN is part of it, and stops it
    before it writes anything."""

    def __init__(self, trainer: Trainer, module: TrainModule) -> None:
        self._trainer, self._module = trainer, module
        self._learn = Step(trainer, "learn", self._gradients)
        whole = trainer.compile and module.automatic_optimization
        self._whole = Step(trainer, "both", self._gradients_and_update) if whole else None

    def __call__(self, batch: Any, due: bool) -> None:
        """Add the gradients of a batch, and update if it is due. Raises: GradientError if something is not finite."""
        kept = default_generator.get_state() if self._trainer.check_finite else None
        try:
            if due and self._whole is not None:
                self._whole(batch)
                return
            self._learn(batch)
        except CheckError as error:
            what = next((w for w in (_LOSS, _GRADIENT) if str(error).startswith(w)), None)
            if what is None:
                raise
            raise self._explained(what, batch, kept) from None
        if due and self._module.automatic_optimization:
            self._update()

    def _gradients(self, batch: Any) -> None:
        module, trainer = self._module, self._trainer
        watched = trainer.optimizers if trainer.check_finite and not module.automatic_optimization else []
        handles = [o.register_step_pre_hook(_before_step) for o in watched]
        try:
            loss = self._loss_of(module.training_step(batch, trainer.index()))
        finally:
            for handle in handles:
                handle.remove()
        if module.automatic_optimization:
            n = trainer.accumulate_grad_batches
            (loss / n if n > 1 else loss).backward()
        if trainer.check_finite:
            with no_grad():
                self._ensure_finite(loss)

    def _gradients_and_update(self, batch: Any) -> None:
        self._gradients(batch)
        self._update()

    def _update(self) -> None:
        trainer = self._trainer
        optimizer = trainer.optimizers[0]
        if trainer.gradient_clip_val is not None:
            clip_grad_norm_(self._trained(), trainer.gradient_clip_val)
        optimizer.step()
        for schedule, interval, _ in trainer.schedules:
            if interval == "step" and not isinstance(schedule, ReduceLROnPlateau):
                schedule.step()
        optimizer.zero_grad()

    def _trained(self) -> list[Tensor]:
        """The parameters of all optimizers."""
        return [p for o in self._trainer.optimizers for group in o.param_groups for p in group["params"]]

    def _loss_of(self, out: Any) -> Tensor:
        loss = out.get("loss") if isinstance(out, Mapping) else out
        if not self._module.automatic_optimization:
            return loss if isinstance(loss, Tensor) else scalar_tensor(0.0)
        if not isinstance(loss, Tensor):
            raise ArgumentError(
                f"training_step must return the loss (a tensor, or a dict with 'loss'), not {type(loss).__name__}"
            )
        if loss.shape != () and loss.numel() != 1:
            raise ArgumentError(
                f"training_step returned a loss of shape {tuple(loss.shape)}; reduce it to one number, for example with .mean()"
            )
        return loss

    # -- what is not finite ------------------------------------------------------------------------------------

    def _ensure_finite(self, loss: Tensor) -> None:
        ensure(loss.isfinite() if is_tracing() else math.isfinite(float(loss.sum())), _LOSS)
        _ensure_finite_gradients(self._trained())

    def _explained(self, what: str, batch: Any, kept: Any) -> GradientError:
        """The error for a batch: it is run again, from the same random state, on the references."""
        module, trainer = self._module, self._trainer
        where = f"epoch {trainer.current_epoch + 1}, batch {trainer.batch_idx}"
        if not trainer.compile and not module.automatic_optimization and what == _LOSS:
            return GradientError(
                f"fit: {what} in {where}; training_step has already updated the parameters. Go on from the last checkpoint, with "
                "twinflow.autograd.detect_anomaly() around the step, which names the operation; a compiled step (compile=True) "
                "stops before it updates anything"
            )
        default_generator.set_state(kept)
        if module.automatic_optimization:
            module.zero_grad()  # the step that is looked at must not start from the gradients it has spoilt

        def again(batch: Any) -> Any:
            index = trainer.index() if trainer.compile else trainer.batch_idx
            found = self._loss_of(module.training_step(batch, index))
            if module.automatic_optimization:
                found.backward()
            return found

        try:
            found = first_nonfinite(again, batch) or "its operations gave finite values when they were run again"
        except TraceError:
            found = "training_step cannot be run again as a graph: twinflow.autograd.detect_anomaly() around fit names the operation"
        return GradientError(f"fit: {what} in {where}, so training stops before the parameters are spoilt; {found}")
