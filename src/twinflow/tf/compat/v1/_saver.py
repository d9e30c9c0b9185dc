"""Saver: the values of variables in safetensors files, with a JSON list of the latest ones."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.tensor import wrap
from twinflow.tf._checkpoints import SUFFIX
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.utils import load, save, write_atomically


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
        save({"variables": {n: wrap(_array(v)) for n, v in zip(names, values)}}, save_path + SUFFIX)
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
            for ending in (SUFFIX, ".meta"):
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
        found = load(save_path + SUFFIX)
        if not isinstance(found, dict) or "variables" not in found:
            raise CheckpointError(f"tf.train.Saver.restore: {save_path}{SUFFIX} was not written by a Saver")
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
