"""What a program costs around its steps: import, first step with and without caches, memory, a busy neighbour.

Each number comes from fresh processes, so that nothing an earlier program left behind counts.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np

from . import tables
from .frameworks import FRAMEWORKS, is_ours
from .harness import Team, Times, Worker, WorkerError, compare
from .workloads import WORKLOADS, Workload

STARTUP = ("linear", "mlp-adam", "mnist-cnn", "transformer", "resnet18")
NEIGHBOURED = ("linear", "mlp-adam", "mlp-wide", "mnist-cnn")
IMPORTS = 3


def fresh(name: str, w: Workload, threads: int, peers: str, cache: str) -> dict[str, Any]:
    """One new process that loads a workload and makes its first steps."""
    worker = Worker(name, threads, peers, cache)
    try:
        with tempfile.NamedTemporaryFile(suffix=".npz") as file:
            np.savez(file, **w.arrays())  # type: ignore[arg-type]  # NumPy's stub takes the last keyword for allow_pickle
            file.flush()
            return worker.ask("load", kind="train", name=w.name, arrays=file.name)
    finally:
        worker.close()


def imports(name: str, threads: int, peers: str) -> tuple[float, float]:
    """Median seconds and bytes of importing a framework after NumPy."""
    found = []
    for _ in range(IMPORTS):
        worker = Worker(name, threads, peers)
        found.append((worker.import_s, worker.import_nbytes))
        worker.close()
    return median(t for t, _ in found), median(m for _, m in found)


def startup_table(
    names: list[str], wanted: Callable[[str], bool], threads: int, peers: str, say: Callable[[str], None]
) -> str:
    """Per framework: import; per workload the first step (empty caches / second process), and memory added."""
    programs = [WORKLOADS[n] for n in STARTUP if wanted(n)]
    columns: list[list[str]] = []
    for name in names:
        time_s, nbytes = imports(name, threads, peers)
        column = [FRAMEWORKS[name][1], f"{tables.seconds(time_s)}, {tables.mebibytes(nbytes)}"]
        for w in programs:
            try:
                with tempfile.TemporaryDirectory() as cache:
                    cold, warm = (fresh(name, w, threads, peers, cache) for _ in range(2))
                times = f"{tables.seconds(cold['first_step_s'])} / {tables.seconds(warm['first_step_s'])}"
                column.append(f"{times}, {tables.mebibytes(warm['nbytes'])}")
            except WorkerError as why:
                say(f"  {w.title}, {name}: {why}")
                column.append("failed")
            say(f"  {w.title}, {name}: {column[-1]}")
        columns.append(column)
    header = ["import: time, memory", *(f"{w.name}: first step cold / warm, memory" for w in programs)]
    rows = [[head, *(c[i + 1] for c in columns)] for i, head in enumerate(header)]
    return tables.markdown(["", *(c[0] for c in columns)], rows)


def neighbour_table(
    members: Team,
    wanted: Callable[[str], bool],
    rounds: int,
    progress: Callable[[str, Mapping[str, Times]], None],
) -> str:
    """How many times longer a step takes while another process keeps one processor busy."""
    rows = []
    names = list(members.workers)
    for w in (WORKLOADS[n] for n in NEIGHBOURED if wanted(n)):
        arrays = w.arrays()
        alone = compare(members, arrays, kind="train", name=w.name, rounds=rounds)
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        try:
            beside = compare(members, arrays, kind="train", name=w.name, rounds=rounds)
        finally:
            busy.kill()
            busy.wait()
        progress(f"{w.title}, with a busy neighbour", beside)
        cells = [f"{tables.ratio(beside[n].median_s, alone[n].median_s)} ×" for n in names]
        rows.append([w.title, *cells])
    ours = "; twinflow's are first" if any(map(is_ours, names)) else ""
    note = f"Step time beside a busy process, divided by the step time alone{ours}."
    return tables.markdown(["program", *(FRAMEWORKS[n][1] for n in names)], rows) + "\n\n" + note
