"""What programs ask about graphics processors. There are none yet, and this says so, so that the usual line runs:
`device = "cuda" if twinflow.cuda.is_available() else "cpu"`.
"""

from __future__ import annotations

from typing import Any, NoReturn

from twinflow.core.errors import DeviceError


def is_available() -> bool:
    """False: this build computes on the processor only.

    >>> import twinflow
    >>> "cuda" if twinflow.cuda.is_available() else "cpu"
    'cpu'
    """
    return False


def device_count() -> int:
    """0."""
    return 0


def is_initialized() -> bool:
    """False."""
    return False


def manual_seed(seed: int) -> None:
    """Seed the generator of the current graphics processor; there is none to seed, as in PyTorch without one."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all graphics processors, of which there are none."""


def empty_cache() -> None:
    """Give back unused memory of the graphics processors, of which there are none."""


def __getattr__(name: str) -> Any:
    if name == "amp":
        raise AttributeError(
            "module 'twinflow.cuda' has no attribute 'amp': use twinflow.amp.autocast('cpu') and twinflow.amp.GradScaler('cpu')"
        )
    if name.startswith("_"):
        raise AttributeError(f"module 'twinflow.cuda' has no attribute {name!r}")

    def absent(*args: Any, **keywords: Any) -> NoReturn:
        raise DeviceError(f"cuda.{name}: there is no graphics processor; this build of twinflow computes on 'cpu' only")

    return absent
