"""Graphs as data: printed, drawn, saved, frozen, loaded and run elsewhere.

A graph is a list of operations: name, function, operands by name, and everything else as JSON. Loading makes the same
operations again; it runs no code but the functions that twinflow registered.
"""

from __future__ import annotations

import base64
import json
import os
from typing import Any

import numpy as np

from twinflow.core import DType, as_dtype
from twinflow.core.errors import ArgumentError, CheckpointError
from twinflow.tf._shapes import TensorShape
from twinflow.tf.compat.v1._graph import GRAPH_DEF, Graph, GraphKeys, get_default_graph
from twinflow.tf.compat.v1._operations import FUNCTIONS, Body, Operation, Reference, Tensor, needed_operations
from twinflow.tf.compat.v1._run import VARIABLE
from twinflow.tf.compat.v1._saver import Saver
from twinflow.tf.compat.v1._spaces import find
from twinflow.tf.compat.v1._variables import Variable
from twinflow.utils import write_atomically

_VERSION = 1


class NodeDef:
    """One operation: its name, what it computes, its operands, and its row of data."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.row["name"])

    @property
    def op(self) -> str:
        """What it computes."""
        return str(self.row["op"])

    @property
    def input(self) -> list[str]:
        """The names of its operands; `^name` for one it only waits for."""
        return [*self.row["inputs"], *("^" + n for n in self.row["waits"])]

    def __str__(self) -> str:
        kind = ", ".join(f"{d}{TensorShape(s)}" for s, d in self.row["outputs"])
        return f"{self.name} = {self.op}({', '.join(self.input)})" + (f": {kind}" if kind else "")


class GraphDef:
    """A graph as data. `str()` prints a row for each operation, `to_dot()` draws it."""

    def __init__(self, rows: Any = ()) -> None:
        self.node = [NodeDef(r) for r in rows]

    def to_json(self) -> dict[str, Any]:
        """The graph as JSON."""
        return {"version": _VERSION, "nodes": [n.row for n in self.node]}

    def SerializeToString(self) -> bytes:
        """The graph as bytes."""
        return json.dumps(self.to_json()).encode()

    def ParseFromString(self, data: bytes) -> None:
        """The inverse. Raises: CheckpointError for bytes that are no graph."""
        try:
            document = json.loads(data)
            version, rows = document["version"], document["nodes"]
        except (ValueError, KeyError, TypeError):
            raise CheckpointError("GraphDef: the bytes are no graph that twinflow wrote") from None
        if version > _VERSION:
            raise CheckpointError(
                f"GraphDef: written by a newer twinflow (format {version}; this one knows {_VERSION}); update twinflow"
            )
        self.node = [NodeDef(r) for r in rows]

    def to_dot(self) -> str:
        """The graph as a drawing in Graphviz's language."""
        lines = ["digraph {", "  node [shape=box]"]
        for n in self.node:
            lines.append(f'  "{n.name}" [label="{n.name}\\n{n.op}"]')
            for x in n.row["inputs"]:
                lines.append(f'  "{x.rpartition(":")[0]}" -> "{n.name}"')
            lines += [f'  "{x}" -> "{n.name}" [style=dashed]' for x in n.row["waits"]]
        return "\n".join([*lines, "}"])

    def __str__(self) -> str:
        return "\n".join(str(n) for n in self.node)


def _encode(x: Any) -> Any:
    if x is None or isinstance(x, (bool, int, float, str)):
        return int(x) if isinstance(x, int) and not isinstance(x, bool) else x
    if isinstance(x, Tensor):
        return {"$tensor": x.name}
    if isinstance(x, Reference):
        return {"$variable": x.tensor.name}
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, np.ndarray):
        if x.size <= 16 and x.dtype.kind in "biuf":
            return {"$array": x.tolist(), "dtype": x.dtype.name, "shape": list(x.shape)}
        return {
            "$data": base64.b64encode(np.ascontiguousarray(x).tobytes()).decode(),
            "dtype": x.dtype.name,
            "shape": list(x.shape),
        }
    if isinstance(x, DType):
        return {"$dtype": x.name}
    if isinstance(x, TensorShape):
        return {"$shape": x.dims and list(x.dims)}
    if isinstance(x, dict):
        return {"$dict": {k: _encode(v) for k, v in x.items()}}
    if isinstance(x, (list, tuple)):
        items = [_encode(v) for v in x]
        return {"$tuple": items} if isinstance(x, tuple) else items
    if isinstance(x, Body):
        ops = [op for op in x.graph.operations if op.body is x]
        return {"$body": [_row(op) for op in ops], "inputs": [t.name for t in x.inputs], "outputs": _encode(x.outputs)}
    if isinstance(x, Operation):
        return {"$operation": x.name}
    if hasattr(x, "pull"):
        return {"$iterator": type(x).__name__}
    raise CheckpointError(
        f"the graph holds {x!r}, which cannot be written; pass numbers, arrays, names or tensors instead"
    )


def _row(op: Operation) -> dict[str, Any]:
    return {
        "name": op.name,
        "op": op.kind,
        "inputs": [x.name for x in op.inputs],
        "waits": [w.name for w in op.control_inputs],
        "params": {k: _encode(v) for k, v in op.params.items()},
        "outputs": [[x.shape.dims and list(x.shape.dims), x.dtype.name] for x in op.outputs],
    }


def graph_def(graph: Graph) -> GraphDef:
    """The graph as data."""
    return GraphDef(_row(op) for op in graph.operations if op.body is None)


GRAPH_DEF.append(graph_def)


class _LostIterator:
    """Stands where the saved graph had an iterator of a data set, which is not saved with it."""

    def begin(self, iterators: Any) -> None:
        """An error: there is no data set."""
        self.pull(iterators)

    def pull(self, iterators: Any) -> Any:
        """An error: there is no data set."""
        raise ArgumentError(
            "session.run: the loaded graph takes its elements from a data set, which was not saved with it; feed the tensors of "
            "IteratorGetNext, or give others by import_graph_def(input_map=...)"
        )


class _Importer:
    def __init__(self, graph: Graph, prefix: str, given: dict[str, Tensor]) -> None:
        self.graph, self.prefix, self.given = graph, prefix, given
        self.ops: dict[str, Operation] = {}

    def tensor(self, name: str) -> Tensor:
        if name in self.given:
            return self.given[name]
        op, _, number = name.rpartition(":")
        try:
            return self.ops[op].outputs[int(number)]
        except (KeyError, IndexError, ValueError):
            raise CheckpointError(
                f"import_graph_def: the graph reads {name!r}, which no operation before makes"
            ) from None

    def value(self, x: Any) -> Any:
        if isinstance(x, list):
            return [self.value(v) for v in x]
        if not isinstance(x, dict):
            return x
        kind = next(iter(x))
        match kind:
            case "$tensor":
                return self.tensor(x[kind])
            case "$variable":
                return Reference(self.tensor(x[kind]))
            case "$iterator":
                return _LostIterator()
            case "$operation":
                return self.ops[x[kind]]
            case "$array":
                return np.array(x[kind], as_dtype(x["dtype"]).np).reshape(x["shape"])
            case "$data":
                return np.frombuffer(base64.b64decode(x[kind]), as_dtype(x["dtype"]).np).reshape(x["shape"]).copy()
            case "$dtype":
                return as_dtype(x[kind])
            case "$shape":
                return TensorShape(x[kind])
            case "$dict":
                return {k: self.value(v) for k, v in x[kind].items()}
            case "$tuple":
                return tuple(self.value(v) for v in x[kind])
            case "$body":
                body = Body(self.graph)
                with self.graph.inside(body):
                    for row in x[kind]:
                        self.add(row)
                body.inputs = [self.tensor(n) for n in x["inputs"]]
                body.outputs = self.value(x["outputs"])
                return body
        raise CheckpointError(f"import_graph_def: {kind!r} is not understood")

    def add(self, row: dict[str, Any]) -> None:
        find(row["op"])
        function = FUNCTIONS.get(row["op"])
        if function is None:
            raise CheckpointError(f"import_graph_def: this twinflow has no operation {row['op']!r}")
        params = {k: self.value(v) for k, v in row["params"].items()}
        with self.graph.control_dependencies([self.ops[w] for w in row["waits"]]):
            op = self.graph.add(function, params, self.prefix + row["name"])
        if row["op"] == VARIABLE:
            shape, dtype = row["outputs"][0]
            op.outputs = [Variable.of(op, TensorShape(shape), as_dtype(dtype))]
        else:
            op.outputs = [Tensor(op, i, TensorShape(s), as_dtype(d)) for i, (s, d) in enumerate(row["outputs"])]
        if row["op"] in ("Shape", "Size", "Rank"):
            op.host = True
        if row["op"] == "Assign" and params["ref"].tensor.initializer is None:
            params["ref"].tensor.initializer = op
        self.ops[row["name"]] = op


def import_graph_def(
    graph_def: GraphDef, input_map: Any = None, return_elements: Any = None, name: str | None = None
) -> Any:
    """Add the operations of a saved graph to the default one.

    Args:
        input_map: tensors of this graph in the place of those with these names.
        return_elements: names of operations and tensors to return.
        name: a prefix of the names, `import` if none is given; "" for none.
    """
    graph = get_default_graph()
    prefix = "import/" if name is None else f"{name}/" if name else ""
    given = {(k if ":" in k else f"{k}:0"): v for k, v in (input_map or {}).items()}
    made = _Importer(graph, prefix, given)
    with graph.name_scope(None):
        for node in graph_def.node:
            if f"{node.name}:0" not in given:
                made.add(node.row)
    if return_elements is None:
        return None
    return [graph.as_graph_element(prefix + n) for n in return_elements]


def write_graph(graph_or_graph_def: Any, logdir: str, name: str, as_text: bool = True) -> str:
    """Write a graph to `logdir/name`, as lines to read or as data to load; returns the path."""
    found = graph_or_graph_def.as_graph_def() if isinstance(graph_or_graph_def, Graph) else graph_or_graph_def
    path = os.path.join(logdir, name)
    write_atomically(path, [json.dumps(found.to_json(), indent=1).encode() if as_text else found.SerializeToString()])
    return path


def convert_variables_to_constants(sess: Any, input_graph_def: GraphDef, output_node_names: Any) -> GraphDef:
    """The part of a graph that the outputs need, with the values that variables have in a session as constants."""
    graph = sess.graph
    roots = [graph.get_operation_by_name(n) for n in output_node_names]
    ops = needed_operations(roots)
    variables = [op.outputs[0] for op in ops if op.kind == VARIABLE]
    for op in ops:
        if op.function.effect and op.references:
            raise ArgumentError(
                f"convert_variables_to_constants: the outputs depend on {op.name!r}, which changes a variable"
            )
    values = dict(zip([v.op.name for v in variables], sess.run(variables) if variables else []))
    names = {op.name for op in ops}
    rows = []
    for node in input_graph_def.node:
        if node.name in values:
            array = np.asarray(values[node.name])
            row = {
                **node.row,
                "op": "Const",
                "inputs": [],
                "waits": [],
                "params": {"value": _encode(array), "dtype": None},
            }
            rows.append(row)
        elif node.name in names:
            rows.append(node.row)
    return GraphDef(rows)


def import_meta_graph(meta_graph: str) -> Saver:
    """Add the graph that a Saver wrote beside a checkpoint to the default one; the Saver that restores it."""
    try:
        with open(meta_graph, encoding="utf-8") as file:
            document = json.load(file)
        definition = GraphDef()
        definition.ParseFromString(json.dumps(document["graph"]).encode())
        saved = document["saved"]
    except FileNotFoundError:
        raise CheckpointError(f"tf.train.import_meta_graph: there is no file {meta_graph}") from None
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(
            f"tf.train.import_meta_graph: {meta_graph} is damaged, or not a graph that a Saver wrote"
        ) from None
    import_graph_def(definition, name="")
    graph = get_default_graph()
    known = {v.op.name: v for v in graph.get_collection(GraphKeys.GLOBAL_VARIABLES)}
    return Saver({name: known[v] for name, v in saved.items()})
