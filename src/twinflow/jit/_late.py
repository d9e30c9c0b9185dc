"""Gradients that a compiled step leaves in parts.

The gradient of an embedding is zero except in the rows of the batch. Writing all of it costs a step more than everything else it
does, and the next step's `zero_grad` throws it away. So the step gives what is added, and where: `.grad` adds it to zeros when somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from twinflow.graph import Node, find_primitive
from twinflow.graph.passes import splat

_LARGE = 1 << 14  # elements from which on memory is worth saving
_MOST = 4  # at most one row of so many is added to


def grad_parts(node: Node) -> tuple[list[Node], Callable[..., np.ndarray[Any, Any]] | None]:
    """The outputs that a gradient is made of, and what makes it of them; None if it is the one output."""
    if node.op != "put_add" or node.aval.size < _LARGE or node.aval.dtype.name not in ("float32", "float64"):
        return [node], None
    zeros, index, value = node.inputs
    axis = node.params["axis"]
    if splat(zeros) != 0 or not (isinstance(index, Node) and isinstance(value, Node)):
        return [node], None
    if index.aval.size * _MOST > node.aval.shape[axis]:
        return [node], None
    shape, dtype, add = tuple(map(int, node.aval.shape)), node.aval.dtype.np, find_primitive("put_add").run

    def make(index: np.ndarray[Any, Any], value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return add(np.zeros(shape, dtype), index, value, axis=axis)

    return [index, value], make
