"""Settings from the environment, and the log.

`TWINFLOW_LOG` names topics, separated by commas: `compile`, `cache`, `passes`. `TWINFLOW_DUMP` names passes whose graph is
printed before and after.
"""

from __future__ import annotations

import os
import sys


def topics(variable: str) -> frozenset[str]:
    """The comma-separated words of an environment variable, read each time so that tests and notebooks can set it."""
    return frozenset(w for w in os.environ.get(variable, "").replace(" ", "").split(",") if w)


def log(topic: str, message: str) -> None:
    """Write `message` to standard error if TWINFLOW_LOG names `topic`."""
    if topic in topics("TWINFLOW_LOG"):
        sys.stderr.write(f"[twinflow {topic}] {message}\n")


def log_enabled(topic: str) -> bool:
    """Whether TWINFLOW_LOG names `topic`: ask before building an expensive message."""
    return topic in topics("TWINFLOW_LOG")
