"""Index checks: a compiled step never reads outside a tensor, and says so when an index would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinflow.core import format_location
from twinflow.core.errors import IndexOutOfRange
from twinflow.graph import Graph, Node, find_primitive, rebuild

CHECKED = ("take", "gather", "put_add", "scatter", "scatter_add")


@dataclass
class Check:
    """An output of the graph that is true if `op` met an index outside its axis."""

    op: str
    extent: int
    line: tuple[str, int, str] | None

    def error(self) -> IndexOutOfRange:
        """The error to raise, at the user's line."""
        return IndexOutOfRange(
            f"{self.op}: an index is outside [0, {self.extent - 1}]; elements outside were not touched, but what the step "
            "wrote may be wrong",
            line=format_location(self.line),
        )


def add_index_checks(graph: Graph) -> tuple[Graph, list[Check]]:
    """The graph with one more output for each checked operation, and what each means."""
    checks: list[Check] = []
    flags: list[Node] = []
    seen: set[tuple[Any, int]] = set()

    def replace(new: Graph, node: Node, inputs: tuple[Any, ...]) -> None:
        if node.op not in CHECKED or node.inputs[0].aval.ndim == 0:
            return
        index, n = inputs[1], node.inputs[0].aval.shape[node.params["axis"]]
        if index.aval.size == 0 or (index, n) in seen or _is_small(index, n):
            return
        seen.add((index, n))

        def add(op: str, *operands: Any, **params: Any) -> Node:
            return new.add(find_primitive(op), operands, params, line=node.line)

        outside = add("bitwise_or", add("lt", index, 0), add("ge", index, n))
        flags.append(add("amax", outside, axes=tuple(range(index.aval.ndim)), keepdim=False))
        checks.append(Check(node.op, n, node.line))

    made = rebuild(graph, replace)
    made.outputs += flags
    return made, checks


def _is_small(index: Any, n: int) -> bool:
    """Whether an index is in range by construction."""
    if index.op == "constant":
        value = index.params["value"]
        return bool(value.min() >= 0 and value.max() < n)
    if index.op == "iota":
        return bool(index.params["n"] <= n)
    return index.op in ("argmax", "argmin") and index.inputs[0].aval.shape[index.params["axis"]] <= n
