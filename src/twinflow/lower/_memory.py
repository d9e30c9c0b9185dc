"""Where values lie: one arena for all intermediate values, planned by when they live."""

from __future__ import annotations

from dataclasses import dataclass

ALIGN = 64


@dataclass
class Request:
    """A value that needs memory from the step that makes it to the last step that reads it."""

    key: object
    nbytes: int
    first: int
    last: int
    offset: int = -1


def plan_memory(requests: list[Request]) -> int:
    """Give every request an offset so that values alive at the same time do not overlap; returns the arena's size.

    Larger values first, each at the lowest place that is free during its life. (Greedy by size: Pisarchyk and Lee,
    "Efficient Memory Management for Deep Neural Net Inference", 2020, sec. 4.)
    """
    placed: list[Request] = []
    size = 0
    for r in sorted(requests, key=lambda r: -r.nbytes):
        need = -(-max(r.nbytes, 1) // ALIGN) * ALIGN
        busy = sorted(
            (p.offset, p.offset + -(-max(p.nbytes, 1) // ALIGN) * ALIGN)
            for p in placed
            if p.first <= r.last and r.first <= p.last
        )
        at = 0
        for start, end in busy:
            if start - at >= need:
                break
            at = max(at, end)
        r.offset = at
        placed.append(r)
        size = max(size, at + need)
    return size


def in_units(nbytes: int) -> str:
    """A number of bytes as a person says it.

    >>> in_units(5 * 2**30 // 2)
    '2.5 GiB'
    """
    size = float(nbytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.4g} {unit}"
        size /= 1024
    return f"{size:.4g} TiB"
