"""Saver: the values of variables in safetensors files, with a JSON list of the latest ones."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.tensor import wrap
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.utils import load, save, write_atomically

_SUFFIX = ".safetensors"


class Saver:
    """Saves and restores variables.

    Args:
        var_list: the variables, or a dict of them by the names to save them under; all of the graph if none are given.
        max_to_keep: how many files stay; None or 0 for all.

    `save(session, "dir/model", global_step=10)` writes `dir/model-10.safetensors` and `dir/checkpoint`, a JSON file that
    names the latest ones.
    """

    def __init__(self, var_list: Any = None, max_to_keep: int | None = 5, **options: Any) -> None:
        if options:
            raise ArgumentError(f"tf.train.Saver: there is no option {', '.join(map(repr, options))} here")
        if var_list is None:
            var_list = get_default_graph().get_collection(GraphKeys.GLOBAL_VARIABLES)
        self._variables = dict(var_list) if isinstance(var_list, dict) else {v.op.name: v for v in var_list}
        if not self._variables:
            raise ArgumentError("tf.train.Saver: there are no variables to save; make the Saver after them")
        self._keep, self._written = max_to_keep, list[str]()

    @property
    def last_checkpoints(self) -> list[str]:
        """The files that this Saver wrote and that are still there, the latest last."""
        return list(self._written)

    def save(
        self,
        sess: Any,
        save_path: str,
        global_step: Any = None,
        latest_filename: str | None = None,
        write_meta_graph: bool = True,
    ) -> str:
        """Write the values that the variables have in a session; returns the path without its ending.

        With `write_meta_graph` the graph is written beside it, for `import_meta_graph`.
        """
        if global_step is not None:
            step = global_step if isinstance(global_step, int) else int(sess.run(global_step))
            save_path = f"{save_path}-{step}"
        names = list(self._variables)
        values = sess.run([self._variables[n] for n in names])
        save({"variables": {n: wrap(_array(v)) for n, v in zip(names, values)}}, save_path + _SUFFIX)
        if write_meta_graph:
            document = {
                "graph": sess.graph.as_graph_def().to_json(),
                "saved": {n: v.op.name for n, v in self._variables.items()},
            }
            write_atomically(save_path + ".meta", [json.dumps(document).encode()])
        if save_path in self._written:
            self._written.remove(save_path)
        self._written.append(save_path)
        while self._keep and len(self._written) > self._keep:
            old = self._written.pop(0)
            for ending in (_SUFFIX, ".meta"):
                if os.path.exists(old + ending):
                    os.unlink(old + ending)
        listed = {"latest": os.path.basename(save_path), "all": [os.path.basename(p) for p in self._written]}
        folder = os.path.dirname(os.path.abspath(save_path))
        write_atomically(os.path.join(folder, latest_filename or "checkpoint"), [json.dumps(listed).encode()])
        return save_path

    def restore(self, sess: Any, save_path: str | None) -> None:
        """Give the variables the saved values. Raises: CheckpointError for a missing file, name or other shape; nothing changes then."""
        if save_path is None:
            raise CheckpointError(
                "tf.train.Saver.restore: the path is None: tf.train.latest_checkpoint found no checkpoint"
            )
        found = load(save_path + _SUFFIX)
        if not isinstance(found, dict) or "variables" not in found:
            raise CheckpointError(f"tf.train.Saver.restore: {save_path}{_SUFFIX} was not written by a Saver")
        saved = found["variables"]
        for name, v in self._variables.items():
            if name not in saved:
                raise CheckpointError(
                    f"tf.train.Saver.restore: {save_path} has no variable {name!r}; it has {', '.join(sorted(saved)[:8])}. Name what to restore in "
                    "tf.train.Saver({saved name: variable})"
                )
            if tuple(saved[name].shape) != tuple(v.shape.as_list()):
                raise CheckpointError(
                    f"tf.train.Saver.restore: {name!r} was saved with shape {tuple(saved[name].shape)}, but the variable has {v.shape}"
                )
        for name, v in self._variables.items():
            sess.load(v, saved[name]._data)


def _array(value: Any) -> Any:
    return np.array(value)


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
    return path if os.path.exists(path + _SUFFIX) else None


def checkpoint_exists(checkpoint_prefix: str) -> bool:
    """Whether a Saver wrote this checkpoint."""
    return os.path.exists(checkpoint_prefix + _SUFFIX)


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
    return CheckpointState(latest, [p for p in paths if os.path.exists(p + _SUFFIX)])


def load_checkpoint(ckpt_dir_or_file: str) -> dict[str, Any]:
    """The saved arrays by their names, of a checkpoint or of the latest one of a folder. Raises: CheckpointError if there is none."""
    path = latest_checkpoint(ckpt_dir_or_file) if os.path.isdir(ckpt_dir_or_file) else ckpt_dir_or_file
    if path is None:
        raise CheckpointError(f"tf.train: there is no checkpoint in {ckpt_dir_or_file}")
    found = load(path + _SUFFIX)
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
