"""Lazy layers: the first input decides the shapes of the parameters."""

from __future__ import annotations

from typing import Any

from twinflow.nn._module import Module
from twinflow.nn._parameter import is_lazy
from twinflow.tensor import paused_tracing


class LazyLayer(Module):
    """Mixin of layers whose parameters are made at the first call; afterwards the layer is a `becomes`."""

    becomes: type[Module]

    def infer(self, input: Any) -> None:
        """Set sizes from the first input and call `give_shapes`."""
        raise NotImplementedError(f"{type(self).__name__} must define infer(self, input)")

    def give_shapes(self, **shapes: tuple[int, ...]) -> None:
        """Make the parameters and buffers of these names, with their initial values, where they are still open."""
        fresh = False
        for name, shape in shapes.items():
            owned: Any = self._parameters.get(name) if name in self._parameters else self._buffers.get(name)
            if is_lazy(owned):
                owned.materialize(shape)
                fresh = True
        if fresh:
            self.reset_parameters()

    def has_open_shapes(self) -> bool:
        """Whether no input has been seen yet."""
        return any(map(is_lazy, [*self._parameters.values(), *self._buffers.values()]))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Settle the shapes with the first input, then run as the finished layer."""
        with paused_tracing():  # what is made here outlives a trace
            self.infer(args[0] if args else next(iter(kwargs.values())))
        self.__class__ = self.becomes  # type: ignore[assignment]
        return self(*args, **kwargs)

    def reset_parameters(self) -> None:
        """Draw initial values, once there are shapes."""
        if not self.has_open_shapes():
            self.becomes.reset_parameters(self)  # type: ignore[attr-defined]
