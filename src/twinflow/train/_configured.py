"""What `configure_optimizers` returns, in any of its forms, as optimizers and schedules."""

from __future__ import annotations

from typing import Any, NamedTuple

from twinflow.core.errors import ArgumentError
from twinflow.optim import Optimizer
from twinflow.optim.lr_scheduler import LRScheduler

_KEYS = ("optimizer", "scheduler", "lr_scheduler", "interval", "monitor")


class Schedule(NamedTuple):
    """A schedule, when it steps ("epoch" or "step"), and the metric that it looks at."""

    schedule: LRScheduler
    interval: str = "epoch"
    monitor: str | None = None


def optimizers_of(made: Any) -> tuple[list[Optimizer], list[Schedule]]:
    """Optimizers and schedules: of one optimizer, a pair with a schedule, a dict, a list, or a pair of lists."""
    optimizers: list[Any]
    schedules: list[Any] = []
    if isinstance(made, dict):
        _known(made, _KEYS)
        optimizers = [made.get("optimizer")]
        given = made.get("scheduler", made.get("lr_scheduler"))
        if given is not None:
            when = {k: made[k] for k in ("interval", "monitor") if k in made}
            schedules = [when | (given if isinstance(given, dict) else {"scheduler": given})]
    elif isinstance(made, tuple) and len(made) == 2 and not isinstance(made[1], Optimizer):
        optimizers, schedules = _listed(made[0]), _listed(made[1])
    else:
        optimizers = _listed(made)
    for o in optimizers:
        if not isinstance(o, Optimizer):
            raise ArgumentError(f"configure_optimizers: an optimizer was expected, not {type(o).__name__}")
    return optimizers, [_schedule(s) for s in schedules]


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def _known(options: dict[str, Any], names: tuple[str, ...]) -> None:
    for key in options:
        if key not in names:
            raise ArgumentError(f"configure_optimizers: {key!r} is not one of the keys {', '.join(map(repr, names))}")


def _schedule(given: Any) -> Schedule:
    options = given if isinstance(given, dict) else {"scheduler": given}
    _known(options, ("scheduler", "interval", "monitor"))
    found = Schedule(options.get("scheduler"), options.get("interval", "epoch"), options.get("monitor"))  # type: ignore[arg-type]
    if not isinstance(found.schedule, LRScheduler):
        raise ArgumentError(f"configure_optimizers: a schedule was expected, not {type(found.schedule).__name__}")
    if found.interval not in ("epoch", "step"):
        raise ArgumentError(f"configure_optimizers: interval is 'epoch' or 'step', not {found.interval!r}")
    return found
