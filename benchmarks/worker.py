"""One framework in a process of its own, told what to do by lines of JSON on its standard input.

    python -m benchmarks.worker NAME THREADS

Each request is an object with `do`; each answer is one line. An answer with `error` holds a traceback, and the process
lives on. Whatever a framework prints goes to the standard error stream, so that the answers stay readable.
"""

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from .frameworks import start

CHECKED_STEPS = 3


def resident_nbytes(field: str = "VmRSS") -> int:
    """Memory of this process that is in RAM now, or at most since `forget_peak` with "VmHWM"."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))


def forget_peak() -> None:
    """Let "VmHWM" count from now; `ru_maxrss` cannot, and begins with the size of the parent process."""
    Path("/proc/self/clear_refs").write_text("5")


def die_with_parent() -> None:
    """End when the harness does, however it ends: a stopped process would never notice that its input is closed."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of linux/prctl.h
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


class Worker:
    def __init__(self, name: str, threads: int) -> None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])  # what a framework finds is what it gets
        before, started = resident_nbytes(), time.perf_counter()
        self.framework = start(name, threads)
        self.import_s = time.perf_counter() - started
        self.import_nbytes = resident_nbytes() - before
        self.program: Any = None
        self.done = 0

    def hello(self) -> dict[str, Any]:
        return {"version": self.framework.version, "import_s": self.import_s, "import_nbytes": self.import_nbytes}

    def load(self, kind: str, name: str, arrays: str, batch: int = 0) -> dict[str, Any]:
        """Build a program, time its first step, and return what its first steps give."""
        from .operations import EVERY_OPERATION
        from .workloads import EVERY_WORKLOAD

        self.program = None
        with np.load(arrays) as file:
            loaded = dict(file)
        forget_peak()
        before, started = resident_nbytes(), time.perf_counter()
        if kind == "train":
            self.program = self.framework.train(EVERY_WORKLOAD[name], loaded)
        elif kind == "predict":
            self.program = self.framework.predict(EVERY_WORKLOAD[name], loaded, batch)
        else:
            self.program = self.framework.operation(EVERY_OPERATION[name], list(loaded.values()))
        built = time.perf_counter()
        checks = [self.program.check(0)]
        first = time.perf_counter()
        checks += [self.program.check(i) for i in range(1, CHECKED_STEPS)]
        self.done = CHECKED_STEPS
        return {
            "checks": checks,
            "build_s": built - started,
            "first_step_s": first - built,
            "nbytes": resident_nbytes("VmHWM") - before,
        }

    def run(self, steps: int) -> dict[str, Any]:
        """Seconds for `steps` steps, waiting for the last one only, as a training loop does."""
        step, done, each = self.program.step, self.done, self.program.steps_a_call
        calls = max(1, round(steps / each))
        started = time.perf_counter()
        for i in range(done, done + calls):
            result = step(i)
        self.program.sync(result)
        time_s = time.perf_counter() - started
        self.done += calls
        return {"time_s": time_s * steps / (calls * each)}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        what = request.pop("do")
        return self.load(**request) if what == "load" else self.run(**request)


def main() -> None:
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    worker = None
    try:
        worker = Worker(sys.argv[1], int(sys.argv[2]))
        first = worker.hello()
    except ModuleNotFoundError as missing:
        first = {"missing": str(missing)}
    except Exception:
        first = {"error": traceback.format_exc()}
    answers.write(json.dumps(first) + "\n")
    if worker is None:
        return
    for line in sys.stdin:
        try:
            said = worker.answer(json.loads(line))
        except Exception:
            said = {"error": traceback.format_exc()}
        answers.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
