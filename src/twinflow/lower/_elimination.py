"""The launches of LU factorisation and of substitution, for which NumPy has no loops."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from twinflow.compiler import COLUMNS, emit_lu, emit_substitution
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


@dataclass(frozen=True)
class SubstitutionSource:
    """The kernel that solves with a triangle."""

    dtype: str
    parts: int
    upper: bool
    unit: bool
    chunked = True

    @property
    def key(self) -> str:
        """What it does: sizes are arguments."""
        return f"substitution {self.dtype} {self.parts} {self.upper} {self.unit} {COLUMNS}"

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of loop kernels."""
        emit_substitution(modules.loops, symbol, self.dtype, self.parts, upper=self.upper, unit=self.unit)


def substitution_launch(node: Node) -> Launch:
    """The solution of a triangular system."""
    a, b = node.inputs[:2]
    *lead, n, columns = b.aval.shape
    parts = 2 if b.aval.dtype.is_complex else 1
    source = SubstitutionSource(b.aval.dtype.to_real().name, parts, node.params["upper"], node.params["unit"])
    share = -(-int(columns) // COLUMNS)
    return Launch(source, [Argument(k, of) for k, of in enumerate((a, b, node, prod(lead) * share, share, n, columns))])
