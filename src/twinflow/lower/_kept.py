"""Programs on disk: a graph that was compiled once, by this version and for this machine, is not lowered again.

What is kept is the image of a program (see `runtime._image`), under a hash of the graph's text and of all else that it
depends on: sources, versions, processor, number of threads. The code of its kernels lies beside it under its own key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twinflow.core import as_dtype, topics
from twinflow.graph import Aval, Graph, Node, to_text
from twinflow.lower._checks import Check
from twinflow.lower._loaded import LoadedCode, environment
from twinflow.runtime import engine, get_num_threads
from twinflow.runtime._image import Image

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


def keep(key: str, native: NativeGraph) -> None:
    """Put a program that was just linked on the disk, if it makes sense in another process."""
    if any(number < 0 for number, _ in native.results):
        return
    results = [(number, tuple(map(int, aval.shape)), aval.dtype.name) for number, aval in native.results]
    checks = [(c.op, int(c.extent), c.about, c.node) for c in native.checks]
    packed = native.image.pack((results, sorted(native.written), checks))
    if packed is not None:
        engine().cache.put(key, packed)


def find(key: str, graph: Graph) -> Kept | None:
    """The program of a graph, if the disk has it and the code of all its kernels."""
    packed = engine().cache.get(key)
    if packed is None:
        return None
    image, (results, written, checks) = Image.unpack(packed)
    code = LoadedCode.of_kept(image)
    if code is None:
        return None
    nodes = {n.id: n for n in graph.nodes}
    return Kept(
        image,
        code,
        [(number, Aval(shape, as_dtype(dtype))) for number, shape, dtype in results],
        set(written),
        [Check(op, extent, _line(nodes, node), about, node) for op, extent, about, node in checks],
    )


def _line(nodes: dict[int, Node], node: int) -> tuple[str, int, str] | None:
    return nodes[node].line
