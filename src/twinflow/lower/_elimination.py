"""The launch of LU factorisation, for which NumPy has no loop."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from twinflow.compiler import emit_lu
from twinflow.graph import Node
from twinflow.lower._launch import Argument, Launch, Modules


@dataclass(frozen=True)
class LuSource:
    """The kernel that factors matrices of numbers of one or two parts (complex ones)."""

    dtype: str
    parts: int
    chunked = True

    @property
    def key(self) -> str:
        """Its types: sizes are arguments."""
        return f"lu {self.dtype} {self.parts}"

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of loop kernels."""
        emit_lu(modules.loops, symbol, self.dtype, self.parts)


def lu_launch(node: Node, results: list[Node]) -> Launch:
    """The factors, the pivots and the order of the rows, given the nodes that they go to."""
    x = node.inputs[0]
    *lead, m, n = x.aval.shape
    source = LuSource(x.aval.dtype.to_real().name, 2 if x.aval.dtype.is_complex else 1)
    return Launch(source, [Argument(k, of) for k, of in enumerate((x, *results, prod(lead), m, n))])
