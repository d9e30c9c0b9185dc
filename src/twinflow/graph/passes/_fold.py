"""Computing at compile time what does not depend on inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinflow.core import silently
from twinflow.graph._interpret import run_node
from twinflow.graph._ir import Graph, Node, Operand, rebuild
from twinflow.graph._primitive import Aval, find_primitive

_MAX_ELEMENTS = 1024  # larger constants are cheaper to compute than to keep in the graph
_SAME_EVERYWHERE = {"reshape", "permute", "expand", "slice", "cast", "copy", "diagonal"}


def splat(x: Operand) -> Any:
    """The one value of a node that is the same everywhere (a `full`, or a number), else None."""
    if not isinstance(x, Node):
        return x
    if x.op == "full":
        return x.params["value"]
    if x.op == "constant" and x.aval.size == 1:
        return x.params["value"].reshape(()).item() if x.params["value"].dtype.kind != "V" else None
    return None


def _full(new: Graph, aval: Aval, value: Any, node: Node) -> Node:
    params = {"shape": aval.shape, "value": value, "dtype": aval.dtype}
    return new.add(find_primitive("full"), (), params, aval=aval, line=node.line)


def _as_number(value: np.ndarray[Any, Any]) -> Any:
    return (value.astype(np.float32) if value.dtype.kind == "V" else value).item()


def fold_constants(graph: Graph) -> Graph:
    """f(constants)  →  a constant; f of values that are the same everywhere  →  `full`; a `full` beside a tensor of the result's
    shape  →  a number."""

    def replace(new: Graph, node: Node, inputs: tuple[Operand, ...]) -> Operand | None:
        prim = node.prim
        if prim is None or not isinstance(node.aval, Aval) or prim.n_out != 1:
            return None
        values = [splat(x) for x in inputs]
        if inputs and all(v is not None for v in values):
            if prim.elementwise and node.op != "complex":
                scalars = [np.asarray(v, x.aval.dtype.np) if isinstance(x, Node) else v for v, x in zip(values, inputs)]
                return _full(new, node.aval, _as_number(np.asarray(silently(prim.ref, *scalars))), node)
            if node.op in _SAME_EVERYWHERE:
                one = np.asarray(values[0], inputs[0].aval.dtype.np)
                if node.op == "cast":
                    one = np.asarray(silently(prim.ref, one, **node.params))
                return _full(new, node.aval, _as_number(one), node)
        if prim.elementwise:
            return _with_numbers(new, node, inputs, values)
        constant = all(isinstance(x, Node) and x.op == "constant" for x in inputs)
        if inputs and constant and node.aval.size <= _MAX_ELEMENTS:
            made = new.add(prim, inputs, node.params, aval=node.aval, line=node.line)
            value = run_node(made, [x.params["value"] for x in inputs])
            return new.add(find_primitive("constant"), (), {"value": value}, aval=node.aval, line=node.line)
        return None

    return rebuild(graph, replace)


def _with_numbers(new: Graph, node: Node, inputs: tuple[Operand, ...], values: list[Any]) -> Operand | None:
    """Elementwise: operands that are the same everywhere become numbers, if another operand still gives shape and type."""
    if node.op in ("where", "complex"):
        candidates = range(1, len(inputs)) if node.op == "where" else range(0)
    else:
        candidates = range(len(inputs))
    keep = [x for x, v in zip(inputs, values) if isinstance(x, Node) and v is None]
    shape_kept = any(x.aval.shape == node.aval.shape for x in keep)
    typed = [i for i in candidates if isinstance(inputs[i], Node) and values[i] is None]
    if not shape_kept or not typed:
        return None
    out = list(inputs)
    changed = False
    for i in candidates:
        x = inputs[i]
        if isinstance(x, Node) and values[i] is not None and x.op == "full":
            out[i] = values[i] if not x.aval.dtype.is_floating_point else float(values[i])
            changed = True
    if not changed or node.prim is None:
        return None
    return new.add(node.prim, tuple(out), node.params, aval=node.aval, line=node.line)
