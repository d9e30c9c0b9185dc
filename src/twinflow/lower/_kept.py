"""Programs on disk: a graph that was compiled once, by this version and for this machine, is not lowered again.

What is kept is the image of a program (see `runtime._image`), under a hash of the graph's text and of all else that it
depends on: sources, versions, processor, number of threads. The code of its kernels lies beside it under its own key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinflow.core import as_dtype, topics
from twinflow.graph import Aval, Graph, to_text
from twinflow.lower._checks import Check
from twinflow.lower._loaded import LoadedCode, environment
from twinflow.runtime import engine, get_num_threads
from twinflow.runtime._image import Image

Line = tuple[str, int, str] | None

if TYPE_CHECKING:
    from twinflow.lower._native import NativeGraph


@dataclass
class Kept:
    """What the disk has of a program: enough to run it."""

    image: Image
    code: LoadedCode
    results: list[tuple[int, Any]]
    written: set[int]
    checks: list[Check]
    alarms: list[Check]


def program_key(graph: Graph) -> str | None:
    """What a program is kept under; None for graphs that only this process can know, or whose passes are to be printed."""
    prims = {n.prim for n in graph.nodes if n.prim is not None}
    if topics("TWINFLOW_DUMP") or not all(p.out.__module__.startswith("twinflow.") for p in prims):
        return None
    constants: dict[str, Any] = {}
    text = to_text(graph, constants=constants)
    digest = hashlib.sha256(f"{environment()}\n{get_num_threads()}\n{sorted(graph.sizes.items())}\n{text}".encode())
    for array in constants.values():
        digest.update(f"{array.shape}".encode())
        digest.update(array.tobytes())
    return engine().key(f"program\n{digest.hexdigest()}")


def keep(key: str, graph: Graph, native: NativeGraph) -> None:
    """Put the program of a graph, which was just linked, on the disk, if it makes sense in another process."""
    if any(number < 0 for number, _ in native.results):
        return
    results = [(number, tuple(map(int, aval.shape)), aval.dtype.name) for number, aval in native.results]
    checks = [(c.op, int(c.extent), c.about, c.node) for c in native.checks]
    places = {
        line: k for k, line in enumerate(_lines(graph))
    }  # the text of a graph, and so the key, says nothing of lines
    alarms = [(c.op, c.about, places.get(c.line, -1)) for c in native.faults.checks]
    packed = native.image.pack((results, sorted(native.written), checks, alarms))
    if packed is not None:
        engine().cache.put(key, packed)


def find(key: str, graph: Graph) -> Kept | None:
    """The program of a graph, if the disk has it and the code of all its kernels."""
    packed = engine().cache.get(key)
    if packed is None:
        return None
    image, (results, written, checks, alarms) = Image.unpack(packed)
    code = LoadedCode.of_kept(image)
    if code is None:
        return None
    nodes = {n.id: n for n in graph.nodes}
    lines = list(_lines(graph)) if alarms else []
    return Kept(
        image,
        code,
        [(number, Aval(shape, as_dtype(dtype))) for number, shape, dtype in results],
        set(written),
        [Check(op, extent, nodes[node].line, about, node) for op, extent, about, node in checks],
        [Check(op, 0, lines[place] if place >= 0 else None, about) for op, about, place in alarms],
    )


def _lines(graph: Graph) -> Iterator[Line]:
    """The user's line of each node, those of nested graphs included."""
    for node in graph.nodes:
        yield node.line
        for value in node.params.values():
            if isinstance(value, Graph):
                yield from _lines(value)
