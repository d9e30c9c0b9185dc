"""Layers that only fix the options of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twinflow.nn._module import Module


class FunctionLayer(Module):
    """A layer without parameters: `function`, with the attributes named in `options` as its keyword arguments."""

    function: Callable[..., Any]
    options: tuple[str, ...] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__()
        for name, value in options.items():
            setattr(self, name, value)

    def forward(self, *inputs: Any) -> Any:
        """The function of the inputs, with this layer's options."""
        return type(self).function(*inputs, **{name: getattr(self, name) for name in self.options})

    def extra_repr(self) -> str:
        """The options, without those that are switched off."""
        shown = {name: self.__dict__.get(name) for name in self.options}
        return ", ".join(f"{k}={v!r}" for k, v in shown.items() if v is not None and v is not False)
