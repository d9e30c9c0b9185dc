"""Summaries of static graphs for TensorBoard: `tf.summary`. Needs the extra `tensorboard`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError
from twinflow.tf.compat.v1._deferred import convert_to_tensor
from twinflow.tf.compat.v1._graph import GraphKeys, get_default_graph
from twinflow.tf.compat.v1._operations import Operation, Tensor
from twinflow.tf.summary import graph_rows
from twinflow.utils._events import EventWriter, histogram_value, image_values, protos, scalar_value

_Make = Callable[[Any], list[Any]]


class Summary:
    """What `session.run` gives as bytes for `FileWriter.add_summary`: some tensors, and how they are written."""

    def __init__(self, name: str, parts: list[tuple[Tensor, _Make]]) -> None:
        self.name, self.parts = name, parts
        self.op: Operation | None = parts[0][0].op if parts else None

    def fetch_parts(self) -> list[Tensor]:
        """The tensors that a session computes for it."""
        return [t for t, _ in self.parts]

    def fetch_value(self, values: list[Any]) -> bytes:
        """The bytes, from the values of these tensors."""
        made = [v for (_, make), value in zip(self.parts, values) for v in make(value)]
        return bytes(protos()[1](value=made).SerializeToString())

    def __repr__(self) -> str:
        return f"<tf.summary '{self.name}'>"


def _summary(name: str, tensor: Any, collections: Any, make: Callable[[str, Any], list[Any]]) -> Summary:
    graph = get_default_graph()
    tag = graph.unique_name(name.replace(" ", "_"))
    made = Summary(tag, [(convert_to_tensor(tensor), lambda value: make(tag, value))])
    for key in [GraphKeys.SUMMARIES] if collections is None else collections:
        graph.add_to_collection(key, made)
    return made


def scalar(name: str, tensor: Any, collections: Any = None, family: str | None = None) -> Summary:
    """A number of each run."""
    return _summary(f"{family}/{name}" if family else name, tensor, collections, lambda tag, v: [scalar_value(tag, v)])


def histogram(name: str, values: Any, collections: Any = None, family: str | None = None) -> Summary:
    """How values are distributed at each run."""
    return _summary(
        f"{family}/{name}" if family else name, values, collections, lambda tag, v: [histogram_value(tag, v)]
    )


def image(name: str, tensor: Any, max_outputs: int = 3, collections: Any = None, family: str | None = None) -> Summary:
    """Pictures [N, H, W, C] of each run."""
    tag = f"{family}/{name}" if family else name
    return _summary(tag, tensor, collections, lambda t, v: image_values(t, np.asarray(v), max_outputs))


def merge(inputs: Any, collections: Any = None, name: str | None = None) -> Summary:
    """Several summaries as one."""
    parts = []
    for s in inputs:
        if not isinstance(s, Summary):
            raise ArgumentError(
                f"tf.summary.merge: {s!r} is no summary; list what tf.summary.scalar and the others return"
            )
        parts += s.parts
    return Summary(name or "Merge", parts)


def merge_all(key: str = GraphKeys.SUMMARIES, scope: str | None = None, name: str | None = None) -> Summary | None:
    """All summaries of the graph as one; None if there are none."""
    found = get_default_graph().get_collection(key, scope)
    return merge(found, name=name or "Merge/MergeSummary") if found else None


class FileWriter:
    """Writes an event file in a folder.

    Args:
        graph: a graph to write first.
    """

    def __init__(self, logdir: Any, graph: Any = None) -> None:
        self._events = EventWriter(logdir)
        if graph is not None:
            self.add_graph(graph)

    def add_summary(self, summary: bytes, global_step: Any = 0) -> None:
        """Write what `session.run` gave for a summary."""
        if not isinstance(summary, bytes):
            raise ArgumentError(
                f"FileWriter.add_summary: the bytes that session.run(merged) returns are needed, not {type(summary).__name__}"
            )
        self._events.serialized(summary, int(global_step or 0))

    def add_graph(self, graph: Any, global_step: Any = None) -> None:
        """Write a graph."""
        self._events.graph(graph_rows(graph))

    def get_logdir(self) -> str:
        """The folder."""
        return self._events.logdir

    def flush(self) -> None:
        """Write what is still in memory."""
        self._events.flush()

    def close(self) -> None:
        """Write what is still in memory, and close the file."""
        self._events.close()

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()
