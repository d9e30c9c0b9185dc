"""Composed functions that run compiled in plain evaluation, forward and backward, on operands large enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twinflow.graph import Aval
from twinflow.ops._native import Fused, Native
from twinflow.ops._softmax import only_computes
from twinflow.tensor import MODE, Tensor, apply, enable_grad, run_backward, wrap


class Composite:
    """A function of tensors, composed of operations; on large operands it is one operation, with one entry on the tape.

    Its derivative is the tape's derivative of the composition, compiled as well: it computes again what it needs from the
    operands, which costs less than NumPy takes to keep it.

    Args:
        name: of the operation and its programs.
        compose: (*operands, **params) -> tensor, without state.
        least: from how many elements of the first operand on it is one operation.
        batched: how many operands, from the first, have the batch as their first axis; if any has, so has the result.
    """

    def __init__(self, name: str, compose: Callable[..., Tensor], least: int, *, batched: int = 1) -> None:
        self.compose = compose
        self.least = least
        self.batched = batched
        self._native_back = Native(
            f"{name}_backward", self._plain_back, self._compose_back, 0, batched=batched + (batched > 0)
        )
        self._row = Fused(
            name,
            out=lambda x, *_operands, **_params: Aval(x.shape, x.dtype),
            run=Native(name, self._plain, compose, 0, batched=batched),
            vjp=self._rule,
            back=self._back,
        )

    def __call__(self, *operands: Tensor, **params: Any) -> Tensor:
        """The function's value."""
        one = operands[0]._data.size >= self.least and only_computes(*operands)
        result: Tensor = apply(self._row, *operands, **params) if one else self.compose(*operands, **params)
        return result

    def _plain(self, *arrays: Any, **params: Any) -> Any:
        return self.compose(*map(wrap, arrays), **params)._data

    def _back(self, wanted: Sequence[bool], g: Any, _y: Any, *arrays: Any, **params: Any) -> Any:
        n = self.batched
        found = self._native_back(*arrays[:n], g, *arrays[n:], wanted=tuple(wanted), **params)
        it = iter(found)
        return [next(it) if w else None for w in wanted]

    def _plain_back(self, *arrays: Any, **params: Any) -> Any:
        return tuple([t._data for t in self._compose_back(*map(wrap, arrays), **params)])

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
