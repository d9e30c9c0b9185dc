"""What twinflow's eager mode costs beside PyTorch's, in one run: `python -m benchmarks.eager`.

The training steps of the articles, single operations so small that only the framework's own time shows, and what an
import costs. Every ratio has the limit that the project holds itself to; the last line says whether all are kept.
"""

import argparse
import math
import subprocess
import sys
import tempfile
from statistics import median

import numpy as np

from . import tables
from .harness import ROOT, Team, Times, compare, environment, find_peers_python, team
from .operations import SMALL_OPERATIONS
from .workloads import EVERY_WORKLOAD

OURS, THEIRS = "twinflow-eager", "torch"
STEPS = ("linear", "scalar", "mlp-sgd", "mlp-adam")
STEP_LIMIT, OPERATION_LIMIT = 0.6, 0.7
IMPORT_LIMIT_S, IMPORT_LIMIT_NBYTES = 0.2, 40e6
IMPORT = """
import os, resource, time
import numpy
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
before, started = resident(), time.perf_counter()
import {module}
print(time.perf_counter() - started, resident() - before)
"""


def import_cost(module: str, python: str, threads: int, repeats: int = 5) -> tuple[float, float]:
    """Median seconds and bytes of importing a module after NumPy, in new processes; NaN where it is not installed."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        # an installed package has its bytecode: the first import, which is not counted, makes it here
        env = {k: v for k, v in environment(threads).items() if k != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = folder
        for _ in range(1 + repeats):
            done = subprocess.run(
                [python, "-c", IMPORT.format(module=module)],
                cwd=ROOT,
                env=env,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                return math.nan, math.nan
            time_s, nbytes = map(float, done.stdout.split())
            found.append((time_s, nbytes))
    del found[0]
    return median(t for t, _ in found), median(m for _, m in found)


def row(title: str, results: dict[str, Times], limit: float) -> tuple[list[str], bool]:
    ours, theirs = results.get(OURS), results.get(THEIRS)
    value = ours.median_s / theirs.median_s if ours and theirs else math.nan
    kept = math.isfinite(value) and value <= limit and not (ours and ours.fault)
    shown = f"{value:.2f}" if math.isfinite(value) else "–"
    return [title, tables.cell(ours), tables.cell(theirs), shown, f"{limit}", "yes" if kept else "NO"], kept


def measure(members: Team, rounds: int, only: str) -> tuple[list[list[str]], bool]:
    rows, kept, faults = [], True, []

    def wanted(name: str, title: str) -> bool:
        return any(part in f"{name} {title}" for part in only.split(","))

    for w in (EVERY_WORKLOAD[name] for name in STEPS):
        if not wanted(w.name, w.title):
            continue
        results = compare(members, w.arrays(), kind="train", name=w.name, rounds=rounds)
        cells, ok = row(f"step: {w.title}", results, STEP_LIMIT)
        rows.append(cells)
        kept &= ok
        faults += [f"{w.title}, {n}: {t.fault}" for n, t in results.items() if t.fault]
    for o in SMALL_OPERATIONS:
        if not wanted(o.name, o.title):
            continue
        arrays = {f"a{i}": a for i, a in enumerate(o.arrays(np.random.default_rng(0)))}
        results = compare(members, arrays, kind="operation", name=o.name, rounds=rounds)
        cells, ok = row(o.title, results, OPERATION_LIMIT)
        rows.append(cells)
        kept &= ok
        faults += [f"{o.title}, {n}: {t.fault}" for n, t in results.items() if t.fault]
    for fault in faults:
        print(fault, file=sys.stderr)
    return rows, kept


def add_imports(rows: list[list[str]], peers: str, threads: int) -> bool:
    ours, theirs = import_cost("twinflow", sys.executable, threads), import_cost("torch", peers, threads)
    kept = True
    for title, mine, other, limit, show in (
        ("import, time after NumPy", ours[0], theirs[0], IMPORT_LIMIT_S, tables.seconds),
        ("import, memory after NumPy", ours[1], theirs[1], IMPORT_LIMIT_NBYTES, tables.mebibytes),
    ):
        ok = mine <= limit
        kept &= ok
        cells = [show(v) if math.isfinite(v) else "–" for v in (mine, other)]
        rows.append([title, *cells, tables.ratio(mine, other), f"{show(limit)} in all", "yes" if ok else "NO"])
    return kept


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eager", description=__doc__)
    parser.add_argument("--threads", type=int, default=2, help="for both (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each (default: %(default)s)")
    parser.add_argument("--peers", default=find_peers_python(), metavar="PYTHON", help="the Python that has PyTorch")
    parser.add_argument(
        "--only", default="", metavar="A,B", help="only rows whose name contains A or B, and no imports"
    )
    options = parser.parse_args()

    with team((OURS, THEIRS), options.threads, options.peers) as members:
        for name, why in members.absent.items():
            print(f"{name} is skipped: {why}.", file=sys.stderr)
        rows, kept = measure(members, options.rounds, options.only)

    if not rows:
        parser.error(f"--only {options.only}: no row has such a name")
    if not options.only:
        kept &= add_imports(rows, options.peers, options.threads)
    print(tables.markdown(["eager", "twinflow", "PyTorch", "ratio", "at most", "kept"], rows))
    print(f"\nMedians of {options.rounds} blocks ± half their interquartile range, {options.threads} threads each.")
    print("Every limit is kept." if kept else "Not every limit is kept.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
