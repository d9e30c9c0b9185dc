"""Composed functions that are one operation in plain evaluation: forward, backward, and one entry on the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twinflow.graph import Aval, Primitive
from twinflow.ops._declare import F32, F64
from twinflow.ops._native import Native
from twinflow.tensor import MODE, SPECIAL, Tensor, apply, enable_grad, run_backward, wrap


def only_computes(*operands: Tensor) -> bool:
    """Whether these are of one type, float32 or float64, and nothing traces or transforms operations: then a function may
    be one operation."""
    if SPECIAL.count:
        return False
    d = operands[0]._data.dtype
    if d is not F32 and d is not F64:
        return False
    for x in operands:
        if x._data.dtype is not d:
            return False
    return True


class Composite(Primitive):
    """A function of tensors, composed of operations. Where nothing but computing goes on it is one operation; traces and
    transformations see those that it is composed of.

    Args:
        name: of the operation and its programs.
        compose: (*operands, **params) -> tensor or tuple of tensors, without state.
        pays: from which size on a compiled program pays, see `Native`.
        reference: the same of NumPy arrays, for what is smaller; without it that is composed.
        out: its shape rule; by default the result is like the first operand.
        vjp, back: the derivative in operations and on arrays, see `Primitive`. By default that of the composition, which the
            tape finds; on arrays it is compiled and computes again what it needs from the operands, which costs less than
            NumPy takes to keep it.
        batched: how many operands, from the first, have the batch as their first axis; if any has, so has the result.
        sizes, exact: see `Native`; for compositions whose derivative is given.
    """

    __slots__ = ("_back_program", "batched", "compose", "least")

    def __init__(
        self,
        name: str,
        compose: Callable[..., Any],
        pays: int | Callable[..., bool],
        *,
        reference: Callable[..., Any] | None = None,
        out: Callable[..., Any] = lambda x, *_operands, **_params: Aval(x.shape, x.dtype),
        vjp: Any = None,
        back: Any = None,
        batched: int = 1,
        sizes: Sequence[dict[int, str]] | None = None,
        exact: bool = False,
        n_out: int = 1,
    ) -> None:
        self.name = name
        self.compose = compose
        self.least = pays if reference is None and isinstance(pays, int) else 1
        self.batched = batched
        self.out = out
        least = 0 if reference is None else pays
        self.ref = self.run = Native(name, reference, compose, least, batched=batched, sizes=sizes, exact=exact)
        self.vjp = vjp or self._rule
        self.back = back or self._back
        self._back_program = Native(
            f"{name}_backward", None, self._compose_back, 0, batched=batched + (batched > 0)
        )  # asked for without `back` only
        self.n_out = n_out
        self.view = None
        self.elementwise = False
        self.kept = {}

    def __call__(self, *operands: Tensor, **params: Any) -> Any:
        """The function's value."""
        one = operands[0]._data.size >= self.least and only_computes(*operands)
        return apply(self, *operands, **params) if one else self.compose(*operands, **params)

    def _back(self, wanted: Sequence[bool], g: Any, _y: Any, *arrays: Any, **params: Any) -> Any:
        n = self.batched
        found = self._back_program(*arrays[:n], g, *arrays[n:], wanted=tuple(wanted), **params)
        it = iter(found)
        return [next(it) if w else None for w in wanted]

    def _compose_back(self, *operands: Tensor, wanted: Sequence[bool], **params: Any) -> tuple[Tensor, ...]:
        """The gradients of the operands that are wanted; the gradient of the result stands behind the batched ones."""
        n = self.batched
        xs = [wrap(x._data) for x in (*operands[:n], *operands[n + 1 :])]
        inputs = [x.requires_grad_() for x, w in zip(xs, wanted) if w]
        with enable_grad():
            y = self.compose(*xs, **params)
        found = run_backward([y], [operands[n]], inputs=inputs, accumulate=False)
        return tuple([x * 0.0 if d is None else d for x, d in zip(inputs, found)])

    def _rule(self, g: Tensor, _y: Any, *operands: Tensor, **params: Any) -> list[Tensor | None]:
        """In operations, for derivatives of derivatives: on the tape the operands stand where they are."""
        create = MODE.grad
        xs = list(operands)
        if not create:
            xs = [wrap(x._data).requires_grad_() if x.requires_grad else x for x in xs]
        inputs = [x for x in xs if x.requires_grad]
        with enable_grad():
            y = self.compose(*xs, **params)
        how: dict[str, Any] = {"retain_graph": create, "create_graph": create, "stop_at_inputs": True}
        found = iter(run_backward([y], [g], inputs=inputs, accumulate=False, **how))
        return [next(found) if x.requires_grad else None for x in xs]
