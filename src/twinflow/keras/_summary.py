"""The table that `model.summary()` prints, as Keras prints it."""

from __future__ import annotations

import re
import shutil
from typing import Any

import numpy as np

from twinflow.core import tree_leaves
from twinflow.core.errors import ArgumentError
from twinflow.keras._layer import Layer


def summary_text(
    model: Any,
    line_length: int | None,
    positions: Any,
    expand_nested: bool,
    show_trainable: bool,
    layer_range: Any,
) -> str:
    """The table and the counts below it."""
    # imported here because few programs need it
    from rich.console import Console
    from rich.table import Column, Table

    chain = _is_chain(model)
    header = ["Layer (type)", "Output Shape", "Param #", *([] if chain else ["Connected to"])]
    width = 88 if chain else 108
    ends = list(positions or ([0.45, 0.80, 1.0] if chain else [0.3, 0.56, 0.74, 1.0]))
    if show_trainable:
        header.append("Trainable")
        width, ends = width + 12, [0.9 * p for p in ends] + [1.0]
    width = line_length or min(width, shutil.get_terminal_size().columns - 4)
    edges = [0, *(int(p * width) for p in ends)]
    justify: dict[str, Any] = {"Param #": "right", "Trainable": "center"}
    columns = [Column(h, justify=justify.get(h, "left"), width=b - a) for h, a, b in zip(header, edges, edges[1:])]
    if any(c.width is not None and c.width < 4 for c in columns):
        raise ArgumentError(f"summary: {width} characters are too few for the table; give a larger line_length")
    table = Table(*columns, width=width, show_lines=True)
    used = {id(node) for node in model._graph[2]} if not chain else set()
    layers = model.layers if chain and model._kind() != "Functional" else model.__dict__["_operations"]
    for layer in _in_range(layers, layer_range):
        for fields in _rows(layer, expand_nested, show_trainable, used, chain):
            table.add_row(*fields)
    console = Console(highlight=False, force_terminal=False, color_system=None, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(f'Model: "{model.name}"')
        console.print(table)
        for what, count, nbytes in _counts(model):
            console.print(f" {what} params: {count:,} ({_size(nbytes)})")
    return captured.get()


def _is_chain(model: Any) -> bool:
    """Whether the layers stand one after the other, so that nothing need be said of how they are connected."""
    if model._kind() == "Sequential" or model.__dict__.get("_graph") is None:
        return True
    inputs, _, calls = model.__dict__["_graph"]
    layers = [c.layer for c in calls]
    return len(tree_leaves(inputs)) == 1 and len(set(layers)) == len(layers) and _one_by_one(calls)


def _one_by_one(calls: list[Any]) -> bool:
    return all(len(c.inputs) == 1 and (k == 0 or c.inputs[0].node is calls[k - 1]) for k, c in enumerate(calls))


def _in_range(layers: list[Any], layer_range: Any) -> list[Any]:
    if layer_range is None:
        return layers
    places = [[k for k, x in enumerate(layers) if re.match(pattern, x.name)] for pattern in layer_range]
    if len(places) != 2 or not all(places):
        raise ArgumentError(
            f"summary: layer_range is the names of the first and the last layer, but {layer_range!r} was given; there are "
            f"{', '.join(x.name for x in layers)}"
        )
    return layers[min(places[0]) : max(places[1]) + 1]


def _rows(layer: Any, expand: bool, trainable: bool, used: set[int], chain: bool, level: int = 0) -> list[list[str]]:
    """The row of a layer, and if wanted those of the layers inside it."""
    prefix = "   " * level + "└ " if level else ""
    built = layer.built or type(layer).build is Layer.build
    count = f"{sum(v.numel() for v in layer.weights):,}" if built else "0 (unbuilt)"
    fields = [f"{prefix}{layer.name} ({layer._kind()})", _shape(layer), count]
    if not chain:
        fields.append(_connections(layer, used))
    if trainable:
        fields.append(("Y" if layer.trainable else "N") if layer.built and layer.weights else "-")
    inner = getattr(layer, "layers", None) if expand else None
    return [fields, *(r for x in inner or () for r in _rows(x, expand, trainable, used, chain, level + 1))]


def _shape(layer: Any) -> str:
    shape = layer.__dict__.get("_output_shape") or layer.__dict__.get("_batch_input_shape")
    if shape is None and isinstance(layer.__dict__.get("_build_shape"), tuple):
        shape = layer.compute_output_shape(layer.__dict__["_build_shape"])  # a layer that saw data alone
    return "?" if shape is None else str(tuple(shape) if isinstance(shape, tuple) else shape)


def _connections(layer: Any, used: set[int]) -> str:
    """`name[call][output]` of each tensor that the layer is called on."""
    found = []
    for node in layer._nodes:
        for t in node.inputs if id(node) in used else ():
            if t.node is None:
                found.append(f"{t.name}[0][0]")
            else:
                at = [id(x) for x in tree_leaves(t.node.outputs)].index(id(t))
                found.append(f"{t.node.layer.name}[{t.node.layer._nodes.index(t.node)}][{at}]")
    return ", ".join(found) or "-"


def _counts(model: Any) -> list[tuple[str, int, int]]:
    """(what, numbers, bytes) of all weights, and of the optimizer's state if there is one."""
    parts = [("Trainable", *_sum(model.trainable_variables)), ("Non-trainable", *_sum(model.non_trainable_variables))]
    optimizer = model.__dict__.get("optimizer")
    if optimizer is not None and optimizer.built:
        # Keras's optimizers count steps in an int64 and keep their rate in a float32
        numbers, nbytes = _sum([v for v in optimizer.variables if v.ndim])
        parts.append(("Optimizer", numbers + 2, nbytes + 12))
    return [("Total", sum(p[1] for p in parts), sum(p[2] for p in parts)), *parts]


def _sum(variables: list[Any]) -> tuple[int, int]:
    sizes = [(int(np.prod(tuple(v.shape))), v.dtype.itemsize) for v in variables]
    return sum(n for n, _ in sizes), sum(n * size for n, size in sizes)


def _size(nbytes: float) -> str:
    for unit in ("B", "KB", "MB"):
        if nbytes < 1024:
            return f"{nbytes:.2f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.2f} GB"
