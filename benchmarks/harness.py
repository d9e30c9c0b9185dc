"""Workers side by side: start them, hold their results against each other, time them in alternation."""

import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from .frameworks import FRAMEWORKS, is_ours

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 900.0  # for one answer; compiling a large model on a busy machine takes minutes in some frameworks
BLOCK_S = 0.06  # one timing: long enough for the clock, short enough that rounds alternate often
PAUSE_S = 0.03  # between one peer's turn and the next: thread pools stop spinning meanwhile


def find_peers_python() -> str:
    """The Python that has the other frameworks: $TWINFLOW_PEERS, else `.venv-peers`, else this one."""
    beside = ROOT / ".venv-peers" / "bin" / "python"
    return os.environ.get("TWINFLOW_PEERS") or (str(beside) if beside.exists() else sys.executable)


def environment(threads: int, cache: str | None = None) -> dict[str, str]:
    """The same number of threads for every library that reads one; compile caches below `cache` if it is given."""
    n = str(threads)
    env = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TWINFLOW_NUM_THREADS", "NPROC"):
        env[name] = n
    env |= {"TF_NUM_INTRAOP_THREADS": n, "TF_NUM_INTEROP_THREADS": n, "TF_CPP_MIN_LOG_LEVEL": "3"}
    env |= {"JAX_PLATFORMS": "cpu", "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    if cache:
        env |= {
            "TWINFLOW_CACHE": f"{cache}/twinflow",
            "TORCHINDUCTOR_CACHE_DIR": f"{cache}/torch",
            "JAX_COMPILATION_CACHE_DIR": f"{cache}/jax",
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
    return env


class WorkerError(Exception):
    """A worker could not do what it was asked; the message is its own."""


class Worker:
    """One framework's process. It is stopped (SIGSTOP) while others have their turn, so that it cannot disturb them."""

    def __init__(self, name: str, threads: int, peers_python: str, cache: str | None = None) -> None:
        self.name, self.title = name, FRAMEWORKS[name][1]
        python = sys.executable if is_ours(name) else peers_python
        self.errors = tempfile.TemporaryFile("w+")
        try:
            self.process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", name, str(threads)],
                cwd=ROOT,
                env=environment(threads, cache),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.errors,
                text=True,
                bufsize=1,
            )
        except OSError as why:
            self.errors.close()
            raise WorkerError(str(why)) from why
        try:
            hello = self.receive(LIMIT_S)
        except WorkerError:
            self.close()
            raise
        if "missing" in hello:
            self.close()
            raise WorkerError(f"not installed ({hello['missing']})")
        self.version, self.import_s, self.import_nbytes = hello["version"], hello["import_s"], hello["import_nbytes"]

    def receive(self, limit_s: float) -> dict[str, Any]:
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], limit_s)
        if not ready:
            raise WorkerError(f"no answer in {limit_s:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            tail = self.errors.read().strip().splitlines()[-1:] or ["no message"]
            raise WorkerError(f"the process ended (status {self.process.wait()}): {tail[0]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"].strip().splitlines()[-1])
        return answer

    def ask(self, do: str, limit_s: float = LIMIT_S, **arguments: Any) -> dict[str, Any]:
        if self.process.poll() is not None:
            raise WorkerError("the process has ended")
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        return self.receive(limit_s)

    def pause(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.resume()
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            if stream:
                stream.close()


class Team:
    """The frameworks that could be started; one that fails is started anew for the next program."""

    def __init__(self, names: Sequence[str], threads: int, peers_python: str) -> None:
        self.threads, self.peers_python = threads, peers_python
        self.workers: dict[str, Worker] = {}
        self.absent: dict[str, str] = {}
        for name in names:
            try:
                self.start(name)
            except WorkerError as why:
                self.absent[name] = str(why)

    def start(self, name: str) -> Worker:
        if name in self.workers:
            self.workers.pop(name).close()
        worker = self.workers[name] = Worker(name, self.threads, self.peers_python)
        worker.pause()
        return worker

    def close(self) -> None:
        for worker in self.workers.values():
            worker.close()


@contextmanager
def team(names: Sequence[str], threads: int, peers_python: str) -> Iterator[Team]:
    made = Team(names, threads, peers_python)
    try:
        yield made
    finally:
        made.close()


@dataclass
class Times:
    """Seconds per step of one framework on one program, a number for each block."""

    blocks: list[float] = field(default_factory=list)
    checks: list[list[float]] = field(default_factory=list)
    first_step_s: float = 0.0
    nbytes: int = 0
    fault: str = ""  # why there is no time, or why it does not count

    @property
    def median_s(self) -> float:
        return median(self.blocks) if self.blocks else math.nan

    @property
    def spread_s(self) -> float:
        """Interquartile range of the blocks."""
        if len(self.blocks) < 2:
            return 0.0
        first, _, third = quantiles(self.blocks, n=4)
        return third - first


def disagreement(checks: list[list[float]], expected: list[list[float]], rtol: float, rtol_later: float) -> str:
    """What differs between two frameworks' first steps, or nothing."""
    for i, (mine, theirs) in enumerate(zip(checks, expected)):
        a, b = np.array(mine), np.array(theirs)
        if a.shape != b.shape:
            return f"WRONG: step {i} gives {len(a)} numbers, not {len(b)}"
        allowed = (rtol_later if i else rtol) * max(float(np.abs(b).max()), 1e-6)
        worst = float(np.abs(a - b).max())
        if not worst <= allowed:
            return f"WRONG: step {i} differs by {worst:.2g} (allowed {allowed:.2g})"
    return ""


def reference_of(results: dict[str, Times]) -> str | None:
    """Whose numbers the others are held to: PyTorch's eager ones, else the first that has any."""
    ready = [name for name, times in results.items() if times.checks]
    return "torch" if "torch" in ready else ready[0] if ready else None


def compare(
    members: Team,
    arrays: dict[str, np.ndarray],
    *,
    kind: str,
    name: str,
    batch: int = 0,
    rtol: float = 1e-3,
    rtol_later: float = 1e-2,
    rounds: int = 7,
) -> dict[str, Times]:
    """Load one program into every worker, compare its first steps, then time it in alternation.

    A worker whose numbers disagree is timed too, for information, and its row carries the fault.
    """
    results = {member: Times() for member in members.workers}
    steps: dict[str, int] = {}
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's stub takes the last keyword for allow_pickle
        file.flush()
        for member in results:
            try:
                worker = members.workers[member]
                if worker.process.poll() is not None:
                    worker = members.start(member)
                worker.resume()
                said = worker.ask("load", kind=kind, name=name, arrays=file.name, batch=batch)
                times = results[member]
                times.checks, times.first_step_s, times.nbytes = said["checks"], said["first_step_s"], said["nbytes"]
                once = min(worker.ask("run", steps=1)["time_s"] for _ in range(3))
                steps[member] = max(1, min(100_000, round(BLOCK_S / max(once, 1e-7))))
                worker.pause()
            except WorkerError as why:
                results[member].fault = str(why)
                steps.pop(member, None)
                members.start(member)

    reference = reference_of(results)
    for times in results.values():
        if reference and times.checks:
            times.fault = disagreement(times.checks, results[reference].checks, rtol, rtol_later)

    for turn in range(rounds + 1):  # the first round warms up and sets the length of a block
        for member in list(steps):
            worker = members.workers[member]
            worker.resume()
            try:
                per_step = worker.ask("run", steps=steps[member])["time_s"] / steps[member]
            except WorkerError as why:
                results[member].fault, results[member].blocks = str(why), []
                steps.pop(member)
                members.start(member)
                continue
            worker.pause()
            if turn:
                results[member].blocks.append(per_step)
            else:
                steps[member] = max(1, min(100_000, round(BLOCK_S / max(per_step, 1e-7))))
            time.sleep(PAUSE_S)
    return results
