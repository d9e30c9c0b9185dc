"""Checkpoints: `tf.train`."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.keras import Variable
from twinflow.keras.optimizers import Optimizer
from twinflow.nn import Module as _NNModule
from twinflow.tensor import Tensor, no_grad, wrap
from twinflow.tf._checkpoints import get_checkpoint_state as get_checkpoint_state
from twinflow.tf._checkpoints import latest_checkpoint as latest_checkpoint
from twinflow.tf._checkpoints import list_variables as list_variables
from twinflow.tf._checkpoints import load_checkpoint as load_checkpoint
from twinflow.tf._checkpoints import load_variable as load_variable
from twinflow.tf._module import Module, walk
from twinflow.utils import load, save, write_atomically

_SUFFIX = ".safetensors"


def _state_of(x: Any, where: str) -> Any:
    """What is saved of an object."""
    if isinstance(x, Tensor):
        return wrap(np.array(x.detach()._data))
    if isinstance(x, Optimizer):
        arrays = {k: wrap(np.array(np.asarray(getattr(v, "_data", v)))) for k, v in x.state_arrays().items()}
        return {"iterations": int(x.iterations), "state": arrays}
    if isinstance(x, (Module, _NNModule)):
        return {path: wrap(np.array(v.detach()._data)) for path, v in walk(x)}
    if isinstance(x, (list, tuple)):
        return [_state_of(v, f"{where}[{k}]") for k, v in enumerate(x)]
    if isinstance(x, dict):
        return {str(k): _state_of(v, f"{where}.{k}") for k, v in x.items()}
    if hasattr(x, "state_dict"):
        return x.state_dict()
    if isinstance(x, (int, float, str, bool)) or x is None:
        return x
    raise CheckpointError(
        f"tf.train.Checkpoint: {where} holds {type(x).__name__}; variables, models, optimizers, data set iterators, numbers and containers of "
        "them can be saved"
    )


def _load_tensor(t: Tensor, value: Any, where: str) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != tuple(t.shape):
        raise CheckpointError(
            f"tf.train.Checkpoint: {where} was saved as {tuple(getattr(value, 'shape', ())) or type(value).__name__}, but has the shape "
            f"{tuple(t.shape)}"
        )
    with no_grad():
        t.copy_(value.to(dtype=t.dtype))


class _Status:
    """What a restoration found."""

    def __init__(self, unused: list[str], missing: list[str]) -> None:
        self._unused, self._missing = unused, missing

    def assert_consumed(self) -> _Status:
        """Raises: CheckpointError unless all that was saved was restored, and the other way round."""
        if self._unused:
            raise CheckpointError(
                f"tf.train.Checkpoint: nothing took up what was saved of {', '.join(self._unused[:6])}"
            )
        return self.assert_existing_objects_matched()

    def assert_existing_objects_matched(self) -> _Status:
        """Raises: CheckpointError if something of the objects was not saved."""
        if self._missing:
            raise CheckpointError(f"tf.train.Checkpoint: the file has nothing for {', '.join(self._missing[:6])}")
        return self

    def expect_partial(self) -> _Status:
        """Say that a part is enough."""
        return self


class Checkpoint:
    """Variables, models and optimizers, saved together by the names of the arguments.

    >>> from twinflow import tf
    >>> import tempfile
    >>> v = tf.Variable(1.0)
    >>> checkpoint = tf.train.Checkpoint(v=v)
    >>> path = checkpoint.save(tempfile.mkdtemp() + "/ckpt")
    >>> _ = v.assign(5.0)
    >>> checkpoint.restore(path).assert_consumed() is not None and float(v)
    1.0
    """

    def __init__(self, root: Any = None, **objects: Any) -> None:
        if root is not None:
            objects = {"root": root, **objects}
        self.__dict__.update(objects)
        self._names = list(objects)
        self.save_counter = Variable(np.zeros((), np.int64), trainable=False, name="save_counter")

    def _objects(self) -> dict[str, Any]:
        names = [n for n in vars(self) if n not in ("_names", "save_counter")]
        return {n: vars(self)[n] for n in names}

    def write(self, file_prefix: str) -> str:
        """Write to `file_prefix` (with the ending .safetensors); returns the prefix."""
        state = {name: _state_of(x, name) for name, x in self._objects().items()}
        save({"objects": state, "save_counter": int(self.save_counter.numpy())}, os.fspath(file_prefix) + _SUFFIX)
        return os.fspath(file_prefix)

    def save(self, file_prefix: str) -> str:
        """Write to `file_prefix-n`, n counting up, and note it as the latest; returns the path without its ending."""
        self.save_counter.assign_add(1)
        path = self.write(f"{os.fspath(file_prefix)}-{int(self.save_counter.numpy())}")
        _note(os.path.dirname(os.path.abspath(path)), path, [path])
        return path

    def read(self, save_path: str) -> _Status:
        """Take over what `write` wrote. Raises: CheckpointError for a missing or damaged file and for other shapes."""
        if save_path is None:
            return _Status([], list(self._objects()))
        document = load(os.fspath(save_path) + _SUFFIX)
        if not isinstance(document, dict) or "objects" not in document:
            raise CheckpointError(f"tf.train.Checkpoint: {save_path}{_SUFFIX} was not written by tf.train.Checkpoint")
        saved = document["objects"]
        objects = self._objects()
        missing: list[str] = []
        unused = [n for n in saved if n not in objects]
        optimizers = []
        for name, x in objects.items():
            if name not in saved:
                missing.append(name)
            elif isinstance(x, Optimizer):
                optimizers.append((name, x))
            else:
                vars(self)[name] = self._restore(x, saved[name], name, missing, unused)
        for name, x in optimizers:
            self._restore_optimizer(x, saved[name], name)
        self.save_counter.assign(document["save_counter"])
        return _Status(unused, missing)

    restore = read

    def _restore(self, x: Any, saved: Any, where: str, missing: list[str], unused: list[str]) -> Any:
        if isinstance(x, Tensor):
            _load_tensor(x, saved, where)
        elif isinstance(x, (Module, _NNModule)):
            found = dict(walk(x))
            if not found and saved:
                raise CheckpointError(
                    f"tf.train.Checkpoint: {where} has no variables yet, so it cannot take up {len(saved)}; build the model (call it once) before "
                    "restoring"
                )
            missing += [f"{where}.{k}" for k in found if k not in saved]
            unused += [f"{where}.{k}" for k in saved if k not in found]
            for k, v in found.items():
                if k in saved:
                    _load_tensor(v, saved[k], f"{where}.{k}")
        elif isinstance(x, (list, tuple)):
            if len(x) != len(saved):
                raise CheckpointError(f"tf.train.Checkpoint: {where} has {len(x)} entries, but {len(saved)} were saved")
            return type(x)(
                [self._restore(v, s, f"{where}[{k}]", missing, unused) for k, (v, s) in enumerate(zip(x, saved))]
            )
        elif isinstance(x, dict):
            for k in x:
                if str(k) in saved:
                    x[k] = self._restore(x[k], saved[str(k)], f"{where}.{k}", missing, unused)
                else:
                    missing.append(f"{where}.{k}")
        elif hasattr(x, "load_state_dict"):
            x.load_state_dict(saved)
        else:
            return saved
        return x

    def _restore_optimizer(self, x: Optimizer, saved: Any, where: str) -> None:
        arrays = {k: v._data for k, v in saved["state"].items()}
        variables = x._variables
        if not variables:
            for other in self._objects().values():
                if isinstance(other, (Module, _NNModule)):
                    variables = list(other.trainable_variables)
                    break
        if arrays and not variables:
            raise CheckpointError(
                f"tf.train.Checkpoint: {where} has seen no variables yet; call {where}.build(variables) before restoring"
            )
        if variables:
            x.load_state_arrays(arrays, list(variables))
        x.iterations = int(saved["iterations"])
        x.prepare()


def _note(folder: str, latest: str, every: list[str]) -> None:
    listed = {"latest": os.path.basename(latest), "all": [os.path.basename(p) for p in every]}
    write_atomically(os.path.join(folder, "checkpoint"), [json.dumps(listed).encode()])


class CheckpointManager:
    """The latest checkpoints of a folder.

    Args:
        max_to_keep: how many stay; None for all.
    """

    def __init__(
        self, checkpoint: Checkpoint, directory: str, max_to_keep: int | None, checkpoint_name: str = "ckpt"
    ) -> None:
        if not isinstance(checkpoint, Checkpoint):
            raise ArgumentError(
                f"tf.train.CheckpointManager: a tf.train.Checkpoint is needed, not {type(checkpoint).__name__}"
            )
        self.checkpoint, self.directory, self._keep, self._name = (
            checkpoint,
            os.fspath(directory),
            max_to_keep,
            checkpoint_name,
        )
        self._written = self._listed()

    def _listed(self) -> list[str]:
        path = os.path.join(self.directory, "checkpoint")
        if not os.path.exists(path):
            return []
        try:
            with open(path, encoding="utf-8") as file:
                names = json.load(file)["all"]
        except (ValueError, KeyError, TypeError):
            raise CheckpointError(f"tf.train.CheckpointManager: {path} is damaged") from None
        paths = [os.path.join(self.directory, os.path.basename(n)) for n in names]
        return [p for p in paths if os.path.exists(p + _SUFFIX)]

    @property
    def checkpoints(self) -> list[str]:
        """The checkpoints that are there, the latest last."""
        return list(self._written)

    @property
    def latest_checkpoint(self) -> str | None:
        """The latest one, or None."""
        return self._written[-1] if self._written else None

    def save(self, checkpoint_number: Any = None) -> str:
        """Write `directory/name-n` and delete the oldest; returns the path without its ending."""
        counter = self.checkpoint.save_counter
        counter.assign_add(1)
        n = int(counter.numpy()) if checkpoint_number is None else int(checkpoint_number)
        path = self.checkpoint.write(os.path.join(self.directory, f"{self._name}-{n}"))
        self._written = [p for p in self._written if p != path] + [path]
        while self._keep and len(self._written) > self._keep:
            os.unlink(self._written.pop(0) + _SUFFIX)
        _note(self.directory, path, self._written)
        return path

    def restore_or_initialize(self) -> str | None:
        """Restore the latest checkpoint, if there is one; returns its path."""
        if self.latest_checkpoint is not None:
            self.checkpoint.restore(self.latest_checkpoint)
        return self.latest_checkpoint
