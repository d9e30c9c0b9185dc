"""Weights in Keras's HDF5 files: a group for each layer, whose group `vars` holds the layer's own weights by number."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow.core.errors import CheckpointError, missing_extra
from twinflow.keras._layer import Layer
from twinflow.keras._registry import snake_case


@contextmanager
def _opened(path: str, source: Any, mode: str) -> Iterator[Any]:
    """The file, or the one whose bytes are given."""
    try:
        import h5py
    except ImportError:
        raise missing_extra("weights in HDF5", "h5py", "hdf5") from None
    try:
        file = h5py.File(source, mode)
    except OSError as error:
        raise CheckpointError(f"{path} is damaged or no HDF5 file: {error}") from error
    with file:
        yield file


def places(layer: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(place in the file, variable) of all weights, as Keras lays them out."""
    children = list(_children(layer))
    theirs = {id(v) for _, child in children for v in child.weights}
    own = [v for v in layer._own_variables() if id(v) not in theirs]
    names = layer._places_in_file
    known = {id(v): names[n] for n, v in layer._parameters.items() if n in names and v is not None}
    kept = sorted((v for v in own if id(v) not in known), key=lambda v: not v.requires_grad)
    for k, v in enumerate(kept):
        yield f"{path}vars/{k}", v
    for v in own:
        if id(v) in known:
            yield path + known[id(v)], v
    for name, child in children:
        yield from places(child, f"{path}{name}/")


def _children(layer: Any) -> Iterator[tuple[str, Layer]]:
    """The layers of a model in order; else the layers in attributes by the names of these, those in lists by their classes."""
    if "_stack" in layer.__dict__ or layer.__dict__.get("_graph") is not None:
        yield from ((f"layers/{n}", x) for n, x in by_class(layer.layers))
        return
    for name in sorted(layer.__dict__.get("_attribute_order", ())):
        value = getattr(layer, name, None)
        if isinstance(value, Layer):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from ((f"{name}/{n}", x) for n, x in by_class([x for x in value if isinstance(x, Layer)]))


def by_class(layers: Any) -> Iterator[tuple[str, Layer]]:
    """Layers with the names that they have in a file: dense, dense_1, ..."""
    counts: dict[str, int] = {}
    for layer in layers:
        base = snake_case(type(layer).__name__)
        n = counts[base] = counts.get(base, -1) + 1
        yield (f"{base}_{n}" if n else base), layer


def write(model: Any, path: str) -> None:
    """Write all weights."""
    with _opened(path, path, "w") as file:
        for place, v in places(model):
            file[place] = np.asarray(v.detach())


def read(model: Any, path: str, content: bytes | None = None) -> None:
    """Take over the weights of a file (or of its content) that Keras or `write` made: of Keras 3, or with Keras 2's older layout.

    Raises: CheckpointError, naming the weight, if one is missing or has another shape; nothing changes then.
    """
    with _opened(path, path if content is None else io.BytesIO(content), "r") as file:
        if "layer_names" in file.attrs:
            pairs = list(zip(_by_layers(model), _old(file)))
            if len(pairs) != len(model.weights):
                raise CheckpointError(
                    f"{path}: it holds {len(_old(file))} weights, but the model has {len(model.weights)}"
                )
        else:
            pairs = [(v, _found(file, path, place, v)) for place, v in places(model)]
        for v, w in pairs:
            if tuple(v.shape) != w.shape:
                raise CheckpointError(
                    f"{path}: it holds {w.shape} for {v.path}, whose shape is {tuple(v.shape)}: the model is another one"
                )
        for v, w in pairs:
            v.assign(w)


def _found(file: Any, path: str, place: str, v: Any) -> np.ndarray[Any, Any]:
    if place not in file:
        raise CheckpointError(f"{path}: there is no {place} in it, which would be {v.path}: the model is another one")
    return np.asarray(file[place])


def _by_layers(model: Any) -> list[Any]:
    """The weights in Keras 2's order: layer by layer, trained ones first."""
    return [v for layer in model.layers for v in sorted(layer.weights, key=lambda v: not v.requires_grad)]


def _old(file: Any) -> list[np.ndarray[Any, Any]]:
    """The arrays of a file of Keras 2 in order."""
    groups = [file[_text(n)] for n in file.attrs["layer_names"]]
    return [np.asarray(g[_text(n)]) for g in groups for n in g.attrs["weight_names"]]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
