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
from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype, format_location
from twinflow.core.errors import ArgumentError
from twinflow.graph._ir import Graph, Node
from twinflow.graph._primitive import Aval, find_primitive


def _aval_text(aval: Any) -> str:
    return f"({', '.join(map(repr, aval))})" if type(aval) is tuple else repr(aval)


def _value_text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        body = value.tolist() if value.size <= 16 else f"{value.size} elements"
        return f"array({body}, {value.dtype.name})"
    if isinstance(value, DType):
        return value.name
    if isinstance(value, Graph):
        inner = to_text(value).replace("\n", "\n      ")
        return "{\n      " + inner + "\n    }"
    if isinstance(value, tuple):
        inside = ", ".join(_value_text(v) for v in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)


def to_text(graph: Graph, *, lines: bool = False) -> str:
    """The graph as text; with `lines`, each node is followed by the user's line."""
    head = ", ".join(f"{n!r}: {n.aval!r}" + (f' "{n.name}"' if n.name else "") for n in graph.inputs)
    rows = [f"graph {graph.name}({head})"]
    for node in graph.nodes:
        args = [_value_text(x) for x in node.inputs] + [f"{k}={_value_text(v)}" for k, v in node.params.items()]
        where = f"    # {format_location(node.line)}" if lines and node.line else ""
        rows.append(f"  {node!r}: {_aval_text(node.aval)} = {node.op}({', '.join(args)}){where}")
    rows.append("  return " + ", ".join(_value_text(x) for x in graph.outputs))
    rows += [f"  write {k!r} <- {_value_text(v)}" for k, v in graph.writes.items()]
    return "\n".join(rows)


_HEAD = re.compile(r"graph (\S+?)\((.*)\)$")
_INPUT = re.compile(r'(%\d+): (\w+)\[([\d, ]*)\](?: "([^"]*)")?')
_REF = re.compile(r"%(\d+)")
_ROW = re.compile(r"  (%\d+): (.+?) = (\w+)\((.*)\)$")


class _Names(ast.NodeTransformer):
    """Turns the words of a printed argument list (types, nodes, inf, nan) into values that can be looked up."""

    def __init__(self, table: dict[str, Node]) -> None:
        self.table = table

    def evaluate(self, text: str) -> tuple[list[Any], dict[str, Any]]:
        names: dict[str, Any] = {f"_n{k[1:]}": v for k, v in self.table.items()}
        names |= {"inf": float("inf"), "nan": float("nan"), "True": True, "False": False, "None": None}
        call = ast.parse("f(" + _REF.sub(r"_n\1", text) + ")", mode="eval").body
        if not isinstance(call, ast.Call):
            raise ArgumentError(f"graph text: {text!r} is not an argument list")
        return [self._value(a, names) for a in call.args], {
            str(k.arg): self._value(k.value, names) for k in call.keywords
        }

    def _value(self, tree: ast.expr, names: dict[str, Any]) -> Any:
        match tree:
            case ast.Constant(value=v):
                return v
            case ast.Name(id=name):
                return names[name] if name in names else as_dtype(name)
            case ast.Tuple(elts=items):
                return tuple(self._value(i, names) for i in items)
            case ast.List(elts=items):
                return [self._value(i, names) for i in items]
            case ast.UnaryOp(op=ast.USub(), operand=x):
                return -self._value(x, names)
            case ast.BinOp(left=a, op=ast.Add(), right=b):
                return self._value(a, names) + self._value(b, names)
            case ast.BinOp(left=a, op=ast.Sub(), right=b):
                return self._value(a, names) - self._value(b, names)
            case ast.Call(func=ast.Name(id="array"), args=[data, ast.Name(id=dtype)]):
                return np.array(self._value(data, names), as_dtype(dtype).np)
        raise ArgumentError(f"graph text: {ast.unparse(tree)!r} is not understood")


def from_text(text: str) -> Graph:
    """The graph that `to_text` printed (without nested graphs and large constants, which do not print whole)."""
    rows = [r for r in text.strip("\n").split("\n") if r.strip()]
    head = _HEAD.match(rows[0].strip())
    if head is None:
        raise ArgumentError(f"graph text: {rows[0]!r} is not a head such as 'graph f(%0: float32[2])'")
    graph = Graph(head[1])
    table: dict[str, Node] = {}
    for ref, dtype, shape, name in _INPUT.findall(head[2]):
        extents = tuple(int(s) for s in shape.replace(" ", "").split(",") if s)
        table[ref] = graph.add_input(Aval(extents, as_dtype(dtype)), name)
    for row in rows[1:]:
        row = row.split("    # ")[0]
        if row.startswith("  return"):
            graph.outputs = _Names(table).evaluate(row[8:].strip())[0]
        elif row.startswith("  write "):
            target, _, value = row[8:].partition(" <- ")
            graph.writes[table[target.strip()]] = _Names(table).evaluate(value)[0][0]
        else:
            m = _ROW.match(row)
            if m is None:
                raise ArgumentError(f"graph text: {row!r} is not a row such as '%1: float32[2] = neg(%0)'")
            args, params = _Names(table).evaluate(m[4])
            table[m[1]] = graph.add(find_primitive(m[3]), tuple(args), params, line=("", 0, ""))
    return graph
