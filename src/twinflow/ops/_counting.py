"""How many steps a traced while loop takes, where counters alone decide: such a loop is a scan, which has all derivatives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from twinflow.graph import Aval, Graph, Node, constant_value, live_nodes, run_node
from twinflow.tensor import Tensor

_LIMIT = 4096  # steps; longer loops stay loops whose length is found out while they run


def known_steps(test: Graph, test_inputs: Sequence[Node], body: Graph, body_inputs: Sequence[Node], carry: Sequence[Tensor]) -> int | None:  # fmt: skip
    """The number of steps, None if it depends on what is not known before the graph runs.

    The inputs are the nodes that stand for the carry. `i` in `while i < 10` is a counter if it begins at a number and each
    step makes it from counters and numbers alone; only counters are computed here.
    """
    counters = _counters(test, test_inputs, body, body_inputs)
    if counters is None:
        return None
    values: dict[int, Any] = {}
    for k in counters:
        payload = carry[k]._data
        found = constant_value(payload) if isinstance(payload, Node) else None
        if found is None:
            return None
        values[k] = found
    tests = _needed(test, [test.outputs[0]])
    steps = _needed(body, [body.outputs[k] for k in counters])
    for n in range(_LIMIT + 1):
        going = _run(tests, {test_inputs[k]: v for k, v in values.items()}, [test.outputs[0]])[0]
        if not going:
            return n
        new = _run(steps, {body_inputs[k]: v for k, v in values.items()}, [body.outputs[k] for k in counters])
        values = dict(zip(counters, new))
    return None


def _counters(test: Graph, test_inputs: Sequence[Node], body: Graph, body_inputs: Sequence[Node]) -> list[int] | None:
    """The places in the carry that the condition follows from; None if it follows from anything else."""
    found = _places(_needed(test, [test.outputs[0]]), test_inputs)
    while found is not None:
        more = _places(_needed(body, [body.outputs[k] for k in sorted(found)]), body_inputs)
        if more is None or more <= found:
            return None if more is None else sorted(found)
        found |= more
    return None


def _places(nodes: Iterable[Node], inputs: Sequence[Node]) -> set[int] | None:
    place = {node: k for k, node in enumerate(inputs)}
    found = [n for n in nodes if n.prim is None]
    if not all(n in place for n in found) or not all(isinstance(n.aval, Aval) and n.aval.size == 1 for n in nodes):
        return None
    return {place[n] for n in found}


def _needed(graph: Graph, outputs: Sequence[Any]) -> list[Node]:
    """The nodes that outputs follow from, inputs among them, in order."""
    nodes = live_nodes(graph, outputs)
    used = {x for n in nodes for x in n.inputs} | set(outputs)
    return [*(n for n in graph.inputs if n in used), *nodes]


def _run(nodes: Sequence[Node], values: dict[Node, Any], outputs: Sequence[Any]) -> list[Any]:
    for node in nodes:
        if node not in values:
            values[node] = run_node(node, [values[x] if isinstance(x, Node) else x for x in node.inputs])
    return [values[x] if isinstance(x, Node) else x for x in outputs]
