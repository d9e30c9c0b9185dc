"""Stages over several data sets, or several rounds of one: repeat, take, skip, concatenate, zip, interleave, cache, prefetch."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from twinflow.core import tree_flatten, tree_unflatten
from twinflow.core.errors import DataError
from twinflow.tf.data._rows import Rows, call_with
from twinflow.tf.data._stages import Stage, take_front

Start = Callable[[], Stage]


class Repeated(Stage):
    """The elements again and again: `count` rounds, or without end."""

    def __init__(self, start: Start, count: int | None) -> None:
        self.start, self.count = start, count
        self.child: Stage | None = None
        self.round = 0
        self.given = False

    def next(self, limit: int) -> Rows | None:
        while self.count is None or self.round < self.count:
            if self.child is None:
                self.child, self.given = self.start(), False
            rows = self.child.next(limit)
            if rows is not None:
                self.given = True
                return rows
            self.child.close()
            self.child = None
            self.round += 1
            if not self.given and self.count is None:
                raise DataError(
                    "repeat: the data set is empty, so repeating it without end would never give an element"
                )
        return None

    def state(self) -> dict[str, Any]:
        child = None if self.child is None else self.child.state()
        return {"child": child, "round": self.round, "given": self.given}

    def restore(self, state: dict[str, Any]) -> None:
        self.round, self.given, self.child = int(state["round"]), bool(state["given"]), None
        if state["child"] is not None:
            self.child = self.start()
            self.child.restore(state["child"])

    def close(self) -> None:
        if self.child is not None:
            self.child.close()


class Part(Stage):
    """The elements after `skip`, at most `take` of them (None: all), each `step`-th."""

    def __init__(self, child: Stage, skip: int, take: int | None, step: int = 1) -> None:
        self.child, self.skip, self.take, self.step = child, skip, take, step
        self.at = 0  # elements of the child so far

    def next(self, limit: int) -> Rows | None:
        while True:
            if self.at < self.skip:
                want = self.skip - self.at
            elif self.take is None:
                want = limit
            else:
                want = min(limit, self.skip + self.take - self.at)
            if want <= 0:
                return None
            rows = self.child.next(want)
            if rows is None:
                return None
            first, self.at = self.at, self.at + rows.n
            if first < self.skip:
                continue
            if self.step == 1:
                return rows
            start = -(first - self.skip) % self.step
            if start < rows.n:
                return Rows([c[start :: self.step] for c in rows.columns], rows.tree, -(-(rows.n - start) // self.step))

    def state(self) -> dict[str, Any]:
        return {"child": self.child.state(), "at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.at = int(state["at"])

    def close(self) -> None:
        self.child.close()


class Concatenated(Stage):
    """One data set after the other."""

    def __init__(self, starts: Sequence[Start]) -> None:
        self.starts = starts
        self.which = 0
        self.child = starts[0]()

    def next(self, limit: int) -> Rows | None:
        while True:
            rows = self.child.next(limit)
            if rows is not None:
                return rows
            if self.which + 1 == len(self.starts):
                return None
            self.child.close()
            self.which += 1
            self.child = self.starts[self.which]()

    def state(self) -> dict[str, Any]:
        return {"which": self.which, "child": self.child.state()}

    def restore(self, state: dict[str, Any]) -> None:
        self.which = int(state["which"])
        self.child = self.starts[self.which]()
        self.child.restore(state["child"])

    def close(self) -> None:
        self.child.close()


class Zipped(Stage):
    """Elements of several data sets side by side, until the shortest ends."""

    def __init__(self, children: list[Stage], shape: Any) -> None:
        self.children, self.shape = children, shape
        self.waiting: list[deque[Rows]] = [deque() for _ in children]

    def next(self, limit: int) -> Rows | None:
        n = limit
        for child, waiting in zip(self.children, self.waiting):
            if not waiting:
                rows = child.next(n)
                if rows is None:
                    return None
                waiting.append(rows)
            n = min(n, waiting[0].n)
        parts = [take_front(w, n) for w in self.waiting]
        examples = [tree_unflatten([0] * len(p.columns), p.tree) for p in parts]
        tree = tree_flatten(tree_unflatten(examples, self.shape))[1]
        return Rows([c for p in parts for c in p.columns], tree, n)

    def state(self) -> dict[str, Any]:
        return {
            "children": [c.state() for c in self.children],
            "waiting": [[r.state() for r in w] for w in self.waiting],
        }

    def restore(self, state: dict[str, Any]) -> None:
        for child, s in zip(self.children, state["children"]):
            child.restore(s)
        self.waiting = [deque(Rows.from_state(r) for r in w) for w in state["waiting"]]

    def close(self) -> None:
        for child in self.children:
            child.close()


class Interleaved(Stage):
    """The elements of data sets made from each element: `block` of one, then of the next, `cycle` of them at a time."""

    def __init__(self, child: Stage, fn: Callable[..., Any], cycle: int, block: int, what: str) -> None:
        self.child, self.fn, self.cycle, self.block, self.what = child, fn, cycle, block, what
        self.open: list[tuple[Rows, Stage]] = []  # each with the element it was made from
        self.turn = 0
        self.used = 0
        self.ended = False

    def next(self, limit: int) -> Rows | None:
        while True:
            while not self.ended and len(self.open) < self.cycle:
                self._add()
            if not self.open:
                return None
            self.turn %= len(self.open)
            rows = self.open[self.turn][1].next(min(limit, self.block - self.used))
            if rows is None:
                self._replace()
                continue
            self.used += rows.n
            if self.used == self.block:
                self.turn, self.used = self.turn + 1, 0
            return rows

    def _add(self) -> None:
        made = self._begin()
        if made is not None:
            self.open.append(made)

    def _replace(self) -> None:
        """The data set whose turn it is has ended: another takes its place, if there is one."""
        self.open[self.turn][1].close()
        self.used = 0
        made = self._begin()
        if made is None:
            del self.open[self.turn]
        else:
            self.open[self.turn] = made
            self.turn += 1

    def _begin(self) -> tuple[Rows, Stage] | None:
        rows = None if self.ended else self.child.next(1)
        if rows is None:
            self.ended = True
            return None
        return rows, self._stage(rows)

    def _stage(self, rows: Rows) -> Stage:
        made = call_with(self.fn, rows.element(0))
        if not hasattr(made, "start_stage"):
            raise DataError(
                f"{self.what}: the function must return a Dataset, not {type(made).__name__}; map returns elements"
            )
        stage: Stage = made.start_stage()
        return stage

    def state(self) -> dict[str, Any]:
        return {
            "child": self.child.state(),
            "open": [[rows.state(), stage.state()] for rows, stage in self.open],
            "turn": self.turn,
            "used": self.used,
            "ended": self.ended,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.child.restore(state["child"])
        self.open = []
        for element, inner in state["open"]:
            rows = Rows.from_state(element)
            stage = self._stage(rows)
            stage.restore(inner)
            self.open.append((rows, stage))
        self.turn, self.used, self.ended = int(state["turn"]), int(state["used"]), bool(state["ended"])

    def close(self) -> None:
        for _, stage in self.open:
            stage.close()
        self.child.close()


class Cached(Stage):
    """The first whole pass is kept in `store`; later ones read it."""

    def __init__(
        self, start: Start, store: list[Rows], finished: Callable[[], bool], finish: Callable[[list[Rows]], None]
    ) -> None:
        self.store, self.finished, self.finish = store, finished, finish
        self.child = None if finished() else start()
        self.start = start
        self.new: list[Rows] = []
        self.part, self.at = 0, 0

    def next(self, limit: int) -> Rows | None:
        if self.child is not None:
            rows = self.child.next(limit)
            if rows is not None:
                self.new.append(rows)
            elif not self.finished():
                self.finish(self.new)
            return rows
        while self.part < len(self.store):
            rows = self.store[self.part].part(self.at, self.at + limit)
            if rows.n:
                self.at += rows.n
                return rows
            self.part, self.at = self.part + 1, 0
        return None

    def state(self) -> dict[str, Any]:
        child = None if self.child is None else self.child.state()
        parts = [r.state() for r in (self.store if child is None else self.new)]
        return {"child": child, "part": self.part, "at": self.at, "rows": parts}

    def restore(self, state: dict[str, Any]) -> None:
        rows = [Rows.from_state(r) for r in state["rows"]]
        self.part, self.at = int(state["part"]), int(state["at"])
        if state["child"] is None:
            if not self.finished():
                self.finish(rows)
            self.child = None
            return
        self.child = self.start()
        self.child.restore(state["child"])
        self.new = rows

    def close(self) -> None:
        if self.child is not None:
            self.child.close()


class Prefetched(Stage):
    """A thread makes up to `size` elements ahead, while the program computes."""

    def __init__(self, child: Stage, size: int) -> None:
        self.child, self.size = child, size
        self.ready: deque[Rows] = deque()
        self.error: BaseException | None = None
        self.ended = self.closed = False
        self.count = 0
        self.lock = threading.Condition()
        self.working = threading.Lock()  # held while the child is asked, so that `state` sees it between two elements
        self.thread: threading.Thread | None = None

    def next(self, limit: int) -> Rows | None:
        if self.thread is None:
            self.thread = threading.Thread(target=self._work, name="tf.data prefetch", daemon=True)
            self.thread.start()
        with self.lock:
            while not self.ready and not self.ended:
                self.lock.wait()
            if not self.ready:
                if self.error is not None:
                    raise self.error
                return None
            rows = take_front(self.ready, limit)
            self.count -= rows.n
            self.lock.notify_all()
            return rows

    def _work(self) -> None:
        while True:
            with self.lock:
                while self.count >= self.size and not self.closed:
                    self.lock.wait()
                if self.closed:
                    return
                room = self.size - self.count
            with self.working:
                rows, error = self._ask(room)
                with self.lock:
                    if rows is None:
                        self.ended, self.error = True, error
                    else:
                        self.ready.append(rows)
                        self.count += rows.n
                    self.lock.notify_all()
                    if self.ended:
                        return

    def _ask(self, room: int) -> tuple[Rows | None, BaseException | None]:
        try:
            return self.child.next(room), None
        except BaseException as error:
            return None, error

    def state(self) -> dict[str, Any]:
        with self.working, self.lock:
            return {"child": self.child.state(), "ready": [r.state() for r in self.ready], "ended": self.ended}

    def restore(self, state: dict[str, Any]) -> None:
        if self.thread is not None:
            raise DataError("tf.data: restore an iterator before it has given an element")
        self.child.restore(state["child"])
        self.ready = deque(Rows.from_state(r) for r in state["ready"])
        self.count = sum(r.n for r in self.ready)
        self.ended = bool(state["ended"])

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.lock.notify_all()
        self.child.close()
