"""Convolutions with the channels last on the contraction kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from twinflow.compiler.contraction import SLOT, ConvSpec, FusedEpilogue, emit_conv
from twinflow.core import Dim
from twinflow.graph import Node
from twinflow.lower._launch import WORKSPACE, Argument, Launch, Modules, fused_key

_KINDS: dict[str, Literal["forward", "data", "weight"]] = {
    "conv_last": "forward",
    "conv_input_last": "data",
    "conv_weight_last": "weight",
}
CONVOLUTIONS = frozenset(_KINDS)
SLIDING = ("conv_last", "conv_input_last")  # each sum is finished at once, so that an epilogue may follow


@dataclass(frozen=True)
class ConvSource:
    """A convolution or a derivative of one, with what is done to its sums while they are in registers."""

    spec: ConvSpec
    fused: FusedEpilogue | None = None
    chunked = False

    @property
    def key(self) -> str:
        """Its specification, and its epilogue as a loop kernel."""
        return fused_key(self.spec, self.fused)

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of contractions, and note the memory it works in."""
        fused = None if self.fused is None else replace(self.fused, module=modules.loops)
        made = emit_conv(modules.products, modules.machine, self.spec, name=symbol, epilogue=fused)
        modules.workspace[symbol] = (made.shared_nbytes, made.worker_nbytes)


def conv_spec(node: Node) -> ConvSpec:
    """What the kernel of a convolution node computes."""
    a, b = (x.aval for x in node.inputs)
    y = node.aval
    kind = _KINDS[node.op]
    p: dict[str, Any] = node.params
    image, filters = {"forward": (a.shape, b.shape), "data": (y.shape, b.shape), "weight": (a.shape, y.shape)}[kind]
    kernel = filters[2:] if p["filters_first"] else filters[:-2]
    wide = {"forward": y, "data": a, "weight": b}[kind].shape[-1]
    return ConvSpec(
        kind, image[0], image[1:-1], kernel, image[-1], wide,
        p["stride"], p["padding"], p["dilation"], p["groups"], y.dtype.name, filters_first=p["filters_first"],
    )  # fmt: skip


def conv_launch(node: Node, a: Node, b: Node) -> Launch:
    """The launch of a convolution node on operands in the memory of these nodes. A batch that is a named dimension stays
    open: its value is an argument."""
    spec = conv_spec(node)
    arguments = [Argument(SLOT["a"], a), Argument(SLOT["b"], b), Argument(SLOT["c"], node)]
    if isinstance(spec.batch, Dim):
        arguments.append(Argument(SLOT["batch"], int(spec.batch)))
        spec = replace(spec, batch=None)
    return Launch(ConvSource(spec), arguments, WORKSPACE)
