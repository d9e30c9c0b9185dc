"""Run every example and report how each one ended; exit with an error if any failed.

    python examples/run_all.py --small

Each `examples/*.py` gets `--small` (when given here) and `--out` with a temporary folder. The programs in
`examples/articles/` take no options, and run as they are.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TIME_LIMIT_S = 600


def find_examples(pattern: str) -> list[Path]:
    """Programs whose path below `examples/` contains `pattern`, the articles' last; `_names` are helpers."""
    found = sorted(HERE.glob("*.py")) + sorted((HERE / "articles").glob("*.py"))
    return [
        p for p in found if p != Path(__file__).resolve() and p.name[0] != "_" and pattern in str(p.relative_to(HERE))
    ]


def run_example(path: Path, small: bool, out: Path) -> tuple[bool, float, str]:
    """Run one program in a process of its own: whether it succeeded, its time in seconds, and what it printed."""
    options = [] if path.parent.name == "articles" else ["--out", str(out)] + ["--small"] * small
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, str(path), *options],
            cwd=out,
            env={**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
        ok, printed = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired as late:
        printed = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        ok, printed = False, f"{printed}\nstill running after {TIME_LIMIT_S} s"
    return ok, time.perf_counter() - started, printed


def main() -> int:
    """Parse the options, run the examples, and return how many failed."""
    parser = argparse.ArgumentParser(description="Run every example.")
    parser.add_argument("--small", action="store_true", help="seconds each, as continuous integration runs them")
    parser.add_argument("--only", default="", metavar="TEXT", help="only programs whose path contains TEXT")
    options = parser.parse_args()

    examples = find_examples(options.only)
    failed = 0
    for path in examples:
        with tempfile.TemporaryDirectory() as out:
            ok, time_s, printed = run_example(path, options.small, Path(out))
        print(f"{'ok  ' if ok else 'FAIL'} {time_s:6.1f} s  {path.relative_to(HERE)}", flush=True)
        if not ok:
            failed += 1
            print("    " + "\n    ".join(printed.strip().splitlines()[-30:]), flush=True)
    print(f"{len(examples) - failed} of {len(examples)} examples succeeded")
    return failed


if __name__ == "__main__":
    sys.exit(main())
