"""Running a program: `tf.app`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from twinflow.tf.compat.v1 import flags as flags


def run(main: Callable[[list[str]], Any] | None = None, argv: list[str] | None = None) -> NoReturn:
    """Read the command line into `tf.flags.FLAGS`, call `main` with what is left of it, and exit with its result."""
    given = sys.argv if argv is None else argv
    rest = flags.FLAGS(list(given))
    sys.exit((main or sys.modules["__main__"].main)(rest))
