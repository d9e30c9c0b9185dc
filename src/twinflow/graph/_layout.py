"""Where the boxes of a drawn graph lie: layers from top to bottom, few crossings, straight lines where they can be.

The steps are those of layered drawing (Sugiyama, Tagawa, Toda 1981): layers by longest path, an order within each layer
by repeated means of the neighbours' places, then coordinates that lie as near to the neighbours as the boxes' widths allow.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP_X, GAP_Y = 14.0, 34.0
LONG = 6  # an edge over more layers than this is not drawn as a line: the reader names its source instead
_SWEEPS = 8


@dataclass(eq=False)
class Box:
    """Something to place: a box of the drawing, or a bend of an edge that passes a layer."""

    width: float
    height: float
    layer: int = 0
    x: float = 0.0  # the centre
    y: float = 0.0  # the top
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)


@dataclass
class Layout:
    """The places of all boxes, the bends of each drawn edge, the edges too long to draw, and the size of the whole."""

    boxes: dict[Hashable, Box]
    lines: list[list[Box]]
    long: list[tuple[Hashable, Hashable]]
    width: float
    height: float


def lay_out(sizes: Mapping[Hashable, tuple[float, float]], edges: Sequence[tuple[Hashable, Hashable]]) -> Layout:
    """Place boxes of the given (width, height), which stand in topological order, so that edges lead downwards."""
    boxes: dict[Hashable, Box] = {key: Box(*size) for key, size in sizes.items()}
    _assign_layers(boxes, edges)
    lines: list[list[Box]] = []
    long: list[tuple[Hashable, Hashable]] = []
    bends: list[Box] = []
    for a, b in dict.fromkeys(edges):
        start, end = boxes[a], boxes[b]
        if end.layer - start.layer > LONG:
            long.append((a, b))
            continue
        line = [start]
        for layer in range(start.layer + 1, end.layer):
            line.append(Box(2.0, 0.0, layer))
        bends += line[1:]
        line.append(end)
        for upper, lower in pairwise(line):
            upper.below.append(lower)
            lower.above.append(upper)
        lines.append(line)
    layers: list[list[Box]] = [[] for _ in range(max((b.layer for b in boxes.values()), default=-1) + 1)]
    for box in [*boxes.values(), *bends]:
        layers[box.layer].append(box)
    _order(layers)
    _place(layers)
    left = min((b.x - b.width / 2 for b in boxes.values()), default=0.0)
    for box in [*boxes.values(), *bends]:
        box.x -= left
    width = max((b.x + b.width / 2 for b in [*boxes.values(), *bends]), default=0.0)
    height = max((b.y + b.height for b in boxes.values()), default=0.0)
    return Layout(boxes, lines, long, width, height)


def _assign_layers(boxes: Mapping[Hashable, Box], edges: Sequence[tuple[Hashable, Hashable]]) -> None:
    readers: dict[Hashable, list[Hashable]] = {key: [] for key in boxes}
    sources: dict[Hashable, list[Hashable]] = {key: [] for key in boxes}
    for a, b in edges:
        readers[a].append(b)
        sources[b].append(a)
    for key, box in boxes.items():
        box.layer = max((boxes[a].layer + 1 for a in sources[key]), default=0)
    for key, box in reversed(list(boxes.items())):
        if not sources[key] and readers[key]:  # an input stands just above the first that reads it
            box.layer = max(0, min(boxes[b].layer for b in readers[key]) - 1)


def _order(layers: list[list[Box]]) -> None:
    place: dict[Box, float] = {}

    def number(layer: list[Box]) -> None:
        for k, box in enumerate(layer):
            place[box] = k / max(1, len(layer))

    for layer in layers:
        number(layer)
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            means = {}
            for box in layer:
                near = box.above if down else box.below
                means[box] = sum(place[n] for n in near) / len(near) if near else place[box]
            layer.sort(key=means.__getitem__)
            number(layer)


def _place(layers: list[list[Box]]) -> None:
    y = 0.0
    for layer in layers:
        x = 0.0
        for box in layer:
            box.x, box.y = x + box.width / 2, y
            x += box.width + GAP_X
        tallest = max((b.height for b in layer), default=0.0)
        for box in layer:
            if not box.height:  # a bend: the edge passes its layer straight
                box.height = tallest
        y += tallest + GAP_Y
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wanted = []
            for box in layer:
                near = box.above if down else box.below
                wanted.append(sum(n.x for n in near) / len(near) if near else box.x)
            for box, at in zip(layer, nearest_places(wanted, [b.width for b in layer])):
                box.x = at


def nearest_places(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The centres with the least sum of squared distances from `wanted` such that neighbours keep their distance.

    Pool adjacent violators: after the least distances are taken off, the places must only not decrease.

    >>> nearest_places([5.0, 5.0], [10.0, 10.0])
    [-7.0, 17.0]
    """
    offsets, at = [], 0.0
    for k, width in enumerate(widths):
        at += 0.0 if k == 0 else (widths[k - 1] + width) / 2 + GAP_X
        offsets.append(at)
    pools: list[tuple[float, int]] = []  # (mean, members)
    for place, offset in zip(wanted, offsets):
        mean, count = place - offset, 1
        while pools and pools[-1][0] > mean:
            other, n = pools.pop()
            mean, count = (mean * count + other * n) / (count + n), count + n
        pools.append((mean, count))
    free = [mean for mean, count in pools for _ in range(count)]
    return [a + b for a, b in zip(free, offsets)]
