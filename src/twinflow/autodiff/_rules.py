"""Operations with a derivative given by a Python function: one row per call, unknown to the registry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twinflow.core.errors import GradientError
from twinflow.graph import Node, Primitive
from twinflow.ops import in_body, record_in_body
from twinflow.tensor import MODE, Tensor, is_inexact, payload, record

Rule = Callable[[tuple[Tensor | None, ...]], Sequence[Tensor | None]]


class CustomRule(Primitive):
    """What the tape sees of such an operation: a name, and the way back. It keeps no operands of its own."""

    __slots__ = ()

    def __init__(self, name: str, backward: Rule) -> None:
        self.name = name
        self.vjp = lambda g, _y, *_operands: backward(g)
        self.back = None
        self.kept = {}
        self.n_out = 0
        self.elementwise = False

    def keep_for(self, wanted: int, n: int) -> tuple[tuple[bool, ...], bool]:
        """Nothing: the rule holds what it needs."""
        return (False,) * n, False


def record_rule(name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], backward: Rule | None) -> None:
    """Put `outputs = name(inputs)` on the tape, with `backward(gradients of outputs) -> gradients of inputs`.

    Without `backward` there is no derivative, and asking for it an error.
    """
    if not MODE.grad:
        return
    if in_body(inputs):
        record_in_body(name, inputs, outputs, backward)
        return
    level = level_of(inputs)
    if not any(t.requires_grad and (level == 0 or getattr(t._data, "level", 0) == level) for t in inputs):
        return
    record(CustomRule(name, backward or _refuse), tuple(inputs), {}, tuple(outputs), level)


def _refuse(_gradients: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
    raise GradientError("this backward is marked once_differentiable: it has no second derivative")


def may_need_gradient(t: Tensor) -> bool:
    """Whether a gradient of `t` may be wanted. What the body of a traced loop or branch receives never says so: the body is
    differentiated later."""
    return t.requires_grad or (is_inexact(t) and in_body([t]))


def level_of(inputs: Sequence[Tensor]) -> int:
    """The transformation level at which an operation on these runs; 0 in plain evaluation and while tracing."""
    payloads = [payload(t) for t in inputs]
    level = max((getattr(p, "level", 0) for p in payloads if not isinstance(p, Node)), default=0)
    tracer = MODE.tracer
    return 0 if tracer is not None and tracer.level > level else level
