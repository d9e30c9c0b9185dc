"""Checks while a compiled step runs: of indices (it never touches memory outside a tensor, and says so when an index would
have), of integer exponents, and of the conditions that the user wants to hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twinflow.core import format_location
from twinflow.core.errors import CheckError, DTypeError, IndexOutOfRange, LinAlgError, TwinflowError
from twinflow.graph import Graph, Node, find_primitive, rebuild

CHECKED = ("take", "gather", "put_add", "scatter", "scatter_add", "scatter_fold")


@dataclass
class Check:
    """An output of the graph that is true if `op` met an index outside its axis, pow a negative integer exponent, or `ensure` a
    condition that does not hold; or what the alarm of a program tells (see `Faults`): that a factorisation failed.

    The program stops at the first one that is true, before it writes any state.
    """

    op: str
    extent: int
    line: tuple[str, int, str] | None
    about: str = ""  # the loss whose class labels the indices are; what to say of a condition
    node: int = -1  # the number of the checked node in the graph as it was traced

    def error(self) -> TwinflowError:
        """The error to raise, at the user's line."""
        if self.op == "pow":
            return DTypeError(
                "pow: integers to negative integer powers are not whole; convert to a floating type",
                line=format_location(self.line),
            )
        if self.op == "linalg":
            return LinAlgError(self.about, line=format_location(self.line))
        if self.op in ("ensure", "check"):
            return CheckError(self.about, line=format_location(self.line))
        what = f"{self.op}: an index is outside [0, {self.extent - 1}]"
        if self.about:
            what = (
                f"{self.about}: a label is outside [0, {self.extent - 1}], because the input has {self.extent} classes"
            )
        return IndexOutOfRange(f"{what}. The step was stopped; nothing was updated", line=format_location(self.line))


def add_checks(graph: Graph) -> tuple[Graph, list[Check]]:
    """The graph with one more output for each checked operation, and what each means."""
    checks: list[Check] = []
    flags: list[Node] = []
    seen: set[tuple[Any, int]] = set()
    labels = {n.inputs[1]: n.name for n in graph.nodes if n.op in CHECKED and n.name}

    def flag(new: Graph, node: Node, outside: Node, extent: int) -> None:
        axes = tuple(range(outside.aval.ndim))
        flags.append(new.add(find_primitive("amax"), (outside,), {"axes": axes, "keepdim": False}, line=node.line))
        checks.append(Check(node.op, extent, node.line, labels.get(node.inputs[1], ""), node=node.id))

    def replace(new: Graph, node: Node, inputs: tuple[Any, ...]) -> Any:
        if node.op == "pow" and isinstance(inputs[1], Node) and inputs[1].aval.dtype.name.startswith("int"):
            if inputs[1].aval.size:
                flag(new, node, new.add(find_primitive("lt"), (inputs[1], 0), {}, line=node.line), 0)
            return None
        if node.op == "ensure":
            flags.append(new.add(find_primitive("ne"), (inputs[0], True), {}, line=node.line))
            checks.append(Check("ensure", 0, node.line, node.params["message"], node=node.id))
            return inputs[0]
        if node.op not in CHECKED or node.inputs[0].aval.ndim == 0:
            return None
        index, n = inputs[1], node.inputs[0].aval.shape[node.params["axis"]]
        if index.aval.size == 0 or (index, n) in seen or _is_small(index, n):
            return None
        seen.add((index, n))

        def add(op: str, *operands: Any, **params: Any) -> Node:
            return new.add(find_primitive(op), operands, params, line=node.line)

        flag(new, node, add("bitwise_or", add("lt", index, 0), add("ge", index, n)), n)
        return None

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
