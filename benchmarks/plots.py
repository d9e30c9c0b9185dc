"""The tables as pictures: each framework's time relative to the best peer's, on a logarithmic axis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from . import tables
from .frameworks import FRAMEWORKS, is_ours
from .harness import Times

COLOURS = {
    "twinflow": "#c2185b",
    "twinflow-eager": "#f48fb1",
    "torch": "#e65100",
    "torch-compile": "#ffb74d",
    "jax": "#1565c0",
    "keras": "#546e7a",
}


def draw(
    title: str, rows: Sequence[tuple[str, Mapping[str, Times], float | None]], names: Sequence[str], path: Path
) -> Path:
    """Draw one dot per framework and program, and a mark at the floor; returns the file written."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.32 * len(rows)), layout="constrained")
    axes = figure.subplots()
    positions = range(len(rows) - 1, -1, -1)
    for name in names:
        points = [
            (results[name].median_s / best, y)
            for y, (_, results, _) in zip(positions, rows)
            if (best := tables.best_peer_s(results)) == best and results[name].blocks and not results[name].fault
        ]
        axes.scatter(
            [x for x, _ in points],
            [y for _, y in points],
            s=60 if is_ours(name) else 30,
            marker="D" if is_ours(name) else "o",
            color=COLOURS[name],
            label=FRAMEWORKS[name][1],
            zorder=3,
        )
    floors = [
        (floor / best, y)
        for y, (_, results, floor) in zip(positions, rows)
        if floor and (best := tables.best_peer_s(results)) == best and floor / best > 1e-2
    ]
    axes.scatter([x for x, _ in floors], [y for _, y in floors], marker="|", s=120, color="black", label="floor")
    axes.axvline(1.0, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(list(positions), [row[0] for row in rows], fontsize=8)
    axes.set_xlabel("time ÷ the best peer's (left is faster)")
    axes.set_title(title)
    axes.grid(axis="x", linewidth=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
