"""Loops: what is the same in every step is computed once, what nobody reads is not carried along, and nothing is carried twice."""

from __future__ import annotations

from typing import Any

from twinflow.graph._ir import Graph, Node, Operand, live_nodes, rebuild
from twinflow.graph.passes._common import drop_dead, merge_common
from twinflow.graph.passes._simplify import simplify

_FREE = frozenset(["reshape", "slice", "expand", "full", "iota", "constant", "cast", "pick", "random_bits"])
"""Nodes that cost nothing inside the loop, or are larger than what they are made of; they are not worth memory outside."""


def hoist_from_scans(graph: Graph) -> Graph:
    """scan(x -> f(w), ...)  →  scan(x -> v, ...) with v = f(w) computed before the loop; operands that the body does not read
    and stacked results that nobody picks are dropped, and those that are the same are one."""
    picked: dict[Node, set[int]] = {}
    whole: set[Any] = {r for r in graph.results if isinstance(r, Node)}  # a scan that is not only picked from
    for node in live_nodes(graph):
        for x in node.inputs:
            if isinstance(x, Node) and x.op == "scan":
                if node.op == "pick":
                    picked.setdefault(x, set()).add(node.params["index"])
                else:
                    whole.add(x)
    if not any(n.op == "scan" for n in graph.nodes):
        return graph
    places: dict[Node, dict[int, int]] = {}  # where the results of the old scan are among those of a new one

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        if node.op == "scan" and node not in whole and all(isinstance(x, Node) for x in inputs):
            made, places_of = _slim(new, node, inputs, picked.get(node, set()))
            places[made] = places_of
            return made
        if node.op == "pick" and inputs[0] in places and node.prim is not None:
            index = places[inputs[0]][node.params["index"]]
            return new.add(node.prim, inputs, {"index": index}, aval=node.aval, line=node.line)
        return None

    return rebuild(graph, replace)


def _slim(new: Graph, node: Node, operands: tuple[Any, ...], picked: set[int]) -> tuple[Node, dict[int, int]]:
    """The scan without what it does not need, and where its results are now."""
    p = node.params
    n_const, n_carry = p["n_const"], p["n_carry"]
    body: Graph = p["body"]
    kept = [k for k in range(len(body.outputs)) if k < n_carry or k in picked]
    part = _joined(body, n_const, n_carry, operands)
    part.outputs = [part.outputs[k] for k in kept]
    for run in (simplify, merge_common, simplify, merge_common, drop_dead):
        part = run(part)
    first_of = {x: k for k, x in reversed(list(enumerate(part.outputs))) if k >= n_carry}
    single = [k for k, x in enumerate(part.outputs) if k < n_carry or first_of[x] == k]
    places = {old: single.index(k if k < n_carry else first_of[part.outputs[k]]) for k, old in enumerate(kept)}
    part.outputs = [part.outputs[k] for k in single]
    hoisted = _invariant(part, set(part.inputs[:n_const]))
    given = dict(zip(part.inputs, operands))
    outside = _replayed(new, part, given, hoisted, node)

    def replace(inner: Graph, n: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        return inner.add_input(n.aval, n.name) if n in outside else None

    order = list(part.inputs)
    slim = rebuild(part, replace)
    first, added = slim.inputs[: len(order)], slim.inputs[len(order) :]
    used = {x for n in live_nodes(slim) for x in n.inputs} | set(slim.outputs)
    consts = [(n, x) for n, x in zip(first[:n_const], operands) if n in used]
    live = [n for n in live_nodes(part) if n in outside]
    consts += [(n, outside[old]) for n, old in zip(added, live)]
    carries = list(zip(first[n_const : n_const + n_carry], operands[n_const:]))
    xs = [(n, x) for n, x in zip(first[n_const + n_carry :], operands[n_const + n_carry :]) if n in used]
    pairs = [*consts, *carries, *xs]
    slim.inputs = [n for n, _ in pairs]
    params = {**p, "body": drop_dead(slim), "n_const": len(consts)}
    avals = tuple(node.aval[kept[k]] for k in single)
    assert node.prim is not None  # noqa: S101 - a scan is no input
    return new.add(node.prim, tuple(x for _, x in pairs), params, aval=avals, line=node.line), places


def _joined(body: Graph, n_const: int, n_carry: int, operands: tuple[Any, ...]) -> Graph:
    """The body, reading but one of the operands that are the same."""
    part = rebuild(body, lambda *_: None)
    for group in (range(n_const), range(n_const + n_carry, len(operands))):
        first: dict[Any, Node] = {}
        same = {part.inputs[k]: first.setdefault(operands[k], part.inputs[k]) for k in group}
        for n in part.nodes:
            n.inputs = tuple(same.get(x, x) if isinstance(x, Node) else x for x in n.inputs)
        part.outputs = [same.get(x, x) if isinstance(x, Node) else x for x in part.outputs]
    return part


def _invariant(body: Graph, constants: set[Node]) -> list[Node]:
    """The last nodes of what depends on constant operands only, and is worth computing before the loop."""
    known = set(constants)
    for n in body.nodes:
        if n.inputs and type(n.aval) is not tuple and all(x in known for x in n.inputs if isinstance(x, Node)):
            if any(isinstance(x, Node) for x in n.inputs):
                known.add(n)
    users = body.users()
    results = set(map(id, body.results))

    def needed(n: Node) -> bool:
        """Whether something that changes reads it, at once or through nodes that stay inside."""
        return id(n) in results or any(u not in known or (u.op in _FREE and needed(u)) for u in users[n])

    return [n for n in body.nodes if n in known and n.op not in _FREE and needed(n)]


def _replayed(new: Graph, body: Graph, given: dict[Node, Any], wanted: list[Node], scan: Node) -> dict[Node, Any]:
    """Nodes of the body as nodes of the graph around it."""
    values = dict(given)
    for n in live_nodes(body, wanted):
        if n.prim is not None:
            inputs = tuple(values[x] if isinstance(x, Node) else x for x in n.inputs)
            values[n] = new.add(n.prim, inputs, n.params, aval=n.aval, line=n.line or scan.line)
    return {n: values[n] for n in wanted}
