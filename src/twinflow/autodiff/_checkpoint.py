"""Checkpointing: forget what a part of the forward pass kept, and compute it again when backward needs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twinflow.autodiff._hooks import saved_tensors_hooks
from twinflow.core import as_int
from twinflow.core.errors import ArgumentError, GradientError
from twinflow.ops import default_generator
from twinflow.tensor import MODE, Tensor, enable_grad, enter_marking, exit_marking, no_grad, payload, wrap


class _Part:
    """One call of a checkpointed function: how to repeat it, and what a repetition kept."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], rng: bool) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.autocast = MODE.autocast
        self.specs: list[Any] = []  # shape and type of each tensor that the forward pass would have kept
        self.again: dict[int, Tensor] = {}
        with no_grad():
            self.state = default_generator.state.clone() if rng else None

    def forget(self, t: Tensor) -> int:
        """The pack hook of the forward pass."""
        self.specs.append((tuple(t.shape), t.dtype))
        return len(self.specs) - 1

    def recall(self, k: int) -> Tensor:
        """The unpack hook: the k-th tensor, from a repetition of the forward pass."""
        if k not in self.again:
            self._repeat()
        return self.again.pop(k)

    def _repeat(self) -> None:
        kept: list[Tensor] = []

        def keep(t: Tensor) -> int:
            kept.append(wrap(payload(t)))
            return -1

        def never(_: int) -> Tensor:
            raise GradientError(
                "checkpoint: backward inside a checkpointed function cannot use what its repetition kept"
            )

        state = default_generator.state
        with no_grad():
            now = state.clone() if self.state is not None else None
            if self.state is not None:
                state.copy_(self.state)
        marking = self.autocast is not None
        if marking:
            enter_marking()
        cast, MODE.autocast = MODE.autocast, self.autocast
        try:
            with enable_grad(), saved_tensors_hooks(keep, never):
                self.function(*self.args, **self.kwargs)
        finally:
            MODE.autocast = cast
            if marking:
                exit_marking()
            if now is not None:
                with no_grad():
                    state.copy_(now)
        if [(tuple(t.shape), t.dtype) for t in kept] != self.specs:
            raise GradientError(
                f"checkpoint: the repeated forward pass kept other tensors ({len(kept)}) than the first ({len(self.specs)}); the "
                "function must do the same both times: it must not depend on Python state that changes in between"
            )
        self.again = dict(enumerate(kept))


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool = False,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, keeping nothing for backward but the arguments: backward runs the function again.

    Random numbers are the same in the repetition. Gradients flow to the arguments and to everything the function reads.

    Args:
        use_reentrant: only False: there is one implementation, which needs no tensor among the arguments.
        preserve_rng_state: False saves the copy of the generator's state, if the function draws no random numbers.
    Raises: GradientError if the repetition differs from the first run.

    >>> import twinflow
    >>> from twinflow.utils.checkpoint import checkpoint
    >>> x = twinflow.tensor(2.0, requires_grad=True)
    >>> checkpoint(lambda x: x.exp().sin(), x).backward()
    """
    if use_reentrant:
        raise ArgumentError("checkpoint: use_reentrant=True is not offered; use_reentrant=False does the same and more")
    if not MODE.grad:
        return function(*args, **kwargs)
    part = _Part(function, args, kwargs, preserve_rng_state)
    with saved_tensors_hooks(part.forget, part.recall):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool = False, preserve_rng_state: bool = True
) -> Any:
    """Functions (or the modules of a Sequential) one after the other, in so many checkpointed segments; the last is not."""
    chain: Sequence[Any] = list(functions.children()) if hasattr(functions, "children") else list(functions)
    n = as_int(segments, "checkpoint_sequential: segments")
    if not 1 <= n <= len(chain):
        raise ArgumentError(f"checkpoint_sequential: {len(chain)} functions do not make {n} segments")

    def run(part: Sequence[Any]) -> Callable[[Any], Any]:
        def whole(x: Any) -> Any:
            for f in part:
                x = f(x)
            return x

        return whole

    size = len(chain) // n
    for k in range(n - 1):
        part = run(chain[k * size : (k + 1) * size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return run(chain[(n - 1) * size :])(input)
