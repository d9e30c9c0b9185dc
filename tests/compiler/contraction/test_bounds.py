"""Kernels touch no memory outside their operands and workspace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="protects pages with mprotect")
def test_nothing_outside_the_operands_is_touched(machine: str) -> None:
    script = Path(__file__).with_name("guarded.py")
    done = subprocess.run([sys.executable, str(script), machine], capture_output=True, text=True, timeout=300)
    last = done.stdout.splitlines()[-1] if done.stdout else ""
    assert (done.returncode, last) == (0, "done"), done.stderr[-2000:]
