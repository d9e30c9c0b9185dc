"""Control flow as nested native programs: scan, cond and while_loop.

The body of a loop is lowered once, so code and compile time do not grow with the number of turns. Carries are the
body's state, written in place; slices of scanned operands are reached by moving pointers from turn to turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twinflow.core.errors import TwinflowError
from twinflow.graph import Graph, Node, rebuild
from twinflow.lower._prepare import prepared
from twinflow.lower._rows import body_of_rows, parts_of_rows, row_nbytes

CONTROL = ("scan", "cond", "while_loop")

Fill = Callable[..., None]


@dataclass(frozen=True)
class Frame:
    """An argument that points to the frame of a nested program."""

    part: int


Lower = Callable[[Graph], Any]


@dataclass
class ControlCall:
    """A control node: its nested programs, and what stands in the argument block.

    Attributes:
        parts: the nested programs, as native graphs.
        copies: (result, operand) pairs to copy before the call: where carries begin.
        function: the driver's function that runs them: "@loop", "@rows", "@branch" or "@while".
        slots: for each argument slot, a number, a `Frame`, or (node, offset in bytes).
        scratch: values that live only during the call.
    """

    node: Node
    parts: list[Any]
    function: str
    copies: list[tuple[Node, Any]] = field(default_factory=list)
    slots: list[Any] = field(default_factory=list)
    scratch: list[Node] = field(default_factory=list)

    @property
    def n_slots(self) -> int:
        """The size of the argument block, in 8-byte slots."""
        return max(len(self.slots), 1)


def control_call(node: Node, results: list[Node], lower: Lower) -> ControlCall:
    """The call of a control node whose results have the nodes `results`."""
    return {"scan": _scan, "cond": _cond, "while_loop": _while}[node.op](node, results, lower)


def _with_state(body: Graph, first: int, n_carry: int) -> Graph:
    """A prepared body whose first results are its carry, as a graph that writes its carry in place."""
    graph = rebuild(body, lambda new, node, inputs: None)
    new, graph.outputs = graph.outputs[:n_carry], graph.outputs[n_carry:]
    graph.writes = {graph.inputs[first + k]: v for k, v in enumerate(new) if v is not graph.inputs[first + k]}
    return graph


def _results_io(native: Any) -> list[int]:
    """The io numbers of a native graph's outputs."""
    numbers = [io for io, _, _ in native.outputs]
    if any(n < 0 for n in numbers):
        raise TwinflowError("lower: a nested graph gives a bare number; fold_constants keeps results as nodes")
    return numbers


def _scan(node: Node, results: list[Node], lower: Lower) -> ControlCall:
    """The whole loop at once, or parts of its rows each by itself, if rows have nothing to do with each other."""
    p = node.params
    n_const, n_carry, length = p["n_const"], p["n_carry"], p["length"]
    body = prepared(p["body"])
    parts = parts_of_rows(body, n_const, length)
    natives: dict[int, Any] = {}  # by number of rows
    calls: list[tuple[Any, list[Any]]] = []
    before = 0
    for rows in parts:
        if rows in natives:
            native = natives[rows].again()
        else:
            part = body if len(parts) == 1 else body_of_rows(body, n_const, rows)
            assert part is not None  # noqa: S101 - `parts_of_rows` has asked
            native = natives[rows] = lower(_with_state(part, n_const, n_carry))
        calls.append((native, _walked(node, results, native, before)))
        before += rows
    call = ControlCall(node, [native for native, _ in calls], "@loop")
    call.copies = [(results[k], node.inputs[n_const + k]) for k in range(n_carry)]
    if len(calls) == 1:
        native, slots = calls[0]
        call.slots = [Frame(0), native.n_io, *slots]
    else:
        call.function = "@rows"
        call.slots = [0, len(calls), 1 + calls[0][0].n_io]  # the first is the pool, which the driver puts there
        for k, (_, slots) in enumerate(calls):
            call.slots += [Frame(k), *slots]
    return call


def _walked(node: Node, results: list[Node], native: Any, before: int) -> list[Any]:
    """What the body's io entries begin with, `before` rows having been given to others; and their steps from turn to turn."""
    p = node.params
    n_const, n_carry, length = p["n_const"], p["n_carry"], p["length"]
    native.program.set_repeat(length)
    start, turn = (length - 1, -1) if p["reverse"] else (0, 1)
    slots: list[Any] = [0] * native.n_io
    for k, x in enumerate(node.inputs[:n_const]):
        slots[k] = (x, 0)
    for k, x in enumerate(results[:n_carry], n_const):
        slots[k] = (x, before * row_nbytes(x, 0) if before else 0)
    along = [*enumerate(node.inputs[n_const + n_carry :], n_const + n_carry)]
    for io, x in (*along, *zip(_results_io(native), results[n_carry:])):
        step = row_nbytes(x, 0)
        slots[io] = (x, start * step + (before * row_nbytes(x, 1) if before else 0))
        native.program.io_step[io] = turn * step
    return slots


def _bound(native: Any, inputs: list[Any], results: list[Node]) -> list[Any]:
    slots: list[Any] = [0] * native.n_io
    for k, x in enumerate(inputs):
        slots[k] = (x, 0)
    for io, y in zip(_results_io(native), results):
        slots[io] = (y, 0)
    return slots


def _cond(node: Node, results: list[Node], lower: Lower) -> ControlCall:
    pred, *operands = node.inputs
    yes, no = (lower(prepared(node.params[k])) for k in ("on_true", "on_false"))
    call = ControlCall(node, [yes, no], "@branch")
    call.slots = [
        (pred, 0), Frame(0), yes.n_io, Frame(1), no.n_io,
        *_bound(yes, operands, results), *_bound(no, operands, results),
    ]  # fmt: skip
    return call


def _while(node: Node, results: list[Node], lower: Lower) -> ControlCall:
    p = node.params
    n_test, n_body = p["n_test"], p["n_body"]
    operands = list(node.inputs)
    test = lower(prepared(p["test"]))
    body = lower(_with_state(prepared(p["body"]), n_body, len(results)))
    call = ControlCall(node, [test, body], "@while")
    call.copies = list(zip(results, operands[n_test + n_body :]))
    flag = Node(node.graph, None, (), {}, p["test"].outputs[0].aval, name="flag")
    call.scratch = [flag]
    call.slots = [
        (flag, 0), Frame(0), test.n_io, Frame(1), body.n_io,
        *_bound(test, [*operands[:n_test], *results], [flag]),
        *_bound(body, [*operands[n_test : n_test + n_body], *results], []),
    ]  # fmt: skip
    return call
