"""Saved models: a zip archive with the configuration as JSON and the weights as safetensors. Loading runs no code."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.keras import _hdf5, losses, metrics, optimizers
from twinflow.keras._layer import LAYERS
from twinflow.keras._registry import serialize
from twinflow.keras._variable import to_tensor
from twinflow.utils import load, save

VERSION = 1
_HDF5 = (".h5", ".hdf5")
_CONFIG, _WEIGHTS, _META = "config.json", "model.weights.safetensors", "metadata.json"


def _check_path(path: str, ending: str, overwrite: bool) -> None:
    if not path.endswith(ending):
        hint = "; HDF5 holds weights: save_weights writes 'name.weights.h5'" if path.endswith((".h5", ".hdf5")) else ""
        raise ArgumentError(f"save: the file name must end with {ending}, but {path!r} was given{hint}")
    if not overwrite and os.path.exists(path):
        raise ArgumentError(f"save: {path} exists already, and overwrite is False")


def _weights(model: Any) -> dict[str, Any]:
    if not model.built:
        raise CheckpointError(
            f"save: the model {model.name!r} has no weights yet; call it on data, or build(input_shape)"
        )
    return {f"{k:04d}": to_tensor(w) for k, w in enumerate(model.get_weights())}


def check_shapes(name: str, own: list[Any], values: list[Any]) -> None:
    """Raise: CheckpointError, naming the first variable that differs, unless values have the shapes of the variables."""
    for v, w in zip(own, values):
        if tuple(v.shape) != tuple(w.shape):
            raise CheckpointError(
                f"{name}: it holds {tuple(w.shape)} for {v.path}, whose shape is {tuple(v.shape)}: the model is another one"
            )
    if len(own) != len(values):
        raise CheckpointError(
            f"{name}: it holds {len(values)} weights, but the model has {len(own)}: the model is another one"
        )


def _take(model: Any, found: dict[str, Any], name: str) -> None:
    found = {k: v for k, v in found.items() if not k.startswith("optimizer.")}
    values = [np.asarray(found[k]) for k in sorted(found)]
    own = model.weights
    check_shapes(name, own, values)
    model.set_weights(values)


def save_model(model: Any, path: Any, overwrite: bool = True) -> None:
    """Write a model to a `.keras` file, whole or not at all."""
    path = os.fspath(path)
    _check_path(path, ".keras", overwrite)
    meta = {"format": "twinflow.keras", "version": VERSION}
    compiled = None
    if "_programs" in model.__dict__:
        try:
            d = model.__dict__
            compiled = {
                "optimizer": serialize(d["optimizer"]), "iterations": int(d["optimizer"].iterations), "loss": _portable(d["loss"]),
                "metrics": _portable(d["_metric_spec"]), "weighted_metrics": _portable(d["_weighted_spec"]), "loss_weights": d["loss_weights"],
            }  # fmt: skip
        except CheckpointError:
            compiled = None  # losses of the user's own cannot be written; the model is compiled again after loading
    config = {**serialize(model), "compile": compiled}
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(path))) as folder:
        weights, whole = os.path.join(folder, _WEIGHTS), os.path.join(folder, "model.keras")
        tensors = _weights(model)
        if compiled is not None:
            state = model.__dict__["optimizer"].state_arrays()
            tensors.update({f"optimizer.{k}": to_tensor(np.asarray(v)) for k, v in state.items()})
        save(tensors, weights)
        with zipfile.ZipFile(whole, "w") as archive:
            archive.writestr(_META, json.dumps(meta))
            archive.writestr(_CONFIG, json.dumps(config))
            archive.write(weights, _WEIGHTS)
        os.replace(whole, path)


def _portable(spec: Any) -> Any:
    if isinstance(spec, (list, tuple)):
        return [_portable(s) for s in spec]
    if isinstance(spec, dict):
        return {k: _portable(s) for k, s in spec.items()}
    if spec is None or isinstance(spec, str) or hasattr(spec, "get_config"):
        return serialize(spec)
    raise CheckpointError(f"save: {spec!r} cannot be written")


def save_weights(model: Any, path: Any, overwrite: bool = True) -> None:
    """Write a model's weights as safetensors, or with the ending `.h5` as Keras does."""
    path = os.fspath(path)
    if path.endswith(_HDF5):
        _check_path(path, path[path.rindex(".") :], overwrite)
        _weights(model)  # raises if there are none
        _hdf5.write(model, path)
        return
    _check_path(path, ".safetensors", overwrite)
    save(_weights(model), path)


def _open(path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(configuration, weights) of a `.keras` file."""
    if not os.path.exists(path):
        raise CheckpointError(f"load_model: there is no file {path}")
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            meta = json.loads(archive.read(_META))
            if meta.get("format") != "twinflow.keras":
                raise CheckpointError(
                    f"load_model: {path} was not written by this library; make the model here, and take over its "
                    "weights with load_weights"
                )
            if meta.get("version", 0) > VERSION:
                raise CheckpointError(
                    f"load_model: {path} has format version {meta['version']}, newer than {VERSION}; update twinflow"
                )
            config = json.loads(archive.read(_CONFIG))
            weights = load(archive.extract(_WEIGHTS, folder))
    except (zipfile.BadZipFile, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"load_model: {path} is damaged or no saved model: {error}") from error
    return config, weights


def load_weights(model: Any, path: Any) -> None:
    """Take over the weights of a `.safetensors`, `.keras` or `.h5` file; of the last two also those that Keras wrote."""
    path = os.fspath(path)
    if not model.built:
        raise CheckpointError(
            f"load_weights: the model {model.name!r} has no weights yet; call it on data, or build(input_shape)"
        )
    if path.endswith(_HDF5):
        if not os.path.exists(path):
            raise CheckpointError(f"load_weights: there is no file {path}")
        _hdf5.read(model, path)
    elif path.endswith(".keras") and (content := _keras_weights(path)):
        _hdf5.read(model, path, content)
    else:
        _take(model, _open(path)[1] if path.endswith(".keras") else load(path), path)


def _keras_weights(path: str) -> bytes | None:
    """The weights in a file that Keras wrote; None if it is another one."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.weights.h5") if "model.weights.h5" in archive.namelist() else None


def load_model(path: Any, custom_objects: dict[str, Any] | None = None, compile: bool = True) -> Any:
    """The model that `model.save` wrote. Only registered classes (and `custom_objects`) are made; no code is run.

    Raises: CheckpointError for a file that is missing, damaged, newer, or names a class that is not registered.
    """
    path = os.fspath(path)
    config, weights = _open(path)
    compiled = config.pop("compile", None)
    model = LAYERS.deserialize(config, custom_objects)
    if not model.built and weights:
        raise CheckpointError(
            f"load_model: {path}: the model's input shape was not known when it was saved; use save_weights"
        )
    _take(model, weights, path)
    if compile and compiled is not None:
        get = {"loss": losses.get, "metrics": metrics.get}

        def objects(kind: str, spec: Any) -> Any:
            if isinstance(spec, dict) and "class_name" in spec:
                return get[kind](spec)
            if isinstance(spec, dict):
                return {k: objects(kind, s) for k, s in spec.items()}
            return [objects(kind, s) for s in spec] if isinstance(spec, list) else spec

        model.compile(
            optimizer=optimizers.get(compiled["optimizer"]),
            loss=objects("loss", compiled["loss"]),
            metrics=objects("metrics", compiled["metrics"]),
            weighted_metrics=objects("metrics", compiled.get("weighted_metrics")),
            loss_weights=compiled["loss_weights"],
        )
        model.optimizer.iterations = compiled["iterations"]
        state = {k.removeprefix("optimizer."): np.asarray(v) for k, v in weights.items() if k.startswith("optimizer.")}
        if state:
            model.optimizer.load_state_arrays(state, model.trainable_variables)
            model.optimizer.prepare()
    return model
