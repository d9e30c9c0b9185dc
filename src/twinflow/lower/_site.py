"""Where the nodes are added that a row is composed of."""

from __future__ import annotations

from typing import Any

from twinflow.core import as_dtype
from twinflow.graph import Graph, Node, find_primitive
from twinflow.lower._library import library

_WIDE = {"float32": "float64", "complex64": "complex128"}


class Site:
    """Where nodes are added: the new graph, and the line and operation of the node that they stand for."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self.graph, self.line, self.name = graph, node.line, node.op

    def op(self, name: str, *operands: Any, **params: Any) -> Node:
        """A node."""
        return self.graph.add(find_primitive(name), operands, params, line=self.line)

    def cast(self, x: Node, dtype: str) -> Node:
        """`x` in a type."""
        return x if x.aval.dtype.name == dtype else self.op("cast", x, dtype=as_dtype(dtype))

    def wide(self, x: Node) -> Node:
        """`x` in double precision."""
        return self.cast(x, _WIDE.get(x.aval.dtype.name, x.aval.dtype.name))

    def adjoint(self, x: Node) -> Node:
        """The conjugate transpose of each matrix."""
        n = x.aval.ndim
        turned = self.op("permute", x, axes=(*range(n - 2), n - 1, n - 2))
        return self.op("conj", turned) if x.aval.dtype.is_complex else turned

    def even(self, x: Node) -> Node:
        """(A + Aᴴ) / 2 in double precision."""
        return self.wide(self.op("div", self.op("add", x, self.adjoint(x)), 2.0))

    def on_diagonal(self, rows: int, columns: int) -> Node:
        """Column less row number of each element of a matrix."""
        places = [self.op("iota", n=n, dtype=as_dtype("int64")) for n in (rows, columns)]
        return self.op("sub", places[1], self.op("reshape", places[0], shape=(rows, 1)))

    def triangle(self, x: Node, *, upper: bool, unit: bool = False) -> Node:
        """One triangle of each matrix, zeros elsewhere; with ones on its diagonal if `unit`."""
        gap = self.on_diagonal(*x.aval.shape[-2:])
        kept = self.op("where", self.op("ge" if upper else "le", gap, 0), x, 0.0)
        return self.op("where", self.op("eq", gap, 0), 1.0, kept) if unit else kept

    def finite(self, x: Node) -> Node:
        """Whether all elements of `x` are finite."""
        if not x.aval.size:
            return self.op("full", shape=(), value=True, dtype=as_dtype("bool"))
        bad = self.op("bitwise_or", self.op("isnan", x), self.op("isinf", x))
        found = self.op("amax", bad, axes=tuple(range(x.aval.ndim)), keepdim=False)
        return self.op("invert", found)

    def no_zeros(self, x: Node) -> Node:
        """Whether no element of the diagonals of matrices is 0."""
        good = self.op("ne", self.op("diagonal", x, offset=0), 0.0)
        return self.op("amin", good, axes=tuple(range(good.aval.ndim)), keepdim=False)

    def loop(
        self,
        name: str,
        *operands: Node,
        outs: Any,
        failure: str = "",
        axis: int | None = None,
        changes: bool = False,
        given: bool = False,
    ) -> list[Node]:
        """The results of a loop; `outs` are their shapes and types."""
        params = {
            "loop": name, "axis": axis, "failure": f"{self.name}: {failure}" if failure else "", "changes": changes, "given": given,
            "shapes": tuple(shape for shape, _ in outs), "dtypes": tuple(dtype for _, dtype in outs),
        }  # fmt: skip
        node = self.graph.add(library, operands, params, line=self.line)
        return [self.op("pick", node, index=k) for k in range(len(outs))]
