"""Launches: what one step of a program runs, and where the kernel's arguments lie.

A *source* is a kernel before it is compiled: it has a key (its structure as text: equal keys, equal code) and can write
itself into the modules of a program. A *launch* is a source with the nodes, or scratch memory, of its argument block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from twinflow.compiler.contraction import SLOT, FusedEpilogue, Machine, MatmulSpec, emit_matmul
from twinflow.compiler.contraction import Module as ContractionModule
from twinflow.compiler.loops import Kernel, Target, emit
from twinflow.compiler.loops import Module as LoopModule
from twinflow.graph import Node


@dataclass
class Modules:
    """The LLVM modules that a program's kernels are written into, and what for."""

    target: Target
    machine: Machine
    loops: LoopModule = field(init=False)
    products: ContractionModule = field(default_factory=ContractionModule)
    workspace: dict[str, tuple[int, int]] = field(default_factory=dict)  # bytes by symbol: shared, for each worker

    def __post_init__(self) -> None:
        self.loops = LoopModule(self.target)


class Source(Protocol):
    """A kernel before it is compiled."""

    chunked: bool  # whether it is a function of one chunk, of which the driver runs several, or runs whole

    @property
    def key(self) -> str:
        """Its structure: sources with equal keys give equal code."""

    def write(self, modules: Modules, symbol: str) -> None:
        """Write its function, under this name."""


@dataclass(frozen=True)
class LoopSource:
    """A loop kernel."""

    kernel: Kernel
    chunked = True

    @property
    def key(self) -> str:
        """The kernel as text."""
        return str(self.kernel)

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of loop kernels."""
        k = self.kernel
        emit(modules.loops, Kernel(symbol, k.axes, k.stores, k.serial))


def fused_key(spec: object, fused: FusedEpilogue | None) -> str:
    """The structure of a contraction with its epilogue."""
    if fused is None:
        return repr(spec)
    axes = [[a.name for a in group] for group in (fused.rows, fused.cols, fused.batch)]
    return f"{spec!r}\n{fused.kernel}\n{fused.sums.name} {fused.keep_sums} {axes}"


@dataclass(frozen=True)
class ProductSource:
    """A matrix product, with what is done to its sums while they are in registers."""

    spec: MatmulSpec
    fused: FusedEpilogue | None = None
    chunked = False

    @property
    def key(self) -> str:
        """Its specification, and its epilogue as a loop kernel."""
        return fused_key(self.spec, self.fused)

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of contractions, and note the memory it works in."""
        fused = None if self.fused is None else replace(self.fused, module=modules.loops)
        made = emit_matmul(modules.products, modules.machine, self.spec, name=symbol, epilogue=fused)
        modules.workspace[symbol] = (made.shared_nbytes, made.worker_nbytes)


@dataclass(frozen=True, eq=False)
class Scratch:
    """Memory that a step needs for itself while it runs."""

    nbytes: int


@dataclass(frozen=True)
class Argument:
    """An entry of an argument block: the address of a node's memory, or of scratch, from a byte on; or a number."""

    slot: int
    of: Node | Scratch | int
    offset: int = 0


@dataclass
class Launch:
    """One call of a kernel.

    Attributes:
        workspace: the slot that takes memory whose size only the compiled kernel knows.
        copies: (source, target) if all it does is copy one to the other: nothing, where both have the same memory.
    """

    source: Source
    arguments: list[Argument]
    workspace: int | None = None
    copies: tuple[Node, Node] | None = None

    @property
    def slots(self) -> int:
        """Length of the argument block."""
        return 1 + max([*(a.slot for a in self.arguments), self.workspace or 0, 0])


def loop_launch(kernel: Kernel, arguments: Sequence[Node | Scratch]) -> Launch:
    """A loop kernel on these buffers, in the order of the kernel's; its symbols have the values of the graph's sizes."""
    sizes: dict[str, int] = next((a.graph.sizes for a in arguments if isinstance(a, Node)), {})
    values: list[Node | Scratch | int] = [*arguments, *(sizes[s] for s in kernel.symbols)]
    return Launch(LoopSource(kernel), [Argument(k, of) for k, of in enumerate(values)])


WORKSPACE = SLOT["workspace"]
