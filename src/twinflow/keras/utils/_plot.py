"""Pictures of models: boxes for layers, lines for tensors."""

from __future__ import annotations

import os
from html import escape  # xml.sax would import urllib
from typing import Any

from twinflow.core import tree_leaves
from twinflow.core.errors import ArgumentError, missing_extra

_WIDTH, _HEIGHT, _GAP = 220, 46, 34


def _layout(
    model: Any, shapes: bool, dtypes: bool, names: bool
) -> tuple[list[tuple[float, int, str]], list[tuple[int, int]]]:
    """(boxes (column, row, text), lines between their numbers): each layer one row below the lowest that it needs."""
    graph = model.__dict__.get("_graph")
    if graph is None:
        raise ArgumentError(
            f"plot_model: {type(model).__name__} {model.name!r} has no graph of layers yet; build it, or make a functional model"
        )
    inputs, _, calls = graph
    made: dict[int, int] = {}
    texts: list[str] = []
    rows: list[int] = []
    lines: list[tuple[int, int]] = []

    def label(name: str, kind: str, outs: Any) -> str:
        parts = [f"{name} ({kind})" if names else kind]
        parts += [str(t.shape) for t in outs] if shapes else []
        parts += [t.dtype for t in outs] if dtypes else []
        return "\n".join(parts)

    for t in tree_leaves(inputs):
        made[id(t)] = len(texts)
        texts.append(label(t.name, "InputLayer", [t]))
        rows.append(0)
    for call in calls:
        sources = sorted({made[id(t)] for t in call.inputs})
        k, outs = len(texts), tree_leaves(call.outputs)
        lines += [(s, k) for s in sources]
        texts.append(label(call.layer.name, type(call.layer).__name__, outs))
        rows.append(1 + max((rows[s] for s in sources), default=0))
        made.update({id(t): k for t in outs})
    counts: dict[int, int] = {}
    boxes = []
    for row, text in zip(rows, texts):
        boxes.append((float(counts.get(row, 0)), row, text))
        counts[row] = counts.get(row, 0) + 1
    widest = max(counts.values())
    return [(c + (widest - counts[r]) / 2, r, t) for c, r, t in boxes], lines


def _svg(boxes: Any, lines: Any) -> str:
    most = max(t.count("\n") for _, _, t in boxes)
    height = _HEIGHT + 16 * most
    place = [(20 + c * (_WIDTH + _GAP), 20 + r * (height + _GAP)) for c, r, _ in boxes]
    width, total = max(x for x, _ in place) + _WIDTH + 20, max(y for _, y in place) + height + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{total:.0f}" font-family="sans-serif" font-size="13">'
    ]
    for a, b in lines:
        (x1, y1), (x2, y2) = place[a], place[b]
        out.append(
            f'<line x1="{x1 + _WIDTH / 2:.0f}" y1="{y1 + height:.0f}" x2="{x2 + _WIDTH / 2:.0f}" y2="{y2:.0f}" stroke="black"/>'
        )
    for (x, y), (_, _, text) in zip(place, boxes):
        out.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{_WIDTH}" height="{height}" fill="white" stroke="black"/>')
        for k, line in enumerate(text.split("\n")):
            out.append(
                f'<text x="{x + _WIDTH / 2:.0f}" y="{y + 28 + 16 * k:.0f}" text-anchor="middle">{escape(line, quote=False)}</text>'
            )
    return "\n".join([*out, "</svg>\n"])


def plot_model(
    model: Any,
    to_file: Any = "model.svg",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    dpi: int = 200,
) -> None:
    """Draw a functional or Sequential model: a file ending with .svg needs nothing else, .png and .pdf the extra `plot`.

    Raises: ArgumentError for a model without a graph of layers.
    """
    path = os.fspath(to_file)
    boxes, lines = _layout(model, show_shapes, show_dtype, show_layer_names)
    if path.endswith(".svg"):
        with open(path, "w", encoding="utf-8") as file:
            file.write(_svg(boxes, lines))
        return
    if not path.endswith((".png", ".pdf")):
        raise ArgumentError(f"plot_model: to_file ends with .svg, .png or .pdf, not {path!r}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("plot_model to PNG or PDF", "matplotlib", "plot") from None
    columns, rows = max(c for c, _, _ in boxes) + 1, max(r for _, r, _ in boxes) + 1
    figure = Figure((3 * columns, 1.2 * rows), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-0.6, columns - 0.4)
    axes.set_ylim(-(rows - 0.4), 0.6)
    for a, b in lines:
        axes.plot([boxes[a][0], boxes[b][0]], [-boxes[a][1], -boxes[b][1]], color="black", lw=1, zorder=0)
    for c, r, text in boxes:
        axes.text(c, -r, text, ha="center", va="center", fontsize=8, bbox={"facecolor": "white", "edgecolor": "black"})
    figure.savefig(path)
