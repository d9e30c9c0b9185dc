"""What the check for NaN and infinity costs inside twinflow's compiled training steps: each step with it and without, in turns."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

from . import tables
from .frameworks.torch_style import Framework
from .workloads import WORKLOADS

_BLOCK_S, _PAIRS = 0.002, 40  # short blocks: what else the machine does hits both of a pair
LIMIT = 0.02


def check_table(threads: int, wanted: Callable[[str], bool], rounds: int, say: Callable[[str], None]) -> str:
    """A row for each training step that is called once a step: time without the check, and what it adds."""
    ours = Framework("twinflow", threads)
    rows = []
    for w in filter(lambda w: wanted(w.name) and w.steps_a_call == 1, WORKLOADS.values()):
        arrays = w.arrays()
        plain, checked = ours.train(w, arrays), ours.train(w, arrays, checked=True)
        calls = _calls(plain, checked)
        times: list[float] = []
        costs = []
        for _ in range(rounds):
            pairs = [(_time_s(plain, calls), _time_s(checked, calls)) for _ in range(_PAIRS)]
            times.append(median(a for a, _ in pairs))
            costs.append(median(b / a - 1 for a, b in pairs))
        costs.sort()
        spread = (costs[len(costs) * 3 // 4] - costs[len(costs) // 4]) / 2
        rows.append(
            (
                w.title,
                tables.seconds(median(times)),
                f"{median(costs):.1%}",
                f"± {spread:.1%}",
                f"{LIMIT:.0%}",
            )
        )
        say(f"  {w.title}: {median(costs):.1%}")
    return tables.markdown(("step", "without the check", "the check adds", "", "at most"), rows)


def _calls(*programs: Any) -> int:
    """How many calls fill a block; the programs are compiled by then."""
    for p in programs:
        for i in range(4):
            p.step(i)
    return max(1, int(_BLOCK_S / _time_s(programs[0], 1)))


def _time_s(program: Any, calls: int) -> float:
    began = perf_counter()
    for i in range(calls):
        program.step(i)
    return (perf_counter() - began) / calls
