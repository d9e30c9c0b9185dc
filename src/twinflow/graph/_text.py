"""Graphs as text that a person can read and a test can compare, and back.

graph step(%0: float32[2, 3] "x", %1: float32[3] "w")
  %2: float32[2, 3] = mul(%0, %1)
  %3: float32[] = sum(%2, axes=(0, 1), keepdim=False)
  return %3
  write %1 <- %2
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype, format_location
from twinflow.core.errors import ArgumentError
from twinflow.graph._ir import Graph, Node
from twinflow.graph._primitive import Aval, find_primitive


def _aval_text(aval: Any) -> str:
    return f"({', '.join(map(repr, aval))})" if type(aval) is tuple else repr(aval)


def _value_text(value: Any, constants: dict[str, np.ndarray] | None) -> str:
    if isinstance(value, np.ndarray):
        return _array_text(value, constants)
    if isinstance(value, DType):
        return value.name
    if isinstance(value, Graph):
        inner = to_text(value, constants=constants).replace("\n", "\n      ")
        return "{\n      " + inner + "\n    }"
    if isinstance(value, tuple):
        inside = ", ".join(_value_text(v, constants) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def _array_text(value: np.ndarray, constants: dict[str, np.ndarray] | None) -> str:
    if value.size <= 16:
        return f"array({value.tolist()}, {value.dtype.name})"
    if constants is None:
        return f"array({value.size} elements, {value.dtype.name})"
    name = f"c{len(constants)}"
    constants[name] = value
    return f"array({name!r}, {value.dtype.name})"


def node_text(node: Node, constants: dict[str, np.ndarray] | None = None) -> str:
    """The row of one node: `%2: float32[2, 3] = mul(%0, %1)`."""
    args = [_value_text(x, constants) for x in node.inputs]
    args += [f"{k}={_value_text(v, constants)}" for k, v in node.params.items()]
    return f"{node!r}: {_aval_text(node.aval)} = {node.op}({', '.join(args)})"


def to_text(graph: Graph, *, lines: bool = False, constants: dict[str, np.ndarray] | None = None) -> str:
    """The graph as text; with `lines`, each node is followed by the user's line.

    Constants of more than 16 elements are printed as their number of elements only, unless a dictionary is given, which
    then receives them under the names that the text uses. `from_text` reads the text and that dictionary back.
    """
    head = ", ".join(f"{n!r}: {n.aval!r}" + (f' "{n.name}"' if n.name else "") for n in graph.inputs)
    rows = [f"graph {graph.name}({head})"]
    for node in graph.nodes:
        where = f"    # {format_location(node.line)}" if lines and node.line else ""
        rows.append(f"  {node_text(node, constants)}{where}")
    rows.append("  return " + ", ".join(_value_text(x, constants) for x in graph.outputs))
    rows += [f"  write {k!r} <- {_value_text(v, constants)}" for k, v in graph.writes.items()]
    return "\n".join(rows)


_HEAD = re.compile(r"graph (\S+?)\((.*)\)$")
_INPUT = re.compile(r'(%\d+): (\w+)\[([\d, ]*)\](?: "([^"]*)")?')
_REF = re.compile(r"%(\d+)")
_ROW = re.compile(r"(%\d+): (.+?) = (\w+)\((.*)\)$")


class _Names:
    """Turns the words of a printed argument list (nodes, types, nested graphs, inf, nan) into what they name."""

    def __init__(self, nodes: dict[str, Node], graphs: dict[str, Graph], constants: Mapping[str, np.ndarray]) -> None:
        self.nodes = nodes
        self.constants = constants
        self.known: dict[str, Any] = {"inf": float("inf"), "nan": float("nan"), **graphs}

    def evaluate(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        try:
            call = ast.parse("f(" + _REF.sub(r"_n\1", text) + ")", mode="eval").body
        except SyntaxError:
            call = None
        if not isinstance(call, ast.Call):
            raise ArgumentError(f"graph text: {text!r} is not an argument list")
        return [self._value(a) for a in call.args], {str(k.arg): self._value(k.value) for k in call.keywords}

    def _value(self, tree: ast.expr) -> Any:
        match tree:
            case ast.Constant(value=v):
                return v
            case ast.Name(id=name):
                return self._named(name)
            case ast.Tuple(elts=items):
                return tuple(self._value(i) for i in items)
            case ast.List(elts=items):
                return [self._value(i) for i in items]
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return -self._value(x)
            case ast.BinOp(left=a, op=ast.Add(), right=b):
                return self._value(a) + self._value(b)
            case ast.BinOp(left=a, op=ast.Sub(), right=b):
                return self._value(a) - self._value(b)
            case ast.Call(func=ast.Name(id="array"), args=[ast.Constant(value=str(name)), ast.Name()]):
                if name not in self.constants:
                    raise ArgumentError(f"graph text: there is no constant {name!r}; pass those that to_text gave")
                return self.constants[name]
            case ast.Call(func=ast.Name(id="array"), args=[data, ast.Name(id=dtype)]):
                return np.array(self._value(data), as_dtype(dtype).np)
        raise ArgumentError(f"graph text: {ast.unparse(tree)!r} is not understood")

    def _named(self, name: str) -> Any:
        if name in self.known:
            return self.known[name]
        if name.startswith("_n"):
            if "%" + name[2:] not in self.nodes:
                raise ArgumentError(f"graph text: %{name[2:]} is read before it is computed")
            return self.nodes["%" + name[2:]]
        return as_dtype(name)


def from_text(text: str, constants: Mapping[str, np.ndarray] | None = None) -> Graph:
    """The graph that `to_text` printed; `constants` holds the large ones, as `to_text(constants=)` gave them.

    >>> graph = from_text("graph f(%0: float32[2])\\n  %1: float32[2] = neg(%0)\\n  return %1")
    >>> str(from_text(str(graph))) == str(graph)
    True
    """
    rows = iter([r for r in text.strip("\n").split("\n") if r.strip()])
    return _read(next(rows, ""), rows, constants or {})[0]


def _read(first: str, rows: Iterator[str], constants: Mapping[str, np.ndarray]) -> tuple[Graph, str]:
    """The graph whose head is `first`, and the row that closes it (empty for the outermost)."""
    graph, nodes = _head(first)
    for row in rows:
        row = row.split("    # ")[0].strip()
        graphs: dict[str, Graph] = {}
        if row.startswith("}"):
            return graph, row
        while row.endswith("{"):
            inner, closing = _read(next(rows, ""), rows, constants)
            name = f"_g{len(graphs)}"
            graphs[name] = inner
            row = row[:-1] + name + closing[1:]
        _add_row(graph, nodes, row, _Names(nodes, graphs, constants))
    return graph, ""


def _head(row: str) -> tuple[Graph, dict[str, Node]]:
    head = _HEAD.match(row.strip())
    if head is None:
        raise ArgumentError(f"graph text: {row!r} is not a head such as 'graph f(%0: float32[2])'")
    graph = Graph(head[1])
    nodes: dict[str, Node] = {}
    for ref, dtype, shape, name in _INPUT.findall(head[2]):
        extents = tuple(int(s) for s in shape.replace(" ", "").split(",") if s)
        nodes[ref] = graph.number(graph.add_input(Aval(extents, as_dtype(dtype)), name), int(ref[1:]))
    return graph, nodes


def _add_row(graph: Graph, nodes: dict[str, Node], row: str, names: _Names) -> None:
    if row.startswith("return"):
        graph.outputs = names.evaluate(row[6:].strip())[0]
    elif row.startswith("write "):
        target, _, value = row[6:].partition(" <- ")
        graph.writes[names.evaluate(target)[0][0]] = names.evaluate(value)[0][0]
    else:
        m = _ROW.match(row)
        if m is None:
            raise ArgumentError(f"graph text: {row!r} is not a row such as '%1: float32[2] = neg(%0)'")
        args, params = names.evaluate(m[4])
        made = graph.add(find_primitive(m[3]), tuple(args), params, line=("", 0, ""))
        if "[" in m[2] and m[2] != _aval_text(made.aval):  # tests leave types out
            raise ArgumentError(f"graph text: {row!r} says {m[2]}, but {m[3]} gives {_aval_text(made.aval)}")
        nodes[m[1]] = graph.number(made, int(m[1][1:]))
