"""Event files for TensorBoard: `tf.summary`. Needs the extra `tensorboard`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.graph import Graph
from twinflow.tensor import Tensor, is_tracing, refuse_tracing
from twinflow.utils._events import EventWriter, histogram_value, image_values, ir_rows, scalar_value, text_value


class _Now(threading.local):
    def __init__(self) -> None:
        self.writers: list[SummaryWriter] = []
        self.step: int | None = None
        self.scopes: list[str] = []


_NOW = _Now()


class SummaryWriter:
    """Writes the summaries made in its `with writer.as_default():` block."""

    def __init__(self, logdir: Any) -> None:
        self._events = EventWriter(logdir)

    @contextmanager
    def as_default(self, step: Any = None) -> Iterator[SummaryWriter]:
        """Summaries made inside go to this writer, at this step if one is given."""
        before = _NOW.step
        _NOW.writers.append(self)
        if step is not None:
            _NOW.step = int(step)
        try:
            yield self
        finally:
            _NOW.writers.remove(self)
            _NOW.step = before

    def flush(self) -> None:
        """Write what is still in memory."""
        self._events.flush()

    def close(self) -> None:
        """Write what is still in memory, and close the file."""
        self._events.close()

    def __enter__(self) -> SummaryWriter:
        self._block = self.as_default()
        return self._block.__enter__()

    def __exit__(self, *exc: Any) -> None:
        self._block.__exit__(*exc)
        self.close()


def create_file_writer(logdir: Any) -> SummaryWriter:
    """A writer of an event file in a folder. Raises: MissingExtra without the package tensorboard."""
    return SummaryWriter(logdir)


def _write(name: str, step: Any, make: Any) -> bool:
    """Write what `make(tag)` gives to the present writer; False if there is none."""
    if not _NOW.writers:
        return False
    if is_tracing():
        refuse_tracing("tf.summary", "return the value from the function and write it outside")
    at = _NOW.step if step is None else int(np.asarray(step.detach()._data if isinstance(step, Tensor) else step))
    if at is None:
        raise ArgumentError(
            f"tf.summary: {name!r} has no step; pass step=..., or set it by writer.as_default(step=...)"
        )
    found = make("/".join([*_NOW.scopes, name]))
    _NOW.writers[-1]._events.values(found if isinstance(found, list) else [found], at)
    return True


def _array(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def scalar(name: str, data: Any, step: Any = None, description: str | None = None) -> bool:
    """Write a number; whether there was a writer."""
    return _write(name, step, lambda tag: scalar_value(tag, _array(data)))


def histogram(
    name: str, data: Any, step: Any = None, buckets: int | None = None, description: str | None = None
) -> bool:
    """Write how values are distributed."""
    return _write(name, step, lambda tag: histogram_value(tag, _array(data), buckets or 30))


def image(name: str, data: Any, step: Any = None, max_outputs: int = 3, description: str | None = None) -> bool:
    """Write pictures [N, H, W, C]: bytes, or floating numbers in [0, 1]."""
    return _write(name, step, lambda tag: image_values(tag, _array(data), max_outputs))


def text(name: str, data: str, step: Any = None, description: str | None = None) -> bool:
    """Write a text."""
    return _write(name, step, lambda tag: text_value(tag, str(data)))


def graph(graph_data: Any) -> bool:
    """Write a graph: of primitives, of a `tf.function` that has been called, or one of `tf.compat.v1`."""
    if not _NOW.writers:
        return False
    found = graph_data if hasattr(graph_data, "as_graph_def") or isinstance(graph_data, Graph) else graph_data.graph
    _NOW.writers[-1]._events.graph(graph_rows(found))
    return True


def graph_rows(found: Any) -> list[tuple[str, str, list[str]]]:
    """(name, operation, names of operands) of each node of a graph of either kind."""
    if isinstance(found, Graph):
        return ir_rows(found)
    return [(n.name, n.op, n.input) for n in found.as_graph_def().node]


@contextmanager
def experimental_scope(name: str) -> Iterator[None]:
    """Names of summaries begin with `name/` inside."""
    _NOW.scopes.append(name)
    try:
        yield
    finally:
        _NOW.scopes.pop()


def should_record_summaries() -> bool:
    """Whether a summary made now would be written."""
    return bool(_NOW.writers)


def flush(writer: SummaryWriter | None = None) -> None:
    """Write what is still in memory."""
    target = writer or (_NOW.writers[-1] if _NOW.writers else None)
    if target is not None:
        target.flush()
