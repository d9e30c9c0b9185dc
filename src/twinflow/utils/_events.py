"""Event files that TensorBoard reads: numbers, distributions, pictures, text and graphs."""

from __future__ import annotations

import os
import struct
import time
import zlib
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, ShapeError, missing_extra
from twinflow.graph import Graph, Node

Array = np.ndarray[Any, Any]


def protos() -> Any:
    """(Event, Summary, GraphDef) of the package tensorboard. Raises: MissingExtra if it is not installed."""
    try:  # imported where it is used: it is an extra
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.graph_pb2 import GraphDef
        from tensorboard.compat.proto.summary_pb2 import Summary
    except ImportError:
        raise missing_extra("writing event files", "tensorboard", "tensorboard") from None
    return Event, Summary, GraphDef


def png(image: Array) -> bytes:
    """A picture [H, W, C] of bytes, C from 1 to 4, as a PNG file."""
    h, w, c = image.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[c]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + image[i].tobytes() for i in range(h))
    head = struct.pack(">IIBBBBB", w, h, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def scalar_value(tag: str, value: Any) -> Any:
    """A number. Raises: ShapeError for anything with more than one element."""
    array = np.asarray(value)
    if array.size != 1:
        raise ShapeError(f"summary.scalar: {tag!r} has the shape {array.shape}; a scalar is one number")
    return protos()[1].Value(tag=tag, simple_value=float(array.reshape(())))


def histogram_value(tag: str, values: Any, buckets: int = 30) -> Any:
    """How often values lie in each of so many ranges of equal width."""
    array = np.asarray(values, np.float64).reshape(-1)
    array = array[np.isfinite(array)]
    summary = protos()[1]
    found = summary.Value(tag=tag)
    if array.size:
        counts, edges = np.histogram(array, buckets)
        h = found.histo
        h.min, h.max, h.num = float(array.min()), float(array.max()), float(array.size)
        h.sum, h.sum_squares = float(array.sum()), float((array * array).sum())
        h.bucket_limit.extend(edges[1:].tolist())
        h.bucket.extend(counts.astype(float).tolist())
    return found


def image_values(tag: str, images: Any, max_outputs: int = 3) -> list[Any]:
    """The first few of pictures [N, H, W, C]: bytes, or floating numbers in [0, 1]."""
    array = np.asarray(images)
    if array.ndim != 4 or array.shape[-1] not in (1, 2, 3, 4):
        raise ShapeError(
            f"summary.image: {tag!r} needs pictures [N, H, W, C] with 1 to 4 channels, not the shape {array.shape}"
        )
    if array.dtype.kind == "f":
        array = (np.clip(array, 0, 1) * 255 + 0.5).astype(np.uint8)
    elif array.dtype != np.uint8:
        raise ArgumentError(f"summary.image: {tag!r} needs bytes, or floating numbers in [0, 1], not {array.dtype}")
    summary = protos()[1]
    found = []
    for k, picture in enumerate(array[:max_outputs]):
        value = summary.Value(tag=f"{tag}/image" if max_outputs == 1 else f"{tag}/image/{k}")
        value.image.height, value.image.width, value.image.colorspace = picture.shape
        value.image.encoded_image_string = png(picture)
        found.append(value)
    return found


def text_value(tag: str, text: str) -> Any:
    """A text, which TensorBoard shows as Markdown."""
    summary = protos()[1]
    value = summary.Value(tag=tag)
    value.metadata.plugin_data.plugin_name = "text"
    value.tensor.dtype = 7  # DT_STRING
    value.tensor.string_val.append(text.encode())
    return value


def ir_rows(graph: Graph) -> list[tuple[str, str, list[str]]]:
    """(name, operation, names of operands) of each node of a graph of primitives."""
    names: dict[Node, str] = {}
    rows: list[tuple[str, str, list[str]]] = []
    for k, node in enumerate([*graph.inputs, *graph.nodes]):
        names[node] = node.name or f"{node.op}_{k}"
        if names[node] in [r[0] for r in rows]:
            names[node] += f"_{k}"
        rows.append((names[node], node.op, [names[x] for x in node.inputs if isinstance(x, Node)]))
    return rows


class EventWriter:
    """One event file in a folder."""

    def __init__(self, logdir: Any) -> None:
        self._event, self._summary, self._graph_def = protos()
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.logdir = os.fspath(logdir)
        self._writer = EventFileWriter(self.logdir)

    def values(self, values: list[Any], step: int) -> None:
        """Summaries of one step."""
        self._add(step=step, summary=self._summary(value=values))

    def serialized(self, summary: bytes, step: int) -> None:
        """Summaries that are bytes already."""
        self._add(step=step, summary=self._summary.FromString(summary))

    def graph(self, rows: list[tuple[str, str, list[str]]]) -> None:
        """A graph: (name, operation, names of operands) of each node."""
        definition = self._graph_def()
        for name, op, inputs in rows:
            definition.node.add(name=name, op=op, input=inputs)
        self._add(graph_def=definition.SerializeToString())

    def _add(self, **content: Any) -> None:
        self._writer.add_event(self._event(wall_time=time.time(), **content))

    def flush(self) -> None:
        """Write what is still in memory."""
        self._writer.flush()

    def close(self) -> None:
        """Write what is still in memory, and close the file."""
        self._writer.close()
