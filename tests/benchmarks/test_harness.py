"""The benchmark harness holds results against each other rightly, and talks to a worker."""

import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from benchmarks import tables
from benchmarks.harness import ROOT, Times, compare, disagreement, environment, team
from benchmarks.kernels import kernel_tables
from benchmarks.limits import WORKING_SETS, Limits
from benchmarks.operations import EVERY_OPERATION
from benchmarks.workloads import WORKLOADS


def test_equal_losses_agree_and_a_wrong_one_is_named() -> None:
    right = [[2.0, 1.0], [1.5, 1.0]]
    assert disagreement([[2.0, 1.0001], [1.501, 1.0]], right, 1e-3, 1e-2) == ""
    assert disagreement([[2.1, 1.0], [1.5, 1.0]], right, 1e-3, 1e-2).startswith("WRONG: step 0 differs by 0.1")
    assert disagreement([[2.0, 1.0], [1.6, 1.0]], right, 1e-3, 1e-2).startswith("WRONG: step 1")
    assert "gives 1 numbers, not 2" in disagreement([[2.0]], right, 1e-3, 1e-2)


def test_nan_never_agrees() -> None:
    assert disagreement([[math.nan]], [[1.0]], 1e-3, 1e-2).startswith("WRONG")


def test_a_wrong_result_is_never_the_best() -> None:
    results = {
        "torch": Times(blocks=[2.0]),
        "jax": Times(blocks=[1.0], fault="WRONG: step 0"),
        "twinflow": Times(blocks=[0.5]),
    }
    assert tables.best_peer_s(results) == 2.0
    table = tables.side_by_side([("a program", results, 0.25)], list(results))
    assert "WRONG (1 s ± 0 µs)" in table
    assert " 0.25 |" in table and " 50% |" in table  # 0.5 s beside 2 s, and a floor of 0.25 s


@pytest.mark.parametrize(
    ("time_s", "shown"), [(1.5, "1.5 s"), (0.01234, "12.3 ms"), (4.2e-6, "4.2 µs"), (math.nan, "–")]
)
def test_times_are_shown_with_their_unit(time_s: float, shown: str) -> None:
    assert tables.seconds(time_s) == shown


def test_the_floor_of_a_dense_network_counts_its_products() -> None:
    w = WORKLOADS["mlp-sgd"]
    first, second = 2 * 64 * 784 * 128, 2 * 64 * 128 * 10
    assert w.floor_flops(64, train=False) == first + second
    assert w.floor_flops(64, train=True) == 2 * first + 3 * second  # the data need no gradient
    weights = 4 * (784 * 128 + 128 + 128 * 10 + 10)
    assert w.floor_nbytes(w.arrays(), 64, train=True) == 2 * weights + 4 * 64 * 784


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=lambda w: w.name)
def test_a_workload_starts_the_same_each_time(workload) -> None:
    first, second = workload.arrays(), workload.arrays()
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[k], second[k]) for k in first)
    assert len(first["x0"]) == len(first["y0"]) == workload.batch


def test_a_worker_computes_and_is_timed() -> None:
    arrays = {f"a{i}": a for i, a in enumerate(EVERY_OPERATION["small-add"].arrays(np.random.default_rng(0)))}
    with team(["twinflow-eager"], 1, sys.executable) as members:
        assert not members.absent
        results = compare(members, arrays, kind="operation", name="small-add", rounds=1)
    times = results["twinflow-eager"]
    np.testing.assert_allclose(times.checks[0][:10], arrays["a0"] + arrays["a1"], rtol=1e-6)
    assert times.fault == "" and len(times.blocks) == 1 and times.median_s > 0


def test_many_steps_a_call_make_the_same_steps_and_are_timed_per_step() -> None:
    with team(["twinflow", "twinflow-eager"], 1, sys.executable) as members:
        arrays = WORKLOADS["linear-many"].arrays()
        results = compare(members, arrays, kind="train", name="linear-many", rounds=1)
        one = compare(members, arrays, kind="train", name="linear", rounds=1)
    assert [t.fault for t in results.values()] == ["", ""]
    np.testing.assert_allclose(results["twinflow"].checks, one["twinflow"].checks, rtol=1e-5)
    assert 0 < results["twinflow"].median_s < one["twinflow"].median_s


def test_the_limit_of_a_workload_stands_in_its_row() -> None:
    table = tables.side_by_side([("a", {}, None), ("b", {}, None)], ["twinflow", "torch"], {"a": 0.4})
    head, _, a, b = ([c.strip() for c in line.split("|")] for line in table.splitlines())
    at = head.index("at most")
    assert (a[at], b[at]) == ("0.4", "–")


def test_a_worker_that_fails_says_why_and_the_team_goes_on() -> None:
    with team(["twinflow-eager"], 1, sys.executable) as members:
        failed = compare(members, {"a0": np.ones(3)}, kind="operation", name="no-such-operation", rounds=1)
        assert "KeyError: 'no-such-operation'" in failed["twinflow-eager"].fault
        arrays = {f"a{i}": a for i, a in enumerate(EVERY_OPERATION["small-add"].arrays(np.random.default_rng(0)))}
        assert compare(members, arrays, kind="operation", name="small-add", rounds=1)["twinflow-eager"].blocks


def test_a_framework_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with team(["jax"], 1, "/no/such/python") as members:
        assert not members.workers
        assert "/no/such/python" in members.absent["jax"]


def test_workers_end_with_a_harness_that_is_killed() -> None:
    code = """
from benchmarks.harness import Worker
import sys, time
worker = Worker("twinflow-eager", 1, sys.executable)
worker.pause()
print(worker.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(1)
    ) as harness:
        assert harness.stdout
        worker = int(harness.stdout.readline())
        harness.kill()
    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(worker)


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended: one that waits for its parent to read its status has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_kernel_tables_account_for_the_whole_time() -> None:
    machine = Limits(1, "a processor", 1e11, (1e10,) * len(WORKING_SETS))
    (trained, inferred) = kernel_tables(machine, lambda name: name == "softmax", 2, lambda text: None)
    assert trained.startswith("#### softmax regression 784-10") and "inference at batch 1" in inferred
    rows = [row.split("|") for row in trained.splitlines() if row.startswith("| ")][1:]
    assert any("matmul" in row[1] for row in rows)
    assert abs(sum(int(row[4].strip(" %")) for row in rows) - 100) <= len(rows)  # shares, each rounded
