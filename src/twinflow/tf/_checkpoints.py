"""Reading checkpoints that a Saver or `tf.train.Checkpoint` wrote: which there are, and what they hold."""

from __future__ import annotations

import json
import os
from typing import Any

from twinflow.core.errors import CheckpointError
from twinflow.utils import load

SUFFIX = ".safetensors"


def latest_checkpoint(checkpoint_dir: str, latest_filename: str | None = None) -> str | None:
    """The path of the latest checkpoint in a folder, or None."""
    listed = os.path.join(checkpoint_dir, latest_filename or "checkpoint")
    if not os.path.exists(listed):
        return None
    try:
        with open(listed, encoding="utf-8") as file:
            name = json.load(file)["latest"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"tf.train.latest_checkpoint: {listed} is damaged") from None
    path = os.path.join(checkpoint_dir, os.path.basename(name))
    return path if os.path.exists(path + SUFFIX) else None


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether a Saver wrote this checkpoint."""
    return os.path.exists(checkpoint_prefix + SUFFIX)


class CheckpointState:
    """The checkpoints of a folder that are there: `model_checkpoint_path` is the latest, `all_model_checkpoint_paths` lists them."""

    def __init__(self, latest: str, every: list[str]) -> None:
        self.model_checkpoint_path, self.all_model_checkpoint_paths = latest, every

    def __repr__(self) -> str:
        return f"CheckpointState(model_checkpoint_path={self.model_checkpoint_path!r})"


def get_checkpoint_state(checkpoint_dir: str, latest_filename: str | None = None) -> CheckpointState | None:
    """What `latest_checkpoint` finds, with the older ones; None if there is none."""
    latest = latest_checkpoint(checkpoint_dir, latest_filename)
    if latest is None:
        return None
    with open(os.path.join(checkpoint_dir, latest_filename or "checkpoint"), encoding="utf-8") as file:
        names = json.load(file)["all"]
    paths = [os.path.join(checkpoint_dir, os.path.basename(n)) for n in names]
    return CheckpointState(latest, [p for p in paths if os.path.exists(p + SUFFIX)])


def load_checkpoint(ckpt_dir_or_file: str) -> dict[str, Any]:
    """The saved arrays by their names, of a checkpoint or of the latest one of a folder. Raises: CheckpointError if there is none."""
    path = latest_checkpoint(ckpt_dir_or_file) if os.path.isdir(ckpt_dir_or_file) else ckpt_dir_or_file
    if path is None:
        raise CheckpointError(f"tf.train: there is no checkpoint in {ckpt_dir_or_file}")
    found = load(path + SUFFIX)
    arrays: dict[str, Any] = {}
    stack = [("", found.get("variables", found.get("objects", found)))]
    while stack:
        where, x = stack.pop()
        if isinstance(x, (dict, list)):
            pairs = x.items() if isinstance(x, dict) else enumerate(x)
            stack += [(f"{where}/{k}" if where else str(k), v) for k, v in pairs]
        elif hasattr(x, "numpy"):
            arrays[where] = x.numpy()
    return arrays


def list_variables(ckpt_dir_or_file: str) -> list[tuple[str, list[int]]]:
    """(name, shape) of what a checkpoint holds."""
    return sorted((name, list(x.shape)) for name, x in load_checkpoint(ckpt_dir_or_file).items())


def load_variable(ckpt_dir_or_file: str, name: str) -> Any:
    """One array of a checkpoint. Raises: CheckpointError if it has none of this name."""
    found = load_checkpoint(ckpt_dir_or_file)
    if name not in found:
        raise CheckpointError(
            f"tf.train.load_variable: there is no {name!r}; the checkpoint has {', '.join(sorted(found)[:8])}"
        )
    return found[name]
