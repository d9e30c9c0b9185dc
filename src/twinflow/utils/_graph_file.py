"""Graphs as files: the text and the large constants, in a file that holds no code."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.graph import Graph, from_text, to_text, verify
from twinflow.utils._save import load, save


def save_graph(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph, such as `compiled.graph`, to a file that `load_graph` reads, here or on another machine.

    Raises: CheckpointError if an operation has a parameter that is not data (a Python function, say), naming it.

    >>> import twinflow, tempfile, os
    >>> from twinflow.utils import load_graph, save_graph
    >>> double = twinflow.compile(lambda x: x * 2)
    >>> y = double(twinflow.ones(3))
    >>> path = os.path.join(tempfile.mkdtemp(), "double.graph")
    >>> save_graph(double.graph, path)
    >>> str(load_graph(path)) == str(double.graph)
    True
    """
    constants: dict[str, np.ndarray[Any, Any]] = {}
    text = to_text(graph, constants=constants)
    try:
        from_text(text, constants)
    except ArgumentError as error:
        raise CheckpointError(f"save_graph: graph {graph.name!r} cannot be written as data: {error}") from None
    save({"graph": text, "constants": constants}, path)


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """The graph that `save_graph` wrote to `path`, verified.

    Raises: CheckpointError for a file that is damaged, holds no graph, or was written by a newer twinflow.
    """
    found = load(path)
    if not (isinstance(found, dict) and isinstance(found.get("graph"), str) and "constants" in found):
        raise CheckpointError(f"load_graph: {os.fspath(path)} holds no graph; save_graph writes one")
    try:
        graph = from_text(found["graph"], found["constants"])
    except ArgumentError as error:
        raise CheckpointError(f"load_graph: {os.fspath(path)}: {error}") from None
    verify(graph)
    return graph
