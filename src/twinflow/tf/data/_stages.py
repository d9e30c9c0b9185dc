"""What runs when a data set is iterated: stages that give rows, a limited number at a time, and can say where they are.

`next(limit)` gives between 1 and `limit` elements, or None at the end. `state()` is plain data, from which `restore` goes
on exactly; a restored stage gives what the first one would have given next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from twinflow.core import tree_flatten
from twinflow.core.errors import DataError
from twinflow.tf.data._rows import Array, Rows, map_each, map_together


class Stage:
    """One step of a pipeline at work."""

    def next(self, limit: int) -> Rows | None:
        """Up to `limit` further elements; None after the last."""
        raise NotImplementedError(f"{type(self).__name__} must define next(limit)")

    def state(self) -> dict[str, Any]:
        """Where it is, as data."""
        raise NotImplementedError(f"{type(self).__name__} must define state()")

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        raise NotImplementedError(f"{type(self).__name__} must define restore(state)")

    def close(self) -> None:
        """Let go of threads and files."""


class Slices(Stage):
    """The elements of arrays, in order."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.at = 0

    def next(self, limit: int) -> Rows | None:
        if self.at >= self.rows.n:
            return None
        found = self.rows.part(self.at, self.at + limit)
        self.at += found.n
        return found

    def state(self) -> dict[str, Any]:
        return {"at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        self.at = int(state["at"])


class Counting(Stage):
    """start, start + step, ..., before `stop`; without end if it is None."""

    def __init__(self, start: int, stop: int | None, step: int, dtype: str) -> None:
        self.start, self.step, self.dtype = start, step, dtype
        self.length = None if stop is None else max(0, -(-(stop - start) // step))
        self.at = 0
        self.tree = tree_flatten(0)[1]

    def next(self, limit: int) -> Rows | None:
        n = limit if self.length is None else min(limit, self.length - self.at)
        if n <= 0:
            return None
        column = self.start + self.step * np.arange(self.at, self.at + n)
        self.at += n
        return Rows([column.astype(self.dtype)], self.tree, n)

    def state(self) -> dict[str, Any]:
        return {"at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        self.at = int(state["at"])


class Generated(Stage):
    """What a Python iterator gives. Its state is a count: restored, it is started again and passed over so far."""

    def __init__(self, start: Callable[[], Iterator[Any]], check: Callable[[Any, int], Rows]) -> None:
        self.start, self.check = start, check
        self.running: Iterator[Any] | None = None
        self.count = 0
        self.waiting: deque[Rows] = deque()

    def next(self, limit: int) -> Rows | None:
        found: Rows | None = None
        parts: list[Rows] = []
        while len(parts) < limit:
            part = self.waiting.popleft() if self.waiting else self._one()
            if part is None:
                break
            if parts and not parts[0].fits(part):
                self.waiting.append(part)
                break
            parts.append(part)
        if parts:
            columns = [np.concatenate(c) for c in zip(*[p.columns for p in parts])]
            found = Rows(columns, parts[0].tree, len(parts))
        return found

    def _one(self) -> Rows | None:
        if self.running is None:
            self.running = self.start()
        for value in self.running:
            self.count += 1
            return self.check(value, self.count - 1)
        return None

    def state(self) -> dict[str, Any]:
        return {"count": self.count - len(self.waiting)}

    def restore(self, state: dict[str, Any]) -> None:
        self.running, self.count = self.start(), 0
        self.waiting.clear()
        for _ in range(int(state["count"])):
            if next(self.running, self) is self:
                raise DataError(
                    f"tf.data: the generator gave {self.count} elements, but the state was taken after {state['count']}; it must give "
                    "the same elements again"
                )
            self.count += 1


class Mapped(Stage):
    """A function of each element."""

    def __init__(self, child: Stage, fn: Callable[..., Any], threads: int) -> None:
        self.child, self.fn = child, fn
        self.together = True
        self.count = 0
        self.waiting: deque[Rows] = deque()
        self.pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self.threads = threads

    def next(self, limit: int) -> Rows | None:
        while not self.waiting:
            rows = self.child.next(limit)
            if rows is None:
                return None
            made = map_together(self.fn, rows) if self.together and rows.n > 1 else None
            if made is None:
                self.together &= rows.n == 1
                self.waiting += map_each(self.fn, rows, self.count, "map", self.pool.map if self.pool else map)
            else:
                self.waiting.append(made)
            self.count += rows.n
        return take_front(self.waiting, limit)

    def state(self) -> dict[str, Any]:
        return {"child": self.child.state(), "count": self.count, "waiting": [r.state() for r in self.waiting]}

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.count = int(state["count"])
        self.waiting = deque(Rows.from_state(r) for r in state["waiting"])

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=False, cancel_futures=True)
        self.child.close()


def take_front(waiting: deque[Rows], limit: int) -> Rows:
    """Up to `limit` of the elements that wait; the rest stays."""
    rows = waiting.popleft()
    if rows.n > limit:
        waiting.appendleft(rows.part(limit, rows.n))
        rows = rows.part(0, limit)
    return rows


class Chosen(Stage):
    """The elements for which a function is true; with `until`, those before the first for which it is not."""

    def __init__(self, child: Stage, predicate: Callable[..., Any], *, until: bool) -> None:
        self.child, self.predicate, self.until = child, predicate, until
        self.ended = False
        self.count = 0

    def next(self, limit: int) -> Rows | None:
        while not self.ended:
            rows = self.child.next(1 if self.until else limit)
            if rows is None:
                return None
            wanted = self._flags(rows)
            self.count += rows.n
            if self.until:
                self.ended = not wanted[0]
                if not self.ended:
                    return rows
            elif wanted.all():
                return rows
            elif wanted.any():
                return rows.take(np.flatnonzero(wanted))
        return None

    def _flags(self, rows: Rows) -> Array:
        what = "take_while" if self.until else "filter"
        made = map_together(self.predicate, rows)
        parts = [made] if made is not None else map_each(self.predicate, rows, self.count, what)
        flags = np.concatenate([p.columns[0] for p in parts])
        if flags.shape != (rows.n,) or flags.dtype.kind not in "bO":
            raise DataError(
                f"{what}: the predicate must give one bool for each element, but it gave {flags.dtype.name}{list(flags.shape[1:])}"
            )
        return flags.astype(bool)

    def state(self) -> dict[str, Any]:
        return {"child": self.child.state(), "ended": self.ended, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.ended, self.count = bool(state["ended"]), int(state["count"])

    def close(self) -> None:
        self.child.close()


class Rounds:
    """How often a shuffled data set was begun: each round has an order of its own, unless `fixed`."""

    def __init__(self, seed: int, fixed: bool) -> None:
        self.seed, self.fixed = seed, fixed
        self.next = 0

    def begin(self) -> int:
        """The number of a new round."""
        self.next += 1
        return self.next - 1


class Shuffled(Stage):
    """A buffer from which a random element is taken each time, and replaced by the next one."""

    def __init__(self, child: Stage, size: int, rounds: Rounds) -> None:
        self.child, self.size, self.rounds = child, size, rounds
        self.round = rounds.begin()
        self.rng = np.random.Generator(np.random.Philox([rounds.seed, 0 if rounds.fixed else self.round]))
        self.buffer: Rows | None = None
        self.filled = self.ended = False

    def next(self, limit: int) -> Rows | None:
        if not self.filled:
            self._fill()
        if self.buffer is None:
            return None
        rows = None if self.ended or self.buffer.n < self.size else self.child.next(limit)
        return self._drain(limit) if rows is None else self._exchange(self.buffer, rows)

    def _fill(self) -> None:
        parts: list[Rows] = []
        have = 0
        while have < self.size:
            part = self.child.next(self.size - have)
            if part is None:
                break
            if parts and not parts[0].fits(part):
                raise DataError(
                    "shuffle: the elements differ in shape; batch them with padded_batch after shuffling one by one"
                )
            parts.append(part)
            have += part.n
        if parts:
            columns = [np.concatenate(c) for c in zip(*[p.columns for p in parts])]
            self.buffer = Rows(columns, parts[0].tree, have)
        self.filled = True

    def _exchange(self, buffer: Rows, rows: Rows) -> Rows:
        if not buffer.fits(rows):
            raise DataError("shuffle: the elements differ in shape, structure or type, so they cannot share a buffer")
        places = self.rng.integers(buffer.n, size=rows.n)
        order = np.argsort(places, kind="stable")
        same = np.flatnonzero(places[order][1:] == places[order][:-1])
        again, before = order[same + 1], order[same]  # a place drawn again gives what came into it last
        out = buffer.take(places)
        last = np.ones(rows.n, bool)
        last[before] = False
        for made, kept, new in zip(out.columns, buffer.columns, rows.columns):
            made[again] = new[before]
            kept[places[last]] = new[last]
        return out

    def _drain(self, limit: int) -> Rows | None:
        """The child has ended: what is left, in random order."""
        buffer = self.buffer
        if buffer is None or not buffer.n:
            return None
        if not self.ended:
            buffer, self.ended = buffer.take(self.rng.permutation(buffer.n)), True
        self.buffer = buffer.part(limit, buffer.n)
        return buffer.part(0, limit)

    def state(self) -> dict[str, Any]:
        return {
            "child": self.child.state(),
            "round": self.round,
            "rng": _plain(self.rng.bit_generator.state),
            "buffer": None if self.buffer is None else self.buffer.state(),
            "filled": self.filled,
            "ended": self.ended,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.round = int(state["round"])
        self.rounds.next = self.round + 1
        self.rng.bit_generator.state = _unplain(state["rng"])
        self.buffer = None if state["buffer"] is None else Rows.from_state(state["buffer"])
        self.filled, self.ended = bool(state["filled"]), bool(state["ended"])

    def close(self) -> None:
        self.child.close()


def _plain(state: Any) -> Any:
    """A bit generator's state without arrays."""
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    return {"words": [str(v) for v in state.tolist()]} if isinstance(state, np.ndarray) else state


def _unplain(state: Any) -> Any:
    if isinstance(state, dict) and set(state) == {"words"}:
        return np.array([int(v) for v in state["words"]], np.uint64)
    return {k: _unplain(v) for k, v in state.items()} if isinstance(state, dict) else state
