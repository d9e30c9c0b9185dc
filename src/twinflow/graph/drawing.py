"""Graphs as pictures: Graphviz text, and SVG or HTML that needs no other program.

A box is an operation, with its type; coloured boxes on top are inputs, dashed ones below are results and written state.
A box's tooltip gives the parameters and the user's line. What an operation reads from far above stands over it as a
name, which in a browser leads there. Loops and branches follow below, each graph in a panel of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from html import escape

from twinflow.core import format_location
from twinflow.core.errors import ArgumentError
from twinflow.graph._ir import Graph, Node
from twinflow.graph._layout import Layout, lay_out
from twinflow.graph._text import node_text, to_text

_COLOURS = {
    "input": "#cfe3f7", "state": "#d6efd2", "result": "#ffffff",
    "Contraction": "#f9d5a7", "Convolution": "#f9d5a7", "Reduction": "#e6d3f2", "Cumulative": "#e6d3f2", "Window": "#e6d3f2",
    "Gather": "#fbe6a2", "Control": "#f6c6c6", "IndexMap": "#ececec", "Elementwise": "#f7f7f7",
}  # fmt: skip
_LEGEND = [
    ("input", "argument"), ("state", "state"), ("Contraction", "product, convolution"), ("Reduction", "reduction"),
    ("Gather", "index"), ("Control", "loop, branch"), ("IndexMap", "arrangement"), ("Elementwise", "elementwise, other"),
]  # fmt: skip
_CHAR, _LINE, _MARGIN = 6.7, 14.0, 20.0


@dataclass
class _Vertex:
    """A box: what stands in it, what its tooltip says, how it is coloured."""

    lines: list[str]
    tip: str
    kind: str


def to_dot(graph: Graph) -> str:
    """The graph in Graphviz's language: `dot -Tpdf step.dot -o step.pdf` draws it."""
    rows = [
        "digraph {",
        '  node [shape=box, style="filled,rounded", fontname="monospace", fontsize=10]; edge [arrowsize=0.6];',
    ]
    for k, (title, panel) in enumerate(_panels(graph)):
        vertices, edges = _vertices(panel)
        rows.append(f"  subgraph cluster_{k} {{ label={_quoted(title)};")
        for key, v in vertices.items():
            colour = _COLOURS.get(v.kind, _COLOURS["Elementwise"])
            rows.append(
                f'    "{k}/{key}" [label={_quoted(chr(10).join(v.lines))}, tooltip={_quoted(v.tip)}, fillcolor="{colour}"];'
            )
        rows += [f'    "{k}/{a}" -> "{k}/{b}";' for a, b in dict.fromkeys(edges)]
        rows.append("  }")
    return "\n".join([*rows, "}"])


def to_svg(graph: Graph) -> str:
    """The graph as one SVG picture, with tooltips and without any other file.

    >>> from twinflow.graph import from_text
    >>> from twinflow.graph.drawing import to_svg
    >>> to_svg(from_text("graph f(%0: float32[2])\\n  %1: float32[2] = neg(%0)\\n  return %1"))[:4]
    '<svg'
    """
    parts: list[str] = []
    width, y = 0.0, _MARGIN
    for k, (title, panel) in enumerate(_panels(graph)):
        vertices, edges = _vertices(panel)
        layout = lay_out({key: _size(v) for key, v in vertices.items()}, edges)
        parts.append(f'<g transform="translate({_MARGIN:.0f},{y:.0f})">')
        parts.append(f'<text class="title" x="0" y="10">{escape(title)}</text><g transform="translate(0,34)">')
        parts += _edges_svg(layout)
        parts += _boxes_svg(layout, vertices, f"p{k}")
        parts.append("</g></g>")
        width = max(width, layout.width, len(title) * 8.0)
        y += layout.height + 34 + 2 * _MARGIN
    size = f"{width + 2 * _MARGIN:.0f}", f"{y:.0f}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" viewBox="0 0 {size[0]} {size[1]}">'
        "<style>text{font:11px ui-monospace,monospace;text-anchor:middle}.title{font-weight:bold;text-anchor:start}"
        ".far{font-size:9px;fill:#666;stroke:white;stroke-width:3px;paint-order:stroke}path{fill:none;stroke:#888}rect{stroke:#555}rect.result{stroke-dasharray:4 2}"
        "g:target rect{stroke:#d33;stroke-width:3}</style>"
        '<rect width="100%" height="100%" style="fill:white;stroke:none"/>'
    )
    return head + "\n".join(parts) + "</svg>"


def to_html(graph: Graph) -> str:
    """The graph as one HTML page: a legend, the picture, and the text with the user's lines."""
    legend = "".join(
        f'<span style="background:{_COLOURS[kind]};border:1px solid #555;padding:2px 6px;margin-right:6px">{what}</span>'
        for kind, what in _LEGEND
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(graph.name)}</title>'
        '<body style="font:13px sans-serif;margin:16px">'
        f"<h1>{escape(graph.name)}</h1><p>{len(graph.nodes)} operations. Rest on a box to see its line.</p><p>{legend}</p>"
        f'<div style="overflow:auto">{to_svg(graph)}</div>'
        f"<h2>Text</h2><pre>{escape(to_text(graph, lines=True))}</pre></body></html>\n"
    )


_WRITERS: dict[str, Callable[[Graph], str]] = {".dot": to_dot, ".gv": to_dot, ".svg": to_svg, ".html": to_html}


def draw(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Draw `graph` into a file: `.svg`, `.html`, or `.dot` for Graphviz.

    Raises: ArgumentError for another ending.
    """
    ending = os.path.splitext(os.fspath(path))[1].lower()
    if ending not in _WRITERS:
        raise ArgumentError(
            f"draw: {os.fspath(path)} ends in {ending!r}; write .svg or .html, or .dot and let Graphviz make any other format"
        )
    text = _WRITERS[ending](graph)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _panels(graph: Graph) -> list[tuple[str, Graph]]:
    """The graph and those inside its loops and branches, with titles."""
    found = [(f"graph {graph.name}", graph)]
    for title, panel in found:  # grows while it is read: graphs inside graphs
        for node in panel.nodes:
            for key, value in node.params.items():
                if isinstance(value, Graph):
                    found.append((f"{key} of {node!r} {node.op} in {title}", value))
    return found


def _vertices(graph: Graph) -> tuple[dict[Hashable, _Vertex], list[tuple[Hashable, Hashable]]]:
    """The boxes of one graph in topological order, and the edges between their keys."""
    vertices: dict[Hashable, _Vertex] = {}
    edges: list[tuple[Hashable, Hashable]] = []
    for node in graph.inputs:
        kind = "state" if node in graph.writes or not node.name else "input"
        where = format_location(node.line)
        vertices[node.id] = _Vertex([f"{node!r} {node.name}".strip(), repr(node.aval)], where or "an input", kind)
    for node in graph.nodes:
        numbers = [f"{x!r}" for x in node.inputs if not isinstance(x, Node)]
        avals = node.aval if type(node.aval) is tuple else (node.aval,)
        tip = node_text(node) + (f"\n{format_location(node.line)}" if node.line else "")
        lines = [" ".join([f"{node!r} {node.op}", *numbers]), *map(repr, avals)]
        vertices[node.id] = _Vertex(lines, tip, type(node.prim.lower).__name__ if node.prim else "input")
        edges += [(x.id, node.id) for x in node.inputs if isinstance(x, Node)]
    results = [(f"return {k}" if len(graph.outputs) > 1 else "return", x) for k, x in enumerate(graph.outputs)]
    results += [(f"write {node!r} {node.name}".strip(), x) for node, x in graph.writes.items()]
    for what, value in results:
        vertices[what] = _Vertex([what if isinstance(value, Node) else f"{what} {value!r}"], what, "result")
        if isinstance(value, Node):
            edges.append((value.id, what))
    return vertices, edges


def _size(v: _Vertex) -> tuple[float, float]:
    return max(map(len, v.lines)) * _CHAR + 14, len(v.lines) * _LINE + 10


def _edges_svg(layout: Layout) -> list[str]:
    found = []
    for line in layout.lines:
        first, *rest = line
        d = [f"M{first.x:.1f},{first.y + first.height:.1f}"]
        y = first.y + first.height
        x = first.x
        for box in rest:
            middle = (y + box.y) / 2
            d.append(f"C{x:.1f},{middle:.1f} {box.x:.1f},{middle:.1f} {box.x:.1f},{box.y:.1f}")
            x, y = box.x, box.y + box.height
            if box is not rest[-1]:
                d.append(f"V{y:.1f}")
        found.append(f'<path d="{"".join(d)}"/>')
    return found


def _boxes_svg(layout: Layout, vertices: dict[Hashable, _Vertex], prefix: str) -> list[str]:
    far: dict[Hashable, list[Hashable]] = {}
    for a, b in layout.long:
        far.setdefault(b, []).append(a)
    found = []
    for key, v in vertices.items():
        box = layout.boxes[key]
        left, colour = box.x - box.width / 2, _COLOURS.get(v.kind, _COLOURS["Elementwise"])
        name = escape(f"{prefix}-{key}".replace(" ", "_"), quote=True)
        found.append(f'<g id="{name}"><title>{escape(v.tip)}</title>')
        found.append(
            f'<rect class="{v.kind}" x="{left:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="4" fill="{colour}"/>'
        )
        for k, line in enumerate(v.lines):
            found.append(f'<text x="{box.x:.1f}" y="{box.y + 15 + k * _LINE:.1f}">{escape(line)}</text>')
        for k, source in enumerate(far.get(key, ())):
            what = escape(vertices[source].lines[0])
            found.append(
                f'<a href="#{prefix}-{source}"><text class="far" x="{box.x:.1f}" y="{box.y - 4 - 10 * k:.1f}">↑ {what}</text></a>'
            )
        found.append("</g>")
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
