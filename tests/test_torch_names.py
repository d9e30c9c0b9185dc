"""PyTorch's names: each is here, or stands in torch_missing.txt with the reason (tools/torch_names.py records the names)."""

import importlib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

import twinflow

HERE = Path(__file__).parent
NAMES = {
    space: names.split()
    for space, _, names in (
        row.partition(": ") for row in (HERE / "torch_names.txt").read_text().splitlines() if not row.startswith("#")
    )
}
REASONS = [r for r in (HERE / "torch_missing.txt").read_text().splitlines() if r and not r.startswith("#")]
PATTERNS = [p for row in REASONS for p in row.partition(": ")[2].split()]


def namespace(space: str) -> Any:
    if space in ("", "Tensor"):
        return twinflow.Tensor if space else twinflow
    return importlib.import_module(f"twinflow.{space}")


def missing(space: str) -> list[str]:
    return [n for n in NAMES[space] if not hasattr(namespace(space), n)]


def fits(pattern: str, space: str, name: str) -> bool:
    where, _, what = pattern.rpartition("/")
    return where == space and fnmatchcase(name, what)


@pytest.mark.parametrize("space", NAMES)
def test_each_name_is_here_or_has_a_reason(space: str) -> None:
    unexplained = [n for n in missing(space) if not any(fits(p, space, n) for p in PATTERNS)]
    assert not unexplained


def test_each_reason_is_still_needed() -> None:
    absent = [(space, name) for space in NAMES for name in missing(space)]
    idle = [p for p in PATTERNS if not any(fits(p, space, name) for space, name in absent)]
    assert not idle


def test_what_people_use_is_here() -> None:
    counted = {space: len(NAMES[space]) - len(missing(space)) for space in NAMES}
    assert counted[""] > 540 and counted["Tensor"] > 500 and counted["nn"] > 160 and counted["nn.functional"] > 100
