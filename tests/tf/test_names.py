"""TensorFlow's names: each is here, or stands in docs/from-tensorflow.md with the reason (tools/tf_names.py records the names)."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from tools.tf_names import missing, read

from twinflow import tf

NAMES = read()
MISSING = missing(tf, NAMES)
PAGE = (Path(__file__).parents[2] / "docs" / "from-tensorflow.md").read_text().partition("## What is missing")[2]
PATTERNS = [
    p for row in PAGE.splitlines() if row.startswith("| `") for p in re.findall(r"`([^`]+)`", row.split("|")[1])
]


def full(space: str, name: str) -> str:
    return ".".join(["tf", *space.split("."), name]) if space else f"tf.{name}"


@pytest.mark.parametrize("space", NAMES, ids=lambda s: f"tf.{s}")
def test_each_name_is_here_or_has_a_reason(space):
    names = [full(space, n) for n in MISSING[space]]
    assert not [n for n in names if not any(fnmatchcase(n, p) for p in PATTERNS)]


def test_each_reason_is_still_needed():
    absent = [full(space, n) for space, names in MISSING.items() for n in names]
    assert not [p for p in PATTERNS if not any(fnmatchcase(n, p) for n in absent)]


def test_what_people_use_is_here():
    counted = {space: len(NAMES[space]) - len(MISSING[space]) for space in NAMES}
    assert counted[""] > 225 and counted["math"] > 125 and counted["compat.v1"] > 405 and counted["compat.v1.nn"] > 70
    assert not MISSING["GradientTape"] and not MISSING["compat.v1.losses"]
