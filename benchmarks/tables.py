"""Results as Markdown tables."""

import math
from collections.abc import Mapping, Sequence

from .frameworks import FRAMEWORKS, is_ours
from .harness import Times


def seconds(time_s: float) -> str:
    """Three digits with a unit: 1.23 µs, 45.6 ms."""
    if not math.isfinite(time_s):
        return "–"
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if time_s >= s), ("µs", 1e-6))
    return f"{time_s / size:.3g} {unit}" if time_s < 1000 * size else f"{time_s / size:.0f} {unit}"


def mebibytes(nbytes: float) -> str:
    return f"{nbytes / 2**20:.0f} MiB"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up; all but the first are aligned to the right."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        made = [c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(made) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(table[0]), rule, *map(line, table[1:])])


def cell(times: Times | None) -> str:
    """Median and interquartile range, or why there is none."""
    if times is None:
        return "–"
    if not times.blocks:
        return "failed"
    shown = f"{seconds(times.median_s)} ± {seconds(times.spread_s / 2)}"
    return f"WRONG ({shown})" if times.fault else shown


def best_peer_s(results: Mapping[str, Times]) -> float:
    """The least median of a framework that is not twinflow and whose numbers are right."""
    times = [t.median_s for name, t in results.items() if not is_ours(name) and t.blocks and not t.fault]
    return min(times, default=math.nan)


def ratio(time_s: float, to_s: float) -> str:
    return f"{time_s / to_s:.2f}" if math.isfinite(time_s / to_s) else "–"


def side_by_side(
    rows: Sequence[tuple[str, Mapping[str, Times], float | None]],
    names: Sequence[str],
    limits: Mapping[str, float | None] | None = None,
) -> str:
    """One row per program: (title, results by framework, floor in seconds if known). `limits`, by title, are what
    twinflow's compiled time may be as a share of the best peer's."""
    ours = [n for n in names if is_ours(n)]
    floors = any(floor for _, _, floor in rows)
    header = ["program", *(FRAMEWORKS[n][1] for n in names)]
    header += [f"{FRAMEWORKS[n][1].removeprefix('twinflow ')} / best peer" for n in ours]
    header += ["at most"] * (limits is not None)
    header += ["floor", "share of the floor reached"] * floors
    body = []
    for title, results, floor in rows:
        best = best_peer_s(results)
        line = [title, *(cell(results.get(n)) for n in names)]
        line += [ratio(results[n].median_s, best) if n in results else "–" for n in ours]
        if limits is not None:
            line.append(f"{limits[title]:g}" if limits.get(title) else "–")
        if floors:
            reached = min((t.median_s for t in results.values() if t.blocks and not t.fault), default=math.nan)
            if "twinflow" in results and results["twinflow"].blocks:
                reached = results["twinflow"].median_s
            share = (floor or math.nan) / reached
            line += [seconds(floor or math.nan), f"{share:.0%}" if math.isfinite(share) else "–"]
        body.append(line)
    return markdown(header, body)


def faults(rows: Sequence[tuple[str, Mapping[str, Times], float | None]]) -> str:
    """A line for each framework that failed or was wrong on a program."""
    lines = [
        f"* {title}, {FRAMEWORKS[name][1]}: {times.fault}"
        for title, results, _ in rows
        for name, times in results.items()
        if times.fault
    ]
    return "\n".join(lines)
