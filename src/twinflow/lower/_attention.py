"""Attention and its derivative as launches of their kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twinflow.compiler.contraction import AttentionSpec, emit_attention
from twinflow.core import Dim
from twinflow.graph import Aval, Node
from twinflow.graph.lowering import dropout_rule
from twinflow.lower._index import row_major
from twinflow.lower._launch import WORKSPACE, Argument, Launch, Modules
from twinflow.lower._strided import Strided, strided, walkable

ATTENTION = ("attention", "attention_grad")
"""The primitives of this kernel."""

_WALKED = {"attention": ("q", "k", "v"), "attention_grad": ("g", "q", "k", "v")}
_NAMES = {
    "attention": (("q", "k", "v"), ("o", "lse")),
    "attention_grad": (("g", "q", "k", "v", "lse", "delta"), ("dq", "dk", "dv")),
}


@dataclass(frozen=True)
class AttentionSource:
    """The kernel of one attention, or of its derivative."""

    spec: AttentionSpec
    chunked = False

    @property
    def key(self) -> str:
        """Its specification."""
        return repr(self.spec)

    def write(self, modules: Modules, symbol: str) -> None:
        """Emit it into the module of contractions, and note the memory it works in."""
        made = emit_attention(modules.products, modules.loops, modules.machine, self.spec, name=symbol)
        modules.workspace[symbol] = (made.shared_nbytes, made.worker_nbytes)


def _operands(node: Node) -> dict[str, Node]:
    """The operands by the kernel's names."""
    names = list(_NAMES[node.op][0])
    names += ["mask"] if node.params["masked"] else []
    names += ["state"] if node.params["dropout_p"] else []
    return dict(zip(names, node.inputs))


def _fits(name: str, x: Strided) -> bool:
    """Whether the kernel can walk an operand: features lie side by side, positions at a step that is a plain number."""
    if any(s < 0 for s in x.strides):
        return False
    return name == "mask" or (
        (x.shape[-1] == 1 or x.strides[-1] == 1) and (x.shape[-3] == 1 or not isinstance(x.strides[-3], Dim))
    )


def _is_walked(node: Node, name: str) -> bool:
    return name in _WALKED[node.op] or name == "mask"


def walked_operands(node: Node) -> list[Node]:
    """The nodes whose memory the kernel walks for each operand: what a view looks at, where its steps fit."""
    found = []
    for name, x in _operands(node).items():
        seen = strided(x, {walkable(x)}) if _is_walked(node, name) else None
        found.append(seen.base if seen is not None and _fits(name, seen) else x)
    return found


def _walked(node: Node, name: str, x: Node, stored: set[Node]) -> Strided:
    """An operand as steps through memory: of the nearest node that has some, or else of what `walked_operands` asked for."""
    for memory in (stored, {walkable(x)}):
        seen = strided(x, memory)
        if seen is not None and _fits(name, seen):
            return seen
    raise TypeError(f"lower: {node!r} was planned on operands that can be walked with steps")


def attention_launch(node: Node, results: Sequence[Node], stored: set[Node]) -> Launch | None:
    """The launch of an attention node whose results go to these nodes; None if there is nothing to attend to."""
    p = node.params
    operands = _operands(node)
    q, k, v = (operands[n].aval for n in "qkv")
    if 0 in (*q.shape, *k.shape, *v.shape):
        return None
    grad = node.op == "attention_grad"
    walked = {name: _walked(node, name, x, stored) for name, x in operands.items() if _is_walked(node, name)}
    for name, x in operands.items():
        if name not in walked:
            walked[name] = Strided(x, x.aval.shape, row_major(x.aval.shape), 0)
    for name, x in zip(_NAMES[node.op][1], results):
        walked[name] = Strided(x, x.aval.shape, row_major(x.aval.shape), 0)
    in_rows = ("q", "k", "v", "g", "dq", "dk", "dv") if grad else ("q", "k", "v", "o")
    mask: Aval | None = operands["mask"].aval if p["masked"] else None
    n_query, n_key, n_batch = q.shape[-3], k.shape[-3], q.ndim - 3
    spec = AttentionSpec(
        _known(n_query), _known(n_key), int(q.shape[-2]), int(k.shape[-2]), int(q.shape[-1]), int(v.shape[-1]),
        tuple((n, 0 if walked[n].shape[-3] == 1 else int(walked[n].strides[-3])) for n in in_rows),
        n_batch, p["causal"], float(p["scale"]), None if mask is None else mask.dtype.name,
        mask is not None and mask.shape[-2] != 1,
        *(dropout_rule(p["dropout_p"]) if p["dropout_p"] else (0, 1.0)),
        q.dtype.name, grad,
    )  # fmt: skip
    return Launch(AttentionSource(spec), _arguments(spec, walked, q.shape, n_key), WORKSPACE)


def _arguments(spec: AttentionSpec, walked: dict[str, Strided], shape: tuple[int, ...], n_key: int) -> list[Argument]:
    slots = spec.slots
    values: dict[str, Any] = {"L": int(shape[-3]), "S": int(n_key)}
    values |= {f"batch{n}": int(shape[n]) for n in range(spec.n_batch)}
    arguments = []
    for name, x in walked.items():
        size = x.base.aval.dtype.itemsize
        arguments.append(Argument(slots[name], x.base, int(x.offset) * size))
        if name == "state":
            continue
        steps = [0 if n == 1 else int(s) for n, s in zip(x.shape, x.strides)]
        values |= {f"{name}.batch{n}": steps[n] for n in range(spec.n_batch)}
        values[f"{name}.head"] = steps[spec.n_batch] if name in ("lse", "delta", "mask") else steps[-2]
        if name == "mask":
            values |= {"mask.query": steps[-2], "mask.key": steps[-1]}
    return [*arguments, *(Argument(slots[name], value) for name, value in values.items())]


def _known(extent: int) -> int | None:
    return None if isinstance(extent, Dim) else int(extent)


def launch_reads(launch: Launch, results: Sequence[Node]) -> list[Node]:
    """The nodes whose memory a launch reads."""
    return list(dict.fromkeys(a.of for a in launch.arguments if isinstance(a.of, Node) and a.of not in results))
