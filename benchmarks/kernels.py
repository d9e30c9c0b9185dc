"""Where the time of twinflow's compiled programs goes: kernel by kernel, beside the floor that arithmetic and bytes set for each.

A kernel's floor is the larger of its arithmetic at the machine's measured rate and its bytes, each operand and result once, at
the measured bandwidth for so many. What a step takes beyond its kernels is the call from Python.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import twinflow

from . import tables
from .frameworks.torch_style import Framework
from .limits import Limits
from .workloads import ONLY_TRAINED, WORKLOADS, Workload

_COVER, _ROWS = 0.97, 14  # of the kernels' time, and rows of a table; what is left stands in one row
_BLOCK_S = 0.05


def kernel_tables(machine: Limits, wanted: Callable[[str], bool], rounds: int, say: Callable[[str], None]) -> list[str]:
    """A table for the training step of each workload, and for its inference at batch 1."""
    ours = Framework("twinflow", machine.threads)
    out = []
    for w in filter(lambda w: wanted(w.name), WORKLOADS.values()):
        arrays = w.arrays()
        programs = [(w.title, ours.train(w, arrays))]
        if w.name not in ONLY_TRAINED:
            programs.append((_batch_1(w), ours.predict(w, arrays, 1)))
        for title, program in programs:
            out.append(_table(title, program, machine, rounds))
            say(f"  {title}: done")
    return out


def _batch_1(w: Workload) -> str:
    return f"{w.title.split(', batch')[0]}, inference at batch 1"


def _table(title: str, program: Any, machine: Limits, rounds: int) -> str:
    for i in range(4):
        program.step(i)
    began = perf_counter()
    program.step(0)
    calls = max(1, int(_BLOCK_S / (perf_counter() - began)))
    times = []
    with twinflow.profile() as profile:
        for _ in range(rounds):
            began = perf_counter()
            for i in range(calls):
                program.step(i)
            times.append((perf_counter() - began) / calls)
    per_call = 1 / (rounds * calls)
    step, total = median(times), sum(k.total_ns for k in profile.kernels) * 1e-9 * per_call
    floors = [machine.floor_s(k.flops, k.nbytes) * k.calls * per_call for k in profile.kernels]
    each = f" ({program.steps_a_call} steps a call)" if program.steps_a_call > 1 else ""
    rows, covered, left = [], 0.0, (0.0, 0.0)
    for k, floor in zip(profile.kernels, floors):
        time = k.total_ns * 1e-9 * per_call
        if covered >= _COVER * total or len(rows) == _ROWS:
            left = (left[0] + time, left[1] + floor)
            continue
        covered += time
        calls_each = f"{k.calls * per_call:.3g}"
        rates = (f"{k.gflops:.3g}", f"{k.gbytes:.3g}")
        rows.append(
            (
                f"{k.name.split()[0]}: {k.ops}",
                calls_each,
                tables.seconds(time),
                _share(time, total),
                *rates,
                _share(floor, time),
            )
        )
    if len(rows) < len(profile.kernels):
        rest = f"{len(profile.kernels) - len(rows)} more"
        rows.append((rest, "", tables.seconds(left[0]), _share(left[0], total), "", "", _share(left[1], left[0])))
    header = ("kernel: what it computes", "a call", "time", "share", "GFLOP/s", "GB/s", "floor ÷ time")
    return "\n\n".join(
        [
            f"#### {title}",
            f"A call takes {tables.seconds(step)}{each}, its kernels {tables.seconds(total)}, whose floor is {tables.seconds(sum(floors))}.",
            tables.markdown(header, rows),
        ]
    )


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0%}" if whole else "–"
