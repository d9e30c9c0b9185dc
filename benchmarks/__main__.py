"""Measure twinflow beside the frameworks that are installed, and print the tables: `python -m benchmarks --help`."""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from . import checks, kernels, limits, plots, startup, tables
from .frameworks import FRAMEWORKS
from .harness import ROOT, Team, Times, compare, find_peers_python, team
from .operations import OPERATIONS
from .workloads import ONLY_TRAINED, WORKLOADS

Row = tuple[str, Mapping[str, Times], float | None]
SECTIONS = ("train", "inference", "operations", "startup", "neighbour", "kernels", "checks")
BEGIN = '<!-- benchmark tables: begin (written by `make bench ARGS="--readme"`) -->'
END = "<!-- benchmark tables: end -->"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def progress(title: str, results: Mapping[str, Times]) -> None:
    say(f"  {title}: " + ", ".join(f"{n} {tables.cell(t)}" for n, t in results.items()))


def train_rows(members: Team, machine: limits.Limits, wanted: Callable[[str], bool], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for w in filter(lambda w: wanted(w.name), WORKLOADS.values()):
        arrays = w.arrays()
        results = compare(
            members, arrays, kind="train", name=w.name, rounds=rounds, rtol=w.rtol, rtol_later=w.rtol_later
        )
        floor = machine.floor_s(w.floor_flops(w.batch, True), w.floor_nbytes(arrays, w.batch, True))
        progress(w.title, results)
        rows.append((w.title, results, floor))
    return rows


def inference_rows(members: Team, machine: limits.Limits, wanted: Callable[[str], bool], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for w in filter(lambda w: wanted(w.name), WORKLOADS.values()):
        if w.name in ONLY_TRAINED:
            continue
        arrays = w.arrays()
        for batch in (1, 64):
            results = compare(
                members, arrays, kind="predict", name=w.name, batch=batch, rounds=rounds, rtol_later=w.rtol
            )
            floor = machine.floor_s(w.floor_flops(batch, False), w.floor_nbytes(arrays, batch, False))
            title = f"{w.title.split(', batch')[0]}, batch {batch}"
            progress(title, results)
            rows.append((title, results, floor))
    return rows


def operation_rows(members: Team, machine: limits.Limits, wanted: Callable[[str], bool], rounds: int) -> list[Row]:
    rows: list[Row] = []
    for o in filter(lambda o: wanted(o.name), OPERATIONS.values()):
        arrays = {f"a{i}": a for i, a in enumerate(o.arrays(np.random.default_rng(0)))}
        results = compare(members, arrays, kind="operation", name=o.name, rounds=rounds, rtol=o.rtol, rtol_later=o.rtol)
        progress(o.title, results)
        rows.append((o.title, results, machine.floor_s(o.flops, o.nbytes)))
    return rows


def describe(machine: limits.Limits, members: Team) -> str:
    """What was measured on, and with which versions."""
    rates = " / ".join(f"{b / 1e9:.0f}" for b in machine.bandwidths)
    sizes = " / ".join(f"{n // 1024} KiB" if n < 1 << 20 else f"{n >> 20} MiB" for n in limits.WORKING_SETS)
    lines = [
        f"{platform.machine()} ({machine.processor}), {machine.threads} threads each. Its limits, in the same run: "
        f"{machine.peak_flops / 1e9:.0f} GFLOP/s float32; {rates} GB/s on {sizes} of memory.",
        "; ".join(f"{w.title}: {w.version}" for w in members.workers.values()) + ".",
    ]
    lines += [f"{FRAMEWORKS[name][1]} is skipped: {why}." for name, why in members.absent.items()]
    return "\n\n".join(lines)


def write_readme(text: str) -> None:
    path = ROOT / "README.md"
    old = path.read_text()
    before, rest = old.split(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{rest.split(END)[1]}")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"which tables: {', '.join(SECTIONS)} (default: train)")
    parser.add_argument("--only", default="", metavar="A,B", help="only programs whose name contains A or B")
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS), metavar="A,B", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="for every framework (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each framework (default: %(default)s)")
    parser.add_argument("--peers", default=find_peers_python(), metavar="PYTHON", help="the Python that has the others")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the tables to FILE")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="also draw each table's ratios into DIR (needs matplotlib)"
    )
    parser.add_argument("--readme", action="store_true", help="also put the tables into README.md")
    options = parser.parse_args(arguments)
    for kind, given, known in (
        ("section", options.sections, SECTIONS),
        ("framework", options.frameworks.split(","), FRAMEWORKS),
    ):
        for name in given:
            if name not in known:
                parser.error(f"unknown {kind} {name!r}; there are {', '.join(known)}")
    return options


def main() -> int:
    options = parse(sys.argv[1:])
    names = options.frameworks.split(",")
    sections = options.sections or ["train"]
    parts = options.only.split(",")
    started = time.perf_counter()

    def wanted(name: str) -> bool:
        return any(part in name for part in parts)

    say("measuring the machine ...")
    machine = limits.measure(options.threads)
    out: list[str] = []
    with team(names, options.threads, options.peers) as members:
        out.append(describe(machine, members))
        say(out[0])
        present = [n for n in names if n in members.workers]
        for section, title, rows_of in (
            ("train", "Whole training step", train_rows),
            ("inference", "Inference", inference_rows),
            ("operations", "Single operations", operation_rows),
        ):
            if section in sections:
                rows = rows_of(members, machine, wanted, options.rounds)
                limited = {w.title: w.limit for w in WORKLOADS.values()} if section == "train" else None
                out += [f"### {title}", tables.side_by_side(rows, present, limited)]
                out += [tables.faults(rows)] * bool(tables.faults(rows))
                if options.plots:
                    say(f"drawn: {plots.draw(title, rows, present, options.plots / f'{section}.svg')}")
        if "neighbour" in sections:
            out += ["### With a busy neighbour", startup.neighbour_table(members, wanted, options.rounds, progress)]
    if "kernels" in sections:
        out += ["### Kernels", *kernels.kernel_tables(machine, wanted, options.rounds, say)]
    if "checks" in sections:
        out += ["### Checks for NaN", checks.check_table(options.threads, wanted, options.rounds, say)]
    if "startup" in sections:
        out += ["### Start and memory", startup.startup_table(present, wanted, options.threads, options.peers, say)]
    command = " ".join(["python -m benchmarks", *sections, "--rounds", str(options.rounds)])
    command += f" --only {options.only}" if options.only else ""
    out.append(
        f"Medians of {options.rounds} blocks ± half their interquartile range, taken in turns. "
        f"`{command}` took {time.perf_counter() - started:.0f} s."
    )
    text = "\n\n".join(out) + "\n"
    print(text)
    if options.output:
        options.output.write_text(text)
    if options.readme:
        write_readme(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
