"""The graph: nodes in the order they were made, each naming its primitive, its operands and the user's line."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from typing import Any

import numpy as np

from twinflow.core import Sizes, user_location
from twinflow.core.errors import TraceError, TwinflowError
from twinflow.graph._primitive import Aval, Primitive

Operand = Any  # Node | bool | int | float | complex


class Node:
    """One value of a graph: the result of a primitive on other nodes (or Python numbers), with static parameters.

    Nodes without a primitive are inputs. A primitive with several results has one node, whose `aval` is a tuple, and
    `pick` nodes that take one result each.
    """

    __slots__ = ("aval", "graph", "id", "inputs", "line", "name", "params", "prim")

    def __init__(
        self,
        graph: Graph,
        prim: Primitive | None,
        inputs: tuple[Operand, ...],
        params: dict[str, Any],
        aval: Any,
        line: tuple[str, int, str] | None = None,
        name: str = "",
    ) -> None:
        self.graph = graph
        self.prim = prim
        self.inputs = inputs
        self.params = params
        self.aval = aval
        self.line = line
        self.name = name
        self.id = graph.next_id()

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """NumPy must not take a node that outlived its trace for an element: `node == 0` would quietly be False."""
        raise TraceError(
            f"{ufunc.__name__}: an operand was made while a function was traced, and has no value outside it; "
            "return it from the function instead of keeping it"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type of the value, as an array in its place would give."""
        return self.aval.dtype.np

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.aval.size

    @property
    def op(self) -> str:
        """The primitive's name, or `input`."""
        return self.prim.name if self.prim is not None else "input"

    def __repr__(self) -> str:
        return f"%{self.id}"


class Graph:
    """Nodes in topological order, with inputs and outputs.

    `inputs` are nodes without a primitive; `outputs` are operands (nodes, or numbers for constant results);
    `writes` maps an input to the node whose value replaces it after a run (state that is updated in place).
    """

    def __init__(self, name: str = "graph") -> None:
        self.name = name
        self.nodes: list[Node] = []
        self.inputs: list[Node] = []
        self.outputs: list[Operand] = []
        self.writes: dict[Node, Operand] = {}
        self.sizes = Sizes()  # the present values of the named dimensions (`Dim`) in its shapes
        self._count = 0

    def next_id(self) -> int:
        """A number that no other node of this graph has."""
        self._count += 1
        return self._count - 1

    def add_input(self, aval: Aval, name: str = "") -> Node:
        """A new input."""
        node = Node(self, None, (), {}, aval, user_location(), name)
        self.inputs.append(node)
        return node

    def add(
        self,
        prim: Primitive,
        inputs: tuple[Operand, ...],
        params: dict[str, Any],
        *,
        aval: Any = None,
        line: tuple[str, int, str] | None = None,
    ) -> Node:
        """A new node at the end; its aval comes from the primitive's shape rule, which checks the operands."""
        if aval is None:
            aval = prim.out(*(x.aval if isinstance(x, Node) else x for x in inputs), **params)
        node = Node(self, prim, inputs, params, aval, line if line is not None else user_location())
        self.nodes.append(node)
        return node

    def number(self, node: Node, number: int) -> Node:
        """`node`, renumbered, as a text that is read back numbered it; later nodes get higher numbers."""
        node.id = number
        self._count = max(self._count, number + 1)
        return node

    @property
    def results(self) -> list[Operand]:
        """Everything a run must compute: the outputs, then the values that are written back."""
        return [*self.outputs, *self.writes.values()]

    def users(self) -> dict[Node, list[Node]]:
        """For each node, the nodes that read it (once for each time it is read)."""
        table: dict[Node, list[Node]] = {n: [] for n in self.inputs}
        table.update({n: [] for n in self.nodes})
        for node in self.nodes:
            for x in node.inputs:
                if isinstance(x, Node):
                    table[x].append(node)
        return table

    def __str__(self) -> str:
        from twinflow.graph._text import to_text

        return to_text(self)

    def draw(self, path: str | os.PathLike[str]) -> None:
        """Draw the graph into a file: `.svg`, `.html`, or `.dot` for Graphviz.

        Boxes are operations with their types; resting on one in a browser shows the user's line.
        """
        from twinflow.graph.drawing import draw

        draw(self, path)

    def _repr_svg_(self) -> str:
        """The picture that notebooks show."""
        from twinflow.graph.drawing import to_svg

        return to_svg(self)

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)


def live_nodes(
    graph: Graph, roots: Iterable[Operand] | None = None, known: Container[Operand] = frozenset()
) -> list[Node]:
    """The nodes that `roots` (default: all results, and the conditions that must hold) need, in order; not those that are
    known, nor what only these need."""
    wanted: set[Node] = set()
    if roots is None:
        roots = [*graph.results, *(n for n in graph.nodes if n.op == "ensure")]
    stack = [r for r in roots if isinstance(r, Node)]
    while stack:
        node = stack.pop()
        if node not in wanted and node not in known:
            wanted.add(node)
            stack.extend(x for x in node.inputs if isinstance(x, Node))
    return [n for n in graph.nodes if n in wanted]


def rebuild(graph: Graph, replace: Any) -> Graph:
    """A new graph made by calling `replace(new_graph, node, new_inputs)` on each live node in order.

    It returns the operand that stands for the node in the new graph; None keeps the node as it is. Each new node
    inherits the line of the one it replaces. Every pass is written with this.
    """
    new = Graph(graph.name)
    new.sizes = graph.sizes
    table: dict[Node, Operand] = {}
    for node in graph.inputs:
        table[node] = new.add_input(node.aval, node.name)
        table[node].line = node.line
    for node in live_nodes(graph):
        inputs = tuple(table[x] if isinstance(x, Node) else x for x in node.inputs)
        made = replace(new, node, inputs)
        if made is None:
            made = new.add(_prim_of(node), inputs, node.params, aval=node.aval, line=node.line)
        table[node] = made
    new.outputs = [table[x] if isinstance(x, Node) else x for x in graph.outputs]
    new.writes = {table[k]: table[v] if isinstance(v, Node) else v for k, v in graph.writes.items()}
    return new


def _prim_of(node: Node) -> Primitive:
    if node.prim is None:
        raise TwinflowError(f"graph: input {node!r} stands among the computed nodes")
    return node.prim
