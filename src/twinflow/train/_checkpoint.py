"""The whole state of a run, and going on from it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np

from twinflow.core.errors import CheckpointError
from twinflow.ops import default_generator
from twinflow.tensor import Tensor
from twinflow.train._means import Means

if TYPE_CHECKING:
    from twinflow.train._module import TrainModule
    from twinflow.train._trainer import Trainer

_FORMAT = 1


def run_state(trainer: Trainer, module: TrainModule, after_epoch: bool) -> dict[str, Any]:
    """All that a run needs to go on; `after_epoch`: from the beginning of the next one."""
    loader = trainer.loader.state_dict() if hasattr(trainer.loader, "state_dict") else None
    return {
        "format": _FORMAT,
        "epoch": trainer.current_epoch + after_epoch,
        "batch_idx": 0 if after_epoch else trainer.batch_idx,
        "global_step": trainer.global_step,
        "global_batch": trainer.global_batch,
        "should_stop": trainer.should_stop,
        "model": module.state_dict(),
        "gradients": _gradients(module) if trainer.accumulate_grad_batches > 1 and not after_epoch else {},
        "optimizers": [o.state_dict() for o in trainer.optimizers],
        "schedulers": [s.state_dict() for s, _, _ in trainer.schedules],
        "random": {
            "twinflow": default_generator.get_state(),
            "python": random.getstate(),
            "numpy": np.random.get_state(),
        },
        "loader": loader,
        "seen": trainer.seen,
        "means": Means().state_dict() if after_epoch else trainer.means.state_dict(),
        "callbacks": [{"type": type(c).__name__, "state": c.state_dict()} for c in trainer.callbacks],
    }


def _gradients(module: TrainModule) -> dict[str, Tensor]:
    return {name: p.grad for name, p in module.named_parameters() if p.grad is not None}


def restore_run(trainer: Trainer, module: TrainModule, saved: Any, path: str) -> None:
    """Put a run into the state that `run_state` gave. Raises: CheckpointError if it is that of another run."""
    if not isinstance(saved, dict) or "global_step" not in saved:
        raise CheckpointError(
            f"fit: {path} is no checkpoint of a run; to start from a model's parameters, load them with load_state_dict"
        )
    if saved["format"] > _FORMAT:
        raise CheckpointError(f"fit: {path} was written by a newer twinflow; update it")
    if len(saved["optimizers"]) != len(trainer.optimizers) or len(saved["schedulers"]) != len(trainer.schedules):
        raise CheckpointError(
            f"fit: {path} has {len(saved['optimizers'])} optimizers and {len(saved['schedulers'])} schedules, but this run has "
            f"{len(trainer.optimizers)} and {len(trainer.schedules)}"
        )
    module.load_state_dict(saved["model"])
    for name, p in module.named_parameters():
        p.grad = saved["gradients"].get(name)
    for o, state in zip(trainer.optimizers, saved["optimizers"]):
        o.load_state_dict(state)
        o._stepped = True
    for (s, _, _), state in zip(trainer.schedules, saved["schedulers"]):
        s.load_state_dict(state)
    default_generator.set_state(saved["random"]["twinflow"])
    random.setstate(saved["random"]["python"])
    np.random.set_state(saved["random"]["numpy"])
    trainer.current_epoch, trainer.batch_idx = saved["epoch"], saved["batch_idx"]
    trainer.global_step, trainer.global_batch = saved["global_step"], saved["global_batch"]
    trainer.should_stop = saved["should_stop"]
    trainer.seen = saved["seen"]
    trainer.means.load_state_dict(saved["means"], module.epoch_metrics())
    if saved["loader"] is not None and hasattr(trainer.loader, "load_state_dict"):
        trainer.loader.load_state_dict(saved["loader"])
    waiting = list(saved["callbacks"])
    for callback in trainer.callbacks:
        for k, entry in enumerate(waiting):
            if entry["type"] == type(callback).__name__:
                callback.load_state_dict(entry["state"])
                del waiting[k]
                break
